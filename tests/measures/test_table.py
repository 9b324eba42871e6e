import numpy as np
import pandas as pd
import pytest

from wor.measures import apl, table


def records(n, reasons=(), seed=0):
    """What a stage stores of n items: random arrays of the right shapes."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "item_id": [f"wiki/{index}" for index in range(n)],
            "dataset": "wiki",
            "role": "control",
            "split": "calibration",
            "cluster": [f"wiki/{index}" for index in range(n)],
            "token_len": rng.integers(50, 99, n),
            "cot_len": 64,
            "n_generated": 64,
            "avg_logprob": rng.normal(-0.5, 0.1, n),
            "perplexity": 1.6,
            "prompt_perplexity": 20.0,
            "finished": False,
            "template": "chat template",
            "answer": "",
            "correct": np.nan,
            "steps": 3,
            "paraphrase_share": 0.1,
            "paraphrase_reason": "",
            "reason": [reasons[index] if index < len(reasons) else "" for index in range(n)],
            "window_start": 80,
            "window_end": 88,
            "prompt_ids": [rng.integers(0, 9, 80) for _ in range(n)],
            "continuation_ids": [rng.integers(0, 9, 64) for _ in range(n)],
            "tokens": [["a1"] * 64 for _ in range(n)],
            "token_logprob": [rng.normal(-0.5, 0.1, 64) for _ in range(n)],
            "token_entropy": [rng.uniform(0, 3, 64) for _ in range(n)],
        }
    )
    arrays = {
        "entropy": rng.uniform(0, 3, (n, 6, 8)),
        "entropy_no_sink": rng.uniform(0, 3, (n, 6, 8)),
        "kl": np.exp(rng.normal(-3, 1, (n, 6, 8))),
        "jsd": np.sort(rng.uniform(0, 1, (n, 6, 8)), axis=1)[:, ::-1],
        "cosine": rng.uniform(0.9, 1, (n, 3, 7)),
        "prediction_entropy": rng.uniform(0, 3, (n, 8)),
    }
    arrays["jsd"][:, -1] = 0
    for index, reason in enumerate(reasons):
        if reason:
            for array in arrays.values():
                array[index] = np.nan
    return frame, {name: array.astype(np.float32) for name, array in arrays.items()}


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
        assert rows.set_index("layer").loc[3, "paraphrase_cosine"] == pytest.approx(measured.loc[item, "sib"])


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
