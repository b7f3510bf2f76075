"""Restarts of bridge and broker, in any order, end with the same devices."""

from harness import ha_devices
from harness.ha_devices import retained, wait_cleared, wait_set, wait_shown
from harness.topics import of_job
from harness.waiting import wait_until
from harness.world import described, job

ON = {"homeassistant.enabled": True}
JOBS = [job("one"), job("two", "completed"), job("a.b", "failed")]
DEVICES = {"aiva_bridge", "aiva_job_one", "aiva_job_two", "aiva_job_x-a-2Eb"}


def start(world):
    world.start(JOBS, ON)
    wait_set(world, *DEVICES)


def standing(world):
    return {name: message.payload for name, message in retained(world).items()}


def settle(world):
    """A new job is announced: whatever the bridge had to say before, it has said. Returns its
    device."""
    name = world.create("queued")
    wait_shown(world, f"aiva_job_{name}")
    return f"aiva_job_{name}"


def test_the_bridge_restarts(world, spaced):
    """What stands there already is not said again; who went meanwhile goes, and the state after
    it."""
    spaced.append(world)
    start(world)
    before = standing(world)
    world.bridge.stop()
    since = world.start(config=ON)
    added = settle(world)
    assert {one.topic for one in ha_devices.messages(world, since=since)} == \
        {ha_devices.topic_of(added)}
    world.bridge.kill()
    since = world.recorder.mark()
    world.simulator.vanish("two")
    world.start(config=ON)
    device = wait_cleared(world, "aiva_job_two", since=since)
    state = world.recorder.wait_for(
        lambda one: one.topic == of_job("two", "state") and not one.payload, since=since)
    assert world.wait_event("two", since).position < device.position < state.position
    del before["aiva_job_two"]
    assert before.items() <= standing(world).items()


def test_the_broker_forgets_everything(world, spaced):
    """All devices come again, as they were."""
    start(world)
    before = standing(world)
    world.recorder.close()
    world.broker.kill()
    world.broker.start()
    world.record()
    spaced.append(world)
    wait_set(world, *DEVICES)
    assert standing(world) == before
    assert len(ha_devices.messages(world)) == len(DEVICES)


def test_a_job_comes_back_to_a_broker_that_forgot_everything(world, spaced):
    """It went, and its device was still to be cleared when the broker lost all it had: there is
    nothing any more that could count as standing there."""
    start(world)
    name = world.create("queued")
    device = f"aiva_job_{name}"
    wait_shown(world, device, named=f"Sample {name}")
    world.simulator.vanish(name)
    world.refresh()
    world.wait_event(name, event_type="deleted")
    world.recorder.close()
    world.broker.kill()
    world.simulator.set_job(name, quiet=True, **described(name, "queued"))
    world.broker.start()
    world.record()
    spaced.append(world)
    wait_shown(world, "aiva_bridge")
    world.refresh()
    world.wait_state(name)
    wait_set(world, *DEVICES, device)


def test_the_broker_remembers_everything(make_world, spaced):
    """Nothing is said again, except what has changed; what the broker has of before goes."""
    world = make_world(broker={"persistence": True})
    start(world)
    before = standing(world)
    world.recorder.close()
    # Saved with the four devices.
    world.broker.restart()
    world.record()
    added = settle(world)
    # Lost with the crash: this device, and that "two" went.
    assert world.command("two", "delete")["ok"]
    wait_until(lambda: "aiva_job_two" not in retained(world), "the device to go",
               ha_devices.PATIENCE, 0.1)
    world.recorder.close()
    world.broker.kill()
    world.broker.start()
    world.record()
    spaced.append(world)
    wait_until(lambda: "aiva_job_two" not in retained(world), "the device to go again",
               ha_devices.PATIENCE, 0.1)
    wait_until(lambda: of_job("two", "state") not in world.retained("aiva/jobs/+/state"),
               "the state to go again")
    del before["aiva_job_two"]
    wait_set(world, *before, added)
    assert before.items() <= standing(world).items()


def test_the_broker_is_away_while_a_job_goes(relayed, spaced):
    """The device goes when the broker is back, and the state after it."""
    world, relay = relayed
    spaced.append(world)
    start(world)
    since = world.recorder.mark()
    relay.block()
    world.simulator.vanish("two")
    world.simulator.cut()
    lists = world.simulator.requests("list")
    wait_until(lambda: world.simulator.requests("list") > lists, "the list to be read again")
    relay.unblock()
    device = wait_cleared(world, "aiva_job_two", since=since)
    state = world.recorder.wait_for(
        lambda one: one.topic == of_job("two", "state") and not one.payload, since=since)
    assert device.position < state.position
    wait_set(world, *(DEVICES - {"aiva_job_two"}))


def test_a_stop_does_not_wait_for_home_assistant(world):
    """A job that went just after it was announced: its state is cleared at once, and its device by
    the next start."""
    start(world)
    name = world.create("completed")
    wait_shown(world, f"aiva_job_{name}", named=f"Sample {name}")
    assert world.command(name, "delete")["ok"]
    world.wait_event(name, event_type="deleted")
    world.bridge.stop()
    assert of_job(name, "state") not in world.retained()
    assert f"aiva_job_{name}" in retained(world)
    since = world.start(config=ON)
    wait_cleared(world, f"aiva_job_{name}", since=since)
    assert not world.events(name, since)
