"""Deep-thinking ratio, DTR, a published rival: the share of tokens that settle in late layers.

Source: Chen et al. 2026, arXiv 2602.13517. DTR = share of window tokens whose prediction settles
only in the last part of the layers. A layer's prediction comes from the logit lens, with the final
norm before the unembedding. It has settled where its Jensen-Shannon divergence from the last
layer's was at most g in some layer so far. Range [0, 1]. Direction: higher in reasoning.

We depart from the paper in two points. Algorithm 1 prints ceil((1 - rho) L), but its text, its
figure 3 and its rho = 0.85 mean the last layers. We take ceil(rho L). Divergence is in bits here,
so that it has the range of g, [0, 1].
"""

import math

import numpy as np

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays


def settling_depth(jsd: np.ndarray, g: float) -> np.ndarray:
    """Return the first layer, from 1 to L, at which the divergence so far was at most ``g``: [W].

    ``jsd``, [L, W] in bits, is the divergence of each layer's prediction from the last's. Its last
    row is 0. ``g`` is in [0, 1].
    """
    return 1 + (np.minimum.accumulate(jsd, axis=0) <= g).argmax(0)


def dtr(jsd: np.ndarray, g: float, rho: float) -> float:
    """Return the share of tokens that settle at layer ceil(rho * L) or later; NaN if empty."""
    used = jsd[:, ~np.isnan(jsd).all(0)]
    if not used.size:
        return float("nan")
    return float((settling_depth(used, g) >= math.ceil(rho * len(used))).mean())


def compute(item: ItemArrays, settings: Measures) -> float:
    """Return `dtr` of an item's stored divergences."""
    return dtr(item.arrays["jsd"], settings.dtr_g, settings.dtr_rho)
