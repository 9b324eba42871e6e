"""The engine's attention: transformers' own sdpa, and two things that sdpa alone can't give.

Registered with transformers as "wor". While `recording`, the rows of a few queries are worked out beside
the forward pass and reduced to entropies at once; no other row and no T x T matrix ever exists. While
`sharing`, the queries are copies of one window that all see one prefix, whose keys and values are neither
computed again nor copied.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "wor"
BYTES = 2**22  # of attention rows at once, so that they stay in the processor's cache
_mode: ContextVar[Rows | Prefix | None] = ContextVar("attention mode", default=None)


def _attention(module, query, key, value, attention_mask, scaling=None, dropout=0.0, **kwargs):
    mode = _mode.get()
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    if isinstance(mode, Prefix):
        return mode.attend(module.layer_idx, query, key, value, scaling), None
    if query.shape[2] == 1 and mode is None:
        return _one_query(query, key, value, attention_mask, scaling), None
    out, _ = sdpa_attention_forward(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs)
    if isinstance(mode, Rows):
        mode.record(query, key, value, scaling, out)
    return out, None


def _one_query(query, key, value, mask, scaling) -> torch.Tensor:
    """A decoding step, one query a sequence: sdpa would copy the whole cache for each query head of a group.

    query [B, H, 1, Dh], key and value [B, KV, T, Dh], mask [B, 1, 1, T] of booleans or None -> [B, 1, H, Dh].
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
def _mode_set(mode):
    token = _mode.set(mode)
    try:
        yield mode
    finally:
        _mode.reset(token)


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """float32, or float64 where the model is in it: what softmaxes and sums are taken in."""
    return torch.promote_types(dtype, torch.float32)


def entropies(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Shannon entropy of attention rows in nats, and the same without the first key (the attention sink).

    ``[..., keys] -> [...]`` twice, 0 log 0 = 0. The second is of the other keys' weights p / S, S their
    sum, which is ``sum(-p log p) / S + log S``; 0 where no other key has any weight.
    """
    terms = torch.special.entr(rows)
    rest, weight = terms[..., 1:].sum(-1), rows[..., 1:].sum(-1)
    without = torch.where(weight > 0, rest / weight + weight.log(), 0.0)
    return terms.sum(-1), without.clamp_min(0)


class Rows:
    """What `recording` keeps of one unpadded sequence: a list entry a layer.

    entropy, no_sink : [H, W]. keys, values : [KV, start, Dh], of everything before the window.
    error : when ``checked``, how far the rows are from summing to 1, or from giving the forward pass's own
        output, in its standard deviations.
    """

    def __init__(self, start: int, end: int, checked: bool):
        self.start, self.end, self.checked = start, end, checked
        self.entropy, self.no_sink, self.keys, self.values = [], [], [], []
        self.error = 0.0

    def record(self, query, key, value, scaling, out) -> None:
        """query [1, H, T, Dh], key and value [1, KV, T, Dh], out [1, T, H, Dh]."""
        kv, dtype = key.shape[1], accumulation_dtype(query.dtype)
        queries = query[0, :, self.start : self.end].unflatten(0, (kv, -1))  # [KV, G, W, Dh]
        keys = key[0, :, None, : self.end]
        scores = queries.to(dtype) @ keys.to(dtype).transpose(-1, -2) * scaling
        places = torch.arange(self.end, device=query.device)
        rows = scores.masked_fill(places > places[self.start :, None], -torch.inf).softmax(-1)
        plain, no_sink = entropies(rows)
        self.entropy.append(plain.flatten(0, 1))
        self.no_sink.append(no_sink.flatten(0, 1))
        self.keys.append(key[0, :, : self.start])
        self.values.append(value[0, :, : self.start])
        if self.checked:
            again = (rows @ value[0, :, None, : self.end].to(dtype)).flatten(0, 1).transpose(0, 1)
            own = out[0, self.start : self.end].to(dtype)
            differences = ((again - own) / own.std(), rows.sum(-1) - 1)
            self.error = max(self.error, *(difference.abs().max().item() for difference in differences))


class Prefix:
    """Keys and values of a clean prefix, per layer [KV, P, Dh], which every copy of the window sees."""

    def __init__(self, keys: list[torch.Tensor], values: list[torch.Tensor]):
        self.keys, self.values = keys, values

    def attend(self, layer: int, query, key, value, scaling) -> torch.Tensor:
        """Causal attention of copies of a window over the prefix and over themselves.

        query [C, H, W, Dh], key and value [C, KV, W, Dh] -> [C, W, H, Dh].
        """
        kv = key.shape[1]
        query = (query * scaling).unflatten(1, (kv, -1)).transpose(0, 1)  # [KV, C, G, W, Dh]
        parts = (query, key.transpose(0, 1), value.transpose(0, 1))
        copies = max(1, BYTES // (4 * query[:, 0, ..., 0].numel() * (self.keys[layer].shape[1] + query.shape[3])))
        found = [self._attend(layer, *some) for some in zip(*(part.split(copies, dim=1) for part in parts), strict=True)]
        out = torch.cat(found, dim=1)
        return out.permute(1, 3, 0, 2, 4).flatten(2, 3)

    def _attend(self, layer: int, query, key, value) -> torch.Tensor:
        """All copies' queries meet the prefix in one product, as if they were one long window."""
        before_k, before_v = self.keys[layer], self.values[layer]
        kv, copies, group, width, dim = query.shape
        length = before_k.shape[1]
        own = (query.flatten(2, 3) @ key.transpose(-1, -2)).unflatten(2, (group, width))  # [KV, C, G, W, W]
        own.masked_fill_(torch.ones(width, width, dtype=torch.bool, device=query.device).triu(1), -torch.inf)
        before = (query.reshape(kv, -1, dim) @ before_k.transpose(-1, -2)).view(kv, copies, group, width, length)
        rows = torch.cat([before, own], dim=-1).softmax(-1, dtype=accumulation_dtype(query.dtype)).to(query.dtype)
        out = (rows[..., :length].reshape(kv, copies * group * width, length) @ before_v).view(query.shape)
        return out.add_((rows[..., length:].flatten(2, 3) @ value).view(query.shape))


def recording(start: int, end: int, checked: bool = False):
    """Context manager: entropies of the queries start..end, and the keys and values before them."""
    return _mode_set(Rows(start, end, checked))


def sharing(keys: list[torch.Tensor], values: list[torch.Tensor]):
    """Context manager: a batch is copies of one window, each continuing this prefix."""
    return _mode_set(Prefix(keys, values))
