"""An iteration's statistics, for every renderer that shows them."""

from pathlib import Path

from wor import storage
from wor.analysis.headline import main_gains
from wor.errors import UserError


def load_results(folder: Path) -> dict:
    """Return ``iteration``, its name, ``models`` and ``criteria``. Raise UserError if too old."""
    statistics = storage.read_json(folder / "results" / "aggregate_statistics.json")
    if any("preregistration" not in result for result in statistics["models"].values()):
        remedy = "Look into its results/aggregate_statistics.json"
        raise UserError("iteration", f"{folder.name} was made by an earlier version", remedy)
    return {"iteration": folder.name, **statistics}


def remarks(result: dict) -> list[str]:
    """Return the caveats of a model's estimates, each once."""
    estimates = [result["auroc"][name]["bootstrap"] for name in result["added"]]
    estimates += [entry[part] for entry in main_gains(result).values() for part in ("baseline", "delta")]
    return [f"Mind: {note}" for note in dict.fromkeys(entry["note"] for entry in estimates if "note" in entry)]
