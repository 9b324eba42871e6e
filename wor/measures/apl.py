"""APL, activation path length: how many layers a continuation needs."""

from __future__ import annotations

import numpy as np

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays


def layer_effects(kl: np.ndarray) -> np.ndarray:
    """Mean over the window of each layer's ablation KL: ``[..., L, W] -> [..., L]`` nats; NaN pads a window."""
    present = ~np.isnan(kl)
    count = present.sum(-1)
    total = np.where(present, kl, 0.0).astype(np.float64).sum(-1)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


def thresholds(calibration: np.ndarray, tau: float) -> np.ndarray:
    """Per layer, exp(mean + tau * sd) of the log effect over calibration controls.

    Parameters
    ----------
    calibration : [N, L] layer effects of calibration items; rows of NaN are left out. N >= 2 of the rest.
    tau : how many standard deviations (ddof 1) above the mean.

    Returns
    -------
    [L] nats. NaN everywhere when fewer than two items are left.
    """
    usable = calibration[~np.isnan(calibration).any(-1)]
    if len(usable) < 2:
        return np.full(calibration.shape[-1], np.nan)
    # An effect can round to 0; the smallest normal float stands for it.
    logs = np.log(np.maximum(usable, np.finfo(np.float32).tiny))
    return np.exp(logs.mean(0) + tau * logs.std(0, ddof=1))


def apl(effects: np.ndarray, threshold: np.ndarray) -> float:
    """Share of layers whose effect exceeds its threshold: ``[L], [L]`` -> in [0, 1], or NaN.

    Higher: more layers take part than a calibration control would engage.
    """
    if np.isnan(effects).any() or np.isnan(threshold).any():
        return float("nan")
    return float((effects > threshold).mean())


def compute(item: ItemArrays, settings: Measures) -> float:
    """`apl` of an item's stored KLs."""
    return apl(layer_effects(item.arrays["kl"]), item.thresholds)


def mean_depth(effects: np.ndarray) -> float:
    """KL-weighted mean depth, 0 the first layer and 1 the last: ``[L]`` -> in [0, 1], or NaN when all are 0."""
    total = effects.sum()
    if np.isnan(total) or total == 0 or len(effects) < 2:
        return float("nan")
    return float((effects * np.linspace(0, 1, len(effects))).sum() / total)
