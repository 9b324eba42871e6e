"""Many tests at once, and how alike two groups were to begin with."""

from __future__ import annotations

import math

import numpy as np


def holm(p: dict[str, float]) -> dict[str, float]:
    """Holm's step-down adjusted p-values; NaN stays NaN and doesn't count."""
    known = sorted((name for name in p if not math.isnan(p[name])), key=p.get)
    adjusted, running = dict.fromkeys(p, math.nan), 0.0
    for rank, name in enumerate(known):
        running = max(running, min(1.0, (len(known) - rank) * p[name]))
        adjusted[name] = running
    return adjusted


def standardised_difference(a: np.ndarray, b: np.ndarray) -> float:
    """(mean a - mean b) / sqrt((var a + var b) / 2), NaN values left out; NaN where nothing varies.

    Below 0.1 in size is commonly read as balanced (Austin 2009).
    """
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    if len(a) < 2 or len(b) < 2:
        return math.nan
    pooled = math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    return float((a.mean() - b.mean()) / pooled) if pooled > 0 else math.nan
