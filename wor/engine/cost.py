"""What the engine's passes cost, in tokens through all layers: enough to say how much of a stage is done.

`wor.plan` counts the same passes in FLOPs, from items that the model has not continued yet.
"""

from __future__ import annotations

from wor.engine.model import LM


def step(rows: int) -> float:
    """A decoding step of ``rows`` rows.

    Measured on a CPU in float32 with 1 to 48 rows, on 1 and 2 threads, to a quarter: weights are read once a step,
    whatever the rows, and a row costs more than a prompt's token, for its keys are copied and its logits drawn from.
    """
    return 23 + 2.7 * rows


def unembedding(lm: LM) -> float:
    """A token's logits."""
    return lm.unembed.weight.numel() / sum(part.numel() for layer in lm.layers for part in layer.block.parameters())


def window(lm: LM, width: int, copies: float, lens: bool = False) -> float:
    """A window of ``width`` tokens in ``copies`` changed copies a layer, each from its layer on, all unembedded.

    ``lens``: with the logit lens of every layer.
    """
    return width * (copies * (lm.n_layers - 1) / 2 + (copies + lens) * lm.n_layers * unembedding(lm))
