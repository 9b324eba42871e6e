"""Rises of dAUC between model sizes, from draws that the models share."""

import math

import numpy as np
import pytest

from tests.helpers.planted import table
from wor.analysis import criteria, sizes
from wor.analysis.evaluation import Evaluation
from wor.statistics.baseline import GainSamples, gain_difference
from wor.statistics.clusters import Clusters

ALPHA = 0.025
SIZES = (135, 360, 1700)


def models(params, effects, n=120, seed=0, own=0.5, missing=0):
    """Return models that read the same items. What is hard about an item they have in common.

    Each model after the first lacks a REV for ``missing`` items.
    """
    frame, rng = table(n=n, seed=seed), np.random.default_rng([seed, 7])
    reasoning, shared = (frame["role"] == "reasoning").to_numpy(float), rng.normal(size=n)
    result = {}
    for index, (size, effect) in enumerate(zip(SIZES, effects, strict=False)):
        rev = effect * reasoning + shared + own * rng.normal(size=n)
        if index and missing:
            rev[missing * (index - 1) : missing * index] = math.nan
        result[f"{size}M"] = (size, Evaluation(frame.assign(rev=rev), params))
    return result


def judge(compared, study, params):
    estimate = {"value": 0.0, "low": -1.0, "high": 1.0, "p": 1.0, "n": 10, "reason": ""}
    temperatures = {"undefined": 0, "excluded": {}, "n": 40, "variance": estimate}
    results = {
        label: {"n_params": size, "delta_auc": estimate, "partial_r": estimate, "temperatures": temperatures}
        for label, (size, _) in study.items()
    }
    return criteria.judge_criteria(results, params.criteria, compared)["monotone_in_size"]["status"]


def test_a_planted_rise_is_found(quick):
    study = models(quick, (0.0, 1.2, 3.5))
    compared = sizes.compare_sizes(study, ALPHA)
    assert [(step["smaller"], step["larger"]) for step in compared["steps"]] == [("135M", "360M"), ("360M", "1700M")]
    assert judge(compared, study, quick) == "pass"
    evaluations = [evaluation for _, evaluation in reversed(study.values())]
    turned = {f"{size}M": (size, evaluation) for size, evaluation in zip(SIZES, evaluations, strict=True)}
    assert judge(sizes.compare_sizes(turned, ALPHA), turned, quick) == "fail"


def test_a_step_is_the_difference_of_the_gains_in_the_tables(quick):
    for missing in (0, 5):
        study = models(quick, (0.0, 1.2), missing=missing)
        deltas = [
            evaluation.full_baseline.delta(evaluation.score("rev"), 1, evaluation.refit_scores("rev"))[0].value
            for _, evaluation in study.values()
        ]
        (step,) = sizes.compare_sizes(study, ALPHA)["steps"]
        assert step["value"] == pytest.approx(deltas[1] - deltas[0])
        assert step["n"] == 120 - missing


def test_pairing_over_models_makes_the_interval_shorter(quick):
    """The same scores with noise of their own for each model, and as draws of two other studies."""
    study = models(quick, (1.2, 1.2), own=0.2)
    gains = [
        evaluation.full_baseline.gain_samples(evaluation.score("rev"), 1, evaluation.refit_scores("rev"))
        for _, evaluation in study.values()
    ]
    paired = gain_difference(*gains)
    apart = math.hypot(*(gain.error for gain in gains)) * gains[0].clusters.quantile(0.95)
    assert (paired.high - paired.low) / 2 < 0.6 * apart


def test_models_without_the_same_items_are_drawn_together(quick):
    study = models(quick, (0.0, 0.0, 0.0), missing=7)
    evaluations = {label: evaluation for label, (_, evaluation) in study.items()}
    baselines = sizes.joint_baselines(evaluations)
    counts = {}
    for label, evaluation in evaluations.items():
        assert baselines[label].weights.shape == (quick.statistics.refit_draws, len(evaluation.scored))
        counts[label] = dict(zip(evaluation.scored["item_id"], baselines[label].weights.T, strict=True))
    for other in ("360M", "1700M"):
        assert len(counts[other]) == 113
        assert all((counts["135M"][item] == weights).all() for item, weights in counts[other].items())
    # A draw has as many clusters as all models have together, and fewer or more of one model's.
    assert (baselines["135M"].weights.sum(1) == 120).all()
    assert baselines["360M"].weights.sum(1).std() > 0
    same = {label: evaluation for label, (_, evaluation) in models(quick, (0.0, 0.0)).items()}
    assert all(sizes.joint_baselines(same)[label] is evaluation.full_baseline for label, evaluation in same.items())


def test_equal_models_are_hardly_ever_said_to_rise(quick):
    """With two models a rise is one test at 2.5 %. The values alone rise in half of the studies."""
    results = [sizes.compare_sizes(models(quick, (0.8, 0.8), n=80, seed=seed), ALPHA)["steps"][0] for seed in range(12)]
    assert sum(step["value"] > 0 for step in results) in range(2, 11)
    assert sum(step["low"] > 0 for step in results) <= 2
    assert sum(step["high"] < 0 for step in results) <= 2


def test_a_step_without_an_estimate_has_a_reason(quick):
    assert sizes.compare_sizes(models(quick, (0.0,)), ALPHA) is None
    study = models(quick, (0.0, 1.0))
    same_size = {label: (135, evaluation) for label, (_, evaluation) in study.items()}
    (step,) = sizes.compare_sizes(same_size, ALPHA)["steps"]
    assert step["reason"] == "both have 135 parameters"
    frame = study["360M"][1].items
    study["360M"] = (360, Evaluation(frame.assign(rev=frame["rev"].where(frame["role"] == "control"), reason="short"), quick))
    (step,) = sizes.compare_sizes(study, ALPHA)["steps"]
    assert step["reason"] == "360M has no dAUC: no reasoning item has a REV (reasoning: short)"
    never = quick.model_copy(update={"statistics": quick.statistics.model_copy(update={"refit_draws": 0})})
    (step,) = sizes.compare_sizes(models(never, (0.0, 1.0)), ALPHA)["steps"]
    assert step["reason"] == "135M has no dAUC: the fits are not repeated"
    constant = GainSamples(0.0, np.zeros(3), np.zeros((2, 30)), Clusters((20, 20)), 40)
    assert gain_difference(constant, constant).reason == "the difference of the gains is the same in every draw"
