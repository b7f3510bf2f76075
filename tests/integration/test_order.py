"""Nothing that AIVA said on the stream before an answer is applied after it, however slow the broker."""

import contextlib
import threading
import time

import pytest
from harness.bad_broker import Answer
from harness.topics import of_bridge, of_job
from harness.waiting import wait_until
from harness.world import job

JOBS = [f"job-{number}" for number in range(5)]
# So that what the bridge takes in before it stops reading is a small part of it.
LONG = "Running variant annotation " + "." * 900
PER_S = 3


@contextlib.contextmanager
def slow(broker):
    """A broker that acknowledges three messages a second, and all at once in the end."""
    over = threading.Event()

    def acknowledge():
        while not over.wait(1 / PER_S):
            with broker.lock:
                session = broker.session
                if session is not None and session.held:
                    session.acknowledge(session.held.pop(0))

    broker.on_publish = lambda packet: Answer.HOLD
    thread = threading.Thread(target=acknowledge)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        broker.on_publish = lambda packet: None
        broker.release()


def held(broker):
    return len(broker.session.held)


def progress(world, count, jobs=JOBS, members=None):
    """So many events over these jobs, in one piece, as one busy moment brings them."""
    for number in range(count):
        world.simulator.set_job(jobs[number % len(jobs)], status="processing",
                                progress=number * 90 // count, message=LONG, n=number,
                                **(members or {}))


def fall_behind(world, count=400):
    """Returns when the stream is paused, with most of these events unread."""
    progress(world, count)
    wait_until(lambda: held(world.broker) >= 90, "a full window", 60)


def event_types(world, name):
    return [one["event_type"] for one in world.events(name)]


def start(world, config=None):
    world.start([job(name) for name in JOBS], config)


def assert_in_order(world, name):
    """The numbers grow, nothing follows the end, and the end is told once."""
    states = [one.json for one in world.states(name)]
    numbers = [one["n"] for one in states if "n" in one and one["status"] == "processing"]
    assert numbers == sorted(numbers) and len(set(numbers)) >= 80
    ended = [one["status"] for one in states].index("completed")
    assert {one["status"] for one in states[ended:]} == {"completed"}
    assert event_types(world, name) == ["completed"]


def test_a_refresh_while_the_stream_is_paused(bad):
    """The status is newer than what is unread: it waits."""
    start(bad)
    with slow(bad.broker):
        fall_behind(bad)
        bad.simulator.set_job(JOBS[2], status="completed", message="Done")
        since = bad.send_command(JOBS[2], "refresh")
        time.sleep(2)
    assert bad.recorder.wait_topic(of_job(JOBS[2], "result"), since).json["ok"]
    bad.stream_marker()
    assert_in_order(bad, JOBS[2])


def test_a_silent_change_behind_a_paused_stream(bad):
    """What only the answer tells counts, although the stream was read while it was asked for."""
    start(bad)
    with slow(bad.broker):
        fall_behind(bad)
        bad.simulator.set_job(JOBS[3], quiet=True, status="completed", message="Done")
        since = bad.send_command(JOBS[3], "refresh")
        time.sleep(2)
    assert bad.recorder.wait_topic(of_job(JOBS[3], "result"), since).json["ok"]
    bad.stream_marker()
    assert_in_order(bad, JOBS[3])


def test_a_cancel_while_the_stream_is_paused(bad):
    """The same for a command that changes the job."""
    start(bad)
    with slow(bad.broker):
        fall_behind(bad)
        since = bad.send_command(JOBS[0], "cancel")
        wait_until(lambda: bad.simulator.requests("cancel"), "the cancel")
    assert bad.recorder.wait_topic(of_job(JOBS[0], "result"), since).json["ok"]
    bad.stream_marker()
    assert event_types(bad, JOBS[0]) == ["cancelled"]


def test_lists_and_status_calls_while_the_stream_is_paused(bad):
    """The bridge's own questions."""
    start(bad, {"aiva.resync_interval_s": 1})
    with slow(bad.broker):
        fall_behind(bad)
        bad.simulator.set_job(JOBS[1], status="completed", message="Done")
        lists = bad.simulator.requests("list")
        wait_until(lambda: bad.simulator.requests("list") >= lists + 2, "two lists")
    bad.stream_marker()
    assert_in_order(bad, JOBS[1])


def test_events_of_jobs_that_the_list_lacks(bad):
    """The list overtakes nothing: what a job that is gone went through is told first."""
    start(bad)
    with slow(bad.broker):
        fall_behind(bad)
        for status in ("queued", "failed"):
            bad.simulator.set_job(JOBS[4], status=status)
        bad.simulator.vanish(JOBS[4])
        since = bad.recorder.mark()
        bad.recorder.publish(of_bridge("command/refresh"), b"{}")
        time.sleep(2)
    assert bad.recorder.wait_topic(of_bridge("result"), since).json["ok"]
    bad.wait_event(JOBS[4], event_type="deleted")
    assert event_types(bad, JOBS[4]) == ["queued", "failed", "deleted"]
    wait_until(lambda: bad.states(JOBS[4])[-1].payload == b"", "the cleared topic")


def test_a_queue_that_is_full(bad):
    """No answer waits for ever: it is not applied, the list is read once reading goes on, and the
    command is answered once."""
    start(bad, {"mqtt.queue_limit": 150, "aiva.resync_interval_s": 3600})
    bad.broker.on_publish = lambda packet: Answer.HOLD
    progress(bad, 400)
    wait_until(lambda: "the stream is paused" in bad.bridge.output(), "the pause")
    bad.simulator.set_job(JOBS[2], status="completed", message="Done")
    bad.simulator.set_job(JOBS[3], quiet=True, status="failed")
    since = bad.send_command(JOBS[2], "refresh", b'{"id": 1}')
    bad.send_command(JOBS[3], "refresh", b'{"id": 2}')
    wait_until(lambda: "the topics follow with the next list" in bad.bridge.output(), "the answer")
    bad.broker.on_publish = lambda packet: None
    bad.broker.release()
    for name in JOBS[2:4]:
        assert bad.recorder.wait_topic(of_job(name, "result"), since).json["ok"]
    bad.wait_event(JOBS[3], event_type="failed")
    bad.stream_marker()
    assert_in_order(bad, JOBS[2])
    assert event_types(bad, JOBS[3]) == ["failed"]
    assert len(bad.results(JOBS[2])) == 1 and len(bad.results(JOBS[3])) == 1


@pytest.mark.parametrize("hard", [False, True])
def test_a_stream_that_is_lost_while_an_answer_waits(bad, hard):
    """The answer waits for what can still be read, and no longer."""
    start(bad)
    with slow(bad.broker):
        fall_behind(bad)
        bad.simulator.set_job(JOBS[2], status="completed", message="Done")
        bad.simulator.fault("status", delay_ms=1000, after_work=True)
        since = bad.send_command(JOBS[2], "refresh")
        bad.simulator.cut(hard=hard)
        time.sleep(2)
    assert bad.recorder.wait_topic(of_job(JOBS[2], "result"), since).json["ok"]
    wait_until(lambda: bad.simulator.stats()["streams_open"] == 1, "the next stream")
    bad.stream_marker()
    assert event_types(bad, JOBS[2]) == ["completed"]
    assert len(bad.results(JOBS[2])) == 1


def test_a_stream_without_end(bad):
    """Words come faster than the broker takes them: answers are applied all the same."""
    start(bad)
    over = threading.Event()

    def talk():
        while not over.is_set():
            bad.simulator.raw(b"".join(
                b'data: {"job_id":"job-%d","status":"processing","note":"%s"}\n\n' % (
                    number % 2, b"x" * 2000) for number in range(200)))

    thread = threading.Thread(target=talk)
    bad.broker.on_publish = lambda packet: Answer.LATE
    thread.start()
    try:
        bad.simulator.set_job(JOBS[4], quiet=True, status="completed")
        assert bad.command(JOBS[4], "refresh", timeout=60)["ok"]
    finally:
        over.set()
        thread.join()
        bad.broker.on_publish = lambda packet: None
    bad.wait_event(JOBS[4], event_type="completed")
