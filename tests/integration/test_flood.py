"""More commands than anybody can mean: publishing goes on, and memory stays bounded."""

import datetime
import json
import pathlib
import subprocess
import time

import pytest
from harness.topics import of_job
from harness.waiting import wait_until
from harness.world import job

COMMANDS = 10000
EVENTS = 100
# A sanitizer keeps what is freed: not part of what is measured.
LEAN = {"ASAN_OPTIONS": "quarantine_size_mb=1"}


def memory_kib(pid):
    """The most memory that the process has had resident so far."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise AssertionError("no VmHWM")


def start_flood(world, topic, payload, count):
    """Publishes the payload so many times, as fast as it goes."""
    lines = world.bridge.config.parent / "flood"
    with lines.open("wb") as file:
        file.writelines([payload + b"\n"] * count)
    with lines.open("rb") as file:
        return subprocess.Popen(
            ["mosquitto_pub", "-p", str(world.broker.port), "-t", topic, "-l"], stdin=file)


def start_watch(world, topic, count):
    """Sees that many messages on a topic that holds a retained one already, each with its time. A
    process of its own, so as not to be late."""
    watch = subprocess.Popen(
        ["mosquitto_sub", "-p", str(world.broker.port), "-q", "1", "-t", topic, "-F", "%U %p",
         "-C", str(count + 1), "-W", "60"], stdout=subprocess.PIPE, text=True)
    watch.stdout.readline()
    return watch


def delays(watch):
    """By number: the seconds from the moment when the bridge learnt of it."""
    found = {}
    for line in watch.communicate(timeout=90)[0].splitlines():
        at, payload = line.split(" ", 1)
        state = json.loads(payload)
        observed = datetime.datetime.fromisoformat(state["observed_at"].replace("Z", "+00:00"))
        found[state["number"]] = float(at) - observed.timestamp()
    return found


def test_ten_thousand_commands(world):
    """Each is answered once, nearly all of them by a refusal; every event of the meantime is
    published, in order and without waiting for the answers; the log is not flooded."""
    world.start([job("one"), job("two")], env=LEAN)
    before = memory_kib(world.bridge.pid)
    since = world.recorder.mark()
    watch = start_watch(world, of_job("two", "state"), EVENTS)
    flood = start_flood(world, of_job("one", "command/refresh"), b'{"id": 1}', COMMANDS)
    for number in range(EVENTS):
        world.simulator.emit({"job_id": "two", "status": "processing", "number": number})
        time.sleep(0.01)
    assert flood.wait(60) == 0
    found = delays(watch)
    assert list(found) == list(range(EVENTS))
    assert max(found.values()) < 10
    wait_until(lambda: len(world.recorder.select(of_job("one", "result"), since)) >= COMMANDS,
               "all answers", 60)
    assert world.command("two", "refresh")["ok"]
    answers = world.results("one", since)
    assert len(answers) == COMMANDS
    assert {answer.get("error") for answer in answers} <= {None, "in_progress", "rate_limited"}
    assert world.simulator.requests("status") < 1000
    assert world.bridge.output().count("in_progress") < 200
    assert memory_kib(world.bridge.pid) - before < 60 * 1024


def test_large_commands_at_once(world):
    """What they bring along comes back in the answers, up to a limit; then they are dropped."""
    world.start([job("one")], env=LEAN)
    before = memory_kib(world.bridge.pid)
    payload = b'{"id": "%s"}' % (b"x" * 60000)
    assert start_flood(world, of_job("two", "command/nothing"), payload, 3000).wait(60) == 0
    # It may be dropped too, for as long as the answers wait.
    since = world.recorder.mark()

    def answered():
        world.send_command("one", "refresh")
        return any(answer["ok"] for answer in world.results("one", since))

    wait_until(answered, "an answer", 60)
    assert memory_kib(world.bridge.pid) - before < 250 * 1024


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_command_larger_than_any_packet_should_be(world, version):
    """Nine mebibytes, of which an id would be looked for only in the first few: no harm. What comes
    behind it may be answered first."""
    world.start([job("one")], {"mqtt.version": version})
    since = world.send_command("one", "refresh", b'{"id": 1, "x": "' + b"x" * (9 << 20) + b'"}')
    world.send_command("one", "cancel")
    for command in ("cancel",) if version == "5" else ("cancel", "refresh"):
        answer = world.recorder.wait_topic(of_job("one", "result"), since, 60, command=command).json
        assert answer["ok"] and "id" not in answer
    assert len(world.results("one", since)) == (1 if version == "5" else 2)
    assert "lost" not in world.bridge.output()


def test_a_command_past_its_expiry_is_given_up(world):
    """A message that says when it expires is not acted on later: here AIVA is busy meanwhile."""
    world.start([job("one")])
    world.simulator.fault("cancel", status=503, times=0)
    since = world.recorder.mark()
    subprocess.run(["mosquitto_pub", "-V", "5", "-p", str(world.broker.port), "-m", "x",
                    "-t", of_job("one", "command/cancel"),
                    "-D", "publish", "message-expiry-interval", "2"], check=True)
    answer = world.recorder.wait_topic(of_job("one", "result"), since).json
    assert answer["error"] == "upstream_error" and "expiry" in answer["detail"]
    assert answer["duration_ms"] < 10000
