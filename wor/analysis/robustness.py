"""REV over sampling temperatures, and accuracy with heads removed."""

import math

import pandas as pd

from wor.analysis.evaluation import auroc_by_score, bootstrap_weights, class_labels
from wor.config.params import Params
from wor.statistics import bootstrap
from wor.statistics.result import Estimate, undefined

MIN_CLUSTERS = 5  # with fewer, no interval is given


def temperature_curve(table: pd.DataFrame, params: Params) -> dict:
    """Return REV by temperature: class means with intervals, AUROC, and the variance of the mean.

    The variance is that of the reasoning items' mean over temperatures.
    """
    rows = []
    for temperature, group in table.groupby("temperature"):
        counts = {"temperature": float(temperature), "n": len(group), "undefined": int(group["rev"].isna().sum())}
        means = {role: mean_interval(group[group["role"] == role], params).as_dict() for role in ("reasoning", "control")}
        scored = group[group["rev"].notna()]
        auroc = auroc_by_score(scored, ["rev"], class_labels(scored), bootstrap_weights(scored, params), params)
        rows.append(counts | means | {"auroc": auroc["rev"]})
    return {
        "by_temperature": rows,
        "n": len(table),
        "undefined": int(table["rev"].isna().sum()),
        "variance": temperature_variance(table[table["role"] == "reasoning"], params).as_dict(),
    }


def temperature_variance(reasoning: pd.DataFrame, params: Params) -> Estimate:
    """Return the variance (ddof 1) over temperatures of the mean REV of the same reasoning items.

    Items need a REV at every temperature. The interval resamples them with all their temperatures.
    The means' noise biases the value upwards; the interval shows that and does not correct it.
    """
    values = reasoning.pivot(index="item_id", columns="temperature", values="rev").dropna()
    if values.shape[1] < 2:
        return undefined("fewer than two temperatures", len(values))
    if not len(values):
        return undefined("no reasoning item has a REV at every temperature")
    items = reasoning.drop_duplicates("item_id").set_index("item_id").loc[values.index]
    weights = bootstrap_weights(items, params)
    samples = (weights @ values.to_numpy() / weights.sum(1, keepdims=True)).var(axis=1, ddof=1)
    return Estimate(float(values.mean().var(ddof=1)), *_interval(samples, items, params), n=len(values))


def mean_interval(rows: pd.DataFrame, params: Params, column: str = "rev") -> Estimate:
    """Return the mean of a column with a cluster bootstrap interval."""
    rows = rows[rows[column].notna()]
    if not len(rows):
        return undefined("no item has a value")
    weights, values = bootstrap_weights(rows, params), rows[column].to_numpy(float)
    return Estimate(float(values.mean()), *_interval(weights @ values / weights.sum(1), rows, params), n=len(rows))


def _interval(samples, rows: pd.DataFrame, params: Params) -> tuple[float, float]:
    """Return percentiles, or NaN where there are too few clusters to resample."""
    if rows["cluster"].nunique() < MIN_CLUSTERS:
        return math.nan, math.nan
    return bootstrap.percentile_interval(samples, params.statistics.confidence)


def head_curve(table: pd.DataFrame, params: Params) -> list[dict]:
    """Return accuracy by role, kind of removal and share, with the range over random draws.

    The interval resamples items. With random heads, an item's value is its mean over the draws.
    """
    rows = []
    for (role, kind, share), group in table.groupby(["role", "kind", "share"]):
        items = group.groupby(["item_id", "dataset"], as_index=False)["accuracy"].mean()
        items["cluster"] = items["item_id"]
        draws = group.groupby("draw")["accuracy"].mean()
        removal = {"role": role, "kind": kind, "share": float(share), "n_heads": int(group["n_heads"].iloc[0])}
        spread = {"draws": len(draws), "draws_low": draws.min(), "draws_high": draws.max()}
        rows.append(removal | spread | mean_interval(items, params, "accuracy").as_dict())
    return rows
