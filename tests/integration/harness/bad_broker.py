"""An MQTT server that does what no decent broker does, on demand.

Left alone it is well behaved: it keeps retained messages, delivers, publishes last wills. What it
does wrong it does to one client only, `victim`; the tests' own clients are always served well. It
keeps everything that the victim sends, in order.
"""

import contextlib
import itertools
import re
import socket
import threading
import time

from . import packets
from .packets import Malformed, Packet
from .waiting import PATIENCE

VICTIM = "aiva-mqtt-bridge"
LATE_S = 0.05


class Answer:
    """What a publish rule may return besides None (as usual) and a reason code."""

    LOST = "nothing at all happens"
    HOLD = "no acknowledgement before release()"
    LATE = "an acknowledgement a moment later"
    CLOSE = "the connection ends"
    CUT = "the connection ends in the middle of the acknowledgement"


class Ended(Exception):
    """The session is over."""


def matches(pattern, topic):
    """Whether a topic filter covers a topic."""
    levels = [re.escape(level) for level in pattern.split("/")]
    text = "/".join(levels).replace(r"\+", "[^/]*").replace("/\\#", "(/.*)?").replace(r"\#", ".*")
    return re.fullmatch(text, topic, re.DOTALL) is not None


class Session:
    """One connection, with a thread that reads from it."""

    def __init__(self, broker, sock, number):
        self.broker, self.number, self.version = broker, number, 5
        self.connect = None
        self.subscriptions = {}
        self.held = []
        self.unanswered = set()
        self.most_unanswered = 0
        self._socket = sock
        self._clean_end = False
        self._numbers = itertools.cycle(range(1, 65536))
        self._sending = threading.Lock()

    @property
    def is_victim(self):
        return self.connect is None or self.connect.client_id == self.broker.victim

    def run(self):
        """The reader's life."""
        with contextlib.suppress(OSError, Ended, Malformed):
            while True:
                self._handle(self._read())
        self.close()
        self.broker.ended(self)

    def close(self):
        """Ends the connection from any thread; the reader notices."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def release_socket(self):
        self._socket.close()

    def send(self, data):
        with self._sending, contextlib.suppress(OSError):
            self._socket.sendall(data)

    def _bytes(self, count):
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if self.is_victim:
                self.broker.unfrozen.wait()
            if not part:
                raise Ended
            data += part
        return data

    def _read(self):
        first = self._bytes(1)[0]
        length = self._bytes(1)
        while length[-1] >= 0x80:
            length += self._bytes(1)
        size = packets.Reader(length).variable()
        packet = packets.decode(first, self._bytes(size), self.version)
        packet.size = 1 + len(length) + size
        packet.session, packet.at = self.number, time.monotonic()
        return packet

    def _handle(self, packet):
        if packet.kind == "CONNECT":
            self.version, self.connect = packet.version, packet
        name = "_on_" + packet.kind.lower()
        with self.broker.lock:
            if self.is_victim:
                self.broker.remember(packet)
            getattr(self, name, lambda _: None)(packet)

    def _on_connect(self, packet):
        broker = self.broker
        code, properties = 0, {}
        if self.is_victim:
            code = broker.connack_code or broker.on_connect(packet)
            properties = broker.connack_properties
            if not broker.answers_connect:
                return
            if broker.connack_delay:
                threading.Timer(broker.connack_delay, self._accept, (packet, properties)).start()
                return
        if code:
            self.send(packets.encode_connack(self.version, code))
            raise Ended
        self._accept(packet, properties)

    def _accept(self, packet, properties):
        with self.broker.lock:
            self.broker.take_over(self)
            present = properties if self.version == 5 else None
            self.send(packets.encode_connack(self.version, 0, False, present))

    def _on_publish(self, packet):
        if packet.qos:
            self.unanswered.add(packet.number)
            self.most_unanswered = max(self.most_unanswered, len(self.unanswered))
        answer = self.broker.on_publish(packet) if self.is_victim else None
        if answer == Answer.CLOSE:
            raise Ended
        if answer == Answer.CUT:
            whole = packets.encode_answer(self.version, "PUBACK", packet.number)
            self.send(whole[:len(whole) // 2])
            raise Ended
        if answer == Answer.LOST:
            return
        reason = answer if isinstance(answer, int) else 0
        if reason < 0x80:
            self.broker.publish(packet)
        if answer == Answer.HOLD:
            self.held.append(packet)
        elif answer == Answer.LATE:
            threading.Timer(LATE_S, self.acknowledge, (packet,)).start()
        else:
            self.acknowledge(packet, reason)

    def acknowledge(self, packet, reason=0):
        """Answers a publication that was held, or any other."""
        if packet.qos == 0:
            return
        if packet.qos == 1 or reason >= 0x80:
            self.unanswered.discard(packet.number)
        kind = "PUBACK" if packet.qos == 1 else "PUBREC"
        self.send(packets.encode_answer(self.version, kind, packet.number, reason))

    def _on_pubrel(self, packet):
        self.unanswered.discard(packet.number)
        self.send(packets.encode_answer(self.version, "PUBCOMP", packet.number))

    def _on_pubrec(self, packet):
        self.send(packets.encode_answer(self.version, "PUBREL", packet.number))

    def _on_subscribe(self, packet):
        codes = []
        for pattern, options in packet.filters:
            code = self.broker.on_subscribe(pattern) if self.is_victim else None
            codes.append(options & 3 if code is None else code)
            if codes[-1] < 0x80:
                self.subscriptions[pattern] = options
        self.send(packets.encode_suback(self.version, "SUBACK", packet.number, codes))
        granted = [one for one, code in zip(packet.filters, codes) if code < 0x80]
        if self.is_victim and self.broker.retained_delay:
            threading.Timer(self.broker.retained_delay, self._deliver_retained, (granted,)).start()
        else:
            self._deliver_retained(granted)

    def _deliver_retained(self, granted):
        for pattern, options in granted:
            for message in list(self.broker.retained.values()):
                if options >> 4 & 3 < 2 and matches(pattern, message.topic):
                    self.deliver(message, options, True)

    def _on_unsubscribe(self, packet):
        for pattern, _ in packet.filters:
            self.subscriptions.pop(pattern, None)
        codes = [0] * len(packet.filters)
        self.send(packets.encode_suback(self.version, "UNSUBACK", packet.number, codes))

    def deliver(self, message, options, retain):
        qos = min(message.qos, options & 3)
        self.send(packets.encode_publish(self.version, message, next(self._numbers), qos, retain))

    def offer(self, message):
        """Delivers a new message where a subscription covers it."""
        for pattern, options in self.subscriptions.items():
            if matches(pattern, message.topic):
                self.deliver(message, options, message.retain and bool(options & 8))
                return

    def _on_pingreq(self, _):
        if self.broker.answers_pings or not self.is_victim:
            self.send(packets.encode("PINGRESP"))

    def _on_disconnect(self, packet):
        self._clean_end = packet.reason != 4
        raise Ended

    @property
    def will(self):
        """The last will, if it has to be published now."""
        return None if self._clean_end or self.connect is None else self.connect.will


class BadBroker:
    """Listens on a port of its own. What it does wrong is in its public attributes."""

    login = (None, None)

    def __init__(self, victim=VICTIM, port=0):
        self.victim = victim
        self.connack_code = 0
        self.connack_properties = {}
        self.connack_delay = 0
        self.retained_delay = 0
        self.answers_connect = True
        self.answers_pings = True
        self.on_connect = lambda packet: 0
        self.on_publish = lambda packet: None
        self.on_subscribe = lambda pattern: None
        self.unfrozen = threading.Event()
        self.unfrozen.set()
        self.retained = {}
        self.received = []
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)  # who is woken finds the packet dealt with
        self._numbers = itertools.count(1)
        self._clients = {}
        self._open = set()
        self._listener = None
        self.port = port

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def running(self):
        return self._listener is not None

    def start(self):
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, args=(self._listener,), daemon=True).start()
        return self

    def end(self):
        """Stops listening and ends all connections without a word."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        self.unfrozen.set()
        for session in self.sessions():
            session.close()

    def kill(self):
        """The same: there is nothing that it would save."""
        self.end()

    def _listen(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = Session(self, sock, next(self._numbers))
            with self.lock:
                self._open.add(session)
            threading.Thread(target=session.run, daemon=True).start()

    # --- for sessions

    def remember(self, packet):
        with self._changed:
            self.received.append(packet)
            self._changed.notify_all()

    def take_over(self, session):
        """Registers a client; who had its id before is thrown out."""
        before = self._clients.get(session.connect.client_id)
        self._clients[session.connect.client_id] = session
        if before is not None:
            if before.version == 5:
                before.send(packets.encode_disconnect(0x8E))
            before.close()
            self._publish_will(before)

    def _publish_will(self, session):
        will = session.will
        session.connect.will = None
        if will is not None:
            self.publish(will)

    def ended(self, session):
        with self.lock:
            self._open.discard(session)
            current = session.connect is not None and \
                self._clients.get(session.connect.client_id) is session
            if current:
                del self._clients[session.connect.client_id]
                self._publish_will(session)
        session.release_socket()
        with self._changed:
            self._changed.notify_all()

    def publish(self, message):
        """Keeps a retained message and delivers to all subscribers."""
        with self.lock:
            if message.retain and message.payload:
                self.retained[message.topic] = message
            elif message.retain:
                self.retained.pop(message.topic, None)
            for session in list(self._clients.values()):
                session.offer(message)

    # --- for tests

    def sessions(self):
        with self.lock:
            return list(self._open)

    @property
    def session(self):
        """The victim's session, or None."""
        return self._clients.get(self.victim)

    def inject(self, topic, payload, retain=False, qos=1):
        """Publishes as if a client had."""
        self.publish(Packet("PUBLISH", topic=topic, payload=payload, retain=retain, qos=qos))

    def freeze(self):
        """Nothing of the victim is read any more; its connections stay."""
        self.unfrozen.clear()

    def thaw(self):
        self.unfrozen.set()

    def kick(self, reason=None):
        """Ends the victim's connection, with DISCONNECT where a reason is given."""
        with self.lock:
            session = self.session
            if session is None:
                return
            if reason is not None:
                session.send(packets.encode_disconnect(reason))
            session.close()

    def release(self, order=iter):
        """Acknowledges what is held, in the order given: `reversed`, for example."""
        with self.lock:
            session = self.session
            held, session.held = session.held, []
            for packet in order(held):
                session.acknowledge(packet)
            return len(held)

    def select(self, kind, since=0, **members):
        """The packets of a kind that the victim has sent, in order."""
        return [one for one in self.received[since:] if one.kind == kind
                and all(getattr(one, name) == value for name, value in members.items())]

    def published(self, topic=None, since=0):
        return [one for one in self.select("PUBLISH", since) if topic in (None, one.topic)]

    @property
    def connects(self):
        return self.select("CONNECT")

    def mark(self):
        return len(self.received)

    def wait(self, condition, what, timeout=PATIENCE, guard=lambda: None):
        """Waits for a condition on what was received; returns its first true value."""
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                value = condition()
                if value:
                    return value
                guard()
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"waited {timeout:g} s for {what}; the last packets:\n" +
                                         "\n".join(map(str, self.received[-25:])))
                self._changed.wait(min(left, 0.1))

    def wait_packet(self, kind, since=0, count=1, timeout=PATIENCE, **members):
        """The packets of a kind, once there are so many."""
        return self.wait(lambda: len(found := self.select(kind, since, **members)) >= count
                         and found, f"{count} {kind} {members or ''}", timeout)
