"""Render tables and an iteration's notes.md as Markdown."""

from collections.abc import Sequence

from wor.report import tables
from wor.report.table import Cell, Table
from wor.report.verdict import verdict_lines


def render(table: Table) -> str:
    """Return a pipe table under its caption, then its notes. Without rows, return the notes."""
    lines = []
    if table.rows:
        columns = range(len(table.rows[0]))
        head = table.head or [""] * len(columns)
        rule = ["---:" if index in table.numbers else "---" for index in columns]
        lines = [f"**{table.caption}**", "", *(_row(cells) for cells in (head, rule, *table.rows)), ""]
    return "\n".join([*lines, *(f"{note}\n" for note in table.notes)])


def _row(cells: Sequence[Cell]) -> str:
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def render_notes(name: str, row: dict, models: dict[str, dict], criteria: dict[str, dict]) -> str:
    """Return the first notes.md: the verdict and its tables, then headings for what a person adds.

    row : the iteration's row of the registry. models, criteria : as in aggregate_statistics.json.
    """
    parts = [f"# {name}\n", f"{row['date']}, {row['models']} on {row['datasets']}, temperature {row['temperature']}.\n"]
    for result in models.values():
        parts += [f"## {result['label']}\n", *(f"- {line}" for line in verdict_lines(result)), ""]
        parts += [render(tables.results(result)), render(tables.hypotheses(result))]
    parts += ["## Criteria\n", render(tables.criteria(criteria))]
    parts += [f"## {heading}\n\n" for heading in ("What I expected", "What I see", "Next")]
    return "\n".join(parts)
