"""The specification curve: the study's result under every other reasonable specification."""

import math
from typing import Any

import numpy as np
import pandas as pd

from wor.analysis.evaluation import COVARIATES, Evaluation, bootstrap_weights
from wor.statistics import auc, bootstrap
from wor.statistics.matching import CALIPER, caliper_pairs
from wor.statistics.result import undefined

# Per specification, for some hundred of them: cross-fits and bootstrap draws that take seconds.
REPEATS = 2
DRAWS = 1000
MATCHING = ("none", "caliper")
COLUMNS = ("value", "low", "high", "n", "reason")


def specification_curve(evaluation: Evaluation, specifications: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return AUROC and dAUC of REV by specification and matching, all items or matched pairs.

    ``specifications``, one row each, come from `measures.specifications.specification_scores`.
    ``scores``, [items, specifications], has item IDs as index. Intervals are the cluster
    bootstrap's. ``primary`` marks the run's own specification on all items. Matching is after the
    fact, by caliper on the propensity given the baseline's covariates.
    """
    rows = []
    for matching in MATCHING:
        index, reason = _match(evaluation, matching)
        weights = bootstrap_weights(evaluation.scored.loc[index], evaluation.params, DRAWS) if not reason else None
        baseline = evaluation.fit_baseline(index, weights, REPEATS) if weights is not None else None
        values = scores.loc[evaluation.scored["item_id"].iloc[index]].to_numpy(float)
        for position, specification in enumerate(specifications.to_dict("records")):
            auroc = delta = undefined(reason)
            if baseline is not None:
                score = values[:, position]
                auroc = bootstrap.auroc_interval(baseline.label, score, baseline.weights, baseline.confidence)
                delta = baseline.delta(score)[0]
            row = {**specification, "matching": matching, "primary": bool(specification["primary"]) and matching == "none"}
            for name, estimate in (("auroc", auroc), ("delta_auc", delta)):
                row |= {f"{name}_{column}": getattr(estimate, column) for column in COLUMNS}
            rows.append(row)
    return pd.DataFrame(rows)


def _match(evaluation: Evaluation, matching: str) -> tuple[np.ndarray, str]:
    """Return the index of the scored items to take, and why they cannot be used."""
    if evaluation.why_unusable or matching == "none":
        return np.arange(len(evaluation.scored)), evaluation.why_unusable
    index = caliper_pairs(evaluation.label, evaluation.scored[COVARIATES].to_numpy(float))
    reason = auc.why_too_few(evaluation.label[index])
    return index, f"after matching: {reason}" if reason else ""


def summarise_curve(curve: pd.DataFrame) -> dict:
    """Return how far the curve agrees with its primary specification, as shares.

    ``agree`` has the primary's sign. ``above`` and ``below`` have an interval without the null.
    """
    pairs = int(curve.loc[curve["matching"] == "caliper", "auroc_n"].max()) // 2
    summary: dict[str, Any] = {"settings": len(curve), "caliper": CALIPER, "pairs": pairs}
    for name, null in (("auroc", 0.5), ("delta_auc", 0.0)):
        defined = curve[curve[f"{name}_value"].notna()]
        primary = curve.loc[curve["primary"], f"{name}_value"]
        effect = float(primary.iloc[0]) - null if len(primary) else math.nan
        if not len(defined) or math.isnan(effect):
            summary[name] = {"agree": math.nan, "n": len(defined), "reason": "the primary setting has no value here"}
            continue
        values = defined[f"{name}_value"] - null
        summary[name] = {
            "primary": effect + null,
            "agree": float((np.sign(values) == np.sign(effect)).mean()),
            "n": len(defined),
            "least": float(values.min() + null),
            "median": float(values.median() + null),
            "most": float(values.max() + null),
            "above": float((defined[f"{name}_low"] > null).mean()),
            "below": float((defined[f"{name}_high"] < null).mean()),
        }
    return summary
