"""What happens inside during one forward pass, reduced while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from wor.engine.model import LM


@dataclass(frozen=True)
class Span:
    """A half-open range of token positions."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


@dataclass
class Clean:
    """An undisturbed pass. W window positions, L layers, H heads, D width, K = Dh head width.

    entropy : [L, H, W] attention entropy of each window query over its visible keys, nats.
    entropy_no_sink : [L, H, W] the same without the first key, renormalised.
    hidden : [L + 1, W, D] residual stream at the window; 0 is the embedding, L the last layer's output.
    middle : [L, W, D] residual stream after attention, before the MLP is added.
    head_out : [L, W, H, K] each head's output before the output projection.
    mlp_out : [L, W, D].
    log_probs : [N] of each scored token given all before it, at temperature 1.
    keys, values : per layer [1, KV, start, K], the KV cache of everything before the window.
    """

    window: Span
    ids: torch.Tensor
    entropy: torch.Tensor
    entropy_no_sink: torch.Tensor
    hidden: torch.Tensor
    middle: torch.Tensor
    head_out: torch.Tensor
    mlp_out: torch.Tensor
    log_probs: torch.Tensor
    keys: list[torch.Tensor]
    values: list[torch.Tensor]


@contextmanager
def hooks(*registrations: tuple[Callable, Callable]) -> Iterator[None]:
    """Register ``(register_method, hook)`` pairs; every hook comes off again, whatever happens."""
    handles = []
    try:
        for register, hook in registrations:
            handles.append(register(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()


def attention_entropy(rows: torch.Tensor, skip_first: bool = False) -> torch.Tensor:
    """Shannon entropy of attention rows in nats: ``[..., keys] -> [...]``, 0 log 0 = 0.

    ``skip_first`` drops the first key (the attention sink) and renormalises; a row with no weight left
    elsewhere has entropy 0.
    """
    rows = rows.float()
    if skip_first:
        rows = rows[..., 1:]
        rows = rows / rows.sum(-1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)
    return torch.special.entr(rows).sum(-1)


@torch.inference_mode()
def capture(lm: LM, ids: Sequence[int], window: Span, scored_from: int | None = None) -> Clean:
    """Run ``ids`` once and keep what Clean lists, for the positions of ``window``.

    ``scored_from`` is the first position whose token's log-probability is wanted (default: the window's
    first); scoring goes to the end of ``ids``.
    """
    tokens = torch.tensor([list(ids)], device=lm.device)
    rows = slice(window.start, window.end)
    kept: dict[str, list[torch.Tensor]] = {name: [] for name in ("plain", "no_sink", "hidden", "middle", "heads", "mlp")}

    def on_attention(module: nn.Module, args: tuple, output: tuple) -> None:
        weights = output[1][0, :, rows]
        kept["plain"].append(attention_entropy(weights))
        kept["no_sink"].append(attention_entropy(weights, skip_first=True))

    def on_heads(module: nn.Module, args: tuple) -> None:
        kept["heads"].append(args[0][0, rows].unflatten(-1, (lm.n_heads, lm.head_dim)).clone())

    def on_middle(module: nn.Module, args: tuple) -> None:
        kept["middle"].append(args[0][0, rows].clone())

    def on_mlp(module: nn.Module, args: tuple, output: torch.Tensor) -> None:
        kept["mlp"].append(output[0, rows].clone())

    def on_layer_input(module: nn.Module, args: tuple) -> None:
        kept["hidden"].append(args[0][0, rows].clone())

    registrations: list[tuple[Callable, Callable]] = []
    for layer in lm.layers:
        registrations += [
            (layer.register_forward_pre_hook, on_layer_input),
            (layer.self_attn.register_forward_hook, on_attention),
            (layer.self_attn.o_proj.register_forward_pre_hook, on_heads),
            (layer.post_attention_layernorm.register_forward_pre_hook, on_middle),
            (layer.mlp.register_forward_hook, on_mlp),
        ]
    last: list[torch.Tensor] = []
    registrations.append((lm.norm.register_forward_pre_hook, lambda module, args: last.append(args[0][0].clone())))
    with hooks(*registrations):
        cache = lm.hf.model(tokens, use_cache=True).past_key_values
    kept["hidden"].append(last[0][rows])
    first = window.start if scored_from is None else scored_from
    return Clean(
        window=window,
        ids=tokens,
        entropy=torch.stack(kept["plain"]),
        entropy_no_sink=torch.stack(kept["no_sink"]),
        hidden=torch.stack(kept["hidden"]),
        middle=torch.stack(kept["middle"]),
        head_out=torch.stack(kept["heads"]),
        mlp_out=torch.stack(kept["mlp"]),
        log_probs=_scores(lm, last[0], tokens[0], first),
        keys=[layer.keys[:, :, : window.start] for layer in cache.layers],
        values=[layer.values[:, :, : window.start] for layer in cache.layers],
    )


def _scores(lm: LM, hidden: torch.Tensor, ids: torch.Tensor, first: int, chunk: int = 64) -> torch.Tensor:
    """Log-probability of ids[first:], each from the position before it, a chunk of logits at a time."""
    scores = []
    for start in range(first, len(ids), chunk):
        end = min(start + chunk, len(ids))
        log_probs = lm.logits(hidden[start - 1 : end - 1]).log_softmax(-1)
        scores.append(log_probs.gather(-1, ids[start:end, None]).squeeze(-1))
    return torch.cat(scores) if scores else torch.zeros(0)


@torch.inference_mode()
def log_probs(lm: LM, ids: Sequence[int], first: int = 1) -> torch.Tensor:
    """Log-probability of each of ``ids[first:]`` given all before it, at temperature 1: ``[len(ids) - first]``."""
    tokens = torch.tensor([list(ids)], device=lm.device)
    last: list[torch.Tensor] = []
    with hooks((lm.norm.register_forward_pre_hook, lambda module, args: last.append(args[0][0].clone()))):
        lm.hf.model(tokens, use_cache=False)
    return _scores(lm, last[0], tokens[0], first)


@torch.inference_mode()
def beliefs(lm: LM, sequences: Sequence[Sequence[int]], windows: Sequence[Span]) -> torch.Tensor:
    """Mean residual stream over each sequence's window, at every layer: ``[N, L + 1, D]``, float32.

    The sequences share a batch, padded on the right, where causal attention never looks.
    """
    longest = max(map(len, sequences))
    tokens = torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in sequences], device=lm.device)
    means: list[torch.Tensor] = []

    def on_input(module: nn.Module, args: tuple) -> None:
        rows = [row[window.start : window.end].float().mean(0) for row, window in zip(args[0], windows, strict=True)]
        means.append(torch.stack(rows))

    with hooks(*((module.register_forward_pre_hook, on_input) for module in [*lm.layers, lm.norm])):
        lm.hf.model(tokens, use_cache=False)
    return torch.stack(means, dim=1)
