"""The registry of measures. Whatever computes, tests or plots a measure iterates over it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wor.config.params import Measures
from wor.measures import ape, apl, apl_given_entropy, dtr, rev, sib
from wor.measures.item_arrays import ItemArrays, Records


@dataclass(frozen=True)
class Measure:
    """One measure of an item.

    ``compute(item, params.measures)`` returns a number, or NaN where the item has no window. An
    item without one of ``required_arrays`` gets no such column: ``jsd`` exists on evaluation items
    only. A ``component`` is a part of REV, with its sign and weight in ``params.rev``. Every other
    measure is a rival of REV or a ``variant`` of a component, with a fixed direction: higher in
    reasoning.

    A measure that calibration items change also has ``compute_by_draw(calibration, items, weights,
    params.measures)``: the measure under each draw of the calibration items, [draws, items].
    """

    name: str  # the column of the tables; also in prereg.yaml
    label: str
    compute: Callable[[ItemArrays, Measures], float]
    required_arrays: tuple[str, ...]
    component: bool = False
    variant: bool = False
    compute_by_draw: Callable[[Records, Records, np.ndarray, Measures], np.ndarray] | None = None


MEASURES = (
    Measure("apl", "APL", apl.compute, ("kl",), component=True, compute_by_draw=apl.compute_by_draw),
    Measure("ape", "APE", ape.compute, ("entropy", "entropy_no_sink"), component=True),
    Measure("sib", "SIB", sib.compute, ("cosine",), component=True),
    Measure("dtr", "DTR", dtr.compute, ("jsd",)),
    Measure(
        "apl_given_entropy",
        "APL given entropy",
        apl_given_entropy.compute,
        ("kl", "prediction_entropy"),
        variant=True,
        compute_by_draw=apl_given_entropy.compute_by_draw,
    ),
)

COMPONENTS = tuple(measure.name for measure in MEASURES if measure.component)
RIVALS = tuple(measure.name for measure in MEASURES if not (measure.component or measure.variant))
SCORES = ["rev", *(measure.name for measure in MEASURES)]  # the scores that a study reports on
COMPARED = ("effect", "apl", "ape")  # derived against copied, in the designs; effect: mean log KL
MATCHED = ("effect", "apl")  # which also have a value over tokens of equal entropy
GOLD = ("effect", *COMPONENTS, "rev")  # compared on text that people wrote
HEADS = "heads"  # one more rival, without a value per item: a fit on the entropies of all heads
LABELS = {"rev": "REV"} | {measure.name: measure.label for measure in MEASURES}
# What a score is, in one sentence: the first line of the module that computes it.
_MODULES = {"rev": rev} | {measure.name: sys.modules[measure.compute.__module__] for measure in MEASURES}
MEANINGS = {name: (module.__doc__ or "").partition("\n")[0] for name, module in _MODULES.items()}


def compute_measures(item: ItemArrays, settings: Measures) -> dict[str, float]:
    """Return every measure of an item whose required arrays are stored."""
    return {
        measure.name: measure.compute(item, settings)
        for measure in MEASURES
        if item.arrays.keys() >= set(measure.required_arrays)
    }
