"""Check the dependencies of stages in dvc.yaml against the imports of their scripts."""

import grimp
import pytest

from tests.helpers.root import ROOT
from wor.errors import UserError
from wor.pipeline import graph

# Packages and modules that no stage lists. The first because DVC tracks parameters by value. The
# others because they cannot change a result: how a process starts, reads, writes and reports.
UNLISTED = {"config"} | {"compat", "errors", "machine", "paths", "process", "storage"}
STAGES = graph.load_graph(ROOT / "dvc.yaml")


@pytest.fixture(scope="module")
def imports():
    return grimp.build_graph("wor", "stages", exclude_type_checking_imports=True, cache_dir=None)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_every_package_that_its_script_reaches(stage, imports):
    reached = {name.split(".")[1] for name in imports.find_upstream_modules(f"stages.{stage}") if name.startswith("wor.")}
    listed = {dep.removeprefix("wor/") for dep in STAGES[stage]["deps"] if dep.startswith("wor/")}
    assert f"stages/{stage}.py" in STAGES[stage]["deps"]
    assert reached - UNLISTED <= listed or STAGES[stage].get("always_changed")
    assert all((ROOT / "wor" / package).is_dir() for package in listed)


def test_every_script_is_a_stage():
    assert {path.stem for path in (ROOT / "stages").glob("[a-z]*.py")} == set(STAGES)


def test_every_form_of_a_stage_that_dvc_takes_is_read_or_refused(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = """stages:
      plain: {cmd: a, outs: [data/logs/plain.json: {persist: true}]}
      literal: {matrix: {part: [b, c]}, cmd: a, outs: ["data/logs/literal_${item.part}.json"]}
    """
    (tmp_path / "dvc.yaml").write_text(text)
    logs = [path.name for path in graph.log_paths(settings)]
    assert logs == ["plain.json", "literal_b.json", "literal_c.json"]
    assert graph.model_instances(settings, settings.models[0]) == []
    (tmp_path / "dvc.yaml").write_text("stages: {old: {foreach: [a], do: {cmd: b}}}")
    with pytest.raises(UserError, match=r"dvc\.yaml: old: foreach"):
        graph.log_paths(settings)
