import math

import numpy as np
import pandas as pd
import pingouin
import pytest

from wor.statistics.partial import partial_correlation

RNG = np.random.default_rng(3)
N = 80
GIVEN = RNG.normal(size=(N, 2))
X = GIVEN @ [1.0, -0.5] + RNG.normal(size=N)
Y = (GIVEN @ [0.5, 0.5] + 0.4 * X + RNG.normal(size=N) > 0).astype(float)


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_it_equals_pingouins(method):
    frame = pd.DataFrame({"x": X, "y": Y, "a": GIVEN[:, 0], "b": GIVEN[:, 1]})
    theirs = pingouin.partial_corr(frame, "x", "y", ["a", "b"], method=method)
    ours = partial_correlation(X, Y, GIVEN, method)
    assert ours.n == N
    assert ours.value == pytest.approx(theirs["r"].iloc[0], abs=1e-9)
    assert ours.p == pytest.approx(theirs["p_val"].iloc[0], rel=1e-6)
    interval = next(theirs[column].iloc[0] for column in theirs if column.upper().startswith("CI95"))
    assert (ours.low, ours.high) == pytest.approx(tuple(interval), abs=0.006)  # pingouin rounds to 2 decimals


def test_without_covariates_it_is_the_plain_correlation():
    found = partial_correlation(X, Y, np.empty((N, 0)))
    assert found.value == pytest.approx(np.corrcoef(X, Y)[0, 1])


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
        (X[:5], Y[:5], GIVEN[:5], "5 items are too few for 2 covariates"),
    ],
)
def test_undefined_is_nan_and_a_reason(x, y, given, reason):
    found = partial_correlation(x, y, given)
    assert math.isnan(found.value)
    assert found.reason == reason
