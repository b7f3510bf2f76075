"""The orderly stop: within five seconds, with 0, and `offline` left behind, whatever hangs."""

import signal
import time

import pytest
from harness.bad_broker import Answer
from harness.process import free_port
from harness.silent import Silent
from harness.topics import of_bridge, of_job
from harness.waiting import wait_until
from harness.world import job

LIMIT = 5.0
SLACK = 2.0
"""For the scheduler of a busy machine, and the sanitizers' work at the end."""


def stop(world, number=signal.SIGTERM, limit=LIMIT):
    """Stops the bridge; the exit code and the time are asserted."""
    begin = time.monotonic()
    world.bridge.stop(number)
    took = time.monotonic() - begin
    assert took <= limit + SLACK, f"the stop took {took:.1f} s\n{world.bridge.tail()}"


def assert_offline(world):
    """Retained at the broker, as a new client sees it."""
    wait_until(lambda: world.broker.retained.get(of_bridge("state")) is not None
               and world.broker.retained[of_bridge("state")].payload == b"offline", "offline")


def wait_log(world, text):
    wait_until(lambda: text in world.bridge.output(), f"{text!r} in the log")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_idle(bad, number, version):
    """At once, and with a DISCONNECT."""
    bad.start([job("one")], {"mqtt.version": version})
    stop(bad, number, limit=1)
    assert_offline(bad)
    assert bad.broker.received[-1].kind == "DISCONNECT"


def test_broker_refused(bad):
    """In back-off after refused credentials."""
    bad.broker.connack_code = 0x87
    bad.bridge.start()
    wait_log(bad, "refused the connection")
    stop(bad, limit=1)


def test_broker_away(bad):
    """In back-off since nobody listens."""
    bad.bridge.start({"mqtt.url": f"mqtt://127.0.0.1:{free_port()}"})
    wait_log(bad, "next attempt")
    stop(bad, limit=1)


def test_broker_away_while_messages_wait(bad):
    """They are lost, which is said; the last will speaks for the bridge."""
    bad.start([job("one")])
    bad.broker.connack_code = 0x88
    bad.broker.kick()
    wait_log(bad, "next attempt")
    for number in range(100):
        bad.simulator.emit({"job_id": "one", "status": "processing", "n": number})
    bad.broker.wait_packet("CONNECT", count=2)
    stop(bad)
    assert "could not be delivered" in bad.bridge.output()
    assert_offline(bad)


@pytest.mark.parametrize("scheme", ["mqtt", "mqtts", "ws", "wss"])
def test_broker_that_accepts_and_says_nothing(bad, scheme):
    """No CONNACK, no TLS handshake, no answer to the WebSocket request."""
    with Silent() as silent:
        bad.bridge.start({"mqtt.url": f"{scheme}://127.0.0.1:{silent.port}"})
        silent.wait_connected()
        stop(bad)


def test_hung_broker_with_a_full_outbox(bad):
    """It reads nothing any more. When it goes on, the last will says offline."""
    bad.start([job("one")])
    bad.broker.freeze()
    for number in range(300):
        bad.simulator.emit({"job_id": "one", "status": "processing", "n": number, "x": "x" * 9999})
    wait_until(lambda: bad.simulator.stats()["streams_open"] == 1, "the stream")
    stop(bad)
    assert "could not be delivered" in bad.bridge.output()
    bad.broker.thaw()
    assert_offline(bad)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_broker_that_acknowledges_nothing(bad, version):
    """It takes everything in silence: the last will says offline."""
    bad.start([job("one")], {"mqtt.version": version})
    bad.broker.on_publish = lambda packet: Answer.LOST
    bad.simulator.set_job("one", status="completed")
    bad.broker.wait_packet("PUBLISH", topic=of_job("one", "event"))
    stop(bad)
    assert_offline(bad)


def test_slow_broker_with_a_full_outbox(bad):
    """Too slow for all that waits: `offline` is taken before the rest."""
    bad.broker.connack_properties = {"receive_maximum": 1}
    bad.start([job("one")])
    bad.broker.on_publish = lambda packet: Answer.LATE
    for number in range(500):
        bad.simulator.emit({"job_id": "one", "status": "processing", "n": number})
    bad.broker.wait_packet("PUBLISH", count=20)
    stop(bad)
    assert_offline(bad)
    assert bad.broker.published()[-1].topic == of_bridge("state")
    assert bad.broker.received[-1].kind == "DISCONNECT"


def test_a_second_signal_stops_at_once(bad):
    """Without waiting for what hangs; the last will says offline."""
    bad.start([job("one")])
    bad.broker.on_publish = lambda packet: Answer.LOST
    bad.simulator.set_job("one", status="completed")
    bad.broker.wait_packet("PUBLISH", topic=of_job("one", "event"))
    bad.bridge.send(signal.SIGTERM)
    wait_log(bad, "SIGTERM: stopping")
    stop(bad, limit=1)
    assert_offline(bad)


def test_https_upstream_that_says_nothing(bad):
    """A TLS handshake that does not end."""
    with Silent() as silent:
        bad.bridge.start({"aiva.url": f"https://127.0.0.1:{silent.port}"})
        silent.wait_connected()
        stop(bad, limit=1)
        assert_offline(bad)


@pytest.mark.parametrize("kind", ["stream", "list", "status", "any"])
def test_upstream_that_stalls(bad, kind):
    """Requests that hang are given up."""
    bad.simulator.put_jobs([job("one")])
    bad.simulator.fault(kind, times=0, stall=True)
    bad.bridge.start()
    wanted = "stream" if kind == "any" else kind
    wait_until(lambda: bad.simulator.requests(wanted) > 0, "a request")
    stop(bad, limit=1)
    assert_offline(bad)


def test_a_pending_command_is_answered(bad):
    """It says why there is no result, and comes before offline."""
    bad.start([job("one")])
    bad.simulator.fault("cancel", times=0, stall=True)
    since = bad.send_command("one", "cancel", b'{"id":7}')
    wait_until(lambda: bad.simulator.requests("cancel") > 0, "the call")
    stop(bad, limit=1)
    answer = bad.recorder.wait_topic(of_job("one", "result"), since)
    assert answer.json["id"] == 7 and answer.json["error"] == "timeout"
    assert "stopped" in answer.json["detail"]
    assert answer.position < bad.recorder.last(of_bridge("state")).position
    assert_offline(bad)


def test_name_of_the_broker_hangs(bad, slow_dns):
    """The look-up takes half a minute; the stop does not."""
    bad.bridge.start({"mqtt.url": f"mqtt://broker.slow.test:{bad.broker.port}"}, slow_dns)
    wait_log(bad, "aiva-mqtt-bridge")
    stop(bad)


@pytest.mark.slow
def test_name_of_the_broker_hangs_beyond_the_attempt(bad, slow_dns):
    """The attempt has been given up, the look-up goes on."""
    bad.bridge.start({"mqtt.url": f"mqtt://broker.slow.test:{bad.broker.port}"}, slow_dns)
    wait_until(lambda: "seems to be stuck" in bad.bridge.output(), "the attempt to end", 60)
    stop(bad, limit=1)


def test_name_of_the_upstream_hangs(bad, slow_dns):
    """The same on the other side, where libcurl looks up in threads of its own."""
    bad.bridge.start({"aiva.url": "http://upstream.slow.test:1"}, slow_dns)
    bad.recorder.wait_topic(of_bridge("upstream"))
    bad.broker.wait_packet("UNSUBSCRIBE")
    stop(bad, limit=1)
    assert_offline(bad)


def test_a_hanging_look_up_stops_nothing_else(bad, slow_dns):
    """The upstream's name cannot be looked up, and has a time limit of 10 s: commands are answered
    before and after it."""
    bad.bridge.start({"aiva.url": "http://upstream.slow.test:1"}, slow_dns)
    wait_until(lambda: '"connecting"' not in bad.recorder.last(of_bridge("upstream")).text
               or "next attempt" in bad.recorder.last(of_bridge("upstream")).text
               if bad.recorder.last(of_bridge("upstream")) else False, "the time limit", 60)
    begin = time.monotonic()
    assert bad.command("one", "unknown")["error"] == "bad_topic"
    assert time.monotonic() - begin < 3


def numbered(world, count):
    for number in range(count):
        world.simulator.emit({"job_id": "one", "status": "processing", "n": number})


def test_a_backlog_that_the_broker_does_not_take(bad):
    """More waits than may be unacknowledged: the end leaves `offline`, and not what was before."""
    bad.start([job("one")])
    bad.broker.on_publish = lambda packet: Answer.LOST
    numbered(bad, 300)
    wait_until(lambda: bad.broker.session.unanswered, "publications that are not acknowledged")
    stop(bad)
    assert_offline(bad)


@pytest.mark.parametrize("moment", ["at once", "closed", "connecting"])
def test_a_stop_right_after_a_hangup(bad, moment):
    """The connection that was closed in order took its last will along: `offline` is said."""
    bad.start([job("one")])
    bad.broker.connack_delay = 0.3
    bad.bridge.send(signal.SIGHUP)
    if moment == "closed":
        bad.broker.wait_packet("DISCONNECT")
    elif moment == "connecting":
        bad.broker.wait_packet("CONNECT", count=2)
    stop(bad)
    assert_offline(bad)


def test_a_command_during_the_stop_is_answered(bad):
    """Publications still wait when it comes: it gets its answer, before `offline`."""
    bad.start([job("one")])
    bad.broker.on_publish = lambda packet: Answer.HOLD
    numbered(bad, 50)
    wait_until(lambda: bad.broker.session.held, "publications that are not acknowledged")
    bad.bridge.begin_stop()
    wait_log(bad, "SIGTERM: stopping")
    since = bad.send_command("one", "refresh")
    bad.broker.on_publish = lambda packet: None
    bad.broker.release()
    answer = bad.recorder.wait_topic(of_job("one", "result"), since)
    bad.bridge.wait_end()
    assert answer.json["error"] == "timeout" and "stopped" in answer.json["detail"]
    assert answer.position < bad.recorder.last(of_bridge("state")).position
    assert_offline(bad)


def test_a_stop_in_the_middle_of_the_first_fill(bad):
    """The second start finds jobs that the first did not get to: they are merely found, no news."""
    names = [f"j{number}" for number in range(1000)]
    bad.simulator.put_jobs([job(name, "completed") for name in names])
    bad.broker.on_publish = lambda packet: \
        Answer.LOST if len(bad.broker.retained) > 200 else None
    bad.bridge.start()
    wait_until(lambda: len(bad.broker.retained) > 200, "some of the jobs")
    bad.bridge.send(signal.SIGTERM)
    wait_log(bad, "SIGTERM: stopping")
    stop(bad)
    assert len(bad.broker.retained) < len(names)
    bad.broker.on_publish = lambda packet: None
    since = bad.recorder.mark()
    bad.bridge.start()
    bad.wait_upstream("streaming", since)
    wait_until(lambda: all(of_job(name, "state") in bad.broker.retained for name in names), "all")
    marker = bad.stream_marker()
    events = {message.topic for message in bad.recorder.messages
              if message.topic.endswith("/event")}
    assert events == {of_job(marker, "event")}
