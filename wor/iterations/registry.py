"""experiments/iteration_registry.csv: one row an iteration, derived from the iterations' own manifests."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

from wor import paths, storage
from wor.errors import UserError

COLUMNS = [
    "iteration_id", "date", "experiment", "code_hash", "fingerprint", "models", "datasets", "n_items", "temperature",
    "delta_auc_mean", "ci_low", "ci_high", "partial_r_mean", "kind", "criteria", "comments",
]  # fmt: skip
NUMBERS = ("n_items", "temperature", "delta_auc_mean", "ci_low", "ci_high", "partial_r_mean")
_MARKERS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
NAME = re.compile(r"^iteration_(\d{3,})$")


def registry_path(experiments: Path) -> Path:
    return experiments / "iteration_registry.csv"


def iteration_name(number: int) -> str:
    return f"iteration_{number:03d}"


def iteration_number(folder: Path) -> int:
    return int(NAME.match(folder.name)[1])


def workspace_iteration() -> str | None:
    """The iteration that the workspace's last run became, as its metrics say."""
    return iteration_name(storage.read_json(paths.ITERATION)["iteration"]) if paths.ITERATION.is_file() else None


def iteration_folders(experiments: Path) -> dict[int, Path]:
    """Every complete iteration folder, by number."""
    found = {}
    for entry in sorted(experiments.glob("iteration_*")):
        match = NAME.match(entry.name)
        if match and (entry / paths.MANIFEST).is_file():
            found[int(match[1])] = entry
    return found


def read_manifest(folder: Path) -> dict:
    """An iteration's manifest. Raises UserError where the file is none."""
    try:
        found = storage.read_json(folder / paths.MANIFEST)
        if {"iteration_id", "fingerprint", "registry", "files"} <= found.keys():
            return found
    except (ValueError, AttributeError):
        pass
    remedy = f"dvc checkout --force experiments/{folder.name}.dvc brings back what was recorded"
    raise UserError(folder.name, f"{paths.MANIFEST} is not a manifest", remedy)


def rows_with_same_number(folder: Path, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Rows of another iteration with this one's number, from another clone."""
    mark = read_manifest(folder)["fingerprint"][:16]
    return [row for row in rows if row["iteration_id"] == folder.name and row["fingerprint"] != mark]


def read_rows(experiments: Path) -> list[dict[str, str]]:
    """The rows as they stand in the file, every field a text: a hash of digits alone is no number."""
    if not registry_path(experiments).is_file():
        return []
    lines = registry_path(experiments).read_text(encoding="utf-8").splitlines(keepends=True)
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


def find_by_fingerprint(experiments: Path, fingerprint: str) -> Path | None:
    """The iteration with this fingerprint, if there is one."""
    for folder in iteration_folders(experiments).values():
        if read_manifest(folder)["fingerprint"] == fingerprint:
            return folder
    return None


def best_rows(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The row with the highest mean dAUC; no row when none has one. Ties go to the earlier iteration."""
    known = [row for row in rows if row["delta_auc_mean"]]
    return [max(known, key=lambda row: as_values(row)["delta_auc_mean"])] if known else []


def as_csv(rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
