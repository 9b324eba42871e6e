"""A figure and a report of an iteration that is there, drawn again beside its sealed folder."""

import pytest

from wor.iterations import verify

pytestmark = pytest.mark.dvc


def test_a_figure_and_the_report_are_drawn_again(study):
    folder = study.folder / "experiments" / "iteration_001"
    drawn = study.folder / "plots" / "redrawn" / "iteration_001"
    assert study.run("wor", "figure", "scaling").stdout == "plots/redrawn/iteration_001/scaling.svg\n"
    for suffix in (".svg", ".png", ".pdf"):
        assert (drawn / f"scaling{suffix}").read_bytes() == (folder / f"figures/Fig1_scaling__iteration_001{suffix}").read_bytes()
    own = (study.folder / "wor" / "figures" / "scaling.py").read_text()
    (study.folder / "wor" / "figures" / "mine.py").write_text(own)
    study.run("wor", "figure", "mine", "iteration_001")
    assert (drawn / "mine.svg").read_bytes() == (drawn / "scaling.svg").read_bytes()
    assert study.json("plots/redrawn/iteration_001/mine.json")["figure"] == "mine"
    line = study.refusal(study.run("wor", "figure", "style", expect=2))
    assert line.startswith("error: figure: 'style'. There are scaling, temp_robustness, ablation_curve")
    assert study.run("wor", "report", "--redraw").stdout == "plots/redrawn/iteration_001/report.html\n"
    assert (drawn / "report.html").read_text().startswith("<!doctype html>")
    assert verify.folder_faults(folder) == []
