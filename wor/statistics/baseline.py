"""What a score adds to a baseline of covariates, out of sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from wor.statistics import bootstrap
from wor.statistics.auc import delong_difference, why_too_few, why_unusable
from wor.statistics.result import Estimate, undefined

SEPARATED = "the covariates separate the classes perfectly: the fit is penalised, and nothing can be added"


def ridge_logistic():
    """L2-penalised, so that classes which a covariate separates perfectly still give finite log-odds."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))


@dataclass(frozen=True)
class CrossFit:
    """Out-of-fold log-odds: ``log_odds`` and ``fold`` are [R, N], R repeats."""

    log_odds: np.ndarray
    fold: np.ndarray  # -1 for an item that no fit could be made for

    def pairs(self, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Wins and counts over pairs that share a fold, summed over repeats: two [M, N0] matrices.

        Log-odds of different folds come from different fits and are not comparable: pooling them biases
        the AUROC downwards, most where there is no effect.
        """
        wins = counted = 0.0
        for score, fold in zip(self.log_odds, self.fold, strict=True):
            positive, negative = fold[label == 1][:, None], fold[label == 0][None, :]
            same = ((positive == negative) & (positive >= 0)).astype(float)
            wins = wins + same * bootstrap.pairwise_wins(label, score)
            counted = counted + same
        return wins, counted

    def auroc(self, label: np.ndarray) -> float:
        wins, counted = self.pairs(label)
        return float(wins.sum() / counted.sum())

    def sampled(self, label: np.ndarray, drawn: np.ndarray) -> tuple[float, np.ndarray]:
        """The AUROC, and that of each sample of `bootstrap.cluster_weights`."""
        wins, counted = self.pairs(label)
        return float(wins.sum() / counted.sum()), bootstrap.weighted_auroc(label, drawn, wins, counted)

    def estimate(self, label: np.ndarray, drawn: np.ndarray, confidence: float = 0.95) -> Estimate:
        """The AUROC with its percentile interval."""
        value, samples = self.sampled(label, drawn)
        return Estimate(value, *bootstrap.percentile_interval(samples, confidence), n=len(label))


Splits = list[list[tuple[np.ndarray, np.ndarray]]]


def make_splits(label: np.ndarray, cluster: np.ndarray, folds: int, repeats: int, seed: int) -> Splits:
    """Train and test items of each fold of each repeat: stratified by class, clusters kept together."""
    each = (StratifiedGroupKFold(folds, shuffle=True, random_state=seed + repeat) for repeat in range(repeats))
    return [list(one.split(label, label, cluster)) for one in each]


def cross_fit(label: np.ndarray, features: np.ndarray, parts: Splits, model: Callable = ridge_logistic) -> CrossFit:
    """Repeated cross-fitting of a classifier (default: logistic regression) over `splits`.

    ``features`` may be anything that is indexed by rows, texts too. A fold without both classes to learn from
    is left out.
    """
    log_odds = np.full((len(parts), len(label)), np.nan)
    fold = np.full((len(parts), len(label)), -1)
    with threadpool_limits(1):  # fits this small lose by threads, badly where something else runs beside them
        for repeat, part in enumerate(parts):
            for index, (train, test) in enumerate(part):
                if len(np.unique(label[train])) == 2:
                    log_odds[repeat, test] = model().fit(features[train], label[train]).decision_function(features[test])
                    fold[repeat, test] = index
    return CrossFit(log_odds, fold)


def why_not_cross_fitted(label: np.ndarray, cluster: np.ndarray, folds: int) -> str:
    """Why these cannot be cross-fitted with clusters kept together over so many folds; empty when they can."""
    if reason := why_too_few(label):
        return reason
    smallest = min(len(np.unique(cluster[label == value])) for value in (0, 1))
    return f"a class has {smallest} clusters, fewer than {folds} folds" if smallest < folds else ""


@dataclass(frozen=True)
class IncrementalValue:
    """What a score adds to the covariates."""

    baseline: Estimate
    full: Estimate
    delta: Estimate
    delong: Estimate
    likelihood_ratio: Estimate

    def as_dict(self) -> dict[str, dict]:
        return {part: estimate.as_dict() for part, estimate in vars(self).items()}


@dataclass(frozen=True)
class Baseline:
    """The covariates' own fit, once for every score that is held against it.

    Parameters
    ----------
    label : [N] of 0 and 1. covariates : [N, K]. cluster : [N], the cross-fitting's and the bootstrap's unit.
    drawn : [draws, N] from `bootstrap.cluster_weights`. The intervals reflect the drawing of items; the fits are not
        repeated within them.
    """

    label: np.ndarray
    covariates: np.ndarray
    cluster: np.ndarray
    drawn: np.ndarray
    folds: int
    repeats: int
    seed: int
    confidence: float = 0.95

    @cached_property
    def _splits(self) -> Splits:
        return make_splits(self.label, self.cluster, self.folds, self.repeats, self.seed)

    def _cross_fit(self, features: np.ndarray) -> CrossFit:
        return cross_fit(self.label, features, self._splits)

    @cached_property
    def fit(self) -> CrossFit:
        return self._cross_fit(self.covariates)

    @cached_property
    def _sampled(self) -> tuple[float, np.ndarray]:
        return self.fit.sampled(self.label, self.drawn)

    @cached_property
    def _separated(self) -> bool:
        return math.isnan(_log_likelihood(self.label, self.covariates))

    @cached_property
    def refusal(self) -> str:
        """Why there is no fit; empty when there is."""
        if np.isnan(self.covariates).any():
            return "covariates hold NaN"
        return why_not_cross_fitted(self.label, self.cluster, self.folds)

    def estimate(self) -> Estimate:
        """The baseline's own cross-fitted AUROC."""
        if self.refusal:
            return undefined(self.refusal, len(self.label))
        value, samples = self._sampled
        note = SEPARATED if self._separated else ""
        return Estimate(value, *bootstrap.percentile_interval(samples, self.confidence), n=len(self.label), note=note)

    def delta(self, score: np.ndarray) -> tuple[Estimate, Estimate, CrossFit | None]:
        """AUROC(covariates + score) - AUROC(covariates); AUROC(covariates + score); its fit."""
        n = len(self.label)
        if reason := why_unusable(self.label, score) or self.refusal:
            return undefined(reason, n), undefined(reason, n), None
        fit = self._cross_fit(np.column_stack([self.covariates, score]))
        (value, samples), (before, samples_before) = fit.sampled(self.label, self.drawn), self._sampled
        change = samples - samples_before
        note = SEPARATED if self._separated else ""
        return (
            Estimate(value - before, *bootstrap.percentile_interval(change, self.confidence), n=n, note=note),
            Estimate(value, *bootstrap.percentile_interval(samples, self.confidence), n=n),
            fit,
        )

    def added(self, score: np.ndarray) -> IncrementalValue:
        """dAUC = AUROC(covariates + score) - AUROC(covariates), both cross-fitted on the same folds.

        ``delta`` has the bootstrap interval. ``delong`` is DeLong's paired test on out-of-fold log-odds
        averaged over repeats and pooled over folds, so its difference is not exactly ``delta``; it takes items
        as independent, and for nested models it is conservative (Demler et al. 2012). ``likelihood_ratio`` is
        the in-sample test of the score's coefficient (chi squared, 1 degree of freedom), with the statistic as
        its value.
        """
        delta, full, fit = self.delta(score)
        if fit is None:
            return IncrementalValue(self.estimate(), full, delta, delta, delta)
        log_odds = [each.log_odds.mean(0) for each in (fit, self.fit)]
        return IncrementalValue(
            baseline=self.estimate(),
            full=full,
            delta=delta,
            delong=delong_difference(self.label, *log_odds, self.confidence),
            likelihood_ratio=likelihood_ratio(self.label, self.covariates, score),
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
    basis, values, _ = np.linalg.svd(scaled, full_matrices=False)
    # All directions at one scale, so that near copies of a column don't look like the runaway weights of separation.
    scaled = basis[:, values > 1e-8 * max(values[0], 1e-8)] * math.sqrt(len(label))
    if not scaled.shape[1]:
        share = label.mean()
        return float(len(label) * (share * math.log(share) + (1 - share) * math.log(1 - share)))
    fit = LogisticRegression(C=np.inf, max_iter=10_000, tol=1e-8).fit(scaled, label)
    log_odds = fit.decision_function(scaled)
    if (log_odds[label == 1].min() > log_odds[label == 0].max()) or np.abs(fit.coef_).max() > 1e4:
        return math.nan
    return float(-np.logaddexp(0, np.where(label == 1, -log_odds, log_odds)).sum())
