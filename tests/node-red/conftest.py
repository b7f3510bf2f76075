"""Fixtures: one broker with the shipped access rules, a simulator, a bridge, a Node-RED and a notifier."""

import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

from harness.waiting import wait_until  # noqa: E402
from harness.world import World  # noqa: E402
from nodered import OTHER_ROOT, NodeRed, Notifier, shipped, subscriptions, with_login  # noqa: E402

RULES = HERE.parents[1] / "config" / "mosquitto-production.acl"


def pytest_configure(config):
    missing = [name for name in ("BRIDGE", "SIMULATOR", "NODE_RED") if not os.environ.get(name)]
    if missing and not config.option.collectonly:
        raise pytest.UsageError(f"set {' and '.join(missing)}; see tests/node-red/README.md")


def rules():
    """The shipped access rules, for the root they are written for and for another one."""
    text = RULES.read_text()
    assert " aiva/" in text
    return text + text.replace(" aiva/", f" {OTHER_ROOT}/")


class Laboratory(World):
    """A bridge and a Node-RED that have nothing but the broker in common."""

    def __init__(self, folder):
        users = {"bridge": "bridge-secret", "operator": "operator-secret"}
        super().__init__(folder, broker={"users": users, "acl": rules(),
                                          "options": ["log_type subscribe"]})
        self.bridge.settings.update({"mqtt.username": "bridge", "mqtt.password": users["bridge"]})
        self.notifier = Notifier()
        self.node_red = NodeRed(folder, self.broker.port)
        self.flows = with_login(self.notifier.wire_into(shipped()), "operator", users["operator"])

    def open(self):
        super().open()
        self.start()
        self.node_red.start()
        return self

    def deploy(self, flows):
        """Imports flows, and waits until they hear what the bridge says."""
        seen = len(self.broker.output())
        self.node_red.deploy(flows)
        wanted = subscriptions(flows)

        def subscribed():
            lines = self.broker.output()[seen:].splitlines()
            return wanted <= {line.split()[-1] for line in lines if line} or not self.node_red.running

        wait_until(subscribed, f"Node-RED to subscribe to {wanted}")
        assert self.node_red.running, self.node_red.tail()

    def close(self):
        try:
            if self.node_red.running:
                self.node_red.end()
        finally:
            self.notifier.close()
            super().close()


@pytest.fixture(scope="session")
def everything(tmp_path_factory):
    laboratory = Laboratory(tmp_path_factory.mktemp("laboratory"))
    try:
        yield laboratory.open()
    finally:
        laboratory.close()


@pytest.fixture(scope="session")
def imported(everything):
    """The flows are imported as they are shipped, once."""
    everything.deploy(everything.flows)
    return everything


@pytest.fixture
def lab(imported):
    """The running laboratory, for tests that leave the bridge running and the flows as shipped."""
    imported.bridge.assert_alive()
    return imported


@pytest.fixture
def changed(lab):
    """Deploys other flows for one test; those that are shipped come back afterwards."""
    yield lab.deploy
    lab.deploy(lab.flows)


