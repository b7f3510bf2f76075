"""The programs of a soak with the relays between them, and the records of all that they say."""

import json
import os
import re
import signal
import sys
import threading
import time
import uuid
from pathlib import Path

from paho.mqtt import client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from harness.bridge import SANITIZER_MARKS, Bridge  # noqa: E402
from harness.broker import Broker  # noqa: E402
from harness.mqttclient import new_client  # noqa: E402
from harness.recorder import retained  # noqa: E402
from harness.simulator import KEY, Simulator  # noqa: E402
from harness.waiting import wait_until  # noqa: E402
from harness.world import way_to  # noqa: E402

from history import DEVICES, ROOT, Delivered, Heard, Life, Link, Note, Run, Sent, StreamLink  # noqa: E402
from relay import Relay  # noqa: E402
from wire import (  # noqa: E402
    CONNECT, PUBACK, PUBLISH, Packets, is_version5, read_publish)

INTERVALS = {"aiva.resync_interval_s": 5, "aiva.list_interval_s": 2, "aiva.poll_interval_s": 1,
             "aiva.idle_timeout_s": 5, "commands.timeout_s": 5}


now = time.monotonic


class _Tap:
    """A connection's entry in the history."""

    def __init__(self, world):
        self.world = world
        self.history = world.history
        self.link = Link(next(self.history.link_numbers), len(self.history.runs), now())
        self.history.links.append(self.link)

    def ended(self, by):
        self.link.closed = now()
        self.link.ended_by = by


class BrokerTap(_Tap):
    """Reads MQTT. What the bridge wrote counts from when it was read, what the broker wrote from
    when it was passed on."""

    def __init__(self, world):
        super().__init__(world)
        self._packets = {"near": Packets(), "far": Packets()}
        self._version5 = True
        self._unacknowledged = {}
        self._deliveries = {}

    def read(self, name, data):
        if name == "near":
            for first, body in self._packets[name].feed(data):
                self._from_bridge(first, body)

    def passed(self, name, data):
        if name == "far":
            for first, body in self._packets[name].feed(data):
                self._from_broker(first, body)

    def _from_bridge(self, first, body):
        if first >> 4 == CONNECT:
            self._version5 = is_version5(body)
        elif first >> 4 == PUBLISH:
            packet = read_publish(first, body, self._version5)
            sent = Sent(next(self.history.positions), now(), self.link, packet.topic,
                        packet.payload, packet.packet_id)
            self._unacknowledged[packet.packet_id] = sent
            self.history.sent.append(sent)
        elif first >> 4 == PUBACK:
            delivered = self._deliveries.pop(int.from_bytes(body[:2], "big"), None)
            if delivered:
                delivered.acked = now()

    def _from_broker(self, first, body):
        if first >> 4 == PUBLISH:
            packet = read_publish(first, body, self._version5)
            one = Delivered(now(), self.link, packet.topic, packet.payload, packet.packet_id)
            if packet.qos:
                self._deliveries[packet.packet_id] = one
            self.history.delivered.append(one)
        elif first >> 4 == PUBACK:
            sent = self._unacknowledged.pop(int.from_bytes(body[:2], "big"), None)
            if sent:
                sent.acked = now()


class AivaTap(_Tap):
    """Keeps what was passed on of the answer to GET /jobs/events; other answers are not kept."""

    def __init__(self, world):
        super().__init__(world)
        self.stream = None

    def read(self, name, data):
        if name == "near" and b"GET /jobs/events" in data:
            # libcurl sends a request behind the answer to the one before.
            self.stream = StreamLink(self.link)
            self.history.streams.append(self.stream)

    def passed(self, name, data):
        if name == "far" and self.stream:
            self.stream.answer += data


class Observer:
    """A client that hears everything, and gives the commands."""

    def __init__(self, broker, history):
        self.history = history
        self.latest = {}
        self.changed = threading.Condition()
        self._broker = broker
        self._subscribed = threading.Event()
        self._client = new_client(f"soak-{uuid.uuid4().hex}", protocol=mqtt.MQTTv5)
        self._client.reconnect_delay_set(0.05, 0.05)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_disconnect = lambda *_: self._subscribed.clear()
        self._client.on_message = self._on_message

    def open(self):
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 0
        self._client.connect("127.0.0.1", self._broker.port, properties=properties)
        self._client.loop_start()
        self.wait_subscribed()

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()

    def forget(self):
        """The broker goes: wait_subscribed() is about the next one."""
        self._subscribed.clear()

    def wait_subscribed(self):
        assert self._subscribed.wait(30), "the observer could not subscribe"

    def _on_connect(self, client, *_):
        client.subscribe([(f"{ROOT}/#", SubscribeOptions(qos=1, retainAsPublished=True))])

    def _on_message(self, _client, _userdata, message):
        heard = Heard(now(), message.topic, message.payload)
        with self.changed:
            self.history.heard.append(heard)
            self.latest[message.topic] = message.payload
            self.changed.notify_all()

    def publish(self, topic, payload, retain=False):
        self._client.publish(topic, payload, 1, retain)

    def wait_for(self, condition, timeout):
        with self.changed:
            return self.changed.wait_for(condition, timeout)


class World:
    """Broker, simulator, bridge, the relays beside the bridge, and the observer."""

    def __init__(self, folder, history, seed_options):
        self.history = history
        self.options = seed_options
        self.broker = Broker(folder, persistence=seed_options["persistence"])
        extra = ["--event-ids"] if seed_options["event_ids"] else []
        self.simulator = Simulator(
            folder, "--keepalive", "1", "--line-end", seed_options["line_end"], *extra)
        self.bridge = Bridge(folder, {})
        self.observer = Observer(self.broker, history)
        self.to_broker = self.to_aiva = self._front = None
        self.problems = []
        self._complained = False

    def open(self):
        self.simulator.start()
        self.to_broker = Relay(self.broker.port, lambda: BrokerTap(self))
        self.to_aiva = Relay(self.simulator.port, lambda: AivaTap(self))
        self.to_broker.start()
        self.to_aiva.start()
        settings, self._front = way_to(self.to_broker.port)
        self.bridge.settings = {
            "aiva.url": f"http://127.0.0.1:{self.to_aiva.port}", "aiva.api_key": KEY,
            **settings,
            "mqtt.version": self.options["mqtt_version"],
            "mqtt.queue_limit": self.options["queue_limit"], "homeassistant.enabled": True,
            "homeassistant.max_jobs": 1000, **INTERVALS}
        self.broker.start()
        self.history.lives.append(Life(now()))
        self.observer.open()
        self.start_bridge()

    def close(self):
        try:
            if self.bridge.running:
                self.stop_bridge("term")
        finally:
            self.observer.close()
            for way in filter(None, (self._front, self.to_broker, self.to_aiva)):
                way.close()
            for program in (self.simulator, self.broker):
                if program.running:
                    program.end()

    def note(self, text):
        self.history.notes.append(Note(now(), text))

    # --- the bridge

    def start_bridge(self):
        self.history.runs.append(Run(len(self.history.runs) + 1, now()))
        self.bridge.start(env={
            # Freed memory that is kept for reports would look like a leak.
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "quarantine_size_mb=8")})

    def stop_bridge(self, how):
        """`kill` or `term`. An orderly stop has to end with 0, in time."""
        run = self.history.runs[-1]
        run.ending = now()
        run.how = how
        if how == "kill":
            self.bridge.kill()
        else:
            try:
                self.bridge.stop()
            except AssertionError as problem:
                self.problems.append(str(problem))
            took = now() - run.ending
            if took > self.options["stop_s"]:
                self.problems.append(f"an orderly stop took {took:.1f} s")
        run.ended = now()

    def watch_bridge(self):
        """Whether the bridge ended by itself is a problem; it is started again."""
        run = self.history.runs[-1]
        if run.ending or self.bridge.running:
            return
        self.problems.append(f"the bridge ended with {self.bridge.process.returncode}\n"
                             f"{self.bridge.tail()}")
        run.ending = run.ended = now()
        run.how = "crash"
        self.start_bridge()

    def look_into_log(self):
        """What a sanitizer says is a problem; said once."""
        output = self.bridge.output()
        for mark in SANITIZER_MARKS:
            at = output.find(mark)
            if at >= 0 and not self._complained:
                self._complained = True
                self.problems.append(f"a sanitizer complained:\n{output[max(0, at - 200):][:6000]}")

    def rss_kib(self):
        status = Path(f"/proc/{self.bridge.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))

    # --- the broker

    def restart_broker(self, number, pause):
        """The bridge gets to the new one when the observer listens there."""
        self.to_broker.refuse(True)
        self.observer.forget()
        self.history.lives[-1].ended = now()
        self.broker.send(signal.SIGCONT)
        self.broker.end(number)
        time.sleep(pause)
        self.broker.start()
        self.observer.wait_subscribed()
        self.history.lives.append(Life(now()))
        self.to_broker.refuse(False)

    def retained(self):
        """topic -> payload, as a new client sees it."""
        return {topic: message.payload for topic_filter in (f"{ROOT}/#", DEVICES)
                for topic, message in retained(self.broker, topic_filter).items()}

    def _upstream(self):
        return json.loads(self.observer.latest.get(f"{ROOT}/bridge/upstream") or b"{}")

    def upstream_state(self):
        return self._upstream().get("state")

    def upstream_is_well(self):
        """Streaming, and the list can be had."""
        upstream = self._upstream()
        return upstream.get("state") == "streaming" and "GET " not in upstream.get("detail", "")

    def heal(self):
        """Everything works again."""
        self.broker.send(signal.SIGCONT)
        self.simulator.clear_faults()
        for relay in (self.to_broker, self.to_aiva):
            relay.heal()
        if not self.bridge.running and self.history.runs[-1].ending:
            self.start_bridge()

    def wait_drained(self):
        """Until the broker has acknowledged everything that the bridge wrote."""
        def drained():
            link = self.history.sent[-1].link if self.history.sent else None
            return not link or link.closed or all(
                sent.acked for sent in self.history.sent[-300:] if sent.link is link)
        wait_until(drained, "the acknowledgements", 15, 0.05)
