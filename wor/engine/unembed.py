"""Compute predictions over the vocabulary, one block of tokens at a time.

Over a vocabulary of 49k, logits are by far the largest arrays and the slowest to pass over. Each
block is reduced while it is in the processor's cache. Whole rows of logits exist only for a clean
window, for LENS_LAYERS layers in `logit_lens`, and for rows in `kl` that overflow.
"""

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import linear

from wor.engine.attention import accumulation_dtype

BLOCK = 2048  # tokens of the vocabulary
ROWS = 512  # rows in memory at once; a block takes 4 MiB in float32
LENS_LAYERS = 8  # layers in memory at once in `logit_lens`, each of W x vocabulary numbers
DEVICE_SCALE = 8  # a device other than a CPU has no such cache, and takes blocks and rows so many times larger


class Readout:
    """Read logits from a final residual stream: softcap(unembed(norm(hidden)) / divisor).

    With a softcap c, logits are c tanh(logits / c) (Gemma). Without one, they are linear in what
    `normed` returns.
    """

    norm: nn.Module
    unembed: nn.Module
    divisor: float = 1
    softcap: float | None = None

    def normed(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return what the unembedding reads of residual streams, after the final norm."""
        normed = self.norm(hidden)
        return normed if self.divisor == 1 else normed / self.divisor

    def cap(self, logits: torch.Tensor) -> torch.Tensor:
        """Return logits after the softcap, in float32 at least."""
        logits = logits.to(accumulation_dtype(logits.dtype))
        return logits if self.softcap is None else self.softcap * (logits / self.softcap).tanh()

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits [..., V] of residual streams [..., D], in float32 at least."""
        return self.cap(self.unembed(self.normed(hidden)))

    def cap_change(self, change: torch.Tensor, capped: torch.Tensor) -> torch.Tensor:
        """Return by how much ``capped`` logits change if they change by ``change`` before the cap.

        With t = capped / c and u = tanh(change / c), it is c (tanh(a + b) - tanh(a)) =
        c u (1 - t^2) / (1 + t u): no difference of two nearly equal numbers.
        """
        if self.softcap is None:
            return change
        t, u = capped / self.softcap, (change / self.softcap).tanh()
        return self.softcap * u * (1 - t * t) / (1 + t * u)


def _sizes(lm: Readout) -> tuple[int, int]:
    """Return the tokens of a block, and the rows in memory at once, on the model's device."""
    scale = 1 if lm.unembed.weight.device.type == "cpu" else DEVICE_SCALE
    return scale * BLOCK, scale * ROWS


def _blocks(lm: Readout) -> list[slice]:
    size, _ = _sizes(lm)
    return [slice(start, start + size) for start in range(0, lm.unembed.weight.shape[0], size)]


def _uncapped(lm: Readout, normed: torch.Tensor, block: slice) -> torch.Tensor:
    logits = linear(normed, lm.unembed.weight[block])
    return logits.to(accumulation_dtype(logits.dtype))


def _logits(lm: Readout, normed: torch.Tensor, block: slice) -> torch.Tensor:
    return lm.cap(_uncapped(lm, normed, block))


def kl(lm: Readout, clean: torch.Tensor, changed: torch.Tensor) -> torch.Tensor:
    """Return KL(clean || changed) of the predictions, nats, >= 0: ``[W, D], [C, W, D] -> [C, W]``.

    Let p be the clean distribution and d the difference of logits, less its value at the clean
    argmax. Then KL = log(1 + E_p[e^d - 1]) - E_p[d]. So a small KL is not the difference of two
    large numbers, and the logarithm's argument is at least the argmax's probability. Unembedding is
    linear, so d is the unembedding of a difference of final residual streams, before a softcap.
    """
    logits = lm.logits(clean)
    p = logits.softmax(-1)
    argmax = logits.argmax(-1)
    argmax_weights, argmax_logits = lm.unembed.weight[argmax], logits.gather(-1, argmax[:, None])[:, 0]  # [W, D], [W]
    normed = lm.normed(clean)
    divergences = []
    for copies in changed.split(max(1, _sizes(lm)[1] // len(clean))):
        change = lm.normed(copies) - normed
        shift = lm.cap_change(torch.linalg.vecdot(change, argmax_weights).to(p.dtype), argmax_logits)[..., None]
        mean = growth = torch.zeros((), device=p.device)
        for block in _blocks(lm):
            d = lm.cap_change(_uncapped(lm, change, block), logits[:, block]).sub_(shift)
            mean = mean + torch.linalg.vecdot(d, p[:, block])
            growth = growth + torch.linalg.vecdot(d.expm1_(), p[:, block])
        divergence = growth.log1p() - mean
        overflow = (~divergence.isfinite()).nonzero(as_tuple=True)  # e^d beyond the float range
        if len(overflow[0]):  # the plain formula, for these rows
            log_q = lm.logits(copies[overflow]).log_softmax(-1)
            divergence[overflow] = torch.linalg.vecdot(p[overflow[1]], logits[overflow[1]].log_softmax(-1) - log_q)
        divergences.append(divergence)
    return torch.cat(divergences).clamp_min(0)


class Scores(NamedTuple):
    """Log-probability of each token at temperature 1, and entropy of its prediction: [N], nats."""

    log_prob: torch.Tensor
    entropy: torch.Tensor


def score_targets(lm: Readout, hidden: torch.Tensor, targets: torch.Tensor) -> Scores:
    """Score each target token [N], given the final residual stream [N, D] before it.

    H = log Z - E_p[logit], where E_p combines each block's own mean by its share of Z.
    """
    log_prob, entropy = [], []
    size = _sizes(lm)[1]
    for rows, tokens in zip(hidden.split(size), targets.split(size), strict=True):
        normed = lm.normed(rows)
        target_logits = torch.empty(len(rows), dtype=accumulation_dtype(hidden.dtype), device=hidden.device)
        log_sums, means = [], []
        for block in _blocks(lm):
            logits = _logits(lm, normed, block)
            log_sums.append(logits.logsumexp(-1))
            in_block = ((tokens >= block.start) & (tokens < block.stop)).nonzero()[:, 0]
            target_logits[in_block] = logits[in_block, tokens[in_block] - block.start]
            means.append(torch.linalg.vecdot((logits - log_sums[-1][:, None]).exp_(), logits))
        log_z = torch.stack(log_sums).logsumexp(0)
        shares = (torch.stack(log_sums) - log_z).exp_()
        log_prob.append(target_logits - log_z)
        entropy.append((log_z - torch.linalg.vecdot(shares, torch.stack(means), dim=0)).clamp_min(0))
    return Scores(torch.cat(log_prob), torch.cat(entropy))


def argmax_token(lm: Readout, hidden: torch.Tensor) -> torch.Tensor:
    """Return the token ranked first: ``[..., D] -> [...]``. Of equal logits, the lower wins."""
    tokens = []
    block, size = _sizes(lm)
    for rows in hidden.flatten(0, -2).split(size):
        normed = lm.normed(rows)
        maxima = [_logits(lm, normed, block).max(-1) for block in _blocks(lm)]
        best_block = torch.stack([maximum.values for maximum in maxima]).argmax(0)
        indices = torch.stack([maximum.indices for maximum in maxima])
        tokens.append(best_block * block + indices.gather(0, best_block[None])[0])
    return torch.cat(tokens).view(hidden.shape[:-1])


class Lens(NamedTuple):
    """What the logit lens reads after each layer, against the final prediction: [L, W] each.

    jsd : Jensen-Shannon divergence in bits, in [0, 1].
    kl : KL(layer || final), nats, >= 0. entropy : of the layer's prediction, nats.
    probability : of the token that is ranked first at the end. ranked_first : whether it is here.
    """

    jsd: torch.Tensor
    kl: torch.Tensor
    entropy: torch.Tensor
    probability: torch.Tensor
    ranked_first: torch.Tensor


def logit_lens(lm: Readout, hidden: torch.Tensor, final: torch.Tensor) -> Lens:
    """Compare each layer's prediction p with the final one, q.

    The residual streams after each layer and at the end are ``hidden``, [L, W, D], and ``final``,
    [W, D]. The final norm is applied to both here, so neither may be normed already.
    JSD(p, q) = H((p + q) / 2) - H(p) / 2 - H(q) / 2.
    """
    log_q = lm.logits(final).log_softmax(-1)
    q, argmax = log_q.exp(), log_q.argmax(-1)
    entropy_q = -torch.linalg.vecdot(q, log_q)
    q += torch.finfo(q.dtype).tiny  # keeps log(p + q) finite where both underflow
    blocks, parts = _blocks(lm), []
    in_block = [((argmax >= block.start) & (argmax < block.stop)).nonzero()[:, 0] for block in blocks]
    for layers in hidden.split(LENS_LAYERS):
        normed = lm.normed(layers)
        by_block = [_logits(lm, normed, block) for block in blocks]
        largest = torch.stack([logits.amax(-1) for logits in by_block]).amax(0)[..., None]
        # With e = exp(logits - largest) and Z its sum: H(p) = log Z - sum e (logits - largest) / Z.
        z = weighted = crossed = entropy_sum = torch.zeros((), device=q.device)
        top = torch.empty_like(largest[..., 0])  # logits - largest of the final argmax
        for index, (block, logits, rows) in enumerate(zip(blocks, by_block, in_block, strict=True)):
            logits -= largest
            top[:, rows] = logits[:, rows, argmax[rows] - block.start]
            by_block[index] = logits.exp()
            z = z + by_block[index].sum(-1)
            weighted = weighted + torch.linalg.vecdot(by_block[index], logits)
            crossed = crossed + torch.linalg.vecdot(by_block[index], log_q[:, block])
        for block, e in zip(blocks, by_block, strict=True):
            p_plus_q = e.div_(z[..., None]).add_(q[:, block])
            entropy_sum = entropy_sum - torch.linalg.vecdot(p_plus_q, p_plus_q.log())
        entropy = z.log() - weighted / z
        # H((p + q) / 2) = log 2 + H(p + q) / 2 with H(x) = -sum x log x
        jsd = (math.log(2) + (entropy_sum - entropy - entropy_q) / 2) / math.log(2)
        kl = (-entropy - crossed / z).clamp_min(0)
        parts.append(Lens(jsd.clamp(0, 1), kl, entropy.clamp_min(0), top.exp() / z, top >= 0))
    return Lens(*map(torch.cat, zip(*parts, strict=True)))
