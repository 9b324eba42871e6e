"""From the arrays of the designs to one table: items whose text is given, one row per arm.

``source`` says whose text it is: ``own``, what the model wrote, or ``gold``, what people wrote.
``arm`` is ``derive``, under the item's prompt, or ``copy``, under one that shows the text.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from wor.config.params import Params
from wor.measures import apl
from wor.measures.item_arrays import Records, join, select
from wor.measures.table import Calibration, measure_items

MATCHED = 0.1  # nats by which the entropies of two predictions of a token may differ


def design_table(activations: Sequence[Records], records: Records, calibration: Calibration, params: Params) -> pd.DataFrame:
    """Return every measure of each item in each arm, with the columns of `measure_items` and more.

    ``activations`` are those of all datasets, where the model's own text is derived. ``records``
    are those of the designs. The columns that are added:

    - ``effect``: mean over layers of the log of the window's mean KL, in log nats
    - ``effect_matched``, ``apl_matched``: from the window's tokens alone whose predictions have
      entropies within MATCHED in both arms. ``matched_tokens`` counts these. NaN where there are
      fewer than ``window.min``, or where an arm is missing
    """
    frame, arrays = records
    copied = frame[(frame["source"] == "own") & (frame["arm"] == "copy")]["item_id"]
    derived = join([select(part, part[0]["item_id"].isin(copied).to_numpy()) for part in activations])
    derived = (derived[0].assign(source="own", arm="derive"), derived[1])
    names = derived[1].keys() & arrays.keys()  # without designs.lens, the logit lens is of the activations alone
    frame, arrays = join([(part, {name: values[name] for name in names}) for part, values in (derived, records)])
    table = measure_items(frame, arrays, calibration, params)
    effects = apl.layer_effects(arrays["kl"])
    added = {
        "effect": [apl.mean_log_effect(row) for row in effects],
        **_matched(frame, arrays["kl"], calibration.thresholds, params.window.min),
    }
    for name, values in added.items():
        table.insert(table.columns.get_loc("reason"), name, values)
    for index, name in enumerate(("source", "arm")):
        table.insert(index, name, frame[name].to_numpy())
    return table


def _matched(frame: pd.DataFrame, kl: np.ndarray, thresholds: np.ndarray, least: int) -> dict[str, np.ndarray]:
    columns = {name: np.full(len(frame), np.nan) for name in ("effect_matched", "apl_matched", "matched_tokens")}
    for _, pair in frame[frame["reason"] == ""].groupby(["source", "item_id"]):
        if len(pair) < 2:
            continue
        derived, copied = (_window_entropies(row) for _, row in pair.iterrows())
        matched = np.flatnonzero(np.abs(derived - copied) <= MATCHED)
        columns["matched_tokens"][pair.index] = len(matched)
        for index in pair.index if len(matched) >= least else ():
            effects = apl.layer_effects(kl[index][:, matched])
            columns["effect_matched"][index] = apl.mean_log_effect(effects)
            columns["apl_matched"][index] = apl.apl(effects, thresholds)
    return columns


def _window_entropies(row: pd.Series) -> np.ndarray:
    start, end = (int(row[name]) - len(row["prompt_ids"]) for name in ("window_start", "window_end"))
    return np.asarray(row["token_entropy"], np.float64)[start:end]
