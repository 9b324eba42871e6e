"""The few numbers of a study in `dvc exp show`, `dvc metrics diff` and the registry."""

import math


def main_gains(result: dict) -> dict[str, dict]:
    """Return what each score adds to the baseline that decides: the full one.

    Iterations of an earlier version have the registered one alone.
    """
    return result.get("added_full") or result["added"]


def model_headline(result: dict) -> dict:
    """Return AUROC of REV, dAUC with its interval, partial r and n, from one model's results.

    dAUC is over the full baseline.
    """
    auroc, delta = result["auroc"]["rev"]["bootstrap"]["value"], main_gains(result)["rev"]["delta"]
    partial, n = result["partial"]["rev"]["clustered"]["value"], result["n"]["used"]
    return {"AUROC": auroc, "dAUC": delta["value"], "low": delta["low"], "high": delta["high"], "partial_r": partial, "n": n}


def judged_auroc(result: dict, name: str) -> dict:
    """Return a score's AUROC with the interval that judgements read: joint, in older results BCa.

    The joint interval draws calibration and evaluation clusters. The BCa interval, under the key
    bootstrap, takes thresholds and scales as known.
    """
    methods = result["auroc"][name]
    return methods.get("joint", methods["bootstrap"])


def study_headline(models: list[dict]) -> dict:
    """Return one model's headline, to 3 decimals, or several models' means and total n.

    A mean is None where a part is missing. It has no interval, which would need joint draws.
    """
    headline = {key: _mean([model[key] for model in models]) for key in ("AUROC", "dAUC", "low", "high", "partial_r")}
    if len(models) > 1:
        headline |= {"low": None, "high": None}
    return headline | {"n": sum(model["n"] for model in models)}


def _mean(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None and not math.isnan(value)]
    return round(sum(defined) / len(values), 3) if len(defined) == len(values) else None
