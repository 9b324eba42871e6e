import math

import pytest
from scipy import stats

from wor.analysis import criteria
from wor.config.params import Criteria

RULES = Criteria(delta_auc={360: 0.05, 1700: 0.12}, partial_r=0.3, partial_p=0.01, temperature_variance=0.03)


def model(n_params=135e6, delta=0.1, r=0.4, p=0.001, undefined=0, variance=0.01):
    return {
        "n_params": n_params,
        "delta_auc": {"value": delta, "low": delta - 0.1, "high": delta + 0.1, "reason": "constant score"},
        "partial_r": {"value": r, "low": r - 0.2, "high": r + 0.2, "p": p, "reason": "constant score"},
        "temperatures": {
            "undefined": undefined,
            "excluded": {"control: it loops": undefined} if undefined else {},
            "n": 40,
            "variance": {"value": variance, "low": 0, "high": 2 * variance, "n": 10, "reason": "one temperature only"},
        },
    }


def statuses(*models, sizes=None):
    judged = criteria.judge_criteria(dict(zip("abc", models, strict=False)), RULES, sizes)
    return {key: entry["status"] for key, entry in judged.items()}


def steps(*intervals, alpha=0.025):
    """Return the rises of `sizes.compare_sizes`, each with an interval of value -+ 1.96 x error."""
    rows = []
    for smaller, larger, (value, error) in zip("ab", "bc", intervals, strict=False):
        low, high, p = value - 1.96 * error, value + 1.96 * error, 2 * stats.norm.sf(abs(value) / error)
        rows.append({"smaller": smaller, "larger": larger, "value": value, "low": low, "high": high, "p": p, "reason": ""})
    return {"alpha": alpha, "steps": rows}


def test_one_small_model_leaves_the_size_criteria_open():
    assert statuses(model()) == {
        "no_nan": "pass",
        "monotone_in_size": "not evaluable",
        "delta_auc_360m": "not evaluable",
        "delta_auc_1700m": "not evaluable",
        "partial_r": "pass",
        "temperature_variance": "pass",
    }


def test_missing_values_are_counted_with_their_reasons():
    entry = criteria.judge_criteria({"a": model(undefined=2), "b": model(undefined=3)}, RULES)["no_nan"]
    assert entry["why"] == "5 of 80 REV values over temperatures are undefined (5 control: it loops)"


def test_three_sizes_decide_everything():
    rising = [model(135e6, 0.01), model(362e6, 0.06), model(1711e6, 0.13)]
    assert set(statuses(*rising, sizes=steps((0.05, 0.02), (0.07, 0.02))).values()) == {"pass"}
    falling = [model(135e6, 0.2), model(362e6, 0.04), model(1711e6, 0.11)]
    result = statuses(*falling, sizes=steps((-0.16, 0.02), (0.07, 0.02)))
    assert [result[key] for key in ("monotone_in_size", "delta_auc_360m", "delta_auc_1700m")] == ["fail"] * 3


@pytest.mark.parametrize(
    ("change", "key", "status"),
    [
        ({"undefined": 1}, "no_nan", "fail"),
        ({"r": 0.29}, "partial_r", "fail"),
        ({"p": 0.02}, "partial_r", "fail"),
        ({"r": -0.5}, "partial_r", "fail"),
        ({"r": math.nan}, "partial_r", "not evaluable"),
        ({"variance": 0.04}, "temperature_variance", "fail"),
        ({"variance": math.nan}, "temperature_variance", "not evaluable"),
    ],
)
def test_each_threshold_decides(change, key, status):
    entry = criteria.judge_criteria({"a": model(**change)}, RULES)[key]
    assert entry["status"] == status
    assert entry["why"]


def test_a_verdict_shows_the_interval_and_why_there_is_none():
    result = criteria.judge_criteria({"a": model(n_params=362e6, variance=0.021)}, RULES)
    assert "+0.400 [+0.200, +0.600]" in result["partial_r"]["why"]
    assert "+0.100 [+0.000, +0.200]" in result["delta_auc_360m"]["why"]
    assert "0.021 [0.000, 0.042] (10 items)" in result["temperature_variance"]["why"]
    missing = criteria.judge_criteria({"a": model(n_params=362e6, delta=math.nan, r=math.nan, variance=math.nan)}, RULES)
    assert "constant score" in missing["delta_auc_360m"]["why"]
    assert "constant score" in missing["partial_r"]["why"]
    assert "one temperature only" in missing["temperature_variance"]["why"]


@pytest.mark.parametrize(
    ("intervals", "status", "words"),
    [
        (((0.05, 0.02), (0.07, 0.02)), "pass", "rises at every step"),
        (((0.05, 0.02), (0.07, 0.05)), "not evaluable", "undecided"),  # the values alone rise
        (((0.05, 0.02), (-0.07, 0.02)), "fail", "falls at a step"),
        # A fall with a one-sided p of 0.02 is none after a correction for two steps.
        (((-0.041, 0.02), (0.07, 0.02)), "not evaluable", "corrected p 0.04"),
    ],
)
def test_an_order_of_sizes_needs_intervals_and_a_fall_a_corrected_p(intervals, status, words):
    models = {name: model(n_params, 0.1) for name, n_params in zip("abc", (135e6, 362e6, 1711e6), strict=True)}
    entry = criteria.judge_criteria(models, RULES, steps(*intervals))["monotone_in_size"]
    assert entry["status"] == status
    assert words in entry["why"]
    assert f"a to b {intervals[0][0]:+.3f} [" in entry["why"]
    assert [step["value"] for step in entry["steps"]] == [value for value, _ in intervals]


def test_without_shared_draws_an_order_is_not_judged():
    models = {"a": model(135e6, 0.01), "b": model(362e6, 0.06)}
    entry = criteria.judge_criteria(models, RULES)["monotone_in_size"]
    assert entry["status"] == "not evaluable"
    assert "+0.010 -> +0.060" in entry["why"]
    assert "no draws that the models share" in entry["why"]
    undefined = {"alpha": 0.025, "steps": [{"smaller": "a", "larger": "b", "value": math.nan, "reason": "nothing varies"}]}
    entry = criteria.judge_criteria(models, RULES, undefined)["monotone_in_size"]
    assert (entry["status"], entry["why"].split("; ")[1]) == ("not evaluable", "from a to b: nothing varies")
