"""Every measure of the even and of the odd tokens of each window, to see how reliable it is."""

import pandas as pd

from wor.config.params import Params
from wor.measures.item_arrays import Records, iterate_items
from wor.measures.registry import compute_measures
from wor.measures.table import Calibration


def half_table(records: Records, calibration: Calibration, params: Params) -> pd.DataFrame:
    """Return two rows per item: ``half`` 0 has the window's even tokens, 1 the odd ones.

    A measure whose arrays are stored as means over the whole window has no column.
    """
    rows = []
    items = iterate_items(*records, calibration.thresholds, calibration.entropy_fit, calibration.quantiles)
    for name, item in zip(records[0]["item_id"], items, strict=True):
        for half in (0, 1):
            rows.append({"item_id": name, "half": half, **compute_measures(item.half(half), params.measures)})
    return pd.DataFrame(rows)
