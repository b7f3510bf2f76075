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
            "mqtt": {"url": rig.mqtt_url},
            # The commands' latency is measured, not their limit.
            "commands": {"rate_per_s": 10000, "burst": 100000},
        }
        if rig.authority:
            config["mqtt"]["ca_file"] = str(rig.authority)
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
        tls = 1 if rig.authority else 0
        return rig.tool("rawpub", port=rig.client_port, version=self.version, tls=tls, **self.work), {}


class Peer(Contender):
    """`whole`: it gives each job a topic of its own; who does less is shown, and not compared with.
    `websocket`: its MQTT library speaks that without further words."""

    peer = True

    def __init__(self, name, words, whole=True, websocket=False):
        super().__init__(name)
        self.words = words
        self.whole = whole
        self.websocket = websocket

    def command(self, rig):
        env = {
            "AIVA_URL": f"http://127.0.0.1:{rig.http_port}",
            "AIVA_API_KEY": "bench",
            "MQTT_URL": rig.mqtt_url,
            "MQTT_HOST": "localhost" if rig.authority else "127.0.0.1",
            "MQTT_PORT": str(rig.client_port),
            "NODERED_PORT": str(free_port()),
        }
        if rig.authority:
            env.update(MQTT_CA=str(rig.authority), NODE_EXTRA_CA_CERTS=str(rig.authority))
        return self.words, env


def peers(folder):
    """The peers, as run.sh has laid them in the folder."""
    return [
        Peer("Node eventsource", ["node", folder / "node-eventsource/bridge.js"], websocket=True),
        Peer("Node fetch", ["node", folder / "node-fetch/bridge.js"], websocket=True),
        Peer("Node-RED", [folder / "nodered/run.sh"]),
        Peer("Python", ["/usr/bin/python3", folder / "python/bridge.py"]),
        Peer("shell sed", [folder / "shell/sed.sh"], whole=False),
        Peer("shell grep", [folder / "shell/grep.sh"], whole=False),
    ]
