"""What comes out of the stream: order, exactly one publication an event, and hostile input."""

import json
import pathlib

import pytest
from harness.topics import of_job
from harness.waiting import wait_until
from harness.world import job

MIB = 1024 * 1024

SKIPPED = {
    "not JSON": b"hello",
    "cut JSON": b'{"job_id": "NAME", "status": "queued"',
    "text after the object": b'{"job_id": "NAME", "status": "queued"} x',
    "two objects": b'{"job_id": "NAME", "status": "queued"}{}',
    "an array": b'[{"job_id": "NAME", "status": "queued"}]',
    "a text": b'"NAME"',
    "a number": b"17",
    "null": b"null",
    "no job_id": b'{"status": "queued", "id": "NAME"}',
    "job_id in another case": b'{"Job_Id": "NAME", "status": "queued"}',
    "job_id a number": b'{"job_id": 5, "status": "queued"}',
    "job_id null": b'{"job_id": null, "status": "queued"}',
    "job_id an array": b'{"job_id": ["NAME"], "status": "queued"}',
    "no status": b'{"job_id": "NAME"}',
    "status a number": b'{"job_id": "NAME", "status": 1}',
    "status null": b'{"job_id": "NAME", "status": null}',
    "invalid UTF-8": b'{"job_id": "NAME", "status": "queued", "x": "\xff\xfe"}',
    "invalid UTF-8 in the id": b'{"job_id": "NAME\xc3", "status": "queued"}',
    "an overlong slash": b'{"job_id": "NAME\xc0\xaf", "status": "queued"}',
    "NaN": b'{"job_id": "NAME", "status": "queued", "x": NaN}',
    "a trailing comma": b'{"job_id": "NAME", "status": "queued",}',
    "a NUL in the id": b'{"job_id": "NAME\\u0000x", "status": "queued"}',
}

SURVIVED = {
    "deep arrays": b'{"job_id": "NAME", "status": "queued", "x": ' + b"[" * 90000 + b"]" * 90000
                   + b"}",
    "deep objects": b'{"job_id": "NAME", "status": "queued", "x": ' + b'{"a":' * 90000 + b"1"
                    + b"}" * 90000 + b"}",
    "unclosed arrays": b"[" * 200000,
    "a lone surrogate": b'{"job_id": "NAME", "status": "queued", "x": "\\ud83d"}',
    "a control character in a text": b'{"job_id": "NAME", "status": "queued", "x": "\x01"}',
    "a raw NUL": b'{"job_id": "NAME", "status": "queued"}\x00',
    "an empty status": b'{"job_id": "NAME", "status": ""}',
    "a long status": b'{"job_id": "NAME", "status": "' + b"s" * 70000 + b'"}',
    "a long number": b'{"job_id": "NAME", "status": "queued", "x": ' + b"1" * 4000 + b"}",
    "many members": b'{"job_id": "NAME", "status": "queued"'
                    + b"".join(b', "m%d": 1' % number for number in range(20000)) + b"}",
    "duplicate ids": b'{"job_id": "NAME", "job_id": "NAME", "status": "queued"}',
    "duplicate states": b'{"job_id": "NAME", "status": "queued", "status": "failed"}',
    "nothing": b"",
    "only spaces": b"   ",
}


def filled(text, name):
    return text.replace(b"NAME", name.encode())


@pytest.mark.parametrize("case", SKIPPED)
def test_what_is_not_a_job_is_skipped(shared, case):
    """Unusable data is published nowhere, and the next event is."""
    name, since = shared.new_name(), shared.recorder.mark()
    shared.simulator.emit(filled(SKIPPED[case], name))
    marker = shared.stream_marker()
    assert shared.recorder.new_topics(since) <= {of_job(marker, "state"), of_job(marker, "event")}


@pytest.mark.parametrize("case", SURVIVED)
def test_hostile_data_does_no_harm(shared, case):
    """Whether it is a job is open; it is at most one publication, and the next event comes."""
    name = shared.known_upstream("queued")
    shared.simulator.emit(filled(SURVIVED[case], name))
    shared.stream_marker()
    assert len(shared.states(name)) <= 1
    for message in shared.states(name):
        assert message.json["job_id"] == name


@pytest.mark.parametrize("kind", ["ping", "job", "Message", "message "])
def test_other_event_types_are_skipped(shared, kind):
    """Only events of the default type are job events."""
    name = shared.new_name()
    shared.simulator.emit({"job_id": name, "status": "queued"}, event=kind)
    shared.stream_marker()
    assert not shared.states(name) and not shared.events(name)


def test_the_type_of_one_event_is_not_that_of_the_next(shared):
    """After an event of another type the default type is back."""
    first, second = shared.new_name(), shared.known_upstream("queued")
    shared.simulator.raw(
        f'event: ping\r\ndata: {{"job_id":"{first}","status":"queued"}}\r\n\r\n'
        f'data: {{"job_id":"{second}","status":"queued"}}\r\n\r\n'.encode())
    shared.wait_state(second)
    assert not shared.states(first)


def test_message_is_the_default_type(shared):
    """`event: message` says what nothing says."""
    name = shared.known_upstream("queued")
    shared.simulator.emit({"job_id": name, "status": "queued"}, event="message")
    shared.wait_state(name)


def test_repeated_events_are_published_each_time(shared):
    """Exactly one publication an event, also where nothing changes."""
    name = shared.create("processing", progress=5)
    since = shared.recorder.mark()
    for _ in range(5):
        shared.simulator.emit({"job_id": name, "status": "processing", "progress": 5})
    shared.stream_marker()
    assert len(shared.states(name, since)) == 5


def burst(names, count, line_end="\r\n"):
    """Many events in one piece: `count` rounds over the jobs, numbered."""
    events = [{"job_id": names[number % len(names)], "status": "processing", "n": number}
              for number in range(count)]
    return "".join(f"data: {json.dumps(event)}{line_end}{line_end}" for event in events).encode()


def numbers(world, names, since):
    """The numbers of a burst in the order in which they were published."""
    wanted = {of_job(name, "state") for name in names}
    return [message.json["n"] for message in world.recorder.messages[since:]
            if message.topic in wanted and b'"n":' in message.payload]


def wait_number(world, names, number, since):
    wanted = {of_job(name, "state") for name in names}
    world.recorder.wait_for(
        lambda message: message.topic in wanted and message.shows(n=number), 30, since,
        f"event {number} of a burst")


def test_a_burst_keeps_its_order(shared):
    """600 events on seven jobs: each once, in the order of arrival."""
    names, since = [shared.known_upstream() for _ in range(7)], shared.recorder.mark()
    shared.simulator.raw(burst(names, 600))
    wait_number(shared, names, 599, since)
    assert numbers(shared, names, since) == list(range(600))


@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n"])
def test_every_line_end_ends_a_line(shared, line_end):
    """LF, CR and CRLF, also mixed within a stream."""
    names, since = [shared.known_upstream()], shared.recorder.mark()
    shared.simulator.raw(burst(names, 3, line_end))
    shared.stream_marker()
    assert numbers(shared, names, since) == [0, 1, 2]


@pytest.mark.parametrize("line_end", ["lf", "cr"])
def test_a_stream_with_other_line_ends(make_world, line_end):
    """A stream that uses one of the other line ends throughout."""
    world = make_world(simulator=["--line-end", line_end])
    world.start([job("one")])
    world.create("queued")
    world.create("completed")


def test_data_over_several_lines(shared):
    """Lines of data are joined; comments and unknown fields are passed over."""
    name = shared.known_upstream("queued")
    shared.simulator.raw(
        f': hello\r\ndata: {{"job_id":\r\ndata:"{name}",\r\nfoo: bar\r\nretry: x\r\n'
        'data: "status": "queued"}\r\n\r\n'.encode())
    assert shared.wait_state(name).json["status"] == "queued"


def test_an_event_that_was_not_finished_is_dropped(shared):
    """What a cut leaves without its empty line is no event."""
    name = shared.new_name()
    shared.simulator.raw(f'data: {{"job_id":"{name}","status":"queued"}}\r\n'.encode())
    streams = shared.simulator.requests("stream")
    shared.simulator.cut()
    wait_until(lambda: shared.simulator.requests("stream") > streams
               and shared.simulator.stats()["streams_open"] == 1, "a new stream")
    shared.stream_marker()
    assert not shared.states(name)


def test_a_stream_in_pieces_of_one_byte(world):
    """Any chunking gives the same events."""
    world.simulator.put_jobs([job("one", "completed")])
    world.simulator.fault("stream", chunk=1, times=0)
    world.bridge.start()
    world.wait_state("one")
    text = "Grüße 😀"
    for number in range(3):
        world.simulator.set_job("one", status="processing", n=number, message=text)
    world.wait_state("one", n=2, message=text)
    assert [one.json["n"] for one in world.states("one") if "n" in one.json] == [0, 1, 2]


def test_an_event_of_a_mebibyte_is_published(shared):
    """The largest event that is promised."""
    name = shared.known_upstream("queued")
    head, tail = f'{{"job_id":"{name}","status":"queued","x":"'.encode(), b'"}'
    shared.simulator.emit(head + b"x" * (MIB - 64 - len(head) - len(tail)) + tail)
    state = shared.wait_state(name)
    assert len(state.json["x"]) > MIB - 200


def test_an_event_of_many_members_is_published(shared):
    """Its length alone counts: the members are all there, and take their place in the next state."""
    name = shared.known_upstream("queued")
    members = "".join(f',"m{number}":{number}' for number in range(60000))
    shared.simulator.emit(f'{{"job_id":"{name}","status":"queued"{members}}}'.encode())
    shared.wait_state(name, m0=0, m59999=59999)
    shared.simulator.emit(f'{{"job_id":"{name}","status":"queued","m7":"new"}}'.encode())
    assert len(shared.wait_state(name, m7="new", m59999=59999).json) > 60000


def test_a_longer_event_is_skipped(shared):
    """One that is longer than a mebibyte is not published, and the next one is."""
    name = shared.new_name()
    shared.simulator.emit(
        json.dumps({"job_id": name, "status": "queued", "x": "x" * (MIB + 1024)}).encode())
    shared.stream_marker()
    assert not shared.states(name)


def test_a_longer_event_of_many_lines_is_skipped(shared):
    """The limit holds for the event, not for one line."""
    name = shared.new_name()
    lines = b"\n".join(b'"' + b"x" * 1000 + b'",' for _ in range(1200))
    shared.simulator.emit(
        b'{"job_id": "%s", "status": "queued", "x": [\n%s\n1]}' % (name.encode(), lines))
    shared.stream_marker()
    assert not shared.states(name)


def memory_kib(pid):
    """The resident memory of a process."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def test_a_line_of_100_megabytes(shared):
    """Passed over in little memory, on the same connection."""
    before = memory_kib(shared.bridge.pid)
    streams = shared.simulator.requests("stream")
    piece = b"x" * (4 * MIB)
    shared.simulator.raw(b"data: {")
    for _ in range(25):
        shared.simulator.raw(piece)
    shared.simulator.raw(b"\r\n\r\n")
    shared.stream_marker()
    assert shared.simulator.requests("stream") == streams
    assert memory_kib(shared.bridge.pid) - before < 100 * 1024


def in_order(found, count):
    """Every number at least once, none before its time: QoS 1 may repeat after a loss."""
    highest = -1
    for number in found:
        if number > highest + 1:
            return False
        highest = max(highest, number)
    return highest == count - 1


@pytest.mark.parametrize("limit", [100000, 20])
def test_events_wait_while_the_broker_is_away(relayed, limit):
    """None is skipped, and the order holds; also where the stream has to be paused."""
    world, relay = relayed
    names = ["a", "b", "c"]
    world.start([job(name) for name in names], {"mqtt.queue_limit": limit})
    since = world.recorder.mark()
    relay.block()
    world.recorder.wait_for(lambda message: message.payload == b"offline", since=since)
    world.simulator.raw(burst(names, 300))
    relay.unblock()
    wait_number(world, names, 299, since)
    assert in_order(numbers(world, names, since), 300)


def test_a_narrow_broker_gets_everything_in_order(make_world):
    """One message in flight at a time is enough."""
    world = make_world(broker={"options": ["max_inflight_messages 1"]})
    world.start([job("a"), job("b")])
    since = world.recorder.mark()
    world.simulator.raw(burst(["a", "b"], 200))
    wait_number(world, ["a", "b"], 199, since)
    assert numbers(world, ["a", "b"], since) == list(range(200))
