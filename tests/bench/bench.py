#!/usr/bin/env python3
"""Runs the bridge, its limits and its peers on the same work, in interleaved rounds."""

import argparse
import json
import sys
import time
from pathlib import Path

from runner import contenders, document, machine, report, scale, scenarios
from runner.processes import Failure

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/release"
TOOLS = BUILD / "bench"


def add_choices(parser):
    parser.add_argument("--quick", action="store_true",
                        help="one short round of bridge, raw publisher and one peer: about a minute")
    parser.add_argument("--rounds", type=int, metavar="N", help="(5)")
    parser.add_argument("--only", action="append", default=[], metavar="SCENARIO",
                        help="only this scenario; may be given several times")
    parser.add_argument("--who", metavar="NAME,...", help="only these contenders")
    parser.add_argument("--bridge", action="append", default=[], metavar="[NAME=]BINARY",
                        help="this build of the bridge rather than build/release's; several compare "
                        "builds, and ratios are of the first")
    parser.add_argument("--bridge-settings", type=json.loads, default={}, metavar="JSON",
                        help='members for the configuration, e.g. {"mqtt": {"version": "3.1.1"}}')
    parser.add_argument("--scale", action="store_true",
                        help="instead: what jobs and events cost as there are more of them")
    parser.add_argument("--list", action="store_true", help="names of scenarios and contenders")


def add_sizes(parser):
    parser.add_argument("--events", type=int, metavar="N", help="events of a run flat out (200000)")
    parser.add_argument("--steady-s", type=int, metavar="S", help="length of a steady run (20)")
    parser.add_argument("--listed", type=int, metavar="N", help="jobs at a start (100000)")
    parser.add_argument("--idle-s", type=int, metavar="S", help="length of an idle run (30)")
    parser.add_argument("--scale-jobs", type=int, default=scale.JOBS[-1], metavar="N",
                        help="with --scale: at most so many jobs (1000000)")


def add_outputs(parser):
    parser.add_argument("--output", type=Path, metavar="FILE",
                        help="the figures as JSON (build/release/bench/result.json, or scale.json)")
    parser.add_argument("--render", type=Path, metavar="FILE",
                        help="run nothing, show this file of figures")
    parser.add_argument("--write-benchmarks", action="store_true",
                        help="put the figures into BENCHMARKS.md, with --scale the plots too")


def parse():
    parser = argparse.ArgumentParser(prog="tests/bench/run.sh", description=__doc__)
    add_choices(parser)
    add_sizes(parser)
    add_outputs(parser)
    options = parser.parse_args()
    full = {"rounds": 5, "events": 200000, "steady_s": 20, "listed": 100000, "idle_s": 30}
    quick = {"rounds": 1, "events": 40000, "steady_s": 4, "listed": 20000, "idle_s": 4}
    for name, value in (quick if options.quick else full).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.output = options.output or TOOLS / ("scale.json" if options.scale else "result.json")
    return options


def make_bridges(options):
    bridges = []
    for text in options.bridge or [str(BUILD / "aiva-mqtt-bridge")]:
        name, _, binary = text.rpartition("=")
        bridges.append(contenders.Bridge(name or "bridge", Path(binary).resolve(),
                                         options.bridge_settings))
    return bridges


def make_contenders(options):
    peers = contenders.peers(TOOLS / "peers")
    found = make_bridges(options)
    found += [contenders.Raw("raw publisher", 5), contenders.Raw("raw publisher 3.1.1", 3)]
    found += peers
    if options.who:
        wanted = options.who.split(",")
        unknown = set(wanted) - {contender.name for contender in found}
        if unknown:
            sys.exit(f"no such contender: {', '.join(sorted(unknown))}; --list names them")
        return [contender for contender in found if contender.name in wanted]
    # A minute is not enough for all of them.
    skipped = ["raw publisher 3.1.1"] + [peer.name for peer in peers[1:]]
    return [one for one in found if one.name not in skipped] if options.quick else found


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


def save(options, result):
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")


def run_all(options, found, chosen):
    """Round after round, so that what changes on the machine meanwhile hits all alike."""
    names = ("rounds", "events", "steady_s", "listed", "idle_s")
    result = {
        "machine": machine.describe(ROOT),
        "options": dict({name: getattr(options, name) for name in names}, jobs=scenarios.JOBS),
        "contenders": [contender.name for contender in found],
        "bridges": [one.name for one in found if isinstance(one, contenders.Bridge)],
        "peers": [contender.name for contender in found if contender.peer and contender.whole],
        "scenarios": {},
    }
    for scenario in chosen:
        runs = {contender.name: [] for contender in found if scenario.takes(contender)}
        if runs:
            result["scenarios"][scenario.name] = runs
    for number in range(options.rounds):
        for scenario in chosen:
            for contender in found:
                if not scenario.takes(contender):
                    continue
                label = f"{number + 1}/{options.rounds} {scenario.name}, {contender.name}"
                result["scenarios"][scenario.name][contender.name].append(
                    run_once(scenario, contender, label))
                save(options, result)
    return result


def run_scale(options):
    bridge = make_bridges(options)[0]
    result = {"machine": machine.describe(ROOT), "scale": scale.run(TOOLS, bridge, options)}
    save(options, result)
    return result


def show(result):
    if "scale" in result:
        lines = []
        for cells in scale.tables(result["scale"]):
            lines += [""] + report.aligned(cells)
    else:
        lines = [""] + report.everything(scenarios.ALL, result)
    print("\n".join([""] + machine.lines(result["machine"]) + lines))


def has_failed(result):
    return any(row is None for runs in result.get("scenarios", {}).values()
               for rows in runs.values() for row in rows)


def main():
    options = parse()
    found, chosen = make_contenders(options), make_scenarios(options)
    if options.list:
        print("scenarios: ", ", ".join(scenario.name for scenario in chosen))
        print("contenders:", ", ".join(contender.name for contender in found))
        return 0
    if options.render:
        result = json.loads(options.render.read_text())
    else:
        result = run_scale(options) if options.scale else run_all(options, found, chosen)
    show(result)
    if not options.render:
        print(f"\nThe figures of each round: {options.output}")
    if options.write_benchmarks:
        document.write(ROOT, scenarios.ALL, result)
    return 1 if has_failed(result) else 0


if __name__ == "__main__":
    sys.exit(main())
