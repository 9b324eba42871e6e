"""Whether REV separates the classes, and whether it does so beyond the covariates."""

import math
from dataclasses import replace
from functools import partial as partial_of

import numpy as np

from wor.analysis import describe
from wor.analysis.evaluation import COVARIATES, FULL_COVARIATES, PARTIAL_GIVEN, Evaluation, count_excluded
from wor.config.params import Params
from wor.measures.covariates import WINDOW_COVARIATES
from wor.measures.registry import COMPONENTS, SCORES
from wor.statistics import auc, baseline, bootstrap, multiple_testing, nulls, partial, power
from wor.statistics.result import Estimate, undefined
from wor.statistics.threads import by_name

SCORES_AND_COVARIATES = [*SCORES, *COVARIATES, "prompt_perplexity", *WINDOW_COVARIATES]
POWER = 0.8  # the probability that an effect is found, in what is called detectable or needed
AUROC_METHODS = ("bootstrap", "percentile", "delong", "permuted")
CORRELATIONS: tuple[partial.Method, ...] = ("pearson", "spearman")
PARTIAL_METHODS = [*CORRELATIONS, *(f"semi_{method}" for method in CORRELATIONS), "clustered", "permuted"]


def analyse_separation(evaluation: Evaluation, prompts: dict[str, str], margin: float = baseline.MARGIN) -> dict:
    """Return all results of a model from its evaluation items alone; ``prompts`` are by item ID.

    ``margin`` is the gain in AUROC from which a score adds something that matters. ``added`` is
    over the registered covariates, ``added_full``, which decides, over all of them.
    """
    reasoning, used = int(evaluation.label.sum()), len(evaluation.scored)
    described = {
        "n": {"items": len(evaluation.items), "used": used, "reasoning": reasoning, "control": used - reasoning},
        "excluded": count_excluded(evaluation.items),
        "balance": describe.covariate_balance(evaluation.scored if used else evaluation.items),
        "spread": describe.measure_summary(evaluation.items),
        "accuracy": describe.answer_accuracy(evaluation.items),
    }
    if evaluation.why_unusable:
        return {**described, **_undefined_results(evaluation, margin)}
    settings, label, seed = evaluation.params.statistics, evaluation.label, evaluation.params.seed
    confidence, weights, cluster = settings.confidence, evaluation.weights, evaluation.cluster
    stratum = evaluation.scored["dataset"].to_numpy(str)

    def separate(name: str) -> dict:
        score = evaluation.score(name)
        bca, percentile = bootstrap.auroc_intervals(label, score, weights, cluster, confidence, stratum)
        delong = auc.delong(label, score, confidence)
        permuted = nulls.permuted_auroc(label, score, cluster, settings.permutations, seed, confidence)
        estimates = dict(zip(AUROC_METHODS, (bca, percentile, delong, permuted), strict=True))
        if name in SCORES:
            estimates["joint"] = joint_auroc(evaluation, name, bca)
        return {method: value.as_dict() for method, value in estimates.items()}

    def gain(fit: baseline.Baseline, name: str) -> baseline.IncrementalValue:
        return fit.incremental_value(evaluation.score(name), evaluation.direction(name), margin, evaluation.refit_scores(name))

    baselines = evaluation.baseline, evaluation.full_baseline
    for fit in baselines:
        fit.prepare([evaluation.score(name) for name in SCORES], [evaluation.direction(name) for name in SCORES])
    separation = by_name(separate, SCORES_AND_COVARIATES)
    correlations = by_name(lambda name: _partial_correlations(evaluation, evaluation.score(name)), SCORES)
    gains, full_gains = (by_name(partial_of(gain, fit), SCORES) for fit in baselines)
    texts = [prompts[name] for name in evaluation.scored["item_id"]]
    surface = nulls.bag_of_words_auroc(label, texts, cluster, weights, folds=settings.folds, seed=seed, confidence=confidence)
    # Tests that respect clusters: DeLong's and Pearson's reject too often where there are some.
    tests = {f"auroc_{name}": separation[name]["permuted"]["p"] for name in SCORES}
    tests |= {f"partial_{name}": correlations[name]["clustered"]["p"] for name in SCORES}
    return {
        **described,
        "auroc": separation,
        "added": {name: gain.as_dict() for name, gain in gains.items()},
        "added_full": {name: gain.as_dict() for name, gain in full_gains.items()},
        "covariates": [name for name in FULL_COVARIATES if name in evaluation.scored],
        "margin": margin,
        "partial": correlations,
        "holm": multiple_testing.holm(tests),
        "nulls": {"permuted_labels": separation["rev"]["permuted"], "surface_ceiling": surface.as_dict()},
        "direction": component_directions(separation, evaluation.params),
        "detectable": detectable_effects(evaluation, full_gains["rev"].baseline),
        "needed": needed_items(evaluation, full_gains["rev"].baseline, margin),
    }


def joint_auroc(evaluation: Evaluation, name: str, known: Estimate) -> Estimate:
    """Return a score's AUROC with an interval from joint draws of calibration and evaluation.

    Thresholds and scales are computed anew in each draw; the reference means are not. ``known`` is
    the estimate that takes calibration as known. It is returned for a score that calibration does
    not change, with a note.
    """
    if known.reason:
        return known
    if name not in evaluation.draws:
        return replace(known, note="; ".join(filter(None, [known.note, "calibration does not change this score"])))
    samples = bootstrap.joint_auroc(evaluation.label, evaluation.score_draws(name), evaluation.weights)
    low, high = bootstrap.percentile_interval(samples, evaluation.params.statistics.confidence)
    notes = [f"{missing} of {len(samples)} joint draws give no {name}"] if (missing := int(np.isnan(samples).sum())) else []
    if bootstrap.BINOMIAL in known.note:  # near 1 draws say too little: the bound holds for both
        low, high, notes = min(low, known.low), max(high, known.high), [*notes, known.note]
    return Estimate(known.value, low, high, n=known.n, note="; ".join(notes))


def _partial_correlations(evaluation: Evaluation, score: np.ndarray) -> dict[str, dict]:
    settings, label, given = evaluation.params.statistics, evaluation.label, evaluation.scored[PARTIAL_GIVEN].to_numpy(float)
    estimates = [
        partial.partial_correlation(score, label, given, method, settings.confidence, semi=semi)
        for semi in (False, True)
        for method in CORRELATIONS
    ]
    estimates.append(partial.clustered_partial(score, label, given, evaluation.weights, confidence=settings.confidence))
    estimates.append(partial.permuted_partial(score, label, given, settings.permutations, evaluation.params.seed))
    return {method: estimate.as_dict() for method, estimate in zip(PARTIAL_METHODS, estimates, strict=True)}


def _undefined_results(evaluation: Evaluation, margin: float) -> dict:
    """Return the same keys, with every number undefined for the same reason."""
    missing = undefined(evaluation.why_unusable, len(evaluation.scored)).as_dict()
    return {
        "auroc": {
            name: dict.fromkeys((*AUROC_METHODS, *(["joint"] if name in SCORES else [])), missing)
            for name in SCORES_AND_COVARIATES
        },
        "added": {name: dict.fromkeys(baseline.IncrementalValue.__dataclass_fields__, missing) for name in SCORES},
        "added_full": {name: dict.fromkeys(baseline.IncrementalValue.__dataclass_fields__, missing) for name in SCORES},
        "covariates": [name for name in FULL_COVARIATES if name in evaluation.scored],
        "margin": margin,
        "partial": {name: dict.fromkeys(PARTIAL_METHODS, missing) for name in SCORES},
        "holm": {},
        "nulls": {"permuted_labels": missing, "surface_ceiling": missing},
        "direction": {name: f"unknown: {evaluation.why_unusable}" for name in COMPONENTS},
        "detectable": {"auroc": missing, "delta_auc": missing},
        "needed": {"wanted": margin, "reason": evaluation.why_unusable},
    }


def component_directions(separation: dict, params: Params) -> dict[str, str]:
    """Return whether each component points where its preset sign says. Signs are never flipped."""
    directions = {}
    for name in COMPONENTS:
        estimate, sign = separation[name]["joint"], getattr(params.rev, name).sign
        if math.isnan(estimate["value"]):
            directions[name] = f"unknown: {estimate['reason']}"
            continue
        low, high = (estimate["low"], estimate["high"]) if sign > 0 else (1 - estimate["high"], 1 - estimate["low"])
        directions[name] = "as hypothesised" if low > 0.5 else "contradicted" if high < 0.5 else "undecided"
    return directions


def detectable_effects(evaluation: Evaluation, baseline_auroc: Estimate) -> dict[str, dict]:
    """Return the smallest AUROC and dAUC that this study detects with a probability of 0.8.

    A dAUC is detected by the test of the coefficient, over the full baseline. Clusters count, not
    items: items of one template or article are taken to be alike, so the result errs towards too
    large.
    """
    alpha, clusters = 1 - evaluation.params.statistics.confidence, evaluation.baseline.clusters.counts
    columns = evaluation.full_baseline.columns if not baseline_auroc.reason else 0
    values = {
        "auroc": power.detectable_auroc(clusters[0], clusters[1], alpha=alpha),
        "delta_auc": power.detectable_gain(baseline_auroc.value, min(clusters), columns, POWER, alpha / 2),
    }
    size = f"{clusters[0]} and {clusters[1]} clusters"
    reasons = {"auroc": f"{size} find no AUROC below 1", "delta_auc": f"{size} find no gain over these covariates"}
    return {
        name: {"value": value, "power": POWER, "clusters": list(clusters)}
        | ({"reason": reasons[name]} if math.isnan(value) else {})
        for name, value in values.items()
    }


def needed_items(evaluation: Evaluation, baseline_auroc: Estimate, wanted: float) -> dict:
    """Return the items per class that a gain of ``wanted`` needs, with a probability of 0.8.

    ``coefficient`` is for the test of the score's coefficient (`power.items_for_gain`), and
    ``interval`` for an interval of dAUC without 0 (`power.items_for_interval`).
    """
    value, alpha = baseline_auroc.value, 1 - evaluation.params.statistics.confidence
    if baseline_auroc.reason:
        return {"wanted": wanted, "reason": baseline_auroc.reason}
    columns = evaluation.full_baseline.columns
    needed = {
        "coefficient": power.items_for_gain(value, wanted, columns, POWER, alpha / 2),
        "interval": power.items_for_interval(value, wanted, POWER, alpha),
    }
    if math.isnan(needed["coefficient"]):
        return {"wanted": wanted, "reason": f"a baseline of {value:.2f} leaves no room for a gain of {wanted:g}"}
    return {"wanted": wanted, "power": POWER, "baseline": value, "columns": columns, **needed}
