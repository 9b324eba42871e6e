"""Partial and semi-partial correlation of a score with the label, given covariates."""

import math
from typing import Literal

import numpy as np
from scipy import stats

from wor.statistics import bootstrap
from wor.statistics.bootstrap import normal_interval
from wor.statistics.clusters import count_clusters
from wor.statistics.logistic import outer_products, symmetric
from wor.statistics.result import Estimate, undefined

Method = Literal["pearson", "spearman"]
# Of `partial_given_replicates`. With less the correction multiplies noise.
MIN_RELIABILITY = 0.3
MIN_LEFT = 1e-3  # share of a variable's variance that the covariates leave
MIN_DEFINED = 0.9  # share of bootstrap draws with a value


def partial_correlation(
    x: np.ndarray, y: np.ndarray, given: np.ndarray, method: Method = "pearson", confidence: float = 0.95, semi: bool = False
) -> Estimate:
    """Return the correlation of ``x`` and ``y``, [N], after regressing each on ``given``, [N, K].

    An intercept is added. A covariate that combines others is harmless: K counts independent ones.
    "spearman" first replaces all values by their mid-ranks. ``semi`` gives the semi-partial (part)
    correlation, which takes ``given`` out of ``x`` alone.

    r is in [-1, 1]. p is two-sided from t with N - 2 - K degrees of freedom. The interval is by
    Fisher's z with standard error 1 / sqrt(N - 3 - K). Both take items as independent. NaN with a
    reason where a value is NaN, or N - 3 - K < 1. So too where the score or the label is constant
    or determined by the covariates.
    """
    n = len(x)
    residuals = _residuals(x, y, given, method)
    if isinstance(residuals, str):
        return undefined(residuals, n)
    residual_x, residual_y, ranked_y, k = residuals
    r = float(np.clip(np.corrcoef(residual_x, ranked_y if semi else residual_y)[0, 1], -1, 1))
    if abs(r) == 1:
        return Estimate(r, r, r, 0.0, n)
    freedom = n - 2 - k
    p = 2 * stats.t.sf(abs(r) * math.sqrt(freedom / (1 - r * r)), freedom)
    half = stats.norm.ppf((1 + confidence) / 2) / math.sqrt(n - 3 - k)
    return Estimate(r, math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half), float(p), n)


def clustered_partial(
    x: np.ndarray, y: np.ndarray, given: np.ndarray, weights: np.ndarray, method: Method = "pearson", confidence: float = 0.95
) -> Estimate:
    """Return the partial correlation with an interval and p from the cluster bootstrap.

    ``weights`` are [draws, N] from `bootstrap.cluster_weights`. Interval and p are on Fisher's z,
    by t with the bootstrap's standard error, so that they agree. Ranks are taken once, before
    resampling. ``y`` may be a class: then clusters count per class.
    """
    plain = partial_correlation(x, y, given, method, confidence)
    if plain.reason:
        return plain
    clusters = count_clusters(weights, y)
    if clusters.why_too_few:
        return undefined(clusters.why_too_few, plain.n)
    if abs(plain.value) == 1:
        return plain
    columns = np.column_stack([x, y, given]).astype(float)
    if method == "spearman":
        columns = stats.rankdata(columns, axis=0)
    spread = columns.std(0)
    columns = ((columns - columns.mean(0)) / np.where(spread > 0, spread, 1))[:, spread > 0]
    covariance = _covariances(columns, weights)
    # The Schur complement is the covariance given the rest. pinv, as a draw may repeat rows.
    cross = covariance[:, :2, 2:]
    left = covariance[:, :2, :2] - cross @ np.linalg.pinv(covariance[:, 2:, 2:], hermitian=True) @ cross.transpose(0, 2, 1)
    scale = left[:, 0, 0] * left[:, 1, 1]
    defined = scale > 1e-12
    samples = np.arctanh(np.clip(left[defined, 0, 1] / np.sqrt(scale[defined]), -0.999999, 0.999999))
    low, high, p = normal_interval(math.atanh(plain.value), samples, confidence, clusters)
    return Estimate(plain.value, math.tanh(low), math.tanh(high), p, plain.n, note=clusters.note)


def partial_given_replicates(
    x: np.ndarray, y: np.ndarray, given: np.ndarray, replicates: np.ndarray, weights: np.ndarray, confidence: float = 0.95
) -> Estimate:
    """Return the partial correlation given ``given``, [N, K], and what all ``replicates`` measure.

    ``replicates``, [S, N], are noisy measurements of one covariate, such as a score of null models
    of several seeds. Given their average alone, a score that is nothing but another measurement of
    it would still seem to hold something, as an average of few is noisy. So the noise's variance,
    estimated between replicates, is taken from the average's (errors in variables: Fuller 1987,
    2.2). The result is that given the average of ever more replicates.

    ``weights`` are [draws, N] from `bootstrap.cluster_weights`. Each draw estimates the noise anew.
    Interval and p are on Fisher's z, by t with the draws' standard error. NaN with a reason where
    `partial_correlation` has one, or the average's reliability given the covariates, the share of
    its variance that is no noise, is below MIN_RELIABILITY: too little is known of the covariate.
    """
    average = replicates.mean(0)
    plain = partial_correlation(x, y, np.column_stack([given, average]), confidence=confidence)
    if plain.reason or len(replicates) < 2:
        return undefined(plain.reason or "the noise of one replicate is not known", plain.n)
    if np.ptp(average) == 0:
        return undefined("the replicates do not vary", plain.n)
    clusters = count_clusters(weights, y)
    if clusters.why_too_few:
        return undefined(clusters.why_too_few, plain.n)
    columns = np.column_stack([x, y, given, average]).astype(float)
    spread = columns.std(0)
    columns = ((columns - columns.mean(0)) / np.where(spread > 0, spread, 1))[:, spread > 0]
    noise = replicates.var(0, ddof=1) / len(replicates) / average.var()
    covariance = np.concatenate([_covariances(columns, np.ones((1, len(x)))), _covariances(columns, weights)])
    errors = np.concatenate([[noise.mean()], weights @ noise / weights.sum(1, dtype=np.float64)])
    inside = covariance[:, 2:, 2:].copy()
    # One over the average's variance that the other covariates leave, with its noise.
    precision = np.linalg.pinv(inside, hermitian=True)[:, -1, -1]
    varies = inside[:, -1, -1] > MIN_LEFT  # otherwise a draw knows nothing of its reliability
    reliability = np.where(varies, 1 - errors * precision, 0.0)
    if reliability[0] < MIN_RELIABILITY:
        share = f"{max(0.0, float(reliability[0])):.2f}"
        return undefined(f"the replicates agree too little: reliability {share}, of {MIN_RELIABILITY} that are needed", len(x))
    inside[:, -1, -1] -= errors
    cross = covariance[:, :2, 2:]
    rest = covariance[:, :2, :2] - cross @ np.linalg.pinv(inside, hermitian=True) @ cross.transpose(0, 2, 1)
    scale = rest[:, 0, 0] * rest[:, 1, 1]
    defined = (reliability > 0) & (rest[:, 0, 0] > MIN_LEFT) & (rest[:, 1, 1] > MIN_LEFT)
    if not defined[0] or defined.mean() < MIN_DEFINED:
        return undefined("what the replicates measure determines the score or the label", len(x))
    z = np.arctanh(np.clip(rest[defined, 0, 1] / np.sqrt(scale[defined]), -0.999999, 0.999999))
    low, high, p = normal_interval(z[0], z[1:], confidence, clusters)
    return Estimate(math.tanh(z[0]), math.tanh(low), math.tanh(high), p, len(x), note=clusters.note)


def reliability_of_mean(replicates: np.ndarray, weights: np.ndarray, confidence: float = 0.95) -> Estimate:
    """Return the share of the variance of the replicates' mean that is no noise (Cronbach's alpha).

    ``replicates`` are [S, N], ``weights`` [draws, N] of `bootstrap.cluster_weights`. 1: all are the
    same. 0: no more agreement than of noise, and below it less. The interval is of percentiles.
    """
    n = replicates.shape[1]
    if len(replicates) < 2:
        return undefined("the noise of one replicate is not known", n)
    if replicates.mean(0).var() == 0:
        return undefined("the mean of the replicates is constant", n)
    all_weights = np.concatenate([np.ones((1, n)), weights])
    covariance = _covariances(replicates.T, all_weights)
    count = len(replicates)
    share = np.trace(covariance, axis1=1, axis2=2) / covariance.sum((1, 2))
    alpha = count / (count - 1) * (1 - share)
    return Estimate(float(alpha[0]), *bootstrap.percentile_interval(alpha[1:], confidence), n=n)


def _covariances(columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the covariances of ``columns``, [N, K], under each row of weights: [draws, K, K]."""
    values = np.column_stack([columns, outer_products(columns)])
    k, sums = columns.shape[1], np.empty((len(weights), values.shape[1]))
    for first in range(0, len(weights), bootstrap.DRAWS_PER_BLOCK):
        rows = slice(first, first + bootstrap.DRAWS_PER_BLOCK)
        sums[rows] = weights[rows].astype(float) @ values
    sums /= weights.sum(1, dtype=np.float64)[:, None]
    return symmetric(sums[:, k:]) - sums[:, :k, None] * sums[:, None, :k]


def permuted_partial(
    x: np.ndarray, y: np.ndarray, given: np.ndarray, draws: int, seed: int, method: Method = "pearson"
) -> Estimate:
    """Return the partial correlation with p from permuted residuals (Kennedy 1995).

    For independent items of any distribution. p = (1 + permutations as far from 0) / (draws + 1).
    """
    residuals = _residuals(x, y, given, method)
    if isinstance(residuals, str):
        return undefined(residuals, len(x))
    unit_x, unit_y = (values / np.linalg.norm(values) for values in residuals[:2])
    generator = np.random.default_rng(seed)
    null = generator.permuted(np.broadcast_to(unit_x, (draws, len(x))), axis=1) @ unit_y
    r = float(unit_x @ unit_y)
    p = (1 + (np.abs(null) >= abs(r) - 1e-12).sum()) / (draws + 1)
    return Estimate(r, p=float(p), n=len(x))


def _residuals(x, y, given, method: Method) -> tuple[np.ndarray, np.ndarray, np.ndarray, int] | str:
    """Return residuals of x and of y, y itself (as ranks for "spearman"), and K; or a reason."""
    x, y, given = np.asarray(x, float), np.asarray(y, float), np.asarray(given, float)
    n = len(x)
    if not n:
        return "no items"
    if np.isnan(x).any() or np.isnan(y).any() or np.isnan(given).any():
        return "values hold NaN"
    if method == "spearman":
        x, y, given = stats.rankdata(x), stats.rankdata(y), stats.rankdata(given, axis=0)
    for name, values in (("score", x), ("label", y)):
        if np.ptp(values) == 0:
            return f"constant {name}"
    spread = given.std(0)
    design = np.column_stack([np.ones(n), (given - given.mean(0)) / np.where(spread > 0, spread, 1)])
    k = int(np.linalg.matrix_rank(design)) - 1
    if n - 3 - k < 1:
        return f"{n} items are too few for {k} covariates"
    residuals = [values - design @ np.linalg.lstsq(design, values, rcond=None)[0] for values in (x, y)]
    for name, residual, values in zip(("score", "label"), residuals, (x, y), strict=True):
        if residual.std() < 1e-9 * values.std():
            return f"the covariates determine the {name}"
    return residuals[0], residuals[1], y, k
