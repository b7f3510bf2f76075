"""The misbehaving broker itself: left alone it behaves."""

import pytest
from harness.bad_broker import Answer, matches
from harness.topics import of_bridge, of_job
from harness.world import job


@pytest.mark.parametrize("pattern, topic, expected", [
    ("#", "a/b", True), ("a/#", "a", True), ("a/#", "ab", False), ("a/+/c", "a/b/c", True),
    ("a/+/c", "a/b/d/c", False), ("a/b", "a/b", True), ("a.b", "axb", False)])
def test_filters(pattern, topic, expected):
    """As MQTT has them."""
    assert matches(pattern, topic) is expected


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_bridge_works_with_it(bad, version, qos):
    """States, a command, a restart that finds the retained topics, and the end."""
    config = {"mqtt.version": version, "mqtt.qos": qos}
    bad.start([job("one"), job("two", "completed")], config)
    assert bad.command("one", "refresh")["ok"]
    since = bad.restart(config)
    bad.stream_marker()
    assert not bad.events("one", since)
    bad.bridge.stop()
    assert bad.retained()[of_bridge("state")].payload == b"offline"
    assert bad.retained()[of_job("two", "state")].json["status"] == "completed"
    assert {packet.qos for packet in bad.broker.published()} == {qos}


def test_acknowledgements_can_be_held(bad):
    """Nothing is answered before it is released."""
    bad.broker.on_publish = lambda packet: Answer.HOLD
    bad.bridge.start()
    bad.broker.wait_packet("PUBLISH", topic=of_bridge("state"))
    assert bad.broker.release() > 0


def test_the_will_is_published(bad):
    """When the bridge dies."""
    bad.start()
    bad.bridge.kill()
    bad.recorder.wait_for(lambda message: message.payload == b"offline", what="the will")
