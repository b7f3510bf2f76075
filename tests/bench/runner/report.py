"""Medians, ratios and tables."""

from statistics import median


def medians(rows):
    """The median of each figure over the rounds that gave one."""
    keys = {key for row in rows for key in row if isinstance(row[key], (int, float))}
    return {key: median([row[key] for row in rows if key in row]) for key in keys}


def ratio(scenario, runs, name, reference):
    """The median of the ratios of each round; None where no round has both."""
    key, _ = scenario.ratio
    pairs = [(row[key], other[key]) for row, other in zip(runs.get(name, []), runs.get(reference, []))
             if row and other and row.get(key) and other.get(key)]
    return median([mine / theirs for mine, theirs in pairs]) if pairs else None


def table(scenario, runs, reference):
    """Lines of a Markdown table: each contender's medians, and the reference's ratio to it."""
    headings = [scenario.title] + [heading for _, heading, _ in scenario.columns]
    if scenario.ratio:
        headings.append(f"{reference} ÷ this")
    rows = [headings]
    for name, rounds in runs.items():
        values = medians([row for row in rounds if row])
        if not values:
            rows.append([name, "failed"] + [""] * (len(headings) - 2))
            continue
        row = [name]
        for key, _, form in scenario.columns:
            row.append(form.format(values[key]) if key in values else "")
        if scenario.ratio:
            value = ratio(scenario, runs, reference, name)
            row.append(f"{value:.2f}" if value else "")
        rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in range(len(headings))]
    lines = ["| " + " | ".join(
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths))) + " |" for row in rows]
    rule = "|" + "|".join("-" * (width + 2) if i == 0 else "-" * (width + 1) + ":"
                          for i, width in enumerate(widths)) + "|"
    return [lines[0], rule] + lines[1:]
