"""Scores under other calibration samples: under bootstrap draws of it, or without an item's own.

Thresholds and scales are computed anew in each draw. The reference means, which replace ablated
parts and centre beliefs, are not: that would take the model's passes again.
"""

import numpy as np
import pandas as pd

from wor.config.params import Params
from wor.measures import rev
from wor.measures.item_arrays import Records, iterate_items
from wor.measures.measure import Measure
from wor.measures.moments import moments_by_draw
from wor.measures.registry import COMPONENTS, MEASURES
from wor.measures.table import Calibration, measure_items


def scores_by_draw(calibration: Records, items: Records, weights: np.ndarray, params: Params) -> dict[str, np.ndarray]:
    """Return REV, each component's z-score NAME_z, and each measure that calibration changes.

    All are [B, N], of N items under B draws of the calibration items. ``weights``, [B, calibration
    items], say how often each is in each draw. NaN where a draw gives no threshold or no scale.
    """
    settings = params.measures
    changed, z = {}, {}
    for measure in MEASURES:
        if not set(measure.required_arrays) <= items[1].keys():
            continue
        if measure.compute_by_draw:
            values = [measure.compute_by_draw(calibration, records, weights, settings) for records in (calibration, items)]
            changed[measure.name] = values[1]
        elif measure.component:
            values = [_compute(measure, records, params) for records in (calibration, items)]
        if measure.component:
            mean, deviation = moments_by_draw(values[0], weights)
            deviation = np.where(deviation > 0, deviation, np.nan)
            z[measure.name] = (values[1] - mean[:, None]) / deviation[:, None]
    signs, scale = ({name: getattr(getattr(params.rev, name), part) for name in COMPONENTS} for part in ("sign", "weight"))
    return {"rev": rev.rev(z, signs, scale), **{f"{name}_z": values for name, values in z.items()}, **changed}


def _compute(measure: Measure, records: Records, params: Params) -> np.ndarray:
    """Return a measure that calibration does not change."""
    no_thresholds = np.full(records[1]["kl"].shape[1], np.nan)
    return np.array([measure.compute(item, params.measures) for item in iterate_items(*records, no_thresholds)])


def measure_left_out(calibration: Records, fixed: Calibration, params: Params) -> pd.DataFrame:
    """Return the calibration items' table, each scored by thresholds and scales of the others.

    All items of a cluster are left out together. Columns NAME_in_sample have the measures that
    calibration changes, under the ``fixed`` thresholds. The fixed scales are made from them.
    """
    table = measure_items(*calibration, fixed, params)
    _, cluster = np.unique(table["cluster"].to_numpy(str), return_inverse=True)
    weights = (np.arange(cluster.max() + 1)[:, None] != cluster).astype(float)
    for name, values in scores_by_draw(calibration, calibration, weights, params).items():
        if name in {measure.name for measure in MEASURES}:
            table.insert(table.columns.get_loc("reason"), f"{name}_in_sample", table[name])
        table[name] = values[cluster, np.arange(len(table))]
    return table


def describe_left_out(table: pd.DataFrame) -> dict[str, dict]:
    """Return mean, sd and n of REV and of the components of `measure_left_out`.

    REV is 0 at the mean of the calibration items as they calibrate. Left out, as new controls are,
    their mean is this one.
    """
    columns = {name: table[name].dropna() for name in ("rev", *COMPONENTS)}
    return {name: {"mean": values.mean(), "sd": values.std(), "n": len(values)} for name, values in columns.items()}
