"""A score beside others of the same items: is it better than they are?"""

from __future__ import annotations

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
    label: np.ndarray,
    first: np.ndarray,
    second: np.ndarray | CrossFit,
    drawn: np.ndarray,
    confidence: float = 0.95,
) -> Estimate:
    """AUROC(first) - AUROC(second) of the same items, with the cluster bootstrap's paired interval and p.

    ``second`` may be cross-fitted log-odds: then both AUROCs are over the pairs that share a fold, since only
    those are comparable. p is two-sided from the normal distribution with the bootstrap's standard error.
    """
    n = len(label)
    fitted = isinstance(second, CrossFit)
    for score in (first, *(() if fitted else (second,))):
        if reason := why_unusable(label, score):
            return undefined(reason, n)
    wins = bootstrap.pairwise_wins(label, first)
    theirs, counted = second.pairs(label) if fitted else (bootstrap.pairwise_wins(label, second), np.ones_like(wins))
    gain = wins * counted - theirs
    value, samples = float(gain.sum() / counted.sum()), bootstrap.weighted_auroc(label, drawn, gain, counted)
    error = np.nanstd(samples, ddof=1)
    p = float(2 * stats.norm.sf(abs(value) / error)) if error > 0 else math.nan
    note = "" if error > 0 else "the difference has no variance" if value else "the scores rank the items alike"
    return Estimate(value, *bootstrap.percentile_interval(samples, confidence), p=p, n=n, note=note)


def fit_sparse_logistic(
    label: np.ndarray, features: np.ndarray, cluster: np.ndarray, *, folds: int, repeats: int, seed: int
) -> CrossFit | str:
    """Cross-fitted L1-penalised logistic regression on many features ``[N, K]``; or why there is none.

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
