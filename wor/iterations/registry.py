"""experiments/iteration_registry.csv: one row an iteration, derived from the iterations' own manifests."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wor import paths, storage
from wor.errors import UserError
from wor.iterations import pointer

COLUMNS = [
    "iteration_id", "date", "experiment", "code_hash", "fingerprint", "models", "datasets", "n_items", "temperature",
    "delta_auc_mean", "ci_low", "ci_high", "partial_r_mean", "kind", "criteria", "comments",
]  # fmt: skip
NUMBERS = ("n_items", "temperature", "delta_auc_mean", "ci_low", "ci_high", "partial_r_mean")
_MARKERS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
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
    if not experiments.is_dir():
        raise UserError(experiments, "not found", "Run from the top of the repository")
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


def manifest(folder: Path) -> dict:
    """An iteration's manifest. Raises UserError where the file is none."""
    try:
        found = storage.read_json(folder / paths.MANIFEST)
        if {"iteration_id", "fingerprint", "registry", "files"} <= found.keys():
            return found
    except (ValueError, AttributeError):
        pass
    remedy = f"dvc checkout --force experiments/{folder.name}.dvc brings back what was recorded"
    raise UserError(folder.name, f"{paths.MANIFEST} is not a manifest", remedy)


def rivals(folder: Path, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Rows of another iteration with this one's number, from another clone."""
    mark = manifest(folder)["fingerprint"][:16]
    return [row for row in rows if row["iteration_id"] == folder.name and row["fingerprint"] != mark]


def read(experiments: Path) -> list[dict[str, str]]:
    """The rows as they stand in the file, every field a text: a hash of digits alone is no number."""
    if not path(experiments).is_file():
        return []
    lines = path(experiments).read_text(encoding="utf-8").splitlines(keepends=True)
    # A merge that .gitattributes did not reach: both sides' rows count.
    rows = csv.DictReader(line for line in lines if not line.startswith(_MARKERS))
    return [{column: row.get(column) or "" for column in COLUMNS} for row in rows]


def as_text(row: dict) -> dict[str, str]:
    """A manifest's row as the file has it; floats read back bit for bit, what isn't there is empty."""
    return {key: "" if value is None else str(value) for key, value in row.items()}


def as_values(row: dict[str, str]) -> dict:
    """A row of the file with numbers as numbers, None where there is none. Raises UserError for an edit that is no number."""
    return {key: _number(row["iteration_id"], key, value) if key in NUMBERS else value for key, value in row.items()}


def _number(identifier: str, key: str, text: str) -> int | float | None:
    try:
        return json.loads(text) if text else None
    except ValueError:
        remedy = "Write it anew from the folders: wor registry --rebuild"
        raise UserError(f"registry: {identifier}: {key}", repr(text), remedy) from None


def next_number(experiments: Path) -> int:
    """One above every number that a folder, a DVC pointer or a registry row has taken.

    A clone without the folders must not use their numbers again.
    """
    names = [entry.name.removesuffix(".dvc") for entry in experiments.glob("iteration_*")]
    names += [row["iteration_id"] for row in read(experiments)]
    return 1 + max((int(match[1]) for match in map(_NAME.match, names) if match), default=0)


def find(experiments: Path, fingerprint: str) -> Path | None:
    """The iteration with this fingerprint, if there is one."""
    for folder in folders(experiments).values():
        if manifest(folder)["fingerprint"] == fingerprint:
            return folder
    return None


def best(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The row with the highest mean dAUC; no row when none has one. Ties go to the earlier iteration."""
    known = [row for row in rows if row["delta_auc_mean"]]
    return [max(known, key=lambda row: as_values(row)["delta_auc_mean"])] if known else []


def rebuild(experiments: Path) -> list[dict[str, str]]:
    """Write the registry anew: a row from each folder, and the rows of iterations that are not here.

    ``comments`` is a person's column and is kept. So is a row of another iteration with a number that is taken
    here, when there is a pointer to it: `renumber` settles that.
    """
    rows = {(row["iteration_id"], row["fingerprint"]): row for row in read(experiments)}
    for folder in folders(experiments).values():
        sealed = manifest(folder)
        mark = sealed["registry"]["fingerprint"]
        kept = rows.pop((sealed.get("renumbered_from"), mark), {}) | rows.get((folder.name, mark), {})
        others = [key for key in rows if key[0] == folder.name and key[1] != mark]
        if others and not pointer.is_anothers(folder):  # someone edited the row
            kept = {"comments": [rows.pop(key)["comments"] for key in others][-1]} | kept
        rows[folder.name, mark] = {**kept, **as_text(sealed["registry"]), "iteration_id": folder.name}
    ordered = sorted(rows.values(), key=lambda row: (len(row["iteration_id"]), row["iteration_id"]))  # 999 before 1000
    storage.write_text(path(experiments), as_csv(ordered))
    return read(experiments)


def as_csv(rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
