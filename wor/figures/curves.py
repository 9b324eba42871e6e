"""The tables behind `dvc plots`: plain rows, so that two revisions can be drawn over each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from wor.figures.panels import with_panels
from wor.measures.registry import SCORES


def roc(items: pd.DataFrame, model: str) -> pd.DataFrame:
    """ROC points of every measure: one row a score and threshold."""
    rows = [pd.DataFrame(columns=["score", "fpr", "tpr"])]
    for score in (name for name in SCORES if name in items):  # an earlier version's iteration may lack one
        kept = items[items[score].notna() & items["rev"].notna()]
        if kept["role"].nunique() == 2:
            fpr, tpr, _ = roc_curve(kept["role"] == "reasoning", kept[score])
            rows.append(pd.DataFrame({"score": score, "fpr": fpr, "tpr": tpr}))
    table = pd.concat([part for part in rows if len(part)] or rows, ignore_index=True)
    return with_panels(table, table["score"], model)


def distributions(items: pd.DataFrame, model: str) -> pd.DataFrame:
    """Empirical distribution functions of each measure by class."""
    rows = []
    for score in SCORES:
        for role, group in items.groupby("role"):
            values = np.sort(group[score].dropna().to_numpy())
            share = np.arange(1, len(values) + 1) / max(len(values), 1)
            rows.append(pd.DataFrame({"measure": score, "role": role, "value": values, "share": share}))
    table = pd.concat(rows, ignore_index=True)
    return with_panels(table, table["measure"] + ", " + model, table["role"])


def layer_profile(layers: pd.DataFrame, model: str) -> pd.DataFrame:
    """Mean over items of log10 of each layer's ablation KL, by class."""
    kept = layers[layers["ablation_kl"] > 0]
    table = kept.assign(log10_kl=np.log10(kept["ablation_kl"])).groupby(["role", "layer"], as_index=False)["log10_kl"].mean()
    return with_panels(table, model, table["role"])
