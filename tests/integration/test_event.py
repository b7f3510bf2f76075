"""A job's event topic: one message for each change of status, and none for anything else."""

import pytest
from harness.topics import of_job
from harness.waiting import wait_until
from harness.world import job

SHARED_JOBS = (job("found", "processing", progress=1), job("old", "completed"))


def shown(event, *names):
    return tuple(event.get(name) for name in names)


def test_a_new_job_has_no_previous_status(shared):
    """The stream announces a job that nobody has seen."""
    name = shared.new_name()
    shared.simulator.set_job(name, status="queued", sample_name="S", message="Hello")
    event = shared.wait_event(name).json
    assert "previous" in event and event["previous"] is None
    assert shown(event, "job_id", "event_type", "source", "sample_name", "message") == (
        name, "queued", "stream", "S", "Hello")


def test_each_change_of_status_is_one_event(shared):
    """From one status to the next, with the status before."""
    name = shared.create("upload_pending")
    for status in ("queued", "processing", "completed"):
        shared.simulator.set_job(name, status=status)
    shared.wait_event(name, event_type="completed")
    assert [shown(event, "previous", "event_type") for event in shared.events(name)] == [
        (None, "upload_pending"), ("upload_pending", "queued"), ("queued", "processing"),
        ("processing", "completed")]


def test_progress_is_no_event(shared):
    """Neither progress nor a repeated status is a change."""
    name = shared.create("processing", progress=1)
    for progress in (2, 3):
        shared.simulator.set_job(name, status="processing", progress=progress)
    shared.simulator.set_job(name, status="processing")
    shared.stream_marker()
    assert len(shared.events(name)) == 1


def test_an_unknown_status_is_an_event_of_its_name(shared):
    """New states are published as they stand."""
    name = shared.create("processing")
    shared.simulator.set_job(name, status="on_hold")
    event = shared.wait_event(name, event_type="on_hold").json
    assert event["previous"] == "processing"


def test_sample_name_is_known_from_the_list(shared):
    """An event tells the sample name also where the stream does not."""
    shared.simulator.set_job("found", status="failed", message="Disk full")
    event = shared.wait_event("found").json
    assert shown(event, "previous", "sample_name", "message") == (
        "processing", "Sample found", "Disk full")


def test_jobs_found_at_the_first_start_are_no_events(shared):
    """They were there before; nothing has changed."""
    shared.stream_marker()
    assert not shared.events("old")
    assert all(event["previous"] is not None for event in shared.events("found"))


def test_a_refresh_that_finds_a_change_is_a_command(shared):
    """source `command`: the bridge learnt it from the answer to a command."""
    name = shared.create("queued")
    shared.simulator.set_job(name, quiet=True, status="processing")
    assert shared.command(name, "refresh")["ok"]
    event = shared.wait_event(name, event_type="processing").json
    assert shown(event, "previous", "source") == ("queued", "command")


def test_a_cancel_is_one_event(shared):
    """The stream and the answer say the same: one of them is the source."""
    name = shared.create("processing")
    assert shared.command(name, "cancel")["ok"]
    shared.wait_event(name, event_type="cancelled")
    shared.stream_marker()
    shared.command_marker()
    cancelled = [event for event in shared.events(name) if event["event_type"] == "cancelled"]
    assert len(cancelled) == 1
    assert cancelled[0]["previous"] == "processing"
    assert cancelled[0]["source"] in ("stream", "command")


def test_a_delete_is_an_event(shared):
    """event_type `deleted`, source `command`."""
    name = shared.create("completed")
    assert shared.command(name, "delete")["ok"]
    event = shared.wait_event(name, event_type="deleted").json
    assert shown(event, "previous", "source") == ("completed", "command")


def test_changes_that_the_list_tells(world):
    """New, changed and vanished jobs in the next list while streaming: source `list`."""
    world.start([job("changed", "queued"), job("gone", "completed"), job("same", "completed")],
                {"aiva.resync_interval_s": 1})
    world.simulator.put_jobs([job("changed", "completed"), job("same", "completed"),
                              job("fresh", "completed")])
    told = {name: world.wait_event(name).json for name in ("changed", "gone", "fresh")}
    # An unfinished job's own status call may be ahead of the list.
    assert shown(told["changed"], "previous", "event_type") == ("queued", "completed")
    assert told["changed"]["source"] in ("list", "poll")
    assert shown(told["gone"], "previous", "event_type", "source") == (
        "completed", "deleted", "list")
    assert shown(told["fresh"], "previous", "event_type", "source") == (None, "completed", "list")
    assert not world.events("same")


def test_changes_that_a_poll_tells(world):
    """A status call of the bridge's own: source `poll`."""
    world.simulator.put_jobs([job("one", "queued")])
    world.bridge.start({"aiva.mode": "poll", "aiva.poll_interval_s": 1,
                        "aiva.list_interval_s": 600})
    world.wait_state("one", status="queued")
    world.wait_upstream("polling")
    wait_until(lambda: world.simulator.requests("status") > 0, "a poll")
    world.simulator.set_job("one", quiet=True, status="processing")
    event = world.wait_event("one").json
    assert shown(event, "previous", "event_type", "source") == ("queued", "processing", "poll")


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_an_ended_job_may_begin_again(shared, status):
    """The upstream is the judge: any change of status counts."""
    name = shared.create(status)
    shared.simulator.set_job(name, status="queued")
    event = shared.wait_event(name, event_type="queued").json
    assert event["previous"] == status
    assert shared.recorder.last(of_job(name, "state")).json["status"] == "queued"
