"""Check split-half reliability against simulations whose truth is known."""

import math

import numpy as np
import pytest
from scipy import stats

from wor.statistics.reliability import split_half

UNITS = 80


def draw(rng, n, noise, effect, shared):
    """Return both classes' values, [n, UNITS] each, and a cluster of its own for each item."""
    positive, negative = (part + noise * rng.normal(size=(n, UNITS)) for part in (effect + shared, shared))
    return positive, negative, (np.arange(n), np.arange(n))


def estimate(values, halves=60, seed=0, min_clusters=5):
    return split_half(*values, halves, seed, 0.95, min_clusters)


def test_one_split_is_spearman_and_brown_of_scipys_correlation():
    rng = np.random.default_rng(1)
    positive, negative, clusters = draw(rng, 2, 1.0, rng.normal(size=UNITS), 0.0)
    # Two clusters a class have two different splits: the halves keep partners, or swap them.
    r = [stats.spearmanr(positive[0] - negative[first], positive[1] - negative[1 - first]).statistic for first in (0, 1)]
    result = estimate((positive, negative, clusters), halves=4000, min_clusters=2)
    mean = np.mean(r)
    assert result.value == pytest.approx(2 * mean / (1 + mean), abs=0.02)


def test_the_value_is_the_correlation_with_as_many_other_items():
    rng = np.random.default_rng(2)
    values, correlations = [], []
    for _ in range(60):
        effect, shared = rng.normal(size=UNITS), 3 * rng.normal(size=UNITS)
        first, second = (draw(rng, 10, 2.0, effect, shared) for _ in range(2))
        values.append(estimate(first).value)
        correlations.append(stats.spearmanr(*((part[0] - part[1]).mean(0) for part in (first, second))).statistic)
    assert 0.5 < np.mean(correlations) < 0.8
    assert np.mean(values) == pytest.approx(np.mean(correlations), abs=0.03)


def test_noise_has_no_reliability_and_a_strong_signal_nearly_all():
    rng, shared = np.random.default_rng(3), np.zeros(UNITS)
    noise = [estimate(draw(rng, 10, 1.0, shared, 5 * rng.normal(size=UNITS))) for _ in range(20)]
    assert abs(np.mean([one.value for one in noise])) < 0.1
    assert np.mean([one.low < 0 < one.high for one in noise]) >= 0.85
    signal = estimate(draw(rng, 10, 0.2, rng.normal(size=UNITS), shared))
    assert 0.97 < signal.low < signal.value < signal.high <= 1
    assert signal.n == 20


def test_intervals_cover_the_truth():
    rng, hits, truth = np.random.default_rng(4), [], []
    effect = rng.normal(size=UNITS)
    samples = [draw(rng, 8, 2.5, effect, 0.0) for _ in range(60)]
    effects = [(positive - negative).mean(0) for positive, negative, _ in samples]
    truth = np.mean([stats.spearmanr(*pair).statistic for pair in zip(effects[::2], effects[1::2], strict=True)])
    hits = [(one := estimate(sample)).low <= truth <= one.high for sample in samples]
    assert np.mean(hits) >= 0.85


def test_copies_of_an_item_in_one_cluster_add_nothing():
    rng = np.random.default_rng(5)
    positive, negative, clusters = draw(rng, 8, 2.0, rng.normal(size=UNITS), 0.0)
    alone = estimate((positive, negative, clusters))
    twice = estimate((np.repeat(positive, 2, 0), negative, (np.repeat(clusters[0], 2), clusters[1])))
    assert (twice.value, twice.low, twice.high) == pytest.approx((alone.value, alone.low, alone.high))


def test_too_few_clusters_or_no_differences_have_a_reason():
    rng = np.random.default_rng(6)
    positive, negative, _ = draw(rng, 8, 1.0, 0.0, 0.0)
    few = estimate((positive, negative, (np.arange(8) // 2, np.arange(8))))
    assert math.isnan(few.value)
    assert few.reason == "fewer than 5 clusters rank in a class (4 and 8)"
    nobody = estimate((positive[:0], negative[:0], (np.arange(0), np.arange(0))))
    assert nobody.reason == "fewer than 5 clusters rank in a class (0 and 0)"
    same = estimate((np.ones((8, UNITS)), np.ones((8, UNITS)), (np.arange(8), np.arange(8))))
    assert same.reason == "the units do not differ"
