"""All that is published can be read by strict readers, whatever AIVA and senders of commands say:
Python's json without its leniency, Node's JSON.parse, and jq."""

import json
import shutil
import subprocess

import pytest
from harness.topics import of_bridge, of_job
from harness.world import job

SHARED_JOBS = (job("one"),)
SHARED_CONFIG = {"commands.rate_per_s": 1000, "commands.burst": 1000, "homeassistant.enabled": True}

# What stands in place of a value, and what readers find there (None: any value will do).
VALUES = {
    "half": (r'"\ud800"', "\ufffd"),
    "low": (r'"a\uDC00b"', "a\ufffdb"),
    "wrong order": (r'"\udc00\ud800"', "\ufffd\ufffd"),
    "half before a pair": (r'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
    "half before an escape": (r'"\ud83d\n\ud83d"', "\ufffd\n\ufffd"),
    "half at the end of much": (r'"%s\udbff"' % ("x" * 5000), "x" * 5000 + "\ufffd"),
    "no half": (r'"\\ud800"', "\\ud800"),
    "pair": (r'"\ud83d\ude00"', "\U0001f600"),
    "in an array": (r'["\ud800", ["\udfff"]]', ["\ufffd", ["\ufffd"]]),
    "in an object": (r'{"a": {"b": "\ud800"}}', {"a": {"b": "\ufffd"}}),
    "a nested name": (r'{"\ud800": 1}', {"\ufffd": 1}),
    "huge": ("1e400", None),
    "hugely negative": ("-1e99999999999", None),
    "many digits": ("7" * 5000, None),
    "many decimals": ("0." + "7" * 5000, 7 / 9),
    "nested numbers": ("[1E+309, [2]]", [None, [2]]),
    "tiny": ("1e-400", 0.0),
    "large": ("1.7976931348623157e308", 1.7976931348623157e308),
    "not a character": (r'"\uffff\u0000\u007f"', "\uffff\0\x7f"),
    "same names": (r'{"a": 1, "a": 2}', {"a": 2}),
}

# What no strict reader takes: nothing is published for it.
REFUSED = [b"NaN", b"Infinity", b"-Infinity", b"01", b"+1", b".5", b"1.", b"0x1", b'"\x01"', b'"\xed\xa0\x80"',
           b'"\xff"', b"'x'", b'"\\x41"', b'"\\u12"', b"[1,]", b'{"a":1,}', b"\xef\xbb\xbf1", b"True",
           b"1 /* one */", b"[" * 200 + b"]" * 200]


def refuse(constant):
    raise ValueError(constant)


def assert_strict(payloads):
    """Each is read by all readers, alike, and holds no half of a pair and nothing infinite."""
    texts = [payload.decode("utf-8") for payload in payloads]
    found = [json.loads(text, parse_constant=refuse) for text in texts]
    for value in found:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8")
    lines = "\n".join(json.dumps(text) for text in texts)
    for reader, arguments in (
            ("node", ["-e", "for (const line of require('fs').readFileSync(0, 'utf8').split('\\n'))"
                            " JSON.parse(JSON.parse(line))"]),
            ("jq", ["-e", "fromjson | true"])):
        program = shutil.which(reader)
        if program is None:
            continue
        done = subprocess.run([program, *arguments], input=lines, capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == 0, (reader, done.stderr[:500])


def published(world):
    """All JSON that the bridge has published so far."""
    return [message.payload for message in world.recorder.messages
            if message.payload.startswith(b"{") and "/command/" not in message.topic]


@pytest.mark.parametrize("kind", VALUES)
def test_values_of_a_job(shared, kind):
    """In a member, a message, a name and a sample's name: state, event, discovery, result."""
    raw, meant = VALUES[kind]
    name = shared.create("queued")
    text = f'{{"job_id": "{name}", "status": "processing", "message": {raw}, "sample_name": {raw}, "x": {raw}}}'
    since = shared.recorder.mark()
    shared.simulator.emit(text.encode())
    state = shared.recorder.wait_topic(of_job(name, "state"), since, status="processing").json
    assert meant is None or state["x"] == pytest.approx(meant) if isinstance(meant, float) else \
        state["x"] == meant
    assert state["message"] == state["x"]
    shared.recorder.wait_topic(of_job(name, "event"), since, event_type="processing")
    assert_strict(published(shared))


@pytest.mark.parametrize("escape", [r"\ud800", r"x\udfff", r"\ud83d\ud83d\ude00"])
def test_names(shared, escape):
    """Of members and of states; in the counts, too."""
    name = shared.create("queued")
    text = f'{{"job_id": "{name}", "status": "{escape}", "{escape}": 1}}'
    meant = json.loads(f'"{escape}"').encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    since = shared.recorder.mark()
    shared.simulator.emit(text.encode())
    state = shared.recorder.wait_topic(of_job(name, "state"), since, status=meant).json
    assert state[meant] == 1
    shared.recorder.wait_for(lambda message: message.topic == of_bridge("jobs") and
                             message.json.get(meant) == 1, since=since, what="the count")
    event = shared.recorder.wait_topic(of_job(name, "event"), since, event_type=meant).json
    shared.simulator.emit({"job_id": name, "status": "queued"})
    event = shared.recorder.wait_topic(of_job(name, "event"), since, event_type="queued").json
    assert event["previous"] == meant
    assert_strict(published(shared))


def test_an_id_of_a_job(shared):
    """Two that would become the same are refused instead."""
    before = len(shared.recorder.messages)
    for half in (r"\ud800", r"\ud801"):
        shared.simulator.emit(f'{{"job_id": "i{half}", "status": "queued"}}'.encode())
    shared.stream_marker()
    assert not [message for message in shared.recorder.messages[before:]
                if "\ufffd" in message.topic or b'"job_id":"i' in message.payload]


@pytest.mark.parametrize("raw, meant", [
    (r'"\ud800"', "\ufffd"), (r'"a\udfffb"', "a\ufffdb"), (r'"\ud83d\ude00"', "\U0001f600"),
    ("1e400", None), ("7" * 5000, None), ("1e5", 1e5), ("-0", 0)], ids=range(7))
def test_ids_of_commands(shared, raw, meant):
    """And they come back as strict readers can have them."""
    name = shared.create("processing")
    since = shared.send_command(name, "refresh", f'{{"id": {raw}, "n\\ud800": 1}}'.encode())
    answer = shared.recorder.wait_topic(of_job(name, "result"), since).json
    assert answer["ok"] and answer["id"] == meant
    assert_strict(published(shared))


@pytest.mark.parametrize("detail", [r'"no \ud800"', r'["\ud800", 1e400]', r'{"\udc00": "\ud800"}'])
def test_what_a_refusal_says(shared, detail):
    """The upstream's detail, status and message."""
    name = shared.create("processing")
    body = f'{{"detail": {detail}, "status": "\\ud800", "message": "m\\udc00"}}'
    shared.simulator.fault("cancel", status=422, body=body)
    answer = shared.command(name, "cancel")
    assert answer["error"] == "rejected"
    assert "\ufffd" in answer["detail"] or r"\ufffd" in answer["detail"]
    assert answer["status"] == "\ufffd" and answer["message"] == "m\ufffd"
    assert_strict(published(shared))


@pytest.mark.parametrize("value", REFUSED, ids=range(len(REFUSED)))
def test_what_is_no_json(shared, value):
    """Nothing is passed on of it."""
    name = shared.create("queued")
    since = shared.recorder.mark()
    shared.simulator.emit(b'{"job_id": "%s", "status": "processing", "x": %s}' % (name.encode(), value))
    shared.stream_marker()
    assert not shared.recorder.select(of_job(name, "state"), since)
    assert_strict(published(shared))
