"""Each measure against its formula written plainly, its range, and cases without a number."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wor.measures import ape, apl, dtr, rev, sib

RNG = np.random.default_rng(0)


def padded(rows, width):
    out = np.full((len(rows), width), np.nan, np.float32)
    out[:, : rows.shape[1]] = rows
    return out


def test_ape_of_uniform_attention_is_one_and_of_a_single_key_zero():
    keys = np.arange(11, 16)  # queries at positions 10..14 see 11..15 keys
    assert ape.ape(np.tile(np.log(keys), (3, 1)), 10) == pytest.approx(1)
    assert ape.ape(np.zeros((3, 5)), 10) == 0


def test_ape_is_the_mean_over_layers_and_positions():
    entropy = RNG.uniform(0, 2, (4, 6)).astype(np.float32)
    slow = [entropy[layer, t] / math.log(20 + t + 1) for layer in range(4) for t in range(6)]
    assert ape.ape(entropy, 20) == pytest.approx(np.mean(slow))
    without_sink = [entropy[layer, t] / math.log(20 + t) for layer in range(4) for t in range(6)]
    assert ape.ape(entropy, 20, skipped_keys=1) == pytest.approx(np.mean(without_sink))
    assert ape.ape_nats(entropy) == pytest.approx(entropy.mean())


def test_padding_changes_no_measure():
    entropy = RNG.uniform(0, 2, (4, 6)).astype(np.float32)
    jsd = np.sort(RNG.uniform(0, 1, (4, 6)).astype(np.float32), axis=0)[::-1]
    assert ape.ape(padded(entropy, 32), 20) == ape.ape(entropy, 20)
    assert ape.ape_nats(padded(entropy, 32)) == ape.ape_nats(entropy)
    assert np.array_equal(apl.layer_effects(padded(entropy, 32)), apl.layer_effects(entropy))
    assert dtr.dtr(padded(jsd, 32), 0.5, 0.85) == dtr.dtr(jsd, 0.5, 0.85)


def test_no_window_is_nan_not_a_number():
    empty = np.full((4, 8), np.nan)
    assert math.isnan(ape.ape(empty, 5))
    assert math.isnan(ape.ape_nats(empty))
    assert np.isnan(apl.layer_effects(empty)).all()
    assert math.isnan(apl.apl(apl.layer_effects(empty), np.ones(4)))
    assert math.isnan(apl.mean_depth(apl.layer_effects(empty)))
    assert math.isnan(dtr.dtr(empty, 0.5, 0.85))
    assert math.isnan(sib.sib(np.full((3, 5), np.nan), 2))


def test_entropy_over_one_key_is_refused():
    with pytest.raises(ValueError, match="sees 1 keys"):
        ape.ape(np.zeros((2, 3)), 0)


def test_apl_counts_layers_over_their_threshold():
    assert apl.apl(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 1.0, 5.0, 3.9])) == 0.5
    assert apl.apl(np.zeros(4), np.zeros(4)) == 0


def test_thresholds_are_mean_and_deviation_of_the_log():
    effects = np.exp(RNG.normal(-3, 1, (50, 6)))
    effects[7, 2] = np.nan
    logs = np.log(np.delete(effects, 7, axis=0))
    for tau in (0.0, 1.0, 2.0):
        expected = [math.exp(np.mean(column) + tau * np.std(column, ddof=1)) for column in logs.T]
        assert apl.thresholds(effects, tau) == pytest.approx(expected)
    assert np.isnan(apl.thresholds(effects[:1], 1.0)).all()


def test_a_log_normal_control_exceeds_its_threshold_about_one_time_in_six():
    calibration, fresh = np.exp(RNG.normal(-3, 1, (4000, 5))), np.exp(RNG.normal(-3, 1, (4000, 5)))
    threshold = apl.thresholds(calibration, 1.0)
    assert np.mean([apl.apl(row, threshold) for row in fresh]) == pytest.approx(0.1587, abs=0.02)


def test_mean_depth_of_known_profiles():
    assert apl.mean_depth(np.array([1.0, 0, 0])) == 0
    assert apl.mean_depth(np.array([0, 0, 2.0])) == 1
    assert apl.mean_depth(np.array([1.0, 1, 1])) == 0.5
    assert math.isnan(apl.mean_depth(np.zeros(3)))


def test_sib_is_the_mean_over_paraphrases_at_its_layer():
    cosine = RNG.uniform(-1, 1, (3, 31))
    assert sib.layer_index(0.5, 30) == 15
    assert (sib.layer_index(0, 30), sib.layer_index(1, 30)) == (0, 30)
    for left in (3, 2):
        mean = cosine[:left, 15].mean()
        assert sib.sib(cosine, 15) == pytest.approx(-math.log(1 - mean))
        assert sib.sib(cosine, 15, "cosine") == pytest.approx(mean)
        cosine[2] = np.nan
    # Rounding of a cosine of 1 has a bound, so that an unmoved item is no infinity.
    assert sib.sib(np.ones((2, 31)), 15) == -math.log(sib.MIN_DISTANCE) == pytest.approx(13.8, abs=0.1)
    assert sib.sib(-np.ones((2, 31)), 15) == pytest.approx(-math.log(2))


def slow_settling(column, g):
    """Return the first layer up to which the smallest divergence is at most g, as in the paper."""
    for layer in range(1, len(column) + 1):
        if min(column[:layer]) <= g:
            return layer
    raise AssertionError("the last layer has divergence 0")


@given(arrays(float, (7, 5), elements=st.floats(0, 1)), st.floats(0, 1), st.floats(0.05, 1))
def test_dtr_equals_the_papers_loop(jsd, g, rho):
    jsd[-1] = 0
    depths = [slow_settling(column, g) for column in jsd.T]
    assert list(dtr.settling_depth(jsd, g)) == depths
    assert dtr.dtr(jsd, g, rho) == np.mean([depth >= math.ceil(rho * 7) for depth in depths])


def test_zscores_of_calibration_have_mean_zero_and_deviation_one():
    values = RNG.normal(5, 3, 200)
    z = rev.zscore(values, *rev.calibration_scale(values))
    assert z.mean() == pytest.approx(0, abs=1e-12)
    assert z.std(ddof=1) == pytest.approx(1)


def test_a_measure_that_does_not_vary_has_no_scale():
    for values in (np.ones(5), np.array([1.0]), np.full(4, np.nan)):
        assert math.isnan(rev.calibration_scale(values)[1])


def test_rev_is_the_signed_weighted_mean():
    z = {"apl": np.array([1.0, 2.0]), "ape": np.array([0.5, -1.0]), "sib": np.array([3.0, np.nan])}
    signs, weights = {"apl": 1, "ape": -1, "sib": 1}, {"apl": 2.0, "ape": 1.0, "sib": 1.0}
    result = rev.rev(z, signs, weights)
    assert result[0] == pytest.approx((2 * 1 - 0.5 + 3) / 4)
    assert math.isnan(result[1])
    # A component of weight 0 counts for nothing, not even its NaN.
    assert rev.rev(z, signs, weights | {"sib": 0.0})[1] == pytest.approx((2 * 2 + 1) / 3)
    with pytest.raises(ValueError, match="every weight is 0"):
        rev.rev(z, signs, dict.fromkeys(weights, 0.0))
