"""What a study measures, once: what computes, tests, draws, compares or names measures goes by this list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wor.measures import ape, apl, dtr, sib
from wor.measures.item import Observed
from wor.params import Measures


@dataclass(frozen=True)
class Measure:
    """``of(item, params.measures)`` is a number or NaN, made from the stored arrays that ``needs`` names.

    An item without one of them (the logit lens, ``jsd``, is run on evaluation items only) has no such column.
    A ``component`` of REV has its sign and weight in ``params.rev``; any other measure is a rival of REV, and counts
    as it comes: higher in reasoning.
    """

    name: str  # the column of the tables; also in prereg.yaml
    shown: str
    of: Callable[[Observed, Measures], float]
    needs: tuple[str, ...]
    component: bool = False


MEASURES = (
    Measure("apl", "APL", apl.of, ("kl",), component=True),
    Measure("ape", "APE", ape.of, ("entropy", "entropy_no_sink"), component=True),
    Measure("sib", "SIB", sib.of, ("cosine",), component=True),
    Measure("dtr", "DTR", dtr.of, ("jsd",)),
)

COMPONENTS = tuple(measure.name for measure in MEASURES if measure.component)
RIVALS = tuple(measure.name for measure in MEASURES if not measure.component)
SCORES = ["rev", *COMPONENTS, *RIVALS]  # what a study reports of
HEADS = "heads"  # one more rival, of which no item has a value: a fit on the entropies of all heads
NAMES = {"rev": "REV"} | {measure.name: measure.shown for measure in MEASURES}


def measured(item: Observed, settings: Measures) -> dict[str, float]:
    """Every measure of an item for which there is the material."""
    return {measure.name: measure.of(item, settings) for measure in MEASURES if item.arrays.keys() >= set(measure.needs)}
