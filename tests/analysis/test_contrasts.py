import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from tests.helpers.planted import table as planted
from wor.analysis import contrasts
from wor.analysis.evaluation import Evaluation
from wor.measures.registry import COMPONENTS, HEADS, RIVALS
from wor.statistics import auc


def test_a_composite_that_is_one_component_is_no_better_than_it_and_better_than_noise(quick):
    frame = planted(effect=1.2, n=200)
    rng = np.random.default_rng(1)
    frame = frame.assign(rev=frame["apl"], ape=rng.normal(size=200), dtr=rng.normal(size=200))
    result = contrasts.compare_with_rivals(Evaluation(frame, quick), rng.normal(size=(200, 40)))
    assert result["difference"]["apl"]["value"] == 0
    assert result["difference"]["ape"]["low"] > 0.1
    assert result["difference"]["ape"]["p_holm"] >= result["difference"]["ape"]["p"]
    assert result["difference"]["dtr"]["p_holm"] < 0.01
    assert result["difference"]["heads"]["low"] > 0.1  # forty heads of noise, out of sample
    assert abs(result["auroc_heads"]["value"] - 0.5) < 0.12


def test_a_component_counts_in_its_preset_direction(quick):
    signs = quick.rev.model_copy(update={"apl": quick.rev.apl.model_copy(update={"sign": -1})})
    frame = planted(effect=1.0, n=120)
    evaluation = Evaluation(frame.assign(apl=-frame["rev"]), quick.model_copy(update={"rev": signs}))
    result = contrasts.compare_with_rivals(evaluation, np.random.default_rng(0).normal(size=(120, 5)))
    assert result["difference"]["apl"]["value"] == 0


def test_heads_that_know_the_class_beat_a_score_that_does_not(quick):
    frame = planted(n=120)
    entropies = np.random.default_rng(0).normal(size=(120, 60))
    entropies[:, 7] += 3 * (frame["role"] == "reasoning")
    result = contrasts.compare_with_rivals(Evaluation(frame, quick), entropies)
    assert result["auroc_heads"]["low"] > 0.9
    assert result["difference"]["heads"]["high"] < -0.2


def test_without_an_evaluation_every_difference_is_a_reason(quick):
    result = contrasts.compare_with_rivals(Evaluation(planted(n=12), quick), np.zeros((12, 5)))
    assert set(result["difference"]) == {*COMPONENTS, *RIVALS, HEADS}
    for entry in (*result["difference"].values(), result["auroc_heads"]):
        assert math.isnan(entry["value"])
        assert entry["reason"].startswith("fewer than 10 items in a class")


def test_a_dose_is_found_where_there_is_one_and_only_there(quick):
    frame = planted(n=120)
    steps = frame["steps"].fillna(0)
    frame = frame.assign(rev=frame["rev"] + steps, apl=frame["apl"] - steps)
    result = contrasts.dose_response(Evaluation(frame, quick))
    assert list(result) == ["gsm-symbolic"]
    trends = result["gsm-symbolic"]["trend"]
    assert trends["rev"]["low"] > 0.4
    assert trends["rev"]["p"] == pytest.approx(1 / 200)
    assert trends["apl"]["high"] < -0.4
    assert trends["ape"]["low"] < 0 < trends["ape"]["high"]
    assert result["gsm-symbolic"]["given_length"]["rev"]["low"] > 0.4
    means = frame[frame["role"] == "reasoning"].groupby("steps")["rev"].mean()
    assert [row["mean"] for row in result["gsm-symbolic"]["by_steps"]] == pytest.approx(list(means))


def test_a_dose_that_is_only_length_is_gone_when_length_is_given(quick):
    frame = planted(n=200)
    steps = frame["steps"].fillna(0)
    length = 100 + 10 * steps + 3 * np.random.default_rng(0).normal(size=200)
    frame = frame.assign(token_len=length, rev=length / 10 + 0.2 * frame["rev"])
    result = contrasts.dose_response(Evaluation(frame, quick))["gsm-symbolic"]
    assert result["trend"]["rev"]["low"] > 0.6
    assert abs(result["given_length"]["rev"]["value"]) < 0.3


def test_whole_articles_are_compared_with_the_same_articles_cut(quick):
    frame = planted(effect=0.5, n=120)
    controls = frame[frame["role"] == "control"].head(12)
    whole = controls.assign(token_len=controls["token_len"] + 100, rev=controls["rev"] + 5)
    result = contrasts.compare_full_length_controls(Evaluation(frame, quick), whole)
    assert result["matched"]["n"] == result["literal"]["n"] == 12
    rows = pd.concat([frame[frame["role"] == "reasoning"], controls])
    expected = auc.auroc((rows["role"] == "reasoning").to_numpy().astype(int), rows["rev"].to_numpy())
    assert result["matched"]["auroc"]["rev"]["value"] == pytest.approx(expected)
    assert result["literal"]["auroc"]["token_len"]["value"] == 0
    assert result["literal"]["auroc"]["rev"]["value"] < 0.05
    none = whole.assign(rev=np.nan)
    assert contrasts.compare_full_length_controls(Evaluation(frame, quick), none) == {
        "reason": "no article has a REV both cut and whole"
    }
    assert contrasts.compare_full_length_controls(Evaluation(frame, quick), None)["reason"].endswith("(control.match: none)")


def test_a_score_that_knows_the_right_answers_is_seen_to_and_one_that_does_not_is_not(quick):
    frame = planted(n=200)
    frame = frame.assign(rev=frame["rev"] + 1.5 * frame["correct"].fillna(0))
    result = contrasts.correctness(Evaluation(frame, quick))
    assert list(result) == ["gsm-symbolic"]
    answers = result["gsm-symbolic"]
    assert answers["n"] == {"right": 50, "wrong": 50}
    answered = frame[frame["correct"].notna()]
    assert answers["auroc"]["rev"]["value"] == pytest.approx(roc_auc_score(answered["correct"], answered["rev"]))
    assert answers["auroc"]["rev"]["low"] > 0.6
    assert answers["auroc"]["ape"]["low"] < 0.5 < answers["auroc"]["ape"]["high"]
    assert answers["given_length"]["rev"]["low"] > 0.3


def test_with_no_right_answer_there_is_a_reason(quick):
    frame = planted(n=60)
    frame = frame.assign(correct=frame["correct"].where(frame["correct"].isna(), 0.0))
    result = contrasts.correctness(Evaluation(frame, quick))["gsm-symbolic"]
    for entry in (result["auroc"]["rev"], result["given_length"]["rev"]):
        assert math.isnan(entry["value"])
        assert entry["reason"]


def test_heads_that_tell_nothing_give_no_verdict(quick):
    """A fit that kept no head had an AUROC of 0.50 [0.50, 0.50], and REV "beat" it."""
    frame = planted(effect=2.0, n=60)
    result = contrasts.compare_with_rivals(Evaluation(frame, quick), np.zeros((60, 5)))
    for entry in (result["difference"]["heads"], result["auroc_heads"], result["control_task"]):
        assert np.isnan([entry["value"], entry["low"], entry["p"]]).all()
        assert entry["reason"] == "the fit kept no feature in any fold"
    assert math.isnan(result["difference"]["heads"]["p_holm"])


def test_a_difference_from_a_fit_says_that_it_is_within_folds(quick):
    frame = planted(effect=1.0, n=80)
    entropies = np.random.default_rng(0).normal(size=(80, 6))
    entropies[:, 2] += 2 * (frame["role"] == "reasoning")
    result = contrasts.compare_with_rivals(Evaluation(frame, quick), entropies)
    assert result["difference"]["heads"]["note"].startswith("of pairs within a fold, where the first AUROC is 0.")
    assert result["control_task"]["p"] == pytest.approx(1 / 21)


def two_datasets(n=120):
    frame = planted(n=n)
    reasoning = frame.index[frame["role"] == "reasoning"]
    frame.loc[reasoning[::3], "dataset"] = "syllogism"
    return frame, (frame["dataset"] == "syllogism").astype(float)


def test_each_dataset_has_its_own_auroc_and_their_difference_is_paired(quick):
    frame, is_syllogism = two_datasets()
    frame["rev"] += 2 * is_syllogism
    result = contrasts.compare_datasets(Evaluation(frame, quick))
    assert list(result["auroc"]) == ["gsm-symbolic", "syllogism"]
    for dataset, scores in result["auroc"].items():
        rows = frame[(frame["dataset"] == dataset) | (frame["role"] == "control")]
        expected = roc_auc_score(rows["role"] == "reasoning", rows["rev"])
        assert scores["rev"]["value"] == pytest.approx(expected)
        assert scores["rev"]["low"] < expected < scores["rev"]["high"]
    difference = result["difference"]["gsm-symbolic - syllogism"]
    assert difference["rev"]["value"] == pytest.approx(
        result["auroc"]["gsm-symbolic"]["rev"]["value"] - result["auroc"]["syllogism"]["rev"]["value"]
    )
    assert difference["rev"]["high"] < -0.1
    assert difference["rev"]["p"] < 0.01
    assert difference["apl"]["low"] < 0 < difference["apl"]["high"]


def test_a_dataset_of_few_clusters_has_no_auroc_and_no_difference(quick):
    frame, is_syllogism = two_datasets()
    frame.loc[is_syllogism == 1, "cluster"] = "one"
    result = contrasts.compare_datasets(Evaluation(frame, quick))
    for entry in (result["auroc"]["syllogism"]["rev"], result["difference"]["gsm-symbolic - syllogism"]["rev"]):
        assert math.isnan(entry["value"])
        assert entry["reason"].startswith("fewer than 5 clusters to resample in a class (0 positive")
    assert math.isfinite(result["auroc"]["gsm-symbolic"]["rev"]["value"])


def test_a_covariate_that_separates_the_classes_is_a_negative_control(quick):
    frame = planted(n=120)
    reasoning = (frame["role"] == "reasoning").to_numpy(float)
    frame = frame.assign(prompt_perplexity=frame["prompt_perplexity"] + 2 * reasoning)
    evaluation = Evaluation(frame, quick)
    result = contrasts.negative_controls(evaluation, {"null": evaluation.score("rev") + reasoning})
    assert set(result) == {*contrasts.NEGATIVE_CONTROLS, "null"}
    perplexity = result["prompt_perplexity"]
    assert perplexity["auroc"]["low"] > 0.8
    for part in ("added", "added_full"):  # its own column is not in the baseline
        assert perplexity[part]["delta"]["low"] > 0.05
        assert perplexity[part]["coefficient"]["p"] < 0.001
        assert result["repeat_share"][part]["coefficient"]["p"] > 0.01
    assert perplexity["added_full"]["baseline"]["value"] < 0.65
    assert result["null"]["added_full"]["baseline"] == evaluation.full_baseline.estimate().as_dict()
    assert result["null"]["added"]["coefficient"]["p"] < 0.025


def test_a_negative_control_of_some_items_is_compared_on_those(quick):
    frame = planted(n=120)
    evaluation = Evaluation(frame, quick)
    score = np.where(np.arange(120) < 60, evaluation.score("rev"), math.nan)
    result = contrasts.negative_controls(evaluation, {"some": score, "none": np.full(120, math.nan)})
    assert result["some"]["auroc"]["n"] == result["some"]["added_full"]["delta"]["n"] == 60
    assert result["none"]["added"]["delta"]["reason"] == "every score is NaN"


def test_without_an_evaluation_every_negative_control_is_a_reason(quick):
    for name, entry in contrasts.negative_controls(Evaluation(planted(n=12), quick)).items():
        assert name in contrasts.NEGATIVE_CONTROLS
        for estimate in (entry["auroc"], *entry["added"].values(), *entry["added_full"].values()):
            assert estimate["reason"].startswith("fewer than 10 items in a class")
