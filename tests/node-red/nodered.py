"""Node-RED as a program, its admin API, and a notifier such as its users would wire in."""

import copy
import http.client
import json
import os
import pathlib

from harness.process import Program, accepts, free_port
from harness.waiting import PATIENCE, wait_until
from harness.webservice import WebService

HERE = pathlib.Path(__file__).parent
FLOWS = HERE.parents[1] / "config" / "node-red" / "flows.json"
OTHER_ROOT = "lab/aiva"
"""Another root than the flows are shipped for; the broker's access rules allow it too."""
START = 60.0
"""Seconds that Node-RED may take to start: it reads some thousand files."""


def shipped():
    """The flows as they are shipped."""
    return json.loads(FLOWS.read_text("utf-8"))


def named(flows, kind, name):
    """The one node of a type that has this name."""
    found = [node for node in flows if node["type"] == kind and node.get("name") == name]
    assert len(found) == 1, f"{len(found)} nodes of type {kind} are called {name!r}"
    return found[0]


def with_setting(flows, name, value):
    """The flows with an environment variable of their tab changed, as its dialogue does it."""
    changed = copy.deepcopy(flows)
    tab = next(node for node in changed if node["type"] == "tab")
    variable = next(one for one in tab["env"] if one["name"] == name)
    variable["value"] = str(value)
    return changed


def subscriptions(flows):
    """The topics that the flows subscribe to: whole names of variables of their tab."""
    tab = next(node for node in flows if node["type"] == "tab")
    variables = {one["name"]: one["value"] for one in tab["env"]}
    return {variables[node["topic"].strip("${}")].replace("${ROOT}", variables["ROOT"])
            for node in flows if node["type"] == "mqtt in"}


def with_login(flows, user, password):
    """The flows with a user name and a password at the broker, as the editor hands them over."""
    changed = copy.deepcopy(flows)
    named(changed, "mqtt-broker", "AIVA broker")["credentials"] = {"user": user, "password": password}
    return changed


class Notifier(WebService):
    """A web service that takes notices: what people wire to "AIVA: tell people"."""

    def __init__(self):
        self.notices = []

        def take(_path, _headers, body):
            self.notices.append(json.loads(body))
            return 200, b""

        super().__init__(take)

    def wire_into(self, flows):
        """The flows with this notifier next to the debug node."""
        changed = copy.deepcopy(flows)
        tab = next(node["id"] for node in changed if node["type"] == "tab")
        rule = '{"title": topic, "text": payload, "level": level}'
        changed += [
            {"id": "notifier-body", "type": "change", "z": tab, "name": "", "x": 400, "y": 1300,
             "rules": [{"t": "set", "p": "payload", "pt": "msg", "to": rule, "tot": "jsonata"}],
             "wires": [["notifier-post"]]},
            {"id": "notifier-post", "type": "http request", "z": tab, "name": "", "x": 600, "y": 1300,
             "method": "POST", "ret": "txt", "paytoqs": "ignore", "tls": "", "persist": False,
             "url": self.url, "wires": [[]]}]
        named(changed, "link in", "AIVA: tell people")["wires"][0].append("notifier-body")
        return changed

    def mark(self):
        return len(self.notices)

    def about(self, since, *words):
        """The notices since a mark in whose title or text all the words stand."""
        return [notice for notice in self.notices[since:]
                if all(word in f"{notice['title']}\n{notice['text']}" for word in words)]

    def wait_for(self, since, *words, timeout=PATIENCE):
        """The first notice since a mark in whose title or text all the words stand."""
        try:
            return wait_until(lambda: self.about(since, *words), f"a notice with {words}", timeout)[0]
        except AssertionError as error:
            raise AssertionError(f"{error}; there were {self.notices[since:]}") from None


class NodeRed(Program):
    """One Node-RED on a port of its own, with a user folder of its own."""

    def __init__(self, folder, broker_port):
        super().__init__("node-red", folder)
        self.folder = folder
        self.port = free_port()
        self._broker_port = broker_port
        self._installed = pathlib.Path(os.environ["NODE_RED"])

    def start(self):
        """Starts Node-RED and waits for its admin API."""
        user = self.folder / "user"
        user.mkdir(exist_ok=True)
        self.spawn(["node", self._installed / "node_modules/node-red/red.js",
                    "-s", HERE / "settings.js", "-u", user],
                   {"NODE_RED_PORT": str(self.port), "AIVA_BROKER": "127.0.0.1",
                    "AIVA_PORT": str(self._broker_port)})
        wait_until(lambda: not self.running or (accepts(self.port) and self._started()),
                   "Node-RED to start", START, pause=0.1)
        assert self.running, self.tail()
        return self

    def _started(self):
        status, answer = self.call("GET", "/flows/state")
        return status == 200 and json.loads(answer)["state"] == "start"

    def call(self, method, path, body=None, **headers):
        """One HTTP request; returns status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def deploy(self, flows):
        """Imports flows in the place of what was there."""
        status, answer = self.call("POST", "/flows", {"flows": flows},
                                   **{"Node-RED-API-Version": "v2", "Node-RED-Deployment-Type": "full"})
        assert status == 200, f"{status} {answer!r}\n{self.tail()}"

    def press(self, node, **members):
        """Presses an inject node's button, with other members of the message where some are given."""
        props = [{"p": name, "v": str(value), "vt": "num" if isinstance(value, (int, float)) else "str"}
                 for name, value in members.items()]
        body = {"__user_inject_props__": props} if props else {}
        status, answer = self.call("POST", f"/inject/{node['id']}", body)
        assert status == 200, f"{status} {answer!r}"

    def page(self, path="/aiva/jobs"):
        """A page that a flow serves: headers are asserted to be those of a page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read().decode()
            assert answer.status == 200, f"{answer.status} {text}"
            assert answer.getheader("Content-Type").startswith("text/html")
            return text
        finally:
            connection.close()
