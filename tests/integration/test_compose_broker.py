"""The broker of docker-compose.yml: the script that makes its passwords, and the configuration as shipped."""

import os
import pathlib
import re
import stat
import subprocess
import tempfile

import pytest
import yaml
from harness.broker import MOSQUITTO
from harness.process import Program, accepts, environment, free_port
from harness.waiting import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
SCRIPT = ROOT / "config/mosquitto-docker-passwords.sh"
# As in the containers, where root may give files away and nothing else. For an ordinary user all is his own.
ROOTED = os.geteuid() == 0
AS_INIT = ["setpriv", "--bounding-set=-all,+chown"] if ROOTED else []
AS_BROKER = ["setpriv", "--reuid=1883", "--regid=1883", "--clear-groups"] if ROOTED else []


class Containers:
    """The volumes as folders, the script, and a mosquitto with them."""

    def __init__(self, folder):
        self.broker, self.bridge = folder / "broker", folder / "bridge"
        self.program = Program("mosquitto", folder)
        self.port = free_port()
        self.config = folder / "mosquitto.conf"
        for path in (self.broker, self.bridge, folder / "data"):
            path.mkdir()
        if ROOTED:
            os.chown(folder / "data", 1883, 1883)
        text = (ROOT / "config/mosquitto-docker.conf").read_text()
        for shipped, here in {"/mosquitto/secrets/": f"{self.broker}/", "/mosquitto/data/": f"{folder}/data/",
                              "\nlistener 1883\n": f"\nlistener {self.port} 127.0.0.1\n"}.items():
            assert shipped in text
            text = text.replace(shipped, here)
        self.config.write_text(text)

    def prepare(self, topic="aiva"):
        """The service `passwords`, at each start."""
        done = subprocess.run(
            [*AS_INIT, *SERVICES["passwords"]["entrypoint"][:1], SCRIPT], capture_output=True, text=True, check=False,
            env=environment({"BROKER_SECRETS": str(self.broker), "BRIDGE_SECRETS": str(self.bridge), "MQTT_TOPIC": topic,
                             "SHIPPED_RULES": str(ROOT / "config/mosquitto-production.acl")}))
        assert done.returncode == 0, done.stderr

    def start(self):
        self.program.spawn([*AS_BROKER, MOSQUITTO, "-c", self.config])
        wait_until(lambda: accepts(self.port) or not self.program.running, "mosquitto to listen")
        assert self.program.running, self.program.tail()

    def run(self, program, *arguments):
        """A program in mosquitto's container, which finds name and password by itself."""
        return subprocess.run([*AS_BROKER, program, "-p", str(self.port), *arguments], capture_output=True, text=True,
                              timeout=60, check=False, env=environment({"XDG_CONFIG_HOME": str(self.broker)}))

    def contents(self):
        return {path: path.read_bytes() for folder in (self.broker, self.bridge) for path in folder.iterdir()}


@pytest.fixture
def containers():
    """In a folder that the broker's user can reach."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        made = Containers(pathlib.Path(folder))
        yield made
        if made.program.running:
            made.program.end()


def test_nobody_gets_in_without_a_password(containers):
    containers.prepare()
    containers.start()
    for login in ((), ("-u", "bridge"), ("-u", "bridge", "-P", "bridge"), ("-u", "nobody", "-P", "x")):
        done = subprocess.run(["mosquitto_sub", "-p", str(containers.port), "-t", "#", "-C", "1", "-W", "10", *login],
                              capture_output=True, text=True, timeout=60, check=False, env=environment())
        assert done.returncode == 5 and "not authorised" in done.stderr, login


def test_what_the_documents_and_the_health_check_call(containers):
    """mosquitto_sub reads, mosquitto_pub may cancel and not delete, the broker's health shows."""
    containers.prepare("lab/aiva&1")
    containers.start()
    health = SERVICES["mosquitto"]["healthcheck"]["test"]
    assert health[0] == "CMD"
    done = containers.run(*(word.replace("$$", "$") for word in health[1:]))
    assert done.returncode == 0 and "seconds" in done.stdout, done.stderr
    for command, accepted in (("cancel", True), ("refresh", True), ("delete", False)):
        done = containers.run("mosquitto_pub", "-V", "5", "-q", "1", "-m", "x",
                              "-t", f"lab/aiva&1/jobs/one/command/{command}")
        assert done.returncode == 0 and ("Not authorized" not in done.stdout + done.stderr) == accepted
    done = containers.run("mosquitto_pub", "-V", "5", "-q", "1", "-m", "x", "-t", "aiva/jobs/one/command/cancel")
    assert "Not authorized" in done.stdout + done.stderr, "rules for a root that is not in use"


def test_the_bridge_gets_in(containers, world):
    """With name and password as its service has them."""
    containers.prepare()
    containers.start()
    assert SERVICES["bridge"]["environment"]["MQTT_PASSWORD_FILE"] == "/run/broker/mqtt_password"
    assert "bridge-secrets:/run/broker:ro" in SERVICES["bridge"]["volumes"]
    if ROOTED:  # in its container the bridge is the user that the file belongs to
        os.chown(containers.bridge / "mqtt_password", 0, 0)
    done = world.bridge.run_config("--check", overrides={
        "mqtt.url": f"mqtt://127.0.0.1:{containers.port}",
        "mqtt.username": SERVICES["bridge"]["environment"]["MQTT_USERNAME"],
        "mqtt.password_file": str(containers.bridge / "mqtt_password")})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warn" not in done.stderr.lower(), done.stderr


def test_files_have_one_reader_each(containers):
    containers.prepare()
    for folder, owner in ((containers.broker, 1883), (containers.bridge, 10001)):
        for path in folder.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o400, path
            assert path.stat().st_uid == (owner if ROOTED else os.geteuid()), path
    assert [path.name for path in containers.bridge.iterdir()] == ["mqtt_password"]
    stored = (containers.broker / "passwords").read_text()
    assert re.findall(r"^(\w+):\$7\$", stored, re.M) == ["bridge", "dashboard", "operator", "homeassistant"]


def test_passwords_are_made_once(containers):
    """Later starts leave them; what is cut short, or a bridge's volume that is gone, means new ones."""
    containers.prepare()
    before = containers.contents()
    containers.prepare()
    assert containers.contents() == before
    (containers.broker / "passwords").unlink()
    (containers.broker / "operator.new").write_text("left over")
    containers.prepare()
    after = containers.contents()
    assert after.keys() == before.keys()
    rules = containers.broker / "rules"
    assert {path for path in after if after[path] == before[path]} == {rules}
    (containers.bridge / "mqtt_password").unlink()
    containers.prepare()
    assert containers.contents().keys() == before.keys()
