import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from wor.statistics import auc

RNG = np.random.default_rng(1)


def study(m=30, n=40, shift=0.8, decimals=1, rng=RNG):
    """Two classes whose rounded scores have many ties."""
    label = np.r_[np.ones(m, int), np.zeros(n, int)]
    return label, np.round(rng.normal(size=m + n) + shift * label, decimals)


def brute_force(label, *scores):
    """DeLong, DeLong & Clarke-Pearson 1988, equations 5 to 8, pair by pair."""
    values, v10, v01 = [], [], []
    for score in scores:
        a, b = score[label == 1], score[label == 0]
        psi = np.array([[1.0 if x > y else 0.5 if x == y else 0.0 for y in b] for x in a])
        values.append(psi.mean())
        v10.append(psi.mean(1))
        v01.append(psi.mean(0))
    m, n = len(v10[0]), len(v01[0])
    matrix = np.zeros((len(scores), len(scores)))
    for r in range(len(scores)):
        for s in range(len(scores)):
            s10 = sum((v10[r] - values[r]) * (v10[s] - values[s])) / (m - 1)
            s01 = sum((v01[r] - values[r]) * (v01[s] - values[s])) / (n - 1)
            matrix[r, s] = s10 / m + s01 / n
    return np.array(values), matrix


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=40))
def test_auroc_equals_sklearns(rows):
    label, score = (np.array(column, float) for column in zip(*rows, strict=True))
    if len(set(label)) < 2:
        assert math.isnan(auc.auroc(label, score))
    else:
        assert auc.auroc(label, score) == pytest.approx(roc_auc_score(label, score))


def test_auroc_of_swapped_labels_and_of_any_increasing_transform():
    label, score = study()
    assert auc.auroc(1 - label, score) == pytest.approx(1 - auc.auroc(label, score))
    assert auc.auroc(label, np.exp(score)) == auc.auroc(label, score)


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_delong_equals_brute_force_with_ties(decimals):
    label, first = study(decimals=decimals)
    second = np.round(first + RNG.normal(size=len(label)), decimals)
    values, matrix = auc.covariance(label, np.stack([first, second]))
    slow_values, slow_matrix = brute_force(label, first, second)
    assert np.allclose(values, slow_values, atol=1e-12)
    assert np.allclose(matrix, slow_matrix, atol=1e-12)


def test_interval_and_p_follow_from_the_variance():
    label, score = study()
    (value,), ((variance,),) = brute_force(label, score)
    result = auc.delong(label, score)
    assert result.value == pytest.approx(value)
    assert (result.low, result.high) == pytest.approx(
        (value - 1.959964 * variance**0.5, min(1, value + 1.959964 * variance**0.5))
    )
    assert result.p == pytest.approx(math.erfc(abs(value - 0.5) / variance**0.5 / 2**0.5))


def test_paired_difference_equals_brute_force():
    label, first = study()
    second = first + RNG.normal(size=len(label))
    values, matrix = brute_force(label, first, second)
    result = auc.delong_difference(label, first, second)
    z = (values[0] - values[1]) / (matrix[0, 0] + matrix[1, 1] - 2 * matrix[0, 1]) ** 0.5
    assert result.value == pytest.approx(values[0] - values[1])
    assert result.p == pytest.approx(math.erfc(abs(z) / 2**0.5))


def test_a_score_against_itself_has_no_test():
    label, score = study()
    result = auc.delong_difference(label, score, 2 * score + 1)
    assert (result.value, result.low, result.high) == (0, 0, 0)
    assert math.isnan(result.p)
    assert result.note == "the scores rank the items alike"


def test_perfect_separation_has_a_bound_and_a_note_but_no_test():
    label, noise = study()
    apart, opposite = noise + 100 * label, noise - 100 * label
    bound = stats.binomtest(30, 30).proportion_ci(0.95, "exact").low  # 30 of the smaller class
    for result, expected in (
        (auc.delong(label, apart), (1, bound, 1)),
        (auc.delong(label, opposite), (0, 0, 1 - bound)),
        (auc.delong_difference(label, apart, opposite), (1, 1 - math.sqrt(2) * (1 - bound), 1)),
        (auc.delong_difference(label, apart, 100 * label - noise), (0, bound - 1, 1 - bound)),
    ):
        assert (result.value, result.low, result.high) == pytest.approx(expected)
        assert math.isnan(result.p)
        assert result.note
        assert not result.reason


@pytest.mark.parametrize(("wins", "k"), [(0, 12), (7, 12), (12, 12), (33, 34)])
def test_the_binomial_interval_is_clopper_and_pearsons(wins, k):
    theirs = stats.binomtest(wins, k).proportion_ci(0.9, "exact")
    assert auc.binomial_interval(wins / k, k, 0.9) == pytest.approx((theirs.low, theirs.high))


def test_the_binomial_bound_is_reached_by_a_mixture_of_scores_and_never_passed():
    """A positive is below all negatives with a probability of 0.1, else above: AUROC 0.9."""
    rng, k, n = np.random.default_rng(0), 20, 20_000
    worst = (rng.uniform(size=(n, k)) < 0.9).all(1).mean()
    shift = math.sqrt(2) * stats.norm.ppf(0.9)
    normal = (rng.normal(size=(n, k)).min(1) + shift > rng.normal(size=(n, k)).max(1)).mean()
    assert normal < 0.05 < worst == pytest.approx(0.9**k, abs=0.01)


def test_squares_of_distances_add_up_to_newcombes_interval():
    """Newcombe 1998, method 10, his example 56/70 - 48/80: from Wilson's intervals."""
    first, second = ((0.8, 0.6918, 0.8770), (0.6, 0.4904, 0.7004))
    assert auc.mover_difference(first, second) == pytest.approx((0.0524, 0.3339), abs=2e-4)


def test_under_the_null_p_is_uniform_enough():
    rng = np.random.default_rng(5)
    p = [auc.delong(*study(40, 40, shift=0, decimals=8, rng=rng)).p for _ in range(600)]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.09
