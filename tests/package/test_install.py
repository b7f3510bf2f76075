"""How run.sh and test.sh install what is missing, with stand-ins for sudo, apt-get and dpkg-query."""

import os
import pty
import subprocess

import pytest
from conftest import ROOT

APT = r"""#!/bin/bash
echo "apt-get $*" >>"$CALLS"
[[ $* == *install* ]] || { echo "W: no network"; exit 100; }
echo "Waiting for cache lock: held by process 7"
for percent in 0.5 30 55 80; do echo "dlstatus:1:$percent:Retrieving file 1 of 2" >&3; done
for percent in 10.25 60.5 100; do echo "pmstatus:libone:amd64:$percent:Unpacking libone (amd64)" >&3; done
echo "a line that apt says"
exit "$APT_STATUS"
"""
# As sudo does, no other descriptors than the first three go on.
SUDO = r"""#!/bin/bash
echo "sudo" >>"$CALLS"
[ "$SUDO_STATUS" -eq 0 ] || { echo "sudo: 3 incorrect password attempts" >&2; exit "$SUDO_STATUS"; }
exec 3>&- 4>&-
exec "$@"
"""
STAND_INS = {"apt-get": APT, "sudo": SUDO, "dpkg-query": "#!/bin/sh\nexit 1\n", "id": "#!/bin/sh\necho 1000\n"}


@pytest.fixture
def install(tmp_path):
    """Installs `one` and `two`; returns exit code, output and the calls."""
    for name, text in STAND_INS.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    calls = tmp_path / "calls"

    def run(apt_status=0, sudo_status=0, stderr=subprocess.STDOUT):
        done = subprocess.run(
            ["bash", "-c", ". cmake/packages.sh && packages_need one two"], cwd=ROOT, check=False, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin", "CALLS": str(calls), "APT_STATUS": str(apt_status),
                 "SUDO_STATUS": str(sudo_status), "TMPDIR": str(tmp_path)})
        assert not list(tmp_path.glob("tmp.*")), "a log is left"
        return done.returncode, done.stdout, calls.read_text().splitlines()
    return run


def test_sudo_is_asked_once(install):
    """For the lists and the packages alike; lists that cannot be had stop nothing."""
    status, said, calls = install()
    assert status == 0
    assert calls[0] == "sudo" and [call.split()[0] for call in calls] == ["sudo", "apt-get", "apt-get"]
    assert "update" in calls[1] and calls[2].endswith("install --no-install-recommends one two")
    assert "a line that apt says" not in said


def test_a_wrong_password_ends_it(install):
    """No second dialogue; it is said what could be done instead."""
    status, said, calls = install(sudo_status=1)
    assert status == 1 and calls == ["sudo"]
    assert "3 incorrect password attempts" in said and "apt-get install --no-install-recommends one two" in said


def test_progress_in_a_log(install):
    """A line for each quarter, and what apt waits for."""
    lines = [line.strip() for line in install()[1].splitlines()]
    assert lines == ["Installing with apt: one two", "Waiting for cache lock: held by process 7",
                     "fetching, 0 %", "fetching, 30 %", "fetching, 55 %", "fetching, 80 %",
                     "installing, 10 %", "installing, 60 %", "installing, 100 %"]


def test_progress_on_a_terminal(install):
    """One line that changes, and is gone in the end."""
    ours, theirs = pty.openpty()
    install(stderr=theirs)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "fetching    30 %  Retrieving file 1 of 2" in shown
    assert "installing  60 %  Unpacking libone (amd64)" in shown
    assert shown.count("\n") == 1 and shown.endswith("\r\033[K")


def test_a_failure_shows_what_apt_said(install):
    status, said, _ = install(apt_status=100)
    assert status == 1
    assert "a line that apt says" in said and "could not be installed: one two" in said
