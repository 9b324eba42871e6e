"""Activation path length, APL: the share of layers that a continuation depends on.

APL = share of layers l whose effect exceeds their threshold. The effect is KL(clean || layer l's
MLP output replaced by its mean over calibration controls), in nats, averaged over the window. The
threshold is exp(mean + tau * sd) of the log effect over calibration controls. Range [0, 1]: higher
means that more layers take part than in a typical control. Hypothesis: higher in reasoning. The
measure is this project's. ``params.ablation`` can name another part or another replacement.
"""

import numpy as np

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays, Records
from wor.measures.moments import moments_by_draw


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
    return thresholds_by_draw(calibration, np.ones((1, len(calibration))), tau)[0]


def thresholds_by_draw(calibration: np.ndarray, weights: np.ndarray, tau: float) -> np.ndarray:
    """Return the `thresholds` of each draw of the calibration controls, [B, L] nats.

    ``weights``, [B, N], say how often each control is in each draw.
    """
    usable = ~np.isnan(calibration).any(-1)
    # An effect can round to 0, which has no log; the smallest normal float replaces it.
    logs = np.log(np.maximum(calibration[usable], np.finfo(np.float32).tiny))
    moments = [moments_by_draw(layer, weights[:, usable]) for layer in logs.T]
    return np.exp(np.stack([mean + tau * deviation for mean, deviation in moments], 1))


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


def compute_by_draw(calibration: Records, items: Records, weights: np.ndarray, settings: Measures) -> np.ndarray:
    """Return `apl` of each item with the thresholds of each calibration draw: [B, N]."""
    effects = layer_effects(items[1]["kl"])
    limits = thresholds_by_draw(layer_effects(calibration[1]["kl"]), weights, settings.tau)
    lengths = np.stack([(effects > limit).mean(-1) for limit in limits])
    undefined = np.isnan(limits).any(-1)[:, None] | np.isnan(effects).any(-1)
    return np.where(undefined, np.nan, lengths)


def mean_depth(effects: np.ndarray) -> float:
    """Return the KL-weighted depth, 0 (first layer) to 1 (last); NaN if all are 0 or any is NaN."""
    total = effects.sum()
    if np.isnan(total) or total == 0 or len(effects) < 2:
        return float("nan")
    return float((effects * np.linspace(0, 1, len(effects))).sum() / total)
