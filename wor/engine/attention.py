"""Attend by transformers' sdpa, and add what sdpa alone cannot give.

Registered with transformers as "wor". A `Recorder` computes the attention rows of a few queries,
and reduces them to entropies at once; no T x T matrix exists. With a `SharedPrefix`, the queries
are copies of one window, or of the windows of several sequences. The prefix's keys and values are
neither recomputed nor copied. Scores with a softcap, which sdpa refuses, are computed a few queries
at a time.

A layer has a ``reach``: the number of keys that a query sees, itself and those just before it.
None is all keys (full causal attention). transformers calls it a sliding window; here a window is
the span of tokens that is measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
MAX_ROW_BYTES = 2**22  # of attention rows at once on a CPU, so that they stay in its cache
MAX_DEVICE_ROW_BYTES = 2**28  # and elsewhere
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
        """Return whether queries see keys, given positions: ``[..., Q], [T] -> [..., Q, T]``."""
        distance = queries[..., None] - keys
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
    size = max(1, max_row_bytes(query) // (4 * query[:, :, 0, 0].numel() * key.shape[2]))
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


def max_row_bytes(query: torch.Tensor) -> int:
    """Return how many bytes of attention rows to compute at once, on the query's device."""
    return MAX_ROW_BYTES if query.device.type == "cpu" else MAX_DEVICE_ROW_BYTES


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
    """Record a window of W queries of each of B sequences. Lists have one entry per layer.

    The sequences begin at the first position, and may be padded at their end. ``starts`` are the
    first positions of their windows, and ``width`` is W. N = B W are their queries in one row.

    entropy, no_sink : [H, N], as `entropies` returns them. squares : [H, N] sum of squared weights.
    visible : [N] number of keys that a query sees.
    keys, values : [B, KV, P, Dh], of everything before each window. P is the latest start. Those of
        an earlier one stand at the end; what stands before them is not to be read.
    error : if ``checked``, the largest difference of a row's sum from 1, or of an output from the
        forward pass's own. The unit of the latter is the outputs' standard deviation.
    """

    def __init__(self, starts: Sequence[int], width: int, checked: bool = False):
        self.starts, self.width, self.checked = starts, width, checked
        self.entropy: list[torch.Tensor] = []
        self.no_sink: list[torch.Tensor] = []
        self.squares: list[torch.Tensor] = []
        self.visible: list[torch.Tensor] = []
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []
        self.error = 0.0

    def record(self, query, key, value, scoring: Scoring, out, mask) -> None:
        """Take query [B, H, T, Dh], key and value [B, KV, T, Dh] and out [B, T, H, Dh].

        Raises UserError for a mask [., 1, T, T] that is not what the layer's scoring shows. A short
        sequence has none.
        """
        n_kv, dtype = key.shape[1], accumulation_dtype(query.dtype)
        starts = torch.tensor(self.starts, device=query.device)
        positions = starts[:, None] + torch.arange(self.width, device=query.device)  # [B, W]
        end = max(self.starts) + self.width
        queries = take(query, positions, self.starts).unflatten(1, (n_kv, -1))  # [B, KV, G, W, Dh]
        keys = key[:, :, None, :end]
        scores = scoring(queries.to(dtype) @ keys.to(dtype).transpose(-1, -2) * scoring.scaling)
        visible = scoring.visible(positions, torch.arange(end, device=query.device))  # [B, W, end]
        if mask is not None:
            shown = take(mask.expand(len(starts), -1, -1, -1), positions, self.starts)[:, 0, :, :end]
            if not torch.equal(shown, visible):
                value = f"the model masks keys otherwise than by its sliding window ({scoring.reach})"
                raise UserError("attention", value, "Correct sliding_window and layer_types in config.json, or use another model")
        rows = scores.masked_fill(~visible[:, None, None], -torch.inf).softmax(-1)
        for reduced, values in zip(
            (*entropies(rows), torch.linalg.vecdot(rows, rows)), (self.entropy, self.no_sink, self.squares), strict=True
        ):
            values.append(reduced.flatten(1, 2).transpose(0, 1).flatten(1))  # [H, N]
        self.visible.append(visible.sum(-1).flatten())
        before = torch.arange(end - self.width, device=query.device) - (end - self.width - starts[:, None])  # [B, P]
        for part, kept in ((key, self.keys), (value, self.values)):
            kept.append(take(part, before.clamp_min(0), self.starts, first=0))
        if self.checked:
            recomputed = (rows @ value[:, :, None, :end].to(dtype)).flatten(1, 2)
            expected = take(out.transpose(1, 2), positions, self.starts).to(dtype)
            differences = ((recomputed - expected) / expected.std(), rows.sum(-1) - 1)
            self.error = max(self.error, *(difference.abs().max().item() for difference in differences))


def take(tensor: torch.Tensor, positions: torch.Tensor, starts: Sequence[int], first: int | None = None) -> torch.Tensor:
    """Return ``[B, H, T, ...]`` at ``positions`` [B, N]: a view where all ``starts`` are the same.

    The positions then are N in a row, from ``first``, or from that start.
    """
    if len(set(starts)) == 1:
        first = starts[0] if first is None else first
        return tensor[:, :, first : first + positions.shape[1]]
    return tensor.take_along_dim(positions[:, None, :, None], dim=2)


@dataclass
class SharedPrefix:
    """Keys and values of what precedes the windows of B sequences, which all copies of them see.

    keys, values : per layer [B, KV, P, Dh], those of the last ``lengths[b]`` positions of [b].
    """

    keys: list[torch.Tensor]
    values: list[torch.Tensor]
    lengths: Sequence[int]

    def attend(self, layer: int, query, key, value, scoring: Scoring) -> torch.Tensor:
        """Attend causally from copies of the windows, each to its own prefix and to itself.

        query [C, H, N, Dh], key and value [C, KV, N, Dh] -> [C, N, H, Dh]. N = B W: all windows of
        a copy are in one row.
        """
        n, n_kv = len(self.lengths), key.shape[1]
        query = (query * scoring.scaling).unflatten(1, (n_kv, -1)).unflatten(3, (n, -1))
        query = query.permute(3, 1, 0, 2, 4, 5).flatten(0, 1)  # [B * KV, C, G, W, Dh]
        key, value = (part.unflatten(2, (n, -1)).permute(2, 1, 0, 3, 4).flatten(0, 1) for part in (key, value))
        length = self.keys[layer].shape[2]
        first = 0 if scoring.reach is None else max(0, length - scoring.reach + 1)  # that the first query sees
        prefix = (self.keys[layer][:, :, first:].flatten(0, 1), self.values[layer][:, :, first:].flatten(0, 1))
        visible = self._visible(scoring, length, query.shape[3], n_kv, query.device)[..., first:]
        copies = max(1, max_row_bytes(query) // (4 * query[:, 0, ..., 0].numel() * visible.shape[-1]))
        batches = zip(*(tensor.split(copies, dim=1) for tensor in (query, key, value)), strict=True)
        out = torch.cat([self._attend(scoring, visible, prefix, *batch) for batch in batches], dim=1)
        return out.unflatten(0, (n, n_kv)).permute(2, 0, 4, 1, 3, 5).flatten(3, 4).flatten(1, 2)

    def _visible(self, scoring: Scoring, length: int, width: int, n_kv: int, device: torch.device) -> torch.Tensor:
        """Return which keys of prefix and window queries see: ``[B * KV or 1, 1, 1, W, P + W]``."""
        positions = torch.arange(length + width, device=device)
        visible = scoring.visible(positions[length:], positions)
        if min(self.lengths) == length:
            return visible[None, None, None]
        absent = length - torch.tensor(self.lengths, device=device)
        return (visible & (positions >= absent[:, None])[:, None]).repeat_interleave(n_kv, 0)[:, None, None]

    def _attend(self, scoring: Scoring, visible, prefix: tuple[torch.Tensor, torch.Tensor], query, key, value) -> torch.Tensor:
        """Attend by one product of a prefix with the queries of all copies as one window."""
        groups, copies, group, width, dim = query.shape
        prefix_keys, prefix_values = prefix
        length = prefix_keys.shape[1]
        in_window = scoring(query.flatten(2, 3) @ key.transpose(-1, -2)).unflatten(2, (group, width))
        in_window.masked_fill_(~visible[..., length:], -torch.inf)  # [B * KV, C, G, W, W]
        in_prefix = scoring(query.reshape(groups, -1, dim) @ prefix_keys.transpose(-1, -2))
        in_prefix = in_prefix.view(groups, copies, group, width, length)
        if scoring.reach is not None or len(visible) > 1:  # else all of the prefix is visible
            in_prefix.masked_fill_(~visible[..., :length], -torch.inf)
        rows = torch.cat([in_prefix, in_window], dim=-1).softmax(-1, dtype=accumulation_dtype(query.dtype)).to(query.dtype)
        out = (rows[..., :length].reshape(groups, copies * group * width, length) @ prefix_values).view(query.shape)
        return out.add_((rows[..., length:].flatten(2, 3) @ value).view(query.shape))
