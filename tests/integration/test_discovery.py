"""What a running bridge announces to Home Assistant, held against Home Assistant's rules."""

import json

import pytest
from harness import ha_devices, ha_samples, ha_values
from harness.ha_values import IGNORED, UNKNOWN
from harness.topics import STATES, of_bridge, of_job
from harness.world import job

SHARED_CONFIG = {"homeassistant.enabled": True}

NAMES = {
    # job id -> what AIVA says the sample is called
    "job_abc123": "Patient-001", "a.b": 'the "quoted" one\\', "a b": "{{ 7 * 7 }} {% if x %}",
    "a/b": "🧬🧬", "ä-ö": "x" * 300, "$x": "line\nbreak", "x-a": "", "x" * 128: " ",
    'q"\\': None, "a%b": "'", "{{7}}": "<b>&amp;</b>", "+#": 4711, "🧬": "None"}
IDS = {"job_abc123": "aiva_job_job_abc123", "a.b": "aiva_job_x-a-2Eb", "a/b": "aiva_job_x-a-2Fb"}
SHARED_JOBS = tuple(
    job(name, STATES[index % len(STATES)], sample_name=sample)
    for index, (name, sample) in enumerate(NAMES.items()))

BRIDGE = {"connectivity", "upstream", "upstream_problem", "jobs_total", "started_at", "job_event",
          "refresh", *(f"jobs_{state}" for state in STATES),
          *(f"trigger_{state}" for state in ("completed", "failed", "cancelled"))}
JOB = {"status", "progress", "message", "created_at", "completed_at", "problem", "event", "cancel",
       "delete"}


@pytest.fixture(scope="module")
def announced(shared_world):
    """Topic -> payload of everything that is announced."""
    ha_devices.wait_shown(shared_world, "aiva_bridge")
    ha_devices.wait_until(
        lambda: len(ha_devices.retained(shared_world)) == len(NAMES) + 1, "all devices", 30, 0.2)
    return ha_devices.assert_accepted(shared_world)


def roots(announced):
    return [json.loads(payload) for payload in announced.values()]


def of_id(announced, name):
    """The device of a job, by its serial number."""
    return next(one for one in roots(announced) if one["device"].get("serial_number") == name)


def bridge_of(announced):
    return json.loads(announced[ha_devices.topic_of("aiva_bridge")])


def test_every_job_and_the_bridge_have_a_device(announced):
    """With all entities, whatever the ids and names look like."""
    assert set(bridge_of(announced)["components"]) == BRIDGE
    for name in NAMES:
        assert set(of_id(announced, name)["components"]) == JOB
    for name, object_id in IDS.items():
        assert of_id(announced, name)["device"]["identifiers"] == [object_id]


def test_devices_are_named_after_their_samples(announced):
    """The id stands in where there is no name, in one line of at most 100 characters."""
    def name_of(name):
        return of_id(announced, name)["device"]["name"]
    for name in ("job_abc123", "a.b", "a b", "a/b", "a%b", "{{7}}", "🧬"):
        assert name_of(name) == NAMES[name]
    assert name_of("$x") == "line break" and name_of("+#") == "4711"
    assert name_of("x-a") == "x-a" and name_of("x" * 128)[:100] == "x" * 100
    assert name_of('q"\\') == 'q"\\'
    assert name_of("ä-ö") == "x" * 100 + "…"


def test_no_sample_name_becomes_part_of_an_entity_id(announced):
    """Entity ids are kept for ever; they say no more than the topics."""
    for root in roots(announced):
        for one in root["components"].values():
            if one["platform"] != "device_automation":
                assert one["default_entity_id"].split(".")[1].startswith("aiva_")
    status = of_id(announced, "job_abc123")["components"]["status"]
    assert status["default_entity_id"] == "sensor.aiva_job_job_abc123"


def test_messages_are_retained_json(shared_world, announced):
    for topic in announced:
        message = shared_world.recorder.last(topic)
        assert message.retain and message.qos == 1
        assert message.property("ContentType") == "application/json"


def templates(announced, *platforms):
    for root in roots(announced):
        for key, one in root["components"].items():
            if not platforms or one["platform"] in platforms:
                yield root, key, one


def test_every_template_holds_for_every_message(announced):
    """Every state, event and empty payload of the contract, and what AIVA may come to send, gives a
    value that Home Assistant takes."""
    for _, _, one in templates(announced, "sensor", "binary_sensor", "event"):
        for payload in ha_samples.for_topic(one["state_topic"]):
            ha_values.value(one, payload)
    for _, _, one in templates(announced, "device_automation"):
        for payload in ha_samples.for_topic(one["topic"]):
            ha_values.value(one, payload)
    attributes = 0
    for _, _, one in templates(announced):
        if "json_attributes_topic" in one:
            for payload in ha_samples.for_topic(one["json_attributes_topic"]):
                ha_values.attributes(one, payload)
            attributes += 1
    assert attributes == len(NAMES) + 1
    for root, _, one in templates(announced):
        for item in ha_values.availability_of(one, root)[0]:
            for payload in ha_samples.for_topic(item["topic"]):
                assert ha_values.render(item.get("value_template"), payload) in \
                    ("online", "offline", "")


def show(device, key, **state):
    return ha_values.value(device["components"][key], json.dumps(state))


def test_job_entities_show_the_job(announced):
    device = of_id(announced, "job_abc123")
    for state in STATES:
        assert show(device, "status", status=state) == state
        assert show(device, "problem", status=state) == (state == "failed")
    assert show(device, "status", status="archived") == "other"
    assert show(device, "progress", status="processing", progress=45.5) == 45.5
    assert show(device, "progress", status="queued") is UNKNOWN
    assert show(device, "message", message="m" * 300) == "m" * 252 + "..."
    assert show(device, "message", message="") is UNKNOWN
    assert show(device, "created_at", created_at="2026-03-09T10:30:00Z").year == 2026
    assert show(device, "created_at", created_at="2026-03-09T10:30:00") is UNKNOWN
    assert show(device, "completed_at") is UNKNOWN
    for key in JOB - {"cancel", "delete", "event"}:
        assert ha_values.value(device["components"][key], "") is UNKNOWN
    attributes = ha_values.attributes(device["components"]["status"], json.dumps(
        {"job_id": "j", "status": "archived", "message": "m" * 300, "sample_name": "S"}))
    assert attributes == {"job_id": "j", "status": "archived", "message": "m" * 300,
                          "sample_name": "S", "created_at": None}


def test_events_fire(announced):
    """The job's, the bridge's for all jobs, and the triggers."""
    event = {"job_id": "j", "event_type": "failed", "previous": "processing", "message": "m"}
    for device, key in ((of_id(announced, "job_abc123"), "event"),
                        (bridge_of(announced), "job_event")):
        assert show(device, key, **event) == event
        assert show(device, key, **{**event, "event_type": "archived"})["event_type"] == "other"
        assert ha_values.value(device["components"][key], "") is IGNORED
    components = bridge_of(announced)["components"]
    for kind in ("completed", "failed", "cancelled"):
        fired = [key for key, one in components.items() if one["platform"] == "device_automation"
                 and ha_values.value(one, json.dumps({"event_type": kind})) == one["payload"]]
        assert fired == [f"trigger_{kind}"]


def usable(device, key, bridge="online", upstream="streaming", status="processing"):
    payloads = {of_bridge("state"): bridge, of_bridge("upstream"): json.dumps({"state": upstream}),
                of_job("job_abc123", "state"): json.dumps({"status": status}) if status else ""}
    return ha_values.is_available(device["components"][key], device, payloads)


def test_buttons_are_there_when_they_can_do_something(announced):
    """Cancel for what waits or runs, delete for what has ended, and while both sides are up."""
    device = of_id(announced, "job_abc123")
    for status in (*STATES, "archived", None):
        assert usable(device, "cancel", status=status) == (status in ("queued", "processing"))
        assert usable(device, "delete", status=status) == \
            (status in ("completed", "failed", "cancelled"))
        assert usable(device, "status", status=status)
    for upstream in ha_samples.UPSTREAM:
        up = upstream in ("streaming", "polling")
        assert usable(device, "cancel", upstream=upstream) == up
        assert usable(device, "delete", upstream=upstream, status="failed") == up
        assert usable(device, "status", upstream=upstream)
    for key in ("cancel", "status", "progress"):
        assert not usable(device, key, bridge="offline")
    bridge = bridge_of(announced)
    assert usable(bridge, "connectivity", bridge="offline")
    assert not usable(bridge, "jobs_total", bridge="offline")
    assert device["components"]["delete"]["enabled_by_default"] is False


def test_real_messages_give_real_values(shared_world, announced):
    """What stands on the topics now is what the entities would show."""
    payloads = {topic: message.payload.decode()
                for topic, message in shared_world.retained("aiva/#").items()}
    shown = shared_world.simulator.jobs()
    for name in NAMES:
        device = of_id(announced, name)
        assert ha_values.is_available(device["components"]["status"], device, payloads)
        state = payloads[of_job(name, "state")]
        assert ha_values.value(device["components"]["status"], state) == shown[name]["status"]
    components = bridge_of(announced)["components"]
    for key, expected in (("jobs_total", len(NAMES)), ("upstream", "streaming"),
                          ("connectivity", True), ("upstream_problem", False)):
        one = components[key]
        assert ha_values.value(one, payloads[one["state_topic"]]) == expected


def test_presses_reach_the_bridge(shared, announced):
    """What Home Assistant publishes for a button is a command."""
    device = of_id(announced, "a b")
    button = device["components"]["cancel"]
    since = shared.recorder.mark()
    shared.recorder.publish(button["command_topic"], button["payload_press"].encode())
    assert shared.recorder.wait_topic(of_job("a b", "result"), since).json["command"] == "cancel"
    refresh = bridge_of(announced)["components"]["refresh"]
    shared.recorder.publish(refresh["command_topic"], refresh["payload_press"].encode())
    assert shared.recorder.wait_topic(of_bridge("result"), since).json["ok"]


def test_progress_announces_nothing(shared):
    """Nor does a change of status: the payload does not depend on them."""
    name = shared.create("queued")
    ha_devices.wait_shown(shared, f"aiva_job_{name}", named=f"Sample {name}")
    since = shared.recorder.mark()
    for progress in range(30):
        shared.simulator.set_job(name, status="processing", progress=progress)
    shared.simulator.set_job(name, status="completed")
    shared.wait_state(name, since, status="completed")
    # A device that comes after it shows that it would have come by now.
    later = shared.create("queued")
    ha_devices.wait_shown(shared, f"aiva_job_{later}", since=since)
    assert not ha_devices.messages(shared, f"aiva_job_{name}", since)


def test_a_name_that_comes_later_becomes_the_devices(shared):
    """The stream alone does not know it: the second message waits for the first to be digested."""
    name = shared.new_name()
    shared.simulator.emit({"job_id": name, "status": "processing"})
    first = ha_devices.wait_shown(shared, f"aiva_job_{name}", named=name)
    shared.simulator.emit({"job_id": name, "status": "processing", "sample_name": "Early"})
    shared.simulator.emit({"job_id": name, "status": "processing", "sample_name": "Late"})
    second = ha_devices.wait_shown(shared, f"aiva_job_{name}", since=first.position + 1)
    assert second.json["device"]["name"] == "Late"
    ha_devices.assert_spaced(shared)
