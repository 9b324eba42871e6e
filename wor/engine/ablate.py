"""Replace components over the window, and measure how much the model's predictions change.

An intervention leaves everything before the window as it was, so all copies of the window share one
prefix of keys and values. A copy changed in layer l equals the clean window up to l, and joins the
batch after it. Tests compare the results with full forward passes with hooks.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal

import torch
from torch import nn

from wor.engine import attention, memory, unembed
from wor.engine.architectures import Layer
from wor.engine.capture import CleanRun, Span, capture, registered_hooks
from wor.engine.model import LM

LayerComponent = Literal["mlp", "attention", "layer"]
# From a layer's index to the residual stream [C, W, D] after it, of the C copies changed there.
PatchedResiduals = Callable[[int], torch.Tensor]


@torch.inference_mode()
def layer_kl(
    lm: LM,
    clean: CleanRun,
    component: LayerComponent,
    replacement: torch.Tensor,
    layers: Sequence[int] | None = None,
) -> torch.Tensor:
    """Return KL(clean || changed) after replacing one layer's component: ``[L, W]`` nats, >= 0.

    ``layer`` is mlp and attention at once. ``replacement`` is [L, D], or [L, W, D] by position.
    ``layers``, ascending, are those to return rows of; all by default.
    """
    return _kl(lm, clean, _layer_patches(lm, clean, component, replacement), copies=1, layers=layers)


def window_mean(clean: CleanRun, component: LayerComponent) -> torch.Tensor:
    """Return a component's output averaged over each sequence's own window: ``[L, W, D]``.

    Of one sequence, ``[L, D]``.
    """
    outputs = {"mlp": (clean.mlp_out,), "attention": (clean.attention_out,), "layer": (clean.mlp_out, clean.attention_out)}
    n, width = len(clean.windows), len(clean.windows[0])
    means = sum((output.unflatten(1, (n, width)).mean(2) for output in outputs[component]), start=torch.zeros(()))
    return means[:, 0] if n == 1 else means.repeat_interleave(width, 1)


@torch.inference_mode()
def patched_residual(lm: LM, clean: CleanRun, component: LayerComponent, replacement: torch.Tensor) -> torch.Tensor:
    """Return the final residual stream under the interventions of `layer_kl`: ``[L, W, D]``."""
    return _patched_pass(lm, clean, _layer_patches(lm, clean, component, replacement), range(lm.n_layers))


def _layer_patches(lm: LM, clean: CleanRun, component: LayerComponent, replacement: torch.Tensor) -> PatchedResiduals:
    replacement = replacement.to(lm.device, lm.dtype)
    replacement = replacement[:, None] if replacement.ndim == 2 else replacement

    def patched_residuals(index: int) -> torch.Tensor:
        output = replacement[index][None]
        if component == "layer":
            return clean.hidden[index] + output
        if component == "mlp":
            return clean.resid_mid(index) + output
        return _apply_mlp(lm.layers[index], clean.hidden[index] + output, clean.mlp_out[index])

    return patched_residuals


@torch.inference_mode()
def head_kl(lm: LM, clean: CleanRun, replacement: torch.Tensor) -> torch.Tensor:
    """Return KL(clean || changed) after replacing one head's output: ``[L, H, W]`` nats, >= 0.

    ``replacement`` is [L, H, Dh] or [L, W, H, Dh], the heads' output before the output projection.
    """
    replacement = replacement.to(lm.device, lm.dtype)
    replacement = replacement[:, None] if replacement.ndim == 3 else replacement

    def patched_residuals(index: int) -> torch.Tensor:
        layer, heads = lm.layers[index], clean.head_out[index]  # [W, H, Dh]
        projected = torch.einsum("whk,hkd->hwd", replacement[index] - heads, layer.weight_by_head(lm.n_heads))
        resid_mid = layer.change_attention(clean.hidden[index], clean.attention_out[index], heads, projected)
        return _apply_mlp(layer, resid_mid, clean.mlp_out[index])

    return _kl(lm, clean, patched_residuals, copies=lm.n_heads).unflatten(0, (lm.n_layers, lm.n_heads))


@torch.inference_mode()
def removal_accuracy(
    lm: LM, ids: Sequence[int], first: int, plans: Sequence[Sequence[tuple[int, int]]], reference: torch.Tensor
) -> list[float]:
    """Return, for each plan, the share of ``ids[first:]`` that the model ranks first, in [0, 1].

    The tokens are teacher-forced, and ``first`` is at least 2. A plan holds the (layer, head) pairs
    to remove, or none. A removed head gives its ``reference``, [L, H, Dh] before the output
    projection, at the position that predicts the first scored token, and at all later ones.
    """
    reference = reference.to(lm.device, lm.dtype)
    removed = torch.zeros(len(plans), lm.n_layers, lm.n_heads, dtype=torch.bool, device=lm.device)
    for row, plan in enumerate(plans):
        for layer, head in plan:
            removed[row, layer, head] = True
    clean = capture(lm, ids[:-1], Span(first - 1, len(ids) - 1))
    targets = torch.tensor(ids[first:], device=lm.device)

    def replace_heads(index: int, mask: torch.Tensor, module: nn.Module, args: tuple) -> tuple:
        heads = args[0].unflatten(-1, (lm.n_heads, lm.head_dim))
        heads = torch.where(mask[:, index, None, :, None], reference[index], heads)
        return (heads.flatten(-2), *args[1:])

    def accuracy(mask: torch.Tensor) -> torch.Tensor:
        hooks = [partial(replace_heads, index, mask) for index in range(lm.n_layers)]
        registers = [layer.projection.register_forward_pre_hook for layer in lm.layers]
        with registered_hooks(*zip(registers, hooks, strict=True)):
            hidden = _patched_pass(lm, clean, lambda _: clean.hidden[0].expand(len(mask), -1, -1), [-1])
        return (unembed.argmax_token(lm, hidden) == targets).float().mean(-1)

    size = _bytes_per_copy(lm, clean)
    return torch.cat(memory.run_in_batches(lm, "remove heads", len(plans), size, lambda rows: accuracy(removed[rows]))).tolist()


@contextmanager
def replaced_output(
    lm: LM, layer: int, component: Literal["mlp", "attention"], window: Span, replacement: torch.Tensor
) -> Iterator[None]:
    """Replace what a component adds over ``window`` in any call of ``lm.hf``, by [D] or [W, D]."""

    def hook(module: nn.Module, args: tuple, output):
        out = (output if torch.is_tensor(output) else output[0]).clone()
        out[:, window.start : window.end] = replacement.to(out) / lm.layers[layer].multiplier
        return out if torch.is_tensor(output) else (out, *output[1:])

    with registered_hooks((lm.layers[layer].last_module(component).register_forward_hook, hook)):
        yield


def _apply_mlp(layer: Layer, resid_mid: torch.Tensor, clean_mlp: torch.Tensor) -> torch.Tensor:
    """Return the residual stream after a layer whose attention was changed, [C, W, D]."""
    return resid_mid + (clean_mlp if layer.parallel else layer.run_mlp(resid_mid))


def _patched_pass(lm: LM, clean: CleanRun, patched_residuals: PatchedResiduals, layers: Sequence[int]) -> torch.Tensor:
    """Return the final residual stream [C, W, D] of the copies changed in ``layers``, ascending.

    Only the window runs, on the clean prefix, from the first of ``layers``. -1 is the embedding.
    The windows of several sequences run as one row, each at its own positions.
    """
    final: list[torch.Tensor] = []

    def join(hidden: torch.Tensor, index: int) -> torch.Tensor:
        if index not in layers:
            return hidden
        copies = patched_residuals(index)
        return copies if index == layers[0] else torch.cat([hidden, copies])

    def input_hook(index: int) -> Callable:
        return lambda module, args: (join(args[0], index - 1), *args[1:])

    def on_norm(module: nn.Module, args: tuple) -> tuple:
        final.append(join(args[0], lm.n_layers - 1))
        return (args[0][:1],)  # one copy is enough: the caller normalises and unembeds in blocks

    registrations = [(layer.block.register_forward_pre_hook, input_hook(i)) for i, layer in enumerate(lm.layers)]
    registrations.append((lm.norm.register_forward_pre_hook, on_norm))
    positions = torch.tensor([[*range(window.start, window.end)] for window in clean.windows], device=lm.device)
    prefix = attention.SharedPrefix(clean.keys, clean.values, [window.start for window in clean.windows])
    with attention.mode(prefix), registered_hooks(*registrations):
        lm.base(clean.ids.take_along_dim(positions, 1).view(1, -1), position_ids=positions.view(1, -1), use_cache=False)
    return final[0]


def _kl(
    lm: LM, clean: CleanRun, patched_residuals: PatchedResiduals, copies: int, layers: Sequence[int] | None = None
) -> torch.Tensor:
    """Return the KL of each copy, ``copies`` for each layer: ``[L * copies, W]``."""
    ablated = range(lm.n_layers) if layers is None else layers

    def kl_of_layers(batch: slice) -> torch.Tensor:
        return unembed.kl(lm, clean.hidden[-1], _patched_pass(lm, clean, patched_residuals, ablated[batch]))

    size = copies * _bytes_per_copy(lm, clean)
    return torch.cat(memory.run_in_batches(lm, "ablate layers", len(ablated), size, kl_of_layers))


def _bytes_per_copy(lm: LM, clean: CleanRun) -> int:
    """Return the memory of one more copy of the windows at its peak, in a layer's MLP."""
    return activation_bytes(lm, clean.hidden.shape[1])


def activation_bytes(lm: LM, tokens: int) -> int:
    """Return the memory of a pass of ``tokens`` at its peak, in a layer's MLP."""
    # Attention needs less, as it processes a few copies at a time.
    size = torch.finfo(lm.dtype).bits // 8
    inner = getattr(lm.hf.config, "intermediate_size", None) or 4 * lm.width
    return size * tokens * (8 * lm.width + 4 * inner)
