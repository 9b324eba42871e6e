import math

import numpy as np
import pandas as pd
import pytest

from tests.helpers.cross_fits import within_fold_auroc
from tests.helpers.planted import table as planted
from wor.analysis import specification_curve
from wor.analysis.evaluation import COVARIATES, Evaluation
from wor.statistics import auc
from wor.statistics.baseline import CrossFit
from wor.statistics.matching import caliper_pairs

SPECIFICATIONS = pd.DataFrame({"window": [32, 16, 8], "primary": [True, False, False]})


def curve(frame, params, *columns):
    scores = pd.DataFrame(np.column_stack(columns), index=frame["item_id"])
    return specification_curve.specification_curve(Evaluation(frame, params), SPECIFICATIONS, scores)


def summary(frame, params, *columns, headline=None, error=0.001):
    estimates = {"auroc": {"value": 0.7, "reason": ""}, "delta_auc": {"value": 0.1, "reason": ""}} | (headline or {})
    return specification_curve.summarise_curve(curve(frame, params, *columns), estimates, error, {"reason": "not tested"})


def test_each_setting_is_on_all_items_and_on_matched_pairs(quick):
    frame = planted(effect=1.0, confound=0.5, n=200)
    result = curve(frame, quick, frame["rev"], frame["apl"], -frame["rev"])
    assert list(result["matching"]) == ["none"] * 3 + ["caliper"] * 3
    assert list(result["primary"]) == [True] + [False] * 5
    label = (frame["role"] == "reasoning").to_numpy().astype(int)
    assert result["auroc_value"].iloc[0] == pytest.approx(auc.auroc(label, frame["rev"].to_numpy()))
    assert result["auroc_value"].iloc[2] == pytest.approx(1 - result["auroc_value"].iloc[0])
    index = caliper_pairs(label, frame[COVARIATES].to_numpy(float)).ravel()
    assert 20 < len(index) < 200
    assert result["auroc_value"].iloc[3] == pytest.approx(auc.auroc(label[index], frame["rev"].to_numpy()[index]))
    assert (result["auroc_n"].iloc[3:] == len(index)).all()
    assert (result["delta_auc_low"] <= result["delta_auc_high"]).all()
    assert (result["delta_auc_value"].iloc[[2, 5]] == 0).all()  # against its direction


def test_the_order_of_scores_is_the_items_not_the_rows(quick):
    frame = planted(effect=1.0, n=100)
    shuffled = pd.DataFrame(np.column_stack([frame["rev"]] * 3), index=frame["item_id"]).sample(frac=1, random_state=0)
    result = specification_curve.specification_curve(Evaluation(frame, quick), SPECIFICATIONS, shuffled)
    label = (frame["role"] == "reasoning").to_numpy().astype(int)
    assert result["auroc_value"].iloc[0] == pytest.approx(auc.auroc(label, frame["rev"].to_numpy()))


def test_the_summary_counts_who_agrees_in_sign(quick):
    frame = planted(effect=1.0, n=200)
    result = summary(frame, quick, frame["rev"], frame["apl"], -frame["rev"])
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
    part = summary(frame, quick, frame["rev"], frame["apl"], frame["ape"])["auroc"]
    assert part["n"] == 3
    assert part["why_not"] == {result["auroc_reason"].iloc[3]: 3}


def test_without_an_evaluation_the_curve_is_reasons(quick):
    frame = planted(n=12)
    result = curve(frame, quick, frame["rev"], frame["apl"], frame["ape"])
    assert result["auroc_value"].isna().all()
    assert (result["auroc_reason"] == "fewer than 10 items in a class (6 positive, 6 negative)").all()
    assert summary(frame, quick, frame["rev"], frame["apl"], frame["ape"])["auroc"]["reason"] == "no setting has a value"


def test_the_sign_is_the_headlines_and_none_is_claimed_within_its_monte_carlo_error(quick):
    frame = planted(effect=1.0, n=200)
    columns = frame["rev"], frame["apl"], -frame["rev"]
    down = {"auroc": {"value": 0.4, "reason": ""}, "delta_auc": {"value": -0.003, "reason": ""}}
    result = summary(frame, quick, *columns, headline=down, error=0.002)
    assert result["auroc"]["headline"] == pytest.approx(0.4)
    assert result["auroc"]["agree"] == pytest.approx(2 / 6)  # not the four of the refit's sign
    assert math.isnan(result["delta_auc"]["agree"])
    assert "-0.003 is within its Monte-Carlo error" in result["delta_auc"]["reason"]
    up = {"delta_auc": {"value": 0.1, "reason": ""}}
    assert summary(frame, quick, *columns, headline=up, error=0.002)["delta_auc"]["agree"] > 0.5
    missing = {"delta_auc": {"value": math.nan, "reason": "constant score"}}
    assert "constant score" in summary(frame, quick, *columns, headline=missing)["delta_auc"]["reason"]


def test_the_monte_carlo_error_is_the_spread_of_repeats(quick):
    evaluation = Evaluation(planted(effect=0.5, n=80), quick)
    fit = evaluation.full_baseline.delta(evaluation.score("rev"), direction=1)[1]
    gains = [
        within_fold_auroc(CrossFit(a.log_odds[[r]], a.fold[[r]]), evaluation.label)
        for a in (fit, evaluation.full_baseline.fit)
        for r in range(3)
    ]
    spread = np.std(np.subtract(gains[:3], gains[3:]), ddof=1) / math.sqrt(3)
    assert specification_curve.monte_carlo_error(evaluation) == pytest.approx(spread)
    result = curve(planted(effect=0.5, n=80), quick, *[planted(effect=0.5, n=80)["rev"]] * 3)
    assert (result["delta_auc_error"].iloc[:3] > 0).all()


def test_pairs_stay_together_in_folds(quick):
    frame = planted(effect=1.0, confound=0.5, n=200)
    baseline, index, _ = specification_curve._fit_matched(Evaluation(frame, quick), "caliper")
    assert len(np.unique(baseline.cluster)) == len(index) // 2
    for fold in baseline.fit.fold:
        assert all(len(set(fold[baseline.cluster == pair])) == 1 for pair in np.unique(baseline.cluster))
    assert all(len(set(map(tuple, baseline.weights[:, baseline.cluster == pair].T))) == 1 for pair in np.unique(baseline.cluster))


def test_the_whole_curve_is_tested_against_shuffled_classes(quick):
    frame = planted(effect=1.0, n=80)
    rng = np.random.default_rng(0)
    values = frame[["rev"]].to_numpy() + 0.5 * rng.normal(size=(80, 20))
    found = specification_curve.joint_test(Evaluation(frame, quick), values)
    assert (found["settings"], found["shuffles"]) == (20, 199)
    assert max(found[name]["p"] for name in ("median", "significant")) < 0.03
    assert found["same_side"]["p"] > 0.2
    label = (frame["role"] == "reasoning").to_numpy().astype(int)
    assert found["median"]["value"] == pytest.approx(np.median([auc.auroc(label, score) for score in values.T]) - 0.5)
    assert found["same_side"]["value"] == 1
    assert found["significant"]["value"] > 0.8
    assert found["same_side"]["null"] > 0.8  # settings agree among themselves, whatever the classes
    assert found["significant"]["null"] < 0.1


def test_where_there_is_nothing_the_curve_rejects_as_often_as_it_claims(quick):
    rng, p = np.random.default_rng(1), []
    few = quick.model_copy(update={"statistics": quick.statistics.model_copy(update={"permutations": 99})})
    for seed in range(120):
        frame = planted(n=40, seed=seed)
        values = frame[["rev"]].to_numpy() + 0.5 * rng.normal(size=(40, 5))
        result = specification_curve.joint_test(Evaluation(frame, few), values)
        p.append([result["median"]["p"], result["significant"]["p"]])
    assert np.mean(p, axis=0)[0] == pytest.approx(0.5, abs=0.1)
    assert (np.array(p) <= 0.05).mean(0).max() < 0.12


def test_a_class_of_few_clusters_is_a_reason_for_the_whole_curve(quick):
    frame = planted(n=60).assign(cluster=[f"c{index % 8}" for index in range(60)])
    reason = specification_curve.joint_test(Evaluation(frame, quick), frame[["rev"]].to_numpy())["reason"]
    assert reason == "fewer than 5 clusters to resample in a class (4 positive, 4 negative)"
