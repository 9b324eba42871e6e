"""REV: the components on one scale, with signs fixed before any data is seen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def calibration_scale(calibration: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation (ddof 1) over calibration controls; NaN left out.

    The deviation is NaN when fewer than two values are left or all are equal: then nothing can be put on
    this scale.
    """
    values = calibration[~np.isnan(calibration)].astype(np.float64)
    if len(values) < 2:
        return float("nan"), float("nan")
    deviation = values.std(ddof=1)
    return float(values.mean()), float(deviation) if deviation > 0 else float("nan")


def zscore(values: np.ndarray, mean: float, deviation: float) -> np.ndarray:
    return (np.asarray(values, np.float64) - mean) / deviation


def rev(z: Mapping[str, np.ndarray], signs: Mapping[str, int], weights: Mapping[str, float]) -> np.ndarray:
    """sum_c w_c s_c z_c / sum_c w_c over the components with positive weight.

    Parameters
    ----------
    z : each component's z-scores, [N].
    signs : +1 or -1 a component, from params; never changed afterwards.
    weights : >= 0, not all 0.

    Returns
    -------
    [N]; NaN wherever a component that counts is NaN. Higher: more effort, as hypothesised.
    """
    total = sum(weights[name] for name in z)
    if total <= 0:
        raise ValueError("every weight is 0")
    return sum(weights[name] * signs[name] * np.asarray(z[name]) for name in z if weights[name] > 0) / total
