"""An iteration's statistics, for whoever shows them."""

from __future__ import annotations

from pathlib import Path

from wor import storage
from wor.errors import UserError


def load_results(folder: Path) -> dict:
    """``iteration``, its name, and what its aggregate_statistics.json holds: ``models`` and ``criteria``."""
    found = storage.read_json(folder / "results" / "aggregate_statistics.json")
    if any("preregistration" not in result for result in found["models"].values()):
        remedy = "Look into its results/aggregate_statistics.json"
        raise UserError("iteration", f"{folder.name} was made by an earlier version", remedy)
    return {"iteration": folder.name, **found}


def remarks(result: dict) -> list[str]:
    """What to mind about the numbers of a model's table, once each."""
    estimates = [result["auroc"][name]["bootstrap"] for name in result["added"]]
    estimates += [entry[part] for entry in result["added"].values() for part in ("baseline", "delta")]
    return [f"Mind: {note}" for note in dict.fromkeys(entry["note"] for entry in estimates if "note" in entry)]
