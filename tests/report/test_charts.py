"""Charts of tables that the studies of these tests don't have."""

import numpy as np
import pandas as pd
import pytest

from wor.measures.registry import SCORES
from wor.report import charts


def items(n: int, seed: int = 0, **fixed: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    role = np.where(np.arange(n) % 2, "reasoning", "control")
    table = pd.DataFrame({score: rng.normal(0.5 * (role == "reasoning"), 1) for score in SCORES})
    table["item_id"] = [f"made/{k}" for k in range(n)]
    return table.assign(role=role, dataset=role, steps=np.where(np.arange(n) % 2, 1 + np.arange(n) % 5, np.nan), **fixed)


def rows(chart) -> list[dict]:
    return [row for table in chart.spec["datasets"].values() for row in table]


def test_a_study_of_thousands_of_items_has_a_whole_roc():
    chart = charts.roc({"one": items(4000)})
    assert len(rows(chart)) > 5000
    curve = pd.DataFrame(row for row in rows(chart) if row.get("measure") == "REV")
    assert np.trapezoid(curve["tpr"], curve["fpr"]) == pytest.approx(0.638, abs=0.02)  # of two normals half a sd apart


def test_a_measure_that_one_of_two_iterations_has_not_is_drawn_of_the_other():
    tables = {"first": items(60), "second": items(60, dtr=np.nan), "third": items(60).drop(columns="sib")}
    for two in (("first", "second"), ("first", "third")):
        chart = charts.distributions({name: tables[name] for name in two})
        assert len(chart.spec["concat"]) == 2 * len(SCORES) - 1


def test_the_bars_of_a_class_are_all_of_its_items():
    chart = charts.distributions({"one": items(60)})
    table = pd.DataFrame(row for row in rows(chart) if "items" in row)
    assert table.groupby("role")["items"].sum().to_dict() == {"control": 30 * len(SCORES), "reasoning": 30 * len(SCORES)}
    assert table["share"].sum() == pytest.approx(2 * len(SCORES), rel=1e-2)


def test_nothing_to_draw_is_no_chart():
    nothing = items(20, **dict.fromkeys(SCORES, np.nan))
    assert charts.distributions({"one": nothing}) is None
    assert charts.roc({"one": nothing}) is None
    assert charts.dose(nothing) is None
    assert charts.roc({"one": items(20).query("role == 'control'")}) is None
