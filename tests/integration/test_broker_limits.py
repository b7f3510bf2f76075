"""What the broker says in its CONNACK is obeyed."""

from unittest import mock

import pytest
from harness.bad_broker import Answer
from harness.topics import of_bridge, of_job
from harness.waiting import wait_until
from harness.world import job


@pytest.mark.parametrize("maximum", [1, 2, 7])
@pytest.mark.parametrize("qos", [1, 2])
def test_the_window_never_exceeds_receive_maximum(bad, maximum, qos):
    """However much waits; and all of it arrives, in order."""
    bad.broker.connack_properties = {"receive_maximum": maximum}
    bad.start([job("one")], {"mqtt.qos": qos})
    for number in range(60):
        bad.simulator.emit({"job_id": "one", "status": "processing", "n": number})
    bad.stream_marker()
    assert [one.json["n"] for one in bad.states("one") if "n" in one.json] == list(range(60))
    assert bad.broker.session.most_unanswered <= maximum


def test_a_full_window_waits_for_acknowledgements(bad):
    """Exactly as many as allowed are out; each acknowledgement lets one more through."""
    bad.broker.connack_properties = {"receive_maximum": 3}
    bad.start([job("one")])
    bad.broker.on_publish = lambda packet: Answer.HOLD
    for number in range(20):
        bad.simulator.emit({"job_id": "one", "status": "processing", "n": number})
    wait_until(lambda: len(bad.broker.session.held) == 3, "a full window")
    rounds = 0
    while len([one for one in bad.states("one") if "n" in one.json]) < 20:
        wait_until(lambda: bad.broker.session.held, "the next")
        bad.broker.release()
        rounds += 1
        assert rounds < 60
    bad.broker.on_publish = lambda packet: None
    bad.broker.release()
    bad.stream_marker()
    assert bad.broker.session.most_unanswered <= 3


def test_a_larger_receive_maximum_after_a_reconnect(bad):
    """The limit is that of the present connection."""
    bad.broker.connack_properties = {"receive_maximum": 1}
    bad.start([job("one")])
    bad.broker.connack_properties = {"receive_maximum": 40}
    bad.broker.kick()
    bad.broker.wait_packet("CONNECT", count=2)
    wait_until(lambda: bad.recorder.last(of_bridge("state")).payload == b"online", "online")
    bad.stream_marker()
    bad.broker.on_publish = lambda packet: Answer.HOLD
    for number in range(60):
        bad.simulator.emit({"job_id": "one", "status": "processing", "n": number})
    wait_until(lambda: bad.broker.session.most_unanswered == 40, "a window of 40")
    bad.broker.on_publish = lambda packet: None
    bad.broker.release()
    bad.stream_marker()


def test_packets_above_the_maximum_are_not_sent(bad):
    """They are reported; everything else arrives, on the same connection."""
    bad.broker.connack_properties = {"maximum_packet_size": 2000}
    bad.start([job("one")])
    for size in range(1500, 2100, 25):
        bad.simulator.emit({"job_id": f"size-{size}", "status": "queued", "x": "x" * size})
    bad.stream_marker()
    assert max(packet.size for packet in bad.broker.published()) <= 2000
    assert bad.broker.published(of_job("size-1500", "state"))
    assert not bad.broker.published(of_job("size-2075", "state"))
    assert bad.broker.published(of_job("size-2075", "event"))
    assert len(bad.broker.connects) == 1
    assert "Maximum Packet Size" in bad.bridge.output()


def test_a_command_answer_above_the_maximum(bad):
    """It cannot be given; the next can."""
    bad.broker.connack_properties = {"maximum_packet_size": 1000}
    bad.start([job("one")])
    request = '{"id":"%s"}' % ("x" * 2000)
    bad.send_command("one", "refresh", request.encode())
    wait_until(lambda: "Maximum Packet Size" in bad.bridge.output(), "the report")
    assert bad.command("one", "refresh")["ok"]
    assert len(bad.broker.connects) == 1


@pytest.mark.parametrize("maximum", [0, 1])
@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_maximum_qos_is_obeyed(bad, maximum, wanted):
    """Publications are sent with what is allowed and wanted."""
    bad.broker.connack_properties = {"maximum_qos": maximum}
    bad.start([job("one")], {"mqtt.qos": wanted})
    assert bad.command("one", "refresh")["ok"]
    bad.stream_marker()
    assert {packet.qos for packet in bad.broker.published()} == {min(maximum, wanted)}
    assert len(bad.broker.connects) == 1


@pytest.mark.parametrize("maximum", [0, 1])
def test_a_will_above_the_maximum_qos(bad, maximum):
    """A broker refuses such a CONNECT with 0x9B (MQTT 5, 3.2.2.3.4): the next try has less."""
    bad.broker.connack_properties = {"maximum_qos": maximum}
    bad.broker.on_connect = lambda packet: 0x9B if packet.will.qos > maximum else 0
    bad.simulator.put_jobs([job("one")])
    bad.bridge.start({"mqtt.qos": 2})
    bad.wait_state("one")
    assert bad.broker.connects[-1].will.qos <= maximum


def test_a_broker_that_keeps_nothing(bad):
    """Retain Available 0: no retain flag, and an error that says what it means."""
    bad.broker.connack_properties = {"retain_available": 0}
    bad.simulator.put_jobs([job("one")])
    bad.bridge.start()
    bad.wait_state("one")
    bad.stream_marker()
    assert not any(packet.retain for packet in bad.broker.published())
    assert "keeps no retained messages" in bad.bridge.output()
    assert len(bad.broker.connects) == 1


def test_a_retained_will_at_a_broker_that_keeps_nothing(bad):
    """Such a broker refuses the CONNECT with 0x9A (3.2.2.3.5): the next try has no such will."""
    bad.broker.connack_properties = {"retain_available": 0}
    bad.broker.on_connect = lambda packet: 0x9A if packet.will.retain else 0
    bad.simulator.put_jobs([job("one")])
    bad.bridge.start()
    bad.wait_state("one")
    assert not bad.broker.connects[-1].will.retain
    assert bad.broker.connects[-1].will.payload == b"offline"


def test_server_keep_alive_is_obeyed(bad):
    """The broker asks for a sign of life every two seconds, and gets it: any packet is one (MQTT 5,
    3.1.2.10)."""
    bad.broker.connack_properties = {"server_keep_alive": 2}
    bad.start([job("one")])
    since = bad.broker.mark()
    signs = bad.broker.wait(
        lambda: len(found := bad.broker.received[since:]) >= 8 and found, "eight signs of life")
    assert all(after.at - before.at <= 3 for before, after in zip(signs, signs[1:]))
    assert bad.broker.connects[-1].keep_alive <= 2
    bad.stream_marker()


def test_check_with_a_window_of_one(bad):
    """One publication at a time, and no more."""
    bad.broker.connack_properties = {"receive_maximum": 1}
    bad.broker.victim = mock.ANY  # the check has a client id of its own
    checked = bad.bridge.run_config("--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
