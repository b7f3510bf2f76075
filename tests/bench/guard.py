#!/usr/bin/env python3
"""Guards against an event that costs more than before: counts the instructions of the bridge's own
work for one, under valgrind, and compares them with the count that is stored for the same kind of
build. A count, never a time: the same on a busy machine as on a quiet one.

    tests/bench/guard.py            exit code 1 if it is more than TOLERANCE above
    tests/bench/guard.py --renew    stores what it counts; to be committed with what changed it
"""

import json
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STORE = Path(__file__).with_name("guard.json")
PROGRAM = ROOT / "build/release/bench/eventcost"
TOLERANCE = 0.05
# The difference of two runs is the events' own: start and end cancel out. In 100 events a job goes
# once through its states.
JOBS = 50
FEW, MANY = 100 * JOBS, 200 * JOBS


def kind_of_build():
    """Another compiler makes other instructions."""
    compiler = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, check=True)
    return f"gcc {compiler.stdout.strip()}, {platform.machine()}, release"


def instructions(events):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", PROGRAM,
             "--jobs", str(JOBS), "--events", str(events)],
            capture_output=True, text=True, check=False)
    match = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not match:
        sys.exit(f"guard.py: no count: {done.stderr.strip()[-500:]}")
    return int(match.group(1))


def main():
    counted = round((instructions(MANY) - instructions(FEW)) / (MANY - FEW))
    kind = kind_of_build()
    stored = json.loads(STORE.read_text()) if STORE.exists() else {}
    if sys.argv[1:] == ["--renew"]:
        stored[kind] = counted
        STORE.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    if kind not in stored:
        print(f"{counted} instructions an event; nothing is stored for {kind} to compare with")
        return 0
    ratio = counted / stored[kind]
    print(f"{counted} instructions an event, {ratio:.3f} of the stored {stored[kind]} ({kind})")
    if ratio < 1 - TOLERANCE:
        print("It has become cheaper: store that with tests/bench/guard.py --renew")
    if ratio > 1 + TOLERANCE:
        print(f"More than {1 + TOLERANCE:.2f}: find out why; if it is worth it, "
              "tests/bench/guard.py --renew")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
