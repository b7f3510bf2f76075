"""A broker, or whoever sits between, that sends what no broker may: the connection ends, the bridge goes on."""

import concurrent.futures
import signal

import pytest
from harness import bad_packets, packets
from harness.bridge import Bridge
from harness.hostile import Ended, Hostile, frame
from harness.simulator import KEY
from harness.world import job, way_to

# Of sizes that the library's own blocks have too.
MANY_PROPERTIES = {"user_property": [("A" * (16 + number % 112), "B" * (16 + number % 97))
                                     for number in range(2000)]}
SHORT = [b"\x20\x02\x00\x00", b"\x20\x02\x00\x01", b"\x90\x03\x00\x01\x00", b"\x90\x02\x00\x01",
         b"\xb0\x02\x00\x01", b"\xb0\x03\x00\x01\x00"]


LANES = 4
"""Bridges side by side: each connection takes a while to end."""
LEAN = {"ASAN_OPTIONS": "quarantine_size_mb=1"}
MAY_GROW_KIB = 24 * 1024
SEED = 20


@pytest.fixture
def hostile(bridge):
    """A server in the broker's place, and a bridge that connects to it."""
    with Hostile() as server:
        settings, front = way_to(server.port)
        bridge.settings.update(settings)
        yield server
        if front is not None:
            front.close()


def at_once(bridge):
    """Has the bridge connect again without waiting."""
    bridge.assert_alive()
    bridge.send(signal.SIGHUP)


def memory_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


class Lane:
    """A bridge, and the server that its packets come from."""

    def __init__(self, folder, version):
        folder.mkdir()
        self._server = Hostile()
        self._version = version
        settings, self._front = way_to(self._server.port)
        self._bridge = Bridge(folder, {
            "aiva.url": "http://127.0.0.1:1", "aiva.api_key": KEY, **settings,
            "mqtt.version": {5: "5", 3: "3.1.1"}[version]})

    def _catch(self, accept):
        if accept:
            return self._server.reached(packets.encode_connack(self._version, 0), "SUBSCRIBE")
        return self._server.caught()

    def _try(self, row, accept):
        """Sends the row on the next connection; False where the bridge was about to connect anew anyway."""
        name, data, out = row
        with self._catch(accept) as reached:
            one = reached[0] if accept else reached
            try:
                if accept:
                    one.send(data)
                else:
                    one.answer_connect(data)
            except Ended:
                return False
            if not out:
                one.finish()
            assert one.wait_end(), f"the connection goes on after: {name}"
            return True

    def _end(self):
        """The bridge works as ever, and stops in order."""
        with self._server.reached(packets.encode_connack(self._version, 0), "PUBLISH") as (one, packet):
            one.send(packets.encode_answer(self._version, "PUBACK", packet.number))
            self._bridge.begin_stop()
            one.behave()
        self._bridge.wait_end()

    def run(self, rows, accept):
        """Each row on a connection of its own; then all has to be well."""
        self._bridge.start(env=LEAN)
        try:
            before = None
            for number, row in enumerate(rows):
                while not self._try(row, accept):
                    continue
                at_once(self._bridge)
                if number == 10:
                    before = memory_kib(self._bridge.pid)
            assert before is None or memory_kib(self._bridge.pid) - before < MAY_GROW_KIB
            self._end()
        finally:
            self._bridge.finish()
            self._server.close()
            if self._front is not None:
                self._front.close()


def run_all(folder, version, rows, accept):
    """Spread over the lanes."""
    with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        lanes = [pool.submit(Lane(folder / f"lane{number}", version).run, rows[number::LANES], accept)
                 for number in range(LANES)]
        for lane in lanes:
            lane.result()


@pytest.mark.parametrize("version", [5, 3])
def test_packets_behind_the_connack(tmp_path, version):
    """Every kind of packet, wrong in every way."""
    run_all(tmp_path, version, list(bad_packets.after_connack(version)), True)


@pytest.mark.parametrize("version", [5, 3])
def test_packets_in_the_place_of_the_connack(tmp_path, version):
    """And every kind of CONNACK."""
    run_all(tmp_path, version, list(bad_packets.before_connack(version)), False)


@pytest.mark.parametrize("version", [5, 3])
@pytest.mark.parametrize("accept", [True, False])
def test_packets_at_random(tmp_path, version, accept):
    """The same ones each time."""
    run_all(tmp_path, version, list(bad_packets.mutated(version, SEED, 40)), accept)


def test_old_memory_is_not_read(bridge, hostile):
    """Thousands of properties, and on the next connection a packet without its own."""
    good = packets.encode_connack(5, 0, False, MANY_PROPERTIES)
    bridge.start()
    for short in SHORT:
        with hostile.reached(good, "SUBSCRIBE"):
            pass
        at_once(bridge)
        if short[0] == 0x20:
            with hostile.caught() as one:
                one.answer_connect(short)
                assert one.wait_end()
        else:
            with hostile.reached(good, "SUBSCRIBE") as (one, _):
                one.send(short)
                assert one.wait_end()
        at_once(bridge)
    with hostile.reached(packets.encode_connack(5, 0), "PUBLISH"):
        pass


def publish(qos, topic, properties=b"\x00"):
    """A PUBLISH of bytes that need be no topic."""
    number = b"\x00\x07" if qos else b""
    return packets.encode("PUBLISH", len(topic).to_bytes(2, "big") + topic + number + properties + b"{}", qos << 1)


IMPROPER = [
    b"aiva/jobs/a\0b/command/delete", b"aiva/jobs/a\0/command/delete", b"aiva/jobs/a/command/delete\0x",
    b"aiva/jobs/\xc0\x80/command/delete", b"aiva/jobs/a\xff/command/delete", b"aiva/jobs/+/command/delete",
    b"aiva/jobs/a/command/#", b"aiva/bridge/command/refresh\0", b"aiva\0/jobs/a/command/delete"]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_topics_that_are_none(bad, qos):
    """A broker that looks at nothing passes on what a client made up: no command, and the connection stays.
    With QoS 2 the message takes another way through the bridge."""
    bad.start([job("a", "completed"), job("b")])
    connects = len(bad.broker.connects)
    lists = bad.simulator.requests("list")
    for topic in IMPROPER:
        bad.broker.session.send(publish(qos, topic))
        if qos == 2:
            bad.broker.wait_packet("PUBREC", bad.broker.mark() - 1)
    for response in (b"aiva/response/\0x", b"aiva/response/\xff"):
        value = len(response).to_bytes(2, "big") + response
        bad.broker.session.send(publish(qos, b"aiva/jobs/a/command/delete",
                                        bytes([1 + len(value), 8]) + value))
    assert bad.command("b", "refresh")["ok"]
    assert bad.simulator.requests("delete") == 0
    assert bad.simulator.requests("list") == lists
    assert not bad.results("a")
    assert len(bad.broker.connects) == connects
    assert "is not what MQTT allows" in bad.bridge.output()


ANNOUNCED = [(1 << 29) + 1, 1 << 31, (1 << 32) + 5, 1 << 40, 1 << 63, (1 << 64) - 1]


def open_websocket(one, accepted):
    """False where the bridge is about to connect anew anyway."""
    one.answer_websocket()
    try:
        assert one.read_frame()[0] == 0x10
        if accepted:
            one.send(frame(packets.encode_connack(5, 0)))
            return one.read_frame()[0] == 0x82
    except Ended:
        return False
    return True


def try_frame(one, data, step, accepted):
    """Sends the frame in pieces."""
    if not open_websocket(one, accepted):
        return False
    for at in range(0, len(data), step):
        one.send(data[at:at + step])
    assert one.wait_end()
    return True


def until_true(hostile, attempt):
    """One connection after the other."""
    done = False
    while not done:
        with hostile.caught() as one:
            done = attempt(one)


@pytest.mark.parametrize("accepted", [False, True])
def test_websocket_frames_of_any_length(bridge, hostile, accepted):
    """What a frame announces is neither believed nor set aside: the connection ends, and nothing else."""
    bridge.settings["mqtt.url"] = hostile.url.replace("mqtt:", "ws:")
    bridge.start()
    for length in ANNOUNCED:
        for step in (1, 3, 100):
            data = frame(b"x" * 40, length=length)
            until_true(hostile, lambda one, data=data, step=step: try_frame(one, data, step, accepted))
            at_once(bridge)
    until_true(hostile, lambda one: open_websocket(one, True))


def assert_bounded(bridge, one, piece, mebibytes=64):
    """The bridge is sent that much and nothing is read of what it says: its memory does not follow."""
    before = memory_kib(bridge.process.pid)
    sent = one.send_unread(piece, mebibytes << 20)
    assert sent < mebibytes << 20, "it reads on although nobody takes its answers"
    assert memory_kib(bridge.process.pid) - before < 3 * MAY_GROW_KIB
    bridge.assert_alive()


@pytest.mark.parametrize("piece", [b"\x62\x02\x00\x07", b"\x32\x07\x00\x01t\x00\x07\x00x"],
                         ids=["PUBREL", "PUBLISH"])
def test_a_broker_that_takes_no_answers(bridge, hostile, piece):
    """Each packet has an answer; beyond some that wait, no more are read."""
    bridge.start(env=LEAN)
    with hostile.reached(packets.encode_connack(5, 0), "SUBSCRIBE") as (one, _):
        assert_bounded(bridge, one, piece)
    bridge.stop()


def test_pings_of_a_websocket_that_takes_no_answers(bridge, hostile):
    """The same for pongs."""
    bridge.settings["mqtt.url"] = hostile.url.replace("mqtt://", "ws://")
    bridge.start(env=LEAN)
    with hostile.caught() as one:
        one.answer_websocket()
        one.read_frame()
        assert_bounded(bridge, one, frame(b"p" * 125, 0x89))
    bridge.stop()


@pytest.mark.parametrize("size", [600_000, 4_000_000])
def test_a_packet_too_large_for_the_session(bridge, hostile, size):
    """A CONNACK that is well-formed, and larger than the MQTT library is given."""
    text = "x" * 60_000
    properties = {"user_property": [(text, "")] * (size // 60_000)}
    bridge.start(env=LEAN)
    with hostile.caught() as one:
        one.answer_connect(packets.encode_connack(5, 0, properties=properties))
        assert one.wait_end()
    bridge.assert_alive()
    bridge.stop()


def test_a_connack_before_a_connect(bridge, hostile):
    """It is no answer to anything."""
    bridge.start(env=LEAN)
    for _ in range(3):
        with hostile.caught() as one:
            one.send(b"\x20\x03\x00\x00\x00")
            assert one.wait_end()
        at_once(bridge)
    assert "before it got a CONNECT" in bridge.output()
    bridge.stop()
