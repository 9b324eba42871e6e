"""What the registry knows of a measure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays, Records

Kind: TypeAlias = Literal["rival", "variant", "second", "covariate"]


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


@dataclass(frozen=True, kw_only=True)
class PublishedMeasure(Measure):
    """A measure that others propose for the question of this study, as a column of the tables.

    kind : a paper's own score is a ``rival``. A ``variant`` is another reading of it, a ``second``
        comes cheaply beside it. A ``covariate`` is of the output alone, and no look inside.
    direction : that its authors claim of effort or of correct answers: 1 higher, -1 lower, 0 none.
    reading : what is our reading, and why; empty where the formula is from their text or code.
    """

    family: str
    kind: Kind
    formula: str
    range: str
    units: str
    direction: Literal[1, 0, -1]
    source: str
    reading: str = ""


def mean(values: np.ndarray) -> float:
    """Return the mean of what is not NaN, NaN if nothing is."""
    used = values[~np.isnan(values)]
    return float(used.mean(dtype=np.float64)) if used.size else float("nan")
