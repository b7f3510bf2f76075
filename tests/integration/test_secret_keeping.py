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
    assert (f"{path}: every user of this machine can" in done.stderr) == warned


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
