"""Check estimates of memory, files and outputs against what a run then takes."""

import copy
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.helpers.planned import planned_item
from tests.helpers.tiny import tiny_config
from wor.config.params import HubModel, LocalModel, TruncatedModel
from wor.engine.load import choose_device, load
from wor.engine.twin import NULL_KINDS, make_null_model
from wor.machine import resources
from wor.pipeline import observation
from wor.plan import shape
from wor.plan.work import count_work
from wor.weights import families, identity_card


def allocated(model: torch.nn.Module) -> int:
    return sum(part.numel() * part.element_size() for part in model.parameters())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_and_a_null_model_take_what_is_counted(tiny_folder, dtype):
    lm = load(tiny_folder, choose_device("cpu", dtype, 1))
    parameters = families.count_config_parameters(lm.hf.config)
    assert allocated(lm.hf) == resources.weights_in_memory(parameters, dtype)
    # As it is made, before it is moved to the model's dtype, which then changes nothing.
    built = AutoModelForCausalLM.from_config(copy.deepcopy(lm.hf.config))
    assert allocated(lm.hf) + allocated(built) == resources.weights_in_memory(parameters, dtype, null_models=1)
    for kind in NULL_KINDS:
        assert allocated(make_null_model(lm, kind, 0).hf) == allocated(built)


def test_a_size_is_known_by_files_by_family_or_not_at_all(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("WOR_CACHE", str(tmp_path / "cache"))
    resources.known_n_params.cache_clear()
    tiny = LocalModel(source="local", label="Tiny", path=str(tiny_folder))
    cut = TruncatedModel(source="truncated", label="Cut", layers=1, of=tiny)
    whole = resources.known_n_params(tiny)
    assert whole == identity_card.make_card(tiny)["n_params"]
    planned = resources.known_n_params(cut)
    assert planned == shape.shape_from_config(families.find_config(cut)).n_params < whole
    assert not (tmp_path / "cache").exists()
    assert identity_card.make_card(cut)["n_params"] == planned
    hub = {"source": "hub", "label": "x", "revision": "main"}
    assert resources.known_n_params(HubModel(repo="HuggingFaceTB/SmolLM-135M", **hub)) == 134_515_008
    assert resources.known_n_params(HubModel(repo="someone/other", **hub)) is None
    assert resources.known_n_params(LocalModel(source="local", label="x", path=str(tmp_path / "none"))) is None
    assert resources.weights_on_disk(whole) >= (tiny_folder / "model.safetensors").stat().st_size - 10_000  # its header


def test_items_are_as_many_as_the_stages_of_a_model_observe_at_most(settings):
    sizes = shape.shape_from_config(tiny_config(architectures=["LlamaForCausalLM"]))
    items = []
    for name in settings.datasets:
        spec = settings.spec(name)
        splits = ["calibration", "evaluation"] if spec.role == "control" else ["evaluation"]
        items += [planned_item(spec.role, splits[number % len(splits)], name, 50, (50,)) for number in range(spec.n)]
        if spec.role == "reasoning":  # some, to rank heads on
            items[-settings.heads.n_rank :] = [
                planned_item(spec.role, "calibration", name, 50, (50,)) for _ in range(settings.heads.n_rank)
            ]
    full_length = [item for item in items if item.role == "control"][: settings.nulls.literal_n]
    n_items = sum(len(work.items) for work in count_work(settings, settings.models[0], sizes, items, full_length))
    assert 0.9 * resources.observed_items(settings) < n_items <= resources.observed_items(settings)


def test_a_stages_output_is_its_arrays_and_a_row_each(settings):
    assert resources.output_bytes(settings, 0) == 0
    for layers, heads, width in ((30, 9, 576), (32, 15, 960), (24, 32, 2048)):
        lm = SimpleNamespace(n_layers=layers, n_heads=heads, width=width)
        arrays = observation._pad(lm, [{}] * 10, settings, lens=True, others=False).values()
        written = sum(array.nbytes for array in arrays) + 10 * 4000
        assert written <= resources.output_bytes(settings, 10, layers, heads, width) < 1.02 * written
    full = settings.model_copy(update={"window": settings.window.model_copy(update={"rule": "full"})})
    assert resources.output_bytes(full, 10) > resources.output_bytes(settings, 10)  # as wide as what is generated
