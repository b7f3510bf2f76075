"""What operators are given: dashboard, alert rules and config/operations.md fit the running bridge."""

import json
import pathlib
import re
import shutil
import subprocess

import pytest
from harness.metrics import Listener
from harness.process import free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
OPERATIONS = (ROOT / "config/operations.md").read_text()
ALERTS = ROOT / "config/prometheus/alerts.yml"
DASHBOARD = ROOT / "config/grafana/aiva-mqtt-bridge.json"

PORT = free_port()
SHARED_CONFIG = {"http.listen": f"127.0.0.1:{PORT}"}

promtool = pytest.mark.skipif(not shutil.which("promtool"),
                              reason="promtool is not here: ./test.sh fetches it")


@pytest.fixture(scope="module")
def metrics(shared_world):
    """What a bridge that has just started says."""
    return Listener(PORT).metrics()


def run_promtool(*arguments):
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def named(expression):
    """The metrics that an expression asks for."""
    return set(re.findall(r"\b(?:aiva_bridge|process)_[a-z0-9_]+", expression))


def assert_known(metrics, expression):
    """Each exists in /metrics, with the labels' values that are asked for."""
    shown = {sample: family for family in metrics.families.values() for sample, _ in family.samples}
    for name in named(expression):
        assert name in shown, f"{name} in {expression}"
    for name, selector in re.findall(r"(aiva_bridge_[a-z0-9_]+)\{([^}]*)\}", expression):
        family = shown[name]
        for label, operator, values in re.findall(r'(\w+)(=~|=|!=|!~)"([^"]*)"', selector):
            if label == "instance":
                continue
            has = {dict(labels).get(label) for _, labels in family.samples}
            assert set(values.split("|") if "~" in operator else [values]) <= has, f"{label} in {expression}"


# --- the dashboard


def panels():
    dashboard = json.loads(DASHBOARD.read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions():
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def test_the_dashboard_asks_for_metrics_that_exist(metrics):
    """Every one of every panel."""
    assert len(expressions()) > 20
    for expression in expressions():
        assert named(expression)
        assert_known(metrics, expression)


def test_the_dashboard_shows_every_metric(metrics):
    """Nothing is counted that nobody looks at, but for sizes that stand for themselves."""
    asked = set().union(*map(named, expressions()))
    asked = {re.sub("_(bucket|count|sum)$", "", name) for name in asked}
    left_out = {"process_virtual_memory_bytes", "aiva_bridge_publications_sent_total",
                "aiva_bridge_last_acknowledgement_timestamp_seconds"}
    assert asked | left_out == set(metrics.families)


def test_the_dashboard_can_be_imported():
    """Ids are there once, panels do not overlap, and the data source can be chosen."""
    dashboard = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text())) <= variables | {"__rate_interval", "__all"}


@promtool
def test_the_dashboard_speaks_prometheus(tmp_path):
    """Each expression is valid: as a rule, it would be recorded."""
    rules = [{"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
             for number, expression in enumerate(expressions())]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    run_promtool("check", "rules", file)


# --- alert rules


def test_alerts_ask_for_metrics_that_exist(metrics):
    """A rule over a name that does not exist would never fire."""
    found = re.findall(r"expr: (?:>-\n)?((?:.*\n)(?: {10}.*\n)*)", ALERTS.read_text())
    assert len(found) >= 10
    for expression in found:
        assert named(expression)
        assert_known(metrics, expression)


@promtool
def test_alerts_are_valid():
    """By Prometheus' own checker."""
    run_promtool("check", "rules", ALERTS)


def series(values, name, **labels):
    text = ",".join(f'{label}="{value}"' for label, value in {"instance": "b", **labels}.items())
    return {"series": f"aiva_bridge_{name}{{{text}}}", "values": values}


@promtool
@pytest.mark.parametrize("alert, minutes, bad", [
    ("AivaBridgeBrokerDisconnected", 4, [series("0x10", "broker_connected")]),
    ("AivaBridgeKeyRefused", 4, [series("1x10", "upstream_state", state="unauthorized")]),
    ("AivaBridgeUpstreamUnavailable", 8, [series("1x10", "upstream_state", state="unavailable"),
                                          series("0x10", "upstream_state", state="connecting")]),
    ("AivaBridgeQueueFilling", 8, [series("60x10", "waiting_messages"),
                                   series("100x10", "queue_limit_messages")]),
    ("AivaBridgePublicationsRefused", 8, [series("0 0 0 1x10", "publications_refused_total",
                                                 reason="broker")]),
    ("AivaBridgeReconnecting", 14, [series("1+1x20", "broker_connects_total")]),
    ("AivaBridgeGone", 4, [])], ids=lambda value: value if isinstance(value, str) else "")
def test_alerts_fire(tmp_path, alert, minutes, bad):
    """On what they are for, and only then."""
    well = [series("1x20", "build_info", version="1"), series("1x20", "broker_connected"),
            series("1x20", "upstream_state", state="streaming"),
            series("0x20", "upstream_state", state="unavailable"),
            series("0x20", "upstream_state", state="connecting"),
            series("0x20", "upstream_state", state="unauthorized"),
            series("1x20", "waiting_messages"), series("100x20", "queue_limit_messages"),
            series("3x20", "publications_refused_total", reason="broker"),
            series("3x20", "broker_connects_total")]
    replaced = {one["series"] for one in bad}
    kept = [one for one in well if one["series"] not in replaced]
    if alert == "AivaBridgeGone":
        kept = kept[1:]

    def scene(given, expected):
        return {"interval": "1m", "input_series": given, "promql_expr_test": [
            {"expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
             "eval_time": f"{minutes}m", "exp_samples": [{"labels": "{}", "value": expected}]}]}
    file = tmp_path / "test.yml"
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m",
                                "tests": [scene(well, 0), scene(kept + bad, 1)]}))
    run_promtool("test", "rules", file)


# --- config/operations.md


def table(header):
    """The rows below a table's header, cells without their outer blanks."""
    lines = OPERATIONS.split(f"\n{header}\n", 1)[1].splitlines()[1:]
    rows = lines[:next(i for i, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in rows]


def test_every_metric_is_described(metrics):
    """As /metrics itself does: name, type, labels, help."""
    said = [f"| `{name}` | {family.type} | {', '.join(f'`{label}`' for label in family.labels)} | {family.help} |"
            .replace("|  |", "| |") for name, family in metrics.families.items()]
    assert "\n".join(said) in OPERATIONS, "the table should be:\n" + "\n".join(said)


def literals(code):
    """The string literals of C code, those next to each other joined."""
    for match in re.finditer(r'"(?:[^"\\\n]|\\.)*"(?:\s*"(?:[^"\\\n]|\\.)*")*', code):
        yield "".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', match.group(0)))


GAP = "…"
"""Stands for what differs, in the table and, for a conversion, in a format."""


def fixed_parts(text):
    """What a message says each time; a reason within it is a part of its own."""
    return [part for part in re.split(f"{GAP}|: ", text) if re.search("[A-Za-z]{3}", part)]


def covers(general, special):
    """Whether a message is an instance of another with gaps."""
    return re.fullmatch(".*".join(map(re.escape, general.split(GAP))), special)


def sources():
    return [path.read_text() for path in sorted((ROOT / "bridge").rglob("*.c"))]


def documented():
    """The messages of the table."""
    rows = table("| message | meaning | action |")
    return [re.fullmatch("`(.*)`", message).group(1) for message, _, _ in rows]


def formats(code):
    """The string literals, with gaps for their conversions."""
    return [re.sub(r"%(?:\.?\*|[-0-9.])*(?:ll|z)?[a-z]", GAP, text) for text in literals(code)]


def test_documented_messages_exist():
    """Each fixed part stands in the sources."""
    texts = [text for source in sources() for text in formats(source)]
    for message in documented():
        assert fixed_parts(message), message
        for part in fixed_parts(message):
            assert any(part in text for text in texts), f"{part!r} of {message!r}"


def warnings():
    """What the sources can log at the levels warn and error."""
    for source in sources():
        for match in re.finditer(r"\blog_(?:warn|error)(?:_limited)?\(", source):
            call = source[match.end():source.index(";\n", match.end())]
            texts = [text for text in formats(call) if fixed_parts(text)]
            assert texts, f"a message without words of its own: {call}"
            yield texts[0]


def test_messages_that_ask_for_action_are_documented():
    """config/operations.md has each warning and each error."""
    said = list(warnings())
    assert len(said) > 25
    for text in said:
        assert any(covers(message, text) or covers(text, message) for message in documented()), \
            f"not in config/operations.md: {text}"
