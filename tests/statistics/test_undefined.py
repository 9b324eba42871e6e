"""Where there is nothing to estimate every statistic says why, and never gives a number."""

import math

import numpy as np
import pytest

from wor.statistics import auc, bootstrap, nulls, rivals, trend
from wor.statistics.result import Estimate

N = 60
RNG = np.random.default_rng(0)
LABEL = np.arange(N) % 2
SCORE = RNG.normal(size=N) + LABEL
OTHER = RNG.normal(size=N) + LABEL

BROKEN = {
    "one class only": (np.ones(N, int), SCORE),
    "constant score": (LABEL, np.ones(N)),
    "every score is NaN": (LABEL, np.full(N, np.nan)),
    "scores hold NaN": (LABEL, np.where(np.arange(N) == 7, np.nan, SCORE)),
    "fewer than 10 items in a class (9 positive, 51 negative)": (np.r_[np.ones(9, int), np.zeros(51, int)], SCORE),
    "fewer than 10 items in a class (57 positive, 3 negative)": (np.r_[np.ones(57, int), np.zeros(3, int)], SCORE),
    "no items": (LABEL[:0], SCORE[:0]),
}


def weights(label):
    return bootstrap.cluster_weights(np.arange(len(label)), label, 50, seed=0)


STATISTICS = {
    "delong": auc.delong,
    "delong_difference, first": lambda label, score: auc.delong_difference(label, score, OTHER[: len(label)]),
    "delong_difference, second": lambda label, score: auc.delong_difference(label, OTHER[: len(label)], score),
    "percentile": lambda label, score: bootstrap.auroc_interval(label, score, weights(label)),
    "BCa": lambda label, score: bootstrap.auroc_interval(label, score, weights(label), cluster=np.arange(len(label))),
    "permuted_auroc": lambda label, score: nulls.permuted_auroc(label, score, np.arange(len(label)), 50, seed=0),
    "difference, first": lambda label, score: rivals.auroc_difference(label, score, OTHER[: len(label)], weights(label)),
    "difference, second": lambda label, score: rivals.auroc_difference(label, OTHER[: len(label)], score, weights(label)),
}


@pytest.mark.parametrize("statistic", STATISTICS)
def test_these_statistics_do_give_numbers(statistic):
    result = STATISTICS[statistic](LABEL, SCORE)
    assert math.isfinite(result.value)
    assert math.isfinite(result.low + result.high)
    assert not result.reason


@pytest.mark.parametrize("reason", BROKEN)
@pytest.mark.parametrize("statistic", STATISTICS)
def test_nan_and_a_reason(statistic, reason):
    result = STATISTICS[statistic](*BROKEN[reason])
    assert np.isnan([result.value, result.low, result.high, result.p]).all()
    assert result.reason == reason
    assert result.as_dict()["reason"] == reason


def test_a_statistic_holds_from_ten_a_class():
    label = np.r_[np.ones(10, int), np.zeros(50, int)]
    for statistic in STATISTICS.values():
        assert math.isfinite(statistic(label, SCORE).value)


def sparse(label, features, cluster):
    return rivals.fit_sparse_logistic(label, features, cluster, folds=5, repeats=1, seed=0)


def surface(label, features, cluster):
    result = nulls.bag_of_words_auroc(label, ["word"] * len(label), cluster, weights(label), folds=5, seed=0)
    assert np.isnan([result.value, result.low, result.high, result.p]).all()
    return result.reason


@pytest.mark.parametrize("fit", [sparse, surface])
@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (lambda label, cluster: (np.ones_like(label), cluster), "one class only"),
        (lambda label, cluster: (label[:18], cluster[:18]), "fewer than 10 items in a class (9 positive, 9 negative)"),
        (lambda label, cluster: (label[:0], cluster[:0]), "no items"),
        (lambda label, cluster: (label, cluster // 20 * 2 + label), "a class has 3 clusters, fewer than 5 folds"),
        (lambda label, cluster: (label, np.where(label == 1, 0, cluster)), "a class has 1 clusters, fewer than 5 folds"),
    ],
)
def test_a_cross_fit_that_cannot_be(fit, rows, reason):
    label, cluster = rows(LABEL, np.arange(N))
    assert fit(label, RNG.normal(size=(len(label), 4)), cluster) == reason


def test_a_sparse_fit_of_features_with_nan():
    assert sparse(LABEL, np.where(np.arange(4 * N).reshape(N, 4) == 9, np.nan, 1.0), np.arange(N)) == "features hold NaN"


@pytest.mark.parametrize(
    ("dose", "score", "reason"),
    [
        (LABEL[:9], SCORE[:9], "fewer than 10 items with a dose (9)"),
        (LABEL[:0], SCORE[:0], "fewer than 10 items with a dose (0)"),
        (np.ones(N), SCORE, "constant dose"),
        (LABEL, np.ones(N), "constant score"),
        (LABEL, np.full(N, np.nan), "values hold NaN"),
        (np.where(np.arange(N) == 3, np.nan, LABEL), SCORE, "values hold NaN"),
    ],
)
def test_a_trend_that_cannot_be(dose, score, reason):
    result = trend.kendall_trend(dose, score, weights(np.zeros(len(dose))), 20, seed=0)
    assert np.isnan([result.value, result.low, result.high, result.p]).all()
    assert result.reason == reason


def test_a_note_is_only_there_when_there_is_one():
    assert "note" not in Estimate(1.0).as_dict()
    assert Estimate(1.0, note="mind this").as_dict()["note"] == "mind this"
