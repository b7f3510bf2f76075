"""Names of the broker with several addresses, addresses in place of a name, and what TLS makes of both."""

import contextlib
import socket

import pytest
from conftest import preloading
from harness.certificates import Authority, TlsFront
from harness.process import free_port, has_ipv6
from harness.topics import of_bridge
from harness.world import job

needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
NOBODY = "127.0.0.77"  # nobody listens there
SILENT = "127.0.0.78"  # does not even accept


@contextlib.contextmanager
def full_backlog(port):
    """A listener whose queue is full: a connection to it is neither made nor refused."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((SILENT, port), backlog=0))
        for _ in range(8):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield


def assert_gets_through(world, url, addresses="", **config):
    env = preloading("slow_dns", SLOW_DNS_S="0", SEVERAL_DNS=addresses)
    world.start([job("one")], {"mqtt.url": url, **config}, env)
    assert world.command("one", "refresh")["ok"]


@pytest.mark.parametrize("addresses", [
    f"{NOBODY} 127.0.0.1", f"{NOBODY} 127.0.0.79 127.0.0.1", "127.0.0.1 " + NOBODY,
    pytest.param("::1 127.0.0.1", marks=needs_ipv6), pytest.param("127.0.0.1 ::1", marks=needs_ipv6),
])
def test_one_of_several_addresses_is_dead(world, addresses):
    """The next one is tried, whichever protocol it is of."""
    assert_gets_through(world, f"mqtt://broker.several.test:{world.broker.port}", addresses)


@needs_ipv6
@pytest.mark.parametrize("addresses", ["127.0.0.1 ::1", "::1 127.0.0.1"])
def test_only_the_other_protocol_answers(make_world, addresses):
    """The broker listens on ::1 alone."""
    port = free_port()
    world = make_world(broker={"options": [f"listener {port} ::1"]})
    assert_gets_through(world, f"mqtt://broker.several.test:{port}", addresses)


def test_one_of_several_addresses_does_not_answer(world):
    """It is left in time for the other one."""
    with full_backlog(world.broker.port):
        assert_gets_through(world, f"mqtt://broker.several.test:{world.broker.port}", f"{SILENT} 127.0.0.1")


@pytest.mark.parametrize("silent", [False, True])
def test_the_same_over_tls(world, tmp_path, request, silent):
    """The certificate is for the name, whichever address it is that answers."""
    authority = Authority(tmp_path)
    front = TlsFront(world.broker.port, *authority.issue("server", "broker.several.test"))
    request.addfinalizer(front.close)
    with full_backlog(front.port) if silent else contextlib.nullcontext():
        assert_gets_through(
            world, f"mqtts://broker.several.test:{front.port}", f"{SILENT if silent else NOBODY} 127.0.0.1",
            **{"mqtt.ca_file": str(authority.file)})
    assert set(front.names) == {"broker.several.test"}


def test_one_of_aivas_addresses_does_not_answer(world):
    """The same for the stream, the list and a command."""
    with full_backlog(world.simulator.port):
        assert_gets_through(world, world.broker.url, f"{SILENT} 127.0.0.1",
                            **{"aiva.url": f"http://aiva.several.test:{world.simulator.port}"})


def test_all_addresses_are_dead(world):
    """The reason is told, and the next attempt begins with the first again."""
    url = f"mqtt://broker.several.test:{world.broker.port}"
    env = preloading("slow_dns", SLOW_DNS_S="0", SEVERAL_DNS=f"{NOBODY} 127.0.0.79")
    checked = world.bridge.run_config("--check", overrides={"mqtt.url": url}, env=env)
    assert checked.returncode == 4
    assert "Connection refused" in checked.stderr, checked.stderr


@needs_ipv6
def test_tls_to_an_address_of_ipv6(make_world, tmp_path):
    """The certificate is compared with the address."""
    authority = Authority(tmp_path)
    port, other = free_port(), free_port()
    right, wrong = authority.issue("right", "::1"), authority.issue("wrong", "::2")
    world = make_world(broker={"options": [
        f"listener {port} ::1", f"certfile {right[0]}", f"keyfile {right[1]}",
        f"listener {other} ::1", f"certfile {wrong[0]}", f"keyfile {wrong[1]}"]})
    assert_gets_through(world, f"mqtts://[::1]:{port}", **{"mqtt.ca_file": str(authority.file)})
    checked = world.bridge.run_config(
        "--check", overrides={"mqtt.url": f"mqtts://[::1]:{other}", "mqtt.ca_file": str(authority.file)})
    assert checked.returncode == 4
    assert "the certificate is for another host" in checked.stderr, checked.stderr


@pytest.mark.parametrize("scheme", ["mqtts", "wss"])
@pytest.mark.parametrize("host, indicated", [("127.0.0.1", None), ("localhost", "localhost")])
def test_only_names_are_indicated(world, tmp_path, request, scheme, host, indicated):
    """RFC 6066, section 3: an address is no server name."""
    authority = Authority(tmp_path)
    front = TlsFront(world.broker.port, *authority.issue("server", host))
    request.addfinalizer(front.close)
    config = {"mqtt.url": f"{scheme}://{host}:{front.port}", "mqtt.ca_file": str(authority.file)}
    if scheme == "mqtts":
        assert_gets_through(world, config.pop("mqtt.url"), **config)
        assert world.retained()[of_bridge("state")].payload == b"online"
    else:  # what is behind the front speaks no HTTP
        assert world.bridge.run_config("--check", overrides=config).returncode == 4
    assert set(front.names) == {indicated}
