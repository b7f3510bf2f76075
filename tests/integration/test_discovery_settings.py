"""Discovery under other settings: what those before left is cleared, and nothing of anyone else."""

import json
import pathlib
import re
import socket

from harness import ha_devices, packets
from harness.bridge import Bridge
from harness.ha_devices import retained, wait_cleared, wait_set, wait_shown
from harness.topics import of_bridge, of_job
from harness.waiting import wait_until
from harness.world import job
from paho.mqtt import publish

ON = {"homeassistant.enabled": True}
JOBS = [job("one"), job("two", "completed"), job("a.b", "failed")]
DEVICES = {"aiva_bridge", "aiva_job_one", "aiva_job_two", "aiva_job_x-a-2Eb"}


def test_devices_go_when_their_topics_are_cleared_for_age(world, spaced):
    """`jobs.keep_finished_h`: no event, for the job still exists; device first, state last."""
    spaced.append(world)
    old = job("old", "completed", completed_at="2026-03-09T10:45:00Z")
    world.start([old, job("young")], ON)
    wait_set(world, "aiva_bridge", "aiva_job_old", "aiva_job_young")
    since = world.recorder.mark()
    world.restart({**ON, "jobs.keep_finished_h": 1})
    device = wait_cleared(world, "aiva_job_old", since=since)
    state = world.recorder.wait_for(
        lambda one: one.topic == of_job("old", "state") and not one.payload, since=since)
    assert device.position < state.position
    wait_set(world, "aiva_bridge", "aiva_job_young")
    assert not world.events("old")


def test_entities_that_are_no_more_go(world, spaced):
    """What the settings take away Home Assistant is told of before it is left out: it would keep it
    otherwise."""
    spaced.append(world)
    world.start([job("one")], ON)
    wait_set(world, "aiva_bridge", "aiva_job_one")
    since = world.recorder.mark()
    world.restart({**ON, "commands.allow": ["delete"], "jobs.hide": ["message"]})
    for device, gone in (("aiva_bridge", {"refresh": "button"}),
                         ("aiva_job_one", {"cancel": "button", "message": "sensor"})):
        first = wait_shown(world, device, since=since)
        last = wait_shown(world, device, since=first.position + 1)
        for key, platform in gone.items():
            assert first.json["components"].pop(key) == {"platform": platform}
            assert key not in last.json["components"]
    ha_devices.assert_accepted(world)


STRANGERS = {
    # What others have at the broker, and what is none of the bridge's business.
    "other_bridge": {"device": {"identifiers": ["other_bridge"], "serial_number": "other-client"},
                     "origin": {"name": "aiva-mqtt-bridge"}},
    "other_job_one": {"device": {"identifiers": ["other_job_one"], "serial_number": "one",
                                 "via_device": "other_bridge"},
                      "origin": {"name": "aiva-mqtt-bridge"}},
    "aiva_job_zigbee": {"device": {"identifiers": ["x"]}, "origin": {"name": "zigbee2mqtt"}},
    "lamp": {"dev": {"ids": ["y"]}, "o": {"name": "lamp"}},
}


def test_other_settings_clear_what_those_before_left(world, spaced):
    """Another prefix, another root, and no discovery at all: each time what stood there goes, and
    nothing of anyone else."""
    spaced.append(world)
    for name, payload in STRANGERS.items():
        world.recorder.publish(ha_devices.topic_of(name), json.dumps(payload).encode(), retain=True)
    world.recorder.publish(ha_devices.topic_of("broken"), b"{", retain=True)
    kept = {*STRANGERS, "broken"}
    world.start(JOBS, ON)
    wait_set(world, *DEVICES, *kept)
    assert world.retained()[of_bridge("info")].json["discovery"] == ["homeassistant"]

    world.restart({**ON, "homeassistant.prefix": "ha/two"})
    wait_set(world, *DEVICES, prefix="ha/two")
    wait_set(world, *kept)
    wait_until(lambda: world.retained()[of_bridge("info")].json["discovery"] == ["ha/two"],
               "the old prefix to be forgotten")

    world.bridge.stop()
    world.bridge.start({**ON, "homeassistant.prefix": "ha/two", "mqtt.topic": "lab/a"})
    lab = {name.replace("aiva_", "x-lab-2Fa_") for name in DEVICES}
    wait_set(world, *lab, prefix="ha/two")
    ha_devices.assert_accepted(world, "ha/two")

    world.bridge.stop()
    world.bridge.start({"homeassistant.prefix": "ha/two", "mqtt.topic": "lab/a"})
    wait_set(world, prefix="ha/two")
    wait_until(lambda: "discovery" not in world.retained()["lab/a/bridge/info"].json,
               "nothing to be left")
    wait_set(world, *kept)


def peak_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def test_devices_of_others_cost_nothing(world):
    """Whoever may write discovery topics can fill them: nothing is kept of what is not the bridge's
    own."""
    lean = {"ASAN_OPTIONS": "quarantine_size_mb=1"}
    world.start(JOBS, ON, lean)
    wait_set(world, *DEVICES)
    before = peak_mib(world.bridge.pid)
    world.bridge.stop()
    world.recorder.close()
    payload = json.dumps({**STRANGERS["other_job_one"], "filler": "x" * 240 * 1024})
    publish.multiple([{"topic": ha_devices.topic_of(f"other_job_{number}"), "payload": payload,
                       "qos": 1, "retain": True} for number in range(800)],
                     hostname="127.0.0.1", port=world.broker.port)
    world.record(filters=("aiva/#", ha_devices.topic_of("aiva_job_late")))
    world.start(config=ON, env=lean)
    world.simulator.set_job("late", status="queued")
    wait_shown(world, "aiva_job_late")
    assert peak_mib(world.bridge.pid) < before + 100


def test_two_bridges_side_by_side(world, tmp_path, spaced):
    """With roots that look alike; neither clears what the other has announced."""
    spaced.append(world)
    (tmp_path / "second").mkdir()
    second = Bridge(tmp_path / "second", {**world.bridge.settings, "mqtt.client_id": "second"})
    world.simulator.put_jobs([job("one")])
    wanted = {"x-a-2Fb_bridge", "x-a-2Fb_job_one", "a_b_bridge", "a_b_job_one"}
    try:
        world.bridge.start({**ON, "mqtt.topic": "a/b"})
        wait_set(world, "x-a-2Fb_bridge", "x-a-2Fb_job_one")
        second.start({**ON, "mqtt.topic": "a_b"})
        wait_set(world, *wanted)
        ha_devices.assert_accepted(world)
        since = world.recorder.mark()
        world.bridge.stop()
        world.bridge.start({**ON, "mqtt.topic": "a/b"})
        world.recorder.wait_topic("a/b/bridge/upstream", since, state="streaming")
        world.simulator.set_job("late", status="queued")
        wait_set(world, *wanted, "x-a-2Fb_job_late", "a_b_job_late")
        assert len(ha_devices.messages(world, since=since)) == 2
    finally:
        second.finish()


def subscriptions(world):
    """The filters that the bridge subscribed to and gave up, as mosquitto's log has them."""
    held, released = [], []
    for line in world.broker.output().splitlines():
        if found := re.fullmatch(r"\d+: aiva-mqtt-bridge (\d )?(\S+)", line):
            (held if found[1] else released).append(found[2])
    return held, released


def test_it_subscribes_to_what_it_needs(make_world):
    """The discovery topics while it starts, and the birth topic; nothing of either where it is
    off."""
    world = make_world(broker={"options": ["log_type subscribe", "log_type unsubscribe"]})
    world.start(JOBS, ON)
    wait_set(world, *DEVICES)
    held, released = subscriptions(world)
    foreign = [one for one in held if not one.startswith("aiva/")]
    assert sorted(foreign) == ["homeassistant/device/+/config", "homeassistant/status"]
    assert [one for one in released if not one.startswith("aiva/")] == \
        ["homeassistant/device/+/config"]
    quiet = make_world(broker={"options": ["log_type subscribe", "log_type unsubscribe"]})
    quiet.start(JOBS)
    quiet.stream_marker()
    held, _ = subscriptions(quiet)
    assert held and all(one.startswith("aiva/") for one in held)
    assert not retained(quiet)


def test_the_printed_rules_are_enough(make_world):
    """With exactly these rights devices come and go, also over a restart, and with MQTT 3.1.1."""
    config = {**ON, "mqtt.topic": "lab", "mqtt.username": "bridge", "mqtt.password": "secret",
              "mqtt.version": "3.1.1"}
    world = make_world(broker={"users": {"bridge": "secret"}, "acl": "user bridge\n"})
    rules = world.bridge.run_config("--print-acl", overrides=config).stdout
    with (world.broker.folder / "acl").open("a") as file:
        file.write(rules)
    world.broker.restart()
    world.record()
    world.simulator.put_jobs([job("one", "completed"), job("two", "completed")])
    world.bridge.start(config)
    wait_set(world, "lab_bridge", "lab_job_one", "lab_job_two")
    world.bridge.stop()
    world.simulator.vanish("one")
    world.bridge.start(config)
    wait_set(world, "lab_bridge", "lab_job_two")
    since = world.recorder.mark()
    world.recorder.publish(ha_devices.STATUS, b"online")
    wait_shown(world, "lab_job_two", since=since)
    world.bridge.stop()
    assert "denied" not in world.broker.output().lower()


def fill_with_devices(port, count):
    """So many retained discovery messages: every other one is a stranger's, the others say that they are the
    bridge's. At once, as whoever means harm would do it."""
    stranger = b'{"device":{"identifiers":["x"]},"origin":{"name":"zigbee2mqtt"},"components":{}}'
    alleged = b'{"device":{"identifiers":["x"]},"origin":{"name":"aiva-mqtt-bridge"},"components":{}}'
    names = (f"other_{number}" if number % 2 else f"aiva_job_{number}" for number in range(count))
    with socket.create_connection(("127.0.0.1", port)) as broker:
        broker.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01x")
        broker.sendall(b"".join(
            packets.encode_publish(3, packets.Packet("PUBLISH", topic=f"homeassistant/device/{name}/config",
                                                     payload=stranger if "other" in name else alleged), 0, 0, True)
            for name in names))
        broker.sendall(b"\xc0\x00")
        received = b""
        while b"\xd0\x00" not in received:  # PINGRESP: all before it has been taken
            assert (part := broker.recv(64))
            received += part


def test_devices_of_others_hold_nothing_up(world, passes):
    """However many stand there: most are not kept, all are looked at in turns, and the bridge's own are shown."""
    fill_with_devices(world.broker.port, 20000)
    world.start([job("one")], ON, passes.env)
    assert world.command("one", "refresh", timeout=60)["ok"]
    for device in ("aiva_bridge", "aiva_job_one"):
        world.recorder.wait_topic(f"homeassistant/device/{device}/config")
    assert passes.longest() < 0.25
