import numpy as np
import patsy
import pytest
from scipy.interpolate import CubicSpline

from wor.statistics.logistic import fit_ridge, predict_log_odds
from wor.statistics.splines import SplineDesign, choose_knots, natural_spline


def spans(columns, others):
    """Return whether every column of ``others`` is a combination of ``columns``."""
    left = others - columns @ np.linalg.lstsq(columns, others, rcond=None)[0]
    return np.abs(left).max() < 1e-8 * np.abs(others).max()


def with_constant(columns):
    return np.column_stack([np.ones(len(columns)), columns])


def test_the_span_is_patsys_natural_splines_also_beyond_the_knots():
    values = np.random.default_rng(0).normal(size=80)
    knots = choose_knots(values)
    ours = with_constant(natural_spline(values, knots))
    formula = "cr(values, knots=knots[1:-1], lower_bound=knots[0], upper_bound=knots[-1]) - 1"
    theirs = np.asarray(patsy.dmatrix(formula, {"values": values, "knots": knots}))
    assert values.min() < knots[0]
    assert knots[-1] < values.max()
    assert ours.shape == theirs.shape == (80, 4)
    assert spans(ours, theirs)
    assert spans(theirs, ours)


def test_between_the_knots_it_holds_every_natural_spline_of_scipy():
    knots = np.array([-1.0, 0.2, 0.9, 3.0])
    values = np.linspace(-1, 3, 50)
    theirs = np.column_stack([CubicSpline(knots, row, bc_type="natural")(values) for row in np.eye(4)])
    assert spans(with_constant(natural_spline(values, knots)), theirs)


@pytest.mark.parametrize(
    ("values", "columns"),
    [
        (np.full(60, 64.0), 0),
        (np.r_[np.full(57, 64.0), 50, 40, 30], 1),  # as cot_len is in most runs
        (np.arange(60) % 2, 1),
        (np.arange(60) % 3, 2),
        (np.arange(60) % 4, 3),
        (np.arange(60), 3),
        (1e6 + 1e-3 * np.arange(60), 3),
    ],
)
def test_a_column_of_few_values_has_fewer_degrees_of_freedom(values, columns):
    design = SplineDesign.fit(values[:, None].astype(float))
    result = design.columns(values[:, None].astype(float))
    assert result.shape == (60, columns)
    assert result.mean(0) == pytest.approx(np.zeros(columns), abs=1e-6)
    assert result.T @ result / 60 == pytest.approx(np.eye(columns), abs=1e-6)


def test_knots_and_scales_are_those_of_the_rows_that_made_the_design():
    rng = np.random.default_rng(1)
    train, other = rng.normal(size=(60, 2)), rng.normal(size=(30, 2))
    design = SplineDesign.fit(train)
    together = design.columns(np.concatenate([train, 100 * other]))
    assert together[:60] == pytest.approx(design.columns(train))
    assert design.columns(other)[:5] == pytest.approx(design.columns(other[:5]))


def test_a_copy_of_a_covariate_adds_no_column():
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(2, 60))
    design = SplineDesign.fit(np.column_stack([first, second, 3 - 2 * first]))
    assert design.columns(np.zeros((5, 3))).shape == (5, 6)


@pytest.mark.parametrize("change", [lambda x: 3 * x + 7, lambda x: -x])
def test_a_ridge_fit_does_not_depend_on_a_covariates_units(change):
    rng = np.random.default_rng(3)
    label, covariates = (np.arange(80) % 2), rng.gamma(1.0, size=(80, 2))
    fits = []
    # Quantiles of a mirrored column are at other items: equal spacing keeps the knots alike.
    for values in (np.sort(covariates, axis=0), change(np.sort(covariates, axis=0))):
        columns = SplineDesign.fit(values).columns(values)
        fits.append(predict_log_odds(columns, fit_ridge(columns, label, np.ones((1, 80)))))
    assert fits[0] == pytest.approx(fits[1], abs=1e-6 if change(1) > 0 else 0.2)
