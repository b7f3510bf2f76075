"""One run: a broker, the firehose, the sink and the contender, each fresh, all on 127.0.0.1."""

import json
import shutil
import socket
import tempfile
import time
import urllib.request
from pathlib import Path

from . import certificates
from .processes import Failure, Process, cpu_seconds, free_port, peak_mb, wait_until

MOSQUITTO_CONF = """listener {port} 127.0.0.1
allow_anonymous true
persistence false
"""
MOSQUITTO_TLS = """user root
listener {port} 127.0.0.1
certfile broker.pem
keyfile broker.key
"""
URLS = {"tcp": "mqtt://127.0.0.1:{}", "tls": "mqtts://localhost:{}", "ws": "ws://127.0.0.1:{}/mqtt"}


class Rig:
    """Use it as a context: everything that it has started ends with it. `transport`: how contenders
    reach the broker: tcp, tls or ws. The benchmark's own programs do so over TCP."""

    def __init__(self, tools, transport="tcp"):
        self.tools = Path(tools)
        self.folder = Path(tempfile.mkdtemp(prefix="aiva-bench-"))
        self.processes = []
        self.broker = self.firehose = self.sink = self.contender = None
        self.transport = transport
        self.mqtt_port = self.client_port = self.http_port = 0
        self.null = False
        if transport == "tls":
            certificates.make(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name, command, env=None):
        process = Process(name, command, self.folder, env)
        self.processes.append(process)
        return process

    def end(self, process):
        process.stop()
        self.processes.remove(process)

    def tool(self, name, **options):
        command = [self.tools / name]
        for option, value in options.items():
            command += [f"--{option}", value]
        return command

    @property
    def mqtt_url(self):
        return URLS[self.transport].format(self.client_port)

    @property
    def authority(self):
        """The file of the authority that has signed the broker's certificate; None without TLS."""
        return self.folder / "authority.pem" if self.transport == "tls" else None

    # ---- What is started

    def start_mosquitto(self):
        self.mqtt_port = self.client_port = free_port()
        config = MOSQUITTO_CONF.format(port=self.mqtt_port)
        if self.transport == "tls":
            self.client_port = free_port()
            config += MOSQUITTO_TLS.format(port=self.client_port)
        (self.folder / "mosquitto.conf").write_text(config)
        self.broker = self.start("mosquitto", ["mosquitto", "-c", "mosquitto.conf"])
        wait_until(self.broker_listens, 10, "mosquitto listens")

    def broker_listens(self):
        if not self.broker.alive():
            raise Failure(f"mosquitto has ended: {self.broker.words()}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.client_port)) == 0

    def start_null_broker(self, **work):
        self.null = True
        if self.transport == "tls":
            work.update(certificate="broker.pem", key="broker.key")
        if self.transport == "ws":
            work.update(websocket=1)
        self.broker = self.start("nullbroker", self.tool("nullbroker", **work))
        self.mqtt_port = self.client_port = self.read_port(self.broker)

    def start_firehose(self, **options):
        self.firehose = self.start("firehose", self.tool("firehose", **options))
        self.http_port = self.read_port(self.firehose)

    def start_sink(self, **work):
        self.sink = self.start("sink", self.tool("sink", port=self.mqtt_port, **work))
        if self.sink.line(10) != "ready":
            raise Failure("the sink cannot subscribe")

    def start_contender(self, contender):
        command, env = contender.command(self)
        self.contender = self.start(contender.name, command, env)
        return self.contender

    @staticmethod
    def read_port(process):
        line = process.line(30)
        if not line or not line.startswith("port "):
            raise Failure(f"{process.name} names no port: {line}")
        return int(line.split()[1])

    # ---- The firehose's own calls

    def ask_firehose(self, call, post=False):
        url = f"http://127.0.0.1:{self.http_port}/_bench/{call}"
        request = urllib.request.Request(url, method="POST" if post else "GET")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def pour(self, events, rate=0):
        self.ask_firehose(f"start?events={events}&rate={rate}", post=True)

    def wait_settled(self, quiet_s=0.7, timeout_s=120):
        """The stream is open and the contender asks for nothing more, nor uses the processor."""
        last, since = None, time.monotonic()
        deadline = since + timeout_s
        while time.monotonic() - since < quiet_s:
            if time.monotonic() > deadline:
                raise Failure(f"{self.contender.name} does not come to rest")
            if not self.contender.alive():
                raise Failure(f"{self.contender.name} has ended: {self.contender.words()}")
            state = self.ask_firehose("state")
            # Less than one tick in twenty: what an idle runtime uses.
            now = (state["open"], state["statuses"], state["lists"],
                   int(cpu_seconds(self.contender.pid) / 0.05))
            if now != last or not state["open"]:
                last, since = now, time.monotonic()
            time.sleep(0.1)

    # ---- What is measured

    def measure(self, timeout_s):
        """The line of the sink, or of the null broker, once all has arrived or nothing more comes."""
        source = self.broker if self.null else self.sink
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            line = source.line(0.5)
            if line is not None:
                return json.loads(line)
            if self.contender and not self.contender.alive() and self.contender.child.returncode:
                raise Failure(f"{self.contender.name} has ended: {self.contender.words()}")
        source.child.terminate()
        line = source.line(10)
        if line is None:
            raise Failure(f"{source.name} says nothing")
        return json.loads(line)

    def usage(self):
        return {"cpu_s": cpu_seconds(self.contender.pid), "peak_mb": peak_mb(self.contender.pid)}
