"""What is measured. Each scenario runs one contender once and gives its figures as a dict."""

import json
import time

from .contenders import Bridge, Raw
from .processes import Failure, cpu_seconds, resident_mb, wakeups
from .rig import Rig

JOBS = 1000
ACTIVE = 100  # of those that are listed at a start, how many have not ended
QUIET_S = 1.5


class Scenario:
    """`columns`: (key, heading, format); `ratios`: (key, heading) of those that are compared."""

    name = title = ""
    columns = ()
    ratios = ()

    def __init__(self, tools, options):
        self.tools = tools
        self.options = options

    def takes(self, contender):
        raise NotImplementedError

    def run(self, contender):
        raise NotImplementedError


def timeout_for(events):
    """Far more than the slowest needs; whoever takes longer has lost something."""
    return 30 + events / 1000


class Flat(Scenario):
    """As fast as it goes."""

    columns = (
        ("events_per_s", "events/s", "{:,.0f}"),
        ("cpu_per_100k", "CPU s per 100,000", "{:.2f}"),
        ("peak_mb", "peak MB", "{:.1f}"),
        ("lost", "lost", "{:,.0f}"),
        ("reordered", "reordered", "{:,.0f}"),
        ("duplicates", "twice", "{:,.0f}"),
    )
    ratios = (("events_per_s", "events/s"), ("cpu_per_100k", "CPU"))
    null = False
    transport = "tcp"

    def events(self):
        return self.options.events

    def takes(self, contender):
        """The raw publisher speaks no WebSocket."""
        return self.transport != "ws" or isinstance(contender, Bridge) or (
            contender.peer and contender.websocket)

    def run(self, contender):
        events = self.events()
        work = {"jobs": JOBS, "events": events}
        with Rig(self.tools, self.transport) as rig:
            if self.null:
                rig.start_null_broker(**work)
            else:
                rig.start_mosquitto()
                rig.start_sink(**work)
            if isinstance(contender, Raw):
                return self.run_raw(rig, contender, work)
            rig.start_firehose(jobs=JOBS)
            rig.start_contender(contender)
            rig.wait_settled()
            return self.pour(rig, events)

    def pour(self, rig, events, rate=0):
        before = rig.usage()
        rig.pour(events, rate)
        result = rig.measure(timeout_for(events) + (events / rate if rate else 0))
        after = rig.usage()
        # What was used for events that never arrived was used all the same.
        result["cpu_per_100k"] = (after["cpu_s"] - before["cpu_s"]) * 1e5 / events
        result["peak_mb"] = after["peak_mb"]
        return result

    def run_raw(self, rig, contender, work):
        contender.work = work
        rig.start_contender(contender)
        return rig.measure(timeout_for(work["events"]))


class FlatMosquitto(Flat):
    name = "flat"
    title = "Flat out through mosquitto"


class FlatNull(Flat):
    name = "null"
    title = "Flat out against a broker that only acknowledges"
    null = True


class FlatTls(FlatMosquitto):
    name = "flat-tls"
    title = "Flat out through mosquitto, over TLS"
    transport = "tls"


class NullTls(FlatNull):
    name = "null-tls"
    title = "Flat out against a broker that only acknowledges, over TLS"
    transport = "tls"


class NullWebSocket(FlatNull):
    name = "null-ws"
    title = "Flat out against a broker that only acknowledges, over WebSocket"
    transport = "ws"


class Steady(Flat):
    """At a fixed rate: what is added to each event's way."""

    name = "steady"
    title = "At a steady 1,000 events/s through mosquitto"
    columns = (
        ("p50_ms", "p50 ms", "{:.2f}"),
        ("p99_ms", "p99 ms", "{:.2f}"),
        ("max_ms", "max ms", "{:.1f}"),
        ("cpu_per_100k", "CPU s per 100,000", "{:.2f}"),
        ("peak_mb", "peak MB", "{:.1f}"),
        ("lost", "lost", "{:,.0f}"),
        ("reordered", "reordered", "{:,.0f}"),
    )
    ratios = (("p50_ms", "p50"), ("p99_ms", "p99"), ("cpu_per_100k", "CPU"))
    rate = 1000

    def events(self):
        return self.options.steady_s * self.rate

    def takes(self, contender):
        return not isinstance(contender, Raw)

    def pour(self, rig, events, rate=0):
        return super().pour(rig, events, self.rate)


class SteadyTls(Steady):
    name = "steady-tls"
    title = "At a steady 1,000 events/s through mosquitto, over TLS"
    transport = "tls"


class Start(Scenario):
    """Many listed jobs, and a broker that knows none of them."""

    name = "start"
    title = "Start with {listed:,} listed jobs, the broker empty"
    columns = (
        ("listed_per_s", "states/s", "{:,.0f}"),
        ("seconds_all", "s to the last", "{:.2f}"),
        ("cpu_s", "CPU s", "{:.2f}"),
        ("peak_mb", "peak MB", "{:.1f}"),
        ("resident_mb", "then MB", "{:.1f}"),
        ("bytes_per_job", "peak bytes a job", "{:.0f}"),
    )
    ratios = (("listed_per_s", "states/s"),)

    def takes(self, contender):
        return not contender.peer

    def run(self, contender):
        jobs = self.options.listed
        if isinstance(contender, Raw):
            return self.run_raw(contender, jobs)
        small = self.start(contender, JOBS)
        result = self.start(contender, jobs)
        result["bytes_per_job"] = (result["peak_mb"] - small["peak_mb"]) * 1e6 / (jobs - JOBS)
        return result

    def run_raw(self, contender, jobs):
        work = {"jobs": jobs, "active": ACTIVE, "listed": jobs}
        with Rig(self.tools) as rig:
            rig.start_mosquitto()
            rig.start_sink(**work)
            contender.work = work
            rig.start_contender(contender)
            return rig.measure(timeout_for(jobs))

    def start(self, contender, jobs):
        work = {"jobs": jobs, "active": ACTIVE}
        with Rig(self.tools) as rig:
            rig.start_mosquitto()
            rig.start_sink(listed=jobs, **work)
            rig.start_firehose(**work)
            began = time.monotonic()
            rig.start_contender(contender)
            result = rig.measure(timeout_for(jobs))
            result["seconds_all"] = time.monotonic() - began
            rig.wait_settled()
            result.update(rig.usage())
            result["resident_mb"] = resident_mb(rig.contender.pid)
            return result


class Restart(Scenario):
    """The same, with a broker that holds all of them from the run before."""

    name = "restart"
    title = "Start with {listed:,} listed jobs that the broker holds already"
    columns = (
        ("needless", "states published", "{:,.0f}"),
        ("job_events", "events published", "{:,.0f}"),
        ("seconds_all", "s until at rest", "{:.2f}"),
        ("cpu_s", "CPU s", "{:.2f}"),
        ("peak_mb", "peak MB", "{:.1f}"),
    )

    def takes(self, contender):
        return isinstance(contender, Bridge)

    def run(self, contender):
        work = {"jobs": self.options.listed, "active": ACTIVE}
        with Rig(self.tools) as rig:
            rig.start_mosquitto()
            rig.start_sink(listed=self.options.listed, **work)
            rig.start_firehose(**work)
            rig.start_contender(contender)
            rig.measure(timeout_for(self.options.listed))
            rig.wait_settled()
            rig.end(rig.contender)
            rig.start_sink(**work)
            began = time.monotonic()
            rig.start_contender(contender)
            rig.wait_settled(QUIET_S)
            seconds = time.monotonic() - began - QUIET_S
            used = rig.usage()
            result = rig.measure(0)
        needless = result["listed_states"] + result["states"] + result["cleared"]
        return {**result, **used, "needless": needless, "seconds_all": seconds}


class Commands(Scenario):
    """From the sending of a command to its arrival at the upstream."""

    columns = (
        ("p50_ms", "p50 ms", "{:.2f}"),
        ("p99_ms", "p99 ms", "{:.2f}"),
        ("max_ms", "max ms", "{:.2f}"),
        ("broker_p99_ms", "of that the broker's p99", "{:.2f}"),
        ("bridge_p99_ms", "from the broker p99", "{:.2f}"),
        ("lost", "lost", "{:,.0f}"),
    )
    ratios = (("p99_ms", "p99"),)
    loaded = False

    def takes(self, contender):
        return isinstance(contender, Bridge)

    def plan(self):
        """How many, and how many ms from one to the next."""
        raise NotImplementedError

    def run(self, contender):
        count, gap_ms = self.plan()
        with Rig(self.tools) as rig:
            rig.start_mosquitto()
            rig.start_sink(jobs=JOBS)
            rig.start_firehose(jobs=JOBS)
            rig.start_contender(contender)
            rig.wait_settled()
            if self.loaded:
                rig.pour(100_000_000)
            commander = rig.start(
                "commander", rig.tool("commander", port=rig.mqtt_port, count=count, gap=gap_ms))
            line = commander.line(60 + count * gap_ms / 1000)
            arrivals = dict(rig.ask_firehose("commands"))
        if line is None:
            raise Failure("the commander says nothing")
        return latencies(json.loads(line), arrivals)


def latencies(sendings, arrivals):
    """Percentiles of the whole way and of its two halves; what never arrived is counted."""
    done = [(sent, seen, arrivals[job]) for job, (sent, seen) in enumerate(sendings)
            if job in arrivals]
    if not done:
        raise Failure("no command reached the upstream")
    whole = sorted((arrived - sent) / 1e6 for sent, _, arrived in done)
    # The broker tells the commander and the bridge at the same time; who hears it first is chance.
    first = sorted((seen - sent) / 1e6 for sent, seen, _ in done if seen)
    rest = sorted(max(0, arrived - seen) / 1e6 for _, seen, arrived in done if seen)
    return {"p50_ms": percentile(whole, 50), "p99_ms": percentile(whole, 99), "max_ms": whole[-1],
            "broker_p99_ms": percentile(first, 99) if first else 0,
            "bridge_p99_ms": percentile(rest, 99) if rest else 0,
            "lost": len(sendings) - len(done)}


def percentile(ordered, percent):
    return ordered[round((len(ordered) - 1) * percent / 100)]


class CommandsIdle(Commands):
    name = "command-idle"
    title = "A command, more than a second after the one before"

    def plan(self):
        return (4 if self.options.quick else 40), 1370


class CommandsLoaded(Commands):
    name = "command-loaded"
    title = "A command while events come flat out"
    loaded = True

    def plan(self):
        return (60 if self.options.quick else 300), 50


class Idle(Scenario):
    """An open stream without events."""

    name = "idle"
    title = "Idle, 1,000 jobs"
    columns = (
        ("wakeups_per_s", "wake-ups/s", "{:.2f}"),
        ("cpu_percent", "CPU %", "{:.2f}"),
        ("resident_mb", "MB", "{:.1f}"),
    )
    ratios = (("wakeups_per_s", "wake-ups"),)

    def takes(self, contender):
        return not isinstance(contender, Raw)

    def run(self, contender):
        with Rig(self.tools) as rig:
            rig.start_mosquitto()
            rig.start_firehose(jobs=JOBS)
            rig.start_contender(contender)
            rig.wait_settled()
            # Some timers of the start are a second or two long.
            time.sleep(3)
            began = time.monotonic()
            before, used = wakeups(rig.contender.pid), cpu_seconds(rig.contender.pid)
            time.sleep(self.options.idle_s)
            seconds = time.monotonic() - began
            return {
                "wakeups_per_s": (wakeups(rig.contender.pid) - before) / seconds,
                "cpu_percent": (cpu_seconds(rig.contender.pid) - used) * 100 / seconds,
                "resident_mb": resident_mb(rig.contender.pid),
            }


ALL = (FlatMosquitto, FlatNull, Steady, FlatTls, NullTls, NullWebSocket, SteadyTls, Start, Restart,
       CommandsIdle, CommandsLoaded, Idle)
