"""The checker of discovery payloads finds mistakes, and only mistakes."""

import copy
import json

import pytest
from harness import ha_rules, ha_values
from harness.ha_values import IGNORED, UNKNOWN, Refused

TOPIC = "homeassistant/device/x_1/config"
STATE = "x/1/state"
GOOD = {
    "device": {"identifiers": ["x_1"], "name": "Thing"},
    "origin": {"name": "x"},
    "availability": [{"topic": "x/state"}],
    "components": {
        "main": {"platform": "sensor", "unique_id": "x_1_main", "name": None, "qos": 1,
                 "default_entity_id": "sensor.x_1", "state_topic": STATE,
                 "value_template": "{{ value_json.a | default(none) }}"},
        "on": {"platform": "binary_sensor", "unique_id": "x_1_on", "name": "On", "qos": 1,
               "state_topic": STATE},
        "press": {"platform": "button", "unique_id": "x_1_press", "name": "Press", "qos": 1,
                  "command_topic": "x/1/press"},
        "event": {"platform": "event", "unique_id": "x_1_event", "name": "Event", "qos": 1,
                  "state_topic": "x/+/event", "event_types": ["a", "b"]},
        "trigger": {"platform": "device_automation", "automation_type": "trigger", "topic": STATE,
                    "type": "x", "subtype": "a", "qos": 1},
    },
}
OTHER = json.loads(json.dumps(GOOD).replace("x_1", "x_2"))


def check(payload, topic=TOPIC, **others):
    return ha_rules.check({topic: json.dumps(payload).encode(), **others})


def test_a_good_payload_passes():
    assert check(GOOD) == []
    assert check(GOOD, **{TOPIC.replace("x_1", "x_2"): json.dumps(OTHER).encode()}) == []


LEAVE_OUT = object()

BAD = {
    # what is wrong: the path to the member and what it becomes
    "no device": ("device", LEAVE_OUT), "no origin": ("origin", LEAVE_OUT),
    "no components": ("components", LEAVE_OUT), "components as a list": ("components", []),
    "no component": ("components", {}), "an abbreviation": ("dev", {}), "a base": ("~", "x"),
    "qos for all": ("qos", 1), "an expiry for all": ("message_expiry_interval", 60),
    "an unknown key": ("colour", "red"), "a bad mode": ("availability_mode", "some"),
    "both availabilities": ("availability_topic", "x/state"),
    "a device key": ("device.colour", "red"), "a null in the device": ("device.model", None),
    "a number in the device": ("device.model", 7), "no identifier": ("device.identifiers", []),
    "an empty identifier": ("device.identifiers", ""), "no device name": ("device.name", LEAVE_OUT),
    "a page that is none": ("device.configuration_url", "api.aivaportal.com"),
    "a parent that is not there": ("device.via_device", "y"),
    "an origin key": ("origin.maker", "x"), "an origin without a name": ("origin.name", LEAVE_OUT),
    "no such platform": ("components.main.platform", "gauge"),
    "no platform": ("components.main.platform", LEAVE_OUT),
    "a component that is none": ("components.main", []),
    "a key with a space": ("components.a b", {"platform": "sensor"}),
    "no unique id": ("components.main.unique_id", LEAVE_OUT),
    "no qos": ("components.main.qos", LEAVE_OUT), "qos 3": ("components.main.qos", 3),
    "qos true": ("components.main.qos", True),
    "no state topic": ("components.main.state_topic", LEAVE_OUT),
    "no command topic": ("components.press.command_topic", LEAVE_OUT),
    "an unknown entity key": ("components.main.colour", "red"),
    "a button's key at a sensor": ("components.main.payload_press", "x"),
    "a null template": ("components.main.value_template", None),
    "a template that does not compile": ("components.main.value_template", "{{ a"),
    "a filter that does not exist": ("components.main.value_template", "{{ value | shout }}"),
    "an empty name": ("components.main.name", ""), "no name": ("components.on.name", LEAVE_OUT),
    "a second main entity": ("components.on.name", None),
    "the device's name again": ("components.on.name", "Thing on"),
    "an icon without a set": ("components.main.icon", "dna"),
    "an entity id of another domain": ("components.main.default_entity_id", "switch.x_1"),
    "an entity id without a domain": ("components.main.default_entity_id", "x_1"),
    "an entity id with a dash": ("components.main.default_entity_id", "sensor.x-1"),
    "a category for buttons": ("components.main.entity_category", "config"),
    "a category for buttons at a switch": ("components.on.entity_category", "config"),
    "no such category": ("components.main.entity_category", "debug"),
    "options without a class": ("components.main.options", ["a"]),
    "an unknown class": ("components.main.device_class", "progress"),
    "an enum without options": ("components.main.device_class", "enum"),
    "a wildcard to publish on": ("components.press.command_topic", "x/+/press"),
    "a broken wildcard": ("components.main.state_topic", "x/a+/state"),
    "a wildcard amid": ("components.main.state_topic", "x/#/state"),
    "a control character": ("components.main.state_topic", "x/\u0007/state"),
    "an empty topic": ("components.main.state_topic", ""),
    "a wildcard in availability": ("availability.0.topic", "x/+/state"),
    "availability without a topic": ("availability.0", {}),
    "an availability key": ("availability.0.payload", "x"),
    "availability that is no list": ("availability", {"topic": "x"}),
    "a retained press": ("components.press.retain", True),
    "no event types": ("components.event.event_types", LEAVE_OUT),
    "an empty list of types": ("components.event.event_types", []),
    "a type twice": ("components.event.event_types", ["a", "a"]),
    "a trigger without a type": ("components.trigger.type", LEAVE_OUT),
    "a trigger with a name": ("components.trigger.name", "x"),
    "a trigger that is none": ("components.trigger.automation_type", "action"),
    "a negative precision": ("components.main.suggested_display_precision", -1),
    "a bad expiry": ("components.press.message_expiry_interval", "soon"),
    "attributes from nowhere": ("components.main.json_attributes_template", "{}"),
}


def changed(path, value):
    payload = copy.deepcopy(GOOD)
    *parents, name = path.split(".")
    place = payload
    for parent in parents:
        place = place[int(parent)] if isinstance(place, list) else place[parent]
    if value is LEAVE_OUT:
        del place[name]
    elif isinstance(place, list):
        place[int(name)] = value
    else:
        place[name] = value
    return payload


@pytest.mark.parametrize("what", BAD)
def test_a_mistake_is_found(what):
    """One change to a good payload each."""
    assert check(changed(*BAD[what]))


@pytest.mark.parametrize("members", [
    {"device_class": "enum", "options": []}, {"device_class": "enum", "options": None},
    {"device_class": "enum", "options": ["a"], "unit_of_measurement": "%"},
    {"device_class": "enum", "options": ["a"], "state_class": "measurement"},
    {"device_class": "timestamp", "unit_of_measurement": "s"},
    {"device_class": "duration", "unit_of_measurement": "%"},
    {"state_class": "always"},
    {"state_class": "measurement", "last_reset_value_template": "{{ 1 }}"},
    {"availability": [{"topic": "a"}, {"topic": "b"}]},
    {"availability": [{"topic": "a"}, {"topic": "a"}], "availability_mode": "all"},
], ids=str)
def test_members_that_do_not_go_together(members):
    payload = copy.deepcopy(GOOD)
    payload["components"]["main"].update(members)
    assert check(payload)


@pytest.mark.parametrize("topic", [
    "homeassistant/device/a.b/config", "homeassistant/device/a/b/config",
    "homeassistant/device//config", "homeassistant/device/x_1/state", "ha/device/x_1/config"])
def test_an_illegal_topic_is_found(topic):
    assert check(GOOD, topic)


@pytest.mark.parametrize("text", [
    b"", b"[]", b"{", b"\xff", b'{"a": NaN}', b'{"device": {}, "device": {}}'])
def test_what_is_no_json_object_is_found(text):
    assert ha_rules.check({TOPIC: text})


@pytest.mark.parametrize("path", ["device.identifiers", "components.main.unique_id",
                                  "components.main.default_entity_id"])
def test_what_two_devices_share_is_found(path):
    """Each of these has to be its own."""
    other = copy.deepcopy(OTHER)
    *parents, name = path.split(".")
    place, source = other, GOOD
    for parent in parents:
        place, source = place[parent], source[parent]
    place[name] = source[name]
    problems = check(GOOD, **{TOPIC.replace("x_1", "x_2"): json.dumps(other).encode()})
    assert any("twice" in one for one in problems)


def test_a_trigger_twice_is_found():
    payload = copy.deepcopy(GOOD)
    payload["components"]["again"] = payload["components"]["trigger"]
    assert check(payload)


# --- values


def sensor(**members):
    return {"platform": "sensor", "value_template": "{{ value_json.a }}", **members}


@pytest.mark.parametrize("component, payload", [
    (sensor(), ""), (sensor(), "{}"), (sensor(), "no JSON"),
    (sensor(value_template="{{ other }}"), "{}"),
    (sensor(value_template="{{ value_json.a.b.c }}"), '{"a": {}}'),
    (sensor(device_class="enum", options=["a"]), '{"a": "b"}'),
    (sensor(device_class="timestamp"), '{"a": "2026-03-09T10:30:00"}'),
    (sensor(device_class="timestamp"), '{"a": "today"}'),
    (sensor(device_class="timestamp"), '{"a": 1773052500}'),
    (sensor(unit_of_measurement="%"), '{"a": "much"}'),
    (sensor(unit_of_measurement="%"), '{"a": true}'),
    (sensor(), json.dumps({"a": "x" * 256})),
    ({"platform": "binary_sensor"}, "on"),
    ({"platform": "event", "event_types": ["a"]}, '{"event_type": "b"}'),
    ({"platform": "event", "event_types": ["a"]}, '{"type": "a"}'),
    ({"platform": "event", "event_types": ["a"]}, '["a"]'),
    ({"platform": "event", "event_types": ["a"]}, "a")], ids=str)
def test_a_value_that_would_be_logged_is_refused(component, payload):
    with pytest.raises(Refused):
        ha_values.value(component, payload)


@pytest.mark.parametrize("component, payload, expected", [
    (sensor(), '{"a": "x"}', "x"), (sensor(), json.dumps({"a": "ä" * 255}), "ä" * 255),
    (sensor(), '{"a": null}', UNKNOWN), (sensor(), '{"a": ""}', IGNORED),
    (sensor(unit_of_measurement="%"), '{"a": 45}', 45.0),
    (sensor(device_class="enum", options=["a"]), '{"a": "a"}', "a"),
    ({"platform": "binary_sensor"}, "ON", True), ({"platform": "binary_sensor"}, "", IGNORED),
    ({"platform": "event", "event_types": ["a"]}, "", IGNORED),
    ({"platform": "event", "event_types": ["a"]}, '{"event_type": "a"}', {"event_type": "a"})],
    ids=str)
def test_a_value_is_what_the_entity_shows(component, payload, expected):
    assert ha_values.value(component, payload) == expected


@pytest.mark.parametrize("template", ["[]", "{{ value_json }}", "{{ value_json.b | to_json }}"])
def test_attributes_that_are_no_object_are_refused(template):
    with pytest.raises(Refused):
        ha_values.attributes({"json_attributes_template": template}, '{"a": "b"}')


def test_availability_follows_the_mode():
    items = [{"topic": "a"}, {"topic": "b", "value_template": "{{ value }}line"}]
    root = {"availability": items, "availability_mode": "all"}
    assert ha_values.is_available({}, root, {"a": "online", "b": "on"})
    assert not ha_values.is_available({}, root, {"a": "online", "b": "off"})
    assert not ha_values.is_available({}, root, {"a": "online"})
    assert ha_values.is_available({"availability": []}, root, {})
    with pytest.raises(Refused):
        ha_values.is_available({}, root, {"a": "online", "b": "perhaps"})
