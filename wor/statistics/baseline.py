"""What a score adds to a baseline of covariates, out of sample."""

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
    """Return an L2-penalised fit: log-odds stay finite where a covariate separates the classes."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))


@dataclass(frozen=True)
class CrossFit:
    """Out-of-fold log-odds. ``log_odds`` and ``fold`` are [R, N], for R repeats."""

    log_odds: np.ndarray
    fold: np.ndarray  # -1 for an item that no fit could be made for

    def pairs(self, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return wins and counts of pairs that share a fold, summed over repeats: [M, N0] each.

        Pooling folds, whose fits differ, biases the AUROC downwards, most where there is no effect.
        """
        n_pairs = int((label == 1).sum()), int((label == 0).sum())
        wins, counts = np.zeros(n_pairs), np.zeros(n_pairs)
        for score, fold in zip(self.log_odds, self.fold, strict=True):
            positive, negative = fold[label == 1][:, None], fold[label == 0][None, :]
            same = ((positive == negative) & (positive >= 0)).astype(float)
            wins = wins + same * bootstrap.pairwise_wins(label, score)
            counts = counts + same
        return wins, counts

    def auroc_samples(self, label: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the AUROC, and that of each sample of `bootstrap.cluster_weights`."""
        wins, counts = self.pairs(label)
        return float(wins.sum() / counts.sum()), bootstrap.weighted_auroc(label, weights, wins, counts)

    def estimate(self, label: np.ndarray, weights: np.ndarray, confidence: float = 0.95) -> Estimate:
        """Return the AUROC with its percentile interval."""
        value, samples = self.auroc_samples(label, weights)
        return Estimate(value, *bootstrap.percentile_interval(samples, confidence), n=len(label))


Splits = list[list[tuple[np.ndarray, np.ndarray]]]


def make_splits(label: np.ndarray, cluster: np.ndarray, folds: int, repeats: int, seed: int) -> Splits:
    """Return train and test items per repeat and fold, stratified and with whole clusters."""
    splitters = (StratifiedGroupKFold(folds, shuffle=True, random_state=seed + repeat) for repeat in range(repeats))
    return [list(splitter.split(label, label, cluster)) for splitter in splitters]


def cross_fit(label: np.ndarray, features: np.ndarray, splits: Splits, model: Callable = ridge_logistic) -> CrossFit:
    """Fit a classifier on each split's training items, and apply it to its test items.

    Rows of ``features`` may be texts. A fold whose training items are all of one class is left out.
    """
    log_odds = np.full((len(splits), len(label)), np.nan)
    fold = np.full((len(splits), len(label)), -1)
    with threadpool_limits(1):  # threads slow down fits this small
        for repeat, split in enumerate(splits):
            for index, (train, test) in enumerate(split):
                if len(np.unique(label[train])) == 2:
                    log_odds[repeat, test] = model().fit(features[train], label[train]).decision_function(features[test])
                    fold[repeat, test] = index
    return CrossFit(log_odds, fold)


def why_not_cross_fitted(label: np.ndarray, cluster: np.ndarray, folds: int) -> str:
    """Return why so many folds of whole clusters cannot be made; empty when they can."""
    if reason := why_too_few(label):
        return reason
    smallest = min(len(np.unique(cluster[label == value])) for value in (0, 1))
    return f"a class has {smallest} clusters, fewer than {folds} folds" if smallest < folds else ""


@dataclass(frozen=True)
class IncrementalValue:
    """What a score adds to the covariates: see `Baseline.incremental_value`."""

    baseline: Estimate
    full: Estimate
    delta: Estimate
    delong: Estimate
    likelihood_ratio: Estimate

    def as_dict(self) -> dict[str, dict]:
        return {part: estimate.as_dict() for part, estimate in vars(self).items()}


@dataclass(frozen=True)
class Baseline:
    """The covariates' fit, computed once for every score that is compared with it.

    ``label`` is [N] of 0 and 1, ``covariates`` [N, K]. ``cluster``, [N], is the unit of the
    cross-fitting and of the bootstrap. ``weights`` are [draws, N] from `bootstrap.cluster_weights`.
    The intervals reflect the sampling of items; the fits are not repeated within them.
    """

    label: np.ndarray
    covariates: np.ndarray
    cluster: np.ndarray
    weights: np.ndarray
    folds: int
    repeats: int
    seed: int
    confidence: float = 0.95

    @cached_property
    def _splits(self) -> Splits:
        return make_splits(self.label, self.cluster, self.folds, self.repeats, self.seed)

    @cached_property
    def fit(self) -> CrossFit:
        return cross_fit(self.label, self.covariates, self._splits)

    @cached_property
    def _auroc_samples(self) -> tuple[float, np.ndarray]:
        return self.fit.auroc_samples(self.label, self.weights)

    @cached_property
    def _note(self) -> str:
        return SEPARATED if math.isnan(_log_likelihood(self.label, self.covariates)) else ""

    @cached_property
    def why_unusable(self) -> str:
        """Return why there is no fit; empty when there is one."""
        if np.isnan(self.covariates).any():
            return "covariates hold NaN"
        return why_not_cross_fitted(self.label, self.cluster, self.folds)

    def estimate(self) -> Estimate:
        """Return the cross-fitted AUROC of the covariates alone."""
        if self.why_unusable:
            return undefined(self.why_unusable, len(self.label))
        value, samples = self._auroc_samples
        interval = bootstrap.percentile_interval(samples, self.confidence)
        return Estimate(value, *interval, n=len(self.label), note=self._note)

    def delta(self, score: np.ndarray) -> tuple[Estimate, Estimate, CrossFit | None]:
        """Return the gain in AUROC from the score, the AUROC with it, and the fit of that."""
        n = len(self.label)
        if reason := why_unusable(self.label, score) or self.why_unusable:
            return undefined(reason, n), undefined(reason, n), None
        fit = cross_fit(self.label, np.column_stack([self.covariates, score]), self._splits)
        (value, samples), (before, samples_before) = fit.auroc_samples(self.label, self.weights), self._auroc_samples
        change = bootstrap.percentile_interval(samples - samples_before, self.confidence)
        full = Estimate(value, *bootstrap.percentile_interval(samples, self.confidence), n=n)
        return Estimate(value - before, *change, n=n, note=self._note), full, fit

    def incremental_value(self, score: np.ndarray) -> IncrementalValue:
        """Return dAUC = AUROC(covariates + score) - AUROC(covariates), on the same folds.

        ``delta`` has the bootstrap interval. ``delong`` is DeLong's paired test on out-of-fold
        log-odds, averaged over repeats and pooled over folds, so its difference is not exactly
        ``delta``. It takes items as independent, and is conservative for nested models (Demler et
        al. 2012). ``likelihood_ratio`` is the in-sample test of the score's coefficient.
        """
        delta, full, fit = self.delta(score)
        if fit is None:
            return IncrementalValue(self.estimate(), full, delta, delta, delta)
        return IncrementalValue(
            baseline=self.estimate(),
            full=full,
            delta=delta,
            delong=delong_difference(self.label, fit.log_odds.mean(0), self.fit.log_odds.mean(0), self.confidence),
            likelihood_ratio=likelihood_ratio(self.label, self.covariates, score),
        )


def likelihood_ratio(label: np.ndarray, covariates: np.ndarray, score: np.ndarray) -> Estimate:
    """Return twice the gain in log-likelihood from the score, and its chi-squared p (1 d.f.)."""
    before, after = (_log_likelihood(label, features) for features in (covariates, np.column_stack([covariates, score])))
    if math.isnan(before) or math.isnan(after):
        return undefined("the classes are perfectly separated: no maximum-likelihood fit", len(label))
    statistic = max(0.0, 2 * (after - before))
    return Estimate(statistic, p=float(stats.chi2.sf(statistic, 1)), n=len(label))


def _log_likelihood(label: np.ndarray, features: np.ndarray) -> float:
    """Return the unpenalised maximum; NaN where it does not exist."""
    scaled = StandardScaler().fit_transform(features)
    # A column that combines others would leave the maximum undetermined.
    basis, values, _ = np.linalg.svd(scaled, full_matrices=False)
    # One scale for all directions: near copies of a column then don't look like separation.
    scaled = basis[:, values > 1e-8 * max(values[0], 1e-8)] * math.sqrt(len(label))
    if not scaled.shape[1]:
        share = label.mean()
        return float(len(label) * (share * math.log(share) + (1 - share) * math.log(1 - share)))
    fit = LogisticRegression(C=np.inf, max_iter=10_000, tol=1e-8).fit(scaled, label)
    log_odds = fit.decision_function(scaled)
    if (log_odds[label == 1].min() > log_odds[label == 0].max()) or np.abs(fit.coef_).max() > 1e4:
        return math.nan
    return float(-np.logaddexp(0, np.where(label == 1, -log_odds, log_odds)).sum())
