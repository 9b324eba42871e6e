"""Check what each private function of another project stands for."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from transformers import LlamaForCausalLM

from tests.helpers.root import ROOT
from tests.helpers.tiny import tiny_config, tiny_tokenizer
from wor import compat
from wor.engine import attention


def test_importing_it_loads_nothing_else():
    code = "import sys, wor.compat; print(sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in ("dvc", "huggingface_hub", "ray", "torch", "transformers"):
        assert f"'{name}'" not in result.stdout


def test_the_attention_backend_is_the_one_that_was_set():
    model = LlamaForCausalLM(tiny_config())
    for backend in ("eager", "sdpa", attention.NAME):
        model.set_attn_implementation(backend)
        assert compat.attention_backend(model.config) == backend


def test_a_chat_template_that_is_compiled_with_a_date_is_rendered_with_it():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{{ strftime_now('%Y') }}{{ messages[0].content }}"
    compat.compile_chat_template(tokenizer.chat_template, lambda form: f"<{form}>")
    turns = [{"role": "user", "content": "?"}]
    assert tokenizer.apply_chat_template(turns, tokenize=False) == "<%Y>?"


def test_the_listing_has_sha256_of_large_files_and_gits_hash_of_small_ones(tmp_path):
    small = {"size": 3, "blob_id": "a" * 40}
    large = {"size": 9, "blob_id": "b" * 40, "lfs_sha256": "c" * 64, "lfs_size": 9}
    (tmp_path / "trees").mkdir()
    listing = {"format_version": 1, "files": {"config.json": small, "model.safetensors": large}}
    (tmp_path / "trees" / f"{'1' * 40}.json").write_text(json.dumps(listing))
    assert compat.read_hub_listing(tmp_path, "1" * 40) == {"config.json": (3, "a" * 40), "model.safetensors": (9, "c" * 64)}
    assert compat.read_hub_listing(tmp_path, "2" * 40) == {}


def test_rays_address_is_resolved_without_a_cluster(monkeypatch):
    pytest.importorskip("ray")
    assert compat.resolve_ray_address("192.0.2.1:6379") == "192.0.2.1:6379"
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.2:6379")
    assert compat.resolve_ray_address("auto") == "192.0.2.2:6379"


@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # pygtrie's, in DVC
def test_stages_come_in_order_and_only_what_ran_before_is_restored(tmp_path, monkeypatch):
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)
    stages = {
        "second": {"cmd": "cp one two", "deps": ["one"], "outs": ["two"]},
        "first": {"cmd": "cp source one", "deps": ["source"], "outs": ["one"]},
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (tmp_path / "source").write_text("content")
    for command in (["init", "-q", "--no-scm"], ["repro", "-q", "first"]):
        subprocess.run([sys.executable, "-m", "dvc", *command], check=True, env={**os.environ, "DVC_NO_ANALYTICS": "1"})
    (tmp_path / "one").unlink()
    with Repo() as repo, repo.lock:
        planned = [(stage, [other.name for other in before]) for stage, before in compat.planned_stages(repo)]
        assert [(stage.name, before) for stage, before in planned] == [("first", []), ("second", ["first"])]
        assert compat.restore_from_run_cache(repo, planned[0][0])
        assert (tmp_path / "one").read_text() == "content"
        assert not compat.restore_from_run_cache(repo, planned[1][0])
