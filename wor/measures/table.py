"""From what the model did to what it means: one row of measures an item."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wor.config.params import Params
from wor.measures import ape, apl, rev
from wor.measures.item_arrays import ItemArrays
from wor.measures.registry import COMPONENTS, compute_measures

ITEM_COLUMNS = [
    "item_id", "dataset", "role", "split", "cluster", "token_len", "cot_len", "n_generated", "avg_logprob",
    "perplexity", "prompt_perplexity", "finished", "answer", "correct", "steps", "paraphrase_share", "template",
]  # fmt: skip


@dataclass(frozen=True)
class Calibration:
    """What calibration controls fix: each layer's threshold, and each component's mean and deviation."""

    thresholds: np.ndarray
    scales: dict[str, tuple[float, float]]
    n: int

    def as_dict(self) -> dict:
        return {
            "n": self.n,
            "apl_thresholds": self.thresholds,
            "scales": {name: {"mean": mean, "sd": deviation} for name, (mean, deviation) in self.scales.items()},
        }


def calibrate(frame: pd.DataFrame, arrays: dict[str, np.ndarray], params: Params) -> Calibration:
    """Thresholds and scales from calibration controls alone."""
    effects = apl.layer_effects(arrays["kl"])
    thresholds = apl.thresholds(effects, params.measures.tau)
    raw = raw_measures(frame, arrays, thresholds, params)
    scales = {name: rev.calibration_scale(raw[name].to_numpy()) for name in COMPONENTS}
    return Calibration(thresholds, scales, int((~np.isnan(effects).any(1)).sum()))


def raw_measures(frame: pd.DataFrame, arrays: dict[str, np.ndarray], thresholds: np.ndarray, params: Params) -> pd.DataFrame:
    """The measures before they are put on one scale, and the covariates; NaN with a reason where undefined."""
    effects = apl.layer_effects(arrays["kl"])
    rows = []
    for index, first in enumerate(frame["window_start"]):
        item = ItemArrays({name: array[index] for name, array in arrays.items()}, first, thresholds)
        rows.append(
            {
                **compute_measures(item, params.measures),
                "apl_depth": apl.mean_depth(effects[index]),
                "ape_all_keys": ape.ape(item.arrays["entropy"], first),
                "ape_no_sink": ape.ape(item.arrays["entropy_no_sink"], first, skipped_keys=1),
                "ape_nats": ape.ape_nats(item.arrays["entropy"]),
            }
        )
    table = pd.concat([frame[ITEM_COLUMNS].reset_index(drop=True), pd.DataFrame(rows)], axis=1)
    reason = frame["reason"].where(frame["reason"] != "", frame["paraphrase_reason"])
    table["reason"] = reason.to_numpy()
    return table


def measure_items(frame: pd.DataFrame, arrays: dict[str, np.ndarray], calibration: Calibration, params: Params) -> pd.DataFrame:
    """Every measure of every item: raw, as a z-score over calibration controls, and REV."""
    table = raw_measures(frame, arrays, calibration.thresholds, params)
    z = {name: rev.zscore(table[name].to_numpy(), *calibration.scales[name]) for name in COMPONENTS}
    components = {name: getattr(params.rev, name) for name in COMPONENTS}
    score = rev.rev(
        z,
        {name: component.sign for name, component in components.items()},
        {name: component.weight for name, component in components.items()},
    )
    for name, values in z.items():
        table.insert(table.columns.get_loc("reason"), f"{name}_z", values)
    table.insert(table.columns.get_loc("reason"), "rev", score)
    unscaled = [name for name in z if np.isnan(calibration.scales[name][1]) and components[name].weight > 0]
    if unscaled:
        why = f"{', '.join(unscaled)} does not vary over calibration controls"
        table["reason"] = table["reason"].where(table["reason"] != "", why)
    return table


def layer_table(frame: pd.DataFrame, arrays: dict[str, np.ndarray]) -> pd.DataFrame:
    """One row an item and layer: what APE, APL and SIB are made from, so that they can be recomputed by hand."""
    n_items, n_layers, _ = arrays["kl"].shape

    def per_layer(name: str, skipped: int) -> np.ndarray:
        firsts = frame["window_start"]
        return np.concatenate([ape.ape_by_layer(rows, first, skipped) for rows, first in zip(arrays[name], firsts, strict=True)])

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)  # an item without a window
        return pd.DataFrame(
            {
                "item_id": np.repeat(frame["item_id"].to_numpy(), n_layers),
                "layer": np.tile(np.arange(1, n_layers + 1), n_items),
                "ablation_kl": apl.layer_effects(arrays["kl"]).ravel(),
                "entropy": per_layer("entropy", 0),
                "entropy_no_sink": per_layer("entropy_no_sink", 1),
                "lens_jsd_bits": np.nanmean(arrays["jsd"].astype(np.float64), -1).ravel(),
                "paraphrase_cosine": np.nanmean(arrays["cosine"].astype(np.float64), 1)[:, 1:].ravel(),
            }
        )
