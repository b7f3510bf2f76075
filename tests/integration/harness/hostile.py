"""An MQTT server that sends exactly the bytes that a test gives it, one connection at a time."""

import base64
import contextlib
import hashlib
import re
import select
import socket
import time

from . import packets
from .waiting import PATIENCE


WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(payload, first=0x82, length=None):
    """A WebSocket frame of a server; `length` is what it announces, if that is not its own."""
    length = len(payload) if length is None else length
    if length < 126:
        size = bytes([length])
    elif length < 1 << 16:
        size = b"\x7e" + length.to_bytes(2, "big")
    else:
        size = b"\x7f" + length.to_bytes(8, "big")
    return bytes([first]) + size + payload


class Ended(Exception):
    """The client has closed the connection."""


class Caught:
    """One connection of the bridge."""

    def __init__(self, sock):
        self._socket = sock
        self.connect = None

    def _take(self, count):
        data = b""
        while len(data) < count:
            try:
                piece = self._socket.recv(count - len(data))
            except ConnectionError:
                piece = b""
            if not piece:
                raise Ended
            data += piece
        return data

    def read(self):
        """The next packet."""
        first, length = self._take(1)[0], self._take(1)
        while length[-1] >= 0x80:
            length += self._take(1)
        body = self._take(packets.Reader(length).variable())
        version = self.connect.version if self.connect else 5
        return packets.decode(first, body, version)

    def wait_packet(self, kind):
        """Reads up to the next packet of a kind."""
        while True:
            packet = self.read()
            if packet.kind == kind:
                return packet

    def send(self, data):
        """All of it, as far as the bridge takes it."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(data)

    def send_unread(self, piece, most):
        """Sends the piece again and again, reading nothing, until it is not taken for two seconds or
        that many bytes have gone; returns how many."""
        block, sent = piece * (65536 // len(piece)), 0
        self._socket.settimeout(2)
        try:
            while sent < most:
                sent += self._socket.send(block)
        except (TimeoutError, ConnectionError):
            pass
        finally:
            self._socket.settimeout(PATIENCE)
        return sent

    def answer_connect(self, data):
        """Waits for the CONNECT and answers it."""
        self.connect = self.wait_packet("CONNECT")
        self.send(data)

    def answer_websocket(self):
        """Reads the request to change to WebSocket and agrees."""
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += self._take(1)
        key = re.search(rb"(?i)sec-websocket-key: *(\S+)", request).group(1)
        accept = base64.b64encode(hashlib.sha1(key + WEBSOCKET_GUID).digest())
        self.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  b"Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")

    def read_frame(self):
        """The payload of the next frame, unmasked."""
        length = self._take(2)[1] & 0x7F
        if length > 125:
            length = int.from_bytes(self._take(2 if length == 126 else 8), "big")
        mask = self._take(4)
        return bytes(byte ^ mask[at % 4] for at, byte in enumerate(self._take(length)))

    def wait_end(self, timeout=PATIENCE):
        """Whether the bridge ends the connection in time; what it sends until then is read."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            if not select.select([self._socket], [], [], left)[0]:
                return False
            try:
                if not self._socket.recv(65536):
                    return True
            except ConnectionError:
                return True
        return False

    def finish(self):
        """Says nothing more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def behave(self):
        """Does what a broker has to do, until the bridge leaves."""
        with contextlib.suppress(Ended):
            while True:
                packet, version = self.read(), self.connect.version
                if packet.kind == "PUBLISH" and packet.qos == 1:
                    self.send(packets.encode_answer(version, "PUBACK", packet.number))
                elif packet.kind in ("SUBSCRIBE", "UNSUBSCRIBE"):
                    answer = packet.kind.replace("SCRIBE", "ACK")
                    self.send(packets.encode_suback(version, answer, packet.number, [0]))

    def close(self):
        self._socket.close()


class Hostile:
    """The listening side. As a test's broker it is given as `mqtt.url`."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def caught(self, timeout=PATIENCE):
        """The next connection; closed in the end."""
        self._listener.settimeout(timeout)
        sock, _ = self._listener.accept()
        sock.settimeout(timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one = Caught(sock)
        try:
            yield one
        finally:
            one.close()

    @contextlib.contextmanager
    def reached(self, connack, kind):
        """A connection that has been answered so, and the bridge's first packet of a kind behind that. One
        that ends before is passed over: a bridge that is told to connect anew while it connects does both."""
        while True:
            with self.caught() as one:
                try:
                    one.answer_connect(connack)
                    packet = one.wait_packet(kind)
                except Ended:
                    continue
                yield one, packet
                return

    def close(self):
        self._listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
