"""A TCP relay that passes, delays, mutilates and breaks connections, and shows what went through.

One thread for all connections of a relay. `near` is the bridge's side, `far` the server's.
"""

import contextlib
import queue
import random
import selectors
import socket
import struct
import threading
import time

TICK_S = 0.02
SLOW_BYTES = 300  # in a tick
ROOM = 256 * 1024  # waiting in one direction; beyond it nothing more is read

NO_LINGER = struct.pack("ii", 1, 0)


class _Way:
    """One direction of a connection."""

    def __init__(self, source, sink, name):
        self.source, self.sink, self.name = source, sink, name
        self.waiting = bytearray()
        self.ended = False  # nothing more comes


class _Connection:
    def __init__(self, near, far, tap):
        self.up = _Way(near, far, "near")
        self.down = _Way(far, near, "far")
        self.tap = tap
        self.black = False  # what the bridge sends goes nowhere, and nothing comes back

    @property
    def ways(self):
        return self.up, self.down


class Relay(threading.Thread):
    """Relays connections to a port of 127.0.0.1.

    `make_tap()` makes an object for each connection with read(name, data), which is called with
    what was read from `near` or `far`; passed(name, data) with what was handed to the other side;
    and ended(by) with `near`, `far` or `cut`.
    """

    def __init__(self, port, make_tap):
        super().__init__(daemon=True)
        self._target = port
        self._make_tap = make_tap
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._connections = []
        self._orders = queue.SimpleQueue()
        self._refusing = False
        self._modes = set()
        self._cut_after = None
        self._random = random.Random(0)
        self._selector = selectors.DefaultSelector()
        self._running = True

    # --- orders, from any thread

    def _order(self, what, *arguments):
        done = threading.Event()
        self._orders.put((what, arguments, done))
        done.wait(10)

    def refuse(self, refusing):
        """Whether new connections are closed at once."""
        self._order(self._do_refuse, refusing)

    def set_mode(self, mode, on):
        """`stall-up`, `stall-down`, `slow` or `crumbs` (one byte at a time)."""
        self._order(self._do_mode, mode, on)

    def cut(self, how):
        """Ends all connections: `fin`, `rst`; `middle`: with the next data, in the middle of it."""
        self._order(self._do_cut, how)

    def blacken(self):
        """From now on nothing passes the connections there are, and nobody is told."""
        self._order(self._do_blacken)

    def heal(self):
        """Everything passes. Connections that have swallowed something end."""
        self._order(self._do_heal)

    def count(self):
        """How many connections are open and pass data."""
        return sum(1 for one in self._connections if not one.black)

    def close(self):
        """Ends the thread and all connections."""
        self._running = False
        self.join(5)

    # --- the thread

    def _do_refuse(self, refusing):
        self._refusing = refusing

    def _do_mode(self, mode, on):
        (self._modes.add if on else self._modes.discard)(mode)

    def _do_cut(self, how):
        if how == "middle":
            self._cut_after = self._random.randrange(1, 40)
            return
        for one in list(self._connections):
            self._end(one, "cut", how == "rst")

    def _do_blacken(self):
        for one in self._connections:
            one.black = True

    def _do_heal(self):
        self._modes.clear()
        self._refusing = False
        self._cut_after = None
        for one in [one for one in self._connections if one.black]:
            self._end(one, "cut", True)

    def run(self):
        while self._running:
            while not self._orders.empty():
                what, arguments, done = self._orders.get()
                what(*arguments)
                done.set()
            self._accept()
            self._wait()
            for one in list(self._connections):
                self._move(one)
        for one in list(self._connections):
            self._end(one, "cut", False)
        self._listener.close()

    def _wait(self):
        """Until something can be read, and in slow times for a tick."""
        self._selector.close()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        for one in self._connections:
            for way in one.ways:
                if not way.ended and len(way.waiting) < ROOM and not self._stalls(one, way):
                    self._selector.register(way.source, selectors.EVENT_READ)
        self._selector.select(TICK_S)
        if self._modes:
            time.sleep(TICK_S)

    def _stalls(self, one, way):
        if one.black:
            return way is one.down
        return ("stall-up" if way is one.up else "stall-down") in self._modes

    def _accept(self):
        with contextlib.suppress(OSError):
            near, _ = self._listener.accept()
            try:
                if self._refusing:
                    raise ConnectionError
                far = socket.create_connection(("127.0.0.1", self._target), 2)
            except OSError:
                near.close()
                return
            for each in (near, far):
                each.setblocking(False)
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(_Connection(near, far, self._make_tap()))

    def _move(self, one):
        for way in one.ways:
            if not self._stalls(one, way):
                self._read(one, way)
            if one not in self._connections:
                return
            if not self._stalls(one, way) and not one.black:
                self._write(one, way)
            if one not in self._connections:
                return

    def _read(self, one, way):
        if way.ended or len(way.waiting) >= ROOM:
            return
        try:
            data = way.source.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            self._end(one, "near" if way is one.up else "cut", True)
            return
        if not data:
            way.ended = True
            if one.black:
                self._end(one, way.name, False)
            return
        one.tap.read(way.name, data)
        if not one.black:
            way.waiting += data

    def _write(self, one, way):
        most = len(way.waiting)
        if "slow" in self._modes:
            most = min(most, SLOW_BYTES)
        if "crumbs" in self._modes:
            most = min(most, 1)
        middle = self._cut_after is not None and most > 0
        if middle:
            most = min(most, self._cut_after)
        if most:
            try:
                passed = way.sink.send(way.waiting[:most])
            except BlockingIOError:
                return
            except OSError:
                self._end(one, "near" if way is one.down else "cut", True)
                return
            one.tap.passed(way.name, bytes(way.waiting[:passed]))
            del way.waiting[:passed]
        if middle:
            self._cut_after = None
            self._end(one, "cut", True)
        elif way.ended and not way.waiting:
            # Neither MQTT nor HTTP ends one direction only: both go, behind the last byte.
            self._end(one, way.name, False)

    def _end(self, one, by, reset):
        if one not in self._connections:
            return
        self._connections.remove(one)
        for way in one.ways:
            if reset:
                with contextlib.suppress(OSError):
                    way.source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            with contextlib.suppress(OSError):
                way.source.close()
        one.tap.ended(by)
