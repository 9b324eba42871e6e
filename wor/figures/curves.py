"""The tables of `dvc plots`, in which two revisions can be drawn over each other."""

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from wor.figures.panels import with_panels
from wor.measures.registry import SCORES


def roc(items: pd.DataFrame, model: str) -> pd.DataFrame:
    """Return the ROC of every measure: one row per score and threshold."""
    rows = [pd.DataFrame(columns=["score", "fpr", "tpr"])]
    for score in (name for name in SCORES if name in items):  # old iterations may lack one
        scored = items[items[score].notna() & items["rev"].notna()]
        if scored["role"].nunique() == 2:
            fpr, tpr, _ = roc_curve(scored["role"] == "reasoning", scored[score])
            rows.append(pd.DataFrame({"score": score, "fpr": fpr, "tpr": tpr}))
    table = pd.concat([part for part in rows if len(part)] or rows, ignore_index=True)
    return with_panels(table, table["score"], model)


def distributions(items: pd.DataFrame, model: str) -> pd.DataFrame:
    """Return the empirical distribution function of each measure by class."""
    rows = []
    for score in SCORES:
        for role, group in items.groupby("role"):
            values = np.sort(group[score].dropna().to_numpy())
            share = np.arange(1, len(values) + 1) / max(len(values), 1)
            rows.append(pd.DataFrame({"measure": score, "role": role, "value": values, "share": share}))
    table = pd.concat(rows, ignore_index=True)
    return with_panels(table, table["measure"] + ", " + model, table["role"])


def layer_profile(layers: pd.DataFrame, model: str) -> pd.DataFrame:
    """Return the mean over items of log10 of each layer's ablation KL, by class."""
    scored = layers[layers["ablation_kl"] > 0]
    table = scored.assign(log10_kl=np.log10(scored["ablation_kl"])).groupby(["role", "layer"], as_index=False)["log10_kl"].mean()
    return with_panels(table, model, table["role"])
