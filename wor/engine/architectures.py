"""Name the modules of each supported architecture that the engine reads and changes.

To add one, name its modules here and add a tiny model of it to tests/engine/test_architectures.py.
`require_supported` refuses what differs beyond names, such as sliding windows. The self-test at
load compares the rest with the model's own forward pass.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from wor.errors import UserError


class ModuleNames(NamedTuple):
    layers: str  # path in the model
    norm: str
    attention: str  # path in a layer
    projection: str  # path in the attention; from heads to the residual stream
    mlp_norm: str  # path in a layer
    mlp: str


_LLAMA = ModuleNames("model.layers", "model.norm", "self_attn", "o_proj", "post_attention_layernorm", "mlp")
ARCHITECTURES = {
    "LlamaForCausalLM": _LLAMA,
    "Qwen2ForCausalLM": _LLAMA,
    "Qwen3ForCausalLM": _LLAMA,
    "GemmaForCausalLM": _LLAMA,
    "GPTNeoXForCausalLM": ModuleNames(
        "gpt_neox.layers", "gpt_neox.final_layer_norm", "attention", "dense", "post_attention_layernorm", "mlp"
    ),
    "GPT2LMHeadModel": ModuleNames("transformer.h", "transformer.ln_f", "attn", "c_proj", "ln_2", "mlp"),
}


@dataclass(frozen=True)
class Layer:
    """The components of a layer: it turns the residual stream x into x + a (attention) + m (MLP).

    The MLP reads x if the layer is ``parallel`` (GPT-NeoX), else x + a.
    """

    block: nn.Module
    attention: nn.Module
    projection: nn.Module
    mlp_norm: nn.Module
    mlp: nn.Module
    parallel: bool

    def weight_by_head(self, n_heads: int) -> torch.Tensor:
        """Return the weight of the output projection by head: ``[H, Dh, D]``."""
        weight = self.projection.weight
        if isinstance(self.projection, nn.Linear):  # GPT-2's Conv1D holds the transpose
            weight = weight.T
        return weight.unflatten(0, (n_heads, -1))


def require_supported(architecture: str, config) -> None:
    """Raise UserError for a model that the engine cannot run, before any weight is read."""
    if architecture not in ARCHITECTURES:
        raise UserError("architecture", architecture, f"Choose a model of a supported one: {', '.join(ARCHITECTURES)}")
    unsupported = set(getattr(config, "layer_types", None) or []) - {"full_attention"}
    if unsupported:
        remedy = "Choose a model with full causal attention only: over a shorter window, attention rows would be wrong"
        raise UserError(f"{architecture} layer_types", ", ".join(sorted(unsupported)), remedy)


def head_dim(config) -> int:
    """Return the width of one head, which some configurations leave to be computed."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def layers(hf: nn.Module) -> list[Layer]:
    names = ARCHITECTURES[type(hf).__name__]
    return [
        Layer(
            block=block,
            attention=block.get_submodule(names.attention),
            projection=block.get_submodule(f"{names.attention}.{names.projection}"),
            mlp_norm=block.get_submodule(names.mlp_norm),
            mlp=block.get_submodule(names.mlp),
            parallel=getattr(hf.config, "use_parallel_residual", False),
        )
        for block in hf.get_submodule(names.layers)
    ]
