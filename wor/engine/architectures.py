"""Name the modules of each supported architecture that the engine reads and changes.

To add one, name its modules here and add a tiny model of it to tests/helpers/tiny_models.py.
`require_supported` refuses what the engine cannot compute exactly. The self-test at load compares
the rest with the model's own forward pass.
"""

import copy
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import nn
from transformers import PretrainedConfig

from wor.errors import UserError


class Architecture(NamedTuple):
    """Paths of modules, and keys of the configuration. None: there is no such module or key."""

    layers: str  # path in the model
    norm: str
    attention: str  # path in a layer
    projection: str  # path in the attention; from heads to the residual stream
    mlp_norm: str | None  # path in a layer; the norm that the MLP reads through
    mlp: str
    attention_out_norm: str | None = None  # path in a layer; the norm of what the attention adds
    mlp_out_norm: str | None = None
    multiplier: str | None = None  # key; what attention and MLP add is multiplied by it
    logits_divisor: str | None = None
    logits_softcap: str | None = None


_LLAMA = Architecture("model.layers", "model.norm", "self_attn", "o_proj", "post_attention_layernorm", "mlp")
_OUT_NORMS = {"attention_out_norm": "post_attention_layernorm", "mlp_out_norm": "post_feedforward_layernorm"}
_GEMMA2 = _LLAMA._replace(mlp_norm="pre_feedforward_layernorm", logits_softcap="final_logit_softcapping", **_OUT_NORMS)
ARCHITECTURES = {
    "LlamaForCausalLM": _LLAMA,
    "SmolLM3ForCausalLM": _LLAMA,
    "MistralForCausalLM": _LLAMA,
    "Qwen2ForCausalLM": _LLAMA,
    "Qwen3ForCausalLM": _LLAMA,
    "Phi3ForCausalLM": _LLAMA,
    "GraniteForCausalLM": _LLAMA._replace(multiplier="residual_multiplier", logits_divisor="logits_scaling"),
    "Olmo2ForCausalLM": _LLAMA._replace(mlp_norm=None, **_OUT_NORMS),
    "GemmaForCausalLM": _LLAMA,
    "Gemma2ForCausalLM": _GEMMA2,
    "Gemma3ForCausalLM": _GEMMA2,
    "GPTNeoXForCausalLM": Architecture(
        "gpt_neox.layers", "gpt_neox.final_layer_norm", "attention", "dense", "post_attention_layernorm", "mlp"
    ),
    "GPT2LMHeadModel": Architecture("transformer.h", "transformer.ln_f", "attn", "c_proj", "ln_2", "mlp"),
}
_EXACT_LAYER_TYPES = {"full_attention", "sliding_attention"}


@dataclass(frozen=True)
class Layer:
    """The components of a layer: it turns the residual stream x into x + a (attention) + m (MLP).

    The MLP reads x if the layer is ``parallel`` (GPT-NeoX), else x + a. Both a and m are what is
    added: after a norm of the component's output, if there is one, and times ``multiplier``.
    """

    block: nn.Module
    attention: nn.Module
    attention_out_norm: nn.Module | None
    projection: nn.Module
    mlp_norm: nn.Module | None
    mlp: nn.Module
    mlp_out_norm: nn.Module | None
    multiplier: float
    parallel: bool

    def last_module(self, component: Literal["mlp", "attention"]) -> nn.Module:
        """Return the module whose output, times ``multiplier``, the component adds."""
        modules = {"attention": (self.attention_out_norm, self.attention), "mlp": (self.mlp_out_norm, self.mlp)}
        norm, module = modules[component]
        return module if norm is None else norm

    def run_mlp(self, resid_mid: torch.Tensor) -> torch.Tensor:
        """Return what the MLP adds to the residual stream before it."""
        out = self.mlp(resid_mid if self.mlp_norm is None else self.mlp_norm(resid_mid))
        out = out if self.mlp_out_norm is None else self.mlp_out_norm(out)
        return out if self.multiplier == 1 else out * self.multiplier

    def change_attention(self, hidden, added, heads, change: torch.Tensor) -> torch.Tensor:
        """Return the residual stream after an attention whose projection gives ``change`` more.

        It was ``hidden`` + ``added``, [W, D] each, and the heads gave ``heads``, [W, H, Dh].
        """
        if self.attention_out_norm is None:
            return hidden + added + change * self.multiplier
        return hidden + self.attention_out_norm(self.projection(heads.flatten(-2)) + change) * self.multiplier

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
    unsupported = set(getattr(config, "layer_types", None) or []) - _EXACT_LAYER_TYPES
    if unsupported:
        remedy = "Choose a model with causal attention, full or over a sliding window: other attention rows would be wrong"
        raise UserError(f"{architecture} layer_types", ", ".join(sorted(unsupported)), remedy)
    windowed, window = hasattr(type(config), "sliding_window"), getattr(config, "sliding_window", None)
    if window is not None and not (windowed and window >= 1):
        reason = "Write at least 1" if windowed else "Remove it: this architecture's attention has no window"
        raise UserError(f"{architecture} sliding_window", window, reason)
    for parameters in _rope_parameters(config):
        if not parameters.get("rope_theta", 1) > 0:
            raise UserError(f"{architecture} rope_theta", parameters["rope_theta"], "Write a positive number, as it was trained")
    for key, causal in (("use_bidirectional_attention", False), ("is_causal", True)):
        value = getattr(config, key, causal)
        if value is not None and bool(value) != causal:
            remedy = "Choose a model with causal attention: a changed token would change what lies before it"
            raise UserError(f"{architecture} {key}", value, remedy)


def _rope_parameters(config) -> list[dict]:
    """Return the rotary parameters: one mapping, or one for each type of layer."""
    parameters = getattr(config, "rope_parameters", None) or {}
    return [part for part in (parameters, *parameters.values()) if isinstance(part, dict)]


def context(config) -> int:
    """Return the longest sequence for which the engine is exact.

    With longrope (Phi-3), every rotation in a longer sequence is another one. Then neither a prefix
    of keys nor a batch can be shared between short and long sequences.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") == "longrope":
        return min(config.max_position_embeddings, rope["original_max_position_embeddings"])
    return config.max_position_embeddings


def head_dim(config) -> int:
    """Return the width of one head, which some configurations leave to be computed."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def layers(hf: nn.Module) -> list[Layer]:
    names = ARCHITECTURES[type(hf).__name__]

    def module(block: nn.Module, path: str | None) -> nn.Module | None:
        return None if path is None else block.get_submodule(path)

    return [
        Layer(
            block=block,
            attention=block.get_submodule(names.attention),
            attention_out_norm=module(block, names.attention_out_norm),
            projection=block.get_submodule(f"{names.attention}.{names.projection}"),
            mlp_norm=module(block, names.mlp_norm),
            mlp=block.get_submodule(names.mlp),
            mlp_out_norm=module(block, names.mlp_out_norm),
            multiplier=getattr(hf.config, names.multiplier) if names.multiplier else 1,
            parallel=getattr(hf.config, "use_parallel_residual", False),
        )
        for block in hf.get_submodule(names.layers)
    ]


def first_layers(config: PretrainedConfig, layers: int) -> PretrainedConfig:
    """Return a copy of ``config`` with its first ``layers`` layers only."""
    config = copy.deepcopy(config)
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]
    return config
