"""What a finished run prints, and its notes.md."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from wor.iterations import results
from wor.measures.registry import PUBLISHED, SCORES
from wor.report import tables, terminal
from wor.report.formatting import measure_label
from wor.report.verdict import verdict_lines

pytestmark = pytest.mark.dvc


def printed(iteration, width: int, **options: bool) -> str:
    output = io.StringIO()
    terminal.show_outcome(iteration.folder, new=True, console=Console(file=output, width=width), **options)
    return output.getvalue()


def test_the_short_form_begins_with_the_verdict_and_fits_a_screen(iteration):
    (result,) = iteration.statistics.values()
    text = printed(iteration, 120)
    verdict, primary, *_ = verdict_lines(result)
    assert text.splitlines()[:2] == [verdict, primary]
    assert sum(-(-len(line) // 120) or 1 for line in text.splitlines()) <= 25
    assert f"New iteration: {iteration.folder}" in text


def test_all_tables_are_behind_an_option(iteration):
    (result,) = iteration.statistics.values()
    captions = [table.caption for build in tables.MODEL_TABLES if (table := build(result)).rows]
    short, whole = printed(iteration, 120), printed(iteration, 120, everything=True)
    assert len(captions) > 5
    assert [caption for caption in captions if caption not in whole] == []
    assert [caption for caption in captions if caption in short] == [tables.results(result).caption]


def test_the_trial_says_what_each_measure_costs(iteration):
    (model,) = iteration.models
    table = tables.trial(results.load_results(iteration.folder)["models"][model])
    seconds = {str(row[0]): float(row[-1]) for row in table.rows if row[-1]}
    assert seconds.keys() >= {measure_label(name) for name in (*SCORES, *(measure.name for measure in PUBLISHED))}
    assert 0 < seconds["APE"] < seconds["APL"] < seconds["REV"]
    stages = [stage["seconds"] for stage in iteration.timing["stages"] if stage["stage"].startswith(f"activations {model} ")]
    assert seconds["REV"] < sum(stages)


def test_the_notes_hold_the_verdict_and_room_for_a_person(iteration):
    (result,) = iteration.statistics.values()
    notes = (iteration.folder / "notes.md").read_text(encoding="utf-8")
    assert verdict_lines(result)[0] in notes
    assert [line for line in notes.splitlines() if line.startswith("## ")][-3:] == [
        "## What I expected",
        "## What I see",
        "## Next",
    ]
