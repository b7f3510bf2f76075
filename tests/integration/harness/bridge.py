"""The program under test."""

import json
import os
import signal
import subprocess

from .process import Program, environment
from .waiting import PATIENCE

SANITIZER_MARKS = ("Sanitizer", "runtime error")


def assert_clean(text):
    """No sanitizer has complained."""
    for mark in SANITIZER_MARKS:
        assert mark not in text, f"a sanitizer complained:\n{text[-8000:]}"


def nested(settings):
    """{"mqtt.qos": 1} as {"mqtt": {"qos": 1}}; None leaves a member out."""
    result = {}
    for path, value in settings.items():
        if value is None:
            continue
        *parents, name = path.split(".")
        place = result
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = value
    return result


class Bridge(Program):
    """aiva-mqtt-bridge with a configuration file of its own."""

    def __init__(self, folder, settings):
        super().__init__("bridge", folder)
        self.binary = os.environ["BRIDGE"]
        self.settings = dict(settings)
        self.config = folder / "bridge.json"
        self._wanted = False

    def write_config(self, overrides=None):
        """Writes the test's defaults and the overrides ("mqtt.qos": 1) as a file."""
        self.config.touch(0o600)
        self.config.write_text(json.dumps(nested({**self.settings, **(overrides or {})})))
        return self.config

    def start(self, overrides=None, env=None):
        """Starts the bridge; does not wait for anything."""
        self._wanted = True
        self.spawn([self.binary, "--config", self.write_config(overrides)], env)

    def stop(self, number=signal.SIGTERM, code=0):
        """An orderly stop: the exit code is asserted."""
        self.begin_stop(number)
        self.wait_end(code)

    def begin_stop(self, number=signal.SIGTERM):
        """Asks for an orderly stop; from now on the bridge may end."""
        self.assert_alive()
        self._wanted = False
        self.send(number)

    def wait_end(self, code=0):
        """Waits for the end that was asked for, without asking again."""
        found = self.end(0)
        assert found == code, f"the bridge ended with {found}, expected {code}\n{self.tail()}"

    def kill(self):
        """Ends the bridge as a crash would."""
        self._wanted = False
        self.end(signal.SIGKILL)

    def assert_alive(self):
        """Fails where a bridge that should be running is not."""
        if self._wanted and not self.running:
            raise AssertionError(f"the bridge ended with {self.process.returncode}\n{self.tail()}")

    def finish(self):
        """At the end of a test: stops the bridge and looks into its log."""
        try:
            if self.running:
                self.stop()
            else:
                self.assert_alive()
        finally:
            assert_clean(self.output())

    def run(self, *arguments, env=None, timeout=PATIENCE):
        """Runs the program to its end; returns exit code, stdout and stderr."""
        done = subprocess.run(
            [self.binary, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
            env=environment(env), timeout=timeout, check=False, text=True, errors="replace")
        assert_clean(done.stderr)
        assert done.returncode >= 0, f"ended by signal {-done.returncode}\n{done.stderr}"
        return done

    def run_config(self, *arguments, overrides=None, env=None):
        """Runs the program to its end with a configuration file."""
        return self.run("--config", self.write_config(overrides), *arguments, env=env)
