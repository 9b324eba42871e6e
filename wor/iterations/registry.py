"""experiments/iteration_registry.csv: one row an iteration, derived from the iterations' own manifests."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from wor import storage

COLUMNS = [
    "iteration_id", "date", "experiment", "code_hash", "fingerprint", "models", "datasets", "n_items", "temperature",
    "delta_auc_mean", "ci_low", "ci_high", "partial_r_mean", "kind", "criteria", "comments",
]  # fmt: skip
# A hash of digits, or of digits and one e, would be read as a number.
TEXTS = ("iteration_id", "date", "experiment", "code_hash", "fingerprint", "models", "datasets", "kind", "criteria", "comments")
_NAME = re.compile(r"^iteration_(\d{3,})$")


def path(experiments: Path) -> Path:
    return experiments / "iteration_registry.csv"


def name(number: int) -> str:
    return f"iteration_{number:03d}"


def number_of(folder: Path) -> int:
    return int(_NAME.match(folder.name)[1])


def folders(experiments: Path) -> dict[int, Path]:
    """Every complete iteration folder, by number."""
    found = {}
    for entry in sorted(experiments.glob("iteration_*")):
        match = _NAME.match(entry.name)
        if match and (entry / "manifest.json").is_file():
            found[int(match[1])] = entry
    return found


def read(experiments: Path) -> pd.DataFrame:
    if not path(experiments).is_file():
        return pd.DataFrame(columns=COLUMNS)
    return pd.read_csv(path(experiments), dtype=dict.fromkeys(TEXTS, str))


def next_number(experiments: Path) -> int:
    """One above every number that a folder, a DVC pointer or a registry row has taken.

    A clone without the folders must not use their numbers again.
    """
    names = [entry.name.removesuffix(".dvc") for entry in experiments.glob("iteration_*")]
    names += list(read(experiments)["iteration_id"])
    return 1 + max((int(match[1]) for match in map(_NAME.match, names) if match), default=0)


def find(experiments: Path, fingerprint: str) -> Path | None:
    """The iteration with this fingerprint, if there is one."""
    for folder in folders(experiments).values():
        if storage.read_json(folder / "manifest.json")["fingerprint"] == fingerprint:
            return folder
    return None


def best(table: pd.DataFrame) -> pd.DataFrame:
    """The row with the highest mean dAUC; no row when none has one. Ties go to the earlier iteration."""
    values = pd.to_numeric(table["delta_auc_mean"])
    return table.loc[[values.idxmax()]] if values.notna().any() else table.head(0)


def rebuild(experiments: Path) -> pd.DataFrame:
    """Write the registry anew: a row from each folder, and the rows of folders that are not here.

    ``comments`` is a person's column and is kept.
    """
    before = read(experiments).set_index("iteration_id")
    rows = {identifier: row.to_dict() for identifier, row in before.iterrows()}
    for number, folder in folders(experiments).items():
        manifest = storage.read_json(folder / "manifest.json")
        kept = rows.get(name(number), {}).get("comments", "")
        rows[name(number)] = {**manifest["registry"], "comments": kept}
    table = pd.DataFrame([{"iteration_id": identifier, **row} for identifier, row in sorted(rows.items())], columns=COLUMNS)
    storage.write_csv(path(experiments), table)
    return table
