"""One neutral table in its renderers, and the verdict in words."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from wor.report import markdown, tables, terminal
from wor.report.table import Mark, Table, Term
from wor.report.verdict import verdict_lines

TABLE = Table(
    "Estimates",
    ["measure", "AUROC", "status"],
    [[Term("REV", "the measure"), "0.71 [0.60, 0.81]", Mark("fail", "bad")], ["a|b", "", "[not markup] " + "word " * 12]],
    [1],
    ["A note."],
)


def printed(width: int) -> list[str]:
    output = io.StringIO()
    terminal.print_table(TABLE, Console(file=output, width=width))
    return output.getvalue().splitlines()


def test_a_wide_terminal_gets_a_table_that_folds_texts_but_no_numbers():
    lines = printed(60)
    assert any("│ 0.71 [0.60, 0.81] │ fail" in line for line in lines)
    assert all(len(line) <= 60 for line in lines)
    assert " ".join("\n".join(lines).replace("│", " ").split()).count("word") == 12
    assert lines[-1] == "A note."


def test_a_narrow_terminal_gets_a_list_without_empty_cells():
    lines = printed(30)
    assert lines[:4] == ["Estimates", "REV", "  AUROC: 0.71 [0.60, 0.81]", "  status: fail"]
    assert [line for line in lines[4:] if "AUROC" in line] == []
    assert any(line.startswith("  status: [not markup] word") for line in lines)


def test_markdown_has_a_row_per_row_and_escapes_bars():
    lines = markdown.render(TABLE).splitlines()
    assert lines[0] == "**Estimates**"
    assert lines[2:5] == ["| measure | AUROC | status |", "| --- | ---: | --- |", "| REV | 0.71 [0.60, 0.81] | fail |"]
    assert lines[5].startswith("| a\\|b |  | [not markup] word")
    assert lines[-1] == "A note."
    assert markdown.render(Table("Nothing", ["a"], [], notes=["None."])) == "None.\n"


def estimate(value: float | None, low: float | None = None, high: float | None = None) -> dict:
    return {"value": value, "low": low, "high": high, "reason": "" if value is not None else "one class only"}


def result(auroc: dict, delta: dict) -> dict:
    primary = {"decisive": True, "claim": "REV adds", "status": "undecided", "why": "no number"}
    return {
        "label": "Small",
        "preregistration": {"kind": "exploratory", "reasons": ["a pilot"], "hypotheses": {"H2": primary}},
        "auroc": {"rev": {"bootstrap": auroc}},
        "added": {"rev": {"delta": delta}},
        "partial": {"rev": {"clustered": estimate(None)}},
        "n": {"used": 12, "reasoning": 6, "control": 6},
        "null_models": {"verdict": "no difference"},
        "confidence": 0.95,
    }


@pytest.mark.parametrize(
    ("auroc", "delta", "separation", "gain"),
    [
        (estimate(0.7, 0.6, 0.8), estimate(0.1, 0.05, 0.2), "higher", "It adds"),
        (estimate(0.3, 0.2, 0.4), estimate(-0.1, -0.2, -0.05), "lower", "worse"),
        (estimate(0.6, 0.5, 0.7), estimate(0.1, 0.0, 0.2), "not shown to differ", "not shown to add"),
        (estimate(0.9), estimate(0.5), "not shown to differ", "not shown to add"),
        (estimate(None), estimate(None), "one class only", "unknown: one class only"),
    ],
)
def test_the_verdict_says_where_the_intervals_lie(auroc, delta, separation, gain):
    verdict, hypothesis, *_, kind = lines = verdict_lines(result(auroc, delta))
    assert separation in verdict
    assert gain in verdict
    assert hypothesis == "Primary hypothesis H2 (REV adds): undecided. no number."
    assert kind == "Exploratory: a pilot."
    assert any("no sign" in line for line in lines) == (separation == "lower")
    assert "Null models: no difference." in lines


def test_the_table_of_removed_heads_concludes_and_is_empty_in_an_earlier_iteration():
    row = {"role": "reasoning - control", "share": "mean", **estimate(-0.08, -0.12, -0.04), "p": 0.01}
    counts = {"reasoning": 14, "control": 20}
    ranking = {
        "n": counts,
        "clusters": {"reasoning": 12, "control": 20},
        "halves": 100,
        "reliability": estimate(0.34, 0.24, 0.44),
    }
    ranking["unused"] = {"control: the prompt shows the whole article": 3}
    table = tables.heads({"head_differences": [row], "head_ranking": ranking})
    assert table.rows == [["reasoning - control", "mean", "-0.08 [-0.12, -0.04]", "0.01"]]
    number = "14 reasoning items of 12 clusters and 20 control items of 20 clusters"
    assert f"Split-half reliability of the ranking, from {number}: 0.34 [0.24, 0.44]." in table.notes
    assert "Items without a text to serve (control: the prompt shows the whole article): 3." in table.notes
    earlier = tables.heads({"heads": []})
    assert (earlier.rows, earlier.notes) == ([], [])


def test_the_table_of_the_mixed_model_shows_caveats_and_is_empty_in_an_earlier_iteration():
    few, missing = estimate(0.4, 0.1, 0.7) | {"p": 0.01, "icc": 0.25}, estimate(None) | {"p": None, "icc": None}
    table = tables.mixed_models({"mixed": {"rev": few | {"note": "only 12 clusters in a class"}, "dtr": missing}})
    assert table.rows[0][1:] == ["+0.40 [+0.10, +0.70]", "0.01", "0.25", "only 12 clusters in a class"]
    assert table.rows[1][1:] == ["none: one class only", "", "", ""]
    earlier = tables.mixed_models({})
    assert (earlier.rows, earlier.notes) == ([], [])


def test_an_earlier_versions_twin_is_still_shown():
    twin = {"n": {"reasoning": 12, "control": 12}, "verdict": "no difference"}
    twin["auroc"] = {"rev": estimate(0.96, 0.82, 1.0), "rev_real": estimate(0.75, 0.49, 0.92)}
    old = result(estimate(0.7, 0.6, 0.8), estimate(0.1, 0.05, 0.2)) | {"twin": twin}
    del old["null_models"]
    assert "Untrained twin: no difference." in verdict_lines(old)
    absent = estimate(None)
    old |= {
        "nulls": {"permuted_labels": absent, "surface_ceiling": absent},
        "rivals": {"auroc_heads": absent},
        "literal": {"reason": "not matched"},
        "detectable": {"auroc": {"value": None}, "delta_auc": {"value": None}},
        "specification_curve": {"settings": 1, "auroc": {"agree": None}, "delta_auc": {"agree": None}},
    }
    rows = [row for row in tables.nulls(old).rows if "0.96 [0.82, 1.00]" in row]
    assert rows == [["REV of a twin with random weights", "0.96 [0.82, 1.00]", "24 items; no difference"]]
    for build in (tables.null_models, tables.added_to_null_models):
        assert not build(old).rows
        assert not build(old).notes


def full_result(p: float, absent: float = 0.5, status: str = "undecided") -> dict:
    gain = {
        "delta": estimate(0.01, -0.02, 0.04),
        "coefficient": estimate(0.2, -0.1, 0.5) | {"p": p},
        "equivalence": estimate(0.01) | {"p": absent},
    }
    old = result(estimate(0.6, 0.5, 0.7), estimate(0.1, 0.05, 0.15))
    old["preregistration"]["hypotheses"]["H2"]["status"] = status
    needed = {"wanted": 0.05, "power": 0.8, "baseline": 0.85, "coefficient": 30.4, "interval": 209.6}
    n = {"used": 12, "reasoning": 5, "control": 7}
    return old | {"added_full": {"rev": gain}, "margin": 0.05, "needed": needed, "n": n}


@pytest.mark.parametrize(
    ("p", "absent", "sentence"),
    [
        (0.02, 0.5, "It adds to what the text and the output distribution alone tell."),
        (0.98, 0.5, "it points against its preset direction."),
        (0.3, 0.01, "It adds less than 0.05 in AUROC"),
        (0.3, 0.5, "It is not shown to add"),
    ],
)
def test_the_verdict_is_over_the_full_baseline_by_the_test_that_decides(p, absent, sentence):
    verdict, _, estimates, *rest = verdict_lines(full_result(p, absent))
    assert sentence in verdict
    assert "dAUC over the full baseline +0.01 [-0.02, +0.04], over the registered covariates +0.10 [+0.05, +0.15]" in estimates
    needed = "found with a probability of 0.8 from 30 items per class by the test of the coefficient, and from 210 by"
    assert any(needed in line for line in rest)


def test_too_few_items_have_no_verdict():
    verdict = verdict_lines(full_result(0.001, status="too few items"))[0]
    assert verdict == "In Small, 5 reasoning items and 7 controls are too few for a verdict: fewer than registered."


def test_an_iteration_of_an_earlier_version_has_no_table_of_gains():
    old = result(estimate(0.6, 0.5, 0.7), estimate(0.1, 0.0, 0.2))
    for build in (tables.gains, tables.negative_controls):
        assert (build(old).rows, build(old).notes) == ([], [])
    assert tables.baselines(old | {"added": {"rev": {"baseline": estimate(0.7)}}})[0][0] == "baseline alone"
