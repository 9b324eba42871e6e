"""Run experiments in parallel from DVC's queue. Each makes one iteration in the real repository."""

import json
import time

import pytest
import yaml

pytestmark = pytest.mark.dvc
MINUTES = 15


def test_a_queued_sweep_makes_an_iteration_for_each_new_setting(study):
    study.run("dvc", "exp", "run", "--queue", "-S", "heads.n_test=1,2,3")
    study.run("dvc", "queue", "start", "-j", "2")
    try:
        deadline = time.monotonic() + 60 * MINUTES
        while {"Queued", "Running"} & set(study.run("dvc", "queue", "status").stdout.split()):
            assert time.monotonic() < deadline, study.run("dvc", "queue", "status").stdout
            time.sleep(2)
    finally:
        study.run("dvc", "queue", "stop", "--kill", expect=None)
    status = study.run("dvc", "queue", "status").stdout
    assert status.count("Success") == 3, status
    # 2 is what iteration_001 had.
    assert study.iterations() == ["iteration_001", "iteration_002", "iteration_003"]
    configs = {
        name: yaml.safe_load((study.folder / "experiments" / name / "config_used.yaml").read_text())
        for name in study.iterations()
    }
    assert sorted(config["heads"]["n_test"] for config in configs.values()) == [1, 2, 3]
    assert study.run("wor", "verify", "--all").stdout == "iteration_001, iteration_002, iteration_003: intact\n"
    shown = json.loads(study.run("dvc", "exp", "show", "--json").stdout)
    data = [entry["revs"][0]["data"] for commit in shown for entry in commit.get("experiments") or []]
    pairs = {
        (
            entry["metrics"]["metrics/iteration.json"]["data"]["iteration"],
            entry["params"]["params.yaml"]["data"]["heads"]["n_test"],
        )
        for entry in data
    }
    assert pairs == {(int(name[-3:]), config["heads"]["n_test"]) for name, config in configs.items()}
    runs = study.run("wor", "runs").stdout
    assert max(map(len, runs.splitlines())) <= 120
    assert "heads.n_test" in runs
    study.environment["COLUMNS"] = "120"
    shown = study.run(
        "dvc", "exp", "show", "--no-pager", "--only-changed", "--drop", r".*(/|\.yaml|\.txt|_specs)|Created|Executor"
    ).stdout
    for column in ("AUROC", "dAUC", "partial_r", "iteration", "heads.n_test"):
        assert column in shown.splitlines()[1]
    assert "…" not in shown
    # A temporary copy records in the real repository too, from the settings that it was given.
    params = (study.folder / "params.yaml").read_text()
    study.experiment("measures.tau=1.2", options=("--temp",))
    assert study.iterations()[-1] == "iteration_004"
    assert (study.folder / "params.yaml").read_text() == params
    assert "Given to DVC: iteration_001, iteration_002, iteration_003, iteration_004" in study.run("wor", "record").stdout
