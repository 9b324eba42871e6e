"""Whether a score separates the classes better than another score of the same items."""

import math
import warnings

import numpy as np
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from wor.statistics import bootstrap
from wor.statistics.auc import why_unusable
from wor.statistics.baseline import CrossFit, cross_fit, make_splits, why_not_cross_fitted
from wor.statistics.result import Estimate, undefined


def auroc_difference(
    label: np.ndarray, first: np.ndarray, second: np.ndarray | CrossFit, weights: np.ndarray, confidence: float = 0.95
) -> Estimate:
    """Return AUROC(first) - AUROC(second), with the cluster bootstrap's paired interval.

    If ``second`` is cross-fitted log-odds, both AUROCs are over the pairs that share a fold, as
    only those are comparable. p is two-sided: normal, with the bootstrap's standard error.
    """
    n = len(label)
    for score in (first, second):
        if not isinstance(score, CrossFit) and (reason := why_unusable(label, score)):
            return undefined(reason, n)
    wins = bootstrap.pairwise_wins(label, first)
    if isinstance(second, CrossFit):
        rival_wins, counts = second.pairs(label)
    else:
        rival_wins, counts = bootstrap.pairwise_wins(label, second), np.ones_like(wins)
    gain = wins * counts - rival_wins
    value, samples = float(gain.sum() / counts.sum()), bootstrap.weighted_auroc(label, weights, gain, counts)
    error = np.nanstd(samples, ddof=1)
    p = float(2 * stats.norm.sf(abs(value) / error)) if error > 0 else math.nan
    note = "" if error > 0 else "the difference has no variance" if value else "the scores rank the items alike"
    return Estimate(value, *bootstrap.percentile_interval(samples, confidence), p=p, n=n, note=note)


def fit_sparse_logistic(
    label: np.ndarray, features: np.ndarray, cluster: np.ndarray, *, folds: int, repeats: int, seed: int
) -> CrossFit | str:
    """Return a cross-fitted L1-penalised logistic regression on ``[N, K]``, or why not.

    The penalty is set beforehand (C = 0.1 on standardised features), not chosen on these items.
    """
    if np.isnan(features).any():
        return "features hold NaN"
    if reason := why_not_cross_fitted(label, cluster, folds):
        return reason
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return cross_fit(label, features, make_splits(label, cluster, folds, repeats, seed), _lasso_logistic)


def _lasso_logistic():
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, l1_ratio=1.0, solver="liblinear", max_iter=1000))
