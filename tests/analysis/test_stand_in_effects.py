import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from tests.helpers.planted import table as planted
from wor.analysis import stand_ins
from wor.analysis.evaluation import Evaluation


def test_stand_ins_are_compared_on_the_items_that_have_them_all(quick):
    frame = planted(effect=1.0, n=120)
    evaluation = Evaluation(frame, quick)
    table = pd.DataFrame({"item_id": frame["item_id"], "apl_balanced": frame["apl"], "apl_zero": -frame["apl"]})
    table = table.assign(sib_balanced=frame["sib"], sib_none=np.where(frame["role"] == "reasoning", frame["sib"], np.nan))
    table.loc[:59, "apl_zero"] = np.nan
    result = stand_ins.stand_in_effects(evaluation, table.sample(frac=1, random_state=0))
    part = frame.iloc[60:]
    label = (part["role"] == "reasoning").astype(int)
    expected = [roc_auc_score(label, values) for values in (part["apl"], table["apl_zero"][60:])]
    assert list(result["apl"]) == ["balanced", "zero"]
    assert [entry["auroc"]["value"] for entry in result["apl"].values()] == pytest.approx(expected)
    difference = result["apl"]["zero"]["difference"]
    assert difference["value"] == pytest.approx(expected[1] - expected[0])
    assert difference["high"] < 0
    assert "difference" not in result["apl"]["balanced"]
    assert result["apl"]["zero"]["delta_auc"]["n"] == 60
    assert result["sib"]["none"]["auroc"]["reason"] == "one class only"
