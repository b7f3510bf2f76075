"""A TCP server that accepts and never says a word."""

import contextlib
import socket
import threading

from .waiting import wait_until


class Silent:
    """Keeps what connects until it is closed; counts it."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.accepted = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                self.accepted.append(self._listener.accept()[0])
            except OSError:
                return

    def wait_connected(self, count=1):
        """Waits for so many connections, and for their first bytes."""
        wait_until(lambda: len(self.accepted) >= count, "a connection to the silent server")
        return self.accepted[count - 1].recv(1, socket.MSG_PEEK)

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self.accepted:
            one.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
