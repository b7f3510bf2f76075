#!/usr/bin/env python3
"""Looks at a release binary: is it hardened as cmake/compiler.cmake means it to be?

    tests/style/hardening.py build/release/aiva-mqtt-bridge

Says what is missing, and exits with 1 if something is.
"""

import re
import subprocess
import sys


def tool(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True,
                          env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}).stdout


def function(binary, name):
    """The instructions of one function."""
    listed = tool("objdump", "--disassemble=" + name, "--no-show-raw-insn", binary)
    found = re.search(rf"<{name}>:\n(.*?)(?:\n\n|\Z)", listed, re.S)
    return found.group(1) if found else ""


def segments(binary):
    """Type and flags of each program header."""
    return re.findall(r"^\s+([A-Z_]+)\s+0x\S+ 0x\S+ 0x\S+ 0x\S+ 0x\S+ ([RWE ]{3})\s",
                      tool("readelf", "-lW", binary), re.M)


def findings(binary):
    """What is asked for, and whether it is there."""
    dynamic = tool("readelf", "-dW", binary)
    symbols = tool("readelf", "--dyn-syms", "-W", binary)
    headers = segments(binary)
    yield "position-independent (PIE)", bool(re.search(r"FLAGS_1.*\bPIE\b", dynamic))
    yield "relocations read-only (RELRO)", any(kind == "GNU_RELRO" for kind, _ in headers)
    yield "all symbols bound at the start (BIND_NOW)", "BIND_NOW" in dynamic
    yield "a stack that is not executable", ("GNU_STACK", "RW ") in headers
    yield "no memory both written and executed", \
        not any("W" in flags and "E" in flags for _, flags in headers)
    yield "no search path of its own (RPATH)", "RPATH" not in dynamic and "RUNPATH" not in dynamic
    yield "stack protector", "__stack_chk_fail" in symbols
    yield "fortified functions (FORTIFY_SOURCE)", "_chk@plt" in function(binary, "log_write")
    if "X86-64" in tool("readelf", "-h", binary):
        yield "branch targets marked (CET)", \
            all("endbr64" in function(binary, name).split("\n")[0] for name in ("main", "log_write"))
        # log_write has buffers of several pages on its stack.
        yield "stack probes (stack clash protection)", \
            bool(re.search(r"\bor[ql]?\s+\$0x0,", function(binary, "log_write")))


def main():
    missing = [what for what, there in findings(sys.argv[1]) if not there]
    for what in missing:
        print(f"{sys.argv[1]}: missing: {what}", file=sys.stderr)
    if not missing:
        print(f"{sys.argv[1]} is hardened")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
