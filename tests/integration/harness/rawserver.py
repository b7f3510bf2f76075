"""A TCP server that gives everybody the same bytes."""

import contextlib
import socket
import threading


class RawServer:
    """Answers each request, whatever it is, with bytes that no decent server would send."""

    def __init__(self, answer, port=0):
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return
            self._answer_one(one)

    def _answer_one(self, one):
        with one, contextlib.suppress(OSError):
            one.recv(65536)
            one.sendall(self._answer)

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Closing(RawServer):
    """Closes what connects without a word, and counts it."""

    def __init__(self, port):
        self.accepted = 0
        super().__init__(b"", port)

    def _answer_one(self, one):
        self.accepted += 1
        one.close()
