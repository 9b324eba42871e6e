"""Check the variant of APL whose thresholds are conditional on the predictions' entropy."""

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import CubicSpline

from wor.measures import apl
from wor.measures import apl_given_entropy as given
from wor.measures.item_arrays import with_prediction_entropy
from wor.statistics import bootstrap

LAYERS, WINDOW = 10, 16


def windows(n, uncertainty, effort=0.0, seed=0):
    """Return arrays whose KL depends on entropy alone, not linearly, and on ``effort``."""
    rng = np.random.default_rng(seed)
    log_entropy = uncertainty + rng.normal(size=(n, 1)) + rng.normal(size=(n, WINDOW))
    slope = np.linspace(0.4, 1.4, LAYERS)[:, None]
    bend = 0.3 * np.logaddexp(0, log_entropy[:, None])
    noise = 0.3 * rng.normal(size=(n, LAYERS, 1)) + 0.5 * rng.normal(size=(n, LAYERS, WINDOW))
    log_kl = slope * log_entropy[:, None] - bend + noise
    kl, entropy = np.exp(log_kl + effort), np.exp(log_entropy)
    kl[0, :, 9:] = entropy[0, 9:] = np.nan  # a short window
    return {"kl": kl.astype(np.float32), "prediction_entropy": entropy}


def aurocs(uncertainty, effort):
    """Return AUROC, low and high of APL and of APL given entropy; reasoning is more uncertain."""
    calibration, controls = windows(60, 0.0, seed=1), windows(120, 0.0, seed=2)
    reasoning = windows(120, uncertainty, effort, seed=3)
    label = np.repeat([0, 1], 120)
    everyone = {name: np.concatenate([controls[name], reasoning[name]]) for name in controls}
    limits = apl.thresholds(apl.layer_effects(calibration["kl"]), 1.0)
    scores = {
        "apl": np.array([apl.apl(effects, limits) for effects in apl.layer_effects(everyone["kl"])]),
        "given": given.by_draw(everyone, given.fit_by_draw(calibration, np.ones((1, 60)), 1.0))[0],
    }
    weights = bootstrap.cluster_weights(np.arange(240), label, 400, 0)
    return {name: bootstrap.auroc_interval(label, score, weights) for name, score in scores.items()}


def test_an_effect_of_entropy_alone_is_none():
    result = aurocs(uncertainty=1.0, effort=0.0)
    assert result["apl"].low > 0.6
    assert result["given"].low < 0.5 < result["given"].high


def test_an_effect_beside_entropy_is_found():
    result = aurocs(uncertainty=-2.0, effort=0.5)
    assert result["apl"].high < 0.5  # lower uncertainty hides the effort from APL
    assert result["given"].low > 0.6


def test_the_fit_is_least_squares_on_natural_splines_over_tokens():
    """Check limits and scores against scipy's natural spline, fitted layer by layer."""
    arrays = windows(12, 0.0)
    weights = np.array([[1] * 12, [3, 0, 2, 1, 1, 1, 1, 0, 0, 1, 1, 1]])
    fit = given.fit_by_draw(arrays, weights, 1.0)
    scores = given.by_draw(arrays, fit)
    entropy = np.log(arrays["prediction_entropy"])
    present = ~np.isnan(entropy)
    natural = CubicSpline(fit.knots, np.eye(4), bc_type="natural")
    inside = np.clip(entropy[present], fit.knots[0], fit.knots[-1])
    basis = natural(inside) + natural(inside, 1) * (entropy[present] - inside)[:, None]
    for draw, weight in enumerate(weights):
        item = np.nonzero(present)[0]
        times = np.sqrt(weight[item])[:, None]
        residual = np.empty((12, LAYERS))
        for layer in range(LAYERS):
            values = np.log(arrays["kl"][:, layer][present].astype(float))
            coefficients = np.linalg.lstsq(times * basis, times[:, 0] * values, rcond=None)[0]
            rest = values - basis @ coefficients
            residual[:, layer] = [rest[item == index].mean() for index in range(12)]
        drawn = np.repeat(residual, weight, axis=0)
        limits = drawn.mean(0) + drawn.std(0, ddof=1)
        assert fit.limits[draw] == pytest.approx(limits)
        assert scores[draw] == pytest.approx((residual > limits).mean(1))


def test_an_entropy_that_does_not_vary_leaves_nothing():
    arrays = windows(12, 0.0)
    arrays["prediction_entropy"][:] = 1.0
    assert np.isnan(given.by_draw(arrays, given.fit_by_draw(arrays, np.ones((1, 12)), 1.0))).all()


def test_each_entropy_is_that_of_the_window_tokens_own_prediction():
    kl = np.ones((3, 2, 4))
    kl[1, :, 2:] = np.nan
    kl[2] = np.nan
    frame = pd.DataFrame(
        {
            "token_len": [10, 20, 30],
            "window_start": [13, 20, 30],
            "token_entropy": [np.arange(9.0), np.arange(2.0), np.arange(3.0)],
        }
    )
    entropy = with_prediction_entropy((frame, {"kl": kl}))[1]["prediction_entropy"]
    expected = [[3, 4, 5, 6], [0, 1, np.nan, np.nan], [np.nan] * 4]
    assert np.array_equal(entropy, expected, equal_nan=True)
