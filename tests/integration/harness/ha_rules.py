"""Home Assistant's rules for MQTT discovery, as tables, and what holds payloads against them.

Stricter than Home Assistant in one way: a key that it would pass over in silence is a mistake too.
Nothing here knows the bridge: `check` takes topics and payloads as they stand at a broker.
"""

import json
import re

from . import ha_values

OBJECT_ID = re.compile(r"[A-Za-z0-9_-]+")
COMPONENT_KEY = re.compile(r"[A-Za-z0-9_-]+")
ENTITY_ID = re.compile(r"([a-z_]+)\.([a-z0-9]+(_[a-z0-9]+)*)")
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")
URL = re.compile(r"(https?|homeassistant)://[^/\s]+.*")


# ---- Values: each takes one and returns what is wrong with it, or None.


def text(value):
    return None if isinstance(value, str) and value else "expected a text that is not empty"


def text_or_null(value):
    return None if value is None else text(value)


def flag(value):
    return None if isinstance(value, bool) else "expected true or false"


def url(value):
    return text(value) or (None if URL.fullmatch(value) else "expected a URL")


def icon(value):
    return text(value) or (None if ":" in value else "expected an icon with a colon")


def number(least, most=None):
    def check_number(value):
        if isinstance(value, bool) or not isinstance(value, int) or value < least or \
                (most is not None and value > most):
            return f"expected a whole number from {least} to {most}"
        return None
    return check_number


def one_of(*values):
    return lambda value: None if value in values and isinstance(value, str) \
        else f"expected one of {values}"


def exactly(wanted):
    return lambda value: None if value == wanted else f"expected {wanted!r}"


def texts(value):
    if not isinstance(value, list) or not value or len(set(map(str, value))) != len(value):
        return "expected a list of different texts"
    return next(filter(None, map(text, value)), None)


def text_or_texts(value):
    return text(value) if isinstance(value, str) else texts(value)


def subscribed(value):
    """A topic filter: wildcards stand alone in their level, `#` at the end."""
    if wrong := text(value):
        return wrong
    levels = value.split("/")
    if any(("+" in one and one != "+") or ("#" in one and one != "#") for one in levels) or \
            "#" in levels[:-1]:
        return "a wildcard in the wrong place"
    return "no topic" if CONTROLS.search(value) or len(value.encode()) > 65535 else None


def published(value):
    return subscribed(value) or ("a wildcard" if set(value) & set("+#") else None)


def template(value):
    return text(value) or ha_values.compile_problem(value)


def expiry(value):
    """Seconds; a map of a duration would be allowed as well."""
    return number(0)(value)


# ---- Tables: key -> rule

ORIGIN = {"name": text, "sw_version": text, "support_url": url}
ORIGIN_REQUIRED = {"name"}

DEVICE = {"identifiers": text_or_texts, "name": text, "manufacturer": text, "model": text,
          "model_id": text, "hw_version": text, "sw_version": text, "serial_number": text,
          "via_device": text, "suggested_area": text, "configuration_url": url}
DEVICE_REQUIRED = {"identifiers", "name"}

AVAILABILITY_ITEM = {"topic": published, "payload_available": text, "payload_not_available": text,
                     "value_template": template}
AVAILABILITY_ITEM_REQUIRED = {"topic"}

AVAILABILITY = {
    "availability": lambda value: None if isinstance(value, list) else "expected a list",
    "availability_topic": published, "availability_mode": one_of("all", "any", "latest"),
    "availability_template": template, "payload_available": text, "payload_not_available": text}

# `qos` and `encoding` are inherited by recent versions only, and `message_expiry_interval` at this
# place makes older ones drop the device: each component has to have its own.
ROOT = {"device": None, "origin": None, "components": None, **AVAILABILITY,
        "state_topic": subscribed, "command_topic": published}
ROOT_REQUIRED = {"device", "origin", "components"}

ENTITY = {
    "platform": text, "unique_id": text, "name": text_or_null, "default_entity_id": text,
    "icon": icon, "entity_category": one_of("config", "diagnostic"), "enabled_by_default": flag,
    "visible_by_default": flag, "entity_picture": url, "json_attributes_topic": subscribed,
    "json_attributes_template": template, "qos": number(0, 2), "encoding": exactly("utf-8"),
    "message_expiry_interval": expiry, **AVAILABILITY}
ENTITY_REQUIRED = {"platform", "unique_id", "qos"}

SENSOR_CLASSES = {
    # device class -> units that go with it; None: no unit
    "enum": None, "timestamp": None, "uptime": None, "date": None,
    "duration": {"d", "h", "min", "s", "ms", "μs"}, "data_size": {"B", "kB", "MB", "GB"},
    "battery": {"%"}, "humidity": {"%"}}
BINARY_CLASSES = {"connectivity", "problem", "running", "update", "safety", "power", "plug"}

PLATFORMS = {
    # platform -> (required keys, own keys)
    "sensor": ({"state_topic"}, {
        "state_topic": subscribed, "value_template": template,
        "device_class": one_of(*SENSOR_CLASSES), "options": texts,
        "state_class": one_of("measurement", "measurement_angle", "total", "total_increasing"),
        "unit_of_measurement": text, "suggested_display_precision": number(0),
        "last_reset_value_template": template, "expire_after": number(0), "force_update": flag}),
    "binary_sensor": ({"state_topic"}, {
        "state_topic": subscribed, "value_template": template,
        "device_class": one_of(*BINARY_CLASSES), "payload_on": text, "payload_off": text,
        "expire_after": number(0), "off_delay": number(0), "force_update": flag}),
    "button": ({"command_topic"}, {
        "command_topic": published, "command_template": template, "payload_press": text,
        # A retained command is refused by those that listen.
        "retain": exactly(False), "device_class": one_of("identify", "restart", "update")}),
    "event": ({"state_topic", "event_types"}, {
        "state_topic": subscribed, "event_types": texts, "value_template": template,
        "device_class": one_of("doorbell", "button", "motion")}),
}
TRIGGER = {
    "platform": text, "automation_type": exactly("trigger"), "topic": subscribed, "type": text,
    "subtype": text, "payload": text, "value_template": template, "qos": number(0, 2)}
TRIGGER_REQUIRED = {"platform", "automation_type", "topic", "type", "subtype", "qos"}


class Checker:
    """Collects what is wrong with a set of payloads."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.problems = []
        self.seen = {}
        self.where = ""

    def wrong(self, what):
        self.problems.append(f"{self.where}: {what}")

    def once(self, what, key):
        """No two of a kind."""
        if (what, key) in self.seen:
            self.wrong(f"{what} {key} is there twice, also in {self.seen[what, key]}")
        self.seen[what, key] = self.where

    def members(self, value, allowed, required, what):
        """Allowed and required keys, and their values; whether it is an object at all."""
        if not isinstance(value, dict):
            self.wrong(f"{what}: expected an object")
            return False
        for key in required - value.keys():
            self.wrong(f"{what}: {key} is missing")
        for key, content in value.items():
            if key not in allowed:
                self.wrong(f"{what}: {key} is not allowed")
            elif allowed[key] and (problem := allowed[key](content)):
                self.wrong(f"{what}: {key}: {problem}: {content!r}")
        return True

    def availability(self, value, what):
        topics = [one.get("topic") for one in value.get("availability") or ()
                  if self.members(one, AVAILABILITY_ITEM, AVAILABILITY_ITEM_REQUIRED,
                                  f"{what}: availability")]
        if len(set(topics)) != len(topics):
            self.wrong(f"{what}: one availability topic twice: only the last would count")
        if len(topics) > 1 and "availability_mode" not in value:
            self.wrong(f"{what}: several topics and no mode: the latest message would decide")

    def sensor(self, one, what):
        device_class, unit = one.get("device_class"), one.get("unit_of_measurement")
        if "options" in one and device_class != "enum":
            self.wrong(f"{what}: options need the device class enum")
        if device_class == "enum" and "options" not in one:
            self.wrong(f"{what}: an enum without options")
        if device_class in SENSOR_CLASSES and SENSOR_CLASSES[device_class] is None and \
                (unit or "state_class" in one):
            self.wrong(f"{what}: {device_class} has neither a unit nor a state class")
        if unit and device_class and unit not in (SENSOR_CLASSES.get(device_class) or {unit}):
            self.wrong(f"{what}: {unit} is no unit of {device_class}")
        if "last_reset_value_template" in one and one.get("state_class") != "total":
            self.wrong(f"{what}: a last reset is for a total only")

    def entity(self, one, platform, device, what):
        required, own = PLATFORMS[platform]
        self.members(one, {**ENTITY, **own}, ENTITY_REQUIRED | required, what)
        self.availability(one, what)
        self.once(f"unique_id of a {platform}", one.get("unique_id"))
        if platform in ("sensor", "binary_sensor") and one.get("entity_category") == "config":
            self.wrong(f"{what}: a sensor configures nothing")
        if platform == "sensor":
            self.sensor(one, what)
        if "json_attributes_template" in one and "json_attributes_topic" not in one:
            self.wrong(f"{what}: attributes without a topic")
        if "name" not in one:
            self.wrong(f"{what}: without a name it would be called after its class")
        elif one["name"] is None:
            self.once("main entity of", self.where)
        elif str(device.get("name")).lower() in one["name"].lower():
            self.wrong(f"{what}: the name repeats the device's")
        if "default_entity_id" in one:
            found = ENTITY_ID.fullmatch(one["default_entity_id"])
            if not found or found[1] != platform or len(one["default_entity_id"]) > 255:
                self.wrong(f"{what}: no entity id of a {platform}: {one['default_entity_id']}")
            self.once("entity id", one["default_entity_id"])

    def component(self, key, one, root, device):
        what = f"component {key}"
        if not COMPONENT_KEY.fullmatch(key):
            self.wrong(f"{what}: not a word")
        if not isinstance(one, dict) or one.get("platform") not in \
                {*PLATFORMS, "device_automation"}:
            self.wrong(f"{what}: no platform that exists")
            return
        platform = one["platform"]
        if platform == "device_automation":
            self.members(one, TRIGGER, TRIGGER_REQUIRED, what)
            self.once("trigger", (str(device.get("identifiers")), one.get("type"),
                                  one.get("subtype")))
            return
        self.entity(one, platform, device, what)
        inherited = {**{name: root[name] for name in AVAILABILITY if name in root}, **one}
        if {"availability", "availability_topic"} <= inherited.keys():
            self.wrong(f"{what}: availability and availability_topic exclude each other")

    def payload(self, topic, payload):
        self.where = topic
        match = re.fullmatch(re.escape(self.prefix) + r"/device/([^/]+)/config", topic)
        if not match or not OBJECT_ID.fullmatch(match[1]):
            self.wrong("an illegal discovery topic")
        try:
            root = parse(payload)
        except ValueError as error:
            self.wrong(f"not JSON: {error}")
            return
        if not self.members(root, ROOT, ROOT_REQUIRED, "root"):
            return
        self.availability(root, "root")
        device = root.get("device")
        self.members(root.get("origin"), ORIGIN, ORIGIN_REQUIRED, "origin")
        if self.members(device, DEVICE, DEVICE_REQUIRED, "device"):
            for one in as_list(device.get("identifiers")):
                self.once("identifier", one)
        components = root.get("components")
        if not isinstance(components, dict) or not components:
            self.wrong("components: expected an object that is not empty")
            return
        for key, one in components.items():
            self.component(key, one, root, device if isinstance(device, dict) else {})

    def parents(self, roots):
        """Every device that another one refers to is there."""
        known = {one for root in roots for one in as_list(root["device"]["identifiers"])}
        for root in roots:
            via = root["device"].get("via_device")
            if via is not None and via not in known:
                self.wrong(f"{root['device']['identifiers']}: no device {via}")


def as_list(value):
    return value if isinstance(value, list) else [value]


def no_repeats(pairs):
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name comes twice")
    return result


def refuse(constant):
    raise ValueError(f"{constant} is not JSON")


def parse(payload):
    """Strict JSON, as Home Assistant's parser takes it."""
    return json.loads(payload.decode("utf-8") if isinstance(payload, bytes) else payload,
                      object_pairs_hook=no_repeats, parse_constant=refuse)


def check(payloads, prefix="homeassistant"):
    """What Home Assistant would not like about these discovery payloads, by topic; [] if nothing."""
    checker = Checker(prefix)
    for topic, payload in payloads.items():
        checker.payload(topic, payload)
    if not checker.problems:
        checker.parents([parse(payload) for payload in payloads.values()])
    return checker.problems
