import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from wor.statistics.matching import CALIPER, caliper_pairs, pair_clusters, standardised_difference


def study(m=60, n=90, shift=0.8, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.r_[np.ones(m, int), np.zeros(n, int)])
    covariates = rng.normal(size=(m + n, 2))
    covariates[:, 0] += shift * label
    return label, covariates


def propensity(label, covariates):
    scaled = StandardScaler().fit_transform(covariates)
    return LogisticRegression(max_iter=1000).fit(scaled, label).decision_function(scaled)


def by_hand(label, log_odds, limit):
    """Hardest positive first, each with the nearest negative that is free and near enough."""
    free, pairs = {i for i in range(len(label)) if label[i] == 0}, []
    for i in sorted((i for i in range(len(label)) if label[i] == 1), key=lambda i: (-log_odds[i], i)):
        near = sorted((abs(log_odds[j] - log_odds[i]), j) for j in free)
        if near and near[0][0] <= limit:
            pairs.append((i, near[0][1]))
            free.remove(near[0][1])
    return pairs


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("caliper", [CALIPER, 0.02])
def test_pairs_are_within_the_caliper_and_no_item_is_used_twice(seed, caliper):
    label, covariates = study(seed=seed)
    pairs = caliper_pairs(label, covariates, caliper)
    log_odds = propensity(label, covariates)
    within = [log_odds[label == value].std(ddof=1) for value in (0, 1)]
    limit = caliper * math.hypot(*within) / math.sqrt(2)
    assert limit < caliper * log_odds.std(ddof=1)  # over both classes it would be wider
    assert sorted(map(tuple, pairs)) == sorted(by_hand(label, log_odds, limit))
    matched = np.sort(pairs.ravel())
    assert len(set(matched)) == len(matched)
    assert label[matched].sum() == len(matched) / 2 > 0
    # If any 1:1 pairing of these keeps to the caliper, the one in order of propensity does.
    ordered = [np.sort(log_odds[matched][label[matched] == value]) for value in (1, 0)]
    assert np.abs(ordered[0] - ordered[1]).max() <= limit
    # And none is left that could still be paired.
    rest = np.setdiff1d(np.arange(len(label)), matched)
    a, b = (log_odds[rest[label[rest] == value]] for value in (1, 0))
    assert (np.abs(a[:, None] - b[None, :]) > limit).all()


def test_balance_improves():
    label, covariates = study(100, 150)
    matched = caliper_pairs(label, covariates).ravel()

    def imbalance(rows):
        return [
            abs(standardised_difference(*(column[label[rows] == value] for value in (1, 0)))) for column in covariates[rows].T
        ]

    assert imbalance(np.arange(250))[0] > 0.6
    assert max(imbalance(matched)) < 0.15


def test_it_is_the_same_every_time_and_whatever_the_units():
    label, covariates = study()
    matched = caliper_pairs(label, covariates)
    assert np.array_equal(matched, caliper_pairs(label, covariates))
    assert np.array_equal(matched, caliper_pairs(label, 1000 * covariates + 5))


def test_ties_go_to_the_earlier_item():
    label = np.repeat([0, 1], [8, 5])
    assert caliper_pairs(label, np.ones((13, 2))).tolist() == [[8, 0], [9, 1], [10, 2], [11, 3], [12, 4]]


def test_pairs_are_clusters_and_those_that_share_one_are_one():
    cluster = np.array(["a", "a", "b", "c", "x", "y", "z", "w"])
    index, owner = pair_clusters(np.array([[0, 4], [1, 5], [3, 7]]), cluster)
    assert list(index) == [0, 1, 3, 4, 5, 7]
    first = {name: set(index[owner == name]) for name in np.unique(owner)}
    assert sorted(map(sorted, first.values())) == [[0, 1, 4, 5], [3, 7]]
    assert [len(part) for part in pair_clusters(np.empty((0, 2), int), cluster)] == [0, 0]


def test_where_nothing_is_alike_nothing_is_paired():
    label, covariates = study(shift=50)
    assert len(caliper_pairs(label, covariates)) == 0
    assert len(caliper_pairs(np.ones(20, int), covariates[:20])) == 0


def test_standardised_difference_of_known_groups():
    a, b = np.array([1.0, 2, 3, np.nan]), np.array([3.0, 4, 5])
    assert standardised_difference(a, b) == pytest.approx(-2)
    assert math.isnan(standardised_difference(np.ones(3), np.ones(3)))
    assert math.isnan(standardised_difference(a[:1], b))
