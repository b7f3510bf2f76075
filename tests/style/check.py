#!/usr/bin/env python3
"""The house rules that a program can check; run by ctest. Prints file:line: what, exit code 1 if any.

With --fix it first mends what it can: the format of C files, and the table of settings in README.md.
A file that needs an exception is listed here with its reason.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ["base", "core", "io", "app"]  # each may include its own headers and those to its left
LONGEST_FUNCTION = 60

# Headers of libraries, and the layer that alone may include them.
FENCED_HEADERS = {
    r"curl/.*|curl\.h": "io",
    r"MQTTAsync\.h|MQTTClient\.h|MQTTProperties\.h|MQTTReasonCodes\.h": "io",
    r"microhttpd\.h|openssl/.*|systemd/.*|wslay/.*": "io",
    r"cjson/.*|cJSON\.h": "core",
}

OUTPUT = r"printf|fprintf|vprintf|vfprintf|dprintf|vdprintf|puts|fputs|putchar|fputc|putc|perror|fwrite"
ALLOWED_OUTPUT = {
    "bridge/base/log.c": "the one place that writes log lines",
    "bridge/base/mem.c": "the last words of a program without memory",
    "bridge/main.c": "the program's own output: help, version, errors of usage",
    "bridge/app/check.c": "the report of --check",
}

ALLOCATION = r"malloc|calloc|realloc|reallocarray|strdup|strndup|asprintf|vasprintf|getline|open_memstream"
ALLOWED_ALLOCATION = {
    "bridge/base/mem.c": "sizes that the program chooses",
    "bridge/base/buf.c": "sizes that the network chooses, capped",
}

# core does not log; log.h also has the names of levels and formats.
ALLOWED_LOG_IN_CORE = {
    "bridge/core/config_table.c": "the settings log.level and log.format",
}

# Functions that end in tears, and what to use.
BANNED = {
    r"gets|strcpy|strcat|sprintf|vsprintf": "snprintf or buf_printf",
    r"strtok|atoi|atol|atof": "a parser that reports errors",
    r"alloca": "xmalloc or buf",
    r"system|popen": "nothing: the bridge starts no programs",
    r"localtime|gmtime|ctime|asctime": "clock.h",
}
EXIT = r"exit|_exit|quick_exit|abort"
ALLOWED_EXIT = {
    "bridge/base/mem.c": "no memory",
    "bridge/core/announcer.c": "no memory for uthash, which asks its user to end the program",
    "bridge/core/jobs.c": "no memory for uthash, which asks its user to end the program",
    "bridge/main.c": "turns an error into the exit code",
}

# What cmocka 2.0 gives other names, which 1.1 does not know.
RENAMED = r"assert_(?:not_)?in_(?:range|set)"

# What clang-format 14 of Debian 12 and 19 of Debian 13 write in different ways, whatever the options.
MACRO_OF_BRACES = r"^#define \w+(?:\([^)\n]*\))?[ \t]+(?:\\\n[ \t]*)?\{"

# Words that say a thing is not done; spelled so that this file passes its own check.
UNFINISHED = "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"])
TEXT_SUFFIXES = {".c", ".h", ".py", ".sh", ".cmake", ".txt", ".md", ".json", ".yml", ".yaml", ".conf", ".service",
                 ".1", ".5"}


def blank(match):
    """As many lines as before, and nothing on them."""
    return re.sub(r"[^\n]", " ", match.group(0))


def without_comments(text):
    pattern = r'("(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')|/\*.*?\*/|//[^\n]*'
    return re.sub(pattern, lambda m: m.group(0) if m.group(1) else blank(m), text, flags=re.S)


def without_strings(text):
    return re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text)


def calls(code, names):
    """(line, name) of each call of one of the functions; a name that is part of another is none."""
    for match in re.finditer(rf"(?<![\w.>])({names})\s*\(", code):
        yield code.count("\n", 0, match.start()) + 1, match.group(1)


def layer_of(path):
    parts = path.split("/")
    if len(parts) == 3 and parts[0] in ("bridge", "include") and parts[1] in LAYERS:
        return parts[1]
    return None


def readme_with_settings():
    """README.md as it is, and as it is with the tables of config/settings.md between its markers."""
    readme = (ROOT / "README.md").read_text()
    settings = (ROOT / "config/settings.md").read_text()
    tables = re.sub("^## ", "### ", settings[settings.index("\n## ") + 1:], flags=re.M).strip()
    markers = r"(<!-- settings -->\n).*(<!-- /settings -->)"
    return readme, re.sub(markers, lambda m: f"{m.group(1)}{tables}\n{m.group(2)}", readme, flags=re.S)


def fix(sources):
    subprocess.run(["clang-format", "-i", *sources], cwd=ROOT, check=True)
    (ROOT / "README.md").write_text(readme_with_settings()[1])


class Checker:
    def __init__(self):
        self.problems = []
        self.sources = sorted(
            str(p.relative_to(ROOT)) for folder in ("bridge", "include", "tests")
            for p in (ROOT / folder).rglob("*.[ch]"))
        self.headers = {Path(p).name: layer_of(p) for p in self.sources if p.endswith(".h") and layer_of(p)}

    def report(self, path, line, what):
        self.problems.append(f"{path}:{line}: {what}")

    def check_format(self):
        tool = subprocess.run(["clang-format", "--dry-run", "-Werror", *self.sources], cwd=ROOT,
                              capture_output=True, text=True, check=False)
        for line in tool.stderr.splitlines():
            match = re.match(r"(.*?):(\d+):\d+: error", line)
            if match:
                self.report(match.group(1), match.group(2), "not as clang-format writes it (clang-format -i)")
        if tool.returncode != 0 and not self.problems:
            self.report(".clang-format", 1, tool.stderr.strip() or "clang-format failed")

    def check_includes(self, path, code):
        layer = layer_of(path)
        for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', code, flags=re.M):
            name = match.group(1)
            line = code.count("\n", 0, match.start()) + 1
            target = self.headers.get(Path(name).name)
            if layer and target and LAYERS.index(target) > LAYERS.index(layer):
                self.report(path, line, f"{layer} must not know {name} of {target}, a layer above it")
            if layer == "core" and name == "log.h" and path not in ALLOWED_LOG_IN_CORE:
                self.report(path, line, "core does not log: it returns what happened")
            for pattern, home in FENCED_HEADERS.items():
                if layer and re.fullmatch(pattern, name) and layer != home:
                    self.report(path, line, f"{name} is included in {home} alone")

    def check_calls(self, path, code):
        def only_in(allowed, names, advice):
            if path not in allowed:
                for line, name in calls(code, names):
                    self.report(path, line, f"{name}(): {advice}")

        only_in(ALLOWED_OUTPUT, OUTPUT, "output goes through log.h")
        only_in(ALLOWED_ALLOCATION, ALLOCATION, "memory comes from mem.h or buf.h")
        only_in(ALLOWED_EXIT, EXIT, "only main.c ends the program")
        for names, instead in BANNED.items():
            only_in({}, names, f"use {instead}")

    def check_functions(self, path, code):
        lines = code.split("\n")
        start = None
        for number, line in enumerate(lines, 1):
            if line.rstrip() == "{":
                start = number
            elif line.rstrip() == "}" and start:
                length = number - start + 1
                if length > LONGEST_FUNCTION:
                    self.report(path, start, f"a function of {length} lines (at most {LONGEST_FUNCTION})")
                start = None

    def check_disputed(self, path, code):
        for number, line in enumerate(code.split("\n"), 1):
            if re.match(r"\s*for \(", line) and line.count("(") > line.count(")"):
                self.report(path, number, "the head of a for is one line: clang-format 14 and 19 break it differently")
        for match in re.finditer(MACRO_OF_BRACES, code, flags=re.M):
            self.report(path, code.count("\n", 0, match.start()) + 1,
                        "the braces belong to where the macro is used: clang-format 14 and 19 break them differently")
        for line, name in calls(code, RENAMED):
            self.report(path, line, f"{name}(): use assert_within of within.h, which all versions of cmocka have")

    def check_unfinished(self):
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
        paths = listed.stdout.split("\0") if listed.returncode == 0 else self.sources
        for path in filter(None, paths):
            file = ROOT / path
            if file.suffix not in TEXT_SUFFIXES or not file.is_file():
                continue
            for number, line in enumerate(file.read_text(errors="replace").split("\n"), 1):
                if re.search(rf"\b({UNFINISHED})\b", line):
                    self.report(path, number, "says that something is not finished")
                if re.match(r"(<{7}|>{7}) ", line):
                    self.report(path, number, "is left of a merge")

    def check_readme(self):
        found, wanted = readme_with_settings()
        if found != wanted:
            self.report("README.md", found.count("\n", 0, found.index("<!-- settings -->")) + 1,
                        "not the tables of config/settings.md (tests/style/check.py --fix)")

    def check_map(self):
        """bridge/README.md names each module in the table of its layer, and none that is not there."""
        page = "bridge/README.md"
        parts = re.split(r"^### (\w+)$", (ROOT / page).read_text(), flags=re.M)
        for layer, text in zip(parts[1::2], parts[2::2]):
            named = re.findall(r"^\| `([^`]+)` \|", text, flags=re.M)
            there = {str(p.relative_to(ROOT / "bridge" / layer).with_suffix(""))
                     for p in (ROOT / "bridge" / layer).rglob("*.c")}
            for name in sorted(there.symmetric_difference(named)):
                self.report(page, 1, f"{layer}: {name} is {'not named' if name in there else 'no module'}")
            if named != sorted(named):
                self.report(page, 1, f"{layer}: the modules are not in the order of the alphabet")
        if parts[1::2] != LAYERS:
            self.report(page, 1, "does not have a section for each layer")

    def run(self):
        self.check_format()
        self.check_readme()
        self.check_map()
        self.check_unfinished()
        for path in self.sources:
            code = without_comments((ROOT / path).read_text())
            self.check_includes(path, code)
            code = without_strings(code)
            self.check_disputed(path, code)
            if path.startswith(("bridge/", "include/")):
                self.check_calls(path, code)
                self.check_functions(path, code)
        print("\n".join(self.problems) or f"{len(self.sources)} files follow the house rules")
        return 1 if self.problems else 0


if __name__ == "__main__":
    checker = Checker()
    if sys.argv[1:] == ["--fix"]:
        fix(checker.sources)
    sys.exit(checker.run())
