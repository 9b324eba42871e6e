import math

import numpy as np
import pandas as pd
import pytest

from tests.helpers.planted import head_entropies, read_by_nulls
from tests.helpers.planted import table as planted
from tests.helpers.planted_designs import make_table as planted_designs
from wor.analysis import contrasts, designs, estimates, mixed_model, null_models, robustness, separation, wording
from wor.analysis import stand_ins as stand_in_effects
from wor.analysis.evaluation import Evaluation
from wor.measures.registry import SCORES

KEY = ["model", "quantity", "of", "method"]


def stand_ins(frame):
    """Return APL under two stand-ins, one for some items only, and SIB under two centres."""
    some = frame["apl"].where(frame.index % 3 > 0)
    return pd.DataFrame(
        {"item_id": frame["item_id"], "apl_balanced": frame["apl"], "apl_own": some + 0.1, "sib_balanced": frame["sib"]}
    ).assign(sib_none=frame["sib"] + frame["ape"])


def words(frame):
    rng = np.random.default_rng(0)
    return {name: " ".join(rng.choice(["tree", "house", "river", "stone"], 5)) for name in frame["item_id"]}


def results(frame, params, full_length=None):
    """Return one model's results, put together as the stats stage does."""
    evaluation = Evaluation(frame, params)
    noise = {name: np.random.default_rng(99).normal(size=len(frame)) for name in ("ape", "sib")}
    nulls = read_by_nulls(frame, noise, kinds=("initialised", "permuted"), n=40)
    heads = np.random.default_rng(0).normal(size=(len(evaluation.scored), 4))
    temperatures = pd.concat([planted(n=40, seed=seed).assign(temperature=t) for seed, t in enumerate((0.0, 0.7))])
    accuracy = pd.DataFrame({"item_id": list("abcdef"), "cluster": list("abcdef"), "dataset": ["wiki", "gsm8k"] * 3}).assign(
        role=["control", "reasoning"] * 3, share=0.1, draw=0, accuracy=0.5, n_heads=9
    )
    accuracy = pd.concat([accuracy.assign(kind=kind) for kind in ("ranked", "random")])
    ranked = pd.DataFrame({"role": ["control", "reasoning"] * 6}).assign(cluster=np.arange(12))
    return {
        "label": "Model",
        **separation.analyse_separation(evaluation, {name: f"text {name}" for name in frame["item_id"]}),
        "mixed": mixed_model.mixed_models(evaluation),
        "wording": wording.analyse_wording(evaluation, {kind: words(frame) for kind in ("body", "continuation")}),
        "datasets": contrasts.compare_datasets(evaluation),
        "negative_controls": contrasts.negative_controls(evaluation),
        "rivals": contrasts.compare_with_rivals(evaluation, heads),
        "dose_response": contrasts.dose_response(evaluation),
        "correctness": contrasts.correctness(evaluation),
        "null_models": null_models.compare_with_nulls(evaluation, nulls, head_entropies(nulls)),
        "literal": contrasts.compare_full_length_controls(evaluation, full_length),
        "designs": designs.analyse_designs(planted_designs(params), {}, evaluation),
        "stand_ins": stand_in_effects.stand_in_effects(evaluation, stand_ins(frame)),
        "temperatures": robustness.temperature_curve(temperatures, frame, params),
        "heads": robustness.head_curve(accuracy, params),
        "head_differences": robustness.head_differences(accuracy, params),
        "head_ranking": robustness.head_ranking(ranked, np.random.default_rng(0).random((12, 2, 3)), params),
    }


def count_estimates(part):
    """Return how many different estimates nested results have."""
    if isinstance(part, dict) and {"value", "low", "reason"} <= part.keys():
        return 1
    parts = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return sum(map(count_estimates, parts))


def test_every_estimate_has_one_row(quick):
    frame = planted(effect=1.0, n=120)
    controls = frame[frame["role"] == "control"].head(12)
    result = results(frame, quick, controls)
    table = estimates.estimate_table({"a": result, "b": {**result, "label": "Other"}})
    assert list(table) == estimates.COLUMNS
    assert not table.duplicated(KEY).any()
    # A baseline is the same for every score, and the null of shuffled labels is that of REV.
    assert len(table) == 2 * (count_estimates(result) - 2 * (len(SCORES) - 1) - 1)
    rows = table.set_index(KEY)
    delta = result["added"]["rev"]["delta"]
    assert tuple(rows.loc[("Model", "delta_auc", "rev", "bootstrap with refit"), ["value", "low", "high", "n"]]) == tuple(
        delta[key] for key in ("value", "low", "high", "n")
    )
    clustered = result["partial"]["apl"]["clustered"]
    assert rows.loc[("Model", "partial_r", "apl", "clustered"), "p"] == clustered["p"]
    assert rows.loc[("Model", "auroc", "rev (literal)", "bootstrap"), "n"] == 72
    assert rows.loc[("Other", "mean_rev", "reasoning at 0.7", "bootstrap"), "n"] == 20
    assert table["reason"].notna().all()
    assert table["value"].isna().eq(table["reason"] != "").all()


def test_a_study_without_an_evaluation_has_the_same_rows_with_a_reason(quick):
    frame = planted(n=120)
    full, table = (
        estimates.estimate_table({"a": results(rows, quick)}).set_index(KEY)
        for rows in (frame, frame.assign(rev=frame["rev"].where(frame["role"] == "reasoning"), reason="too short"))
    )
    row = table.loc[("Model", "auroc", "rev", "bootstrap")]
    assert math.isnan(row["value"])
    assert row["reason"] == "no control item has a REV (control: too short)"
    assert set(full.index) == set(table.index)


def test_a_csv_of_it_can_be_read_back(quick, tmp_path):
    table = estimates.estimate_table({"a": results(planted(n=60), quick)})
    table.to_csv(tmp_path / "estimates.csv", index=False)
    back = pd.read_csv(tmp_path / "estimates.csv", keep_default_na=False, na_values={"value": "", "p": ""})
    assert back["value"].to_numpy() == pytest.approx(table["value"].to_numpy(), nan_ok=True)
    assert (back["of"] == table["of"]).all()
