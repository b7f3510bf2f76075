"""A child process that writes its log to a file and is ended by its own pid."""

import os
import random
import signal
import socket
import subprocess
from pathlib import Path

from .waiting import PATIENCE

FOREIGN = ("AIVA_", "MQTT_", "HOMEASSISTANT_", "HTTP_", "LOG_")


_reserved = []


def free_port():
    """A port of 127.0.0.1 that nobody listens on, and that no other test is given while this process
    lives: a UDP socket of the same number says so. It is below those that the kernel gives to outgoing
    connections, as one of these could take it before a server uses it, or uses it again."""
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(10000, max(first_outgoing, 20000))
        reservation = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            reservation.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            reservation.close()
            continue
        _reserved.append(reservation)
        return port


def has_ipv6():
    """Whether the machine has ::1."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def accepts(port):
    """Whether somebody listens on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def environment(extra=None):
    """This process's environment without what would configure a bridge, and with `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {**kept, **(extra or {})}


class Program:
    """One program that is started and ended, perhaps several times."""

    def __init__(self, name, folder):
        self.name = name
        self.log = folder / f"{name}.log"
        self.process = None
        self.stderr = None  # a descriptor in place of the log file

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def spawn(self, argv, env=None):
        """Starts the program; its output is added to the log file."""
        assert not self.running, f"{self.name} is running already"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.DEVNULL, stdout=log,
                stderr=log if self.stderr is None else self.stderr, env=environment(env))

    def send(self, number):
        os.kill(self.pid, number)

    def end(self, number=signal.SIGTERM, timeout=PATIENCE):
        """Sends a signal, waits for the end and returns the exit code."""
        if self.running:
            self.send(number)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(
                f"{self.name} did not end within {timeout:g} s of signal {number}\n{self.tail()}")

    def output(self):
        """Everything that the program has written so far."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def tail(self, lines=40):
        """The end of the log, for messages about failures."""
        return "\n".join([f"--- log of {self.name}:"] + self.output().splitlines()[-lines:])
