"""The logit lens: what each layer would predict if the model stopped there."""

from __future__ import annotations

import math

import torch

from wor.engine.model import LM


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
    rows = []
    for layer in hidden[1:]:
        log_p = lm.logits(layer).log_softmax(-1)
        p = log_p.exp()
        middle = (p + q).div_(2)
        rows.append(_entropy(middle, middle.clamp_min(torch.finfo(middle.dtype).tiny).log_()) - (_entropy(p, log_p) + own) / 2)
    return (torch.stack(rows) / math.log(2)).clamp(0, 1)


def _entropy(p: torch.Tensor, log_p: torch.Tensor) -> torch.Tensor:
    return -torch.linalg.vecdot(p, log_p)
