"""Interventions over the window: what the model's predictions lose without a layer's MLP, attention, or a head.

Everything before the window is left as it was, so its keys and values are shared, and a copy of the window
with layer l changed equals the clean one up to l. One batch therefore widens as the layers pass: at each
layer the copies changed there join it. Tests hold this against full forward passes with hooks, and the
benchmark against TransformerLens and nnsight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

from wor.engine import attention, memory, unembed
from wor.engine.architectures import Layer
from wor.engine.capture import CleanRun, Span, capture, registered_hooks
from wor.engine.model import LM

LayerPart = Literal["mlp", "attention", "layer"]


@torch.inference_mode()
def layer_kl(lm: LM, clean: CleanRun, part: LayerPart, stand_in: torch.Tensor) -> torch.Tensor:
    """KL at each window position when a part of a layer gives ``stand_in`` over the window, for every layer.

    Parameters
    ----------
    part : ``mlp`` or ``attention``, that part's output; ``layer``, both at once: the layer's whole update.
    stand_in : [L, D], or [L, W, D] with a value of its own for each position: Reference.stand_in makes one.

    Returns
    -------
    [L, W] KL(clean || changed) in nats, >= 0.
    """
    return _kl(lm, clean, _layer_patches(lm, clean, part, stand_in), copies=1)


@torch.inference_mode()
def patched_residual(lm: LM, clean: CleanRun, part: LayerPart, stand_in: torch.Tensor) -> torch.Tensor:
    """The final residual stream under the interventions of `layer_kl`: ``[L, W, D]``."""
    return _run_patched_layers(lm, clean, _layer_patches(lm, clean, part, stand_in), range(lm.n_layers))


def _layer_patches(lm: LM, clean: CleanRun, part: LayerPart, stand_in: torch.Tensor) -> Callable[[int], torch.Tensor]:
    """The residual stream after a layer whose part gave ``stand_in``, by layer: ``[1, W, D]``."""
    stand_in = stand_in.to(lm.device, lm.dtype)
    stand_in = stand_in[:, None] if stand_in.ndim == 2 else stand_in

    def entrants(index: int) -> torch.Tensor:
        given = stand_in[index][None]
        if part == "layer":
            return clean.hidden[index] + given
        if part == "mlp":
            return clean.resid_mid(index) + given
        return _apply_mlp(lm.layers[index], clean.hidden[index] + given, clean.mlp_out[index])

    return entrants


@torch.inference_mode()
def head_kl(lm: LM, clean: CleanRun, stand_in: torch.Tensor) -> torch.Tensor:
    """KL at each window position when one head gives ``stand_in`` over the window, for every head.

    Parameters
    ----------
    stand_in : [L, H, Dh], or [L, W, H, Dh]: what stands in for a head's output before the output projection.

    Returns
    -------
    [L, H, W] KL(clean || changed) in nats, >= 0.
    """
    if stand_in.ndim == 3:
        stand_in = stand_in[:, None]
    stand_in = stand_in.to(lm.device, lm.dtype)

    def entrants(index: int) -> torch.Tensor:
        change = stand_in[index] - clean.head_out[index]  # [W, H, Dh]
        moved = torch.einsum("whk,hkd->hwd", change, lm.layers[index].columns(lm.n_heads))
        return _apply_mlp(lm.layers[index], clean.resid_mid(index) + moved, clean.mlp_out[index])

    return _kl(lm, clean, entrants, copies=lm.n_heads).unflatten(0, (lm.n_layers, lm.n_heads))


@torch.inference_mode()
def removal_accuracy(
    lm: LM, ids: Sequence[int], first: int, plans: Sequence[Sequence[tuple[int, int]]], reference: torch.Tensor
) -> list[float]:
    """Share of ``ids[first:]`` that the model ranks first, teacher-forced, under each plan of removed heads.

    Parameters
    ----------
    first : position of the first scored token, >= 2.
    plans : each a set of (layer, head) pairs; an empty one is the model as it is.
    reference : [L, H, Dh]. From the position that predicts the first scored token on, a removed head gives
        its reference output.

    Returns
    -------
    One share in [0, 1] a plan.
    """
    reference = reference.to(lm.device, lm.dtype)
    removed = torch.zeros(len(plans), lm.n_layers, lm.n_heads, dtype=torch.bool, device=lm.device)
    for row, plan in enumerate(plans):
        for layer, head in plan:
            removed[row, layer, head] = True
    clean = capture(lm, ids[:-1], Span(first - 1, len(ids) - 1))
    targets = torch.tensor(ids[first:], device=lm.device)

    def replace(index: int, chosen: torch.Tensor) -> Callable:
        def hook(module: nn.Module, args: tuple) -> tuple:
            heads = args[0].unflatten(-1, (lm.n_heads, lm.head_dim))
            heads = torch.where(chosen[:, index, None, :, None], reference[index], heads)
            return (heads.flatten(-2), *args[1:])

        return hook

    def score(chosen: torch.Tensor) -> torch.Tensor:
        layers = enumerate(lm.layers)
        with registered_hooks(*((layer.projection.register_forward_pre_hook, replace(i, chosen)) for i, layer in layers)):
            hidden = _window_pass(lm, clean, {0: lambda hidden: hidden.expand(len(chosen), -1, -1)})
        return (unembed.argmax_token(lm, hidden) == targets).float().mean(-1)

    found = memory.run_in_batches(lm, "remove heads", len(plans), _bytes_per_copy(lm, clean), lambda group: score(removed[group]))
    return torch.cat(found).tolist()


@contextmanager
def replaced_output(
    lm: LM, layer: int, part: Literal["mlp", "attention"], window: Span, stand_in: torch.Tensor
) -> Iterator[None]:
    """The plain way, for any call of ``lm.hf``: inside, the part gives ``stand_in`` over ``window``, [D] or [W, D]."""

    def hook(module: nn.Module, args: tuple, output):
        out = (output if part == "mlp" else output[0]).clone()
        out[:, window.start : window.end] = stand_in
        return out if part == "mlp" else (out, *output[1:])

    module = lm.layers[layer].mlp if part == "mlp" else lm.layers[layer].attention
    with registered_hooks((module.register_forward_hook, hook)):
        yield


def _apply_mlp(layer: Layer, middle: torch.Tensor, clean_mlp: torch.Tensor) -> torch.Tensor:
    """The residual stream after a layer whose attention was changed: ``[C, W, D] -> [C, W, D]``."""
    return middle + (clean_mlp if layer.parallel else layer.mlp(layer.mlp_norm(middle)))


def _window_pass(lm: LM, clean: CleanRun, on_input: dict[int, Callable[[torch.Tensor], torch.Tensor]]) -> torch.Tensor:
    """Run the window alone on the clean prefix; ``on_input[l]`` changes what goes into layer l.

    It may change the number of copies too. The last entry, at ``lm.n_layers``, has the final residual
    stream, which is what comes back: ``[copies, W, D]``.
    """
    start, end = clean.window.start, clean.window.end
    final: list[torch.Tensor] = []

    def entering(index: int) -> Callable:
        return lambda module, args: (on_input[index](args[0]), *args[1:])

    def on_norm(module: nn.Module, args: tuple) -> tuple:
        final.append(on_input.get(lm.n_layers, lambda hidden: hidden)(args[0]))
        return (args[0][:1],)  # whoever called normalises and unembeds in blocks

    registrations = [(lm.layers[i].block.register_forward_pre_hook, entering(i)) for i in on_input if i < lm.n_layers]
    positions = torch.arange(start, end, device=lm.device)[None]
    with (
        attention.sharing(clean.keys, clean.values),
        registered_hooks(*registrations, (lm.norm.register_forward_pre_hook, on_norm)),
    ):
        lm.base(clean.ids[:, start:end], position_ids=positions, use_cache=False)
    return final[0]


def _run_patched_layers(lm: LM, clean: CleanRun, entrants: Callable[[int], torch.Tensor], layers: Sequence[int]) -> torch.Tensor:
    """Final residual stream of the copies changed in ``layers``, ascending: ``[copies, W, D]``, in that order.

    ``entrants(l)`` gives the copies changed in layer l, as the residual stream after l. Up to the first of
    them the clean window passes alone.
    """

    def first(hidden: torch.Tensor) -> torch.Tensor:
        return entrants(layers[0])

    def join(index: int) -> Callable:
        return lambda hidden: torch.cat([hidden, entrants(index)])

    return _window_pass(lm, clean, {layers[0] + 1: first} | {index + 1: join(index) for index in layers[1:]})


def _kl(lm: LM, clean: CleanRun, entrants: Callable[[int], torch.Tensor], copies: int) -> torch.Tensor:
    """KL of every copy, ``copies`` of them a layer: ``[L * copies, W]``. Layers go together as memory allows."""

    def some(group: slice) -> torch.Tensor:
        layers = range(lm.n_layers)[group]
        return unembed.kl(lm, clean.hidden[-1], _run_patched_layers(lm, clean, entrants, layers))

    return torch.cat(memory.run_in_batches(lm, "ablate layers", lm.n_layers, copies * _bytes_per_copy(lm, clean), some))


def _bytes_per_copy(lm: LM, clean: CleanRun) -> int:
    """What one more copy of the window takes at its peak, in a layer's MLP; attention rows come a few at a time."""
    width, size = len(clean.window), torch.finfo(lm.dtype).bits // 8
    inner = getattr(lm.hf.config, "intermediate_size", None) or 4 * lm.width
    return size * width * (8 * lm.width + 4 * inner)
