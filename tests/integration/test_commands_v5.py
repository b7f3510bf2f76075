"""Commands with MQTT 5: Response Topic and Correlation Data."""

import pytest
from harness.topics import of_bridge, of_job

SHARED_CONFIG = {"commands.rate_per_s": 1000, "commands.burst": 1000}

REFUSED = ["+", "reply/+", "reply/#", "#", "$SYS/reply", "$share/a/b", "homeassistant/reply",
           "homeassistant/sensor/x/config", "aiva/bridge/state", "aiva/bridge/upstream",
           "aiva/jobs/other/state", "aiva/jobs/other/command/delete", "aiva/responses/x",
           "aiva/x/response/y", "aiva/Response/x"]


@pytest.mark.parametrize("topic", ["reply/to/me", "aiva/response/me", "aivary/reply",
                                   "homeassistants/reply"])
@pytest.mark.parametrize("correlation", [b"\x00\xff 42", None])
def test_the_answer_goes_to_the_response_topic(shared, topic, correlation):
    """The same payload with the request's Correlation Data, not retained."""
    name = shared.create("processing")
    since = shared.send_command(name, "refresh", b'{"id": 1}', response_topic=topic,
                                correlation=correlation)
    answer = shared.recorder.wait_topic(topic, since)
    assert answer.payload == shared.recorder.wait_topic(of_job(name, "result"), since).payload
    assert answer.json["ok"] and answer.json["id"] == 1
    assert answer.property("CorrelationData") == correlation
    assert answer.property("ContentType") == "application/json"
    assert answer.property("PayloadFormatIndicator") == 1
    assert not answer.retain
    shared.command_marker()
    assert len(shared.recorder.select(topic, since)) == 1
    assert len(shared.recorder.select(of_job(name, "result"), since)) == 1


def test_the_bridge_command_answers_there_too(shared):
    """The same for the bridge's own command."""
    since = shared.recorder.mark()
    shared.recorder.publish(of_bridge("command/refresh"), b"x", response_topic="reply/bridge",
                            correlation=b"7")
    answer = shared.recorder.wait_topic("reply/bridge", since)
    assert answer.property("CorrelationData") == b"7"
    assert answer.json["command"] == "refresh" and answer.json["ok"]


@pytest.mark.parametrize("leaf, error", [
    ("command/explode", "bad_topic"), ("command/cancel", "rejected")])
def test_errors_answer_there_too(shared, leaf, error):
    """Whoever asks learns of the refusal."""
    name = shared.create("completed")
    since = shared.recorder.mark()
    shared.recorder.publish(of_job(name, leaf), b"x", response_topic="reply/error",
                            correlation=b"e")
    answer = shared.recorder.wait_topic("reply/error", since)
    assert answer.json["error"] == error and answer.property("CorrelationData") == b"e"


@pytest.mark.parametrize("topic", REFUSED)
def test_nobody_speaks_in_the_bridges_name(shared, topic):
    """The answer goes to `result` alone; the refusal is logged."""
    name = shared.create("processing")
    before = len(shared.bridge.output())
    since = shared.send_command(name, "refresh", response_topic=topic, correlation=b"c")
    answer = shared.recorder.wait_topic(of_job(name, "result"), since)
    assert answer.json["ok"]
    shared.command_marker()
    assert not shared.recorder.select(topic, since)
    spoken = [message for message in shared.recorder.messages[since:]
              if message.payload == answer.payload]
    assert len(spoken) == 1
    assert len(shared.bridge.output()) > before


def test_a_response_topic_of_too_many_levels_is_refused(shared):
    """mosquitto ends the connection for more than 200 levels: the answer goes to `result` alone,
    and the connection stays."""
    name = shared.create("processing")
    topic = "x/" * 250 + "y"
    online = len(shared.recorder.select(of_bridge("state")))
    since = shared.send_command(name, "refresh", response_topic=topic)
    assert shared.recorder.wait_topic(of_job(name, "result"), since).json["ok"]
    shared.command_marker()
    assert not shared.recorder.select(topic, since)
    assert len(shared.recorder.select(of_bridge("state"))) == online
    assert shared.bridge.output().count("connected to the broker ") == 1


def test_the_configured_names_are_protected(world):
    """Root and discovery prefix are those of the configuration."""
    world.simulator.put_jobs([{"job_id": "one", "status": "processing"}])
    world.bridge.start({"mqtt.topic": "lab", "homeassistant.prefix": "ha"})
    world.recorder.wait_topic(of_job("one", "state", "lab"))
    world.recorder.wait_topic(of_bridge("upstream", "lab"), state="streaming")
    for topic, allowed in (("lab/x", False), ("ha/x", False), ("aiva/bridge/state", True),
                           ("homeassistant/x", True), ("lab/response/x", True)):
        since = world.recorder.mark()
        world.recorder.publish(of_job("one", "command/refresh", "lab"), b"x",
                               response_topic=topic)
        world.recorder.wait_topic(of_job("one", "result", "lab"), since)
        since = world.recorder.mark()
        world.recorder.publish(of_job("one", "command/refresh", "lab"), b"x",
                               response_topic="reply/marker")
        marker = world.recorder.wait_topic("reply/marker", since)
        found = [message for message in world.recorder.select(topic)
                 if message.position < marker.position]
        assert bool(found) == allowed, topic
