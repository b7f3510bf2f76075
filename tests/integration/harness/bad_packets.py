"""Packets that no broker may send, for both versions of MQTT, and some that are only odd.

Each is a name, the bytes, and whether the bridge has to end the connection for it: OUT. ODD is what a
broker may send after all, or what is no reason to end: nothing is asked but that the bridge lives on.
"""

import random

from . import packets
from .packets import encode

OUT, ODD = True, False

NUMBER = b"\x00\x01"
UNKNOWN = b"\x7f\xff"
REASON = b"\x1f\x00\x01r"
USER = b"\x26\x00\x01n\x00\x01v"
# Of each property one with a value that is right (MQTT 5, 2.2.2.2).
VALUES = {
    0x01: b"\x01", 0x02: b"\x00\x00\x00\x09", 0x03: b"\x00\x01c", 0x08: b"\x00\x01r", 0x09: b"\x00\x01d",
    0x0B: b"\x05", 0x11: b"\x00\x00\x00\x09", 0x12: b"\x00\x01i", 0x13: b"\x00\x3c", 0x15: b"\x00\x01m",
    0x16: b"\x00\x01d", 0x17: b"\x01", 0x18: b"\x00\x00\x00\x09", 0x19: b"\x01", 0x1A: b"\x00\x01i",
    0x1C: b"\x00\x01s", 0x1F: b"\x00\x01r", 0x21: b"\x00\x0a", 0x22: b"\x00\x01", 0x23: b"\x00\x01",
    0x24: b"\x01", 0x25: b"\x01", 0x26: b"\x00\x01n\x00\x01v", 0x27: b"\x00\x01\x00\x00", 0x28: b"\x01",
    0x29: b"\x01", 0x2A: b"\x01"}
IN_PUBLISH = (0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x26)
IN_CONNACK = (0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29,
              0x2A)
REPEATS = (0x0B, 0x26)
NO_PROPERTIES = (b"\x00", b"\x04", b"\x2b", b"\x7f", b"\xa6\x00", b"\xff")


def _own(number):
    return bytes([number]) + VALUES[number]


def _sized(content):
    return packets.variable(len(content)) + content


def _publish(properties=b"", topic=b"\x00\x01t", flags=0):
    return encode("PUBLISH", topic + (NUMBER if flags >> 1 & 3 else b"") + properties + b"x", flags)


def kinds(version):
    """Each type of packet without a body, and with reserved bits."""
    for kind in range(16):
        yield f"type {kind}, empty", bytes([kind << 4, 0]), ODD if kind == 13 else OUT
    empty = b"\x00" if version == 5 else b""
    bodies = {"PUBACK": NUMBER, "PUBREC": NUMBER, "PUBREL": NUMBER, "PUBCOMP": NUMBER,
              "SUBACK": NUMBER + empty + b"\x00", "UNSUBACK": NUMBER + (b"\x00\x00" if empty else b""),
              "PINGRESP": b"", "DISCONNECT": b"", "AUTH": b"\x00\x00"}
    for kind, body in bodies.items():
        yield f"{kind}, wrong flags", encode(kind, body, 0 if kind == "PUBREL" else 2), OUT
        yield f"{kind}, all flags", encode(kind, body, 15), OUT
        if kind in ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBACK", "UNSUBACK"):
            flags = 2 if kind == "PUBREL" else 0
            yield f"{kind} 0", encode(kind, b"\x00\x00" + body[2:], flags), OUT
            yield f"{kind}, unknown", encode(kind, UNKNOWN + body[2:], flags), ODD
            yield f"{kind}, half a number", encode(kind, b"\x00", flags), OUT
    yield "CONNACK again", packets.encode_connack(version, 0), OUT
    yield "CONNACK again, refusing", packets.encode_connack(version, 5), OUT


def lengths(version):
    """Lengths that do not fit."""
    for kind, flags in ((0x90, ""), (0xB0, ""), (0x40, ""), (0x30, ""), (0xD0, "")):
        yield f"{kind:x}, a length without end", bytes([kind]) + b"\xff\xff\xff\xff\x7f", OUT
        yield f"{kind:x}, a long length of 0", bytes([kind]) + b"\x80\x80\x80\x80\x00", OUT
    for kind in (0x90, 0xB0, 0x50, 0x62, 0x70, 0xD0):
        yield f"{kind:x} of 256 MiB", bytes([kind]) + b"\xff\xff\xff\x7f" + NUMBER * 50, OUT
    yield "a message of 256 MiB", b"\x30\xff\xff\xff\x7f\x00\x01t", OUT if version == 5 else ODD
    yield "PINGRESP with a body", b"\xd0\x01\x00", OUT
    yield "PUBLISH, half a length", b"\x30\x01\x00", OUT
    yield "PUBLISH, a topic beyond its end", b"\x30\x05\xff\xfft\x00x", OUT
    yield "PUBLISH, half a number", b"\x32\x04\x00\x01t\x00", OUT
    yield "PUBLISH, no number", b"\x34\x03\x00\x01t", OUT
    yield "half a packet", b"\x90\x05\x00", ODD
    if version == 3:
        yield "PUBACK with more", b"\x40\x03\x00\x01\x00", OUT
        yield "UNSUBACK with more", b"\xb0\x03\x00\x01\x00", OUT
        yield "SUBACK without codes", b"\x90\x02\x00\x01", OUT
        yield "DISCONNECT with a reason", b"\xe0\x01\x8b", OUT
        return
    yield "PUBLISH without properties", b"\x30\x03\x00\x01t", OUT
    for kind in (0x90, 0xB0):
        for body in (NUMBER, NUMBER + b"\x00", NUMBER + b"\x05\x00", NUMBER + b"\xff\xff\xff\xff\x01"):
            yield f"{kind:x} {body.hex()}", bytes([kind, len(body)]) + body, OUT
    yield "PUBACK, properties beyond its end", b"\x40\x04\x00\x01\x00\x07", OUT
    yield "PUBREC, more behind the properties", b"\x50\x05\x00\x01\x00\x00\x00", OUT
    yield "DISCONNECT, properties beyond its end", b"\xe0\x02\x8b\x05", OUT


def messages(version):
    """PUBLISH, but for its properties."""
    none = b"\x00" if version == 5 else b""
    yield "QoS 3", _publish(none, flags=6), OUT
    yield "QoS 3, again and retained", _publish(none, flags=15), OUT
    yield "again with QoS 0", _publish(none, flags=8), ODD
    yield "no topic", _publish(none, b"\x00\x00"), OUT
    for topic in (b"a\x00b", b"\x00", b"\xc0\x80", b"\xed\xa0\x80", b"a\xff", b"+", b"a/#", b"$SYS/x", b"\xef\xbf\xbf"):
        for flags in (0, 2, 4):
            name = f"the topic {topic!r}, flags {flags}"
            yield name, _publish(none, len(topic).to_bytes(2, "big") + topic, flags), ODD
    yield "number 0", b"\x32" + _sized(b"\x00\x01t\x00\x00" + none), OUT
    yield "number 0 with QoS 2", b"\x34" + _sized(b"\x00\x01t\x00\x00" + none), OUT
    # By its length a packet that is not whole yet; of TLS a CONNECT.
    yield "HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n", ODD
    yield "TLS", b"\x15\x03\x01\x00\x02\x02\x28", OUT
    yield "SUBACK, many codes", encode("SUBACK", NUMBER + none + bytes(1000)), ODD
    yield "SUBACK, a code that is none", encode("SUBACK", NUMBER + none + b"\x7f"), ODD


def properties():
    """Of MQTT 5: unknown, misplaced, twice, of another type, cut short."""
    def in_publish(content):
        return _publish(_sized(content))

    def in_suback(content):
        return encode("SUBACK", NUMBER + _sized(content) + b"\x00")

    def in_unsuback(content):
        return encode("UNSUBACK", NUMBER + _sized(content) + b"\x00")

    def in_puback(content):
        return encode("PUBACK", UNKNOWN + b"\x00" + _sized(content))

    def in_disconnect(content):
        return encode("DISCONNECT", b"\x8b" + _sized(content))

    for content in NO_PROPERTIES:
        for make in (in_publish, in_suback, in_puback):
            yield f"{make.__name__}: no property {content.hex()}", make(content + b"\x00\x00"), OUT
    for number in VALUES:
        if number not in IN_PUBLISH:
            yield f"PUBLISH with {number:x}", in_publish(_own(number)), OUT
        elif number not in REPEATS:
            yield f"PUBLISH with {number:x} twice", in_publish(2 * _own(number)), OUT
    for number in (0x01, 0x11, 0x21, 0x23, 0x24):
        for make in (in_suback, in_unsuback, in_puback, in_disconnect):
            yield f"{make.__name__}: {number:x}", make(_own(number)), OUT
    for make in (in_suback, in_unsuback, in_puback, in_disconnect):
        yield f"{make.__name__}: two reasons", make(2 * REASON), OUT
        yield f"{make.__name__}: NUL", make(b"\x1f\x00\x01\x00"), OUT
        yield f"{make.__name__}: UTF-8", make(b"\x1f\x00\x02\xc0\x80"), OUT
        yield f"{make.__name__}: half a pair", make(b"\x26\x00\x01n"), OUT
        yield f"{make.__name__}: half a text", make(b"\x1f\x00\x05r"), OUT
        yield f"{make.__name__}: many", make(1000 * USER), ODD
    for content in (b"\x01\x02", b"\x0b\x00", b"\x0b\xff\xff\xff\xff\x01", b"\x02\x00", b"\x09\x00\x09x",
                    b"\x26\x00\x01n\x00\x09v"):
        yield f"PUBLISH, a value {content.hex()}", in_publish(content), OUT
    yield "PUBLISH, properties beyond its end", b"\x30\x05\x00\x01t\x09x", OUT


def connacks(version):
    """The first packet."""
    for body in (b"", b"\x00", b"\x02\x00", b"\xff\x00"):
        yield f"CONNACK {body.hex()}", encode("CONNACK", body), OUT
    yield "CONNACK, wrong flags", b"\x21" + packets.encode_connack(version, 0)[1:], OUT
    yield "CONNACK, a length without end", b"\x20\xff\xff\xff\xff\x7f", OUT
    yield "CONNACK of 256 MiB", b"\x20\xff\xff\xff\x7f\x00\x00", OUT
    for code in (1, 5, 6, 0x84, 0xFF):
        yield f"refused with {code:x}", packets.encode_connack(version, code), OUT
    yield "a session that nobody has asked for", packets.encode_connack(version, 0, True), ODD
    if version == 3:
        yield "CONNACK with more", b"\x20\x03\x00\x00\x00", OUT
        return

    def with_properties(content):
        return encode("CONNACK", b"\x00\x00" + _sized(content))

    yield "CONNACK without properties", b"\x20\x02\x00\x00", OUT
    yield "CONNACK of an older version", b"\x20\x02\x00\x01", OUT
    yield "CONNACK, properties beyond its end", b"\x20\x03\x00\x00\x07", OUT
    yield "CONNACK, more behind the properties", b"\x20\x05\x00\x00\x00\x24\x01", OUT
    for content in NO_PROPERTIES:
        yield f"CONNACK, no property {content.hex()}", with_properties(content + b"\x00\x00"), OUT
    for number in VALUES:
        if number not in IN_CONNACK:
            yield f"CONNACK with {number:x}", with_properties(_own(number)), OUT
        elif number not in REPEATS:
            yield f"CONNACK with {number:x} twice", with_properties(2 * _own(number)), OUT
    for content in (b"\x21\x00\x00", b"\x27\x00\x00\x00\x00", b"\x24\x02", b"\x25\x02", b"\x1f\x00\x01\x00",
                    b"\x12\x00\x02\xc0\x80", b"\x26\x00\x01n", b"\x27\x00"):
        yield f"CONNACK, a value {content.hex()}", with_properties(content), OUT
    yield "CONNACK, the smallest limits", with_properties(b"\x21\x00\x01\x27\x00\x00\x00\x01\x24\x00\x25\x00"), ODD


def after_connack(version):
    """All that may go wrong once the connection is accepted."""
    yield from kinds(version)
    yield from lengths(version)
    yield from messages(version)
    if version == 5:
        yield from properties()


def before_connack(version):
    """All that may go wrong first. Nothing but a CONNACK may come then."""
    yield from connacks(version)
    for name, data, _ in [*kinds(version), *messages(version)][::3]:
        if data[0] >> 4 != 2:
            yield f"first of all {name}", data, OUT


def mutated(version, seed, count):
    """Packets with bits and bytes changed at random, and such of nothing but random bytes."""
    chance = random.Random(seed)
    good = [data for _, data, _ in after_connack(version)] + [data for _, data, _ in connacks(version)]
    for number in range(count):
        data = bytearray(b"".join(chance.choice(good) for _ in range(chance.randint(1, 3)))[:5000])
        if chance.random() < 0.2:
            data = bytearray(chance.randbytes(chance.randint(1, 300)))
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(data))
            change = chance.randrange(3)
            if change == 0:
                data[at] ^= 1 << chance.randrange(8)
            elif change == 1:
                data[at] = chance.randrange(256)
            else:
                data[at:at] = chance.randbytes(chance.randint(1, 4))
        yield f"seed {seed}, number {number}", bytes(data), ODD
