import math

import pandas as pd
import pytest

from tests.helpers.planted import table as planted
from wor.analysis import robustness


def test_temperatures_report_means_bands_and_their_variance(quick):
    table = pd.concat([planted(effect=1.0, seed=seed).assign(temperature=t) for seed, t in enumerate((0.0, 0.7))])
    result = robustness.temperature_curve(table, quick)
    means = table[table["role"] == "reasoning"].groupby("temperature")["rev"].mean()
    assert [row["reasoning"]["value"] for row in result["by_temperature"]] == pytest.approx(list(means))
    assert result["variance"]["value"] == pytest.approx(means.var())
    assert result["variance"]["low"] < result["variance"]["value"] < result["variance"]["high"]
    for row in result["by_temperature"]:
        assert row["reasoning"]["low"] < row["reasoning"]["value"] < row["reasoning"]["high"]
    table.loc[table["item_id"] == "i1", "rev"] = math.nan
    result = robustness.temperature_curve(table, quick)
    assert result["undefined"] == 2
    assert result["variance"]["n"] == 29
    alone = robustness.temperature_curve(planted().assign(temperature=0.0), quick)["variance"]
    assert math.isnan(alone["value"])
    assert alone["reason"] == "fewer than two temperatures"


def test_too_few_clusters_give_a_value_and_no_interval(quick):
    few = planted(effect=1.0).head(8)
    table = pd.concat([few.assign(temperature=t) for t in (0.0, 0.7)])
    result = robustness.temperature_curve(table, quick)
    for estimate in (result["variance"], result["by_temperature"][0]["reasoning"]):
        assert not math.isnan(estimate["value"])
        assert math.isnan(estimate["low"])
        assert math.isnan(estimate["high"])


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
    result = {row["kind"]: row for row in robustness.head_curve(pd.DataFrame(rows), quick)}
    assert result["random"]["value"] == pytest.approx(0.4)
    assert (result["random"]["draws_low"], result["random"]["draws_high"]) == pytest.approx((0.35, 0.45))
    assert result["ranked"]["value"] == pytest.approx(0.2)
    assert result["ranked"]["n"] == 2
