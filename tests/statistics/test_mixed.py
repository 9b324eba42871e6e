"""The mixed model against plain REML, and in studies whose truth is known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import linalg, optimize, stats
from statsmodels.regression.mixed_linear_model import MixedLM

from wor.statistics import mixed
from wor.statistics.splines import SplineDesign


def study(rng, effect=0.0, between=0.5, clusters=30, sizes=(1, 2, 3), covariates=1, confound=0.5):
    """Return the arrays of `class_effect`: clusters of one class, two datasets of reasoning.

    ``between`` is the share of the noise's variance, 1, that lies between clusters.
    """
    cluster = np.repeat(np.arange(clusters), np.resize(sizes, clusters))
    label = cluster % 2
    dataset = np.where(label == 0, "wiki", np.where(cluster % 4 == 1, "words", "forms"))
    given = rng.normal(size=(len(cluster), covariates)) + confound * label[:, None]
    noise = math.sqrt(between) * rng.normal(size=clusters)[cluster] + math.sqrt(1 - between) * rng.normal(size=len(cluster))
    score = effect * label + np.sin(given[:, 0]) + 0.4 * (dataset == "words") - 0.4 * (dataset == "forms") + noise
    return score, label, given, dataset, cluster


def plain_reml(outcome, design, cluster):
    """Return coefficients, errors, variances of u and e, by the dense restricted likelihood."""
    same = (cluster[:, None] == cluster).astype(float)

    def solve(log_variances):
        variance = np.exp(log_variances)
        inverse = np.linalg.inv(variance[0] * same + variance[1] * np.eye(len(outcome)))
        information = design.T @ inverse @ design
        beta = np.linalg.solve(information, design.T @ inverse @ outcome)
        residual = outcome - design @ beta
        deviance = -np.linalg.slogdet(inverse)[1] + np.linalg.slogdet(information)[1] + residual @ inverse @ residual
        return deviance, beta, np.sqrt(np.diag(np.linalg.inv(information)))

    start = np.log([0.3, 0.3])
    options = {"xatol": 1e-9, "fatol": 1e-11, "maxiter": 2000}
    best = optimize.minimize(lambda x: solve(x)[0], start, method="Nelder-Mead", options=options)
    return *solve(best.x)[1:], *np.exp(best.x)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_is_plain_reml(seed):
    score, label, given, dataset, cluster = study(np.random.default_rng(seed), effect=0.7, between=0.6, clusters=40)
    halves = (dataset == "forms") * 1.0 - (dataset == "words")
    design = np.column_stack([np.ones(len(label)), SplineDesign.fit(given).columns(given), halves, label])
    beta, errors, between, within = plain_reml(score / score.std(), design, cluster)
    result = mixed.class_effect(score, label, given, dataset, cluster)
    assert result.effect.value == pytest.approx(beta[-1], rel=1e-3)
    assert result.icc == pytest.approx(between / (between + within), rel=2e-3)
    freedom = 38  # of 20 clusters in each class
    half = (result.effect.high - result.effect.low) / 2
    assert half / stats.t.ppf(0.975, freedom) == pytest.approx(errors[-1], rel=1e-3)
    assert result.effect.p == pytest.approx(2 * stats.t.sf(abs(beta[-1]) / errors[-1], freedom), rel=0.02)
    assert result.effect.n == len(label)


def test_planted_effects_are_covered_and_without_one_p_is_uniform():
    """120 studies of 20 clusters. 95 % of them cover; of those without an effect 5 % reject."""
    covered, p = [], []
    for seed in range(120):
        effect = 0.8 * (seed % 2)
        arrays = study(np.random.default_rng(seed), effect, clusters=20)
        estimate = mixed.class_effect(*arrays).effect
        truth = effect / arrays[0].std()
        covered.append(estimate.low < truth < estimate.high)
        if not effect:
            p.append(estimate.p)
    assert 0.90 <= np.mean(covered) <= 0.99
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_the_effect_is_between_unweighted_means_of_datasets():
    rng = np.random.default_rng(0)
    cluster = np.repeat(np.arange(400), 2)
    dataset = np.select([cluster < 200, cluster < 350], ["wiki", "words"], "forms")
    label = (dataset != "wiki").astype(int)
    # +1 in one dataset, +3 in the other, which is a third as large.
    score = np.select([dataset == "words", dataset == "forms"], [1.0, 3.0], 0.0)
    score = score + 0.3 * rng.normal(size=400)[cluster] + 0.3 * rng.normal(size=800)
    result = mixed.class_effect(score, label, rng.normal(size=(800, 1)), dataset, cluster)
    assert result.effect.value * score.std() == pytest.approx(2.0, abs=0.1)
    assert result.icc == pytest.approx(0.5, abs=0.1)


def test_contrasts_sum_to_zero_within_a_class():
    label = np.array([0, 0, 1, 1, 1, 1])
    columns = mixed.contrasts(np.array(["w", "w", "a", "b", "c", "c"]), label)
    assert columns.tolist() == [[0, 0], [0, 0], [1, 0], [0, 1], [-1, -1], [-1, -1]]
    assert mixed.contrasts(np.array(["w", "v", "a", "a", "a", "a"]), label).tolist() == [[-1], [1], [0], [0], [0], [0]]
    assert mixed.contrasts(np.array(["w", "w", "a", "a", "a", "a"]), label).shape == (6, 0)


def test_clusters_of_one_item_are_fitted_by_least_squares_with_hc2():
    score, label, given, dataset, cluster = study(np.random.default_rng(3), 0.5, clusters=60, sizes=(1,))
    result = mixed.class_effect(score, label, given, dataset, cluster)
    halves = (dataset == "forms") * 1.0 - (dataset == "words")
    design = np.column_stack([np.ones(60), SplineDesign.fit(given).columns(given), halves, label])
    theirs = sm.OLS(score / score.std(), design).fit(cov_type="HC2")
    assert result.effect.value == pytest.approx(theirs.params[-1])
    assert result.effect.note == mixed.SINGLE
    assert math.isnan(result.icc)
    value, error, freedom = mixed.robust_coefficient(score / score.std(), design, cluster, design.shape[1] - 1)
    assert (value, error) == pytest.approx((theirs.params[-1], theirs.bse[-1]))
    assert result.effect.high - result.effect.low == pytest.approx(2 * stats.t.ppf(0.975, freedom) * error)


def test_the_robust_error_is_cr2_with_bell_and_mccaffreys_freedom():
    """The textbook's matrices, with square roots by scipy."""
    score, label, given, _, owner = study(np.random.default_rng(4), clusters=12, sizes=(2, 3, 4))
    n, design = len(label), np.column_stack([np.ones(len(label)), given, label])
    inverse = np.linalg.inv(design.T @ design)
    maker = np.eye(n) - design @ inverse @ design.T
    meat, pieces = np.zeros((3, 3)), []
    for name in range(12):
        rows = owner == name
        adjust = np.linalg.inv(linalg.sqrtm(maker[np.ix_(rows, rows)]).real)
        part = design[rows].T @ adjust @ (maker @ score)[rows]
        meat += np.outer(part, part)
        pieces.append(maker[:, rows] @ adjust @ design[rows] @ inverse[:, 2])
    values = np.linalg.eigvalsh(np.array(pieces) @ np.array(pieces).T)
    value, error, freedom = mixed.robust_coefficient(score, design, owner, 2)
    assert value == pytest.approx((inverse @ design.T @ score)[2])
    assert error == pytest.approx(math.sqrt((inverse @ meat @ inverse)[2, 2]))
    assert freedom == pytest.approx(values.sum() ** 2 / (values**2).sum())
    # Unbiased where items are independent: the expected square is the variance of least squares.
    assert values.sum() == pytest.approx(inverse[2, 2])


def test_without_variance_between_clusters_least_squares_is_used_and_said():
    results = [mixed.class_effect(*study(np.random.default_rng(seed), 0.5, between=0.0)) for seed in range(8)]
    # Half of the variances are 0, as half of the estimates would be below it.
    (result, *_) = singular = [result for result in results if result.icc == 0]
    assert 2 <= len(singular) <= 7
    assert result.effect.note == "; ".join(["only 15 clusters in a class", mixed.NO_VARIANCE])
    assert result.effect.low < result.effect.value < result.effect.high
    assert result.as_dict()["icc"] == 0


def test_the_scale_of_the_score_changes_nothing():
    score, *others = study(np.random.default_rng(5), 0.5)
    first, second = (mixed.class_effect(values, *others) for values in (score, 1e-6 * score + 3))
    assert first.effect.value == pytest.approx(second.effect.value, rel=1e-3)
    assert first.icc == pytest.approx(second.icc, rel=1e-2)


def test_there_is_a_reason_where_there_is_no_number(monkeypatch):
    def reason_of(**changes):
        names = ("score", "label", "covariates", "group", "cluster")
        arrays = dict(zip(names, study(np.random.default_rng(6)), strict=True)) | changes
        result = mixed.class_effect(**arrays)
        assert math.isnan(result.effect.value)
        assert math.isnan(result.icc)
        return result.effect.reason

    score, label, given, _, cluster = study(np.random.default_rng(6))
    few = np.where(label == 1, cluster % 8, cluster)
    assert reason_of(cluster=few) == "fewer than 5 clusters to resample in a class (4 positive, 15 negative)"
    assert reason_of(covariates=label[:, None] + 1e-9 * given) == "the covariates determine the class"
    assert reason_of(score=np.ones(len(score))) == "constant score"
    assert reason_of(covariates=given * math.nan) == "covariates hold NaN"
    wide = np.random.default_rng(0).normal(size=(len(score), 20))
    assert reason_of(covariates=wide).endswith("items are too few for 61 columns") or "determine" in reason_of(covariates=wide)
    arrays = SimpleNamespace(cov_re_unscaled=np.ones((1, 1)), fe_params=np.ones(3), bse_fe=np.ones(3), converged=False)
    monkeypatch.setattr(MixedLM, "fit", lambda *_, **__: arrays)
    assert reason_of() == mixed.NOT_CONVERGED
