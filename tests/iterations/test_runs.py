"""Run `wor runs` over a git repository as DVC leaves it.

It has refs, a reflog of stashes, and files of what has not ended.
"""

import json
import subprocess

import pytest
import yaml

from tests.helpers.iterations import make_iteration
from tests.helpers.root import ROOT
from wor.errors import UserError
from wor.iterations import runs

HEADLINE = {"AUROC": 0.75, "dAUC": 0.1, "low": -0.1, "high": 0.2, "partial_r": None, "n": 46}


class Repository:
    """A study's parameters and metrics in git, with experiments as `dvc exp run` commits them."""

    def __init__(self, folder):
        self.folder = folder
        self.values = yaml.safe_load((ROOT / "params.yaml").read_text())
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "Tester")
        self.git("config", "user.email", "tester@example.com")
        (folder / ".gitignore").write_text("/experiments/\n/.dvc/\n")
        self.commit("Begin")

    def git(self, *arguments):
        return subprocess.run(["git", *arguments], cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, changes, iteration=None):
        (self.folder / "params.yaml").write_text(yaml.safe_dump(self.values | changes, sort_keys=False))
        (self.folder / "metrics").mkdir(exist_ok=True)
        if iteration:
            (self.folder / "metrics/summary.json").write_text(json.dumps(HEADLINE))
            (self.folder / "metrics/iteration.json").write_text(json.dumps({"iteration": iteration}))

    def commit(self, message):
        self.write({})
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)

    def experiment(self, name, changes, iteration):
        """Commit a finished experiment beside the branch, under the ref that DVC gives it."""
        baseline = self.git("rev-parse", "HEAD")
        self.write(changes, iteration)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", name)
        self.git("update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}", "HEAD")
        self.git("reset", "-q", "--hard", baseline)
        return baseline

    def stash(self, name, changes, kind):
        """Commit a queued or failed experiment, and note it in the reflog as DVC does."""
        baseline = self.git("rev-parse", "HEAD")
        self.write(changes)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", name)
        commit = self.git("rev-parse", "HEAD")
        self.git("reset", "-q", "--hard", baseline)
        log = self.folder / f".git/logs/refs/exps/celery/{kind}"
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "a") as stream:
            stream.write(f"{'0' * 40} {commit} T <t@e> 1795717474 +0000\tcommit: dvc-exp:{baseline}:{baseline}:{name}\n")

    def begin(self, name, changes, number, status=2):
        """Leave what a temporary copy leaves while it runs, with ``number`` as its process."""
        copy = self.folder / f".dvc/tmp/exps/standalone/{name}"
        (copy / ".dvc/tmp").mkdir(parents=True)
        (copy / "params.yaml").write_text(yaml.safe_dump(self.values | changes))
        (copy / ".dvc/tmp/lock").write_text(f" {number}\n")
        about = {"baseline_rev": self.git("rev-parse", "HEAD"), "root_dir": str(copy), "dvc_dir": ".dvc", "name": name}
        info = self.folder / f".dvc/tmp/exps/standalone/run/{name}/{name}.run"
        info.parent.mkdir(parents=True)
        info.write_text(json.dumps({**about, "status": status}))


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return Repository(tmp_path)


def listed():
    rows, varying, remark = runs.list_runs()
    return {row["experiment"]: row for row in rows}, varying, remark


def test_experiments_have_their_headline_iteration_and_varying_parameters(repository):
    repository.experiment("first", {"temperature": 0.2}, 1)
    repository.commit("Go on")
    repository.experiment("second", {"temperature": 0.9}, 2)
    rows, varying, remark = listed()
    assert (varying, remark) == (["temperature"], "")
    assert rows["first"] == {"experiment": "first", "state": "", "iteration": 1, **HEADLINE, "temperature": 0.2}
    assert (rows["second"]["iteration"], rows["second"]["temperature"]) == (2, 0.9)


def test_experiments_of_another_branch_are_left_out(repository):
    repository.experiment("mine", {}, 1)
    repository.git("checkout", "-q", "--orphan", "other")
    repository.git("commit", "-q", "-m", "Begin again")
    repository.experiment("theirs", {}, 2)
    assert [row["experiment"] for row in runs.list_runs()[0]] == ["theirs"]


def test_a_long_history_and_many_experiments_take_no_more_commands(repository, monkeypatch):
    commands = []
    run = subprocess.run
    repository.experiment("old", {}, 1)
    with monkeypatch.context() as watched:
        watched.setattr(subprocess, "run", lambda command, **options: commands.append(command) or run(command, **options))
        runs.list_runs()
    assert commands
    short = len(commands)
    stream = "".join(
        f"commit refs/heads/main\ncommitter T <t@e> {1795717474 + index} +0000\ndata 1\nx\n"
        + ("from refs/heads/main^0\n" if index == 0 else "")
        + f"M 100644 inline note{index}.txt\ndata 1\nx\n\n"
        for index in range(500)
    )
    subprocess.run(["git", "fast-import", "--quiet", "--force"], input=stream, cwd=repository.folder, check=True, text=True)
    assert int(repository.git("rev-list", "--count", "HEAD")) == 501
    for index in range(20):
        repository.experiment(f"new{index}", {"seed": index}, index + 2)
    with monkeypatch.context() as watched:
        watched.setattr(subprocess, "run", lambda command, **options: commands.append(command) or run(command, **options))
        rows, varying, _ = runs.list_runs()
    assert len(commands) == 2 * short
    assert (len(rows), varying) == (21, ["seed"])


def test_a_dataset_that_is_not_in_use_or_in_use_once_adds_no_column(repository):
    specs = repository.values["dataset_specs"]
    repository.experiment("plain", {}, 1)
    repository.experiment("unused", {"dataset_specs": {**specs, "mine": {"source": "jsonl", "path": "a", "n": 5}}}, 2)
    used = {"datasets": [*repository.values["datasets"], "mine"]}
    repository.experiment("used", {**used, "dataset_specs": {**specs, "mine": {"source": "jsonl", "path": "a", "n": 5}}}, 3)
    assert listed()[1] == ["datasets"]
    repository.experiment("larger", {**used, "dataset_specs": {**specs, "mine": {"source": "jsonl", "path": "a", "n": 9}}}, 4)
    assert listed()[1] == ["datasets", "dataset_specs.mine.n"]


def test_queued_failed_running_and_killed_experiments_say_so(repository):
    repository.stash("waiting", {"seed": 5}, "stash")
    repository.stash("broken", {"seed": 6}, "failed")
    gone = subprocess.Popen(["true"])
    gone.wait()
    alive, another = subprocess.Popen(["bash", "-c", "sleep 60; : dvc"]), subprocess.Popen(["sleep", "60"])
    try:
        repository.begin("dead", {"seed": 7}, gone.pid)
        repository.begin("other-process", {"seed": 8}, another.pid)  # its number was given to another program
        repository.begin("busy", {"seed": 9}, alive.pid)
        repository.begin("ended", {"seed": 10}, alive.pid, status=6)
        rows, varying, _ = listed()
    finally:
        for process in (alive, another):
            process.kill()
            process.wait()
    states = {name: row["state"] for name, row in rows.items()}
    assert states == {
        "waiting": "Queued", "broken": "Failed", "dead": "Killed", "other-process": "Killed", "busy": "Running"
    }  # fmt: skip
    assert varying == ["seed"]
    assert (rows["waiting"]["seed"], rows["dead"]["seed"], rows["dead"]["AUROC"]) == (5, 7, None)


def test_the_workspace_shows_the_parameters_that_made_its_results(repository):
    repository.write({}, 1)
    folder = make_iteration(repository.folder / "experiments", 1)
    (folder / "config_used.yaml").write_text(yaml.safe_dump(repository.values))
    rows, _, remark = listed()
    assert (rows["workspace"]["state"], remark) == ("", "")
    repository.experiment("warm", {"temperature": 0.9}, 2)
    repository.write({"temperature": 0.4, "compute": {**repository.values["compute"], "threads": 7}}, 1)
    rows, _, remark = listed()
    made = repository.values["temperature"]
    assert (rows["workspace"]["state"], rows["workspace"]["temperature"]) == ("params.yaml differs", made)
    assert remark == f"params.yaml is not what made the workspace's results: temperature was {made}, is 0.4"


def test_without_the_iterations_folder_dvc_lock_tells_what_made_the_results(repository):
    repository.write({"temperature": 0.4}, 1)
    stages = {"activations": {"params": {"params.yaml": {"temperature": 0.2, "seed": repository.values["seed"]}}}}
    (repository.folder / "dvc.lock").write_text(yaml.safe_dump({"stages": stages}))
    assert listed()[2].endswith("results: temperature was 0.2, is 0.4")


def test_without_a_commit_it_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UserError, match="git: this folder is in no repository"):
        runs.list_runs()
