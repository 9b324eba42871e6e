"""Give iterations to DVC and git.

The tests cover what the commit holds, what it leaves alone, and two clones that made one number.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import yaml

from tests.helpers.study import Study
from wor import paths
from wor.machine import environment
from wor.recording import pointer

pytestmark = pytest.mark.dvc


def committed(study):
    return set(study.run("git", "show", "--name-only", "--format=", "HEAD").stdout.split())


def subject(study):
    return study.run("git", "log", "-1", "--format=%s").stdout.strip()


def test_record_commits_the_iteration_and_its_run_and_nothing_else(study):
    (study.folder / "mine.txt").write_text("staged by its author")
    study.run("git", "add", "mine.txt")
    said = study.run("wor", "record", "-m", "My first").stdout
    assert "Given to DVC: iteration_001" in said
    assert study.run("git", "log", "-1", "--format=%s").stdout == "My first\n"
    assert committed(study) == {
        "dvc.lock",
        "experiments/iteration_001.dvc",
        "experiments/iteration_registry.csv",
        "metrics/iteration.json",
        "metrics/summary.json",
    }
    assert study.run("git", "status", "--porcelain").stdout == "A  mine.txt\n"
    assert study.run("dvc", "status", "-q", "experiments/iteration_001.dvc").returncode == 0
    assert study.run("wor", "record").stdout.endswith("Not committed: nothing has changed since the last commit\n")


def test_our_hash_of_a_folder_is_dvcs(study):
    study.run("dvc", "add", "-q", "experiments/iteration_001")
    folder = study.folder / "experiments" / "iteration_001"
    assert pointer.read_pointer(folder)["md5"] == pointer.folder_md5(pointer.list_md5(folder))


def test_parameters_that_changed_since_the_run_stay_out(study):
    study.change({"temperature": 0.9})
    done = study.run("wor", "record")
    assert committed(study) == {"experiments/iteration_001.dvc", "experiments/iteration_registry.csv"}
    assert subject(study) == "Record iteration_001"
    left_out = "Not in the commit: dvc.lock, metrics/iteration.json, metrics/summary.json: params.yaml is not what made them\n"
    assert done.stderr == left_out


def test_the_commit_says_what_it_holds(study):
    study.run("wor", "run")  # tracks the iteration already
    done = study.run("wor", "record")
    assert subject(study) == "Record iteration_001 and its run"
    assert all(name in done.stdout for name in committed(study))
    study.run("wor", "archive", "iteration_001")
    study.run("wor", "record")
    assert subject(study) == "Record the registry of iterations"
    assert committed(study) == {"experiments/iteration_registry.csv"}


def test_a_named_run_is_an_iteration_that_goes_by_that_name(study):
    assert study.refusal(study.run("wor", "run", "--name", "iteration_009", expect=2)).startswith("error: --name: ")
    study.run("wor", "run", "-S", "measures.tau=1.2", "--name", "high-tau")
    assert study.json("experiments/iteration_002/manifest.json")["registry"]["experiment"] == "high-tau"
    assert study.run("wor", "verify", "high-tau").stdout == "iteration_002: intact\n"
    assert "high-tau" in study.run("wor", "runs").stdout
    assert "'high-tau' is taken" in study.refusal(study.run("wor", "run", "--name", "high-tau", expect=2))


def test_notes_are_free_and_the_next_record_takes_them(study):
    study.run("wor", "record")
    folder = study.folder / "experiments" / "iteration_001"
    (folder / "notes.md").write_text("what I think")
    assert study.run("wor", "verify", "--all").stdout == "iteration_001: intact\n"
    assert "Given to DVC: iteration_001" in study.run("wor", "record").stdout
    assert committed(study) == {"experiments/iteration_001.dvc"}
    assert study.run("dvc", "status", "-q", "experiments/iteration_001.dvc").returncode == 0


def test_verify_holds_the_pointer_against_the_folder(study):
    study.run("wor", "record")
    folder = study.folder / "experiments" / "iteration_001"
    here = paths.pointer(folder)
    before = here.read_text()
    other = study.folder / "experiments" / "iteration_002"
    shutil.copytree(folder, other)
    (other / "timing.json").chmod(0o644)
    (other / "timing.json").write_text("{}")
    study.run("dvc", "add", "-q", "experiments/iteration_002")
    here.write_text(paths.pointer(other).read_text().replace("iteration_002", "iteration_001"))
    shutil.rmtree(other)
    paths.pointer(other).unlink()
    assert (
        study.run("wor", "verify", "--all", expect=1).stdout == "iteration_001.dvc: timing.json differs from what it points to\n"
    )
    here.write_text(before.replace("path: iteration_001", "path: iteration_009"))
    assert study.run("wor", "verify", expect=1).stdout == "iteration_001.dvc: points to iteration_009\n"
    here.write_text("<<<<<<< HEAD\n")
    assert study.run("wor", "verify", expect=1).stdout == "iteration_001.dvc: not a DVC pointer to a folder\n"
    here.write_text(before)
    study.run("wor", "verify")


def test_a_damaged_iteration_is_not_given_to_dvc(study):
    path = study.folder / "experiments" / "iteration_001" / "timing.json"
    path.chmod(0o644)
    path.write_text("{}")
    said = study.run("wor", "record", expect=1).stderr
    assert said == "Not given to DVC: iteration_001: timing.json: changed; all of it: wor verify iteration_001\n"
    assert not paths.pointer(path.parent).exists()


def test_code_that_the_run_used_and_the_commit_has_not_is_named(study):
    path = study.folder / "wor" / "errors.py"
    path.write_text(path.read_text() + "# a change of mine\n")
    (study.folder / "wor" / "mine.py").write_text("X = 1\n")
    said = study.run("wor", "record").stderr
    assert said == "Not in the commit, and the run used it: wor/errors.py, wor/mine.py\n"


def test_without_an_identity_the_iteration_is_kept_and_the_remedy_is_said(study, tmp_path):
    study.run("git", "config", "--unset", "user.name")
    study.run("git", "config", "--unset", "user.email")
    study.run("git", "config", "user.useConfigOnly", "true")
    study.environment |= {"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    said = study.run("wor", "record").stdout
    assert "Given to DVC: iteration_001" in said
    assert "Not committed: git does not know who you are: git config user.name NAME" in said
    study.sign()
    assert "Committed: " in study.run("wor", "record").stdout


def test_without_a_commit_the_run_is_refused_before_anything_happens(study):
    shutil.rmtree(study.folder / ".git")
    study.run("git", "init", "-q")
    line = study.refusal(study.run("wor", "run", expect=2))
    assert line.startswith("error: git: no commit here, and an experiment starts from one. git add -A")
    assert "Not committed: no commit here" in study.run("wor", "record").stdout


def test_a_record_killed_at_any_moment_is_completed_by_the_next(study, tmp_path):
    killed = 0
    for step in range(8):
        copy = study.copy(tmp_path / f"copy{step}")
        process = subprocess.Popen(
            ["wor", "record"],
            cwd=copy.folder,
            env=copy.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(0.4 + 0.4 * step)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
        (copy.folder / ".git" / "index.lock").unlink(missing_ok=True)  # git's own, which names itself and its remedy
        copy.run("wor", "record")
        tracked = set(copy.run("git", "ls-files", "experiments").stdout.split())
        assert tracked == {"experiments/iteration_001.dvc", "experiments/iteration_registry.csv"}
        assert copy.run("wor", "verify", "--all").stdout == "iteration_001: intact\n"
        assert copy.run("git", "status", "--porcelain").stdout == ""
        shutil.rmtree(copy.folder)
    assert killed, "every record finished first; the test shows nothing"


@pytest.fixture(scope="module")
def apart(ran, tmp_path_factory):
    """Two clones that each made an iteration_002, and have not met."""
    home = tmp_path_factory.mktemp("clones")
    study = ran.copy(home / "start")
    study.run("wor", "record")
    study.run("git", "init", "-q", "--bare", str(home / "origin.git"))
    study.run("git", "remote", "add", "origin", "../origin.git")
    study.run("git", "push", "-q", "-u", "origin", "main")
    for name, tau in (("first", 1.1), ("second", 1.2)):
        clone = study.copy(home / name)
        clone.experiment(f"measures.tau={tau}")
        assert clone.iterations() == ["iteration_001", "iteration_002"]
    return home


class TestTwoClones:
    """Both make iteration_002 from the same start; the second to come merges."""

    @pytest.fixture
    def clones(self, apart, tmp_path):
        shutil.copytree(apart, tmp_path / "clones")
        return [Study(tmp_path / "clones" / name) for name in ("first", "second")]

    def settled(self, first, second):
        """The second has both, under two numbers, and its own is whole."""
        assert second.iterations() == ["iteration_001", "iteration_003"]
        folder = second.folder / "experiments" / "iteration_003"
        assert yaml.safe_load((folder / "config_used.yaml").read_text())["measures"]["tau"] == 1.2
        assert (folder / "figures" / "Fig1_scaling__iteration_003.png").is_file()
        assert (folder / "notes.md").read_text().startswith("# iteration_003\n")
        assert json.loads((folder / "manifest.json").read_text())["renumbered_from"] == "iteration_002"
        other = (first.folder / "experiments" / "iteration_002.dvc").read_text()
        assert (second.folder / "experiments" / "iteration_002.dvc").read_text() == other
        table = pd.read_csv(second.folder / "experiments" / "iteration_registry.csv")
        assert list(table["iteration_id"]) == ["iteration_001", "iteration_002", "iteration_003"]
        assert table["fingerprint"].is_unique
        assert second.run("wor", "verify", "--all").stdout == "iteration_001, iteration_003: intact\n"

    def test_the_one_that_comes_second_takes_the_next_number(self, clones):
        first, second = clones
        for clone in clones:
            clone.run("wor", "record")
        first.run("git", "push", "-q")
        second.run("git", "pull", "-q", "--no-rebase", expect=1)
        line = second.refusal(second.run("wor", "record", expect=2))
        assert line.endswith("Two clones made the same number: wor registry --rebuild")
        done = second.run("wor", "registry", "--rebuild")
        assert "iteration_002 was made twice: the one that is here is iteration_003 now" in done.stderr
        self.settled(first, second)
        left = done.stderr.splitlines()[-1].removeprefix("Still unmerged, yours to decide; then wor record: ").split(", ")
        assert left == ["dvc.lock", "metrics/summary.json", "params.yaml"]
        second.run("git", "checkout", "--ours", "--", *left)
        second.run("git", "add", *left)
        said = second.run("wor", "record").stdout
        assert "Given to DVC: iteration_003" in said
        assert "a merge or rebase is under way" in said
        second.run("git", "commit", "-qm", "Merge")
        assert second.run("git", "status", "--porcelain").stdout == ""
        assert "The same run as: " + str(second.folder / "experiments" / "iteration_003") in second.run("wor", "run").stdout
        assert "dvc repro --force --single-item iteration" in done.stderr
        second.run("dvc", "repro", "--force", "--single-item", "iteration")
        assert second.json("metrics/iteration.json") == {"iteration": 3}
        assert second.iterations() == ["iteration_001", "iteration_003"]

    def test_a_pull_that_met_no_conflict_is_noticed_before_the_others_pointer_is_overwritten(self, clones):
        """The second had committed nothing: its folder and the first's pointer have one number."""
        first, second = clones
        first.run("wor", "record")
        first.run("git", "push", "-q")
        second.run("git", "checkout", "-q", "experiments/iteration_registry.csv")
        second.run("git", "stash", "-q")
        second.run("git", "pull", "-q")
        other = (second.folder / "experiments" / "iteration_002.dvc").read_text()
        said = second.run("wor", "record", expect=1).stderr
        assert "Not given to DVC: iteration_002: another clone made that number too: wor registry --rebuild" in said
        assert (second.folder / "experiments" / "iteration_002.dvc").read_text() == other
        second.run("wor", "registry", "--rebuild")
        self.settled(first, second)
        assert "Given to DVC: iteration_003" in second.run("wor", "record").stdout

    # Each case stops one step later: after the copy, the other's pointer, the folder out of sight.
    @pytest.mark.parametrize("steps", [1, 2, 3])
    def test_a_rebuild_killed_at_any_step_ends_the_same(self, clones, steps):
        first, second = clones
        for clone in clones:
            clone.run("wor", "record")
        first.run("git", "push", "-q")
        second.run("git", "pull", "-q", "--no-rebase", expect=1)
        experiments = second.folder / "experiments"
        stop = {1: "storage.write_text", 2: "tempfile.mkdtemp", 3: "shutil.rmtree"}[steps]
        killer = f"""
import os, shutil, tempfile
from wor import paths, storage
from wor.recording import renumber
real = {stop}
def killed(*arguments, **named):
    at = [str(arguments[0])] if arguments else []
    if {steps} == 1 and not at[0].endswith("iteration_002.dvc"):
        return real(*arguments, **named)
    if {steps} > 1 and not (paths.experiments() / "iteration_003").exists():
        return real(*arguments, **named)
    if {steps} == 3 and not os.path.isdir(arguments[0]):
        return real(*arguments, **named)
    os.kill(os.getpid(), 9)
{stop} = killed
renumber.resolve_number_conflicts(paths.experiments())
"""
        assert second.run(sys.executable, "-c", killer, expect=None).returncode == -signal.SIGKILL
        assert (experiments / "iteration_003" / "manifest.json").is_file()
        assert (experiments / "iteration_002").exists() == (steps < 3)
        second.run("wor", "registry", "--rebuild")
        self.settled(first, second)


class TestGitState:
    @pytest.fixture
    def repository(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for command in (["init", "-q"], ["config", "user.name", "T"], ["config", "user.email", "t@example.com"]):
            subprocess.run(["git", *command], check=True)
        (tmp_path / "a.txt").write_text("one\n")
        (tmp_path / "b.bin").write_bytes(b"\0\1")
        subprocess.run(["git", "add", "-A"], check=True)
        subprocess.run(["git", "commit", "-qm", "Begin"], check=True)
        return tmp_path

    def test_a_clean_tree_has_an_empty_patch(self, repository):
        state = environment.git_state()
        assert (state["dirty"], state["patch"], state["untracked"]) == (False, "", [])

    def test_a_patch_gives_the_change_again_whatever_the_users_diff_looks_like(self, repository):
        for key, value in (("diff.noprefix", "true"), ("color.ui", "always"), ("diff.external", "false")):
            subprocess.run(["git", "config", key, value], check=True)
        (repository / "a.txt").write_text("two")
        (repository / "new.txt").write_text("git was not told of this one")
        state = environment.git_state()
        assert state["dirty"]
        assert state["untracked"] == ["new.txt"]
        subprocess.run(["git", "checkout", "-q", "a.txt"], check=True)
        subprocess.run(["git", "apply"], input=state["patch"], text=True, check=True)
        assert (repository / "a.txt").read_text() == "two"

    def test_a_patch_keeps_line_ends(self, repository):
        (repository / "a.txt").write_bytes(b"one\r\nthree\r\n")
        subprocess.run(["git", "commit", "-qam", "Line ends"], check=True)
        (repository / "a.txt").write_bytes(b"two\r\nthree\r\n")
        patch = environment.git_state()["patch"]
        subprocess.run(["git", "checkout", "-q", "a.txt"], check=True)
        subprocess.run(["git", "apply"], input=patch.encode(), check=True)
        assert (repository / "a.txt").read_bytes() == b"two\r\nthree\r\n"

    def test_files_that_a_run_may_have_used_come_first_among_the_untracked(self, repository):
        (repository / "wor").mkdir()
        (repository / "wor" / "mine.py").write_text("")
        for index in range(30):
            (repository / f"note{index}.txt").write_text("")
        found = environment.git_state()["untracked"]
        assert found[0] == "wor/mine.py"
        assert found[-1] == "and 11 more"

    @pytest.mark.parametrize(
        ("name", "content", "reason"),
        [
            ("b.bin", b"\0\2", "b.bin: a changed binary file goes into no patch; commit it to have it recorded"),
            ("a.txt", b"x\n" * 600_000, "over 1000000: commit it to have it recorded"),
            ("a.txt", b"caf\xe9\n", "the uncommitted change is not UTF-8: commit it to have it recorded"),
        ],
    )
    def test_a_change_that_no_patch_can_hold_says_so(self, repository, name, content, reason):
        (repository / name).write_bytes(content)
        state = environment.git_state()
        assert state["dirty"]
        assert state["patch"] is None
        assert state["reason"].endswith(reason)
