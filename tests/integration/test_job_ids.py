"""Job ids and topics: encoding, refused ids, and which ids may reach a URL."""

import json
import re

import pytest
from harness.topics import level, of_bridge, of_job
from harness.world import job

LEVELS = {
    "a/b": "a%2Fb",
    "/": "%2F",
    "+": "%2B",
    "a+b": "a%2Bb",
    "#": "%23",
    "a#": "a%23",
    "$x": "%24x",
    "$SYS": "%24SYS",
    "a$x": "a$x",
    "%": "%25",
    "a%2Fb": "a%252Fb",
    "../../tables/x": "..%2F..%2Ftables%2Fx",
    "\x01": "%01",
    "tab\there": "tab%09here",
    "line\nfeed": "line%0Afeed",
    "\x7f": "%7F",
    "\u0085": "%C2%85",
    "a b": "a b",
    "😀": "😀",
    "Größe": "Größe",
    "...": "...",
    ".a": ".a",
    '"quoted"\\': '"quoted"\\',
    "x" * 128: "x" * 128,
    "é" * 64: "é" * 64,
    "/" * 128: "%2F" * 128,
}

REFUSED = {
    "empty": "",
    "one dot": ".",
    "two dots": "..",
    "129 bytes": "y" * 129,
    "129 bytes of two-byte characters": "é" * 64 + "y",
    "a NUL": "a\0b",
    "only a NUL": "\0",
    "a NUL after a good id": "good\0",
}

NOT_FOR_URLS = ["a/b", "..%2Ftables", "a?admin=1", "a#b", "a b", "é", "a%20b", "a;b", "a\\b",
                "😀", "a&b", "a=b", "a*", "a,b", "(a)", "'a'", "[a]", "@\n"]


def test_the_helper_encodes_as_the_contract_says():
    """The suite's own encoder against a table."""
    assert {name: level(name) for name in LEVELS} == LEVELS


@pytest.mark.parametrize("name", LEVELS, ids=[ascii(name)[:24] for name in LEVELS])
def test_ids_are_encoded(shared, name):
    """Percent-encoded as UTF-8 bytes, upper-case hex, and only where a level cannot hold it."""
    since = shared.recorder.mark()
    shared.simulator.set_job(name, status="queued")
    for leaf in ("state", "event"):
        message = shared.recorder.wait_topic(f"aiva/jobs/{LEVELS[name]}/{leaf}", since)
        assert message.json["job_id"] == name


@pytest.mark.parametrize("case", REFUSED)
def test_ids_are_refused_from_the_stream(shared, case):
    """Never published, and the next event is."""
    since = shared.recorder.mark()
    shared.simulator.emit({"job_id": REFUSED[case], "status": "queued"})
    marker = shared.stream_marker()
    assert shared.recorder.new_topics(since) <= {of_job(marker, "state"), of_job(marker, "event")}


def test_ids_from_the_list(world):
    """Refused ids are left out of a list, odd ones are encoded, and the rest is read."""
    names = [*LEVELS, *REFUSED.values(), "last"]
    jobs = [job(name, "completed", sample_name="s") for name in names]
    world.simulator.fault("list", times=0, status=200, body=json.dumps(jobs))
    world.bridge.start()
    for name in [*LEVELS, "last"]:
        message = world.recorder.wait_topic(f"aiva/jobs/{level(name)}/state")
        assert message.json["job_id"] == name
    world.bridge.stop()
    topics = {topic for topic in world.retained() if topic.startswith("aiva/jobs/")}
    assert topics == {f"aiva/jobs/{level(name)}/state" for name in [*LEVELS, "last"]}


def test_refused_ids_are_logged(world):
    """A line of the log for people."""
    world.start()
    before = len(world.bridge.output())
    world.simulator.emit({"job_id": "z" * 200, "status": "queued"})
    world.stream_marker()
    assert len(world.bridge.output()) > before


def assert_only_plain_ids_asked(world):
    """Nothing but the documented calls has been asked for, and no job of another kind of name."""
    for line in world.simulator.stats()["log"]:
        assert line["kind"] in ("stream", "list", "status")
        assert re.fullmatch(r"/jobs(/events|/job-[a-z0-9-]+/status)?", line["path"])


@pytest.mark.parametrize("name", NOT_FOR_URLS, ids=ascii)
def test_only_plain_ids_reach_a_url(shared, name):
    """For any other id a command answers bad_job_id, and no request is made."""
    since = shared.recorder.mark()
    shared.simulator.set_job(name, status="queued")
    shared.wait_state(name, since)
    for command in ("refresh", "cancel", "delete"):
        answer = shared.command(name, command)
        assert answer["ok"] is False and answer["error"] == "bad_job_id"
        assert answer["job_id"] == name and "http_status" not in answer
    assert_only_plain_ids_asked(shared)


def test_plain_ids_reach_the_url_as_they_stand(world):
    """All characters of the allowed set."""
    name = "aZ09.b_c~d:e@f-g"
    world.start([job(name)])
    assert world.command(name, "refresh")["ok"]
    assert f"GET /jobs/{name}/status" in world.simulator.paths("status")
    assert world.command(name, "cancel")["ok"]
    assert world.simulator.paths("cancel") == [f"POST /jobs/{name}/cancel"]


@pytest.mark.parametrize("text, error", [
    ("..", ("bad_job_id",)), (".", ("bad_job_id",)), ("%2E%2E", ("bad_topic",)),
    ("y" * 129, ("bad_job_id",)), ("%2e", ("bad_topic",)), ("a%2fb", ("bad_topic",)),
    ("a%00b", ("bad_job_id", "bad_topic")), ("%FF", ("bad_job_id", "bad_topic")),
    ("%C0%AF", ("bad_job_id", "bad_topic")), ("", ("bad_job_id", "bad_topic")),
    ("a%2Fb", ("bad_job_id",)), ("%6a%6f%62_1", ("bad_topic",)), ("%6A%6F%62_1", ("bad_topic",)),
    ("job%5f1", ("bad_topic",)), ("a%2Db", ("bad_topic",)), ("a%24b", ("bad_topic",)),
    ("caf%C3%A9", ("bad_topic",)), ("%24x", ("bad_job_id",)), ("a%252F", ("bad_job_id",)),
    ("a%252f", ("bad_job_id",)),
    ("%", ("bad_topic",)), ("a%2", ("bad_topic",)), ("a%zz", ("bad_topic",)),
    ("%%20", ("bad_topic",)), ("a%2%46", ("bad_topic",))])
def test_command_topics_that_name_no_job(shared, text, error):
    """Broken encoding is bad_topic, a refused id bad_job_id; no request is made."""
    since = shared.recorder.mark()
    shared.recorder.publish(f"aiva/jobs/{text}/command/delete", b"x")
    answer = shared.recorder.wait_for(
        lambda message: message.topic.endswith("/result"), since=since, what="an answer").json
    assert answer["ok"] is False and answer["error"] in error
    assert_only_plain_ids_asked(shared)


def test_only_the_canonical_spelling_reaches_a_job(world):
    """Access rules for one job name one topic: no other spelling acts on that job. The answer comes
    where the command went."""
    world.start([job("job1", "completed")])
    for spelled in ("job%31", "%6a%6f%62%31", "%6A%6F%62%31", "jo%621"):
        for verb in ("refresh", "cancel", "delete"):
            since = world.recorder.mark()
            world.recorder.publish(f"aiva/jobs/{spelled}/command/{verb}", b"x")
            answer = world.recorder.wait_topic(f"aiva/jobs/{spelled}/result", since).json
            assert answer["error"] == "bad_topic" and answer["job_id"] == spelled
            assert "spelled" in answer["detail"]
    assert world.command("job1", "refresh")["ok"]
    assert not world.simulator.paths("delete") and not world.simulator.paths("cancel")


@pytest.mark.parametrize("topic", [
    of_job("x", "command/explode"), of_job("x", "command/Cancel"),
    of_bridge("command/explode"), of_bridge("command/cancel")])
def test_there_is_no_such_command(shared, topic):
    """A topic that names no command answers bad_topic."""
    since = shared.recorder.mark()
    shared.recorder.publish(topic, b"{}")
    result = topic.split("/command/")[0] + "/result"
    answer = shared.recorder.wait_topic(result, since).json
    assert answer["ok"] is False and answer["error"] == "bad_topic"
