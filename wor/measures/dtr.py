"""DTR, the deep-thinking ratio (Chen et al. 2026, arXiv 2602.13517): the published rival."""

from __future__ import annotations

import math

import numpy as np

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays


def settling_depth(jsd: np.ndarray, g: float) -> np.ndarray:
    """First layer, counted from 1, at which the running minimum of the divergence is at most ``g``.

    Parameters
    ----------
    jsd : [L, W] divergence of each layer's prediction from the last layer's, bits; the last row is 0.
    g : threshold in [0, 1].

    Returns
    -------
    [W] in 1..L.
    """
    return 1 + (np.minimum.accumulate(jsd, axis=0) <= g).argmax(0)


def dtr(jsd: np.ndarray, g: float, rho: float) -> float:
    """Share of window tokens that settle only at layer ceil(rho * L) or later. In [0, 1], or NaN.

    The paper's Algorithm 1 prints ceil((1 - rho) L); its text, its figure 3 and its rho = 0.85 speak of
    the last part of the layers, which is what this takes. Divergence is in bits here, so that it and g
    share the range [0, 1]. The final norm is applied before the unembedding.
    """
    used = jsd[:, ~np.isnan(jsd).all(0)]
    if not used.size:
        return float("nan")
    return float((settling_depth(used, g) >= math.ceil(rho * len(used))).mean())


def compute(item: ItemArrays, settings: Measures) -> float:
    """`dtr` of an item's stored divergences."""
    return dtr(item.arrays["jsd"], settings.dtr_g, settings.dtr_rho)
