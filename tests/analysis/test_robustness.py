import math

import numpy as np
import pandas as pd
import pytest

from tests.helpers.planted import table as planted
from wor.analysis import robustness


def test_temperatures_report_means_bands_and_their_variance(quick):
    table = pd.concat([planted(effect=1.0, seed=seed).assign(temperature=t) for seed, t in enumerate((0.0, 0.7))])
    study = planted(effect=1.0, seed=7)
    result = robustness.temperature_curve(table, study, quick)
    everything = pd.concat([table, study.assign(temperature=quick.temperature)])
    means = everything[everything["role"] == "reasoning"].groupby("temperature")["rev"].mean()
    assert [row["temperature"] for row in result["by_temperature"]] == [0.0, quick.temperature, 0.7]
    assert [row["reasoning"]["value"] for row in result["by_temperature"]] == pytest.approx(list(means))
    assert result["variance"]["value"] == pytest.approx(means.var())
    assert result["variance"]["low"] < result["variance"]["value"] < result["variance"]["high"]
    for row in result["by_temperature"]:
        assert row["reasoning"]["low"] < row["reasoning"]["value"] < row["reasoning"]["high"]
    table.loc[table["item_id"] == "i1", ["rev", "reason"]] = math.nan, "it loops"
    result = robustness.temperature_curve(table, study, quick)
    assert result["undefined"] == 2
    assert result["excluded"] == {"reasoning: it loops": 2}
    assert result["variance"]["n"] == 29


def test_the_studys_own_temperature_stands_beside_the_others_with_the_same_items(quick):
    study = planted(effect=1.0, seed=7)
    some = study["item_id"].isin(study.groupby("role").head(12)["item_id"])
    study.loc[study["item_id"] == study["item_id"].iloc[0], ["rev", "reason"]] = math.nan, "it loops"
    table = planted(effect=1.0)[some].assign(temperature=quick.temperature + 1)
    result = robustness.temperature_curve(table, study, quick)
    own, other = result["by_temperature"]
    assert (own["temperature"], other["temperature"]) == (quick.temperature, quick.temperature + 1)
    assert own["reasoning"]["value"] == pytest.approx(study[some & (study["role"] == "reasoning")]["rev"].mean())
    assert (own["n"], own["undefined"], result["undefined"]) == (some.sum(), 1, 1)
    # A temperature that is measured again is shown as it was measured again.
    again = robustness.temperature_curve(table.assign(temperature=quick.temperature), study, quick)
    assert [row["reasoning"]["value"] for row in again["by_temperature"]] == [other["reasoning"]["value"]]
    assert again["variance"]["reason"] == "fewer than two temperatures"


def test_too_few_clusters_give_a_reason_and_no_value(quick):
    few = planted(effect=1.0).head(8)
    table = pd.concat([few.assign(temperature=t) for t in (0.0, 0.7)])
    result = robustness.temperature_curve(table, planted(), quick)
    for estimate in (result["variance"], result["by_temperature"][0]["reasoning"]):
        assert math.isnan(estimate["value"])
        assert math.isnan(estimate["low"])
        assert estimate["reason"] == "fewer than 5 clusters to resample (4)"


def removal(items=12, draws=2, loss=0.2, seed=0):
    """Return accuracies with heads removed, of which ranked ones cost ``loss`` in reasoning.

    Two items share a cluster, and its accuracy. Of random heads, a layer has one too few.
    """
    rng, rows = np.random.default_rng(seed), []
    for role in ("reasoning", "control"):
        level = np.repeat(rng.uniform(0.3, 0.6, items // 2), 2)
        for item in range(items):
            about = {"item_id": f"{role}{item}", "dataset": role, "role": role, "cluster": f"{role}-{item // 2}"}
            rows.append({**about, "share": 0.0, "kind": "ranked", "draw": 0, "n_heads": 0, "accuracy": 0.9})
            for share in (0.2, 0.5):
                cost = loss * (role == "reasoning") + rng.normal() / 50
                entries = [("ranked", 0, 9, -cost), *(("random", draw, 8, 0.1 * draw) for draw in range(1, draws + 1))]
                rows += [
                    {**about, "share": share, "kind": kind, "draw": draw, "n_heads": n, "accuracy": level[item] + change}
                    for kind, draw, n, change in entries
                ]
    return pd.DataFrame(rows)


def test_the_head_curve_averages_random_draws_within_an_item(quick):
    table = removal()
    result = {(row["role"], row["kind"], row["share"]): row for row in robustness.head_curve(table, quick)}
    assert len(result) == 10
    for (role, kind, share), row in result.items():
        rows = table[(table["role"] == role) & (table["kind"] == kind) & (table["share"] == share)]
        assert row["value"] == pytest.approx(rows["accuracy"].mean())
        assert row["n"] == 12
        fewer = "; 8 of 9 heads, as some layers have no more others" if kind == "random" else ""
        assert row["note"] == f"only 6 clusters{fewer}"
    draws = table[(table["role"] == "control") & (table["share"] == 0.5)].groupby("draw")["accuracy"].mean()
    row = result["control", "random", 0.5]
    assert (row["draws_low"], row["draws_high"]) == pytest.approx((draws[1], draws[2]))


def test_bands_resample_clusters_not_items(quick):
    table = removal(items=24)
    by_cluster = robustness.head_curve(table, quick)
    by_item = robustness.head_curve(table.assign(cluster=table["item_id"]), quick)
    wider = np.divide(*([row["high"] - row["low"] for row in rows if row["share"]] for rows in (by_cluster, by_item)))
    assert 1.2 < min(wider) < max(wider) < 1.8  # the items of a pair are alike: sqrt(2), and t of fewer
    few = robustness.head_curve(removal(items=8), quick)  # 4 clusters of a class
    assert {row["reason"] for row in few} == {"fewer than 5 clusters to resample (4)"}
    assert all(math.isnan(row["value"]) for row in few)


def test_ranked_minus_random_heads_is_paired_and_compared_between_the_classes(quick):
    table = removal(loss=0.2)
    result = {(row["role"], row["share"]): row for row in robustness.head_differences(table, quick)}
    assert {role for role, _ in result} == {"reasoning", "control", "reasoning - control"}
    assert {share for _, share in result} == {0.2, 0.5, "mean"}
    means = table[table["share"] == 0.5].groupby(["role", "kind"])["accuracy"].mean()
    for role in ("reasoning", "control"):
        row = result[role, 0.5]
        assert row["value"] == pytest.approx(means[role, "ranked"] - means[role, "random"])
        assert row["low"] < row["value"] < row["high"]
        assert row["high"] - row["low"] < 0.08  # items differ by 0.3, which the pairs take out
        assert result[role, "mean"]["value"] == pytest.approx((result[role, 0.2]["value"] + row["value"]) / 2)
    between = result["reasoning - control", "mean"]
    assert between["value"] == pytest.approx(result["reasoning", "mean"]["value"] - result["control", "mean"]["value"])
    assert between["low"] < -0.2 < between["high"] < 0
    assert between["p"] < 0.02
    assert between["n"] == 24
    null = {(row["role"], row["share"]): row for row in robustness.head_differences(removal(loss=0.0), quick)}
    row = null["reasoning - control", "mean"]
    assert row["low"] < 0 < row["high"]
    assert row["p"] > 0.05
    few = robustness.head_differences(removal(items=8), quick)
    assert all(math.isnan(row["value"]) and math.isnan(row["p"]) for row in few)
    assert all(row["reason"].startswith("fewer than 5 clusters to resample") for row in few)


def test_without_items_the_curve_has_a_reason_and_no_differences(quick):
    empty = removal().head(0)
    rows = robustness.head_curve(empty, quick)
    assert {(row["role"], row["share"]) for row in rows} == {
        (role, share) for role in ("reasoning", "control") for share in quick.heads.shares
    }
    assert {row["reason"] for row in rows} == {"a class has no item to rank heads on, or none left to score"}
    assert robustness.head_differences(empty, quick) == []
    ranking = robustness.head_ranking(empty[["item_id", "role", "cluster"]], np.zeros((0, 2, 3)), quick)
    assert ranking["reliability"]["reason"] == "fewer than 5 clusters rank in a class (0 and 0)"


def test_the_rankings_reliability_is_that_of_the_difference_of_the_classes(quick):
    rng = np.random.default_rng(0)
    items = pd.DataFrame({"role": np.repeat(["reasoning", "control"], [8, 10])}).assign(cluster=np.arange(18).astype(str))
    shared, effect = 9 * rng.random((4, 5)), rng.random((4, 5))
    kl = shared + 0.02 * rng.normal(size=(18, 4, 5))
    noise = robustness.head_ranking(items, kl, quick)
    kl[:8] += effect
    signal = robustness.head_ranking(items, kl, quick)
    assert signal["reliability"]["value"] > 0.95 > 0.7 > noise["reliability"]["value"]
    assert signal["n"] == signal["clusters"] == {"reasoning": 8, "control": 10}
    assert signal["halves"] == quick.heads.halves
