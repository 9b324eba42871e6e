import numpy as np
import pandas as pd
import pytest

from tests.helpers.records import records
from wor.measures import apl, table


def test_rev_can_be_recomputed_from_the_columns(settings):
    frame, arrays = records(30)
    calibration = table.calibrate(frame, arrays, settings)
    measured = table.measure_items(frame, arrays, calibration, settings)
    for name in ("apl", "ape", "sib"):
        mean, deviation = calibration.scales[name]
        assert np.allclose(measured[f"{name}_z"], (measured[name] - mean) / deviation)
    assert np.allclose(measured["rev"], measured[["apl_z", "ape_z", "sib_z"]].mean(axis=1))
    assert measured["rev"].mean() == pytest.approx(0, abs=1e-12)  # over calibration items


def test_measures_can_be_recomputed_from_the_layers(settings):
    frame, arrays = records(10)
    calibration = table.calibrate(frame, arrays, settings)
    measured = table.measure_items(frame, arrays, calibration, settings).set_index("item_id")
    layers = table.layer_table(frame, arrays)
    for item, rows in layers.groupby("item_id"):
        assert (rows["ablation_kl"].to_numpy() > calibration.thresholds).mean() == measured.loc[item, "apl"]
        assert rows["entropy"].mean() == pytest.approx(measured.loc[item, "ape_all_keys"])
        assert rows["entropy_no_sink"].mean() == pytest.approx(measured.loc[item, "ape_no_sink"])
        assert rows.set_index("layer").loc[3, "paraphrase_cosine"] == pytest.approx(1 - np.exp(-measured.loc[item, "sib"]))


def test_an_item_without_a_window_keeps_its_row_and_its_reason(settings):
    why = "3 tokens generated, fewer than 4"
    frame, arrays = records(10, reasons=["", why])
    calibration = table.calibrate(frame, arrays, settings)
    assert calibration.n == 9
    measured = table.measure_items(frame, arrays, calibration, settings)
    assert len(measured) == 10
    assert measured.loc[1, "reason"] == why
    assert measured.loc[1, ["apl", "ape", "sib", "dtr", "rev"]].isna().all()
    assert measured.drop(index=1)["rev"].notna().all()
    assert (measured.drop(index=1)["reason"] == "").all()
    table.layer_table(frame, arrays)


def test_a_measure_that_is_the_same_everywhere_leaves_rev_undefined_with_a_reason(settings):
    frame, arrays = records(10)
    arrays["cosine"][:] = 0.5
    calibration = table.calibrate(frame, arrays, settings)
    measured = table.measure_items(frame, arrays, calibration, settings)
    assert measured["rev"].isna().all()
    assert (measured["reason"] == "sib does not vary over calibration controls").all()


def test_the_window_s_covariates_are_columns_of_the_table(settings):
    frame, arrays = records(4)
    measured = table.raw_measures(frame, arrays, table.Calibration(np.ones(6), {}, 0), settings)
    for index, row in frame.iterrows():
        expected = row["token_logprob"][:8].mean(), row["token_entropy"][:8].mean(), 0.5
        assert measured.loc[index, ["window_logprob", "window_entropy", "digit_share"]].tolist() == pytest.approx(expected)


def test_tau_moves_the_thresholds(settings):
    frame, arrays = records(30)
    wider = settings.model_copy(update={"measures": settings.measures.model_copy(update={"tau": 2.0})})
    low, high = (table.calibrate(frame, arrays, params).thresholds for params in (settings, wider))
    assert (high > low).all()
    effects = apl.layer_effects(arrays["kl"])
    assert apl.apl(effects[0], high) <= apl.apl(effects[0], low)


def null_records(seed, ablated=True, paraphrased=True):
    """What one null model writes: 8 calibration controls, then 6 items of each class."""
    frame, arrays = records(20, seed=seed)
    frame["split"] = ["calibration"] * 8 + ["evaluation"] * 12
    frame["role"] = ["control"] * 14 + ["reasoning"] * 6
    arrays["kl"][:] = arrays["kl"] if ablated else np.nan
    arrays["cosine"][:] = arrays["cosine"] if paraphrased else np.nan
    del arrays["jsd"]
    return frame.assign(kind="permuted", seed=seed), arrays


def measure_nulls(settings, *parts):
    frames, arrays = zip(*parts, strict=True)
    joined = {name: np.concatenate([part[name] for part in arrays]) for name in arrays[0]}
    return table.measure_null_models(pd.concat(frames, ignore_index=True), joined, settings)


def test_each_null_model_has_the_scales_of_its_own_calibration_controls(settings):
    parts = [null_records(1), null_records(2)]
    measured = measure_nulls(settings, *parts)
    published = ["entropy_slope", "high_entropy_share"]  # of what these records hold
    assert list(measured) == ["item_id", "kind", "seed", "apl", "ape", "sib", "rev", *published, "reason"]
    for frame, arrays in parts:
        calibration = table.calibrate(frame[:8], {name: array[:8] for name, array in arrays.items()}, settings)
        alone = table.measure_items(frame, arrays, calibration, settings)[8:]
        rows = measured[measured["seed"] == frame["seed"].iloc[0]]
        assert rows["item_id"].tolist() == alone["item_id"].tolist()
        for name in ("apl", "ape", "sib", "rev"):
            assert rows[name].to_numpy() == pytest.approx(alone[name].to_numpy())


def test_rev_of_null_models_is_of_the_components_that_all_have(settings):
    frame, arrays = null_records(1)
    calibration = table.calibrate(frame[:8], {name: array[:8] for name, array in arrays.items()}, settings)
    alone = table.measure_items(frame, arrays, calibration, settings)[8:]
    measured = measure_nulls(settings, (frame, arrays), null_records(2, ablated=False))
    first = measured[measured["seed"] == 1]
    assert first["rev"].to_numpy() == pytest.approx(alone[["ape_z", "sib_z"]].mean(axis=1).to_numpy())
    assert first["apl"].to_numpy() == pytest.approx(alone["apl"].to_numpy())  # kept, where it was measured
    assert measured.loc[measured["seed"] == 2, "apl"].isna().all()
    assert (measured["reason"] == "").all()
    only = measure_nulls(settings, null_records(1, ablated=False, paraphrased=False))
    assert only["rev"].to_numpy() == pytest.approx(alone["ape_z"].to_numpy())
