"""Where the stream stays away, for whatever reason, AIVA is polled; a refused event id is dropped."""

import pytest
from harness.topics import of_bridge
from harness.waiting import wait_until
from harness.world import job

FAST_POLL = {"aiva.poll_interval_s": 1, "aiva.list_interval_s": 1}


def wait_streams(world, count):
    """Waits for the so-many-th stream to be open."""
    wait_until(lambda: world.simulator.requests("stream") >= count
               and world.simulator.stats()["streams_open"] == 1, f"stream {count}")


def assert_polls(world):
    """Silent changes are found, and the jobs stand on their topics."""
    world.wait_state("one")
    world.simulator.set_job("one", quiet=True, status="completed")
    world.wait_event("one", event_type="completed")


@pytest.mark.parametrize("asked", ["600", "86400", "17"])
def test_a_long_retry_after_of_the_stream(world, asked):
    """It holds the stream alone: the list is read at once, and the log says once what is waited for."""
    world.simulator.put_jobs([job("one")])
    world.simulator.fault("stream", times=0, status=503, retry_after=asked)
    world.bridge.start(FAST_POLL)
    world.wait_upstream("polling")
    assert_polls(world)
    waits = [line for line in world.bridge.output().splitlines() if "Retry-After" in line]
    assert len(waits) == 1 and "status 503" in waits[0]
    seconds = float(waits[0].split("next attempt in ")[1].split(" s")[0])
    assert min(float(asked), 600) <= seconds < min(float(asked), 600) + 2
    assert world.simulator.requests("stream") == 1


def test_a_long_retry_after_once_the_stream_had_held(world):
    """The same after a loss."""
    world.start([job("one")], FAST_POLL)
    world.simulator.fault("stream", times=0, status=429, retry_after="300")
    since = world.recorder.mark()
    world.simulator.cut()
    world.wait_upstream("polling", since)
    assert_polls(world)


def test_a_long_retry_after_where_polling_is_not_wanted(world):
    """The stream alone is allowed: what is missing is said."""
    world.simulator.fault("stream", times=0, status=503, retry_after="900")
    world.bridge.start({"aiva.mode": "stream"})
    assert "next attempt in 600." in world.wait_upstream("unavailable").json["detail"]
    assert world.simulator.requests("list") == 0


def test_a_stream_that_is_not_answered(world):
    """A proxy takes the request and says nothing: after 15 s the jobs are polled."""
    world.simulator.put_jobs([job("one")])
    world.simulator.fault("stream", times=0, delay_ms=300000)
    world.bridge.start(FAST_POLL)
    wait_until(lambda: "none for 15 s" in world.bridge.output(), "the list", 40)
    world.wait_upstream("polling")
    assert_polls(world)


def test_a_short_wait_is_no_reason_to_poll(world):
    """The stream comes back within the 15 s: nothing but that is said."""
    world.start([job("one")])
    world.simulator.fault("stream", status=503, retry_after="2")
    since = world.recorder.mark()
    world.simulator.cut()
    world.wait_upstream("streaming", since)
    assert [one.json["state"] for one in world.recorder.select(of_bridge("upstream"), since)] in (
        ["connecting", "streaming"], ["connecting", "connecting", "streaming"])


def with_id(world, name="one"):
    """Starts the bridge, which has then seen an event id."""
    world.start([job(name)], FAST_POLL)
    world.simulator.emit({"job_id": name, "status": "queued"}, id="forgotten-72")
    world.wait_state(name, status="queued")


@pytest.mark.parametrize("code", [400, 404, 409, 410, 416])
def test_a_refused_event_id_is_dropped(world, code):
    """The next attempt is without it, and nothing is polled meanwhile."""
    with_id(world)
    world.simulator.fault("stream", status=code)
    since = world.recorder.mark()
    world.simulator.cut()
    wait_streams(world, 3)
    world.wait_upstream("streaming", since)
    assert world.simulator.stats()["last_event_id"] is None
    assert {one.json["state"] for one in world.recorder.select(of_bridge("upstream"), since)} == {
        "connecting", "streaming"}
    first, second = [line["at_ms"] for line in world.simulator.stats()["log"]
                     if line["kind"] == "stream"][1:3]
    assert second - first < 5000


def test_a_refused_stream_without_an_event_id(world):
    """With the id it may be the id; without it, there is no stream."""
    with_id(world)
    world.simulator.fault("stream", times=0, status=404)
    since = world.recorder.mark()
    world.simulator.cut()
    assert "status 404" in world.wait_upstream("polling", since).json["detail"]
    assert world.simulator.stats()["last_event_id"] is None


def test_an_event_id_outlives_other_failures(world):
    """A server error says nothing about the id."""
    with_id(world)
    world.simulator.fault("stream", status=500)
    world.simulator.cut()
    wait_streams(world, 3)
    assert world.simulator.stats()["last_event_id"] == "forgotten-72"
