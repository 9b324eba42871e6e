"""Estimate what the engine's passes cost, to show how much of a stage is done.

The unit is one prompt token through all layers. `wor.plan` counts FLOPs, for items not yet run.
"""

from wor.engine.model import LM


def step(rows: int) -> float:
    """Return the cost of one decoding step of ``rows`` sequences.

    Measured on a CPU in float32 with 1 to 48 rows, on 1 and 2 threads; correct to a quarter. The
    constant is for reading the weights. A row costs more than a prompt's token, because its keys
    are copied and its logits sampled.
    """
    return 23 + 2.7 * rows


def unembedding(lm: LM) -> float:
    """Return the cost of one token's logits."""
    return lm.unembed.weight.numel() / sum(part.numel() for layer in lm.layers for part in layer.block.parameters())


def window(lm: LM, width: int, copies: float, lens: bool = False) -> float:
    """Return the cost of a window of ``width`` tokens with ``copies`` changed copies per layer.

    Each copy runs from its layer on and is unembedded. ``lens`` adds the logit lens of every layer.
    """
    return width * (copies * (lm.n_layers - 1) / 2 + (copies + lens) * lm.n_layers * unembedding(lm))
