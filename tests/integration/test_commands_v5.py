"""Commands with MQTT 5: Response Topic and Correlation Data."""

import pytest
from harness.topics import of_bridge, of_job
from harness.world import job
from harness.waiting import wait_until

SHARED_CONFIG = {"commands.rate_per_s": 1000, "commands.burst": 1000,
                 "commands.response_topics": ["reply", "aivary"]}

REFUSED = ["my/reply", "reply", "replys/x", "other/jobs/job_1/command/delete",
           "reply/jobs/job_1/command/delete", "reply/command", "aiva/response/command/x",
           "aiva/response", "homeassistants/reply",
           "$SYS/reply", "$share/a/b", "homeassistant/reply",
           "homeassistant/sensor/x/config", "aiva/bridge/state", "aiva/bridge/upstream",
           "aiva/jobs/other/state", "aiva/jobs/other/command/delete", "aiva/responses/x",
           "aiva/x/response/y", "aiva/Response/x"]


WILDCARDS = ["+", "reply/+", "reply/#", "#"]


@pytest.mark.parametrize("topic", ["reply/to/me", "aiva/response/me", "aivary/reply",
                                   "aiva/response/commands"])
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
def test_nobody_publishes_with_the_bridges_rights(shared, topic):
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
    wait_until(lambda: len(shared.bridge.output()) > before, "a line of the log")


def test_wildcards_are_no_response_topics(bad):
    """Some brokers pass them on; mosquitto since 2.0.21 ends the connection of the client that names one."""
    bad.start([job("one")], {"commands.response_topics": ["reply"]})
    for number, topic in enumerate(WILDCARDS):
        bad.recorder.publish(of_job("one", "command/refresh"), b'{"id": %d}' % number, response_topic=topic)
        bad.recorder.wait_topic(of_job("one", "result"), id=number)
    bad.recorder.publish(of_job("one", "command/refresh"), b'{"id": 99}', response_topic="reply/marker")
    bad.recorder.wait_topic("reply/marker", id=99)
    assert not {message.topic for message in bad.recorder.messages} & set(WILDCARDS)
    assert bad.bridge.output().count("connected to the broker ") == 1


def test_a_response_topic_of_too_many_levels_is_refused(bad):
    """mosquitto ends the connection for more than 200 levels (since 2.0.21 also that of the client that names
    such a topic): the answer goes to `result` alone, and the connection stays."""
    bad.start([job("one")], {"commands.response_topics": ["reply"]})
    topic = "reply/" + "x/" * 250 + "y"
    bad.recorder.publish(of_job("one", "command/refresh"), b'{"id": 1}', response_topic=topic)
    assert bad.recorder.wait_topic(of_job("one", "result"), id=1).json["ok"]
    bad.recorder.publish(of_job("one", "command/refresh"), b'{"id": 99}', response_topic="reply/marker")
    bad.recorder.wait_topic("reply/marker", id=99)
    assert topic not in {message.topic for message in bad.recorder.messages}
    assert bad.bridge.output().count("connected to the broker ") == 1


@pytest.mark.parametrize("more", [[], ["reply/to"]])
def test_only_the_configured_topics_are_allowed(world, more):
    """None but those below the root's `response` by default. The marker is one that is."""
    world.simulator.put_jobs([{"job_id": "one", "status": "processing"}])
    world.bridge.start({"mqtt.topic": "lab", "homeassistant.prefix": "ha",
                        "commands.response_topics": more})
    world.recorder.wait_topic(of_job("one", "state", "lab"))
    world.recorder.wait_topic(of_bridge("upstream", "lab"), state="streaming")

    def request(topic):
        since = world.recorder.mark()
        world.recorder.publish(of_job("one", "command/refresh", "lab"), b"x",
                               response_topic=topic)
        world.recorder.wait_topic(of_job("one", "result", "lab"), since)

    topics = {"lab/x": False, "ha/x": False, "aiva/response/x": False, "homeassistant/x": False,
              "reply/x": False, "reply/to": False, "reply/to/x": bool(more), "lab/response/x": True}
    for topic in topics:
        request(topic)
    request("lab/response/marker")
    marker = world.recorder.wait_topic("lab/response/marker")
    for topic, allowed in topics.items():
        found = [message for message in world.recorder.select(topic)
                 if message.position < marker.position]
        assert bool(found) == allowed, topic


def test_nobody_deletes_by_the_bridges_rights(make_world):
    """A client that may only refresh names another bridge's topic for `delete` as Response Topic:
    nothing arrives there, whatever is configured."""
    world = make_world()
    world.simulator.put_jobs([{"job_id": "one", "status": "processing"}])
    world.bridge.start({"commands.response_topics": ["other"]})
    world.recorder.wait_topic(of_job("one", "state"))
    world.recorder.wait_topic(of_bridge("upstream"), state="streaming")
    for number, topic in enumerate(["other/jobs/patient/command/delete", "third/bridge/state",
                                    "aiva/jobs/one/command/delete", "other/response/x"]):
        world.recorder.publish(of_job("one", "command/refresh"), b'{"id": %d}' % number,
                               response_topic=topic, correlation=b"c")
        world.recorder.wait_topic(of_job("one", "result"), id=number)
    world.recorder.wait_topic("other/response/x", id=3)
    assert {message.topic.split("/")[0] for message in world.recorder.messages} == {"aiva", "other"}
    assert not [message for message in world.recorder.messages if "/delete" in message.topic]
    wait_until(lambda: "is refused: the answer goes to the result topic alone"
               in world.bridge.output(), "the refusal in the log")
