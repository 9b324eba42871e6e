"""Stability of intermediate beliefs, SIB: how alike hidden states stay under rewording.

SIB = -log(1 - c), where c is the mean over paraphrases of cos(b, b'). b is the residual stream at
one layer, averaged over the window and centred on the reference. b' is the same under a paraphrase
of the prompt, with the same continuation teacher-forced. Range [-log 2, -log MIN_DISTANCE], nats:
higher is less change. Hypothesis: higher in reasoning. The measure is this project's.

The cosines crowd below 1, where one unlike paraphrase outweighs all others. On the log scale the
paraphrases of a calibration control agree far better (benchmarks/SIB.md).
"""

import math

import numpy as np

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays

MIN_DISTANCE = 1e-6  # 1 - cosine; less is rounding of float32


def layer_index(depth: float, n_layers: int) -> int:
    """Return the index into [L + 1] hidden states: depth 0 is the embedding, 1 the last layer."""
    return round(depth * n_layers)


def sib(cosine: np.ndarray, layer: int, scale: str = "log_distance") -> float:
    """Return -log(1 - c) at ``layer``, or c itself for the scale "cosine"; NaN if all are missing.

    ``cosine``, [P, L + 1], has NaN rows for missing paraphrases. ``layer`` is from `layer_index`.
    """
    values = cosine[:, layer].astype(np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        return math.nan
    mean = float(values.mean())
    return mean if scale == "cosine" else -math.log(max(1 - mean, MIN_DISTANCE))


def compute(item: ItemArrays, settings: Measures) -> float:
    """Return `sib` of an item's stored cosines, at the preset depth."""
    cosine = item.arrays["cosine"]
    return sib(cosine, layer_index(settings.sib_depth, cosine.shape[1] - 1), settings.sib)
