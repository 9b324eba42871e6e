"""Results on planted data: an effect is found, a null is null, a confound adds nothing."""

import json
import math

import numpy as np
import pytest

from tests.helpers.planted import table as planted
from wor import storage
from wor.analysis import separation
from wor.analysis.evaluation import Evaluation
from wor.measures.covariates import WINDOW_COVARIATES
from wor.statistics.result import Estimate


def analyse(frame, params):
    return separation.analyse_separation(Evaluation(frame, params), {name: f"text {name}" for name in frame["item_id"]})


def test_a_planted_effect_is_found(quick):
    result = analyse(planted(effect=1.5, n=200), quick)
    assert result["auroc"]["rev"]["bootstrap"]["low"] > 0.75
    assert result["added"]["rev"]["delta"]["low"] > 0.1
    assert result["partial"]["rev"]["pearson"]["low"] > 0.3
    assert result["holm"]["auroc_rev"] < 0.06
    assert result["nulls"]["permuted_labels"]["p"] == pytest.approx(1 / 200)
    assert set(result["direction"].values()) == {"as hypothesised"}


def test_a_planted_null_is_called_null(quick):
    result = analyse(planted(n=200, seed=3), quick)
    assert result["auroc"]["rev"]["bootstrap"]["low"] < 0.5 < result["auroc"]["rev"]["bootstrap"]["high"]
    assert abs(result["added"]["rev"]["delta"]["value"]) < 0.08
    assert result["holm"]["partial_rev"] > 0.05


def test_a_planted_confound_separates_the_classes_and_adds_nothing(quick):
    result = analyse(planted(confound=5.0, n=200), quick)
    assert result["auroc"]["token_len"]["bootstrap"]["value"] > 0.98
    assert result["auroc"]["rev"]["bootstrap"]["value"] > 0.9
    assert abs(result["added"]["rev"]["delta"]["value"]) < 0.03
    assert result["balance"]["token_len"]["smd"] > 3
    assert result["balance"]["token_len"]["imbalanced"]


def test_what_the_window_s_text_tells_of_the_class_is_reported(quick):
    frame = planted(n=200)
    frame.loc[frame["role"] == "control", "repeat_share"] += 1.0
    result = analyse(frame, quick)
    assert result["auroc"]["repeat_share"]["bootstrap"]["value"] == 0
    assert result["balance"]["repeat_share"]["imbalanced"]
    assert not result["balance"]["prompt_perplexity"]["imbalanced"]
    assert set(WINDOW_COVARIATES) <= set(result["auroc"])


def test_the_full_baseline_knows_what_the_registered_one_leaves_out(quick):
    frame = planted(n=200)
    reasoning = (frame["role"] == "reasoning").to_numpy(float)
    perplexity = np.exp(3 + 0.2 * np.random.default_rng(9).normal(size=200) + 0.5 * reasoning)
    rev = np.log(perplexity) + 0.05 * frame["rev"]
    result = analyse(frame.assign(prompt_perplexity=perplexity, rev=rev), quick)
    assert result["added"]["rev"]["delta"]["low"] > 0.2
    assert result["added"]["rev"]["coefficient"]["p"] < 1e-6
    full = result["added_full"]["rev"]
    assert full["baseline"]["value"] > 0.9
    assert full["delta"]["low"] <= 0.01
    assert full["coefficient"]["p"] > 0.025
    assert "prompt_perplexity" in result["covariates"]


def test_a_table_without_the_windows_covariates_has_a_baseline_of_the_others(quick):
    frame = planted(n=60).drop(columns=list(WINDOW_COVARIATES))
    evaluation = Evaluation(frame, quick)
    assert evaluation.full_baseline.covariates.shape == (60, 6)
    assert evaluation.full_baseline.estimate().reason == ""


def test_a_study_says_how_many_items_a_gain_needs(quick):
    needed = analyse(planted(n=200), quick)["needed"]
    assert needed["wanted"] == 0.05
    assert 10 < needed["coefficient"] < needed["interval"]


def test_a_contradicted_direction_is_named_and_not_flipped(quick):
    result = analyse(planted(effect=-1.5, n=200), quick)
    assert set(result["direction"].values()) == {"contradicted"}
    assert result["auroc"]["rev"]["bootstrap"]["high"] < 0.5


def test_items_without_rev_are_counted_with_their_reason(quick):
    frame = planted(effect=1.0)
    frame.loc[frame["item_id"].isin(["i1", "i3"]), ["rev", "apl"]] = math.nan
    frame.loc[frame["item_id"].isin(["i1", "i3"]), "reason"] = "too short"
    result = analyse(frame, quick)
    assert result["n"] == {"items": 60, "used": 58, "reasoning": 28, "control": 30}
    assert result["excluded"] == {"reasoning: too short": 2}
    assert result["auroc"]["apl"]["bootstrap"]["n"] == 58


def test_a_class_without_any_rev_gives_reasons_in_place_of_numbers(quick, tmp_path):
    frame = planted()
    frame.loc[frame["role"] == "control", "rev"] = math.nan
    frame.loc[frame["role"] == "control", "reason"] = "too short"
    result = analyse(frame, quick)
    full = analyse(planted(), quick)
    assert result.keys() == full.keys()
    assert result["auroc"].keys() == full["auroc"].keys()
    for estimate in (result["auroc"]["rev"]["delong"], result["added"]["rev"]["delta"], result["partial"]["apl"]["spearman"]):
        assert math.isnan(estimate["value"])
        assert estimate["reason"] == "no control item has a REV (control: too short)"
    storage.write_json(tmp_path / "a.json", result)
    assert json.loads((tmp_path / "a.json").read_text())["auroc"]["rev"]["delong"]["value"] is None


def test_accuracy_and_unreadable_answers_are_by_dataset(quick):
    result = analyse(planted(), quick)["accuracy"]
    assert result == {"gsm-symbolic": {"accuracy": pytest.approx(0.5), "unparsed": pytest.approx(0.5), "n": 30}}


def test_the_same_table_gives_the_same_report(quick):
    first, second = (storage.to_plain(analyse(planted(effect=0.5), quick)) for _ in range(2))
    assert first == second


def test_a_study_says_what_it_could_have_found(quick):
    small, large = (analyse(planted(n=n), quick)["detectable"] for n in (60, 400))
    assert 0.5 < large["auroc"]["value"] < small["auroc"]["value"] < 1
    assert 0 < large["delta_auc"]["value"] < small["delta_auc"]["value"]
    assert small["auroc"]["clusters"] == [30, 30]


def test_intervals_are_of_every_kind_and_agree(quick):
    for name, result in analyse(planted(effect=0.7, n=200), quick)["auroc"].items():
        lows = [result[kind]["low"] for kind in ("bootstrap", "percentile", "delong")]
        if name != "cot_len":  # which is constant
            assert max(lows) - min(lows) < 0.02, name


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda frame: frame.assign(item_id=["i0", *frame["item_id"][1:-1], "i0"]), "1 items occur twice, i0 among them"),
        (lambda frame: frame.assign(cluster=["c1", *frame["cluster"][1:]]), "cluster c1 has items of both classes"),
        (lambda frame: frame.assign(rev=1.0), "constant score"),
        (lambda frame: frame.head(18), "fewer than 10 items in a class (9 positive, 9 negative)"),
        (lambda frame: frame[frame["role"] == "control"], "no reasoning item has a REV (there are none)"),
        (lambda frame: frame.assign(rev=np.nan), "no reasoning item has a REV (reasoning: )"),
    ],
)
def test_what_cannot_be_estimated_is_a_reason_everywhere(quick, spoil, reason):
    result = analyse(spoil(planted()), quick)
    full = analyse(planted(), quick)
    assert result.keys() == full.keys()
    for part in ("auroc", "added", "added_full", "partial"):
        assert result[part].keys() == full[part].keys()
        for name, kinds in result[part].items():
            assert kinds.keys() == full[part][name].keys()
            for estimate in kinds.values():
                assert math.isnan(estimate["value"])
                assert estimate["reason"] == reason
    assert all(math.isnan(entry["value"]) for entry in (*result["nulls"].values(), *result["detectable"].values()))


def test_a_missing_rival_leaves_the_others_alone(quick):
    result = analyse(planted(effect=1.0).assign(dtr=np.nan), quick)
    assert result["auroc"]["dtr"]["bootstrap"]["reason"] == "every score is NaN"
    assert result["auroc"]["rev"]["bootstrap"]["value"] > 0.5


def test_a_score_that_separates_perfectly_points_as_hypothesised_with_a_note(quick):
    frame = planted(n=60)
    apart = frame.assign(apl=frame["apl"] + 100 * (frame["role"] == "reasoning"))
    result = analyse(apart, quick)
    assert result["auroc"]["apl"]["bootstrap"]["value"] == 1
    assert 0.8 < result["auroc"]["apl"]["bootstrap"]["low"] < 0.9
    assert "binomial bound of 30 clusters" in result["auroc"]["apl"]["bootstrap"]["note"]
    assert result["direction"]["apl"] == "as hypothesised"


def test_the_joint_interval_counts_what_calibration_changes(quick):
    frame = planted(effect=0.8, n=120)
    rev = frame["rev"].to_numpy()
    noise = np.random.default_rng(5).normal(size=(120, 200))
    names = {name: name for name in frame["item_id"]}
    widths = []
    for spread in (0.0, 1.0):
        draws = {"rev": (rev[:, None] + spread * noise).astype(np.float32)}
        result = separation.analyse_separation(Evaluation(frame, quick, draws), names)["auroc"]
        assert result["rev"]["joint"]["value"] == result["rev"]["bootstrap"]["value"]
        widths.append(result["rev"]["joint"]["high"] - result["rev"]["joint"]["low"])
    known = result["rev"]["percentile"]["high"] - result["rev"]["percentile"]["low"]
    assert widths[0] == pytest.approx(known, rel=0.15)
    assert widths[1] > 1.2 * widths[0]
    assert result["ape"]["joint"].pop("note") == "calibration does not change this score"
    assert result["ape"]["joint"] == result["ape"]["bootstrap"]
    assert "joint" not in result["token_len"]


def test_draws_without_a_score_are_counted_and_left_out(quick):
    frame = planted(effect=0.8, n=120)
    frame.loc[3, "rev"] = math.nan
    draws = np.repeat(frame["rev"].to_numpy()[:, None], 200, axis=1)
    draws[:, :5] = math.nan
    evaluation = Evaluation(frame, quick, {"rev": draws})
    assert evaluation.score_draws("rev").shape == (200, 119)
    assert np.array_equal(evaluation.score_draws("rev")[9], evaluation.score("rev"))
    assert evaluation.score_draws("ape").shape == (200, 119)
    joint = separation.joint_auroc(evaluation, "rev", Estimate(0.7, n=119))
    assert joint.note == "5 of 200 joint draws give no rev"
    assert 0.5 < joint.low < joint.high < 1


def test_one_cluster_in_a_class_is_a_reason_in_place_of_a_point(quick):
    """It gave AUROC 0.615 [0.615, 0.615] and p = 0."""
    frame = planted(effect=0.5)
    for few in (1, 4):
        spoiled = frame.assign(cluster=[f"{row.role}{index % few}" for index, row in enumerate(frame.itertuples())])
        result = analyse(spoiled, quick)
        for part in ("auroc", "added", "added_full", "partial"):
            for kinds in result[part].values():
                for estimate in kinds.values():
                    assert math.isnan(estimate["value"])
                    assert estimate["reason"].startswith("fewer than 5 clusters to resample in a class")
