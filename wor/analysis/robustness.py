"""REV over sampling temperatures, the ranking of heads, and accuracy with heads removed."""

import math

import numpy as np
import pandas as pd

from wor.analysis.evaluation import auroc_by_score, bootstrap_weights, class_labels, count_excluded
from wor.config.params import ROLES, Params
from wor.statistics import bootstrap, reliability
from wor.statistics.clusters import MIN_CLUSTERS, count_clusters, with_note
from wor.statistics.result import Estimate, undefined

BETWEEN = "reasoning - control"
NO_ITEMS = "a class has no item to rank heads on, or none left to score"


def temperature_curve(table: pd.DataFrame, items: pd.DataFrame, params: Params) -> dict:
    """Return REV by temperature: class means with intervals, AUROC, and the variance of the mean.

    ``table`` has items at other temperatures. ``items`` are the study's, at its own, which joins
    the others with the same items. The variance is that of the reasoning items' mean over
    temperatures.
    """
    rows, own = [], items[items["item_id"].isin(table["item_id"])].assign(temperature=params.temperature)
    if params.temperature not in set(table["temperature"]):
        table = pd.concat([table, own], ignore_index=True)
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
        "excluded": count_excluded(table),
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
    return _estimate(float(values.mean().var(ddof=1)), samples, weights, params)


def mean_interval(rows: pd.DataFrame, params: Params, column: str = "rev") -> Estimate:
    """Return the mean of a column with a cluster bootstrap interval."""
    rows = rows[rows[column].notna()]
    if not len(rows):
        return undefined("no item has a value")
    weights, values = bootstrap_weights(rows, params), rows[column].to_numpy(float)
    return _estimate(float(values.mean()), weights @ values / weights.sum(1), weights, params)


def _estimate(value: float, samples: np.ndarray, weights: np.ndarray, params: Params) -> Estimate:
    """Return the value with its percentile interval, or why there are too few clusters for one."""
    clusters, n = count_clusters(weights), weights.shape[1]
    if clusters.why_too_few:
        return undefined(clusters.why_too_few, n)
    interval = bootstrap.percentile_interval(samples, params.statistics.confidence, clusters)
    return Estimate(value, *interval, n=n, note=clusters.note)


def head_ranking(items: pd.DataFrame, kl: np.ndarray, params: Params) -> dict:
    """Return the split-half reliability of the ranking of heads, and on how many items it rests.

    ``items`` are those that rank the heads, and ``kl``, [N, L, H], each head's ablation KL on them.
    """
    rows = {role: (items["role"] == role).to_numpy() for role in ROLES}
    cluster = {role: items["cluster"].to_numpy(str)[rows[role]] for role in ROLES}
    positive, negative = (kl.reshape(len(kl), kl.shape[1] * kl.shape[2])[rows[role]] for role in ROLES)
    settings = (params.heads.halves, params.seed, params.statistics.confidence, MIN_CLUSTERS)
    return {
        "n": {role: len(names) for role, names in cluster.items()},
        "clusters": {role: len(set(names)) for role, names in cluster.items()},
        "halves": params.heads.halves,
        "reliability": reliability.split_half(positive, negative, list(cluster.values()), *settings).as_dict(),
    }


def head_curve(table: pd.DataFrame, params: Params) -> list[dict]:
    """Return accuracy by role, kind of removal and share, with the range over random draws.

    The interval resamples clusters. With random heads, an item's value is its mean over the draws.
    A note says where random heads are fewer than ranked ones, as layers have no more others.
    """
    if table.empty:
        missing = {"n_heads": 0, "draws": 0, "draws_low": math.nan, "draws_high": math.nan, **undefined(NO_ITEMS).as_dict()}
        return [{"role": role, "kind": "ranked", "share": share, **missing} for role in ROLES for share in params.heads.shares]
    rows = []
    ranked = table[table["kind"] == "ranked"].groupby("share")["n_heads"].first()
    for (role, kind, share), group in table.groupby(["role", "kind", "share"]):
        items = group.groupby(["item_id", "dataset", "role", "cluster"], as_index=False)["accuracy"].mean()
        draws = group.groupby("draw")["accuracy"].mean()
        n_heads = int(group["n_heads"].iloc[0])
        removal = {"role": role, "kind": kind, "share": float(share), "n_heads": n_heads}
        spread = {"draws": len(draws), "draws_low": draws.min(), "draws_high": draws.max()}
        estimate = mean_interval(items, params, "accuracy")
        if n_heads < ranked[share]:
            estimate = with_note(estimate, f"{n_heads} of {ranked[share]} heads, as some layers have no more others")
        rows.append(removal | spread | estimate.as_dict())
    return rows


def head_differences(table: pd.DataFrame, params: Params) -> list[dict]:
    """Return the accuracy without ranked heads minus that without random ones, paired by item.

    There is one row for each share of heads, and one for their mean (``share`` is "mean"), for each
    role and for reasoning minus control. Intervals and p resample the clusters of both roles, and
    agree.
    """
    removed = table[table["n_heads"] > 0]
    if removed.empty:
        return []
    keys = ["item_id", "dataset", "cluster", "role"]
    accuracy = removed.pivot_table(index=keys, columns=["kind", "share"], values="accuracy")
    differences = accuracy["ranked"] - accuracy["random"]
    items, columns = differences.index.to_frame(index=False), {**dict(differences), "mean": differences.mean(axis=1)}
    weights = bootstrap_weights(items, params)
    rows = {role: (items["role"] == role).to_numpy() for role in ROLES}
    results = []
    for share, column in columns.items():
        means, samples = {}, {}
        for role in ROLES:
            values, counts = column.to_numpy()[rows[role]], weights[:, rows[role]]
            means[role], samples[role] = values.mean(), counts @ values / counts.sum(1)
        means[BETWEEN], samples[BETWEEN] = (part["reasoning"] - part["control"] for part in (means, samples))
        for group, value in means.items():
            members = rows["reasoning"] | rows["control"] if group == BETWEEN else rows[group]
            clusters = count_clusters(weights[:, members], rows["reasoning"][members] if group == BETWEEN else None)
            estimate = undefined(clusters.why_too_few, int(members.sum()))
            if not clusters.why_too_few:
                interval = bootstrap.normal_interval(value, samples[group], params.statistics.confidence, clusters)
                estimate = Estimate(float(value), *interval, n=int(members.sum()), note=clusters.note)
            results.append({"role": group, "share": share if share == "mean" else float(share), **estimate.as_dict()})
    return results
