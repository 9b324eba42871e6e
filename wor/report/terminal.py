"""Print what a person sees: tables where they fit, and lists where the terminal is narrow.

Rich honours NO_COLOR, TERM=dumb, COLUMNS and a pipe.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import table as rich_table
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from wor import paths
from wor.analysis.criteria import tally_verdicts
from wor.iterations import results as results_of
from wor.report import comparison, tables
from wor.report.formatting import format_estimate, format_number
from wor.report.table import Cell, Mark, Table
from wor.report.verdict import short_verdict, verdict_lines

if TYPE_CHECKING:
    from wor.pipeline.probe import Probe, ProbedPrompt  # torch

MIN_TEXT = 12  # columns: the minimum width of a text that folds
COLORS = {"good": "green", "bad": "red", "open": "yellow"}
# Background by the entropy of the prediction that a token was drawn from, nats, from each level on.
SHADES = {0.5: "#ffedcc", 1.0: "#ffd999", 2.0: "#ffc061", 3.0: "#ff9d1f"}
WINDOW_MARKS = ("⟦", "⟧")
STATUSES = ("supported", "contradicted", "absent", "undecided", "not tested", "too few items", "not evaluable")


def open_console() -> Console:
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        console.width = 120  # a log has no edge to wrap at
    return console


def print_line(console: Console, text: str, style: str = "") -> None:
    """Print a line that the terminal may wrap and a person can copy."""
    console.print(Text(text, style), soft_wrap=True)


def print_table(table: Table, console: Console) -> None:
    """Print a table if it fits, else a list per row. Never fold a number or cut a text."""
    if table.rows:
        grid = [[_styled(cell) for cell in row] for row in (table.head or [""] * len(table.rows[0]), *table.rows)]
        widths = [max(cell_len(line) for cell in column for line in cell.plain.split("\n")) for column in zip(*grid, strict=True)]
        widths = [width if index in table.numbers else min(width, MIN_TEXT) for index, width in enumerate(widths)]
        if sum(widths) + 3 * len(widths) + 1 <= console.width:
            _print_grid(table, grid, widths, console)
        else:
            _print_list(table, grid, console)
    for note in table.notes:
        print_line(console, note)


def _print_grid(table: Table, grid: Sequence[Sequence[Text]], widths: Sequence[int], console: Console) -> None:
    title = Text(table.caption, "bold") if table.caption else None
    printed = rich_table.Table(title=title, title_justify="left", show_header=bool(table.head))
    for index, (heading, width) in enumerate(zip(grid[0], widths, strict=True)):
        if index in table.numbers:
            printed.add_column(heading, justify="right", no_wrap=True, min_width=width)
        else:
            printed.add_column(heading, overflow="fold", min_width=width)
    for row in grid[1:]:
        printed.add_row(*row)
    console.print(printed)


def _print_list(table: Table, grid: Sequence[Sequence[Text]], console: Console) -> None:
    if table.caption:
        print_line(console, table.caption, "bold")
    for name, *cells in grid[1:]:
        print_line(console, name.plain, "bold")
        for heading, cell in zip(grid[0][1:], cells, strict=True):
            if cell.plain:
                label = f"  {heading.plain}: " if heading.plain else "  "
                console.print(Text.assemble(label, cell), soft_wrap=True)


def _styled(cell: Cell) -> Text:
    return Text(str(cell), COLORS[cell.kind] if isinstance(cell, Mark) else "")


def show_outcome(folder: Path, new: bool, everything: bool = False, console: Console | None = None) -> None:
    """Print an iteration's verdict and results, or ``everything``, and where its files are."""
    console = console or open_console()
    outcome = results_of.load_results(folder)
    for result in outcome["models"].values():
        verdict, *lines = verdict_lines(result) if everything else short_verdict(result)
        print_line(console, verdict, "bold")
        for line in (*lines, *("" if everything else results_of.remarks(result))):
            print_line(console, line, COLORS["open"] if line.startswith("Mind:") else "")
        if everything:
            for build in tables.MODEL_TABLES:
                if (table := build(result)).rows or table.notes:  # an earlier version has fewer
                    print_line(console, "")
                    print_table(table, console)
        else:
            print_table(tables.results_in_short(result), console)
            statuses = [entry["status"] for entry in result["preregistration"]["hypotheses"].values()]
            tally = ", ".join(f"{statuses.count(status)} {status}" for status in STATUSES if status in statuses)
            print_line(console, f"Hypotheses: {tally}. {tables.excluded(result).notes[0]}")
    if everything:
        print_line(console, "")
        print_table(tables.criteria(outcome["criteria"]), console)
    else:
        print_line(
            console,
            f"Criteria: {tally_verdicts(outcome['criteria'])}. Null models and all tables: wor results {folder.name} --all",
        )
    print_line(console, f"{'New iteration' if new else 'The same run as'}: {folder}", "bold")
    if (report := folder / paths.REPORT).is_file():  # iterations of an earlier version have none
        print_line(console, f"Report: {report}")


def show_registry(rows: list[dict], console: Console | None = None) -> None:
    """Print the registry's headline columns, one row per iteration."""
    cells = []
    for row in rows:
        delta = {"value": row["delta_auc_mean"], "low": row["ci_low"], "high": row["ci_high"], "reason": "undefined"}
        partial = {"value": row["partial_r_mean"], "reason": "undefined"}
        name = f"{row['iteration_id'].removeprefix('iteration_')} {row['experiment']}".strip()
        study = f"{row['models']} on {row['datasets']}" if row["datasets"] else row["models"]
        auroc = format_number(row["auroc_mean"], ".2f")
        size = [str(row["n_items"]), f"{row['temperature']:g}"]
        estimates = [format_estimate(estimate, sign=True) for estimate in (delta, partial)]
        outcome = "; ".join(filter(None, [row["kind"], row["criteria"]]))
        cells.append([name, row["date"][:10], study, *size, auroc, *estimates, outcome])
    head = ["no.", "date", "study", "n", "T", "AUROC", "dAUC", "partial r", "kind; criteria"]
    caption = f"{len(rows)} iterations" if len(rows) != 1 else "1 iteration"
    print_table(Table(caption, head, cells, (3, 4, 5, 6, 7)), console or open_console())


def show_measures(rows: list[dict], whole: bool, console: Console | None = None) -> None:
    """Print one row per measure, or everything of each where ``whole``."""
    console = console or open_console()
    if whole:
        for row in rows:
            for key, value in row.items():
                if value:
                    print_line(console, f"{key}: {value}")
        return
    head = ["name", "label", "formula", "claimed", "source"]
    cells = [[row["name"], row["label"], row["formula"], row["direction"], row["source"]] for row in rows]
    note = "Claimed: the side of reasoning, effort or right answers. More of one: wor measures NAME"
    print_table(Table(f"{len(rows)} measures", head, cells, (0, 3), [note]), console)


def show_runs(rows: list[dict], varying: list[str], console: Console | None = None) -> None:
    """Print DVC's experiments with their headline and the parameters in which they differ."""
    cells = []
    for row in rows:
        name = f"{row['experiment']} ({row['state'].lower()})" if row["state"] else row["experiment"]
        delta = {"value": row["dAUC"], "low": row["low"], "high": row["high"]}
        headline = [
            format_number(row["iteration"], ".0f"),
            format_number(row["AUROC"], ".2f"),
            "" if row["dAUC"] is None else format_estimate(delta, sign=True),
            format_number(row["partial_r"], "+.2f"),
            format_number(row["n"], ".0f"),
        ]
        cells.append([name, *(cell or "-" for cell in headline), *(_setting(row[key]) for key in varying)])
    head = ["experiment", "it.", "AUROC", "dAUC", "partial r", "n", *varying]
    print_table(Table("Experiments", head, cells, range(1, 6)), console or open_console())


def _setting(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)


def show_check(study: dict) -> None:
    """Print which study params.yaml describes, and whether it is confirmatory."""
    console, departures = open_console(), study["departures"]
    print_line(console, f"{paths.PARAMS}: {', '.join(study['models'])} on {', '.join(study['datasets'])}: no error found")
    status = f"exploratory: {'; '.join(departures)}" if departures else "every registered parameter at its registered value"
    print_line(console, f"{paths.PREREGISTRATION}: {status}")


def show_verification(verification: dict) -> None:
    """Print one line per fault, or that there is none."""
    names = verification["iterations"]
    intact = f"{', '.join(names) if len(names) < 9 else f'{len(names)} iterations'}: intact"
    for line in verification["faults"] or [intact]:
        print_line(open_console(), line)


def show_comparison(differences: dict, console: Console | None = None) -> None:
    """Print what `compare_iterations` returned."""
    console = console or open_console()
    names = (differences["first"], differences["second"])
    for title in ("parameters", "environment"):
        shortened = {key: (_short(first), _short(second)) for key, (first, second) in differences[title].items()}
        print_table(comparison.changed(f"Different {title}", shortened, names), console)
    for model, estimates in differences["metrics"].items():
        print_table(comparison.metrics(model, estimates, names), console)
    print_table(comparison.paired(differences["paired"], names), console)


def show_reproduction(agreement: dict, console: Console | None = None) -> None:
    """Print what `describe_agreement` returned, and every file that differs."""
    console = console or open_console()
    names = ("recorded", "recomputed")
    for model, estimates in agreement["metrics"].items():
        print_table(comparison.metrics(model, estimates, names, "difference", "+.2g"), console)
    shortened = {key: (_short(first), _short(second)) for key, (first, second) in agreement["elsewhere"].items()}
    print_table(comparison.changed("Different environment", shortened, names), console)
    for file in agreement["files"]:
        if file["different"]:
            worst = "one is a text or missing" if file["worst"] == float("inf") else f"by at most {file['worst']:.2g}"
            counts = f"{file['different']} of {file['values']} values differ, {worst}"
            print_line(console, f"{file['file']}: {counts} ({file['where']})")
    if not agreement["different"]:
        counts = f"all {agreement['values']} values in {len(agreement['files'])} files of results/ are identical"
        print_line(console, f"Reproduced: {counts}", "green")
        return
    if agreement["first"]:
        print_line(console, f"The first stage whose outputs differ: {agreement['first']}")
    counts = f"within a tolerance of {agreement['tolerance']:g}: {agreement['different']} of {agreement['values']} values differ"
    print_line(console, *((f"Reproduced {counts}", "green") if agreement["agrees"] else (f"Not reproduced {counts}", "red")))


def show_probe(probe: Probe, console: Console | None = None) -> None:
    """Print prompts and continuations, side by side where there are two, and their scores."""
    console = console or open_console()
    print_line(console, tables.probe_settings(probe), "bold")
    shaded = console.color_system is not None and not console.no_color
    grid = rich_table.Table.grid(padding=(0, 3), expand=len(probe.prompts) > 1)
    for _ in probe.prompts:
        grid.add_column(overflow="fold", ratio=1)
    sides = tables.sides(probe)
    grid.add_row(*(Text(f"Prompt {side}".strip(), "bold") for side in sides))
    grid.add_row(*(Text(_printable(prompt.item.prompt)) for prompt in probe.prompts))
    grid.add_row(*(Text("\nContinuation", "bold") for _ in sides))
    grid.add_row(*(_continuation(prompt, shaded) for prompt in probe.prompts))
    console.print(grid)
    legend = Text("\n")
    if shaded:
        legend.append("Shade: entropy of the prediction of each token, nats, from ")
        for level, colour in SHADES.items():
            legend.append(f" {level:g} ", _shade(colour)).append(" ")
    legend.append(f"{' to '.join(WINDOW_MARKS)} is the window, whose tokens are measured.")
    console.print(legend)
    for table in tables.probe_scores(probe):
        print_line(console, "")
        print_table(table, console)


def _continuation(prompt: ProbedPrompt, shaded: bool) -> Text:
    """Return the generated tokens, shaded by entropy, with the window's marks."""
    tokens, text = prompt.tokens, Text()
    inside = (tokens["in_window"] & (prompt.record["reason"] == "")).tolist()
    for token, entropy, before, now in zip(tokens["token"], tokens["entropy"], [False, *inside], inside, strict=False):
        text.append(_window_mark(before, now), "bold")
        colour = next((colour for level, colour in reversed(SHADES.items()) if entropy >= level), "") if shaded else ""
        text.append(_printable(token), _shade(colour) if colour else "")
    return text.append(_window_mark(bool(inside and inside[-1]), False), "bold")


def _window_mark(before: bool, now: bool) -> str:
    return "" if before == now else WINDOW_MARKS[0 if now else 1]


def _shade(colour: str) -> str:
    return f"black on {colour}"


def _printable(text: str) -> str:
    """Return a model's or a user's text without what a terminal would obey."""
    return re.sub(r"[^\S\n ]|[\x00-\x09\x0b-\x1f\x7f-\x9f]", " ", text)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
