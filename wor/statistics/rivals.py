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
from wor.statistics.nulls import control_task, cross_fitted_auroc
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
    # A score is its own fit in one fold of all items.
    if isinstance(second, CrossFit):
        fits, whole = [CrossFit(np.broadcast_to(first, second.fold.shape), second.fold), second], np.ptp(second.fold) == 0
    else:
        fits, whole = [CrossFit(score[None], np.zeros((1, n), int)) for score in (first, second)], True
    (first_won, pairs), (second_won, _) = (fit.pairs_by_repeat(label).sum(0).tolist() for fit in fits)
    if not pairs:
        return undefined("no fold has items of both classes", n)
    within = "" if whole else f"of pairs within a fold, where the first AUROC is {first_won / pairs:.2f}"
    (won, total), (rival_won, _) = (fit.won_pairs(label, weights) for fit in fits)
    value = (first_won - second_won) / pairs
    low, high, p = bootstrap.normal_interval(value, bootstrap.ratio_of_pairs(won - rival_won, total), confidence, clusters)
    note = join_notes(within, clusters.note)
    if not math.isnan(p):
        return Estimate(value, low, high, p, n, note=note)
    if not isinstance(second, CrossFit) and rank_alike(first, second):
        return Estimate(value, value, value, n=n, note=join_notes("the scores rank the items alike", note))
    each = [cross_fitted_auroc(fit, label, weights, confidence) for fit in fits]
    parts = [(part.value, part.low, part.high) for part in each]
    return Estimate(value, *mover_difference(*parts), n=n, note=join_notes(NO_VARIANCE, note))


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

    def refit(shuffled: np.ndarray, shuffle_seed: int) -> CrossFit:
        return _quietly_fitted(shuffled, features, cluster, folds, 1, shuffle_seed)

    return control_task(label, cluster, refit, fit.auroc(label), draws=draws, seed=seed)


def _lasso_logistic():
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, l1_ratio=1.0, solver="liblinear", max_iter=1000))
