"""Interventions over the window: what the model's predictions lose without a layer's MLP, or without a head.

Everything before the window is left as it was, so its KV cache is shared, and a copy of the window with
layer l changed equals the clean one up to l. One batch therefore widens as the layers pass: at each layer
the copies changed there join it. Tests hold this against full forward passes with hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from wor.engine.capture import Clean, Span, capture, hooks
from wor.engine.model import LM


class _Prefix:
    """The clean prefix's KV cache, read-only and shared by every copy of the window."""

    def __init__(self, clean: Clean):
        self.keys, self.values = clean.keys, clean.values

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        copies = keys.shape[0]
        before = (cached[layer_idx].expand(copies, -1, -1, -1) for cached in (self.keys, self.values))
        return tuple(torch.cat([cached, new], dim=2) for cached, new in zip(before, (keys, values), strict=True))


class _Window:
    """Runs single layers over copies of the window, on the clean prefix."""

    def __init__(self, lm: LM, clean: Clean):
        self.lm, self.prefix = lm, _Prefix(clean)
        start, end = clean.window.start, clean.window.end
        positions = torch.arange(start, end, device=lm.device)[None]
        self.rotary = lm.hf.model.rotary_emb(clean.hidden[:1], position_ids=positions)
        visible = torch.arange(end, device=lm.device)[None] <= positions[0, :, None]
        floor = torch.finfo(lm.dtype).min
        self.mask = torch.zeros(visible.shape, dtype=lm.dtype, device=lm.device).masked_fill(~visible, floor)[None, None]

    def layer(self, index: int, hidden: torch.Tensor) -> torch.Tensor:
        """``[copies, W, D] -> [copies, W, D]``"""
        return self.lm.layers[index](
            hidden, attention_mask=self.mask, position_embeddings=self.rotary, past_key_values=self.prefix
        )


def _widen(lm: LM, clean: Clean, entrants: Callable[[int], torch.Tensor]) -> torch.Tensor:
    """Final residual stream of every changed copy: ``[copies, W, D]``, in the order in which they enter.

    ``entrants(l)`` gives the copies changed in layer l, as the residual stream after l.
    """
    window = _Window(lm, clean)
    hidden = entrants(0)
    for index in range(1, lm.n_layers):
        hidden = torch.cat([window.layer(index, hidden), entrants(index)])
    return hidden


CHUNK = 8  # copies whose logits are in memory at once: W x vocabulary floats each, a few times over


def _kl(lm: LM, clean: Clean, hidden: torch.Tensor) -> torch.Tensor:
    """KL(clean || changed) of the next-token distribution, nats: ``[copies, W, D] -> [copies, W]``, >= 0."""
    log_p = lm.logits(clean.hidden[-1]).log_softmax(-1)
    p = log_p.exp()
    parts = [(p * (log_p - lm.logits(part).log_softmax(-1))).sum(-1) for part in hidden.split(CHUNK)]
    return torch.cat(parts).clamp_min(0)


@torch.inference_mode()
def mlp_kl(lm: LM, clean: Clean, reference: torch.Tensor) -> torch.Tensor:
    """KL at each window position when a layer's MLP output is replaced, over the window, by a constant.

    Parameters
    ----------
    reference : [L, D], what stands in for each layer's MLP output: a mean over calibration controls.

    Returns
    -------
    [L, W] KL(clean || ablated) in nats, >= 0.
    """
    reference = reference.to(lm.device, lm.dtype)
    return _kl(lm, clean, _widen(lm, clean, lambda index: (clean.middle[index] + reference[index])[None]))


@torch.inference_mode()
def head_kl(lm: LM, clean: Clean, reference: torch.Tensor) -> torch.Tensor:
    """KL at each window position when one head's output is replaced, over the window, by a constant.

    Parameters
    ----------
    reference : [L, H, Dh], what stands in for each head's output before the output projection.

    Returns
    -------
    [L, H, W] KL(clean || ablated) in nats, >= 0.
    """
    reference = reference.to(lm.device, lm.dtype)

    def entrants(index: int) -> torch.Tensor:
        layer = lm.layers[index]
        change = reference[index] - clean.head_out[index]  # [W, H, Dh]
        columns = layer.self_attn.o_proj.weight.unflatten(1, (lm.n_heads, lm.head_dim))  # [D, H, Dh]
        middle = clean.middle[index] + torch.einsum("whk,dhk->hwd", change, columns)
        return middle + layer.mlp(layer.post_attention_layernorm(middle))

    return _kl(lm, clean, _widen(lm, clean, entrants)).unflatten(0, (lm.n_layers, lm.n_heads))


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

    def replace(index: int) -> Callable:
        def hook(module: torch.nn.Module, args: tuple) -> tuple:
            heads = args[0].unflatten(-1, (lm.n_heads, lm.head_dim))
            heads = torch.where(removed[:, index, None, :, None], reference[index], heads)
            return (heads.flatten(-2), *args[1:])

        return hook

    clean = capture(lm, ids[:-1], Span(first - 1, len(ids) - 1))
    window = _Window(lm, clean)
    hidden = clean.hidden[:1].expand(len(plans), -1, -1)
    with hooks(*((layer.self_attn.o_proj.register_forward_pre_hook, replace(i)) for i, layer in enumerate(lm.layers))):
        for index in range(lm.n_layers):
            hidden = window.layer(index, hidden)
    best = torch.cat([lm.unembed(lm.norm(part)).argmax(-1) for part in hidden.split(CHUNK)])
    targets = torch.tensor(ids[first:], device=lm.device)
    return (best == targets).float().mean(-1).tolist()
