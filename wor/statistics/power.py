"""Which effects a study of a given size can detect."""

import math

from scipy import optimize, stats

MAX_AUROC = 0.9999  # an AUROC of 1 has no variance under the binormal model


def binormal_variance(auroc: float, positives: int, negatives: int) -> float:
    """Return the variance of an estimated AUROC in [0.5, 1), by Obuchowski & McClish 1997.

    ``positives`` and ``negatives`` count the items of each class, or the clusters where items of
    one are alike. The formula leaves out that the binormal model's two parameters vary together.
    Compared with simulated studies it is about right up to 0.7 and too large above. It is worst
    where positives are few (1.4 times at 0.8 with 20 and 60), so power errs to the low side.
    """
    a = stats.norm.ppf(auroc) * math.sqrt(2)
    ratio = negatives / positives
    return 0.0099 * math.exp(-(a**2) / 2) * ((5 * a**2 + 8) + (a**2 + 8) / ratio) / positives


def auroc_power(auroc: float, positives: int, negatives: int, alpha: float = 0.05) -> float:
    """Return the probability that a two-sided test of AUROC = 0.5 detects ``auroc``."""
    threshold = stats.norm.ppf(1 - alpha / 2) * math.sqrt(binormal_variance(0.5, positives, negatives))
    deviation = math.sqrt(binormal_variance(max(auroc, 1 - auroc), positives, negatives))
    return float(stats.norm.sf((threshold - abs(auroc - 0.5)) / deviation))


def detectable_auroc(positives: int, negatives: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return the smallest AUROC above 0.5 that is detected with ``power``; NaN if none is."""
    if min(positives, negatives) < 2 or auroc_power(MAX_AUROC, positives, negatives, alpha) < power:
        return math.nan
    return float(optimize.brentq(lambda value: auroc_power(value, positives, negatives, alpha) - power, 0.5, MAX_AUROC))


def detectable_difference(standard_error: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return the smallest difference that is detected with ``power`` at this standard error.

    (z[1 - alpha / 2] + z[power]) x standard error. For dAUC it is the bootstrap's standard error.
    """
    return float((stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)) * standard_error)
