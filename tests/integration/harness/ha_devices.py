"""Devices of Home Assistant as they stand at the broker, and the messages about them."""

import itertools
import re

from . import ha_rules
from .waiting import wait_until

PREFIX = "homeassistant"
STATUS = "homeassistant/status"
SPACING = 5.0
"""Seconds between two messages about one device."""
LATE = 0.5
"""Seconds that a message may take to the recorder on a busy machine: the first of two may look later
than it was."""
PATIENCE = 25.0
CONFIG = re.compile(r"(.+)/device/([^/]+)/config")


def topic_of(object_id, prefix=PREFIX):
    return f"{prefix}/device/{object_id}/config"


def messages(world, object_id=None, since=0, prefix=PREFIX):
    """What was said about one device, or about all below a prefix, in order."""
    if object_id is not None:
        return world.recorder.select(topic_of(object_id, prefix), since)
    return [one for one in world.recorder.messages[since:]
            if CONFIG.fullmatch(one.topic) and one.topic.startswith(prefix + "/")]


def retained(world, prefix=PREFIX):
    """Object id -> payload of what a Home Assistant that starts now would find."""
    found = world.retained(f"{prefix}/device/+/config")
    return {CONFIG.fullmatch(topic)[2]: message for topic, message in found.items()}


def wait_shown(world, *object_ids, since=0, prefix=PREFIX, named=None):
    """Waits until the devices are announced; returns the last payload."""
    message = None
    for object_id in object_ids:
        message = world.recorder.wait_for(
            lambda one, topic=topic_of(object_id, prefix): one.topic == topic and one.payload and
            (named is None or one.json["device"]["name"] == named),
            PATIENCE, since, f"the device {object_id}")
    return message


def wait_cleared(world, *object_ids, since=0, prefix=PREFIX):
    """Waits until the devices are taken away; returns the last message."""
    message = None
    for object_id in object_ids:
        message = world.recorder.wait_for(
            lambda one, topic=topic_of(object_id, prefix): one.topic == topic and not one.payload,
            PATIENCE, since, f"the device {object_id} to go")
    return message


def wait_set(world, *object_ids, prefix=PREFIX):
    """Waits until exactly these devices stand at the broker."""
    wanted = set(object_ids)
    wait_until(lambda: set(retained(world, prefix)) == wanted, f"exactly the devices {wanted}",
               PATIENCE, 0.1)


def assert_spaced(world):
    """Nobody's message followed another one about the same device too soon."""
    by_topic = {}
    for message in world.recorder.messages:
        if CONFIG.fullmatch(message.topic) and message.topic not in world.recorder.written:
            by_topic.setdefault(message.topic, []).append(message)
    for topic, said in by_topic.items():
        for first, second in itertools.pairwise(said):
            gap = second.at - first.at
            assert gap >= SPACING - LATE, f"{topic}: {gap:.2f} s after the message before"


def assert_accepted(world, prefix=PREFIX):
    """Home Assistant would take everything that stands there."""
    found = {topic_of(object_id, prefix): message.payload
             for object_id, message in retained(world, prefix).items()}
    assert ha_rules.check(found, prefix) == []
    return found
