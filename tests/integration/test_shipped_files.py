"""The files in config/ and docker-compose.yml do what they and README.md say."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml
from harness.broker import MOSQUITTO, Broker, publish_as
from harness.certificates import TlsFront, self_signed
from harness.process import Program, accepts, environment, free_port
from harness.simulator import KEY
from harness.waiting import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config"
PLAIN = pathlib.Path(os.environ.get("BRIDGE", "")).parent / "tests" / "plain_bridge"
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


def follow_recipe(text, folder):
    """Runs the commands for authority and certificate that the configuration's comments have, for localhost."""
    commands = re.findall(r"^#   ((?:HOST=|openssl |echo ).*)$", text, re.MULTILINE)
    assert len(commands) == 5
    script = "\n".join(["set -e", *commands]).replace("broker.example", "localhost")
    subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, check=True)


def test_production_broker_wants_tls_and_a_password(tmp_path, bridge):
    port = free_port()
    follow_recipe((CONFIG / "mosquitto-production.conf").read_text(), tmp_path)
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
        trust = ("--cafile", str(tmp_path / "ca.crt"))
        assert publish_as(port, "bridge", "aiva/jobs/job_1/state", *trust)
        assert not publish_as(port, "nobody", "aiva/jobs/job_1/state", *trust)
        bridge.start({"mqtt.url": f"mqtts://localhost:{port}", "mqtt.ca_file": str(tmp_path / "ca.crt"),
                      "mqtt.username": "bridge", "mqtt.password": "secret"})
        wait_until(lambda: "connected to the broker" in bridge.output(), "the connection")
        bridge.stop()
    finally:
        broker.end()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_the_unit_is_a_tight_sandbox():
    """2.0 or better of systemd's own judgement, where 10 is no protection at all."""
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20",
         CONFIG / "aiva-mqtt-bridge.service"], capture_output=True, text=True, check=False)
    assert rated.returncode == 0, rated.stdout + rated.stderr
    assert "Overall exposure level" in rated.stdout


def test_images_hold_the_program_and_nothing_else():
    """No base image, no shell, no root."""
    stages = re.split(r"^FROM (?=\S+ AS \S+$)", (ROOT / "Dockerfile").read_text(), flags=re.M)[1:]
    shipped = [stage for stage in stages if not stage.startswith("${BASE} AS build")]
    assert len(shipped) == 2
    for stage in shipped:
        assert stage.startswith("scratch AS ")
        assert "\nUSER 10001:10001\n" in stage and "\nRUN " not in stage
        assert re.search(r'^ENTRYPOINT \["/usr/local/bin/', stage, re.M)


@pytest.fixture
def changing_root():
    """The command before a folder and a program in it. An ordinary user is root in a namespace of his own."""
    if os.geteuid() == 0:
        return ["/usr/sbin/chroot", "--userspec=10001:10001"]
    own = ["unshare", "--map-root-user"]
    if subprocess.run([*own, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this kernel lets no user have a namespace of his own")
    return [*own, "/usr/sbin/chroot"]


@pytest.mark.skipif(not PLAIN.exists(), reason="the bridge without sanitizers is not built")
def test_an_image_has_all_that_the_bridge_needs(world, tmp_path, changing_root):
    """Its files alone are enough for --check, with names and TLS."""
    root = tmp_path / "root"
    subprocess.run([ROOT / "cmake/rootfs.sh", PLAIN, root], check=True)
    shutil.copy("/etc/hosts", root / "etc")  # the engine gives every container one
    assert not list(root.rglob("*sh")) and not list(root.rglob("busybox"))
    run = [*changing_root, root, f"/usr/local/bin/{PLAIN.name}", "--check"]
    settings = {"AIVA_URL": world.simulator.url, "AIVA_API_KEY": KEY,
                "MQTT_URL": world.broker.url.replace("127.0.0.1", "localhost")}
    done = subprocess.run(run, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    front = TlsFront(world.simulator.port, *self_signed(tmp_path, "nobody"))
    settings["AIVA_URL"] = f"https://127.0.0.1:{front.port}"
    done = subprocess.run(run, env=settings, capture_output=True, text=True, check=False)
    front.close()
    assert done.returncode == 3 and "self-signed certificate" in done.stderr


def test_containers_are_hardened():
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), flags=re.M)
    assert set(compose["services"]) == {"bridge", "mosquitto", "passwords", "simulator"}
    for name, service in compose["services"].items():
        assert service["read_only"] is True
        assert service.get("cap_add", []) == (["CHOWN"] if name == "passwords" else [])
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "build" not in service or service["build"]["target"] in stages
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
    assert compose["services"]["simulator"]["profiles"] == ["demo"]


def test_containers_look_after_their_health():
    """By the program itself, over the container's own loopback."""
    bridge = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["bridge"]
    assert bridge["healthcheck"]["test"][1:] == ["/usr/local/bin/aiva-mqtt-bridge", "--healthcheck"]
    assert "127.0.0.1:" in bridge["environment"]["HTTP_LISTEN"]
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r'^HEALTHCHECK .*\\\n +CMD \["/usr/local/bin/aiva-mqtt-bridge", "--healthcheck"\]$',
                     dockerfile, flags=re.M)
    assert re.search(r"^ENV HTTP_LISTEN=127\.0\.0\.1:\d+$", dockerfile, flags=re.M)


def test_systemd_is_told():
    """The unit waits for READY=1, and hears the main process alone."""
    unit = (CONFIG / "aiva-mqtt-bridge.service").read_text().splitlines()
    assert {"Type=notify", "NotifyAccess=main"} <= set(unit)
    assert any(re.fullmatch(r"WatchdogSec=\d+", line) for line in unit)


def test_stages_are_in_order():
    """`docker build .` makes the bridge."""
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), flags=re.M)
    assert stages[-1] == "bridge"
