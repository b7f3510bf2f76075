"""What is measured. Each scenario runs one contender once and gives its figures as a dict."""

from .contenders import Raw
from .rig import Rig

JOBS = 1000


class Scenario:
    """`columns`: (key, heading, format); `ratio`: the key whose ratios are given, and whether more
    is better."""

    name = title = ""
    columns = ()
    ratio = None

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
    ratio = ("events_per_s", True)
    null = False

    def events(self):
        return self.options.events

    def takes(self, contender):
        return True

    def run(self, contender):
        events = self.events()
        work = {"jobs": JOBS, "events": events}
        with Rig(self.tools) as rig:
            if self.null:
                rig.start_null_broker(**work)
            else:
                rig.start_mosquitto()
                rig.start_sink(**work)
            if isinstance(contender, Raw):
                return self.run_raw(rig, contender, work)
            rig.start_firehose(jobs=JOBS, unfinished=JOBS)
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
    ratio = ("p50_ms", False)
    rate = 1000

    def events(self):
        return self.options.steady_s * self.rate

    def takes(self, contender):
        return not isinstance(contender, Raw)

    def pour(self, rig, events, rate=0):
        return super().pour(rig, events, self.rate)


ALL = (FlatMosquitto, FlatNull, Steady)
