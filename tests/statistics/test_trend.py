import itertools

import numpy as np
import pytest
from scipy import stats

from wor.statistics import bootstrap, trend

RNG = np.random.default_rng(11)
DOSE = np.repeat([1.0, 2, 3, 4], 8)
SCORE = np.round(RNG.normal(size=32) + 0.5 * DOSE, 1)  # ties in both


def weights(n=32, draws=400):
    return bootstrap.cluster_weights(np.arange(n), np.zeros(n), draws, seed=0)


def find(dose=DOSE, score=SCORE, permutations=999):
    return trend.kendall_trend(dose, score, weights(len(dose)), permutations, seed=0)


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_tau_equals_scipys(decimals):
    score = np.round(RNG.normal(size=32) + 0.3 * DOSE, decimals)
    assert find(score=score, permutations=9).value == pytest.approx(stats.kendalltau(DOSE, score).statistic)


def test_p_is_that_of_scipys_permutations():
    theirs = stats.permutation_test(
        (SCORE,),
        lambda score: stats.kendalltau(DOSE, score).statistic,
        permutation_type="pairings",
        n_resamples=2000,
        vectorized=False,
        rng=np.random.default_rng(1),
    )
    assert 0.001 < theirs.pvalue < 0.2  # where the two could differ
    assert find(permutations=4000).p == pytest.approx(theirs.pvalue, abs=0.012)


@pytest.mark.parametrize("effect", [0.0, 0.1, 0.25])
def test_without_ties_p_is_the_exact_one(effect):
    score = np.random.default_rng(3).normal(size=12) + effect * np.arange(12)
    exact = stats.kendalltau(np.arange(12), score, method="exact").pvalue
    assert find(np.arange(12.0), score, permutations=6000).p == pytest.approx(exact, abs=0.02)


def test_it_counts_the_pairs_of_jonckheere_and_terpstra():
    """J is the sum of Mann-Whitney's U over pairs of doses; tau's numerator is 2 J - pairs."""
    groups = [SCORE[dose == DOSE] for dose in np.unique(DOSE)]
    j = sum(stats.mannwhitneyu(high, low).statistic for low, high in itertools.combinations(groups, 2))
    pairs = sum(len(a) * len(b) for a, b in itertools.combinations(groups, 2))
    untied = sum(a != b for a, b in itertools.combinations(SCORE, 2))
    assert find(permutations=9).value == pytest.approx((2 * j - pairs) / np.sqrt(pairs * untied))


def test_the_interval_is_that_of_repeated_items():
    samples = [
        stats.kendalltau(DOSE[again], SCORE[again]).statistic
        for again in (np.repeat(np.arange(32), times.astype(int)) for times in weights())
    ]
    result = find(permutations=9)
    half = stats.t.ppf(0.975, 31) * np.sqrt(32 / 31)  # 32 clusters: further out than the normal's 1.96
    levels = stats.norm.cdf([-half, half])
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(samples, levels)), abs=1e-5)


def test_direction_and_scale():
    up, down = find(), find(dose=-DOSE)
    assert (down.value, down.low, down.high) == pytest.approx((-up.value, -up.high, -up.low))
    assert down.p == pytest.approx(up.p, abs=0.02)
    assert find(dose=np.exp(DOSE), score=SCORE**3) == up


def test_a_trend_is_found_and_noise_is_not():
    assert find(score=DOSE + 0.1 * SCORE).p == pytest.approx(1 / 1000)
    p = [find(score=np.random.default_rng(seed).normal(size=32), permutations=199).p for seed in range(60)]
    assert np.mean(np.array(p) < 0.05) < 0.15
    assert np.mean(p) == pytest.approx(0.5, abs=0.12)
