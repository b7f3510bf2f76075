"""A log that nobody reads: lines may be lost, and are counted; the service goes on, and ends when it is asked to."""

import contextlib
import fcntl
import os
import pty
import re
import socket
import threading
import time

import pytest
from harness.metrics import Listener
from harness.process import free_port
from harness.topics import of_bridge
from harness.waiting import wait_until
from harness.world import job

LONG_ID = "job-" + "x" * 120
FLOOD = 12000
"""Changes of status: each is a line of the debug log, and more than all buffers hold."""
LOST = re.compile(rb" warn log: (\d+) lines? of the log (?:was|were) lost: nobody read them in time\n")


@contextlib.contextmanager
def full_pipe():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    yield writer, reader
    os.close(writer)
    os.close(reader)


@contextlib.contextmanager
def stopped_terminal():
    """Ctrl-S has been typed."""
    master, slave = pty.openpty()
    os.write(master, b"\x13")
    yield slave, master
    os.close(slave)
    os.close(master)


@contextlib.contextmanager
def slow_journal():
    """The journal's end of a stream socket."""
    journal, stream = socket.socketpair()
    with journal, stream:
        yield stream.fileno(), journal.fileno()


@contextlib.contextmanager
def reader_that_has_gone():
    reader, writer = os.pipe()
    os.close(reader)
    yield writer, None
    os.close(writer)


@contextlib.contextmanager
def full_disk():
    disk = os.open("/dev/full", os.O_WRONLY)
    yield disk, None
    os.close(disk)


KINDS = [full_pipe, stopped_terminal, slow_journal, reader_that_has_gone, full_disk]


def start(world, descriptor):
    """A bridge that says much, to where nobody hears it."""
    listener = Listener(free_port())
    world.bridge.stderr = descriptor
    world.start([job("one")], {"log.level": "debug", "http.listen": listener.listen})
    return listener


def flood(world, listener):
    """News until lines are lost; returns how many there were then."""
    for number in range(FLOOD):
        world.simulator.emit({"job_id": LONG_ID, "status": ("queued", "processing")[number % 2]})
        if number % 500 == 0 and listener.metrics()["log_lines_lost_total"] > 0:
            break
    return listener.wait_metric(lambda metrics: metrics["log_lines_lost_total"] > 0,
                                "lines to be lost")["log_lines_lost_total"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_service_goes_on_and_ends(world, kind):
    """Events are published, commands answered, and SIGTERM is obeyed, in order and in time."""
    with kind() as (descriptor, _):
        listener = start(world, descriptor)
        assert flood(world, listener) > 0
        world.stream_marker()
        assert world.command("one", "refresh")["ok"]
        assert listener.readiness()[0] == 200
        began = time.monotonic()
        world.bridge.stop()
        assert time.monotonic() - began < 15
    assert world.recorder.last(of_bridge("state")).payload == b"offline"


@pytest.mark.parametrize("kind", [full_pipe, stopped_terminal, slow_journal], ids=lambda kind: kind.__name__)
def test_what_was_lost_is_said_later(world, kind):
    """Where it is missing, and how many; the lines around it are whole."""
    with kind() as (descriptor, reader):
        listener = start(world, descriptor)
        flood(world, listener)
        world.stream_marker()
        seen = bytearray()

        def read():
            with contextlib.suppress(OSError):
                while piece := os.read(reader, 65536):
                    seen.extend(piece)

        if kind is stopped_terminal:
            os.write(reader, b"\x11")  # Ctrl-Q
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        wait_until(lambda: LOST.search(seen.replace(b"\r\n", b"\n")), "the number of lines lost")
        name = world.create("queued")
        wait_until(lambda: name.encode() in seen, "a line after that")
        world.bridge.stop()
        wait_until(lambda: b"stopping" in seen, "the last lines")
    lines = seen.replace(b"\r\n", b"\n").split(b"\n")
    assert all(re.match(rb"\d{4}-\d\d-\d\dT[0-9:.]+Z (error|warn|info|debug) \w+: ", line) for line in lines[:-1])


def test_the_reason_of_an_end_is_heard(bridge):
    """The last line is written before the end, whatever the log's level is."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = bridge.run_config(overrides={"log.level": "error", "log.format": "json",
                                            "http.listen": f"127.0.0.1:{taken.getsockname()[1]}"})
    assert done.returncode == 1
    assert done.stderr.startswith("aiva-mqtt-bridge: http.listen: cannot listen on")


def test_an_end_does_not_wait_for_a_reader(bridge):
    """A bridge that cannot start, and whose reason nobody reads, ends all the same."""
    with full_pipe() as (descriptor, _), socket.create_server(("127.0.0.1", 0)) as taken:
        os.write(descriptor, b"x" * 4096)
        bridge.stderr = descriptor
        bridge.start({"http.listen": f"127.0.0.1:{taken.getsockname()[1]}"})
        assert bridge.process.wait(20) == 1
        bridge._wanted = False
