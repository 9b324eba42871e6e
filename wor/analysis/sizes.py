"""Whether REV adds more the larger the model is, by draws that are joint over the models."""

import itertools
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from wor.analysis.evaluation import Evaluation, bootstrap_weights
from wor.statistics.baseline import Baseline, GainSamples, gain_difference
from wor.statistics.result import Estimate, undefined


def compare_sizes(models: Mapping[str, tuple[int, Evaluation]], alpha: float) -> dict | None:
    """Return the rise of REV's dAUC from each model to the next larger one; None for one model.

    ``models`` are by label, each with its number of parameters. A step has its ``smaller`` and
    ``larger`` model and an estimate: the larger's dAUC over the full baseline minus the smaller's,
    its interval of confidence 1 - 2 ``alpha`` and its two-sided p. All models read the same items,
    so the difference is paired over draws (`joint_baselines`).
    """
    if len(models) < 2:
        return None
    ordered = sorted(models.items(), key=lambda entry: entry[1][0])
    baselines = joint_baselines({label: evaluation for label, (_, evaluation) in models.items()})
    gains = {label: _gain(evaluation, baselines[label]) for label, (_, evaluation) in ordered}
    steps = []
    for (smaller, (n_smaller, _)), (larger, (n_larger, _)) in itertools.pairwise(ordered):
        same = f"both have {n_larger} parameters" if n_smaller == n_larger else ""
        estimate = undefined(same) if same else _difference(gains, smaller, larger, 1 - 2 * alpha)
        steps.append({"smaller": smaller, "larger": larger, **estimate.as_dict()})
    return {"alpha": alpha, "steps": steps}


def joint_baselines(evaluations: Mapping[str, Evaluation]) -> dict[str, Baseline]:
    """Return each model's full baseline, with bootstrap weights from draws that all models share.

    Models with a REV for the same items share their draws already, as seed and clusters are the
    same. Else the clusters of all items that any model has a REV for are drawn within datasets, and
    each model takes the counts of its own items: an item that a model lacks is absent from that
    model's samples alone, and the draws' number of a model's own clusters varies. The folds are
    those of each model's own items, so that their chance is not shared, and intervals are a little
    too wide.
    """
    rows = [evaluation.scored[["item_id", "dataset", "cluster"]] for evaluation in evaluations.values()]
    if all(list(part["item_id"]) == list(rows[0]["item_id"]) for part in rows):
        return {name: evaluation.full_baseline for name, evaluation in evaluations.items()}
    union = pd.concat(rows, ignore_index=True).drop_duplicates("item_id", ignore_index=True)
    params = next(iter(evaluations.values())).params
    weights = bootstrap_weights(union, params, params.statistics.refit_draws)
    row_of = pd.Series(union.index, union["item_id"])
    return {
        name: replace(evaluation.full_baseline, weights=weights[:, row_of.loc[evaluation.scored["item_id"]].to_numpy()])
        for name, evaluation in evaluations.items()
    }


def _gain(evaluation: Evaluation, baseline: Baseline) -> GainSamples | str:
    if evaluation.why_unusable:
        return evaluation.why_unusable
    return baseline.gain_samples(evaluation.score("rev"), evaluation.direction("rev"), evaluation.refit_scores("rev"))


def _difference(gains: Mapping[str, GainSamples | str], smaller: str, larger: str, confidence: float) -> Estimate:
    first, second = gains[smaller], gains[larger]
    for name, gain in ((smaller, first), (larger, second)):
        if isinstance(gain, str):
            return undefined(f"{name} has no dAUC: {gain}")
    assert isinstance(first, GainSamples)
    assert isinstance(second, GainSamples)
    return gain_difference(first, second, confidence)
