"""aiva-mqtt-bridge-check, which runs --check as the unit runs the bridge. systemd itself is not asked: programs of its
names show what it would be told, and carry it out as far as credentials and environment go."""

import json
import os
import pathlib
import re
import shlex
import subprocess

import pytest
from harness.simulator import KEY

CONFIG = pathlib.Path(__file__).resolve().parents[2] / "config"
SCRIPT = CONFIG / "aiva-mqtt-bridge-check.sh"
UNIT = (CONFIG / "aiva-mqtt-bridge.service").read_text()
CREDENTIALS = "/run/credentials/aiva-mqtt-bridge-check.service"
LEFT_OUT = {"Type", "NotifyAccess", "WatchdogSec", "ExecStart", "ExecReload", "Restart", "RestartSec",
            "RestartPreventExitStatus", "TimeoutStopSec"}

SYSTEMCTL = """#!/bin/sh
[ "$*" = "cat aiva-mqtt-bridge.service" ] && exec cat "$UNIT_TEXT"
"""
SYSTEMD_RUN = f"""#!/usr/bin/python3
import json, os, pathlib, shlex, sys
at = sys.argv.index("--")
pathlib.Path(os.environ["ASKED"]).write_text(json.dumps(sys.argv[1:]))
given = [word for flag, word in zip(sys.argv[1:at], sys.argv[2:at]) if flag == "-p"]
folder = pathlib.Path(os.environ["ASKED"]).parent
for setting in given:
    key, value = setting.split("=", 1)
    if key == "LoadCredential":
        name, source = value.split(":", 1)
        (folder / name).write_bytes(pathlib.Path(source).read_bytes())
    if key == "Environment":
        for word in shlex.split(value):
            name, text = word.split("=", 1)
            os.environ[name] = text.replace("{CREDENTIALS}", str(folder))
os.execv(sys.argv[at + 1], sys.argv[at + 1:])
"""


def settings_of(unit):
    """The assignments of its [Service] section, in order."""
    text = re.sub(r"^[#;].*\n", "", unit, flags=re.M).split("[Service]\n", 1)[1].split("\n[", 1)[0]
    return [line for line in text.splitlines() if "=" in line]


@pytest.fixture
def run(tmp_path):
    """Runs the script for a unit; returns how it ended, and what systemd-run was told."""
    for name, text in (("systemctl", SYSTEMCTL), ("systemd-run", SYSTEMD_RUN)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def start(unit):
        (tmp_path / "unit").write_text(unit)
        asked = tmp_path / "asked.json"
        done = subprocess.run([SCRIPT], capture_output=True, text=True, check=False, env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}", "UNIT_TEXT": str(tmp_path / "unit"), "ASKED": str(asked)})
        words = json.loads(asked.read_text()) if asked.exists() else []
        return done, words
    return start


def properties(words):
    return [word for flag, word in zip(words, words[1:]) if flag == "-p"]


def test_everything_of_the_unit_counts(run):
    """Each setting but those about the life of a service; the command with its file."""
    _, words = run(UNIT)
    expected = [line.replace("%d", CREDENTIALS) for line in settings_of(UNIT) if line.split("=")[0] not in LEFT_OUT]
    assert properties(words) == expected
    assert "DynamicUser=yes" in expected and f"Environment=AIVA_API_KEY_FILE={CREDENTIALS}/aiva_api_key" in expected
    assert words[words.index("--") + 1:] == ["/usr/local/bin/aiva-mqtt-bridge", "--config",
                                             "/etc/aiva-mqtt-bridge/bridge.json", "--check"]
    assert {"--pipe", "--wait", "--collect", "--unit=aiva-mqtt-bridge-check"} <= set(words)


def test_drop_ins_count(run):
    """Behind the unit, with comments, continued lines and blanks; another command replaces the first."""
    _, words = run(UNIT + """
# /etc/systemd/system/aiva-mqtt-bridge.service.d/override.conf
[Unit]
After=other.service
[Service]
LoadCredential = mqtt_password:/etc/aiva-mqtt-bridge/mqtt_password
;Environment=NOT=this
Environment=MQTT_USERNAME=bridge \\
  MQTT_PASSWORD_FILE=%d/mqtt_password
Environment="LOG_LEVEL=100%%"
ExecStart=
ExecStart=/opt/bridge --config /opt/bridge.json
[Install]
Alias=x.service
""")
    assert properties(words)[-3:] == [
        "LoadCredential=mqtt_password:/etc/aiva-mqtt-bridge/mqtt_password",
        f"Environment=MQTT_USERNAME=bridge    MQTT_PASSWORD_FILE={CREDENTIALS}/mqtt_password",
        'Environment="LOG_LEVEL=100%"']
    assert not any("After" in word or "Alias" in word or "NOT" in word for word in words)
    assert words[words.index("--") + 1:] == ["/opt/bridge", "--config", "/opt/bridge.json", "--check"]


@pytest.mark.parametrize("key, code", [(KEY, 0), ("another-key", 3)])
def test_the_check_runs_with_the_credential(world, run, tmp_path, key, code):
    """The key comes from the credential, and the check's exit code is the script's."""
    (tmp_path / "key").write_text(key)
    config = world.bridge.write_config({"aiva.api_key": None})
    unit = UNIT.replace("/etc/aiva-mqtt-bridge/aiva_api_key", str(tmp_path / "key")).replace(
        "/etc/aiva-mqtt-bridge/bridge.json", str(config)).replace(
        "/usr/local/bin/aiva-mqtt-bridge", str(pathlib.Path(world.bridge.binary).resolve()))
    done, words = run(unit)
    assert done.returncode == code, shlex.join(words) + done.stdout + done.stderr
    assert "configuration: valid" in done.stdout
