"""Check draws of the calibration sample against calibrating again on each sample's own rows."""

import numpy as np
import pytest

from tests.helpers.records import records
from wor.measures import calibration_draws, table
from wor.measures.registry import COMPONENTS
from wor.statistics import bootstrap

CHANGED = ["apl", "apl_given_entropy"]
# Draws of apl_given_entropy keep the whole sample's knots: test_apl_given_entropy checks them.
SCORES = ["rev", *(f"{name}_z" for name in COMPONENTS), "apl"]


def rows(sample, index):
    frame, arrays = sample
    return frame.iloc[index].reset_index(drop=True), {name: array[index] for name, array in arrays.items()}


@pytest.fixture(scope="module")
def calibration():
    frame, arrays = records(14, reasons=["", "too short"])
    # Two articles with two items each, which are drawn and left out together.
    return frame.assign(cluster=[f"wiki/{index // 2 if index < 4 else index}" for index in range(14)]), arrays


def test_a_draw_is_a_calibration_on_the_drawn_items(calibration, settings):
    items = records(9, seed=5)
    weights = bootstrap.cluster_weights(calibration[0]["cluster"], calibration[0]["dataset"], 20, 3)
    scores = calibration_draws.scores_by_draw(calibration, items, weights, settings)
    for draw, weight in enumerate(weights.astype(int)):
        fixed = table.calibrate(*rows(calibration, np.repeat(np.arange(14), weight)), settings)
        expected = table.measure_items(*items, fixed, settings)
        for name in SCORES:
            assert np.allclose(scores[name][draw], expected[name], equal_nan=True), name


def test_the_whole_sample_is_no_draw(calibration, settings):
    items = records(9, seed=5)
    scores = calibration_draws.scores_by_draw(calibration, items, np.ones((1, 14)), settings)
    expected = table.measure_items(*items, table.calibrate(*calibration, settings), settings)
    assert np.allclose(scores["rev"][0], expected["rev"])


def test_a_draw_without_a_scale_gives_nothing(calibration, settings):
    weights = np.zeros((2, 14))
    weights[0, 5], weights[1, 5:7] = 3, 1  # one item three times, two items
    scores = calibration_draws.scores_by_draw(calibration, records(4, seed=6), weights, settings)
    assert np.isnan(scores["rev"][0]).all()
    assert np.isfinite(scores["ape_z"][1]).all()


def test_a_calibration_item_is_scored_by_the_others(calibration, settings):
    fixed = table.calibrate(*calibration, settings)
    left_out = calibration_draws.measure_left_out(calibration, fixed, settings)
    in_sample = table.measure_items(*calibration, fixed, settings)
    clusters = calibration[0]["cluster"].to_numpy()
    for index, cluster in enumerate(clusters):
        others = table.calibrate(*rows(calibration, np.flatnonzero(clusters != cluster)), settings)
        expected = table.measure_items(*rows(calibration, [index]), others, settings).iloc[0]
        for name in SCORES:
            assert left_out.loc[index, name] == pytest.approx(expected[name], nan_ok=True), (name, index)
    assert left_out["apl_in_sample"].equals(in_sample["apl"])
    assert left_out["apl_in_sample"].mean() == pytest.approx(fixed.scales["apl"][0])
    assert list(left_out.columns.drop([f"{name}_in_sample" for name in CHANGED])) == list(in_sample.columns)
    described = calibration_draws.describe_left_out(left_out)["rev"]
    assert list(described.values()) == pytest.approx([left_out["rev"].mean(), left_out["rev"].std(), 13])
