"""The tables behind `dvc plots`: plain rows, so that two revisions can be drawn over each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from wor.analysis import SCORES


def roc(items: pd.DataFrame) -> pd.DataFrame:
    """ROC points of REV, its components and DTR: one row a score and threshold."""
    rows = []
    for score in SCORES:
        kept = items[items[score].notna() & items["rev"].notna()]
        if kept["role"].nunique() == 2:
            fpr, tpr, _ = roc_curve(kept["role"] == "reasoning", kept[score])
            rows.append(pd.DataFrame({"score": score, "fpr": fpr, "tpr": tpr}))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=["score", "fpr", "tpr"])


def distributions(items: pd.DataFrame) -> pd.DataFrame:
    """Empirical distribution functions of each measure by class."""
    rows = []
    for score in SCORES:
        for role, group in items.groupby("role"):
            values = np.sort(group[score].dropna().to_numpy())
            share = np.arange(1, len(values) + 1) / max(len(values), 1)
            rows.append(pd.DataFrame({"measure": score, "role": role, "value": values, "share": share}))
    return pd.concat(rows, ignore_index=True)


def layer_profile(layers: pd.DataFrame) -> pd.DataFrame:
    """Geometric mean over items of each layer's ablation KL, by class."""
    kept = layers[layers["mlp_kl"] > 0]
    profile = kept.assign(log=np.log(kept["mlp_kl"])).groupby(["role", "layer"], as_index=False)["log"].mean()
    return profile.assign(mlp_kl=np.exp(profile["log"])).drop(columns="log")
