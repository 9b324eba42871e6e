"""What a score adds to a baseline of covariates, out of sample.

Covariates enter as natural cubic splines with 3 degrees of freedom, in a ridge logistic regression
(C = 1). With a linear fit, a score that is only the square of a covariate would seem to add.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from wor.statistics import bootstrap
from wor.statistics.auc import delong_difference, mann_whitney, why_too_few, why_unusable
from wor.statistics.clusters import Clusters, count_clusters, with_note
from wor.statistics.logistic import TOLERANCE, Fits, fit_ridge, predict_log_odds
from wor.statistics.power import distance_of_gain
from wor.statistics.result import Estimate, undefined
from wor.statistics.splines import SplineDesign
from wor.statistics.threads import map_threads

MARGIN = 0.05  # a gain in AUROC that is smaller than this doesn't matter, where no margin is registered
REFIT_REPEATS = 2  # splits that each bootstrap draw is cross-fitted on; two tell splits and draws apart
REFIT_TOLERANCE = 1e-4  # of a draw's fit; it is far below what the draws differ by
DETERMINED = 1e-4  # share of a score's variance below which covariates determine it
SCORES_AT_ONCE = 100  # whose fits share a call, which bounds the memory
NEARLY_ALL = 0.99  # AUROC of covariates that leave nothing to add
SEPARATED = "the covariates separate the classes perfectly: the fit is penalised, and nothing can be added"


def ridge_logistic():
    """Return an L2-penalised fit: log-odds stay finite where a covariate separates the classes."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))


@dataclass(frozen=True)
class CrossFit:
    """Out-of-fold log-odds. ``log_odds`` and ``fold`` are [R, N], for R repeats."""

    log_odds: np.ndarray
    fold: np.ndarray  # -1 for an item that no fit could be made for

    def parts(self, label: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield repeat and items of each fold with both classes: the pairs that are compared.

        Pooling folds, whose fits differ, biases the AUROC downwards, most where there is no effect.
        """
        for repeat, fold in enumerate(self.fold):
            for index in np.unique(fold[fold >= 0]):
                members = np.flatnonzero(fold == index)
                if 0 < label[members].sum() < len(members):
                    yield repeat, members

    def pairs_by_repeat(self, label: np.ndarray) -> np.ndarray:
        """Return `auc.mann_whitney` over pairs that share a fold: [R, 2], won and all of them."""
        pairs = np.zeros((len(self.fold), 2))
        for repeat, members in self.parts(label):
            pairs[repeat] += mann_whitney(label[members], self.log_odds[repeat, members])
        return pairs

    def auroc(self, label: np.ndarray) -> float:
        """Return the AUROC over pairs that share a fold; NaN without a pair."""
        return _ratio(self.pairs_by_repeat(label).sum(0))

    def won_pairs(self, label: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return `bootstrap.won_pairs` over pairs that share a fold, summed over repeats."""
        won, total = np.zeros(len(weights)), np.zeros(len(weights))
        for repeat, members in self.parts(label):
            pairs = bootstrap.won_pairs(label, self.log_odds[repeat], weights, members)
            won, total = won + pairs[0], total + pairs[1]
        return won, total

    def resampled_auroc(self, label: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the AUROC of each sample of `bootstrap.cluster_weights`: [draws]."""
        return bootstrap.ratio_of_pairs(*self.won_pairs(label, weights))

    def out_of_order(self, label: np.ndarray, rising: bool) -> np.ndarray:
        """Return which items are in a pair of a fold that is out of order in some repeat: [N]."""
        wrong = np.zeros(len(label), bool)
        for repeat, members in self.parts(label):
            wrong[members] |= bootstrap.out_of_order(label[members], self.log_odds[repeat, members], rising)
        return wrong


Splits = list[list[tuple[np.ndarray, np.ndarray]]]


def make_splits(label: np.ndarray, cluster: np.ndarray, folds: int, repeats: int, seed: int) -> Splits:
    """Return train and test items per repeat and fold, stratified and with whole clusters."""
    _, owner = np.unique(cluster, return_inverse=True)
    items = np.asarray(label, np.int8).tobytes(), owner.astype(np.int64).tobytes()
    return [_split(*items, folds, seed + repeat) for repeat in range(repeats)]


@lru_cache(maxsize=512)  # half a second for thousands of clusters, and every score has the same items
def _split(label: bytes, owner: bytes, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    labels, clusters = np.frombuffer(label, np.int8), np.frombuffer(owner, np.int64)
    settings = {"shuffle": True, "random_state": seed}
    if np.bincount(clusters).max() > 1:
        return list(StratifiedGroupKFold(folds, **settings).split(labels, labels, clusters))
    return list(StratifiedKFold(folds, **settings).split(labels, labels))


def cross_fit(label: np.ndarray, features: np.ndarray, splits: Splits, model: Callable = ridge_logistic) -> CrossFit:
    """Fit a classifier on each split's training items, and apply it to its test items.

    ``features``, [N, K], may be sparse. A fold whose training items are of one class is left out.
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
    unbounded: Estimate
    coefficient: Estimate
    equivalence: Estimate
    bayes_factor: Estimate
    delong: Estimate
    likelihood_ratio: Estimate

    def as_dict(self) -> dict[str, dict]:
        return {part: estimate.as_dict() for part, estimate in vars(self).items()}


@dataclass(frozen=True)
class GainSamples:
    """A gain in AUROC with what its error is made of: see `Baseline.gain_samples`."""

    value: float
    repeats: np.ndarray  # [repeats], of each split of the sample itself
    draws: np.ndarray  # [splits, draws], of each bootstrap draw with refit; NaN where it has no pair
    clusters: Clusters
    n: int

    @property
    def error(self) -> float:
        """Return the standard error of the mean over splits.

        The variance over splits is taken out of the draws' variance, and what is left of it after
        averaging over ``repeats`` is added.
        """
        return _error_of_mean(self.repeats, self.draws)


def gain_difference(first: GainSamples, second: GainSamples, confidence: float = 0.95) -> Estimate:
    """Return the second gain minus the first, in [-2, 2], paired over splits and draws.

    Draw b of both must have drawn the same clusters. What two models share, such as hard items,
    then leaves the error. Interval and two-sided p are by t, with the degrees of freedom of the one
    that has fewer; n is the smaller too. NaN with a reason where nothing varies.
    """
    error, n = _error_of_mean(second.repeats - first.repeats, second.draws - first.draws), min(first.n, second.n)
    if not error > 0:
        return undefined("the difference of the gains is the same in every draw", n)
    clusters = min(first.clusters, second.clusters, key=lambda counted: counted.freedom)
    value, half = second.value - first.value, clusters.quantile(confidence) * error
    return Estimate(value, value - half, value + half, clusters.p_value(value / error), n, note=clusters.note)


def _error_of_mean(repeats: np.ndarray, draws: np.ndarray) -> float:
    """Return the error of a mean over splits, [repeats], from draws [splits, draws]."""
    draws = draws[:, ~np.isnan(draws).any(0)]
    between, within = draws.mean(0).var(ddof=1), draws.var(0, ddof=1).mean() if len(draws) > 1 else 0.0
    sampling = max(between - within / len(draws), 0.0)
    return math.sqrt(sampling + within / len(repeats))


@dataclass(frozen=True)
class _Aurocs:
    """A fit's AUROC, with what its error is made of: with refits ``draws``, without ``samples``."""

    value: float
    repeats: np.ndarray  # [repeats], of each split of the sample itself
    draws: np.ndarray  # [splits, draws], of each bootstrap draw with refit
    samples: np.ndarray  # [draws], of each bootstrap draw with the fit as it is


@dataclass(frozen=True)
class _Fold:
    index: int
    train: np.ndarray
    test: np.ndarray
    columns: np.ndarray  # [N, columns], of the spline design that the training items made


@dataclass(frozen=True)
class _FoldFits:
    """The covariates' fits of one fold, in the samples ``drawn`` that have both classes."""

    fold: _Fold
    drawn: np.ndarray
    known: Fits  # of the training items
    log_odds: np.ndarray  # [drawn, test items]


@dataclass(frozen=True)
class Baseline:
    """The covariates' fit, computed once for every score that is compared with it.

    ``label`` is [N] of 0 and 1, ``covariates`` [N, K]. ``cluster``, [N], is the unit of the
    cross-fitting and of the bootstrap. ``weights`` are [draws, N] from `bootstrap.cluster_weights`.

    Intervals are estimate -+ t x standard error. The error is that of ``refit_draws`` bootstrap
    draws of clusters, in each of which all folds are fitted again. A cluster stays in its fold, so
    that no item is fitted and tested in one draw. The variance over splits is taken out of the
    draws' variance, and what is left of it after averaging over ``repeats`` splits is added.
    Knots, means and scales of the covariates stay those of the training items. With 0 draws the
    intervals are percentiles with the fits as they are, which is too short.
    """

    label: np.ndarray
    covariates: np.ndarray
    cluster: np.ndarray
    weights: np.ndarray
    folds: int
    repeats: int
    seed: int
    confidence: float = 0.95
    refit_draws: int = 0

    @cached_property
    def _folds(self) -> list[list[_Fold]]:
        splits = make_splits(self.label, self.cluster, self.folds, self.repeats, self.seed)
        return [
            [
                _Fold(index, train, test, SplineDesign.fit(self.covariates[train]).columns(self.covariates))
                for index, (train, test) in enumerate(split)
                if len(np.unique(self.label[train])) == 2
            ]
            for split in splits
        ]

    @cached_property
    def clusters(self) -> Clusters:
        return count_clusters(self.weights, self.label)

    @cached_property
    def _refit_weights(self) -> np.ndarray:
        return np.asarray(self.weights[: self.refit_draws], float)

    @cached_property
    def _fits(self) -> list[list[_FoldFits]]:
        """Return the fits of the sample itself, per repeat and fold."""
        ones = np.ones((1, len(self.label)))
        return self._by_fold(lambda repeat, place: self._fit_fold(self._folds[repeat][place], ones, TOLERANCE), self.repeats)

    @cached_property
    def _refits(self) -> list[list[_FoldFits]]:
        """Return the fits of all draws, per split and fold."""
        arrays = self._refit_weights, REFIT_TOLERANCE

        def refit(repeat: int, place: int) -> _FoldFits:
            own = self._fits[repeat][place]
            return self._fit_fold(own.fold, *arrays, start=own.known.beta)

        return self._by_fold(refit, min(REFIT_REPEATS, self.repeats))

    def _by_fold(self, fit: Callable[[int, int], _FoldFits], repeats: int) -> list[list[_FoldFits]]:
        places = [(repeat, place) for repeat in range(repeats) for place in range(len(self._folds[repeat]))]
        fits = iter(map_threads(lambda both: fit(*both), places))
        return [[next(fits) for _ in self._folds[repeat]] for repeat in range(repeats)]

    def _fit_fold(self, fold: _Fold, weights: np.ndarray, tolerance: float, start: np.ndarray | None = None) -> _FoldFits:
        drawn, columns, label = _both_classes(self.label, weights, fold.train), fold.columns[fold.train], self.label[fold.train]
        used = weights[drawn][:, fold.train]
        beta = fit_ridge(columns, label, used, tolerance=tolerance, start=start)
        log_odds = predict_log_odds(fold.columns[fold.test], beta)
        return _FoldFits(fold, drawn, Fits.at(beta, columns, label, used), log_odds)

    @cached_property
    def fit(self) -> CrossFit:
        """Return the covariates' out-of-fold log-odds."""
        fold_of = np.full((len(self._folds), len(self.label)), -1)
        for repeat, folds in enumerate(self._folds):
            for fold in folds:
                fold_of[repeat, fold.test] = fold.index
        return CrossFit(np.concatenate([self._gather(fits, 1) for fits in self._fits]), fold_of)

    def _gather(self, fits: list[_FoldFits], samples: int) -> np.ndarray:
        log_odds = np.full((samples, len(self.label)), np.nan)
        for part in fits:
            log_odds[np.ix_(part.drawn, part.fold.test)] = part.log_odds
        return log_odds

    @cached_property
    def _note(self) -> str:
        return SEPARATED if math.isnan(_log_likelihood(self.label, self.covariates)) else ""

    @cached_property
    def _why_nothing_is_left(self) -> str:
        # A few items are often separated by chance. Out of sample they are not.
        return self._note if self._before.value > NEARLY_ALL else ""

    @cached_property
    def columns(self) -> int:
        """Return the number of columns that the covariates' splines have."""
        return self._whole_columns.shape[1]

    @cached_property
    def _whole_columns(self) -> np.ndarray:
        return SplineDesign.fit(self.covariates).columns(self.covariates)

    @cached_property
    def why_unusable(self) -> str:
        """Return why there is no fit; empty when there is one."""
        if np.isnan(self.covariates).any():
            return "covariates hold NaN"
        return why_not_cross_fitted(self.label, self.cluster, self.folds) or self.clusters.why_too_few

    def _log_odds_with(
        self, part: _FoldFits, rows: np.ndarray, direction: np.ndarray, tolerance: float, score: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return log-odds of a fold's test items with a score, and the same bounded to a direction.

        ``rows``, [samples or 1, N], are scores: each its own, or ``score``, [N], in each sample.
        ``direction`` is [samples] or [1]. Where a coefficient has the other sign, the bounded fit
        is the one without the score.
        """
        train, test = part.fold.train, part.fold.test
        own = rows[:, train] if score is None else score[None, train]
        mean, scale = own.mean(1, keepdims=True), own.std(1, keepdims=True)
        scaled = (rows - mean) / np.where(scale > 0, scale, 1.0)
        beta = part.known.add_score(scaled[:, train], tolerance)
        free = predict_log_odds(part.fold.columns[test], beta, scaled[:, test])
        coefficient, share = part.known.one_step(scaled[:, train])
        wrong = (direction != 0) & ((direction * coefficient < 0) | (share < DETERMINED))
        return free, np.where(wrong[:, None], part.log_odds, free)

    @cached_property
    def _fitted(self) -> dict[tuple[bytes, int], tuple[CrossFit, CrossFit]]:
        return {}

    def prepare(self, scores: Sequence[np.ndarray], directions: Sequence[int]) -> None:
        """Fit several scores at once, and all that they share, for later calls of `delta` etc.

        That is much faster than one by one, and threads then find the same fits. A score that is
        unusable is left out.
        """
        if not self.why_unusable:
            self.estimate()
            _ = self._whole if self.refit_draws else None
            self._fit_together(scores, directions)

    def _fit_together(self, scores: Sequence[np.ndarray], directions: Sequence[int]) -> None:
        pairs = zip(scores, directions, strict=True)
        new = {_key(score, direction): (score, direction) for score, direction in pairs if not why_unusable(self.label, score)}
        new = {key: pair for key, pair in new.items() if key not in self._fitted}
        for first in range(0, len(new), SCORES_AT_ONCE):
            keys = list(new)[first : first + SCORES_AT_ONCE]
            rows = np.stack([new[key][0] for key in keys]).astype(float)
            direction = np.array([new[key][1] for key in keys])
            free, bounded = np.full((2, len(keys), len(self._fits), len(self.label)), np.nan)
            for repeat, fits in enumerate(self._fits):
                for part in fits:
                    both = self._log_odds_with(part, rows, direction, TOLERANCE)
                    free[:, repeat, part.fold.test], bounded[:, repeat, part.fold.test] = both
            for index, key in enumerate(keys):
                self._fitted[key] = CrossFit(free[index], self.fit.fold), CrossFit(bounded[index], self.fit.fold)

    def fit_with(self, score: np.ndarray, direction: int = 0) -> CrossFit:
        """Return the fit with the score that `delta` is about."""
        return self._cross_fits(score, direction)[1]

    def _cross_fits(self, score: np.ndarray, direction: int) -> tuple[CrossFit, CrossFit]:
        """Return the cross-fit with the score, and the one bounded to its direction."""
        self._fit_together([score], [direction])
        return self._fitted[_key(score, direction)]

    def _interval(self, value: float, error: float) -> tuple[float, float]:
        half = self.clusters.quantile(self.confidence) * error
        return value - half, value + half

    def _aurocs(self, fit: CrossFit, refits: list[np.ndarray]) -> _Aurocs:
        """Return them for a fit, and ``refits``: log-odds [draws, N] of each split."""
        pairs = zip(fit.fold, refits, strict=False)
        draws = [auroc_within_folds(self.label, fold_of, log_odds, self._refit_weights) for fold_of, log_odds in pairs]
        samples = np.empty(0) if self.refit_draws else fit.resampled_auroc(self.label, self.weights)
        counted = fit.pairs_by_repeat(self.label)
        return _Aurocs(_ratio(counted.sum(0)), bootstrap.ratio_of_pairs(*counted.T), np.array(draws), samples)

    @cached_property
    def _before(self) -> _Aurocs:
        refits = [self._gather(fits, self.refit_draws) for fits in self._refits] if self.refit_draws else []
        return self._aurocs(self.fit, refits)

    def _refitted(
        self, score: np.ndarray, direction: int, score_draws: np.ndarray | None
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return each split's log-odds with the score, [draws, N], in all draws: free, bounded."""
        free: list[np.ndarray] = []
        bounded: list[np.ndarray] = []
        for fits in self._refits if self.refit_draws else []:
            both = np.full((2, *self._refit_weights.shape), np.nan)
            for part in fits:
                rows = score[None] if score_draws is None else score_draws[part.drawn]
                log_odds = self._log_odds_with(part, rows, np.array([direction]), REFIT_TOLERANCE, score)
                for values, place in zip(log_odds, both, strict=True):
                    place[np.ix_(part.drawn, part.fold.test)] = values
            free.append(both[0])
            bounded.append(both[1])
        return free, bounded

    def _auroc_estimate(self, fit: CrossFit, aurocs: _Aurocs) -> Estimate:
        if self.refit_draws:
            low, high = self._interval(aurocs.value, _error_of_mean(aurocs.repeats, aurocs.draws))
            interval = max(low, 0.0), min(high, 1.0)
        else:
            interval = bootstrap.percentile_interval(aurocs.samples, self.confidence, self.clusters)
        estimate = Estimate(aurocs.value, *interval, n=len(self.label), note=self.clusters.note)
        wrong = fit.out_of_order(self.label, aurocs.value > 0.5)
        return bootstrap.bound_near_perfect(estimate, self.label, self.weights, self.confidence, wrong)

    def estimate(self) -> Estimate:
        """Return the cross-fitted AUROC of the covariates alone."""
        if self.why_unusable:
            return undefined(self.why_unusable, len(self.label))
        return with_note(self._auroc_estimate(self.fit, self._before), self._note)

    def _gain_samples(self, after: _Aurocs) -> GainSamples:
        before = self._before
        changes = after.value - before.value, after.repeats - before.repeats, after.draws - before.draws
        return GainSamples(*changes, self.clusters, len(self.label))

    def _gain(self, after: _Aurocs) -> Estimate:
        if self.refit_draws:
            gain = self._gain_samples(after)
            interval = self._interval(gain.value, gain.error)
        else:
            samples = after.samples - self._before.samples
            interval = bootstrap.percentile_interval(samples, self.confidence, self.clusters)
        delta = Estimate(after.value - self._before.value, *interval, n=len(self.label))
        return with_note(delta, self.clusters.note, self._note)

    def delta(
        self, score: np.ndarray, direction: int = 0, score_draws: np.ndarray | None = None
    ) -> tuple[Estimate, CrossFit | None]:
        """Return the gain in AUROC from the score, and the fit with it.

        ``direction`` 1 or -1 bounds the score's coefficient at 0 on that side, 0 does not. The sign
        is that of `coefficient` among a fold's training items.
        ``score_draws``, [refit_draws, N], has the score anew in each draw.
        """
        if reason := why_unusable(self.label, score) or self.why_unusable:
            return undefined(reason, len(self.label)), None
        fit = self.fit_with(score, direction)
        return self._gain(self._aurocs(fit, self._refitted(score, direction, score_draws)[1])), fit

    def gain_samples(self, score: np.ndarray, direction: int = 0, score_draws: np.ndarray | None = None) -> GainSamples | str:
        """Return the splits and draws behind the gain of `delta`, or why there are none.

        The arguments are those of `delta`. Draws of two baselines go together where row b of their
        ``weights`` comes from the same draw of clusters: see `gain_difference`.
        """
        reason = why_unusable(self.label, score) or self.why_unusable or ("" if self.refit_draws else "the fits are not repeated")
        if reason:
            return reason
        fit, refits = self.fit_with(score, direction), self._refitted(score, direction, score_draws)[1]
        return self._gain_samples(self._aurocs(fit, refits))

    @cached_property
    def _whole(self) -> Fits:
        """Return the fits on all items, of the sample and then of each draw."""
        columns, ones = self._whole_columns, np.ones((1, len(self.label)))
        start, weights = fit_ridge(columns, self.label, ones), np.concatenate([ones, self._refit_weights])
        return Fits.at(fit_ridge(columns, self.label, weights, start=start), columns, self.label, weights)

    def coefficient(self, score: np.ndarray, direction: int = 0, score_draws: np.ndarray | None = None) -> Estimate:
        """Return the score's coefficient given the covariates: log-odds per standard deviation.

        It is the one step from the covariates' penalised fit to a fit with the score, whose part
        that the covariates predict is taken out: sum r (y - p) / sum p (1 - p) r^2, where r is the
        residual of a regression of the score on the covariates' columns with weights p (1 - p). A
        plain ridge coefficient would not do: the covariates' share that the penalty holds back
        goes to any score that leans on them (benchmarks/COVERAGE.md).

        The error is that of ``refit_draws`` draws in which all is fitted again. p is t's, one-sided
        in ``direction``, and two-sided for 0. NaN with a reason where the covariates determine the
        score, or there are too few items for their columns.
        """
        return self._coefficient(score, direction, score_draws)[0]

    def _coefficient(self, score: np.ndarray, direction: int, score_draws: np.ndarray | None) -> tuple[Estimate, float, float]:
        """Return the coefficient, its standard error, and the score's share that is new."""
        n = len(self.label)
        too_few = f"{n} items are too few for {self.columns} columns of covariates"
        reason = why_unusable(self.label, score) or self.why_unusable
        reason = reason or self._why_nothing_is_left or ("" if self.refit_draws else "the fits are not repeated")
        if reason := reason or (too_few if n - self.columns - 1 < 10 else ""):
            return undefined(reason, n), math.nan, math.nan
        rows = score[None] if score_draws is None else np.concatenate([score[None], score_draws])
        values, share = self._whole.one_step((rows - score.mean()) / score.std())
        defined = share > DETERMINED
        if not defined[0] or defined.mean() < 0.9:
            return undefined(too_few if defined[0] else "the covariates determine the score", n), math.nan, math.nan
        values = values[defined]
        value, error = float(values[0]), float(values[1:].std(ddof=1))
        p = self.clusters.tail(direction * value / error) if direction else self.clusters.p_value(value / error)
        estimate = Estimate(value, *self._interval(value, error), p=p, n=n, note=self.clusters.note)
        return estimate, error, float(share[0])

    def incremental_value(
        self, score: np.ndarray, direction: int = 0, margin: float = MARGIN, score_draws: np.ndarray | None = None
    ) -> IncrementalValue:
        """Return dAUC = AUROC(covariates + score) - AUROC(covariates), on the same folds.

        - ``delta`` is the gain with the score's coefficient bounded to ``direction``, ``full`` the
          AUROC with that fit, ``unbounded`` the gain of the fit that takes either sign.
        - ``coefficient`` tests whether the score adds: see `coefficient`. A test of the gain itself
          would not do, as its distribution is not normal where there is none (Demler et al. 2012).
        - ``equivalence`` has the p of two one-sided tests that the gain lies within ``margin`` of 0
          (Schuirmann 1987), or if larger, that of the test that the coefficient is smaller than
          one worth ``margin`` (`power.distance_of_gain`). Where little is gained, a gain hardly
          varies, though the coefficient may still be large.
        - ``bayes_factor`` is of no coefficient over one in ``direction``: see `bayes_factor`.
        - ``delong`` is DeLong's paired test on out-of-fold log-odds, averaged over repeats and
          pooled over folds, so its difference is not exactly ``unbounded``. It takes items as
          independent, and is conservative for nested models (Demler et al. 2012).
        - ``likelihood_ratio`` is the in-sample test of the score's coefficient in a fit that is
          linear and not penalised.

        ``score_draws``, [refit_draws, N], has the score anew in each draw, such as under
        calibration items drawn with it: the intervals are then joint.
        """
        if reason := why_unusable(self.label, score) or self.why_unusable:
            return IncrementalValue(self.estimate(), *[undefined(reason, len(self.label))] * 8)
        fits, refits = self._cross_fits(score, direction), self._refitted(score, direction, score_draws)
        free, bounded = (self._aurocs(*both) for both in zip(fits, refits, strict=True))
        delta = self._gain(bounded)
        coefficient, error, share = self._coefficient(score, direction, score_draws)
        absence, factor = equivalence(delta, margin, self.clusters, self.confidence), coefficient
        if coefficient.reason:
            absence = replace(absence, p=math.nan, reason=coefficient.reason)
        else:
            ratio, n = coefficient.value / error, sum(self.clusters.counts)
            factor = Estimate(bayes_factor(ratio / self.clusters.expansion, n, direction), n=n)
            # The coefficient that a gain of the margin would take.
            matters = distance_of_gain(self._before.value, margin) / math.sqrt(share)
            towards = direction * coefficient.value if direction else abs(coefficient.value)
            absence = replace(absence, p=max(absence.p, self.clusters.tail((matters - towards) / error)))
        return IncrementalValue(
            baseline=self.estimate(),
            full=self._auroc_estimate(fits[1], bounded),
            delta=delta,
            unbounded=self._gain(free),
            coefficient=coefficient,
            equivalence=absence,
            bayes_factor=factor,
            delong=delong_difference(self.label, fits[0].log_odds.mean(0), self.fit.log_odds.mean(0), self.confidence),
            likelihood_ratio=likelihood_ratio(self.label, self.covariates, score),
        )


def _key(score: np.ndarray, direction: int) -> tuple[bytes, int]:
    return np.asarray(score, float).tobytes(), direction


def _ratio(pairs: np.ndarray) -> float:
    return float(bootstrap.ratio_of_pairs(*pairs[:, None])[0])


def equivalence(estimate: Estimate, margin: float, clusters: Clusters, confidence: float = 0.95) -> Estimate:
    """Return two one-sided tests that a difference lies within ``margin`` of 0 (Schuirmann 1987).

    p is the larger of the two. The interval has the confidence 2 x confidence - 1, and lies within
    the margin where p is below 1 - confidence. ``estimate`` has an interval of value -+ t x error.
    """
    error = (estimate.high - estimate.low) / 2 / clusters.quantile(confidence)
    half = clusters.quantile(2 * confidence - 1) * error
    distance = margin - abs(estimate.value)
    p = clusters.tail(distance / error) if error > 0 else float(distance <= 0)
    return Estimate(estimate.value, estimate.value - half, estimate.value + half, p=p, n=estimate.n)


def bayes_factor(ratio: float, n: int, direction: int = 0) -> float:
    """Return the Bayes factor of no effect over an effect, from BIC. Above 0; 1 is no evidence.

    sqrt(n) exp(-ratio^2 / 2), where ``ratio`` is estimate over standard error, whose square stands
    for the likelihood ratio, and ``n`` counts clusters (Kass & Raftery 1995; Wagenmakers 2007). The
    prior of the effect is as wide as one cluster informs. With a direction the effect's prior is
    cut to that side, which divides by 2 P(effect on that side) (Morey & Wagenmakers 2014).
    """
    factor = math.sqrt(n) * math.exp(-(ratio**2) / 2)
    return factor / (2 * float(stats.norm.cdf(direction * ratio))) if direction else factor


def auroc_within_folds(label: np.ndarray, fold: np.ndarray, log_odds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return each draw's AUROC over the pairs that share a fold: ``[draws]``, NaN without a pair.

    ``fold`` is [N]; ``log_odds`` and ``weights`` are [draws, N].
    """
    won, total = np.zeros(len(weights)), np.zeros(len(weights))
    for index in np.unique(fold[fold >= 0]):
        members = np.flatnonzero(fold == index)
        if 0 < label[members].sum() < len(members):
            pairs = bootstrap.won_pairs_by_draw(label[members], log_odds[:, members], weights[:, members])
            won, total = won + pairs[0], total + pairs[1]
    return bootstrap.ratio_of_pairs(won, total)


def _both_classes(label: np.ndarray, weights: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return the draws whose training items are of both classes: indices."""
    positives = weights[:, train] @ label[train]
    return np.flatnonzero((positives > 0) & (positives < weights[:, train].sum(1)))


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
