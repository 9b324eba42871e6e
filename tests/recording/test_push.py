"""Check that what earlier iterations were computed from is sent too."""

import gc
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from wor import paths, storage
from wor.errors import UserError
from wor.recording.push import push_iterations


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def add(path: Path, text: str) -> str:
    """Track a folder with one file by DVC, as a run's output, and return the folder's hash."""
    storage.write_text(path / "a.csv", text)
    run("dvc", "add", "-q", str(path))
    return yaml.safe_load(paths.pointer(path).read_text())["outs"][0]["md5"]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study whose iteration_001 was made from outputs that a later run has replaced."""
    folder = tmp_path / "study"
    folder.mkdir()
    monkeypatch.chdir(folder)
    run("git", "init", "-q")
    run("dvc", "init", "-q")
    first = add(paths.HEADS, "first")
    hashes = {"data/heads": first, "data/lost": "0" * 32, "metrics/summary.json": "1" * 32}
    outs = [{"path": path, "md5": md5} for path, md5 in hashes.items()]
    iteration = paths.experiments() / "iteration_001"
    storage.write_text(iteration / "dvc.lock", yaml.safe_dump({"schema": "2.0", "stages": {"heads": {"outs": outs}}}))
    storage.write_json(iteration / paths.MANIFEST, {})
    run("dvc", "add", "-q", str(iteration))
    add(paths.HEADS, "second")
    return folder, first


@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")  # DVC's, from Python 3.13 on
def test_outputs_that_a_later_run_has_replaced_are_sent(study, tmp_path):
    _, first = study
    remote = tmp_path / "remote" / "files" / "md5"
    run("dvc", "remote", "add", "-q", "-d", "storage", str(tmp_path / "remote"))
    run("dvc", "push", "-q")
    assert not (remote / first[:2] / first[2:]).exists()
    assert push_iterations() == (2, ["iteration_001: 1 of 2 outputs are not in DVC's cache here"])
    (entry,) = json.loads((remote / first[:2] / first[2:]).read_text())
    assert (remote / entry["md5"][:2] / entry["md5"][2:]).read_text() == "first"
    assert push_iterations()[0] == 0
    gc.collect()


def test_without_a_remote_it_is_refused(study):
    with pytest.raises(UserError, match="dvc push: exit code"):
        push_iterations()
