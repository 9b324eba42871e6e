"""The few numbers that stand for a whole study in `dvc exp show`, `dvc metrics diff` and the registry."""

from __future__ import annotations

import math


def model_headline(result: dict) -> dict:
    """AUROC of REV, dAUC with its interval, partial r and n, of one model's results."""
    delta, partial = result["added"]["rev"]["delta"], result["partial"]["rev"]["clustered"]
    return {
        "AUROC": result["auroc"]["rev"]["bootstrap"]["value"],
        "dAUC": delta["value"],
        "low": delta["low"],
        "high": delta["high"],
        "partial_r": partial["value"],
        "n": result["n"]["used"],
    }


def study_headline(models: list[dict]) -> dict:
    """The one model's headline, to 4 decimals; with several models their means, and n over all.

    A mean of which a part is missing is None. So is the interval of a mean: it would need the models' joint draws.
    """
    found = {key: _mean([model[key] for model in models]) for key in ("AUROC", "dAUC", "low", "high", "partial_r")}
    if len(models) > 1:
        found |= {"low": None, "high": None}
    return found | {"n": sum(model["n"] for model in models)}


def _mean(values: list[float | None]) -> float | None:
    missing = any(value is None or math.isnan(value) for value in values)
    return None if missing else round(sum(values) / len(values), 4)
