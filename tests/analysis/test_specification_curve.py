import numpy as np
import pandas as pd
import pytest

from tests.helpers.planted import table as planted
from wor.analysis import specification_curve
from wor.analysis.evaluation import COVARIATES, Evaluation
from wor.statistics import auc
from wor.statistics.matching import caliper_pairs

SETTINGS = pd.DataFrame({"window": [32, 16, 8], "primary": [True, False, False]})


def made(frame, params, *columns):
    scores = pd.DataFrame(np.column_stack(columns), index=frame["item_id"])
    return specification_curve.specification_curve(Evaluation(frame, params), SETTINGS, scores)


def test_each_setting_is_on_all_items_and_on_matched_pairs(quick):
    frame = planted(effect=1.0, confound=0.5, n=200)
    found = made(frame, quick, frame["rev"], frame["apl"], -frame["rev"])
    assert list(found["matching"]) == ["none"] * 3 + ["caliper"] * 3
    assert list(found["primary"]) == [True] + [False] * 5
    label = (frame["role"] == "reasoning").to_numpy().astype(int)
    assert found["auroc_value"].iloc[0] == pytest.approx(auc.auroc(label, frame["rev"].to_numpy()))
    assert found["auroc_value"].iloc[2] == pytest.approx(1 - found["auroc_value"].iloc[0])
    chosen = caliper_pairs(label, frame[COVARIATES].to_numpy(float))
    assert 20 < len(chosen) < 200
    assert found["auroc_value"].iloc[3] == pytest.approx(auc.auroc(label[chosen], frame["rev"].to_numpy()[chosen]))
    assert (found["auroc_n"].iloc[3:] == len(chosen)).all()
    assert (found["delta_auc_low"] < found["delta_auc_high"]).all()


def test_the_order_of_scores_is_the_items_not_the_rows(quick):
    frame = planted(effect=1.0, n=100)
    shuffled = pd.DataFrame(np.column_stack([frame["rev"]] * 3), index=frame["item_id"]).sample(frac=1, random_state=0)
    found = specification_curve.specification_curve(Evaluation(frame, quick), SETTINGS, shuffled)
    label = (frame["role"] == "reasoning").to_numpy().astype(int)
    assert found["auroc_value"].iloc[0] == pytest.approx(auc.auroc(label, frame["rev"].to_numpy()))


def test_the_summary_counts_who_agrees_in_sign(quick):
    frame = planted(effect=1.0, n=200)
    found = specification_curve.summarise_curve(made(frame, quick, frame["rev"], frame["apl"], -frame["rev"]))
    assert found["settings"] == 6
    assert found["auroc"]["agree"] == pytest.approx(4 / 6)
    assert found["auroc"]["above"] == pytest.approx(4 / 6)
    assert found["auroc"]["below"] == pytest.approx(2 / 6)
    assert found["auroc"]["least"] < 0.5 < found["auroc"]["primary"] <= found["auroc"]["most"]


def test_classes_that_cannot_be_matched_are_a_reason(quick):
    frame = planted(confound=8.0, n=100)
    found = made(frame, quick, frame["rev"], frame["apl"], frame["ape"])
    assert found["auroc_value"].iloc[:3].notna().all()
    assert found["auroc_value"].iloc[3:].isna().all()
    assert found["auroc_reason"].iloc[3].startswith("after matching: ")
    assert found["delta_auc_reason"].iloc[5] == found["auroc_reason"].iloc[3]
    assert specification_curve.summarise_curve(found)["auroc"]["n"] == 3


def test_without_an_evaluation_the_curve_is_reasons(quick):
    frame = planted(n=12)
    found = made(frame, quick, frame["rev"], frame["apl"], frame["ape"])
    assert found["auroc_value"].isna().all()
    assert (found["auroc_reason"] == "fewer than 10 items in a class (6 positive, 6 negative)").all()
    assert specification_curve.summarise_curve(found)["auroc"]["reason"] == "the primary setting has no value here"
