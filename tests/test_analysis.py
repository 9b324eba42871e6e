"""The study's report on planted data: an effect is found, a null is called null, a confound adds nothing."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from wor import analysis, storage
from wor.params import Params


def planted(effect=0.0, confound=0.0, n=60, seed=0) -> pd.DataFrame:
    """A metrics table whose REV knows ``effect`` and whose prompt length knows ``confound`` of the class."""
    rng = np.random.default_rng(seed)
    role = np.where(np.arange(n) % 2, "reasoning", "control")
    reasoning = (role == "reasoning").astype(float)
    length = np.round(100 + 10 * rng.normal(size=n) + 10 * confound * reasoning)
    logprob = -0.5 + 0.1 * rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "item_id": [f"i{index}" for index in range(n)],
            "dataset": np.where(role == "reasoning", "gsm-symbolic", "wiki"),
            "role": role,
            "cluster": [f"c{index}" for index in range(n)],
            "token_len": length,
            "cot_len": 64,
            "n_generated": 64,
            "avg_logprob": logprob,
            "perplexity": np.exp(-logprob),
            "prompt_perplexity": 20 + rng.normal(size=n),
            "paraphrase_share": 0.1 + 0.01 * rng.normal(size=n),
            "answer": np.where(np.arange(n) % 4 == 1, "7", ""),
            "correct": np.where(role == "reasoning", (np.arange(n) % 4 == 1).astype(float), math.nan),
            "reason": "",
        }
    )
    for name in analysis.SCORES:
        frame[name] = rng.normal(size=n) + effect * reasoning + 0.05 * confound * (length - 100)
    return frame


@pytest.fixture(scope="module")
def quick(settings) -> Params:
    return settings.model_copy(
        update={"statistics": settings.statistics.model_copy(update={"bootstrap_draws": 500, "permutations": 199, "repeats": 3})}
    )


def analyse(frame, params):
    return analysis.analyse(frame, {name: f"text {name}" for name in frame["item_id"]}, params)


def test_a_planted_effect_is_found(quick):
    found = analyse(planted(effect=1.5, n=200), quick)
    assert found["auroc"]["rev"]["bootstrap"]["low"] > 0.75
    assert found["added"]["rev"]["delta"]["low"] > 0.1
    assert found["partial"]["rev"]["pearson"]["low"] > 0.3
    assert found["holm"]["auroc_rev"] < 0.001
    assert found["nulls"]["permuted_labels"]["p"] == pytest.approx(1 / 200)
    assert set(found["direction"].values()) == {"as hypothesised"}


def test_a_planted_null_is_called_null(quick):
    found = analyse(planted(n=200, seed=3), quick)
    assert found["auroc"]["rev"]["bootstrap"]["low"] < 0.5 < found["auroc"]["rev"]["bootstrap"]["high"]
    assert abs(found["added"]["rev"]["delta"]["value"]) < 0.08
    assert found["holm"]["partial_rev"] > 0.05


def test_a_planted_confound_separates_the_classes_and_adds_nothing(quick):
    found = analyse(planted(confound=5.0, n=200), quick)
    assert found["auroc"]["token_len"]["bootstrap"]["value"] > 0.98
    assert found["auroc"]["rev"]["bootstrap"]["value"] > 0.9
    assert abs(found["added"]["rev"]["delta"]["value"]) < 0.03
    assert found["balance"]["token_len"]["smd"] > 3


def test_a_contradicted_direction_is_named_and_not_flipped(quick):
    found = analyse(planted(effect=-1.5, n=200), quick)
    assert set(found["direction"].values()) == {"contradicted"}
    assert found["auroc"]["rev"]["bootstrap"]["high"] < 0.5


def test_items_without_rev_are_counted_with_their_reason(quick):
    frame = planted(effect=1.0)
    frame.loc[frame["item_id"].isin(["i1", "i3"]), ["rev", "apl"]] = math.nan
    frame.loc[frame["item_id"].isin(["i1", "i3"]), "reason"] = "too short"
    found = analyse(frame, quick)
    assert found["n"] == {"items": 60, "used": 58, "reasoning": 28, "control": 30}
    assert found["excluded"] == {"reasoning: too short": 2}
    assert found["auroc"]["apl"]["bootstrap"]["n"] == 58


def test_a_class_without_any_rev_gives_reasons_in_place_of_numbers(quick, tmp_path):
    frame = planted()
    frame.loc[frame["role"] == "control", "rev"] = math.nan
    frame.loc[frame["role"] == "control", "reason"] = "too short"
    found = analyse(frame, quick)
    full = analyse(planted(), quick)
    assert found.keys() == full.keys()
    assert found["auroc"].keys() == full["auroc"].keys()
    for estimate in (found["auroc"]["rev"]["delong"], found["added"]["rev"]["delta"], found["partial"]["apl"]["spearman"]):
        assert math.isnan(estimate["value"])
        assert estimate["reason"] == "no control item has a REV (control: too short)"
    storage.write_json(tmp_path / "a.json", found)
    assert json.loads((tmp_path / "a.json").read_text())["auroc"]["rev"]["delong"]["value"] is None


def test_accuracy_and_unreadable_answers_are_by_dataset(quick):
    found = analyse(planted(), quick)["accuracy"]
    assert found == {"gsm-symbolic": {"accuracy": pytest.approx(0.5), "unparsed": pytest.approx(0.5), "n": 30}}


def test_the_same_table_gives_the_same_report(quick):
    one, two = (storage.plain(analyse(planted(effect=0.5), quick)) for _ in range(2))
    assert one == two


def test_temperatures_report_means_bands_and_their_variance(quick):
    table = pd.concat([planted(effect=1.0, seed=seed).assign(temperature=t) for seed, t in enumerate((0.0, 0.7))])
    found = analysis.temperatures(table, quick)
    means = table[table["role"] == "reasoning"].groupby("temperature")["rev"].mean()
    assert [row["reasoning"]["value"] for row in found["by_temperature"]] == pytest.approx(list(means))
    assert found["variance"] == pytest.approx(means.var())
    for row in found["by_temperature"]:
        assert row["reasoning"]["low"] < row["reasoning"]["value"] < row["reasoning"]["high"]
    table.loc[table["item_id"] == "i1", "rev"] = math.nan
    assert analysis.temperatures(table, quick)["undefined"] == 2


def test_the_head_curve_averages_random_draws_within_an_item(quick):
    rows = [
        {
            "item_id": item,
            "dataset": "wiki",
            "role": "control",
            "share": 0.5,
            "kind": kind,
            "draw": draw,
            "n_heads": 9,
            "accuracy": a,
        }
        for item, kind, draw, a in (
            ("x", "random", 1, 0.2),
            ("x", "random", 2, 0.4),
            ("y", "random", 1, 0.5),
            ("y", "random", 2, 0.5),
            ("x", "ranked", 0, 0.1),
            ("y", "ranked", 0, 0.3),
        )
    ]
    found = {row["kind"]: row for row in analysis.head_curve(pd.DataFrame(rows), quick)}
    assert found["random"]["value"] == pytest.approx(0.4)
    assert (found["random"]["draws_low"], found["random"]["draws_high"]) == pytest.approx((0.35, 0.45))
    assert found["ranked"]["value"] == pytest.approx(0.2)
    assert found["ranked"]["n"] == 2
