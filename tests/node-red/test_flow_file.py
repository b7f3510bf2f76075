"""The file of flows by itself: what it is made of, what it must not hold, how it looks in the editor."""

import json
import os
import pathlib
import re

from nodered import FLOWS, HERE, shipped

CORE = pathlib.Path(os.environ["NODE_RED"]) / "node_modules/@node-red/nodes/core"
# Not nodes: a page of the editor, and a frame on it.
EDITOR = {"tab", "group"}


def core_types():
    """The types that Node-RED's own nodes register."""
    return {name for file in CORE.rglob("*.js")
            for name in re.findall(r"registerType\(\s*[\"']([^\"']+)[\"']", file.read_text("utf-8"))}


def drawn():
    """The nodes that have a place on the page."""
    return [node for node in shipped() if "x" in node and node["type"] != "group"]


def test_core_nodes_alone():
    known = core_types()
    assert "mqtt in" in known
    assert {node["type"] for node in shipped()} <= known | EDITOR


def test_one_tab_and_one_broker_from_the_environment():
    flows = shipped()
    assert [node["type"] for node in flows].count("tab") == 1
    broker, = [node for node in flows if node["type"] == "mqtt-broker"]
    assert (broker["broker"], broker["port"]) == ("${AIVA_BROKER}", "${AIVA_PORT}")
    assert broker["protocolVersion"] == "5"
    assert broker["clientid"] == ""
    assert all(node["broker"] == broker["id"] for node in flows if node["type"] in ("mqtt in", "mqtt out"))


def test_no_secrets():
    assert "credentials" not in FLOWS.read_text("utf-8")


def test_every_wire_and_link_leads_somewhere():
    flows = shipped()
    ids = [node["id"] for node in flows]
    assert len(set(ids)) == len(ids)
    for node in flows:
        ends = [end for port in node.get("wires", []) for end in port]
        places = [node[key] for key in ("z", "g", "broker") if key in node and node["type"] != "mqtt-broker"]
        members = node.get("nodes", []) + node.get("links", []) + (node.get("scope") or [])
        for other in ends + places + members:
            assert other in ids, f"{node['id']} refers to {other}"
    by_id = {node["id"]: node for node in flows}
    for group in (node for node in flows if node["type"] == "group"):
        assert all(by_id[member]["g"] == group["id"] for member in group["nodes"])


def test_nodes_are_named_and_explained():
    for node in drawn():
        assert node["name"] or node["type"] == "http response", node
    explained = {node.get("g") for node in drawn() if node["type"] == "comment" and node["info"]}
    assert explained >= {node["id"] for node in shipped() if node["type"] == "group"}


def test_nodes_lie_in_their_groups_and_not_on_each_other():
    flows = shipped()
    groups = {node["id"]: node for node in flows if node["type"] == "group"}
    for node in drawn():
        group = groups.get(node.get("g"))
        if group is not None:
            assert group["x"] < node["x"] < group["x"] + group["w"], node["name"]
            assert group["y"] + 25 <= node["y"] <= group["y"] + group["h"] - 15, node["name"]
    boxes = sorted((group["y"], group["y"] + group["h"]) for group in groups.values())
    assert all(above[1] < below[0] for above, below in zip(boxes, boxes[1:]))
    # A node is at least 100 wide (a link 30) and 30 high.
    for number, one in enumerate(drawn()):
        for other in drawn()[:number]:
            apart = 30 if "link out" in (one["type"], other["type"]) else 100
            assert abs(one["x"] - other["x"]) >= apart or abs(one["y"] - other["y"]) >= 30, (one["name"], other["name"])


def test_the_tested_node_red_is_pinned():
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    assert wanted == {"node-red": "4.1.15"}
    lock = json.loads((HERE / "package-lock.json").read_text())
    for name, package in lock["packages"].items():
        assert "resolved" not in package, f"{name} comes from somewhere: the registry is npm's own setting"
        assert name == "" or package.get("inBundle") or package["integrity"].startswith("sha512-"), name
    running = json.loads((CORE.parents[3] / "node_modules/node-red/package.json").read_text())
    assert running["version"] == wanted["node-red"]
