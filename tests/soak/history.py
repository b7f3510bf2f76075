"""The records of a soak: what was true at the upstream, what went over the wires, what was heard.

All times are of time.monotonic(). Records are only ever added to.
"""

import itertools
from dataclasses import dataclass, field

ROOT = "aiva"
DEVICES = "homeassistant/device/+/config"


@dataclass
class Version:
    """A job as the upstream showed it from a moment on."""

    at: float
    job: str
    n: int
    status: str
    message: str
    event: int = 0
    """The number of the stream's event about it; 0: the stream kept quiet."""


@dataclass
class Run:
    """One life of the bridge."""

    number: int
    started: float
    ended: float = 0.0
    how: str = ""
    """`kill` or `term` once it was ended."""
    ending: float = 0.0
    """When it was asked to end."""


@dataclass
class Link:
    """One connection that passed a relay."""

    number: int
    run: int
    opened: float
    closed: float = 0.0
    ended_by: str = ""
    """`near` (the bridge), `far` (the server, in good order), `cut` (the relay)."""


@dataclass
class StreamLink:
    """One answer to GET /jobs/events, as far as it was passed on to the bridge."""

    link: Link
    answer: bytearray = field(default_factory=bytearray)


@dataclass
class Sent:
    """A publication that the bridge wrote to a broker connection."""

    position: int
    at: float
    link: Link
    topic: str
    payload: bytes
    packet_id: int
    acked: float = 0.0
    """When the broker's acknowledgement was passed on to the bridge; 0: never."""


@dataclass
class Delivered:
    """A message that a broker connection brought to the bridge."""

    at: float
    link: Link
    topic: str
    payload: bytes
    packet_id: int
    acked: float = 0.0
    """When the bridge acknowledged it; 0: never."""


@dataclass
class Heard:
    """A message that the subscriber got."""

    at: float
    topic: str
    payload: bytes


@dataclass
class Life:
    """One life of the broker, from when the subscriber listened there."""

    started: float
    ended: float = 0.0


@dataclass
class Note:
    """What the soak did."""

    at: float
    text: str


class History:
    """All records, in order of their arrival."""

    def __init__(self):
        self.positions = itertools.count(1)
        self.link_numbers = itertools.count(1)
        self.versions = []
        self.gone = []
        """(time, job): from then on it may be missing at the upstream."""
        self.cancels = []
        """(time, job): from then on it may be cancelled at the upstream."""
        self.runs = []
        self.lives = []
        self.links = []
        self.streams = []
        self.sent = []
        self.delivered = []
        self.heard = []
        self.notes = []


def split_topic(topic):
    """("state", job), ("event", job), ("result", job or None) or None for all others."""
    parts = topic.split("/")
    if parts[0] != ROOT:
        return None
    if len(parts) == 4 and parts[1] == "jobs" and parts[3] in ("state", "event", "result"):
        return parts[3], parts[2]
    if parts[1:] == ["bridge", "result"]:
        return "result", None
    return None


def device_of(topic):
    """What Home Assistant knows the device by that a discovery topic is about; None for others."""
    head, _, tail = DEVICES.partition("+")
    if topic.startswith(head) and topic.endswith(tail):
        return topic[len(head):-len(tail)]
    return None
