"""experiments/iteration_registry.csv: one row an iteration, derived from the iterations' own manifests."""

from __future__ import annotations

import fcntl
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from wor import paths, storage
from wor.iterations import pointer

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


@contextmanager
def locked(experiments: Path) -> Iterator[None]:
    """Hold the one lock under which folders get their numbers and the registry is written."""
    with open(experiments / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def of_workspace() -> str | None:
    """The iteration that the workspace's last run became, as its metrics say."""
    return name(storage.read_json(paths.ITERATION)["iteration"]) if paths.ITERATION.is_file() else None


def folders(experiments: Path) -> dict[int, Path]:
    """Every complete iteration folder, by number."""
    found = {}
    for entry in sorted(experiments.glob("iteration_*")):
        match = _NAME.match(entry.name)
        if match and (entry / paths.MANIFEST).is_file():
            found[int(match[1])] = entry
    return found


def read(experiments: Path) -> pd.DataFrame:
    if not path(experiments).is_file():
        return pd.DataFrame(columns=COLUMNS)
    text = path(experiments).read_text(encoding="utf-8")
    # A merge that .gitattributes did not reach: both sides' rows count.
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith(("<<<<<<<", "=======", ">>>>>>>"))]
    return pd.read_csv(io.StringIO("".join(lines)), dtype=dict.fromkeys(TEXTS, str))


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
        if storage.read_json(folder / paths.MANIFEST)["fingerprint"] == fingerprint:
            return folder
    return None


def best(table: pd.DataFrame) -> pd.DataFrame:
    """The row with the highest mean dAUC; no row when none has one. Ties go to the earlier iteration."""
    values = pd.to_numeric(table["delta_auc_mean"])
    return table.loc[[values.idxmax()]] if values.notna().any() else table.head(0)


def rebuild(experiments: Path) -> pd.DataFrame:
    """Write the registry anew: a row from each folder, and the rows of iterations that are not here.

    ``comments`` is a person's column and is kept. So is a row of another iteration with a number that is taken
    here, when there is a pointer to it: `renumber` settles that.
    """
    rows = {(row["iteration_id"], row["fingerprint"]): row for row in read(experiments).to_dict("records")}
    for folder in folders(experiments).values():
        manifest = storage.read_json(folder / paths.MANIFEST)
        mark, former = manifest["registry"]["fingerprint"], manifest.get("renumbered_from")
        kept = rows.get((folder.name, mark)) or rows.pop((former, mark), None) or {}
        others = [key for key in rows if key[0] == folder.name and key[1] != mark]
        if others and not pointer.is_anothers(folder):  # someone edited the row
            kept = {"comments": [rows.pop(key)["comments"] for key in others][-1]} | kept
        rows[folder.name, mark] = {**kept, **manifest["registry"], "iteration_id": folder.name}
    table = pd.DataFrame(sorted(rows.values(), key=_order), columns=COLUMNS)
    storage.write_csv(path(experiments), table)
    return table


def _order(row: dict) -> tuple[int, str]:
    return len(row["iteration_id"]), row["iteration_id"]  # 999 before 1000
