"""Asking a bridge's http.listen, and reading Prometheus' text format as strictly as it is defined."""

import http.client
import json
import re

from .process import accepts
from .waiting import wait_until

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"^({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (-?[0-9.]+|\+Inf|NaN)$")
HISTOGRAM = ("_bucket", "_sum", "_count")


def split_label(text):
    """Name and value, escapes resolved."""
    name, value = re.match(r'(.*?)="(.*)"$', text).groups()
    return name, re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match[1], match[1]), value)


class Family:
    """One metric: its type, its help, and its samples as {(name, labels): value}."""

    def __init__(self, name, text):
        self.name = name
        self.help = text
        self.type = None
        self.samples = {}

    def owns(self, name):
        if self.type == "histogram":
            return any(name == self.name + suffix for suffix in HISTOGRAM)
        return name == self.name

    @property
    def labels(self):
        """The names of its labels, in order; `le` is the format's own."""
        names = []
        for _, labels in self.samples:
            names += [name for name, _ in labels if name not in names and name != "le"]
        return names


class Metrics:
    """What /metrics said; asserts that it is well-formed."""

    def __init__(self, text):
        assert text.endswith("\n")
        self.families = {}
        family = None
        for line in text.splitlines():
            if line.startswith("# HELP "):
                name, described = line.removeprefix("# HELP ").split(" ", 1)
                assert name not in self.families, f"{name} comes twice"
                family = self.families[name] = Family(name, described)
            elif line.startswith("# TYPE "):
                name, family.type = line.removeprefix("# TYPE ").split(" ")
                assert name == family.name and not family.samples, line
            else:
                self._add(family, line)

    def _add(self, family, line):
        match = SAMPLE.match(line)
        assert match, f"no sample: {line!r}"
        name, labels, value = match.groups()
        assert family.owns(name), f"{line!r} below {family.name}"
        key = (name, tuple(split_label(one) for one in re.findall(LABEL, labels or "")))
        assert key not in family.samples, f"{line!r} comes twice"
        family.samples[key] = float(value)

    def __getitem__(self, name):
        """The value of a sample without labels, "aiva_bridge_" left out."""
        return self.get(name)

    def get(self, name, **labels):
        """The value of the sample with exactly these labels."""
        name = name if name.startswith("process_") else f"aiva_bridge_{name}"
        for family in self.families.values():
            for (sample, has), value in family.samples.items():
                if sample == name and dict(has) == labels:
                    return value
        raise KeyError(f"{name} {labels}")

    def total(self, name, **labels):
        """The sum of all samples of that name that have these labels."""
        return sum(value for (_, has), value in self.families[f"aiva_bridge_{name}"].samples.items()
                   if labels.items() <= dict(has).items())


class Listener:
    """A bridge's http.listen."""

    def __init__(self, port, host="127.0.0.1"):
        self.host, self.port = host, port

    @property
    def listen(self):
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def wait_listening(self):
        """Waits until a connection is accepted."""
        wait_until(lambda: accepts(self.port), "somebody to listen")
        return self

    def ask(self, path, method="GET", body=None, headers=None, timeout=10):
        """Status, headers and body of one request."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def readiness(self):
        """Status and body of /readyz."""
        status, headers, body = self.ask("/readyz")
        assert headers["Content-Type"] == "application/json"
        return status, json.loads(body)

    def metrics(self):
        status, headers, body = self.ask("/metrics")
        assert status == 200
        assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return Metrics(body)

    def wait_ready(self, ready=True):
        """Waits until /readyz says so; returns its body."""
        def asked():
            status, body = self.readiness()
            assert (status == 200) == body["ready"]
            return body if body["ready"] == ready else None
        return wait_until(asked, "readiness" if ready else "the end of readiness")

    def wait_metric(self, condition, what):
        """Waits until the metrics satisfy a condition; returns them."""
        def asked():
            metrics = self.metrics()
            return metrics if condition(metrics) else None
        return wait_until(asked, what)
