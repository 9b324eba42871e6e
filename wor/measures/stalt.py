"""StALT, a published rival: how far states move from token to token, where layers change them most.

Source: arXiv 2605.01853. a(l, t) = norm(h(l, t) - h(l, t-1)) over tokens, b(l, t) = norm(h(l, t) -
h(l-1, t)) over layers, w = softmax of b / tau over the layers, with tau = 1. StALT = mean over t of
sum over l of w a. Range: >= 0, in the residual stream's own units. Direction: its authors claim
that more reasoning is higher.

Our reading, as it was known second-hand alone: which positions and layers take part. We take steps
within the window, so its first token has none, and layers 1..L. With raw norms w is nearly one-hot
on the layer that writes massive dimensions. ``stalt_uniform`` weighs all layers alike,
``stalt_cosine`` puts 1 - cosine for both distances, ``stalt_weight_entropy`` is the entropy of w.
The names ``*_trimmed`` are without the 10 dimensions with the largest reference mean. NaN for one
token.
"""

from functools import partial

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays
from wor.measures.measure import Kind, PublishedMeasure, mean


def compute(item: ItemArrays, settings: Measures, array: str, row: int | None = None) -> float:
    """Return the mean over the window of what the engine has reduced over the layers."""
    values = item.arrays[array]
    return mean(values if row is None else values[row])


_READING = "known second-hand; steps within the window, layers 1 to L"
_published = partial(PublishedMeasure, family="StALT", direction=1, source="arXiv 2605.01853", reading=_READING)


def _measure(
    name: str,
    label: str,
    array: str,
    row: int | None,
    formula: str,
    scale: str = ">= 0",
    units: str = "norm",
    kind: Kind = "variant",
) -> PublishedMeasure:
    function = partial(compute, array=array, row=row)
    return _published(name, label, function, (array,), kind=kind, formula=formula, range=scale, units=units)


_SUM, _UNIFORM = "mean over t of sum over l of w(l, t) a(l, t)", "mean over t and l of a(l, t)"
_ENTROPY, _TRIMMED = "mean over t of H(w(., t))", ", without the 10 largest dimensions"
PUBLISHED = (
    _measure("stalt", "StALT", "step_weighted", 0, _SUM, kind="rival"),
    _measure("stalt_trimmed", "StALT, trimmed", "step_weighted", 1, _SUM + _TRIMMED),
    _measure("stalt_uniform", "StALT, uniform", "step_mean", 0, _UNIFORM),
    _measure("stalt_uniform_trimmed", "StALT, uniform, trimmed", "step_mean", 1, _UNIFORM + _TRIMMED),
    _measure("stalt_cosine", "StALT, cosine", "step_cosine", None, _SUM + ", of 1 - cosine", "0 to 2", "1 - cosine"),
    _measure("stalt_weight_entropy", "StALT, entropy of w", "step_entropy", None, _ENTROPY, "0 to log L", "nats"),
)
