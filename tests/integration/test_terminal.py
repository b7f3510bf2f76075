"""What others say is shown to people: none of it gives the terminal an order, or looks like something else."""

import importlib.util
import json
import pathlib
import unicodedata

import pytest
from harness.waiting import wait_until
from harness.webservice import WebService

ROOT = pathlib.Path(__file__).resolve().parents[2]

EVIL = "a\x1b]0;title\x07\r\x9b2J\u202egnp.exe\u2066x\u2069\u200b\u2028ready\u061c\ufeff\U000e0041"
SHOWN = (r"a\u001b]0;title\u0007\u000d\u009b2J\u202egnp.exe\u2066x\u2069\u200b\u2028ready\u061c\ufeff"
         r"\U000e0041")


def assert_harmless(text):
    """Lines of visible characters."""
    bad = {f"U+{ord(c):04X}" for c in text
           if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")}
    assert not bad, f"{bad} in {text!r}"


def test_healthcheck(bridge):
    """Whoever listens at http.listen."""
    def answer(path, _headers, _body):
        if path == "/healthz":
            return 200, b"ok\n"
        return 503, json.dumps({"ready": False, "reasons": [EVIL, "second"]}).encode()
    service = WebService(answer)
    try:
        done = bridge.run_config("--healthcheck",
                                 overrides={"http.listen": service.url.removeprefix("http://")})
    finally:
        service.close()
    assert done.returncode == 0
    assert done.stdout == f"not ready: {SHOWN}; second\n"


@pytest.fixture
def evil_upstream():
    """An AIVA that refuses everything, in words of its own choice."""
    service = WebService(lambda *_: (401, json.dumps({"detail": EVIL}).encode()))
    yield service
    service.close()


def test_check(bridge, evil_upstream):
    """On both outputs."""
    done = bridge.run_config("--check", overrides={"aiva.url": evil_upstream.url})
    assert done.returncode == 3
    assert SHOWN in done.stdout and SHOWN in done.stderr
    assert_harmless(done.stdout + done.stderr)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_log(world, evil_upstream, log_format):
    """In JSON the text comes back as it was."""
    world.bridge.start({"aiva.url": evil_upstream.url, "aiva.mode": "poll", "log.format": log_format})
    wait_until(lambda: "unauthorized" in world.bridge.output(), "the refusal")
    world.bridge.stop()
    said = world.bridge.output()
    assert_harmless(said)
    if log_format == "text":
        assert SHOWN in said
    else:
        assert any(EVIL in json.loads(line)["message"] for line in said.splitlines())


def test_live_view():
    """run.sh's."""
    spec = importlib.util.spec_from_file_location("watch", ROOT / "tests/demo/watch.py")
    watch = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(watch)
    board = watch.Board("aiva")
    assert_harmless(board.apply("aiva/jobs/a%E2%80%AE%1B/state", json.dumps(
        {"status": EVIL, "sample_name": EVIL, "message": "\u2028\u3164" + EVIL})))
    assert_harmless(board.apply("aiva/jobs/a/result", json.dumps(
        {"command": EVIL, "job_id": EVIL, "ok": False, "error": EVIL, "detail": EVIL, "duration_ms": 1})))
    assert_harmless(board.apply("aiva/bridge/upstream", json.dumps({"state": EVIL, "detail": EVIL})))
    assert_harmless(board.apply("aiva/bridge/state", EVIL))
    assert "\u3164" not in watch.clean("\u3164")
