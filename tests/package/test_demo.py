"""run.sh with a broker of its own: nobody gets in without a password, and no password is shown."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import time

import pytest
from conftest import ROOT, said


def settings(**more):
    """This process's environment without what would configure a bridge."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("AIVA_", "MQTT_", "HOMEASSISTANT_", "HTTP_", "LOG_"))}
    return {**kept, **more}


class Demo:
    """What one run of run.sh has said, and the folder with its files."""

    def __init__(self, process, log):
        self.process, self.log = process, log
        self.port = self.wait_for(r"broker at mqtt://127\.0\.0\.1:(\d+)")
        self.folder = pathlib.Path(self.wait_for(r"XDG_CONFIG_HOME=(\S+) mosquitto_sub"))

    def wait_for(self, pattern):
        """The group of the pattern, once the output has it."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            found = re.search(pattern, self.log.read_text())
            if found:
                return found[1]
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        raise AssertionError(f"never said {pattern}:\n{self.log.read_text()}")

    def passwords(self):
        return {user: (self.folder / user).read_text() for user in ("bridge", "dashboard", "operator")}

    def client(self, program, *arguments, **environment):
        return subprocess.run([program, *arguments], env=settings(**environment), capture_output=True, text=True,
                              timeout=60, check=False)

    def may(self, command):
        """Whether the operator's publication is accepted, by the file that the printed commands name."""
        done = self.client("mosquitto_pub", "-V", "5", "-q", "1", "-t", f"aiva/jobs/nobody/command/{command}",
                           "-m", "{}", XDG_CONFIG_HOME=str(self.folder))
        assert done.returncode == 0, done.stderr
        return "Not authorized" not in done.stdout + done.stderr


@contextlib.contextmanager
def demo(tmp_path, status=0, **environment):
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen([ROOT / "run.sh"], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                   env=settings(TMPDIR=str(tmp_path), **environment))
    try:
        yield Demo(process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        found = process.wait(60)
    assert found == status, log.read_text()
    assert not list(tmp_path.glob("aiva-demo.*"))


@pytest.fixture
def reachable(tmp_path):
    """A folder that the broker's own user can reach: started by root, mosquitto drops its rights."""
    if os.geteuid() != 0:
        yield tmp_path
        return
    folder = pathlib.Path(said("mktemp", "-d").strip())
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def test_a_real_key_and_no_broker(reachable):
    """Nobody without a password; people may not delete; passwords are in files for one user alone."""
    with demo(reachable, AIVA_API_KEY="some-key", AIVA_URL="http://127.0.0.1:1") as run:
        anonymous = run.client("mosquitto_sub", "-p", run.port, "-t", "#", "-C", "1", "-W", "5")
        assert anonymous.returncode == 5 and "not authorised" in anonymous.stderr
        wrong = run.client("mosquitto_sub", "-p", run.port, "-t", "#", "-u", "operator", "-P", "operator", "-W", "5")
        assert wrong.returncode == 5

        state = run.client("mosquitto_sub", "-t", "aiva/bridge/state", "-C", "1", "-W", "20",
                           XDG_CONFIG_HOME=str(run.folder))
        assert state.stdout == "online\n", state.stderr
        assert run.may("refresh") and run.may("cancel") and not run.may("delete")

        for path in run.folder.rglob("*"):
            assert path.is_dir() or stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert stat.S_IMODE(run.folder.stat().st_mode) in (0o700, 0o711)
        passwords = run.passwords()
        assert len(set(passwords.values())) == 3 and min(map(len, passwords.values())) >= 32
        lines = b"".join(path.read_bytes() for path in commands_of(run.process.pid))
        assert b"mosquitto_sub" in lines
        shown = lines + run.log.read_bytes()
        assert not [user for user, password in passwords.items() if password.encode() in shown]


def commands_of(pid):
    """The command lines of a process and of its descendants."""
    yield pathlib.Path(f"/proc/{pid}/cmdline")
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from commands_of(child)


def test_a_live_view_that_is_killed_leaves_nothing(reachable):
    """Its subscriber goes with it, and run.sh ends."""
    with demo(reachable, status=1) as run:
        end = time.monotonic() + 60
        while not (found := [path.parent for path in commands_of(run.process.pid)
                             if path.read_bytes().startswith(b"mosquitto_sub\0")]):
            assert time.monotonic() < end, "no subscriber"
            time.sleep(0.1)
        view = int(re.search(r"^PPid:\s+(\d+)", (found[0] / "status").read_text(), re.M)[1])
        os.kill(view, signal.SIGKILL)
        run.process.wait(60)
        while found[0].exists():
            assert time.monotonic() < end, "the subscriber lives on"
            time.sleep(0.1)


def test_made_up_jobs(reachable):
    """The printed commands work as printed; these jobs may be deleted; each run has passwords of its own."""
    seen = []
    for _ in range(2):
        with demo(reachable, AIVA_SIMULATOR_ARGS="--jobs 3") as run:
            printed = run.wait_for(r"Watch +(.*)")
            watched = said("bash", "-c", f"{printed} -C 4 -W 20", env=settings())
            assert "aiva/bridge/state online" in watched
            assert run.may("delete")
            seen += run.passwords().values()
    assert len(set(seen)) == 6
