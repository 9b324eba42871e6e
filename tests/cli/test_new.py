"""Check `wor new`: what it writes runs, is registered and passes the linters."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers.root import ROOT
from wor.cli.new import EDITS, new
from wor.config import params
from wor.errors import UserError
from wor.pipeline import graph

WRITTEN = {
    "measure": ["wor/measures/late_share.py", "tests/measures/test_late_share.py"],
    "figure": ["wor/figures/late_share.py"],
    "stage": ["stages/late_share.py", "tests/pipeline/test_late_share.py"],
    "dataset": [],
}


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A copy of the code and its settings, as the working directory."""
    for name in ("wor", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", EDITS)
def test_files_are_written_and_never_overwritten(checkout, capsys, kind):
    before = Path(EDITS[kind][0]).read_text()
    new(kind, "late_share")
    output = capsys.readouterr().out.splitlines()
    assert output[:-1] == [*(f"wrote {path}" for path in WRITTEN[kind]), f"changed {EDITS[kind][0]}"]
    assert output[-1].startswith("Next: ")
    assert "late_share" in Path(EDITS[kind][0]).read_text()
    changed = set(before.splitlines()) - set(Path(EDITS[kind][0]).read_text().splitlines())
    assert all(line.startswith("from wor.measures import ") for line in changed)
    python = [path for path in [*WRITTEN[kind], EDITS[kind][0]] if path.endswith(".py")] or ["wor/cli/new.py"]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, "--no-cache", *python], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
    files = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="name: 'late_share' is taken"):
        new(kind, "late_share")
    assert {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()} == files


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("measure", "rev"),
        ("measure", "heads"),
        ("measure", "steps"),  # a column of the metrics tables
        ("figure", "scaling"),
        ("stage", "metrics"),
        ("dataset", "wiki"),
    ],
)
def test_a_taken_name_is_refused(checkout, kind, name):
    with pytest.raises(UserError, match=f"name: '{name}' is taken. Choose another name"):
        new(kind, name)


@pytest.mark.parametrize("name", ["", "Late", "9th", "a-b", "../up", "class", "a_name_that_is_too_long"])
def test_a_name_that_is_no_module_is_refused(checkout, name):
    with pytest.raises(UserError, match=f"^name: '{name}'. Use at most 13 lower-case letters"):
        new("measure", name)


def test_outside_a_checkout_it_says_where_to_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"dvc.yaml: not found. Run from the top of the repository"):
        new("stage", "late_share")


def test_a_list_that_has_no_such_place_is_refused(checkout):
    Path("dvc.yaml").write_text("stages: {}\n")
    with pytest.raises(UserError, match=r"dvc.yaml: has no line like .*figures.*docs/howto/stage.md"):
        new("stage", "late_share")
    assert not Path("stages/late_share.py").exists()


def test_a_new_dataset_and_stage_are_valid_entries(checkout):
    new("dataset", "riddles")
    assert params.load_params().dataset_specs["riddles"].path == "data/local/riddles.jsonl"
    new("stage", "late_share")
    assert list(graph.load_graph())[-3:] == ["late_share", "figures", "iteration"]


@pytest.mark.dvc
def test_what_is_written_runs_in_a_study(study):
    """A new measure, figure and stage reach an iteration, and no model runs for them."""
    for kind, name in (("measure", "late_share"), ("figure", "forest"), ("stage", "counts")):
        study.run("wor", "new", kind, name)
    study.run("git", "add", "-A")
    study.run("git", "commit", "-qm", "Extend")
    assert sorted(study.experiment()) == ["check", "counts", "figures", "iteration", "metrics", "stats"]
    folder = study.folder / "experiments" / "iteration_002"
    assert pd.read_csv(folder / "results" / "Tiny-Random_metrics.csv")["late_share"].between(0, 1).any()
    statistics = json.loads((folder / "results" / "aggregate_statistics.json").read_text())["models"]["tiny"]
    assert "late_share" in statistics["auroc"]
    assert (folder / "figures" / "Fig5_forest__iteration_002.svg").is_file()
    assert study.json("data/counts.json")["tiny"].keys() == {"gsm-symbolic", "syllogism", "wiki"}
    assert "counts" in (folder / "logs" / "run.log").read_text()
    study.run(sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", "tests")
