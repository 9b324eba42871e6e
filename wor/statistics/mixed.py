"""A linear mixed model of a score: its class and covariates, with an intercept for each cluster.

The design has one continuation per item, so there is no effect of an item: what the sampling of a
continuation adds is part of the residual. It could be split off from 2 or more per item.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from scipy import stats

from wor.statistics.auc import why_unusable
from wor.statistics.clusters import Clusters, count_names, join_notes
from wor.statistics.result import Estimate, undefined
from wor.statistics.splines import SplineDesign

DETERMINED = 1e-4  # share of the class's variance below which the other columns determine it
SINGULAR = 1e-4  # variance between clusters over that within, below which it is 0
MIN_FREEDOM = 10  # items beyond the columns, below which the residual's variance is hardly known
SINGLE = "every cluster is one item: least squares with robust errors, and no share of clusters"
NO_VARIANCE = "the clusters' variance is estimated as 0: least squares with cluster-robust errors"
NOT_CONVERGED = "the fit of the mixed model does not converge"


@dataclass(frozen=True)
class ClassEffect:
    """The class's effect, and ``icc``, the share of the variance left that lies between clusters.

    ``icc`` is in [0, 1), and NaN where there is no effect or every cluster is one item.
    """

    effect: Estimate
    icc: float = math.nan

    def as_dict(self) -> dict:
        return self.effect.as_dict() | {"icc": self.icc}


def class_effect(
    score: np.ndarray,
    label: np.ndarray,
    covariates: np.ndarray,
    group: np.ndarray,
    cluster: np.ndarray,
    confidence: float = 0.95,
) -> ClassEffect:
    """Return the effect of class 1 against 0 in standard deviations of the score, given covariates.

    score / sd = a + effect label + s(covariates) + contrasts of group + u[cluster] + e

    ``score``, ``label``, ``group`` and ``cluster`` are [N], ``covariates`` [N, K]. s are the
    splines of `SplineDesign`. The groups of a class, such as its datasets, have contrasts that sum
    to zero, so the effect is between unweighted means of groups. u and e are normal. Their
    variances are estimated by REML (Patterson & Thompson 1971), in statsmodels' MixedLM. The
    interval is effect -+ t x standard error. A cluster is of one class, so t's degrees of freedom
    are those of `Clusters.freedom`, or N minus the number of columns where that is fewer.

    Where the clusters' variance is 0, or every cluster is one item, the fit is by least squares
    (`robust_coefficient`), and a note says so. NaN with a reason where `why_unusable` has one,
    where covariates hold NaN, clusters or items are too few, the other columns determine the class,
    or the fit does not converge.
    """
    score, label, n = np.asarray(score, float), np.asarray(label), len(score)
    reason = why_unusable(label, score) or ("covariates hold NaN" if np.isnan(covariates).any() else "")
    clusters = count_names(cluster, label)
    if reason := reason or clusters.why_too_few:
        return ClassEffect(undefined(reason, n))
    others = _independent(
        np.column_stack([np.ones(n), SplineDesign.fit(covariates).columns(covariates), contrasts(group, label)])
    )
    left = label - others @ np.linalg.lstsq(others, label, rcond=None)[0]
    if left.var() < DETERMINED * label.var():
        return ClassEffect(undefined("the covariates determine the class", n))
    design, outcome = np.column_stack([others, label]), score / score.std()
    if n - design.shape[1] < MIN_FREEDOM:
        return ClassEffect(undefined(f"{n} items are too few for {design.shape[1]} columns", n))
    _, owner = np.unique(np.asarray(cluster), return_inverse=True)
    if len(np.unique(owner)) == n:
        return ClassEffect(_by_least_squares(outcome, design, owner, clusters, SINGLE, confidence))
    fit = _fit_reml(outcome, design, owner)
    if isinstance(fit, str):
        return ClassEffect(undefined(fit, n))
    if fit.ratio < SINGULAR:
        return ClassEffect(_by_least_squares(outcome, design, owner, clusters, NO_VARIANCE, confidence), 0.0)
    freedom = min(clusters.freedom, n - design.shape[1])
    estimate = _with_t(fit.value, fit.error, freedom, n, join_notes(clusters.note, fit.note), confidence)
    return ClassEffect(estimate, fit.ratio / (1 + fit.ratio))


def contrasts(group: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return columns that tell the groups of each class apart, without the class: [N, columns].

    The column of a group is 1 in it, -1 in the last group of its class and 0 elsewhere.
    """
    group, label = np.asarray(group), np.asarray(label)
    columns = [np.zeros((len(group), 0))]
    for value in np.unique(label):
        names = np.unique(group[label == value])
        for name in names[:-1]:
            column = (group == name).astype(float) - (group == names[-1])
            columns.append((column * (label == value))[:, None])
    return np.column_stack(columns)


def robust_coefficient(outcome: np.ndarray, design: np.ndarray, owner: np.ndarray, index: int) -> tuple[float, float, float]:
    """Return coefficient ``index`` of least squares, its cluster-robust error and t's freedom.

    The covariance is CR2, and the degrees of freedom are Satterthwaite's (Bell & McCaffrey 2002):
    residuals of a cluster are multiplied by (I - H)^-1/2, where H is its block of the hat matrix,
    so that the variance is unbiased where items are independent. CR1 (`clustered_coefficient`) is
    too small with as many columns of covariates as there are here. ``design`` is [N, K] of full
    rank. ``owner``, [N], numbers the clusters. With one item per cluster it is HC2.
    """
    inverse = np.linalg.inv(design.T @ design)
    weights = design @ inverse[:, index]  # the coefficient is this times the outcome
    residual = outcome - design @ (inverse @ (design.T @ outcome))
    order = np.argsort(owner, kind="stable")
    shares = []  # of the coefficient's error, by cluster: the error's square is sum (residual v)^2
    for rows in np.split(order, np.flatnonzero(np.diff(owner[order])) + 1):
        values, vectors = np.linalg.eigh(np.eye(len(rows)) - design[rows] @ inverse @ design[rows].T)
        # An item that the fit always meets exactly has no residual, whatever it is multiplied by.
        scale = np.where(values > 1e-10, 1 / np.sqrt(np.maximum(values, 1e-10)), 0.0)
        share = (vectors * scale) @ (vectors.T @ weights[rows])
        shares.append((residual[rows] @ share, share @ share, share @ design[rows]))
    errors, squares, fitted = (np.array(part) for part in zip(*shares, strict=True))
    products = np.diag(squares) - fitted @ inverse @ fitted.T  # their covariances, were items independent
    return float(weights @ outcome), math.sqrt((errors**2).sum()), float(np.trace(products) ** 2 / (products**2).sum())


@dataclass(frozen=True)
class _Fit:
    value: float
    error: float
    ratio: float  # the variance between clusters over that within
    note: str


def _fit_reml(outcome: np.ndarray, design: np.ndarray, owner: np.ndarray) -> _Fit | str:
    """Return the last column's coefficient and the ratio of variances, or why there is no fit."""
    from statsmodels.regression.mixed_linear_model import MixedLM  # half a second, for the statistics alone
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            # No gradients: near a variance of 0 BFGS gives up, or stops beside the maximum.
            fit = MixedLM(outcome, design, owner).fit(reml=True, method="powell")
        except np.linalg.LinAlgError:
            return NOT_CONVERGED
    ratio = float(fit.cov_re_unscaled[0, 0])
    if not (fit.converged and ratio >= 0 and fit.scale > 0):
        return NOT_CONVERGED
    # The error given the variances, as R's lmer has it. statsmodels' adds a term of second order.
    whitened = _whiten(design, owner, ratio)
    error = math.sqrt(fit.scale * np.linalg.inv(whitened.T @ whitened)[-1, -1])
    # What these warn of is judged above, and by SINGULAR.
    messages = [str(entry.message) for entry in caught if not issubclass(entry.category, ConvergenceWarning)]
    return _Fit(float(fit.fe_params[-1]), error, ratio, join_notes(*(f"statsmodels: {message}" for message in messages)))


def _whiten(columns: np.ndarray, owner: np.ndarray, ratio: float) -> np.ndarray:
    """Return columns, [N, K], less as much of clusters' means as leaves the errors independent.

    That is 1 - 1 / sqrt(1 + m ratio) of the mean of a cluster of m items (Fuller & Battese 1973).
    """
    sizes = np.bincount(owner)
    sums = np.zeros((len(sizes), columns.shape[1]))
    np.add.at(sums, owner, columns)
    share = 1 - 1 / np.sqrt(1 + sizes * ratio)
    return columns - (share / sizes)[owner, None] * sums[owner]


def _by_least_squares(
    outcome: np.ndarray, design: np.ndarray, owner: np.ndarray, clusters: Clusters, note: str, confidence: float
) -> Estimate:
    value, error, freedom = robust_coefficient(outcome, design, owner, design.shape[1] - 1)
    if not error > 0:
        return Estimate(value, n=len(outcome), note="the fit has no residuals: no interval")
    return _with_t(value, error, freedom, len(outcome), join_notes(clusters.note, note), confidence)


def _with_t(value: float, error: float, freedom: float, n: int, note: str, confidence: float) -> Estimate:
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    p = 2 * float(stats.t.sf(abs(value) / error, freedom))
    return Estimate(value, value - half, value + half, p, n, note=note)


def _independent(columns: np.ndarray) -> np.ndarray:
    """Return orthogonal columns of length sqrt(N) that span the same: [N, rank]."""
    lengths = np.linalg.norm(columns, axis=0)
    basis, values, _ = np.linalg.svd(columns / np.where(lengths > 0, lengths, 1), full_matrices=False)
    return basis[:, values > 1e-8 * values[0]] * math.sqrt(len(columns))
