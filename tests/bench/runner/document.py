"""BENCHMARKS.md: what stands between its markers comes from a result, the rest is written by people."""

import re

from . import machine, report, scale

MARKERS = ("figures", "scale")
SKELETON = """# Benchmarks

How this is measured: [tests/bench/README.md](tests/bench/README.md).

## The bridge, its limits and its peers

<!-- figures -->
<!-- /figures -->

## Scale

<!-- scale -->
<!-- /scale -->

## How it got there
"""


def replace(text, marker, lines):
    pattern = rf"(<!-- {marker} -->\n).*?(<!-- /{marker} -->)"
    if not re.search(pattern, text, re.S):
        raise SystemExit(f"BENCHMARKS.md: the markers <!-- {marker} --> … <!-- /{marker} --> are gone")
    return re.sub(pattern, lambda match: match.group(1) + "\n".join(lines) + "\n" + match.group(2),
                  text, flags=re.S)


def figures(scenarios, result):
    options = result["options"]
    intro = machine.lines(result["machine"])
    intro.append(f"Medians of {options['rounds']} interleaved rounds; {options['events']:,} events over "
                 f"{options['jobs']:,} jobs flat out, {options['steady_s']} s at a steady rate. Ratios "
                 "are medians of the ratios within each round.")
    return intro + [""] + report.everything(scenarios, result)


def scaled(result):
    lines = machine.lines(result["machine"])
    lines += [f"Medians of {result['scale']['rounds']} rounds. By jobs against the null broker, with "
              "100 jobs active; by events/s through mosquitto.", ""]
    for cells in scale.tables(result["scale"]):
        lines += report.aligned(cells) + [""]
    return lines + ["![by jobs](tests/bench/plots/scale-jobs.svg)",
                    "![by events/s](tests/bench/plots/scale-rates.svg)"]


def write(root, scenarios, result):
    path = root / "BENCHMARKS.md"
    text = path.read_text() if path.exists() else SKELETON
    if "scenarios" in result:
        text = replace(text, "figures", figures(scenarios, result))
    if "scale" in result:
        text = replace(text, "scale", scaled(result))
        scale.write(result["scale"], root / "tests/bench/plots")
    path.write_text(text)
