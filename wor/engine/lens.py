"""The logit lens: what each layer would predict if the model stopped there."""

from __future__ import annotations

import math

import torch

from wor.engine.model import LM

CHUNK = 8  # layers whose predictions are in memory at once: W x vocabulary floats each, a few times over


@torch.inference_mode()
def settling(lm: LM, hidden: torch.Tensor) -> torch.Tensor:
    """Jensen-Shannon divergence of each layer's logit-lens prediction from the final one, in bits.

    JSD(p, q) = H((p + q) / 2) - H(p) / 2 - H(q) / 2, with p the softmax of the unembedding of the
    normed residual stream after a layer, q after the last.

    Parameters
    ----------
    hidden : [L + 1, W, D] residual stream; index 0, the embedding, is not a layer and is left out.

    Returns
    -------
    [L, W] in [0, 1]; the last row is 0.
    """
    log_q = lm.logits(hidden[-1]).log_softmax(-1)
    q = log_q.exp()
    own = _entropy(q, log_q)
    parts = []
    for first in range(1, len(hidden), CHUNK):
        log_p = lm.logits(hidden[first : first + CHUNK]).log_softmax(-1)
        p = log_p.exp()
        of_p = _entropy(p, log_p)
        middle = p.add_(q).div_(2)
        log_middle = torch.log(middle.clamp_min(torch.finfo(middle.dtype).tiny), out=log_p)
        parts.append(_entropy(middle, log_middle) - (of_p + own) / 2)
    return (torch.cat(parts) / math.log(2)).clamp(0, 1)


def _entropy(p: torch.Tensor, log_p: torch.Tensor) -> torch.Tensor:
    return -torch.linalg.vecdot(p, log_p)
