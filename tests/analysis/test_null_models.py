import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.helpers.planted import NULL_SEEDS, head_entropies, read_by_nulls
from tests.helpers.planted import table as planted
from wor.analysis import null_models
from wor.analysis.evaluation import PARTIAL_GIVEN, Evaluation, bootstrap_weights
from wor.statistics import partial


def compare(frame, table, quick, heads=None):
    return null_models.compare_with_nulls(Evaluation(frame, quick), table, heads or head_entropies(table))


def test_each_number_is_that_of_an_independent_library(quick):
    frame = planted(effect=0.8, n=120)
    noise = {name: np.random.default_rng(99).normal(size=120) for name in ("ape", "sib")}
    table = read_by_nulls(frame, noise)
    result = compare(frame, table.sample(frac=1, random_state=0), quick)  # in any order
    rows, parts = frame.iloc[:60], result["kinds"]["permuted"]
    label = (rows["role"] == "reasoning").astype(int).to_numpy()
    assert result["n"] == {"reasoning": 30, "control": 30}
    assert result["components"] == ["ape", "sib"]
    assert result["auroc"]["apl"]["value"] == pytest.approx(roc_auc_score(label, rows["apl"]))
    for name in ("rev", "ape", "sib"):
        scores = table.pivot(index="seed", columns="item_id", values=name)[rows["item_id"]].to_numpy()
        aurocs = [roc_auc_score(label, score) for score in scores]
        entry = parts["auroc"][name]
        assert [entry["by_seed"][str(seed)]["value"] for seed in NULL_SEEDS] == pytest.approx(aurocs)
        assert entry["range"] == pytest.approx([min(aurocs), max(aurocs)])
        assert entry["mean"]["value"] == pytest.approx(np.mean(aurocs))
        assert entry["mean"]["low"] < entry["mean"]["value"] < entry["mean"]["high"]
        expected = roc_auc_score(label, rows[name]) - np.mean(aurocs)
        assert parts["difference"][name]["value"] == pytest.approx(expected)
        average = np.mean([(score - score.mean()) / score.std() for score in scores], 0)
        assert parts["correlation"][name]["value"] == pytest.approx(np.corrcoef(average, rows[name])[0, 1])
        items = table.pivot(index="item_id", columns="seed", values=name)
        items = (items - items.mean()) / items.std(ddof=0)
        alpha = 3 / 2 * (1 - items.var().sum() / items.sum(axis=1).var())
        assert parts["reliability"][name]["value"] == pytest.approx(alpha)
    given = {name: list(entries) for name, entries in parts["partial"].items()}
    assert given == {"rev": ["rev", "ape", "sib"], "apl": ["rev"], "ape": ["ape"], "sib": ["sib"]}
    assert parts["delta"].keys() == given.keys()
    for name, other in (("rev", "sib"), ("apl", "rev"), ("ape", "ape")):
        scores = table.pivot(index="seed", columns="item_id", values=other)[rows["item_id"]].to_numpy()
        replicates = (scores - scores.mean(1, keepdims=True)) / scores.std(1, keepdims=True)
        weights = bootstrap_weights(rows, quick)
        expected = partial.partial_given_replicates(
            rows[name].to_numpy(), label, rows[PARTIAL_GIVEN].to_numpy(), replicates, weights
        )
        assert parts["partial"][name][other]["value"] == pytest.approx(expected.value)
        assert parts["partial"][name][other]["reason"] == expected.reason


def test_a_score_that_null_models_have_too_is_not_said_to_add_and_one_of_its_own_is(quick):
    frame = planted(effect=1.5, n=160)
    in_text = frame["rev"].to_numpy()
    frame["rev"] = in_text + np.random.default_rng(3).normal(size=160)
    read = read_by_nulls(frame, {"ape": in_text, "sib": in_text}, noise=0.8, n=160)
    same = compare(frame, read, quick)["kinds"]["permuted"]
    assert same["auroc"]["rev"]["mean"]["low"] > 0.7
    assert same["correlation"]["rev"]["low"] > 0.3
    assert same["reliability"]["rev"]["low"] > 0.7
    for name in ("rev", "ape", "sib"):
        given = same["partial"]["rev"][name]
        assert given["low"] < 0 < given["high"]
        assert abs(same["delta"]["rev"][name]["value"]) < 0.03
    assert "is not shown to add to what a network with permuted weights gives" in same["verdict"]
    noise = {name: np.random.default_rng(99).normal(size=160) for name in ("ape", "sib")}
    own = compare(frame, read_by_nulls(frame, noise, n=160), quick)
    verdict = own["kinds"]["permuted"]["verdict"]
    assert verdict.startswith("the model's REV adds to what a network with permuted weights gives, and it separates")
    assert verdict.endswith("the classes better")
    assert own["verdict"] == f"{verdict} (on 160 items, 3 seeds each)"
    ahead = {name: 3.0 * (frame["role"] == "reasoning").to_numpy() for name in ("ape", "sib")}
    less = compare(frame, read_by_nulls(frame, ahead, noise=1.0, n=160), quick)["kinds"]["permuted"]
    assert less["verdict"].endswith("it separates the classes less")
    assert less["difference"]["rev"]["high"] < 0


def test_a_spread_that_hardly_exists_is_said_with_the_auroc(quick):
    """At initialisation attention is uniform to four digits: APE's AUROC is one of rounding."""
    frame = planted(effect=1.0, n=120)
    noise = {name: np.random.default_rng(99).normal(size=120) for name in ("ape", "sib")}
    table = read_by_nulls(frame, noise, kinds=("initialised", "permuted"))
    of_initialised = table["kind"] == "initialised"
    table["ape"] = table["ape"].where(~of_initialised, 0.9974 + 4e-5 * table["ape"] / 5)
    kinds = compare(frame, table, quick)["kinds"]
    for name in ("ape", "rev"):
        assert "APE has a deviation of 4e-05 over these items" in kinds["initialised"]["auroc"][name]["mean"]["note"]
    assert "note" not in kinds["initialised"]["auroc"]["sib"]["mean"]
    assert "note" not in kinds["permuted"]["auroc"]["rev"]["mean"]


def test_two_seeds_have_no_spread_to_speak_of(quick):
    frame = planted(n=120)
    noise = {name: np.random.default_rng(99).normal(size=120) for name in ("ape", "sib")}
    table = read_by_nulls(frame, noise)
    mean = compare(frame, table[table["seed"] > 3], quick)["kinds"]["permuted"]["auroc"]["rev"]["mean"]
    assert mean["note"] == "2 seeds, so the spread over seeds is not known"


def test_heads_of_null_models_are_fitted_as_the_models_are(quick):
    frame = planted(n=120)
    noise = {name: np.random.default_rng(99).normal(size=120) for name in ("ape", "sib")}
    table = read_by_nulls(frame, noise, n=120)
    rows, entropies = head_entropies(table)
    entropies[:, 4] += 4 * rows["item_id"].isin(frame.loc[frame["role"] == "reasoning", "item_id"]).to_numpy()
    assert compare(frame, table, quick, (rows, entropies))["kinds"]["permuted"]["heads"]["low"] > 0.9


def test_only_items_that_every_null_model_read_count(quick):
    frame = planted(n=120)
    noise = {name: np.random.default_rng(99).normal(size=120) for name in ("ape", "sib")}
    table = read_by_nulls(frame, noise)
    table.loc[[2, 65], "rev"] = math.nan  # i2 of the first seed, i5 of the second
    result = compare(frame, table, quick)
    assert result["n"] == {"reasoning": 29, "control": 29}
    scores = null_models.named_scores(Evaluation(frame, quick), table)
    assert list(scores) == ["rev (permuted)", "ape (permuted)", "sib (permuted)"]
    missing = np.isnan(scores["ape (permuted)"])
    assert missing.tolist() == [index in (2, 5) or index >= 60 for index in range(120)]


@pytest.mark.parametrize("fault", ["too few", "none read"])
def test_without_numbers_the_same_keys_have_a_reason(quick, fault):
    frame = planted(n=120)
    noise = {name: np.random.default_rng(99).normal(size=120) for name in ("ape", "sib")}
    table = read_by_nulls(frame, noise, n=8 if fault == "too few" else 60)
    if fault == "none read":
        table = table.assign(rev=math.nan)
    result, full = compare(frame, table, quick), compare(frame, read_by_nulls(frame, noise), quick)
    parts = result["kinds"]["permuted"]
    assert parts.keys() == full["kinds"]["permuted"].keys()
    for estimate in (parts["auroc"]["rev"]["mean"], parts["difference"]["rev"], parts["delta"]["rev"]["rev"], parts["heads"]):
        assert math.isnan(estimate["value"])
        assert estimate["reason"]
    if fault == "none read":
        assert result["verdict"] == f"no verdict: {null_models.NO_NULLS}"
        assert parts["partial"]["rev"]["rev"]["reason"] == null_models.NO_NULLS


def test_an_average_over_seeds_weighs_them_alike_and_counts_a_flat_one_as_nothing():
    scores = np.array([[1.0, 2.0, 3.0], [100.0, 300.0, 200.0], [7.0, 7.0, 7.0]])
    unit = math.sqrt(1.5)
    assert null_models.average_over_seeds(scores) == pytest.approx([-2 * unit / 3, unit / 3, unit / 3])
