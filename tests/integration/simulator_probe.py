"""Programs and streams for the tests of the AIVA simulator by itself.

Imported by name before pytest takes it in as a plugin: PYTEST_DONT_REWRITE.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import time

import pytest

KEY = "aiva-demo-key"
PATIENCE = 60


def wait_until(condition, what):
    """Returns the condition's first true value."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"waited in vain for {what}")


class Answer:
    """Status, headers and body of one answer."""

    def __init__(self, answer):
        self.status, self.headers, self.body = answer.status, answer.headers, answer.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def detail(self):
        return self.json["detail"]


class Stream:
    """The event stream as bytes, with its chunks taken apart."""

    def __init__(self, port, key=KEY, headers=()):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        lines = [f"GET /jobs/events?token={key} HTTP/1.1", "Host: test", *headers, "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        self.pending, self.text, self.chunks, self.end = b"", b"", [], None
        while b"\r\n\r\n" not in self.pending:
            self._receive()
        self.head, self.pending = self.pending.split(b"\r\n\r\n", 1)

    def _receive(self):
        piece = self.socket.recv(1 << 20)
        self.pending += piece
        return piece

    def _take_chunk(self):
        size, newline, rest = self.pending.partition(b"\r\n")
        if not newline or len(rest) < int(size, 16) + 2:
            return False
        length = int(size, 16)
        self.text += rest[:length]
        self.pending = rest[length + 2:]
        self.chunks.append(length)
        if length == 0:
            self.end = "orderly"
        return True

    def read_until(self, done):
        """Reads on until the condition holds or the stream has ended."""
        while True:
            while self.end is None and self._take_chunk():
                pass
            if done() or self.end is not None:
                return self.text
            if not self._receive():
                self.end = "inside a chunk" if self.pending else "between chunks"

    def read_text(self, text):
        self.read_until(lambda: text in self.text)
        assert text in self.text
        return self.text

    def read_to_end(self):
        return self.read_until(lambda: False)

    def events(self):
        """The data of the events so far, for streams of one `data` line an event."""
        return [json.loads(line[6:]) for line in self.text.decode().splitlines()
                if line.startswith("data: ")]

    def wait_event(self, **members):
        def found():
            return [event for event in self.events() if members.items() <= event.items()]
        self.read_until(found)
        assert found(), self.text
        return found()[0]

    def close(self):
        self.socket.close()


class Simulator:
    """The program with its options, on a free port."""

    def __init__(self, folder, *options):
        self.port_file = folder / f"port{len(list(folder.iterdir()))}"
        self.errors = folder / (self.port_file.name + ".log")
        with open(self.errors, "wb") as log:
            self.process = subprocess.Popen(
                [os.environ["SIMULATOR"], "--port-file", self.port_file, *map(str, options)],
                stderr=log)
        wait_until(lambda: self.port_file.exists() or self.process.poll() is not None, "the port")
        assert self.process.poll() is None, self.errors.read_text()
        self.port = int(self.port_file.read_text())
        self.streams = []

    def call(self, method, path, body=None, key=KEY, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            sent = {"Authorization": f"Bearer {key}"} if key else {}
            connection.request(method, path, body, {**sent, **(headers or {})})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path):
        return self.call("GET", path)

    def control(self, method, path, body=None):
        """A control call that has to succeed. No key."""
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        answer = self.call(method, f"/_control/{path}", body, key=None)
        assert answer.status == 200, answer.body
        return answer

    def fault(self, on, **what):
        self.control("POST", "faults", {"on": on, **what})

    def jobs(self):
        return self.control("GET", "jobs").json

    def stats(self):
        return self.control("GET", "stats").json

    def open_stream(self, **options):
        stream = Stream(self.port, **options)
        self.streams.append(stream)
        return stream

    def end(self):
        """Stops it; a sanitizer's report would show in the exit code."""
        for stream in self.streams:
            stream.close()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0, self.errors.read_text()


def run(*options):
    """Runs to the end, for options that do not start anything."""
    return subprocess.run([os.environ["SIMULATOR"], *map(str, options)], capture_output=True,
                          text=True, timeout=PATIENCE, check=False)


@pytest.fixture
def simulate(tmp_path):
    """Starts simulators, and stops them after the test."""
    running = []

    def start(*options):
        running.append(Simulator(tmp_path, *options))
        return running[-1]
    yield start
    for one in running:
        if one.process.returncode is None:
            one.end()


@pytest.fixture
def manual(simulate):
    """One in which nothing happens by itself, with a job in each of three states."""
    simulator = simulate("--manual")
    simulator.control("PUT", "jobs", [
        {"job_id": "q", "status": "queued", "created_at": "2026-03-09T10:30:00Z"},
        {"job_id": "p", "status": "processing", "progress": 65, "message": "Annotating"},
        {"job_id": "c", "status": "completed", "sample_name": "Patient-001"}])
    return simulator
