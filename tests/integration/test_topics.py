"""The topics that the bridge publishes: retained flag, QoS, members and MQTT 5 properties."""

import re
from datetime import datetime, timedelta, timezone

import pytest
from harness.topics import STATES, TIME, TIME_MS, of_bridge, of_job
from harness.world import job

SHARED_JOBS = (
    job("waiting", "queued", progress=0, message="In the queue"),
    job("running", progress=10, message="Aligning"),
    job("done", "completed"),
    job("broken", "failed"),
)


@pytest.fixture(scope="module")
def story(shared_world):
    """The record of a bridge that saw a change, two commands and the end of a job."""
    world = shared_world
    world.simulator.set_job("running", status="processing", progress=55, message="Annotating")
    world.wait_state("running", progress=55)
    world.simulator.set_job("waiting", status="processing", progress=1)
    world.wait_event("waiting", event_type="processing")
    assert world.command("running", "refresh")["ok"]
    assert world.refresh()["ok"]
    assert world.command("broken", "delete")["ok"]
    world.recorder.wait_for(
        lambda message: message.topic == of_job("broken", "state") and not message.payload)
    world.recorder.wait_topic(of_bridge("jobs"), total=3)
    world.bridge.stop()
    world.recorder.wait_for(
        lambda message: message.topic == of_bridge("state") and message.payload == b"offline")
    return world.recorder


def newest_json(story, topic):
    return [message for message in story.select(topic) if message.payload][-1]


RETAINED = [of_bridge("state"), of_bridge("info"), of_bridge("upstream"), of_bridge("jobs"),
            of_job("running", "state"), of_job("done", "state")]
PASSING = [of_bridge("result"), of_job("waiting", "event"), of_job("broken", "event"),
           of_job("running", "result")]
JSON_TOPICS = RETAINED[1:] + PASSING


@pytest.mark.parametrize("topic", RETAINED)
def test_what_holds_is_retained(story, topic):
    """State topics are retained each time they are published."""
    messages = story.select(topic)
    assert messages and all(message.retain for message in messages)


@pytest.mark.parametrize("topic", PASSING)
def test_what_passes_is_not_retained(story, topic):
    """Events and answers are not retained."""
    messages = story.select(topic)
    assert messages and not any(message.retain for message in messages)


def test_everything_is_published_with_qos_1(story):
    """QoS 1 is the default for all topics, clearing included."""
    published = [message for message in story.messages if "/command/" not in message.topic]
    assert {message.qos for message in published} == {1}


def test_nothing_is_published_outside_the_root(story):
    """All topics lie below the configured root."""
    assert all(message.topic.startswith("aiva/") for message in story.messages)


@pytest.mark.parametrize("topic", JSON_TOPICS)
def test_json_carries_its_content_type(story, topic):
    """JSON payloads are marked as UTF-8 text of type application/json."""
    message = newest_json(story, topic)
    assert message.property("ContentType") == "application/json"
    assert message.property("PayloadFormatIndicator") == 1
    assert isinstance(message.json, dict)


def test_plain_text_carries_no_content_type(story):
    """`online` and `offline` are not JSON."""
    messages = story.select(of_bridge("state"))
    assert {message.text for message in messages} == {"online", "offline"}
    assert all(message.property("ContentType") is None for message in messages)


def test_clearing_carries_no_content_type(story):
    """The empty payload that clears a topic has no content type: there is nothing to parse."""
    cleared = [message for message in story.messages
               if not message.payload and "/command/" not in message.topic]
    assert of_job("broken", "state") in {message.topic for message in cleared}
    assert all(message.property("ContentType") is None for message in cleared)
    assert all(message.retain for message in cleared)


def test_bridge_state_begins_online_and_ends_offline(story):
    """`online` comes with the connection, `offline` is the last word before an orderly stop."""
    said = [message.text for message in story.select(of_bridge("state"))]
    assert said[0] == "online" and said[-1] == "offline" and said.count("offline") == 1


def test_bridge_info_has_its_members(story, shared_world):
    """Version, start, upstream and the number of the contract."""
    info = newest_json(story, of_bridge("info")).json
    assert info["contract"] == 1
    assert isinstance(info["version"], str) and info["version"]
    assert TIME.match(info["started_at"])
    assert info["upstream_url"].rstrip("/") == shared_world.simulator.url


def test_bridge_upstream_has_its_members(story):
    """State, since when, and a detail for people."""
    for message in story.select(of_bridge("upstream")):
        upstream = message.json
        assert {"state", "since", "detail"} <= upstream.keys()
        assert upstream["state"] in (
            "connecting", "streaming", "polling", "unauthorized", "unavailable")
        assert TIME.match(upstream["since"])


def test_bridge_jobs_counts_each_state(story):
    """The total and a count for each of the six states, zeros included."""
    counts = newest_json(story, of_bridge("jobs")).json
    assert counts["total"] == 3
    assert {state: counts[state] for state in STATES} == {
        "upload_pending": 0, "queued": 0, "processing": 2, "completed": 1, "failed": 0,
        "cancelled": 0}


def test_job_state_has_its_members(story):
    """What the upstream gave, and when the bridge learnt it."""
    state = newest_json(story, of_job("running", "state")).json
    assert state["job_id"] == "running" and state["status"] == "processing"
    assert state["sample_name"] == "Sample running"
    assert state["progress"] == 55 and state["message"] == "Annotating"
    assert TIME_MS.match(state["observed_at"])


def test_event_has_its_members_and_no_others(story):
    """An event holds the members of the contract only."""
    event = newest_json(story, of_job("waiting", "event")).json
    assert {"job_id", "event_type", "previous", "observed_at", "source"} <= event.keys()
    assert event.keys() <= {"job_id", "event_type", "previous", "sample_name", "message",
                            "observed_at", "source"}
    assert TIME_MS.match(event["observed_at"])


def test_times_are_when_the_bridge_learnt_it(story):
    """In UTC: none lies before the start or in the future, and none goes back on a topic."""
    started = datetime.fromisoformat(
        newest_json(story, of_bridge("info")).json["started_at"].replace("Z", "+00:00"))
    now = datetime.now(timezone.utc)
    assert timedelta(0) <= now - started < timedelta(minutes=5)
    for topic in (of_job("running", "state"), of_job("waiting", "state"), of_job("waiting", "event"),
                  of_job("broken", "event")):
        times = [datetime.fromisoformat(message.json["observed_at"].replace("Z", "+00:00"))
                 for message in story.select(topic) if message.payload]
        assert times and times == sorted(times)
        assert started <= times[0] + timedelta(milliseconds=1) and times[-1] <= now


@pytest.mark.parametrize("qos", [0, 2])
def test_qos_is_configurable(world, qos):
    """`mqtt.qos` holds for everything that is published."""
    world.start([job("one")], {"mqtt.qos": qos})
    world.command("one", "refresh")
    published = [message for message in world.recorder.messages
                 if "/command/" not in message.topic]
    assert {message.qos for message in published} == {qos}


def test_root_is_configurable(world):
    """`mqtt.topic` may have several levels; nothing stays under the default root."""
    root = "lab/floor 2/aiva"
    world.simulator.put_jobs([job("one")])
    world.bridge.start({"mqtt.topic": root})
    world.recorder.wait_topic(of_job("one", "state", root), status="processing")
    since = world.recorder.mark()
    world.recorder.publish(of_job("one", "command/cancel", root), b"x")
    assert world.recorder.wait_topic(of_job("one", "result", root), since).json["ok"]
    world.bridge.stop()
    assert world.retained()[of_bridge("state", root)].payload == b"offline"
    assert all(message.topic.startswith(root + "/") for message in world.recorder.messages)


def test_an_unknown_state_is_counted_under_its_name(world):
    """A state that is not documented is published and counted as it stands."""
    world.start([job("one")])
    world.simulator.set_job("one", status="archived")
    world.wait_state("one", status="archived")
    world.recorder.wait_topic(of_bridge("jobs"), archived=1, processing=0, total=1)


def test_counts_are_gathered_up(world):
    """`bridge/jobs` comes at most once a second, and the last counts come in the end."""
    world.start()
    since = world.recorder.mark()
    for number in range(40):
        world.simulator.set_job(f"n{number}", status="queued")
    world.recorder.wait_topic(of_bridge("jobs"), since, total=40)
    times = [message.at for message in world.recorder.select(of_bridge("jobs"))]
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    assert all(gap > 0.8 for gap in gaps), gaps


def test_the_last_counts_are_not_lost_at_the_end(world):
    """What waits is sent before an orderly stop, the gathered counts too."""
    world.start([job("one", "completed")])
    world.simulator.set_job("two", status="queued")
    world.wait_state("two")
    world.bridge.stop()
    assert world.retained()[of_bridge("jobs")].shows(total=2, completed=1, queued=1)


def test_it_subscribes_to_nothing_else(make_world):
    """Commands and its own state for good; its own retained topics only while it starts."""
    world = make_world(broker={"options": ["log_type subscribe", "log_type unsubscribe"]})
    world.start([job("one")])
    assert world.command("one", "refresh")["ok"]
    held, released = set(), set()
    for line in world.broker.output().splitlines():
        if found := re.fullmatch(r"\d+: aiva-mqtt-bridge (\d )?(aiva/\S+|#)", line):
            (held if found[1] else released).add(found[2])
    assert of_bridge("state") in held
    for topic in held - released - {of_bridge("state")}:
        assert re.fullmatch(r"aiva/(jobs/\+|bridge)/command/(\+|cancel|delete|refresh)", topic)
    for topic in released:
        assert re.fullmatch(r"aiva/(jobs/\+|bridge)/(\+|state|jobs|info|upstream)", topic)
