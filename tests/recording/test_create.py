"""Create iterations from a finished workspace.

Each is created once, whole or not at all. Numbers have no gap and no clash.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.helpers.study import Study
from wor import paths
from wor.config import params
from wor.errors import UserError
from wor.iterations import registry
from wor.recording.create import create_iteration, fingerprint, result_files
from wor.recording.numbering import rebuild_registry

pytestmark = pytest.mark.dvc
LOG = {"stage": "iteration", "began": "", "seconds": 0.0, "peak_memory_mib": 1.0, "lines": []}


@pytest.fixture(scope="module")
def finished(ran, tmp_path_factory):
    """A workspace in which every stage but the last has run."""
    study = ran.copy(tmp_path_factory.mktemp("finished") / "study")
    for made in ("experiments", "metrics/iteration.json", ".dvc/cache"):
        path = study.folder / made
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return study


@pytest.fixture
def workspace(finished, tmp_path, monkeypatch):
    folder = tmp_path / "workspace"
    shutil.copytree(finished.folder, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return folder


def vary(folder, temperature):
    """Another study in the same workspace: only its parameters differ."""
    study = Study(folder)
    study.change({"temperature": temperature})
    return params.load_params()


def test_the_same_run_is_recorded_once(workspace):
    study = params.load_params()
    first, second = create_iteration(study, LOG), create_iteration(study, LOG)
    assert (first.new, second.new) == (True, False)
    assert first.folder == second.folder
    assert len(registry.read_rows(paths.experiments())) == 1


def test_the_fingerprint_follows_parameters_and_results_and_nothing_else(workspace):
    study = params.load_params()
    base = fingerprint(study, result_files(study))
    layout = {"threads": 7, "memory_gib": 3, "backend": "ray"}
    faster = study.model_copy(update={"compute": study.compute.model_copy(update=layout)})
    assert fingerprint(faster, result_files(study)) == base
    (paths.METRICS / "left_over.csv").write_text("x")
    assert fingerprint(study, result_files(study)) == base
    warmer = study.model_copy(update={"temperature": 0.9})
    assert fingerprint(warmer, result_files(study)) != base
    path = paths.metrics("tiny", "wiki")
    path.write_text(path.read_text() + "\n")
    assert fingerprint(study, result_files(study)) != base


def test_numbers_of_iterations_that_are_elsewhere_are_not_used_again(workspace):
    experiments = paths.experiments()
    (experiments).mkdir(exist_ok=True)
    (experiments / "iteration_007.dvc").write_text("outs:\n")
    assert create_iteration(params.load_params(), LOG).folder.name == "iteration_008"
    (row,) = registry.read_rows(experiments)
    registry.registry_path(experiments).write_text(registry.format_csv([row, row | {"iteration_id": "iteration_041"}]))
    assert create_iteration(vary(workspace, 0.9), LOG).folder.name == "iteration_042"
    # The row of the folder that isn't here stays.
    found = [row["iteration_id"] for row in registry.read_rows(experiments)]
    assert found == ["iteration_008", "iteration_041", "iteration_042"]


def test_the_registry_is_made_again_from_the_folders_and_keeps_comments(workspace):
    create_iteration(params.load_params(), LOG)
    experiments = paths.experiments()
    registry.registry_path(experiments).unlink()
    (row,) = rebuild_registry(experiments)
    assert row["iteration_id"] == "iteration_001"
    registry.registry_path(experiments).write_text(registry.format_csv([row | {"comments": "the first"}]))
    (row,) = rebuild_registry(experiments)
    assert row["comments"] == "the first"


WRITER = """
import sys
from wor.config import params
from wor.recording.create import create_iteration
study = params.load_params().model_copy(update={"temperature": float(sys.argv[1])})
log = {"stage": "iteration", "began": "", "seconds": 0.0, "peak_memory_mib": 1.0, "lines": []}
print(create_iteration(study, log).folder.name)
"""


def test_eight_writers_at_once_get_eight_numbers(workspace):
    def write(temperature):
        return Study(workspace).run(sys.executable, "-c", WRITER, str(temperature)).stdout.strip()

    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(write, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]))
    assert sorted(names) == [registry.iteration_name(number) for number in range(1, 9)]
    assert len(registry.read_rows(paths.experiments())) == 8
    for name in names:
        manifest = json.loads((paths.experiments() / name / "manifest.json").read_text())
        assert manifest["iteration_id"] == name


def test_a_writer_killed_at_any_moment_leaves_no_half_iteration(workspace):
    study = Study(workspace)
    killed = 0
    for step in range(12):
        left = set((workspace / "experiments").glob(".building-*"))
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(0.1 * (step + 1))],
            cwd=workspace,
            env=study.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        began = time.monotonic()
        while process.poll() is None and time.monotonic() - began < 60:
            if set((workspace / "experiments").glob(".building-*")) - left:
                break
            time.sleep(0.001)
        time.sleep(0.004 * step)  # a little later in the writing each time
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
        for folder in (workspace / "experiments").glob("iteration_*"):
            if folder.is_dir():
                manifest = json.loads((folder / "manifest.json").read_text())
                assert all((folder / name).is_file() for name in manifest["files"])
    assert killed, "every writer finished first; the test shows nothing"
    outcome = create_iteration(vary(workspace, 3.0), LOG)
    assert outcome.new
    assert list((workspace / "experiments").glob(".building-*")) == []


def test_a_failure_half_way_leaves_nothing(workspace):
    paths.METRICS.joinpath("tiny_calibration.json").unlink()
    with pytest.raises(UserError, match="tiny_calibration.json: not found. Run the stages before this one"):
        create_iteration(params.load_params(), LOG)
    assert leftovers() == []


def leftovers():
    return [entry.name for entry in paths.experiments().iterdir() if entry.name.startswith((".building", "iteration_0"))]


FULL_DISK = """
import resource
from wor.config import params
from wor.recording.create import create_iteration
from wor.process.exit import one_line_errors
resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES, BYTES))
log = {"stage": "iteration", "began": "", "seconds": 0.0, "peak_memory_mib": 1.0, "lines": []}
with one_line_errors():
    create_iteration(params.load_params(), log)
"""


@pytest.mark.parametrize("size", [500, 5_000, 50_000])
def test_a_full_disk_while_recording_leaves_nothing(workspace, size):
    """The kernel refuses to let a file grow, as it does when the disk is full.

    The sizes stop the recording early, in the tables and in the figures.
    """
    study = Study(workspace)
    line = study.refusal(study.run(sys.executable, "-c", FULL_DISK.replace("BYTES", str(size)), expect=2))
    assert "cannot be written" in line
    assert "Free space or permissions" in line
    assert leftovers() == []
    assert create_iteration(params.load_params(), LOG).folder.name == "iteration_001"


def test_a_read_only_experiments_folder_is_said_in_a_line(workspace):
    experiments = paths.experiments()
    experiments.mkdir(exist_ok=True)
    experiments.chmod(0o555)
    for folder in list(experiments.parents)[:-2]:  # a test's temporary folders are their owner's alone
        folder.chmod(folder.stat().st_mode | 0o055)
    before = os.geteuid()
    if before == 0:  # whom no permission stops
        os.seteuid(65534)
    try:
        with pytest.raises(UserError, match="experiments: cannot be written .Permission denied.. Free space or permissions"):
            create_iteration(params.load_params(), LOG)
    finally:
        os.seteuid(before)
        experiments.chmod(0o755)
    assert leftovers() == []


def test_uncommitted_code_is_recorded_as_a_patch(workspace):
    path = workspace / "wor" / "errors.py"
    path.write_text(path.read_text() + "# a change of mine\n")
    folder = create_iteration(params.load_params(), LOG).folder
    code = json.loads((folder / "env_info.json").read_text())["code"]
    assert code["dirty"]
    assert "+# a change of mine" in code["patch"]
    head = Study(workspace).run("git", "rev-parse", "HEAD").stdout.strip()
    assert code["commit"] == head


def test_without_git_the_reason_stands_in_place_of_the_commit(workspace):
    shutil.rmtree(workspace / ".git")
    os.environ["GIT_CEILING_DIRECTORIES"] = str(workspace.parent)
    try:
        folder = create_iteration(params.load_params(), LOG).folder
    finally:
        del os.environ["GIT_CEILING_DIRECTORIES"]
    code = json.loads((folder / "env_info.json").read_text())["code"]
    assert code["commit"] is None
    assert code["reason"] == "git: this folder is in no repository"
