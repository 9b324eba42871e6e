"""What REV adds to a baseline of covariates, out of sample."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from wor.statistics import bootstrap
from wor.statistics.auc import delong_difference, usable
from wor.statistics.result import Estimate, undefined


def _model():
    """L2-penalised, so that classes which a covariate separates perfectly still give finite log-odds."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))


@dataclass(frozen=True)
class CrossFit:
    """Out-of-fold log-odds: ``log_odds`` and ``fold`` are [R, N], R repeats."""

    log_odds: np.ndarray
    fold: np.ndarray

    def pairs(self, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Wins and counts over pairs that share a fold, summed over repeats: two [M, N0] matrices.

        Log-odds of different folds come from different fits and are not comparable: pooling them biases
        the AUROC downwards, most where there is no effect.
        """
        wins = counted = 0.0
        for score, fold in zip(self.log_odds, self.fold, strict=True):
            same = (fold[label == 1][:, None] == fold[label == 0][None, :]).astype(float)
            wins = wins + same * bootstrap.pairs(label, score)
            counted = counted + same
        return wins, counted

    def auroc(self, label: np.ndarray) -> float:
        wins, counted = self.pairs(label)
        return float(wins.sum() / counted.sum())


def cross_fit(label: np.ndarray, features: np.ndarray, cluster: np.ndarray, folds: int, repeats: int, seed: int) -> CrossFit:
    """Repeated stratified cross-fitting of a logistic regression, clusters kept together."""
    log_odds = np.full((repeats, len(label)), np.nan)
    fold = np.full((repeats, len(label)), -1)
    for repeat in range(repeats):
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed + repeat)
        for index, (train, test) in enumerate(splitter.split(features, label, cluster)):
            if len(np.unique(label[train])) == 2:
                log_odds[repeat, test] = _model().fit(features[train], label[train]).decision_function(features[test])
                fold[repeat, test] = index
    return CrossFit(log_odds, fold)


@dataclass(frozen=True)
class Added:
    """What a score adds to the covariates."""

    baseline: Estimate
    full: Estimate
    delta: Estimate
    delong: Estimate
    likelihood_ratio: Estimate

    def as_dict(self) -> dict[str, dict]:
        return {part: estimate.as_dict() for part, estimate in vars(self).items()}


def added_value(
    label: np.ndarray,
    covariates: np.ndarray,
    score: np.ndarray,
    cluster: np.ndarray,
    drawn: np.ndarray,
    *,
    folds: int,
    repeats: int,
    seed: int,
    confidence: float = 0.95,
) -> Added:
    """dAUC = AUROC(covariates + score) - AUROC(covariates), both cross-fitted on the same folds.

    Parameters
    ----------
    covariates : [N, K]; score : [N]; cluster : [N], the cross-fitting's and the bootstrap's unit.
    drawn : [draws, N] from `bootstrap.weights`. The interval reflects the drawing of items; the fits are
        not repeated within it.

    Returns
    -------
    ``delta`` has the bootstrap interval. ``delong`` is DeLong's paired test on out-of-fold log-odds
    averaged over repeats and pooled over folds, so its difference is not exactly ``delta``; it takes items
    as independent, and for nested models it is conservative (Demler et al. 2012). ``likelihood_ratio`` is
    the in-sample test of the score's coefficient (chi squared, 1 degree of freedom), with the statistic as
    its value.
    """
    n = len(label)
    if reason := usable(label, score, least=folds) or ("covariates hold NaN" if np.isnan(covariates).any() else ""):
        missing = undefined(reason, n)
        return Added(missing, missing, missing, missing, missing)
    smallest = min(len(np.unique(cluster[label == value])) for value in (0, 1))
    if smallest < folds:
        missing = undefined(f"a class has {smallest} clusters, fewer than {folds} folds", n)
        return Added(missing, missing, missing, missing, missing)
    both = np.column_stack([covariates, score])
    fits = [cross_fit(label, features, cluster, folds, repeats, seed) for features in (covariates, both)]
    tables = [fit.pairs(label) for fit in fits]
    values = [float(wins.sum() / counted.sum()) for wins, counted in tables]
    samples = [bootstrap.weighted_auroc(label, drawn, *table) for table in tables]
    estimates = [
        Estimate(value, *bootstrap.percentile(sample, confidence), n=n) for value, sample in zip(values, samples, strict=True)
    ]
    interval = bootstrap.percentile(samples[1] - samples[0], confidence)
    return Added(
        baseline=estimates[0],
        full=estimates[1],
        delta=Estimate(values[1] - values[0], *interval, n=n),
        delong=delong_difference(label, fits[1].log_odds.mean(0), fits[0].log_odds.mean(0), confidence),
        likelihood_ratio=likelihood_ratio(label, covariates, score),
    )


def likelihood_ratio(label: np.ndarray, covariates: np.ndarray, score: np.ndarray) -> Estimate:
    """Twice the gain in log-likelihood from adding the score, and its chi-squared p-value (1 d.f.)."""
    fitted = [_log_likelihood(label, features) for features in (covariates, np.column_stack([covariates, score]))]
    if any(math.isnan(value) for value in fitted):
        return undefined("the classes are perfectly separated: no maximum-likelihood fit", len(label))
    statistic = max(0.0, 2 * (fitted[1] - fitted[0]))
    return Estimate(statistic, p=float(stats.chi2.sf(statistic, 1)), n=len(label))


def _log_likelihood(label: np.ndarray, features: np.ndarray) -> float:
    """Unpenalised maximum; NaN where it does not exist."""
    scaled = StandardScaler().fit_transform(features)
    # A combination of other columns would leave the maximum without a place.
    values, basis = np.linalg.svd(scaled, full_matrices=False)[1:]
    scaled = scaled @ basis[values > 1e-8 * values[0]].T
    fit = LogisticRegression(C=np.inf, max_iter=10_000, tol=1e-8).fit(scaled, label)
    log_odds = fit.decision_function(scaled)
    if (log_odds[label == 1].min() > log_odds[label == 0].max()) or np.abs(fit.coef_).max() > 1e4:
        return math.nan
    return float(-np.logaddexp(0, np.where(label == 1, -log_odds, log_odds)).sum())
