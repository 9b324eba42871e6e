"""Two iterations beside each other, as tables: A is the first, B the second, differences are B less A."""

from __future__ import annotations

from wor.iterations import compare
from wor.iterations.load import Iteration
from wor.report import formatting
from wor.report.table import Mark, Table, verdict_mark


def changed(title: str, found: dict[str, tuple[object, object]], names: tuple[str, str]) -> Table:
    rows = [[key, *map(str, both)] for key, both in found.items()]
    return Table(title, ["", *names], rows, notes=[] if rows else [f"{title}: alike."])


def criteria(first: Iteration, second: Iteration) -> Table:
    keys = dict.fromkeys([*first.criteria, *second.criteria])
    rows = [[formatting.criterion_label(key), *(_status(each.criteria.get(key)) for each in (first, second))] for key in keys]
    return Table("Success criteria", ["criterion", first.name, second.name], rows)


def hypotheses(first: dict, second: dict, names: tuple[str, str]) -> Table:
    both = [  # by claim too: a changed registration asks something else under the same name
        {(key, entry["claim"]): entry for key, entry in result["preregistration"]["hypotheses"].items()}
        for result in (first, second)
    ]
    rows = []
    for key, claim in dict.fromkeys([*both[0], *both[1]]):
        entries = [each.get((key, claim)) for each in both]
        decides = any(entry["decisive"] for entry in entries if entry)
        rows.append([f"{key} (decisive)" if decides else key, claim, *(_status(entry) for entry in entries)])
    return Table("Hypotheses of prereg.yaml", ["", "claim", *names], rows)


def _status(entry: dict | None) -> Mark | str:
    return verdict_mark(entry["status"]) if entry else "not in this run"


def metrics(found: dict[str, tuple[dict | None, dict | None]], names: tuple[str, str], confidence: str) -> Table:
    """The headline of one model in both."""
    rows = []
    for name, both in found.items():
        there = [None if entry is None else entry["value"] for entry in both]
        difference = "" if None in there else formatting.format_number(there[1] - there[0], "+.3f")
        rows.append([name, *(formatting.format_estimate(entry, sign=not name.startswith("AUROC")) for entry in both), difference])
    return Table(f"Estimates ({confidence} intervals)", ["", *names, "B − A"], rows, range(1, 4))


def paired(first: Iteration, second: Iteration) -> Table:
    found = compare.paired_differences(first.folder, second.folder)
    rows = [
        [
            row["model"],
            row["role"],
            formatting.measure_label(row["score"]),
            str(row["n"]),
            formatting.format_estimate(row, sign=True),
        ]
        for row in found.astype(object).where(found.notna(), None).to_dict("records")
    ]
    title = f"The same items, {second.name} less {first.name}"
    notes = ["Mean difference over the items of both, with 95% intervals from a bootstrap of clusters."]
    if not rows:
        notes = [f"{title}: no model is in both, so nothing can be paired."]
    return Table(title, ["model", "class", "measure", "n", "difference"], rows, range(3, 5), notes)
