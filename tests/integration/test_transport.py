"""Ways to the servers: TLS with certificates on both sides, and WebSockets."""

import os
import signal

import pytest
from harness.certificates import Authority, TlsFront
from harness.process import free_port
from harness.topics import of_bridge
from harness.waiting import wait_until
from harness.world import job


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """The authority that everybody trusts."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """An authority that nobody asked for."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


def listener(port, authority, *lines, name="server", address="127.0.0.1"):
    """mosquitto's options for one more listener with TLS."""
    certificate, key = authority.issue(name, address)
    return [f"listener {port} 127.0.0.1", f"certfile {certificate}", f"keyfile {key}", *lines]


def assert_works(world, config):
    """Publishes, and hears commands."""
    world.start([job("one")], config)
    assert world.command("one", "refresh")["ok"]


def assert_stays_out(world, config):
    """The bridge knocks and does not get in; --check tells."""
    knock = f"on port {config['mqtt.url'].rsplit(':', 1)[1]}"
    world.bridge.start(config)
    wait_until(lambda: knock in world.broker.output(), "an attempt")
    assert world.bridge.run_config("--check", overrides=config).returncode == 4
    world.bridge.stop()
    assert not world.recorder.messages


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_mqtt_over_tls(make_world, authority, version):
    """mqtts:// with an authority of one's own."""
    port = free_port()
    world = make_world(broker={"options": listener(port, authority)})
    assert_works(world, {"mqtt.url": f"mqtts://127.0.0.1:{port}", "mqtt.version": version,
                         "mqtt.ca_file": str(authority.file)})


def test_whom_it_interrupts(make_world, authority):
    """Nobody, while it is connected, whatever the transport and the QoS."""
    port = free_port()
    world = make_world(broker={"options": listener(port, authority)})
    for config in ({"mqtt.url": f"mqtts://127.0.0.1:{port}", "mqtt.ca_file": str(authority.file)},
                   {"mqtt.qos": 2}, None):
        world.start(config=config)
        assert os.sched_getscheduler(world.bridge.pid) == os.SCHED_BATCH, config
        if config:
            world.bridge.stop()
    world.broker.kill()
    wait_until(lambda: os.sched_getscheduler(world.bridge.pid) == os.SCHED_OTHER, "the usual policy")


def test_a_broker_of_another_authority(make_world, authority, stranger):
    """Its certificate is not accepted."""
    port = free_port()
    world = make_world(broker={"options": listener(port, stranger)})
    assert_stays_out(world, {"mqtt.url": f"mqtts://127.0.0.1:{port}",
                             "mqtt.ca_file": str(authority.file)})


def test_a_broker_of_another_name(make_world, authority):
    """A certificate for another address is not accepted."""
    port = free_port()
    options = listener(port, authority, name="other", address="127.9.9.9")
    world = make_world(broker={"options": options})
    assert_stays_out(world, {"mqtt.url": f"mqtts://127.0.0.1:{port}",
                             "mqtt.ca_file": str(authority.file)})


def test_a_client_certificate(make_world, authority):
    """A broker that asks for one gets it."""
    port = free_port()
    options = listener(port, authority, f"cafile {authority.file}", "require_certificate true")
    world = make_world(broker={"options": options})
    certificate, key = authority.issue("client")
    assert_works(world, {
        "mqtt.url": f"mqtts://127.0.0.1:{port}", "mqtt.ca_file": str(authority.file),
        "mqtt.cert_file": str(certificate), "mqtt.key_file": str(key)})


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_reconnect_that_fails_leaves_offline(make_world, authority, tmp_path, secure, version):
    """With TLS as without: a SIGHUP with a wrong password, and mosquitto has `offline`."""
    port = free_port()
    options = listener(port, authority) if secure else [f"listener {port} 127.0.0.1"]
    world = make_world(broker={"options": options, "users": {"bridge": "right"}})
    password = tmp_path / "password"
    password.write_text("right")
    world.start([job("one")], {
        "mqtt.url": f"{'mqtts' if secure else 'mqtt'}://127.0.0.1:{port}", "mqtt.version": version,
        "mqtt.ca_file": str(authority.file) if secure else None,
        "mqtt.username": "bridge", "mqtt.password_file": str(password)})
    password.write_text("wrong")
    world.bridge.send(signal.SIGHUP)
    wait_until(lambda: "refused the connection" in world.bridge.output(), "the refusal")
    assert world.retained(of_bridge("state"))[of_bridge("state")].payload == b"offline"
    password.write_text("right")
    since = world.recorder.mark()
    world.bridge.send(signal.SIGHUP)
    world.recorder.wait_for(lambda one: one.topic == of_bridge("state") and one.payload == b"online",
                            since=since, what="online")


@pytest.mark.parametrize("secure", [False, True])
def test_mqtt_over_websockets(make_world, authority, secure):
    """ws:// and wss://."""
    port = free_port()
    lines = listener(port, authority) if secure else [f"listener {port} 127.0.0.1"]
    world = make_world(broker={"options": [*lines, "protocol websockets"]})
    assert_works(world, {"mqtt.url": f"{'wss' if secure else 'ws'}://127.0.0.1:{port}",
                         "mqtt.ca_file": str(authority.file) if secure else None})


@pytest.fixture
def front(world, authority, stranger, request):
    """The simulator behind TLS, with a certificate of the authority that the test names."""
    issuer = {"trusted": authority, "strange": stranger}[request.param]
    front = TlsFront(world.simulator.port, *issuer.issue("upstream"))
    yield front
    front.close()


@pytest.mark.parametrize("front", ["trusted"], indirect=True)
def test_the_upstream_over_tls(world, front, authority):
    """https:// with an authority of one's own."""
    assert_works(world, {"aiva.url": f"https://127.0.0.1:{front.port}",
                         "aiva.ca_file": str(authority.file)})


@pytest.mark.parametrize("front", ["strange"], indirect=True)
def test_an_upstream_of_another_authority(world, front, authority):
    """Its certificate is not accepted: no request gets there, and it is said."""
    config = {"aiva.url": f"https://127.0.0.1:{front.port}",
              "aiva.ca_file": str(authority.file)}
    world.bridge.start(config)
    world.recorder.wait_for(lambda message: message.topic == of_bridge("upstream")
                            and message.json["state"] == "unavailable", 30, what="unavailable")
    assert world.bridge.run_config("--check", overrides=config).returncode == 3
    assert not world.simulator.stats()["log"]
