import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from tests.helpers.cross_fits import wins
from wor.statistics import auc, bootstrap

RNG = np.random.default_rng(2)
LABEL = np.r_[np.ones(25, int), np.zeros(35, int)]
SCORE = np.round(RNG.normal(size=60) + 0.7 * LABEL, 1)
CLUSTER = np.r_[np.repeat(np.arange(5), 5), np.arange(100, 135)]


def test_clusters_come_and_go_together_and_strata_keep_their_number_of_clusters():
    weights = bootstrap.cluster_weights(CLUSTER, LABEL, 500, seed=0)
    assert weights.shape == (500, 60)
    for cluster in range(5):
        members = weights[:, cluster == CLUSTER]
        assert (members == members[:, :1]).all()
    assert (weights[:, LABEL == 1].sum(1) == 25).all()  # clusters of equal size
    assert (weights[:, LABEL == 0].sum(1) == 35).all()
    assert weights.mean(0) == pytest.approx(np.ones(60), abs=0.2)


def test_a_weighted_auroc_is_that_of_the_repeated_items():
    weights = bootstrap.cluster_weights(CLUSTER, LABEL, 50, seed=1)
    result = bootstrap.resampled_auroc(LABEL, SCORE, weights)
    for times, value in zip(weights, result, strict=True):
        again = np.repeat(np.arange(60), times.astype(int))
        assert value == pytest.approx(auc.auroc(LABEL[again], SCORE[again]), abs=1e-6)


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_samples_and_their_pairs_are_counted_to_the_last_half(decimals):
    """Of weights in any order in memory, with ties within and between the classes."""
    score = np.round(SCORE + 0.01 * RNG.normal(size=60), decimals)
    weights = bootstrap.cluster_weights(CLUSTER, LABEL, 300, seed=5)
    pairs = weights[:, LABEL == 1].astype(float), weights[:, LABEL == 0].astype(float)
    for stored in (weights, np.ascontiguousarray(weights), weights.astype(float)):
        won, total = bootstrap.won_pairs(LABEL, score, stored)
        assert (won == ((pairs[0] @ wins(LABEL, score)) * pairs[1]).sum(1)).all()
        assert (total == pairs[0].sum(1) * pairs[1].sum(1)).all()
    again = bootstrap.won_pairs_by_draw(LABEL, np.broadcast_to(score, weights.shape), weights)
    assert (again[0] == won).all()
    assert (again[1] == total).all()


@pytest.mark.parametrize("rising", [True, False])
def test_an_item_is_out_of_order_where_one_of_its_pairs_is(rising):
    for shift in (0, 2, 4, 9):
        score = np.round(SCORE + shift * LABEL, 0)
        won = wins(LABEL, score)
        wrong = won < 1 if rising else won > 0
        expected = np.zeros(60, bool)
        expected[LABEL == 1], expected[LABEL == 0] = wrong.any(1), wrong.any(0)
        assert (bootstrap.out_of_order(LABEL, score, rising) == expected).all()


def test_weights_of_one_give_the_auroc_itself():
    ones = np.ones((1, 60), np.float32)
    result = bootstrap.resampled_auroc(LABEL, SCORE, ones)
    assert result[0] == pytest.approx(auc.auroc(LABEL, SCORE))


def of_two_samples(positive, negative, axis=-1):
    """AUROC for scipy.stats.bootstrap."""
    ranks = stats.rankdata(np.concatenate([positive, negative], axis=axis), axis=axis)
    m, n = positive.shape[axis], negative.shape[axis]
    return (np.take(ranks, np.arange(m), axis=axis).sum(axis=axis) - m * (m + 1) / 2) / (m * n)


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_the_interval_agrees_with_scipys_bootstrap(method):
    """Without clusters, it is scipy's two-sample bootstrap at the level that t expands 95 % to."""
    weights = bootstrap.cluster_weights(np.arange(60), LABEL, 10_000, seed=3)
    ours = bootstrap.auroc_interval(LABEL, SCORE, weights, cluster=np.arange(60) if method == "BCa" else None)
    variances = [1 / 25, 1 / 35]  # of two means of samples that vary alike
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 24 + variances[1] ** 2 / 34)
    lacking = sum(variances) / (24 / 25**2 + 34 / 35**2)
    theirs = stats.bootstrap(
        (SCORE[LABEL == 1], SCORE[LABEL == 0]),
        of_two_samples,
        n_resamples=10_000,
        confidence_level=2 * stats.norm.cdf(stats.t.ppf(0.975, freedom) * lacking**0.5) - 1,
        method=method,
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)
    assert ours.value == pytest.approx(auc.auroc(LABEL, SCORE))


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
def test_bca_of_scipys_own_samples_is_scipys_interval(shift):
    """The acceleration is that of two samples: pooled over them it was off in the third decimal."""
    score = np.random.default_rng(4).normal(size=60) + shift * LABEL
    theirs = stats.bootstrap(
        (score[LABEL == 1], score[LABEL == 0]), of_two_samples, n_resamples=4000, method="BCa", rng=np.random.default_rng(0)
    )
    value = auc.auroc(LABEL, score)
    jackknife = bootstrap.resampled_auroc(LABEL, score, bootstrap.jackknife_weights(np.arange(60)))
    plain = bootstrap.percentile_interval(theirs.bootstrap_distribution, 0.95)
    ours = bootstrap.bca_interval(theirs.bootstrap_distribution, value, jackknife, 0.95, LABEL)
    assert ours == pytest.approx(tuple(theirs.confidence_interval), rel=1e-6)
    if shift == 2.5:
        assert max(abs(a - b) for a, b in zip(plain, ours, strict=True)) > 0.004


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize("statistic", [np.mean, np.median, np.std])
def test_bca_of_one_sample_is_scipys_to_the_last_digit(confidence, statistic):
    data = np.round(np.random.default_rng(5).exponential(size=41), 2)
    theirs = stats.bootstrap(
        (data,), statistic, n_resamples=3000, confidence_level=confidence, method="BCa", rng=np.random.default_rng(0)
    )
    jackknife = np.array([statistic(np.delete(data, i)) for i in range(41)])
    ours = bootstrap.bca_interval(theirs.bootstrap_distribution, statistic(data), jackknife, confidence)
    assert ours == pytest.approx(tuple(theirs.confidence_interval), rel=1e-9)


def test_the_jackknife_leaves_whole_clusters_out():
    left = bootstrap.jackknife_weights(CLUSTER)
    names = np.unique(CLUSTER)
    result = bootstrap.resampled_auroc(LABEL, SCORE, left)
    assert left.shape == (len(names), 60)
    for name, value in zip(names, result, strict=True):
        others = name != CLUSTER
        assert value == pytest.approx(auc.auroc(LABEL[others], SCORE[others]), abs=1e-6)


def test_bca_is_undefined_where_nothing_varies():
    for samples, value, jackknife in (
        (np.ones(50), 1.0, np.ones(10)),  # classes apart
        (np.linspace(0.6, 0.9, 50), 0.5, np.linspace(0, 1, 10)),  # every sample above the estimate
        (np.full(50, np.nan), 0.5, np.linspace(0, 1, 10)),
        (np.linspace(0, 1, 50), 0.5, np.full(10, np.nan)),
    ):
        assert np.isnan(bootstrap.bca_interval(samples, value, jackknife, 0.95)).all()


def test_at_perfect_separation_the_interval_is_the_binomial_bound_of_the_clusters():
    weights = bootstrap.cluster_weights(CLUSTER, LABEL, 50, 0)
    bound = stats.binomtest(5, 5).proportion_ci(0.95, "exact").low  # five clusters of positives
    for sign, expected in ((1, (1, bound, 1)), (-1, (0, 0, 1 - bound))):
        for cluster in (CLUSTER, None):
            result = bootstrap.auroc_interval(LABEL, SCORE + sign * 100 * LABEL, weights, cluster=cluster)
            assert (result.value, result.low, result.high) == pytest.approx(expected)
            assert "binomial bound of 5 clusters" in result.note


def test_a_few_wrong_clusters_get_the_binomial_bound_and_more_get_the_bootstrap():
    weights = bootstrap.cluster_weights(np.arange(60), LABEL, 400, 0)
    for wrong, bounded in ((4, True), (5, False)):
        mixed = np.arange(60.0) + 100 * LABEL
        mixed[:wrong], mixed[-wrong:] = 70, 80  # some positives are below some negatives
        result = bootstrap.auroc_interval(LABEL, mixed, weights)
        assert result.value == pytest.approx(1 - wrong**2 / (25 * 35))
        assert ("binomial bound" in result.note) == bounded
        if bounded:
            assert (result.low, result.high) == pytest.approx(auc.binomial_interval(result.value, 25, 0.95))


def test_counts_are_those_of_drawing_with_replacement():
    """C clusters' counts have mean 1, variance 1 - 1 / C and covariance -1 / C, in every block."""
    weights = bootstrap.cluster_weights(np.arange(8), np.zeros(8), 20_000, seed=7)
    assert 3 * bootstrap.DRAWS_PER_BLOCK < 20_000
    assert (weights.sum(1) == 8).all()
    assert np.cov(weights.T) == pytest.approx(np.eye(8) - 1 / 8, abs=0.04)
    assert weights.max() <= 8
    first, second = weights[: bootstrap.DRAWS_PER_BLOCK], weights[bootstrap.DRAWS_PER_BLOCK : 2 * bootstrap.DRAWS_PER_BLOCK]
    assert not np.array_equal(first, second)


def test_the_same_seed_gives_the_same_interval():
    weights = [bootstrap.cluster_weights(CLUSTER, LABEL, 300, seed=seed) for seed in (4, 4, 5)]
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_few_clusters_widen_the_interval():
    clustered = np.r_[np.repeat(np.arange(5), 5), np.repeat(np.arange(100, 107), 5)]
    score = np.random.default_rng(0).normal(size=200)[clustered] + 0.7 * LABEL  # same within
    widths = []
    for cluster in (clustered, np.arange(60)):
        result = bootstrap.auroc_interval(LABEL, score, bootstrap.cluster_weights(cluster, LABEL, 2000, seed=6))
        widths.append(result.high - result.low)
    assert widths[0] > 1.5 * widths[1]


def test_joint_draws_are_the_aurocs_of_each_draws_scores_and_items():
    scores = np.round(SCORE + RNG.normal(size=(40, 60)), 1)  # with ties
    scores[7, 3] = np.nan
    weights = bootstrap.cluster_weights(CLUSTER, LABEL, 50, seed=1)
    samples = bootstrap.joint_auroc(LABEL, scores, weights)
    assert np.isnan(samples[7])
    for draw in set(range(40)) - {7}:
        assert samples[draw] == pytest.approx(roc_auc_score(LABEL, scores[draw], sample_weight=weights[draw]))
    same = np.broadcast_to(SCORE, (50, 60))
    plain = bootstrap.resampled_auroc(LABEL, SCORE, weights)
    assert bootstrap.joint_auroc(LABEL, same, weights) == pytest.approx(plain)
