"""MQTT 3.1.1 and 5 packets, to bytes and back, as a server needs them."""

import struct
from dataclasses import dataclass, field

KINDS = {
    1: "CONNECT", 2: "CONNACK", 3: "PUBLISH", 4: "PUBACK", 5: "PUBREC", 6: "PUBREL", 7: "PUBCOMP",
    8: "SUBSCRIBE", 9: "SUBACK", 10: "UNSUBSCRIBE", 11: "UNSUBACK", 12: "PINGREQ", 13: "PINGRESP",
    14: "DISCONNECT", 15: "AUTH"}
NUMBERS = {name: number for number, name in KINDS.items()}

# MQTT 5, section 2.2.2.2: identifier, name, form.
_PROPERTIES = [
    (0x01, "payload_format", "B"), (0x02, "message_expiry", "I"), (0x03, "content_type", "text"),
    (0x08, "response_topic", "text"), (0x09, "correlation_data", "bytes"),
    (0x0B, "subscription_identifier", "variable"), (0x11, "session_expiry", "I"),
    (0x12, "assigned_client_id", "text"), (0x13, "server_keep_alive", "H"),
    (0x15, "authentication_method", "text"), (0x16, "authentication_data", "bytes"),
    (0x17, "request_problem", "B"), (0x18, "will_delay", "I"), (0x19, "request_response", "B"),
    (0x1A, "response_information", "text"), (0x1C, "server_reference", "text"),
    (0x1F, "reason_string", "text"), (0x21, "receive_maximum", "H"),
    (0x22, "topic_alias_maximum", "H"), (0x23, "topic_alias", "H"), (0x24, "maximum_qos", "B"),
    (0x25, "retain_available", "B"), (0x26, "user_property", "pair"),
    (0x27, "maximum_packet_size", "I"), (0x28, "wildcard_available", "B"),
    (0x29, "subscription_identifiers_available", "B"), (0x2A, "shared_available", "B")]
_BY_NUMBER = {number: (name, form) for number, name, form in _PROPERTIES}
_BY_NAME = {name: (number, form) for number, name, form in _PROPERTIES}


class Malformed(Exception):
    """What came is not MQTT."""


@dataclass
class Packet:
    """One packet that a client has sent; only what its kind has is set."""

    kind: str
    session: int = 0
    at: float = field(default=0.0, repr=False)
    number: int = 0
    topic: str = None
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    duplicate: bool = False
    reason: int = 0
    properties: dict = field(default_factory=dict)
    filters: list = field(default_factory=list, repr=False)
    version: int = 5
    client_id: str = None
    username: str = None
    password: bytes = None
    keep_alive: int = 0
    clean: bool = True
    will: "Packet" = None
    size: int = 0


class Reader:
    """Takes values from the bytes of one packet."""

    def __init__(self, data):
        self._data = data
        self._position = 0

    def take(self, count):
        part = self._data[self._position:self._position + count]
        if len(part) < count:
            raise Malformed("a packet that is too short")
        self._position += count
        return part

    def rest(self):
        return self.take(len(self._data) - self._position)

    def more(self):
        return self._position < len(self._data)

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(form)))[0]

    def variable(self):
        value = 0
        for shift in range(0, 28, 7):
            byte = self.number("B")
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise Malformed("a length of more than four bytes")

    def bytes(self):
        return self.take(self.number("H"))

    def text(self):
        return self.bytes().decode()

    def properties(self):
        inner = Reader(self.take(self.variable()))
        found = {}
        while inner.more():
            name, form = _BY_NUMBER[inner.variable()]
            if form == "pair":
                found.setdefault(name, []).append((inner.text(), inner.text()))
            elif form in ("text", "bytes", "variable"):
                found[name] = getattr(inner, form)()
            else:
                found[name] = inner.number(form)
        return found


def variable(value):
    """A Variable Byte Integer."""
    out = bytearray()
    while True:
        value, byte = value >> 7, value & 0x7F
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def _bytes(data):
    return struct.pack(">H", len(data)) + data


def _properties(values):
    out = bytearray()
    for name, value in values.items():
        number, form = _BY_NAME[name]
        for one in value if form == "pair" else [value]:
            out.append(number)
            if form == "pair":
                out += _bytes(one[0].encode()) + _bytes(one[1].encode())
            elif form == "text":
                out += _bytes(one.encode())
            elif form == "bytes":
                out += _bytes(one)
            elif form == "variable":
                out += variable(one)
            else:
                out += struct.pack(">" + form, one)
    return variable(len(out)) + bytes(out)


def encode(kind, body=b"", flags=0):
    """A whole packet from its kind and what follows the fixed header."""
    return bytes([NUMBERS[kind] << 4 | flags]) + variable(len(body)) + body


def encode_connack(version, code, present=False, properties=None):
    body = bytes([int(present), code])
    return encode("CONNACK", body + (_properties(properties or {}) if version == 5 else b""))


def encode_answer(version, kind, number, reason=0):
    """PUBACK, PUBREC, PUBREL or PUBCOMP."""
    body = struct.pack(">H", number) + (bytes([reason]) if version == 5 and reason else b"")
    return encode(kind, body, 2 if kind == "PUBREL" else 0)


def encode_suback(version, kind, number, codes):
    """SUBACK, or UNSUBACK (which has no codes before MQTT 5)."""
    body = struct.pack(">H", number) + (_properties({}) if version == 5 else b"")
    if kind == "SUBACK" or version == 5:
        body += bytes(codes)
    return encode(kind, body)


def encode_publish(version, packet, number, qos, retain):
    body = _bytes(packet.topic.encode()) + (struct.pack(">H", number) if qos else b"")
    body += _properties(packet.properties) if version == 5 else b""
    return encode("PUBLISH", body + packet.payload, qos << 1 | int(retain))


def encode_disconnect(reason):
    return encode("DISCONNECT", bytes([reason]) + _properties({}))


def _connect(packet, reader):
    if reader.text() != "MQTT":
        raise Malformed("not MQTT")
    packet.version = reader.number("B")
    flags = reader.number("B")
    packet.keep_alive = reader.number("H")
    packet.clean = bool(flags & 2)
    packet.properties = reader.properties() if packet.version == 5 else {}
    packet.client_id = reader.text()
    if flags & 4:
        packet.will = Packet("PUBLISH", qos=flags >> 3 & 3, retain=bool(flags & 0x20))
        packet.will.properties = reader.properties() if packet.version == 5 else {}
        packet.will.topic = reader.text()
        packet.will.payload = reader.bytes()
    packet.username = reader.text() if flags & 0x80 else None
    packet.password = reader.bytes() if flags & 0x40 else None


def _publish(packet, reader, flags):
    packet.qos = flags >> 1 & 3
    packet.retain = bool(flags & 1)
    packet.duplicate = bool(flags & 8)
    packet.topic = reader.text()
    packet.number = reader.number("H") if packet.qos else 0
    packet.properties = reader.properties() if packet.version == 5 else {}
    packet.payload = reader.rest()


def _subscribe(packet, reader):
    packet.number = reader.number("H")
    packet.properties = reader.properties() if packet.version == 5 else {}
    while reader.more():
        packet.filters.append(
            (reader.text(), reader.number("B") if packet.kind == "SUBSCRIBE" else 0))


def decode(first, body, version):
    """The packet with this first byte and this body, of a client that speaks this version."""
    packet = Packet(KINDS.get(first >> 4, "?"), version=version, size=len(body))
    reader = Reader(body)
    if packet.kind == "CONNECT":
        _connect(packet, reader)
    elif packet.kind == "PUBLISH":
        _publish(packet, reader, first & 15)
    elif packet.kind in ("SUBSCRIBE", "UNSUBSCRIBE"):
        _subscribe(packet, reader)
    elif packet.kind in ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP"):
        packet.number = reader.number("H")
        packet.reason = reader.number("B") if reader.more() else 0
    elif packet.kind == "DISCONNECT":
        packet.reason = reader.number("B") if reader.more() else 0
    elif packet.kind != "PINGREQ":
        raise Malformed(f"{packet.kind} from a client")
    return packet
