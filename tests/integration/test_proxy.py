"""The way to the broker through a proxy (mqtt.proxy), and the protocol named in TLS (mqtt.alpn)."""

import pytest
from harness.certificates import Authority, TlsFront
from harness.process import Program, accepts, free_port
from harness.waiting import wait_until
from harness.world import job


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """The authority of the broker and of proxies."""
    return Authority(tmp_path_factory.mktemp("ca"))


class ProxyServer(Program):
    """tinyproxy or microsocks."""

    def __init__(self, folder, kind, target):
        super().__init__(kind, folder)
        self.port = free_port()
        self._config = folder / "tinyproxy.conf"
        self._config.write_text(f"Port {self.port}\nListen 127.0.0.1\nLogLevel Connect\nTimeout 600\n"
                                f"MaxClients 10\nConnectPort {target}\n")

    def start(self):
        if self.name == "tinyproxy":
            self.spawn(["tinyproxy", "-d", "-c", self._config])
        else:
            self.spawn(["microsocks", "-i", "127.0.0.1", "-p", self.port])
        wait_until(lambda: accepts(self.port) or not self.running, "the proxy to listen")
        assert self.running, self.tail()
        return self


@pytest.fixture
def open_proxy(tmp_path):
    """Starts a proxy that lets through to one port."""
    started = []

    def start(kind, target):
        started.append(ProxyServer(tmp_path, kind, target).start())
        return started[-1]

    yield start
    for proxy in started:
        proxy.end()


def broker_urls(world, authority, request):
    """The world's broker over plain TCP and over TLS, by its name."""
    front = TlsFront(world.broker.port, *authority.issue("broker"), alpn=["mqtt"])
    request.addfinalizer(front.close)
    return front, {"mqtt": f"mqtt://127.0.0.1:{world.broker.port}",
                   "mqtts": f"mqtts://127.0.0.1:{front.port}"}


@pytest.mark.parametrize("scheme", ["mqtt", "mqtts"])
@pytest.mark.parametrize("kind", ["http", "https", "socks5", "socks5h"])
def test_through_a_proxy(world, authority, open_proxy, request, kind, scheme):
    """Publishes, and hears commands; the proxy has been told of the broker, by name where it looks that
    up, and the environment's proxies and exceptions have no say."""
    front, urls = broker_urls(world, authority, request)
    target = urls[scheme].rsplit(":", 1)[1]
    proxy = open_proxy("tinyproxy" if kind.startswith("http") else "microsocks", target)
    port, outer = proxy.port, None
    if kind == "https":
        outer = TlsFront(port, *authority.issue("proxy"), alpn=["mqtt"])
        request.addfinalizer(outer.close)
        port = outer.port
    url = urls[scheme].replace("127.0.0.1", "localhost") if kind == "socks5h" and scheme == "mqtt" \
        else urls[scheme]
    nobody = f"http://127.0.0.1:{free_port()}"
    world.start([job("one")],
                {"mqtt.url": url, "mqtt.proxy": f"{kind}://127.0.0.1:{port}", "mqtt.alpn": "mqtt",
                 "mqtt.ca_file": str(authority.file)},
                env={"NO_PROXY": "*", "http_proxy": nobody, "no_proxy": "127.0.0.1"})
    assert world.command("one", "refresh")["ok"]
    assert url.split("://")[1] in proxy.output(), proxy.tail()
    assert front.spoken == (["mqtt"] if scheme == "mqtts" else [])
    assert outer is None or outer.spoken == [None]
    assert world.bridge.run_config("--check").returncode == 0


# Of tinyproxy a SOCKS client and one with TLS hear nothing at all.
@pytest.mark.parametrize("proxy, reason", [
    ("http://127.0.0.1:{}", "tunnel failed, response 403"),
    ("socks5://127.0.0.1:{}", "time"),
    ("https://127.0.0.1:{}", "time"),  # libcurl says it in different words
    ("http://nobody.invalid:1", "nobody.invalid"),
])
def test_a_proxy_that_does_not_help(world, open_proxy, proxy, reason):
    """The reason names it, and nobody gets around it."""
    refusing = open_proxy("tinyproxy", 1)
    checked = world.bridge.run_config(
        "--check", overrides={"mqtt.proxy": proxy.format(refusing.port)})
    assert checked.returncode == 4
    assert reason in checked.stderr and "(mqtt.proxy is " in checked.stderr, checked.stderr


def test_nothing_listens_where_the_proxy_was(world):
    """Its address is told, not only the broker's."""
    port = free_port()
    checked = world.bridge.run_config("--check", overrides={"mqtt.proxy": f"http://127.0.0.1:{port}"})
    assert checked.returncode == 4
    assert f"port {port}" in checked.stderr, checked.stderr


def test_no_protocol_is_named_by_itself(world, authority, request):
    """Without mqtt.alpn the handshake has none."""
    front, urls = broker_urls(world, authority, request)
    world.start([job("one")], {"mqtt.url": urls["mqtts"], "mqtt.ca_file": str(authority.file)})
    assert front.spoken == [None]


def test_a_password_that_crosses_a_proxy(world):
    """The broker may be on this machine, as the proxy sees it: the way to it is not."""
    warning = "can read the broker's password"
    secret = {"mqtt.username": "u", "mqtt.password": "secret"}
    for more, warned in (({}, False), ({"mqtt.proxy": f"http://127.0.0.1:{free_port()}"}, True)):
        checked = world.bridge.run_config("--check", overrides={**secret, **more})
        assert (warning in checked.stderr) == warned, checked.stderr
