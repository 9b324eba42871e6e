"""APL under other stand-ins, and SIB under other centres, from stored arrays."""

import numpy as np
import pandas as pd

from wor.config.params import Params
from wor.measures import apl, sib
from wor.measures.item_arrays import Records


def stand_in_scores(calibration: Records, items: Records, params: Params) -> pd.DataFrame:
    """Return one row per item: columns apl_NAME by stand-in and sib_NAME by centre.

    APL is over the layers of ``params.stand_ins`` alone, also under the study's own stand-in. Each
    stand-in has its own thresholds, from the same calibration controls. An item, or a calibration
    control, on which no other stand-in was observed has no value, and is in no threshold.
    """
    n_layers = items[1]["kl"].shape[1]
    layers = params.stand_ins.layers(n_layers)
    effects = {}
    for name in (params.ablation.stand_in_name, *params.other_stand_ins()):
        effects[name] = [
            apl.layer_effects(arrays[f"kl_{name}"] if f"kl_{name}" in arrays else arrays["kl"][:, layers])
            for _, arrays in (calibration, items)
        ]
    shared = [~np.any([np.isnan(values[side]).any(1) for values in effects.values()], 0) for side in (0, 1)]
    columns = {}
    for name, (before, after) in effects.items():
        limits = apl.thresholds(before[shared[0]], params.measures.tau)
        lengths = np.array([apl.apl(row, limits) for row in after])
        columns[f"apl_{name}"] = np.where(shared[1], lengths, np.nan)
    depth = sib.layer_index(params.measures.sib_depth, n_layers)
    for name in (params.ablation.reference, *params.other_centres()):
        cosines = items[1][f"cosine_{name}" if f"cosine_{name}" in items[1] else "cosine"]
        columns[f"sib_{name}"] = np.array([sib.sib(cosine, depth, params.measures.sib) for cosine in cosines])
    return pd.concat([items[0][["item_id"]].reset_index(drop=True), pd.DataFrame(columns)], axis=1)
