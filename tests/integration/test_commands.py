"""Commands over MQTT: what is asked of the upstream, and the one answer that each gets."""

import json
import time
from email.utils import formatdate

import pytest
from harness.raw import raw_member
from harness.topics import of_bridge, of_job
from harness.waiting import wait_until
from harness.world import job

SHARED_CONFIG = {"commands.rate_per_s": 1000, "commands.burst": 1000, "commands.timeout_s": 8}
SHORT = {"commands.timeout_s": 1}


def assert_answer(answer, command, name, ok=True):
    """The members that every answer to a job's command has."""
    assert answer["command"] == command and answer["job_id"] == name
    assert answer["ok"] is ok
    assert isinstance(answer["duration_ms"], (int, float)) and answer["duration_ms"] >= 0
    assert ("error" in answer) is not ok


def assert_error(answer, error, command, name, http_status=None):
    """A refusal: what kind it is, a detail for people, and what HTTP said, if it was asked."""
    assert_answer(answer, command, name, ok=False)
    assert answer["error"] == error
    assert answer["detail"]
    assert answer.get("http_status") == http_status


def assert_answered_once(world, name, since=0):
    """There is one answer, also after later commands have been answered."""
    world.command_marker()
    assert len(world.results(name, since)) == 1


# --- what commands do


def test_cancel(shared):
    """POST …/cancel; the answer and the new state."""
    name = shared.create("processing")
    answer = shared.command(name, "cancel")
    assert_answer(answer, "cancel", name)
    assert answer["http_status"] == 200 and answer["status"] == "cancelled" and answer["message"]
    shared.wait_state(name, status="cancelled")
    assert f"POST /jobs/{name}/cancel" in shared.simulator.paths("cancel")
    assert shared.simulator.jobs()[name]["status"] == "cancelled"
    assert_answered_once(shared, name)


def test_delete(shared):
    """DELETE; the job is gone."""
    name = shared.create("failed")
    answer = shared.command(name, "delete")
    assert_answer(answer, "delete", name)
    assert answer["http_status"] == 200
    assert f"DELETE /jobs/{name}" in shared.simulator.paths("delete")
    assert name not in shared.simulator.jobs()
    assert_answered_once(shared, name)


def test_refresh(shared):
    """GET …/status, published as state."""
    name = shared.create("processing", progress=1)
    shared.simulator.set_job(name, quiet=True, progress=2)
    since = shared.recorder.mark()
    answer = shared.command(name, "refresh")
    assert_answer(answer, "refresh", name)
    assert answer["http_status"] == 200 and answer["status"] == "processing"
    shared.wait_state(name, since, progress=2)
    assert_answered_once(shared, name)


def test_refresh_of_the_bridge(shared):
    """GET /jobs and everything that follows; the answer names no job."""
    silent = shared.new_name()
    shared.simulator.set_job(silent, quiet=True, status="completed")
    since = shared.recorder.mark()
    answer = shared.refresh(b'{"id": "r1"}')
    assert answer["command"] == "refresh" and answer["ok"] is True and answer["id"] == "r1"
    assert "job_id" not in answer and "error" not in answer
    assert answer["duration_ms"] >= 0 and answer["http_status"] == 200
    shared.wait_state(silent, since)
    shared.command_marker()
    assert len(shared.recorder.select(of_bridge("result"), since)) == 1


@pytest.mark.parametrize("payload", [b"{}", b"PRESS", b"\xff\xfe", b"0", b"[1]", b" ", b"\x00",
                                     b'{"id":', b"x" * 100000])
def test_any_payload_is_a_request(shared, payload):
    """JSON or not, as long as it is not empty."""
    name = shared.create("processing")
    answer = shared.command(name, "refresh", payload)
    assert_answer(answer, "refresh", name)
    assert "id" not in answer


def test_an_empty_payload_is_ignored(shared):
    """It is what clearing a retained message looks like: no request, no answer."""
    name = shared.create("processing")
    since = shared.recorder.mark()
    for command in ("cancel", "delete", "refresh", "explode"):
        shared.recorder.publish(of_job(name, f"command/{command}"), b"")
        shared.recorder.publish(of_job(name, f"command/{command}"), b"", retain=True)
    shared.recorder.publish(of_bridge("command/refresh"), b"")
    shared.command_marker()
    assert not shared.results(name)
    assert not shared.recorder.select(of_bridge("result"), since)
    assert shared.simulator.jobs()[name]["status"] == "processing"


@pytest.mark.parametrize("text", [
    '"a-1"', '""', '"é😀 \\u00e9 \\" \\\\"', "7", "0", "-1.5", "12345678901234567890", "1.10"])
def test_the_id_comes_back(shared, text):
    """A string or a number, as it was given."""
    name = shared.create("processing")
    since = shared.send_command(name, "refresh", f'{{"id": {text}, "x": 1}}'.encode())
    answer = shared.recorder.wait_topic(of_job(name, "result"), since)
    assert answer.json["id"] == json.loads(text)
    if text[0] != '"':
        assert raw_member(answer.payload, "id") == text


def test_the_id_of_a_large_request_comes_back(shared):
    """However much stands beside it, up to 1 MiB; a longer payload is a request, and is not looked into."""
    name = shared.create("processing")
    payload = b'{"id": "far", "x": ""}'
    filled = payload.replace(b'""', b'"' + b"x" * (1024 * 1024 - len(payload)) + b'"')
    assert len(filled) == 1024 * 1024
    assert shared.command(name, "refresh", filled)["id"] == "far"
    assert "id" not in shared.command(name, "refresh", filled + b" ")


@pytest.mark.parametrize("text", ["null", "true", "[1]", '{"a": 1}'])
def test_another_id_does_not_come_back(shared, text):
    """Only strings and numbers are ids; the request stands."""
    name = shared.create("processing")
    answer = shared.command(name, "refresh", f'{{"id": {text}}}'.encode())
    assert answer["ok"] and "id" not in answer


def test_the_upstream_is_the_judge(shared):
    """The bridge asks, whatever state it believes the job to be in."""
    name = shared.create("completed")
    shared.simulator.set_job(name, quiet=True, status="processing")
    assert shared.command(name, "cancel")["ok"]
    assert shared.simulator.jobs()[name]["status"] == "cancelled"


# --- errors


@pytest.mark.parametrize("command, status", [("cancel", "completed"), ("delete", "processing")])
def test_rejected(shared, command, status):
    """The upstream's 409 with the upstream's words."""
    name = shared.create(status)
    answer = shared.command(name, command, b'{"id": 5}')
    assert_error(answer, "rejected", command, name, 409)
    assert answer["id"] == 5
    assert_answered_once(shared, name)


def assert_final(world, name, code):
    """The command is asked once, and answered `rejected` with the upstream's words."""
    before = world.simulator.requests("cancel")
    world.simulator.fault("cancel", status=code, body='{"detail":"because of the moon"}')
    answer = world.command(name, "cancel")
    assert_error(answer, "rejected", "cancel", name, code)
    assert "because of the moon" in answer["detail"]
    assert world.simulator.requests("cancel") == before + 1


@pytest.mark.parametrize("code", [400, 409, 422])
def test_rejected_codes(shared, code):
    """400, 409 and 422 are final."""
    assert_final(shared, shared.create("processing"), code)


def test_forbidden_is_rejected(world):
    """403 too: the key may do other things."""
    world.start([job("one")])
    assert_final(world, "one", 403)


@pytest.mark.parametrize("body", [
    '{"detail":[{"loc":["body","x"],"msg":"field required"}]}', '{"detail":{"code":"E1"}}',
    '{"detail":null}', '{"detail":""}', "<html><h1>Bad Request</h1></html>", "", "\x01\x02",
    '{"detail":"' + "x" * 50000 + '"}'])
def test_a_detail_of_any_kind(shared, body):
    """Validation errors, error pages and nothing at all are answered like a text."""
    name = shared.create("processing")
    shared.simulator.fault("cancel", status=422, body=body)
    since = shared.send_command(name, "cancel")
    answer = shared.recorder.wait_topic(of_job(name, "result"), since).json
    assert answer["error"] == "rejected" and answer["http_status"] == 422
    assert "detail" in answer


def test_a_refusal_with_status_and_message(shared):
    """Both are in the answer where the upstream gives them with its refusal."""
    name = shared.create("processing")
    shared.simulator.fault("cancel", status=409, body=json.dumps(
        {"detail": "too late", "status": "completed", "message": "It is over."}))
    answer = shared.command(name, "cancel")
    assert_error(answer, "rejected", "cancel", name, 409)
    assert answer["status"] == "completed" and answer["message"] == "It is over."
    assert answer["detail"] == "too late"


def test_unauthorized(world):
    """A 401 is neither tried again nor hidden."""
    world.start([job("one")])
    world.simulator.fault("cancel", status=401, body='{"detail":"Invalid key"}')
    answer = world.command("one", "cancel")
    assert_error(answer, "unauthorized", "cancel", "one", 401)
    assert len(world.results("one")) == 1


@pytest.mark.parametrize("command", ["cancel", "delete", "refresh"])
def test_not_found(world, command):
    """A job that the upstream does not know; also for a first delete."""
    world.start([job("other")])
    answer = world.command("nobody", command)
    assert_error(answer, "not_found", command, "nobody", 404)
    assert_answered_once(world, "nobody")


@pytest.mark.parametrize("retain_when", ["connected", "at the start"])
def test_a_retained_command_is_not_carried_out(world, retain_when):
    """Neither one that is found nor one that is sent; the answer says why."""
    jobs = [job("one")]
    if retain_when == "connected":
        world.start(jobs)
    world.recorder.publish(of_job("one", "command/cancel"), b"x", retain=True)
    if retain_when == "at the start":
        world.start(jobs)
    answer = world.recorder.wait_topic(of_job("one", "result")).json
    assert_error(answer, "retained", "cancel", "one")
    assert_answered_once(world, "one")
    assert world.simulator.requests("cancel") == 0


def test_a_retained_command_to_the_bridge(world):
    """The same for the bridge's own command."""
    world.recorder.publish(of_bridge("command/refresh"), b"x", retain=True)
    world.start([job("one")])
    answer = world.recorder.wait_topic(of_bridge("result")).json
    assert answer["ok"] is False and answer["error"] == "retained" and "job_id" not in answer
    world.command_marker()
    assert world.simulator.requests("list") == 1


def test_not_allowed(world):
    """`commands.allow` holds for jobs' commands and the bridge's."""
    world.start([job("one")], {"commands.allow": ["cancel"]})
    for command in ("delete", "refresh"):
        assert_error(world.command("one", command), "not_allowed", command, "one")
    lists = world.simulator.requests("list")
    assert world.refresh()["error"] == "not_allowed"
    assert world.command("one", "cancel")["ok"]
    assert world.simulator.requests("delete") == 0
    assert world.simulator.requests("list") == lists


def test_in_progress(shared):
    """The same command for the same job waits for nobody."""
    name = shared.create("processing")
    shared.simulator.fault("cancel", delay_ms=700)
    before = shared.simulator.requests("cancel")
    since = shared.send_command(name, "cancel", b'{"id": 1}')
    wait_until(lambda: shared.simulator.requests("cancel") > before, "the request")
    shared.send_command(name, "cancel", b'{"id": 2}')
    shared.recorder.wait_count(of_job(name, "result"), 2, since)
    first, second = shared.results(name, since)
    assert first["id"] == 2
    assert_error(first, "in_progress", "cancel", name)
    assert second["id"] == 1 and second["ok"]
    assert shared.simulator.paths("cancel").count(f"POST /jobs/{name}/cancel") == 1


def test_another_command_is_not_in_progress(shared):
    """Another job's, or another command for the same job, is carried out meanwhile."""
    name, other = shared.create("processing"), shared.create("processing")
    shared.simulator.fault("cancel", delay_ms=700)
    since = shared.send_command(name, "cancel")
    assert shared.command(name, "refresh")["ok"]
    assert shared.command(other, "refresh")["ok"]
    shared.recorder.wait_topic(of_job(name, "result"), since, command="cancel", ok=True)


@pytest.mark.parametrize("length", [4000, 65536, 65537, 500000])
def test_the_length_of_an_id(shared, length):
    """64 KiB come back; with more the command is refused, and nothing is asked of AIVA."""
    name = shared.create("processing")
    text = json.dumps("i" * length)
    since = shared.send_command(name, "refresh", b'{"id": %s}' % text.encode())
    answer = shared.recorder.wait_topic(of_job(name, "result"), since)
    asked = f"GET /jobs/{name}/status" in shared.simulator.paths("status")
    if length <= 65536:
        assert answer.json["ok"] and asked
        same = raw_member(answer.payload, "id") == text
        assert same, length
        return
    assert_error(answer.json, "rate_limited", "refresh", name)
    assert "id" not in answer.json and "65536" in answer.json["detail"]
    assert not asked


def test_what_is_under_way_has_a_budget(world):
    """Requests of 128 KiB against an AIVA that does not answer: those beyond 16 MiB are refused,
    and each is answered once."""
    world.start([], {"commands.rate_per_s": 1000, "commands.burst": 1000, "commands.timeout_s": 300})
    world.simulator.fault("status", delay_ms=300000, times=1000)
    names = [f"b{number}" for number in range(140)]
    since = world.recorder.mark()
    body = json.dumps({"id": "i" * 65000}).encode()
    for name in names:
        world.recorder.publish(of_job(name, "command/refresh"), body, correlation=b"c" * 65000,
                               response_topic=f"aiva/response/{name}")
    world.recorder.wait_topic(of_job(names[-1], "result"), since, 60, error="rate_limited")
    early = [message for message in world.recorder.messages[since:]
             if message.topic.endswith("/result")]
    assert 5 < len(early) < 20
    assert all(message.json["error"] == "rate_limited" for message in early)
    world.simulator.clear_faults()
    wait_until(lambda: all(world.results(name, since) for name in names), "all answers", 120)
    assert all(len(world.results(name, since)) == 1 for name in names)
    assert world.command(world.create("processing"), "refresh", body)["ok"]


def test_rate_limited(world):
    """A burst is let through, the rest is refused; each is answered."""
    names = [f"r{number}" for number in range(6)]
    world.start([job(name, "completed") for name in names],
                {"commands.rate_per_s": 1, "commands.burst": 2})
    since = world.recorder.mark()
    for name in names:
        world.recorder.publish(of_job(name, "command/refresh"), b"x")
    answers = [world.recorder.wait_topic(of_job(name, "result"), since).json for name in names]
    assert [answer["ok"] for answer in answers[:2]] == [True, True]
    refused = [answer for answer in answers if not answer["ok"]]
    assert len(refused) >= 2
    for answer in refused:
        assert_error(answer, "rate_limited", "refresh", answer["job_id"])
    assert len(world.simulator.paths("status")) == len(names) - len(refused)


# --- trying again


@pytest.mark.parametrize("fault, at_least", [
    ({"status": 429, "retry_after": "1"}, 900), ({"status": 503, "retry_after": "1"}, 900),
    ({"status": 429}, 0), ({"status": 500}, 0), ({"status": 502, "body": "<html>"}, 0),
    ({"cut_after": 0}, 0)], ids=str)
def test_tried_again(shared, fault, at_least):
    """429, 5xx and lost connections; Retry-After is waited for. One answer, from the last try."""
    name = shared.create("processing")
    shared.simulator.fault("cancel", **fault)
    answer = shared.command(name, "cancel")
    assert_answer(answer, "cancel", name)
    assert answer["http_status"] == 200 and answer["duration_ms"] >= at_least
    assert len(shared.results(name)) == 1


def test_retry_after_as_a_date(shared):
    """An HTTP date is waited for like seconds."""
    name = shared.create("processing")
    begun = time.time()
    shared.simulator.fault("cancel", status=503,
                           retry_after=formatdate(begun + 2, usegmt=True))
    assert shared.command(name, "cancel")["ok"]
    assert time.time() >= int(begun) + 1.9


def test_a_second_delete_that_finds_nothing_is_done(shared):
    """The first try did the work and its answer was lost: 404 is what was wanted."""
    name = shared.create("completed")
    shared.simulator.fault("delete", after_work=True, status=503)
    answer = shared.command(name, "delete")
    assert_answer(answer, "delete", name)
    shared.wait_event(name, event_type="deleted")
    assert shared.simulator.paths("delete").count(f"DELETE /jobs/{name}") == 2


def test_a_lost_answer_to_a_delete(shared):
    """The same where the connection was lost instead."""
    name = shared.create("completed")
    shared.simulator.fault("delete", after_work=True, cut_after=0)
    assert shared.command(name, "delete")["ok"]
    shared.wait_event(name, event_type="deleted")


@pytest.mark.parametrize("fault, error", [
    ({"status": 503}, "upstream_error"),
    ({"status": 500, "body": "<html>oops</html>"}, "upstream_error"),
    ({"status": 429, "retry_after": "30"}, "upstream_error"),
    ({"cut_after": 0}, "timeout"),
    ({"stall": True}, "timeout")], ids=str)
def test_until_the_time_limit(world, fault, error):
    """upstream_error where the last try got an answer, timeout where it did not; once."""
    world.start([job("one")], SHORT)
    world.simulator.fault("cancel", times=0, **fault)
    answer = world.command("one", "cancel")
    assert_error(answer, error, "cancel", "one", fault.get("status"))
    assert answer["duration_ms"] <= 4000
    assert_answered_once(world, "one")


def test_after_a_timeout_the_next_command_is_carried_out(world):
    """Nothing stays in progress for ever."""
    world.start([job("one")], SHORT)
    world.simulator.fault("cancel", stall=True)
    assert world.command("one", "cancel")["error"] == "timeout"
    assert world.command("one", "cancel")["ok"]


def test_a_command_is_not_kept_for_later(world):
    """One that was sent while the bridge was away is not carried out when it is back."""
    world.start([job("one"), job("two")])
    world.bridge.stop()
    world.recorder.publish(of_job("one", "command/cancel"), b"x")
    world.start()
    world.bridge.kill()
    world.recorder.publish(of_job("two", "command/cancel"), b"x")
    world.start()
    world.command_marker()
    assert world.simulator.requests("cancel") == 0
    assert not world.results("one") and not world.results("two")


def test_many_commands_at_once(world):
    """Each is answered exactly once."""
    names = [f"m{number}" for number in range(60)]
    world.start([job(name, "completed") for name in names], SHARED_CONFIG)
    for name in names:
        world.recorder.publish(of_job(name, "command/delete"), name.encode())
    for name in names:
        assert world.recorder.wait_topic(of_job(name, "result")).json["ok"]
    world.command_marker()
    assert all(len(world.results(name)) == 1 for name in names)
    assert world.simulator.requests("delete") == len(names)


def test_a_refresh_says_the_state_again(shared):
    """Also where nothing has changed: with a new `observed_at`, before the answer."""
    name = shared.create("processing")
    assert shared.command(name, "refresh")["ok"]
    before = shared.states(name)[-1].json
    since = shared.recorder.mark()
    assert shared.command(name, "refresh")["ok"]
    after = [one.json for one in shared.states(name, since)]
    assert len(after) == 1
    assert after[0].pop("observed_at") > before.pop("observed_at")
    assert after[0] == before


@pytest.mark.parametrize("shift", ["", "x", "xx"])
def test_a_detail_is_cut_between_characters(world, shift):
    """A long detail of the upstream's is shortened, and is valid UTF-8 all the same."""
    world.start([job("one")], SHORT)
    world.simulator.fault("status", times=0, status=503,
                          body=json.dumps({"detail": shift + "€" * 500}))
    assert "€€€" in world.command("one", "refresh")["detail"]
    world.recorder.assert_well_formed()


def test_the_time_limit_holds_where_all_places_are_taken(world):
    """A command that waits for its next try is answered in time, although other commands have
    taken all the places meanwhile; and as its last try went, which had an answer."""
    others = [f"o{number}" for number in range(20)]
    world.start([job(name) for name in ("one", *others)],
                {"commands.timeout_s": 4, "commands.burst": 100, "commands.rate_per_s": 100})
    world.simulator.fault("cancel", status=429, retry_after="3")
    world.simulator.fault("cancel", times=0, stall=True)
    since = world.send_command("one", "cancel")
    wait_until(lambda: world.simulator.requests("cancel") == 1, "the first try")
    for name in others:
        world.send_command(name, "cancel")
    answer = world.recorder.wait_topic(of_job("one", "result"), since)
    # The others came later, so their limits end later too, and none gives up its place before.
    for name in others:
        other = world.recorder.wait_topic(of_job(name, "result"), since)
        assert other.json["error"] == "timeout" and other.position > answer.position
    assert_error(answer.json, "upstream_error", "cancel", "one", 429)
    assert world.simulator.paths("cancel").count("POST /jobs/one/cancel") == 1
