"""After each connect: the list, the status of what has not ended, and nothing newer overwritten."""

import pytest
from harness.topics import of_bridge, of_job
from harness.waiting import wait_until
from harness.world import job

MANY = 10000
# Many turns.
LONG = 30000


def test_ten_thousand_jobs(world):
    """All are on their topics, and none is an event."""
    jobs = [job(f"j{number}", "completed" if number % 1000 else "processing")
            for number in range(MANY)]
    world.simulator.put_jobs(jobs)
    world.bridge.start()
    world.recorder.wait_topic(of_bridge("jobs"), timeout=60, total=MANY, processing=10)
    wanted = {of_job(one["job_id"], "state") for one in jobs}
    wait_until(lambda: wanted <= {message.topic for message in list(world.recorder.messages)},
               "all states", 60, 0.2)
    found = world.retained("aiva/jobs/#")
    assert found.keys() == wanted
    assert not [one for one in world.recorder.messages if one.topic.endswith("/event")]


def start_with_long_list(world, env=None, **last):
    """Returns the jobs, once the bridge has begun to take in their first list."""
    jobs = [job(f"j{number}", "completed") for number in range(LONG)] + [job("last", **last)]
    world.simulator.put_jobs(jobs)
    world.bridge.start(env=env)
    world.wait_state("j0")
    return jobs


def wait_all_known(world, total):
    """The bridge has taken in a list of so many, and said all of it."""
    world.recorder.wait_topic(of_bridge("jobs"), timeout=120, total=total)


def test_a_long_list_holds_nothing_up(world, passes):
    """It is worked off in turns: the stream and commands have theirs, and nothing that they say is overwritten.

    The passes of the loop are measured as processor time, which is the same on a busy machine."""
    start_with_long_list(world, passes.env, status="processing", progress=1)
    world.simulator.set_job("last", progress=2)
    fresh = world.create("queued")
    assert world.command("last", "refresh", timeout=60)["ok"]
    assert world.command("last", "cancel", timeout=60)["ok"]
    wait_all_known(world, LONG + 2)
    assert world.recorder.last(of_job("last", "state")).json["status"] == "cancelled"
    assert world.recorder.last(of_job(fresh, "state")).json["status"] == "queued"
    assert not [one for one in world.recorder.messages if one.topic.endswith("/event") and b"deleted" in one.payload]
    assert passes.longest() < 0.25


def test_a_stop_in_the_middle_of_a_list(world):
    """A refresh that is not done is answered so, and what its list lacks is not taken for gone."""
    jobs = start_with_long_list(world, status="completed")
    wait_all_known(world, LONG + 1)
    world.simulator.put_jobs([dict(jobs[0], status="failed"), *jobs[1:-1]])
    since = world.recorder.mark()
    world.recorder.publish(of_bridge("command/refresh"), b"x")
    world.wait_event("j0", since, event_type="failed")
    world.bridge.stop()
    answer = world.recorder.wait_topic(of_bridge("result"), since).json
    if not answer["ok"]:
        assert answer["error"] == "timeout" and "stopped" in answer["detail"]
        assert world.recorder.last(of_job("last", "state")).payload
        assert not world.events("last", since)


def test_a_reconnect_in_the_middle_of_a_list(world):
    """A list that is dropped half way removes nothing, and the next one is taken in to its end."""
    jobs = start_with_long_list(world, status="completed")
    wait_all_known(world, LONG + 1)
    world.simulator.put_jobs([dict(jobs[0], status="failed"), *jobs[1:], job("new", "completed")])
    since = world.recorder.mark()
    world.simulator.cut()
    world.wait_event("j0", since, event_type="failed")
    lists = world.simulator.requests("list")
    world.simulator.cut()
    wait_until(lambda: world.simulator.requests("list") > lists, "the next list")
    wait_all_known(world, LONG + 2)
    assert not [one for one in world.recorder.messages if one.topic.endswith("/event") and b"deleted" in one.payload]


def test_list_then_status_of_what_has_not_ended(world):
    """Status calls are made for unfinished jobs only, after the list, once each."""
    going = [job("a", "upload_pending"), job("b", "queued"), job("c", "processing", progress=3)]
    ended = [job(status, status) for status in ("completed", "failed", "cancelled")]
    world.start([*going, *ended])
    wait_until(lambda: world.simulator.requests("status") >= 3, "three status calls")
    world.stream_marker()
    assert sorted(world.simulator.paths("status")) == [
        "GET /jobs/a/status", "GET /jobs/b/status", "GET /jobs/c/status"]
    kinds = [line["kind"] for line in world.simulator.stats()["log"]]
    assert kinds.index("list") < kinds.index("status")
    assert world.simulator.requests("list") == 1


def test_the_snapshot_comes_again_after_a_reconnect(world):
    """What changed in silence while the stream was cut is found."""
    world.start([job("one", "processing", progress=1), job("two", "queued")])
    world.simulator.set_job("one", quiet=True, progress=50)
    world.simulator.set_job("two", quiet=True, status="failed")
    world.simulator.cut()
    world.wait_state("one", progress=50)
    assert world.wait_event("two", event_type="failed").json["previous"] == "queued"


def start_with_late(world, kind):
    """Starts the bridge; the answer of this kind is old when it comes."""
    world.simulator.fault(kind, delay_ms=900, after_work=True)
    world.bridge.start()
    wait_until(lambda: world.simulator.requests(kind) == 1
               and world.simulator.stats()["streams_open"] == 1, f"the {kind} request")


def test_a_late_list_overwrites_nothing_newer(world):
    """The stream speaks while the list's answer is on its way: the stream is right."""
    world.simulator.put_jobs([job("one", "queued"), job("other", "completed")])
    start_with_late(world, "list")
    world.simulator.set_job("one", status="processing", progress=10)
    world.wait_state("one", status="processing", progress=10)
    world.wait_state("other")
    world.stream_marker()
    states = [message.json["status"] for message in world.states("one")]
    assert set(states[states.index("processing"):]) == {"processing"}
    assert world.recorder.last(of_job("one", "state")).json["progress"] == 10


def test_a_late_list_deletes_nothing_newer(world):
    """A job that appeared after the list was taken is not missing from it."""
    world.simulator.put_jobs([job("other", "completed")])
    start_with_late(world, "list")
    world.simulator.set_job("fresh", status="queued")
    world.wait_state("fresh")
    world.wait_state("other")
    world.stream_marker()
    assert all(message.payload for message in world.states("fresh"))
    assert not [one for one in world.events("fresh") if one["event_type"] == "deleted"]


def test_a_late_status_overwrites_nothing_newer(world):
    """The same for the answer to a status call."""
    world.simulator.put_jobs([job("one", "processing", progress=1)])
    start_with_late(world, "status")
    world.simulator.set_job("one", status="completed", message="Done")
    world.wait_state("one", status="completed")
    wait_until(lambda: world.simulator.paths("status"), "the status call")
    assert world.command("one", "refresh")["ok"]
    world.stream_marker()
    states = [message.json["status"] for message in world.states("one")]
    assert set(states[states.index("completed"):]) == {"completed"}
    assert [one["event_type"] for one in world.events("one")] == ["completed"]


def test_a_late_refresh_overwrites_nothing_newer(world):
    """The same for the answer to a command."""
    world.start([job("one", "processing", progress=1)])
    asked = world.simulator.requests("status")
    world.simulator.fault("status", delay_ms=900, after_work=True)
    since = world.send_command("one", "refresh")
    wait_until(lambda: world.simulator.requests("status") > asked, "the status call")
    world.simulator.set_job("one", status="completed", message="Done")
    world.wait_state("one", status="completed")
    assert world.recorder.wait_topic(of_job("one", "result"), since).json["ok"]
    world.stream_marker()
    assert world.recorder.last(of_job("one", "state")).shows(status="completed", message="Done")
    assert [one["event_type"] for one in world.events("one")] == ["completed"]


def test_a_late_status_overwrites_no_newer_list(world):
    """Without a stream: the list has told of the end when the answer of before comes."""
    world.simulator.put_jobs([job("one", "processing", progress=1)])
    world.simulator.fault("status", delay_ms=2500, after_work=True)
    world.bridge.start({"aiva.mode": "poll", "aiva.list_interval_s": 1})
    wait_until(lambda: world.simulator.requests("status") == 1, "the status call")
    world.simulator.set_job("one", quiet=True, status="completed")
    world.wait_event("one", event_type="completed")
    lists = world.simulator.requests("list")
    wait_until(lambda: world.simulator.requests("list") >= lists + 3, "the status to come")
    assert [one["event_type"] for one in world.events("one")] == ["completed"]


@pytest.mark.parametrize("fault", [
    {"status": 500}, {"status": 200, "body": "<html>"}, {"cut_after": 20}])
def test_a_failed_list_is_read_again(world, fault):
    """The snapshot comes in the end, although the first list fails."""
    world.simulator.put_jobs([job("one"), job("two", "completed")])
    world.simulator.fault("list", **fault)
    world.bridge.start()
    world.wait_state("one")
    world.wait_state("two")


def test_a_list_that_names_a_job_twice(world):
    """The first entry counts, at each reading: nothing goes to and fro."""
    world.simulator.put_jobs([job("one", "completed"), job("one", "failed")])
    world.bridge.start()
    world.wait_state("one", status="completed")
    for _ in range(2):
        assert world.refresh()["ok"]
    world.stream_marker()
    assert [message.json["status"] for message in world.states("one")] == ["completed"]
    assert not world.events("one")


def test_a_job_known_from_the_stream_alone_gets_what_the_list_has(world):
    """Soon, not only at the next resync; and a list that lacks such a job takes nothing away."""
    world.start([job("old", "completed")], {"aiva.list_interval_s": 1})
    world.simulator.set_job("new", quiet=True, status="queued", sample_name="P-7")
    world.simulator.emit(b'{"job_id":"new","status":"queued"}')
    world.simulator.emit(b'{"job_id":"unlisted","status":"queued"}')
    world.wait_state("new", sample_name="P-7")
    world.stream_marker()
    assert not [one for one in world.events("unlisted") if one["event_type"] == "deleted"]
    assert of_job("unlisted", "state") in world.retained("aiva/jobs/#")
