"""Cheap seconds from the logit lens: where the prediction last flips, and the layers' entropy.

``flip_depth`` = mean over window positions of l / L. l is the first layer from which on the token
that is ranked first is the final one: the last layer with another, plus 1. Range [1/L, 1].
Direction: none claimed. ``lens_entropy`` = mean over layers and window positions of the entropy of
the lens's prediction, >= 0, in nats. Source: arXiv 2502.16570, which reads the profile over layers.
Direction: none. Our reading: its mean over layers, as one number.
"""

import numpy as np

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays
from wor.measures.measure import PublishedMeasure, mean


def compute_flip(item: ItemArrays, settings: Measures) -> float:
    """Return the mean depth of the last flip, as a share of the layers."""
    return mean(item.arrays["lens_flip"]) / item.arrays["lens_entropy"].shape[-1]


def compute_entropy(item: ItemArrays, settings: Measures) -> float:
    """Return the mean entropy over layers and window tokens."""
    return float(item.arrays["lens_entropy"][0].mean(dtype=np.float64))


PUBLISHED = (
    PublishedMeasure(
        "flip_depth",
        "prediction flip",
        compute_flip,
        ("lens_flip", "lens_entropy"),
        family="Logit lens",
        kind="second",
        formula="mean over t of (1 + the last l whose argmax isn't the final one) / L",
        range="1/L to 1",
        units="share of layers",
        direction=0,
        source="this study",
    ),
    PublishedMeasure(
        "lens_entropy",
        "lens entropy",
        compute_entropy,
        ("lens_entropy",),
        family="Logit lens",
        kind="second",
        formula="mean over l and t of H(p(l, t))",
        range=">= 0",
        units="nats",
        direction=0,
        source="arXiv 2502.16570",
        reading="the mean over layers of the paper's profile",
    ),
)
