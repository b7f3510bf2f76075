"""The bridge's own HTTP server: health, readiness and metrics."""

import re
import urllib.error
import urllib.request

import pytest
from harness.process import accepts, free_port
from harness.simulator import KEY
from harness.waiting import wait_until
from harness.world import job


def get(port, path, method="GET"):
    """Status, content type and text of an answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


@pytest.fixture
def served(world):
    """A running bridge and the port of its server."""
    port = free_port()
    world.start([job("one")], {"http.listen": f"127.0.0.1:{port}"})
    return world, port


def test_healthy_and_ready(served):
    """200 from both while everything works; ready comes with broker and upstream."""
    _, port = served
    assert get(port, "/healthz")[0] == 200
    wait_until(lambda: get(port, "/readyz")[0] == 200, "readiness", pause=0.1)


def test_metrics(served):
    """Prometheus text that names its metrics, holds numbers and no secret."""
    world, port = served
    world.command("one", "refresh")
    status, content_type, text = get(port, "/metrics")
    assert status == 200 and content_type.startswith("text/plain")
    lines = [line for line in text.splitlines() if line]
    assert any(line.startswith("# TYPE ") for line in lines)
    for line in lines:
        assert line.startswith("#") or re.match(
            r'^[a-zA-Z_:][a-zA-Z0-9_:]*(\{[^{}]*\})? [-+0-9.eE]+(\s\d+)?$|.* (NaN|[+-]?Inf)$', line)
    assert text.endswith("\n") and KEY not in text


def test_skipped_events_are_counted(served):
    """Some counter goes up by one for each event that is skipped."""
    world, port = served

    def counters():
        return {name: float(value) for name, value in
                (line.rsplit(" ", 1) for line in get(port, "/metrics")[2].splitlines()
                 if line and not line.startswith("#"))}

    before = counters()
    for _ in range(7):
        world.simulator.emit(b"not json")
    world.stream_marker()
    after = counters()
    assert 7 in [after[name] - before.get(name, 0) for name in after]


def test_not_ready_without_a_broker(bridge):
    """Alive, but of no use: healthy and not ready."""
    port = free_port()
    bridge.start({"http.listen": f"127.0.0.1:{port}"})
    wait_until(lambda: accepts(port), "the server")
    assert get(port, "/healthz")[0] == 200
    assert get(port, "/readyz")[0] == 503
    bridge.stop()


def test_other_paths_and_methods(served):
    """404 and 405, and it goes on."""
    _, port = served
    assert get(port, "/")[0] == 404
    assert get(port, "/healthz", "POST")[0] in (404, 405)
    assert get(port, "/healthz")[0] == 200
