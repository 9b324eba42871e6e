"""What a study of this size could have found."""

from __future__ import annotations

import math

from scipy import optimize, stats

MAX_AUROC = 0.9999  # an AUROC of 1 has no variance under the binormal model


def binormal_variance(auroc: float, positives: int, negatives: int) -> float:
    """Variance of an estimated AUROC in [0.5, 1) under the binormal model (Obuchowski & McClish 1997).

    ``positives`` and ``negatives`` are items of each class, or their clusters where items of one are alike.
    The formula leaves out that the model's two parameters vary together. Beside simulated studies it is about right up to
    0.7 and too large above, most where positives are few (1.4 times at 0.8 with 20 and 60): power errs to the low side.
    """
    a = stats.norm.ppf(auroc) * math.sqrt(2)
    ratio = negatives / positives
    return 0.0099 * math.exp(-(a**2) / 2) * ((5 * a**2 + 8) + (a**2 + 8) / ratio) / positives


def auroc_power(auroc: float, positives: int, negatives: int, alpha: float = 0.05) -> float:
    """Probability that a two-sided test of AUROC = 0.5 at level ``alpha`` finds a true ``auroc``."""
    threshold = stats.norm.ppf(1 - alpha / 2) * math.sqrt(binormal_variance(0.5, positives, negatives))
    return float(
        stats.norm.sf((threshold - abs(auroc - 0.5)) / math.sqrt(binormal_variance(max(auroc, 1 - auroc), positives, negatives)))
    )


def detectable_auroc(positives: int, negatives: int, wanted: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest AUROC above 0.5 that is found with probability ``wanted``; NaN when none is."""
    if min(positives, negatives) < 2 or auroc_power(MAX_AUROC, positives, negatives, alpha) < wanted:
        return math.nan
    return float(optimize.brentq(lambda value: auroc_power(value, positives, negatives, alpha) - wanted, 0.5, MAX_AUROC))


def detectable_difference(standard_error: float, wanted: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest difference that is found with probability ``wanted``, of an estimate with this standard error.

    (z[1 - alpha / 2] + z[wanted]) x standard error: for dAUC, the bootstrap's.
    """
    return float((stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(wanted)) * standard_error)
