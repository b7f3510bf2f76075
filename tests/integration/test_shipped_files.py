"""The files in config/ and docker-compose.yml do what they and README.md say."""

import pathlib
import re
import subprocess

import pytest
import yaml
from harness.broker import MOSQUITTO, Broker, publish_as
from harness.process import Program, accepts, environment, free_port
from harness.waiting import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config"
USERS = ("bridge", "dashboard", "operator", "homeassistant")


def rules_of(acl, user):
    """The rules for one user, without comments and blank lines."""
    sections = re.split(r"^user (\S+)$", acl, flags=re.M)
    lines = dict(zip(sections[1::2], sections[2::2]))[user].splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def run_mosquitto(folder, text, port):
    broker = Program("mosquitto", folder)
    (folder / "mosquitto.conf").write_text(text)
    broker.spawn([MOSQUITTO, "-c", folder / "mosquitto.conf"])
    wait_until(lambda: accepts(port) or not broker.running, "mosquitto to listen")
    assert broker.running, broker.tail()
    return broker


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A broker with the access rules as shipped."""
    broker = Broker(tmp_path_factory.mktemp("guarded"), users={user: "secret" for user in USERS},
                    acl=(CONFIG / "mosquitto-production.acl").read_text())
    broker.start()
    yield broker
    broker.end()


@pytest.mark.parametrize("user, topic, accepted", [
    ("operator", "aiva/jobs/job_1/command/cancel", True),
    ("operator", "aiva/jobs/job_1/command/refresh", True),
    ("operator", "aiva/bridge/command/refresh", True),
    ("operator", "aiva/jobs/job_1/command/delete", False),
    ("operator", "aiva/jobs/job_1/state", False),
    ("dashboard", "aiva/jobs/job_1/command/cancel", False),
    ("dashboard", "aiva/jobs/job_1/state", False),
    ("homeassistant", "aiva/jobs/job_1/command/cancel", True),
    ("homeassistant", "aiva/jobs/job_1/command/delete", False),
    ("homeassistant", "homeassistant/status", True),
    ("bridge", "aiva/jobs/job_1/state", True),
    ("bridge", "aiva/response/operator/1", True),
    ("bridge", "aiva/jobs/job_1/command/cancel", False),
    ("bridge", "elsewhere", False),
])
def test_access_rules_allow_and_refuse(guarded, user, topic, accepted):
    assert publish_as(guarded.port, user, topic) == accepted


def test_dashboard_sees_jobs_and_no_commands(guarded):
    seen = subprocess.Popen(
        ["mosquitto_sub", "-p", str(guarded.port), "-u", "dashboard", "-P", "secret", "-t", "aiva/#",
         "-F", "%t", "-C", "2", "-W", "20"], stdout=subprocess.PIPE, text=True)
    publish_as(guarded.port, "bridge", "aiva/jobs/seen/state", "-r")
    publish_as(guarded.port, "operator", "aiva/jobs/seen/command/cancel")
    publish_as(guarded.port, "bridge", "aiva/bridge/info", "-r")
    assert set(seen.communicate(timeout=60)[0].split()) == {"aiva/jobs/seen/state", "aiva/bridge/info"}


def test_access_rules_are_what_the_program_prints(bridge):
    """The file is the program's output for the default root, with more comments."""
    config = bridge.write_config({"mqtt.username": "bridge", "homeassistant.enabled": True})
    printed = subprocess.run([bridge.binary, "--config", config, "--print-acl"], env=environment(),
                             capture_output=True, text=True, timeout=20, check=True).stdout
    shipped = (CONFIG / "mosquitto-production.acl").read_text()
    for user in USERS:
        assert rules_of(shipped, user) == rules_of(printed, user)


def test_production_broker_wants_tls_and_a_password(tmp_path):
    port = free_port()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", tmp_path / "server.key",
         "-out", tmp_path / "server.crt"], capture_output=True, check=True)
    (tmp_path / "passwd").touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", tmp_path / "passwd", "bridge", "secret"], check=True)
    text = (CONFIG / "mosquitto-production.conf").read_text()
    for shipped, here in {
            "listener 8883": f"user root\nlistener {port} 127.0.0.1",
            "/etc/mosquitto/certs": tmp_path,
            "/etc/mosquitto/passwd": tmp_path / "passwd",
            "/etc/mosquitto/aiva.acl": CONFIG / "mosquitto-production.acl",
            "/var/lib/mosquitto/": f"{tmp_path}/"}.items():
        assert shipped in text
        text = text.replace(shipped, str(here))
    broker = run_mosquitto(tmp_path, text, port)
    try:
        trust = ("--cafile", str(tmp_path / "server.crt"))
        assert publish_as(port, "bridge", "aiva/jobs/job_1/state", *trust)
        assert not publish_as(port, "nobody", "aiva/jobs/job_1/state", *trust)
    finally:
        broker.end()


@pytest.mark.parametrize("name", ["demo", "docker"])
def test_other_brokers_start(tmp_path, name):
    port = free_port()
    text = (CONFIG / f"mosquitto-{name}.conf").read_text()
    text = text.replace("/mosquitto/data/", f"{tmp_path}/")
    text = re.sub(r"^listener 1883\b", f"user root\nlistener {port}", text, flags=re.M)
    broker = run_mosquitto(tmp_path, text, port)
    try:
        assert publish_as(port, "anyone", "aiva/anything")
    finally:
        broker.end()


def test_containers_are_hardened():
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), flags=re.M)
    assert set(compose["services"]) == {"bridge", "mosquitto", "simulator"}
    for service in compose["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "build" not in service or service["build"]["target"] in stages
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
    assert compose["services"]["simulator"]["profiles"] == ["demo"]
    assert stages[-1] == "bridge"
