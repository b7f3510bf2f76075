"""The program: options, exit codes, signals, and starting before its servers."""

import json
import re
import signal
import socket

import pytest
from harness.broker import Broker
from harness.process import free_port
from harness.recorder import Recorder
from harness.simulator import KEY, Simulator
from harness.topics import of_bridge, of_job
from harness.waiting import wait_until
from harness.world import job

BRIDGE_LOGIN = {"mqtt.username": "bridge", "mqtt.password": "secret"}


# --- options


def test_help(bridge):
    """--help names every option, on standard output."""
    done = bridge.run("--help")
    assert done.returncode == 0
    for option in ("--config", "--check", "--healthcheck", "--print-acl", "--version", "--help"):
        assert option in done.stdout


def test_version(bridge):
    """--version says name and version."""
    done = bridge.run("--version")
    assert done.returncode == 0
    assert re.search(r"\d+\.\d+", done.stdout)


def test_version_is_that_of_bridge_info(world):
    """The published version is the program's."""
    world.start()
    info = world.recorder.wait_topic(of_bridge("info")).json
    assert info["version"] in world.bridge.run("--version").stdout


@pytest.mark.parametrize("arguments", [
    ["--explode"], ["-x"], ["--config"], ["something"], ["--check", "something"],
    ["--version=1"], ["--che=ck"]], ids=str)
def test_usage_errors(bridge, arguments):
    """Unknown options and stray words end with 2 and a message."""
    done = bridge.run(*arguments, env={"AIVA_API_KEY": KEY})
    assert done.returncode == 2
    assert done.stderr


# --- --check


def test_check_passes(world):
    """0, and a word about what was found; the key is not among it."""
    done = world.bridge.run_config("--check")
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr
    assert KEY not in done.stdout + done.stderr
    assert world.simulator.requests("health") == 1


def test_check_finds_a_wrong_key(world):
    """3: refused by the upstream."""
    done = world.bridge.run_config("--check", overrides={"aiva.api_key": "wrong-key-1"})
    assert done.returncode == 3, done.stderr
    assert "wrong-key-1" not in done.stdout + done.stderr


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 403}, {"cut_after": 0}], ids=str)
def test_check_finds_an_upstream_that_is_not_well(world, fault):
    """3: it answers, but not as it should."""
    world.simulator.fault("any", times=0, **fault)
    done = world.bridge.run_config("--check")
    assert done.returncode == 3, done.stderr


def test_check_finds_no_upstream(world):
    """3: nobody listens there."""
    done = world.bridge.run_config("--check", overrides={"aiva.url": "http://127.0.0.1:1"})
    assert done.returncode == 3, done.stderr


def test_check_finds_no_broker(world):
    """4: nobody listens there."""
    done = world.bridge.run_config("--check", overrides={"mqtt.url": "mqtt://127.0.0.1:1"})
    assert done.returncode == 4, done.stderr


def test_check_says_all_that_it_finds(world):
    """What is wrong with AIVA does not hide the broker's part; the first failure gives the code."""
    nowhere = {"aiva.url": "http://127.0.0.1:1"}
    done = world.bridge.run_config("--check", overrides=nowhere)
    assert done.returncode == 3 and "broker: may publish" in done.stdout, done.stdout
    done = world.bridge.run_config("--check", overrides={**nowhere, "mqtt.url": "mqtt://127.0.0.1:2"})
    assert done.returncode == 3, done.stderr
    assert "upstream: http://127.0.0.1:1: " in done.stdout
    assert "broker: mqtt://127.0.0.1:2: " in done.stdout


def test_check_finds_a_wrong_password(make_world):
    """4: refused by the broker; the password is not shown."""
    world = make_world(broker={"users": {"bridge": "secret"}})
    assert world.bridge.run_config("--check", overrides=BRIDGE_LOGIN).returncode == 0
    done = world.bridge.run_config(
        "--check", overrides={**BRIDGE_LOGIN, "mqtt.password": "wrong-pass-1"})
    assert done.returncode == 4, done.stderr
    assert "wrong-pass-1" not in done.stdout + done.stderr


@pytest.mark.parametrize("rules", [
    "topic read aiva/#", "topic write aiva/#", "topic readwrite other"])
def test_check_finds_missing_rights(make_world, rules):
    """4: may not publish, may not read what it subscribes to, or neither."""
    world = make_world(broker={"users": {"bridge": "secret"}, "acl": f"user bridge\n{rules}\n"})
    done = world.bridge.run_config("--check", overrides=BRIDGE_LOGIN)
    assert done.returncode == 4, done.stderr


def test_check_disturbs_no_running_bridge(world):
    """It has a client id of its own and leaves the retained topics as they are."""
    world.start([job("one")])
    before = {topic: message.payload for topic, message in world.retained().items()}
    since = world.recorder.mark()
    assert world.bridge.run_config("--check").returncode == 0
    assert world.command("one", "refresh")["ok"]
    after = {topic: message.payload for topic, message in world.retained().items()}
    assert after.keys() == before.keys()
    assert after[of_bridge("state")] == b"online"
    assert not world.recorder.select(of_bridge("state"), since)
    assert world.simulator.requests("stream") == 1


def test_check_reports_a_configuration_error(bridge):
    """2 comes before 3 and 4."""
    assert bridge.run_config("--check", overrides={"mqtt.qos": 5}).returncode == 2


# --- --print-acl


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_the_printed_rules_are_enough(make_world, version):
    """A bridge with exactly these rights does everything that it has to."""
    config = {**BRIDGE_LOGIN, "mqtt.topic": "lab/aiva", "mqtt.version": version}
    world = make_world(broker={"users": {"bridge": "secret"}, "acl": "user bridge\n"})
    rules = world.bridge.run_config("--print-acl", overrides=config)
    assert rules.returncode == 0, rules.stderr
    with (world.broker.folder / "acl").open("a") as file:
        file.write(rules.stdout)
    world.broker.restart()
    world.record()

    def topic(leaf, name="one"):
        return of_job(name, leaf, "lab/aiva")

    world.simulator.put_jobs([job("one"), job("a b", "completed")])
    world.bridge.start(config)
    world.recorder.wait_topic(topic("state"), status="processing")
    world.recorder.wait_topic(topic("state", "a b"))
    world.recorder.publish(topic("command/cancel"), b"x")
    assert world.recorder.wait_topic(topic("result")).json["ok"]
    world.recorder.wait_topic(topic("event"), event_type="cancelled")
    world.recorder.publish(of_bridge("command/refresh", "lab/aiva"), b"x")
    world.recorder.wait_topic(of_bridge("result", "lab/aiva"), ok=True)
    world.recorder.publish(of_bridge("state", "lab/aiva"), b"offline", retain=True)
    wait_until(lambda: world.recorder.last(of_bridge("state", "lab/aiva")).payload == b"online",
               "online again")
    world.bridge.stop()
    assert world.retained()[of_bridge("state", "lab/aiva")].payload == b"offline"
    assert "denied" not in world.broker.output().lower()


def test_the_printed_rules_are_narrow(bridge):
    """Neither everything below the root to read nor anything of others to write."""
    done = bridge.run_config("--print-acl", overrides={"mqtt.topic": "lab"})
    rules = [line.split(maxsplit=2) for line in done.stdout.splitlines()
             if line.startswith("topic ")]
    assert rules
    for _, access, topic in rules:
        assert access in ("read", "write", "readwrite")
        assert topic != "#" and (access == "write" or topic != "lab/#")
        assert topic.startswith("lab/") or topic.startswith("homeassistant")


def test_printing_rules_takes_no_secrets(bridge):
    """Whoever writes the broker's rules need not have the key, nor be able to read its file."""
    done = bridge.run_config("--print-acl", overrides={
        "aiva.api_key": None, "aiva.api_key_file": "/nowhere/key", "mqtt.username": "bridge",
        "mqtt.password_file": "/nowhere/password"})
    assert done.returncode == 0 and "user bridge\n" in done.stdout, done.stderr


# --- --healthcheck


def test_healthcheck_without_a_listener(bridge):
    """1: there is nothing to ask."""
    assert bridge.run_config("--healthcheck").returncode == 1


def test_healthcheck_without_a_bridge(bridge):
    """1: nobody answers."""
    done = bridge.run_config("--healthcheck",
                             overrides={"http.listen": f"127.0.0.1:{free_port()}"})
    assert done.returncode == 1


def test_healthcheck_of_something_that_does_not_answer(bridge):
    """1, and in finite time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listen = f"127.0.0.1:{listener.getsockname()[1]}"
        assert bridge.run_config("--healthcheck",
                                 overrides={"http.listen": listen}).returncode == 1


# --- signals and the end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_orderly_stop(world, number):
    """Exit code 0, and `offline` is retained."""
    world.start([job("one")])
    world.bridge.stop(number)
    assert world.retained()[of_bridge("state")].payload == b"offline"
    said = world.recorder.wait_count(of_bridge("state"), 2)
    assert [message.payload for message in said] == [b"online", b"offline"]


def test_what_waits_is_sent_before_the_end(world):
    """Events that have arrived are published although the stop comes at once."""
    world.start([job("one")])
    events = [{"job_id": "one", "status": "processing", "n": number} for number in range(300)]
    world.simulator.raw("".join(f"data: {json.dumps(event)}\r\n\r\n" for event in events).encode())
    world.wait_state("one", n=0)
    world.bridge.stop()
    world.recorder.wait_for(lambda message: message.payload == b"offline", what="the end")
    found = [message.json["n"] for message in world.states("one") if "n" in message.json]
    assert found == list(range(len(found)))
    assert world.recorder.messages[-1].topic == of_bridge("state")
    last = json.loads(world.retained()[of_job("one", "state")].payload)
    assert last["n"] == found[-1]


def test_the_last_will(world):
    """A bridge that dies is offline."""
    world.start()
    world.bridge.kill()
    world.recorder.wait_for(lambda message: message.topic == of_bridge("state")
                            and message.payload == b"offline", what="the will")
    will = world.retained()[of_bridge("state")]
    assert will.payload == b"offline" and will.retain


def test_a_stop_while_nothing_is_there(bridge):
    """Neither upstream nor broker: it runs, and stops with 0."""
    bridge.start()
    wait_until(lambda: len(bridge.output().splitlines()) > 1, "a failure in the log")
    bridge.stop()


def test_a_stop_while_it_starts(bridge):
    """A signal that comes with the first line of the log is not lost, and does not kill."""
    for _ in range(5):
        before = bridge.output()
        bridge.start()
        wait_until(lambda: bridge.output() != before, "the first line", pause=0.001)
        bridge.stop()


def test_a_stop_while_the_upstream_does_not_answer(world):
    """Requests that hang do not delay the end."""
    world.simulator.put_jobs([job("one")])
    world.simulator.fault("any", times=0, stall=True)
    world.bridge.start()
    world.recorder.wait_topic(of_bridge("state"))
    wait_until(lambda: world.simulator.stats()["requests"]["stream"]
               + world.simulator.stats()["requests"]["list"] > 0, "a request")
    world.bridge.stop()


def test_it_starts_before_the_broker(tmp_path, world):
    """It keeps trying, and everything is published once the broker is there."""
    port = free_port()
    world.simulator.put_jobs([job("one")])
    world.bridge.start({"mqtt.url": f"mqtt://127.0.0.1:{port}"})
    wait_until(world.bridge.output, "a line of the log")
    folder = tmp_path / "late"
    folder.mkdir()
    broker = Broker(folder, port=port).start()
    try:
        with Recorder(broker) as recorder:
            recorder.wait_topic(of_job("one", "state"), status="processing")
            recorder.wait_for(lambda message: message.topic == of_bridge("state")
                              and message.payload == b"online", what="online")
            world.bridge.stop()
    finally:
        broker.end()


def test_it_starts_before_the_upstream(tmp_path, world):
    """It says that the upstream cannot be had, and goes on once it is there."""
    port = free_port()
    world.bridge.start({"aiva.url": f"http://127.0.0.1:{port}"})
    world.recorder.wait_topic(of_bridge("state"))
    world.recorder.wait_for(lambda message: message.topic == of_bridge("upstream")
                            and message.json["state"] in ("connecting", "unavailable"))
    folder = tmp_path / "late"
    folder.mkdir()
    simulator = Simulator(folder, port=port).start()
    try:
        simulator.put_jobs([job("one")])
        world.wait_state("one", status="processing")
        world.wait_upstream("streaming")
        world.bridge.stop()
    finally:
        simulator.end()


def test_a_hangup_reads_the_secrets_again(world, tmp_path):
    """SIGHUP: the new key is used at once."""
    key = tmp_path / "key"
    key.write_text(KEY)
    world.start([job("one")], {"aiva.api_key": None, "aiva.api_key_file": str(key)})
    key.write_text("another-key")
    since = world.recorder.mark()
    world.simulator.set_key("another-key")
    world.bridge.send(signal.SIGHUP)
    wait_until(lambda: world.simulator.stats()["streams_open"] == 1, "a new stream")
    world.simulator.set_job("one", status="completed")
    world.wait_state("one", since, status="completed")
    assert world.recorder.last(of_bridge("state")).payload == b"online"


def test_a_hangup_reads_the_password_again(make_world, tmp_path):
    """SIGHUP: the new password is tried at once."""
    password = tmp_path / "password"
    password.write_text("wrong")
    world = make_world(broker={"users": {"bridge": "right"}})
    world.bridge.start({"mqtt.username": "bridge", "mqtt.password_file": str(password)})
    wait_until(lambda: "not authorised" in world.broker.output(), "the refusal")
    password.write_text("right")
    world.bridge.send(signal.SIGHUP)
    world.recorder.wait_topic(of_bridge("state"), timeout=20)


# --- logs


def test_logs_go_to_standard_error(bridge):
    """Standard output stays empty."""
    done = bridge.run_config(overrides={"mqtt.qos": 9})
    assert not done.stdout and done.stderr


def test_the_log_can_be_json(world):
    """One object a line."""
    world.start([job("one")], {"log.format": "json", "log.level": "debug"})
    world.command("one", "cancel")
    world.bridge.stop()
    lines = world.bridge.output().splitlines()
    assert lines and all(isinstance(json.loads(line), dict) for line in lines)


def test_the_log_level_holds(world):
    """`error` does not say what `info` says."""
    world.start([job("one")], {"log.level": "error"})
    world.bridge.stop()
    assert not world.bridge.output()
    world.start(config={"log.level": "info"})
    assert world.bridge.output()


def test_names_from_outside_are_escaped_in_the_log(world):
    """A job id cannot forge a line."""
    world.start(config={"log.level": "debug"})
    world.simulator.emit({"job_id": "x" * 130 + "\n2026 forged line", "status": "queued"})
    world.simulator.emit({"job_id": "y\n2026 forged line\x1b[2J", "status": "queued"})
    world.stream_marker()
    for line in world.bridge.output().splitlines():
        assert not line.startswith("2026 forged")
    assert "\x1b" not in world.bridge.output()
