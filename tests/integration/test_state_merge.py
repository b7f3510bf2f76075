"""A job's state topic: what list, stream and status gave, merged; the latest value wins."""

import json
import time
from datetime import datetime, timezone

import pytest
from harness.raw import raw_member
from harness.topics import TIME_MS, of_job
from harness.world import CREATED, job

SHARED_JOBS = (
    job("seen", "processing", progress=12, message="Aligning", updated_at="2026-03-09T10:35:00Z"),
    job("ended", "completed", completed_at="2026-03-09T10:45:00Z"),
)

RAW_VALUES = {
    "big": "12345678901234567890",
    "precise": "9007199254740993",
    "ratio": "1.10",
    "power": "1E+2",
    "large": "1e308",
    "minus": "-0",
    "nested": '{ "a" : [1, 2 ,{"b":null}],  "c": "x" }',
    "array": "[ ]",
    "escapes": r'"\u00e9\ud83d\ude00 \/ \u0041 \"q\" \\ \t"',
    "plain": '"é😀 %s %n / \x7f"',
    "nul": r'"a\u0000b"',
    "nothing": "null",
    "no": "false",
    "empty": '""',
    "a name with spaces": "1",
    "ünïcode": '"name"',
}


def text_of(name, status, **raw):
    """An event's text with raw values."""
    members = "".join(f", {json.dumps(key, ensure_ascii=False)}: {value}"
                      for key, value in raw.items())
    return f'{{"job_id": "{name}", "status": "{status}"{members}}}'.encode()


def test_list_and_status_are_merged(shared):
    """The list gives sample name and times, the status call progress and message."""
    state = shared.recorder.wait_topic(of_job("seen", "state"), progress=12).json
    assert state.pop("observed_at")
    assert state == SHARED_JOBS[0]


def test_an_ended_job_has_what_the_list_gives(shared):
    """No status call is needed for an ended job; completed shows 100."""
    state = shared.recorder.last(of_job("ended", "state")).json
    assert state.pop("observed_at")
    assert state == {**SHARED_JOBS[1], "progress": 100}


def test_the_stream_is_merged_into_what_is_known(shared):
    """An event changes what it gives and leaves the rest."""
    name = shared.create("processing", progress=5, message="Reading", lane=3)
    shared.simulator.set_job(name, status="processing", progress=6)
    state = shared.wait_state(name, progress=6).json
    assert state["message"] == "Reading" and state["lane"] == 3
    assert state["sample_name"] == f"Sample {name}" and state["created_at"] == CREATED


def test_the_latest_value_wins(shared):
    """Known and unknown members take the newest value, also another type."""
    name = shared.create("processing", progress=5, note="a")
    shared.simulator.set_job(name, status="processing", progress=4.5, note=[1],
                           sample_name="Renamed")
    state = shared.wait_state(name, progress=4.5).json
    assert state["note"] == [1] and state["sample_name"] == "Renamed"


def test_refresh_brings_what_only_the_status_call_gives(shared):
    """Members that change in silence come with the next status call."""
    name = shared.create("processing", progress=5)
    shared.simulator.set_job(name, quiet=True, updated_at="2026-03-09T11:00:00Z", reads=77)
    since = shared.send_command(name, "refresh")
    shared.wait_state(name, since, updated_at="2026-03-09T11:00:00Z", reads=77, progress=5)


@pytest.mark.parametrize("member", RAW_VALUES)
def test_unknown_members_pass_untouched_from_the_stream(shared, member):
    """The value's text is published byte for byte."""
    name = shared.new_name()
    shared.simulator.set_job(name, text=text_of(name, "queued", **{member: RAW_VALUES[member]}))
    state = shared.recorder.wait_topic(of_job(name, "state"))
    assert raw_member(state.payload, member) == RAW_VALUES[member]


def test_unknown_members_pass_untouched_from_list_and_status(world):
    """The same for what a list and a status call give, and for all of them at once."""
    values = {member: value for member, value in RAW_VALUES.items() if member != "nul"}
    jobs = [text_of("ended", "completed", **values), text_of("going", "queued", **values)]
    world.simulator.put_jobs(b"[" + b",".join(jobs) + b"]")
    world.bridge.start()
    for name in ("ended", "going"):
        state = world.recorder.wait_topic(of_job(name, "state"))
        for member, value in values.items():
            assert raw_member(state.payload, member) == value


def test_a_nul_in_one_job_does_not_hide_the_list(world):
    """A text that C cannot hold is that job's affair; the others are published."""
    jobs = [text_of("odd", "completed", nul=RAW_VALUES["nul"]), text_of("even", "completed")]
    world.simulator.put_jobs(b"[" + b",".join(jobs) + b"]")
    world.bridge.start()
    world.wait_state("even")


def test_raw_values_survive_later_events(shared):
    """A value that came once is still untouched when another event is merged."""
    name = shared.new_name()
    shared.simulator.set_job(name, text=text_of(name, "queued", big=RAW_VALUES["big"], keep="1.10"))
    shared.simulator.set_job(name, status="processing")
    state = shared.wait_state(name, status="processing")
    assert raw_member(state.payload, "big") == RAW_VALUES["big"]
    assert raw_member(state.payload, "keep") == "1.10"


def test_names_differ_by_case(shared):
    """Job_ID is a member like any other, not the id."""
    name = shared.new_name()
    shared.simulator.set_job(name, **{"Job_ID": "evil", "STATUS": "x", "status": "queued"})
    state = shared.wait_state(name).json
    assert state["Job_ID"] == "evil" and state["STATUS"] == "x" and state["status"] == "queued"
    assert not shared.states("evil")


def test_a_change_of_status_drops_progress_and_message(shared):
    """They belong to the status they came with."""
    name = shared.create("processing", progress=30, message="Aligning", lane=1)
    shared.simulator.set_job(name, status="failed")
    state = shared.wait_state(name, status="failed").json
    assert "progress" not in state and "message" not in state and state["lane"] == 1


def test_a_change_of_status_keeps_what_it_brings(shared):
    """A message that comes with the change is shown; progress that does not is dropped."""
    name = shared.create("processing", progress=30, message="Aligning")
    shared.simulator.set_job(name, status="failed", message="Out of memory")
    state = shared.wait_state(name, status="failed").json
    assert state["message"] == "Out of memory" and "progress" not in state


def test_completed_shows_100(shared):
    """Completed without a progress is complete."""
    name = shared.create("processing", progress=30)
    shared.simulator.set_job(name, status="completed")
    assert shared.wait_state(name, status="completed").json["progress"] == 100


def test_completed_shows_its_own_progress(shared):
    """Where the upstream says otherwise, it knows better."""
    name = shared.create("processing", progress=30)
    shared.simulator.set_job(name, status="completed", progress=97)
    assert shared.wait_state(name, status="completed").json["progress"] == 97


def test_the_bridge_adds_observed_at_and_nothing_else(shared):
    """RFC 3339, UTC, milliseconds; the time at which the bridge learnt it."""
    name = shared.new_name()
    before = time.time()
    shared.simulator.set_job(name, status="queued", x=1)
    state = shared.wait_state(name).json
    assert state.keys() == {"job_id", "status", "x", "observed_at"}
    assert TIME_MS.match(state["observed_at"])
    observed = datetime.fromisoformat(state["observed_at"].replace("Z", "+00:00"))
    assert observed.tzinfo == timezone.utc
    assert before - 0.1 <= observed.timestamp() <= time.time() + 0.1


HIDDEN = "Erika Mustermann 4711"


def test_hidden_members_are_published_nowhere(world):
    """`jobs.hide` holds for state, event, answer and discovery, whatever the source."""
    hidden = {"sample_name": HIDDEN, "note": f"about {HIDDEN}", "message": f"for {HIDDEN}"}
    config = {"jobs.hide": ["sample_name", "note", "message"], "homeassistant.enabled": True}
    world.start([job("old", "completed", **hidden), job("one", progress=1, **hidden)], config)
    world.simulator.set_job("one", status="processing", progress=2, **hidden)
    world.wait_state("one", progress=2)
    assert world.command("one", "refresh")["ok"]
    assert world.command("one", "cancel")["ok"]
    world.wait_event("one", event_type="cancelled")
    assert world.command("old", "delete")["ok"]
    world.wait_event("old", event_type="deleted")
    world.stream_marker()
    for message in world.recorder.messages:
        assert HIDDEN.encode() not in message.payload, message
        assert HIDDEN not in message.topic
    assert all(not {"sample_name", "note", "message"} & one.json.keys()
               for one in world.states("one"))


def test_a_member_hidden_later_goes_from_what_is_retained(world):
    """A restart with a longer `jobs.hide` takes the member off the broker too."""
    world.start([job("one", sample_name=HIDDEN)])
    world.bridge.stop()
    since = world.start(config={"jobs.hide": ["sample_name"]})
    world.wait_state("one", since)
    world.stream_marker()
    assert not any(HIDDEN.encode() in one.payload for one in world.retained().values())
