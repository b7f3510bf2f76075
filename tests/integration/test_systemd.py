"""What systemd is told: ready, how it is, reloading, stopping, and that the main loop turns."""

import contextlib
import signal
import socket
import time

import pytest
from harness.silent import Silent
from harness.systemd import Manager
from harness.waiting import wait_until
from harness.world import job

WATCHDOG_MS = 900
"""The bridge feeds the watchdog three times as often."""


@pytest.fixture
def manager(tmp_path):
    manager = Manager(tmp_path)
    yield manager
    manager.close()


def test_it_says_when_it_is_ready_and_how_it_is(world, manager):
    """READY once, then a status line for each change on either side."""
    world.start([job("one")], env=manager.env())
    manager.wait("READY")
    manager.wait_status("connected to", world.broker.url, "streaming")
    world.broker.end()
    manager.wait_status("no connection to the broker", world.broker.url)
    world.broker.start()
    manager.wait_status("connected to", "streaming")
    assert manager.count("READY") == 1
    assert not manager.count("WATCHDOG")


def test_a_broker_that_is_away_does_not_keep_it_from_being_ready(bridge, manager):
    """It starts and keeps trying: a service manager that waited would start it again for ever."""
    bridge.start(env=manager.env())
    manager.wait("READY")
    manager.wait_status("no connection to the broker", "mqtt://127.0.0.1:1")


def test_it_is_not_ready_while_the_first_attempt_is_under_way(bridge, manager):
    """Nobody knows yet how it will end."""
    with Silent() as silent:
        bridge.start({"mqtt.url": f"mqtt://127.0.0.1:{silent.port}"}, manager.env(WATCHDOG_MS))
        silent.wait_connected()
        manager.wait("WATCHDOG", count=2)
        assert not manager.count("READY")
    manager.wait("READY")


def test_a_reload_begins_and_ends(world, manager):
    """SIGHUP."""
    world.start(env=manager.env())
    manager.wait("READY")
    world.bridge.send(signal.SIGHUP)
    assert int(manager.wait("RELOADING")["MONOTONIC_USEC"]) <= time.monotonic() * 1e6
    manager.wait("READY", count=2)
    order = [name for message in manager.messages for name in message if name in ("READY", "RELOADING")]
    assert order == ["READY", "RELOADING", "READY"]


def test_a_stop_is_said_first(world, manager):
    """STOPPING before `offline`, and nothing after it but signs of life."""
    world.start(env=manager.env(WATCHDOG_MS))
    world.bridge.stop()
    assert manager.count("STOPPING") == 1
    at = next(i for i, message in enumerate(manager.messages) if "STOPPING" in message)
    assert "stopped" in manager.messages[at]["STATUS"]
    assert all(set(message) == {"WATCHDOG"} for message in manager.messages[at + 1:])


def test_the_watchdog_hears_from_a_loop_that_turns(world, manager):
    """Regularly; not from a process that stands still, although its threads and its process live."""
    world.start(env=manager.env(WATCHDOG_MS))
    manager.wait("WATCHDOG", count=3)
    world.bridge.send(signal.SIGSTOP)
    try:
        time.sleep(WATCHDOG_MS / 3000)
        before = manager.count("WATCHDOG")
        time.sleep(2 * WATCHDOG_MS / 1000)
        assert manager.count("WATCHDOG") == before
    finally:
        world.bridge.send(signal.SIGCONT)
    manager.wait("WATCHDOG", count=before + 2)


def test_a_watchdog_of_another_process_is_not_fed(world, manager):
    """WATCHDOG_PID says whose it is."""
    world.start(env=manager.env(300, WATCHDOG_PID="1"))
    manager.wait_status("streaming")
    time.sleep(0.5)
    assert not manager.count("WATCHDOG")


def test_words_from_outside_are_no_assignments(world, manager):
    """A line end in AIVA's answer does not become another message to systemd."""
    world.simulator.fault("any", times=0, status=401, body='{"detail":"no\\nMAINPID=1\\nFDSTORE=1"}')
    world.bridge.start({"aiva.mode": "poll"}, manager.env())
    manager.wait_status("unauthorized", "MAINPID=1")
    assert not any("MAINPID" in message or "FDSTORE" in message for message in manager.messages)


def test_the_status_follows_readyz(world, manager):
    """Each word of it: also where the state stays and its reason changes."""
    world.simulator.fault("any", times=0, status=500, body='{"detail":"first reason"}')
    world.bridge.start({"aiva.mode": "poll", "aiva.list_interval_s": 1, "aiva.poll_interval_s": 1},
                       manager.env())
    manager.wait_status("unavailable", "first reason")
    world.simulator.clear_faults()
    world.simulator.fault("any", times=0, status=500, body='{"detail":"another one"}')
    manager.wait_status("unavailable", "another one")


def test_the_status_is_safe_and_cut_between_characters(world, manager):
    """systemd refuses a status that is not UTF-8, and systemctl shows it on a terminal."""
    world.simulator.fault("any", times=0, status=401, body='{"detail":"\u202e\u2028%s"}' % ("é" * 600))
    world.bridge.start({"aiva.mode": "poll"}, manager.env())
    manager.wait_status("unauthorized", r"\u202e\u2028" + "é" * 50)
    assert manager.status.endswith("é") or manager.status.endswith("éé")


def test_a_systemd_that_does_not_listen(world, manager):
    """The bridge does not wait for it, and says again what found no room."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, contextlib.suppress(BlockingIOError):
        other.setblocking(False)
        while True:
            other.sendto(b"X_NOISE=1", str(manager.path))
    world.start([job("one")], env=manager.env(WATCHDOG_MS))
    world.stream_marker()
    assert world.command("one", "refresh")["ok"]
    manager.wait("READY")
    manager.wait_status("connected to", "streaming")


def test_a_refused_key_names_its_file(world, tmp_path):
    """What to do: the file is read again, a credential is not."""
    key = tmp_path / "aiva_api_key"
    key.touch(0o600)
    key.write_text("another-key")
    settings = {"aiva.api_key": None, "aiva.api_key_file": str(key), "aiva.mode": "poll"}
    for env, advice in (({}, f"; check {key}; the next attempt reads it again"),
                        ({"CREDENTIALS_DIRECTORY": str(tmp_path)},
                         "; check the credential aiva_api_key, and restart the bridge")):
        world.bridge.start(settings, env)
        wait_until(lambda advice=advice: advice in world.bridge.output(), advice)
        world.bridge.stop()
        done = world.bridge.run_config("--check", overrides=settings, env=env)
        assert done.returncode == 3 and advice in done.stdout
    done = world.bridge.run_config("--check", overrides={"aiva.api_key": "another-key"})
    assert "; check aiva.api_key, and restart" in done.stdout
