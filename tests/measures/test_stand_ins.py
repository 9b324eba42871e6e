"""Check APL under other stand-ins, and SIB under other centres, against the measures themselves."""

import numpy as np
import pytest

from tests.helpers.records import records
from wor.measures import apl, sib
from wor.measures.stand_ins import stand_in_scores


@pytest.fixture(scope="module")
def params(settings):
    return settings.model_copy(
        update={"stand_ins": settings.stand_ins.model_copy(update={"names": ["balanced", "own"], "layer_step": 2})}
    )


def with_others(sample, observed, seed):
    """Add KLs of the own stand-in, every other layer of the ``observed`` items, and cosines."""
    frame, arrays = sample
    rng = np.random.default_rng(seed)
    own = np.exp(rng.normal(-3, 1, (len(frame), 3, 8)))
    own[~np.isin(np.arange(len(frame)), observed)] = np.nan
    centres = {f"cosine_{name}": rng.uniform(-1, 1, arrays["cosine"].shape) for name in ("control", "none")}
    return frame, {**arrays, "kl_own": own, **centres}


def test_each_stand_in_has_its_own_thresholds_on_the_same_layers_and_items(params):
    calibration = with_others(records(20, seed=1), range(12), 1)
    items = with_others(records(9, reasons=["", "too short"], seed=2), range(5), 2)
    table = stand_in_scores(calibration, items, params)
    assert list(table) == ["item_id", "apl_balanced", "apl_own", "sib_balanced", "sib_control", "sib_none"]
    shared = [0, 2, 3, 4]  # observed with the other stand-in, with a window
    for name, key, layers in (("balanced", "kl", slice(0, None, 2)), ("own", "kl_own", slice(None))):
        effects = [apl.layer_effects(arrays[key][:, layers]) for _, arrays in (calibration, items)]
        limits = apl.thresholds(effects[0][:12], params.measures.tau)
        assert table.loc[shared, f"apl_{name}"].tolist() == [apl.apl(effects[1][index], limits) for index in shared]
        assert table[f"apl_{name}"].notna().sum() == len(shared)
    for name, key in (("balanced", "cosine"), ("control", "cosine_control"), ("none", "cosine_none")):
        assert table.loc[3, f"sib_{name}"] == sib.sib(items[1][key][3], 3)


def test_without_items_there_is_no_value(params):
    calibration, items = with_others(records(20, seed=1), [], 1), with_others(records(9, seed=2), [], 2)
    table = stand_in_scores(calibration, items, params)
    assert table[["apl_balanced", "apl_own"]].isna().all(axis=None)
    assert table["sib_none"].notna().all()
