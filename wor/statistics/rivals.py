"""Whether a score separates the classes better than another score of the same items."""

import math
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from wor.statistics import bootstrap
from wor.statistics.auc import NO_VARIANCE, mover_difference, rank_alike, why_unusable
from wor.statistics.baseline import CrossFit, cross_fit, make_splits, why_not_cross_fitted
from wor.statistics.clusters import count_clusters, join_notes
from wor.statistics.nulls import control_task
from wor.statistics.result import Estimate, undefined


def auroc_difference(
    label: np.ndarray, first: np.ndarray, second: np.ndarray | CrossFit, weights: np.ndarray, confidence: float = 0.95
) -> Estimate:
    """Return AUROC(first) - AUROC(second) of the same items, paired.

    Interval and two-sided p are by t with the cluster bootstrap's standard error, so they agree. If
    ``second`` is cross-fitted log-odds, both AUROCs are over the pairs that share a fold, as only
    those are comparable; a note says so. Where no draw differs, the interval is `mover_difference`
    of the two, unless both scores are the same ranks.
    """
    n, clusters = len(label), count_clusters(weights, label)
    for score in (first, second):
        if not isinstance(score, CrossFit) and (reason := why_unusable(label, score)):
            return undefined(reason, n)
    if clusters.why_too_few:
        return undefined(clusters.why_too_few, n)
    wins = bootstrap.pairwise_wins(label, first)
    if isinstance(second, CrossFit):
        rival_wins, counts = second.pairs(label)
        value = (wins * counts).sum() / counts.sum()
        within = f"of pairs within a fold, where the first AUROC is {value:.2f}" if np.ptp(counts) else ""
    else:
        rival_wins, counts, within = bootstrap.pairwise_wins(label, second), np.ones_like(wins), ""
    gain = wins * counts - rival_wins
    value, samples = float(gain.sum() / counts.sum()), bootstrap.weighted_auroc(label, weights, gain, counts)
    low, high, p = bootstrap.normal_interval(value, samples, confidence, clusters)
    note = join_notes(within, clusters.note)
    if not math.isnan(p):
        return Estimate(value, low, high, p, n, note=note)
    if not isinstance(second, CrossFit) and rank_alike(first, second):
        return Estimate(value, value, value, n=n, note=join_notes("the scores rank the items alike", note))
    each = []
    for won in (wins * counts, rival_wins):
        auroc, draws = float(won.sum() / counts.sum()), bootstrap.weighted_auroc(label, weights, won, counts)
        plain = Estimate(auroc, *bootstrap.percentile_interval(draws, confidence, clusters), n=n)
        part = bootstrap.bound_near_perfect(plain, label, weights, confidence, won, counts)
        each.append((part.value, part.low, part.high))
    return Estimate(value, *mover_difference(*each), n=n, note=join_notes(NO_VARIANCE, note))


def fit_sparse_logistic(
    label: np.ndarray, features: np.ndarray, cluster: np.ndarray, *, folds: int, repeats: int, seed: int
) -> CrossFit | str:
    """Return a cross-fitted L1-penalised logistic regression on ``[N, K]``, or why not.

    The penalty is set beforehand (C = 0.1 on standardised features), not chosen on these items. A
    fit that keeps no feature in any fold gives every item the same log-odds: it says nothing.
    """
    if np.isnan(features).any():
        return "features hold NaN"
    if reason := why_not_cross_fitted(label, cluster, folds):
        return reason
    fit = _quietly_fitted(label, features, cluster, folds, repeats, seed)
    return fit if any(_kept_something(fit)) else "the fit kept no feature in any fold"


def _quietly_fitted(label, features, cluster, folds: int, repeats: int, seed: int) -> CrossFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return cross_fit(label, features, make_splits(label, cluster, folds, repeats, seed), _lasso_logistic)


def _kept_something(fit: CrossFit) -> list[bool]:
    """Return for each repeat and fold whether its items' log-odds differ."""
    return [
        bool(np.ptp(log_odds[fold == index]) > 0)
        for log_odds, fold in zip(fit.log_odds, fit.fold, strict=True)
        for index in np.unique(fold[fold >= 0])
    ]


def sparse_control_task(
    label: np.ndarray, features: np.ndarray, cluster: np.ndarray, fit: CrossFit, *, folds: int, draws: int, seed: int
) -> Estimate:
    """Return `nulls.control_task` of the sparse logistic regression, against ``fit``'s AUROC."""
    wins, counts = fit.pairs(label)

    def refit(shuffled: np.ndarray, shuffle_seed: int) -> CrossFit:
        return _quietly_fitted(shuffled, features, cluster, folds, 1, shuffle_seed)

    return control_task(label, cluster, refit, float(wins.sum() / counts.sum()), draws=draws, seed=seed)


def _lasso_logistic():
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, l1_ratio=1.0, solver="liblinear", max_iter=1000))
