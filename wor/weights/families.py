"""A model's configuration: from its files, or from what its family is known to be before they are here."""

from __future__ import annotations

import copy

import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, PretrainedConfig

from wor.config.params import HubModel, ModelSpec, TruncatedModel
from wor.weights import identity_card

# For planning before a download. A test holds it against the published numbers of parameters.
KNOWN_SIZES = {
    "SmolLM-135M": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "heads": (9, 3)},
    "SmolLM-360M": {"hidden_size": 960, "intermediate_size": 2560, "num_hidden_layers": 32, "heads": (15, 5)},
    "SmolLM-1.7B": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24, "heads": (32, 32)},
}


def find_config(spec: ModelSpec) -> PretrainedConfig | None:
    """A model's configuration: of its files, of what it is cut from, or of its family; None where none of these is known."""
    folder = identity_card.find_folder(spec)
    if folder is not None:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if isinstance(spec, TruncatedModel):
        whole = find_config(spec.of)
        return whole and first_layers(whole, spec.layers)
    return known_config(spec.repo) if isinstance(spec, HubModel) else None


def first_layers(config: PretrainedConfig, layers: int) -> PretrainedConfig:
    """The same with its first ``layers`` layers only."""
    config = copy.deepcopy(config)
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]
    return config


def known_config(repository: str) -> PretrainedConfig | None:
    """The configuration of a SmolLM or SmolLM2 repository of the hub, base or instruct, by its name."""
    name = repository.split("/")[-1].replace("SmolLM2", "SmolLM").removesuffix("-Instruct")
    if name not in KNOWN_SIZES:
        return None
    sizes = dict(KNOWN_SIZES[name])
    heads, kv_heads = sizes.pop("heads")
    return LlamaConfig(
        **sizes, num_attention_heads=heads, num_key_value_heads=kv_heads, vocab_size=49152, tie_word_embeddings=True,
        max_position_embeddings=2048, architectures=["LlamaForCausalLM"],
    )  # fmt: skip


def count_config_parameters(config: PretrainedConfig) -> int:
    """Return the number of parameters of a model of this configuration, without making it."""
    with torch.device("meta"):
        return sum(part.numel() for part in AutoModelForCausalLM.from_config(config).parameters())
