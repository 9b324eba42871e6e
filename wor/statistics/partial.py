"""Partial and semi-partial correlation of a score with the label, given covariates."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from scipy import stats

from wor.statistics.result import Estimate, undefined


def partial_correlation(
    x: np.ndarray,
    y: np.ndarray,
    given: np.ndarray,
    method: Literal["pearson", "spearman"] = "pearson",
    confidence: float = 0.95,
    semi: bool = False,
) -> Estimate:
    """Correlation of the residuals of ``x`` and of ``y`` after regressing each on ``given``.

    Parameters
    ----------
    x, y : [N].
    given : [N, K] covariates; an intercept is added, and a covariate that is a combination of others is
        harmless.
    method : "spearman" takes mid-ranks of everything first.
    semi : the semi-partial (part) correlation: ``given`` is taken out of ``x`` alone.

    Returns
    -------
    r in [-1, 1]; p two-sided from t with N - 2 - K degrees of freedom; interval by Fisher's z with
    standard error 1 / sqrt(N - 3 - K): both take items as independent. K counts independent covariates. NaN
    with a reason where a value is NaN, the score or the label is constant or determined by the covariates, or
    N - 3 - K < 1.
    """
    n = len(x)
    found = _residuals(x, y, given, method)
    if isinstance(found, str):
        return undefined(found, n)
    first, second, whole, k = found
    r = float(np.clip(np.corrcoef(first, whole if semi else second)[0, 1], -1, 1))
    if abs(r) == 1:
        return Estimate(r, r, r, 0.0, n)
    freedom = n - 2 - k
    p = 2 * stats.t.sf(abs(r) * math.sqrt(freedom / (1 - r * r)), freedom)
    half = stats.norm.ppf((1 + confidence) / 2) / math.sqrt(n - 3 - k)
    return Estimate(r, math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half), float(p), n)


def clustered_partial(
    x: np.ndarray,
    y: np.ndarray,
    given: np.ndarray,
    drawn: np.ndarray,
    method: Literal["pearson", "spearman"] = "pearson",
    confidence: float = 0.95,
) -> Estimate:
    """The partial correlation with an interval and p from the cluster bootstrap, for items that come in clusters.

    ``drawn``: [draws, N] from `bootstrap.cluster_weights`. Both are on Fisher's z, with the bootstrap's standard error and
    the normal distribution. Ranks are taken once, before drawing.
    """
    plain = partial_correlation(x, y, given, method, confidence)
    if plain.reason or abs(plain.value) == 1:
        return plain
    columns = np.column_stack([x, y, given]).astype(float)
    if method == "spearman":
        columns = stats.rankdata(columns, axis=0)
    spread = columns.std(0)
    columns = ((columns - columns.mean(0)) / np.where(spread > 0, spread, 1))[:, spread > 0]
    total, k = drawn.sum(1, dtype=np.float64), columns.shape[1]
    means = drawn @ columns / total[:, None]
    products = (columns[:, :, None] * columns[:, None, :]).reshape(len(columns), -1)
    covariance = (drawn @ products / total[:, None]).reshape(-1, k, k) - means[:, :, None] * means[:, None, :]
    # Regressing x and y on the rest leaves their covariance given it: the Schur complement. pinv, as a draw may repeat rows.
    cross = covariance[:, :2, 2:]
    left = covariance[:, :2, :2] - cross @ np.linalg.pinv(covariance[:, 2:, 2:], hermitian=True) @ cross.transpose(0, 2, 1)
    scale = left[:, 0, 0] * left[:, 1, 1]
    fine = scale > 1e-12
    samples = np.arctanh(np.clip(left[fine, 0, 1] / np.sqrt(scale[fine]), -0.999999, 0.999999))
    z, error = math.atanh(plain.value), samples.std(ddof=1)
    half = stats.norm.ppf((1 + confidence) / 2) * error
    return Estimate(plain.value, math.tanh(z - half), math.tanh(z + half), float(2 * stats.norm.sf(abs(z) / error)), plain.n)


def permuted_partial(
    x: np.ndarray, y: np.ndarray, given: np.ndarray, draws: int, seed: int, method: Literal["pearson", "spearman"] = "pearson"
) -> Estimate:
    """The partial correlation, with its p from permuted residuals (Kennedy 1995): of independent items of any distribution.

    p = (1 + permutations at least as far from 0) / (draws + 1).
    """
    found = _residuals(x, y, given, method)
    if isinstance(found, str):
        return undefined(found, len(x))
    first, second, *_ = (values / np.linalg.norm(values) for values in found[:2])
    generator = np.random.default_rng(seed)
    null = generator.permuted(np.broadcast_to(first, (draws, len(x))), axis=1) @ second
    r = float(first @ second)
    p = (1 + (np.abs(null) >= abs(r) - 1e-12).sum()) / (draws + 1)
    return Estimate(r, p=float(p), n=len(x))


def _residuals(x, y, given, method) -> tuple[np.ndarray, np.ndarray, np.ndarray, int] | str:
    """Residuals of x and of y, y itself (ranked where ranks were asked for), and the number of covariates; or a reason."""
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
