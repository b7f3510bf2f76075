"""The access rules of --print-acl at a real broker: for a root of one's own, with everybody there."""

import subprocess

import pytest
from harness.broker import publish_as
from harness.topics import of_bridge, of_job
from harness.waiting import wait_until
from harness.world import job

ROOT = "lab/aiva"
USERS = ("bridge", "dashboard", "operator", "homeassistant")
CONFIG = {"mqtt.username": "bridge", "mqtt.password": "secret", "mqtt.topic": ROOT,
          "homeassistant.enabled": True, "homeassistant.prefix": "ha",
          "homeassistant.status_topic": "elsewhere/status"}


@pytest.fixture(scope="module")
def guarded(make_module_world):
    """A bridge at a broker that keeps to the printed rules."""
    world = make_module_world(broker={"users": dict.fromkeys(USERS, "secret"), "acl": ""})
    printed = world.bridge.run_config("--print-acl", overrides=CONFIG)
    assert printed.returncode == 0, printed.stderr
    with (world.broker.folder / "acl").open("a") as file:
        file.write(printed.stdout)
    world.broker.restart()
    world.record()
    world.simulator.put_jobs([job("one"), job("two"), job("ended", "completed")])
    world.bridge.start(CONFIG)
    world.recorder.wait_topic(of_job("ended", "state", ROOT))
    return world


def answer(world, name, since):
    return world.recorder.wait_topic(of_job(name, "result", ROOT), since).json


@pytest.mark.parametrize("user, name", [("operator", "one"), ("homeassistant", "two")])
def test_who_may_cancel(guarded, user, name):
    """They may, and get their answer; they may refresh the bridge, too."""
    since = guarded.recorder.mark()
    assert publish_as(guarded.broker.port, user, of_job(name, "command/cancel", ROOT))
    assert answer(guarded, name, since)["ok"]
    assert publish_as(guarded.broker.port, user, of_bridge("command/refresh", ROOT))
    guarded.recorder.wait_topic(of_bridge("result", ROOT), since, ok=True)


@pytest.mark.parametrize("user", ["operator", "homeassistant", "dashboard"])
def test_nobody_else_deletes_or_speaks_for_the_bridge(guarded, user):
    """The broker refuses it and says so; nothing reaches AIVA."""
    for topic in (of_job("ended", "command/delete", ROOT), of_job("one", "state", ROOT),
                  of_job("one", "event", ROOT), of_job("one", "result", ROOT),
                  of_bridge("state", ROOT), of_bridge("upstream", ROOT),
                  f"{ROOT}/response/operator/1"):
        assert not publish_as(guarded.broker.port, user, topic)
    assert guarded.simulator.requests("delete") == 0


def test_dashboards_do_nothing(guarded):
    """Not even ask for a refresh."""
    for topic in (of_job("one", "command/refresh", ROOT), of_job("one", "command/cancel", ROOT),
                  of_bridge("command/refresh", ROOT)):
        assert not publish_as(guarded.broker.port, "dashboard", topic)


@pytest.mark.parametrize("user", ["dashboard", "operator", "homeassistant"])
def test_everybody_sees_the_jobs(guarded, user):
    """States, events and results, and nothing that others order."""
    seen = subprocess.run(
        ["mosquitto_sub", "-p", str(guarded.broker.port), "-u", user, "-P", "secret",
         "-t", f"{ROOT}/#", "-F", "%t", "-W", "2"], capture_output=True, text=True, check=False)
    topics = set(seen.stdout.split())
    assert of_job("one", "state", ROOT) in topics and of_bridge("state", ROOT) in topics
    assert not any("command" in topic for topic in topics)


def test_answers_go_to_whom_they_are_for(guarded):
    """The operator's response topic is the operator's alone."""
    since = guarded.recorder.mark()
    done = subprocess.run(
        ["mosquitto_rr", "-V", "5", "-p", str(guarded.broker.port), "-u", "operator", "-P", "secret",
         "-t", of_job("ended", "command/refresh", ROOT), "-e", f"{ROOT}/response/operator/1",
         "-m", "x", "-W", "20"], capture_output=True, text=True, timeout=30, check=False)
    assert '"ok":true' in done.stdout
    assert answer(guarded, "ended", since)["ok"]


def test_home_assistant_says_that_it_has_started(guarded):
    """On its birth topic, which need not be below the prefix."""
    assert publish_as(guarded.broker.port, "homeassistant", "elsewhere/status")
    assert publish_as(guarded.broker.port, "homeassistant", "ha/device/x/config")
    assert not publish_as(guarded.broker.port, "operator", "ha/device/x/config")


def test_the_bridge_reports_what_it_may_not(make_world):
    """A right that is missing is a line of the log that says which."""
    world = make_world(broker={"users": {"bridge": "secret"}, "acl": ""})
    printed = world.bridge.run_config("--print-acl", overrides=CONFIG).stdout
    missing = f"topic write {ROOT}/jobs/+/event\n"
    assert missing in printed
    with (world.broker.folder / "acl").open("a") as file:
        file.write(printed.replace(missing, ""))
    world.broker.restart()
    world.record()
    world.simulator.put_jobs([job("one")])
    world.bridge.start(CONFIG)
    world.recorder.wait_topic(of_job("one", "state", ROOT))
    world.simulator.set_job("one", status="completed")
    wait_until(lambda: f"the publication on {of_job('one', 'event', ROOT)} was refused"
               in world.bridge.output(), "the report")
    world.recorder.wait_topic(of_job("one", "state", ROOT), status="completed")
    world.bridge.stop()
