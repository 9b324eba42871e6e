"""Attend by transformers' sdpa, and add two things that sdpa alone cannot give.

Registered with transformers as "wor". A `Recorder` computes the attention rows of a few queries,
and reduces them to entropies at once; no T x T matrix exists. With a `SharedPrefix`, the queries
are copies of one window. The prefix's keys and values are neither recomputed nor copied.
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

NAME = "wor"
MAX_ROW_BYTES = 2**22  # of attention rows at once, so that they stay in the processor's cache
ModeT = TypeVar("ModeT", bound="Recorder | SharedPrefix")
_mode: ContextVar[Recorder | SharedPrefix | None] = ContextVar("attention mode", default=None)


def _attention(module, query, key, value, attention_mask, scaling=None, dropout=0.0, **kwargs):
    current = _mode.get()
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    if isinstance(current, SharedPrefix):
        return current.attend(module.layer_idx, query, key, value, scaling), None
    if query.shape[2] == 1 and current is None:
        return _attend_one_query(query, key, value, attention_mask, scaling), None
    out, _ = sdpa_attention_forward(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs)
    if isinstance(current, Recorder):
        current.record(query, key, value, scaling, out)
    return out, None


def _attend_one_query(query, key, value, mask, scaling) -> torch.Tensor:
    """Attend in a decoding step. sdpa would copy the whole cache for each query head of a group.

    query [B, H, 1, Dh], key and value [B, KV, T, Dh], mask [B, 1, 1, T] or None -> [B, 1, H, Dh].
    """
    grouped = query.unflatten(1, (key.shape[1], -1)).squeeze(3)  # [B, KV, G, Dh]
    scores = (grouped * scaling) @ key.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    rows = scores.softmax(-1, dtype=accumulation_dtype(query.dtype)).to(query.dtype)
    return (rows @ value).flatten(1, 2)[:, None]


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
    keys, values : [KV, start, Dh], of everything before the window.
    error : if ``checked``, the largest difference of a row's sum from 1, or of an output from the
        forward pass's own. The unit of the latter is the outputs' standard deviation.
    """

    def __init__(self, start: int, end: int, checked: bool = False):
        self.start, self.end, self.checked = start, end, checked
        self.entropy: list[torch.Tensor] = []
        self.no_sink: list[torch.Tensor] = []
        self.squares: list[torch.Tensor] = []
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []
        self.error = 0.0

    def record(self, query, key, value, scaling, out) -> None:
        """Take query [1, H, T, Dh], key and value [1, KV, T, Dh] and out [1, T, H, Dh]."""
        n_kv, dtype = key.shape[1], accumulation_dtype(query.dtype)
        queries = query[0, :, self.start : self.end].unflatten(0, (n_kv, -1))  # [KV, G, W, Dh]
        keys = key[0, :, None, : self.end]
        scores = queries.to(dtype) @ keys.to(dtype).transpose(-1, -2) * scaling
        positions = torch.arange(self.end, device=query.device)
        rows = scores.masked_fill(positions > positions[self.start :, None], -torch.inf).softmax(-1)
        entropy, no_sink = entropies(rows)
        self.entropy.append(entropy.flatten(0, 1))
        self.no_sink.append(no_sink.flatten(0, 1))
        self.squares.append(torch.linalg.vecdot(rows, rows).flatten(0, 1))
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

    def attend(self, layer: int, query, key, value, scaling) -> torch.Tensor:
        """Attend causally from copies of a window to the prefix and to themselves.

        query [C, H, W, Dh], key and value [C, KV, W, Dh] -> [C, W, H, Dh].
        """
        query = (query * scaling).unflatten(1, (key.shape[1], -1)).transpose(0, 1)  # [KV, C, G, W, Dh]
        tensors = (query, key.transpose(0, 1), value.transpose(0, 1))
        copies = max(1, MAX_ROW_BYTES // (4 * query[:, 0, ..., 0].numel() * (self.keys[layer].shape[1] + query.shape[3])))
        batches = zip(*(tensor.split(copies, dim=1) for tensor in tensors), strict=True)
        out = torch.cat([self._attend(layer, *batch) for batch in batches], dim=1)
        return out.permute(1, 3, 0, 2, 4).flatten(2, 3)

    def _attend(self, layer: int, query, key, value) -> torch.Tensor:
        """Attend by one product of the prefix with the queries of all copies as one window."""
        prefix_keys, prefix_values = self.keys[layer], self.values[layer]
        n_kv, copies, group, width, dim = query.shape
        length = prefix_keys.shape[1]
        in_window = (query.flatten(2, 3) @ key.transpose(-1, -2)).unflatten(2, (group, width))  # [KV, C, G, W, W]
        in_window.masked_fill_(torch.ones(width, width, dtype=torch.bool, device=query.device).triu(1), -torch.inf)
        in_prefix = (query.reshape(n_kv, -1, dim) @ prefix_keys.transpose(-1, -2)).view(n_kv, copies, group, width, length)
        rows = torch.cat([in_prefix, in_window], dim=-1).softmax(-1, dtype=accumulation_dtype(query.dtype)).to(query.dtype)
        out = (rows[..., :length].reshape(n_kv, copies * group * width, length) @ prefix_values).view(query.shape)
        return out.add_((rows[..., length:].flatten(2, 3) @ value).view(query.shape))
