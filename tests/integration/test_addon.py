"""The add-on for Home Assistant OS: what its Supervisor would say of it, and what its options become."""

import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tempfile

import pytest
import yaml
from harness.process import environment
from harness.webservice import WebService

ROOT = pathlib.Path(__file__).resolve().parents[2]
ADDON = ROOT / "config" / "home-assistant" / "addon"
CONFIG = yaml.safe_load((ADDON / "config.yaml").read_text())
TOKEN, KEY, PASSWORD = "supervisor-token-1", "aiva-key-2", "broker-password-3"

# ---- What the documentation says of config.yaml: keys, and what their values may be.

BOOLEAN = (True, False)


def one_of(*values):
    return lambda value: value in values


def list_of(check):
    return lambda value: isinstance(value, list) and all(check(one) for one in value)


def text(pattern=r".+"):
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value, re.S)


def number(least, most):
    return lambda value: type(value) is int and least <= value <= most


def folder(value):
    return (set(value) <= {"type", "read_only", "path"} and value.get("read_only", True) in BOOLEAN and
            value["type"] in ("homeassistant_config", "addon_config", "all_addon_configs", "addons", "ssl", "backup",
                              "share", "media", "data"))


VERSION = r"[0-9]+(\.[0-9]+)*([-.+a-z0-9]+)?"
REQUIRED = {
    "name": text(), "version": text(VERSION), "slug": text(r"[-_.A-Za-z0-9]+"), "description": text(),
    "arch": list_of(one_of("aarch64", "amd64"))}
OPTIONAL = {
    "url": text(r"https?://.+"), "homeassistant": text(VERSION), "image": text(),
    "startup": one_of("initialize", "system", "services", "application", "once"),
    "boot": one_of("auto", "manual", "manual_only"), "stage": one_of("stable", "experimental", "deprecated"),
    "init": one_of(*BOOLEAN), "tmpfs": one_of(*BOOLEAN), "timeout": number(10, 300),
    "services": list_of(text(r"(mqtt|mysql):(provide|want|need)")), "map": list_of(folder),
    "watchdog": text(r"(https?|\[PROTO:\w+\]|tcp)://\[HOST\]:(\[PORT:\d+\]|\d+).*"),
    "options": lambda value: isinstance(value, dict), "schema": lambda value: isinstance(value, dict)}
# Asks for rights that this add-on does not need: none of them belongs here.
RIGHTS = {"host_network", "host_pid", "host_ipc", "host_dbus", "host_uts", "privileged", "full_access", "docker_api",
          "hassio_api", "hassio_role", "homeassistant_api", "auth_api", "devices", "uart", "usb", "gpio", "ports"}
RANGE = r"(\((\d+)?,(\d+)?\))?"
ELEMENT = re.compile(
    rf"(?:bool|email|url|port|str{RANGE}|password{RANGE}|int{RANGE}|match\((?P<match>.*)\)|list\((?P<list>.+)\))\??")


def accepts(element, value):
    """Whether the Supervisor would take a value for an element of the schema."""
    if isinstance(element, list):
        return isinstance(value, list) and all(accepts(element[0], one) for one in value)
    kind = ELEMENT.fullmatch(element)
    if kind["list"]:
        return value in kind["list"].split("|")
    if kind["match"]:
        return re.match(kind["match"], value) is not None
    if element.startswith("int"):
        low, high = re.findall(r"\d+", element)
        return type(value) is int and int(low) <= value <= int(high)
    return isinstance(value, str)


def test_config_has_the_documented_keys():
    known = {**REQUIRED, **OPTIONAL}
    assert set(REQUIRED) <= set(CONFIG)
    for key, value in CONFIG.items():
        assert key not in RIGHTS, f"{key} is a right that is not needed"
        assert key in known, f"{key} is not documented"
        assert known[key](value), f"{key}: {value!r}"
    assert "image" not in CONFIG, "it is built where it runs"


def test_version_is_the_bridges():
    project = re.search(r"project\(\S+ VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())
    assert CONFIG["version"] == project[1]


def test_schema_is_valid_and_takes_the_defaults():
    schema, options = CONFIG["schema"], CONFIG["options"]
    for name, element in schema.items():
        inner = element[0] if isinstance(element, list) else element
        assert ELEMENT.fullmatch(inner), f"{name}: {element!r}"
    for name, value in options.items():
        assert accepts(schema[name], value), f"{name}: {value!r}"
        assert not str(schema[name]).endswith("?"), f"{name}: a default makes it required"
    # People have to give the key, and may give what belongs to another broker.
    assert {name for name in schema if name not in options} == {
        "aiva_api_key", "mqtt_url", "mqtt_username", "mqtt_password", "mqtt_ca_file"}


def test_schema_tells_right_from_wrong():
    schema = CONFIG["schema"]
    for value in ("mqtt://broker", "mqtts://broker:8883", "ws://broker", "wss://broker/path"):
        assert accepts(schema["mqtt_url"], value)
    for name, value in {"mqtt_url": "broker:1883", "mqtt_ca_file": "../ca.pem", "max_jobs": 0,
                        "commands": ["explode"], "device_name": "patient"}.items():
        assert not accepts(schema[name], value), name


def test_secrets_are_passwords_to_the_supervisor():
    for name, element in CONFIG["schema"].items():
        if re.search("key|password|token", name):
            assert element.startswith("password"), name


def test_every_option_is_explained():
    translation = yaml.safe_load((ADDON / "translations" / "en.yaml").read_text())
    assert set(translation) == {"configuration"}
    assert set(translation["configuration"]) == set(CONFIG["schema"])
    for name, words in translation["configuration"].items():
        assert set(words) <= {"name", "description"} and words["name"], name


# ---- What the options become.

# Stands in for the bridge: writes down what it was given.
STUB = """#!/bin/sh
exec > "$ADDON_REPORT"
printf '%s\\n' "$(id -u)" "$*"
tr '\\0' '\\n' < /proc/$$/environ
"""
# Stands in for a program: writes down its command line, and does what the real one does.
SPY = """#!/bin/sh
printf '%s\\n' "$0 $*" >> "{log}"
exec {real} "$@"
"""


class Supervisor(WebService):
    """The one call of the Supervisor's API that the script makes."""

    def __init__(self, service):
        self.asked = []
        answer = {"result": "ok", "data": service} if service else {"result": "error", "message": "not enabled"}

        def reply(path, headers, _body):
            self.asked.append((path, headers["Authorization"]))
            return 200 if service else 400, json.dumps(answer).encode()

        super().__init__(reply)


BROKER = {"addon": "core_mosquitto", "host": "core-mosquitto", "port": 1883, "ssl": False, "username": "addons",
          "password": PASSWORD, "protocol": "3.1.1"}


class Run:
    """One run of the script in a folder where others may look, as they may in the container."""

    def __init__(self, options, service=BROKER):
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="addon-"))
        self.place.chmod(0o755)
        self.folder = self.place / "run"
        self.report = self.place / "report"
        self.report.touch()
        self.report.chmod(0o666)
        (self.place / "options.json").write_text(json.dumps({**CONFIG["options"], **options}))
        (self.place / "ca.pem").write_text("a certificate")
        self.supervisor = Supervisor(service)
        self._write("bridge", STUB)
        for program in ("jq", "curl", "setpriv", "cp"):
            self._write(program, SPY.format(log=self.place / "spied", real=shutil.which(program)))
        self.done = subprocess.run(
            [ADDON / "run.sh"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
            env=environment({
                "PATH": f"{self.place}:{os.environ['PATH']}", "SUPERVISOR_TOKEN": TOKEN,
                "ADDON_OPTIONS": str(self.place / "options.json"), "ADDON_FOLDER": str(self.folder),
                "ADDON_BRIDGE": str(self.place / "bridge"), "ADDON_SUPERVISOR": self.supervisor.url,
                "ADDON_CERTIFICATES": str(self.place), "ADDON_REPORT": str(self.report)}))

    def _write(self, name, content):
        path = self.place / name
        path.write_text(content)
        path.chmod(0o755)

    def close(self):
        self.supervisor.close()
        shutil.rmtree(self.place)

    def config(self):
        assert self.done.returncode == 0, self.done.stderr
        return json.loads((self.folder / "bridge.json").read_text())

    def file(self, name):
        return (self.folder / name).read_text()

    def setting(self, path):
        """One setting of the bridge; None where it has its default."""
        section, name = path.split(".")
        return self.config().get(section, {}).get(name)


@pytest.fixture
def run():
    runs = []

    def start(options, **more):
        runs.append(Run({"aiva_api_key": KEY, **options}, **more))
        return runs[-1]

    yield start
    for one in runs:
        one.close()


OTHER = {"mqtt_url": "mqtts://broker.example:8883", "mqtt_username": "bridge", "mqtt_password": PASSWORD}
ARRIVES = {
    # option -> the setting it becomes, a value other than the default, and further options it needs
    "aiva_url": ("aiva.url", "https://aiva.example/api", {}),
    "aiva_mode": ("aiva.mode", "poll", {}),
    "mqtt_url": ("mqtt.url", "mqtts://broker.example:8883", OTHER),
    "mqtt_username": ("mqtt.username", "somebody else", OTHER),
    "mqtt_topic": ("mqtt.topic", "lab/aiva", {}),
    "device_name": ("homeassistant.device_name", "job_id", {}),
    "max_jobs": ("homeassistant.max_jobs", 7, {}),
    "hide": ("jobs.hide", ["sample_name", 'with "quotes"'], {}),
    "keep_finished_h": ("jobs.keep_finished_h", 24, {}),
    "commands": ("commands.allow", ["refresh"], {}),
    "homeassistant_prefix": ("homeassistant.prefix", "ha", {}),
    "log_level": ("log.level", "debug", {})}
FILES = {"aiva_api_key": "aiva.api_key_file", "mqtt_password": "mqtt.password_file", "mqtt_ca_file": "mqtt.ca_file"}


def test_every_option_arrives(run):
    assert set(ARRIVES) | set(FILES) == set(CONFIG["schema"])
    options, expected = {}, {}
    for name, (path, value, more) in ARRIVES.items():
        options = {**options, **more, name: value}
        expected[path] = value
    done = run({**options, "mqtt_ca_file": "ca.pem"})
    assert {path: done.setting(path) for path in expected} == expected
    assert done.setting("homeassistant.enabled") is True
    for name, content in {"aiva_api_key": KEY, "mqtt_password": PASSWORD, "mqtt_ca_file": "a certificate"}.items():
        path = pathlib.Path(done.setting(FILES[name]))
        assert path.parent == done.folder and path.read_text().strip() == content
    assert done.supervisor.asked == []


def test_home_assistants_own_broker(run):
    done = run({})
    assert done.supervisor.asked == [("/services/mqtt", f"Bearer {TOKEN}")]
    assert done.setting("mqtt.url") == "mqtt://core-mosquitto:1883"
    assert done.setting("mqtt.username") == "addons"
    assert done.file("mqtt_password") == f"{PASSWORD}\n"


def test_a_broker_with_tls_and_one_without_a_password(run):
    done = run({}, service={**BROKER, "ssl": True, "port": "8883"})
    assert done.setting("mqtt.url") == "mqtts://core-mosquitto:8883"
    done = run({}, service={"host": "h", "port": 1883, "ssl": False})
    assert done.config()["mqtt"] == {"url": "mqtt://h:1883", "topic": "aiva"}


@pytest.mark.parametrize("options, service, words", [
    ({}, None, "install the Mosquitto broker, or set mqtt_url"),
    ({"aiva_api_key": ""}, BROKER, "aiva_api_key is empty"),
    ({**OTHER, "mqtt_ca_file": "missing.pem"}, BROKER, "mqtt_ca_file is not in the folder /ssl")])
def test_what_is_missing_is_said(run, options, service, words):
    done = run(options, service=service)
    assert done.done.returncode == 1
    assert words in done.done.stderr
    assert done.report.read_text() == ""


@pytest.mark.parametrize("options", [{}, {**OTHER, "mqtt_ca_file": "ca.pem"}])
def test_the_bridge_takes_the_configuration(run, bridge, options):
    done = run(options)
    result = bridge.run("--config", done.folder / "bridge.json", "--print-acl")
    assert result.returncode == 0, result.stderr
    assert "topic readwrite homeassistant/device/+/config" in result.stdout


@pytest.mark.parametrize("options", [{}, OTHER])
def test_secrets_stay_in_files_that_nobody_else_can_read(run, options):
    done = run(options)
    user, arguments, *variables = done.report.read_text().splitlines()
    seen = "\n".join([arguments, *variables, (done.place / "spied").read_text(), done.file("bridge.json"),
                      done.done.stdout, done.done.stderr])
    assert arguments == f"--config {done.folder / 'bridge.json'}"
    for secret in (KEY, PASSWORD, TOKEN):
        assert secret not in seen
    assert {path.name for path in done.folder.iterdir()} == {"bridge.json", "aiva_api_key", "mqtt_password"}
    for path in (done.folder, *done.folder.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        assert path.stat().st_uid == int(user)
    if os.getuid() == 0:
        assert user == "10001"


# ---- The image.

def test_folder_has_all_that_the_image_is_made_of(tmp_path):
    made = tmp_path / "addon"
    for _ in range(2):
        subprocess.run([ADDON.parent / "assemble-addon.sh", made], check=True, capture_output=True)
    assert {path.name for path in made.iterdir()} == {
        "config.yaml", "Dockerfile", "run.sh", "README.md", "DOCS.md", "CHANGELOG.md", "translations", "source"}
    copied = re.findall(r"^COPY (?!--from)(\S+) ", (made / "Dockerfile").read_text(), flags=re.M)
    assert copied and all((made / name).exists() for name in copied)
    assert os.access(made / "run.sh", os.X_OK)
    # The Dockerfile's first command takes it; its second one would take too long here.
    source = made / "source"
    subprocess.run(["cmake", "--preset", "release", "-DBRIDGE_SIMULATOR=OFF"], cwd=source, check=True,
                   capture_output=True)
    subprocess.run(["ninja", "-C", source / "build/release", "-t", "query", "aiva-mqtt-bridge"], check=True,
                   capture_output=True)


def test_assembling_spares_what_is_no_addon(tmp_path):
    (tmp_path / "something").touch()
    done = subprocess.run([ADDON.parent / "assemble-addon.sh", tmp_path], check=False, capture_output=True, text=True)
    assert done.returncode == 1 and "is no add-on" in done.stderr
    assert (tmp_path / "something").exists()


def test_image_gets_the_libraries_of_the_program():
    found = subprocess.run([ROOT / "cmake/runtime-packages.sh", os.environ["BRIDGE"]], check=True,
                           capture_output=True, text=True).stdout.split()
    assert {"libc6", "libcjson1"} <= set(found)
    assert {"libcurl4", "libcurl4t64"} & set(found), "the name until Debian 12, and since"
    assert not [name for name in found if not name.startswith("lib")], found
    assert "cmake/runtime-packages.sh" in (ADDON / "Dockerfile").read_text()
