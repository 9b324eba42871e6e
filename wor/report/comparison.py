"""Build the tables of two iterations: A is the first, B the second, and differences are B − A."""

from collections.abc import Mapping

from wor.report.formatting import criterion_label, format_estimate, format_number, measure_label
from wor.report.table import Cell, Table, verdict_mark

Names = tuple[str, str]
Estimates = tuple[dict | None, dict | None]


def changed(title: str, values: Mapping[str, tuple[object, object]], names: Names) -> Table:
    rows = [[key, *map(str, both)] for key, both in values.items()]
    return Table(title, ["", *names], rows, notes=[] if rows else [f"{title}: none."])


def criteria(first: dict[str, dict], second: dict[str, dict], names: Names) -> Table:
    keys = dict.fromkeys([*first, *second])
    rows = [[criterion_label(key), *(_status(entries.get(key)) for entries in (first, second))] for key in keys]
    return Table("Success criteria", ["criterion", *names], rows)


def hypotheses(first: dict, second: dict, names: Names) -> Table:
    both = [  # by claim too: a changed registration can reuse a key for another claim
        {(key, entry["claim"]): entry for key, entry in result["preregistration"]["hypotheses"].items()}
        for result in (first, second)
    ]
    rows: list[list[Cell]] = []
    for key, claim in dict.fromkeys([*both[0], *both[1]]):
        entries = [hypotheses.get((key, claim)) for hypotheses in both]
        primary = any(entry["decisive"] for entry in entries if entry)
        rows.append([f"{key} (primary)" if primary else key, claim, *(_status(entry) for entry in entries)])
    return Table("Hypotheses of prereg.yaml", ["", "claim", *names], rows)


def _status(entry: dict | None) -> Cell:
    return verdict_mark(entry["status"]) if entry else "not in this run"


def metrics(caption: str, estimates: dict[str, Estimates], names: Names, last: str = "B − A", form: str = "+.3f") -> Table:
    """Return one model's headline in both iterations, and the difference in column ``last``."""
    rows = []
    for name, (first, second) in estimates.items():
        values = [entry["value"] for entry in (first, second) if entry and entry["value"] is not None]
        difference = format_number(values[1] - values[0], form) if len(values) == 2 else ""
        cells = [format_estimate(entry, sign=not name.startswith("AUROC")) for entry in (first, second)]
        rows.append([name, *cells, difference])
    return Table(caption, ["metric", *names, last], rows, range(1, 4))


def paired(differences: list[dict], names: Names) -> Table:
    """Return the mean differences over shared items, as `compare_iterations` computed them."""
    rows = [
        [row["model"], row["role"], measure_label(row["score"]), str(row["n"]), format_estimate(row, sign=True)]
        for row in differences
    ]
    title = f"The same items, {names[1]} minus {names[0]}"
    notes = ["Mean difference over the items of both, with 95% intervals from a bootstrap of clusters."]
    if not rows:
        notes = [f"{title}: no model is in both, so nothing can be paired."]
    return Table(title, ["model", "class", "measure", "n", "difference"], rows, [3, 4], notes)
