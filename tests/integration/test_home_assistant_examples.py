"""The examples in config/home-assistant: valid, and about entities, topics and triggers that there really are."""

import html
import json
import pathlib
import re
import types

import pytest
import yaml
from harness import ha_devices, ha_values
from harness.ha_home import Home, slug
from harness.topics import of_bridge, of_job
from harness.world import job

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "config" / "home-assistant"
SHARED_CONFIG = {"homeassistant.enabled": True}
SHARED_JOBS = (job("job_abc123", "processing", progress=42, message="Running variant annotation..."),
               job("job_def456", "queued", sample_name="A | B"), job("job_old", "failed", message="Out of memory."))


class Loader(yaml.SafeLoader):
    """YAML as Home Assistant reads blueprints."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key) for key, _ in node.value]
        assert len(set(keys)) == len(keys), f"a key is given twice: {keys}"
        return super().construct_mapping(node, deep)


Loader.add_constructor("!input", lambda loader, node: f"!input {loader.construct_scalar(node)}")


def read(name):
    return yaml.load((FOLDER / name).read_text("utf-8"), Loader)


FILES = {str(path.relative_to(FOLDER)): path.read_text("utf-8")
         for path in sorted([*FOLDER.glob("*.yaml"), *FOLDER.glob("blueprints/*.yaml")])}
AUTOMATION, SCRIPT, CARD = map(read, ("automation_run_failed.yaml", "script_cancel_job.yaml", "dashboard_jobs.yaml"))
BLUEPRINT = read("blueprints/aiva_job_ended.yaml")

CORE_CARDS = {"vertical-stack", "glance", "conditional", "markdown", "entities"}
ACTIONS = {"persistent_notification.create", "mqtt.publish"}


@pytest.fixture(scope="module")
def home(shared_world):
    """All that the bridge has announced."""
    ha_devices.wait_shown(shared_world, "aiva_bridge", *(f"aiva_job_{one['job_id']}" for one in SHARED_JOBS))
    return Home(shared_world)


def nodes(value):
    """All mappings in a document."""
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(one)


def test_all_files_are_looked_at():
    assert set(FILES) == {"automation_run_failed.yaml", "script_cancel_job.yaml", "dashboard_jobs.yaml",
                          "blueprints/aiva_job_ended.yaml"}


def test_keys_actions_and_cards_are_home_assistants():
    assert set(AUTOMATION) == {"alias", "description", "mode", "max", "triggers", "conditions", "actions"}
    assert set(BLUEPRINT) == {"blueprint", "mode", "max", "triggers", "actions"}
    assert set(SCRIPT) == {"alias", "description", "icon", "mode", "max", "fields", "variables", "sequence"}
    for document in (AUTOMATION, BLUEPRINT, SCRIPT, CARD):
        for node in nodes(document):
            # A tap on a card has an action too, of another kind; a selector's has nothing in it.
            assert node.get("action") in (None, {}, "more-info", *ACTIONS)
    cards = [node["type"] for node in nodes(CARD) if "type" in node]
    assert set(cards) <= CORE_CARDS


@pytest.mark.parametrize("name", FILES)
def test_entities_exist(home, name):
    found = set(re.findall(r"\b(?:sensor|binary_sensor|event|button|script)\.aiva_\w+", FILES[name]))
    assert found or name.startswith("blueprints")
    assert found <= set(home.entities) | {f"script.{slug(SCRIPT['alias'])}"}


@pytest.mark.parametrize("name", FILES)
def test_topics_are_the_bridges(home, shared, name):
    known = {message.topic for message in shared.recorder.messages}
    known |= {entity.component["command_topic"] for entity in home.entities.values()
              if "command_topic" in entity.component}
    known.add(of_job("job_abc123", "result"))
    plain = re.sub(r"\{\{ job_id \}\}", "job_abc123", FILES[name])
    for topic in re.findall(r"\baiva/(?:jobs|bridge)/\S+[a-z]", plain):
        pattern = re.escape(topic).replace(r"\+", "[^/]+")
        assert any(re.fullmatch(pattern, one) for one in known), topic


def test_blueprint_finds_the_bridge_and_its_triggers(home):
    condition, = BLUEPRINT["blueprint"]["input"]["bridge"]["selector"]["device"]["filter"]
    assert condition.pop("integration") == "mqtt"
    matching = [one for one in home.devices.values() if condition.items() <= one.items()]
    assert matching == [home.devices["aiva_bridge"]]
    choices = BLUEPRINT["blueprint"]["input"]["ending"]["selector"]["select"]["options"]
    trigger, = BLUEPRINT["triggers"]
    assert (trigger["trigger"], trigger["domain"], trigger["subtype"]) == ("device", "mqtt", "!input ending")
    there = {(component["type"], component["subtype"]) for device, component in home.triggers if device in matching}
    assert {(trigger["type"], choice["value"]) for choice in choices} <= there


HOSTILE = ("<img src=x onerror=alert(1)>|`a`|{{ 7 * 7 }}|{% raw %}|[a](http://evil.example)|![b](//evil.example)"
           "|http://evil.example|www.evil.example|*c* _d_ ~e~ # \\| &lt; \"f' <!-- g@evil.example")


def read_back(text):
    """What a reader sees of words of others in Markdown, where nothing in them acts as Markdown, HTML or a link:
    letters, digits and spaces stand as they are, and all else as character references."""
    assert re.fullmatch(r"(\w|[ :]|&#\d+;)*", text.replace("_", "\n")), text
    return html.unescape(text)


def fail(world):
    """A job that fails; returns its id and the event that the bridge publishes for it."""
    name = world.create("processing")
    since = world.recorder.mark()
    world.simulator.set_job(name, status="failed", message="Disk full.")
    return name, world.wait_event(name, since, event_type="failed")


def test_blueprint_runs_when_a_run_has_failed(home, shared):
    name, message = fail(shared)
    fired = [component["subtype"] for _, component in home.triggers
             if ha_values.value(component, message.text) == component["payload"]]
    assert fired == ["failed"]
    action, = BLUEPRINT["blueprint"]["input"]["then_do"]["default"]
    trigger = {"payload_json": message.json}
    assert home.render(action["data"]["title"], trigger=trigger) == "AIVA: failed"
    assert read_back(home.render(action["data"]["message"], trigger=trigger)) == f"Sample {name}: Disk full."
    bare = {"payload_json": {"job_id": name, "event_type": "failed"}}
    assert read_back(home.render(action["data"]["message"], trigger=bare)) == name
    hostile = {"payload_json": {**message.json, "sample_name": HOSTILE, "message": HOSTILE}}
    assert read_back(home.render(action["data"]["message"], trigger=hostile)) == f"{HOSTILE}: {HOSTILE}"


def test_automation_runs_when_a_run_has_failed(home, shared):
    trigger, = AUTOMATION["triggers"]
    condition, = AUTOMATION["conditions"]
    action, = AUTOMATION["actions"]
    component = home.entities[trigger["entity_id"]].component
    name, message = fail(shared)

    def state(event):
        attributes = ha_values.value(component, json.dumps(event))
        return {"to_state": types.SimpleNamespace(state="a time", attributes=attributes)}

    assert home.render(condition["value_template"], trigger=state(message.json)) == "True"
    text = home.render(action["data"]["message"], trigger=state(message.json))
    assert read_back(text) == f"Sample {name}: Disk full."
    hostile = state({**message.json, "sample_name": HOSTILE, "message": HOSTILE})
    assert read_back(home.render(action["data"]["message"], trigger=hostile)) == f"{HOSTILE}: {HOSTILE}"
    assert home.render(action["data"]["notification_id"], trigger=state(message.json)) == f"aiva_{name}"
    other = state({**message.json, "event_type": "completed"})
    assert home.render(condition["value_template"], trigger=other) == "False"


def wait_and_ask():
    """The two halves of the script: what waits for the answer, and what asks."""
    guard, both = SCRIPT["sequence"]
    waits, asks = (branch["sequence"] for branch in both["parallel"])
    return guard, waits, asks


def set_variables(home, step, variables):
    """The variables after a step that sets some, each with those before it."""
    for name, template in step.items():
        variables = {**variables, name: home.render_value(template, **variables)}
    return variables


def variables_of(home, chosen):
    return set_variables(home, SCRIPT["variables"], {"job": chosen, "context": types.SimpleNamespace(id="01JABCDEF")})


def notice(home, waits, variables, trigger):
    """What the script tells in the end."""
    _, step, tell = waits
    variables = set_variables(home, step["variables"], {**variables, "wait": types.SimpleNamespace(trigger=trigger)})
    title, message = (home.render(tell["data"][key], **variables) for key in ("title", "message"))
    return [title, read_back(message)]


@pytest.mark.parametrize("status, title", [("processing", "AIVA: cancelled"), ("completed", "AIVA: not cancelled")])
def test_script_asks_and_knows_its_answer(home, shared, status, title):
    guard, waits, asks = wait_and_ask()
    name = shared.create(status)
    variables = variables_of(home, name)
    assert home.render(guard["if"][0]["value_template"], **variables) == "False"
    # Another one's answer is none.
    other = shared.command(name, "refresh", b'{"id": "another"}')
    data = asks[1]["data"]
    since = shared.recorder.mark()
    shared.recorder.publish(home.render(data["topic"], **variables),
                            home.render(data["payload"], **variables).encode(), qos=data["qos"])
    result = shared.recorder.wait_topic(of_job(name, "result"), since, command="cancel")
    trigger, = waits[0]["wait_for_trigger"]
    assert re.fullmatch(trigger["topic"].replace("+", "[^/]+"), result.topic)
    wanted = home.render(trigger["payload"], **variables)
    assert ha_values.render(trigger["value_template"], result.text) == wanted
    for answer in (other, {"command": "cancel", "ok": True}):
        assert ha_values.render(trigger["value_template"], json.dumps(answer)) != wanted
    detail = "" if status == "processing" else f": {result.json['detail']}"
    told = notice(home, waits, variables, types.SimpleNamespace(payload_json=result.json))
    assert told == [title, name + detail]
    refused = types.SimpleNamespace(payload_json={"ok": False, "detail": HOSTILE})
    assert notice(home, waits, variables, refused)[1] == f"{name}: {HOSTILE}"
    assert (shared.simulator.jobs()[name]["status"] == "cancelled") == (status == "processing")


def test_script_takes_a_status_sensor_and_refuses_other_things(home):
    guard, waits, _ = wait_and_ask()
    variables = variables_of(home, "sensor.aiva_job_job_abc123")
    assert variables["job_id"] == "job_abc123"
    assert home.render(guard["if"][0]["value_template"], **variables) == "False"
    for chosen in ("a/b", "a+", "#", ""):
        variables = variables_of(home, chosen)
        assert home.render(guard["if"][0]["value_template"], **variables) == "True", chosen
    # The bridge answers within 30 seconds; a wait that ends by itself ends in words.
    assert waits[0]["timeout"]["seconds"] > 30
    title, message = notice(home, waits, variables_of(home, "job_1"), None)
    assert (title, message) == ("AIVA: not cancelled", "job_1: no answer, is the bridge running?")


def markdown(index):
    card = [node for node in nodes(CARD) if node.get("type") == "markdown"][index]
    return card["content"]


def test_card_shows_every_job_with_its_progress(home):
    lines = [line.strip() for line in home.render(markdown(1)).splitlines() if line.strip()]
    assert lines[:2] == ["| Job | Status | Progress |", "|:--|:--|:--|"]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert all(len(row) == 3 for row in rows)
    shown = {read_back(re.match(r"\[(.*)\]", row[0])[1]): row[1:] for row in rows}
    assert shown["Sample job_abc123"] == ["processing", "▰▰▰▰▱▱▱▱▱▱ 42 %"]
    assert shown["A | B"] == ["queued", ""]
    assert shown["Sample job_old"][0] == "failed"
    assert list(shown)[:2] == ["Sample job_abc123", "A | B"], "unfinished jobs come first"
    identity = home.devices["aiva_job_job_abc123"]["id"]
    assert f"(/config/devices/device/{identity})" in rows[0][0]


def test_card_shows_words_of_others_as_they_are(home):
    """Neither a sample's name nor AIVA's message makes a link, a picture, a row or anything else."""
    name = home.entities["sensor.aiva_job_job_abc123"]
    before = name.name, dict(name.attributes)
    progress = home.entities["sensor.aiva_job_job_abc123_progress"]
    percent, progress.state = progress.state, "unknown"
    name.name, name.attributes["message"] = HOSTILE + "\n\u202e", HOSTILE
    try:
        lines = [line.strip() for line in home.render(markdown(1)).splitlines() if line.strip()]
    finally:
        name.name, progress.state = before[0], percent
        name.attributes = before[1]
    row, = (line for line in lines if "img" in line)
    link, status, message = (cell.strip() for cell in row.strip("|").split("|"))
    text, target = re.fullmatch(r"\[(.*)\]\((/config/devices/device/\w+)\)", link).groups()
    assert read_back(text) == HOSTILE + "  " and target.endswith(home.devices["aiva_job_job_abc123"]["id"])
    assert (status, read_back(message)) == ("processing", HOSTILE)


def test_card_without_jobs(home):
    empty = types.SimpleNamespace(**{**vars(home), "entities": {}})
    home.environment.globals["states"]._home, before = empty, home.environment.globals["states"]._home
    try:
        assert home.render(markdown(1)) == "There are no jobs."
    finally:
        home.environment.globals["states"]._home = before


def test_card_tells_of_trouble_with_aiva(home):
    assert "AIVA is streaming:" in re.sub(r"\s+", " ", home.render(markdown(0)))
    upstream = home.entities["sensor.aiva_bridge_aiva_connection"]
    detail, upstream.attributes["detail"] = upstream.attributes["detail"], HOSTILE
    alert = re.sub(r"\s+", " ", home.render(markdown(0)))
    upstream.attributes["detail"] = detail
    found = re.fullmatch('<ha-alert alert-type="error">AIVA is streaming: (.*)</ha-alert>', alert)
    assert read_back(found[1]) == HOSTILE
    condition, = next(node for node in nodes(CARD) if node.get("type") == "conditional")["conditions"]
    assert home.entities[condition["entity"]].state == "off"
    assert of_bridge("upstream") == home.entities[condition["entity"]].component["state_topic"]
