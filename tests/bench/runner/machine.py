"""What the figures were measured on and with."""

import json
import os
import platform
import re
import subprocess
from pathlib import Path

PACKAGES = ("mosquitto", "libpaho-mqtt1.3", "libcurl4", "libcurl4t64", "libcjson1",
            "python3-paho-mqtt", "python3-requests")


def said(*command):
    """The first line that a command prints; empty if there is no such command."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return ((done.stdout or done.stderr).strip().splitlines() or [""])[0]


def package(name):
    return said("dpkg-query", "-W", "-f", "${Version}", name)


def peer_packages(peers):
    """Versions of the npm packages, as pinned."""
    found = {}
    for path in sorted(Path(peers).glob("*/package.json")):
        found.update(json.loads(path.read_text())["dependencies"])
    return found


def describe(root):
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    system = re.search(r'^PRETTY_NAME="(.+)"$', Path("/etc/os-release").read_text(), re.M)
    versions = {name: package(name) for name in PACKAGES}
    versions["node"] = said("node", "--version").lstrip("v")
    versions.update(peer_packages(root / "tests/bench/peers"))
    versions["gcc"] = said("gcc", "-dumpfullversion")
    return {
        "processor": cpu.group(1) if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(int(memory.group(1)) * 1024 / 1e9) if memory else 0,
        "kernel": platform.release(),
        "system": system.group(1) if system else "",
        # Others at work at the start: the figures are then those of a part of the machine.
        "load": round(os.getloadavg()[0], 1),
        "commit": said("git", "-C", str(root), "describe", "--always", "--dirty"),
        "versions": {name: version for name, version in versions.items() if version},
    }


def lines(machine):
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return [
        f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gb']} GB, "
        f"{machine['system']}, kernel {machine['kernel']}, load {machine['load']} at the start; "
        f"bridge at {machine['commit']}.",
        f"With {versions}.",
    ]
