"""An iteration is found by its own name and by that of the experiment that made it."""

import json
import subprocess

import pytest
from typer.testing import CliRunner

from tests.helpers.iterations import make_iteration
from wor.cli import complete
from wor.cli.app import app
from wor.errors import UserError
from wor.iterations import lookup, registry, verify
from wor.recording.numbering import rebuild_registry


@pytest.fixture
def experiments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    folder = tmp_path / "experiments"
    for number, experiment in ((1, "cold"), (2, ""), (3, "warm")):
        make_iteration(folder, number, experiment=experiment)
    rebuild_registry(folder)
    return folder


def find(name, experiments):
    return lookup.find_iteration(name, lookup.complete_iterations(experiments), experiments).name


@pytest.mark.parametrize(
    ("name", "iteration"),
    [("", "iteration_003"), ("iteration_002", "iteration_002"), ("cold", "iteration_001"), ("warm", "iteration_003")],
)
def test_either_name_finds_it(experiments, name, iteration):
    assert find(name, experiments) == iteration
    assert CliRunner().invoke(app, ["verify", *[name] * bool(name)]).output == f"{iteration}: intact\n"


def test_an_experiment_with_the_results_of_an_earlier_one_finds_its_iteration(experiments):
    top = experiments.parent
    (top / "metrics").mkdir()
    (top / "metrics" / "iteration.json").write_text(json.dumps({"iteration": 2}))
    for command in (
        ["init", "-q"], ["config", "user.name", "T"], ["config", "user.email", "t@example.com"], ["add", "metrics"],
        ["commit", "-qm", "x"], ["update-ref", "refs/exps/ab/cd/again", "HEAD"],
    ):  # fmt: skip
        subprocess.run(["git", *command], cwd=top, check=True)
    assert find("again", experiments) == "iteration_002"


def test_a_name_that_nothing_has_is_refused(experiments):
    with pytest.raises(UserError, match="'hot' is not in .*There are: iteration_001, iteration_002, iteration_003$"):
        find("hot", experiments)


@pytest.mark.parametrize("name", ["iteration_001", "warm", "a b", "-x", "a..b", "a.lock", "a/b", "1st", "é"])
def test_a_new_name_must_be_free_and_one_that_git_takes(experiments, name):
    with pytest.raises(UserError, match="^--name: "):
        lookup.check_new_name(name, experiments)
    lookup.check_new_name("arith-T0.2_b", experiments)


def test_outside_a_study_the_remedy_is_its_folder(experiments, tmp_path):
    (tmp_path / "dvc.yaml").unlink()
    with pytest.raises(UserError, match="not a study: it has no dvc.yaml. Run this from the study's folder"):
        lookup.require_any({}, tmp_path / "experiments")


def test_an_archived_iteration_is_out_of_the_lists_and_still_has_its_name(experiments):
    run = CliRunner().invoke
    rows = registry.read_rows(experiments)
    rows[2]["comments"] = "too warm"
    registry.registry_path(experiments).write_text(registry.format_csv(rows))
    assert run(app, ["archive", "warm"]).exit_code == 0
    assert registry.read_rows(experiments)[2]["comments"] == "archived: too warm"
    shown = [row["iteration_id"] for row in json.loads(run(app, ["registry", "--json"]).output)]
    assert shown == ["iteration_001", "iteration_002"]
    assert len(json.loads(run(app, ["registry", "--json", "--all"]).output)) == 3
    assert complete.iterations("") == ["iteration_002", "iteration_001", "cold"]
    assert (find("", experiments), find("warm", experiments)) == ("iteration_002", "iteration_003")
    assert verify.registry_faults(experiments) == []
    rebuild_registry(experiments)
    run(app, ["archive", "iteration_003", "--undo"])
    assert registry.read_rows(experiments)[2]["comments"] == "too warm"
    assert find("", experiments) == "iteration_003"


def test_a_registry_of_an_earlier_version_can_be_read(experiments):
    path = registry.registry_path(experiments)
    lines = path.read_text().splitlines()
    column = lines[0].split(",").index("auroc_mean")
    kept = [",".join(part for index, part in enumerate(line.split(",")) if index != column) for line in lines if '"' not in line]
    path.write_text("\n".join(kept) + "\n")
    assert all(row["auroc_mean"] == "" for row in registry.read_rows(experiments))
    assert [row["iteration_id"] for row in rebuild_registry(experiments)] == ["iteration_001", "iteration_002", "iteration_003"]
