"""Activation path length, APL: the share of layers that a continuation depends on.

APL = share of layers l whose effect exceeds their threshold. The effect is KL(clean || layer l's
MLP output replaced by its mean over calibration controls), in nats, averaged over the window. The
threshold is exp(mean + tau * sd) of the log effect over calibration controls. Range [0, 1]: higher
means that more layers take part than in a typical control. Hypothesis: higher in reasoning. The
measure is this project's. ``params.ablation`` can name another part or another replacement.
"""

import numpy as np

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays


def layer_effects(kl: np.ndarray) -> np.ndarray:
    """Return the window's mean KL without NaN: ``[..., L, W] -> [..., L]`` nats; NaN if empty."""
    present = ~np.isnan(kl)
    count = present.sum(-1)
    total = np.where(present, kl, 0.0).astype(np.float64).sum(-1)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


def thresholds(calibration: np.ndarray, tau: float) -> np.ndarray:
    """Return each layer's threshold from N calibration controls: ``[N, L] -> [L]`` nats.

    It is exp(mean + tau * sd) of the log effect (ddof 1) over items without NaN; NaN for under two.
    """
    usable = calibration[~np.isnan(calibration).any(-1)]
    if len(usable) < 2:
        return np.full(calibration.shape[-1], np.nan)
    # An effect can round to 0, which has no log; the smallest normal float replaces it.
    logs = np.log(np.maximum(usable, np.finfo(np.float32).tiny))
    return np.exp(logs.mean(0) + tau * logs.std(0, ddof=1))


def mean_log_effect(effects: np.ndarray) -> float:
    """Return the mean over layers of the log effect, [L] in nats: finer than APL, no threshold."""
    return float(np.log(np.maximum(effects, np.finfo(np.float32).tiny)).mean())


def apl(effects: np.ndarray, threshold: np.ndarray) -> float:
    """Return the share of layers whose effect exceeds its threshold; [0, 1] or NaN."""
    if np.isnan(effects).any() or np.isnan(threshold).any():
        return float("nan")
    return float((effects > threshold).mean())


def compute(item: ItemArrays, settings: Measures) -> float:
    """Return `apl` of an item's stored KLs."""
    return apl(layer_effects(item.arrays["kl"]), item.thresholds)


def mean_depth(effects: np.ndarray) -> float:
    """Return the KL-weighted depth, 0 (first layer) to 1 (last); NaN if all are 0 or any is NaN."""
    total = effects.sum()
    if np.isnan(total) or total == 0 or len(effects) < 2:
        return float("nan")
    return float((effects * np.linspace(0, 1, len(effects))).sum() / total)
