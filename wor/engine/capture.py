"""What happens inside during one forward pass, reduced while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from transformers import DynamicCache

from wor.engine import attention, unembed
from wor.engine.model import LM


@dataclass(frozen=True)
class Span:
    """A half-open range of token positions."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


@dataclass
class CleanRun:
    """An undisturbed pass. W window positions, L layers, H heads, D width, K = Dh head width.

    entropy : [L, H, W] attention entropy of each window query over its visible keys, nats.
    entropy_no_sink : [L, H, W] the same without the first key, renormalised.
    hidden : [L + 1, W, D] residual stream at the window; 0 is the embedding, L the last layer's output.
    attention_out, mlp_out : [L, W, D] what each part adds to the residual stream.
    head_out : [L, W, H, K] each head's output before the output projection.
    scores : [N] each scored token's log-probability, and the entropy of the prediction that it followed.
    keys, values : per layer [KV, start, K], the KV cache of everything before the window.
    """

    window: Span
    ids: torch.Tensor
    entropy: torch.Tensor
    entropy_no_sink: torch.Tensor
    hidden: torch.Tensor
    attention_out: torch.Tensor
    mlp_out: torch.Tensor
    head_out: torch.Tensor
    scores: unembed.Scores
    keys: list[torch.Tensor]
    values: list[torch.Tensor]

    def resid_mid(self, layer: int) -> torch.Tensor:
        """[W, D] residual stream with the layer's attention added, its MLP not."""
        return self.hidden[layer] + self.attention_out[layer]


@contextmanager
def registered_hooks(*registrations: tuple[Callable, Callable]) -> Iterator[None]:
    """Register ``(register_method, hook)`` pairs; every hook comes off again, whatever happens."""
    handles = []
    try:
        for register, hook in registrations:
            handles.append(register(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()


def token_ids(lm: LM, sequences: Sequence[Sequence[int]]) -> torch.Tensor:
    """``[N, longest]``, padded on the right, where causal attention never looks."""
    longest = max(map(len, sequences))
    return torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in sequences], device=lm.device)


@torch.inference_mode()
def capture(lm: LM, ids: Sequence[int], window: Span, scored_from: int | None = None) -> CleanRun:
    """Run ``ids`` once and keep what Clean lists, for the positions of ``window``.

    ``scored_from``, at least 1, is the first position whose token is scored; scoring goes to the end of ``ids``. None:
    no scores.
    """
    tokens = token_ids(lm, [ids])
    rows = slice(window.start, window.end)
    hidden, attention_out, mlp_out, head_out = [], [], [], []
    last: list[torch.Tensor] = []

    def keep(kept: list[torch.Tensor]) -> Callable:
        return lambda module, args: kept.append(args[0][0, rows].clone())

    def on_attention(module: nn.Module, args: tuple, output: tuple) -> None:
        attention_out.append(output[0][0, rows].clone())

    def on_mlp(module: nn.Module, args: tuple, output: torch.Tensor) -> None:
        mlp_out.append(output[0, rows].clone())

    registrations: list[tuple[Callable, Callable]] = []
    for layer in lm.layers:
        registrations += [
            (layer.block.register_forward_pre_hook, keep(hidden)),
            (layer.projection.register_forward_pre_hook, keep(head_out)),
            (layer.attention.register_forward_hook, on_attention),
            (layer.mlp.register_forward_hook, on_mlp),
        ]
    registrations.append((lm.norm.register_forward_pre_hook, lambda module, args: last.append(args[0][0])))
    with attention.recording(window.start, window.end) as seen, registered_hooks(*registrations):
        lm.base(tokens, use_cache=False)
    first = len(ids) if scored_from is None else scored_from
    return CleanRun(
        window=window,
        ids=tokens,
        entropy=torch.stack(seen.entropy),
        entropy_no_sink=torch.stack(seen.no_sink),
        hidden=torch.stack([*hidden, last[0][rows]]),
        attention_out=torch.stack(attention_out),
        mlp_out=torch.stack(mlp_out),
        head_out=torch.stack(head_out).unflatten(-1, (lm.n_heads, lm.head_dim)),
        scores=unembed.scores(lm, last[0][first - 1 : -1], tokens[0, first:]),
        keys=seen.keys,
        values=seen.values,
    )


@torch.inference_mode()
def score_continuation(lm: LM, ids: Sequence[int], first: int = 1) -> unembed.Scores:
    """Of each of ``ids[first:]`` given all before it: ``[len(ids) - first]``."""
    tokens = token_ids(lm, [ids])
    last: list[torch.Tensor] = []
    with registered_hooks((lm.norm.register_forward_pre_hook, lambda module, args: last.append(args[0][0]))):
        lm.base(tokens, use_cache=False)
    return unembed.scores(lm, last[0][first - 1 : -1], tokens[0, first:])


@torch.inference_mode()
def beliefs(lm: LM, clean: CleanRun, sequences: Sequence[Sequence[int]], windows: Sequence[Span]) -> torch.Tensor:
    """Mean residual stream over each sequence's window, at every layer: ``[N, L + 1, D]``, float32.

    The sequences share a batch. What they all begin with as ``clean`` does, a chat template say, is not computed again.
    """
    known = _shared_prefix_length([clean.ids[0].tolist(), *sequences], min(window.start for window in [clean.window, *windows]))
    cache, means = DynamicCache(), []
    for index, pair in enumerate(zip(clean.keys, clean.values, strict=True)):
        cache.update(*(part[None, :, :known].expand(len(sequences), -1, -1, -1) for part in pair), index)

    def on_input(module: nn.Module, args: tuple) -> None:
        places = [slice(window.start - known, window.end - known) for window in windows]
        means.append(torch.stack([row[place].float().mean(0) for row, place in zip(args[0], places, strict=True)]))

    inputs = [*(layer.block for layer in lm.layers), lm.norm]
    with registered_hooks(*((module.register_forward_pre_hook, on_input) for module in inputs)):
        lm.base(token_ids(lm, [ids[known:] for ids in sequences]), past_key_values=cache, use_cache=True)
    return torch.stack(means, dim=1)


def _shared_prefix_length(sequences: Sequence[Sequence[int]], most: int) -> int:
    """How many tokens all sequences begin with alike, at most ``most``."""
    columns = zip(*sequences, strict=False)
    return next((place for place, column in enumerate(columns) if place == most or len(set(column)) > 1), most)
