"""Means and deviations of a calibration sample under weights, such as those of bootstrap draws."""

import numpy as np


def moments_by_draw(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and sd (ddof 1) in each draw, [B] each; NaN for a total weight below 2.

    ``values`` are [B, N], or [N] where they do not depend on the draw. NaN values are left out.
    ``weights``, [B, N], say how often each item is in each draw.
    """
    values = np.broadcast_to(np.asarray(values, np.float64), weights.shape)
    weights = np.where(np.isnan(values), 0.0, weights)
    values = np.nan_to_num(values)
    total = weights.sum(1)
    usable = np.where(total >= 2, total, np.nan)
    mean = (weights * values).sum(1) / usable
    deviation = np.sqrt((weights * (values - mean[:, None]) ** 2).sum(1) / (usable - 1))
    return mean, deviation
