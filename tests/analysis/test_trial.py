"""The trial of every measure, on items whose truth is planted."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from tests.helpers.planted import NULL_SEEDS
from tests.helpers.planted import table as planted
from wor.analysis import trial
from wor.analysis.evaluation import Evaluation
from wor.engine import states
from wor.measures.registry import PUBLISHED

EFFECT, NOTHING, CONFOUND, CLAIMED_LOWER = "renyi2", "hoyer", "stalt", "prediction_flip"
N = 160


@pytest.fixture(scope="module")
def study(quick):
    """Return the items, with an effect in one measure, and a covariate's copy in another."""
    rng = np.random.default_rng(7)
    frame = planted(n=N)
    reasoning = (frame["role"] == "reasoning").to_numpy(float)
    frame["window_entropy"] = rng.normal(size=N) + reasoning
    frame[EFFECT] = rng.normal(size=N) + 1.2 * reasoning
    noise = rng.normal(size=N)
    frame[NOTHING] = noise - np.where(reasoning, noise[reasoning == 1].mean(), noise[reasoning == 0].mean())
    frame[CONFOUND] = frame["window_entropy"] + 0.3 * rng.normal(size=N)
    halves = pd.concat(
        frame[["item_id"]].assign(half=half, **{name: frame[name] + 0.5 * rng.normal(size=N) for name in (EFFECT, CONFOUND)})
        for half in (0, 1)
    )
    in_text = frame["window_entropy"]  # all that null models and the measure have in common
    nulls = pd.concat(
        frame[["item_id"]].assign(kind="permuted", seed=seed, **{CONFOUND: in_text + 0.2 * rng.normal(size=N), "rev": 0.0})
        for seed in NULL_SEEDS
    )
    arms = [
        frame[["item_id", "role", "cluster"]].assign(
            source="own",
            arm=arm,
            **{name: frame[name] + shift * (arm == "derive") for name, shift in ((EFFECT, 0.8), (NOTHING, 0))},
        )
        for arm in ("derive", "copy")
    ]
    arms[1][NOTHING] += 0.5 * rng.normal(size=N)
    states = rng.normal(size=(N, 2, 8))
    states[:, 0, 3] += 2 * reasoning
    return frame, trial.run_trial(Evaluation(frame, quick), halves, nulls, pd.concat(arms), states)


def test_a_planted_effect_is_found_at_its_size(study):
    frame, result = study
    entry = result["measures"][EFFECT]
    label = (frame["role"] == "reasoning").astype(int)
    assert entry["auroc"]["value"] == pytest.approx(roc_auc_score(label, frame[EFFECT]))
    assert entry["gain"]["low"] > 0
    assert entry["p_holm"] < 0.001
    assert entry["partial"]["low"] > 0.3
    derived = entry["derive_copy"]
    assert derived["value"] == pytest.approx(0.8 / frame[EFFECT].std())
    assert derived["p"] < 0.01


def test_a_planted_null_is_called_null(study):
    entry = study[1]["measures"][NOTHING]
    assert entry["claim"] == "undecided"
    assert entry["p_holm"] == 1
    assert entry["gain"]["low"] <= 0 <= entry["gain"]["high"]
    assert entry["partial"]["low"] < 0 < entry["partial"]["high"]
    assert entry["derive_copy"]["low"] < 0 < entry["derive_copy"]["high"]


def test_a_covariate_in_disguise_separates_and_adds_nothing(study):
    frame, result = study
    entry = result["measures"][CONFOUND]
    assert entry["auroc"]["low"] > 0.6
    assert entry["gain"]["high"] < 0.05
    assert entry["p_holm"] > 0.05
    given = entry["given_nulls"]["permuted"]
    assert given["low"] < 0 < given["high"]
    expected = stats.spearmanr(frame[CONFOUND], frame["window_entropy"])[0]
    assert entry["goes_with"]["window_entropy"]["value"] == pytest.approx(expected)


def test_the_depths_are_those_that_the_engine_stores():
    assert trial.PROMPT_DEPTHS == states.PROMPT_DEPTHS


def test_a_linear_feature_is_found_at_its_depth_alone(study):
    found, nothing = (study[1]["linear_feature"][depth]["cross-fitted"] for depth in ("0.5", "0.75"))
    assert found["value"] == pytest.approx(stats.norm.cdf(2 / np.sqrt(2)), abs=0.06)
    assert nothing["low"] < 0.5 > nothing["value"] - 0.05  # a fit to nothing predicts a little worse than chance


def test_reliability_is_that_of_two_halves_within_the_classes(study):
    # Each half is the measure, of variance 1 within a class, and noise of variance 0.25.
    entry = study[1]["measures"][EFFECT]["reliability"]
    assert entry["value"] == pytest.approx(1 / (1 + 0.25 / 2), abs=0.03)
    assert entry["low"] < entry["value"] < entry["high"]
    assert "half" in study[1]["measures"][NOTHING]["reliability"]["reason"]


def test_what_was_not_stored_has_a_reason_and_no_number(study):
    names = {measure.name for measure in PUBLISHED} - {EFFECT, NOTHING, CONFOUND, "dtr"}
    assert names
    for name in names - set(study[0]):
        entry = study[1]["measures"][name]
        for quantity in ("auroc", "gain", "coefficient", "partial", "derive_copy", "reliability"):
            assert math.isnan(entry[quantity]["value"]), (name, quantity)
            assert entry[quantity]["reason"], (name, quantity)
        assert entry["claim"] == "not evaluable"


@pytest.mark.parametrize(
    ("low", "high", "direction", "claim"),
    [
        (0.6, 0.8, 1, "supported"),
        (0.6, 0.8, -1, "contradicted"),
        (0.2, 0.4, 1, "contradicted"),
        (0.4, 0.6, 1, "undecided"),
        (0.6, 0.8, 0, "higher, none claimed"),
        (None, None, 1, "not evaluable"),
    ],
)
def test_a_claim_is_judged_by_the_side_of_the_interval(low, high, direction, claim):
    assert trial.judge_claim({"low": low, "high": high}, direction) == claim


def test_the_table_holds_every_estimate_and_holm_is_over_all_measures(study):
    result = study[1]
    table = trial.trial_table(result)
    assert set(table["measure"]) == {*result["measures"], "linear_feature_0.5", "linear_feature_0.75"}
    row = table[(table["measure"] == EFFECT) & (table["quantity"] == "coefficient")].iloc[0]
    tested = [entry["coefficient"]["p"] for entry in result["measures"].values() if not math.isnan(entry["coefficient"]["p"])]
    assert row["p_holm"] == pytest.approx(len(tested) * row["p"])  # the smallest
