"""REV compared with its rivals, over doses, and in groups where another result is expected."""

import itertools
import math

import numpy as np
import pandas as pd

from wor.analysis.evaluation import (
    COVARIATES,
    DRAWS,
    FULL_COVARIATES,
    PARTIAL_GIVEN,
    REFITS,
    REPEATS,
    Evaluation,
    auroc_by_score,
    bootstrap_weights,
    class_labels,
)
from wor.measures.registry import COMPONENTS, HEADS, RIVALS, SCORES
from wor.statistics import auc, bootstrap, multiple_testing, nulls, partial, rivals, trend
from wor.statistics.clusters import Clusters, count_clusters, join_notes
from wor.statistics.result import Estimate, undefined
from wor.statistics.threads import by_name

CONTROL_SHUFFLES = 20  # fits on shuffled labels take a tenth of a second each

NEGATIVE_CONTROLS = ("prompt_perplexity", "repeat_share", "window_entropy")


def compare_with_rivals(evaluation: Evaluation, entropies: np.ndarray) -> dict[str, dict]:
    """Return AUROC(REV) - AUROC(rival), paired, with Holm over the rivals.

    Rivals are each component in its preset direction, every other measure, and a cross-fitted
    sparse logistic regression on ``entropies`` of all heads, ``[scored items, heads]``. That
    regression is trained on these classes; REV is not. ``control_task`` trains it on shuffled ones.
    """
    label, settings = evaluation.label, evaluation.params.statistics
    missing = undefined(evaluation.why_unusable, len(label))
    differences, heads, control = dict.fromkeys((*COMPONENTS, *RIVALS, HEADS), missing), missing, missing
    if not evaluation.why_unusable:
        score, weights, confidence = evaluation.score("rev"), evaluation.weights, settings.confidence
        for name in (*COMPONENTS, *RIVALS):
            sign = getattr(evaluation.params.rev, name).sign if name in COMPONENTS else 1
            differences[name] = rivals.auroc_difference(label, score, sign * evaluation.score(name), weights, confidence)
        folds, repeats, seed = settings.folds, max(1, settings.repeats // 4), evaluation.params.seed
        fit = rivals.fit_sparse_logistic(label, entropies, evaluation.cluster, folds=folds, repeats=repeats, seed=seed)
        if isinstance(fit, str):
            differences[HEADS] = heads = control = undefined(fit, len(label))
        else:
            differences[HEADS] = rivals.auroc_difference(label, score, fit, weights, confidence)
            heads = nulls.cross_fitted_auroc(fit, label, weights, confidence)
            shuffles = min(settings.permutations, CONTROL_SHUFFLES)
            task = {"folds": folds, "draws": shuffles, "seed": seed}
            control = rivals.sparse_control_task(label, entropies, evaluation.cluster, fit, **task)
    adjusted = multiple_testing.holm({name: estimate.p for name, estimate in differences.items()})
    return {
        "difference": {name: {**estimate.as_dict(), "p_holm": adjusted[name]} for name, estimate in differences.items()},
        "auroc_heads": heads.as_dict(),
        "control_task": control.as_dict(),
    }


def compare_datasets(evaluation: Evaluation) -> dict[str, dict]:
    """Return each reasoning dataset's own AUROC against all controls, and their differences.

    The AUROC of the study is their mean weighted by items, so it depends on the mix. A difference
    is paired, as both datasets are compared with the same controls.
    """
    scored, datasets = evaluation.scored, []
    is_control = (scored["role"] == "control").to_numpy()
    for dataset in evaluation.params.datasets_with_role("reasoning"):
        if (scored["dataset"] == dataset).any():
            datasets.append(dataset)
    results: dict[str, dict] = {"auroc": {}, "difference": {}}
    masks = {dataset: (scored["dataset"] == dataset).to_numpy() | is_control for dataset in datasets}
    for dataset, mask in masks.items():
        rows = scored[mask].reset_index(drop=True)
        results["auroc"][dataset] = auroc_by_score(
            rows, SCORES, class_labels(rows), evaluation.weights[:, mask], evaluation.params
        )
    for a, b in itertools.combinations(datasets, 2):
        results["difference"][f"{a} - {b}"] = {
            name: _dataset_difference(evaluation, name, masks[a], masks[b], is_control).as_dict() for name in SCORES
        }
    return results


def _dataset_difference(
    evaluation: Evaluation, name: str, first: np.ndarray, second: np.ndarray, control: np.ndarray
) -> Estimate:
    """Return AUROC in the one dataset minus AUROC in the other, each against the same controls."""
    score, weights, confidence = evaluation.score(name), evaluation.weights, evaluation.params.statistics.confidence
    n, each, samples = int((first | second).sum()), [], []
    for mask in (first, second):
        arrays = evaluation.label[mask], score[mask], weights[:, mask]
        each.append(bootstrap.auroc_interval(*arrays, confidence))
        if each[-1].reason:
            return undefined(each[-1].reason, n)
        samples.append(bootstrap.resampled_auroc(*arrays))
    parts = [count_clusters(weights[:, mask]) for mask in (first & ~control, second & ~control, control)]
    clusters = Clusters(tuple(part.counts[0] for part in parts), any(part.fixed for part in parts))
    value = each[0].value - each[1].value
    low, high, p = bootstrap.normal_interval(value, samples[0] - samples[1], confidence, clusters)
    if math.isnan(p):
        interval = auc.mover_difference(*((part.value, part.low, part.high) for part in each))
        return Estimate(value, *interval, n=n, note=join_notes(auc.NO_VARIANCE, clusters.note))
    return Estimate(value, low, high, p, n, note=clusters.note)


def negative_controls(evaluation: Evaluation, scores: dict[str, np.ndarray] | None = None) -> dict[str, dict]:
    """Return what scores that cannot be effort reach in the tests that REV is put through.

    What they reach is no evidence. They are covariates of the text and of the output distribution,
    and ``scores``, [scored items], by name, such as those of null models. For a covariate, its own
    column leaves the full baseline, or it could add nothing. It has no preset direction, so its
    gain is not bounded and its p is two-sided. The others are taken in REV's direction. An item
    without a score is left out.
    """
    named = {name: evaluation.score(name) for name in NEGATIVE_CONTROLS if name in evaluation.scored}
    named |= scores or {}
    return by_name(lambda name: _negative_control(evaluation, name, named[name]), named)


def _negative_control(evaluation: Evaluation, name: str, score: np.ndarray) -> dict:
    index = np.flatnonzero(~np.isnan(score)) if len(score) else np.zeros(0, int)
    if reason := evaluation.why_unusable or ("" if len(index) else "every score is NaN"):
        missing = undefined(reason, len(score)).as_dict()
        return {
            "auroc": missing,
            **dict.fromkeys(("added", "added_full"), dict.fromkeys(("baseline", "delta", "coefficient"), missing)),
        }
    weights = evaluation.weights[:DRAWS, index]
    direction = 0 if name in FULL_COVARIATES else 1
    entry: dict[str, dict] = {"auroc": bootstrap.auroc_interval(evaluation.label[index], score[index], weights).as_dict()}
    for key, shared, names in (
        ("added", evaluation.baseline, COVARIATES),
        ("added_full", evaluation.full_baseline, FULL_COVARIATES),
    ):
        others = [other for other in names if other != name]
        fit = shared
        if len(index) < len(score) or len(others) < len(names):
            fit = evaluation.fit_baseline(index, weights, REPEATS, names=others, refit_draws=REFITS)
        entry[key] = {
            "baseline": fit.estimate().as_dict(),
            "delta": fit.delta(score[index], direction)[0].as_dict(),
            "coefficient": fit.coefficient(score[index], direction).as_dict(),
        }
    return entry


def dose_response(evaluation: Evaluation) -> dict[str, dict]:
    """Return the trend of each score over the steps of the worked solution, by dataset.

    A longer solution has a longer problem, hence also the correlation given the prompt's length.
    """
    settings, seed = evaluation.params.statistics, evaluation.params.seed
    datasets = {}
    for dataset, rows in evaluation.scored[evaluation.scored["steps"].notna()].groupby("dataset"):
        rows = rows.reset_index(drop=True)
        steps, weights = rows["steps"].to_numpy(float), bootstrap_weights(rows, evaluation.params)
        scores = {name: rows[name].to_numpy(float) for name in SCORES}
        datasets[str(dataset)] = {
            "by_steps": [
                {"steps": int(step), "n": len(group), "mean": group["rev"].mean(), "sd": group["rev"].std()}
                for step, group in rows.groupby("steps")
            ],
            "trend": {
                name: trend.kendall_trend(steps, score, weights, settings.permutations, seed, settings.confidence).as_dict()
                for name, score in scores.items()
            },
            "given_length": _given_length(rows, steps, weights, "spearman", settings.confidence),
        }
    return datasets


def correctness(evaluation: Evaluation) -> dict[str, dict]:
    """Return how each score separates right answers from wrong ones, by dataset.

    That is the AUROC, and the correlation given the prompt's length. The class cannot be adjusted
    for correctness, as controls have no answer; within reasoning it is the covariate.
    """
    datasets = {}
    for dataset, rows in evaluation.scored[evaluation.scored["correct"].notna()].groupby("dataset"):
        rows = rows.reset_index(drop=True)
        right, weights = rows["correct"].to_numpy(int), bootstrap_weights(rows, evaluation.params)
        datasets[str(dataset)] = {
            "n": {"right": int(right.sum()), "wrong": int((1 - right).sum())},
            "auroc": auroc_by_score(rows, SCORES, right, weights, evaluation.params),
            "given_length": _given_length(rows, right, weights, "pearson", evaluation.params.statistics.confidence),
        }
    return datasets


def _given_length(
    rows: pd.DataFrame, outcome: np.ndarray, weights: np.ndarray, method: partial.Method, confidence: float
) -> dict[str, dict]:
    given = rows[["token_len"]].to_numpy(float)
    scores = {name: rows[name].to_numpy(float) for name in SCORES}
    return {
        name: partial.clustered_partial(score, outcome, given, weights, method, confidence).as_dict()
        for name, score in scores.items()
    }


def compare_full_length_controls(evaluation: Evaluation, table: pd.DataFrame | None) -> dict:
    """Return what matching in length changes: AUROCs with the same articles cut and whole.

    The AUROCs are against all reasoning items, of every measure and of the covariates of the
    partial correlation. Only articles with a REV in both forms count. ``table`` has the whole
    articles; it is None where the controls of the run are not matched.
    """
    if table is None:
        return {"reason": "the controls of this run are not matched (control.match: none)"}
    scored = evaluation.scored
    whole, cut = table[table["rev"].notna()], scored[scored["role"] == "control"]
    groups = {
        "matched": cut[cut["item_id"].isin(whole["item_id"])],
        "literal": whole[whole["item_id"].isin(cut["item_id"])],
    }
    if not len(groups["matched"]):
        return {"reason": "no article has a REV both cut and whole"}
    results = {}
    for group, controls in groups.items():
        rows = pd.concat([scored[scored["role"] == "reasoning"], controls], ignore_index=True)
        label, weights = class_labels(rows), bootstrap_weights(rows, evaluation.params)
        auroc = auroc_by_score(rows, (*SCORES, *PARTIAL_GIVEN), label, weights, evaluation.params)
        results[group] = {"n": len(controls), "of": len(table), "tokens": controls["token_len"].mean(), "auroc": auroc}
    return results
