"""The harness itself: what the other tests rely on, without a bridge."""

import http.client
import threading

import pytest
from harness.proxy import Proxy
from harness.raw import raw_member
from harness.recorder import Message, Recorder, assert_well_formed, retained
from harness.simulator import KEY
from harness.waiting import PATIENCE, wait_until
from harness.world import job


def bearer(world, method, path):
    """A request with the key."""
    return world.simulator.call(method, path, headers={"Authorization": f"Bearer {KEY}"})


class Listener:
    """Reads the simulator's event stream into a buffer."""

    def __init__(self, simulator):
        self.data = bytearray()
        self.connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=PATIENCE)
        self.connection.request("GET", f"/jobs/events?token={KEY}")
        self.answer = self.connection.getresponse()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            while piece := self.answer.read1(65536):
                self.data += piece
        except (OSError, ValueError, http.client.HTTPException):
            pass


def test_the_recorder_keeps_everything(world):
    """Payload, flags as published, properties and order."""
    world.recorder.publish("a/b", b"1", retain=True, response_topic="r", correlation=b"\x00c")
    world.recorder.publish("a/b", b'{"x": 2}')
    first, second = world.recorder.wait_count("a/b", 2)
    assert (first.payload, first.retain, first.qos) == (b"1", True, 1)
    assert first.property("ResponseTopic") == "r" and first.property("CorrelationData") == b"\x00c"
    assert not second.retain and second.shows(x=2) and second.property("ContentType") is None


def test_the_recorder_tells_what_is_missing(world):
    """A wait that ends in vain shows the last messages."""
    world.recorder.publish("seen", b"this")
    world.recorder.wait_topic("seen")
    with pytest.raises(AssertionError, match="seen b'this'"):
        world.recorder.wait_topic("unseen", timeout=0.05)


def test_the_snapshot_shows_what_is_retained(world):
    """Also many messages, and only below the filter."""
    for number in range(60):
        world.recorder.publish(f"a/{number}", b"x", retain=True)
    world.recorder.publish("a/0", b"", retain=True)
    world.recorder.publish("b", b"x", retain=True)
    assert len(world.retained("a/#")) == 59
    assert len(world.retained()) == 60
    assert len(world.recorder.messages) == 62


def test_a_broker_without_persistence_forgets(world):
    """And the recorder comes back to it."""
    world.recorder.publish("a", b"x", retain=True)
    world.broker.restart()
    assert not retained(world.broker)
    wait_until(lambda: world.recorder.publish("b", b"y") or world.recorder.select("b"),
               "the recorder's return", pause=0.05)


def test_access_rules_hold(make_world):
    """Users, passwords and rules."""
    world = make_world(broker={"users": {"u": "p"}, "acl": "user u\ntopic read a\n"})
    world.recorder.publish("b", b"x")
    world.recorder.wait_topic("b")
    world.broker.login = ("u", "p")
    with Recorder(world.broker) as narrow:
        world.recorder.publish("b", b"x")
        world.recorder.publish("a", b"x")
        assert narrow.wait_topic("a").position == 0


def test_the_proxy_takes_the_broker_away(world):
    """Cut, refused, and there again."""
    relay = Proxy(world.broker.port)
    world.broker.port = relay.port
    with Recorder(world.broker) as recorder:
        relay.block()
        relay.unblock()
        wait_until(lambda: recorder.publish("a", b"x") or recorder.select("a"), "the return",
                   pause=0.05)
    relay.close()


def test_the_simulator_keeps_raw_values(world):
    """In list and status, byte for byte."""
    raw = b'{"job_id":"a/b","status":"queued","n":1.10,"big":1e400,"o":{ "k" : [1 ,2] }}'
    world.simulator.put_jobs(b"[" + raw + b"]")
    status, body = bearer(world, "GET", "/jobs")
    assert status == 200
    for name, value in (("n", "1.10"), ("big", "1e400"), ("o", '{ "k" : [1 ,2] }')):
        assert raw_member(body[1:-1], name) == value


def test_the_simulator_streams_what_it_is_told(world):
    """Events of changed jobs, bytes as they stand, and the end."""
    listener = Listener(world.simulator)
    world.simulator.set_job("one", status="queued", progress=1)
    world.simulator.emit(b'{"x": "\xff"}', event="ping", id="7")
    world.simulator.raw(b"data: raw\n\n")
    wait_until(lambda: listener.data.endswith(b"data: raw\n\n"), "the stream")
    assert b'"job_id":"one"' in listener.data.replace(b": ", b":")
    assert b"event: ping\r\n" in listener.data and b'data: {"x": "\xff"}' in listener.data
    world.simulator.cut()
    wait_until(lambda: world.simulator.stats()["streams_open"] == 0, "the cut")


def test_a_late_answer_is_counted_when_it_is_asked_for(world):
    """Requests count on arrival, and after_work answers with the old truth."""
    world.simulator.put_jobs([job("one", "queued")])
    world.simulator.fault("list", delay_ms=400, after_work=True)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(bearer(world, "GET", "/jobs")))
    asking.start()
    wait_until(lambda: world.simulator.requests("list") == 1, "the request")
    world.simulator.set_job("one", status="failed")
    assert not answers
    asking.join()
    assert b"queued" in answers[0][1]


def test_faults_come_in_order_and_end(world):
    """Each as often as it says."""
    world.simulator.fault("status", status=429, retry_after="3", body="x")
    world.simulator.fault("status", status=200, body="[]", content_type="text/html", times=2)
    world.simulator.put_jobs([job("one")])
    found = [bearer(world, "GET", "/jobs/one/status") for _ in range(4)]
    assert [status for status, _ in found] == [429, 200, 200, 200]
    assert [body for _, body in found[:3]] == [b"x", b"[]", b"[]"]
    assert b"Sample one" in found[3][1]


def test_much_can_be_written_into_a_stream(world):
    """Megabytes in pieces, in finite time."""
    listener = Listener(world.simulator)
    for _ in range(5):
        world.simulator.raw(b"x" * (4 * 1024 * 1024))
    wait_until(lambda: len(listener.data) >= 20 * 1024 * 1024, "20 MiB", 60)


@pytest.mark.parametrize("topic, payload, good", [
    ("aiva/jobs/one/state", b'{"n": 1e400}', True), ("aiva/jobs/one/state", b"", True),
    ("aiva/jobs/one/state", b'{"n": NaN}', False), ("lab/aiva/jobs/one/event", b'{"a"', False),
    ("aiva/jobs/one/result", b'{"detail": "\xe2\x82"}', False),
    ("aiva/bridge/upstream", b'"\xff"', False), ("aiva/bridge/state", b"online", True),
    ("aiva/bridge/state", b"\xff", False), ("a/b", b"\xff", True)])
def test_the_recorder_judges_what_the_bridge_says(topic, payload, good):
    """UTF-8, and JSON where it says so; other topics are nobody's business."""
    message = Message(0, topic, payload, 1, False)
    if good:
        assert_well_formed(message)
    else:
        with pytest.raises(AssertionError, match=topic):
            assert_well_formed(message)


def test_the_recorder_does_not_judge_what_the_test_wrote(world):
    """Rubbish of the test's own is its affair; that of somebody else is found."""
    topic = "aiva/jobs/one/state"
    world.recorder.publish(topic, b"\xff")
    world.recorder.wait_topic(topic)
    world.recorder.assert_well_formed()
    with Recorder(world.broker) as other:
        world.recorder.publish(topic, b"\xff")
        other.wait_topic(topic)
        with pytest.raises(AssertionError, match=topic):
            other.assert_well_formed()
