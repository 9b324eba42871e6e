"""The specification curve: the study's answer under every other reasonable setting."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from wor.analysis.evaluation import COVARIATES, Evaluation
from wor.statistics import auc, bootstrap
from wor.statistics.matching import CALIPER, caliper_pairs
from wor.statistics.result import undefined

REPEATS = 2  # of the cross-fitting, and
DRAWS = 1000  # of the bootstrap, a setting: some hundred settings are to take seconds
MATCHING = ("none", "caliper")
COLUMNS = ("value", "low", "high", "n", "reason")


def specification_curve(evaluation: Evaluation, settings: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """AUROC and dAUC of REV, with intervals of the cluster bootstrap, under every setting, on all items and on matched pairs.

    Parameters
    ----------
    settings : one row a setting, from `measures.settings.scores`.
    scores : [items, settings], indexed by item ID.

    Returns
    -------
    A row for each setting and matching. ``primary``: the run's own setting, on all items. Matching is after the
    fact, by caliper on the propensity given the baseline's covariates.
    """
    rows = []
    for matching in MATCHING:
        chosen, reason = _matched(evaluation, matching)
        held = None if reason else evaluation.baseline_of(chosen, evaluation.draw(evaluation.kept.loc[chosen], DRAWS), REPEATS)
        of_items = scores.loc[evaluation.kept["item_id"].iloc[chosen]].to_numpy(float)
        for position, setting in enumerate(settings.to_dict("records")):
            separated = gained = undefined(reason)
            if held is not None:
                score = of_items[:, position]
                separated = bootstrap.auroc_interval(held.label, score, held.drawn, held.confidence)
                gained = held.delta(score)[0]
            row = {**setting, "matching": matching, "primary": bool(setting["primary"]) and matching == "none"}
            for name, estimate in (("auroc", separated), ("delta_auc", gained)):
                row |= {f"{name}_{column}": getattr(estimate, column) for column in COLUMNS}
            rows.append(row)
    return pd.DataFrame(rows)


def _matched(evaluation: Evaluation, matching: str) -> tuple[np.ndarray, str]:
    if evaluation.refusal or matching == "none":
        return np.arange(len(evaluation.kept)), evaluation.refusal
    chosen = caliper_pairs(evaluation.label, evaluation.kept[COVARIATES].to_numpy(float))
    reason = auc.why_too_few(evaluation.label[chosen])
    return chosen, f"after matching: {reason}" if reason else ""


def summarise_curve(curve: pd.DataFrame) -> dict:
    """How far the curve agrees with its primary setting: shares in sign, range, and how many settings stand out."""
    found = {"settings": len(curve), "caliper": CALIPER, "pairs": _pairs(curve)}
    for name, null in (("auroc", 0.5), ("delta_auc", 0.0)):
        defined = curve[curve[f"{name}_value"].notna()]
        primary = curve.loc[curve["primary"], f"{name}_value"]
        own = float(primary.iloc[0]) - null if len(primary) else math.nan
        if not len(defined) or math.isnan(own):
            found[name] = {"agree": math.nan, "n": len(defined), "reason": "the primary setting has no value here"}
            continue
        values = defined[f"{name}_value"] - null
        found[name] = {
            "primary": own + null,
            "agree": float((np.sign(values) == np.sign(own)).mean()),
            "n": len(defined),
            "least": float(values.min() + null),
            "median": float(values.median() + null),
            "most": float(values.max() + null),
            "above": float((defined[f"{name}_low"] > null).mean()),
            "below": float((defined[f"{name}_high"] < null).mean()),
        }
    return found


def _pairs(curve: pd.DataFrame) -> int:
    return int(curve.loc[curve["matching"] == "caliper", "auroc_n"].max()) // 2
