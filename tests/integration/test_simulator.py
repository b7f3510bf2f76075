"""The AIVA simulator: the documented API, lives, and jobs by order."""

import re
from urllib.parse import quote

import pytest

from simulator_probe import KEY, wait_until

pytest_plugins = "simulator_probe"

STATES = ["upload_pending", "queued", "processing"]
ENDED = {"completed", "failed", "cancelled"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


# --- the documented API


def test_list_as_documented(simulate):
    """No progress, no message; completed_at only where the job has ended."""
    jobs = simulate("--jobs", 40, "--seed", 3).get("/jobs").json
    assert len(jobs) == 40
    for job in jobs:
        wanted = {"job_id", "status", "sample_name", "created_at"}
        assert set(job) == wanted | ({"completed_at"} if job["status"] in ENDED else set())
        assert re.fullmatch(r"job_[a-z0-9]{6}", job["job_id"])
        assert TIME.fullmatch(job["created_at"])
    assert {job["status"] for job in jobs} >= {"completed", "failed", "processing"}


def test_status_as_documented(simulate):
    """Progress only where there is one."""
    simulator = simulate("--jobs", 30, "--seed", 3)
    answers = [simulator.get(f"/jobs/{job['job_id']}/status").json for job in simulator.jobs()]
    for one in answers:
        wanted = {"job_id", "status", "message", "created_at", "updated_at"}
        assert wanted <= set(one) <= wanted | {"progress"}
        assert 0 <= one.get("progress", 0) <= 100
        assert TIME.fullmatch(one["updated_at"])
    assert {"progress" in one for one in answers} == {True, False}


def test_cancel(manual):
    """The answer, the truth and an event."""
    stream = manual.open_stream()
    answer = manual.call("POST", "/jobs/p/cancel")
    assert answer.status == 200
    assert set(answer.json) == {"job_id", "status", "message"}
    assert answer.json["job_id"] == "p" and answer.json["status"] == "cancelled"
    assert stream.wait_event(job_id="p") == answer.json
    assert manual.get("/jobs/p/status").json["status"] == "cancelled"
    assert "completed_at" in manual.get("/jobs").json[1]


def test_delete_makes_no_event(manual):
    """The job is gone, and the stream says nothing."""
    stream = manual.open_stream()
    answer = manual.call("DELETE", "/jobs/c")
    assert answer.status == 200 and answer.json == {"job_id": "c", "deleted": True}
    assert manual.get("/jobs/c/status").status == 404
    manual.control("POST", "emit", b'"end"')
    assert stream.read_text(b'"end"') == b'data: "end"\r\n\r\n'


@pytest.mark.parametrize("method, path", [
    ("POST", "/jobs/c/cancel"), ("DELETE", "/jobs/q"), ("DELETE", "/jobs/p")])
def test_not_in_this_state(manual, method, path):
    """409 with the state in its detail; nothing is changed."""
    before = manual.jobs()
    answer = manual.call(method, path)
    assert answer.status == 409 and "its status is" in answer.detail
    assert manual.jobs() == before


@pytest.mark.parametrize("method, path", [
    ("GET", "/jobs/nope/status"), ("POST", "/jobs/nope/cancel"), ("DELETE", "/jobs/nope"),
    ("GET", "/"), ("GET", "/job"), ("GET", "/jobs/"), ("GET", "/jobs/p/state"),
    ("GET", "/jobs/p/status/x"), ("GET", "/jobs//status"), ("GET", "/health/x")])
def test_not_found(manual, method, path):
    """Unknown jobs and paths."""
    answer = manual.call(method, path)
    assert answer.status == 404 and answer.detail


@pytest.mark.parametrize("method, path, allowed", [
    ("DELETE", "/jobs", "GET"), ("POST", "/jobs/events", "GET"), ("GET", "/jobs/p", "DELETE"),
    ("GET", "/jobs/p/cancel", "POST"), ("POST", "/jobs/p/status", "GET"),
    ("PUT", "/health", "GET")])
def test_wrong_method(manual, method, path, allowed):
    """405 says which method is right."""
    answer = manual.call(method, path)
    assert answer.status == 405 and answer.headers["Allow"] == allowed and answer.detail


@pytest.mark.parametrize("authorization", [
    None, "", "Bearer", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}x"])
@pytest.mark.parametrize("method, path", [
    ("GET", "/jobs"), ("GET", "/jobs/p/status"), ("POST", "/jobs/p/cancel"),
    ("DELETE", "/jobs/c"), ("GET", "/health")])
def test_rest_needs_the_bearer(manual, method, path, authorization):
    """Any other is refused, also with the key as a token in the query."""
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = manual.call(method, f"{path}?token={KEY}", key=None, headers=headers)
    assert answer.status == 401 and answer.detail
    assert manual.stats()["unauthorized"] == 1


@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", f"?key={KEY}"])
def test_the_stream_needs_the_token(manual, query):
    """The Authorization header does not count there."""
    answer = manual.get(f"/jobs/events{query}")
    assert answer.status == 401 and answer.detail


def test_health(manual):
    """The documented body."""
    answer = manual.get("/health")
    assert (answer.status, answer.json) == (200, {"status": "ok"})
    assert answer.headers["Content-Type"] == "application/json"


def test_an_encoded_slash_does_not_divide(manual):
    """A job id in a path is decoded after the path was divided."""
    manual.control("POST", f"jobs/{quote('a/b c', safe='')}", {"status": "queued"})
    assert manual.get("/jobs/a%2Fb%20c/status").json["job_id"] == "a/b c"
    assert manual.get("/jobs/a/b%20c/status").status == 404


# --- lives


def test_a_life(simulate):
    """Through the documented states in order, with progress that only grows."""
    simulator = simulate("--jobs", 0, "--rate", 600, "--speed", 1000, "--seed", 5)
    stream = simulator.open_stream()
    wait_until(lambda: sum(job["status"] in ENDED for job in simulator.jobs()) >= 15, "ends")
    simulator.control("POST", "auto", {"manual": True})
    simulator.control("POST", "cut")
    stream.read_to_end()
    lives = {}
    for event in stream.events():
        assert set(event) - {"progress"} == {"job_id", "status", "message"}
        lives.setdefault(event["job_id"], []).append(event)
    endings = set()
    for life in lives.values():
        states = list(dict.fromkeys(event["status"] for event in life))
        assert states[:3] == STATES[:len(states)] and len(states) <= 4
        endings |= set(states[3:])
        progress = [event["progress"] for event in life if "progress" in event]
        assert progress == sorted(progress) and all(0 < one <= 100 for one in progress)
    assert endings <= ENDED and "completed" in endings


def test_a_seed_repeats(simulate):
    """The same jobs with the same names at the same points of their lives."""
    def jobs(seed):
        return [(job["job_id"], job["sample_name"]) for job in
                simulate("--jobs", 20, "--rate", 0, "--seed", seed).get("/jobs").json]
    assert jobs(7) == jobs(7) != jobs(8)


def test_ended_jobs_go_beyond_the_most(simulate):
    """The oldest that have ended; without an event."""
    simulator = simulate("--jobs", 5, "--max-jobs", 5, "--rate", 6000, "--speed", 1000)
    first = simulator.jobs()[0]["job_id"]
    wait_until(lambda: first not in str(simulator.jobs()), "the first job to go")
    assert len(simulator.jobs()) <= 5


def test_auto_and_manual(simulate):
    """Lives can be started and stopped."""
    simulator = simulate("--manual")
    simulator.control("POST", "auto", {"rate": 6000, "speed": 100})
    wait_until(lambda: len(simulator.jobs()) > 10, "jobs")
    simulator.control("POST", "auto", {"manual": True})
    before = simulator.jobs()
    simulator.control("GET", "stats")
    assert simulator.jobs() == before


@pytest.mark.parametrize("body, named", [
    ("{}", "rate, speed or manual"), ("x", "rate, speed or manual"), ('{"rate": -1}', "rate"),
    ('{"speed": 0}', "speed"), ('{"manual": 1}', "manual")])
def test_auto_refuses(manual, body, named):
    """The detail names what is wrong."""
    answer = manual.call("POST", "/_control/auto", body)
    assert answer.status == 400 and named in answer.detail


# --- jobs by order


RAW = (b'[{"job_id": "a", "status":"processing", "big":12345678901234567890, "price" : 1.10, '
       b'"exp":1e400, "text":"\\u0000\\ud800 \xc3\xbc", "deep": [ {"x":[1, 2]} ],"progress":1.50, '
       b'"message":"m"}]')


def test_values_are_untouched(manual):
    """Byte for byte in list, status and events."""
    values = [b'"big": 12345678901234567890', b'"price": 1.10', b'"exp": 1e400',
              b'"text": "\\u0000\\ud800 \xc3\xbc"', b'"deep": [ {"x":[1, 2]} ]']
    manual.control("PUT", "jobs", RAW)
    listed, status = manual.get("/jobs").body, manual.get("/jobs/a/status").body
    for value in values:
        assert value in listed and value in status
    assert b"progress" not in listed and b"message" not in listed
    assert b'"progress": 1.50' in status and b'"message": "m"' in status
    stream = manual.open_stream()
    manual.control("POST", "jobs/a", b'{"big": 98765432109876543210, "n": -0.0}')
    assert stream.read_text(b"\r\n\r\n") == (
        b'data: {"job_id": "a", "status": "processing", "big": 98765432109876543210, "n": -0.0}'
        b"\r\n\r\n")


def test_ids_that_no_path_can_name_are_listed(manual):
    """Empty, with a NUL, no text, missing, twice: as they were given."""
    given = [{"job_id": ""}, {"job_id": "a\0b"}, {"job_id": 5}, {"x": 1}, {"job_id": "d", "n": 1},
             {"job_id": "d", "n": 2}]
    manual.control("PUT", "jobs", given)
    assert manual.get("/jobs").json == given
    assert manual.get("/jobs/d/status").json["n"] == 1


@pytest.mark.parametrize("method, path, body, named", [
    ("PUT", "jobs", "[{]", "byte 2"), ("PUT", "jobs", "{}", "array"),
    ("PUT", "jobs", '[{"job_id":"a"}, 1]', "jobs[1]"), ("PUT", "jobs", "", "byte 0"),
    ("POST", "jobs/a", "[]", "object"), ("POST", "jobs/a", '{"job_id":"b"}', "job_id"),
    ("PUT", "jobs", "[" * 5000, "JSON"), ("PUT", "jobs", "[01]", "byte 2"),
    ("PUT", "jobs", '["\x01"]', "JSON")])
def test_bad_orders(manual, method, path, body, named):
    """The detail names what is wrong, and nothing is changed."""
    before = manual.jobs()
    answer = manual.call(method, f"/_control/{path}", body)
    assert answer.status == 400 and named in answer.detail
    assert manual.jobs() == before


def test_merge_and_seq(manual):
    """Members are merged, changes are counted; quiet ones make no event."""
    stream = manual.open_stream()
    manual.control("POST", "jobs/q?quiet=1", {"status": "processing", "progress": 1})
    manual.control("POST", "jobs/q", {"note": [1]})
    manual.control("POST", "jobs/new", {"sample_name": "N"})
    assert stream.wait_event(job_id="new") == {
        "job_id": "new", "status": "queued", "sample_name": "N"}
    assert stream.events()[0] == {"job_id": "q", "status": "processing", "note": [1]}
    assert len(stream.events()) == 2
    jobs = {job["job_id"]: job for job in manual.jobs()}
    assert jobs["q"]["seq"] == 3 and jobs["new"]["seq"] == 1
    assert jobs["q"]["created_at"] == "2026-03-09T10:30:00Z" and jobs["q"]["progress"] == 1


def test_a_job_vanishes(manual):
    """Without an event; and a second time there is none."""
    manual.control("DELETE", "jobs/q")
    assert manual.get("/jobs/q/status").status == 404
    assert manual.call("DELETE", "/_control/jobs/q").status == 404


def test_unknown_control(manual):
    """A mistake in a test shows."""
    assert manual.call("POST", "/_control/nope").status == 404
    assert manual.call("PUT", "/_control/emit").status == 404


def test_a_hundred_thousand_jobs(manual):
    """In by one call and out by one answer."""
    jobs = [{"job_id": f"job_{n}", "status": "queued", "sample_name": f"Patient-{n}",
             "created_at": "2026-03-09T10:30:00Z", "note": "x" * 60} for n in range(100_000)]
    manual.control("PUT", "jobs", jobs)
    assert manual.get("/jobs").json == jobs
    assert manual.get("/jobs/job_99999/status").json == jobs[-1]
