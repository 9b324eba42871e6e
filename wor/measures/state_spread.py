"""Cheap seconds from the states: how sparse the last one is, over how many directions they spread.

Of the final state, after the final norm, means over the window: ``hoyer``, Hoyer's index (sqrt(D) -
L1 / L2) / (sqrt(D) - 1), and ``top_energy``, the share of its squared norm in the largest 5 % of
dimensions. Both are in [0, 1]: 1 is one dimension alone. Source: arXiv 2603.03415 and its authors'
code, on a prompt's last token. They claim that harder tasks are sparser, so higher.

``participation`` = (sum e)^2 / sum e^2 of the eigenvalues e of the covariance of the window's W
states at layer round(L / 2), a number of directions in [1, W - 1]. Direction: none. NaN for one
token and for equal states. Our reading: the layer is that of SIB.
"""

from functools import partial

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays
from wor.measures.measure import PublishedMeasure, mean
from wor.measures.sib import layer_index


def compute_mean(item: ItemArrays, settings: Measures, array: str) -> float:
    """Return the mean over the window of one value per token."""
    return mean(item.arrays[array])


def compute_participation(item: ItemArrays, settings: Measures) -> float:
    """Return the participation ratio at the middle layer."""
    ratios = item.arrays["participation"][0]
    return float(ratios[layer_index(0.5, len(ratios) - 1)])


_sparsity = partial(
    PublishedMeasure,
    family="Sparsity",
    kind="second",
    range="0 to 1",
    units="",
    direction=1,
    source="arXiv 2603.03415",
    reading="over window tokens, where the authors take a prompt's last one",
)
PUBLISHED = (
    _sparsity(
        "hoyer",
        "final sparsity",
        partial(compute_mean, array="hoyer"),
        ("hoyer",),
        formula="mean over t of (sqrt(D) - L1/L2) / (sqrt(D) - 1) of norm(h(L, t))",
    ),
    _sparsity(
        "top_energy",
        "top 5 % energy",
        partial(compute_mean, array="top_energy"),
        ("top_energy",),
        formula="mean over t of the share of squared norm in the largest 5 % of dimensions",
    ),
    PublishedMeasure(
        "participation",
        "participation ratio",
        compute_participation,
        ("participation",),
        family="Participation ratio",
        kind="second",
        formula="(sum e)^2 / sum e^2 of the covariance of h(L/2, t) over t",
        range="1 to W - 1",
        units="directions",
        direction=0,
        source="this study",
        reading="at the middle layer",
    ),
)
