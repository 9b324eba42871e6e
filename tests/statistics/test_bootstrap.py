import numpy as np
import pytest
from scipy import stats

from wor.statistics import auc, bootstrap

RNG = np.random.default_rng(2)
LABEL = np.r_[np.ones(25, int), np.zeros(35, int)]
SCORE = np.round(RNG.normal(size=60) + 0.7 * LABEL, 1)
CLUSTER = np.r_[np.repeat(np.arange(5), 5), np.arange(100, 135)]


def test_clusters_come_and_go_together_and_strata_keep_their_number_of_clusters():
    drawn = bootstrap.weights(CLUSTER, LABEL, 500, seed=0)
    assert drawn.shape == (500, 60)
    for cluster in range(5):
        members = drawn[:, cluster == CLUSTER]
        assert (members == members[:, :1]).all()
    assert (drawn[:, LABEL == 1].sum(1) == 25).all()  # clusters of equal size: the same number of items too
    assert (drawn[:, LABEL == 0].sum(1) == 35).all()
    assert drawn.mean(0) == pytest.approx(np.ones(60), abs=0.2)


def test_a_weighted_auroc_is_that_of_the_repeated_items():
    drawn = bootstrap.weights(CLUSTER, LABEL, 50, seed=1)
    found = bootstrap.weighted_auroc(LABEL, drawn, bootstrap.pairs(LABEL, SCORE))
    for times, value in zip(drawn, found, strict=True):
        again = np.repeat(np.arange(60), times.astype(int))
        assert value == pytest.approx(auc.auroc(LABEL[again], SCORE[again]), abs=1e-6)


def test_weights_of_one_give_the_auroc_itself():
    ones = np.ones((1, 60), np.float32)
    found = bootstrap.weighted_auroc(LABEL, ones, bootstrap.pairs(LABEL, SCORE))
    assert found[0] == pytest.approx(auc.auroc(LABEL, SCORE))


def test_the_interval_agrees_with_scipys_bootstrap():
    """Without clusters and stratified by class, it is scipy's two-sample bootstrap of the same statistic."""
    drawn = bootstrap.weights(np.arange(60), LABEL, 10_000, seed=3)
    ours = bootstrap.auroc_interval(LABEL, SCORE, drawn)

    def statistic(positive, negative, axis=-1):
        ranks = stats.rankdata(np.concatenate([positive, negative], axis=axis), axis=axis)
        m, n = positive.shape[axis], negative.shape[axis]
        return (np.take(ranks, np.arange(m), axis=axis).sum(axis=axis) - m * (m + 1) / 2) / (m * n)

    theirs = stats.bootstrap(
        (SCORE[LABEL == 1], SCORE[LABEL == 0]), statistic, n_resamples=10_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)
    assert ours.value == pytest.approx(auc.auroc(LABEL, SCORE))


def test_the_same_seed_gives_the_same_interval():
    drawn = [bootstrap.weights(CLUSTER, LABEL, 300, seed=seed) for seed in (4, 4, 5)]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_few_clusters_widen_the_interval():
    clustered = np.r_[np.repeat(np.arange(5), 5), np.repeat(np.arange(100, 107), 5)]
    score = np.random.default_rng(0).normal(size=200)[clustered] + 0.7 * LABEL  # one value a cluster
    widths = []
    for cluster in (clustered, np.arange(60)):
        found = bootstrap.auroc_interval(LABEL, score, bootstrap.weights(cluster, LABEL, 2000, seed=6))
        widths.append(found.high - found.low)
    assert widths[0] > 1.5 * widths[1]
