"""The AIVA simulator: what its event stream can be made to do."""

import pytest

from simulator_probe import wait_until

pytest_plugins = "simulator_probe"


def test_stream_head(manual):
    """What a client goes by."""
    head = manual.open_stream().head.decode()
    assert head.startswith("HTTP/1.1 200 ")
    assert "Content-Type: text/event-stream" in head and "Transfer-Encoding: chunked" in head


@pytest.mark.parametrize("name, end", [("crlf", b"\r\n"), ("lf", b"\n"), ("cr", b"\r")])
def test_emit(simulate, name, end):
    """Every line of the data gets its field; all lines end as was asked for."""
    simulator = simulate("--manual", "--line-end", name)
    stream = simulator.open_stream()
    simulator.control("POST", "emit?event=up+date&id=7%2F8&retry=100", b"a\nb\r\nc\r\rd")
    text = stream.read_text(b"data: d" + end * 2)
    assert text == end.join([b"event: up date", b"id: 7/8", b"retry: 100", b"data: a", b"data: b",
                             b"data: c", b"data: ", b"data: d", b"", b""])


def test_raw(manual):
    """Any bytes, to every stream."""
    streams = [manual.open_stream() for _ in range(3)]
    raw = bytes(range(256)) * 3
    manual.control("POST", "raw", raw)
    for stream in streams:
        assert stream.read_text(raw) == raw


def test_keepalive(simulate):
    """Comment lines, and nothing but comment lines."""
    stream = simulate("--manual", "--keepalive", "0.05").open_stream()
    stream.read_until(lambda: stream.text.count(b"\r\n\r\n") >= 3)
    assert all(line == b"" or line.startswith(b": ") for line in stream.text.split(b"\r\n"))


@pytest.mark.parametrize("query, end", [("", "orderly"), ("?hard=1", "inside a chunk")])
def test_cut(manual, query, end):
    """What was sent before arrives; a new stream is whole again."""
    streams = [manual.open_stream(), manual.open_stream()]
    manual.control("POST", "raw", b"data: half an ev")
    manual.control("POST", f"cut{query}")
    for stream in streams:
        assert stream.read_to_end() == b"data: half an ev" and stream.end == end
    assert manual.stats()["streams_open"] == 0
    stream = manual.open_stream()
    manual.control("POST", "emit", b"x")
    stream.read_text(b"data: x\r\n\r\n")


def test_a_client_that_leaves_is_noticed(manual):
    """Also while nothing is sent."""
    stream = manual.open_stream()
    assert manual.stats()["streams_open"] == 1
    stream.close()
    wait_until(lambda: manual.stats()["streams_open"] == 0, "the stream to close")


def test_event_ids_and_replay(simulate):
    """After Last-Event-ID comes what followed; after an unknown id, nothing."""
    simulator = simulate("--manual", "--event-ids")
    stream = simulator.open_stream()
    for letter in "abc":
        simulator.control("POST", "emit", letter.encode())
    assert stream.read_text(b"data: c\r\n\r\n").startswith(b"id: 1\r\ndata: a\r\n\r\nid: 2\r\n")
    again = simulator.open_stream(headers=["Last-Event-ID: 1"])
    assert again.read_text(b"c\r\n\r\n") == b"id: 2\r\ndata: b\r\n\r\nid: 3\r\ndata: c\r\n\r\n"
    assert simulator.stats()["last_event_id"] == "1"
    unknown = simulator.open_stream(headers=["Last-Event-ID: x"])
    simulator.control("POST", "emit?id=own", b"d")
    assert unknown.read_text(b"d\r\n\r\n") == b"id: own\r\ndata: d\r\n\r\n"
    simulator.control("POST", "emit", b"e")
    own = simulator.open_stream(headers=["Last-Event-ID: own"])
    assert own.read_text(b"e\r\n\r\n") == b"id: 4\r\ndata: e\r\n\r\n"


def test_no_event_ids_by_default(manual):
    """And no replay."""
    stream = manual.open_stream(headers=["Last-Event-ID: 1"])
    manual.control("POST", "emit", b"x")
    assert stream.read_text(b"\r\n\r\n") == b"data: x\r\n\r\n"


def test_many_events(manual):
    """A hundred thousand at once reach two clients whole."""
    streams = [manual.open_stream(), manual.open_stream()]
    events = b"".join(b'data: {"job_id": "job_%d", "progress": 45}\r\n\r\n' % n
                      for n in range(100_000))
    manual.control("POST", "raw", events)
    for stream in streams:
        received = bytearray()
        while len(received) < len(events):
            stream.read_until(lambda: stream.text)
            received += stream.text
            stream.text = b""
        assert received == events


def test_a_client_that_does_not_read_is_cut(manual):
    """Beyond 256 MiB; the other one is not."""
    manual.open_stream()
    piece = b": " + b"x" * 30_000_000 + b"\r\n"
    for _ in range(10):
        manual.control("POST", "raw", piece)
    wait_until(lambda: manual.stats()["streams_open"] == 0, "the cut")
    stream = manual.open_stream()
    manual.control("POST", "emit", b"x")
    stream.read_text(b"data: x")
