"""Recorded against recomputed: an iteration is computed anew, and what differs is named."""

import json
import math
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from wor.config import params
from wor.process.dvc_lock import Lock
from wor.recording import agreement, reproduce


def test_what_came_from_the_hub_is_taken_from_the_commit_that_it_was(values, tmp_path):
    """A branch may have moved since."""
    folder, workspace = tmp_path / "iteration_001", tmp_path / "clone"
    (folder / "results").mkdir(parents=True)
    workspace.mkdir()
    (folder / "prereg.yaml").write_text("{}\n")
    hub = {"source": "hub", "repo": "org/one", "revision": "main"}
    values["model_specs"] = {"one": {**hub, "label": "One"}, "mine": {"source": "local", "label": "Mine", "path": "m"}}
    values["dataset_specs"]["gsm8k"] = {**hub, "role": "reasoning", "n": 1, "splits": ["test"], "format": "gsm8k"}
    values |= {"models": ["one", "mine"], "datasets": ["gsm8k", "wiki"]}
    values["control"]["length_model"] = "one"
    cards = {"one": {**hub, "commit": "a" * 40}, "mine": values["model_specs"]["mine"]}
    results = {name: {"card": {"source": source}} for name, source in cards.items()}
    (folder / "results" / "model_results.json").write_text(json.dumps(results))
    about = {"datasets": {"gsm8k": {"repo": "org/one", "revision": "main", "commit": "b" * 40}}}
    reproduce._configure(folder, values, about, workspace)
    again = params.load_params(workspace / "params.yaml")
    assert again.model_specs["one"].commit == "a" * 40
    assert again.spec("gsm8k").commit == "b" * 40
    assert again.model_specs["one"].revision == again.spec("gsm8k").revision == "main"


class TestAgreement:
    @pytest.fixture
    def folders(self, tmp_path):
        for name in ("recorded", "recomputed"):
            (tmp_path / name).mkdir()
            pd.DataFrame({"x": [1.0, math.nan, 1000.0], "name": ["a", "b", None]}).to_csv(tmp_path / name / "a.csv", index=False)
            (tmp_path / name / "b.json").write_text(json.dumps({"p": {"q": [1, None, "text", True]}}))
        return tmp_path / "recorded", tmp_path / "recomputed"

    def test_the_same_files_agree_in_every_value(self, folders):
        found = agreement.compare_results(*folders)
        assert [(file.file, file.values, file.different, file.worst) for file in found] == [
            ("a.csv", 6, 0, 0),
            ("b.json", 4, 0, 0),
        ]

    def test_the_largest_difference_is_found_and_named(self, folders):
        pd.DataFrame({"x": [1.25, math.nan, 1001.0], "name": ["a", "b", None]}).to_csv(folders[1] / "a.csv", index=False)
        found = agreement.compare_results(*folders)[0]
        assert (found.different, found.worst, found.where) == (2, 0.25, "x, row 1")
        for tolerance, agrees in ((0.25, True), (0.24, False)):
            assert agreement.Verdict([found], {}, tolerance, None).agrees is agrees

    @pytest.mark.parametrize(
        ("change", "where"),
        [
            ({"p": {"q": [1, 0, "text", True]}}, "p.q.1"),  # a null that became a number
            ({"p": {"q": [1, None, "other", True]}}, "p.q.2"),
            ({"p": {"q": [1, None, "text", 1]}}, "p.q.3"),  # to Python True is 1
            ({"p": {"q": []}}, "p.q.0"),
            ({"p": {"q": [1, None, "text", True], "more": 1}}, "p.more"),
        ],
    )
    def test_what_is_no_difference_of_numbers_is_never_within(self, folders, change, where):
        (folders[1] / "b.json").write_text(json.dumps(change))
        found = agreement.compare_results(*folders)[1]
        assert (found.worst, found.where) == (math.inf, where)
        assert not agreement.Verdict([found], {}, 1e9, None).agrees

    def test_a_missing_file_and_a_missing_row_are_differences(self, folders):
        (folders[1] / "b.json").unlink()
        pd.DataFrame({"x": [1.0], "name": ["a"]}).to_csv(folders[1] / "a.csv", index=False)
        one, two = agreement.compare_results(*folders)
        assert one.different == 4  # two rows of two columns
        assert (two.where, two.worst) == ("not made again", math.inf)


LOCK = """
stages:
  stats:
    deps: [{path: data/metrics, md5: m}]
    outs: [{path: data/stats, md5: s}, {path: data/logs/stats.json, md5: l}]
  metrics:
    deps: [{path: data/activations, md5: a}, {path: data/reference, md5: r}]
    outs: [{path: data/metrics, md5: m}]
  activations@one:
    deps: [{path: data/reference/tiny/reference.safetensors, md5: r}]
    outs: [{path: data/activations/one, md5: a}]
  activations@two:
    deps: [{path: data/reference/tiny/reference.safetensors, md5: r}]
    outs: [{path: data/activations/two, md5: a}]
  reference@tiny:
    outs: [{path: data/reference/tiny, md5: r}]
  heads@tiny:
    deps: [{path: data/reference/tiny, md5: r}]
    outs: [{path: data/heads/tiny, md5: h}]
"""


class TestLock:
    def test_stages_come_after_what_they_read(self):
        order = Lock(LOCK).order(Lock(LOCK).stages)
        for before, after in (("reference@tiny", "activations@one"), ("activations@two", "metrics"), ("metrics", "stats")):
            assert order.index(before) < order.index(after)

    def test_downstream_takes_a_whole_matrix_and_leaves_what_does_not_follow(self):
        lock = Lock(LOCK)
        found = lock.downstream("activations", lock.stages)
        assert found[-2:] == ["metrics", "stats"]
        assert sorted(found[:2]) == ["activations@one", "activations@two"]
        assert len(found) == 4
        assert lock.downstream("activations@one", lock.stages) == ["activations@one", "metrics", "stats"]
        assert lock.downstream("nothing", lock.stages) == []

    def test_the_first_difference_is_the_earliest_stages_and_no_logs(self):
        lock = Lock(LOCK)
        assert lock.first_difference(Lock(LOCK.replace("md5: l", "md5: other"))) is None
        changed = LOCK.replace("data/stats, md5: s", "data/stats, md5: t").replace(
            "data/metrics, md5: m}]\n  act", "data/metrics, md5: n}]\n  act"
        )
        assert lock.first_difference(Lock(changed)) == "metrics"


def test_a_clone_that_is_older_than_the_remote_uses_it_with_its_keys(tmp_path, monkeypatch):
    folders = [tmp_path / "study", tmp_path / "clone"]
    for folder in folders:
        folder.mkdir()
        subprocess.run(["dvc", "init", "-q", "--no-scm", str(folder)], check=True)
    monkeypatch.chdir(folders[0])
    for command in (["add", "-q", "-d", "near", "../storage"], ["add", "-q", "far", "https://example.org/x"]):
        subprocess.run(["dvc", "remote", *command], check=True)
    subprocess.run(["dvc", "remote", "modify", "--local", "far", "password", "HUSH"], check=True)
    reproduce.share_remotes(folders[1])
    monkeypatch.chdir(folders[1])
    shown = subprocess.run(["dvc", "config", "--list"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert {"core.remote=near", "remote.far.password=HUSH", "remote.far.url=https://example.org/x"} <= set(shown)
    (url,) = [line.partition("=")[2] for line in shown if line.startswith("remote.near.url")]
    assert (folders[1] / ".dvc" / url).resolve() == tmp_path / "storage"


def test_packages_of_another_version_are_named():
    assert reproduce.differing_packages({"numpy": "0.1", "pytest": pytest.__version__, "no-such-thing": None}) == {
        "numpy": ("0.1", __import__("numpy").__version__)
    }


@pytest.mark.dvc
class TestTheWholeWay:
    def test_an_iteration_comes_out_the_same_to_the_last_bit(self, study):
        """Made with an uncommitted change of code and parameters; nothing is left behind."""
        path = study.folder / "wor" / "measures" / "sib.py"
        path.write_text(path.read_text() + "# a change of mine\n")
        study.experiment("measures.tau=1.2")
        study.run("git", "checkout", "-q", "wor", "params.yaml")
        before = study.run("git", "status", "--porcelain").stdout, study.run("git", "worktree", "list").stdout
        done = study.run("wor", "reproduce", "iteration_002")
        assert "Running stage 'reference@tiny'" in done.stdout
        assert "files of results/ are identical" in done.stdout.splitlines()[-1]
        assert (study.run("git", "status", "--porcelain").stdout, study.run("git", "worktree", "list").stdout) == before

    def test_from_a_stage_on_the_rest_is_pulled(self, study):
        for start, computed in (("metrics", "metrics, stats, figures"), ("figures", "figures")):
            done = study.run("wor", "reproduce", "--from", start)
            assert f"Computing {computed}; what they read comes from DVC" in done.stdout
            assert "Running stage 'reference@tiny'" not in done.stdout
            assert "are identical" in done.stdout
        line = study.refusal(study.run("wor", "reproduce", "--from", "metric", expect=2))
        assert line.startswith("error: --from: 'metric'. Its stages are check, ")
        shutil.rmtree(study.folder / ".dvc" / "cache")
        line = study.refusal(study.run("wor", "reproduce", "--from", "metrics", expect=2))
        assert "what lies before it is not in DVC's cache or remote" in line

    def test_what_does_not_come_out_again_is_named_with_its_first_stage(self, study):
        path = study.folder / "wor" / "measures" / "sib.py"
        text = path.read_text()
        noisy = text.replace("float(values.mean())", "float(values.mean() + np.random.default_rng().normal() / 100)")
        assert noisy != text
        path.write_text(noisy)
        study.run("git", "commit", "-qam", "Add noise")
        study.experiment()
        done = study.run("wor", "reproduce", "iteration_002", "--from", "metrics", expect=1)
        assert "The first stage whose outputs differ: metrics" in done.stdout
        assert "Not reproduced within a tolerance of 0: " in done.stdout.splitlines()[-1]
        assert "Tiny-Random_metrics.csv: " in done.stdout

    def test_code_that_git_was_not_told_of_is_refused_by_name(self, study):
        (study.folder / "wor" / "mine.py").write_text("X = 1\n")
        study.experiment("measures.tau=1.2")
        line = study.refusal(study.run("wor", "reproduce", "iteration_002", expect=2))
        assert "its commit and patch are not the code that ran. Files that were untracked then: wor/mine.py" in line

    def test_other_packages_get_an_environment_of_their_own_once(self, study, tmp_path):
        """The run used gguf 9.9. The commit's Makefile gives a Python with it, or one without."""
        other = tmp_path / "other"
        (other / "gguf-9.9.dist-info").mkdir(parents=True)
        (other / "gguf-9.9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: gguf\nVersion: 9.9\n")
        makefile = study.folder / "Makefile"
        text = f"""
$(VENV)/.installed:
\tmkdir -p $(VENV)/bin
\tprintf '#!/bin/sh\\nPYTHONPATH="$$PYTHONPATH:{other}" exec {sys.executable} "$$@"\\n' > $(VENV)/bin/python
\tchmod +x $(VENV)/bin/python
\ttouch $@
"""
        makefile.write_text(text)
        study.run("git", "add", "Makefile")
        study.run("git", "commit", "-qm", "Add a Makefile")
        study.environment["WOR_CACHE"] = str(tmp_path / "cache")
        usual = study.environment["PYTHONPATH"]
        study.environment["PYTHONPATH"] = f"{usual}:{other}"
        study.experiment("measures.tau=1.2")
        study.environment["PYTHONPATH"] = usual
        assert study.json("experiments/iteration_002/env_info.json")["packages"]["gguf"] == "9.9"
        for made in (True, False):
            done = study.run("wor", "reproduce", "iteration_002", "--from", "figures")
            assert "Other packages than here: gguf 9.9 (here " in done.stdout
            assert ("touch " in done.stdout) == made
            assert "are identical" in done.stdout
        for python in (tmp_path / "cache" / "environments").glob("*/bin/python"):
            python.write_text(python.read_text().replace(f":{other}", ""))
        line = study.refusal(study.run("wor", "reproduce", "iteration_002", "--from", "figures", expect=2))
        assert line.startswith("error: packages: gguf 9.9 (its pins give ")

    def test_a_damaged_iteration_is_refused(self, study):
        path = study.folder / "experiments" / "iteration_001" / "config_used.yaml"
        path.chmod(0o644)
        path.write_text(path.read_text() + "\n")
        line = study.refusal(study.run("wor", "reproduce", expect=2))
        assert line.startswith("error: iteration_001: config_used.yaml: changed.")

    def test_a_commit_that_is_not_here_is_refused(self, study, tmp_path):
        other = study.copy(tmp_path / "other")
        shutil.rmtree(other.folder / ".git")
        other.run("git", "init", "-q")
        other.sign()
        other.run("git", "add", "-A")
        other.run("git", "commit", "-qm", "Another history")
        assert "is not here (" in other.refusal(other.run("wor", "reproduce", expect=2))
