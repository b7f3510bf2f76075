"""The log while the bridge runs: more or less of it on demand, and no floods."""

import json
import signal
import time

import pytest
from harness.topics import of_job
from harness.waiting import wait_until
from harness.world import job


def wait_log(world, text):
    wait_until(lambda: text in world.bridge.output(), f"{text!r} in the log")


def test_signals_change_the_level(world):
    """SIGUSR1: more, SIGUSR2: less; each says what it has done."""
    world.start([job("one")], {"log.level": "warn"})
    assert " info " not in world.bridge.output()
    world.bridge.send(signal.SIGUSR1)
    wait_log(world, "info log: the log level is info from now on")
    assert world.command("one", "cancel")["ok"]
    wait_log(world, "the command cancel for one: done")
    world.bridge.send(signal.SIGUSR1)
    wait_log(world, "the log level is debug from now on")
    name = world.create("queued")
    wait_log(world, f"debug jobs: {name}: not known -> queued")
    world.simulator.set_job(name, status="processing")
    wait_log(world, f"debug jobs: {name}: queued -> processing")
    for level in ("info", "warn", "error"):
        said = f"the log level is {level} from now on"
        before = world.bridge.output().count(said)
        world.bridge.send(signal.SIGUSR2)
        wait_until(lambda said=said, before=before: world.bridge.output().count(said) > before, said)
    length = len(world.bridge.output())
    assert world.command(name, "cancel")["ok"]
    world.stream_marker()
    assert len(world.bridge.output()) == length


def test_the_signals_are_in_the_help(bridge):
    """Where one looks for them at night."""
    said = bridge.run("--help").stdout
    assert "SIGUSR1" in said and "SIGUSR2" in said


def test_the_level_changes_in_json_too(world):
    """Lines stay objects."""
    world.start(config={"log.format": "json"})
    world.bridge.send(signal.SIGUSR1)
    wait_log(world, "from now on")
    world.bridge.stop()
    lines = [json.loads(line) for line in world.bridge.output().splitlines()]
    assert {"level": "info", "tag": "log", "message": "the log level is debug from now on"}.items() <= \
        next(line for line in lines if line["tag"] == "log").items()


def test_signals_before_the_bridge_is_connected(bridge):
    """They neither end it nor get lost."""
    bridge.start()
    wait_until(lambda: "no connection to the broker" in bridge.output(), "the first attempt")
    bridge.send(signal.SIGUSR2)
    wait_until(lambda: "the log level is warn from now on" in bridge.output(), "the change")
    bridge.stop()


def test_events_cannot_flood_the_log(world):
    """A mistake that is made a hundred times is said once, with the job's id where there is one."""
    world.start()
    for _ in range(200):
        world.simulator.emit({"job_id": "no-status"})
        world.simulator.emit(b"{")
    world.stream_marker()
    lines = [line for line in world.bridge.output().splitlines() if "is skipped" in line]
    assert len(lines) == 2
    assert any('job_id: "no-status"' in line for line in lines)


@pytest.mark.parametrize("error, status, command, count", [
    ("bad_topic", "processing", "nothing", 300),
    ("retained", "processing", "cancel", 300),
    ("rejected", "completed", "cancel", 40)])
def test_refused_commands_cannot_flood_the_log(world, error, status, command, count):
    """Of one kind one line a second, whoever has refused them; the others are counted, and none is forgotten."""
    names = [f"job-{number}" for number in range(40 if error == "rejected" else 1)]
    world.start([job(name, status) for name in names])
    began = time.monotonic()
    since = world.recorder.mark()
    for number in range(count):
        world.recorder.publish(of_job(names[number % len(names)], f"command/{command}"),
                               b"{}", retain=error == "retained")
    wait_until(lambda: sum(len(world.results(name, since)) for name in names) >= count, "the answers")
    assert world.command(names[0], "refresh")["ok"]
    wait_log(world, f"more commands: {error}")
    took = time.monotonic() - began
    world.bridge.stop()
    lines = [line for line in world.bridge.output().splitlines() if " warn commands: " in line and error in line]
    counted = [int(line.split(" and ")[1].split()[0]) for line in lines if " and " in line]
    assert len(lines) - len(counted) + sum(counted) == count
    assert len(lines) <= took + 3


def test_a_refused_command_now_and_then_is_logged_each_time(world):
    """With what it was; and what others chose to write is cut."""
    world.start([job("one")])
    assert not world.command("one", "nothing")["ok"]
    assert world.command("one", "x" * 5000)["error"] == "bad_topic"
    assert not world.refresh(retain=True)["ok"]
    world.bridge.stop()
    lines = [line for line in world.bridge.output().splitlines() if " warn commands: " in line]
    assert any("the command nothing for one: bad_topic: there is no such command" in line for line in lines)
    assert any("the command refresh for the bridge: retained: " in line for line in lines)
    assert max(map(len, lines)) < 500


def test_many_jobs_that_vanish_are_counted(world):
    """Twenty are named; a clean-up of an account is not a thousand lines."""
    names = [f"job-{number}" for number in range(50)]
    world.start([job(name, "completed") for name in names])
    for name in names:
        world.simulator.vanish(name)
    assert world.refresh()["ok"]
    wait_log(world, "30 more jobs are gone from AIVA")
    assert world.bridge.output().count("is gone from AIVA: its topics are cleared") == 20
    for name in names:
        world.wait_event(name, event_type="deleted")


def test_the_log_says_what_it_is_connected_to(world):
    """And how often it had failed before."""
    world.broker.end()
    world.bridge.start()
    wait_log(world, f"no connection to the broker {world.broker.url}: ")
    world.broker.start()
    wait_log(world, f"connected to the broker {world.broker.url} (MQTT 5, ")
    line = next(one for one in world.bridge.output().splitlines() if " connected to the broker" in one)
    assert line.endswith((" failures", " failure")) and ", after " in line
