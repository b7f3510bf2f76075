"""The configuration: defaults, errors that name the place, the environment, secrets from files."""

import json
import pathlib
import re

import pytest
from harness.simulator import KEY
from harness.topics import of_bridge
from harness.world import job

EXAMPLE = pathlib.Path(__file__).parents[2] / "config/aiva-mqtt-bridge.example.json"
# A unit test compares the example with the program; this table is the contract's, by hand.
DEFAULTS = {
    "aiva": {"url": "https://api.aivaportal.com", "api_key": "", "mode": "auto", "ca_file": "",
             "idle_timeout_s": 60, "poll_interval_s": 5, "list_interval_s": 30,
             "resync_interval_s": 300},
    "mqtt": {"url": "mqtt://localhost:1883", "username": "", "password": "", "ca_file": "",
             "cert_file": "", "key_file": "", "proxy": "", "alpn": "", "version": "5", "client_id": "aiva-mqtt-bridge",
             "topic": "aiva", "qos": 1, "queue_limit": 100000,
             "keep_alive_s": 30},
    "jobs": {"hide": [], "keep_finished_h": 0},
    "commands": {"allow": ["cancel", "delete", "refresh"], "rate_per_s": 10, "burst": 50,
                 "timeout_s": 30, "response_topics": []},
    "homeassistant": {"enabled": False, "prefix": "homeassistant", "max_jobs": 50,
                      "status_topic": "homeassistant/status", "device_name": "sample_name"},
    "http": {"listen": ""},
    "log": {"level": "info", "format": "text"},
}

NUMBERS = [
    "aiva.idle_timeout_s", "aiva.poll_interval_s", "aiva.list_interval_s",
    "aiva.resync_interval_s", "mqtt.queue_limit", "commands.rate_per_s", "commands.burst",
    "commands.timeout_s", "homeassistant.max_jobs", "mqtt.keep_alive_s"]

TEXTS = ["aiva.url", "aiva.api_key", "aiva.mode", "mqtt.url", "mqtt.username", "mqtt.client_id",
         "mqtt.topic", "homeassistant.prefix", "homeassistant.status_topic", "http.listen",
         "log.level", "log.format", "mqtt.ca_file", "aiva.ca_file", "mqtt.proxy", "mqtt.alpn"]

WRONG = [
    *[(path, 0) for path in NUMBERS], *[(path, -1) for path in NUMBERS],
    *[(path, 1.5) for path in NUMBERS], *[(path, "5") for path in NUMBERS[:2]],
    *[(path, 1e30) for path in NUMBERS[:3]], *[(path, True) for path in NUMBERS[:2]],
    *[(path, 5) for path in TEXTS], *[(path, ["x"]) for path in TEXTS[:3]],
    ("aiva.mode", "fast"), ("aiva.url", "ftp://host"), ("aiva.url", "no url"),
    ("mqtt.url", "http://host:1883"), ("mqtt.url", "localhost"), ("mqtt.version", "4"),
    ("mqtt.version", "3.1"), ("mqtt.qos", 3), ("mqtt.qos", -1), ("mqtt.qos", "1"),
    ("mqtt.qos", 0.5), ("mqtt.topic", "a/#"), ("mqtt.topic", "a/+/b"),
    ("jobs.hide", "sample_name"), ("jobs.hide", [1]), ("jobs.keep_finished_h", -1),
    ("jobs.keep_finished_h", 0.5), ("commands.allow", "cancel"), ("commands.allow", ["explode"]),
    ("commands.allow", [1]), ("homeassistant.enabled", "yes"), ("homeassistant.enabled", 1),
    ("homeassistant.device_name", "name"), ("http.listen", "nonsense"),
    ("log.level", "loud"), ("log.format", "xml"),
    ("bogus", 1), ("aiva.bogus", 1), ("mqtt.QoS", 1), ("jobs.bogus", 1), ("commands.bogus", 1),
    ("homeassistant.bogus", 1), ("http.bogus", 1), ("log.bogus", 1), ("aiva.url", {"x": 1}),
]

ENVIRONMENT = {
    "AIVA_URL": "ftp://x", "AIVA_MODE": "fast", "MQTT_URL": "http://x", "MQTT_VERSION": "9",
    "MQTT_TOPIC": "a/#", "HOMEASSISTANT_ENABLED": "perhaps", "HTTP_LISTEN": "nonsense",
    "LOG_LEVEL": "loud", "LOG_FORMAT": "xml", "HOMEASSISTANT_PREFIX": "a/+",
    "MQTT_CLIENT_ID": "x" * 129, "MQTT_PASSWORD": "without a user name",
    "MQTT_CERT_FILE": "without a key", "MQTT_KEY_FILE": "without a certificate",
    "AIVA_API_KEY": "with a space", "AIVA_API_KEY_FILE": "/absent", "MQTT_PASSWORD_FILE": "/absent"}

WHICH = {"AIVA_URL": "aiva.url", "AIVA_MODE": "aiva.mode", "MQTT_URL": "mqtt.url",
         "MQTT_VERSION": "mqtt.version", "MQTT_TOPIC": "mqtt.topic",
         "HOMEASSISTANT_ENABLED": "homeassistant.enabled", "HTTP_LISTEN": "http.listen",
         "LOG_LEVEL": "log.level", "LOG_FORMAT": "log.format",
         "HOMEASSISTANT_PREFIX": "homeassistant.prefix", "MQTT_CLIENT_ID": "mqtt.client_id",
         "MQTT_PASSWORD": "mqtt.password", "MQTT_CERT_FILE": "mqtt.cert_file",
         "MQTT_KEY_FILE": "mqtt.key_file", "AIVA_API_KEY": "aiva.api_key",
         "AIVA_API_KEY_FILE": "aiva.api_key", "MQTT_PASSWORD_FILE": "mqtt.password"}


def assert_config_error(done, *names):
    """Exit code 2, and a message that holds one of the names."""
    assert done.returncode == 2, done.stderr
    assert any(name in done.stderr for name in names), done.stderr
    assert KEY not in done.stderr + done.stdout


def test_defaults_are_those_of_the_contract():
    """People rely on what they leave out."""
    text = re.sub(r"^\s*//.*$", "", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert json.loads(text) == DEFAULTS


@pytest.mark.parametrize("path, value", WRONG, ids=str)
def test_an_error_names_the_member(bridge, path, value):
    """Unknown members, wrong types and values out of range end the program with 2."""
    assert_config_error(bridge.run_config(overrides={path: value}), path)


@pytest.mark.parametrize("section", ["aiva", "mqtt", "jobs", "log"])
def test_a_section_has_to_be_an_object(bridge, section):
    """And the message names it."""
    settings = {"aiva": {"api_key": KEY}, section: "x"}
    bridge.config.write_text(json.dumps(settings))
    assert_config_error(bridge.run("--config", bridge.config), section)


@pytest.mark.parametrize("text", [
    "", "x", "[]", "1", "null", '{"aiva": ', '{"aiva": {"api_key": "%s"}} x' % KEY,
    '{"aiva": {"api_key": "%s"},}' % KEY, '{"aiva": {"api_key": "\xff"}}'])
def test_a_file_that_is_no_object(bridge, text):
    """The message names the file, and never shows what is in it."""
    bridge.config.write_bytes(text.encode("latin-1"))
    assert_config_error(bridge.run("--config", bridge.config), "bridge.json")


def test_a_file_that_is_not_there(bridge, tmp_path):
    """The message names the file."""
    assert_config_error(bridge.run("--config", tmp_path / "absent.json"), "absent.json")


@pytest.mark.parametrize("overrides", [{"aiva.api_key": None}, {"aiva.api_key": ""}])
def test_the_key_is_required(bridge, overrides):
    """Every member has a default but the key."""
    assert_config_error(bridge.run_config(overrides=overrides), "aiva.api_key")


def test_a_key_may_not_be_given_twice_in_the_file(bridge, tmp_path):
    """Both ways in the same place is an error."""
    (tmp_path / "key").write_text(KEY)
    assert_config_error(bridge.run_config(overrides={"aiva.api_key_file": str(tmp_path / "key")}),
                        "aiva.api_key")


def test_a_key_may_not_be_given_twice_in_the_environment(bridge, tmp_path):
    """The same for the environment."""
    (tmp_path / "key").write_text(KEY)
    done = bridge.run_config(env={"AIVA_API_KEY": KEY, "AIVA_API_KEY_FILE": str(tmp_path / "key")})
    assert_config_error(done, "AIVA_API_KEY")


def test_a_password_may_not_be_given_twice(bridge, tmp_path):
    """The same for the broker's password, in both places."""
    (tmp_path / "password").write_text("p")
    given = {"mqtt.username": "u", "mqtt.password": "p",
             "mqtt.password_file": str(tmp_path / "password")}
    assert_config_error(bridge.run_config(overrides=given), "mqtt.password")
    env = {"MQTT_PASSWORD": "p", "MQTT_PASSWORD_FILE": str(tmp_path / "password")}
    assert_config_error(bridge.run_config(overrides={"mqtt.username": "u"}, env=env),
                        "MQTT_PASSWORD")


@pytest.mark.parametrize("member", ["aiva.api_key_file", "mqtt.password_file"])
def test_a_secret_file_has_to_be_there(bridge, tmp_path, member):
    """The message names the member."""
    given = {member: str(tmp_path / "absent"), "mqtt.username": "u"}
    if member == "aiva.api_key_file":
        given["aiva.api_key"] = None
    assert_config_error(bridge.run_config(overrides=given), member)


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_an_error_names_the_variable(bridge, name):
    """A wrong value in the environment is an error like one in the file: the member is named too."""
    done = bridge.run_config(env={name: ENVIRONMENT[name]})
    assert_config_error(done, name)
    assert_config_error(done, WHICH[name])


def test_the_environment_wins(world):
    """Address, topic and key of the environment over those of the file."""
    world.simulator.put_jobs([job("one")])
    wrong = {"aiva.url": "http://127.0.0.1:1", "aiva.api_key": "wrong", "mqtt.url":
             "mqtt://127.0.0.1:1", "mqtt.topic": "wrong", "log.format": "text"}
    world.bridge.start(wrong, {
        "AIVA_URL": world.simulator.url, "AIVA_API_KEY": KEY, "MQTT_URL": world.broker.url,
        "MQTT_TOPIC": "right", "MQTT_VERSION": "3.1.1", "MQTT_CLIENT_ID": "from-env",
        "AIVA_MODE": "auto", "LOG_FORMAT": "json", "LOG_LEVEL": "debug"})
    world.recorder.wait_topic(of_bridge("upstream", "right"), state="streaming")
    message = world.recorder.wait_topic("right/jobs/one/state")
    assert message.property("ContentType") is None
    assert "from-env" in world.broker.output()
    assert all(json.loads(line) for line in world.bridge.output().splitlines())


def test_a_file_is_not_needed(world):
    """Everything that is required can come from the environment."""
    world.simulator.put_jobs([job("one")])
    world.bridge.spawn([world.bridge.binary], {
        "AIVA_URL": world.simulator.url, "AIVA_API_KEY": KEY, "MQTT_URL": world.broker.url})
    world.wait_state("one")


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_secrets_from_files(make_world, tmp_path, ending):
    """Key and password from files, a line end after them is not part of them."""
    key, password = tmp_path / "key", tmp_path / "password"
    key.write_bytes(KEY.encode() + ending.encode())
    password.write_bytes(b"se cret" + ending.encode())
    world = make_world(broker={"users": {"bridge": "se cret"}})
    world.start(config={
        "aiva.api_key": None, "aiva.api_key_file": str(key), "mqtt.username": "bridge",
        "mqtt.password_file": str(password)})


def test_secrets_from_files_named_in_the_environment(make_world, tmp_path):
    """AIVA_API_KEY_FILE and MQTT_PASSWORD_FILE."""
    key, password = tmp_path / "key", tmp_path / "password"
    key.write_text(KEY + "\n")
    password.write_text("secret\n")
    world = make_world(broker={"users": {"bridge": "secret"}})
    world.start(config={"aiva.api_key": None}, env={
        "AIVA_API_KEY_FILE": str(key), "MQTT_USERNAME": "bridge",
        "MQTT_PASSWORD_FILE": str(password)})


def test_a_key_in_the_environment_wins_over_a_key_file_in_the_file(world, tmp_path):
    """Two places: no error, and the environment wins."""
    (tmp_path / "key").write_text("wrong")
    world.start(config={"aiva.api_key": None, "aiva.api_key_file": str(tmp_path / "key")},
                env={"AIVA_API_KEY": KEY})


def test_a_key_file_in_the_environment_wins_over_a_key_in_the_file(world, tmp_path):
    """The same the other way round."""
    (tmp_path / "key").write_text(KEY)
    world.start(config={"aiva.api_key": "wrong"},
                env={"AIVA_API_KEY_FILE": str(tmp_path / "key")})


def test_all_members_at_once(world, tmp_path):
    """A file with every member that needs no certificate."""
    (tmp_path / "key").write_text(KEY)
    world.start([job("one")], {
        "aiva.api_key": None, "aiva.api_key_file": str(tmp_path / "key"), "aiva.mode": "stream",
        "aiva.idle_timeout_s": 30, "aiva.poll_interval_s": 2, "aiva.list_interval_s": 10,
        "aiva.resync_interval_s": 100, "mqtt.username": "u", "mqtt.password": "p",
        "mqtt.version": "5", "mqtt.client_id": "c", "mqtt.topic": "aiva", "mqtt.qos": 1,
        "mqtt.queue_limit": 1000, "mqtt.keep_alive_s": 60, "jobs.hide": [], "jobs.keep_finished_h": 0,
        "commands.allow": ["cancel", "delete", "refresh"], "commands.rate_per_s": 1,
        "commands.burst": 1, "commands.timeout_s": 1, "homeassistant.enabled": False,
        "homeassistant.prefix": "homeassistant", "homeassistant.max_jobs": 1,
        "homeassistant.status_topic": "homeassistant/status",
        "homeassistant.device_name": "job_id", "log.level": "info", "log.format": "text"})
