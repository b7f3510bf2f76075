"""What Home Assistant makes of a message: templates, and the rules for values of each platform.

Templates run in jinja2's sandbox, as there, but any use of something undefined is an error here,
where Home Assistant writes a line into its log and goes on.
"""

import functools
import json
from datetime import datetime

import jinja2
import jinja2.sandbox


class Refused(Exception):
    """Home Assistant would complain in its log."""


IGNORED = object()
"""The message changes nothing."""
UNKNOWN = None
"""The entity has no value."""


def to_json(value):
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def make_environment():
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.loopcontrols", "jinja2.ext.do"])
    environment.filters["to_json"] = to_json
    return environment


ENVIRONMENT = make_environment()


@functools.cache
def compiled(text):
    return ENVIRONMENT.from_string(text)


def compile_problem(text):
    """Why a template is none, or None."""
    try:
        compiled(text)
    except jinja2.TemplateError as error:
        return f"it does not compile: {error}"
    return None


def render(template, payload):
    """The text that a template gives for a payload; the payload itself where there is none."""
    if template is None:
        return payload
    variables = {"value": payload}
    try:
        variables["value_json"] = json.loads(payload)
    except ValueError:
        pass
    try:
        return compiled(template).render(variables).strip()
    except (jinja2.TemplateError, TypeError, ValueError, AttributeError) as error:
        raise Refused(f"{error} in {template} for {payload!r}") from error


# ---- Values by platform


def is_numeric(component):
    return any(component.get(key) is not None for key in
               ("unit_of_measurement", "state_class", "suggested_display_precision"))


def sensor_value(component, text):
    if not text:
        return IGNORED
    if text == "None":
        return UNKNOWN
    if component.get("device_class") == "timestamp":
        try:
            moment = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
        except ValueError as error:
            raise Refused(f"no date: {text}") from error
        if moment.tzinfo is None:
            raise Refused(f"no time zone: {text}")
        return moment
    if "options" in component and text not in component["options"]:
        raise Refused(f"not among the options: {text}")
    if is_numeric(component):
        try:
            return float(text)
        except ValueError as error:
            raise Refused(f"not a number: {text}") from error
    if len(text) > 255:
        raise Refused(f"longer than 255 characters: {text}")
    return text


def binary_value(component, text):
    known = {component.get("payload_on", "ON"): True, component.get("payload_off", "OFF"): False,
             "None": UNKNOWN, "": IGNORED}
    if text not in known:
        raise Refused(f"neither on nor off: {text!r}")
    return known[text]


def event_value(component, text):
    if text in ("", "None", "{}"):
        return IGNORED
    try:
        event = json.loads(text)
    except ValueError as error:
        raise Refused(f"not JSON: {text}") from error
    if not isinstance(event, dict) or event.get("event_type") not in component["event_types"]:
        raise Refused(f"no type of event that is known: {text}")
    return event


VALUES = {"sensor": sensor_value, "binary_sensor": binary_value, "event": event_value,
          "device_automation": lambda _component, text: text}


def value(component, payload):
    """What the entity shows after the message: a value, UNKNOWN or IGNORED. Raises Refused."""
    return VALUES[component["platform"]](component, render(component.get("value_template"), payload))


def attributes(component, payload):
    """The attributes that the message gives it. Raises Refused."""
    text = render(component.get("json_attributes_template"), payload)
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Refused(f"attributes that are no JSON: {text}") from error
    if not isinstance(found, dict):
        raise Refused(f"attributes that are no object: {text}")
    return found


def availability_of(component, root):
    """The items that count for a component, and the mode."""
    return (component.get("availability", root.get("availability", [])),
            component.get("availability_mode", root.get("availability_mode", "latest")))


def is_available(component, root, payloads):
    """Whether the entity can be used, given the last message of each topic."""
    items, mode = availability_of(component, root)
    if not items:
        return True
    states = []
    for item in items:
        text = render(item.get("value_template"), payloads.get(item["topic"], "")) \
            if item["topic"] in payloads else ""
        states.append(text == item.get("payload_available", "online"))
        if text not in ("", item.get("payload_available", "online"),
                        item.get("payload_not_available", "offline")):
            raise Refused(f"neither available nor not: {text}")
    return all(states) if mode == "all" else any(states)
