"""What went over a connection, read from its bytes: MQTT packets, and the events of an SSE answer.

Pure: bytes in, facts out. Only as much of the formats as the history needs.
"""

import json
from dataclasses import dataclass

CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4


def _length(data, at):
    """The variable length integer at a position, and the position behind it; None: not all there."""
    value = 0
    for index in range(4):
        if at + index >= len(data):
            return None
        value |= (data[at + index] & 0x7F) << (7 * index)
        if not data[at + index] & 0x80:
            return value, at + index + 1
    raise ValueError("a length of more than four bytes")


class Packets:
    """Cuts a byte stream into MQTT packets."""

    def __init__(self):
        self._rest = bytearray()

    def feed(self, data):
        """The packets that are complete now, as (first byte, body)."""
        self._rest += data
        found = []
        at = 0
        while at < len(self._rest):
            length = _length(self._rest, at + 1)
            if length is None or len(self._rest) < length[1] + length[0]:
                break
            end = length[1] + length[0]
            found.append((self._rest[at], bytes(self._rest[length[1]:end])))
            at = end
        del self._rest[:at]
        return found


@dataclass
class Publish:
    """A PUBLISH packet."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    packet_id: int


def read_publish(first, body, version5):
    """The parts of a PUBLISH packet."""
    qos = first >> 1 & 3
    at = 2 + int.from_bytes(body[:2], "big")
    topic = body[2:at].decode()
    packet_id = 0
    if qos:
        packet_id = int.from_bytes(body[at:at + 2], "big")
        at += 2
    if version5:
        properties, at = _length(body, at)
        at += properties
    return Publish(topic, body[at:], qos, bool(first & 1), packet_id)


def is_version5(body):
    """Whether a CONNECT packet's body speaks MQTT 5."""
    return body[6] == 5


def split_head(answer):
    """An HTTP answer's (status, head, body); None while the head is not complete."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(answer[:end]).lower()
    return int(head.split(b" ", 2)[1]), head, bytes(answer[end + 4:])


def unchunk(body):
    """What a chunked body says, as far as it came."""
    said = bytearray()
    at = 0
    while True:
        end = body.find(b"\r\n", at)
        if end < 0:
            return bytes(said)
        try:
            size = int(body[at:end].split(b";")[0], 16)
        except ValueError:
            return bytes(said)
        if size == 0:
            return bytes(said)
        said += body[end + 2:end + 2 + size]
        at = end + 2 + size + 2
        if at > len(body):
            return bytes(said)


def event_numbers(answer):
    """The member "e" of each complete event of an answer to GET /jobs/events, in order."""
    parts = split_head(answer)
    if parts is None or parts[0] != 200 or b"text/event-stream" not in parts[1]:
        return []
    body = unchunk(parts[2]) if b"chunked" in parts[1] else parts[2]
    numbers = []
    text = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *complete, _ = text.split(b"\n\n")
    for event in complete:
        lines = [line[5:].lstrip(b" ") for line in event.split(b"\n") if line[:5] == b"data:"]
        plain = not any(line[:6] == b"event:" for line in event.split(b"\n"))
        try:
            content = json.loads(b"\n".join(lines))
        except ValueError:
            continue
        if plain and isinstance(content, dict) and "e" in content:
            numbers.append(content["e"])
    return numbers
