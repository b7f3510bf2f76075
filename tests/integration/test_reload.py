"""Files that are read again: what is bad changes nothing, and what is good again is found by itself."""

import os
import signal
import subprocess
import time

import pytest
from harness.certificates import Authority, TlsFront
from harness.process import free_port
from harness.simulator import KEY
from harness.topics import of_bridge
from harness.waiting import wait_until
from harness.world import job

REFUSED = "SIGHUP: secrets and certificates cannot be read again, the old ones stay in use: "
TAKEN = "SIGHUP: secrets and certificates are read again; reconnecting"
AT_LAST = "secrets and certificates are read again, now that they can be; reconnecting"
SOON = 25
"""Seconds within which a file that is good again is used: five, on a machine with time to spare."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


class Files:
    """The files of a bridge that uses TLS on both sides, with a client certificate."""

    def __init__(self, folder, authority):
        self.authority = authority
        self.ca, self.cert, self.key, self.aiva, self.api_key = (
            folder / name for name in ("ca.pem", "client.crt", "client.key", "aiva.pem", "api.key"))
        self.client = authority.issue("client")
        self.other = authority.issue("other-client")
        self.restore()

    def restore(self):
        for path, content in self.good():
            if path.is_dir():
                path.rmdir()
            elif not path.is_file():
                path.unlink(missing_ok=True)
            path.touch(mode=0o600)
            path.chmod(0o600)
            path.write_text(content)

    def good(self):
        authority = self.authority.file.read_text()
        return ((self.ca, authority), (self.aiva, authority), (self.cert, self.client[0].read_text()),
                (self.key, self.client[1].read_text()), (self.api_key, KEY))

    def settings(self, broker, upstream):
        return {"mqtt.url": f"mqtts://127.0.0.1:{broker}", "mqtt.ca_file": str(self.ca),
                "mqtt.cert_file": str(self.cert), "mqtt.key_file": str(self.key),
                "aiva.url": f"https://127.0.0.1:{upstream}", "aiva.ca_file": str(self.aiva),
                "aiva.api_key": None, "aiva.api_key_file": str(self.api_key)}


def cut(path):
    """Ends it in the middle, as a full disk does."""
    text = path.read_text()
    path.write_text(text[:len(text) // 2])


def lock(path):
    """Encrypts a key with a password."""
    plain = path.read_text()
    subprocess.run(["openssl", "pkey", "-aes128", "-passout", "pass:secret", "-out", path],
                   input=plain, text=True, check=True, capture_output=True)


def to_fifo(path):
    path.unlink()
    os.mkfifo(path)


def to_folder(path):
    path.unlink()
    path.mkdir()


def to_utf16(path):
    path.write_bytes(path.read_text().encode("utf-16"))


DAMAGE = {
    "cut authorities": (lambda files: cut(files.ca), "mqtt.ca_file: ", "certificate 1 in it is damaged"),
    "cut authorities of AIVA": (lambda files: cut(files.aiva), "aiva.ca_file: ", "is damaged"),
    "another key": (lambda files: files.key.write_text(files.other[1].read_text()), "mqtt.key_file: ",
                    "it is not the key of the client certificate"),
    "no file": (lambda files: files.cert.unlink(), "mqtt.cert_file: ", "No such file or directory"),
    "empty": (lambda files: files.ca.write_text(""), "mqtt.ca_file: ", "the file is empty"),
    "a password": (lambda files: lock(files.key), "mqtt.key_file: ", "the key is encrypted"),
    "a FIFO": (lambda files: to_fifo(files.key), "mqtt.key_file: ", "expected a regular file, found a FIFO"),
    "a FIFO for a secret": (lambda files: to_fifo(files.api_key), "aiva.api_key_file: ", "found a FIFO"),
    "a folder": (lambda files: to_folder(files.aiva), "aiva.ca_file: ", "found a directory"),
    "UTF-16": (lambda files: to_utf16(files.ca), "mqtt.ca_file: ", "found UTF-16"),
    "endless": (lambda files: files.ca.write_text("\n" * (1 << 20) + files.ca.read_text()),
                "mqtt.ca_file: ", "longer than 1048576 bytes"),
}


@pytest.fixture
def tls_world(make_world, authority, tmp_path):
    """A running bridge that uses all of the files; gives world, files and the upstream's front."""
    certificate, key = authority.issue("server")
    port = free_port()
    world = make_world(broker={"options": [
        f"listener {port} 127.0.0.1", f"certfile {certificate}", f"keyfile {key}",
        f"cafile {authority.file}", "require_certificate true"]})
    upstream = TlsFront(world.simulator.port, certificate, key)
    files = Files(tmp_path, authority)
    world.port = port
    world.start([job("one")], files.settings(port, upstream.port))
    yield world, files
    world.bridge.stop()
    upstream.close()


def count(world, text):
    return world.bridge.output().count(text)


def connections(world):
    return count(world, "connected to the broker")


def lose_everything(world):
    """Ends both connections."""
    before = connections(world)
    world.broker.kill()
    world.simulator.cut()
    world.broker.start()
    world.record()
    wait_until(lambda: connections(world) > before, "a new connection", 60)
    # Said behind the subscriptions: commands are heard from now on.
    assert world.recorder.wait_topic(of_bridge("state"), timeout=60).payload == b"online"


@pytest.mark.parametrize("case", DAMAGE)
def test_what_is_bad_changes_nothing(tls_world, case):
    """One line that says why; the connections stay. Once it is good again, it is used by itself."""
    world, files = tls_world
    damage, name, reason = DAMAGE[case]
    damage(files)
    since = world.recorder.mark()
    world.bridge.send(signal.SIGHUP)
    wait_until(lambda: REFUSED in world.bridge.output(), "the refusal")
    line = next(line for line in world.bridge.output().splitlines() if REFUSED in line)
    assert name in line and reason in line
    world.stream_marker()
    assert connections(world) == 1
    assert not world.recorder.select(of_bridge("state"), since)
    files.restore()
    wait_until(lambda: AT_LAST in world.bridge.output(), "the reload", SOON)
    wait_until(lambda: connections(world) == 2, "the new connection", SOON)
    world.stream_marker()
    assert count(world, REFUSED) == 1


def test_what_is_bad_is_not_used_after_a_loss(tls_world):
    """The good contents are in memory: a lost connection comes back with them."""
    world, files = tls_world
    for path in (files.ca, files.aiva, files.cert, files.key):
        path.unlink()
    world.bridge.send(signal.SIGHUP)
    wait_until(lambda: REFUSED in world.bridge.output(), "the refusal")
    lose_everything(world)
    world.stream_marker(60)
    assert world.command("one", "refresh")["ok"]


def test_each_hangup_is_answered(tls_world):
    """However often somebody asks, within a minute, and whatever the log is set to."""
    world, files = tls_world
    for level in ("warn", "error"):
        world.bridge.send(signal.SIGUSR2)
        wait_until(lambda wanted=level: f"the log level is {wanted}" in world.bridge.output(), level)
    files.cert.unlink()
    for number in range(1, 4):
        world.bridge.send(signal.SIGHUP)
        wait_until(lambda asked=number: count(world, REFUSED) == asked, "an answer")
    files.restore()
    for number in range(1, 3):
        world.bridge.send(signal.SIGHUP)
        wait_until(lambda asked=number: count(world, TAKEN) == asked, "an answer")


def test_a_renewed_certificate_is_used_without_a_hangup(tls_world):
    """As certbot does it: nothing is closed, and the next connection has the new one."""
    world, files = tls_world
    changed = "certificates have changed: they are used from the next connection on"
    for path, content in ((files.cert, files.other[0]), (files.key, files.other[1])):
        path.write_text(content.read_text())
    wait_until(lambda: changed in world.bridge.output(), "the change", SOON)
    assert connections(world) == 1
    for path in (files.ca, files.cert, files.key):
        path.unlink()
    lose_everything(world)
    assert world.command("one", "refresh")["ok"]
    wait_until(lambda: "cannot be used, the old contents stay in use" in world.bridge.output(), "a warning")


def test_a_good_certificate_ends_the_wait(make_world, authority, tmp_path):
    """The bridge waits a minute after a refusal, but not once the files have changed."""
    stranger = Authority(tmp_path, "stranger")
    trust = tmp_path / "trust.pem"
    trust.write_text(stranger.file.read_text())
    world = make_world()
    front = TlsFront(world.broker.port, *authority.issue("server-two"))
    world.bridge.start({"mqtt.url": f"mqtts://127.0.0.1:{front.port}", "mqtt.ca_file": str(trust)})
    wait_until(lambda: "next attempt in 6" in world.bridge.output(), "the refusal")
    begin = time.monotonic()
    trust.write_text(authority.file.read_text())
    world.recorder.wait_topic(of_bridge("state"), timeout=40)
    assert time.monotonic() - begin < 40
    world.bridge.stop()
    front.close()


@pytest.mark.parametrize("name", ["mqtt.ca_file", "aiva.ca_file"])
def test_a_start_with_bad_certificates(bridge, tmp_path, name):
    """A mistake in the configuration, as a secret that is not there is one."""
    path = tmp_path / "missing.pem"
    done = bridge.run_config("--check", overrides={
        name: str(path), "mqtt.url": "mqtts://127.0.0.1:1", "aiva.url": "https://127.0.0.1:1"})
    assert done.returncode == 2
    assert f"{name}: {path}: No such file or directory" in done.stderr


@pytest.mark.parametrize("what", ["config", "key"])
def test_a_byte_order_mark(world, tmp_path, what):
    """Some editors put one in front of all that they save."""
    key = tmp_path / "key"
    key.touch(mode=0o600)
    mark = b"\xef\xbb\xbf"
    key.write_bytes((mark if what == "key" else b"") + KEY.encode() + b"\r\n")
    path = world.bridge.write_config({"aiva.api_key": None, "aiva.api_key_file": str(key)})
    if what == "config":
        path.write_bytes(mark + path.read_bytes())
    done = world.bridge.run("--config", path, "--check")
    assert done.returncode == 0, done.stderr
    marked = key if what == "key" else path
    assert f"{marked}: it begins with a byte order mark, which is ignored" in done.stderr


@pytest.mark.parametrize("what", ["config", "key"])
def test_utf16(world, tmp_path, what):
    """What Windows calls Unicode is named for what it is."""
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text(KEY)
    path = world.bridge.write_config({"aiva.api_key": None, "aiva.api_key_file": str(key)})
    encoded = path if what == "config" else key
    to_utf16(encoded)
    done = world.bridge.run("--config", path, "--check")
    assert done.returncode == 2
    assert f"{encoded}: expected UTF-8, found UTF-16" in done.stderr


@pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
@pytest.mark.parametrize("what", ["config", "key", "password", "certificates"])
def test_only_regular_files_are_read(bridge, tmp_path, what, kind):
    """At the start too: nothing hangs, and it is said."""
    path = tmp_path / "file"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    overrides = {
        "config": {}, "key": {"aiva.api_key": None, "aiva.api_key_file": str(path)},
        "password": {"mqtt.username": "u", "mqtt.password_file": str(path)},
        "certificates": {"aiva.url": "https://127.0.0.1:1", "aiva.ca_file": str(path)}}[what]
    config = path if what == "config" else bridge.write_config(overrides)
    done = bridge.run("--config", config, "--check", timeout=30)
    assert done.returncode == 2
    assert f"{path}: expected a regular file, found a " in done.stderr
