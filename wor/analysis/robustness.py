"""Over temperatures, and with heads removed."""

from __future__ import annotations

import math

import pandas as pd

from wor.analysis.evaluation import class_labels, draw_weights
from wor.config.params import Params
from wor.statistics import bootstrap
from wor.statistics.result import Estimate, undefined

MIN_CLUSTERS = 5  # below which no interval is given


def temperature_curve(table: pd.DataFrame, params: Params) -> dict:
    """REV over temperatures: class means with bootstrap bands, AUROC, and the variance of the reasoning mean."""
    rows, settings = [], params.statistics
    for temperature, group in table.groupby("temperature"):
        row = {"temperature": float(temperature), "n": len(group), "undefined": int(group["rev"].isna().sum())}
        for role in ("reasoning", "control"):
            row[role] = mean_interval(group[group["role"] == role], params).as_dict()
        kept = group[group["rev"].notna()]
        row["auroc"] = bootstrap.auroc_interval(
            class_labels(kept), kept["rev"].to_numpy(float), draw_weights(kept, params), settings.confidence, kept["cluster"]
        ).as_dict()
        rows.append(row)
    return {
        "by_temperature": rows,
        "n": len(table),
        "undefined": int(table["rev"].isna().sum()),
        "variance": temperature_variance(table[table["role"] == "reasoning"], params).as_dict(),
    }


def temperature_variance(reasoning: pd.DataFrame, params: Params) -> Estimate:
    """Variance (ddof 1) over temperatures of the mean REV of the same reasoning items; those without one are left out.

    The interval resamples items, with all their temperatures. It leans upwards: the variance of noisy means holds the
    noise too, which the interval shows and does not take off.
    """
    values = reasoning.pivot(index="item_id", columns="temperature", values="rev").dropna()
    if values.shape[1] < 2:
        return undefined("fewer than two temperatures", len(values))
    if not len(values):
        return undefined("no reasoning item has a REV at every temperature")
    about = reasoning.drop_duplicates("item_id").set_index("item_id").loc[values.index]
    drawn = draw_weights(about, params)
    samples = (drawn @ values.to_numpy() / drawn.sum(1, keepdims=True)).var(axis=1, ddof=1)
    return Estimate(float(values.mean().var(ddof=1)), *_interval(samples, about, params.statistics.confidence), n=len(values))


def mean_interval(rows: pd.DataFrame, params: Params, column: str = "rev") -> Estimate:
    """Mean of a column with a cluster bootstrap interval."""
    rows = rows[rows[column].notna()]
    if not len(rows):
        return undefined("no item has a value")
    drawn = draw_weights(rows, params)
    values = rows[column].to_numpy(float)
    samples = drawn @ values / drawn.sum(1)
    return Estimate(float(values.mean()), *_interval(samples, rows, params.statistics.confidence), n=len(rows))


def _interval(samples, rows: pd.DataFrame, confidence: float) -> tuple[float, float]:
    """Percentiles, or none where there are too few clusters to draw from."""
    if rows["cluster"].nunique() < MIN_CLUSTERS:
        return math.nan, math.nan
    return bootstrap.percentile_interval(samples, confidence)


def head_curve(table: pd.DataFrame, params: Params) -> list[dict]:
    """Accuracy by role, kind of removal and share, with intervals over items and the range over random draws.

    The interval resamples items; for random heads an item's value is its mean over the draws.
    """
    rows = []
    for (role, kind, share), group in table.groupby(["role", "kind", "share"]):
        items = group.groupby(["item_id", "dataset"], as_index=False)["accuracy"].mean()
        items["cluster"] = items["item_id"]
        draws = group.groupby("draw")["accuracy"].mean()
        rows.append(
            {
                "role": role,
                "kind": kind,
                "share": float(share),
                "n_heads": int(group["n_heads"].iloc[0]),
                "draws": len(draws),
                "draws_low": draws.min(),
                "draws_high": draws.max(),
                **mean_interval(items, params, "accuracy").as_dict(),
            }
        )
    return rows
