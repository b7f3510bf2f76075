"""http.listen: who is answered, what /healthz and /readyz say, and what a hostile client can do."""

import contextlib
import os
import re
import signal
import socket
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from conftest import preloading
from harness.metrics import Listener
from harness.process import free_port, has_ipv6
from harness.simulator import KEY
from harness.topics import of_bridge
from harness.waiting import wait_until
from harness.world import job

PASSWORD = "pass-word-not-to-be-seen"
PORT = free_port()
SHARED_CONFIG = {"http.listen": f"127.0.0.1:{PORT}"}
SHARED_JOBS = [job("one")]


@pytest.fixture
def here():
    """The shared bridge's listener."""
    return Listener(PORT)


@pytest.fixture
def listener():
    return Listener(free_port())


def run_healthcheck(bridge, listen, **env):
    return bridge.run_config("--healthcheck", overrides={"http.listen": listen}, env=env)


# --- who is answered


@pytest.mark.parametrize("path, status", [
    ("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/metrics?debug=1", 200),
    ("/", 404), ("/healthz/", 404), ("/HEALTHZ", 404), ("/../metrics", 404)])
def test_paths(shared, here, path, status):
    """These three, and no others."""
    assert here.ask(path)[0] == status


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/other"])
def test_head(shared, here, path):
    """The same head, and no body."""
    status, headers, body = here.ask(path, "HEAD")
    assert status == here.ask(path)[0]
    assert int(headers["Content-Length"]) > 0 and not body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
def test_other_methods_are_refused(shared, here, method):
    """405, with what is allowed; the bridge changes nothing by HTTP."""
    status, headers, _ = here.ask("/healthz", method, b"x" * 100)
    assert status == 405
    assert headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("host, served", [
    ("127.0.0.1", True), ("localhost", True), ("LOCALHOST.:80", True), ("[::1]:9280", True), ("bridge.localhost", True),
    ("evil.example", False), ("evil.example:9280", False), ("127.0.0.1.evil.example", False), ("192.0.2.7", False),
    ("localhost:x", False), ("", False)])
def test_hosts(shared, here, host, served):
    """A page of another site that has its name resolve to this machine reads nothing."""
    for path in ("/healthz", "/readyz", "/metrics", "/other"):
        status, _, body = here.ask(path, headers={"Host": host})
        assert (status != 421) == served
        assert served or "aiva_bridge" not in body
    assert here.ask("/healthz")[0] == 200
    if not served:
        wait_until(lambda: "http.listen: a request for the host" in shared.bridge.output(), "a line about it")


def test_a_name_that_is_listened_on(world):
    """As in a container: listen on its name, and be asked by that name or by the address behind it."""
    listener = Listener(free_port(), "bridge.slow.test")
    world.start(config={"http.listen": listener.listen}, env=preloading("slow_dns", SLOW_DNS_S="0"))
    asked = Listener(listener.port)
    for host, status in ((f"bridge.slow.test:{listener.port}", 200), ("BRIDGE.slow.test", 200),
                         (f"127.0.0.1:{listener.port}", 200), ("other.slow.test", 421)):
        assert asked.ask("/metrics", headers={"Host": host})[0] == status


def test_all_addresses(world):
    """Any address will do, as there may be a translation on the way; a name will not."""
    listener = Listener(free_port(), "0.0.0.0")
    world.start(config={"http.listen": listener.listen})
    asked = Listener(listener.port)
    for host, status in (("192.0.2.7:9280", 200), ("[2001:db8::1]", 200), ("localhost", 200), ("bridge:9280", 421)):
        assert asked.ask("/metrics", headers={"Host": host})[0] == status


def test_it_is_off_by_default(world, witness):
    """Nothing listens once the bridge is connected: the MQTT library's way in was for a moment. Where
    it is told to listen, the witness sees it."""
    world.start(env=witness.env)
    ports = re.findall(rb"listen (\d+)\n", witness.report.read_bytes())
    assert ports
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(port))) != 0
    world.bridge.stop()
    port = free_port()
    world.start(config={"http.listen": f"127.0.0.1:{port}"}, env=witness.env)
    assert f"listen {port}\n".encode() in witness.report.read_bytes()


@pytest.mark.parametrize("listen", ["127.0.0.1:{port}", "192.0.2.1:9280", "no-such-host.invalid:9280"])
def test_an_address_that_cannot_be_had(bridge, listen):
    """1, and the error names the setting and the address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = listen.format(port=taken.getsockname()[1])
        done = bridge.run_config(overrides={"http.listen": listen})
    assert done.returncode == 1
    assert "http.listen" in done.stderr and listen in done.stderr


@pytest.mark.parametrize("host, asked", [("::1", "::1"), ("::", "::1"), ("0.0.0.0", "127.0.0.1")])
def test_other_addresses(world, host, asked):
    """IPv6, and all addresses; the health check asks by loopback."""
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    listener = Listener(free_port(), host)
    world.start(config={"http.listen": listener.listen})
    assert Listener(listener.port, asked).ask("/healthz")[0] == 200
    assert run_healthcheck(world.bridge, listener.listen).returncode == 0


def test_the_port_is_free_after_a_restart(world, listener):
    """Connections of the last run do not keep the next one from listening."""
    world.start(config={"http.listen": listener.listen})
    with socket.create_connection(("127.0.0.1", listener.port)):
        world.restart({"http.listen": listener.listen})
    assert listener.ask("/healthz")[0] == 200


# --- what it says


def test_ready(shared, here):
    """Nothing is missing."""
    body = here.wait_ready()
    assert body["reasons"] == []
    assert body["broker"]["connected"] is True
    assert body["upstream"]["state"] == "streaming"


def test_not_ready_without_a_broker(world, listener):
    """Neither at the start nor after a loss; the reason is among the reasons."""
    world.start(config={"http.listen": listener.listen})
    listener.wait_ready()
    world.broker.end()
    body = listener.wait_ready(False)
    assert any(world.broker.url in reason for reason in body["reasons"])
    assert listener.ask("/healthz")[0] == 200
    world.broker.start()
    listener.wait_ready()


def test_not_ready_before_broker_and_upstream(bridge, listener):
    """It is alive, and says what it waits for."""
    bridge.start({"http.listen": listener.listen})
    listener.wait_listening()
    body = listener.wait_ready(False)
    assert len(body["reasons"]) == 2
    assert listener.ask("/healthz")[0] == 200
    done = run_healthcheck(bridge, listener.listen)
    assert done.returncode == 0 and "not ready" in done.stdout


@pytest.mark.parametrize("fault, state, ready", [
    ({"on": "any", "status": 401}, "unauthorized", False),
    ({"on": "any", "status": 500}, "unavailable", False),
    ({"on": "stream", "status": 404}, "polling", True)], ids=str)
def test_readiness_follows_the_upstream(world, listener, fault, state, ready):
    """Polling will do; what is wrong is said."""
    world.simulator.fault(times=0, **fault)
    mode = {"aiva.mode": "poll"} if state == "unavailable" else {}
    world.bridge.start({"http.listen": listener.listen, **mode})
    world.wait_upstream(state)
    body = listener.wait_ready(ready)
    assert body["upstream"]["state"] == state
    assert ready or any(state in reason for reason in body["reasons"])


def test_not_ready_while_it_stops(bad, listener):
    """The broker takes nothing any more: for some seconds the bridge is on its way out."""
    bad.start([job("one")], {"http.listen": listener.listen})
    bad.broker.freeze()
    bad.simulator.emit({"job_id": "one", "status": "completed"})
    listener.wait_metric(lambda metrics: metrics["waiting_messages"] > 0, "something that waits")
    bad.bridge.begin_stop()
    assert "stopped" in listener.wait_ready(False)["reasons"][0]
    bad.bridge.wait_end()


def test_no_secrets_in_it(make_world, listener):
    """Neither key nor password, also where a server shows the key."""
    world = make_world(broker={"users": {"bridge": PASSWORD}})
    world.start(config={"http.listen": listener.listen, "mqtt.username": "bridge",
                        "mqtt.password": PASSWORD})
    world.simulator.fault("any", times=0, status=401, body=f'{{"detail":"key {KEY} is not good"}}')
    world.simulator.cut()
    world.wait_upstream("unauthorized")
    for path in ("/healthz", "/readyz", "/metrics", "/other"):
        _, headers, body = listener.ask(path)
        assert KEY not in body + str(headers) and PASSWORD not in body + str(headers)


# --- hostile clients


@contextlib.contextmanager
def connections(port, count, first=b""):
    """So many clients that have said this much and no more."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
                   for _ in range(count)]
        for client in clients:
            with contextlib.suppress(OSError):
                client.sendall(first)
        yield clients


@pytest.mark.parametrize("first", [
    b"", b"GET /metrics HTTP/1.1\r\nX-", b"GET " + b"/" * 100000, b"\0" * 1000,
    b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n"], ids=lambda t: t[:9])
def test_clients_that_do_not_go_on(shared, here, first):
    """More of them than there is room for: others are answered, and jobs are followed."""
    with connections(PORT, 100, first):
        assert here.ask("/healthz")[0] == 200
        shared.stream_marker()
        assert run_healthcheck(shared.bridge, here.listen).returncode == 0


def test_clients_take_no_memory(world, listener):
    """A thousand that come and go leave nothing behind: memory and descriptors stay as they were."""
    def load():
        for _ in range(20):
            with connections(listener.port, 50, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\nGET /"):
                assert listener.ask("/healthz")[0] == 200

    def is_settled(metrics):
        return metrics["process_open_fds"] <= before["process_open_fds"] + 2

    # AddressSanitizer keeps what was freed, to find late uses of it.
    world.start(config={"http.listen": listener.listen}, env={"ASAN_OPTIONS": "quarantine_size_mb=1"})
    load()
    before = listener.metrics()
    load()
    after = listener.wait_metric(is_settled, "connections to be closed")
    assert after["process_resident_memory_bytes"] < before["process_resident_memory_bytes"] + 4e6


def test_a_client_that_does_not_read(shared, here):
    """Its answer waits in the kernel, and nobody waits for it."""
    with connections(PORT, 1, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        began = time.monotonic()
        shared.stream_marker()
        assert here.ask("/metrics")[0] == 200
        assert time.monotonic() - began < 5


# --- --healthcheck


def test_healthcheck_of_a_running_bridge(shared, here):
    """0, and one line."""
    done = run_healthcheck(shared.bridge, here.listen)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ready\n", "")


def test_healthcheck_needs_no_key(shared, here):
    """In a container the key may be in a configuration file that the check is not told of."""
    done = shared.bridge.run("--healthcheck", env={"HTTP_LISTEN": here.listen})
    assert done.returncode == 0, done.stderr
    done = shared.bridge.run("--healthcheck", env={
        "HTTP_LISTEN": here.listen, "AIVA_API_KEY_FILE": "/nowhere", "MQTT_PASSWORD_FILE": "/nowhere"})
    assert done.returncode == 0, done.stderr


def test_healthcheck_goes_past_proxies(shared, here):
    """It asks this machine, whatever the environment says."""
    proxy = "http://127.0.0.1:1"
    assert run_healthcheck(shared.bridge, here.listen, http_proxy=proxy, ALL_PROXY=proxy).returncode == 0


def test_healthcheck_gives_the_key_to_nobody(bridge):
    """What listens there may be another program: it is told nothing, and not taken for a bridge."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(str(self.headers) + self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        done = run_healthcheck(bridge, f"127.0.0.1:{server.server_port}")
        server.shutdown()
    assert done.returncode == 1 and "404" in done.stderr
    assert seen and not any(KEY in one or "uthorization" in one for one in seen)


def test_healthcheck_of_a_stuck_bridge(world, listener):
    """The process is there, and its loop does not turn."""
    world.start(config={"http.listen": listener.listen})
    world.bridge.send(signal.SIGSTOP)
    try:
        done = run_healthcheck(world.bridge, listener.listen)
    finally:
        world.bridge.send(signal.SIGCONT)
    assert done.returncode == 1 and "no answer" in done.stderr
    assert run_healthcheck(world.bridge, listener.listen).returncode == 0
    assert world.recorder.last(of_bridge("state")).payload == b"online"
