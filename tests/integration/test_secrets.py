"""Secrets: never in a log, a topic or the process list, and sent to nobody else."""

import base64
import json
import pathlib
import re
import signal
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import quote

import pytest
from harness.metrics import Listener
from harness.process import free_port
from harness.simulator import KEY
from harness.topics import of_bridge, of_job
from harness.waiting import wait_until
from harness.world import job

PASSWORD = "pass/word+with=signs&more"


def assert_unseen(text, *secrets):
    """Neither the secrets nor their usual encodings are in the text."""
    for secret in secrets:
        for shape in (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()):
            assert shape not in text


def test_secrets_are_seen_nowhere(make_world):
    """A working life at debug level: log, topics, arguments."""
    world = make_world(broker={"users": {"bridge": PASSWORD}})
    world.start([job("one"), job("two", "completed")], {
        "mqtt.username": "bridge", "mqtt.password": PASSWORD, "log.level": "debug"})
    arguments = pathlib.Path(f"/proc/{world.bridge.pid}/cmdline").read_text()
    assert world.command("one", "refresh")["ok"]
    assert world.command("two", "delete")["ok"]
    world.simulator.cut(hard=True)
    wait_until(lambda: world.simulator.stats()["streams_open"] == 1
               and world.simulator.requests("stream") > 1, "a new stream")
    world.stream_marker()
    world.bridge.stop()
    for text in (arguments, world.bridge.output(), *everything(world)):
        assert_unseen(text, KEY, PASSWORD)
    assert "token=" not in world.bridge.output()


def everything(world):
    """All topics and payloads."""
    for message in world.recorder.messages:
        yield message.topic
        yield message.payload.decode("utf-8", "replace")


@pytest.mark.parametrize("fault", [
    {"status": 401, "body": '{"detail":"bad key"}'}, {"status": 404}, {"status": 500},
    {"status": 200, "content_type": "text/html", "body": "<html>"}, {"cut_after": 0},
    {"status": 302, "location": "http://127.0.0.1:1/x"}], ids=str)
def test_secrets_are_not_in_errors(world, fault):
    """The same where the stream fails."""
    world.simulator.fault("stream", times=0, **fault)
    world.bridge.start({"log.level": "debug"})
    wait_until(lambda: world.simulator.requests("stream") > 0, "the stream to be asked")
    world.recorder.wait_for(lambda message: message.topic == of_bridge("upstream")
                            and message.json["state"] != "connecting",
                            what="another state than connecting")
    world.bridge.stop()
    for text in (world.bridge.output(), *everything(world)):
        assert_unseen(text, KEY)
        assert "token=" not in text


def test_a_server_that_shows_the_key(world):
    """An error page that repeats the request does not bring the key into a topic."""
    world.start([job("one")], {"log.level": "debug"})
    world.simulator.fault("cancel", status=422, body=f'{{"detail":"key {KEY} is not good"}}')
    assert world.command("one", "cancel")["error"] == "rejected"
    world.bridge.stop()
    for text in (world.bridge.output(), *everything(world)):
        assert_unseen(text, KEY)


def escaped(text, every=1):
    """Spelt with escapes of JSON, all characters or each second, third …"""
    return "".join(f"\\u{ord(c):04X}" if number % every == 0 else c for number, c in enumerate(text))


@pytest.mark.parametrize("spelled", [KEY, escaped(KEY), escaped(KEY, 2), f"x{escaped(KEY, 3)}y",
                                     f"a {KEY} b"], ids=range(5))
def test_a_key_in_what_is_told_of_a_job(make_world, spelled):
    """As status, name of a member, in values and in refusals, however it is spelt: what is published
    has it masked once the text is decoded, in the counts and the metrics too."""
    world, own = make_world(), Listener(free_port())
    world.start([job("one")], {"homeassistant.enabled": True, "log.level": "debug",
                               "http.listen": own.listen})
    own.wait_listening()
    text = (f'{{"job_id": "one", "status": "{spelled}", "{spelled}": 1, "message": "{spelled}", '
            f'"sample_name": "{spelled}", "nested": [{{"{spelled}": "{spelled}"}}]}}')
    world.simulator.emit(text.encode())
    masked = "a *** b" if " " in spelled else "***"
    world.recorder.wait_topic(of_job("one", "state"), status=masked)
    world.simulator.emit(b'{"job_id": "%s", "status": "queued"}' % spelled.encode())
    world.simulator.emit({"job_id": "one", "status": "processing"})
    event = world.recorder.wait_topic(of_job("one", "event"), event_type="processing").json
    assert event["previous"] == masked
    world.recorder.wait_for(lambda message: message.topic == of_bridge("jobs") and
                            message.json.get(masked) == 0, what="the counts")
    for body in (f'{{"detail": "{spelled}", "status": "{spelled}"}}', f'{{"detail": ["{spelled}"]}}'):
        world.simulator.fault("cancel", status=422, body=body)
        assert "***" in world.command("one", "cancel", f'{{"id": "{spelled}"}}'.encode())["detail"]
    world.simulator.fault("stream", times=3, status=503, body=f'{{"detail": "{spelled}"}}')
    world.simulator.cut()
    world.recorder.wait_topic(of_bridge("upstream"), state="connecting")
    shown = [own.ask(path)[2] for path in ("/metrics", "/readyz")]
    assert 'state="' + masked + '"' in shown[0]
    world.bridge.stop()
    said = [message.payload.decode() for message in world.recorder.messages
            if "/command/" not in message.topic and message.payload]
    said += [json.dumps(json.loads(text), ensure_ascii=False) for text in said if text[0] == "{"]
    for text in (*shown, world.bridge.output(), *said):
        assert KEY not in text and "*" * 4 not in text


def test_nothing_tells_whether_a_guess_is_the_password(make_world):
    """A command for a job that is called like the broker's password reads as any other; the log
    masks it."""
    password = "guess-Me_1234567"
    world = make_world(broker={"users": {"bridge": password}})
    world.start([job("one")], {"mqtt.username": "bridge", "mqtt.password": password})
    for name in (password, password[:-1] + "x"):
        world.simulator.fault("cancel", status=422, body=json.dumps({"detail": f"no {name}, no"}))
        answer = world.command(name, "cancel", json.dumps({"id": name}).encode())
        assert answer["job_id"] == answer["id"] == name and answer["detail"] == f"no {name}, no"
    world.simulator.emit({"job_id": "one", "status": "queued", "message": password})
    world.recorder.wait_topic(of_job("one", "state"), message=password)
    world.bridge.stop()
    assert password not in world.bridge.output() and "no ***, no" in world.bridge.output()


def test_masks_have_one_width(world):
    """Whole words are covered, by the same mask."""
    world.start([job("one")], {"log.level": "debug"})
    world.simulator.fault("cancel", status=422, body=json.dumps({"detail": f"(x{KEY}y) k={KEY}&z"}))
    assert world.command("one", "cancel")["detail"] == "(***) k=***&z"


ODD_KEY = 'odd/key+with=%41&"quotes"~and\\more'


def spellings(secret):
    """As it stands, as part of a URL in either case, inside JSON, in base64."""
    quoted = quote(secret, safe="")
    lower = re.sub("%..", lambda escape: escape[0].lower(), quoted)
    return (secret, quoted, lower, json.dumps(secret)[1:-1],
            base64.b64encode(secret.encode()).decode())


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_all_that_goes_wrong_shows_no_secret(make_world, tmp_path, log_format):
    """Everything at debug level, with every failure provoked and a server that repeats the key in
    all spellings wherever it can: log, topics, arguments and what --check says are searched."""
    key = tmp_path / "key"
    key.write_text(ODD_KEY)
    key.chmod(0o600)
    world = make_world(broker={"users": {"bridge": PASSWORD}}, simulator=["--key", ODD_KEY])
    config = {"aiva.api_key": None, "aiva.api_key_file": str(key), "mqtt.username": "bridge",
              "mqtt.password": PASSWORD, "log.level": "debug", "log.format": log_format}
    shown = " ".join(spellings(ODD_KEY)[:4])
    world.start([job("one"), job("two", "completed")], config)
    arguments = pathlib.Path(f"/proc/{world.bridge.pid}/cmdline").read_text()
    world.simulator.emit({"job_id": "one", "status": "processing", "message": shown, "x": [shown]})
    world.simulator.emit({"job_id": ODD_KEY, "status": "processing"})
    world.simulator.emit(f"not JSON: {shown}".encode())
    world.simulator.emit({"job_id": "one", "status": "queued"}, event=ODD_KEY)
    for status, body in ((422, {"detail": shown}), (500, {"detail": [shown]}), (404, {"detail": shown})):
        for kind in ("cancel", "status", "list"):
            world.simulator.fault(kind, status=status, body=json.dumps(body))
        world.command("one", "cancel", timeout=60)
        world.command("one", "refresh", timeout=60)
    world.simulator.clear_faults()
    for fault in ({"status": 401, "body": json.dumps({"detail": shown})},
                  {"status": 200, "content_type": f"text/{quote(ODD_KEY)}", "body": shown},
                  {"status": 302, "location": f"http://127.0.0.1:1/?token={quote(ODD_KEY)}"},
                  {"status": 302, "location": f"http://{ODD_KEY[4:7]}.invalid/{shown}"}):
        asked = world.simulator.requests("stream")
        world.simulator.fault("stream", times=2, **fault)
        world.bridge.send(signal.SIGHUP)
        wait_until(lambda: world.simulator.requests("stream") > asked, "the stream to be asked")
    world.simulator.set_key("another-key")
    world.bridge.send(signal.SIGHUP)
    world.wait_upstream("unauthorized", timeout=60)
    checked = world.bridge.run_config("--check", overrides=config)
    assert checked.returncode == 3
    world.broker.restart()
    world.bridge.stop()
    for text in (arguments, checked.stdout, checked.stderr, world.bridge.output(), *everything(world)):
        for spelling in (*spellings(ODD_KEY), *spellings(PASSWORD)):
            assert spelling not in text
        assert "token=odd" not in text


class Elsewhere:
    """Another server, which must not hear of the key."""

    def __init__(self):
        seen = self.seen = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append((self.path, dict(self.headers)))
                self.send_error(404)

            do_POST = do_DELETE = do_GET

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def elsewhere():
    server = Elsewhere()
    yield server
    server.close()


@pytest.mark.parametrize("kind, code", [
    ("stream", 302), ("list", 307), ("status", 301), ("cancel", 307), ("cancel", 303)])
def test_redirects_stay_at_home(world, elsewhere, kind, code):
    """A redirect to another port is refused, for every kind of call."""
    world.simulator.put_jobs([job("one")])
    world.simulator.fault(kind, status=code, location=f"{elsewhere.url}/jobs", times=2)
    world.bridge.start()
    if kind == "cancel":
        world.wait_state("one")
        assert world.command("one", "cancel")["ok"] is False
    wait_until(lambda: world.simulator.requests(kind) > 0, "the request")
    if kind == "list":
        world.recorder.wait_for(
            lambda message: message.topic == of_bridge("upstream")
            and f"{code}: redirect to {elsewhere.url} refused" in message.json["detail"])
    world.wait_state("one", sample_name="Sample one")
    world.bridge.stop()
    assert not elsewhere.seen


def test_the_broker_password_is_not_shown_when_refused(make_world):
    """A refused login is logged without what was tried."""
    world = make_world(broker={"users": {"bridge": "right"}})
    world.bridge.start({"mqtt.username": "bridge", "mqtt.password": PASSWORD,
                        "log.level": "debug"})
    wait_until(lambda: "not authorised" in world.broker.output(), "the refusal")
    world.bridge.stop()
    assert_unseen(world.bridge.output(), KEY, PASSWORD)
