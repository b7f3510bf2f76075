"""When the bridge connects again, how often, and with what."""

import signal
import socket
import threading
import time

import pytest
from harness.bad_broker import VICTIM, Answer
from harness.mqttclient import new_client
from harness.silent import Silent
from harness.topics import of_bridge, of_job
from harness.waiting import wait_until
from harness.world import job
from paho.mqtt import client as mqtt

WATCH_S = 6
"""How long attempts are counted; not a wait for something, but the thing itself."""

REFUSED_5 = [0x85, 0x86, 0x87, 0x8A]
REFUSED_3 = [1, 2, 4, 5]


def watch(count, seconds=WATCH_S):
    """How far a count goes up in some seconds."""
    before = count()
    time.sleep(seconds)
    return count() - before


def wait_log(world, text):
    wait_until(lambda: text in world.bridge.output(), f"{text!r} in the log")


# --- refused


@pytest.mark.parametrize("version, code", [("5", code) for code in REFUSED_5] +
                         [("3.1.1", code) for code in REFUSED_3])
def test_a_refusal_is_not_hammered(bad, version, code):
    """It is said, and the next attempt is a minute away."""
    bad.broker.connack_code = code
    bad.bridge.start({"mqtt.version": version})
    wait_log(bad, "refused the connection")
    assert watch(lambda: len(bad.broker.connects), 3) == 0
    assert len(bad.broker.connects) == 1
    lines = [line for line in bad.bridge.output().splitlines() if "next attempt in" in line]
    assert len(lines) == 1
    assert float(lines[0].rsplit("in ", 1)[1].split()[0]) >= 60


@pytest.mark.parametrize("version, code", [("5", 0x88), ("5", 0x89), ("5", 0x97), ("5", 0x9F),
                                           ("3.1.1", 3)])
def test_a_busy_broker_is_tried_again_soon(bad, version, code):
    """Unavailable, busy, over its quota: that passes."""
    bad.broker.connack_code = code
    bad.bridge.start({"mqtt.version": version})
    bad.broker.wait_packet("CONNECT", count=2)
    bad.broker.connack_code = 0
    bad.recorder.wait_topic(of_bridge("state"), timeout=60)
    assert bad.recorder.last(of_bridge("state")).payload == b"online"


def test_a_hangup_tries_a_new_password_at_once(bad, tmp_path):
    """SIGHUP in the slow lane: the file is read, and the new password sent."""
    password = tmp_path / "password"
    password.write_text("old\n")
    bad.broker.on_connect = lambda packet: 0 if packet.password == b"new" else 0x86
    bad.bridge.start({"mqtt.username": "user", "mqtt.password_file": str(password)})
    wait_log(bad, "refused the connection")
    password.write_text("new\n")
    bad.bridge.send(signal.SIGHUP)
    bad.recorder.wait_topic(of_bridge("state"))
    assert [packet.password for packet in bad.broker.connects] == [b"old", b"new"]


@pytest.mark.slow
def test_the_password_file_is_read_again_by_itself(bad, tmp_path):
    """After a refusal, without a hangup, at the next attempt."""
    password = tmp_path / "password"
    password.write_text("old")
    bad.broker.on_connect = lambda packet: 0 if packet.password == b"new" else 0x86

    def refuse(packet):
        if packet.password == b"new":
            return 0
        password.write_text("new")
        return 0x86
    bad.broker.on_connect = refuse
    bad.bridge.start({"mqtt.username": "user", "mqtt.password_file": str(password)})
    bad.recorder.wait_topic(of_bridge("state"), timeout=75)
    assert [packet.password for packet in bad.broker.connects] == [b"old", b"new"]


@pytest.mark.parametrize("content", [None, b"", b"a\nb"], ids=str)
def test_a_hangup_keeps_the_old_password_if_the_new_is_bad(bad, tmp_path, content):
    """No file, an empty one, two lines: it is said, and nothing changes."""
    password = tmp_path / "password"
    password.write_text("good")
    bad.broker.on_connect = lambda packet: 0 if packet.password == b"good" else 0x86
    bad.start(config={"mqtt.username": "user", "mqtt.password_file": str(password)})
    if content is None:
        password.unlink()
    else:
        password.write_bytes(content)
    bad.bridge.send(signal.SIGHUP)
    wait_log(bad, "cannot be read again")
    bad.broker.kick()
    bad.broker.wait_packet("CONNECT", count=2)
    wait_until(lambda: bad.recorder.last(of_bridge("state")).payload == b"online", "online")
    bad.stream_marker()
    assert {packet.password for packet in bad.broker.connects} == {b"good"}


def test_a_hangup_keeps_the_old_key_if_the_new_is_bad(bad, tmp_path):
    """The same for the upstream's key."""
    key = tmp_path / "key"
    key.write_text(bad.simulator.options[1])
    bad.start([job("one")], {"aiva.api_key": None, "aiva.api_key_file": str(key)})
    key.unlink()
    bad.bridge.send(signal.SIGHUP)
    wait_log(bad, "cannot be read again")
    bad.simulator.cut()
    wait_until(lambda: bad.simulator.stats()["streams_open"] == 1
               and bad.simulator.requests("stream") > 1, "a new stream")
    bad.stream_marker()
    assert bad.simulator.stats()["unauthorized"] == 0


def test_a_hangup_while_connecting_uses_the_new_password(bad, tmp_path):
    """The attempt with the old one is under way: a connection with the new one follows."""
    password = tmp_path / "password"
    password.write_text("old")
    bad.broker.connack_delay = 0.5
    bad.bridge.start({"mqtt.username": "user", "mqtt.password_file": str(password)})
    bad.broker.wait_packet("CONNECT")
    password.write_text("new")
    bad.bridge.send(signal.SIGHUP)
    assert bad.recorder.wait_topic(of_bridge("state")).payload == b"online"
    assert [packet.password for packet in bad.broker.connects] == [b"old", b"new"]


def test_a_hangup_while_the_memory_is_read(bad):
    """What the broker has retained still comes in while the connection is closed for the new
    one: again and again, and the bridge lives."""
    state = '{"job_id": "j%d", "status": "completed", "observed_at": "2026-03-09T10:30:00.000Z"}'
    for number in range(1000):
        bad.broker.inject(of_job(f"j{number}", "state"), (state % number).encode(), retain=True)
    left = [8]

    def hang_up(pattern):
        if left[0] and pattern == "aiva/jobs/+/state":
            left[0] -= 1
            threading.Timer(0.004 * left[0], bad.bridge.send, (signal.SIGHUP,)).start()
    bad.broker.on_subscribe = hang_up
    bad.simulator.put_jobs([job(f"j{number}", "completed") for number in range(1000)])
    bad.bridge.start()
    wait_until(lambda: not left[0], "all the hangups", 60)
    wait_until(lambda: bad.simulator.stats()["streams_open"] == 1, "the stream")
    bad.stream_marker()
    assert len(bad.broker.connects) > 1
    assert bad.broker.retained[of_bridge("state")].payload == b"online"
    assert not bad.events("j0")


def test_a_hangup_says_offline_or_online(bad):
    """The connection is made again, and `online` is what stands in the end."""
    bad.start([job("one")])
    bad.bridge.send(signal.SIGHUP)
    bad.broker.wait_packet("CONNECT", count=2)
    bad.stream_marker()
    assert bad.broker.retained[of_bridge("state")].payload == b"online"


def last_words(world):
    """What the bridge said of itself last on the connection that it closed in order."""
    end = world.broker.select("DISCONNECT")[-1]
    return [packet.payload for packet in world.broker.published(of_bridge("state"))
            if packet.session == end.session][-1:]


@pytest.mark.parametrize("version, qos", [("5", 1), ("5", 2), ("3.1.1", 0), ("3.1.1", 1)])
def test_a_reconnect_that_fails_leaves_offline(bad, tmp_path, version, qos):
    """The new password is wrong: whoever looks at the broker sees that nobody is there."""
    password = tmp_path / "password"
    password.write_text("good")
    bad.broker.on_connect = lambda packet: 0 if packet.password == b"good" else REFUSED_3[2]
    bad.start([job("one")], {"mqtt.username": "user", "mqtt.password_file": str(password),
                             "mqtt.version": version, "mqtt.qos": qos})
    password.write_text("wrong")
    bad.bridge.send(signal.SIGHUP)
    wait_log(bad, "refused the connection")
    assert bad.broker.retained[of_bridge("state")].payload == b"offline"
    assert last_words(bad) == [b"offline"]
    password.write_text("good")
    bad.bridge.send(signal.SIGHUP)
    wait_until(lambda: bad.broker.retained[of_bridge("state")].payload == b"online", "online")
    bad.stream_marker()
    assert "was overwritten" not in bad.bridge.output()


def test_a_hangup_before_the_subscriptions_have_gone_out(bad):
    """What waits behind them is said before the end, `offline` last."""
    refused = []
    bad.broker.on_connect = lambda packet: 0x86 if refused else 0
    bad.simulator.put_jobs([job("one")])

    def hang_up(_pattern):
        if not refused:
            refused.append(True)
            bad.bridge.send(signal.SIGHUP)
    bad.broker.on_subscribe = hang_up
    bad.bridge.start()
    wait_log(bad, "refused the connection")
    state = bad.broker.retained.get(of_bridge("state"))
    assert state is None or state.payload == b"offline"


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_an_overdue_acknowledgement_leaves_offline(bad, version):
    """The window is full of what is never acknowledged, and the broker takes no new connection."""
    bad.broker.connack_properties = {"receive_maximum": 20}
    bad.start([job("one")], {"mqtt.keep_alive_s": 5, "mqtt.version": version})
    bad.broker.on_publish = lambda packet: Answer.LOST if packet.qos else None
    for number in range(200):
        bad.simulator.emit({"job_id": "one", "status": "processing", "n": number})
    wait_until(lambda: len(bad.broker.session.unanswered) >= 20, "a full window")
    bad.broker.connack_code = 0x88 if version == "5" else 3
    wait_log(bad, "no acknowledgement for too long")
    wait_log(bad, "next attempt in")
    assert bad.broker.retained[of_bridge("state")].payload == b"offline"


@pytest.mark.parametrize("asked, given, expected", [(5, None, 5), (30, None, 30), (30, 6, 6), (10, 60, 10)])
def test_one_keep_alive_for_all(bad, asked, given, expected):
    """The bridge's own, or the broker's where that is shorter: CONNECT has it, and an acknowledgement
    is overdue after twice as long."""
    if given is not None:
        bad.broker.connack_properties = {"server_keep_alive": given}
    bad.start([job("one")], {"mqtt.keep_alive_s": asked})
    assert bad.broker.connects[-1].keep_alive == expected
    if expected > 6:
        return
    bad.broker.on_publish = lambda packet: Answer.LOST if packet.qos else None
    connects = len(bad.broker.connects)
    bad.simulator.emit({"job_id": "one", "status": "processing", "n": 1})
    lost = bad.broker.wait(lambda: [one for one in bad.broker.published(of_job("one", "state"))
                                    if b'"n"' in one.payload], "the publication")[0]
    bad.broker.wait_packet("CONNECT", count=connects + 1, timeout=2 * expected + 20)
    assert bad.broker.connects[connects].at - lost.at > 2 * expected - 1


# --- thrown out


@pytest.mark.parametrize("reason", [None, 0x00, 0x8B, 0x8E, 0x98], ids=str)
def test_it_comes_back_after_the_broker_ended_the_connection(bad, reason):
    """With or without a word, and says why."""
    bad.start([job("one")])
    bad.broker.kick(reason)
    bad.broker.wait_packet("CONNECT", count=2)
    wait_until(lambda: bad.recorder.last(of_bridge("state")).payload == b"online", "online")
    bad.stream_marker()
    assert "connection lost" in bad.bridge.output() or "ended the connection" in bad.bridge.output()


def test_a_rival_with_the_same_id_starts_no_storm(bad):
    """Each throws the other out; the rival comes back at once, the bridge ever later."""
    bad.start()
    rival = new_client(VICTIM, protocol=mqtt.MQTTv311)
    rival.reconnect_delay_set(1, 1)
    rival.connect("127.0.0.1", bad.broker.port)
    rival.loop_start()
    try:
        # The rival speaks MQTT 3.1.1.
        grown = watch(lambda: len([one for one in bad.broker.connects if one.version == 5]), 10)
        assert grown <= 9
    finally:
        rival.disconnect()
        rival.loop_stop()
    bad.stream_marker(60)
    assert bad.recorder.last(of_bridge("state")).payload == b"online"


def test_offline_is_repaired_at_most_once_a_second(bad):
    """However often somebody writes it; and it is repaired in the end."""
    bad.start()
    since = bad.broker.mark()
    begin = time.monotonic()
    for _ in range(60):
        bad.broker.inject(of_bridge("state"), b"offline", retain=True)
        time.sleep(0.05)
    took = time.monotonic() - begin
    wait_until(lambda: bad.broker.retained[of_bridge("state")].payload == b"online", "online")
    repairs = bad.broker.published(of_bridge("state"), since)
    assert 1 <= len(repairs) <= took + 2
    assert all(after.at - before.at > 0.9 for before, after in zip(repairs, repairs[1:]))


# --- not there, or not answering


def test_a_dead_broker_is_not_hammered(bad):
    """Nobody listens: the waits grow."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.listen()
        accepted = []
        listener.settimeout(0.1)
        bad.bridge.start({"mqtt.url": f"mqtt://127.0.0.1:{listener.getsockname()[1]}"})
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                listener.accept()[0].close()
            except TimeoutError:
                continue
            accepted.append(time.monotonic())
    assert 2 <= len(accepted) <= 12


def test_a_late_connack_is_waited_for(bad):
    """Three seconds are not too late."""
    bad.broker.connack_delay = 3
    bad.simulator.put_jobs([job("one")])
    bad.bridge.start()
    bad.wait_state("one")
    assert len(bad.broker.connects) == 1


def test_a_missing_connack_is_not_waited_for_for_ever(bad):
    """Ten seconds, and somewhat more for the library's clock; then it is said and tried again."""
    bad.broker.answers_connect = False
    bad.bridge.start()
    wait_until(lambda: "next attempt" in bad.bridge.output(), "the end of the attempt", 60)
    bad.broker.answers_connect = True
    bad.recorder.wait_topic(of_bridge("state"))


@pytest.mark.slow
def test_a_half_open_connection_is_noticed(bad):
    """No answer to PINGREQ: the connection counts as dead after about two keep-alive times."""
    bad.start([job("one")])
    bad.broker.answers_pings = False
    bad.broker.wait_packet("PINGREQ", timeout=40)
    bad.broker.answers_pings = True
    bad.broker.wait_packet("CONNECT", count=2, timeout=60)
    bad.stream_marker()


@pytest.mark.slow
def test_a_frozen_broker_is_noticed(bad):
    """The same where it reads nothing at all, with the last will said when it goes on."""
    bad.start([job("one")])
    bad.broker.freeze()
    wait_until(lambda: "next attempt" in bad.bridge.output(), "the loss", 100)
    bad.broker.thaw()
    bad.broker.wait_packet("CONNECT", count=2, timeout=60)
    wait_until(lambda: bad.recorder.last(of_bridge("state")).payload == b"online", "online")
    bad.stream_marker()
