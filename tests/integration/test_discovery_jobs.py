"""Devices of jobs come and go in Home Assistant, and leave nothing behind."""

import pytest
from harness import ha_devices
from harness.ha_devices import SPACING, wait_cleared, wait_set, wait_shown
from harness.topics import of_job
from harness.world import job

SHARED_CONFIG = {"homeassistant.enabled": True}
HOME = ha_devices.STATUS


def device_of(name):
    return f"aiva_job_{name}"


@pytest.fixture(autouse=True)
def well_spaced(request):
    """Whatever a test does, nobody's messages come too close to each other."""
    used = request.getfixturevalue(
        "shared_world" if "shared" in request.fixturenames else "world")
    yield
    ha_devices.assert_spaced(used)


def assert_nothing_left(world, name):
    left = [message for message in world.retained().values()
            if name in message.topic or name.encode() in message.payload]
    assert not left


def assert_gone_in_order(world, name, since):
    """Event `deleted`, then no device, and no state last."""
    cleared = world.recorder.wait_for(
        lambda one: one.topic == of_job(name, "state") and not one.payload, since=since,
        timeout=ha_devices.PATIENCE, what="the state to be cleared")
    event = world.wait_event(name, since, event_type="deleted")
    device = wait_cleared(world, device_of(name), since=since)
    assert event.position < device.position < cleared.position
    assert device.retain and cleared.retain
    assert device.property("ContentType") is None
    assert_nothing_left(world, name)
    return device


def test_the_whole_life_of_a_job(shared):
    """Seen, running, ended, deleted: nothing of it stays at the broker."""
    name = shared.create("queued")
    shown = wait_shown(shared, device_of(name), named=f"Sample {name}")
    for status in ("processing", "completed"):
        shared.simulator.set_job(name, status=status)
        shared.wait_state(name, status=status)
    since = shared.recorder.mark()
    assert shared.command(name, "delete")["ok"]
    device = assert_gone_in_order(shared, name, since)
    # It was announced only just before: Home Assistant gets the time to digest that.
    assert device.at - shown.at >= SPACING - ha_devices.LATE
    assert len(ha_devices.messages(shared, device_of(name))) == 2


def test_a_job_that_vanishes_and_comes_back(shared):
    """What it had before is cleared before anything new is said, and not after it."""
    name = shared.create("completed")
    wait_shown(shared, device_of(name), named=f"Sample {name}")
    shared.simulator.vanish(name)
    since = shared.recorder.mark()
    shared.refresh()
    shared.wait_event(name, event_type="deleted")
    shared.simulator.set_job(name, quiet=True, status="completed", sample_name=f"Sample {name}")
    shared.refresh()
    shared.wait_state(name, since, status="completed")
    # Whoever is gone after it goes later: by then this one would have gone, too.
    other = shared.create("completed")
    wait_shown(shared, device_of(other))
    gone = shared.recorder.mark()
    assert shared.command(other, "delete")["ok"]
    assert_gone_in_order(shared, other, gone)
    said = [one.payload for one in shared.states(name, since)]
    assert not said[0] and all(said[1:])
    assert all(message.payload for message in ha_devices.messages(shared, device_of(name)))
    assert shared.retained()[of_job(name, "state")].shows(status="completed")


def test_home_assistant_starts(shared):
    """Everything is announced again, after a moment and one by one; a retained or a strange message
    there is no start."""
    names = [shared.create("queued") for _ in range(3)]
    for name in names:
        wait_shown(shared, device_of(name), named=f"Sample {name}")
    devices = ha_devices.retained(shared)
    for payload in (b"", b"offline", b"ONLINE", b"online "):
        shared.recorder.publish(HOME, payload)
    since = shared.recorder.mark()
    shared.recorder.publish(HOME, b"online")
    asked = shared.recorder.select(HOME, since)[-1].at
    wait_shown(shared, *devices, since=since)
    said = ha_devices.messages(shared, since=since)
    assert said[0].at - asked > 0.9
    # Removals that it may have missed are made again besides.
    for object_id, device in devices.items():
        again, = [one for one in said if one.topic == ha_devices.topic_of(object_id)]
        assert again.payload == device.payload
    assert said[0].topic == ha_devices.topic_of("aiva_bridge")
    # Ten a second.
    assert said[-1].at - said[0].at >= 0.1 * (len(said) - 1) - ha_devices.LATE


def test_a_removal_that_home_assistant_missed_is_made_again(shared):
    """It keeps devices that went while it was away: shown once more, they can be cleared."""
    shared.recorder.publish(HOME, b"offline")
    missed, seen = shared.create("completed"), shared.create("completed")
    wait_shown(shared, device_of(missed), device_of(seen))
    since = shared.recorder.mark()
    assert shared.command(missed, "delete")["ok"]
    assert_gone_in_order(shared, missed, since)
    since = shared.recorder.mark()
    shared.recorder.publish(HOME, b"online")
    again = wait_shown(shared, device_of(missed), since=since)
    cleared = wait_cleared(shared, device_of(missed), since=since)
    assert cleared.at - again.at >= SPACING - ha_devices.LATE
    assert not shared.states(missed, since)
    since = shared.recorder.mark()
    assert shared.command(seen, "delete")["ok"]
    assert_gone_in_order(shared, seen, since)
    shared.recorder.publish(HOME, b"online")
    wait_shown(shared, "aiva_bridge", since=since)
    later = shared.create("queued")
    wait_shown(shared, device_of(later), since=since)
    assert not [one for one in ha_devices.messages(shared, device_of(missed), since)
                + ha_devices.messages(shared, device_of(seen), since) if one.payload]


def ended(name, second, **members):
    return job(name, "completed", completed_at=f"2026-03-09T10:00:{second:02}Z", **members)


def test_no_more_devices_than_there_is_room_for(world):
    """Unfinished jobs first, then those that ended last; who made room comes back when some is
    free."""
    jobs = [job("run-1"), *(ended(f"end-{second}", second) for second in (30, 10, 50, 20, 40))]
    world.start(jobs, {"homeassistant.enabled": True, "homeassistant.max_jobs": 4})

    def wait_jobs(*names):
        wait_set(world, "aiva_bridge", *(device_of(name) for name in names))
    wait_jobs("run-1", "end-50", "end-40", "end-30")
    world.simulator.set_job("run-2", status="queued")
    wait_jobs("run-1", "run-2", "end-50", "end-40")
    assert_state = world.retained("aiva/jobs/+/state")
    assert len(assert_state) == 7, "all jobs are on MQTT, whether they are devices or not"
    world.simulator.set_job("run-1", status="completed")
    world.simulator.set_job("run-3", status="queued")
    wait_jobs("run-1", "run-2", "run-3", "end-50")
    world.simulator.vanish("run-2")
    world.refresh()
    wait_jobs("run-1", "run-3", "end-50", "end-40")
    never = {device_of(f"end-{second}") for second in (10, 20)}
    assert not [one for one in ha_devices.messages(world) if one.topic in
                {ha_devices.topic_of(name) for name in never}]


def test_a_job_that_made_room_keeps_its_topics(world):
    """It is no device any more; it is still a job, and its going needs nobody to wait."""
    world.start([ended("a", 1)], {"homeassistant.enabled": True, "homeassistant.max_jobs": 1})
    wait_shown(world, device_of("a"))
    world.simulator.set_job("b", status="queued")
    wait_set(world, "aiva_bridge", device_of("b"))
    assert not world.events("a") and of_job("a", "state") in world.retained()
    since = world.recorder.mark()
    assert world.command("a", "delete")["ok"]
    world.recorder.wait_for(lambda one: one.topic == of_job("a", "state") and not one.payload,
                            since=since, timeout=SPACING - 1, what="the state to be cleared")
    assert not ha_devices.messages(world, device_of("a"), since)


@pytest.mark.parametrize("settings, name", [
    ({"homeassistant.device_name": "job_id"}, "one"), ({"jobs.hide": ["sample_name"]}, "one"),
    ({"jobs.hide": ["message"], "commands.allow": ["refresh"]}, "Erika Mustermann")])
def test_names_and_buttons_that_are_not_wanted(world, settings, name):
    """Sample names can be kept out; members that are hidden and commands that are not allowed have
    no entity."""
    world.start([job("one", sample_name="Erika Mustermann")],
                {"homeassistant.enabled": True, **settings})
    device = wait_shown(world, device_of("one"))
    assert device.json["device"]["name"] == name
    assert (b"Erika" in device.payload) == (name != "one")
    components = device.json["components"]
    assert ("cancel" in components) == ("delete" in components) == ("message" in components) == \
        ("commands.allow" not in settings)
    ha_devices.assert_accepted(world)
