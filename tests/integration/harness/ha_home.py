"""A Home Assistant in small: entities as it makes them of what stands at the broker, and templates that ask for them.

Not for the rules of discovery (ha_rules.py), nor for the life of an entity: it shows one moment.
"""

import ast
import re
import types

from . import ha_devices, ha_values
from .ha_values import IGNORED, UNKNOWN


def slug(text):
    """As entity ids are made of names, where they are plain."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


class Entity:
    """One component of a device: its id, its state, its attributes."""

    def __init__(self, device, component, payloads):
        self.device = device
        self.component = component
        whole = " ".join(filter(None, (device["name"], component["name"])))
        wanted = component.get("default_entity_id", f"_.{slug(whole)}").partition(".")[2]
        self.entity_id = f"{component['platform']}.{wanted}"
        self.name = whole
        self.state = self._state(payloads.get(component.get("state_topic")))
        self.attributes = self._attributes(payloads.get(component.get("json_attributes_topic")))

    def _state(self, payload):
        if payload is None or self.component["platform"] == "event":
            return "unknown"
        value = ha_values.value(self.component, payload)
        if value in (IGNORED, UNKNOWN):
            return "unknown"
        if isinstance(value, bool):
            return "on" if value else "off"
        # A sensor without decimals shows none.
        return str(round(value)) if isinstance(value, float) else str(value)

    def _attributes(self, payload):
        found = {} if payload is None else ha_values.attributes(self.component, payload)
        for key in ("unit_of_measurement", "device_class", "options", "event_types"):
            if key in self.component:
                found[key] = self.component[key]
        return {**found, "friendly_name": self.name}


class Home:
    """What a Home Assistant that starts now would know."""

    def __init__(self, world):
        self.entities, self.triggers, self.devices = {}, [], {}
        payloads = {topic: message.text for topic, message in world.retained().items()}
        for object_id, message in ha_devices.retained(world).items():
            # The registry's own id: 32 hexadecimal digits, and none of the names that we give.
            device = {**message.json["device"], "id": f"{len(self.devices):032x}"}
            self.devices[object_id] = device
            for component in message.json["components"].values():
                if component["platform"] == "device_automation":
                    self.triggers.append((device, component))
                else:
                    entity = Entity(device, component, payloads)
                    self.entities[entity.entity_id] = entity
        self.environment = self._make_environment()

    def _make_environment(self):
        environment = ha_values.make_environment()
        environment.tests["match"] = lambda value, pattern: re.match(pattern, value) is not None
        environment.filters["int"] = as_int
        environment.filters["ord"] = ord
        environment.globals.update(
            states=States(self), state_attr=self._state_attr, device_id=self._device_id,
            device_attr=self._device_attr, device_entities=self._device_entities)
        return environment

    def render(self, template, **variables):
        """The text that a template gives, in an automation, a script or a card."""
        return self.environment.from_string(template).render(variables).strip()

    def render_value(self, template, **variables):
        """What a variable becomes: Home Assistant makes a value of text that looks like one."""
        text = self.render(template, **variables)
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text
        return text if isinstance(value, str) else value

    def _state_attr(self, entity_id, name):
        entity = self.entities.get(entity_id)
        return None if entity is None else entity.attributes.get(name)

    def _device_id(self, entity_id):
        entity = self.entities.get(entity_id)
        return None if entity is None else entity.device["id"]

    def _device_attr(self, device_id, name):
        return next(one.get(name) for one in self.devices.values() if one["id"] == device_id)

    def _device_entities(self, device_id):
        return [entity_id for entity_id, one in self.entities.items() if one.device["id"] == device_id]


class States:
    """`states('sensor.x')` and `states.sensor`."""

    def __init__(self, home):
        self._home = home

    def __call__(self, entity_id):
        entity = self._home.entities.get(entity_id)
        return "unknown" if entity is None else entity.state

    def __getattr__(self, domain):
        return [types.SimpleNamespace(entity_id=entity_id, state=one.state, name=one.name, attributes=one.attributes)
                for entity_id, one in self._home.entities.items() if entity_id.startswith(f"{domain}.")]


def as_int(value, default=0):
    try:
        return int(float(value))
    except (TypeError, ValueError):
        return default
