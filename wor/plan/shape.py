"""A model's sizes, from its configuration alone, and what its passes multiply."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, PretrainedConfig

from wor.engine import anatomy
from wor.params import HubModel, ModelSpec, TruncatedModel
from wor.sources import weights

# For planning before a download. A test holds it against the published numbers of parameters.
KNOWN = {
    "SmolLM-135M": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "heads": (9, 3)},
    "SmolLM-360M": {"hidden_size": 960, "intermediate_size": 2560, "num_hidden_layers": 32, "heads": (15, 5)},
    "SmolLM-1.7B": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24, "heads": (32, 32)},
}


def find(spec: ModelSpec) -> PretrainedConfig | None:
    """A model's configuration: of its files, of what it is cut from, or of its family; None where none of these is known."""
    folder = weights.here(spec)
    if folder is not None:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if isinstance(spec, TruncatedModel):
        whole = find(spec.of)
        return whole and first(whole, spec.layers)
    return known(spec.repo) if isinstance(spec, HubModel) else None


def first(config: PretrainedConfig, layers: int) -> PretrainedConfig:
    """The same with its first ``layers`` layers only."""
    config = copy.deepcopy(config)
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]
    return config


def known(repository: str) -> PretrainedConfig | None:
    """The configuration of a SmolLM or SmolLM2 repository of the hub, base or instruct, by its name."""
    name = repository.split("/")[-1].replace("SmolLM2", "SmolLM").removesuffix("-Instruct")
    if name not in KNOWN:
        return None
    sizes = dict(KNOWN[name])
    heads, kv_heads = sizes.pop("heads")
    return LlamaConfig(
        **sizes, num_attention_heads=heads, num_key_value_heads=kv_heads, vocab_size=49152, tie_word_embeddings=True,
        max_position_embeddings=2048, architectures=["LlamaForCausalLM"],
    )  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """``layer``: parameters that a token's pass through one layer multiplies; ``head``: of the unembedding."""

    config: PretrainedConfig
    n_params: int
    layers: int
    heads: int
    attention: int  # width of all heads together
    layer: int
    head: int

    def forward(self, tokens: int) -> float:
        """FLOPs of one pass over ``tokens``, without the unembedding; attention as sdpa does it, both triangles."""
        return self.window(tokens, tokens, self.layers)

    def window(self, width: int, keys: int, layers: float) -> float:
        """FLOPs of ``width`` tokens through ``layers`` layers, ``keys`` keys visible."""
        return 2 * width * layers * (self.layer + 2 * keys * self.attention)

    def unembedding(self, tokens: float) -> float:
        return 2 * tokens * self.head


def of(config: PretrainedConfig) -> Shape:
    """Sizes counted from the modules that the configuration gives, without their memory."""
    with torch.device("meta"):
        hf = AutoModelForCausalLM.from_config(config)
    blocks = [layer.block for layer in anatomy.layers(hf)]
    matrices = sum(part.numel() for block in blocks for part in block.parameters() if part.ndim == 2)
    return Shape(
        config=config,
        n_params=sum(part.numel() for part in hf.parameters()),
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        attention=anatomy.head_dim(config) * config.num_attention_heads,
        layer=matrices // len(blocks),
        head=hf.get_output_embeddings().weight.numel(),
    )
