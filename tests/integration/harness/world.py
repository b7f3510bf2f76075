"""Broker, simulator, bridge and recorder, put together for one test or one test file."""

import functools
import itertools
import os
import pathlib
import tempfile
import uuid

from . import topics
from .bridge import Bridge
from .broker import Broker
from .certificates import Authority, TlsFront
from .recorder import Recorder, retained
from .simulator import KEY, Simulator
from .waiting import PATIENCE, wait_until

CREATED = "2026-03-09T10:30:00Z"
ENDED = ("completed", "failed", "cancelled")


def job(name, status="processing", **members):
    """A job as the simulator takes it."""
    return {"job_id": name, "status": status, "sample_name": f"Sample {name}",
            "created_at": CREATED, **members}


def described(name, status):
    """The members of a new job, without its id."""
    members = job(name, status)
    del members["job_id"]
    return members


@functools.cache
def authority_of_all():
    """Of the servers of all worlds."""
    folder = tempfile.TemporaryDirectory(prefix="aiva-authority-")
    authority = Authority(pathlib.Path(folder.name))
    authority.keeps = folder  # it goes with the process
    return authority


@functools.cache
def server_of_all():
    return authority_of_all().issue("server")


def way_to(port):
    """The settings with which a bridge reaches the broker on a port, and what has to be closed in the
    end, or None. With TRANSPORT=tls in the environment it goes over TLS."""
    if os.environ.get("TRANSPORT") != "tls":
        return {"mqtt.url": f"mqtt://127.0.0.1:{port}"}, None
    front = TlsFront(port, *server_of_all())
    return {"mqtt.url": f"mqtts://127.0.0.1:{front.port}",
            "mqtt.ca_file": str(authority_of_all().file)}, front


class World:
    """Everything that one bridge needs, and the questions that tests ask about it."""

    def __init__(self, folder, broker=None, simulator=()):
        self._numbers = itertools.count(1)
        # Options for a mosquitto, or a server that is made already.
        self.broker = Broker(folder, **(broker or {})) if isinstance(broker, (dict, type(None))) \
            else broker
        self.simulator = Simulator(folder, *simulator)
        self.bridge = Bridge(folder, {"aiva.url": self.simulator.url, "aiva.api_key": KEY})
        self.recorder = None
        self._front = None

    def open(self):
        """Starts all but the bridge."""
        self.broker.start()
        settings, self._front = way_to(self.broker.port)
        self.bridge.settings.update(settings)
        self.simulator.start()
        self.record()
        return self

    def record(self, **options):
        """Begins a new record."""
        written = set()
        if self.recorder is not None:
            self.recorder.close()
            self.recorder.assert_well_formed()
            # What a test has left retained comes again.
            written = self.recorder.written
        self.recorder = Recorder(self.broker, **options)
        self.recorder.written |= written
        self.recorder.guard = self.bridge.assert_alive

    def close(self):
        """Ends everything; fails where the bridge has something to be ashamed of."""
        try:
            if self.bridge.process is not None:
                self.bridge.finish()
        finally:
            if self.recorder is not None:
                self.recorder.close()
            if self._front is not None:
                self._front.close()
            if self.simulator.running:
                self.simulator.end()
            if self.broker.running:
                self.broker.kill()
        if self.recorder is not None and self.bridge.process is not None:
            self.recorder.assert_well_formed()

    def start(self, jobs=(), config=None, env=None):
        """Starts the bridge with these jobs upstream; returns when it has published them."""
        if jobs:
            self.simulator.put_jobs(list(jobs))
        since = self.recorder.mark()
        lists = self.simulator.requests("list")
        self.bridge.start(config, env)
        self.wait_upstream("streaming", since)
        wait_until(lambda: self.simulator.requests("list") > lists
                   and not self.simulator.in_progress("list"), "the list to be read")
        for one in jobs:
            self.wait_known(one, since, (config or {}).get("jobs.hide", ()))
        return since

    def restart(self, config=None, env=None):
        """Stops the bridge and starts it again; returns the mark of the start."""
        self.bridge.stop()
        return self.start(config=config, env=env)

    def wait_known(self, one, since, hidden=()):
        """Waits until a job's topic shows all that list and status give of it."""
        late = ("progress", "message") if one["status"] in ENDED else ()
        shown = {name: value for name, value in one.items() if name not in (*late, *hidden)}
        self.wait_state(one["job_id"], since, **shown)

    def wait_upstream(self, state, since=0, timeout=PATIENCE):
        return self.recorder.wait_topic(topics.of_bridge("upstream"), since, timeout, state=state)

    def wait_state(self, name, since=0, **members):
        """The first state of a job since a mark that shows these members."""
        return self.recorder.wait_topic(topics.of_job(name, "state"), since, **members)

    def wait_event(self, name, since=0, **members):
        return self.recorder.wait_topic(topics.of_job(name, "event"), since, **members)

    def states(self, name, since=0):
        return self.recorder.select(topics.of_job(name, "state"), since)

    def events(self, name, since=0):
        return [one.json for one in self.recorder.select(topics.of_job(name, "event"), since)]

    def results(self, name, since=0):
        return [one.json for one in self.recorder.select(topics.of_job(name, "result"), since)]

    def retained(self, topic_filter="#"):
        """What a new client would find at the broker."""
        return retained(self.broker, topic_filter)

    def new_name(self, prefix="job"):
        """A job id that nobody has used yet."""
        return f"{prefix}-{next(self._numbers)}-{uuid.uuid4().hex[:6]}"

    def create(self, status="processing", timeout=PATIENCE, **members):
        """A new job that the stream announces; returns its id once it is published."""
        name = self.new_name()
        since = self.recorder.mark()
        self.simulator.set_job(name, **{**described(name, status), **members})
        for leaf, shown in (("state", {"status": status}), ("event", {})):
            self.recorder.wait_topic(topics.of_job(name, leaf), since, timeout, **shown)
        return name

    def known_upstream(self, status="processing"):
        """A new job that the upstream knows and has not told of; returns its id."""
        name = self.new_name()
        self.simulator.set_job(name, quiet=True, status=status)
        return name

    def stream_marker(self, timeout=PATIENCE):
        """Sends a last event and waits for it: what the stream said before is published now."""
        return self.create("queued", timeout)

    def send_command(self, name, command, payload=b"{}", **options):
        """Asks the bridge for something; returns the mark from which the answer may come."""
        since = self.recorder.mark()
        self.recorder.publish(topics.of_job(name, f"command/{command}"), payload, **options)
        return since

    def command(self, name, command, payload=b"{}", timeout=PATIENCE, **options):
        """Asks the bridge for something and returns the answer."""
        since = self.send_command(name, command, payload, **options)
        return self.recorder.wait_topic(topics.of_job(name, "result"), since, timeout).json

    def refresh(self, payload=b"{}", **options):
        """Has the bridge read the list; returns the answer."""
        since = self.recorder.mark()
        self.recorder.publish(topics.of_bridge("command/refresh"), payload, **options)
        return self.recorder.wait_topic(topics.of_bridge("result"), since).json

    def command_marker(self):
        """A command of its own, answered: commands sent before have reached the bridge."""
        name = self.create("processing")
        assert self.command(name, "refresh")["ok"]
        return name

