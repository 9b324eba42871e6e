"""Convert a GGUF file to a folder of safetensors, configuration and tokenizer.

transformers passes over keys and tensors that it does not know, and takes defaults for those that
are missing. What it gives would then be another model than the file's. `check` therefore compares
everything that the file says about the model with what transformers makes of it.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from wor import storage
from wor.errors import UserError

if TYPE_CHECKING:
    from gguf import GGUFReader
    from transformers import PretrainedConfig

VERSION = 2  # raise it when the conversion's output changes
# Architectures whose files say all that transformers needs, each with the rules for splitting texts
# (tokenizer.ggml.pre) that transformers follows. In place of other rules it takes one of its own.
_QWEN = {"qwen2", "deepseek-r1-qwen"}
_LLAMA = {"gpt-2", "smollm", "llama-bpe", "llama3", "llama-v3", "falcon3", "tekken", *_QWEN}
ARCHITECTURES = {"llama": _LLAMA, "qwen2": _QWEN, "qwen3": _QWEN}
_SAFETENSORS = "Take the model's safetensors: a folder, or a repository of the hub"
_FRESH_COPY = "Take a fresh copy of it"
_CONFIG_KEYS = {
    "context_length": "max_position_embeddings",
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "vocab_size": "vocab_size",
}


def check(path: Path) -> None:
    """Raise UserError for a file that transformers does not read, or not in full."""
    from transformers import AutoConfig

    reader = _open(path)
    facts = {key: field.contents() for key, field in reader.fields.items()}
    if facts.get("split.count", 1) > 1:
        raise UserError(path, f"one of {facts['split.count']} parts", "Join them first: llama-gguf-split --merge")
    if (architecture := facts.get("general.architecture")) not in ARCHITECTURES:
        value = f"general.architecture is {architecture}, and only {', '.join(ARCHITECTURES)} are read in full"
        raise UserError(path, value, _SAFETENSORS)
    config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
    own = {key.removeprefix(f"{architecture}."): value for key, value in facts.items() if key.startswith(f"{architecture}.")}
    for fault in chain(
        _tokenizer_faults(facts, ARCHITECTURES[architecture]),
        _differing_facts(own, config),
        _differing_tensors(reader, architecture, config),
        _unknown_types(reader),
    ):
        raise UserError(path, fault, _SAFETENSORS)


def count_parameters(path: Path) -> int:
    return sum(int(tensor.n_elements) for tensor in _open(path).tensors)


def convert(path: Path, folder: Path) -> None:
    """De-quantise to float32, and save safetensors and a plain tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    loaded = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    # save_pretrained refuses a model that came from a GGUF, so its tensors move to a fresh one.
    config = loaded.config
    del config.quantization_config
    with torch.device("meta"):
        fresh = type(loaded)(config)
    fresh.load_state_dict(loaded.state_dict(), assign=True)
    fresh.tie_weights()
    fresh.generation_config = loaded.generation_config
    fresh.save_pretrained(folder)
    AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name).save_pretrained(folder)
    _drop_invented_tokens(folder, config.vocab_size)
    for name in ("config.json", "generation_config.json"):  # a model's identity has no library's version
        content = storage.read_json(folder / name)
        content.pop("transformers_version", None)
        storage.write_json(folder / name, content)


def _drop_invented_tokens(folder: Path, n: int) -> None:
    """Remove tokens beyond the ``n`` embeddings. transformers adds <|endoftext|> to some."""
    tokenizer, settings = (storage.read_json(folder / name) for name in ("tokenizer.json", "tokenizer_config.json"))
    invented = {token["content"] for token in tokenizer["added_tokens"] if token["id"] >= n}
    if invented:
        tokenizer["added_tokens"] = [token for token in tokenizer["added_tokens"] if token["id"] < n]
        storage.write_json(folder / "tokenizer.json", tokenizer)
        kept = {key: value for key, value in settings.items() if not (isinstance(value, str) and value in invented)}
        storage.write_json(folder / "tokenizer_config.json", kept)


def _open(path: Path) -> "GGUFReader":
    from gguf import GGUFReader

    try:
        return GGUFReader(path)
    except Exception as error:  # a file that is cut off or of another format fails in many ways
        raise UserError(path, f"not readable as GGUF ({error})", f"{_FRESH_COPY}, or {_SAFETENSORS.lower()}") from None


def _tokenizer_faults(facts: dict, splits: set[str]) -> Iterator[str]:
    """Yield what the file says about its tokenizer and transformers does not do."""
    kind, split = facts.get("tokenizer.ggml.model"), facts.get("tokenizer.ggml.pre", "default")
    if kind not in ("gpt2", "llama") or (kind == "gpt2" and split not in splits):
        yield f"has tokenizer.ggml.model {kind} with tokenizer.ggml.pre {split}, which transformers does not read from GGUF"
    if (space := facts.get("tokenizer.ggml.add_space_prefix", kind == "llama")) != (kind == "llama"):
        yield f"tokenizer.ggml.add_space_prefix is {space}, and transformers takes {not space}"


def _differing_facts(facts: dict, config: "PretrainedConfig") -> Iterator[str]:
    """Yield what the file says and the configuration does not. Some keys may be left out."""
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    taken = {key: getattr(config, name) for key, name in _CONFIG_KEYS.items()}
    taken |= dict.fromkeys(("attention.key_length", "attention.value_length", "rope.dimension_count"), head_dim)
    taken |= {"rope.freq_base": config.rope_parameters["rope_theta"], "rope.scaling.type": "none"}
    defaults = {"attention.head_count_kv": facts.get("attention.head_count"), "rope.freq_base": 10_000}  # of llama.cpp
    facts = defaults | facts
    for key, value in facts.items():
        if key not in taken:
            yield f"{key} is {value}, which transformers does not read from GGUF"
        elif value != taken[key]:
            yield f"{key} is {value}, and transformers takes {taken[key]}"
    for key in sorted(_CONFIG_KEYS.keys() - {"vocab_size"} - facts.keys()):
        yield f"has no {key}"


def _differing_tensors(reader: "GGUFReader", architecture: str, config: "PretrainedConfig") -> Iterator[str]:
    import torch
    from gguf import MODEL_ARCH, get_tensor_name_map
    from transformers import AutoModelForCausalLM

    names = get_tensor_name_map(MODEL_ARCH[architecture.upper()], config.num_hidden_layers)
    with torch.device("meta"):
        hf = AutoModelForCausalLM.from_config(config)
    expected = {}
    for name, tensor in hf.named_parameters():
        module, _, parameter = name.rpartition(".")
        expected[f"{names.get_name(module)}.{parameter}"] = list(tensor.shape)
    found = {tensor.name: tensor.shape.tolist()[::-1] for tensor in reader.tensors}
    for name in sorted(expected.keys() | found.keys()):
        if name not in expected:
            yield f"holds {name}, which transformers does not read from GGUF"
        elif name not in found:
            yield f"has no {name}"
        elif found[name] != expected[name]:
            yield f"{name} has the shape {found[name]}, not {expected[name]}"


def _unknown_types(reader: "GGUFReader") -> Iterator[str]:
    from gguf import dequantize

    for kind, tensor in {tensor.tensor_type: tensor for tensor in reader.tensors}.items():
        try:
            dequantize(tensor.data[:1], kind)
        except NotImplementedError:
            yield f"{tensor.name} is quantised as {kind.name}, which the package gguf does not read"
