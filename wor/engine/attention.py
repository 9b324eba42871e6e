"""Attend by transformers' sdpa, and add what sdpa alone cannot give.

Registered with transformers as "wor". A `Recorder` computes the attention rows of a few queries,
and reduces them to entropies at once; no T x T matrix exists. With a `SharedPrefix`, the queries
are copies of one window. The prefix's keys and values are neither recomputed nor copied. Scores
with a softcap, which sdpa refuses, are computed a few queries at a time.

A layer has a ``reach``: the number of keys that a query sees, itself and those just before it.
None is all keys (full causal attention). transformers calls it a sliding window; here a window is
the span of tokens that is measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from wor.errors import UserError

NAME = "wor"
MAX_ROW_BYTES = 2**22  # of attention rows at once, so that they stay in the processor's cache
ModeT = TypeVar("ModeT", bound="Recorder | SharedPrefix")
_mode: ContextVar[Recorder | SharedPrefix | None] = ContextVar("attention mode", default=None)


@dataclass(frozen=True)
class Scoring:
    """How a layer scores keys: by scaled products, with a softcap, for the keys within reach."""

    scaling: float
    reach: int | None = None
    softcap: float | None = None

    def __call__(self, products: torch.Tensor) -> torch.Tensor:
        """Return the scores for products of queries, already scaled, with keys."""
        return products if self.softcap is None else (products / self.softcap).tanh_().mul_(self.softcap)

    def visible(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Return whether each query sees each key, given positions: ``[Q], [T] -> [Q, T]``."""
        distance = queries[:, None] - keys
        return distance >= 0 if self.reach is None else (distance >= 0) & (distance < self.reach)


def _attention(module, query, key, value, attention_mask, scaling=None, dropout=0.0, sliding_window=None, softcap=None, **kwargs):
    current = _mode.get()
    scoring = Scoring(query.shape[-1] ** -0.5 if scaling is None else scaling, sliding_window, softcap)
    if isinstance(current, SharedPrefix):
        return current.attend(module.layer_idx, query, key, value, scoring), None
    if query.shape[2] == 1 and current is None:
        return _attend_queries(query, key, value, attention_mask, scoring), None
    if softcap is None:
        options = {"dropout": dropout, "scaling": scoring.scaling, **kwargs}
        out, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    else:
        out = _attend_softcapped(query, key, value, attention_mask, scoring)
    if isinstance(current, Recorder):
        current.record(query, key, value, scoring, out, attention_mask)
    return out, None


def _attend_queries(query, key, value, mask, scoring: Scoring) -> torch.Tensor:
    """Attend from a few queries. sdpa would copy all keys and values for each head of a group.

    query [B, H, Q, Dh], key and value [B, KV, T, Dh], mask [B, 1, Q, T] or None -> [B, Q, H, Dh].
    """
    shape = (query.shape[1] // key.shape[1], query.shape[2])  # G, Q
    grouped = query.unflatten(1, (key.shape[1], -1)).flatten(2, 3)  # [B, KV, G * Q, Dh]
    scores = scoring((grouped * scoring.scaling) @ key.transpose(-1, -2))
    if mask is not None:  # the smallest number, not -inf, as a query in the padding sees no key
        scores = scores.unflatten(2, shape).masked_fill(~mask[:, :, None], torch.finfo(scores.dtype).min).flatten(2, 3)
    rows = scores.softmax(-1, dtype=accumulation_dtype(query.dtype)).to(query.dtype)
    return (rows @ value).unflatten(2, shape).flatten(1, 2).transpose(1, 2)


def _attend_softcapped(query, key, value, mask, scoring: Scoring) -> torch.Tensor:
    """Attend as `_attend_queries` does, with the scores of a few queries in memory at once."""
    if mask is None:  # transformers leaves it out where it is causal
        positions = torch.arange(key.shape[2], device=query.device)
        mask = scoring.visible(positions[-query.shape[2] :], positions)[None, None]
    size = max(1, MAX_ROW_BYTES // (4 * query[:, :, 0, 0].numel() * key.shape[2]))
    parts = zip(query.split(size, dim=2), mask.split(size, dim=2), strict=True)
    return torch.cat([_attend_queries(queries, key, value, rows, scoring) for queries, rows in parts], dim=1)


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


@contextmanager
def mode(value: ModeT) -> Iterator[ModeT]:
    """Record, or share a prefix, in all passes within the context."""
    token = _mode.set(value)
    try:
        yield value
    finally:
        _mode.reset(token)


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype for softmaxes and sums: float32, or float64 if the model is in it."""
    return torch.promote_types(dtype, torch.float32)


def entropies(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the Shannon entropy of attention rows in nats, with and without the first key.

    ``[..., keys] -> [...]`` twice, with 0 log 0 = 0. Without the first key, the attention sink, the
    others' weights p are divided by their sum S: ``sum(-p log p) / S + log S``, or 0 if S = 0.
    """
    terms = torch.special.entr(rows)
    rest, weight = terms[..., 1:].sum(-1), rows[..., 1:].sum(-1)
    no_sink = torch.where(weight > 0, rest / weight + weight.log(), 0.0)
    return terms.sum(-1), no_sink.clamp_min(0)


class Recorder:
    """Record the queries start..end of one unpadded sequence, with one list entry per layer.

    entropy, no_sink : [H, W], as `entropies` returns them. squares : [H, W] sum of squared weights.
    visible : [W] number of keys that a query sees.
    keys, values : [KV, start, Dh], of everything before the window.
    error : if ``checked``, the largest difference of a row's sum from 1, or of an output from the
        forward pass's own. The unit of the latter is the outputs' standard deviation.
    """

    def __init__(self, start: int, end: int, checked: bool = False):
        self.start, self.end, self.checked = start, end, checked
        self.entropy: list[torch.Tensor] = []
        self.no_sink: list[torch.Tensor] = []
        self.squares: list[torch.Tensor] = []
        self.visible: list[torch.Tensor] = []
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []
        self.error = 0.0

    def record(self, query, key, value, scoring: Scoring, out, mask) -> None:
        """Take query [1, H, T, Dh], key and value [1, KV, T, Dh] and out [1, T, H, Dh].

        Raises UserError for a mask [1, 1, T, T] that is not what the layer's scoring shows. A short
        sequence has none.
        """
        n_kv, dtype = key.shape[1], accumulation_dtype(query.dtype)
        queries = query[0, :, self.start : self.end].unflatten(0, (n_kv, -1))  # [KV, G, W, Dh]
        keys = key[0, :, None, : self.end]
        scores = scoring(queries.to(dtype) @ keys.to(dtype).transpose(-1, -2) * scoring.scaling)
        positions = torch.arange(self.end, device=query.device)
        visible = scoring.visible(positions[self.start :], positions)
        if mask is not None and not torch.equal(mask[0, 0, self.start : self.end, : self.end], visible):
            value = f"the model masks keys otherwise than by its sliding window ({scoring.reach})"
            raise UserError("attention", value, "Correct sliding_window and layer_types in config.json, or use another model")
        rows = scores.masked_fill(~visible, -torch.inf).softmax(-1)
        entropy, no_sink = entropies(rows)
        self.entropy.append(entropy.flatten(0, 1))
        self.no_sink.append(no_sink.flatten(0, 1))
        self.squares.append(torch.linalg.vecdot(rows, rows).flatten(0, 1))
        self.visible.append(visible.sum(-1))
        self.keys.append(key[0, :, : self.start])
        self.values.append(value[0, :, : self.start])
        if self.checked:
            recomputed = (rows @ value[0, :, None, : self.end].to(dtype)).flatten(0, 1).transpose(0, 1)
            expected = out[0, self.start : self.end].to(dtype)
            differences = ((recomputed - expected) / expected.std(), rows.sum(-1) - 1)
            self.error = max(self.error, *(difference.abs().max().item() for difference in differences))


@dataclass
class SharedPrefix:
    """Keys and values of a prefix, per layer [KV, P, Dh], which all copies of the window see."""

    keys: list[torch.Tensor]
    values: list[torch.Tensor]

    def attend(self, layer: int, query, key, value, scoring: Scoring) -> torch.Tensor:
        """Attend causally from copies of a window to the prefix and to themselves.

        query [C, H, W, Dh], key and value [C, KV, W, Dh] -> [C, W, H, Dh].
        """
        query = (query * scoring.scaling).unflatten(1, (key.shape[1], -1)).transpose(0, 1)  # [KV, C, G, W, Dh]
        tensors = (query, key.transpose(0, 1), value.transpose(0, 1))
        length = self.keys[layer].shape[1]
        first = 0 if scoring.reach is None else max(0, length - scoring.reach + 1)  # that the first query sees
        prefix = (self.keys[layer][:, first:], self.values[layer][:, first:])
        copies = max(1, MAX_ROW_BYTES // (4 * query[:, 0, ..., 0].numel() * (length - first + query.shape[3])))
        batches = zip(*(tensor.split(copies, dim=1) for tensor in tensors), strict=True)
        out = torch.cat([self._attend(scoring, prefix, *batch) for batch in batches], dim=1)
        return out.permute(1, 3, 0, 2, 4).flatten(2, 3)

    def _attend(self, scoring: Scoring, prefix: tuple[torch.Tensor, torch.Tensor], query, key, value) -> torch.Tensor:
        """Attend by one product of the prefix with the queries of all copies as one window."""
        n_kv, copies, group, width, dim = query.shape
        prefix_keys, prefix_values = prefix
        length = prefix_keys.shape[1]
        positions = torch.arange(length + width, device=query.device)
        visible = scoring.visible(positions[length:], positions)
        in_window = scoring(query.flatten(2, 3) @ key.transpose(-1, -2)).unflatten(2, (group, width))  # [KV, C, G, W, W]
        in_window.masked_fill_(~visible[:, length:], -torch.inf)
        in_prefix = scoring(query.reshape(n_kv, -1, dim) @ prefix_keys.transpose(-1, -2)).view(n_kv, copies, group, width, length)
        if scoring.reach is not None:  # else all of the prefix is visible
            in_prefix.masked_fill_(~visible[:, :length], -torch.inf)
        rows = torch.cat([in_prefix, in_window], dim=-1).softmax(-1, dtype=accumulation_dtype(query.dtype)).to(query.dtype)
        out = (rows[..., :length].reshape(n_kv, copies * group * width, length) @ prefix_values).view(query.shape)
        return out.add_((rows[..., length:].flatten(2, 3) @ value).view(query.shape))
