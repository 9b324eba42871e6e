"""Break one thing in a model's folder, and look for the line that names it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, LlamaForCausalLM

from stages import check
from tests.helpers.tiny import tiny_config, tiny_tokenizer
from wor import paths, storage
from wor.config.params import LocalModel, TruncatedModel
from wor.engine.load import choose_device, load
from wor.errors import UserError
from wor.pipeline import validation
from wor.weights import folders, gate, identity_card

CHAT = "{% for m in messages %}[{{ m.role }}]{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"


@pytest.fixture
def folder(tiny_folder, tmp_path):
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def local(folder, **changes):
    return LocalModel(source="local", label="Tiny", path=str(folder), **changes)


def change(folder, name, **changes):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refusal(folder):
    """Return the one line of the gate for a folder that loading refuses too."""
    with pytest.raises(UserError) as refused:
        identity_card.make_card(local(folder))
    with pytest.raises(UserError):
        load(folder, choose_device("cpu", "float32", 1))
    return str(refused.value).replace(str(folder), "model")


WEIGHTS = {
    "untied": ({"tie_word_embeddings": False}, "lacks lm_head.weight. Set tie_word_embeddings: true in config.json"),
    "rows": ({"vocab_size": 336}, "has another size of model.embed_tokens.weight (320 x 32, not 336 x 32). Correct the sizes"),
    "more layers": ({"num_hidden_layers": 5}, "lacks model.layers.4.input_layernorm.weight, model.layers.4.mlp"),
    "fewer layers": ({"num_hidden_layers": 3}, "has no place for model.layers.3.input_layernorm.weight"),
    "biases": ({"attention_bias": True}, "lacks model.layers.0.self_attn.k_proj.bias"),
    "groups": ({"num_key_value_heads": 4}, "has another size of model.layers.0.self_attn.k_proj.weight (16 x 32, not 32 x 32)"),
}


@pytest.mark.parametrize(("changes", "line"), WEIGHTS.values(), ids=WEIGHTS)
def test_tensors_that_files_and_configuration_do_not_have_alike_are_named(folder, changes, line):
    change(folder, "config.json", **changes)
    assert f"model: weights: the file {line}" in refusal(folder)


CONFIGS = {
    "gptq": (
        {"quantization_config": {"quant_method": "gptq", "bits": 4}},
        "quantization_config names gptq: .*float16",
    ),
    "fp8": ({"quantization_config": {"quant_method": "fp8"}}, "names fp8: "),
    "bitsandbytes": ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, "names bitsandbytes: "),
    "kind": ({"model_type": "nonsuch"}, "config.json: transformers does not take it .*`nonsuch`"),
    "other kind": ({"model_type": "qwen2"}, "config.json: model_type qwen2 is not of LlamaForCausalLM. Correct"),
    "base": ({"architectures": ["LlamaModel"]}, "config.json: LlamaModel has no unembedding. Save it as LlamaForCausalLM"),
    "classifier": ({"architectures": ["LlamaForSequenceClassification"]}, "architecture: LlamaForSequenceClass.* Choose a model"),
    "unnamed": ({"architectures": None}, "architecture: unknown. Choose"),
    "end": ({"eos_token_id": "2"}, "config.json: .*'eos_token_id' with value '2'"),
    "end beyond": ({"eos_token_id": [1, 320]}, "eos_token_id: 320. Name token IDs from 0 to 319"),
    "heads": ({"num_attention_heads": 3}, "config.json: transformers does not take it .*multiple"),
    "activation": ({"hidden_act": "nope"}, "config.json: transformers does not take it .*nope"),
}


@pytest.mark.parametrize(("changes", "line"), CONFIGS.values(), ids=CONFIGS)
def test_a_configuration_that_no_run_can_use_is_refused_before_any_work(folder, changes, line):
    change(folder, "config.json", **changes)
    with pytest.raises(UserError, match=line) as refused:
        gate.check_spec(local(folder))
    assert str(folder) in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"sliding_window": 16}, "LlamaForCausalLM sliding_window: 16. Remove it: this architecture's attention has no window"),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": -1}}, "LlamaForCausalLM rope_theta: -1. Write a positive"),
        ({"max_position_embeddings": 8}, "model/config.json: max_position_embeddings is 8. Write the trained context"),
        ({"rms_norm_eps": float("nan")}, "model/config.json: not JSON (it holds NaN). Take a fresh copy"),
    ],
)
def test_what_only_a_self_test_would_find_is_refused_without_the_weights(folder, changes, line):
    change(folder, "config.json", **changes)
    assert line in refusal(folder)


def test_weights_that_are_quantised_without_a_word_are_refused(folder):
    weights = load_file(folder / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    save_file(weights | {name: weights[name].to(torch.float8_e4m3fn)}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=rf"model.safetensors: {name} is quantised \(F8_E4M3\). Take them in float32"):
        gate.check_spec(local(folder))


def test_a_tensor_that_two_files_hold_is_named_with_both(folder):
    weights = load_file(folder / "model.safetensors")
    save_file({"model.norm.weight": weights["model.norm.weight"]}, folder / "model-00002-of-00002.safetensors")
    line = r"model.norm.weight is in both model-00002-of-00002.safetensors and model.safetensors. Remove"
    with pytest.raises(UserError, match=line):
        gate.check_spec(local(folder))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_pointer_of_git_lfs_says_how_to_get_the_file(folder, name):
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(UserError, match=rf"{name}: is a git-LFS pointer, not the file itself. Fetch it: git lfs pull"):
        gate.check_spec(local(folder))


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [("config.json", "{", "not JSON"), ("tokenizer_config.json", "[]", "holds list"), ("tokenizer.json", "{}", "does not take")],
)
def test_a_file_that_is_no_such_file_is_named(folder, name, content, line):
    (folder / name).write_text(content)
    with pytest.raises(UserError, match=f"{name}: .*{line}"):
        gate.check_spec(local(folder))


def test_a_token_beyond_the_embeddings_is_named(folder):
    change(folder, "tokenizer_config.json", eos_token="<|new|>")
    line = refusal(folder)
    assert "model: tokenizer: token '<|new|>' has ID 320, and the model has 320 embeddings. Take the model's own" in line


def test_settings_of_generation_are_looked_at_too(folder):
    change(folder, "generation_config.json", eos_token_id="2")
    assert "eos_token_id: '2'. Name token IDs from 0 to 319" in refusal(folder)
    change(folder, "generation_config.json", eos_token_id=[2, 7])
    assert identity_card.make_card(local(folder))["end_tokens"] == ["</s>", "!", "&"]


def test_a_model_that_is_cut_has_its_whole_looked_at(folder):
    change(folder, "config.json", vocab_size=336)
    cut = TruncatedModel(source="truncated", label="Cut", layers=2, of=local(folder))
    with pytest.raises(UserError, match="model.embed_tokens.weight"):
        gate.check_spec(cut)


def test_a_model_that_is_not_here_is_left_for_its_stage(tmp_path, monkeypatch, settings):
    monkeypatch.setenv("WOR_CACHE", str(tmp_path))
    assert gate.check_spec(settings.model_specs[settings.models[0]]) is None
    with pytest.raises(UserError, match="is no folder"):
        gate.check_spec(local(tmp_path / "none"))


def test_every_model_of_a_study_is_looked_at_before_the_first_runs(tiny_folder, folder, settings):
    change(folder, "config.json", tie_word_embeddings=False)
    specs = {"whole": local(tiny_folder), "half": local(folder)}
    with pytest.raises(UserError, match="lacks lm_head.weight"):
        validation.check_models(settings.model_copy(update={"model_specs": specs}), ["whole", "half"])


SIZES = {"vocab_size": 320, "bos_token_id": 0, "eos_token_id": 1}
NEOX = SIZES | {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
UNTIED = {"tie_word_embeddings": False, "num_hidden_layers": 3, "max_position_embeddings": 256}
OTHERS = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(**SIZES, n_embd=32, n_layer=3, n_head=4, n_positions=256)),
    "gpt-neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**NEOX, max_position_embeddings=256)),
    "llama untied": lambda: LlamaForCausalLM(tiny_config(**UNTIED)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_card_has_the_models_own_sizes_and_counts_no_masks(tmp_path, name):
    torch.manual_seed(5)
    hf = OTHERS[name]()
    hf.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    # As old checkpoints of GPT-2 and Pythia hold them.
    masks = {f"h.{layer}.attn.bias": torch.ones(1, 1, 256, 256, dtype=torch.bool) for layer in range(3)}
    masks |= {f"gpt_neox.layers.{layer}.attention.bias": torch.ones(1, 1, 256, 256, dtype=torch.bool) for layer in range(3)}
    masks = {key: mask for key, mask in masks.items() if key.startswith({"gpt2": "h.", "gpt-neox": "gpt_"}.get(name, "none"))}
    weights = {key.removeprefix("transformer."): tensor for key, tensor in load_file(tmp_path / "model.safetensors").items()}
    save_file(weights | masks, tmp_path / "model.safetensors", metadata={"format": "pt"})
    card = identity_card.make_card(local(tmp_path))
    assert card["n_params"] == sum(parameter.numel() for parameter in hf.parameters())
    assert (card["n_layers"], card["n_heads"], card["context"]) == (3, 4, 256)
    assert card["architecture"] == type(hf).__name__


def test_an_unembedding_that_the_file_repeats_counts_once_and_another_one_is_refused(folder):
    weights = load_file(folder / "model.safetensors")
    embedding = weights["model.embed_tokens.weight"]
    once = identity_card.make_card(local(folder))["n_params"]
    save_file(weights | {"lm_head.weight": embedding.clone()}, folder / "model.safetensors", metadata={"format": "pt"})
    loaded = load(folder, choose_device("cpu", "float32", 1))
    assert identity_card.make_card(local(folder))["n_params"] == once == sum(part.numel() for part in loaded.hf.parameters())
    save_file(weights | {"lm_head.weight": embedding + 1}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="tie_word_embeddings is true, and the file's unembedding is not its embedding"):
        load(folder, choose_device("cpu", "float32", 1))


def test_a_chat_template_counts_wherever_it_stands(folder):
    assert identity_card.make_card(local(folder))["chat_template"] is False
    change(folder, "tokenizer_config.json", chat_template=CHAT)
    assert identity_card.make_card(local(folder))["chat_template"] is True
    change(folder, "tokenizer_config.json", chat_template=None)
    (folder / "chat_template.jinja").write_text(CHAT)
    assert identity_card.make_card(local(folder))["chat_template"] is True


def test_a_card_says_how_the_model_is_asked(folder):
    card = identity_card.make_card(local(folder))
    assert (card["begin_token"], card["end_tokens"], card["chat_template_date"]) == (None, ["</s>"], None)
    card = identity_card.make_card(local(folder, begin_token=True))
    assert (card["begin_token"], card["source"]["begin_token"]) == ("<s>", True)
    change(folder, "tokenizer_config.json", chat_template="{{ strftime_now('%Y') }}" + CHAT.replace("</s>", "{{ x }}"))
    card = identity_card.make_card(local(folder, chat_template_kwargs={"x": "?"}))
    assert card["chat_template_date"] == "2024-07-26"
    assert identity_card.read_tokenizer(card, "{prompt}").render("Why") == "2024[user]Why?[assistant]"
    with pytest.raises(UserError, match="chat_template_kwargs.y: 1. The chat template has no such argument. It reads x"):
        gate.check_spec(local(folder, chat_template_kwargs={"y": 1}))


def test_a_recorded_model_is_checked_again_once_it_or_its_entry_changes(folder, tmp_path, monkeypatch, settings):
    monkeypatch.chdir(tmp_path)

    def is_recorded(**entry):
        specs = {"tiny": local(folder, **entry)}
        digests = {path.name: storage.sha256(path) for path in folders.local_files(specs["tiny"])}
        return check._is_recorded("tiny", settings.model_copy(update={"model_specs": specs}), digests)

    assert not is_recorded()
    storage.write_json(paths.card("tiny"), identity_card.make_card(local(folder)))
    assert is_recorded()
    assert not is_recorded(begin_token=False)
    change(folder, "config.json", vocab_size=336)
    assert not is_recorded()
