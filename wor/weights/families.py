"""Find a model's configuration, from its files or from its family."""

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PretrainedConfig, SmolLM3Config

from wor.config.params import HubModel, ModelSpec, TruncatedModel
from wor.engine.architectures import first_layers
from wor.engine.load import read_config
from wor.weights import folders

# For plans before a download. A test checks it against the published numbers of parameters.
SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
KNOWN_SIZES = {
    "SmolLM-135M": (576, 1536, 30, 9, 3),
    "SmolLM-360M": (960, 2560, 32, 15, 5),
    "SmolLM-1.7B": (2048, 8192, 24, 32, 32),
}


def find_config(spec: ModelSpec) -> PretrainedConfig | None:
    """Return the configuration from a model's files, its whole model or its family, or None.

    Raises UserError for one that the engine cannot run.
    """
    folder = folders.find_folder(spec)
    if folder is not None:
        return read_config(folder)
    if isinstance(spec, TruncatedModel):
        whole = find_config(spec.of)
        return whole and first_layers(whole, spec.layers)
    return known_config(spec.repo) if isinstance(spec, HubModel) else None


def known_config(repository: str) -> PretrainedConfig | None:
    """Return the configuration of a SmolLM repository of any generation, by its name."""
    name = repository.split("/")[-1]
    if name.removesuffix("-Base") == "SmolLM3-3B":  # it has the configuration's default sizes
        return SmolLM3Config(architectures=["SmolLM3ForCausalLM"])
    name = name.replace("SmolLM2", "SmolLM").removesuffix("-Instruct")
    if name not in KNOWN_SIZES:
        return None
    sizes = dict(zip(SIZES, KNOWN_SIZES[name], strict=True))
    more = {"vocab_size": 49152, "tie_word_embeddings": True, "max_position_embeddings": 2048}
    return LlamaConfig(**sizes, **more, architectures=["LlamaForCausalLM"])


def count_config_parameters(config: PretrainedConfig) -> int:
    """Return a configuration's number of parameters, without the weights."""
    with torch.device("meta"):
        return sum(part.numel() for part in AutoModelForCausalLM.from_config(config).parameters())
