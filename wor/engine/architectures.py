"""Where each supported architecture keeps the parts that the engine reads and changes.

Adding one: name its modules here, add it to tests/engine/test_architectures.py. Whatever differs beyond
names (soft caps, sliding windows, norms after a block) is refused, as `check` says; and the self-test at
load (selftest.py) holds what is left against the model's own forward pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from wor.errors import UserError


@dataclass(frozen=True)
class ModuleNames:
    """Module paths: ``layers`` and ``norm`` in the model, ``attention``, ``mlp_norm``, ``mlp`` in a layer,
    ``projection`` (heads to residual stream) in the attention."""

    layers: str
    norm: str
    attention: str
    projection: str
    mlp_norm: str
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
    """One layer's parts.

    The residual stream x goes to x + a + m, with a the attention's output and m the MLP's. ``parallel``:
    the MLP reads x (GPT-NeoX); otherwise it reads x + a.
    """

    block: nn.Module
    attention: nn.Module
    projection: nn.Module
    mlp_norm: nn.Module
    mlp: nn.Module
    parallel: bool

    def columns(self, heads: int) -> torch.Tensor:
        """The projection's weight by head: ``[H, Dh, D]``."""
        weight = self.projection.weight
        if isinstance(self.projection, nn.Linear):  # GPT-2's Conv1D holds the transpose
            weight = weight.T
        return weight.unflatten(0, (heads, -1))


def require_supported(architecture: str, config) -> None:
    """Refuse what the engine does not understand, before any weight is read."""
    if architecture not in ARCHITECTURES:
        remedy = f"Take a model of one that the engine knows: {', '.join(ARCHITECTURES)}"
        raise UserError("architecture", architecture, remedy)
    kinds = set(getattr(config, "layer_types", None) or []) - {"full_attention"}
    if kinds:
        remedy = "Take a model with full causal attention only: its rows over a shorter window would be wrong"
        raise UserError(f"{architecture} layer_types", ", ".join(sorted(kinds)), remedy)


def head_dim(config) -> int:
    """Width of one head; a configuration may leave it to be worked out."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def layers(hf: nn.Module) -> list[Layer]:
    names = ARCHITECTURES[type(hf).__name__]
    found = []
    for block in hf.get_submodule(names.layers):
        attention = block.get_submodule(names.attention)
        found.append(
            Layer(
                block=block,
                attention=attention,
                projection=attention.get_submodule(names.projection),
                mlp_norm=block.get_submodule(names.mlp_norm),
                mlp=block.get_submodule(names.mlp),
                parallel=getattr(hf.config, "use_parallel_residual", False),
            )
        )
    return found


def final_norm(hf: nn.Module) -> nn.Module:
    return hf.get_submodule(ARCHITECTURES[type(hf).__name__].norm)
