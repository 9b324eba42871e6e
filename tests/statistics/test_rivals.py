import math

import numpy as np
import pytest
from scipy import stats

from tests.helpers.cross_fits import within_fold_auroc
from wor.statistics import auc, bootstrap, rivals
from wor.statistics.auc import NO_VARIANCE
from wor.statistics.baseline import CrossFit, cross_fit, make_splits


def study(m=30, n=40, seed=0, effect=0.8, decimals=1):
    """Two rounded scores of the same items, alike in part; the second knows less."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.r_[np.ones(m, int), np.zeros(n, int)])
    first = rng.normal(size=m + n) + effect * label
    second = 0.5 * first + rng.normal(size=m + n)
    return label, np.round(first, decimals), np.round(second, decimals)


def quantile(m, n):
    """Return t's quantile for two classes of so many clusters, times what draws lack in spread."""
    freedom = (1 / m + 1 / n) ** 2 / (1 / m**2 / (m - 1) + 1 / n**2 / (n - 1))
    return stats.t.ppf(0.975, freedom) * math.sqrt((1 / m + 1 / n) / ((m - 1) / m**2 + (n - 1) / n**2))


def within_fold_pairs(fit, label):
    positives, negatives = (np.flatnonzero(label == value) for value in (1, 0))
    return [(i, j) for fold in fit.fold for i in positives for j in negatives if fold[i] == fold[j]]


def weights(label, draws=2000, cluster=None):
    return bootstrap.cluster_weights(np.arange(len(label)) if cluster is None else cluster, label, draws, seed=0)


@pytest.mark.parametrize("seed", range(4))
def test_two_scores_differ_as_delong_says(seed):
    label, first, second = study(60, 80, seed)
    result, delong = rivals.auroc_difference(label, first, second, weights(label)), auc.delong_difference(label, first, second)
    assert result.value == pytest.approx(delong.value)
    # Not the same variance, but near it with so many items.
    assert (result.low, result.high) == pytest.approx((delong.low, delong.high), abs=0.03)
    assert (result.p < 0.05) == (result.low > 0 or result.high < 0)
    assert result.p == pytest.approx(delong.p, abs=0.03)
    back = rivals.auroc_difference(label, second, first, weights(label))
    assert (back.value, back.low, back.high, back.p) == pytest.approx((-result.value, -result.high, -result.low, result.p))


def test_standard_error_and_interval_are_scipys():
    label, first, second = study()
    result = rivals.auroc_difference(label, first, second, weights(label, 5000))

    def statistic(positive, negative):
        both = np.concatenate([positive, negative])
        again = np.repeat([1, 0], [len(positive), len(negative)])
        return auc.auroc(again, first[both]) - auc.auroc(again, second[both])

    theirs = stats.bootstrap(
        (np.flatnonzero(label == 1), np.flatnonzero(label == 0)),
        statistic,
        n_resamples=2500,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    assert (result.low, result.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.015)
    assert (result.high - result.low) / 2 / quantile(30, 40) == pytest.approx(theirs.standard_error, rel=0.06)


def test_against_a_cross_fit_only_pairs_of_a_fold_count():
    label, first, second = study()
    cluster = np.arange(70)
    fit = cross_fit(
        label, np.column_stack([second, np.random.default_rng(1).normal(size=70)]), make_splits(label, cluster, 5, 3, 0)
    )
    times = weights(label, 40)

    def by_hand(count):
        gained = counted = 0.0
        for log_odds, fold in zip(fit.log_odds, fit.fold, strict=True):
            for i in np.flatnonzero(label == 1):
                for j in np.flatnonzero(label == 0):
                    if fold[i] == fold[j]:
                        ours = (first[i] > first[j]) + 0.5 * (first[i] == first[j])
                        theirs = (log_odds[i] > log_odds[j]) + 0.5 * (log_odds[i] == log_odds[j])
                        gained += count[i] * count[j] * (ours - theirs)
                        counted += count[i] * count[j]
        return gained / counted

    result = rivals.auroc_difference(label, first, fit, times)
    samples = [by_hand(count) for count in times]
    assert result.value == pytest.approx(by_hand(np.ones(70)))
    half = quantile(30, 40) * np.std(samples, ddof=1)
    assert (result.low, result.high) == pytest.approx((result.value - half, result.value + half), abs=1e-6)
    gained = [(first[i] > first[j]) + 0.5 * (first[i] == first[j]) for i, j in within_fold_pairs(fit, label)]
    assert result.note == f"of pairs within a fold, where the first AUROC is {np.mean(gained):.2f}"
    # The AUROC of all pairs would be another.
    assert abs(result.value - (auc.auroc(label, first) - within_fold_auroc(fit, label))) > 1e-4


def test_a_cross_fit_of_one_fold_is_a_score():
    label, first, second = study()
    whole = CrossFit(second[None], np.zeros((1, 70), int))
    of_fit, of_score = (rivals.auroc_difference(label, first, rival, weights(label)) for rival in (whole, second))
    assert (of_fit.value, of_fit.low, of_fit.high, of_fit.p) == (of_score.value, of_score.low, of_score.high, of_score.p)


def test_few_clusters_widen_the_interval():
    label = np.repeat([1, 0], 40)
    cluster = np.arange(80) // 8
    rng = np.random.default_rng(3)
    first, second = (rng.normal(size=10)[cluster] + 0.3 * rng.normal(size=80) + label for _ in range(2))
    wide, narrow = (rivals.auroc_difference(label, first, second, weights(label, cluster=of)) for of in (cluster, None))
    assert wide.value == narrow.value
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
    assert wide.p > narrow.p


def test_notes_where_there_is_no_test():
    label, first, _ = study()
    alike = rivals.auroc_difference(label, first, 2 * first + 1, weights(label))
    assert (alike.value, alike.low, alike.high) == (0, 0, 0)
    assert math.isnan(alike.p)
    assert alike.note == "the scores rank the items alike"
    apart = rivals.auroc_difference(label, first + 100 * label, first - 100 * label, weights(label))
    bound = stats.binomtest(30, 30).proportion_ci(0.95, "exact").low
    assert (apart.value, apart.low, apart.high) == pytest.approx((1, 1 - math.sqrt(2) * (1 - bound), 1))
    assert math.isnan(apart.p)
    assert apart.note == NO_VARIANCE
    both = rivals.auroc_difference(
        label, first + 100 * label, np.random.default_rng(0).normal(size=70) + 100 * label, weights(label)
    )
    assert (both.value, both.low, both.high) == pytest.approx((0, bound - 1, 1 - bound))
    assert both.note == NO_VARIANCE


def activations(signal, seed, n=120, width=200):
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 2
    features = rng.normal(size=(n, width))
    features[:, 17] += signal * label
    return label, features


def test_a_sparse_fit_on_noise_knows_nothing_out_of_sample():
    result, inside = [], []
    for seed in range(8):
        label, features = activations(0, seed)
        fit = rivals.fit_sparse_logistic(label, features, np.arange(120), folds=5, repeats=2, seed=seed)
        result.append(within_fold_auroc(fit, label))
        inside.append(auc.auroc(label, rivals._lasso_logistic().fit(features, label).decision_function(features)))
    assert np.mean(inside) > 0.8  # what it would have claimed in-sample
    assert np.mean(result) == pytest.approx(0.5, abs=0.06)


def test_a_sparse_fit_finds_one_feature_of_many():
    label, features = activations(2.0, seed=0)
    fit = rivals.fit_sparse_logistic(label, features, np.arange(120), folds=5, repeats=2, seed=0)
    best = stats.norm.cdf(2 / math.sqrt(2))  # what the planted feature alone could reach
    assert best - 0.1 < within_fold_auroc(fit, label) < best + 0.05
    weights = rivals._lasso_logistic().fit(features, label)[-1].coef_[0]
    assert np.argmax(np.abs(weights)) == 17
    assert (weights != 0).sum() < 40


def test_a_sparse_fit_keeps_clusters_together():
    """Items of a cluster are copies: on both sides of a fold they would give each other away."""
    rng = np.random.default_rng(5)
    cluster = np.repeat(np.arange(24), 5)
    label = cluster % 2
    features = rng.normal(size=(24, 60))[cluster]
    together, apart = (
        rivals.fit_sparse_logistic(label, features, of, folds=4, repeats=2, seed=0) for of in (cluster, np.arange(120))
    )
    assert within_fold_auroc(apart, label) > 0.9
    assert within_fold_auroc(together, label) < 0.7


def test_a_fit_that_kept_nothing_gives_a_reason():
    label, features = activations(0, seed=0, n=40, width=20)
    result = rivals.fit_sparse_logistic(label, 0.0 * features, np.arange(40), folds=5, repeats=2, seed=0)
    assert result == "the fit kept no feature in any fold"


def test_its_control_task_knows_nothing_and_its_p_tells_a_signal_from_none():
    for signal, is_small in ((2.0, True), (0.0, False)):
        label, features = activations(signal, seed=1)
        fit = rivals.fit_sparse_logistic(label, features, np.arange(120), folds=3, repeats=1, seed=0)
        assert isinstance(fit, CrossFit)
        result = rivals.sparse_control_task(label, features, np.arange(120), fit, folds=3, draws=20, seed=0)
        assert result.value == pytest.approx(0.5, abs=0.06)
        assert result.low < 0.5 < result.high
        assert (result.p == pytest.approx(1 / 21)) == is_small
