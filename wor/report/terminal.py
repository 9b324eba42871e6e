"""What a person sees: tables where they fit, a list a row where the terminal is narrow, and colours where they are wanted.

Rich honours NO_COLOR, TERM=dumb, COLUMNS and a pipe.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from wor import paths
from wor.iterations import results
from wor.measures.registry import LABELS
from wor.pipeline.progress import format_duration
from wor.report import formatting

if TYPE_CHECKING:
    from wor.config.params import Params
    from wor.doctor import Finding
    from wor.plan.plan import Plan

MARK = {"pass": "[green]pass[/green]", "fail": "[red]fail[/red]", "not evaluable": "[yellow]not evaluable[/yellow]"}
FOLDED = 12  # columns that a text keeps in a table, at the least
HELD = {"supported": "green", "contradicted": "red", "undecided": "yellow", "not evaluable": "yellow"}


def show_outcome(folder: Path, new: bool, console: Console | None = None) -> None:
    """The table of results with intervals, how the run stands to its registration, the criteria, and where it all is."""
    console = console or _console()
    found = results.load_results(folder)
    for result in found["models"].values():
        _show_results(result, console)
        n = result["n"]
        line = f"n = {n['used']} of {n['items']} items ({n['reasoning']} reasoning, {n['control']} control)"
        for reason, count in result["excluded"].items():
            line += f"; {count} excluded, {reason}"
        for text in (line, *results.remarks(result), *checks(result)):
            console.print(text, soft_wrap=True)
        registered = result["preregistration"]
        console.print(f"[bold]Hypotheses[/bold] ({registered['kind']}{_because(registered['reasons'])})", soft_wrap=True)
        for key, entry in registered["hypotheses"].items():
            colour = HELD[entry["status"]]
            name = f"{key} (decisive)" if entry["decisive"] else key
            line = f"[{colour}]{entry['status']}[/{colour}] {name}, {entry['claim']}: {escape(entry['why'])}"
            console.print(line, soft_wrap=True)
    console.print("[bold]Criteria[/bold]")
    for key, entry in found["criteria"].items():
        console.print(f"{MARK[entry['status']]} {key}: {escape(entry['why'])}", soft_wrap=True)
    kind = "New iteration" if new else "The same run as"
    console.print(f"[bold]{kind}: {escape(str(folder))}[/bold]", soft_wrap=True)
    if (report := folder / paths.REPORT).is_file():  # an earlier version's has none
        console.print(f"To look at it: {escape(str(report))}", soft_wrap=True)


def _because(reasons: list[str]) -> str:
    return f": {'; '.join(reasons)}" if reasons else ""


def checks(result: dict) -> list[str]:
    """What to hold the table against: nulls, rivals, other settings, and what a study of this size can find."""
    nulls, twin, literal = result["nulls"], result["twin"], result["literal"]
    rivals, curve, detectable = result["rivals"], result["specification_curve"], result["detectable"]
    lines = [
        f"Wording alone (TF-IDF of the prompt): AUROC {interval(nulls['surface_ceiling'])}; "
        f"shuffled labels: {interval(nulls['permuted_labels'])}",
        f"Twin with random weights: AUROC of REV {interval(twin['auroc']['rev'])}; the model on the same "
        f"{sum(twin['n'].values())} items: {interval(twin['auroc']['rev_real'])}: {twin['verdict']}",
        "REV minus "
        + ", ".join(f"{LABELS.get(name, name)} {interval(entry, sign=True)}" for name, entry in rivals["difference"].items())
        + " (AUROC; heads: sparse logistic on their entropies, cross-fitted)",
    ]
    if "reason" in literal:
        lines.append(f"Matching: {literal['reason']}")
    else:
        auroc = {name: {score: interval(entry) for score, entry in group["auroc"].items()} for name, group in literal.items()}
        lines.append(
            f"The same {literal['literal']['n']} articles cut to length and whole: AUROC of prompt length "
            f"{auroc['matched']['token_len']} and {auroc['literal']['token_len']}, of REV {auroc['matched']['rev']} "
            f"and {auroc['literal']['rev']}"
        )
    for dataset, answered in result["accuracy"].items():
        right = f"Right answers to {dataset}: {formatting.format_share(answered['accuracy'])} of {answered['n']}"
        right += f", no answer read in {formatting.format_share(answered['unparsed'])}"
        if dataset in result.get("correctness", {}):  # an earlier version's iteration has none
            right += f"; AUROC of REV for right over wrong: {interval(result['correctness'][dataset]['auroc']['rev'])}"
        lines.append(right)
    for dataset, dose in result["dose_response"].items():
        lines.append(f"REV over solution steps of {dataset}: Kendall's tau {interval(dose['trend']['rev'], sign=True)}")
    shown = {"auroc": "AUROC", "delta_auc": "dAUC"}
    agree = ", ".join(
        f"{name} agrees in sign in {formatting.format_share(curve[key]['agree']) or 'no setting with a value'}"
        for key, name in shown.items()
    )
    lines.append(f"{curve['settings']} settings of window, tau, normalisation, components and matching: {agree}")
    least = ", ".join(f"{name} from {_number(detectable[key])}" for key, name in shown.items())
    lines.append(f"Found with a probability of 0.8 at this size: {least}")
    return lines


def show_registry(rows: list[dict], console: Console | None = None) -> None:
    """The registry's headline columns, to fit 120."""
    lines = []
    for row in rows:
        delta = {"value": row["delta_auc_mean"], "low": row["ci_low"], "high": row["ci_high"], "reason": "undefined"}
        partial = {"value": row["partial_r_mean"], "low": None, "reason": "undefined"}
        lines.append(
            (
                row["iteration_id"].removeprefix("iteration_"),
                row["date"][:16].replace("T", " "),
                escape(row["models"]),
                str(row["n_items"]),
                f"{row['temperature']:g}",
                interval(delta, sign=True),
                interval(partial, sign=True),
                row["kind"],
                row["criteria"],
            )
        )
    headings = ("no.", "date", "models", "n", "T", "dAUC", "partial r", "kind", "criteria")
    title = f"{len(rows)} iterations" if len(rows) != 1 else "1 iteration"
    _show_table(console or _console(), headings, lines, title, right=(), texts=("date", "models", "kind", "criteria"))


def show_runs(rows: list[dict], varying: list[str], console: Console | None = None) -> None:
    """DVC's experiments with their headline and the parameters in which they differ."""
    lines = []
    for row in rows:
        name = f"{row['experiment']} ({row['state'].lower()})" if row["state"] else row["experiment"]
        delta = {"value": row["dAUC"], "low": row["low"], "high": row["high"]}
        partial = {"value": row["partial_r"], "low": None}
        lines.append(
            (
                escape(name),
                "-" if row["iteration"] is None else f"{row['iteration']:.0f}",
                "-" if row["AUROC"] is None else f"{row['AUROC']:.2f}",
                *("-" if each["value"] is None else interval(each, sign=True) for each in (delta, partial)),
                "-" if row["n"] is None else f"{row['n']:.0f}",
                *(escape(_setting(row[key])) for key in varying),
            )
        )
    headings = ("experiment", "it.", "AUROC", "dAUC", "partial r", "n", *varying)
    _show_table(console or _console(), headings, lines, right=headings[1:], texts=varying)


def _setting(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)


def show_plan(params: Params, plan: Plan, console: Console | None = None) -> None:
    """A row a stage, then the sums, and what they rest on."""
    console = console or _console()
    sizes = ", ".join(f"{name} {params.spec(name).n}" for name in params.datasets)
    console.print(f"{', '.join(params.models)} on {sizes}", soft_wrap=True)
    lines = []
    for line in plan.lines:
        taken = "DVC has it" if line.cached else "not known" if line.seconds is None else format_duration(line.seconds)
        counts = (f"{line.items:,}", f"{line.tokens:,}", f"{line.flops / 1e12:,.1f}") if line.items else ("", "", "")
        lines.append((line.stage, *counts, taken))
    sums = [sum(getattr(line, name) for line in plan.lines) for name in ("items", "tokens", "flops")]
    last = ("in all", f"{sums[0]:,}", f"{sums[1]:,}", f"{sums[2] / 1e12:,.1f}", format_duration(plan.seconds))
    headings = ("stage", "items", "tokens", "TFLOP", "time")
    _show_table(console, headings, lines, right=headings[1:], texts=("stage",), last=last)
    console.print(f"Memory: {plan.memory / 2**30:.1f} GiB at the peak. Disk: {plan.disk / 2**20:,.0f} MiB", soft_wrap=True)
    for model, size in plan.download.items():
        console.print(f"Download: {model}, up to {size / 1e9:.1f} GB", soft_wrap=True)
    for line in (*(f"Measured: {each}" for each in plan.measured), *(f"Assumed: {each}" for each in plan.assumed)):
        console.print(escape(line), soft_wrap=True)


def show_check(found: dict) -> None:
    """Whether params.yaml has a fault is known before; here is what it would run, and as what."""
    console = _console()
    settings = f"{', '.join(found['models'])} on {', '.join(found['datasets'])}: no fault found"
    departures = found["departures"]
    standing = f"exploratory: {'; '.join(departures)}" if departures else "every registered parameter at its registered value"
    for path, line in ((paths.PARAMS, settings), (paths.PREREGISTRATION, standing)):
        console.print(escape(f"{path}: {line}"), soft_wrap=True)


def show_verification(found: dict) -> None:
    """Every fault on a line of its own, or that there is none."""
    names = found["iterations"]
    intact = f"{', '.join(names) if len(names) < 9 else f'{len(names)} iterations'}: intact"
    for line in found["faults"] or [intact]:
        _console().print(escape(line), soft_wrap=True)


def show_comparison(found: dict, console: Console | None = None) -> None:
    """What was set differently, what came out, and what differs in code and machine: of `compare.compare_iterations`."""
    console = console or _console()
    first, second = found["first"], found["second"]
    console.print(f"[bold]{first} and {second}[/bold]")
    for title in ("parameters", "environment"):
        console.print(f"[bold]{title.capitalize()}[/bold]" + ("" if found[title] else ": alike"))
        for key, (one, two) in found[title].items():
            console.print(f"  {key}: {escape(_short(one))} -> {escape(_short(two))}", soft_wrap=True)
    for model, rows in found["metrics"].items():
        lines = [
            (name, *("" if one is None else interval(one, sign=not name.startswith("AUROC")) for one in estimates))
            for name, estimates in rows.items()
        ]
        headings = ("metric", first, second)
        _show_table(console, headings, lines, model, right=headings[1:])
    if not found["paired"]:
        console.print("No model is in both: nothing to pair item by item")
        return
    title = f"The same items, {second} minus {first} (95% intervals)"
    headings = ("model", "class", "measure", "n", "difference")
    lines = [
        (row["model"], row["role"], LABELS[row["score"]], str(row["n"]), interval(row, sign=True)) for row in found["paired"]
    ]
    _show_table(console, headings, lines, title, right=("n", "difference"), texts=("model",))


def show_reproduction(found: dict, console: Console | None = None) -> None:
    """Recorded against recomputed: the headline, what was otherwise, and every file that differs: of `agreement.verdict`."""
    console = console or _console()
    for model, rows in found["metrics"].items():
        lines = []
        for name, (one, two) in rows.items():
            both = one and two and None not in (one["value"], two["value"])
            difference = f"{two['value'] - one['value']:+.2g}" if both else ""
            lines.append((name, *("" if each is None else interval(each) for each in (one, two)), difference))
        headings = ("metric", "recorded", "recomputed", "difference")
        _show_table(console, headings, lines, model, right=headings[1:])
    for key, (one, two) in found["elsewhere"].items():
        console.print(f"Other than then: {key}: {escape(_short(one))} -> {escape(_short(two))}", soft_wrap=True)
    for file in found["files"]:
        if file["different"]:
            most = "a text or a missing value" if file["worst"] == float("inf") else f"{file['worst']:.2g}"
            line = f"{file['file']}: {file['different']} of {file['values']} differ, most by {most} ({escape(file['where'])})"
            console.print(line, soft_wrap=True)
    if not found["different"]:
        same = f"{found['values']} values in {len(found['files'])} files of results/, each identical"
        console.print(f"[green]Reproduced[/green]: {same}", soft_wrap=True)
        return
    if found["first"]:
        console.print(f"The first stage whose outputs differ: {found['first']}", soft_wrap=True)
    judged = "[green]Reproduced[/green]" if found["agrees"] else "[red]Not reproduced[/red]"
    line = f"{judged} within a tolerance of {found['tolerance']:g}: {found['different']} of {found['values']} values differ"
    console.print(line, soft_wrap=True)


def show_findings(found: dict[str, list[Finding]], console: Console | None = None) -> None:
    """A line each, with the remedy beneath: never folded, so that it can be copied. At last, how many of which."""
    console = console or _console()
    colours = {"ok": "green", "warn": "yellow", "fail": "red"}
    every = [one for group in found.values() for one in group]
    for heading, group in found.items():
        console.print(f"[bold]{heading}[/bold]")
        for one in group:
            console.print(f"  [{colours[one.status]}]{one.status:<4}[/] {escape(one.name)}: {escape(one.found)}", soft_wrap=True)
            if one.remedy:
                console.print(f"       [bold]->[/bold] {escape(one.remedy)}", soft_wrap=True)
    counts = ", ".join(f"{sum(one.status == status for one in every)} {status}" for status in colours)
    console.print(f"[bold]{counts}[/bold]")


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _console() -> Console:
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        console.width = 120  # a log has no edge to wrap at
    return console


def _number(estimate: dict) -> str:
    return f"none: {estimate['reason']}" if estimate["value"] is None else f"{estimate['value']:.2f}"


def _show_results(result: dict, console: Console) -> None:
    """REV and every other measure: AUROC, what they add to the baseline, partial correlation."""
    lines = []
    for name, shown in LABELS.items():
        if name not in result["auroc"]:  # an iteration from before there was this measure
            continue
        adjusted = result["holm"].get(f"partial_{name}")
        lines.append(
            (
                shown,
                interval(result["auroc"][name]["bootstrap"]),
                interval(result["added"][name]["delta"], sign=True),
                interval(result["partial"][name]["clustered"], sign=True),
                "" if adjusted is None else f"{adjusted:.2g}",
                result["direction"].get(name, ""),
            )
        )
    lines.append(("baseline", interval(result["added"]["rev"]["baseline"]), "", "", "", ""))
    headings = ("measure", "AUROC", "dAUC over baseline", "partial r", "p (Holm)", "direction")
    title = f"{result['label']}: reasoning against control ({result['confidence']:.0%} intervals)"
    _show_table(console, headings, lines, title, right=headings[1:], texts=("direction",))


def _show_table(
    console: Console,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str = "",
    *,
    right: Sequence[str] = (),
    texts: Sequence[str] = (),
    last: Sequence[str] = (),
) -> None:
    """A table that fits the console, or a list a row: no number is ever folded, and no text is cut.

    right : headings of columns that stand to the right. texts : of those that fold. last : a row below a line.
    """
    every = [*rows, last] if last else [*rows]
    widths = [max(cell_len(Text.from_markup(cell).plain) for cell in column) for column in zip(headings, *every, strict=True)]
    least = [min(width, FOLDED) if heading in texts else width for heading, width in zip(headings, widths, strict=True)]
    if sum(least) + 3 * len(least) + 1 > console.width:
        if title:
            console.print(f"[bold]{title}[/bold]", soft_wrap=True)
        for name, *cells in every:
            console.print(f"[bold]{name}[/bold]", soft_wrap=True)
            for heading, cell in zip(headings[1:], cells, strict=True):
                if cell:
                    console.print(f"  {escape(heading)}: {cell}", soft_wrap=True)
        return
    table = Table(title=title or None, title_justify="left")
    for heading, width in zip(headings, least, strict=True):
        justify = "right" if heading in right else "left"
        table.add_column(escape(heading), justify=justify, overflow="fold", no_wrap=heading not in texts, min_width=width)
    for row in rows:
        table.add_row(*row)
    if last:
        table.add_section()
        table.add_row(*last)
    console.print(table)


def interval(estimate: dict, sign: bool = False) -> str:
    """`words.estimate`, as rich prints it."""
    return escape(formatting.format_estimate(estimate, sign))
