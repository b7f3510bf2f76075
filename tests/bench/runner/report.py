"""Medians, ratios and tables."""

from statistics import median

from . import targets


def medians(rows):
    """The median of each figure over the rounds that gave one."""
    keys = {key for row in rows for key in row if isinstance(row[key], (int, float))}
    return {key: median([row[key] for row in rows if key in row]) for key in keys}


def ratio(key, runs, name, reference):
    """The median of the ratios of each round; None where no round has both."""
    pairs = [(row[key], other[key]) for row, other in zip(runs.get(name, []), runs.get(reference, []))
             if row and other and row.get(key) and other.get(key)]
    return median([mine / theirs for mine, theirs in pairs]) if pairs else None


def table(scenario, result, reference):
    """Lines of a Markdown table: each contender's medians, and what the reference's figures are
    when divided by them."""
    runs = result["scenarios"][scenario.name]
    compared = scenario.ratios if len(runs) > 1 else ()
    headings = [scenario.title.format(**result["options"])]
    headings += [heading for _, heading, _ in scenario.columns]
    headings += [f"{heading}: {reference} ÷ this" for _, heading in compared]
    rows = [headings]
    for name, rounds in runs.items():
        values = medians([row for row in rounds if row])
        if not values:
            rows.append([name, "failed"] + [""] * (len(headings) - 2))
            continue
        row = [name]
        for key, _, form in scenario.columns:
            row.append(form.format(values[key]) if key in values else "")
        for key, _ in compared:
            value = ratio(key, runs, reference, name) if name != reference else None
            row.append(f"{value:.2f}" if value else "")
        rows.append(row)
    return aligned(rows)


def everything(scenarios, result):
    """Lines: a table for each scenario that the result has, then how each bridge stands."""
    lines = []
    reference = result["bridges"][0] if result["bridges"] else result["contenders"][0]
    for scenario in scenarios:
        if scenario.name in result["scenarios"]:
            lines += table(scenario, result, reference) + [""]
    for bridge in result["bridges"]:
        rows = targets.rows(result, bridge)
        if rows:
            lines += aligned([[f"Targets: {bridge}", "wanted", "reached", "met"]] + rows) + [""]
    return lines[:-1]


def aligned(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths))) + " |" for row in rows]
    rule = "|" + "|".join("-" * (width + 2) if i == 0 else "-" * (width + 1) + ":"
                          for i, width in enumerate(widths)) + "|"
    return [lines[0], rule] + lines[1:]
