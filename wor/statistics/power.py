"""Which effects a study of a given size can detect, and which size an effect needs."""

import math

import numpy as np
from scipy import optimize, stats

GRID = np.linspace(-6, 6, 401)  # of a standard normal variable
DENSITY = stats.norm.pdf(GRID) * (GRID[1] - GRID[0])
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


def distance_of_gain(baseline: float, gain: float) -> float:
    """Return by how many deviations a score differs between classes that adds ``gain`` in AUROC.

    It is the part of the score beyond covariates with the AUROC ``baseline``: sqrt(2 (z1^2 - z0^2))
    with z = Phi^-1(AUROC), where both are normal in each class with equal variances (Su & Liu
    1993). Infinite where baseline + gain is 1 or more. A baseline below 0.5 counts as 0.5.
    """
    before, after = stats.norm.ppf([max(baseline, 0.5), max(baseline, 0.5) + gain])
    return math.sqrt(2 * (after**2 - before**2)) if baseline + gain < 1 else math.inf


def items_for_gain(baseline: float, gain: float, columns: int = 0, power: float = 0.8, alpha: float = 0.025) -> float:
    """Return the items per class with which a test of a score's coefficient detects a gain.

    The one-sided test at ``alpha`` needs N = (z[1 - alpha] + z[power])^2 / (v d^2) items in all
    (Hsieh, Bloch & Larsen 1998). d is from `distance_of_gain`, and v = mean p (1 - p), which is 1/4
    without covariates and less with them. Each covariate column takes one more item. NaN where
    baseline + gain is 1 or more.
    """
    distance = distance_of_gain(baseline, gain)
    if not 0 < distance < math.inf:
        return math.nan
    separation = math.sqrt(2) * float(stats.norm.ppf(max(baseline, 0.5)))
    # Given a positive, the covariates' log-odds are normal with mean s^2 / 2 and deviation s.
    log_odds = separation * GRID + separation**2 / 2
    working = float((DENSITY / (2 + np.exp(log_odds) + np.exp(-log_odds))).sum())
    total = (stats.norm.ppf(1 - alpha) + stats.norm.ppf(power)) ** 2 / (working * distance**2)
    return float(total + columns) / 2


def detectable_gain(baseline: float, items: int, columns: int = 0, power: float = 0.8, alpha: float = 0.025) -> float:
    """Return the smallest gain that ``items`` per class find (`items_for_gain`); NaN if none."""
    most = 1 - max(baseline, 0.5) - 1e-6
    if math.isnan(baseline) or most <= 1e-6 or not items_for_gain(baseline, most, columns, power, alpha) <= items:
        return math.nan
    excess = lambda gain: items_for_gain(baseline, gain, columns, power, alpha) - items  # noqa: E731
    return float(optimize.brentq(excess, 1e-6, most))


def items_for_interval(baseline: float, gain: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return the items per class with which the interval of a gain leaves 0 out.

    DeLong's variance of the difference of two AUROCs, where the second score is the best
    combination of the first with one that is independent of it, both normal in each class. It
    leaves out that fits vary, and so errs towards too few. NaN as in `items_for_gain`.
    """
    distance = distance_of_gain(baseline, gain)
    if not 0 < distance < math.inf:
        return math.nan
    before = math.sqrt(2) * float(stats.norm.ppf(max(baseline, 0.5)))
    after = math.hypot(before, distance)
    first, second = before + GRID[:, None], distance + GRID[None, :]  # of a positive
    change = stats.norm.cdf((before * first + distance * second) / after) - stats.norm.cdf(first)
    weights = DENSITY[:, None] * DENSITY[None, :]
    mean = (weights * change).sum()
    variance = 2 * (weights * (change - mean) ** 2).sum()  # both classes alike
    return float(variance * ((stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)) / gain) ** 2)
