"""What a person sees at the end of a run."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from wor import storage
from wor.iterations.materialise import Outcome

MARK = {"pass": "[green]pass[/green]", "fail": "[red]fail[/red]", "not evaluable": "[yellow]not evaluable[/yellow]"}
NAMES = {"rev": "REV", "apl": "APL", "ape": "APE", "sib": "SIB", "dtr": "DTR"}


def show_outcome(outcome: Outcome, console: Console | None = None) -> None:
    """The table of results with intervals, the criteria, and where the iteration is."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = 120  # a log has no edge to wrap at
    found = storage.read_json(outcome.folder / "results" / "aggregate_statistics.json")
    for model, result in found["models"].items():
        console.print(results_table(model, result))
        n = result["n"]
        line = f"n = {n['used']} of {n['items']} items ({n['reasoning']} reasoning, {n['control']} control)"
        for reason, count in result["excluded"].items():
            line += f"; {count} excluded, {reason}"
        surface, null = result["nulls"]["surface_ceiling"], result["nulls"]["permuted_labels"]
        console.print(line)
        console.print(f"Wording alone (TF-IDF of the prompt): AUROC {interval(surface)}; shuffled labels: {interval(null)}")
    for key, entry in found["criteria"].items():
        console.print(f"{MARK[entry['status']]} {key}: {entry['why']}", soft_wrap=True)
    kind = "New iteration" if outcome.new else "The same run as"
    console.print(f"[bold]{kind}: {outcome.folder}[/bold]", soft_wrap=True)


def results_table(model: str, result: dict) -> Table:
    """REV, its components and DTR: AUROC, what they add to the baseline, partial correlation."""
    table = Table(
        title=f"{result['label']}: reasoning against control ({result['confidence']:.0%} intervals)", title_justify="left"
    )
    table.add_column("measure")
    for heading in ("AUROC", "dAUC over baseline", "partial r", "p (Holm)", "direction"):
        table.add_column(heading, justify="right")
    for name, shown in NAMES.items():
        adjusted = result["holm"].get(f"partial_{name}")
        table.add_row(
            shown,
            interval(result["auroc"][name]["bootstrap"]),
            interval(result["added"][name]["delta"], sign=True),
            interval(result["partial"][name]["pearson"], sign=True),
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
