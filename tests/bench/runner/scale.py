"""What a job and an event cost as there are more of them."""

import time

from . import plot, report
from .processes import Failure, cpu_seconds, peak_mb, resident_mb
from .rig import Rig
from .scenarios import timeout_for

JOBS = (100, 1_000, 10_000, 100_000, 1_000_000)
RATES = (100, 300, 1_000, 3_000, 10_000)
ACTIVE = 100

JOB_COLUMNS = (
    ("jobs", "jobs", "{:,.0f}"),
    ("start_s", "s until all are published", "{:.2f}"),
    ("listed_per_s", "states/s at the start", "{:,.0f}"),
    ("start_us_per_job", "CPU µs a job at the start", "{:.1f}"),
    ("peak_mb", "peak MB", "{:.1f}"),
    ("bytes_per_job", "resident bytes a job", "{:,.0f}"),
    ("events_per_s", "events/s", "{:,.0f}"),
    ("event_us", "CPU µs an event", "{:.1f}"),
)
RATE_COLUMNS = (
    ("rate", "events/s", "{:,.0f}"),
    ("p50_ms", "p50 ms", "{:.2f}"),
    ("p99_ms", "p99 ms", "{:.2f}"),
    ("event_us", "CPU µs an event", "{:.1f}"),
    ("lost", "lost", "{:,.0f}"),
)


def with_jobs(tools, bridge, jobs, events):
    """Against the null broker: what remains is the bridge's own cost."""
    work = {"jobs": jobs, "active": min(ACTIVE, jobs)}
    with Rig(tools) as rig:
        rig.start_null_broker(events=events, listed=jobs, idle=120000, **work)
        rig.start_firehose(**work)
        began = time.monotonic()
        rig.start_contender(bridge)
        rig.wait_settled(1.5, timeout_for(jobs) + 120)
        start_s = time.monotonic() - began - 1.5
        start_cpu, resident = cpu_seconds(rig.contender.pid), resident_mb(rig.contender.pid)
        rig.pour(events)
        result = rig.measure(timeout_for(events))
        used = cpu_seconds(rig.contender.pid) - start_cpu
        row = {
            "jobs": jobs, "start_s": start_s, "start_cpu_s": start_cpu, "resident_mb": resident,
            "peak_mb": peak_mb(rig.contender.pid), "events_per_s": result["events_per_s"],
            "event_us": used * 1e6 / events, "lost": result["lost"],
        }
        # A few jobs are published in a single moment.
        if jobs >= 10_000:
            row["listed_per_s"] = result["listed_per_s"]
        return row


def with_rate(tools, bridge, rate, seconds):
    """Through mosquitto: the whole way of an event."""
    work = {"jobs": 1000, "events": rate * seconds}
    with Rig(tools) as rig:
        rig.start_mosquitto()
        rig.start_sink(**work)
        rig.start_firehose(jobs=1000)
        rig.start_contender(bridge)
        rig.wait_settled()
        before = cpu_seconds(rig.contender.pid)
        rig.pour(work["events"], rate)
        result = rig.measure(timeout_for(work["events"]) + seconds)
        used = cpu_seconds(rig.contender.pid) - before
        return {"rate": rate, "p50_ms": result["p50_ms"], "p99_ms": result["p99_ms"],
                "lost": result["lost"], "event_us": used * 1e6 / work["events"]}


def attempt(what, *arguments):
    try:
        row = what(*arguments)
    except Failure as failure:
        print(f"FAILED: {failure}", flush=True)
        return None
    print(", ".join(f"{key} {value:,.2f}" for key, value in row.items()), flush=True)
    return row


def middle(rounds):
    """One row a place, of the medians over the rounds."""
    found = [report.medians([row for row in rows if row]) for rows in zip(*rounds)]
    return [row for row in found if row]


def shares(rows):
    """What the program needs with next to no jobs is not a job's share."""
    first = rows[0]
    for row in rows[1:]:
        more = row["jobs"] - first["jobs"]
        row["bytes_per_job"] = (row["resident_mb"] - first["resident_mb"]) * 1e6 / more
        row["start_us_per_job"] = (row["start_cpu_s"] - first["start_cpu_s"]) * 1e6 / more


def run(tools, bridge, options):
    """The rows by jobs and by rate."""
    jobs = [number for number in JOBS if number <= options.scale_jobs]
    by_jobs, by_rate = [], []
    for _ in range(options.rounds):
        by_jobs.append([attempt(with_jobs, tools, bridge, number, options.events) for number in jobs])
        by_rate.append([attempt(with_rate, tools, bridge, rate, options.steady_s) for rate in RATES])
    by_jobs, by_rate = middle(by_jobs), middle(by_rate)
    if by_jobs:
        shares(by_jobs)
    return {"rounds": options.rounds, "jobs": by_jobs, "rates": by_rate}


def csv(columns, rows):
    lines = [",".join(key for key, _, _ in columns)]
    lines += [",".join(f"{row[key]:.3f}" if key in row else "" for key, _, _ in columns)
              for row in rows]
    return "\n".join(lines) + "\n"


def points(rows, x, y):
    return [(row[x], row[y]) for row in rows if y in row]


def write(result, folder):
    """The plots and their figures."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs, rates = result["jobs"], result["rates"]
    (folder / "scale-jobs.csv").write_text(csv(JOB_COLUMNS, jobs))
    (folder / "scale-rates.csv").write_text(csv(RATE_COLUMNS, rates))
    if jobs:
        (folder / "scale-jobs.svg").write_text(plot.svg("The cost of a job and of an event", "jobs", {
            "resident bytes a job": points(jobs, "jobs", "bytes_per_job"),
            "CPU µs a job at the start": points(jobs, "jobs", "start_us_per_job"),
            "CPU µs an event": points(jobs, "jobs", "event_us"),
        }))
    if rates:
        (folder / "scale-rates.svg").write_text(plot.svg("The cost and delay of an event", "events/s", {
            "CPU µs an event": points(rates, "rate", "event_us"),
            "p50 ms": points(rates, "rate", "p50_ms"),
            "p99 ms": points(rates, "rate", "p99_ms"),
        }))


def tables(result):
    """Rows of cells for the two tables."""
    found = []
    for columns, rows in ((JOB_COLUMNS, result["jobs"]), (RATE_COLUMNS, result["rates"])):
        cells = [[heading for _, heading, _ in columns]]
        cells += [[form.format(row[key]) if key in row else "" for key, _, form in columns]
                  for row in rows]
        found.append(cells)
    return found
