"""Dockerfile and docker-compose.yml against the build, Debian and the schema of Compose."""

import json
import re

import pytest
import yaml
from conftest import ROOT, owners, said

SCHEMA = ROOT / "build/tools/compose_spec.json"


def packages(name):
    return set(said("bash", "-c", f'. cmake/packages.sh && printf "%s\\n" "${{{name}[@]}}"', cwd=ROOT).split())


def test_the_build_image_has_what_the_program_is_linked_with(libraries):
    """The -dev package of each library is in the list that the Dockerfile installs."""
    links = [file.with_name(re.sub(r"\.so\..*", ".so", file.name)) for file in libraries]
    assert set(owners(links).values()) <= packages("PACKAGES_BUILD")


def test_the_base_is_named_once_and_can_be_a_digest():
    text = (ROOT / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.M)
    assert bases == ["${BASE}", "scratch", "scratch"]
    assert len(re.findall(r"^ARG BASE=debian:bookworm-\S+$", text, re.M)) == 1


@pytest.mark.parametrize("path", ["Dockerfile", "config/home-assistant/addon/Dockerfile"])
def test_every_builder_runs_the_same(path):
    """Without SHELL, which the OCI's format does not have: what bash has to run names it. Each base can be given."""
    text = (ROOT / path).read_text()
    assert not re.search(r"^SHELL\b", text, re.M)
    runs = re.findall(r"^RUN ((?:.*\\\n)*.*)$", text, re.M)
    assert len(runs) >= 2
    for run in runs:
        if run.startswith("["):
            program, option, script = json.loads(run)
            assert (program, option) == ("/bin/bash", "-euc")
            said("bash", "-n", "-c", script)
        else:
            said("dash", "-n", "-c", run)
            assert "[@]" not in run and not run.startswith(". "), "a script for bash, given to sh"
    assert set(re.findall(r"^FROM (\S+)", text, re.M)) - {"scratch"} == {"${BASE}"}


def test_compose_needs_nothing_new():
    """docker-compose 1.29, Debian 12's, refuses a name at the top."""
    assert "name" not in yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_what_the_images_are_built_from_exists():
    for line in re.findall(r"^COPY (?!--from)(.*)$", (ROOT / "Dockerfile").read_text(), re.M):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.mark.skipif(not SCHEMA.exists(), reason="the schema of Compose could not be fetched")
def test_compose_file_fits_the_schema(compose):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft7Validator(schema).validate(compose)


def test_compose_file_refers_to_what_is_there(compose):
    for service in compose["services"].values():
        assert set(service.get("secrets", ())) <= set(compose["secrets"])
        assert set(service.get("depends_on", ())) <= set(compose["services"])
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            there = (ROOT / source).exists() if source.startswith(".") else source in compose["volumes"]
            assert there, volume
        for other, wanted in service.get("depends_on", {}).items():
            assert wanted["condition"] != "service_healthy" or "healthcheck" in compose["services"][other]
