"""An MQTT 5 client that keeps every message it sees, with all that came with it."""

import json
import re
import threading
import time
import uuid
from dataclasses import dataclass, field

from paho.mqtt import client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from .mqttclient import new_client
from .waiting import PATIENCE, wait_until

MARKER = "test-marker/"
JSON_TOPIC = re.compile(r"(.+/)?(bridge/(info|upstream|jobs|result)|jobs/[^/]+/(state|event|result))")
TEXT_TOPIC = re.compile(r"(.+/)?bridge/state")


def refuse_constant(name):
    """NaN and Infinity are Python's, not JSON's."""
    raise ValueError(f"{name} is not JSON")


def assert_well_formed(message):
    """What the bridge says is UTF-8, and JSON where it says so."""
    is_json = JSON_TOPIC.fullmatch(message.topic)
    if not message.payload or not (is_json or TEXT_TOPIC.fullmatch(message.topic)):
        return
    try:
        text = message.payload.decode("utf-8")
        if is_json:
            # Numbers stay text: they may be larger than Python would take.
            json.loads(text, parse_int=str, parse_float=str, parse_constant=refuse_constant)
    except ValueError as error:
        raise AssertionError(
            f"{message.topic}: {error}: {message.payload[-300:]!r}") from error


@dataclass(frozen=True)
class Message:
    """One message as it was published; `retain` is the publisher's flag."""

    position: int
    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: object = field(repr=False, default=None)
    at: float = field(repr=False, default=0.0)

    @property
    def text(self):
        return self.payload.decode()

    @property
    def json(self):
        return json.loads(self.payload)

    def property(self, name):
        """An MQTT 5 property, or None."""
        return getattr(self.properties, name, None)

    def shows(self, **members):
        """Whether the payload is a JSON object with these members."""
        if not self.payload.startswith(b"{"):
            return False
        content = self.json
        return all(name in content and content[name] == value for name, value in members.items())


class Recorder:
    """Records what is published under `filters`; can also publish."""

    def __init__(self, broker, filters=("#",), client_id=None, keep_session=False, qos=2):
        self.messages = []
        self.written = set()
        self.guard = lambda: None
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._acknowledged = set()
        self._filters = filters
        self._qos = qos
        self._client = new_client(client_id or f"test-{uuid.uuid4().hex}", protocol=mqtt.MQTTv5)
        self._client.reconnect_delay_set(0.05, 0.05)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_publish = lambda _client, _userdata, mid, *_: self._acknowledged.add(mid)
        self._client.on_message = self._on_message
        if broker.login[0]:
            self._client.username_pw_set(*broker.login)
        self._connect(broker.port, keep_session)

    def _connect(self, port, keep_session):
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 300 if keep_session else 0
        self._client.connect("127.0.0.1", port, clean_start=not keep_session, properties=properties)
        self._client.loop_start()
        assert self._subscribed.wait(PATIENCE), "the recorder could not subscribe"

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _on_connect(self, client, *_):
        options = SubscribeOptions(qos=self._qos, retainAsPublished=True)
        client.subscribe([(name, options) for name in self._filters])

    def _on_message(self, _client, _userdata, message):
        if message.topic.startswith(MARKER) and MARKER + "#" not in self._filters:
            return
        with self._changed:
            self.messages.append(Message(
                len(self.messages), message.topic, message.payload, message.qos,
                bool(message.retain), message.properties, time.monotonic()))
            self._changed.notify_all()

    def assert_well_formed(self):
        """All that came on the bridge's own topics, where the test itself did not write."""
        for message in self.messages:
            if message.topic not in self.written:
                assert_well_formed(message)

    def mark(self):
        """The present end of the record, for `since`."""
        return len(self.messages)

    def select(self, topic=None, since=0, **members):
        """The recorded messages of a topic that show these members, in order."""
        return [message for message in self.messages[since:]
                if (topic is None or message.topic == topic)
                and (not members or message.shows(**members))]

    def new_topics(self, since, below="aiva/jobs/"):
        """The topics on which the first message has come since a mark."""
        before = {message.topic for message in self.messages[:since]}
        return {message.topic for message in self.messages[since:]
                if message.topic.startswith(below)} - before

    def last(self, topic):
        """The newest message of a topic, or None."""
        found = self.select(topic)
        return found[-1] if found else None

    def wait_for(self, predicate, timeout=PATIENCE, since=0, what="a message"):
        """The first message since a mark for which the predicate holds."""
        end = time.monotonic() + timeout
        position = since
        with self._changed:
            while True:
                while position < len(self.messages):
                    if predicate(self.messages[position]):
                        return self.messages[position]
                    position += 1
                self.guard()
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(self._missing(what, timeout, since))
                self._changed.wait(min(left, 0.5))

    def wait_topic(self, topic, since=0, timeout=PATIENCE, **members):
        """The first message on a topic since a mark that shows these members."""
        return self.wait_for(
            lambda message: message.topic == topic and (not members or message.shows(**members)),
            timeout, since, f"{topic} {members or ''}")

    def wait_count(self, topic, count, since=0, timeout=PATIENCE):
        """The messages of a topic, once there are so many."""
        end = time.monotonic() + timeout
        found = self.select(topic, since)
        while len(found) < count:
            left = end - time.monotonic()
            last = found[-1].position + 1 if found else since
            self.wait_for(lambda message: message.topic == topic, max(left, 0), last,
                          f"{count} messages on {topic}, {len(found)} came")
            found = self.select(topic, since)
        return found

    def _missing(self, what, timeout, since):
        seen = "\n".join(f"  {m.position} {m.topic} {m.payload[:200]!r} retain={m.retain}"
                         for m in self.messages[since:][-30:])
        return f"waited {timeout:g} s for {what}; the last messages were:\n{seen or '  none'}"

    def publish(self, topic, payload=b"", retain=False, qos=1, response_topic=None,
                correlation=None):
        """Publishes and waits until the broker has it."""
        self.written.add(topic)
        properties = Properties(PacketTypes.PUBLISH)
        if response_topic is not None:
            properties.ResponseTopic = response_topic
        if correlation is not None:
            properties.CorrelationData = correlation
        number = self._client.publish(topic, payload, qos, retain, properties).mid
        wait_until(lambda: number in self._acknowledged, f"{topic} to be published", pause=0.002)


def retained(broker, topic_filter="#"):
    """What the broker holds retained now: a new client's view, as topic -> message.

    A topic that is cleared meanwhile comes with an empty payload, and holds nothing.
    """
    marker = MARKER + uuid.uuid4().hex
    with Recorder(broker, (topic_filter, MARKER + "#"), qos=1) as fresh:
        fresh.publish(marker, b"end")
        fresh.wait_topic(marker, timeout=60)
        return {message.topic: message for message in fresh.messages
                if message.retain and message.payload and not message.topic.startswith(MARKER)}
