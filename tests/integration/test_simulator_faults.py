"""The AIVA simulator: every way to misbehave."""

import http.client
import json
import time

import pytest

from simulator_probe import KEY, PATIENCE, wait_until

pytest_plugins = "simulator_probe"


@pytest.mark.parametrize("on, method, path", [
    ("list", "GET", "/jobs"), ("status", "GET", "/jobs/p/status"),
    ("cancel", "POST", "/jobs/p/cancel"), ("delete", "DELETE", "/jobs/c"),
    ("health", "GET", "/health"), ("stream", "GET", f"/jobs/events?token={KEY}"),
    ("other", "GET", "/nope"), ("any", "GET", "/jobs")])
def test_status_and_headers(manual, on, method, path):
    """Instead of the work; once."""
    before = manual.jobs()
    manual.fault(on, status=429, retry_after="7", location="/there")
    answer = manual.call(method, path)
    assert answer.status == 429 and answer.detail
    assert answer.headers["Retry-After"] == "7" and answer.headers["Location"] == "/there"
    assert manual.jobs() == before
    if on not in ("stream", "other"):
        assert manual.call(method, path).status == 200


def test_times_and_order(manual):
    """One after the other, each as often as it says; 0 until cleared."""
    manual.control("POST", "faults", [
        {"on": "list", "times": 2, "status": 500}, {"on": "any", "status": 502},
        {"on": "list", "times": 0, "status": 503}])
    assert manual.get("/health").status == 502
    assert [manual.get("/jobs").status for _ in range(5)] == [500, 500, 503, 503, 503]
    manual.control("DELETE", "faults")
    assert manual.get("/jobs").status == 200


def test_body_and_type(manual):
    """Any text with any type; a type alone leaves the body."""
    manual.fault("list", body="<html>ü", content_type="text/html")
    answer = manual.get("/jobs")
    assert answer.status == 200 and answer.body.decode() == "<html>ü"
    assert answer.headers["Content-Type"] == "text/html"
    manual.fault("list", content_type="text/plain", status=201)
    answer = manual.get("/jobs")
    assert answer.status == 201 and len(answer.json) == 3
    assert answer.headers["Content-Type"] == "text/plain"
    manual.fault("list", body="")
    assert manual.get("/jobs").body == b""


def test_a_stream_of_the_wrong_type(manual):
    """It is still a stream."""
    manual.fault("stream", content_type="text/html")
    stream = manual.open_stream()
    assert b"Content-Type: text/html" in stream.head
    manual.control("POST", "emit", b"x")
    stream.read_text(b"data: x")


def test_delay(manual):
    """The answer is that of its own time, or with after_work that of the request's."""
    begun = time.monotonic()
    manual.fault("list", delay_ms=300)
    assert manual.get("/jobs").status == 200
    assert time.monotonic() - begun >= 0.3
    for after_work, expected in ((True, 3), (False, 0)):
        manual.control("PUT", "jobs", [{"job_id": str(n)} for n in range(3)])
        manual.fault("list", delay_ms=300, after_work=after_work)
        lists = manual.stats()["requests"]["list"]
        connection = http.client.HTTPConnection("127.0.0.1", manual.port, timeout=PATIENCE)
        connection.request("GET", "/jobs", headers={"Authorization": f"Bearer {KEY}"})
        wait_until(lambda: manual.stats()["requests"]["list"] > lists, "the request")
        manual.control("PUT", "jobs", [])
        assert len(json.loads(connection.getresponse().read())) == expected
        connection.close()


@pytest.mark.parametrize("after", [0, 1, 20])
def test_cut_after(manual, after):
    """The connection closes after so many bytes of the body."""
    manual.fault("list", cut_after=after)
    with pytest.raises(http.client.IncompleteRead) as caught:
        manual.get("/jobs")
    assert len(caught.value.partial) == after and caught.value.expected > 0


def test_cut_before_the_answer(manual):
    """Not even a status line."""
    manual.fault("any", cut_after=-1)
    with pytest.raises(ConnectionError):
        manual.get("/jobs")


def test_a_stream_is_cut_after(manual):
    """Exactly so many bytes arrive, and the end is inside a chunk."""
    manual.fault("stream", cut_after=10)
    stream = manual.open_stream()
    manual.control("POST", "raw", b"0123456789abcdef")
    assert stream.read_to_end() == b"0123456789" and stream.end == "inside a chunk"


@pytest.mark.parametrize("after_work", [False, True])
@pytest.mark.parametrize("fault", [{"status": 503}, {"body": "x"}, {"cut_after": 0},
                                   {"cut_after": -1}, {"stall": True}], ids=str)
def test_spoilt_work(manual, fault, after_work):
    """Without after_work a cancel whose answer is spoilt is not carried out."""
    manual.fault("cancel", after_work=after_work, **fault)
    connection = http.client.HTTPConnection("127.0.0.1", manual.port, timeout=PATIENCE)
    connection.request("POST", "/jobs/p/cancel", headers={"Authorization": f"Bearer {KEY}"})
    wait_until(lambda: manual.stats()["requests"]["cancel"] == 1, "the request")
    connection.close()
    status = "cancelled" if after_work else "processing"
    assert manual.get("/jobs/p/status").json["status"] == status


def test_a_stall_lasts_until_faults_are_cleared(manual):
    """Then the connection is closed without an answer."""
    manual.fault("status", stall=True)
    connection = http.client.HTTPConnection("127.0.0.1", manual.port, timeout=PATIENCE)
    connection.request("GET", "/jobs/p/status", headers={"Authorization": f"Bearer {KEY}"})
    wait_until(lambda: manual.stats()["requests"]["status"] == 1, "the request")
    assert manual.stats()["log"][-1]["status"] == 0
    connection.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        connection.sock.recv(1)
    connection.sock.settimeout(PATIENCE)
    manual.control("DELETE", "faults")
    assert connection.sock.recv(1) == b""
    connection.close()


def test_a_body_stalls(manual):
    """With cut_after, the stall comes after so many bytes."""
    manual.fault("list", stall=True, cut_after=5)
    connection = http.client.HTTPConnection("127.0.0.1", manual.port, timeout=PATIENCE)
    connection.request("GET", "/jobs", headers={"Authorization": f"Bearer {KEY}"})
    answer = connection.getresponse()
    assert answer.read(5) == b'[{"jo'
    manual.control("DELETE", "faults")
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()


@pytest.mark.parametrize("after", [None, 4])
def test_a_stream_stalls(manual, after):
    """Open and silent, keep-alives included; with cut_after, from that byte on."""
    manual.fault("stream", stall=True, **({} if after is None else {"cut_after": after}))
    stream = manual.open_stream()
    manual.control("POST", "raw", b"0123456789")
    if after is not None:
        assert stream.read_text(b"0123") == b"0123"
    assert manual.stats()["streams_open"] == 1
    stream.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        stream.read_to_end()
    stream.socket.settimeout(PATIENCE)
    manual.control("DELETE", "faults")
    stream.read_to_end()
    assert len(stream.text) == (after or 0)


@pytest.mark.parametrize("size", [1, 3])
def test_pieces(manual, size):
    """Chunks of the stream, and the body of any other answer."""
    manual.fault("any", chunk=size, times=2)
    stream = manual.open_stream()
    manual.control("POST", "raw", b"0123456789")
    stream.read_text(b"0123456789")
    assert stream.chunks == ([1] * 10 if size == 1 else [3, 3, 3, 1])
    assert len(manual.get("/jobs").json) == 3


@pytest.mark.parametrize("fault, named", [
    ("x", "JSON"), ("{}", "on"), ('{"on": "lists"}', "on"), ('{"on": 1}', "on"),
    ('{"on":"list","status":99}', "status"), ('{"on":"list","times":-1}', "times"),
    ('{"on":"list","delay_ms":"5"}', "delay_ms"), ('{"on":"list","stall":1}', "stall"),
    ('{"on":"list","stat":500}', "stat"), ('{"on":"list","body":{}}', "body"),
    ('[{"on":"list"},{"on":"list","chunk":0}]', "faults[1]: chunk"), ("[1]", "faults[0]"),
    ('{"on":"list","after_work":"yes"}', "after_work")])
def test_bad_faults(manual, fault, named):
    """The detail names what is wrong, and none of them is set."""
    answer = manual.call("POST", "/_control/faults", fault)
    assert answer.status == 400 and named in answer.detail
    assert manual.get("/jobs").status == 200
