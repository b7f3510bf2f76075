"""Starting, watching and ending processes, and what /proc says of them."""

import os
import re
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """A run that measured nothing; the text says why."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def read_proc(path):
    try:
        return Path(path).read_text()
    except (OSError, ProcessLookupError):
        return ""


def tree(pid):
    """The process and all its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in read_proc(task).split():
            found += tree(int(child))
    return found


def cpu_seconds(pid):
    """Processor time of the process and its descendants, those that have ended included."""
    total = 0
    for member in tree(pid):
        fields = read_proc(f"/proc/{member}/stat").rpartition(")")[2].split()
        total += sum(int(field) for field in fields[11:15]) if fields else 0
    return total / TICKS


def status_of(pid, name):
    """A number of /proc/PID/status, summed over the process and its descendants."""
    total = 0
    for member in tree(pid):
        match = re.search(rf"^{name}:\s+(\d+)", read_proc(f"/proc/{member}/status"), re.M)
        total += int(match.group(1)) if match else 0
    return total


def peak_mb(pid):
    """The largest resident memory that the process and its descendants have had, in MB (10^6)."""
    return status_of(pid, "VmHWM") * 1024 / 1e6


def resident_mb(pid):
    return status_of(pid, "VmRSS") * 1024 / 1e6


def wakeups(pid):
    """How often the threads of the process and its descendants have gone to sleep."""
    total = 0
    for member in tree(pid):
        for status in Path(f"/proc/{member}/task").glob("*/status"):
            match = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", read_proc(status), re.M)
            total += int(match.group(1)) if match else 0
    return total


class Process:
    """A child in a process group of its own; its standard error goes to a file."""

    def __init__(self, name, command, folder, env=None):
        self.name = name
        self.log = Path(folder) / f"{name}.log"
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(
                [str(word) for word in command], cwd=folder, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=log, env=dict(os.environ, **(env or {})),
                process_group=0)
        self.pid = self.child.pid
        self.pending = b""

    def alive(self):
        return self.child.poll() is None

    def line(self, timeout_s):
        """The next line of its output; None if there was none in time; fails if it has ended."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self.pending:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.child.stdout], [], [], max(0, left))
            if not ready:
                return None
            piece = os.read(self.child.stdout.fileno(), 65536)
            if not piece:
                raise Failure(f"{self.name} has ended: {self.words()}")
            self.pending += piece
        line, _, self.pending = self.pending.partition(b"\n")
        return line.decode()

    def words(self):
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " / ".join(lines[-3:]) or "it said nothing"

    def stop(self, timeout_s=8):
        if self.alive():
            self.child.terminate()
            try:
                self.child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()
        self.child.stdout.close()


def wait_until(condition, timeout_s, what, step_s=0.05):
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"not within {timeout_s} s: {what}")
        time.sleep(step_s)
