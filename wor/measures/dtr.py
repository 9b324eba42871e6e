"""Deep-thinking ratio, DTR, a published rival: the share of tokens that settle in late layers.

Source: Chen et al. 2026, arXiv 2602.13517. DTR = share of window tokens whose prediction settles
only in the last part of the layers. A layer's prediction comes from the logit lens, with the final
norm before the unembedding. It has settled where its Jensen-Shannon divergence from the last
layer's was at most g in some layer so far. Range [0, 1]. Direction: higher in reasoning.

We depart from the paper in two points. Algorithm 1 prints ceil((1 - rho) L), but its text, its
figure 3 and its rho = 0.85 mean the last layers. We take ceil(rho L). Divergence is in bits here,
so that it has the range of g, [0, 1].

The paper states no unit. In nats, as in two public ports, its g = 0.5 is 0.72 of the largest
divergence, in bits 0.5. So the variants sweep g as a share of the largest. ``dtr_strict`` takes the
layer after the last one above g, not the first one below. ``settling_depth`` needs no rho,
``lens_jsd`` no threshold at all.
"""

import math
from functools import partial

import numpy as np

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays
from wor.measures.measure import PublishedMeasure, mean

SHARES = (0.36, 0.72, 0.87)  # of the largest divergence, for g. That of the paper in bits is `dtr`


def settling_depth(jsd: np.ndarray, g: float) -> np.ndarray:
    """Return the first layer, from 1 to L, at which the divergence so far was at most ``g``: [W].

    ``jsd``, [L, W] in bits, is the divergence of each layer's prediction from the last's. Its last
    row is 0. ``g`` is in [0, 1].
    """
    return 1 + (np.minimum.accumulate(jsd, axis=0) <= g).argmax(0)


def strict_depth(jsd: np.ndarray, g: float) -> np.ndarray:
    """Return the layer after the last one with a divergence above ``g``, from 1 to L: [W]."""
    return 1 + (np.arange(1, len(jsd) + 1)[:, None] * (jsd > g)).max(0)


def dtr(jsd: np.ndarray, g: float, rho: float) -> float:
    """Return the share of tokens that settle at layer ceil(rho * L) or later; NaN if empty."""
    return mean(settling_depth(_window(jsd), g) >= math.ceil(rho * len(jsd)))


def _window(jsd: np.ndarray) -> np.ndarray:
    return jsd[:, ~np.isnan(jsd).all(0)]


def compute(item: ItemArrays, settings: Measures) -> float:
    """Return `dtr` of an item's stored divergences."""
    return dtr(item.arrays["jsd"], settings.dtr_g, settings.dtr_rho)


def compute_at(item: ItemArrays, settings: Measures, g: float) -> float:
    """Return `dtr` at another threshold, in bits."""
    return dtr(item.arrays["jsd"], g, settings.dtr_rho)


def compute_strict(item: ItemArrays, settings: Measures) -> float:
    """Return the share of tokens whose strict depth is ceil(rho * L) or more."""
    jsd = _window(item.arrays["jsd"])
    return mean(strict_depth(jsd, settings.dtr_g) >= math.ceil(settings.dtr_rho * len(jsd)))


def compute_depth(item: ItemArrays, settings: Measures) -> float:
    """Return the mean settling depth, as a share of the layers."""
    jsd = _window(item.arrays["jsd"])
    return mean(settling_depth(jsd, settings.dtr_g) / len(jsd))


def compute_jsd(item: ItemArrays, settings: Measures) -> float:
    """Return the mean divergence over layers and tokens, in bits."""
    return mean(item.arrays["jsd"])


_published = partial(PublishedMeasure, required_arrays=("jsd",), family="DTR", direction=1, source="arXiv 2602.13517")
_share = partial(_published, range="0 to 1", units="share of tokens")
_FIRST = "share of t with D(t) >= ceil(rho L), D the first l with JSD(l, t) <= g"
_LAST = "share of t with D(t) >= ceil(rho L), D = 1 + the last l with JSD(l, t) > g"
PUBLISHED = (
    _share("dtr", "DTR", compute, kind="rival", formula=_FIRST, reading="JSD in bits, as the paper states no unit"),
    *(
        _share(f"dtr_{share * 100:03.0f}", f"DTR, g = {share}", partial(compute_at, g=share), kind="variant", formula=_FIRST)
        for share in SHARES
    ),
    _share("dtr_strict", "DTR, last crossing", compute_strict, kind="variant", formula=_LAST),
    _published(
        "settling_depth",
        "settling depth",
        compute_depth,
        kind="variant",
        formula="mean over t of D(t) / L",
        range="1/L to 1",
        units="share of layers",
    ),
    _published(
        "lens_jsd",
        "mean lens JSD",
        compute_jsd,
        kind="variant",
        formula="mean over l and t of JSD(l, t)",
        range="0 to 1",
        units="bits",
    ),
)
