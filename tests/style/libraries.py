#!/usr/bin/env python3
"""Looks at the program and at the build files: are the libraries linked as Debian ships them?

    tests/style/libraries.py build/release/aiva-mqtt-bridge

Shared, and with nothing inside them replaced: a name that the program defines and a library has too would stand
in for the library's; a tool or an option of the linker that renames or wraps symbols has no place in the build.
Says what it finds, and exits with 1 if there is something.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
# Linked by name in CMakeLists.txt.
LIBRARIES = ("libpaho-mqtt3a", "libcurl", "libcjson", "libwslay", "libssl", "libcrypto", "libmicrohttpd")
TOOLS = re.compile(r"objcopy|--wrap|--defsym|-Bsymbolic|lib[a-z0-9-]+\.a\b|LD_PRELOAD|--redefine-sym|--globalize")
# Of the C runtime, in every program.
OF_EVERY_PROGRAM = {"_init", "_fini", "_start", "main", "__data_start", "data_start", "_IO_stdin_used",
                    "__dso_handle", "__bss_start", "_edata", "_end", "__TMC_END__"}


def tool(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True,
                          env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}).stdout


def defined(*options_and_file):
    """Names of what a file defines for others, as they stand: with a version behind an @ in a library."""
    rows = tool("nm", "--defined-only", "--extern-only", *options_and_file).splitlines()
    return {row.split()[-1] for row in rows if len(row.split()) == 3}


def of_the_program(program):
    needed = re.findall(r"\(NEEDED\)\s+Shared library: \[(\S+)\]", tool("readelf", "-dW", program))
    places = dict(re.findall(r"^\s+(\S+) => (\S+)", tool("ldd", program), re.M))
    for name in LIBRARIES:
        if not any(one.startswith(name) for one in needed):
            yield f"{name} is not among the shared libraries ({', '.join(needed)})"
    # One with a version is the place for a copy of the library's variable, such as stderr.
    own = {name for name in defined(program) if "@" not in name} - OF_EVERY_PROGRAM
    if len(own) < 100:
        yield "its symbols are stripped: there is nothing to look at"
    for path in sorted(set(places.values())):
        for name in sorted(own & {name.split("@")[0] for name in defined("-D", path)}):
            yield f"{name} would stand in for that of {path}"


def of_the_build():
    for path in (ROOT / "CMakeLists.txt", ROOT / "CMakePresets.json", *(ROOT / "cmake").glob("*.cmake"),
                 *(ROOT / "bridge").glob("**/CMakeLists.txt")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if TOOLS.search(line):
                yield f"{path.relative_to(ROOT)}:{number}: {line.strip()}"


def main():
    program = sys.argv[1]
    found = [f"{program}: {what}" for what in of_the_program(program)] + list(of_the_build())
    for what in found:
        print(what, file=sys.stderr)
    if not found:
        print(f"{program} has the libraries as they are")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
