"""Head entropy, a published rival: the Renyi-2 entropy of attention rows, in its linear form.

Source: arXiv 2602.13699 (its authors' README) and 2605.15436 (the abstract). renyi2 = mean over
layers, heads and window positions t of 1 - sum over keys j of a(j)^2. Range [0, 1): 0 is all weight
on one key. ``renyi2_scaled`` divides each position by 1 - 1/k(t), what uniform attention over its
k(t) keys gives, as the measure grows with k. Its range is [0, 1]. NaN for a position with one key.
Direction: none, as the two papers claim opposite signs for correct answers.

Our reading: all layers and heads weigh alike. An earlier form is a sparse logistic regression on
single heads, which is the rival `heads` of this study.
"""

from functools import partial

import numpy as np

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays
from wor.measures.measure import PublishedMeasure, mean


def compute(item: ItemArrays, settings: Measures) -> float:
    """Return the mean over the window of 1 - the sum of squared weights."""
    return mean(1 - item.arrays["attention_squares"].astype(np.float64))


def compute_scaled(item: ItemArrays, settings: Measures) -> float:
    """Return the same over what uniform attention gives."""
    squares = item.arrays["attention_squares"].astype(np.float64)
    uniform = 1 - 1 / (item.first_position + 1 + np.arange(len(squares)))
    return mean((1 - squares) / np.where(uniform > 0, uniform, np.nan))


_published = partial(
    PublishedMeasure,
    required_arrays=("attention_squares",),
    family="Head entropy",
    range="0 to 1",
    units="",
    direction=0,
    source="arXiv 2602.13699, 2605.15436",
    reading="README and abstract alone were readable; all layers and heads weigh alike",
)
PUBLISHED = (
    _published("renyi2", "head Renyi-2", compute, kind="rival", formula="mean over l, h, t of 1 - sum a(j)^2"),
    _published(
        "renyi2_scaled", "head Renyi-2, scaled", compute_scaled, kind="variant", formula="the same, each t over 1 - 1/k(t)"
    ),
)
