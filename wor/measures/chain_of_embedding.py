"""Chain of embedding, a published rival: how long and how bent the way through the layers is.

Source: arXiv 2410.13640, and its authors' code. hbar(l) is the mean state over the window after
layer l, 0 the embedding. M(l) is the norm of hbar(l+1) - hbar(l) over that of hbar(L) - hbar(0),
A(l) the angle between hbar(l) and hbar(l+1) over that between hbar(0) and hbar(L). CoE-R = mean M -
mean A. CoE-C = sqrt(mean(M cos A)^2 + mean(M sin A)^2). Range: CoE-R any number, CoE-C >= 0, both
without a unit and the same at any scale. Direction: its authors claim that correct answers are
higher.

Their code puts the prompt's first token into hbar by a slip: we don't. The names ``*_trimmed`` are
without the 10 dimensions with the largest reference mean.
"""

from functools import partial

import numpy as np

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays
from wor.measures.measure import Kind, PublishedMeasure


def compute_real(item: ItemArrays, settings: Measures, trimmed: bool) -> float:
    """Return CoE-R of the window's chain."""
    length, turn = item.arrays["chain"][0, int(trimmed), :2]
    return float(length) - float(turn)


def compute_complex(item: ItemArrays, settings: Measures, trimmed: bool) -> float:
    """Return CoE-C of the window's chain."""
    return float(np.hypot(*item.arrays["chain"][0, int(trimmed), 2:].astype(np.float64)))


_published = partial(
    PublishedMeasure,
    required_arrays=("chain",),
    family="Chain of embedding",
    units="",
    direction=1,
    source="arXiv 2410.13640",
)
_REAL, _COMPLEX = "mean M - mean A", "sqrt(mean(M cos A)^2 + mean(M sin A)^2)"
_TRIMMED = ", without the 10 largest dimensions"


def _measures(trimmed: bool, kind: Kind, suffix: str, label: str, without: str) -> tuple[PublishedMeasure, ...]:
    real, complex_form = (partial(compute, trimmed=trimmed) for compute in (compute_real, compute_complex))
    return (
        _published(f"coe_r{suffix}", f"CoE-R{label}", real, kind=kind, formula=_REAL + without, range="any"),
        _published(f"coe_c{suffix}", f"CoE-C{label}", complex_form, kind=kind, formula=_COMPLEX + without, range=">= 0"),
    )


PUBLISHED = (*_measures(False, "rival", "", "", ""), *_measures(True, "variant", "_trimmed", ", trimmed", _TRIMMED))
