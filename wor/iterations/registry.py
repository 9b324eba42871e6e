"""experiments/iteration_registry.csv: one row per iteration, derived from the manifests."""

import csv
import io
import json
import re
from collections.abc import Collection
from pathlib import Path

from wor import paths, storage
from wor.errors import UserError

COLUMNS = [
    "iteration_id", "date", "experiment", "code_hash", "fingerprint", "models", "datasets", "n_items", "temperature",
    "delta_auc_mean", "ci_low", "ci_high", "partial_r_mean", "kind", "criteria", "comments", "auroc_mean",
]  # fmt: skip
NUMBERS = ("n_items", "temperature", "delta_auc_mean", "ci_low", "ci_high", "partial_r_mean", "auroc_mean")
NAME = re.compile(r"^iteration_(\d{3,})$")
ARCHIVED = "archived"  # begins the comment of an iteration that the lists leave out
_MARKERS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")


def registry_path(experiments: Path) -> Path:
    return experiments / "iteration_registry.csv"


def iteration_name(number: int) -> str:
    return f"iteration_{number:03d}"


def iteration_number(name: str) -> int | None:
    """Return the number in an iteration's name; None for any other name."""
    match = NAME.match(name)
    return int(match[1]) if match else None


def workspace_iteration() -> str | None:
    """Return the iteration that holds the workspace's last run, by metrics/iteration.json."""
    return iteration_name(storage.read_json(paths.ITERATION)["iteration"]) if paths.ITERATION.is_file() else None


def iteration_folders(experiments: Path) -> dict[int, Path]:
    """Return the folder of every complete iteration by number."""
    numbered = {iteration_number(folder.name): folder for folder in sorted(experiments.glob("iteration_*"))}
    return {number: folder for number, folder in numbered.items() if number and (folder / paths.MANIFEST).is_file()}


def published_path(experiments: Path, name: str) -> Path:
    return experiments / "published" / name


def published_folders(experiments: Path) -> dict[str, Path]:
    """Return the folder of every published study by name. Git holds them, and no registry."""
    return {path.parent.name: path.parent for path in sorted(published_path(experiments, "").glob(f"*/{paths.MANIFEST}"))}


def is_published(folder: Path) -> bool:
    """Whether a folder is a published study, which has no texts and no table twice."""
    return "published_from" in read_manifest(folder)


def published_rows(experiments: Path) -> list[dict[str, str]]:
    """Return a row for every published study, as the registry has one for an iteration."""
    rows = [format_row(read_manifest(folder)["registry"]) for folder in published_folders(experiments).values()]
    return [{column: row.get(column, "") for column in COLUMNS} for row in rows]


def read_manifest(folder: Path) -> dict:
    """Return an iteration's manifest. Raise UserError where the file is no manifest."""
    try:
        manifest = storage.read_json(folder / paths.MANIFEST)
        if {"iteration_id", "fingerprint", "registry", "files"} <= manifest.keys():
            return manifest
    except (ValueError, AttributeError):
        pass
    remedy = f"dvc checkout --force experiments/{folder.name}.dvc brings back what was recorded"
    raise UserError(folder.name, f"{paths.MANIFEST} is not a manifest", remedy)


def rows_with_same_number(folder: Path, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the rows of other iterations that another clone gave this folder's number."""
    fingerprint = read_manifest(folder)["fingerprint"][:16]
    return [row for row in rows if row["iteration_id"] == folder.name and row["fingerprint"] != fingerprint]


def read_rows(experiments: Path) -> list[dict[str, str]]:
    """Return rows as text, as a hash may be all digits; "" where an old file lacks a column."""
    if not registry_path(experiments).is_file():
        return []
    rows: list[dict[str, str]] = []
    columns: list[str] = []
    for values in csv.reader(registry_path(experiments).read_text(encoding="utf-8").splitlines(keepends=True)):
        if values[:1] == COLUMNS[:1]:  # again where a merge joined two versions' files
            columns = values
        elif values and not values[0].startswith(_MARKERS):  # without .gitattributes a merge leaves markers
            row = dict(zip(columns, values, strict=False))
            rows.append({column: row.get(column, "") for column in COLUMNS})
    return rows


def format_row(row: dict) -> dict[str, str]:
    """Return a manifest's row as the file has it. Floats read back bit for bit; None is empty."""
    return {key: "" if value is None else str(value) for key, value in row.items()}


def parse_row(row: dict[str, str]) -> dict:
    """Return a row with its numbers parsed, None if empty. Raise UserError if one is no number."""
    return {key: _parse_number(row["iteration_id"], key, value) if key in NUMBERS else value for key, value in row.items()}


def _parse_number(name: str, key: str, text: str) -> int | float | None:
    try:
        return json.loads(text) if text else None
    except ValueError:
        remedy = "Write it anew from the folders: wor registry --rebuild"
        raise UserError(f"registry: {name}: {key}", repr(text), remedy) from None


def archived_names(rows: list[dict[str, str]]) -> Collection[str]:
    """Return the iterations that `wor archive` took out of the lists."""
    return {row["iteration_id"] for row in rows if row["comments"].partition(": ")[0] == ARCHIVED}


def find_by_fingerprint(experiments: Path, fingerprint: str) -> Path | None:
    """Return the iteration with this fingerprint; None where there is none."""
    folders = iteration_folders(experiments).values()
    return next((folder for folder in folders if read_manifest(folder)["fingerprint"] == fingerprint), None)


def select_best(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the row with the highest mean dAUC, the earliest of a tie; no row if none has one."""
    known = [row for row in rows if row["delta_auc_mean"]]
    return [max(known, key=lambda row: parse_row(row)["delta_auc_mean"])] if known else []


def format_csv(rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
