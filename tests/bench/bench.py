#!/usr/bin/env python3
"""Runs the bridge, the limits and the peers on the same work, in interleaved rounds."""

import argparse
import json
import sys
import time
from pathlib import Path

from runner import contenders, report, scenarios
from runner.processes import Failure

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/release"
TOOLS = BUILD / "bench"


def parse():
    parser = argparse.ArgumentParser(prog="tests/bench/run.sh", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--quick", action="store_true", help="one short round, about a minute")
    parser.add_argument("--only", action="append", default=[], metavar="SCENARIO",
                        help="only this scenario; may be given several times")
    parser.add_argument("--bridge", action="append", default=[], metavar="[NAME=]BINARY",
                        help="this build of the bridge instead of build/release's; several compare "
                        "builds, the first is what ratios are of")
    parser.add_argument("--who", metavar="NAME,...", help="only these contenders")
    parser.add_argument("--events", type=int, metavar="N", help="events of a run flat out (200000)")
    parser.add_argument("--steady-s", type=int, metavar="S", help="length of a steady run (20)")
    parser.add_argument("--listed", type=int, metavar="N", help="jobs at a start (100000)")
    parser.add_argument("--idle-s", type=int, metavar="S", help="length of an idle run (30)")
    parser.add_argument("--output", type=Path, default=BUILD / "bench/result.json", metavar="FILE",
                        help="where the figures go as JSON")
    parser.add_argument("--list", action="store_true", help="names of scenarios and contenders")
    options = parser.parse_args()
    if options.quick:
        options.rounds = 1
    options.events = options.events or (40000 if options.quick else 200000)
    options.steady_s = options.steady_s or (5 if options.quick else 20)
    options.listed = options.listed or (20000 if options.quick else 100000)
    options.idle_s = options.idle_s or (10 if options.quick else 30)
    return options


def make_bridges(options):
    bridges = []
    for text in options.bridge or [f"bridge={BUILD / 'aiva-mqtt-bridge'}"]:
        name, _, binary = text.rpartition("=")
        bridges.append(contenders.Bridge(name or "bridge", Path(binary).resolve()))
    return bridges


def make_contenders(options):
    found = make_bridges(options)
    found += [contenders.Raw("raw publisher", 5), contenders.Raw("raw publisher 3.1.1", 3)]
    found += contenders.peers(TOOLS / "peers")
    if options.who:
        wanted = options.who.split(",")
        unknown = set(wanted) - {contender.name for contender in found}
        if unknown:
            sys.exit(f"no such contender: {', '.join(sorted(unknown))}; --list names them")
        found = [contender for contender in found if contender.name in wanted]
    return found


def make_scenarios(options):
    known = {scenario.name: scenario for scenario in scenarios.ALL}
    for name in options.only:
        if name not in known:
            sys.exit(f"no such scenario: {name}; --list names them")
    return [scenario(TOOLS, options) for scenario in scenarios.ALL
            if scenario.name in (options.only or known)]


def run_once(scenario, contender, label):
    started = time.monotonic()
    try:
        row = scenario.run(contender)
    except Failure as failure:
        print(f"{label}: FAILED: {failure}", flush=True)
        return None
    figures = ", ".join(f"{heading} {form.format(row[key])}"
                        for key, heading, form in scenario.columns if key in row)
    print(f"{label}: {figures}  [{time.monotonic() - started:.0f} s]", flush=True)
    return row


def run_all(options, found, chosen):
    result = {"options": {"rounds": options.rounds, "events": options.events,
                          "steady_s": options.steady_s, "listed": options.listed,
                          "idle_s": options.idle_s, "jobs": scenarios.JOBS},
              "scenarios": {}}
    for scenario in chosen:
        runs = {contender.name: [] for contender in found if scenario.takes(contender)}
        result["scenarios"][scenario.name] = runs
        for number in range(options.rounds):
            for contender in found:
                if contender.name in runs:
                    label = f"{scenario.name} {number + 1}/{options.rounds} {contender.name}"
                    runs[contender.name].append(run_once(scenario, contender, label))
            options.output.write_text(json.dumps(result, indent=1) + "\n")
    return result


def main():
    options = parse()
    found, chosen = make_contenders(options), make_scenarios(options)
    if options.list:
        print("scenarios:", ", ".join(scenario.name for scenario in chosen))
        print("contenders:", ", ".join(contender.name for contender in found))
        return 0
    result = run_all(options, found, chosen)
    for scenario in chosen:
        print()
        print("\n".join(report.table(scenario, result["scenarios"][scenario.name], found[0].name)))
    print(f"\nFigures of each round: {options.output}")
    failed = any(row is None for runs in result["scenarios"].values()
                 for rows in runs.values() for row in rows)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
