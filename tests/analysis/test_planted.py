"""From synthetic activations to results: the planted effect is reported, and nothing else."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.helpers.planted import activations, table
from tests.helpers.root import ROOT
from wor.analysis import hypotheses, separation, specification_curve
from wor.analysis.evaluation import Evaluation
from wor.config.preregistration import load_preregistration
from wor.measures import specifications
from wor.measures import table as measures
from wor.statistics import auc

N = 240


def study(params, effect=0.0, confound=0.0, seed=1):
    """Return controls and items; components of reasoning are ``effect`` deviations higher."""
    rng = np.random.default_rng(seed)
    calibration = activations(table(n=300, seed=8), rng, *np.zeros((3, 300)))
    frame = table(n=N, confound=confound)
    reasoning = (frame["role"] == "reasoning").to_numpy(float)
    # What a confound gives, it gives through the prompt's length alone.
    shift = effect * reasoning + 0.1 * confound * (frame["token_len"].to_numpy() - 100)
    records = activations(frame, rng, shift, shift, shift)
    params = params.model_copy(update={"window": params.window.model_copy(update={"size": 16})})
    fixed = measures.calibrate(*calibration, params)
    return params, calibration, records, Evaluation(measures.measure_items(*records, fixed, params), params)


@pytest.fixture(scope="module")
def nothing(quick):
    return study(quick)


@pytest.fixture(scope="module")
def something(quick):
    return study(quick, effect=1.0)


def analyse(evaluation):
    return separation.analyse_separation(evaluation, {name: name for name in evaluation.items["item_id"]})


def test_a_planted_effect_is_found_at_its_size(quick):
    result = []
    for seed in range(8):
        *_, evaluation = study(quick, effect=1.0, seed=seed)
        result.append([auc.auroc(evaluation.label, evaluation.score(name)) for name in ("ape", "sib", "apl", "rev")])
    ape, sib, apl, rev = np.mean(result, axis=0)
    # One deviation in a normal score is an AUROC of Phi(1 / sqrt 2). The means' error is 0.011.
    assert ape == pytest.approx(stats.norm.cdf(1 / math.sqrt(2)), abs=0.033)
    assert sib == pytest.approx(stats.norm.cdf(1 / math.sqrt(2)), abs=0.033)
    # APL saturates: an item's layers pass their thresholds nearly together, at mean + 1 deviation.
    assert 0.6 < apl < 0.75
    # REV averages three independent components: sqrt 3 deviations, less APL's saturation.
    assert 0.8 < rev < stats.norm.cdf(math.sqrt(3 / 2)) + 0.033


def test_a_planted_effect_is_reported(something):
    result = analyse(something[-1])
    assert result["auroc"]["rev"]["bootstrap"]["low"] > 0.7
    assert result["added"]["rev"]["delta"]["low"] > 0.1
    assert result["added"]["rev"]["likelihood_ratio"]["p"] < 1e-10
    assert set(result["direction"].values()) == {"as hypothesised"}
    assert result["auroc"]["dtr"]["delong"]["low"] < 0.5 < result["auroc"]["dtr"]["delong"]["high"]


def test_a_planted_null_is_called_null(nothing):
    result = analyse(nothing[-1])
    assert result["auroc"]["rev"]["bootstrap"]["low"] < 0.5 < result["auroc"]["rev"]["bootstrap"]["high"]
    assert abs(result["added"]["rev"]["delta"]["value"]) < 0.04
    assert result["partial"]["rev"]["permuted"]["p"] > 0.05
    assert result["nulls"]["permuted_labels"]["p"] > 0.05
    assert set(result["direction"].values()) == {"undecided"}


def test_a_planted_confound_separates_and_adds_nothing(quick):
    *_, evaluation = study(quick, confound=5.0)
    result = analyse(evaluation)
    assert result["auroc"]["token_len"]["bootstrap"]["value"] > 0.99
    assert result["auroc"]["rev"]["bootstrap"]["value"] > 0.95
    assert abs(result["added"]["rev"]["delta"]["value"]) < 0.01


def judge(evaluation, **changes):
    """Return the status of each hypothesis, for results of one model."""
    registered = load_preregistration(ROOT / "prereg.yaml")
    rival, settings = {"value": 0.0, "low": -0.1, "high": 0.1, "p": 1.0, "reason": ""}, evaluation.params.statistics
    result = analyse(evaluation) | {"label": "Planted", "confidence": settings.confidence, "dose_response": {}}
    result["rivals"] = {"difference": {"dtr": rival}}
    return {name: entry["status"] for name, entry in hypotheses.judge_hypotheses(registered, result | changes).items()}


def test_what_is_planted_is_what_is_judged(something, nothing, quick):
    assert judge(something[-1])["H2"] == "supported"
    assert judge(something[-1])["H1"] == "supported"
    assert judge(nothing[-1])["H2"] in ("absent", "undecided")
    assert judge(nothing[-1])["H1"] in ("absent", "undecided")
    *_, confounded = study(quick, confound=5.0)
    assert judge(confounded)["H2"] == "not evaluable"  # prompt length separates the classes perfectly
    *_, reversed_ = study(quick, effect=-1.0)
    assert judge(reversed_)["H2"] == "contradicted"
    assert "supported" not in judge(reversed_).values()
    few = {"n": {"reasoning": 20, "control": 20}}
    assert set(judge(something[-1], **few).values()) == {"too few items", "not evaluable"}


def test_a_score_that_bends_with_a_covariate_adds_nothing(quick):
    """The covariate's spread tells the classes apart, and REV is its square."""
    frame = table(n=N)
    rng, reasoning = np.random.default_rng(4), (frame["role"] == "reasoning").to_numpy()
    frame["avg_logprob"] = -3 + 0.3 * rng.normal(size=N) * np.where(reasoning, 3.5, 0.4)
    frame["perplexity"] = np.exp(-frame["avg_logprob"])
    frame["rev"] = (frame["avg_logprob"] + 3) ** 2
    result = analyse(Evaluation(frame, quick))
    assert result["auroc"]["rev"]["bootstrap"]["low"] > 0.8
    for part in ("added", "added_full"):
        assert result[part]["rev"]["delta"]["low"] <= 0 <= result[part]["rev"]["delta"]["high"]
        assert result[part]["rev"]["coefficient"]["p"] > 0.025
    assert judge(Evaluation(frame, quick))["H2"] != "supported"


def curve_of(params, calibration, records, evaluation):
    rows, scores = specifications.specification_scores(calibration, records, params)
    by_item = pd.DataFrame(scores.T, index=records[0]["item_id"])
    curve = specification_curve.specification_curve(evaluation, rows, by_item)
    return rows, scores, curve, specification_curve.joint_test(evaluation, scores.T)


def summarise(curve, test):
    headline = {"auroc": {"value": 0.7, "reason": ""}, "delta_auc": {"value": 0.1, "reason": ""}}
    return specification_curve.summarise_curve(curve, headline, 0.001, test)


def test_every_specification_agrees_on_an_effect(something):
    *_, records, evaluation = something
    rows, scores, result, test = curve_of(*something)
    assert len(result) == 182
    assert len(rows.drop_duplicates()) == 91
    assert rows["primary"].sum() == 1
    # The primary specification is REV as the metrics stage makes it.
    assert np.allclose(scores[rows["primary"].to_numpy()][0], evaluation.items["rev"])
    assert len(records[0]) == scores.shape[1] == N
    summary = summarise(result, test)
    assert summary["auroc"]["agree"] == 1
    assert summary["auroc"]["above"] > 0.95
    assert summary["auroc"]["test"]["median"]["p"] == pytest.approx(1 / 200)


def test_specifications_disagree_where_there_is_nothing(nothing):
    summary = summarise(*curve_of(*nothing)[2:])
    assert summary["auroc"]["test"]["median"]["p"] > 0.05
    assert summary["auroc"]["above"] + summary["auroc"]["below"] < 0.25
    assert summary["delta_auc"]["above"] < 0.1
