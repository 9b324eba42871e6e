import numpy as np
import pandas as pd
import pytest

from tests.helpers.planted import table as planted
from wor.analysis import specification_curve
from wor.analysis.evaluation import COVARIATES, Evaluation
from wor.statistics import auc
from wor.statistics.matching import caliper_pairs

SPECIFICATIONS = pd.DataFrame({"window": [32, 16, 8], "primary": [True, False, False]})


def curve(frame, params, *columns):
    scores = pd.DataFrame(np.column_stack(columns), index=frame["item_id"])
    return specification_curve.specification_curve(Evaluation(frame, params), SPECIFICATIONS, scores)


def test_each_setting_is_on_all_items_and_on_matched_pairs(quick):
    frame = planted(effect=1.0, confound=0.5, n=200)
    result = curve(frame, quick, frame["rev"], frame["apl"], -frame["rev"])
    assert list(result["matching"]) == ["none"] * 3 + ["caliper"] * 3
    assert list(result["primary"]) == [True] + [False] * 5
    label = (frame["role"] == "reasoning").to_numpy().astype(int)
    assert result["auroc_value"].iloc[0] == pytest.approx(auc.auroc(label, frame["rev"].to_numpy()))
    assert result["auroc_value"].iloc[2] == pytest.approx(1 - result["auroc_value"].iloc[0])
    index = caliper_pairs(label, frame[COVARIATES].to_numpy(float))
    assert 20 < len(index) < 200
    assert result["auroc_value"].iloc[3] == pytest.approx(auc.auroc(label[index], frame["rev"].to_numpy()[index]))
    assert (result["auroc_n"].iloc[3:] == len(index)).all()
    assert (result["delta_auc_low"] < result["delta_auc_high"]).all()


def test_the_order_of_scores_is_the_items_not_the_rows(quick):
    frame = planted(effect=1.0, n=100)
    shuffled = pd.DataFrame(np.column_stack([frame["rev"]] * 3), index=frame["item_id"]).sample(frac=1, random_state=0)
    result = specification_curve.specification_curve(Evaluation(frame, quick), SPECIFICATIONS, shuffled)
    label = (frame["role"] == "reasoning").to_numpy().astype(int)
    assert result["auroc_value"].iloc[0] == pytest.approx(auc.auroc(label, frame["rev"].to_numpy()))


def test_the_summary_counts_who_agrees_in_sign(quick):
    frame = planted(effect=1.0, n=200)
    result = specification_curve.summarise_curve(curve(frame, quick, frame["rev"], frame["apl"], -frame["rev"]))
    assert result["settings"] == 6
    assert result["auroc"]["agree"] == pytest.approx(4 / 6)
    assert result["auroc"]["above"] == pytest.approx(4 / 6)
    assert result["auroc"]["below"] == pytest.approx(2 / 6)
    assert result["auroc"]["least"] < 0.5 < result["auroc"]["primary"] <= result["auroc"]["most"]


def test_classes_that_cannot_be_matched_are_a_reason(quick):
    frame = planted(confound=8.0, n=100)
    result = curve(frame, quick, frame["rev"], frame["apl"], frame["ape"])
    assert result["auroc_value"].iloc[:3].notna().all()
    assert result["auroc_value"].iloc[3:].isna().all()
    assert result["auroc_reason"].iloc[3].startswith("after matching: ")
    assert result["delta_auc_reason"].iloc[5] == result["auroc_reason"].iloc[3]
    assert specification_curve.summarise_curve(result)["auroc"]["n"] == 3


def test_without_an_evaluation_the_curve_is_reasons(quick):
    frame = planted(n=12)
    result = curve(frame, quick, frame["rev"], frame["apl"], frame["ape"])
    assert result["auroc_value"].isna().all()
    assert (result["auroc_reason"] == "fewer than 10 items in a class (6 positive, 6 negative)").all()
    assert specification_curve.summarise_curve(result)["auroc"]["reason"] == "the primary setting has no value here"
