"""Partial and semi-partial correlation of a score with the label, given covariates."""

import math
from typing import Literal

import numpy as np
from scipy import stats

from wor.statistics.bootstrap import normal_interval
from wor.statistics.clusters import count_clusters
from wor.statistics.result import Estimate, undefined

Method = Literal["pearson", "spearman"]


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
    total, k = weights.sum(1, dtype=np.float64), columns.shape[1]
    means = weights @ columns / total[:, None]
    products = (columns[:, :, None] * columns[:, None, :]).reshape(len(columns), -1)
    covariance = (weights @ products / total[:, None]).reshape(-1, k, k) - means[:, :, None] * means[:, None, :]
    # The Schur complement is the covariance given the rest. pinv, as a draw may repeat rows.
    cross = covariance[:, :2, 2:]
    left = covariance[:, :2, :2] - cross @ np.linalg.pinv(covariance[:, 2:, 2:], hermitian=True) @ cross.transpose(0, 2, 1)
    scale = left[:, 0, 0] * left[:, 1, 1]
    defined = scale > 1e-12
    samples = np.arctanh(np.clip(left[defined, 0, 1] / np.sqrt(scale[defined]), -0.999999, 0.999999))
    low, high, p = normal_interval(math.atanh(plain.value), samples, confidence, clusters)
    return Estimate(plain.value, math.tanh(low), math.tanh(high), p, plain.n, note=clusters.note)


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
