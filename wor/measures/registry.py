"""What a study measures, once: what computes, tests, draws, compares or names measures goes by this list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wor.config.params import Measures
from wor.measures import ape, apl, dtr, sib
from wor.measures.item_arrays import ItemArrays


@dataclass(frozen=True)
class Measure:
    """``compute(item, params.measures)`` is a number or NaN, made from the stored arrays that ``required_arrays`` names.

    An item without one of them (the logit lens, ``jsd``, is run on evaluation items only) has no such column.
    A ``component`` of REV has its sign and weight in ``params.rev``; any other measure is a rival of REV, and counts
    as it comes: higher in reasoning.
    """

    name: str  # the column of the tables; also in prereg.yaml
    label: str
    compute: Callable[[ItemArrays, Measures], float]
    required_arrays: tuple[str, ...]
    component: bool = False


MEASURES = (
    Measure("apl", "APL", apl.compute, ("kl",), component=True),
    Measure("ape", "APE", ape.compute, ("entropy", "entropy_no_sink"), component=True),
    Measure("sib", "SIB", sib.compute, ("cosine",), component=True),
    Measure("dtr", "DTR", dtr.compute, ("jsd",)),
)

COMPONENTS = tuple(measure.name for measure in MEASURES if measure.component)
RIVALS = tuple(measure.name for measure in MEASURES if not measure.component)
SCORES = ["rev", *COMPONENTS, *RIVALS]  # what a study reports of
HEADS = "heads"  # one more rival, of which no item has a value: a fit on the entropies of all heads
LABELS = {"rev": "REV"} | {measure.name: measure.label for measure in MEASURES}


def compute_measures(item: ItemArrays, settings: Measures) -> dict[str, float]:
    """Every measure of an item for which there is the material."""
    return {
        measure.name: measure.compute(item, settings)
        for measure in MEASURES
        if item.arrays.keys() >= set(measure.required_arrays)
    }
