"""Where nothing happens, nothing is done."""

import os
import pathlib
import time

import pytest
from harness.certificates import Authority
from harness.process import free_port
from harness.silent import Silent
from harness.waiting import wait_until
from harness.world import job

SECONDS = 4
MOST = 0.02
"""Of one processor, sanitizers included; a loop that spins takes all of it."""


def share(pid):
    """How much of a processor the process takes for some seconds."""
    def used():
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    before = used()
    time.sleep(SECONDS)
    return (used() - before) / SECONDS


def settled(world, text):
    wait_until(lambda: text in world.bridge.output(), f"{text!r} in the log")


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_connected(bad, version):
    """Broker and stream are there and silent."""
    bad.start([job("one"), job("two", "completed")], {"mqtt.version": version})
    bad.stream_marker()
    assert share(bad.bridge.pid) <= MOST


def test_no_broker(bad):
    """Attempts now and then, and nothing between them."""
    bad.bridge.start({"mqtt.url": f"mqtt://127.0.0.1:{free_port()}"})
    settled(bad, "next attempt")
    assert share(bad.bridge.pid) <= 2 * MOST


def test_no_upstream(bad):
    """The same on the other side."""
    bad.bridge.start({"aiva.url": f"http://127.0.0.1:{free_port()}"})
    settled(bad, "connecting")
    bad.broker.wait_packet("UNSUBSCRIBE")
    assert share(bad.bridge.pid) <= 2 * MOST


@pytest.mark.parametrize("scheme", ["mqtt", "mqtts"])
def test_a_broker_that_says_nothing(bad, scheme, tmp_path):
    """While an attempt is under way. (To read all of the system's authorities would count too.)"""
    with Silent() as silent:
        bad.bridge.start({"mqtt.url": f"{scheme}://127.0.0.1:{silent.port}",
                          "mqtt.ca_file": str(Authority(tmp_path).file)})
        silent.wait_connected()
        assert share(bad.bridge.pid) <= 2 * MOST


def test_a_frozen_broker_and_a_full_window(bad):
    """While what waits cannot be sent."""
    bad.start([job("one")])
    bad.broker.freeze()
    for number in range(150):
        bad.simulator.emit({"job_id": "one", "status": "processing", "n": number, "x": "x" * 9999})
    settled(bad, "streaming")
    share(bad.bridge.pid)
    assert share(bad.bridge.pid) <= MOST
    bad.broker.thaw()


def test_a_paused_stream(bad):
    """The queue is full and the stream paused."""
    bad.start([job("one")], {"mqtt.queue_limit": 50})
    bad.broker.freeze()
    for number in range(200):
        bad.simulator.emit({"job_id": "one", "status": "processing", "n": number, "x": "x" * 9999})
    settled(bad, "the stream is paused")
    assert share(bad.bridge.pid) <= MOST
    bad.broker.thaw()
