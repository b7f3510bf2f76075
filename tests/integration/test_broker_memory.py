"""Reading the broker's memory at the start: nobody else can put off its end, and it has one."""

import contextlib
import subprocess
import threading

import pytest
from harness.packets import Packet
from harness.topics import of_bridge, of_job
from harness.waiting import wait_until
from harness.world import job

BETWEEN_S = 0.02
STATE = b'{"job_id": "x", "status": "queued"}'


@contextlib.contextmanager
def again_and_again(action):
    """Does it more often than any silence that is waited for."""
    stop = threading.Event()

    def run():
        while not stop.wait(BETWEEN_S):
            action()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_live_publications_do_not_hold_the_start_off(bad):
    """What is not retained is no memory, whoever publishes it."""
    def publish():
        bad.broker.inject(of_job("x", "state"), STATE)

    with again_and_again(publish):
        bad.start([job("one")])
    assert not bad.events("x")


def test_words_about_the_bridge_do_not_hold_the_start_off(bad):
    """Its own state comes back once."""
    def publish():
        bad.broker.inject(of_bridge("state"), b"offline")
        bad.broker.inject(of_bridge("state"), b"online")

    with again_and_again(publish):
        bad.start([job("one")])


@pytest.mark.slow
def test_a_memory_without_end_is_given_up(bad):
    """A broker that never stops telling what it remembers, and does not show the bridge its own state, which
    would be the sign of the end."""
    bad.broker.on_subscribe = lambda pattern: 0x87 if pattern == of_bridge("state") else None
    message = Packet("PUBLISH", topic=of_job("x", "state"), payload=STATE)

    def deliver():
        if (session := bad.broker.session) and "aiva/jobs/+/state" in session.subscriptions:
            session.deliver(message, 0, True)

    with again_and_again(deliver):
        bad.bridge.start()
        bad.wait_upstream("streaming", timeout=150)
    assert "has not come to the end of its retained messages in 120 s" in bad.bridge.output()


def test_a_broker_that_stops_is_no_other_client(world):
    """mosquitto publishes the last wills while it stops, and tells the bridge its own."""
    world.start([job("one")])
    world.broker.end()
    wait_until(lambda: "no connection to the broker" in world.bridge.output(), "the loss")
    world.broker.start()
    world.record()
    world.stream_marker()
    assert "overwritten" not in world.bridge.output()


def test_the_shipped_rules_let_everything_be_cleared(make_world):
    """As config/operations.md has it, in the name of the bridge."""
    world = make_world(broker={"users": {"bridge": "secret"}, "acl": ""})
    config = {"mqtt.username": "bridge", "mqtt.password": "secret"}
    rules = world.bridge.run_config("--print-acl", overrides=config).stdout
    with (world.broker.folder / "acl").open("a") as file:
        file.write(rules)
    world.broker.restart()
    world.record()
    world.start([job("one"), job("two", "completed")], config)
    world.bridge.stop()
    assert world.retained("aiva/#")
    subprocess.run(["mosquitto_sub", "-p", str(world.broker.port), "-u", "bridge", "-P", "secret", "-t", "aiva/#",
                    "--retained-only", "--remove-retained", "-W", "3"], capture_output=True, check=False)
    assert not world.retained("aiva/#")
