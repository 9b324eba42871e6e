"""What a run needs, against what it then takes."""

import copy

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.conftest import tiny_config
from wor import needs
from wor.engine.load import load, place
from wor.engine.twin import random_twin
from wor.params import HubModel, LocalModel, TruncatedModel
from wor.plan import shape
from wor.plan.work import Asked, of_model
from wor.sources import weights


def allocated(model: torch.nn.Module) -> int:
    return sum(part.numel() * part.element_size() for part in model.parameters())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_and_its_twin_take_what_is_counted(tiny_folder, dtype):
    lm = load(tiny_folder, place("cpu", dtype, 1))
    parameters = weights.n_params(tiny_folder)
    assert allocated(lm.hf) == needs.in_memory(parameters, dtype)
    # As it is made, before it is moved to the model's dtype, which then changes nothing.
    made = AutoModelForCausalLM.from_config(copy.deepcopy(lm.hf.config))
    assert allocated(lm.hf) + allocated(made) == needs.in_memory(parameters, dtype, twins=1)
    assert allocated(random_twin(lm, 0).hf) == allocated(made)


def test_a_size_is_known_by_files_by_family_or_not_at_all(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("WOR_CACHE", str(tmp_path / "cache"))
    needs.n_params.cache_clear()
    tiny = LocalModel(source="local", label="Tiny", path=str(tiny_folder))
    cut = TruncatedModel(source="truncated", label="Cut", layers=1, of=tiny)
    whole = needs.n_params(tiny)
    assert whole == weights.n_params(tiny_folder)
    assert needs.n_params(cut) == whole  # at most
    assert shape.of(shape.find(cut)).n_params < whole
    assert not (tmp_path / "cache").exists()
    made = weights.n_params(weights.resolve(cut))
    assert shape.of(shape.find(cut)).n_params == made
    needs.n_params.cache_clear()
    assert needs.n_params(cut) == made
    hub = {"source": "hub", "label": "x", "revision": "main"}
    assert needs.n_params(HubModel(repo="HuggingFaceTB/SmolLM-135M", **hub)) == 134_515_008
    assert needs.n_params(HubModel(repo="someone/other", **hub)) is None
    assert needs.n_params(LocalModel(source="local", label="x", path=str(tmp_path / "none"))) is None
    assert needs.in_files(whole) >= (tiny_folder / "model.safetensors").stat().st_size - 10_000  # its header


def test_items_are_as_many_as_the_stages_of_a_model_observe_at_most(settings):
    own = shape.of(tiny_config(architectures=["LlamaForCausalLM"]))
    asked = []
    for name in settings.datasets:
        spec = settings.spec(name)
        splits = ["calibration", "evaluation"] if spec.role == "control" else ["evaluation"]
        asked += [Asked(spec.role, splits[number % len(splits)], name, 50, (50,)) for number in range(spec.n)]
    literal = [item for item in asked if item.role == "control"][: settings.nulls.literal_n]
    most = sum(work.items for work in of_model(settings, own, asked, literal))
    assert 0.9 * needs.items(settings) < most <= needs.items(settings)


def test_a_stages_output_is_its_arrays_and_a_row_each(settings):
    assert needs.output(settings, 0) == 0
    width = settings.window.size
    arrays = [np.zeros((10, 4, width), np.float32)] * 4 + [np.zeros((10, 4, 2), np.float32)]
    arrays.append(np.zeros((10, settings.paraphrase.n, 5), np.float32))
    rows = 10 * 4000
    assert needs.output(settings, 10, layers=4, heads=2) == sum(array.nbytes for array in arrays) + rows
    full = settings.model_copy(update={"window": settings.window.model_copy(update={"rule": "full"})})
    assert needs.output(full, 10) > needs.output(settings, 10)  # as wide as what is generated
