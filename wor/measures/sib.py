"""Stability of intermediate beliefs, SIB: how alike hidden states stay under rewording.

SIB = mean over paraphrases of cos(b, b'). b is the residual stream at one layer, averaged over the
window and centred on calibration controls. b' is the same under a paraphrase of the prompt, with
the same continuation teacher-forced. Range [-1, 1]: 1 is no change. Hypothesis: higher in
reasoning. The measure is this project's.
"""

import numpy as np

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays


def layer_index(depth: float, n_layers: int) -> int:
    """Return the index into [L + 1] hidden states: depth 0 is the embedding, 1 the last layer."""
    return round(depth * n_layers)


def sib(cosine: np.ndarray, layer: int) -> float:
    """Return the mean over paraphrases of the cosine at ``layer``; [-1, 1], NaN if all are missing.

    ``cosine``, [P, L + 1], has NaN rows for missing paraphrases. ``layer`` is from `layer_index`.
    """
    values = cosine[:, layer].astype(np.float64)
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")


def compute(item: ItemArrays, settings: Measures) -> float:
    """Return `sib` of an item's stored cosines, at the preset depth."""
    cosine = item.arrays["cosine"]
    return sib(cosine, layer_index(settings.sib_depth, cosine.shape[1] - 1))
