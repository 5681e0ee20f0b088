# SPDX-License-Identifier: BSD-2-Clause
"""The report as Markdown."""
from content import size_text


def number(value):
    """Three digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def mark(verdict):
    if verdict.reached is None:
        return f"not measured: {verdict.why}"
    return "reached" if verdict.reached else "**not reached**"


def rows_of(lines):
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def target_table(verdicts):
    lines = [("work", "against", "wanted", "measured", ""), ("---",) * 5]
    lines += [(verdict.work, verdict.against, verdict.wanted, verdict.shown or "-", mark(verdict))
              for verdict in verdicts]
    return rows_of(lines)


def single(table):
    """One line a contestant, the best first."""
    rows = sorted(table.points[0].rows, key=lambda row: row.median, reverse=table.more_is_better)
    ours = table.points[0].row("wherry")
    lines = [("", f"median, {table.unit}", "lowest to highest", "rounds", "wherry's to it", "chain"),
             ("---", "---:", "---:", "---:", "---:", "---")]
    for row in rows:
        ratio = "-"
        if ours and row is not ours:
            ratio = f"{ours.median / row.median:.2f}"
        lines.append((row.name, number(row.median), f"{number(min(row.values))} to {number(max(row.values))}",
                      str(len(row.values)), ratio, row.chain))
    return rows_of(lines)


def along(table):
    """One line a size, one column a contestant; medians."""
    names = table.names()
    lines = [(table.x_label, *names), ("---:",) * (len(names) + 1)]
    for point in table.points:
        cells = [number(row.median) if (row := point.row(name)) else "-" for name in names]
        lines.append((size_text(point.x) if table.x_is_bytes else f"{point.x:,}", *cells))
    return f"Medians, {table.unit}.\n\n{rows_of(lines)}"


def section(table, plots):
    parts = [f"## {table.title}"]
    points = [point for point in table.points if point.rows]
    if points:
        parts.append(single(table) if points[0].x is None else along(table))
    parts += table.notes
    if table.left_out:
        parts.append("\n".join(f"- {name} is left out: {why}" for name, why in table.left_out))
    parts += [f"![{table.title}]({name})" for name in plots if name.endswith(".svg")]
    return "\n\n".join(parts)


def markdown(report, tables, verdicts, plots):
    about = report["about"]
    parts = ["# Measured with bench/report"]
    if report["quick"]:
        parts.append("**A quick run: sizes are tiny and rounds few, so that the figures say nothing.**")
    parts.append("\n".join([
        f"- machine: {about['machine']}",
        f"- commit: {about['commit']}; {about['wherry']}; built as {about['build_type']}",
        f"- over loopback, files from and to {about['folder']}; contestants in turns; "
        f"medians of {report['rounds']} rounds, except where it says otherwise",
        f"- {'; '.join(f'{name}: {text}' for name, text in about['versions'].items())}",
        f"- taken {about['taken']} with `{about['command']}`"]))
    if verdicts:
        parts += ["## Targets", target_table(verdicts)]
    parts += [section(table, plots.get(table.name, [])) for table in tables]
    if report["failed"]:
        parts.append("## Failed")
        parts.append("\n".join(f"- {one['workload']}: {' '.join(one['why'].split())[-400:]}" for one in report["failed"]))
    if report["left_out"]:
        parts.append("## Left out")
        parts.append("\n".join(f"- {one['name']} ({one['workload']}): {one['why']}" for one in report["left_out"]))
    return "\n\n".join(parts) + "\n"
