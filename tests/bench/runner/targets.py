"""What the bridge is meant to reach, and what it reached in a result."""

from dataclasses import dataclass
from statistics import median

NODE = ("Node eventsource", "Node fetch")
RAW = "raw publisher"
RAW_3 = "raw publisher 3.1.1"


@dataclass
class Target:
    """`of`: the names of those that the bridge's figure is divided by, the best of them in each
    round; none: the figure itself counts."""

    text: str
    scenario: str
    key: str
    limit: float
    at_least: bool
    of: str = ""
    form: str = "{:.2f}"


TARGETS = (
    Target("events/s through mosquitto, to the best peer's", "flat", "events_per_s", 1.1, True, "peers"),
    Target("the same, to the raw publisher's", "flat", "events_per_s", 0.9, True, RAW),
    Target("the same, to the raw publisher's with MQTT 3.1.1", "flat", "events_per_s", 0.9, True, RAW_3),
    Target("events/s against the null broker, to the best peer's", "null", "events_per_s", 1.2, True, "peers"),
    Target("CPU an event flat out, to Node's", "flat", "cpu_per_100k", 0.6, False, "node"),
    Target("p50 at 1,000 events/s, to the best peer's", "steady", "p50_ms", 0.5, False, "peers"),
    Target("p99 at 1,000 events/s, to the best peer's", "steady", "p99_ms", 0.5, False, "peers"),
    Target("CPU at 1,000 events/s, to Node's", "steady", "cpu_per_100k", 1 / 3, False, "node"),
    Target("peak MB at 1,000 jobs, flat out", "flat", "peak_mb", 12, False, form="{:.1f}"),
    Target("peak bytes for each further job", "start", "bytes_per_job", 600, False, form="{:.0f}"),
    Target("peak MB with 100,000 listed jobs", "start", "peak_mb", 70, False, form="{:.1f}"),
    Target("states/s at a start with 100,000 jobs, to the raw publisher's", "start", "listed_per_s", 0.9, True, RAW),
    Target("needless publications where the broker has all", "restart", "needless", 0, False, form="{:.0f}"),
    Target("ms from command to upstream after idling, p99", "command-idle", "p99_ms", 5, False),
    Target("ms from command to upstream under full load, p99", "command-loaded", "p99_ms", 5, False),
    Target("wake-ups a second while idle", "idle", "wakeups_per_s", 1, False),
    Target("events lost, flat out", "flat", "lost", 0, False, form="{:.0f}"),
    Target("events out of order, flat out", "flat", "reordered", 0, False, form="{:.0f}"),
)


def usable(row, key):
    """Who loses events is fast for the wrong reason."""
    return row is not None and key in row and not (row.get("lost") and key == "events_per_s")


def others(target, result):
    if target.of == "peers":
        return result["peers"]
    return NODE if target.of == "node" else (target.of,)


def reached(target, result, bridge):
    """The median over the rounds; None where nothing was measured."""
    runs = result["scenarios"].get(target.scenario, {})
    best = max if target.at_least else min
    values = []
    for number, row in enumerate(runs.get(bridge, [])):
        if row is None or target.key not in row:
            continue
        if not target.of:
            values.append(row[target.key])
            continue
        rows = [runs[name][number] for name in others(target, result)
                if name in runs and number < len(runs[name])]
        figures = [other[target.key] for other in rows if usable(other, target.key)]
        if figures and best(figures) > 0:
            values.append(row[target.key] / best(figures))
    return median(values) if values else None


def rows(result, bridge):
    """Cells of a table: what, limit, reached, verdict."""
    found = []
    for target in TARGETS:
        value = reached(target, result, bridge)
        if value is None:
            continue
        met = value >= target.limit if target.at_least else value <= target.limit
        limit = target.form.format(target.limit)
        found.append([target.text, f"{'≥' if target.at_least else '≤'} {limit}",
                      target.form.format(value), "yes" if met else "no"])
    return found
