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
    timing = storage.read_json(folder / "timing.json")
    for model, result in statistics["models"].items():
        result["passes"] = mean_passes(timing, model)
    return {"iteration": folder.name, **statistics}


def mean_passes(timing: dict, model: str) -> dict[str, float]:
    """Return the mean seconds of each pass of an evaluation item; none for an earlier version."""
    parts = [passes for stage, passes in timing.get("passes", {}).items() if stage.startswith(f"activations {model} ")]
    n = sum(passes["n"] for passes in parts)
    return {name: sum(passes[name] * passes["n"] for passes in parts) / n for name in (parts[0] if parts else {}) if name != "n"}


def remarks(result: dict) -> list[str]:
    """Return the caveats of a model's estimates, each once."""
    estimates = [result["auroc"][name]["bootstrap"] for name in result["added"]]
    estimates += [entry[part] for entry in main_gains(result).values() for part in ("baseline", "delta")]
    return [f"Mind: {note}" for note in dict.fromkeys(entry["note"] for entry in estimates if "note" in entry)]
