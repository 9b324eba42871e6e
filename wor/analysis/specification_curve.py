"""The specification curve: the study's result under every other reasonable specification."""

import math
from typing import Any

import numpy as np
import pandas as pd

from wor.analysis.evaluation import COVARIATES, Evaluation, bootstrap_weights
from wor.statistics import auc, bootstrap, nulls
from wor.statistics.baseline import Baseline, CrossFit
from wor.statistics.clusters import count_clusters
from wor.statistics.matching import CALIPER, caliper_pairs, pair_clusters
from wor.statistics.result import Estimate, undefined
from wor.statistics.threads import map_threads

# Per specification, for some hundred of them: cross-fits and bootstrap draws that take seconds.
REPEATS = 2
DRAWS = 1000
SHUFFLES = 500  # of the test over the whole curve
MATCHING = ("none", "caliper")
COLUMNS = ("value", "low", "high", "n", "reason")
NULLS = {"auroc": 0.5, "delta_auc": 0.0}
NO_TEST = "each shuffle of dAUC would need hundreds of fits: only AUROC is tested over the whole curve"


def specification_curve(evaluation: Evaluation, specifications: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return AUROC and dAUC of REV by specification and matching, all items or matched pairs.

    ``specifications``, one row each, come from `measures.specifications.specification_scores`.
    ``scores``, [items, specifications], has item IDs as index. Intervals are the cluster
    bootstrap's. ``primary`` marks the run's own specification on all items. Matching is after the
    fact, by caliper on the propensity given the baseline's covariates; a pair stays together in
    folds and draws. ``delta_auc_error`` is the Monte-Carlo standard error of dAUC over its few
    repeats, pooled over the specifications of a matching.
    """
    rows, values = [], specification_values(evaluation, scores)
    for matching in MATCHING:
        baseline, index, reason = _fit_matched(evaluation, matching)
        if baseline is None:
            results = [(undefined(reason), undefined(reason), math.nan)] * len(specifications)
        else:
            baseline.prepare(list(values[index].T), [1] * len(specifications))
            results = [_separate_and_add(baseline, score) for score in values[index].T]
        variances = [variance for _, _, variance in results if not math.isnan(variance)]
        error = math.sqrt(np.mean(variances)) if variances else math.nan
        for specification, (auroc, delta, _) in zip(specifications.to_dict("records"), results, strict=True):
            primary = bool(specification["primary"]) and matching == "none"
            row = {**specification, "matching": matching, "primary": primary}
            for name, estimate in (("auroc", auroc), ("delta_auc", delta)):
                row |= {f"{name}_{column}": getattr(estimate, column) for column in COLUMNS}
            rows.append(row | {"delta_auc_error": error})
    return pd.DataFrame(rows)


def _separate_and_add(baseline: Baseline, score: np.ndarray) -> tuple[Estimate, Estimate, float]:
    """Return AUROC and dAUC of a specification, and the latter's variance over repeats."""
    auroc = bootstrap.auroc_interval(baseline.label, score, baseline.weights, baseline.confidence)
    delta, fit = baseline.delta(score, direction=1)
    return auroc, delta, _variance_over_repeats(baseline.label, fit, baseline.fit) if fit else math.nan


def specification_values(evaluation: Evaluation, scores: pd.DataFrame) -> np.ndarray:
    """Return the specifications' scores of the scored items: ``[items, specifications]``."""
    return scores.loc[evaluation.scored["item_id"]].to_numpy(float)


def _fit_matched(evaluation: Evaluation, matching: str) -> tuple[Baseline | None, np.ndarray, str]:
    """Return the baseline on the items to take, their index, and why there is none."""
    index, label, cluster = np.arange(len(evaluation.scored)), evaluation.label, evaluation.cluster
    if evaluation.why_unusable:
        return None, index, evaluation.why_unusable
    if matching == "none":
        weights = bootstrap_weights(evaluation.scored, evaluation.params, DRAWS)
        return evaluation.fit_baseline(index, weights, REPEATS), index, ""
    pairs = caliper_pairs(label, evaluation.scored[COVARIATES].to_numpy(float))
    index, cluster = pair_clusters(pairs, cluster)
    draws = min(DRAWS, evaluation.params.statistics.bootstrap_draws)
    weights = bootstrap.cluster_weights(cluster, np.zeros(len(index)), draws, evaluation.params.seed)
    if reason := auc.why_too_few(label[index]) or count_clusters(weights, label[index]).why_too_few:
        return None, index, f"after matching: {reason}"
    return evaluation.fit_baseline(index, weights, REPEATS, cluster), index, ""


def _variance_over_repeats(label: np.ndarray, full: CrossFit, base: CrossFit) -> float:
    """Return the variance of the mean over repeats of dAUC, from their spread; NaN for one."""
    gains = np.subtract(*(bootstrap.ratio_of_pairs(*fit.pairs_by_repeat(label).T) for fit in (full, base)))
    return float(np.var(gains, ddof=1) / len(gains)) if len(gains) > 1 else math.nan


def monte_carlo_error(evaluation: Evaluation) -> float:
    """Return the Monte-Carlo standard error of REV's dAUC, from the spread over its repeats."""
    if evaluation.why_unusable or evaluation.full_baseline.why_unusable:
        return math.nan
    fits = evaluation.full_baseline.fit_with(evaluation.score("rev"), direction=1), evaluation.full_baseline.fit
    return math.sqrt(_variance_over_repeats(evaluation.label, *fits))


def joint_test(evaluation: Evaluation, values: np.ndarray) -> dict[str, Any]:
    """Return a joint permutation test of the AUROCs of all specifications on all items.

    ``values`` are [items, specifications]. Each shuffle lets whole clusters swap classes, the same
    for every specification, so that their correlation is kept (Simonsohn, Simmons & Nelson 2020).
    The statistics are the median's distance from 0.5, the share of specifications on the commoner
    side of 0.5, and the share that is significant on one side: its studentised AUROC beyond the 95
    % of its own shuffles. p = (1 + shuffles at least as large) / (shuffles + 1). Matched
    specifications are left out, as other labels would be matched otherwise.
    """
    label, cluster, settings = evaluation.label, evaluation.cluster, evaluation.params.statistics
    if reason := evaluation.why_unusable or nulls.why_not_shuffled(label, cluster):
        return {"reason": reason}
    values = values[:, (~np.isnan(values).any(0)) & (np.ptp(values, axis=0) > 0)]
    shuffles = min(SHUFFLES, settings.permutations)
    labels = np.concatenate([label[None], nulls.shuffled_labels(label, cluster, shuffles, evaluation.params.seed)])
    pairs = map_threads(lambda score: nulls.studentised_aurocs(labels, score, cluster), list(values.T))
    aurocs, ratios = (np.stack(part, axis=1) for part in zip(*pairs, strict=True))
    critical = np.quantile(np.abs(ratios[1:]), settings.confidence, axis=0)

    def commoner(rows: np.ndarray, limit: np.ndarray | float) -> np.ndarray:
        return np.maximum((rows > limit).mean(1), (rows < -limit).mean(1))

    statistics = {
        "median": np.abs(np.median(aurocs, axis=1) - 0.5),
        "same_side": commoner(aurocs - 0.5, 0.0),
        "significant": commoner(ratios, critical),
    }
    return {
        "settings": values.shape[1],
        "shuffles": shuffles,
        **{
            name: {
                "value": float(rows[0]),
                "null": float(rows[1:].mean()),
                "p": float((1 + (rows[1:] >= rows[0] - 1e-12).sum()) / (shuffles + 1)),
            }
            for name, rows in statistics.items()
        },
    }


def summarise_curve(curve: pd.DataFrame, headline: dict[str, dict], error: float, test: dict[str, Any]) -> dict:
    """Return how far the curve agrees with the headline, as shares, and what chance gives.

    ``headline`` has the Estimates of ``auroc`` and ``delta_auc`` that the study reports, as dicts,
    ``error`` the latter's Monte-Carlo standard error, and ``test`` is from `joint_test`. ``agree``
    counts the settings with the headline's sign among those with a value; a value within twice its
    Monte-Carlo error of the null has no sign. ``above`` and ``below`` have an interval without the
    null. ``why_not`` counts the settings without a value by reason.
    """
    pairs = int(curve.loc[curve["matching"] == "caliper", "auroc_n"].max()) // 2
    summary: dict[str, Any] = {"settings": len(curve), "caliper": CALIPER, "pairs": pairs}
    errors = {"auroc": np.zeros(len(curve)), "delta_auc": curve["delta_auc_error"].fillna(0).to_numpy()}
    for name, null in NULLS.items():
        is_defined = curve[f"{name}_value"].notna()
        defined, why_not = curve[is_defined], curve.loc[~is_defined, f"{name}_reason"].value_counts()
        part: dict[str, Any] = {"n": len(defined), "why_not": {str(why): int(n) for why, n in why_not.items()}}
        part["test"] = test if name == "auroc" else {"reason": NO_TEST}
        summary[name] = part
        if not len(defined):
            part |= {"agree": math.nan, "reason": "no setting has a value"}
            continue
        values = defined[f"{name}_value"].to_numpy() - null
        signs = np.where(np.abs(values) > 2 * errors[name][is_defined], np.sign(values), 0)
        effect = headline[name]["value"] - null
        refit = curve.loc[curve["primary"], f"{name}_value"]
        part |= {
            "headline": effect + null,
            "primary": float(refit.iloc[0]) if len(refit) else math.nan,
            "unsigned": float((signs == 0).mean()),
            "least": float(values.min() + null),
            "median": float(np.median(values) + null),
            "most": float(values.max() + null),
            "above": float((defined[f"{name}_low"] > null).mean()),
            "below": float((defined[f"{name}_high"] < null).mean()),
        }
        if math.isnan(effect):
            part |= {"agree": math.nan, "reason": f"the study's own estimate has no value ({headline[name]['reason']})"}
        elif name == "delta_auc" and not abs(effect) > 2 * error:
            part |= {"agree": math.nan, "reason": f"the study's own {effect:+.3f} is within its Monte-Carlo error of {null:g}"}
        else:
            part["agree"] = float((signs == np.sign(effect)).mean())
    return summary
