"""`--json` on a study that has run: one document that says what the table says."""

import json

import pytest

from tests.helpers.files import strictly
from wor.analysis.headline import judged_auroc
from wor.report.formatting import format_estimate

pytestmark = pytest.mark.dvc


def test_every_reading_command_prints_one_document(study):
    def ask(*command, expect=0):
        return strictly(study.run("wor", *command, "--json", expect=expect).stdout)

    found = ask("results")
    aggregate = study.json("experiments/iteration_001/results/aggregate_statistics.json")
    timed = {model: result.pop("passes") for model, result in found["models"].items()}
    assert found == {"iteration": "iteration_001", **aggregate}
    stages = study.json("experiments/iteration_001/timing.json")["passes"]
    assert set(timed["tiny"]) == set(stages["activations tiny wiki"]) - {"n"}
    auroc = format_estimate(judged_auroc(found["models"]["tiny"], "rev"))
    assert auroc in study.run("wor", "results").stdout

    (same,) = ask("compare", "iteration_001", "iteration_001")
    assert (same["parameters"], same["environment"]) == ({}, {})
    assert {row["value"] for row in same["paired"]} == {0.0}
    (row,) = (row for row in ask("registry") if row["iteration_id"] == "iteration_001")
    assert row["partial_r_mean"] == pytest.approx(found["models"]["tiny"]["partial"]["rev"]["clustered"]["value"], abs=1e-3)
    workspace, *_ = ask("runs")
    assert (workspace["experiment"], workspace["iteration"]) == ("workspace", 1)
    assert workspace["AUROC"] == pytest.approx(found["models"]["tiny"]["auroc"]["rev"]["bootstrap"]["value"], abs=1e-3)
    assert {"status", "checks"} == set(json.loads(study.run("wor", "doctor", "--json", expect=None).stdout))
    assert [line["stage"] for line in ask("plan")["lines"] if not line["cached"]] == ["check"]

    again = study.run("wor", "reproduce", "--from", "figures", "--json")
    verdict = strictly(again.stdout)
    assert (verdict["agrees"], verdict["different"], verdict["first"]) == (True, 0, None)
    assert "Running stage 'figures'" in again.stderr
