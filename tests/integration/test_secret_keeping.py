"""How secrets are kept from others on the machine: files, environment, memory, foreign libraries."""

import os
import pathlib
import stat

import pytest
from harness.certificates import Authority, TlsFront
from harness.simulator import KEY
from harness.world import job

READABLE = "every user of this machine can read it"


def secret_file(folder, text, mode=0o600):
    """A file with a secret."""
    path = folder / "secret"
    path.write_bytes(text)
    path.chmod(mode)
    return path


def key_from(path):
    """Settings in which the key comes from a file."""
    return {"aiva.api_key": None, "aiva.api_key_file": str(path)}


@pytest.mark.parametrize("mode, warned", [(0o600, False), (0o640, False), (0o644, True),
                                          (0o666, True)])
def test_a_key_file_that_others_can_read(bridge, tmp_path, mode, warned):
    """It is used, and there is a warning that names the file."""
    path = secret_file(tmp_path, KEY.encode(), mode)
    done = bridge.run_config("--check", overrides=key_from(path))
    assert done.returncode == 3
    assert (f"{path}: {READABLE}" in done.stderr) == warned


def test_other_files_that_others_can_read(bridge, tmp_path):
    """The broker's password, a client certificate's key, and a configuration file with a key in it."""
    path = secret_file(tmp_path, b"hunter22", 0o644)
    bridge.write_config()
    bridge.config.chmod(0o644)
    done = bridge.run_config("--check", overrides={
        "mqtt.username": "u", "mqtt.password_file": str(path),
        "mqtt.cert_file": str(path), "mqtt.key_file": str(path)})
    for what in ("the broker's password", "the client certificate's private key"):
        assert f"{path}: {READABLE}, and it holds {what}" in done.stderr
    assert f"{bridge.config}: {READABLE}, and it holds the API key" in done.stderr


def test_a_configuration_file_without_secrets_may_be_read(bridge, tmp_path):
    """Whoever keeps the key elsewhere need not hide the rest."""
    bridge.write_config()
    bridge.config.chmod(0o644)
    assert stat.S_IMODE(bridge.config.stat().st_mode) == 0o644
    done = bridge.run_config("--check", overrides=key_from(secret_file(tmp_path, KEY.encode())))
    assert READABLE not in done.stderr


def written_by_others(place, mode, file):
    """The warning of a place that other users can write."""
    return (f"{place} (mode {mode:04o}) can be written by other users, who can change what the bridge reads from "
            f"{file}: chmod go-w {place}\n")


def test_a_configuration_file_that_others_can_write(bridge, tmp_path):
    """Without a key in it, too: aiva.url decides where the key goes."""
    settings = key_from(secret_file(tmp_path, KEY.encode()))
    bridge.write_config()
    assert str(bridge.config) not in bridge.run_config("--check", overrides=settings).stderr
    bridge.config.chmod(0o602)
    assert written_by_others(bridge.config, 0o602, bridge.config) in bridge.run_config(
        "--check", overrides=settings).stderr


@pytest.mark.parametrize("mode, warned", [(0o777, True), (0o703, True), (0o1777, False), (0o755, False)])
def test_folders_that_others_can_write(bridge, tmp_path, mode, warned):
    """The configuration's and the key's: their files can be replaced, unless the folder is like /tmp."""
    folder = tmp_path / "keys"
    folder.mkdir()
    bridge.write_config()
    for place in (folder, bridge.config.parent):
        place.chmod(mode)
    path = secret_file(folder, KEY.encode())
    said = bridge.run_config("--check", overrides=key_from(path)).stderr
    assert (written_by_others(bridge.config.parent, mode, bridge.config) in said) == warned
    assert (written_by_others(folder, mode, path) in said) == warned
    assert said.count("can be written") == 2 * warned


def test_each_file_that_others_can_write(bridge, tmp_path):
    """Password, authorities, certificate and its key; a folder above several of them is told once."""
    authority = Authority(tmp_path)
    folder = tmp_path / "open"
    folder.mkdir()
    cert, key = (pathlib.Path(path).rename(folder / name)
                 for path, name in zip(authority.issue("client"), ("cert", "key"), strict=True))
    authorities = pathlib.Path(authority.file).rename(folder / "authorities")
    password = secret_file(tmp_path, b"hunter22").rename(folder / "password")
    files = [cert, key, authorities, password]
    for path in (folder, *files):
        path.chmod(0o722)
    done = bridge.run_config("--check", overrides={
        "mqtt.url": "mqtts://127.0.0.1:1", "mqtt.username": "u", "mqtt.password_file": str(password),
        "mqtt.ca_file": str(authorities), "mqtt.cert_file": str(cert), "mqtt.key_file": str(key)})
    for path in files:
        assert written_by_others(path, 0o722, path) in done.stderr
    assert done.stderr.count(f"{folder} (mode 0722)") == 1


def test_links_to_what_others_can_write(bridge, tmp_path):
    """As it is where certificates and secrets are renewed by turning a link."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    (tmp_path / "link").symlink_to(secret_file(folder, KEY.encode()))
    done = bridge.run_config("--check", overrides=key_from(tmp_path / "link"))
    assert written_by_others(folder, 0o777, tmp_path / "link") in done.stderr


def test_what_is_handed_out_may_be_open(bridge, tmp_path):
    """systemd keeps others from credentials."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    path = secret_file(folder, KEY.encode(), 0o666)
    folder.chmod(0o777)
    for env, warned in (({}, True), ({"CREDENTIALS_DIRECTORY": str(folder)}, False),
                        ({"CREDENTIALS_DIRECTORY": str(folder)[:-1]}, True), ({"CREDENTIALS_DIRECTORY": ""}, True)):
        said = bridge.run_config("--check", overrides=key_from(path), env=env).stderr
        assert (written_by_others(path, 0o666, path) in said) == warned
        assert (f"{path}: {READABLE}" in said) == warned


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_of_other_users(bridge, tmp_path):
    """Who owns a file can write it, whatever its mode is."""
    path = secret_file(tmp_path, KEY.encode(), 0o400)
    os.chown(path, 1, 0)
    done = bridge.run_config("--check", overrides=key_from(path))
    assert (f"{path} (mode 0400) belongs to user 1, who can change what the bridge reads from {path}: "
            "chown it to root or to the user of the bridge") in done.stderr


def test_a_running_bridge_says_what_others_can_write(world):
    """Not only --check does, and it goes on."""
    world.bridge.write_config()
    world.bridge.config.chmod(0o606)
    world.start([job("one")])
    assert written_by_others(world.bridge.config, 0o606, world.bridge.config) in world.bridge.output()


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_line_end_behind_the_key_does_not_count(world, tmp_path, end):
    """Editors and echo leave one."""
    path = secret_file(tmp_path, KEY.encode() + end)
    assert world.bridge.run_config("--check", overrides=key_from(path)).returncode == 0


@pytest.mark.parametrize("text", [b"key\x01-and-more", b"key-and\nmore\n", b"key\x00more", b"\xff-key",
                                  b"key \n", b"\n", b"", b"k" * 70000],
                         ids=lambda text: repr(text[:12]))
def test_a_key_that_cannot_be_one(bridge, tmp_path, text):
    """Refused with the file's name and without a byte of it."""
    path = secret_file(tmp_path, text)
    done = bridge.run_config("--check", overrides=key_from(path))
    assert done.returncode == 2
    assert str(path) in done.stderr
    assert "more" not in done.stderr and "kkk" not in done.stderr


def test_a_key_in_the_environment_is_wiped(world, witness):
    """The process's environment is what others would look at first."""
    world.simulator.put_jobs([job("one")])
    world.bridge.start({"aiva.api_key": None}, env={"AIVA_API_KEY": KEY, **witness.env})
    world.wait_state("one")
    shown = witness.report.read_bytes()
    assert b"AIVA_API_KEY=" in shown and KEY.encode() not in shown


def test_the_process_is_closed_to_others(world):
    """What /proc has of its memory, descriptors and environment belongs to root."""
    world.start()
    place = pathlib.Path(f"/proc/{world.bridge.pid}")
    for name in ("environ", "fd", "mem", "maps"):
        assert (place / name).stat().st_uid == 0
        if os.geteuid() != 0:
            with pytest.raises(PermissionError):
                os.listdir(place / name) if name == "fd" else (place / name).read_bytes()


def test_no_core_is_left(world):
    """The limit holds for the running program."""
    world.start()
    limits = pathlib.Path(f"/proc/{world.bridge.pid}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]


def test_libraries_do_not_leak(make_world, tmp_path):
    """Variables that make libraries write session keys or payloads to a file have no effect."""
    authority = Authority(tmp_path)
    world = make_world()
    broker = TlsFront(world.broker.port, *authority.issue("server"))
    upstream = TlsFront(world.simulator.port, *authority.issue("server"))
    leaks = [tmp_path / "keys", tmp_path / "trace"]
    world.start([job("one")], {
        "mqtt.url": f"mqtts://127.0.0.1:{broker.port}", "mqtt.ca_file": str(authority.file),
        "aiva.url": f"https://127.0.0.1:{upstream.port}", "aiva.ca_file": str(authority.file),
    }, env={"SSLKEYLOGFILE": str(leaks[0]), "MQTT_C_CLIENT_TRACE": str(leaks[1]),
            "MQTT_C_CLIENT_TRACE_LEVEL": "MAXIMUM"})
    assert world.command("one", "refresh")["ok"]
    world.bridge.stop()
    assert not [leak for leak in leaks if leak.exists()]
    broker.close()
    upstream.close()


def test_connections_without_tls(bridge):
    """Other machines can be reached without TLS where the address says so; that is worth a warning."""
    done = bridge.run_config("--check", overrides={
        "aiva.url": "http://127.0.0.1.example.invalid", "mqtt.url": "mqtt://192.0.2.1",
        "mqtt.username": "u", "mqtt.password": "hunter22"})
    assert "everybody on the way can read the API key" in done.stderr
    assert "everybody on the way can read the broker's password" in done.stderr


def test_connections_without_tls_to_this_machine(bridge):
    """Nobody is on the way."""
    done = bridge.run_config("--check", overrides={
        "aiva.url": "http://localhost:1", "mqtt.url": "mqtt://[::1]:1",
        "mqtt.username": "u", "mqtt.password": "hunter22"})
    assert "everybody" not in done.stderr


def test_proxies_are_for_aiva_alone(world):
    """As with curl: the environment's proxy is asked for AIVA, no_proxy excepts hosts from it. The
    broker is never reached through it."""
    nobody = "http://127.0.0.1:1"
    proxied = world.bridge.run_config("--check", env={"http_proxy": nobody})
    assert proxied.returncode == 3
    excepted = world.bridge.run_config("--check", env={
        "http_proxy": nobody, "https_proxy": nobody, "ALL_PROXY": nobody, "no_proxy": "127.0.0.1"})
    assert excepted.returncode == 0, excepted.stderr
