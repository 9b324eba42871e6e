"""Reasoning effort, REV: the weighted mean of APL, APE and SIB on one scale.

REV = sum over components c of w_c s_c z_c / sum of w_c. z_c is the component's z-score over
calibration controls, s_c its sign (+1 or -1) and w_c its weight. Both are in params, fixed before
any data is seen. Range: any real number, in standard deviations. Direction: higher means more
effort, as hypothesised.
"""

from collections.abc import Mapping

import numpy as np


def calibration_scale(calibration: np.ndarray) -> tuple[float, float]:
    """Return mean and sd (ddof 1) without NaN; sd is NaN for fewer than two or for equal values."""
    values = calibration[~np.isnan(calibration)].astype(np.float64)
    if len(values) < 2:
        return float("nan"), float("nan")
    deviation = values.std(ddof=1)
    return float(values.mean()), float(deviation) if deviation > 0 else float("nan")


def zscore(values: np.ndarray, mean: float, deviation: float) -> np.ndarray:
    return (np.asarray(values, np.float64) - mean) / deviation


def rev(z: Mapping[str, np.ndarray], signs: Mapping[str, int], weights: Mapping[str, float]) -> np.ndarray:
    """Return REV of each item, [N], from z-scores [N], signs (+1 or -1) and weights by component.

    NaN in a component of positive weight makes REV NaN. ValueError if all weights, >= 0, are 0.
    """
    total = sum(weights[name] for name in z)
    if total <= 0:
        raise ValueError("every weight is 0")
    terms = (weights[name] * signs[name] * np.asarray(z[name]) for name in z if weights[name] > 0)
    return sum(terms, start=np.zeros(())) / total
