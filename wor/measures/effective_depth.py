"""Effective depth: the share of the layers after which a model only refines its prediction.

Source: arXiv 2512.14064 and 2505.13898, and the authors' code. All are of means over the window.

- ED-KL: the first layer l with KL(p(l) || p(L)) < theta max over l of it. p(l) is the logit lens's
  prediction after layer l. theta is 0.1 or 0.5.
- ED-cos: the last layer at which cosines turn from negative to not negative. The cosine is the mean
  of three: attention's output with the stream before it, the MLP's likewise, the whole layer's.
- Block influence: 1 - cosine of the stream before and after layer l. Its depth is the mean of
  (l - 1)/(L - 1), weighted by it: 0 is the first layer, 1 the last.

Range [0, 1], as shares of the layers. Direction: **none**. The authors find no rise with
difficulty, so the others are to be read against it. ED-KL takes the outputs of layers 1..L. The
authors take the inputs, so that the embedding is among them and the last layer isn't. ED-cos is NaN
where no cosine turns, where their code ends with an error.
"""

from functools import partial

import numpy as np

from wor.config.params import Measures
from wor.measures.apl import layer_effects, mean_depth
from wor.measures.item_arrays import ItemArrays
from wor.measures.measure import PublishedMeasure


def depth_of_kl(kl: np.ndarray, theta: float) -> float:
    """Return the share of the layers up to ED-KL's, ``[L]`` nats; NaN without a KL above 0."""
    if not kl.max() > 0:
        return float("nan")
    return float((kl < theta * kl.max()).argmax() + 1) / len(kl)


def depth_of_turn(cosine: np.ndarray) -> float:
    """Return the share of the layers up to the last l with cosine[l] < 0 <= cosine[l + 1]."""
    turns = np.flatnonzero((cosine[:-1] < 0) & (cosine[1:] >= 0))
    return float(turns[-1] + 1) / len(cosine) if len(turns) else float("nan")


def compute_kl(item: ItemArrays, settings: Measures, theta: float) -> float:
    """Return ED-KL of the window's mean KLs."""
    return depth_of_kl(layer_effects(item.arrays["lens_kl"]), theta)


def compute_cosine(item: ItemArrays, settings: Measures) -> float:
    """Return ED-cos of the window's mean cosines."""
    return depth_of_turn(item.arrays["part_cosine"][0].astype(np.float64).mean(0))


def compute_influence(item: ItemArrays, settings: Measures) -> float:
    """Return the depth of the window's mean block influences."""
    return mean_depth(item.arrays["block_influence"][0].astype(np.float64))


_published = partial(
    PublishedMeasure,
    family="Effective depth",
    range="0 to 1",
    units="share of layers",
    direction=0,
    source="arXiv 2512.14064, 2505.13898",
)
_KL = "first l with KL(p(l) || p(L)) < theta max KL, over L"
_TURN = "last l where the parts' mean cosine with the stream turns from < 0 to >= 0, over L"
_INFLUENCE = "depth (l - 1)/(L - 1) weighted by 1 - cos(h(l-1), h(l))"
PUBLISHED = (
    _published("ed_kl_010", "ED-KL, 0.1", partial(compute_kl, theta=0.1), ("lens_kl",), kind="rival", formula=_KL),
    _published("ed_kl_050", "ED-KL, 0.5", partial(compute_kl, theta=0.5), ("lens_kl",), kind="variant", formula=_KL),
    _published("ed_cosine", "ED-cos", compute_cosine, ("part_cosine",), kind="rival", formula=_TURN),
    _published(
        "block_depth", "block influence depth", compute_influence, ("block_influence",), kind="variant", formula=_INFLUENCE
    ),
)
