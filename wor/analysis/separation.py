"""Does REV tell the classes apart, and beyond the covariates?"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from wor.analysis import describe
from wor.analysis.evaluation import COVARIATES, PARTIAL_GIVEN, Evaluation, count_excluded
from wor.config.params import Params
from wor.measures.registry import COMPONENTS, SCORES
from wor.statistics import auc, baseline, bootstrap, family, nulls, partial, power
from wor.statistics.result import undefined

SCORES_AND_COVARIATES = [*SCORES, *COVARIATES, "prompt_perplexity"]
METHODS = ("pearson", "spearman")


def analyse_separation(evaluation: Evaluation, prompts: dict[str, str]) -> dict:
    """Everything of one model that comes from its evaluation items alone. ``prompts``: item ID to prompt."""
    described = {
        "n": _counts(evaluation),
        "excluded": count_excluded(evaluation.items),
        "balance": describe.covariate_balance(evaluation.kept if len(evaluation.kept) else evaluation.items),
        "spread": describe.measure_summary(evaluation.items),
        "accuracy": describe.answer_accuracy(evaluation.items),
    }
    if evaluation.refusal:
        return {**described, **_missing(evaluation)}
    settings, label, seed = evaluation.params.statistics, evaluation.label, evaluation.params.seed
    confidence, drawn, cluster = settings.confidence, evaluation.drawn, evaluation.cluster
    separation = {}
    for name in SCORES_AND_COVARIATES:
        score = evaluation.score(name)
        accelerated, percentile = bootstrap.auroc_intervals(label, score, drawn, cluster, confidence)
        separation[name] = {
            "bootstrap": accelerated.as_dict(),
            "percentile": percentile.as_dict(),
            "delong": auc.delong(label, score, confidence).as_dict(),
            "permuted": nulls.permuted_auroc(label, score, cluster, settings.permutations, seed, confidence).as_dict(),
        }
    given = evaluation.kept[PARTIAL_GIVEN].to_numpy(float)
    correlations = {}
    for name in SCORES:
        score = evaluation.score(name)
        found = {method: partial.partial_correlation(score, label, given, method, confidence) for method in METHODS}
        found |= {
            f"semi_{method}": partial.partial_correlation(score, label, given, method, confidence, semi=True)
            for method in METHODS
        }
        found["clustered"] = partial.clustered_partial(score, label, given, drawn, confidence=confidence)
        found["permuted"] = partial.permuted_partial(score, label, given, settings.permutations, seed)
        correlations[name] = {kind: estimate.as_dict() for kind, estimate in found.items()}
    gains = {name: evaluation.baseline.added(evaluation.score(name)) for name in SCORES}
    texts = [prompts[name] for name in evaluation.kept["item_id"]]
    # The tests that know of clusters: DeLong's and Pearson's reject too often where items come in clusters.
    tests = {f"auroc_{name}": separation[name]["permuted"]["p"] for name in SCORES}
    tests |= {f"partial_{name}": correlations[name]["clustered"]["p"] for name in SCORES}
    return {
        **described,
        "auroc": separation,
        "added": {name: gain.as_dict() for name, gain in gains.items()},
        "partial": correlations,
        "holm": family.holm(tests),
        "nulls": {
            "permuted_labels": separation["rev"]["permuted"],
            "surface_ceiling": nulls.bag_of_words_auroc(
                label, texts, cluster, drawn, folds=settings.folds, seed=seed, confidence=confidence
            ).as_dict(),
        },
        "direction": component_directions(separation, evaluation.params),
        "detectable": detectable_effects(evaluation, gains["rev"].delta.low, gains["rev"].delta.high),
    }


def _counts(evaluation: Evaluation) -> dict[str, int]:
    reasoning = int(evaluation.label.sum())
    kept = len(evaluation.kept)
    return {"items": len(evaluation.items), "used": kept, "reasoning": reasoning, "control": kept - reasoning}


def _missing(evaluation: Evaluation) -> dict:
    """The same keys, each number missing with its reason."""
    missing = undefined(evaluation.refusal, len(evaluation.kept)).as_dict()
    kinds = [*METHODS, *(f"semi_{method}" for method in METHODS), "clustered", "permuted"]
    return {
        "auroc": {
            name: dict.fromkeys(("bootstrap", "percentile", "delong", "permuted"), missing) for name in SCORES_AND_COVARIATES
        },
        "added": {name: dict.fromkeys(baseline.IncrementalValue.__dataclass_fields__, missing) for name in SCORES},
        "partial": {name: dict.fromkeys(kinds, missing) for name in SCORES},
        "holm": {},
        "nulls": {"permuted_labels": missing, "surface_ceiling": missing},
        "direction": {name: f"unknown: {evaluation.refusal}" for name in COMPONENTS},
        "detectable": {"auroc": missing, "delta_auc": missing},
    }


def component_directions(separation: dict, params: Params) -> dict[str, str]:
    """Whether each component points where its preset sign says. Signs are never flipped to suit."""
    found = {}
    for name in COMPONENTS:
        estimate, sign = separation[name]["bootstrap"], getattr(params.rev, name).sign
        if math.isnan(estimate["value"]):
            found[name] = f"unknown: {estimate['reason']}"
            continue
        low, high = (estimate["low"], estimate["high"]) if sign > 0 else (1 - estimate["high"], 1 - estimate["low"])
        found[name] = "as hypothesised" if low > 0.5 else "contradicted" if high < 0.5 else "undecided"
    return found


def detectable_effects(evaluation: Evaluation, low: float, high: float) -> dict[str, dict]:
    """Smallest AUROC and dAUC that this study finds with a probability of 0.8, two-sided at 1 - confidence.

    Clusters count, not items: those of one template or article are taken to be alike, which errs on the side of
    too large. dAUC's standard error is its interval's half width over z.
    """
    label, confidence = evaluation.label, evaluation.params.statistics.confidence
    clusters = [len(np.unique(evaluation.cluster[label == value])) for value in (1, 0)]
    z = stats.norm.ppf((1 + confidence) / 2)
    found = {
        "auroc": power.detectable_auroc(*clusters, alpha=1 - confidence),
        "delta_auc": power.detectable_difference((high - low) / 2 / z, alpha=1 - confidence),
    }
    reasons = {"auroc": f"{clusters[0]} and {clusters[1]} clusters find no AUROC below 1", "delta_auc": "dAUC has no interval"}
    return {
        name: {"value": value, "power": 0.8, "clusters": clusters, **({"reason": reasons[name]} if math.isnan(value) else {})}
        for name, value in found.items()
    }
