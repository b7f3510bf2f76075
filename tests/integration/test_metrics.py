"""/metrics: what happened is counted once and under the right name."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess

import pytest
from harness.bad_broker import Answer
from harness.metrics import Listener
from harness.process import free_port
from harness.topics import of_bridge, of_job
from harness.waiting import wait_until
from harness.world import job

PORT = free_port()
SHARED_CONFIG = {"http.listen": f"127.0.0.1:{PORT}", "commands.allow": ["cancel", "refresh"]}
SHARED_JOBS = [job("one")]


@pytest.fixture
def here(shared):
    """The shared bridge's listener; nothing is under way there."""
    listener = Listener(PORT)
    shared.stream_marker()
    listener.wait_metric(lambda metrics: metrics["waiting_messages"] == 0, "everything to be acknowledged")
    return listener


def started(world, **config):
    """A bridge of the test's own, and its listener."""
    listener = Listener(free_port())
    world.start([job("one")], {"http.listen": listener.listen, **config})
    listener.wait_metric(lambda metrics: metrics["waiting_messages"] == 0, "everything to be acknowledged")
    return listener


def grown(before, after, name, **labels):
    return after.total(name, **labels) - before.total(name, **labels)


# --- the format


def promtool():
    """Prometheus' own checker."""
    return shutil.which("promtool")


@pytest.mark.skipif(not promtool(), reason="promtool is not here: ./test.sh fetches it")
def test_prometheus_likes_it(shared, here):
    """Names, types and help as Prometheus' own linter wants them."""
    _, _, body = here.ask("/metrics")
    done = subprocess.run([promtool(), "check", "metrics"], input=body, text=True,
                          capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_names_follow_the_conventions(shared, here):
    """One prefix, base units, _total for counters alone; histograms add up."""
    for name, family in here.metrics().families.items():
        assert name.startswith(("aiva_bridge_", "process_")), name
        assert (family.type == "counter") == name.endswith("_total"), name
        assert family.help.endswith("."), name
        assert not {"ms", "milliseconds", "minutes", "kb", "mib"} & set(name.split("_")), name
        if family.type != "histogram":
            continue
        for (sample, labels), value in family.samples.items():
            if sample.endswith("_count"):
                buckets = [count for (other, has), count in family.samples.items()
                           if other.endswith("_bucket") and set(labels) < set(has)]
                assert buckets == sorted(buckets) and buckets[-1] == value


def test_states_from_outside_cannot_break_it(shared, here):
    """A state's name may be anything."""
    name = shared.create('odd "\\\n} 1')
    metrics = here.metrics()
    assert metrics.get("jobs", state='odd "\\\n} 1') == 1
    shared.simulator.set_job(name, status="completed")
    shared.wait_state(name, status="completed")


# --- what is counted


def test_events_are_counted(shared, here):
    """Each event of the stream, and why some led to nothing."""
    before = here.metrics()
    gone = shared.create("completed")
    shared.simulator.vanish(gone)
    assert shared.refresh()["ok"]
    shared.simulator.emit({"job_id": gone, "status": "failed"})
    shared.simulator.emit({"job_id": "one", "status": "processing", "progress": 3})
    shared.simulator.emit(b"no JSON")
    shared.simulator.emit({"job_id": "one"})
    shared.simulator.emit({"status": "queued"})
    shared.simulator.emit({"job_id": "..", "status": "queued"})
    shared.simulator.emit(b'{"job_id":"a","job_id":"b","status":"queued"}')
    shared.simulator.emit({"job_id": "one", "status": "queued"}, event="other")
    shared.simulator.emit(b'{"job_id":"one","status":"queued","x":"' + b"x" * (1 << 20) + b'"}')
    shared.stream_marker()
    after = here.metrics()
    assert grown(before, after, "stream_events_total") == 11
    assert grown(before, after, "stream_events_skipped_total") == 8
    for reason in ("job_gone", "not_json", "no_status", "no_job_id", "bad_job_id", "ambiguous",
                   "event_type", "too_long"):
        assert grown(before, after, "stream_events_skipped_total", reason=reason) == 1, reason
    assert grown(before, after, "job_ids_refused_total") == 1
    assert after["last_stream_event_timestamp_seconds"] > before["last_stream_event_timestamp_seconds"]


def test_each_event_is_timed_until_its_acknowledgement(shared, here):
    """One observation for each event that led to a publication."""
    before = here.metrics()
    for number in range(50):
        shared.simulator.emit({"job_id": "one", "status": "processing", "progress": number})
    shared.stream_marker()

    def all_timed(metrics):
        return grown(before, metrics, "stream_events_total") == 51 and \
            metrics["event_latency_seconds_count"] - before["event_latency_seconds_count"] == 51
    after = here.wait_metric(all_timed, "51 observations")
    assert after["event_latency_seconds_sum"] - before["event_latency_seconds_sum"] < 51 * 15
    assert after["last_acknowledgement_timestamp_seconds"] > \
        before["last_acknowledgement_timestamp_seconds"]


def test_commands_are_counted_by_kind_and_outcome(shared, here):
    """Each answer once; the calls that they led to as well."""
    before = here.metrics()
    name = shared.create()
    assert shared.command(name, "cancel")["ok"]
    assert shared.command(name, "cancel")["error"] == "rejected"
    assert shared.command(name, "delete")["error"] == "not_allowed"
    assert shared.command(name, "explode")["error"] == "bad_topic"
    assert shared.command("no-such-job", "refresh")["error"] == "not_found"
    assert shared.refresh()["ok"]
    after = here.metrics()
    for command, outcome in (("cancel", "ok"), ("cancel", "rejected"), ("delete", "not_allowed"),
                             ("unknown", "bad_topic"), ("refresh", "not_found"),
                             ("bridge_refresh", "ok")):
        assert grown(before, after, "commands_total", command=command, outcome=outcome) == 1
    assert grown(before, after, "commands_total") == 6
    assert after["commands_under_way"] == 0

    def calls(metrics, endpoint, code):
        return metrics.get("rest_call_duration_seconds_count", endpoint=endpoint, code=code)
    assert calls(after, "cancel", "2xx") - calls(before, "cancel", "2xx") == 1
    assert calls(after, "cancel", "4xx") - calls(before, "cancel", "4xx") == 1
    assert calls(after, "status", "4xx") - calls(before, "status", "4xx") == 1
    assert calls(after, "list", "2xx") > calls(before, "list", "2xx")
    assert calls(after, "delete", "2xx") == 0


def test_commands_under_way_show(shared, here):
    """Until AIVA answers."""
    name = shared.create()
    shared.simulator.fault("cancel", delay_ms=3000)
    since = shared.send_command(name, "cancel")
    here.wait_metric(lambda metrics: metrics["commands_under_way"] == 1, "the command")
    shared.recorder.wait_topic(of_job(name, "result"), since)
    here.wait_metric(lambda metrics: metrics["commands_under_way"] == 0, "its end")


def test_jobs_are_counted_by_state(shared, here):
    """As bridge/jobs has it."""
    shared.create("failed")
    metrics = here.metrics()

    def published():
        counts = json.loads(shared.retained()[of_bridge("jobs")].payload)
        total = counts.pop("total")
        return total == metrics.total("jobs") and all(
            metrics.get("jobs", state=state) == count for state, count in counts.items())
    wait_until(published, "the same counts in bridge/jobs")


def test_the_process_is_described(shared, here):
    """As the kernel has it."""
    metrics = here.metrics()
    assert metrics["process_resident_memory_bytes"] > 1e6
    assert metrics["process_virtual_memory_bytes"] >= metrics["process_resident_memory_bytes"]
    assert 5 < metrics["process_open_fds"] < metrics["process_max_fds"]
    limits = pathlib.Path(f"/proc/{shared.bridge.pid}/limits").read_text()
    assert metrics["process_max_fds"] == int(re.search(r"^Max open files +(\d+)", limits, re.M)[1])
    assert metrics["process_cpu_seconds_total"] > 0
    info = json.loads(shared.retained()[of_bridge("info")].payload)
    assert metrics.get("build_info", version=info["version"]) == 1


def test_descriptors_are_counted(world):
    """Those that the bridge is seen to open, neither more nor less."""
    listener = started(world)
    counts = [0, -1]

    def settled():
        counts.append(listener.metrics()["process_open_fds"])
        return counts[-1] == counts[-2] == counts[-3]
    wait_until(settled, "nothing to be opened or closed")
    before = counts[-1]
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(socket.create_connection(("127.0.0.1", listener.port)))
        listener.wait_metric(lambda metrics: metrics["process_open_fds"] == before + 5, "five more")
    listener.wait_metric(lambda metrics: metrics["process_open_fds"] == before, "five fewer")


# --- faults


def test_a_lost_broker_shows(world):
    """What waits, what is sent again, and why the connection is not there."""
    listener = started(world)
    before = listener.metrics()
    world.broker.kill()
    listener.wait_metric(lambda metrics: metrics["broker_connected"] == 0, "the loss")
    for number in range(5):
        world.simulator.emit({"job_id": "one", "status": "processing", "progress": number})
    waiting = listener.wait_metric(lambda metrics: metrics["waiting_messages"] >= 5, "what waits")
    assert waiting["waiting_bytes"] > 5 * 50 and waiting["ready"] == 0
    listener.wait_metric(
        lambda metrics: grown(before, metrics, "broker_failures_total", cause="unreachable") >= 1,
        "an attempt that fails")
    world.broker.start()
    listener.wait_ready()
    after = listener.wait_metric(lambda metrics: metrics["waiting_messages"] == 0, "everything to be sent")
    assert grown(before, after, "broker_failures_total", cause="lost") == 1
    assert grown(before, after, "broker_connects_total") == 1
    assert after["unpublished_jobs"] == 0


def test_what_is_sent_again_is_counted(bad):
    """Unacknowledged when the connection broke."""
    listener = started(bad)
    before = listener.metrics()
    bad.broker.on_publish = lambda packet: Answer.LOST
    bad.simulator.emit({"job_id": "one", "status": "processing", "progress": 7})
    listener.wait_metric(lambda metrics: metrics["in_flight_messages"] == 1, "a message in flight")
    bad.broker.on_publish = lambda packet: None
    bad.broker.kick()
    after = listener.wait_metric(
        lambda metrics: grown(before, metrics, "broker_connects_total") == 1
        and metrics["waiting_messages"] == 0 and metrics["unpublished_jobs"] == 0, "all to be sent")
    assert after["publications_resent_total"] == 1
    assert after["publications_sent_total"] == after["publications_acknowledged_total"] + 1
    assert grown(before, after, "broker_failures_total", cause="lost") == 1


def test_refused_publications_show(make_world):
    """By the broker's access rules."""
    world = make_world(broker={"users": {"bridge": "secret"}, "acl": "user bridge\n"
                               "topic readwrite aiva/bridge/#\ntopic read aiva/jobs/#\n"})
    listener = Listener(free_port())
    world.simulator.put_jobs([job("one")])
    world.bridge.start({"http.listen": listener.listen, "mqtt.username": "bridge",
                        "mqtt.password": "secret"})
    listener.wait_listening()
    listener.wait_metric(
        lambda metrics: metrics.get("publications_refused_total", reason="broker") == 1, "a refusal")


@pytest.mark.parametrize("fault, cause", [
    ({"status": 401}, "unauthorized"), ({"status": 404}, "not_offered"),
    ({"status": 503}, "server_error")], ids=str)
def test_failures_of_the_stream_by_cause(world, fault, cause):
    """What the answer was."""
    listener = started(world)
    world.simulator.fault("stream", **fault)
    world.simulator.cut()
    metrics = listener.wait_metric(
        lambda metrics: metrics.get("stream_failures_total", cause=cause) == 1, cause)
    assert metrics.get("stream_failures_total", cause="lost") == 1
    assert metrics.total("stream_failures_total") == 2


def test_an_upstream_that_is_away_shows(world):
    """The stream ended, and nobody answers."""
    listener = started(world)
    world.simulator.end()
    metrics = listener.wait_metric(
        lambda metrics: metrics.get("stream_failures_total", cause="unreachable") >= 1, "an attempt")
    assert metrics.get("stream_failures_total", cause="lost") == 1


def test_a_silent_stream_shows(world):
    """It counts as dead after aiva.idle_timeout_s."""
    listener = started(world, **{"aiva.idle_timeout_s": 1})
    world.simulator.fault("stream", times=0, stall=True)
    world.simulator.cut()
    listener.wait_metric(
        lambda metrics: metrics.get("stream_failures_total", cause="idle") >= 1, "silence")


def test_a_paused_stream_shows(world):
    """When too much waits for the broker."""
    listener = started(world, **{"mqtt.queue_limit": 20})
    world.broker.kill()
    for number in range(60):
        world.simulator.emit({"job_id": "one", "status": "processing", "progress": number})
    paused = listener.wait_metric(lambda metrics: metrics["stream_paused"] == 1, "the pause")
    assert paused["queue_limit_messages"] == 20
    assert paused["waiting_messages"] >= 20
    assert paused["stream_pauses_total"] == 1
    world.broker.start()
    listener.wait_metric(
        lambda metrics: metrics["stream_paused"] == 0 and metrics["stream_events_total"] == 60, "its end")
