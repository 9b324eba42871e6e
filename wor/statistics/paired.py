"""Means, intercepts and slopes of items that come in clusters, without a model of the clusters."""

import itertools
import math

import numpy as np
from scipy import stats

from wor.statistics.clusters import FEW_CLUSTERS, MIN_CLUSTERS
from wor.statistics.result import Estimate, undefined


def sign_flip_mean(values: np.ndarray, cluster: np.ndarray, draws: int, seed: int, confidence: float = 0.95) -> Estimate:
    """Return the mean of paired differences, [N], with the sign-flip test's p and interval.

    Under the null hypothesis each cluster's differences are as likely with the other sign. p is the
    share of sign changes, one per cluster, with a mean as far from 0. It is exact, over all 2^G,
    where G clusters have at most ``draws`` of them, else from ``draws`` draws. The interval holds
    every value that the same test does not reject, so both agree. NaN with a reason for NaN, or for
    so few clusters that no p reaches 1 - ``confidence``.
    """
    values, n = np.asarray(values, float), len(values)
    if not n:
        return undefined("no items")
    if np.isnan(values).any():
        return undefined("values hold NaN", n)
    _, owner = np.unique(np.asarray(cluster), return_inverse=True)
    count = int(owner.max()) + 1
    smallest = 2.0 ** (1 - count)
    if count < MIN_CLUSTERS or smallest > 1 - confidence:
        return undefined(f"{count} clusters are too few: the smallest p of a sign-flip test is {smallest:.2g}", n)
    mean = float(values.mean())
    if not np.ptp(values):
        return Estimate(mean, p=1.0 if mean == 0 else smallest, n=n, note="the difference is the same in every item: no interval")
    sums, sizes = np.bincount(owner, values), np.bincount(owner).astype(float)
    if 2.0**count <= draws:
        minus = np.array(list(itertools.product((False, True), repeat=count)))
    else:
        drawn = np.random.default_rng(seed).integers(2, size=(draws, count)).astype(bool)
        minus = np.vstack([np.zeros((1, count), bool), drawn])  # the data are one of the sign changes
    # With A the sum over the clusters that change sign and B over the others, |B - A| >= |B + A|
    # where A and B differ in sign. For values - mu that is where mu lies between their two means.
    with np.errstate(invalid="ignore"):
        of_minus, of_plus = (side @ sums / (side @ sizes) for side in (minus.astype(float), (~minus).astype(float)))
    trivial = np.isnan(of_minus) | np.isnan(of_plus)  # all signs or none: as far from any value
    low, high = np.fmin(of_minus, of_plus), np.fmax(of_minus, of_plus)
    low[trivial], high[trivial] = -np.inf, np.inf
    slack = 1e-12 * np.abs(values).max()
    p = float(((low <= slack) & (high >= -slack)).mean())
    # Of the sorted bounds, the first that more than 1 - confidence of the sign changes reach.
    index = math.floor((1 - confidence) * len(minus) + 1e-9)
    return Estimate(mean, float(np.sort(low)[index]), float(np.sort(high)[-1 - index]), p, n, note=few_clusters(count))


def few_clusters(count: int) -> str:
    """Return the caveat of an estimate from so many clusters; empty from FEW_CLUSTERS on."""
    return f"{count} clusters only" if count < FEW_CLUSTERS else ""


def clustered_coefficient(
    outcome: np.ndarray, design: np.ndarray, cluster: np.ndarray, index: int, confidence: float = 0.95
) -> Estimate:
    """Return coefficient ``index`` of the least-squares fit of ``outcome`` on ``design``, [N, K].

    The covariance is CR1: of the clusters' scores, times G / (G - 1) (N - 1) / (N - K). Interval
    and two-sided p are from t with G - 1 degrees of freedom. Below FEW_CLUSTERS the interval is
    too narrow, more so where few clusters have most of the design's leverage. NaN with a reason
    for NaN, fewer than MIN_CLUSTERS clusters, or columns that depend on each other.
    """
    outcome, design, n = np.asarray(outcome, float), np.asarray(design, float), len(outcome)
    if not n:
        return undefined("no items")
    if np.isnan(outcome).any() or np.isnan(design).any():
        return undefined("values hold NaN", n)
    _, owner = np.unique(np.asarray(cluster), return_inverse=True)
    count, k = int(owner.max()) + 1, design.shape[1]
    if count < MIN_CLUSTERS:
        return undefined(f"{count} clusters, fewer than {MIN_CLUSTERS}", n)
    if np.linalg.matrix_rank(design) < k or n <= k:
        return undefined("the columns of the fit depend on each other", n)
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ outcome
    residuals = outcome - design @ coefficients
    scores = np.zeros((count, k))
    np.add.at(scores, owner, design * residuals[:, None])
    covariance = inverse @ scores.T @ scores @ inverse * count / (count - 1) * (n - 1) / (n - k)
    value, error = float(coefficients[index]), math.sqrt(max(covariance[index, index], 0.0))
    if np.abs(residuals).max() <= 1e-12 * max(np.abs(outcome).max(), 1e-300):
        return Estimate(value, n=n, note="the fit has no residuals: no interval")
    half = stats.t.ppf((1 + confidence) / 2, count - 1) * error
    p = 2 * stats.t.sf(abs(value) / error, count - 1) if error else math.nan
    return Estimate(value, value - half, value + half, float(p), n, note=few_clusters(count))


def within_cluster_slope(dose: np.ndarray, score: np.ndarray, cluster: np.ndarray, confidence: float = 0.95) -> Estimate:
    """Return the slope of ``score`` over ``dose``, [N] each, within clusters (fixed effects).

    Each cluster's means are subtracted, so what differs between clusters counts for nothing.
    Only clusters with several doses count, in ``n`` too. See `clustered_coefficient`.
    """
    dose, score, cluster = np.asarray(dose, float), np.asarray(score, float), np.asarray(cluster)
    if not len(dose):
        return undefined("no items with a dose")
    if np.isnan(dose).any() or np.isnan(score).any():
        return undefined("values hold NaN", len(dose))
    _, owner = np.unique(cluster, return_inverse=True)
    sizes = np.bincount(owner)

    def centred(values: np.ndarray) -> np.ndarray:
        return values - (np.bincount(owner, values) / sizes)[owner]

    within = centred(dose)
    varying = np.bincount(owner, np.abs(within) > 1e-9) > 0
    used = varying[owner]
    if not used.any():
        return undefined(f"no cluster has items of different doses ({len(sizes)} clusters, {len(dose)} items)", len(dose))
    if varying.sum() < MIN_CLUSTERS:
        return undefined(f"items of different doses in {varying.sum()} clusters, fewer than {MIN_CLUSTERS}", int(used.sum()))
    return clustered_coefficient(centred(score)[used], within[used, None], cluster[used], 0, confidence)
