"""Predictions over the vocabulary, a block of tokens at a time.

A 49k vocabulary makes logits the largest arrays by far, and passes over them the slowest. A block of
logits stays in the processor's cache while everything that is wanted of it is added up. Whole rows exist only
for a clean window, for LAYERS layers of a window in `divergence`, and for rows of `kl` that overflow.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch.nn.functional import linear

from wor.engine.model import LM

BLOCK = 2048  # tokens of the vocabulary
ROWS = 512  # rows in memory at once: 4 MiB a block in float32
LENS_LAYERS = 8  # layers in memory at once in `divergence`: W x vocabulary floats each


def _blocks(lm: LM) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, lm.unembed.weight.shape[0], BLOCK)]


def _logits(lm: LM, normed: torch.Tensor, block: slice) -> torch.Tensor:
    logits = linear(normed, lm.unembed.weight[block])
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def kl(lm: LM, clean: torch.Tensor, changed: torch.Tensor) -> torch.Tensor:
    """KL(clean || changed) of the next-token distributions, nats.

    With p the clean distribution and d the difference of logits, less its value at the clean pass's first
    choice, KL = log(1 + E_p[e^d - 1]) - E_p[d]: small divergences come from small numbers, not from the
    difference of two large ones, and the argument of the logarithm is at least that choice's probability.
    Unembedding is linear, so d is the unembedding of a difference.

    Parameters
    ----------
    clean : [W, D] final residual stream. changed : [C, W, D].

    Returns
    -------
    [C, W], >= 0.
    """
    logits = lm.logits(clean)
    p = logits.softmax(-1)
    columns = lm.unembed.weight[logits.argmax(-1)]  # [W, D]
    normed = lm.norm(clean)
    found = []
    for part in changed.split(max(1, ROWS // len(clean))):
        change = lm.norm(part) - normed
        shift = torch.linalg.vecdot(change, columns).to(p.dtype)[..., None]
        mean, growth = 0.0, 0.0
        for block in _blocks(lm):
            d = _logits(lm, change, block).sub_(shift)
            mean = mean + torch.linalg.vecdot(d, p[:, block])
            growth = growth + torch.linalg.vecdot(d.expm1_(), p[:, block])
        found.append(growth.log1p() - mean)
        overflown = ~found[-1].isfinite()  # e^d beyond the float range: the plain formula, for these rows
        if overflown.any():
            places = overflown.nonzero(as_tuple=True)
            log_q = lm.logits(part[places]).log_softmax(-1)
            found[-1][places] = torch.linalg.vecdot(p[places[1]], logits[places[1]].log_softmax(-1) - log_q)
    return torch.cat(found).clamp_min(0)


class Scores(NamedTuple):
    """Of each token that was scored, [N]: its log-probability at temperature 1 given all before it, and the entropy of
    the distribution that it was drawn from, both in nats."""

    log_prob: torch.Tensor
    entropy: torch.Tensor


def scores(lm: LM, hidden: torch.Tensor, targets: torch.Tensor) -> Scores:
    """Of each target after the residual stream before it: ``[N, D], [N] -> [N], [N]``.

    H = log Z - E_p[logit], with E_p put together from each block's own mean and share of Z.
    """
    log_prob, entropy = [], []
    for rows, wanted in zip(hidden.split(ROWS), targets.split(ROWS), strict=True):
        normed = lm.norm(rows)
        own = torch.empty(len(rows), dtype=torch.promote_types(hidden.dtype, torch.float32), device=hidden.device)
        totals, means = [], []
        for block in _blocks(lm):
            logits = _logits(lm, normed, block)
            totals.append(logits.logsumexp(-1))
            here = ((wanted >= block.start) & (wanted < block.stop)).nonzero()[:, 0]
            own[here] = logits[here, wanted[here] - block.start]
            means.append(torch.linalg.vecdot((logits - totals[-1][:, None]).exp_(), logits))
        total = torch.stack(totals).logsumexp(0)
        shares = (torch.stack(totals) - total).exp_()
        log_prob.append(own - total)
        entropy.append((total - torch.linalg.vecdot(shares, torch.stack(means), dim=0)).clamp_min(0))
    return Scores(torch.cat(log_prob), torch.cat(entropy))


def argmax_token(lm: LM, hidden: torch.Tensor) -> torch.Tensor:
    """The token ranked first after each residual stream, the lower of two that tie: ``[..., D] -> [...]``."""
    found = []
    for rows in hidden.flatten(0, -2).split(ROWS):
        normed = lm.norm(rows)
        tops = [_logits(lm, normed, block).max(-1) for block in _blocks(lm)]
        values, places = torch.stack([top.values for top in tops]), torch.stack([top.indices for top in tops])
        block = values.argmax(0)
        found.append(block * BLOCK + places.gather(0, block[None])[0])
    return torch.cat(found).view(hidden.shape[:-1])


def logit_lens_jsd(lm: LM, hidden: torch.Tensor, final: torch.Tensor) -> torch.Tensor:
    """Jensen-Shannon divergence of each layer's prediction from the final one, bits.

    JSD(p, q) = H((p + q) / 2) - H(p) / 2 - H(q) / 2.

    Parameters
    ----------
    hidden : [L, W, D] residual stream after each layer. final : [W, D].

    Returns
    -------
    [L, W] in [0, 1].
    """
    log_q = lm.logits(final).log_softmax(-1)
    q = log_q.exp()
    entropy_q = -torch.linalg.vecdot(q, log_q)
    q += torch.finfo(q.dtype).tiny  # keeps log(p + q) finite where both have underflown
    blocks, found = _blocks(lm), []
    for part in hidden.split(LENS_LAYERS):
        normed = lm.norm(part)
        kept = [_logits(lm, normed, block) for block in blocks]
        largest = torch.stack([logits.amax(-1) for logits in kept]).amax(0)[..., None]
        # With e = exp(logits - largest) and Z its sum: H(p) = log Z - sum e (logits - largest) / Z.
        total, weighted, entropy_sum = 0.0, 0.0, 0.0
        for index, logits in enumerate(kept):
            logits -= largest
            kept[index] = logits.exp()
            total = total + kept[index].sum(-1)
            weighted = weighted + torch.linalg.vecdot(kept[index], logits)
        for block, e in zip(blocks, kept, strict=True):
            both = e.div_(total[..., None]).add_(q[:, block])
            entropy_sum = entropy_sum - torch.linalg.vecdot(both, both.log())
        # H((p + q) / 2) = log 2 + H(p + q) / 2 with H(x) = -sum x log x
        found.append(math.log(2) + (entropy_sum - (total.log() - weighted / total) - entropy_q) / 2)
    return (torch.cat(found) / math.log(2)).clamp(0, 1)
