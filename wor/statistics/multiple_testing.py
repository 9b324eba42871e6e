"""Correction for many tests at once."""

import math


def holm(p: dict[str, float]) -> dict[str, float]:
    """Return Holm's step-down adjusted p-values; NaN stays NaN and doesn't count."""
    defined = sorted((name for name in p if not math.isnan(p[name])), key=lambda name: p[name])
    adjusted, running = dict.fromkeys(p, math.nan), 0.0
    for rank, name in enumerate(defined):
        running = max(running, min(1.0, (len(defined) - rank) * p[name]))
        adjusted[name] = running
    return adjusted
