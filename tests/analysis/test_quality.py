"""Texts that loop, and classes that lose items: what the analysis counts and the verdict says."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.helpers import planted
from wor import storage
from wor.analysis import describe, separation
from wor.analysis.evaluation import Evaluation
from wor.data import windows
from wor.measures import table
from wor.report import verdict


def study(params, looping: float, calibration_looping: float = 0.6, seed: int = 0):
    """Return the calibration and evaluation tables of a null study in which some controls loop.

    Ablating a layer does little to a token that only repeats, so loops have a low APL. The shares
    are of evaluation and calibration controls. No reasoning item loops.
    """
    rng = np.random.default_rng(seed)

    def measured(frame, looping, calibration=None):
        control = (frame["role"] == "control").to_numpy()
        loops = control & (rng.uniform(size=len(frame)) < looping)
        records, arrays = planted.activations(frame, rng, -2.0 * loops, np.zeros(len(frame)), np.zeros(len(frame)))
        texts = [[1, 2] * (planted.WINDOW // 2) if loop else list(range(100, 100 + planted.WINDOW)) for loop in loops]
        shares = [windows.repeat_share([], text, 0, planted.WINDOW) for text in texts]
        reasons = [windows.why_repetitive(share, params.window) for share in shares]
        records = records.assign(continuation_ids=texts, reason=reasons)
        for array in arrays.values():  # as a stage leaves what it does not observe
            array[[bool(reason) for reason in reasons]] = math.nan
        calibration = calibration or table.calibrate(records, arrays, params)
        return calibration, table.measure_items(records, arrays, calibration, params)

    controls = planted.table(n=60, seed=seed).query("role == 'control'").assign(split="calibration").reset_index(drop=True)
    calibration, calibration_items = measured(controls, calibration_looping)
    return calibration_items, measured(planted.table(n=160, seed=seed + 1), looping, calibration)[1]


def analyse(calibration, items, params):
    evaluation = Evaluation(items, params)
    result = separation.analyse_separation(evaluation, {name: f"text {name}" for name in items["item_id"]})
    result["quality"] = describe.generation_quality(items, calibration, params.window.max_repeat)
    registration = {"kind": "exploratory", "reasons": [], "hypotheses": {}}
    null_models = {"verdict": "no verdict: none was run"}
    return storage.to_plain(
        result | {"label": "Planted", "preregistration": registration, "null_models": null_models, "confidence": 0.95}
    )


@pytest.fixture
def unlimited(settings):
    return settings.model_copy(update={"window": settings.window.model_copy(update={"max_repeat": 1.0})})


def test_loops_alone_look_like_a_discovery_unless_they_are_excluded(settings, unlimited):
    def mean_auroc(params):
        tables = [study(params, looping=0.6, seed=seed)[1].dropna(subset="rev") for seed in range(0, 24, 2)]
        return np.mean([roc_auc_score(items["role"] == "reasoning", items["apl"]) for items in tables])

    assert mean_auroc(unlimited) > 0.6  # nothing but loops is planted
    assert mean_auroc(settings) == pytest.approx(0.5, abs=0.05)  # its standard error is 0.017


def test_the_verdict_says_which_class_loops_and_what_was_left_out(quick):
    calibration, items = study(quick, looping=0.6)
    result = analyse(calibration, items, quick)
    why = "over 50% of the window repeats what stood before"
    n_loops = int((items["repeat_share"] > 0.5).sum())
    assert result["excluded"] == {f"control: {why}": n_loops}
    assert 30 < n_loops < 66
    assert calibration.loc[calibration["repeat_share"] > 0.5, "reason"].eq(why).all()
    assert calibration.loc[calibration["repeat_share"] > 0.5, "rev"].isna().all()
    lines = "\n".join(verdict.verdict_lines(result))
    n_calibration = int((calibration["repeat_share"] > 0.5).sum())
    counts = f"0 of 80 reasoning, {n_loops} of 80 control, {n_calibration} of 30 calibration"
    assert f"Mind: {counts} windows loop or copy: over 50% of their tokens" in lines
    assert f"80 of 80 reasoning, {80 - n_loops} of 80 control items" in lines
    assert f"so what is left was selected ({n_loops} control: {why})" in lines


def test_when_every_control_loops_the_verdict_says_why_there_is_no_number(quick):
    calibration, items = study(quick, looping=1.0)
    lines = verdict.verdict_lines(analyse(calibration, items, quick))
    assert "no control item has a REV (control: over 50% of the window repeats" in lines[0]
    assert any(line.startswith("Mind: 0 of 80 reasoning, 80 of 80 control, ") for line in lines)


def test_texts_that_end_before_they_are_complete_are_counted(quick):
    frame = planted.table(n=80)
    reasoning = frame["role"] == "reasoning"
    frame.loc[~reasoning, "cot_len"] = 50  # of 64 tokens: the closing phrase follows
    frame.loc[frame["item_id"] == "i1", "finished"] = True
    frame["repeat_share"] = 0.2
    quality = describe.generation_quality(frame, frame.head(0), 0.5)
    assert quality["reasoning"] == {"n": 40, "used": 40, "repeating": 0, "closed": 1}
    assert quality["control"]["closed"] == 40
    assert quality["calibration"]["n"] == 0
    lines = verdict.quality_lines({"quality": quality, "balance": {}, "excluded": {}})
    assert len(lines) == 1
    assert lines[0].startswith("Mind: only 1 of 40 reasoning texts reach their answer or closing phrase")


@pytest.mark.parametrize(
    ("lost", "unequal"), [((0, 0), False), ((10, 10), False), ((1, 2), False), ((0, 3), True), ((5, 1), True)]
)
def test_attrition_is_unequal_where_the_classes_lose_different_shares(lost, unequal):
    frame = planted.table(n=80)
    for role, n in zip(("reasoning", "control"), lost, strict=True):
        frame.loc[frame.index[frame["role"] == role][:n], "rev"] = math.nan
    quality = describe.generation_quality(frame, frame.head(0), 0.5)
    assert quality["unequal_attrition"] == unequal
    assert [40 - quality[role]["used"] for role in ("reasoning", "control")] == list(lost)


def test_a_class_without_items_has_no_attrition():
    frame = planted.table(n=20).query("role == 'control'")
    assert not describe.generation_quality(frame, frame, 0.5)["unequal_attrition"]


def test_large_imbalances_are_named_and_small_ones_are_not():
    balance = {
        name: {"smd": smd, "imbalanced": abs(smd) > 0.25}
        for name, smd in zip("abcdef", (0.3, -2, 0.1, 1, 0.4, -0.2), strict=True)
    }
    quality = {name: {"n": 0} for name in ("reasoning", "control", "calibration")}
    (line,) = verdict.quality_lines({"quality": quality | {"unequal_attrition": False}, "balance": balance, "excluded": {}})
    assert line == "Mind: the classes are imbalanced in b -2.00 sd, d +1.00 sd, e +0.40 sd and 1 more."


def test_an_iteration_of_an_earlier_version_has_no_such_lines():
    assert verdict.quality_lines({"balance": {"token_len": {"smd": 3.0}}, "excluded": {}}) == []
