"""Losses and restarts on either side, and what the bridge says and does about them."""

import json
import re
import signal
import time

import pytest
from harness.bad_broker import Answer
from harness.metrics import Listener
from harness.process import free_port
from harness.rawserver import Closing, RawServer
from harness.simulator import KEY
from harness.topics import of_bridge, of_job
from harness.waiting import wait_until
from harness.world import job

FAST_POLL = {"aiva.poll_interval_s": 1, "aiva.list_interval_s": 1}


def wait_streams(world, count):
    """Waits for the so-many-th stream to be open."""
    wait_until(lambda: world.simulator.requests("stream") >= count
               and world.simulator.stats()["streams_open"] == 1, f"stream {count}")


def texts(world, topic, since=0):
    return [message.text for message in world.recorder.select(topic, since)]


# --- the stream


@pytest.mark.parametrize("hard", [False, True])
def test_a_cut_stream_is_opened_again(world, hard):
    """And the list tells what was missed: changed, new and vanished jobs."""
    world.start([job("changed", "queued"), job("gone", "completed"), job("same", "completed")])
    world.simulator.put_jobs([job("changed", "failed"), job("same", "completed"),
                              job("fresh", "completed")])
    since = world.recorder.mark()
    world.simulator.cut(hard=hard)
    assert world.wait_event("changed", since).json["previous"] == "queued"
    assert world.wait_event("fresh", since).json["previous"] is None
    assert world.wait_event("gone", since).json["event_type"] == "deleted"
    world.recorder.wait_for(lambda message: message.topic == of_job("gone", "state")
                            and not message.payload)
    wait_streams(world, 2)
    world.stream_marker()
    assert not world.events("same")


def test_the_last_event_id_is_sent(world):
    """Where ids were seen, the next request tells the last one."""
    world.start()
    name = world.known_upstream()
    world.simulator.emit({"job_id": name, "status": "queued"}, id="71")
    world.simulator.emit({"job_id": name, "status": "processing"}, id="é 72")
    world.wait_state(name, status="processing")
    world.simulator.cut()
    wait_streams(world, 2)
    assert world.simulator.stats()["last_event_id"] == "é 72"


def test_an_event_id_that_cannot_stand_in_a_header(world):
    """It is not sent back, and the stream is opened again all the same."""
    world.start([job("one")])
    world.simulator.raw(b'id: x\ty\ndata: {"job_id":"one","status":"queued"}\n\n')
    world.wait_state("one", status="queued")
    world.simulator.cut()
    wait_streams(world, 2)
    world.stream_marker()
    assert world.simulator.stats()["last_event_id"] is None


def test_no_event_id_where_none_was_seen(world):
    """The header is left out."""
    world.start()
    world.create("queued")
    world.simulator.cut()
    wait_streams(world, 2)
    assert not world.simulator.stats()["last_event_id"]


def test_a_replay_changes_nothing(make_world):
    """A server that replays after Last-Event-ID brings no event twice."""
    world = make_world(simulator=["--event-ids"])
    world.start()
    name = world.create("queued")
    world.simulator.set_job(name, status="processing")
    world.wait_event(name, event_type="processing")
    world.simulator.cut()
    world.simulator.set_job(name, status="completed")
    world.wait_event(name, event_type="completed")
    wait_streams(world, 2)
    world.stream_marker()
    assert [event["event_type"] for event in world.events(name)] == [
        "queued", "processing", "completed"]


def test_a_silent_stream_is_dead(world):
    """Nothing for the idle time, not even a comment: a new stream is opened."""
    world.start([job("one")], {"aiva.idle_timeout_s": 1})
    wait_streams(world, 2)
    world.wait_state("one")


def test_a_stream_that_comments_is_alive(world):
    """Any byte counts."""
    world.start(config={"aiva.idle_timeout_s": 1})
    end = time.monotonic() + 2
    while time.monotonic() < end:
        world.simulator.raw(b": still here\r\n\r\n")
        time.sleep(0.1)
    assert world.simulator.requests("stream") == 1


def test_the_server_says_how_long_to_wait_before_the_next_stream(world):
    """`retry:` in the stream is the least time between two streams, until another value comes."""
    world.start([job("one")])
    world.simulator.raw(b"retry: 2500\r\n\r\n")
    world.stream_marker()
    before = time.monotonic()
    world.simulator.cut()
    wait_streams(world, 2)
    assert time.monotonic() - before >= 2.5
    world.simulator.raw(b"retry: 0\r\n\r\n")
    world.stream_marker()
    before = time.monotonic()
    world.simulator.cut()
    wait_streams(world, 3)
    assert time.monotonic() - before < 2.5


def test_a_stream_that_never_holds_counts_as_failing(world):
    """Opened and cut at once, again and again: after three in a row it polls."""
    world.start([job("one")], FAST_POLL)
    for count in (1, 2, 3):
        wait_streams(world, count)
        since = world.recorder.mark()
        world.simulator.cut()
    world.wait_upstream("polling", since)
    world.simulator.set_job("one", quiet=True, status="completed")
    world.wait_event("one", event_type="completed")


def test_since_is_when_the_state_began(world):
    """Another `detail` alone does not change `since`; another state does."""
    world.start([job("one")], {"aiva.resync_interval_s": 1})
    begun = world.wait_upstream("streaming").json["since"]
    since = world.recorder.mark()
    world.simulator.fault("list", times=1, status=500)
    told = world.recorder.wait_for(lambda message: message.topic == of_bridge("upstream")
                                   and "GET /jobs" in message.json["detail"], since=since).json
    assert (told["state"], told["since"]) == ("streaming", begun)
    since = world.recorder.mark()
    world.simulator.fault("stream", times=0, status=401)
    world.simulator.cut()
    assert world.wait_upstream("unauthorized", since).json["since"] > begun


@pytest.mark.parametrize("fault", [
    {"status": 204}, {"status": 404}, {"status": 405}, {"status": 406}, {"status": 501},
    {"status": 200, "content_type": "application/json", "body": "[]"}], ids=str)
def test_where_there_is_no_stream_it_polls(world, fault):
    """Polling is said at once, and the jobs are there."""
    world.simulator.put_jobs([job("one", "queued", progress=7)])
    world.simulator.fault("stream", times=0, **fault)
    world.bridge.start(FAST_POLL)
    polling = world.wait_upstream("polling")
    why = "application/json" if fault["status"] == 200 else f"status {fault['status']}"
    assert why in polling.json["detail"]
    world.wait_state("one", status="queued", progress=7)


def test_a_compressed_stream_is_none(world):
    """It was not asked for, and nobody would notice that nothing is understood. It need not end."""
    with RawServer(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                   b"Content-Encoding: gzip\r\nContent-Length: 1000000\r\n\r\n") as server:
        world.bridge.start({"aiva.url": server.url})
        world.recorder.wait_for(
            lambda message: message.topic == of_bridge("upstream")
            and "content encoding gzip" in message.json["detail"])


def test_polling_tells_of_changes(world):
    """Without a stream, changes come all the same."""
    world.simulator.put_jobs([job("one", "queued")])
    world.simulator.fault("stream", times=0, status=404)
    world.bridge.start(FAST_POLL)
    world.wait_upstream("polling")
    world.wait_state("one", status="queued")
    world.simulator.set_job("one", quiet=True, status="processing", progress=7)
    assert world.wait_event("one", event_type="processing").json["previous"] == "queued"
    world.wait_state("one", progress=7)


def test_it_polls_after_three_failures(world):
    """The stream fails in a row, the other calls work."""
    world.simulator.put_jobs([job("one", "queued")])
    world.simulator.fault("stream", times=0, status=500)
    world.bridge.start(FAST_POLL)
    world.wait_upstream("polling", timeout=60)
    assert world.simulator.requests("stream") >= 3
    world.simulator.set_job("one", quiet=True, status="processing")
    world.wait_event("one", event_type="processing")


def test_it_returns_to_the_stream(world):
    """It goes on trying, and stops polling when it has the stream."""
    world.simulator.put_jobs([job("one", "queued")])
    world.simulator.fault("stream", times=2, status=404)
    world.bridge.start(FAST_POLL)
    polling = world.wait_upstream("polling")
    asked = world.simulator.requests("status")
    world.wait_upstream("streaming", polling.position, timeout=90)
    wait_until(lambda: world.simulator.requests("status") > asked, "the snapshot")
    # A status call may be ahead of the stream; a job that nobody polls is the stream's to tell of.
    name = world.create("processing")
    assert world.events(name)[0]["source"] == "stream"


def test_poll_mode(world):
    """No stream is asked for; ended jobs are not polled any more."""
    world.simulator.put_jobs([job("one", "queued"), job("two", "processing", progress=1)])
    world.bridge.start({**FAST_POLL, "aiva.mode": "poll", "aiva.list_interval_s": 600})
    world.wait_upstream("polling")
    world.wait_state("two", progress=1)
    world.simulator.set_job("one", quiet=True, status="completed", message="Done")
    world.wait_state("one", status="completed", message="Done", progress=100)
    done = world.simulator.paths("status").count("GET /jobs/one/status")
    polls = world.simulator.paths("status").count("GET /jobs/two/status")
    wait_until(lambda: world.simulator.paths("status").count("GET /jobs/two/status") >= polls + 2,
               "two more polls")
    assert world.simulator.paths("status").count("GET /jobs/one/status") == done
    assert world.simulator.requests("stream") == 0


def test_poll_mode_finds_new_and_vanished_jobs(world):
    """The list tells, every `list_interval_s`."""
    world.simulator.put_jobs([job("gone", "completed")])
    world.bridge.start({**FAST_POLL, "aiva.mode": "poll"})
    world.wait_state("gone")
    world.simulator.put_jobs([job("fresh", "completed")])
    assert world.wait_event("fresh").json["source"] == "list"
    assert world.wait_event("gone").json["event_type"] == "deleted"


def test_resync_while_streaming(world):
    """Silent changes of an unfinished job are found in time, its progress too."""
    world.start([job("one", progress=1)], {"aiva.resync_interval_s": 1})
    world.simulator.set_job("one", quiet=True, progress=60)
    world.wait_state("one", progress=60)
    assert world.simulator.requests("stream") == 1


def test_a_cut_during_a_list_for_details(world):
    """A list that only adds was under way when the stream was cut: the list after the reconnect
    removes what has vanished, and lists go on coming."""
    world.start([job("gone", "completed"), job("one")],
                {"aiva.list_interval_s": 1, "aiva.resync_interval_s": 2})
    world.simulator.fault("list", delay_ms=3000)
    lists = world.simulator.requests("list")
    world.simulator.set_job("new", status="queued")
    wait_until(lambda: world.simulator.requests("list") > lists, "the list for details")
    world.simulator.cut()
    world.simulator.clear_faults()
    world.simulator.vanish("gone")
    assert world.wait_event("gone").json["event_type"] == "deleted"
    wait_until(lambda: world.simulator.requests("list") >= lists + 3, "the next resync")


def test_the_stream_waits_as_long_as_it_is_told(world):
    """Retry-After of a refused stream is honoured."""
    world.simulator.fault("stream", status=503, retry_after="2")
    world.bridge.start()
    wait_streams(world, 2)
    first, second = [line["at_ms"] for line in world.simulator.stats()["log"]
                     if line["kind"] == "stream"]
    assert second - first >= 1900


def test_the_list_waits_as_long_as_it_is_told(world):
    """Retry-After of a refused list is honoured, whatever makes a list desirable meanwhile."""
    world.simulator.put_jobs([job("one")])
    world.bridge.start({"aiva.mode": "poll", "aiva.list_interval_s": 1})
    world.wait_upstream("polling")
    world.simulator.fault("list", status=429, retry_after="7")
    lists = world.simulator.requests("list")
    wait_until(lambda: world.simulator.requests("list") > lists, "the refused list")
    assert world.command("unknown", "refresh")["error"] == "not_found"
    wait_until(lambda: world.simulator.requests("list") > lists + 1, "the next list")
    refused, after = [line["at_ms"] for line in world.simulator.stats()["log"]
                      if line["kind"] == "list"][lists:lists + 2]
    assert after - refused >= 6900


def asked_after(world, kind, before):
    """When the first request of a kind after so many came, and the one after it."""
    wait_until(lambda: world.simulator.requests(kind) > before + 1, f"two more of {kind}", 30)
    return [line["at_ms"] for line in world.simulator.stats()["log"]
            if line["kind"] == kind][before:before + 2]


def lists_between(world, first, last):
    return [line for line in world.simulator.stats()["log"]
            if line["kind"] == "list" and first < line["at_ms"] < last]


def test_a_refused_status_holds_up_status_calls_alone(world):
    """AIVA wants to be left alone with these; lists go on."""
    world.simulator.put_jobs([job("one")])
    world.bridge.start({**FAST_POLL, "aiva.mode": "poll"})
    world.wait_upstream("polling")
    world.wait_state("one")
    world.simulator.fault("status", status=429, retry_after="5")
    _, after = asked_after(world, "status", world.simulator.requests("status"))
    refused = [line["at_ms"] for line in world.simulator.stats()["log"]
               if line["status"] == 429][0]
    assert after - refused >= 4900
    assert len(lists_between(world, refused + 100, refused + 4900)) >= 2


def test_a_refused_list_holds_up_lists_alone(world):
    """The jobs that are known are asked for as before."""
    world.simulator.put_jobs([job("one")])
    world.bridge.start({**FAST_POLL, "aiva.mode": "poll"})
    world.wait_upstream("polling")
    world.simulator.fault("list", status=503, retry_after="6")
    refused, after = asked_after(world, "list", world.simulator.requests("list"))
    assert after - refused >= 5900
    assert len([line for line in world.simulator.stats()["log"] if line["kind"] == "status"
                and refused + 100 < line["at_ms"] < refused + 5900]) >= 2
    assert "GET /jobs: AIVA answered 503" in world.bridge.output()
    assert re.search(r"next attempt in [67]\.\d s", world.bridge.output())


def test_a_refused_list_is_not_read_because_of_a_new_stream(world):
    """What AIVA has asked for counts over every connection."""
    world.start([job("one")], {"aiva.resync_interval_s": 1})
    world.simulator.fault("list", status=429, retry_after="6")
    lists = world.simulator.requests("list")
    wait_until(lambda: world.simulator.requests("list") > lists, "the refused list")
    streams = world.simulator.requests("stream")
    since = world.recorder.mark()
    world.simulator.cut()
    wait_streams(world, streams + 1)
    world.recorder.wait_for(lambda message: message.topic == of_bridge("upstream")
                            and "GET /jobs is put off" in message.json["detail"], since=since)
    refused, after = asked_after(world, "list", lists)
    assert after - refused >= 5900


def test_concurrent_refusals_are_one(world):
    """Four status calls are under way when AIVA begins to refuse them: the next are made within the
    first step of the back-off, not its fourth, again and again."""
    names = [f"job-{number}" for number in range(12)]
    world.simulator.put_jobs([job(name) for name in names])
    world.bridge.start({**FAST_POLL, "aiva.mode": "poll", "aiva.list_interval_s": 600})
    for name in names:
        world.wait_state(name)
    for _ in range(3):
        world.simulator.fault("status", times=4, status=429, delay_ms=300)
        before = world.simulator.requests("status")
        wait_until(lambda count=before: world.simulator.requests("status") >= count + 4 + 12,
                   "a whole round after the refusals", 60)
        at = [line["at_ms"] for line in world.simulator.stats()["log"]
              if line["kind"] == "status"][before:before + 5]
        assert at[4] - at[3] < 300 + 1000 + 1500
        world.simulator.clear_faults()


def test_a_refused_key_holds_up_everything(world):
    """What is refused to the account is not tried in another way."""
    world.simulator.put_jobs([job("one")])
    world.bridge.start({**FAST_POLL, "aiva.mode": "poll"})
    world.wait_upstream("polling")
    # The list that is asked for at the same time ends well, and later.
    world.simulator.fault("list", times=0, delay_ms=300)
    world.simulator.fault("status", times=0, status=403)
    world.wait_upstream("unauthorized")
    asked = len(world.simulator.stats()["log"])
    # Not a wait for something: that nothing is asked for some time is the thing itself.
    time.sleep(4)
    assert len(world.simulator.stats()["log"]) <= asked + 1
    assert world.recorder.last(of_bridge("upstream")).json["state"] == "unauthorized"


def test_a_stream_ends_the_wait_after_a_refused_key(world):
    """It could not be had with a bad key. So the list that follows from it is not put off."""
    world.start([job("one", "queued")], {"aiva.resync_interval_s": 1})
    world.simulator.fault("list", status=401)
    refused = world.wait_upstream("unauthorized")
    world.simulator.set_job("one", quiet=True, status="completed")
    world.simulator.cut()
    world.wait_upstream("streaming", refused.position)
    world.wait_event("one", refused.position, event_type="completed")


def test_a_failed_status_call_is_made_again(world):
    """Beside the stream nothing else would tell of the job for a long time."""
    world.simulator.fault("status", status=500)
    world.start([job("one", progress=40), job("two", progress=50)])
    world.wait_state("one", progress=40)
    world.wait_state("two", progress=50)


def test_a_dead_upstream_is_not_hammered(world):
    """While polling, with many jobs to ask for: connections to nobody are counted and few."""
    jobs = [job(f"job-{number}") for number in range(40)]
    world.simulator.put_jobs(jobs)
    world.bridge.start({**FAST_POLL, "aiva.mode": "poll"})
    for one in jobs:
        world.wait_state(one["job_id"])
    port = world.simulator.port
    world.simulator.end()
    with Closing(port) as closing:
        wait_until(lambda: closing.accepted, "the first connection")
        # Not a wait for something: how many come in some time is the thing itself.
        time.sleep(6)
        assert closing.accepted <= 40


# --- refusals


@pytest.mark.parametrize("code", [401, 403])
def test_unauthorized(world, code):
    """It is said, logged, and not hammered."""
    world.simulator.fault("any", times=0, status=code, body='{"detail":"no"}')
    world.bridge.start()
    world.wait_upstream("unauthorized")
    assert world.bridge.run_config("--check").returncode == 3
    assert len(world.simulator.stats()["log"]) <= 6
    assert re.search("error|warn", world.bridge.output())


def test_a_new_key_file_heals(world, tmp_path):
    """The key changes at the upstream: unauthorized, until the new key is read."""
    key = tmp_path / "key"
    key.write_text(KEY)
    world.start([job("one")], {"aiva.api_key": None, "aiva.api_key_file": str(key)})
    since = world.recorder.mark()
    world.simulator.set_key("a-new-key")
    refused = world.wait_upstream("unauthorized", since)
    key.write_text("a-new-key\n")
    world.bridge.send(signal.SIGHUP)
    world.wait_upstream("streaming", refused.position)
    world.simulator.set_job("one", status="completed")
    world.wait_event("one", event_type="completed")


@pytest.mark.slow
def test_the_key_file_is_read_again_by_itself(world, tmp_path):
    """The file has the new key already when the old one is refused: no hangup is needed."""
    key = tmp_path / "key"
    key.write_text(KEY)
    world.start([job("one")], {"aiva.api_key": None, "aiva.api_key_file": str(key)})
    key.write_text("a-new-key\n")
    world.simulator.set_key("a-new-key")
    wait_until(lambda: world.simulator.stats()["unauthorized"] > 0, "the old key to be refused")
    wait_until(lambda: world.simulator.stats()["streams_open"] == 1, "the new key", 75, 0.1)


@pytest.mark.slow
def test_a_key_that_comes_later_is_read_before_the_next_attempt(world, tmp_path):
    """The file gets the new key while the refusal is waited out: one wait is enough."""
    key = tmp_path / "key"
    key.write_text(KEY)
    world.start([job("one")], {"aiva.api_key": None, "aiva.api_key_file": str(key)})
    since = world.recorder.mark()
    world.simulator.set_key("a-new-key")
    world.wait_upstream("unauthorized", since)
    key.write_text("a-new-key\n")
    wait_until(lambda: world.simulator.stats()["streams_open"] == 1, "the new key", 75, 0.1)


def test_jobs_stay_while_the_upstream_is_away(world):
    """Nothing is deleted and nothing cleared; the upstream's return is noticed."""
    world.start([job("one"), job("two", "completed")])
    since = world.recorder.mark()
    world.simulator.fault("any", times=0, status=503)
    world.simulator.cut()
    world.recorder.wait_for(lambda message: message.topic == of_bridge("upstream")
                            and message.json["state"] in ("connecting", "unavailable", "polling"),
                            since=since)
    world.simulator.clear_faults()
    world.wait_upstream("streaming", since, timeout=60)
    world.stream_marker()
    for name in ("one", "two"):
        assert not world.events(name)
        assert all(message.payload for message in world.states(name))


@pytest.mark.parametrize("shift", ["", "x", "xx"])
def test_a_reason_is_cut_between_characters(world, shift):
    """A long detail of the upstream's is shortened in `upstream`, which stays valid UTF-8."""
    world.simulator.fault("list", times=0, status=500,
                          body=json.dumps({"detail": shift + "€" * 500}))
    world.bridge.start({"aiva.mode": "poll"})
    world.recorder.wait_for(lambda message: message.topic == of_bridge("upstream")
                            and "€€€".encode() in message.payload)
    world.recorder.assert_well_formed()


def test_a_reason_that_is_not_utf8(world):
    """What a server says in bytes of its own comes out as valid UTF-8."""
    with RawServer(b"HTTP/1.1 200 OK\r\nContent-Type: text/caf\xe9\r\n"
                   b"Content-Length: 2\r\nConnection: close\r\n\r\n[]") as server:
        world.bridge.start({"aiva.url": server.url})
        world.recorder.wait_for(lambda message: message.topic == of_bridge("upstream")
                                and b"text/caf" in message.payload)
        world.bridge.stop()
    world.recorder.assert_well_formed()


# --- restarts of the bridge


def test_a_restart_tells_what_changed_meanwhile(world):
    """What was retained is what was before: events for changes, and for nothing else."""
    world.start([job("changed", "queued"), job("gone", "completed"), job("same", "completed"),
                 job("going", "processing", progress=5)])
    world.bridge.stop()
    world.simulator.put_jobs([job("changed", "completed"), job("same", "completed"),
                              job("going", "processing", progress=6)])
    since = world.start()
    changed = world.wait_event("changed", since).json
    assert (changed["previous"], changed["event_type"]) == ("queued", "completed")
    assert changed["source"] in ("list", "poll")
    gone = world.wait_event("gone", since).json
    assert (gone["previous"], gone["event_type"], gone["source"]) == (
        "completed", "deleted", "list")
    world.wait_state("going", since, progress=6)
    world.stream_marker()
    assert not world.events("same", since) and not world.events("going", since)
    assert of_job("gone", "state") not in world.retained()
    assert len(world.events("changed", since)) == 1 and len(world.events("gone", since)) == 1


def test_a_restart_keeps_members(world):
    """Members that only the stream has given are kept until the upstream says otherwise."""
    world.start([job("one", "processing", progress=5)])
    world.simulator.emit(b'{"job_id":"one","status":"processing","lane":1.10,"note":"kept"}')
    world.wait_state("one", note="kept")
    since = world.restart()
    world.simulator.set_job("one", status="processing", progress=6)
    state = world.wait_state("one", since, progress=6)
    assert state.json["note"] == "kept" and b"1.10" in state.payload


def test_a_restart_after_a_crash(world):
    """The same without an orderly end."""
    world.start([job("one", "queued"), job("two", "completed")])
    world.bridge.kill()
    world.simulator.set_job("one", quiet=True, status="processing")
    since = world.start()
    assert world.wait_event("one", since).json["previous"] == "queued"
    world.stream_marker()
    assert not world.events("two", since)


def test_a_restart_with_nothing_changed_is_quiet(world):
    """No events at all."""
    jobs = [job("one", "queued"), job("two", "completed")]
    world.start(jobs)
    since = world.restart()
    marker = world.stream_marker()
    events = {message.topic for message in world.recorder.messages[since:]
              if message.topic.endswith("/event")}
    assert events == {of_job(marker, "event")}


def test_a_broker_that_remembers_a_moment_late(bad):
    """Some send retained messages after newer ones: the restart still knows what was before."""
    bad.start([job("one", "queued"), job("gone", "completed"), job("same", "processing")])
    bad.recorder.wait_topic(of_bridge("jobs"))
    bad.bridge.kill()
    bad.broker.retained_delay = 0.05
    bad.simulator.put_jobs([job("one", "completed"), job("same", "processing")])
    since = bad.start()
    assert bad.wait_event("one", since).json["previous"] == "queued"
    assert bad.wait_event("gone", since).json["event_type"] == "deleted"
    bad.stream_marker()
    assert not bad.events("same", since)


def test_rubbish_among_the_retained_topics(world):
    """What somebody else has left there does no harm."""
    rubbish = [b"not json", b"[]", b'{"job_id":"other","status":"queued"}', b'{"job_id":"bad2"}',
               b'{"job_id":"bad4","status":5}', b"\xff", b"[" * 5000]
    jobs = [job(f"bad{number}", "completed") for number in range(len(rubbish))]
    for one, payload in zip(jobs, rubbish):
        world.recorder.publish(of_job(one["job_id"], "state"), payload, retain=True)
    world.recorder.publish("aiva/jobs/%zz/state", b"{}", retain=True)
    world.start([job("one"), *jobs])
    world.stream_marker()
    for one in jobs:
        assert world.recorder.last(of_job(one["job_id"], "state")).shows(**one)


# --- the broker


def test_a_broker_that_forgot_gets_everything_again(world):
    """A restart without persistence: every retained topic comes back as it was."""
    world.start([job("one", progress=3), job("two", "completed"), job("a b", "failed")])
    before = {topic: message.payload for topic, message in world.retained().items()
              if "/jobs/" in topic}
    world.recorder.close()
    world.broker.kill()
    world.broker.start()
    world.record()
    for topic in (*before, of_bridge("jobs"), of_bridge("info"), of_bridge("upstream"),
                  of_bridge("state")):
        world.recorder.wait_topic(topic)
    after = {topic: message.payload for topic, message in world.retained().items()
             if "/jobs/" in topic}
    assert after == before
    assert world.retained()[of_bridge("state")].payload == b"online"
    assert not [message for message in world.recorder.messages if message.topic.endswith("/event")]


def test_a_broker_that_forgot_before_it_had_told_all(bad):
    """The first connection is lost while the memory is read, and the memory with it: what was read
    over it does not count as standing there."""
    listener = Listener(free_port())
    bad.start([job("one"), job("two", "completed")])
    bad.bridge.stop()
    # Without its echo of `online` the end of the memory is waited for.
    bad.broker.on_publish = lambda packet: Answer.LOST
    bad.bridge.start({"http.listen": listener.listen})
    listener.wait_listening()
    wait_until(lambda: listener.metrics().total("jobs") == 2, "the memory to be read")
    bad.broker.retained.clear()
    bad.broker.on_publish = lambda packet: None
    bad.broker.kick()
    wait_until(lambda: {of_job("one", "state"), of_job("two", "state")} <= set(bad.broker.retained),
               "the states to come back")


@pytest.mark.parametrize("way", ["vanished", "deleted"])
def test_a_broker_that_went_back_in_time(make_world, way):
    """It crashed and shows what it had saved before a job went: the job's topic is cleared again,
    and nothing else is said of it."""
    world = make_world(broker={"persistence": True})
    world.start([job("gone", "completed"), job("one", "completed")])
    world.broker.restart()
    if way == "deleted":
        wait_until(lambda: texts(world, of_bridge("state"))[-1] == "online", "online")
        world.command_marker()
        assert world.command("gone", "delete")["ok"]
    else:
        world.simulator.vanish("gone")
        world.simulator.cut()
    world.recorder.wait_for(lambda message: message.topic == of_job("gone", "state")
                            and not message.payload)
    world.recorder.close()
    world.broker.kill()
    world.broker.start()
    assert of_job("gone", "state") in world.retained()
    world.record()
    wait_until(lambda: of_job("gone", "state") not in world.retained(), "the topic to be cleared")
    world.stream_marker()
    assert world.retained()[of_job("one", "state")].json["status"] == "completed"
    assert not world.events("gone")


def test_online_after_a_lost_connection(relayed):
    """The will says offline, the reconnect online."""
    world, relay = relayed
    world.start()
    relay.block()
    world.recorder.wait_for(lambda message: message.payload == b"offline")
    relay.unblock()
    wait_until(lambda: texts(world, of_bridge("state"))[-1] == "online", "online")
    assert world.retained()[of_bridge("state")].payload == b"online"


def test_a_late_will_is_answered(world):
    """Somebody writes offline while the bridge is connected: online again."""
    world.start()
    for payload in (b"offline", b"offline"):
        since = world.recorder.mark()
        world.recorder.publish(of_bridge("state"), payload, retain=True)
        world.recorder.wait_for(lambda message: message.topic == of_bridge("state")
                                and message.payload == b"online", since=since, what="online")
    assert world.retained()[of_bridge("state")].payload == b"online"


def test_commands_work_after_a_lost_connection(relayed):
    """The subscriptions are made again."""
    world, relay = relayed
    world.start([job("one")])
    relay.block()
    world.recorder.wait_for(lambda message: message.payload == b"offline")
    relay.unblock()
    wait_until(lambda: texts(world, of_bridge("state"))[-1] == "online", "online")

    def answers():
        world.recorder.publish(of_job("one", "command/refresh"), b"x")
        return world.results("one")

    assert wait_until(answers, "an answer", pause=0.1)[0]["ok"]


def test_the_snapshot_waits_for_the_broker_too(relayed):
    """A job that vanishes while the broker is away is cleared when it is back."""
    world, relay = relayed
    world.start([job("gone", "completed"), job("one", "queued")])
    relay.block()
    world.recorder.wait_for(lambda message: message.payload == b"offline")
    world.simulator.vanish("gone")
    lists = world.simulator.requests("list")
    world.simulator.cut()
    wait_until(lambda: world.simulator.requests("list") > lists, "the list")
    relay.unblock()
    world.wait_event("gone", event_type="deleted")
    world.recorder.wait_for(lambda message: message.topic == of_job("gone", "state")
                            and not message.payload)
    world.stream_marker()
    assert of_job("gone", "state") not in world.retained()


def test_a_state_too_large_for_the_broker(make_world):
    """It is lost, and nothing else is: the others go on."""
    world = make_world(broker={"options": ["max_packet_size 4000"]})
    world.start([job("one")])
    world.simulator.emit({"job_id": "big", "status": "queued", "x": "x" * 8000})
    world.simulator.set_job("one", status="processing", progress=9)
    world.wait_state("one", progress=9)
    world.create("queued")
    assert not world.states("big")
    assert texts(world, of_bridge("state"))[-1] == "online"
