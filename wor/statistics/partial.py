"""Partial correlation of a score with the label, given covariates."""

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
) -> Estimate:
    """Correlation of the residuals of ``x`` and of ``y`` after regressing each on ``given``.

    Parameters
    ----------
    x, y : [N].
    given : [N, K] covariates; an intercept is added, and a covariate that is a combination of others is
        harmless.
    method : "spearman" takes mid-ranks of everything first.

    Returns
    -------
    r in [-1, 1]; p two-sided from t with N - 2 - K degrees of freedom; interval by Fisher's z with
    standard error 1 / sqrt(N - 3 - K). K counts independent covariates.
    """
    x, y, given = np.asarray(x, float), np.asarray(y, float), np.asarray(given, float)
    n = len(x)
    if np.isnan(x).any() or np.isnan(y).any() or np.isnan(given).any():
        return undefined("values hold NaN", n)
    if method == "spearman":
        x, y, given = stats.rankdata(x), stats.rankdata(y), stats.rankdata(given, axis=0)
    for name, values in (("score", x), ("label", y)):
        if n and np.ptp(values) == 0:
            return undefined(f"constant {name}", n)
    spread = given.std(0)
    design = np.column_stack([np.ones(n), (given - given.mean(0)) / np.where(spread > 0, spread, 1)])
    k = int(np.linalg.matrix_rank(design)) - 1
    if n - 3 - k < 1:
        return undefined(f"{n} items are too few for {k} covariates", n)
    residuals = [values - design @ np.linalg.lstsq(design, values, rcond=None)[0] for values in (x, y)]
    for name, residual, values in zip(("score", "label"), residuals, (x, y), strict=True):
        if residual.std() < 1e-9 * values.std():
            return undefined(f"the covariates determine the {name}", n)
    r = float(np.clip(np.corrcoef(*residuals)[0, 1], -1, 1))
    if abs(r) == 1:
        return Estimate(r, r, r, 0.0, n)
    freedom = n - 2 - k
    p = 2 * stats.t.sf(abs(r) * math.sqrt(freedom / (1 - r * r)), freedom)
    half = stats.norm.ppf((1 + confidence) / 2) / math.sqrt(n - 3 - k)
    return Estimate(r, math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half), float(p), n)
