"""An AIVA that is out to harm: the bridge stays small, answers, and stops in order."""

import contextlib
import gzip
import http.server
import json
import pathlib
import threading
import time

import pytest
from harness.topics import of_bridge, of_job
from harness.waiting import wait_until
from harness.world import job

# A sanitizer keeps what is freed: not part of what is measured.
LEAN = {"ASAN_OPTIONS": "quarantine_size_mb=1"}
GROWTH_KIB = 40 * 1024


class Hostile(http.server.ThreadingHTTPServer):
    """Answers as the test's function says; `answer(handler)` may do anything."""

    daemon_threads = True

    def __init__(self, answer):
        hostile = self
        self.stopped = threading.Event()
        self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                hostile.asked.append((self.path.split("?")[0], dict(self.headers)))
                with contextlib.suppress(OSError):
                    answer(self)
                self.close_connection = True

            do_POST = do_DELETE = do_GET

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def times(self, path):
        return sum(one == path for one, _ in self.asked)

    def close(self):
        self.stopped.set()
        self.shutdown()
        self.server_close()


@pytest.fixture
def hostile():
    """Makes servers, and ends them."""
    with contextlib.ExitStack() as stack:
        def make(answer):
            server = Hostile(answer)
            stack.callback(server.close)
            return server
        yield make


def send(handler, body, status=200, content_type="application/json", **headers):
    """One whole answer."""
    handler.send_response(status)
    handler.send_header("Content-Type", content_type)
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def send_forever(handler, piece, content_type="application/json", **headers):
    """An answer without an end, as fast as it is taken."""
    handler.send_response(200)
    handler.send_header("Content-Type", content_type)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    while not handler.server.stopped.is_set():
        handler.wfile.write(piece)


def memory_kib(pid):
    """The most memory that the process has had resident so far."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def start(world, server, config=None):
    """Starts the bridge against that server; returns its memory shortly afterwards."""
    world.bridge.start({"aiva.url": server.url, **(config or {})}, env=LEAN)
    world.recorder.wait_topic(of_bridge("upstream"))
    return memory_kib(world.bridge.pid)


def no_stream(handler, answer_list):
    """Everything but the list is not found."""
    if handler.path == "/jobs":
        answer_list(handler)
    else:
        send(handler, b"{}", 404)


def test_a_status_without_an_end(world, hostile):
    """It is cut off at its limit, and the next try is made later."""
    listed = json.dumps([job("one")]).encode()

    def answer(handler):
        if handler.path.endswith("/status"):
            send_forever(handler, b" " * 65536)
        else:
            no_stream(handler, lambda handler: send(handler, listed))

    server = hostile(answer)
    before = start(world, server, {"aiva.poll_interval_s": 1})
    wait_until(lambda: server.times("/jobs/one/status") >= 3, "three tries")
    world.wait_state("one")
    assert memory_kib(world.bridge.pid) - before < GROWTH_KIB
    world.bridge.stop()


def test_a_stream_without_line_ends(world, hostile):
    """A line that never ends is passed over in little memory, and is no sign of life for ever."""
    def answer(handler):
        if handler.path.startswith("/jobs/events"):
            send_forever(handler, b"data: " + b"x" * 65536, "text/event-stream")
        else:
            no_stream(handler, lambda handler: send(handler, b"[]"))

    server = hostile(answer)
    before = start(world, server)
    world.wait_upstream("streaming")
    wait_until(lambda: "is skipped" in world.bridge.output(), "the report")
    assert world.refresh()["ok"]
    assert memory_kib(world.bridge.pid) - before < GROWTH_KIB
    world.bridge.stop()


@pytest.mark.parametrize("where", ["head", "body"])
def test_a_stream_that_drips(world, hostile, where):
    """One byte a moment, in the head of the answer: that is no stream. In the body it is one that is
    slow, and slow streams are welcome."""
    def answer(handler):
        if not handler.path.startswith("/jobs/events"):
            no_stream(handler, lambda handler: send(handler, b"[]"))
            return
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Drip: "
        handler.wfile.write(head if where == "head" else head + b"\r\n\r\n")
        while not handler.server.stopped.wait(0.2):
            handler.wfile.write(b"x" if where == "head" else b":\n")

    server = hostile(answer)
    start(world, server, {"aiva.idle_timeout_s": 1})
    if where == "head":
        wait_until(lambda: server.times("/jobs/events") >= 2, "another attempt")
    else:
        world.wait_upstream("streaming")
        world.refresh()
        time.sleep(1.5)
        assert server.times("/jobs/events") == 1
    world.bridge.stop()


def test_a_command_that_drips(world, hostile):
    """The answer to a command comes byte by byte: the command is answered in time all the same."""
    def answer(handler):
        if handler.path.endswith("/cancel"):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
            while not handler.server.stopped.wait(0.1):
                handler.wfile.write(b" ")
        else:
            no_stream(handler, lambda handler: send(handler, b"[]"))

    start(world, hostile(answer), {"commands.timeout_s": 2})
    world.wait_upstream("polling")
    answered = world.command("one", "cancel")
    assert answered["error"] == "timeout" and answered["duration_ms"] < 10000
    world.bridge.stop()


def test_compression_is_neither_asked_for_nor_taken(world, hostile):
    """A bomb stays as small as it came: it is no JSON, and changes nothing."""
    bomb = gzip.compress(b"[" + b" " * (64 << 20) + b"]", 1)
    server = hostile(lambda handler: no_stream(
        handler, lambda handler: send(handler, bomb, Content_Encoding="gzip")))
    before = start(world, server)
    world.wait_upstream("unavailable")
    assert "not valid" in world.recorder.last(of_bridge("upstream")).json["detail"]
    assert memory_kib(world.bridge.pid) - before < GROWTH_KIB
    assert not any("Accept-Encoding" in headers or "TE" in headers for _, headers in server.asked)
    world.bridge.stop()


def test_a_bomb_in_the_transfer_encoding(world, hostile):
    """libcurl takes that apart unasked: what comes out counts."""
    piece = gzip.compress(b" " * (128 << 20))

    def answer(handler):
        if not handler.path.endswith("/status"):
            no_stream(handler, lambda handler: send(handler, json.dumps([job("one")]).encode()))
            return
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                            b"Transfer-Encoding: gzip\r\nConnection: close\r\n\r\n" + piece)

    server = hostile(answer)
    before = start(world, server, {"aiva.poll_interval_s": 1})
    wait_until(lambda: server.times("/jobs/one/status") >= 2, "two tries")
    assert memory_kib(world.bridge.pid) - before < GROWTH_KIB
    world.bridge.stop()


@pytest.mark.parametrize("body", [
    b"[" * 100000, b'[{"job_id": "x", "status": "queued", "x": ' + b"[" * 5000 + b"]" * 5000 + b"}]",
    b'[{"job_id": "x", "status": "queued", "progress": 1' + b"0" * 100000 + b"}]",
    b'[{"job_id": "x", "status": "queued", "progress": -1e999999999}]',
    b'[{"job_id": "x", "status": "\xff\xfe"}]', b'[{"job_id": "\xed\xa0\x80", "status": "queued"}]',
    b'[{"job_id": "x\\u0000", "status": "queued"}]', b"[" + b"1," * 100000 + b"1]",
    b'[{' + b",".join(b'"k%d":1' % number for number in range(5000)) + b"}]", b"\xef\xbb\xbf[]", b""],
    ids=lambda body: repr(body[:24]))
def test_a_list_that_is_hostile(world, hostile, body):
    """Whatever it holds: the bridge lives, what it says is well-formed, and it stops in order."""
    server = hostile(lambda handler: no_stream(handler, lambda handler: send(handler, body)))
    start(world, server, {"aiva.list_interval_s": 1})
    wait_until(lambda: server.times("/jobs") >= 2, "two lists")
    world.bridge.stop()
    world.recorder.assert_well_formed()


ENDLESS = {
    "white space": (b"[", b" \r\n" * 20000),
    "a string": (b'[{"job_id":"one","status":"', b"x" * 65536),
    "numbers": (b"[", b"1," * 30000),
    "empty objects": (b"[", b"{}," * 20000),
    "levels": (b"", b"[" * 65536),
    "behind a job": (b'[{"job_id":"one","status":"queued"}', b"\n" * 65536),
    "behind the list": (b'[{"job_id":"one","status":"queued"}]', b" " * 65536),
    "a page": (b"<html>", b"<p>Please log in</p>" * 3000),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_list_without_an_end(world, hostile, kind):
    """It is given up while it is small where no further job comes, by the poller and for a command."""
    opening, piece = ENDLESS[kind]
    sent = []

    def answer_list(handler):
        sent.append(0)
        mine = len(sent) - 1
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        handler.wfile.write(opening)
        while not handler.server.stopped.is_set():
            handler.wfile.write(piece)
            sent[mine] += len(piece)

    server = hostile(lambda handler: no_stream(handler, lambda one: answer_list(one)))
    before = start(world, server, {"commands.timeout_s": 4})
    world.recorder.wait_for(lambda message: message.topic == of_bridge("upstream")
                            and "no further job in 4 MiB" in message.json["detail"])
    assert world.refresh()["error"] in ("upstream_error", "timeout")
    # What the kernel takes of it is not what the bridge has read.
    assert len(sent) >= 2 and max(sent) < 32 << 20
    assert memory_kib(world.bridge.pid) - before < GROWTH_KIB
    world.bridge.stop()


def test_a_stream_of_ever_new_jobs(world, hostile):
    """As many as the server likes, each once: they are published as they come, and the memory of
    each is small."""
    count = 4000

    def answer(handler):
        if not handler.path.startswith("/jobs/events"):
            no_stream(handler, lambda handler: send(handler, b"[]"))
            return
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for number in range(count):
            handler.wfile.write(b'data: {"job_id": "n%d", "status": "queued"}\n\n' % number)
        handler.server.stopped.wait()

    before = start(world, hostile(answer))
    world.recorder.wait_topic(of_job(f"n{count - 1}", "state"), timeout=90)
    assert memory_kib(world.bridge.pid) - before < count + GROWTH_KIB
    world.bridge.stop()
