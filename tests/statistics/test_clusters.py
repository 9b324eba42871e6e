"""The rule of few clusters, in its one place and in every estimate that has an interval."""

import math

import numpy as np
import pytest
from scipy import stats

from wor.statistics import bootstrap, nulls, partial, rivals, trend
from wor.statistics.clusters import FIXED, Clusters, count_clusters, count_names, join_notes

RNG = np.random.default_rng(0)


def rows(positives, negatives, size=12):
    """Return label, cluster and score of clusters of so many items, alike within a cluster."""
    cluster = np.repeat(np.arange(positives + negatives), size)
    label = (cluster < positives).astype(int)
    return label, cluster, RNG.normal(size=positives + negatives)[cluster] + RNG.normal(size=len(cluster)) + label


def draws(cluster, stratum, n=300):
    return bootstrap.cluster_weights(cluster, stratum, n, seed=0)


@pytest.mark.parametrize("n", [40, 300, 2000])
def test_the_clusters_are_read_from_the_draws(n):
    label, cluster, _ = rows(6, 9, 3)
    order = RNG.permutation(len(label))
    weights = draws(cluster[order], label[order], n)
    assert count_clusters(weights, label[order]) == Clusters((6, 9))
    assert count_clusters(weights) == Clusters((15,))
    assert count_clusters(weights[:, label[order] == 1]) == Clusters((6,))
    assert count_names(cluster, label) == Clusters((6, 9))


def test_an_outcome_of_many_values_has_no_classes_and_one_that_splits_clusters_counts_both_sides():
    _, cluster, score = rows(6, 9, 3)
    weights = draws(cluster, np.zeros(45))
    assert count_clusters(weights, score) == Clusters((15,))
    assert count_clusters(weights, np.arange(45) % 2) == Clusters((15, 15))


def test_a_dataset_that_is_one_cluster_adds_no_variance_and_a_note():
    stratum = np.repeat(["a", "b"], [8, 30])
    cluster = np.r_[np.full(8, 99), np.arange(30)]
    weights = draws(cluster, stratum)
    assert count_clusters(weights) == Clusters((30,), fixed=True)
    assert count_clusters(weights).note == FIXED
    result = bootstrap.auroc_interval(np.r_[np.ones(8), np.ones(15), np.zeros(15)].astype(int), RNG.normal(size=38), weights)
    assert result.note == join_notes("only 15 clusters in a class", FIXED)


@pytest.mark.parametrize(("counts", "equal_var"), [((12,), None), ((9, 9), True), ((5, 40), False)])
def test_quantiles_are_those_of_t_tests_of_samples_that_vary_alike(counts, equal_var):
    """The bootstrap of a mean, expanded, is scipy's t interval, of one sample or Welch's of two."""
    # One shape at all sizes, so that the samples' variances are equal: Welch's freedom is ours.
    samples = [np.tile([-1.0, 1.0], k)[:k] if k % 2 == 0 else np.r_[np.tile([-1.0, 1.0], k // 2), 0] for k in counts]
    samples = [values / values.std(ddof=1) for values in samples]
    clusters = Clusters(counts)
    if len(counts) == 1:
        theirs = stats.ttest_1samp(samples[0], -0.3).confidence_interval()
        error = samples[0].std() / math.sqrt(counts[0])
    else:
        theirs = stats.ttest_ind(*samples, equal_var=False).confidence_interval()
        error = math.sqrt(sum(values.var() / len(values) for values in samples))
    assert clusters.quantile(0.95) * error == pytest.approx((theirs.high - theirs.low) / 2)
    assert clusters.p_value(clusters.quantile(0.9)) == pytest.approx(0.1)


def test_the_percentiles_of_a_mean_are_near_its_t_interval():
    values = stats.norm.ppf((np.arange(8) + 0.5) / 8)
    weights = draws(np.arange(8), np.zeros(8), 20_000)
    samples, clusters = weights @ values / 8, count_clusters(weights)
    theirs = stats.ttest_1samp(values, 0).confidence_interval()
    assert bootstrap.percentile_interval(samples, 0.95, clusters) == pytest.approx((theirs.low, theirs.high), rel=0.08)
    assert bootstrap.percentile_interval(samples, 0.95)[1] < 0.8 * theirs.high


ESTIMATES = {
    "AUROC, percentile": lambda label, cluster, score, w: bootstrap.auroc_interval(label, score, w),
    "AUROC, BCa": lambda label, cluster, score, w: bootstrap.auroc_intervals(label, score, w, cluster)[0],
    "difference": lambda label, cluster, score, w: rivals.auroc_difference(label, score, RNG.normal(size=len(score)), w),
    "partial r": lambda label, cluster, score, w: partial.clustered_partial(score, label, RNG.normal(size=(len(score), 2)), w),
    "permutation": lambda label, cluster, score, w: nulls.permuted_auroc(label, score, cluster, 99, seed=0),
    "control task": lambda label, cluster, score, w: nulls.control_task(label, cluster, lambda *_: None, 0.5, draws=9, seed=0),
}


@pytest.mark.parametrize("name", ESTIMATES)
def test_below_five_clusters_in_a_class_there_is_a_reason_and_no_number(name):
    for positives, negatives in ((1, 1), (4, 12), (12, 4)):
        label, cluster, score = rows(positives, negatives)
        result = ESTIMATES[name](label, cluster, score, draws(cluster, label))
        assert np.isnan([result.value, result.low, result.high, result.p]).all()
        assert result.reason.startswith("fewer than 5 clusters to resample in a class (")


@pytest.mark.parametrize("name", [name for name in ESTIMATES if name not in ("permutation", "control task")])
def test_from_five_there_is_a_note_and_from_twenty_none(name):
    for positives, note in ((5, "only 5 clusters in a class"), (19, "only 19 clusters in a class"), (20, "")):
        label, cluster, score = rows(positives, 24)
        result = ESTIMATES[name](label, cluster, score, draws(cluster, label))
        assert math.isfinite(result.value + result.low + result.high)
        assert result.note == note


def test_a_trend_needs_five_clusters():
    cluster = np.arange(40) // 10
    result = trend.kendall_trend(np.arange(40) // 5, RNG.normal(size=40), draws(cluster, np.zeros(40)), 20, seed=0)
    assert result.reason == "fewer than 5 clusters to resample (4)"


def test_few_clusters_hold_the_truth_as_often_as_claimed_and_normal_quantiles_do_not():
    """A mean of 6 normal values: the percentiles alone hold it in 86 %."""
    plain, expanded = [], []
    for seed in range(400):
        values = np.random.default_rng(seed).normal(size=6)
        weights = bootstrap.cluster_weights(np.arange(6), np.zeros(6), 400, seed)
        samples = weights @ values / 6
        for found, clusters in ((plain, None), (expanded, count_clusters(weights))):
            low, high = bootstrap.percentile_interval(samples, 0.95, clusters)
            found.append(low < 0 < high)
    assert np.mean(plain) < 0.9
    assert 0.92 < np.mean(expanded) < 0.98
