"""The AIVA simulator and its control interface."""

import http.client
import json
import os
from urllib.parse import quote, urlencode

from .process import Program, free_port
from .waiting import wait_until

KEY = "key-4f1c2e-not-to-be-seen"


class Simulator(Program):
    """The upstream. By default nothing happens there unless a test says so."""

    def __init__(self, folder, *options, port=None, key=KEY, manual=True):
        super().__init__("simulator", folder)
        self.folder = folder
        self.wanted_port = port or free_port()
        self.port = None
        self.options = ["--key", key, *options] + (["--manual"] if manual else [])

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port or self.wanted_port}"

    def start(self):
        """Starts the simulator without jobs and waits for its port."""
        port_file = self.folder / "simulator.port"
        port_file.unlink(missing_ok=True)
        self.spawn([os.environ["SIMULATOR"], "--listen", f"127.0.0.1:{self.wanted_port}",
                    "--port-file", port_file, "--jobs", "0", *self.options])
        wait_until(lambda: port_file.exists() or not self.running, "the simulator to listen")
        assert self.running, self.tail()
        self.port = int(port_file.read_text())
        return self

    def call(self, method, path, body=b"", headers=None):
        """One request; returns the answer's status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def control(self, method, path, body=b"", **query):
        """One control call, which has to succeed; returns the body."""
        target = f"/_control/{path}" + (f"?{urlencode(query)}" if query else "")
        status, answer = self.call(method, target, body)
        assert status < 300, f"{method} {target}: {status} {answer!r}\n{self.tail()}"
        return answer

    def jobs(self):
        """All jobs by id, as the simulator knows them."""
        return {job["job_id"]: job for job in json.loads(self.control("GET", "jobs"))}

    def put_jobs(self, jobs):
        """Replaces all jobs without an event; a list, or JSON text to be kept as it stands."""
        self.control("PUT", "jobs", jobs if isinstance(jobs, bytes) else json.dumps(jobs).encode())

    def set_job(self, job, quiet=False, text=None, **members):
        """Creates or changes a job, by members or JSON text; the stream says so unless `quiet`."""
        query = {"quiet": 1} if quiet else {}
        text = json.dumps(members).encode() if text is None else text
        self.control("POST", f"jobs/{quote(job, safe='')}", text, **query)

    def vanish(self, job):
        """The job goes without an event."""
        self.control("DELETE", f"jobs/{quote(job, safe='')}")

    def emit(self, data, **fields):
        """Sends one event: an object as JSON, or bytes as they stand. Changes no job."""
        text = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.control("POST", "emit", text, **fields)

    def raw(self, data):
        """Writes bytes into every open stream."""
        self.control("POST", "raw", data)

    def cut(self, hard=False):
        """Ends all open streams; `hard`: in the middle of a chunk."""
        self.control("POST", "cut", **({"hard": 1} if hard else {}))

    def fault(self, on, **what):
        """The next request of this kind goes wrong in the way described."""
        self.control("POST", "faults", json.dumps({"on": on, **what}).encode())

    def clear_faults(self):
        self.control("DELETE", "faults")

    def set_key(self, key):
        """From now on only this key is accepted."""
        self.control("POST", "key", key.encode())

    def stats(self):
        return json.loads(self.control("GET", "stats"))

    def requests(self, kind):
        """How many requests of a kind have come."""
        return self.stats()["requests"][kind]

    def in_progress(self, kind):
        """Whether a request of a kind still waits for its answer."""
        return any(line["kind"] == kind and not line["status"] for line in self.stats()["log"])

    def paths(self, kind):
        """The method and path of each request of a kind, in order."""
        log = self.stats()["log"]
        return [f"{line['method']} {line['path']}" for line in log if line["kind"] == kind]
