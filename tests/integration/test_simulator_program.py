"""The AIVA simulator: its statistics, keys, scenarios and command line."""

import http.client
import json
import os
import re
import socket

import pytest

from simulator_probe import KEY, PATIENCE, run, wait_until

pytest_plugins = "simulator_probe"


# --- what was asked, and keys


def test_stats(manual):
    """Requests by kind, and a log without secrets."""
    manual.get("/jobs/a%2Fb/status?x=secret&y")
    manual.call("GET", "/jobs", key="other")
    manual.open_stream(headers=["Last-Event-ID: 41"])
    manual.call("PUT", "/jobs")
    stats = manual.stats()
    assert stats["requests"] == {"stream": 1, "list": 1, "status": 1, "cancel": 0, "delete": 0,
                                 "health": 0, "other": 1}
    assert stats["unauthorized"] == 1 and stats["streams_open"] == 1
    assert stats["last_event_id"] == "41"
    for line in stats["log"]:
        assert line.pop("at_ms") >= 0
    assert stats["log"] == [
        {"method": "GET", "path": "/jobs/a%2Fb/status", "kind": "status", "status": 404,
         "query_keys": ["x", "y"]},
        {"method": "GET", "path": "/jobs", "kind": "list", "status": 401, "query_keys": []},
        {"method": "GET", "path": "/jobs/events", "kind": "stream", "status": 200,
         "query_keys": ["token"]},
        {"method": "PUT", "path": "/jobs", "kind": "other", "status": 405, "query_keys": []}]


def test_the_log_has_an_end(manual):
    """The last thousand."""
    connection = http.client.HTTPConnection("127.0.0.1", manual.port, timeout=PATIENCE)
    for number in range(1005):
        connection.request("GET", f"/x{number}")
        connection.getresponse().read()
    connection.close()
    log = manual.stats()["log"]
    assert len(log) == 1000 and log[0]["path"] == "/x5" and log[-1]["path"] == "/x1004"


def test_a_new_key(manual):
    """From now on only it; open streams end."""
    stream = manual.open_stream()
    manual.control("POST", "key", b"next key+\n")
    stream.read_to_end()
    assert stream.end == "orderly"
    assert manual.get("/jobs").status == 401
    assert manual.call("GET", "/jobs", key="next key+").status == 200
    assert b" 200 " in manual.open_stream(key="next%20key%2B").head
    assert manual.call("POST", "/_control/key", b"").status == 400


def test_a_key_from_a_file(simulate, tmp_path):
    """Its first line."""
    path = tmp_path / "key"
    path.write_text("from-a-file\n")
    simulator = simulate("--manual", "--key-file", path)
    assert simulator.call("GET", "/jobs", key="from-a-file").status == 200
    assert simulator.get("/jobs").status == 401


# --- scenarios


def scenario(tmp_path, text):
    path = tmp_path / "scenario.json"
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def test_a_scenario(simulate, tmp_path):
    """Every kind of step, in order; values untouched."""
    path = scenario(tmp_path, """{"jobs": [{"job_id": "a", "status": "queued", "n": 1.10}],
        "steps": [
            {"after_ms": 0, "fault": {"on": "list", "status": 503}},
            {"after_ms": 300, "job": "a", "set": {"status": "processing", "n": 2.20}},
            {"after_ms": 1, "job": "b", "set": {"status": "queued"}, "quiet": true},
            {"after_ms": 1, "emit": "raw data text"},
            {"after_ms": 1, "job": "a", "remove": true},
            {"after_ms": 1, "cut": "hard"}]}""")
    simulator = simulate("--scenario", path)
    stream = simulator.open_stream()
    assert stream.read_to_end() == (
        b'data: {"job_id": "a", "status": "processing", "n": 2.20}\r\n\r\n'
        b"data: raw data text\r\n\r\n")
    assert stream.end == "inside a chunk"
    assert [job["job_id"] for job in simulator.jobs()] == ["b"]
    assert simulator.get("/jobs").status == 503


def test_a_scenario_loops(simulate, tmp_path):
    """From its first jobs on."""
    path = scenario(tmp_path, {
        "jobs": [{"job_id": "a", "status": "queued"}], "loop": True,
        "steps": [{"after_ms": 100, "job": "a", "remove": True},
                  {"after_ms": 10, "emit": "again"}]})
    simulator = simulate("--scenario", path)
    stream = simulator.open_stream()
    stream.read_until(lambda: stream.text.count(b"again") >= 3)
    wait_until(simulator.jobs, "the job to be back")


def test_the_demo_scenario_is_valid(simulate):
    """The one that the documentation shows."""
    folder = os.path.join(os.path.dirname(__file__), "..", "simulator", "scenarios")
    simulator = simulate("--scenario", os.path.join(folder, "demo.json"), "--speed", 50)
    assert len(simulator.get("/jobs").json) >= 2
    stream = simulator.open_stream()
    stream.wait_event(job_id="job_c3", status="completed")


@pytest.mark.parametrize("text, named", [
    ("", "byte 0"), ("[]", "object"), ('{"job": []}', '"job"'), ('{"jobs": {}}', "jobs"),
    ('{"jobs": [1]}', "jobs[0]"), ('{"steps": 1}', "steps"), ('{"steps": [1]}', "steps[0]"),
    ('{"steps": [{"after_ms": 1}]}', "steps[0]: expected one of"),
    ('{"steps": [{"cut": true, "emit": "x"}]}', "steps[0]: expected one of"),
    ('{"steps": [{"cut": false}]}', "cut"), ('{"steps": [{"job": "a"}]}', "set or remove"),
    ('{"steps": [{"emit": "x", "set": {}}]}', "set or remove"),
    ('{"steps": [{"job": "a", "set": []}]}', "set"),
    ('{"steps": [{"job": "a", "set": {"job_id": "b"}}]}', "job_id"),
    ('{"steps": [{"emit": "x"}, {"after_ms": -1, "emit": "x"}]}', "steps[1]: after_ms"),
    ('{"steps": [{"fault": {"on": "x"}}]}', "steps[0]: fault"),
    ('{"steps": [{"emit": "x", "color": 1}]}', "color"), ('{"loop": 1}', "loop"),
    ('{"loop": true, "steps": [{"emit": "x"}]}', "100 ms")])
def test_bad_scenarios(tmp_path, text, named):
    """The message names what is wrong."""
    result = run("--scenario", scenario(tmp_path, text))
    assert result.returncode == 2 and named in result.stderr and "scenario.json" in result.stderr


# --- the command line


def test_help():
    """Every option and every control call is in it."""
    result = run("--help")
    assert result.returncode == 0 and not result.stderr
    for word in ("listen", "port-file", "key", "key-file", "jobs", "rate", "speed", "seed",
                 "max-jobs", "scenario", "manual", "keepalive", "line-end", "event-ids"):
        assert f"--{word} " in result.stdout
    for word in ("jobs", "emit", "raw", "cut", "faults", "stats", "key", "auto"):
        assert re.search(rf"^  [A-Z]+ +{word}", result.stdout, re.MULTILINE)


@pytest.mark.parametrize("options", [
    ("--nope",), ("--jobs", "x"), ("--jobs", "-1"), ("--jobs", "1.5"), ("--rate", "-1"),
    ("--speed", "0"), ("--line-end", "nl"), ("--listen", "here"), ("--key", ""),
    ("--key-file", "/nonexistent"), ("--scenario", "/nonexistent"), ("--seed", "x"), ("extra",),
    ("--max-jobs", "0"), ("--keepalive", "nan"), ("--listen", "127.0.0.1:99999")])
def test_bad_options(options):
    """Exit code 2 and a line that names it."""
    result = run(*options)
    assert result.returncode == 2 and "error" in result.stderr


def test_a_port_that_is_taken(manual):
    """Exit code 1."""
    result = run("--listen", f"127.0.0.1:{manual.port}")
    assert result.returncode == 1 and "in use" in result.stderr


def test_it_ends_with_everything_open(manual):
    """Streams, a stall, a delay and half a request."""
    manual.open_stream()
    manual.fault("stream", stall=True)
    manual.open_stream()
    manual.control("POST", "faults", [{"on": "list", "stall": True},
                                      {"on": "status", "delay_ms": 60000}])
    waiting = []
    for path in ("/jobs", "/jobs/p/status"):
        waiting.append(http.client.HTTPConnection("127.0.0.1", manual.port, timeout=PATIENCE))
        waiting[-1].request("GET", path, headers={"Authorization": f"Bearer {KEY}"})
    half = socket.create_connection(("127.0.0.1", manual.port))
    half.sendall(b"PUT /_control/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[")
    wait_until(lambda: manual.stats()["requests"]["status"] == 1
               and manual.stats()["requests"]["list"] == 1, "the requests")
    manual.end()
    for one in (half, *waiting):
        one.close()
