"""Compute a model's sizes, and the FLOPs of its passes, from its configuration alone."""

from dataclasses import dataclass

import torch
from transformers import AutoModelForCausalLM, PretrainedConfig

from wor.engine import architectures


@dataclass(frozen=True)
class Shape:
    """A model's sizes.

    attention : width of all heads together.
    layer : parameters of one layer that multiply a token. head : those of the unembedding.
    """

    config: PretrainedConfig
    n_params: int
    layers: int
    heads: int
    attention: int
    layer: int
    head: int

    def forward(self, tokens: int) -> float:
        """Return the FLOPs of one pass without unembedding. Like sdpa, it counts both triangles."""
        return self.window(tokens, tokens, self.layers)

    def window(self, width: int, keys: int, layers: float) -> float:
        """Return the FLOPs of ``width`` tokens in ``layers`` layers with ``keys`` visible keys.

        A layer with a sliding window counts as if it saw all of them: at most too much.
        """
        return 2 * width * layers * (self.layer + 2 * keys * self.attention)

    def unembedding(self, tokens: float) -> float:
        return 2 * tokens * self.head


def shape_from_config(config: PretrainedConfig) -> Shape:
    """Return the sizes of the modules that the configuration gives, without allocating them."""
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
