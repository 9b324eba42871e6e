"""Each design finds what is planted, at its size, and nothing where nothing is."""

import math

import numpy as np
import pytest

from tests.helpers import planted
from tests.helpers.planted_designs import WINDOW, N, make_table, study
from wor import storage
from wor.analysis import designs, hypotheses
from wor.analysis.evaluation import Evaluation
from wor.measures import table as tables
from wor.measures.designs import MATCHED, design_table


def analyse(params, seed=0, **derive):
    table = make_table(params, seed, **derive)
    return table, designs.analyse_designs(table, {}, Evaluation(planted.table(n=60), params))


def compare(params, seed=0, **derive):
    return designs.compare_arms(make_table(params, seed, **derive).query("source == 'own'"), params)


def holds(estimate, value):
    return estimate["low"] <= value <= estimate["high"]


def test_a_planted_effect_is_found_at_its_size_where_tokens_and_entropy_are_the_same(quick):
    _, results = analyse(quick, effect=1.5)
    for source in designs.SOURCES:
        part = results["derive_copy"][source]
        assert part["n"] == {"items": N, "used": N, "clusters": N}
        for key in ("difference", "equal_entropy", "matched"):
            assert holds(part[key]["effect"], 1.5), key
            assert part[key]["effect"]["p"] < 0.01
            assert part[key]["apl"]["low"] > 0
        assert holds(part["difference"]["ape"], 0)
        assert part["means"]["effect"]["derive"] - part["means"]["effect"]["copy"] == pytest.approx(1.5, abs=0.1)
        assert holds(part["by_dataset"]["gsm-symbolic"]["effect"], 1.5)
        assert 0 < part["matched_tokens"] < WINDOW


def test_nothing_is_found_where_nothing_is(quick):
    found = [compare(quick, seed) for seed in range(12)]
    for key in ("difference", "equal_entropy", "matched"):
        held = [holds(part[key]["effect"], 0) for part in found]
        assert sum(held) >= 10, key


def test_a_difference_of_entropy_alone_is_called_so(quick):
    """The effect of a layer goes with uncertainty, and uncertainty differs. Nothing is derived."""
    part = compare(quick, entropy=2.0, by_entropy=1.0)
    assert part["difference"]["effect"]["low"] > 0.3
    assert part["means"]["window_entropy"]["derive"] > part["means"]["window_entropy"]["copy"] + 0.5
    assert holds(part["equal_entropy"]["effect"], 0)
    assert "an extrapolation: the entropies differ by +0." in part["equal_entropy"]["effect"]["note"]
    assert holds(part["matched"]["effect"], 0)


def test_an_effect_beside_a_difference_of_entropy_is_found_over_tokens_of_equal_entropy(quick):
    part = compare(quick, effect=0.8, entropy=1.5, by_entropy=1.0)
    assert part["difference"]["effect"]["low"] > 0.9  # both together
    assert holds(part["matched"]["effect"], 0.8)


def test_attention_has_its_own_estimate(quick):
    part = compare(quick, ape=0.05)
    assert holds(part["difference"]["ape"], 0.05)
    assert holds(part["difference"]["effect"], 0)


def test_columns_of_the_table_equal_a_plain_loop(quick):
    activations, records, controls = study(1, effect=0.5, entropy=0.6)
    calibration = tables.calibrate(*controls, quick)
    table = design_table([activations], records, calibration, quick)
    assert list(table.groupby(["source", "arm"]).size().items()) == [
        (("gold", "copy"), N),
        (("gold", "derive"), 2 * N),
        (("own", "copy"), N),
        (("own", "derive"), N),
    ]
    item = activations[0]["item_id"][4]
    row = table[(table["item_id"] == item) & (table["source"] == "own")].set_index("arm")
    copied = records[0].index[(records[0]["item_id"] == item) & (records[0]["source"] == "own")][0]
    kl = {"derive": activations[1]["kl"][4].astype(float), "copy": records[1]["kl"][copied].astype(float)}
    entropies = {"derive": activations[0]["token_entropy"][4], "copy": records[0]["token_entropy"][copied]}
    entropies = {name: values[5 : 5 + WINDOW] for name, values in entropies.items()}
    tokens = [t for t in range(WINDOW) if abs(entropies["derive"][t] - entropies["copy"][t]) <= MATCHED]
    for name, values in kl.items():
        assert row.loc[name, "effect"] == pytest.approx(np.mean([math.log(layer.mean()) for layer in values]))
        assert row.loc[name, "window_entropy"] == pytest.approx(entropies[name].mean())
        assert row.loc[name, "matched_tokens"] == len(tokens)
        by_layer = [np.mean([layer[t] for t in tokens]) for layer in values]
        if len(tokens) >= quick.window.min:
            assert row.loc[name, "effect_matched"] == pytest.approx(np.mean(np.log(by_layer)))
            assert row.loc[name, "apl_matched"] == np.mean([a > b for a, b in zip(by_layer, calibration.thresholds, strict=True)])
        else:
            assert np.isnan(row.loc[name, "effect_matched"])


def test_items_without_a_window_are_counted_and_leave_the_others(quick):
    activations, records, controls = study(effect=1.0)
    calibration = tables.calibrate(*controls, quick)
    for frame, arrays in (activations, records):
        out = frame["item_id"].isin(activations[0]["item_id"][:4]).to_numpy() & (frame["role"] == "reasoning").to_numpy()
        frame.loc[out, "reason"] = "3 tokens generated, fewer than 4"
        for array in arrays.values():
            array[out] = np.nan
    table = design_table([activations], records, calibration, quick)
    results = designs.analyse_designs(table, {"control: short": 2}, Evaluation(planted.table(n=60), quick))
    part = results["derive_copy"]["own"]
    assert part["n"] == {"items": N, "used": N - 4, "clusters": N - 4}
    assert part["excluded"] == {"3 tokens generated, fewer than 4": 4}
    assert results["gold"]["excluded"] == {"control: short": 2}
    assert results["gold"]["n"] == {"items": 2 * N, "reasoning": N - 4, "control": N}


def test_gold_text_separates_the_classes_by_what_is_planted_alone(quick):
    _, null = analyse(quick, seed=4)
    _, results = analyse(quick, seed=4, effect=2.0)
    gold = results["gold"]
    assert gold["auroc"]["effect"]["low"] > 0.5 > null["gold"]["auroc"]["effect"]["low"]
    assert gold["delta_auc"]["effect"]["low"] > 0
    for name in ("sib", "rev"):
        assert gold["auroc"][name]["reason"] == "no paraphrase is read (designs.paraphrases is 0)"
    few = designs.separate_gold(analyse(quick)[0].query("source == 'gold' and arm == 'derive'").head(N + 3), {}, quick)
    for part in (*few["auroc"].values(), *few["delta_auc"].values(), few["baseline"]):
        assert math.isnan(part["value"])
        assert part["reason"]


def test_a_dose_within_templates_is_found_and_one_between_them_is_not(quick):
    rng = np.random.default_rng(0)
    frame = planted.table(n=120)
    template = np.arange(120) % 20
    frame["cluster"] = [f"{role}-{number}" for role, number in zip(frame["role"], template, strict=True)]
    within = frame.assign(apl=0.3 * frame["steps"] + 2 * template + 0.1 * rng.normal(size=120))
    results = designs.dose_within_clusters(Evaluation(within, quick))
    assert list(results) == ["gsm-symbolic"]
    assert holds(results["gsm-symbolic"]["apl"], 0.3)
    assert results["gsm-symbolic"]["apl"]["low"] > 0.2
    between = frame.assign(steps=np.where(frame["role"] == "reasoning", template % 5, np.nan))
    reasons = {slope["reason"] for slope in designs.dose_within_clusters(Evaluation(between, quick))["gsm-symbolic"].values()}
    assert reasons == {"no cluster has items of different doses (10 clusters, 60 items)"}


def test_every_quantity_that_can_be_registered_is_in_the_results(quick):
    _, results = analyse(quick)
    for kind in ("derive_copy", "gold"):
        for name in hypotheses.NAMES[kind]:
            find, shown, *_ = hypotheses.QUANTITIES[kind]
            assert {"value", "reason"} <= find({"designs": results}, name)[shown].keys()
    find, shown, *_ = hypotheses.QUANTITIES["dose"]
    assert find({"designs": results}, "gsm-symbolic")[shown]["reason"]


def test_a_table_that_was_written_gives_the_same_numbers(quick, tmp_path):
    table = make_table(quick, effect=1.0)
    results = designs.analyse_designs(table, {}, Evaluation(planted.table(n=60), quick))
    storage.write_csv(tmp_path / "designs.csv", table)
    again = designs.analyse_designs(storage.read_csv(tmp_path / "designs.csv"), {}, Evaluation(planted.table(n=60), quick))
    assert storage.to_plain(again) == storage.to_plain(results)


def test_a_study_without_any_pair_says_why(quick):
    table, _ = analyse(quick)
    for rows in (table.iloc[:0], table[table["source"] == "own"].assign(effect=np.nan, reason="too short")):
        results = designs.analyse_designs(rows, {}, Evaluation(planted.table(n=60), quick))
        for source in designs.SOURCES:
            for key in ("difference", "equal_entropy", "matched"):
                assert all(estimate["reason"] for estimate in results["derive_copy"][source][key].values())
