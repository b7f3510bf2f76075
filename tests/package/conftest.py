"""The release build, and what its program is linked with."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def said(*command, **more):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True, **more).stdout


def owners(files):
    """File to the Debian package that it belongs to. Some packages know theirs without /usr, some with it."""
    spelled = {str(path): file for file in files for path in (file, pathlib.Path("/usr") / file.relative_to("/"))}
    listed = subprocess.run(["dpkg", "-S", *spelled], capture_output=True, text=True, check=False).stdout
    found = {spelled[line.rsplit(": ")[1]]: line.split(":")[0] for line in listed.splitlines()}
    assert set(found) == set(files), listed
    return found


@pytest.fixture(scope="session")
def build():
    return pathlib.Path(os.environ["BUILD"])


@pytest.fixture(scope="session")
def program(build):
    return build / "aiva-mqtt-bridge"


@pytest.fixture(scope="session")
def libraries(program):
    """The libraries that the program itself asks for, but the C library's: file to package."""
    needed = re.findall(r"NEEDED\s+(\S+)", said("objdump", "-p", program))
    files = dict(re.findall(r"(\S+) => (\S+)", said("ldd", program)))
    found = owners([pathlib.Path(files[name]) for name in needed])
    return {file: package for file, package in found.items() if package != "libc6"}
