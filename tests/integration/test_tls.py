"""TLS that is refused: for every reason there is, on both sides, and people are told which it was."""

import signal
import socket
import ssl
import threading

import pytest
from harness.certificates import WEAK, Authority, TlsFront, self_signed
from harness.process import free_port
from harness.topics import of_bridge
from harness.waiting import wait_until
from harness.world import job

OLD = ssl.TLSVersion.TLSv1_1
REASONS = {
    "expired": "certificate has expired",
    "other-host": "the certificate is for another host",
    "unknown-ca": "the authority that issued it is not among the trusted ones",
    "self-signed": "self-signed certificate",
    "weak-key": "key too weak",
    "sha1": "digest algorithm too weak",
    "old-tls": "the server has no TLS 1.2 or later",
    "no-client-certificate": "the server asks for a client certificate",
    "strange-client-certificate": "the server does not accept the client certificate",
    "no-tls": "does this port speak TLS?",
    "closed-port": "Failed to connect",
}


class Identities:
    """Authorities, and certificates of every kind, each made once."""

    def __init__(self, folder):
        self.trusted = Authority(folder)
        self.stranger = Authority(folder, "stranger")
        self.good = self.trusted.issue("good")
        self.client = self.trusted.issue("client")
        self.strange_client = self.stranger.issue("strange-client")
        self.servers = {
            "expired": self.trusted.issue("expired", expired=True),
            "other-host": self.trusted.issue("other-host", address="127.9.9.9"),
            "unknown-ca": self.stranger.issue("unknown-ca"),
            "self-signed": self_signed(folder, "self-signed"),
            "weak-key": self.trusted.issue("weak-key", key_kind=WEAK),
            "sha1": self.trusted.issue("sha1", digest="sha1"),
        }


@pytest.fixture(scope="module")
def identities(tmp_path_factory):
    return Identities(tmp_path_factory.mktemp("identities"))


@pytest.fixture(scope="module")
def servers(make_module_world):
    """A broker and an upstream for all tests of the file; no bridge runs."""
    return make_module_world()


class NoTls:
    """Closes every connection once something has come, as a server of another protocol does."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        try:
            while True:
                near, _ = self._listener.accept()
                with near:
                    near.recv(65536)
        except OSError:
            pass

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def open_front(case, identities, target):
    """The server that the case is about, in front of a real one."""
    if case == "no-tls":
        return NoTls()
    certificate = identities.servers.get(case, identities.good)
    wants_client = case.endswith("client-certificate")
    return TlsFront(target, *certificate, newest=OLD if case == "old-tls" else None,
                    clients=identities.trusted.file if wants_client else None)


def mqtt_settings(case, scheme, port, identities):
    settings = {"mqtt.url": f"{scheme}://127.0.0.1:{port}",
                "mqtt.ca_file": str(identities.trusted.file)}
    if case == "strange-client-certificate":
        certificate, key = identities.strange_client
        settings.update({"mqtt.cert_file": str(certificate), "mqtt.key_file": str(key)})
    return settings


def check(world, case, settings, code):
    """--check fails with this code, for the reason that the case is about."""
    done = world.bridge.run_config("--check", overrides=settings)
    assert done.returncode == code, done.stdout + done.stderr
    assert REASONS[case] in done.stderr


@pytest.mark.parametrize("case", REASONS)
def test_a_broker_that_is_refused(servers, identities, case):
    """mqtts://"""
    front = open_front(case, identities, servers.broker.port)
    port = free_port() if case == "closed-port" else front.port
    try:
        check(servers, case, mqtt_settings(case, "mqtts", port, identities), 4)
    finally:
        front.close()


@pytest.mark.parametrize("case", ["expired", "other-host", "unknown-ca", "weak-key", "old-tls"])
def test_a_websocket_broker_that_is_refused(servers, identities, case):
    """wss:// is as strict."""
    front = open_front(case, identities, servers.broker.port)
    try:
        check(servers, case, mqtt_settings(case, "wss", front.port, identities), 4)
    finally:
        front.close()


@pytest.mark.parametrize("case", [one for one in REASONS if one != "strange-client-certificate"])
def test_an_upstream_that_is_refused(servers, identities, case):
    """https://"""
    front = open_front(case, identities, servers.simulator.port)
    port = free_port() if case == "closed-port" else front.port
    before = len(servers.simulator.stats()["log"])
    try:
        check(servers, case, {"aiva.url": f"https://127.0.0.1:{port}",
                              "aiva.ca_file": str(identities.trusted.file)}, 3)
    finally:
        front.close()
    assert len(servers.simulator.stats()["log"]) == before


def test_the_systems_authorities_are_the_default(servers, identities):
    """Without a CA file of one's own, one's own authority is not known, to either side."""
    broker = TlsFront(servers.broker.port, *identities.good)
    upstream = TlsFront(servers.simulator.port, *identities.good)
    try:
        check(servers, "unknown-ca", {"mqtt.url": f"mqtts://127.0.0.1:{broker.port}"}, 4)
        check(servers, "unknown-ca", {"aiva.url": f"https://127.0.0.1:{upstream.port}"}, 3)
    finally:
        broker.close()
        upstream.close()


def test_a_lax_openssl_does_not_make_the_bridge_lax(servers, identities, tmp_path):
    """The system's OpenSSL configuration may allow more: weak keys and old TLS stay refused."""
    lax = tmp_path / "openssl.cnf"
    lax.write_text("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n"
                   "CipherString = ALL:@SECLEVEL=0\nMinProtocol = TLSv1\n")
    for case in ("weak-key", "old-tls"):
        broker = open_front(case, identities, servers.broker.port)
        upstream = open_front(case, identities, servers.simulator.port)
        for settings, code in (
                (mqtt_settings(case, "mqtts", broker.port, identities), 4),
                ({"mqtt.proxy": f"https://127.0.0.1:{broker.port}",
                  "mqtt.ca_file": str(identities.trusted.file)}, 4),
                ({"aiva.url": f"https://127.0.0.1:{upstream.port}",
                  "aiva.ca_file": str(identities.trusted.file)}, 3)):
            done = servers.bridge.run_config("--check", overrides=settings,
                                             env={"OPENSSL_CONF": str(lax)})
            assert done.returncode == code, done.stdout + done.stderr
            assert "TLS: " in done.stderr, done.stderr
        broker.close()
        upstream.close()


def test_the_running_bridge_says_why(make_world, identities):
    """In its log, for the broker; in the log and on its topic, for AIVA."""
    world = make_world()
    broker = TlsFront(world.broker.port, *identities.servers["other-host"])
    world.bridge.start(mqtt_settings("", "mqtts", broker.port, identities))
    wait_until(lambda: REASONS["other-host"] in world.bridge.output(), "the reason")
    world.bridge.stop()
    broker.close()
    upstream = TlsFront(world.simulator.port, *identities.servers["expired"])
    world.bridge.start({"aiva.url": f"https://127.0.0.1:{upstream.port}", "aiva.mode": "poll",
                        "aiva.ca_file": str(identities.trusted.file)})
    world.recorder.wait_for(lambda message: message.topic == of_bridge("upstream")
                            and REASONS["expired"] in message.json["detail"],
                            what="the reason on the topic")
    world.bridge.stop()
    assert f"unavailable: GET /jobs: no answer: TLS: SSL certificate problem: {REASONS['expired']}" \
        in world.bridge.output()
    upstream.close()


def test_certificates_are_read_again(make_world, identities, tmp_path):
    """A CA file that was wrong and is put right is used from the next SIGHUP, on both sides."""
    world = make_world()
    trust = tmp_path / "trust.pem"
    trust.write_text(identities.stranger.file.read_text())
    broker = TlsFront(world.broker.port, *identities.good)
    upstream = TlsFront(world.simulator.port, *identities.good)
    world.simulator.put_jobs([job("one")])
    world.bridge.start({"mqtt.url": f"mqtts://127.0.0.1:{broker.port}", "mqtt.ca_file": str(trust),
                        "aiva.url": f"https://127.0.0.1:{upstream.port}",
                        "aiva.ca_file": str(trust)})
    wait_until(lambda: REASONS["unknown-ca"] in world.bridge.output(), "the refusal")
    trust.write_text(identities.trusted.file.read_text())
    world.bridge.send(signal.SIGHUP)
    world.wait_state("one")
    world.bridge.stop()
    broker.close()
    upstream.close()
