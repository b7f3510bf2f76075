"""The core of the product with both versions of MQTT."""

import pytest
from harness.topics import of_bridge, of_job
from harness.world import job

pytestmark = pytest.mark.parametrize("version", ["5", "3.1.1"])


def config(version):
    return {"mqtt.version": version}


def test_from_start_to_end(world, version):
    """Start, event, command, delete and stop."""
    world.start([job("one", "queued"), job("two", "completed")], config(version))
    world.simulator.set_job("one", status="processing", progress=5)
    world.wait_state("one", status="processing", progress=5)
    assert world.wait_event("one").json["previous"] == "queued"
    assert world.command("one", "cancel", b'{"id": 1}')["id"] == 1
    assert world.command("two", "delete")["ok"]
    world.recorder.wait_for(lambda message: message.topic == of_job("two", "state")
                            and not message.payload)
    world.bridge.stop()
    found = world.retained()
    assert found.keys() - {of_bridge("jobs")} == {
        of_bridge("state"), of_bridge("info"), of_bridge("upstream"), of_job("one", "state")}
    assert found[of_bridge("state")].payload == b"offline"


def test_the_version_on_the_wire(world, version):
    """Content types are there with 5, and nothing is with 3.1.1."""
    world.start([job("one")], config(version))
    content_type = world.recorder.last(of_job("one", "state")).property("ContentType")
    assert content_type == ("application/json" if version == "5" else None)


def test_the_last_will(world, version):
    """A bridge that dies is offline."""
    world.start(config=config(version))
    world.bridge.kill()
    world.recorder.wait_for(lambda message: message.topic == of_bridge("state")
                            and message.payload == b"offline" and message.retain)


def test_a_restart_knows_what_was_before(world, version):
    """The retained topics are read with either version."""
    world.start([job("one", "queued")], config(version))
    world.bridge.stop()
    world.simulator.set_job("one", quiet=True, status="processing")
    world.start(config=config(version))
    assert world.wait_event("one").json["previous"] == "queued"


def test_a_command_found_retained(world, version):
    """It is refused with either version."""
    world.recorder.publish(of_job("one", "command/cancel"), b"x", retain=True)
    world.start([job("one")], config(version))
    assert world.recorder.wait_topic(of_job("one", "result")).json["error"] == "retained"
    assert world.simulator.requests("cancel") == 0


def test_the_broker_restarts(world, version):
    """Everything retained comes again to a broker that has forgotten it."""
    world.start([job("one"), job("two", "completed")], config(version))
    before = world.retained().keys()
    world.recorder.close()
    world.broker.kill()
    world.broker.start()
    world.record()
    world.wait_state("two")
    world.wait_state("one")
    world.recorder.wait_topic(of_bridge("jobs"))
    world.create("queued")
    assert before <= world.retained().keys()
