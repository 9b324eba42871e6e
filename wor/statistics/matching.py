"""How alike two groups are in a covariate, and pairs of items that are alike."""

import math

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from wor.statistics.baseline import ridge_logistic

CALIPER = 0.2  # standard deviations of the propensity's log-odds (Austin 2011)
IMBALANCED = 0.25  # standardised difference from which regression can't be trusted (Rubin 2001)


def standardised_difference(a: np.ndarray, b: np.ndarray) -> float:
    """Return (mean a - mean b) / sqrt((var a + var b) / 2); NaN where nothing varies.

    NaN values are left out. Below 0.1 in size is commonly read as balanced (Austin 2009).
    """
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    if len(a) < 2 or len(b) < 2:
        return math.nan
    pooled = math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    return float((a.mean() - b.mean()) / pooled) if pooled > 0 else math.nan


def caliper_pairs(label: np.ndarray, covariates: np.ndarray, caliper: float = CALIPER) -> np.ndarray:
    """Return matched pairs as indices of a positive and a negative, by positive: ``[P, 2]``.

    Matching is 1:1 without replacement, after the fact. Greedy nearest neighbours are taken on the
    log-odds of a propensity fit: a logistic regression of the class on the covariates. The hardest
    positive comes first. Items farther apart than ``caliper`` standard deviations make no pair;
    the standard deviation is pooled within the classes (Austin 2011), as that over both grows with
    the very difference that matching is to remove. Ties go to the earlier item. Empty for one class
    only.
    """
    if len(np.unique(label)) < 2:
        return np.empty((0, 2), int)
    log_odds = ridge_logistic().fit(covariates, label).decision_function(covariates)
    variances = [log_odds[label == value].var(ddof=1) if (label == value).sum() > 1 else 0.0 for value in (0, 1)]
    limit = caliper * math.sqrt(sum(variances) / 2)
    unmatched, pairs = list(np.flatnonzero(label == 0)), []
    positives = np.flatnonzero(label == 1)
    for index in positives[np.argsort(-log_odds[positives], kind="stable")]:
        if not unmatched:
            break
        distances = np.abs(log_odds[unmatched] - log_odds[index])
        nearest = int(distances.argmin())
        if distances[nearest] <= limit:
            pairs.append((index, unmatched.pop(nearest)))
    return np.array(sorted(pairs), int).reshape(-1, 2)


def pair_clusters(pairs: np.ndarray, cluster: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of the paired items, ascending, and their clusters: [2 P] each.

    A pair stays together in folds and draws. So do pairs whose items share a cluster.
    """
    index = np.sort(pairs.ravel())
    _, owner = np.unique(np.asarray(cluster), return_inverse=True)
    edges = owner[pairs]
    size = owner.max(initial=-1) + 1
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    return index, component[owner[index]]
