"""From the stored arrays of items to a table of measures, one row per item."""

import warnings
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from wor.config.params import Params
from wor.measures import ape, apl, apl_given_entropy, output_entropy, rev, tell_tale_norm
from wor.measures.covariates import window_covariates
from wor.measures.item_arrays import EntropyFit, first_positions, iterate_items, select
from wor.measures.registry import COMPONENTS, PUBLISHED, compute_measures

ITEM_COLUMNS = [
    "item_id", "dataset", "role", "split", "cluster", "token_len", "cot_len", "n_generated", "avg_logprob",
    "perplexity", "prompt_perplexity", "finished", "answer", "correct", "steps", "paraphrase_share", "body_share",
    "moved_share", "paraphrase_fluency", "template",
]  # fmt: skip


@dataclass(frozen=True)
class Calibration:
    """What calibration controls fix: each layer's threshold, each component's mean and sd.

    Also how each layer's effect goes with entropy, and quantiles over tokens that published
    measures take, where the records have the arrays.
    """

    thresholds: np.ndarray
    scales: dict[str, tuple[float, float]]
    n: int
    entropy_fit: EntropyFit | None = None
    quantiles: dict[str, np.ndarray] = field(default_factory=dict)

    def as_dict(self) -> dict:
        scales = {name: {"mean": mean, "sd": deviation} for name, (mean, deviation) in self.scales.items()}
        return {"n": self.n, "apl_thresholds": self.thresholds, "scales": scales}


def calibrate(frame: pd.DataFrame, arrays: dict[str, np.ndarray], params: Params) -> Calibration:
    """Return thresholds and scales from calibration controls alone."""
    effects = apl.layer_effects(arrays["kl"])
    tau, everyone = params.measures.tau, np.ones((1, len(frame)))
    fit = apl_given_entropy.fit_by_draw(arrays, everyone, tau) if "prediction_entropy" in arrays else None
    rules = {"norm": tell_tale_norm.thresholds, "prediction_entropy": output_entropy.threshold}
    quantiles = {name: rule(arrays[name]) for name, rule in rules.items() if name in arrays}
    fixed = Calibration(apl.thresholds(effects, tau), {}, int((~np.isnan(effects).any(1)).sum()), fit, quantiles)
    raw = raw_measures(frame, arrays, fixed, params)
    return replace(fixed, scales={name: rev.calibration_scale(raw[name].to_numpy()) for name in COMPONENTS})


def raw_measures(frame: pd.DataFrame, arrays: dict[str, np.ndarray], fixed: Calibration, params: Params) -> pd.DataFrame:
    """Return the unscaled measures and the covariates; NaN with a ``reason`` where undefined."""
    rows = [
        {
            **compute_measures(item, params.measures),
            "apl_depth": apl.mean_depth(apl.layer_effects(item.arrays["kl"])),
            "ape_all_keys": ape.ape(item.arrays["entropy"], item.first_position),
            "ape_no_sink": ape.ape(item.arrays["entropy_no_sink"], item.first_position, skipped_keys=1),
            "ape_nats": ape.ape_nats(item.arrays["entropy"]),
        }
        for item in iterate_items(frame, arrays, fixed.thresholds, fixed.entropy_fit, fixed.quantiles)
    ]
    items = frame.reindex(columns=ITEM_COLUMNS).reset_index(drop=True).assign(**window_covariates(frame))
    table = pd.concat([items, pd.DataFrame(rows)], axis=1)
    reason = frame["reason"].where(frame["reason"] != "", frame["paraphrase_reason"])
    return table.assign(reason=reason.to_numpy())


def measure_items(frame: pd.DataFrame, arrays: dict[str, np.ndarray], calibration: Calibration, params: Params) -> pd.DataFrame:
    """Return every measure of every item, raw and as calibration z-scores, and REV."""
    table = raw_measures(frame, arrays, calibration, params)
    z = {name: rev.zscore(table[name].to_numpy(), *calibration.scales[name]) for name in COMPONENTS}
    signs = {name: getattr(params.rev, name).sign for name in COMPONENTS}
    weights = {name: getattr(params.rev, name).weight for name in COMPONENTS}
    for column, values in {**{f"{name}_z": values for name, values in z.items()}, "rev": rev.rev(z, signs, weights)}.items():
        table.insert(table.columns.get_loc("reason"), column, values)
    unscaled = [name for name in z if np.isnan(calibration.scales[name][1]) and weights[name] > 0]
    if unscaled:
        why = f"{', '.join(unscaled)} does not vary over calibration controls"
        table["reason"] = table["reason"].where(table["reason"] != "", why)
    return table


def measure_null_models(frame: pd.DataFrame, arrays: dict[str, np.ndarray], params: Params) -> pd.DataFrame:
    """Return the measures of what null models read: one row per null model and evaluation item.

    ``frame`` names each row's null model in the columns ``kind`` and ``seed``. A null model has the
    scales of its own calibration controls. REV is of the components that all null models have, so
    that it is the same for all: without APL where some were not ablated, without SIB where no
    paraphrase was read.
    """
    is_calibration = ((frame["role"] == "control") & (frame["split"] == "calibration")).to_numpy()
    parts, calibrations = [], []
    for rows in frame.groupby(["kind", "seed"], sort=False).indices.values():
        mask = is_calibration[rows]
        calibrations.append(calibrate(*select((frame, arrays), rows[mask]), params))
        parts.append(select((frame, arrays), rows[~mask]))
    shared = [name for name in COMPONENTS if all(np.isfinite(part.scales[name][0]) for part in calibrations)]
    weights = {name: part.weight if name in shared else 0.0 for name, part in params.rev}
    reduced = {name: part.model_copy(update={"weight": weights[name]}) for name, part in params.rev}
    if any(weights.values()):
        params = params.model_copy(update={"rev": params.rev.model_copy(update=reduced)})
    tables = [
        measure_items(*part, calibration, params).assign(kind=part[0]["kind"].to_numpy(), seed=part[0]["seed"].to_numpy())
        for part, calibration in zip(parts, calibrations, strict=True)
    ]
    table = pd.concat(tables, ignore_index=True)
    published = [measure.name for measure in PUBLISHED if measure.name in table]
    return table[["item_id", "kind", "seed", *COMPONENTS, "rev", *published, "reason"]]


def layer_table(frame: pd.DataFrame, arrays: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return one row per item and layer, from which APE, APL and SIB can be recomputed by hand."""
    n_items, n_layers, _ = arrays["kl"].shape

    def ape_column(name: str, skipped: int) -> np.ndarray:
        windows = zip(arrays[name], first_positions(frame), strict=True)
        return np.concatenate([ape.ape_by_layer(entropy, start, skipped) for entropy, start in windows])

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)  # no window
        return pd.DataFrame(
            {
                "item_id": np.repeat(frame["item_id"].to_numpy(), n_layers),
                "layer": np.tile(np.arange(1, n_layers + 1), n_items),
                "ablation_kl": apl.layer_effects(arrays["kl"]).ravel(),
                "entropy": ape_column("entropy", 0),
                "entropy_no_sink": ape_column("entropy_no_sink", 1),
                "lens_jsd_bits": np.nanmean(arrays["jsd"].astype(np.float64), -1).ravel(),
                "paraphrase_cosine": np.nanmean(arrays["cosine"].astype(np.float64), 1)[:, 1:].ravel(),
            }
        )
