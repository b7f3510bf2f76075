#!/usr/bin/python3
"""Runs the bridge for a long time while everything around it goes wrong, and checks its history.

    python3 tests/soak/soak.py --minutes 10 --seed 7 --bridge PATH --simulator PATH

Faults come in epochs. After each, all is mended, the bridge has the time to find its way back, and
checker.py looks at what was recorded. Exit code 1 if any rule was broken; what happened around it
is then in a file. The seed decides which faults come when; how they meet is up to the machine.
"""

import argparse
import heapq
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import faults  # noqa: E402
from checker import Checker, Violation, compare_retained  # noqa: E402
from history import ROOT, History, split_topic  # noqa: E402
from upstream import MARKER, Jobs, Upstream  # noqa: E402
from world import World, now  # noqa: E402

RATE = 25  # things that happen to jobs in a second
COMMANDS_OVER_S = 6.5  # commands.timeout_s, and some
CONVERGE_S = 30
HANG_UP_AFTER_S = 6
PATIENCE_S = 60
MORE_PATIENCE_S = 200  # two waits of a minute, and some
PATIENT_ONE_IN = 6
AROUND_S = 60


def options_of(seed):
    """What is the same during a whole run."""
    chance = random.Random(f"{seed}-options")
    return {
        "persistence": seed % 2 == 0,
        "event_ids": chance.random() < 0.5,
        "line_end": chance.choice(("crlf", "lf", "cr")),
        "mqtt_version": chance.choice(("5", "5", "3.1.1")),
        "queue_limit": chance.choice((100000, 1500)),
        "stop_s": 8.0,
    }


class Soak:
    """One run."""

    def __init__(self, arguments, folder):
        self.seconds = arguments.minutes * 60
        self.short = self.seconds < 120
        self.seed = arguments.seed
        self.history = History()
        self.checker = Checker(self.history)
        self.world = World(folder, self.history, options_of(arguments.seed))
        self.chance = random.Random(f"{arguments.seed}-faults")
        self.faults = Counter()
        self.violations = []
        self.rss = []
        self.epochs = 0
        self.slowest = 0.0
        self.upstream = self.world.jobs = None
        self.began = now()

    # --- the course

    def run(self):
        self.world.open()
        self.upstream = Upstream(self.seed, self.world.simulator, self.history,
                                 self.world.observer.publish)
        self.world.jobs = Jobs(self.upstream, RATE)
        self.world.jobs.start()
        try:
            self._settle(True)
            while not self.violations and now() - self.began < self.seconds:
                self._epoch()
        finally:
            self.world.jobs.stop()
            self.world.close()
        self.world.look_into_log()
        self._judge_world()

    def _epoch(self):
        self.epochs += 1
        patient = not self.short and self.epochs % PATIENT_ONE_IN == 0
        length = self.chance.uniform(6, 12) if self.short else self.chance.uniform(20, 40)
        plan = []
        order = itertools.count()
        for _ in range(round(length / 3)):
            fault = faults.choose(self.chance, patient)
            at = self.chance.uniform(0, length)
            heapq.heappush(plan, (at, next(order), fault.kind, fault.begin, fault))
        began = now()
        while plan:
            at, _, what, act, fault = heapq.heappop(plan)
            while now() - began < at:
                time.sleep(0.02)
                self.world.watch_bridge()
            self.world.note(what)
            act(self.world)
            if fault:
                self.faults[fault.kind] += 1
                if fault.end and now() - began + fault.seconds < length:
                    heapq.heappush(plan, (now() - began + fault.seconds, next(order),
                                          f"end of {what}", fault.end, None))
        self._settle(not patient)

    def _settle(self, hang_up):
        """Mends everything, waits until the bridge is well, and judges."""
        self.world.note("all is mended")
        self.world.heal()
        self.world.jobs.pause()
        try:
            began = now()
            if self._wait_streaming(hang_up) and self._wait_converged(hang_up):
                self.world.wait_drained()
            self.slowest = max(self.slowest, now() - began)
            self.violations += self.checker.check()
            self._judge_world()
            self.rss.append(self.world.rss_kib())
        finally:
            self.world.jobs.resume()

    def _wait_streaming(self, hang_up):
        """Until the bridge publishes what the stream says. Its waits grow to a minute: a hangup
        shortens them, except in patient epochs."""
        began = hung_up = marked = now()
        wanted = self.upstream.mark()
        while True:
            state = self.world.observer.latest.get(f"{ROOT}/jobs/{MARKER}/state") or b"{}"
            if json.loads(state).get("e", 0) >= wanted:
                return True
            time.sleep(0.1)
            self.world.watch_bridge()
            if now() - began > (PATIENCE_S if hang_up else MORE_PATIENCE_S):
                self._fail("well", "the bridge does not follow the stream again: upstream is "
                           f"{self.world.upstream_state()}")
                return False
            if now() - marked > 1:
                marked = now()
                self.upstream.mark()
            if hang_up and now() - hung_up > HANG_UP_AFTER_S and self.world.bridge.running:
                hung_up = now()
                self._hang_up()

    def _hang_up(self):
        self.world.note("SIGHUP to shorten the wait")
        self.world.bridge.send(signal.SIGHUP)

    def _wait_converged(self, hang_up):
        """Until what is retained is what is true. Where AIVA has refused its calls, the bridge
        rests for up to a minute: its bridge/upstream says so."""
        time.sleep(max(0, self.upstream.commanded_at + COMMANDS_OVER_S - now()))
        began = hung_up = now()
        while True:
            wrong = compare_retained(self.upstream.learn(), self.world.retained())
            if not wrong:
                return True
            if not self.world.upstream_is_well():
                if hang_up and now() - hung_up > HANG_UP_AFTER_S:
                    hung_up = now()
                    self._hang_up()
                elif now() - began < MORE_PATIENCE_S:
                    time.sleep(0.3)
                    continue
            if now() - began > (CONVERGE_S if hang_up else PATIENCE_S):
                for job, text in wrong[:10]:
                    self._fail("retained", text, job)
                return False
            time.sleep(0.3)

    def _fail(self, rule, text, job=""):
        self.violations.append(Violation(rule, now(), job, text))

    def _judge_world(self):
        if self.world.jobs.failure:
            raise self.world.jobs.failure
        self.world.look_into_log()
        for problem in self.world.problems:
            self._fail("program", problem)
        self.world.problems.clear()

    # --- words

    def report(self):
        counts = self.checker.counts
        lines = [f"soak of {now() - self.began:.0f} s, seed {self.seed}, {self.epochs} epochs, "
                 f"{self.world.options}", "faults:"]
        lines += [f"  {count:5} {kind}" for kind, count in sorted(self.faults.items())]
        lines.append(f"  {sum(self.faults.values()):5} in all")
        for name in ("publications", "messages about devices", "states", "changes of status", "events published",
                     "events checked", "events lost", "events unproven",
                     "events of jobs that are gone", "duplicates", "commands", "commands excused"):
            lines.append(f"{name}: {counts[name]}")
        rules = Counter(violation.rule for violation in self.violations)
        lines.append(f"out of order: {rules['order']}")
        lines.append(f"heard by the subscriber: {len(self.history.heard)}")
        ends = Counter(run.how for run in self.history.runs if run.how)
        lines.append(f"runs of the bridge: {len(self.history.runs)} {dict(ends)}; of the broker: "
                     f"{len(self.history.lives)}; connections: {len(self.history.links)}, streams: "
                     f"{len(self.history.streams)}")
        if self.rss:
            lines.append(f"RSS of the bridge: {self.rss[0]} KiB at the start, {max(self.rss)} at "
                         f"most, {self.rss[-1]} at the end")
        lines.append(f"slowest recovery: {self.slowest:.1f} s")
        lines.append(f"violations: {len(self.violations)} {dict(rules) or ''}")
        lines += [f"  {violation}" for violation in self.violations[:40]]
        return "\n".join(lines)

    def story(self):
        """What was recorded around the violations, in order."""
        told = []
        for violation in self.violations[:20]:
            at = violation.at or now()
            told.append(f"\n=== {violation} (at {at - self.began:.3f})\n")
            told += [f"{when - self.began:10.3f} {text}" for when, text in sorted(
                self._records(violation.job), key=lambda record: record[0])
                if at - AROUND_S < when < at + AROUND_S]
        return "\n".join(told) + "\n\n" + self.world.bridge.tail(3000) + "\n"

    def _records(self, job):
        """(time, text) of everything about a job, and of what concerns all."""
        def concerns(topic):
            place = split_topic(topic)
            return f"/{job}/" in topic if place else "/command/" not in topic or job in topic

        history = self.history
        for note in history.notes:
            yield note.at, f"* {note.text}"
        for run in history.runs:
            yield run.started, f"* bridge run {run.number} begins"
            if run.ending:
                yield run.ending, f"* bridge run {run.number} is to end: {run.how}"
        for life in history.lives:
            yield life.started, "* the broker is there"
            if life.ended:
                yield life.ended, "* the broker goes"
        for link in history.links:
            if link.closed:
                yield link.closed, f"  link {link.number} of run {link.run} ended: {link.ended_by}"
        for version in history.versions:
            if version.job == job:
                yield version.at, (f"AIVA    n {version.n} {version.status} "
                                   f"{version.message!r} event {version.event}")
        for at, name in history.gone:
            if name == job:
                yield at, "AIVA    perhaps gone from here on"
        for sent in history.sent:
            if concerns(sent.topic):
                acked = f"acked {sent.acked - sent.at:.3f} s later" if sent.acked else "not acked"
                yield sent.at, (f"bridge  link {sent.link.number} {sent.topic} "
                                f"{sent.payload[:400]!r} {acked}")
        for one in history.delivered:
            if concerns(one.topic):
                yield one.at, f"  to the bridge: {one.topic} {one.payload!r}"
        for heard in history.heard:
            if concerns(heard.topic):
                yield heard.at, f"heard   {heard.topic} {heard.payload[:400]!r}"


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bridge", default=os.environ.get("BRIDGE"))
    parser.add_argument("--simulator", default=os.environ.get("SIMULATOR"))
    parser.add_argument("--report", type=Path, help="also write the report to this file; the "
                        "history of violations goes beside it, as FILE.history")
    arguments = parser.parse_args()
    if not arguments.bridge or not arguments.simulator:
        parser.error("--bridge and --simulator, or BRIDGE and SIMULATOR, have to name the programs")
    os.environ["BRIDGE"] = arguments.bridge
    os.environ["SIMULATOR"] = arguments.simulator
    return arguments


def main():
    arguments = parse()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        soak = Soak(arguments, Path(folder))
        try:
            soak.run()
        finally:
            report = soak.report()
            print(report)
            if arguments.report:
                arguments.report.write_text(report + "\n")
            if soak.violations:
                place = Path(f"{arguments.report or f'soak-{arguments.seed}'}.history")
                place.write_text(report + "\n" + soak.story())
                print(f"what happened around: {place}")
    return 1 if soak.violations else 0


if __name__ == "__main__":
    sys.exit(main())
