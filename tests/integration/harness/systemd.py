"""What a service manager hears: a socket as $NOTIFY_SOCKET."""

import contextlib
import socket

from .waiting import wait_until


class Manager:
    """Collects the assignments of each message, in order."""

    def __init__(self, folder):
        self.path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.setblocking(False)
        self.messages = []

    def env(self, watchdog_ms=None, **more):
        """The environment for the service."""
        watchdog = {"WATCHDOG_USEC": str(watchdog_ms * 1000)} if watchdog_ms else {}
        return {"NOTIFY_SOCKET": str(self.path), **watchdog, **more}

    def read(self):
        """All messages so far; each as a dictionary."""
        with contextlib.suppress(BlockingIOError):
            while True:
                lines = self._socket.recv(65536).decode().splitlines()
                self.messages.append(dict(line.split("=", 1) for line in lines))
        return self.messages

    def count(self, name, value="1"):
        return sum(message.get(name) == value for message in self.read())

    @property
    def status(self):
        """The last status line."""
        return next((m["STATUS"] for m in reversed(self.read()) if "STATUS" in m), None)

    def wait(self, name, value="1", count=1):
        """Waits for that many messages with an assignment; returns the last."""
        wait_until(lambda: self.count(name, value) >= count, f"{count} times {name}={value}")
        return [m for m in self.messages if m.get(name) == value][-1]

    def wait_status(self, *parts):
        """Waits for a status line that has all the parts."""
        wait_until(lambda: all(part in (self.status or "") for part in parts), f"a status with {parts}")

    def close(self):
        self._socket.close()
