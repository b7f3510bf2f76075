"""Who takes part: the bridge in one or more builds, the raw publisher, the peers."""

import json

from .processes import free_port


class Contender:
    """`reads`: it reads the firehose's stream; the raw publisher does not."""

    reads = True
    peer = False

    def __init__(self, name):
        self.name = name

    def command(self, rig):
        raise NotImplementedError


class Bridge(Contender):
    """`settings`: members for the configuration beside those that the rig needs."""

    def __init__(self, name, binary, settings=None):
        super().__init__(name)
        self.binary = binary
        self.settings = settings or {}

    def command(self, rig):
        config = {
            "aiva": {"url": f"http://127.0.0.1:{rig.http_port}", "api_key": "bench"},
            "mqtt": {"url": f"mqtt://127.0.0.1:{rig.mqtt_port}"},
            # The commands' latency is measured, not their limit.
            "commands": {"rate_per_s": 10000, "burst": 100000},
        }
        for group, members in self.settings.items():
            config.setdefault(group, {}).update(members)
        path = rig.folder / f"{self.name}.json"
        path.write_text(json.dumps(config))
        return [self.binary, "--config", path], {}


class Raw(Contender):
    """Ready-made packets; what it is to publish is given by the scenario."""

    reads = False

    def __init__(self, name, version):
        super().__init__(name)
        self.version = version
        self.work = {}

    def command(self, rig):
        return rig.tool("rawpub", port=rig.mqtt_port, version=self.version, **self.work), {}


class Peer(Contender):
    """`whole`: it gives each job a topic of its own; who does less is shown, and not compared with."""

    peer = True

    def __init__(self, name, words, whole=True):
        super().__init__(name)
        self.words = words
        self.whole = whole

    def command(self, rig):
        env = {
            "AIVA_URL": f"http://127.0.0.1:{rig.http_port}",
            "AIVA_API_KEY": "bench",
            "MQTT_URL": f"mqtt://127.0.0.1:{rig.mqtt_port}",
            "MQTT_HOST": "127.0.0.1",
            "MQTT_PORT": str(rig.mqtt_port),
            "NODERED_PORT": str(free_port()),
        }
        return self.words, env


def peers(folder):
    """The peers, as run.sh has laid them in the folder."""
    return [
        Peer("Node eventsource", ["node", folder / "node-eventsource/bridge.js"]),
        Peer("Node fetch", ["node", folder / "node-fetch/bridge.js"]),
        Peer("Node-RED", [folder / "nodered/run.sh"]),
        Peer("Python", ["/usr/bin/python3", folder / "python/bridge.py"]),
        Peer("shell sed", [folder / "shell/sed.sh"], whole=False),
        Peer("shell grep", [folder / "shell/grep.sh"], whole=False),
    ]
