import numpy as np
import pytest

from tests.helpers.planted import activations, table
from wor.measures import ape, specifications


@pytest.fixture(scope="module")
def params16(settings):
    return settings.model_copy(update={"window": settings.window.model_copy(update={"size": 16})})


def records(n, seed):
    return activations(table(n=n, seed=seed), np.random.default_rng(seed), *np.zeros((3, n)))


def shortened(frame, arrays, width):
    """The first item's window has ``width`` tokens only."""
    cut = {name: array.copy() for name, array in arrays.items()}
    for name in ("kl", "entropy", "entropy_no_sink"):
        cut[name][0, :, width:] = np.nan
    ends = frame["window_end"].to_numpy().copy()
    ends[0] = frame["window_start"].iloc[0] + width
    return frame.assign(window_end=ends), cut


def test_the_last_tokens_are_the_last_ones_also_of_a_short_window():
    frame, arrays = shortened(*records(6, 0), width=5)
    starts, cut = specifications.last_tokens(frame, arrays, 8)
    assert list(starts[:2]) == [79, 87]  # the window begins at 80 and 88, predicted one before
    assert np.array_equal(cut["kl"][1], arrays["kl"][1, :, 8:])
    assert np.array_equal(cut["kl"][0, :, :5], arrays["kl"][0, :, :5])
    assert np.isnan(cut["kl"][0, :, 5:]).all()
    starts, cut = specifications.last_tokens(frame, arrays, 4)
    assert list(starts[:2]) == [80, 91]
    assert np.array_equal(cut["entropy"][0], arrays["entropy"][0, :, 1:5])


def test_a_setting_is_what_its_row_says(params16):
    calibration, evaluation = records(40, 1), shortened(*records(20, 2), width=12)
    rows, scores = specifications.specification_scores(calibration, evaluation, params16)
    row = rows[
        (rows["window"] == 8) & (rows["tau"] == 2.0) & (rows["normalisation"] == "nats") & (rows["components"] == "apl ape")
    ]
    (index,) = row.index
    parts = []
    for frame, arrays in (calibration, evaluation):
        widths = frame["window_end"] - frame["window_start"]
        entropies, effects = [], []
        for item, width in enumerate(widths):
            entropies.append(ape.ape_nats(arrays["entropy"][item, :, width - 8 : width]))
            effects.append(arrays["kl"][item, :, width - 8 : width].astype(np.float64).mean(-1))
        parts.append((np.array(entropies), np.array(effects)))
    (cal_ape, cal_effects), (item_ape, item_effects) = parts
    limits = np.exp(np.log(cal_effects).mean(0) + 2 * np.log(cal_effects).std(0, ddof=1))
    cal_apl, item_apl = ((effects > limits).mean(1) for effects in (cal_effects, item_effects))
    expected = [(values - cal.mean()) / cal.std(ddof=1) for values, cal in ((item_apl, cal_apl), (item_ape, cal_ape))]
    assert np.allclose(scores[index], np.mean(expected, axis=0))


def test_a_dimension_that_does_not_matter_is_not_counted_twice(params16):
    rows, scores = specifications.specification_scores(records(40, 1), records(20, 2), params16)
    assert len(rows) == len(scores) == 91
    alone = rows[rows["components"] == "sib"]
    assert alone[["window", "tau", "normalisation"]].to_numpy().tolist() == [["-", "-", "-"]]
    assert rows.loc[rows["primary"], ["window", "tau", "normalisation", "components"]].to_numpy().tolist() == [
        [16, 1.0, "all_keys", "apl ape sib"]
    ]


def test_the_runs_own_tau_and_weights_are_among_them(params16):
    changed = params16.model_copy(
        update={
            "measures": params16.measures.model_copy(update={"tau": 0.7}),
            "rev": params16.rev.model_copy(update={"sib": params16.rev.sib.model_copy(update={"weight": 0.0})}),
        }
    )
    rows, scores = specifications.specification_scores(records(40, 1), records(20, 2), changed)
    assert list(rows.loc[rows["primary"], "tau"]) == [0.7]
    assert list(rows.loc[rows["primary"], "components"]) == ["apl ape"]
    assert "sib" not in set(" ".join(rows["components"]).split())
    assert scores.shape == (len(rows), 20)


def test_components_on_other_scales_do_not_mix_signs(params16):
    flipped = params16.rev.model_copy(update={"ape": params16.rev.ape.model_copy(update={"sign": -1})})
    plain, negated = (
        specifications.specification_scores(records(40, 1), records(20, 2), params)[1]
        for params in (params16, params16.model_copy(update={"rev": flipped}))
    )
    rows, _ = specifications.specification_scores(records(40, 1), records(20, 2), params16)
    only_ape = (rows["components"] == "ape").to_numpy()
    assert np.allclose(plain[only_ape], -negated[only_ape])
    without = ~rows["components"].str.contains("ape").to_numpy()
    assert np.allclose(plain[without], negated[without])
