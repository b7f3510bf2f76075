"""A job that is gone: an event, and then nothing of it is left at the broker."""

from datetime import datetime, timezone

import pytest
from harness.topics import of_bridge, of_job
from harness.waiting import wait_until
from harness.world import job

SHARED_JOBS = (job("stays", "completed"), job("other", "completed"))


def cleared(world, name, since=0):
    """Waits until the job's state topic is cleared."""
    topic = of_job(name, "state")
    return world.recorder.wait_for(
        lambda message: message.topic == topic and not message.payload, since=since,
        what=f"an empty {topic}")


def assert_nothing_left(world, name):
    left = [message for message in world.retained().values()
            if name in message.topic or name.encode() in message.payload]
    assert not left


def test_a_deleted_job_leaves_nothing(world):
    """Event first, the empty state last."""
    world.start([job("gone-1", "completed"), job("stays", "completed")])
    since = world.recorder.mark()
    assert world.command("gone-1", "delete")["ok"]
    last = cleared(world, "gone-1", since)
    event = world.wait_event("gone-1", since, event_type="deleted")
    assert event.position < last.position
    empties = [message for message in world.recorder.messages[since:]
               if not message.payload and message.position <= last.position]
    assert all(message.retain for message in empties)
    world.stream_marker()
    assert_nothing_left(world, "gone-1")
    assert world.recorder.last(of_job("stays", "state")).payload


def test_a_job_missing_from_the_list_is_gone(world):
    """The same for a job that another client has deleted."""
    world.start([job("gone-1", "completed"), job("gone-2"), job("stays", "completed")])
    for name in ("gone-1", "gone-2"):
        world.simulator.vanish(name)
    world.refresh()
    for name, previous in (("gone-1", "completed"), ("gone-2", "processing")):
        cleared(world, name)
        event = world.wait_event(name, event_type="deleted").json
        assert event["previous"] == previous
        assert_nothing_left(world, name)
    world.recorder.wait_topic(of_bridge("jobs"), total=1)


def test_the_event_of_a_job_that_is_gone_names_its_sample(world):
    """However the bridge learns of it: by a command, from the list, or from the list after a restart,
    when the name is known from the retained topic alone."""
    names = ("by-command", "by-list", "by-restart")
    world.start([job(name, "completed") for name in names])
    assert world.command("by-command", "delete")["ok"]
    world.simulator.vanish("by-list")
    world.refresh()
    world.wait_event("by-list", event_type="deleted")
    world.bridge.stop()
    world.simulator.vanish("by-restart")
    world.bridge.start()
    for name, source in zip(names, ("command", "command", "list")):
        event = world.wait_event(name, event_type="deleted").json
        assert (event["sample_name"], event["previous"], event["source"]) == (
            f"Sample {name}", "completed", source)


def test_an_empty_list_is_a_complete_list(world):
    """No jobs at all is an answer too."""
    world.start([job("gone-1", "completed")])
    world.simulator.put_jobs([])
    world.refresh()
    cleared(world, "gone-1")


def test_a_late_event_does_not_bring_it_back(world):
    """Only the list can show a deleted job again."""
    world.start([job("gone-1", "completed")])
    assert world.command("gone-1", "delete")["ok"]
    last = cleared(world, "gone-1").position
    world.simulator.emit({"job_id": "gone-1", "status": "completed", "message": "late"})
    world.stream_marker()
    assert not world.states("gone-1", last + 1)
    assert len(world.events("gone-1")) == 1
    assert "aiva/jobs/gone-1/state" not in world.retained()


def test_the_list_brings_it_back(world):
    """A job that the list shows again is a job again, and the stream may speak of it."""
    world.start([job("gone-1", "completed")])
    assert world.command("gone-1", "delete")["ok"]
    last = cleared(world, "gone-1").position
    world.simulator.set_job("gone-1", quiet=True, status="queued")
    world.refresh()
    world.wait_state("gone-1", last + 1, status="queued")
    world.simulator.set_job("gone-1", status="processing")
    world.wait_state("gone-1", last + 1, status="processing")


def test_an_event_of_a_job_thought_gone_makes_the_list_decide(world):
    """It may be late, or the job may be back: the list is asked, and not only at the next resync."""
    world.start([job("back-1", "queued"), job("late-1", "completed")], {"aiva.list_interval_s": 1})
    world.simulator.put_jobs([])
    world.refresh()
    last = max(cleared(world, name).position for name in ("back-1", "late-1"))
    world.simulator.emit({"job_id": "late-1", "status": "completed"})
    world.simulator.set_job("back-1", status="processing")
    world.wait_state("back-1", last + 1, status="processing")
    assert not world.states("late-1", last + 1)


def assert_a_bad_list_deletes_nothing(world, fault):
    """The list goes wrong once; the two jobs that it ought to show stay."""
    since = world.recorder.mark()
    lists = world.simulator.requests("list")
    world.simulator.fault("list", **({"status": 200} if "body" in fault else {}), **fault)
    world.recorder.publish(of_bridge("command/refresh"), b"x")
    wait_until(lambda: world.simulator.requests("list") > lists, "the list")
    world.recorder.wait_topic(of_bridge("result"), since, 60)
    for name in ("stays", "other"):
        assert not world.events(name)
        assert all(message.payload for message in world.states(name))


@pytest.mark.parametrize("fault", [
    {"status": 500}, {"status": 404}, {"status": 302, "location": "/x"}, {"cut_after": 1},
    {"cut_after": 60}, {"body": ""}, {"body": "[]x"}, {"body": "["},
    {"body": '[{"job_id":"other","status":"completed"}'}, {"body": '{"jobs":[]}'},
    {"body": "null"}, {"body": '{"detail":"no"}'}], ids=str)
def test_a_list_that_failed_deletes_nothing(shared, fault):
    """Failed, cut short or not parsed: the jobs stay."""
    assert_a_bad_list_deletes_nothing(shared, fault)


def test_a_list_that_was_refused_deletes_nothing(world):
    """The same where the key is not good."""
    world.start(SHARED_JOBS)
    assert_a_bad_list_deletes_nothing(world, {"status": 401})


def test_a_status_call_of_404_makes_the_list_decide(world):
    """Gone where the list does not have it either; it stays where the list has it."""
    world.start([job("gone-1"), job("stays")])
    wait_until(lambda: world.simulator.requests("status") == 2, "the snapshot")
    world.simulator.fault("status", status=404, body='{"detail":"?"}')
    assert world.command("stays", "refresh")["error"] == "not_found"
    world.simulator.vanish("gone-1")
    assert world.command("gone-1", "refresh")["error"] == "not_found"
    cleared(world, "gone-1")
    assert world.wait_event("gone-1", event_type="deleted").json["previous"] == "processing"
    assert_nothing_left(world, "gone-1")
    assert not world.events("stays")
    assert all(message.payload for message in world.states("stays"))


def test_a_list_that_contradicts_is_not_read_in_a_circle(world):
    """The list shows jobs that the status call does not find: the times between double."""
    world.simulator.put_jobs([job("one"), job("two")])
    world.simulator.fault("status", status=404, times=0, body='{"detail":"no"}')
    world.bridge.start()
    wait_until(lambda: world.simulator.requests("list") >= 3, "two more lists", 40)
    times = [line["at_ms"] for line in world.simulator.stats()["log"] if line["kind"] == "list"]
    assert 4900 <= times[1] - times[0] <= 8000
    assert times[2] - times[1] >= 9900
    assert not world.events("one")


def test_a_404_while_an_older_list_is_under_way(world):
    """That list still has the job, and only adds: another one is read after it."""
    world.start([job("gone-1", "completed")], {"aiva.list_interval_s": 1})
    world.simulator.fault("list", delay_ms=1500, after_work=True)
    lists = world.simulator.requests("list")
    world.simulator.set_job("new", status="queued")
    wait_until(lambda: world.simulator.requests("list") > lists, "the list for details")
    world.simulator.vanish("gone-1")
    assert world.command("gone-1", "refresh")["error"] == "not_found"
    cleared(world, "gone-1")


@pytest.mark.slow
def test_finished_jobs_can_be_cleared_after_hours(world):
    """`jobs.keep_finished_h`: cleared without a `deleted` event, for the job still exists."""
    recent = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    jobs = [job("old", "completed", completed_at="2026-03-09T10:45:00Z"),
            job("young", "completed", completed_at=recent), job("going", "processing")]
    world.start(jobs)
    assert of_job("old", "state") in world.retained()
    since = world.recorder.mark()
    world.bridge.stop()
    world.bridge.start({"jobs.keep_finished_h": 1})
    world.wait_upstream("streaming", since)
    wait_until(lambda: of_job("old", "state") not in world.retained("aiva/jobs/#"),
               "the old job to be cleared", 90, 0.5)
    world.stream_marker()
    found = world.retained("aiva/jobs/#")
    assert of_job("young", "state") in found and of_job("going", "state") in found
    assert not world.events("old")


def test_a_restart_announces_no_expired_job(world):
    """What `jobs.keep_finished_h` has cleared is still in the list: it is no news, and stays
    cleared."""
    config = {"jobs.keep_finished_h": 1}
    world.simulator.put_jobs([job("old", "completed", completed_at="2026-03-09T10:45:00Z"),
                              job("going")])
    world.bridge.start(config)
    world.wait_state("going")
    world.stream_marker()
    world.bridge.stop()
    since = world.recorder.mark()
    world.start(config=config)
    world.stream_marker()
    assert not world.events("old")
    assert not any(message.payload for message in world.states("old", since))
    assert of_job("old", "state") not in world.retained("aiva/jobs/#")
