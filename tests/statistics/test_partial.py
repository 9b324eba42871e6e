import math

import numpy as np
import pandas as pd
import pingouin
import pytest
import statsmodels.api as sm
from scipy import stats
from sklearn.linear_model import LinearRegression

from wor.statistics import bootstrap, partial
from wor.statistics.partial import (
    clustered_partial,
    partial_correlation,
    partial_given_replicates,
    permuted_partial,
    reliability_of_mean,
)

RNG = np.random.default_rng(3)
N = 80
GIVEN = RNG.normal(size=(N, 2))
X = GIVEN @ [1.0, -0.5] + RNG.normal(size=N)
Y = (GIVEN @ [0.5, 0.5] + 0.4 * X + RNG.normal(size=N) > 0).astype(float)


@pytest.mark.parametrize("method", ["pearson", "spearman"])
@pytest.mark.parametrize("semi", [False, True])
def test_it_equals_pingouins(method, semi):
    frame = pd.DataFrame({"x": X, "y": Y, "a": GIVEN[:, 0], "b": GIVEN[:, 1]})
    theirs = pingouin.partial_corr(frame, "x", "y", **{"x_covar" if semi else "covar": ["a", "b"]}, method=method)
    ours = partial_correlation(X, Y, GIVEN, method, semi=semi)
    assert ours.n == N
    assert ours.value == pytest.approx(theirs["r"].iloc[0], abs=1e-9)
    assert ours.p == pytest.approx(theirs["p_val"].iloc[0], rel=1e-6)
    interval = next(theirs[column].iloc[0] for column in theirs if column.upper().startswith("CI95"))
    assert (ours.low, ours.high) == pytest.approx(tuple(interval), abs=0.006)  # 2 decimals


def test_it_is_the_regression_coefficients_test():
    """t and p of x in y ~ x + given; the squared part correlation is x's share of R squared."""
    small, full = (sm.OLS(Y, sm.add_constant(rows)).fit() for rows in (GIVEN, np.column_stack([GIVEN, X])))
    t, freedom = full.tvalues[-1], full.df_resid
    ours = partial_correlation(X, Y, GIVEN)
    assert ours.value == pytest.approx(t / math.sqrt(t * t + freedom))
    assert ours.p == pytest.approx(full.pvalues[-1])
    assert partial_correlation(X, Y, GIVEN, semi=True).value ** 2 == pytest.approx(full.rsquared - small.rsquared)


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_permuted_p_is_that_of_scipys_permutation_of_residuals(method):
    weak = X + 2 * np.random.default_rng(1).normal(size=N)
    x, y, given = (stats.rankdata(values, axis=0) if method == "spearman" else values for values in (weak, Y, GIVEN))
    a, b = (sm.OLS(values, sm.add_constant(given)).fit().resid for values in (x, y))
    theirs = stats.permutation_test(
        (a,),
        lambda first, axis: np.abs((first * b).sum(axis)),
        permutation_type="pairings",
        n_resamples=4000,
        alternative="greater",
        rng=np.random.default_rng(1),
    )
    ours = permuted_partial(weak, Y, GIVEN, 4000, seed=0, method=method)
    assert 0.005 < theirs.pvalue < 0.5  # where the two could differ
    assert ours.p == pytest.approx(theirs.pvalue, abs=0.03)
    assert ours.value == pytest.approx(partial_correlation(weak, Y, GIVEN, method).value)


def test_permuted_p_is_near_the_normal_theorys_for_normal_residuals_and_never_0():
    rng = np.random.default_rng(6)
    x, y = GIVEN @ [1, 1] + rng.normal(size=(2, N))
    y = y + 0.15 * x
    assert permuted_partial(x, y, GIVEN, 5000, seed=0).p == pytest.approx(partial_correlation(x, y, GIVEN).p, abs=0.02)
    assert permuted_partial(x, x + 0.01 * y, GIVEN, 99, seed=0).p == pytest.approx(1 / 100)


def test_the_seed_decides_the_permutations():
    result = [permuted_partial(X, Y, GIVEN, 200, seed) for seed in (1, 1)]
    assert repr(result[0]) == repr(result[1])  # NaN is not equal to itself


def test_without_covariates_it_is_the_plain_correlation():
    result = partial_correlation(X, Y, np.empty((N, 0)))
    assert result.value == pytest.approx(np.corrcoef(X, Y)[0, 1])


def test_a_redundant_covariate_changes_nothing():
    wide = np.column_stack([GIVEN, GIVEN.sum(1), np.ones(N)])
    a, b = partial_correlation(X, Y, GIVEN), partial_correlation(X, Y, wide)
    assert (a.value, a.p, a.low) == pytest.approx((b.value, b.p, b.low))


def test_scale_does_not_matter():
    a, b = partial_correlation(X, Y, GIVEN), partial_correlation(1e6 * X + 3, Y, GIVEN * 1e-7)
    assert a.value == pytest.approx(b.value)


@pytest.mark.parametrize(
    ("x", "y", "given", "reason"),
    [
        (np.ones(N), Y, GIVEN, "constant score"),
        (X, np.ones(N), GIVEN, "constant label"),
        (GIVEN.sum(1), Y, GIVEN, "the covariates determine the score"),
        (np.where(np.arange(N) == 3, np.nan, X), Y, GIVEN, "values hold NaN"),
        (np.full(N, np.nan), Y, GIVEN, "values hold NaN"),
        (X, Y, np.where(np.arange(2 * N).reshape(N, 2) == 3, np.nan, GIVEN), "values hold NaN"),
        (X, GIVEN[:, 0], GIVEN, "the covariates determine the label"),
        (X[:5], Y[:5], GIVEN[:5], "5 items are too few for 2 covariates"),
        (X[:0], Y[:0], GIVEN[:0], "no items"),
    ],
)
@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_undefined_is_nan_and_a_reason(x, y, given, reason, method):
    if method == "spearman" and reason == "the covariates determine the score":
        x = given[:, 0]  # ranks of a sum are not a sum of ranks
    for result in (
        partial_correlation(x, y, given, method),
        partial_correlation(x, y, given, method, semi=True),
        permuted_partial(x, y, given, 20, 0, method),
    ):
        assert np.isnan([result.value, result.low, result.high, result.p]).all()
        assert result.reason == reason
        assert result.n == len(x)


def test_one_more_item_is_enough():
    for result in (partial_correlation(X[:6], X[1:7] ** 2, GIVEN[:6]), permuted_partial(X[:6], X[1:7] ** 2, GIVEN[:6], 20, 0)):
        assert math.isfinite(result.value)
        assert not result.reason


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_a_clustered_draw_is_the_partial_correlation_of_the_repeated_items(method):
    """Each draw against pingouin on the rows that it repeats; ranks are taken before drawing."""
    weights = bootstrap.cluster_weights(np.arange(N) // 2, np.zeros(N), 40, seed=1)
    columns = np.column_stack([X, Y, GIVEN])
    columns = stats.rankdata(columns, axis=0) if method == "spearman" else columns
    z = []
    for times in weights.astype(int):
        frame = pd.DataFrame(np.repeat(columns, times, axis=0), columns=["x", "y", "a", "b"])
        z.append(np.arctanh(pingouin.partial_corr(frame, "x", "y", ["a", "b"])["r"].iloc[0]))
    result = partial.clustered_partial(X, Y, GIVEN, weights, method)
    assert result.value == partial_correlation(X, Y, GIVEN, method).value
    # By t with clusters minus one, as draws of k clusters vary as k - 1.
    labels = np.unique(Y, return_inverse=True)[1]
    counts = [len(np.unique(np.flatnonzero(labels == value) // 2)) for value in (0, 1)]
    variances = [1 / k for k in counts]
    freedom = sum(variances) ** 2 / sum(v**2 / (k - 1) for v, k in zip(variances, counts, strict=True))
    lacking = sum(variances) / sum((k - 1) / k**2 for k in counts)
    middle, error = np.arctanh(result.value), np.std(z, ddof=1) * lacking**0.5
    assert result.p == pytest.approx(2 * stats.t.sf(abs(middle) / error, freedom), rel=1e-4)
    half = stats.t.ppf(0.975, freedom) * error
    assert (result.low, result.high) == pytest.approx(tuple(np.tanh([middle - half, middle + half])), rel=1e-4)


def test_clusters_widen_the_interval_of_a_partial_correlation():
    rng = np.random.default_rng(0)
    cluster = np.repeat(np.arange(20), 8)
    x, y, given = rng.normal(size=20)[cluster], rng.normal(size=20)[cluster], rng.normal(size=(160, 2))
    alone = partial.clustered_partial(x, y, given, bootstrap.cluster_weights(np.arange(160), np.zeros(160), 1000, seed=0))
    whole = partial.clustered_partial(x, y, given, bootstrap.cluster_weights(cluster, np.zeros(160), 1000, seed=0))
    assert whole.high - whole.low > 2 * (alone.high - alone.low)
    plain = partial_correlation(x, y, given)
    assert alone.high - alone.low == pytest.approx(plain.high - plain.low, rel=0.15)


def test_a_redundant_covariate_changes_no_draw():
    weights = bootstrap.cluster_weights(np.arange(N), np.zeros(N), 200, seed=0)
    wide = np.column_stack([GIVEN, GIVEN.sum(1), np.ones(N)])
    a, b = (partial.clustered_partial(X, Y, given, weights) for given in (GIVEN, wide))
    assert (a.low, a.high, a.p) == pytest.approx((b.low, b.high, b.p), rel=1e-5)


def test_what_a_plain_partial_correlation_refuses_a_clustered_one_does_too():
    weights = bootstrap.cluster_weights(np.arange(N), np.zeros(N), 100, seed=0)
    assert partial.clustered_partial(np.ones(N), Y, GIVEN, weights).reason == "constant score"
    assert partial.clustered_partial(X * np.nan, Y, GIVEN, weights).reason == "values hold NaN"


def noisy(rng, truth, seeds=3, noise=1.0):
    return truth + noise * rng.normal(size=(seeds, len(truth)))


def test_given_replicates_it_is_spearmans_correction_for_attenuation():
    """Correlations with the average over the root of its reliability, in partial r's formula."""
    rng = np.random.default_rng(0)
    truth, given = rng.normal(size=300), rng.normal(size=(300, 2))
    x, y = truth + given @ [1, 0.5] + rng.normal(size=300), truth - given @ [0, 1] + rng.normal(size=300)
    replicates = noisy(rng, truth + given[:, 0])
    weights = bootstrap.cluster_weights(np.arange(300), np.zeros(300), 400, seed=0)
    result = partial_given_replicates(x, y, given, replicates, weights)
    residual = [v - LinearRegression().fit(given, v).predict(given) for v in (x, y, replicates.mean(0))]
    (_, xy, xm), (_, _, ym), _ = np.corrcoef(residual)
    reliability = 1 - replicates.var(0, ddof=1).mean() / 3 / residual[2].var()
    xt, yt = xm / math.sqrt(reliability), ym / math.sqrt(reliability)
    assert result.value == pytest.approx((xy - xt * yt) / math.sqrt((1 - xt**2) * (1 - yt**2)))
    assert result.low < result.value < result.high
    without_noise = partial_given_replicates(x, y, given, np.stack([truth, truth]), weights)
    assert without_noise.value == pytest.approx(partial_correlation(x, y, np.column_stack([given, truth])).value)


def test_another_measurement_of_what_replicates_measure_is_not_taken_for_more():
    """As an average of three seeds is noisy, plain partial r finds something in most studies."""
    label = np.repeat([1, 0], 40)
    weights = bootstrap.cluster_weights(np.arange(80), label, 300, seed=0)
    found, corrected, own = [], [], []
    for study in range(60):
        rng = np.random.default_rng(study)
        truth = rng.normal(size=80) + 1.2 * label
        replicates, x = noisy(rng, truth, noise=1.5), truth + 1.5 * rng.normal(size=80)
        found.append(clustered_partial(x, label, replicates.mean(0)[:, None], weights).low > 0)
        corrected.append(partial_given_replicates(x, label, np.zeros((80, 0)), replicates, weights).low > 0)
        more = partial_given_replicates(x + 3 * label, label, np.zeros((80, 0)), replicates, weights)
        own.append(more.low > 0)
    assert np.mean(found) > 0.15
    assert np.mean(corrected) < 0.1
    assert np.mean(own) > 0.6


def test_replicates_that_hardly_agree_give_a_reason():
    rng = np.random.default_rng(0)
    label = np.repeat([1, 0], 40)
    weights = bootstrap.cluster_weights(np.arange(80), label, 100, seed=0)
    result = partial_given_replicates(rng.normal(size=80), label, np.zeros((80, 0)), rng.normal(size=(3, 80)), weights)
    assert np.isnan(result.value)
    assert result.reason.startswith("the replicates agree too little: reliability 0.")
    one = partial_given_replicates(rng.normal(size=80), label, np.zeros((80, 0)), rng.normal(size=(1, 80)), weights)
    assert one.reason == "the noise of one replicate is not known"


def test_draws_in_which_the_replicates_are_constant_do_not_count():
    rng = np.random.default_rng(4)
    truth = np.where(np.arange(60) < 6, 5.0, 0.0)  # six items of 60 differ from the others
    replicates = truth + 0.1 * rng.normal(size=(2, 60)) * (truth > 0)
    arrays = truth + rng.normal(size=60), np.arange(60) % 2, rng.normal(size=(60, 1)), replicates
    weights = rng.multinomial(60, np.full(60, 1 / 60), size=400).astype(float)
    weights = weights[weights[:, :6].sum(1) > 0]
    constant = weights[:20].copy()
    constant[:, :6] = 0
    assert partial_given_replicates(*arrays, np.concatenate([weights, constant])) == partial_given_replicates(*arrays, weights)


def test_the_reliability_of_a_mean_is_its_squared_correlation_with_what_it_measures():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=20_000)
    replicates = noisy(rng, truth, noise=1.5)
    weights = bootstrap.cluster_weights(np.arange(20_000) // 100, np.zeros(20_000), 100, seed=0)
    result = reliability_of_mean(replicates, weights)
    assert result.value == pytest.approx(np.corrcoef(replicates.mean(0), truth)[0, 1] ** 2, abs=0.02)
    assert result.value == pytest.approx(pingouin.cronbach_alpha(pd.DataFrame(replicates.T))[0])
    assert result.low < result.value < result.high
