"""A model's sizes, from its configuration alone, and what its passes multiply."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import AutoModelForCausalLM, PretrainedConfig

from wor.engine import architectures


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


def shape_from_config(config: PretrainedConfig) -> Shape:
    """Sizes counted from the modules that the configuration gives, without their memory."""
    with torch.device("meta"):
        hf = AutoModelForCausalLM.from_config(config)
    blocks = [layer.block for layer in architectures.layers(hf)]
    matrices = sum(part.numel() for block in blocks for part in block.parameters() if part.ndim == 2)
    return Shape(
        config=config,
        n_params=sum(part.numel() for part in hf.parameters()),
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        attention=architectures.head_dim(config) * config.num_attention_heads,
        layer=matrices // len(blocks),
        head=hf.get_output_embeddings().weight.numel(),
    )
