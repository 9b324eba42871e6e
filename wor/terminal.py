"""What a person sees at the end of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from wor import storage
from wor.errors import UserError
from wor.iterations.materialise import Outcome
from wor.measures.registry import NAMES

if TYPE_CHECKING:
    from wor.doctor import Finding
    from wor.iterations.agreement import Verdict
    from wor.iterations.reproduce import Again
    from wor.params import Params
    from wor.plan.plan import Plan

MARK = {"pass": "[green]pass[/green]", "fail": "[red]fail[/red]", "not evaluable": "[yellow]not evaluable[/yellow]"}
HELD = {"supported": "green", "contradicted": "red", "undecided": "yellow", "not evaluable": "yellow"}


def show_outcome(outcome: Outcome, console: Console | None = None) -> None:
    """The table of results with intervals, how the run stands to its registration, the criteria, and where it all is."""
    console = console or _console()
    found = storage.read_json(outcome.folder / "results" / "aggregate_statistics.json")
    for model, result in found["models"].items():
        if "preregistration" not in result:
            remedy = "Look into its results/aggregate_statistics.json"
            raise UserError("iteration", f"{outcome.folder.name} was made by an earlier version", remedy)
        console.print(results_table(model, result))
        n = result["n"]
        line = f"n = {n['used']} of {n['items']} items ({n['reasoning']} reasoning, {n['control']} control)"
        for reason, count in result["excluded"].items():
            line += f"; {count} excluded, {reason}"
        for text in (line, *remarks(result), *checks(result)):
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
    kind = "New iteration" if outcome.new else "The same run as"
    console.print(f"[bold]{kind}: {outcome.folder}[/bold]", soft_wrap=True)


def _because(reasons: list[str]) -> str:
    return f": {'; '.join(reasons)}" if reasons else ""


def remarks(result: dict) -> list[str]:
    """What to mind about the table's numbers, once each."""
    estimates = [result["auroc"][name]["bootstrap"] for name in NAMES if name in result["auroc"]]
    estimates += [entry[part] for entry in result["added"].values() for part in ("baseline", "delta")]
    notes = dict.fromkeys(entry["note"] for entry in estimates if "note" in entry)
    return [f"Mind: {note}" for note in notes]


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
        + ", ".join(f"{NAMES.get(name, name)} {interval(entry, sign=True)}" for name, entry in rivals["difference"].items())
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
        right = f"Right answers to {dataset}: {_share(answered['accuracy'])} of {answered['n']}"
        right += f", no answer read in {_share(answered['unparsed'])}"
        if dataset in result.get("correctness", {}):  # an earlier version's iteration has none
            right += f"; AUROC of REV for right over wrong: {interval(result['correctness'][dataset]['auroc']['rev'])}"
        lines.append(right)
    for dataset, dose in result["dose_response"].items():
        lines.append(f"REV over solution steps of {dataset}: Kendall's tau {interval(dose['trend']['rev'], sign=True)}")
    shown = {"auroc": "AUROC", "delta_auc": "dAUC"}
    agree = ", ".join(f"{name} agrees in sign in {_share(curve[key]['agree'])}" for key, name in shown.items())
    lines.append(f"{curve['settings']} settings of window, tau, normalisation, components and matching: {agree}")
    least = ", ".join(f"{name} from {_number(detectable[key])}" for key, name in shown.items())
    lines.append(f"Found with a probability of 0.8 at this size: {least}")
    return lines


def show_registry(rows: list[dict], console: Console | None = None) -> None:
    """The registry's headline columns, to fit 120."""
    console = console or _console()
    table = Table(title=f"{len(rows)} iterations" if len(rows) != 1 else "1 iteration", title_justify="left")
    for heading in ("no.", "date", "models", "n", "T", "dAUC", "partial r", "kind", "criteria"):
        # Narrow terminals fold texts, never numbers.
        table.add_column(heading, overflow="fold", no_wrap=heading not in ("date", "models", "kind", "criteria"))
    for row in rows:
        delta = {"value": row["delta_auc_mean"], "low": row["ci_low"], "high": row["ci_high"], "reason": "undefined"}
        partial = {"value": row["partial_r_mean"], "low": None, "reason": "undefined"}
        table.add_row(
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
    console.print(table)


def show_runs(rows: list[dict], varying: list[str], console: Console | None = None) -> None:
    """DVC's experiments with their headline and the parameters in which they differ."""
    console = console or _console()
    table = Table()
    for heading in ("experiment", "it.", "AUROC", "dAUC", "partial r", "n"):
        table.add_column(heading, overflow="fold", no_wrap=True, justify="left" if heading == "experiment" else "right")
    for key in varying:
        table.add_column(escape(key), overflow="fold", justify="right")
    for row in rows:
        name = f"{row['experiment']} ({row['state'].lower()})" if row["state"] else row["experiment"]
        delta = {"value": row["dAUC"], "low": row["low"], "high": row["high"]}
        partial = {"value": row["partial_r"], "low": None}
        table.add_row(
            escape(name),
            "-" if row["iteration"] is None else f"{row['iteration']:.0f}",
            "-" if row["AUROC"] is None else f"{row['AUROC']:.2f}",
            *("-" if each["value"] is None else interval(each, sign=True) for each in (delta, partial)),
            "-" if row["n"] is None else f"{row['n']:.0f}",
            *(escape(row[key]) for key in varying),
        )
    console.print(table)


def show_plan(params: Params, plan: Plan, console: Console | None = None) -> None:
    """A row a stage, then the sums, and what they rest on."""
    console = console or _console()
    sizes = ", ".join(f"{name} {params.spec(name).n}" for name in params.datasets)
    console.print(f"{', '.join(params.models)} on {sizes}", soft_wrap=True)
    table = Table()
    for heading in ("stage", "items", "tokens", "TFLOP", "time"):
        table.add_column(heading, justify="left" if heading == "stage" else "right", overflow="fold")
    for line in plan.lines:
        taken = "DVC has it" if line.cached else "not known" if line.seconds is None else _duration(line.seconds)
        counts = (f"{line.items:,}", f"{line.tokens:,}", f"{line.flops / 1e12:,.1f}") if line.items else ("", "", "")
        table.add_row(line.stage, *counts, taken)
    table.add_section()
    sums = [sum(getattr(line, name) for line in plan.lines) for name in ("items", "tokens", "flops")]
    table.add_row("in all", f"{sums[0]:,}", f"{sums[1]:,}", f"{sums[2] / 1e12:,.1f}", _duration(plan.seconds))
    console.print(table)
    console.print(f"Memory: {plan.memory / 2**30:.1f} GiB at the peak. Disk: {plan.disk / 2**20:,.0f} MiB", soft_wrap=True)
    for model, size in plan.download.items():
        console.print(f"Download: {model}, up to {size / 1e9:.1f} GB", soft_wrap=True)
    for line in (*(f"Measured: {each}" for each in plan.measured), *(f"Assumed: {each}" for each in plan.assumed)):
        console.print(escape(line), soft_wrap=True)


def _duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.4 h``, ``2.1 days``: no more digits than an estimate has."""
    for least, size, unit, form in ((172_800, 86_400, "days", ".1f"), (7_200, 3_600, "h", ".1f"), (120, 60, "min", ".0f")):
        if seconds >= least:
            return f"{seconds / size:{form}} {unit}"
    return f"{seconds:.0f} s"


def show_comparison(first: Path, second: Path, console: Console | None = None) -> None:
    """What was set differently, what came out, and what differs in code and machine."""
    from wor.iterations import compare  # with scipy, which no other command waits for

    console = console or _console()
    console.print(f"[bold]{first.name} and {second.name}[/bold]")
    for title, found in (("Parameters", compare.parameters(first, second)), ("Environment", compare.environment(first, second))):
        console.print(f"[bold]{title}[/bold]" + ("" if found else ": alike"))
        for key, (one, two) in found.items():
            console.print(f"  {key}: {escape(_short(one))} -> {escape(_short(two))}", soft_wrap=True)
    for model, rows in compare.metrics(first, second).items():
        table = Table(title=model, title_justify="left")
        for heading in ("metric", first.name, second.name):
            table.add_column(heading, justify="left" if heading == "metric" else "right")
        for name, estimates in rows.items():
            table.add_row(name, *("" if one is None else interval(one, sign=not name.startswith("AUROC")) for one in estimates))
        console.print(table)
    paired = compare.paired(first, second)
    if not len(paired):
        console.print("No model is in both: nothing to pair item by item")
        return
    table = Table(title=f"The same items, {second.name} minus {first.name} (95% intervals)", title_justify="left")
    for heading in ("model", "class", "measure", "n", "difference"):
        table.add_column(heading, justify="right" if heading in ("n", "difference") else "left")
    for row in paired.astype(object).where(paired.notna(), None).to_dict("records"):
        table.add_row(row["model"], row["role"], NAMES[row["score"]], str(row["n"]), interval(row, sign=True))
    console.print(table)


def show_reproduction(folder: Path, again: Again, verdict: Verdict, console: Console | None = None) -> None:
    """Recorded against recomputed: the headline, what was otherwise, and every file that differs."""
    from wor.iterations import compare

    console = console or _console()
    for model, rows in compare.metrics(folder, again.folder).items():
        table = Table(title=model, title_justify="left")
        for heading in ("metric", "recorded", "recomputed", "difference"):
            table.add_column(heading, justify="left" if heading == "metric" else "right")
        for name, (one, two) in rows.items():
            both = one and two and None not in (one["value"], two["value"])
            difference = f"{two['value'] - one['value']:+.2g}" if both else ""
            table.add_row(name, *("" if each is None else interval(each) for each in (one, two)), difference)
        console.print(table)
    for key, (one, two) in verdict.elsewhere.items():
        console.print(f"Other than then: {key}: {escape(_short(one))} -> {escape(_short(two))}", soft_wrap=True)
    for file in verdict.files:
        if file.different:
            most = "a text or a missing value" if file.worst == float("inf") else f"{file.worst:.2g}"
            line = f"{file.file}: {file.different} of {file.values} differ, most by {most} ({escape(file.where)})"
            console.print(line, soft_wrap=True)
    if not verdict.different:
        found = f"{verdict.values} values in {len(verdict.files)} files of results/, each identical"
        console.print(f"[green]Reproduced[/green]: {found}")
        return
    if verdict.first:
        console.print(f"The first stage whose outputs differ: {verdict.first}")
    judged = "[green]Reproduced[/green]" if verdict.agrees else "[red]Not reproduced[/red]"
    line = f"{judged} within a tolerance of {verdict.tolerance:g}: {verdict.different} of {verdict.values} values differ"
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
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120  # a log has no edge to wrap at
    return console


def _share(value: float | None) -> str:
    return "no setting with a value" if value is None else f"{value:.0%}"


def _number(estimate: dict) -> str:
    return f"none: {estimate['reason']}" if estimate["value"] is None else f"{estimate['value']:.2f}"


def results_table(model: str, result: dict) -> Table:
    """REV and every other measure: AUROC, what they add to the baseline, partial correlation."""
    table = Table(
        title=f"{result['label']}: reasoning against control ({result['confidence']:.0%} intervals)", title_justify="left"
    )
    table.add_column("measure")
    for heading in ("AUROC", "dAUC over baseline", "partial r", "p (Holm)", "direction"):
        table.add_column(heading, justify="right")
    for name, shown in NAMES.items():
        if name not in result["auroc"]:  # an iteration from before there was this measure
            continue
        adjusted = result["holm"].get(f"partial_{name}")
        table.add_row(
            shown,
            interval(result["auroc"][name]["bootstrap"]),
            interval(result["added"][name]["delta"], sign=True),
            interval(result["partial"][name]["clustered"], sign=True),
            "" if adjusted is None else f"{adjusted:.2g}",
            result["direction"].get(name, ""),
        )
    table.add_row("baseline", interval(result["added"]["rev"]["baseline"]), "", "", "", "")
    return table


def interval(estimate: dict, sign: bool = False) -> str:
    """``0.71 [0.60, 0.81]``, or why there is no number."""
    if estimate["value"] is None:
        return f"none: {estimate['reason']}"
    form = "+.2f" if sign else ".2f"
    text = f"{estimate['value']:{form}}"
    if estimate["low"] is not None:
        text += f" \\[{estimate['low']:{form}}, {estimate['high']:{form}}]"
    return text
