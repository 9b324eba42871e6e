"""Convert tiny models from GGUF files, and refuse files that transformers does not read in full."""

import gguf
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from tests.helpers.gguf_models import write_gguf
from tests.helpers.tiny import TEXT, tiny_tokenizer
from tests.helpers.tiny_models import MODELS, ROTARY, make
from wor.config import params
from wor.doctor import data
from wor.engine.load import choose_device, load
from wor.errors import UserError
from wor.machine import resources
from wor.weights import folders, gguf_files, identity_card

SPLITS = {"qwen2": "qwen2", "qwen3": "qwen2"}


def model(name):
    if name != "qwen3":
        return make(name, torch.float32)
    return Qwen3ForCausalLM(Qwen3Config(**ROTARY | {"head_dim": 128}))  # a GGUF of qwen3 can have no other


def written(path, name="llama", facts=None, **options):
    hf = model(name)
    split = {"tokenizer.ggml.pre": SPLITS.get(hf.config.model_type, "gpt-2")}
    write_gguf(path, hf, tiny_tokenizer(), split | (facts or {}), **options)
    return hf


def local(path):
    return params.LocalModel(source="local", label="Mine", path=str(path))


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WOR_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", ["llama", "llama untied, no groups", "qwen2", "qwen3"])
def test_a_local_file_gives_the_model_that_it_was_made_from(tmp_path, name):
    path = tmp_path / "mine.gguf"
    hf = written(path, name)
    spec = local(path)
    assert folders.find_folder(spec) is None
    card = identity_card.make_card(spec)
    folder = folders.find_folder(spec)
    assert identity_card.open_card(card) == folder
    assert (card["architecture"], card["n_layers"]) == (type(hf).__name__, 3)
    assert folders.local_files(spec) == [path]
    converted = load(folder, choose_device("cpu", "float32", 1))
    assert converted.end_tokens == {1}
    weights = converted.hf.state_dict()
    assert all(torch.equal(tensor, weights[key]) for key, tensor in hf.state_dict().items())


def test_its_tokenizer_is_the_one_that_it_was_made_from(tmp_path):
    written(tmp_path / "mine.gguf")
    tokenizer, original = AutoTokenizer.from_pretrained(folders.resolve_folder(local(tmp_path / "mine.gguf"))), tiny_tokenizer()
    assert [tokenizer(text)["input_ids"] for text in TEXT] == [original(text)["input_ids"] for text in TEXT]
    assert tokenizer.get_vocab() == original.get_vocab()  # and not one more, which has no embedding


def test_quantised_matrices_are_what_gguf_makes_of_them(tmp_path):
    kind = gguf.GGMLQuantizationType.Q8_0
    hf = written(tmp_path / "mine.gguf", quantised=kind)
    weights = AutoModelForCausalLM.from_pretrained(folders.resolve_folder(local(tmp_path / "mine.gguf"))).state_dict()
    original = hf.model.layers[0].mlp.gate_proj.weight.detach()
    expected = torch.from_numpy(gguf.dequantize(gguf.quantize(original.numpy(), kind), kind))
    assert torch.equal(weights["model.layers.0.mlp.gate_proj.weight"], expected)
    assert not torch.equal(expected, original)


def test_another_file_at_its_path_is_another_model(tmp_path):
    path = tmp_path / "mine.gguf"
    written(path)
    card = identity_card.make_card(local(path))
    written(path, "llama untied, no groups")
    with pytest.raises(UserError, match=r"sha256 is .*Put back the file that the study began with"):
        identity_card.open_card(card)


@pytest.mark.parametrize(
    ("facts", "tensors", "fault"),
    [
        ({"general.architecture": "phi3"}, {}, "general.architecture is phi3, and only llama, qwen2, qwen3 are read in full"),
        ({"llama.rope.scaling.type": "yarn"}, {}, "rope.scaling.type is yarn, and transformers takes none"),
        ({"llama.rope.scaling.factor": 4.0}, {}, "rope.scaling.factor is 4.0, which transformers does not read"),
        ({"llama.expert_count": 8}, {}, "expert_count is 8, which transformers does not read"),
        ({"llama.rope.dimension_count": None, "llama.attention.key_length": 16}, {}, "attention.key_length is 16, and"),
        ({"llama.attention.layer_norm_rms_epsilon": None}, {}, "has no attention.layer_norm_rms_epsilon"),
        ({}, {"rope_freqs.weight": torch.ones(4)}, "holds rope_freqs.weight, which transformers does not read"),
        ({}, {"blk.0.attn_q.bias": torch.ones(32)}, "holds blk.0.attn_q.bias, which"),
        ({}, {"blk.1.ffn_up.weight": None}, "has no blk.1.ffn_up.weight"),
        ({}, {"token_embd.weight": torch.ones(336, 32)}, r"token_embd.weight has the shape \[336, 32\], not \[320, 32\]"),
        (
            {"tokenizer.ggml.pre": "chameleon"},
            {},
            "has tokenizer.ggml.model gpt2 with tokenizer.ggml.pre chameleon, which transformers does not read",
        ),
        ({"tokenizer.ggml.add_space_prefix": True}, {}, "tokenizer.ggml.add_space_prefix is True, and transformers takes False"),
        ({"split.count": 3}, {}, "one of 3 parts. Join them first"),
    ],
)
def test_what_transformers_would_pass_over_is_refused(tmp_path, facts, tensors, fault):
    path = tmp_path / "mine.gguf"
    written(path, facts=facts, tensors=tensors)
    with pytest.raises(UserError, match=rf"mine\.gguf: {fault}"):
        folders.resolve_folder(local(path))
    assert not [path for path in (tmp_path / "cache" / "models").iterdir() if path.is_dir()]


def test_a_quantisation_that_gguf_does_not_know_is_refused(tmp_path, monkeypatch):
    written(tmp_path / "mine.gguf", quantised=gguf.GGMLQuantizationType.Q8_0)
    content = (tmp_path / "mine.gguf").read_bytes()
    name = b"blk.0.attn_v.weight"
    kind = content.index(name) + len(name) + 4 + 2 * 8  # after the number of dimensions, and two
    for number, fault in (
        (9, "quantised as Q8_1, which the package gguf does not read"),
        (99, r"not readable as GGUF .*99.* is not a valid"),
    ):
        (tmp_path / "other.gguf").write_bytes(content[:kind] + number.to_bytes(4, "little") + content[kind + 4 :])
        with pytest.raises(UserError, match=fault):
            folders.resolve_folder(local(tmp_path / "other.gguf"))


def test_a_file_that_is_cut_off_or_of_another_format_or_missing_is_refused(tmp_path):
    written(tmp_path / "mine.gguf")
    content = (tmp_path / "mine.gguf").read_bytes()
    for part in (content[:-1000], content[:500], b"", b"PK\x03\x04" + content[4:]):
        (tmp_path / "torn.gguf").write_bytes(part)
        with pytest.raises(UserError, match=r"torn.gguf: not readable as GGUF .*Take a fresh copy"):
            folders.resolve_folder(local(tmp_path / "torn.gguf"))
    with pytest.raises(UserError, match=r"none.gguf' is no file. Give a GGUF file, or a folder"):
        folders.resolve_folder(local(tmp_path / "none.gguf"))
    assert folders.find_folder(local(tmp_path / "none.gguf")) is None


def test_doctor_checks_a_file_before_it_is_converted_and_counts_it(tmp_path, settings):
    path = tmp_path / "mine.gguf"
    study = settings.model_copy(update={"models": ["mine"], "model_specs": {"mine": local(path)}})

    def weights():
        (finding,) = data.check_weights(study)
        return finding.status, finding.found

    assert weights() == ("fail", f"mine: model_specs.path: {str(path)!r} is no file")
    hf = written(path)
    resources.known_n_params.cache_clear()
    assert resources.known_n_params(local(path)) == sum(parameter.numel() for parameter in hf.parameters())
    assert weights() == ("ok", "mine: to be converted, once, in half a minute, 0 million parameters")
    assert data.models_to_convert(study) == {local(path)}
    assert not (tmp_path / "cache").exists()
    written(path, facts={"llama.expert_count": 8})
    assert weights() == ("fail", f"mine: {path}: expert_count is 8, which transformers does not read from GGUF")
    written(path)
    folder = folders.resolve_folder(local(path))
    assert weights()[1].startswith(f"mine: converted: {folder.parent}")
    assert data.models_to_convert(study) == set()


def test_each_architecture_read_from_gguf_is_one_that_the_engine_runs():
    assert set(gguf_files.ARCHITECTURES) <= {make(name).config.model_type for name in MODELS}
