"""Which effects a study of a given size can detect, and which size an effect needs."""

import math

import numpy as np
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


def items_for_difference(standard_error: float, items: int, wanted: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return how many items a difference of ``wanted`` needs to be detected with ``power``.

    ``standard_error`` is that of a pilot with ``items``, and falls with their square root: items x
    (detectable difference / wanted)^2. Count all as items of one class, or as clusters.
    """
    return items * (detectable_difference(standard_error, power, alpha) / wanted) ** 2


def items_for_gain(baseline: float, wanted: float, columns: int = 0, power: float = 0.8, alpha: float = 0.025) -> float:
    """Return the items per class with which a test of a score's coefficient detects a gain.

    The gain in AUROC is ``wanted``, over covariates with the AUROC ``baseline``. Where both are
    normal in each class, the score's part beyond the covariates differs by d = sqrt(2 (z1^2 -
    z0^2)) deviations, with z = Phi^-1 of the AUROCs (Su & Liu 1993). The one-sided test at
    ``alpha`` needs N = (z[1 - alpha] + z[power])^2 / (v d^2) items in all (Hsieh, Bloch & Larsen
    1998), where v = mean p (1 - p) is 1/4 without covariates and less with them. Each covariate
    column takes one more item. Compared with simulated studies: see its test. NaN where baseline +
    wanted is 1 or more, or the baseline is below 0.5.
    """
    if not 0.5 <= baseline <= baseline + wanted < 1:
        return math.nan
    before, after = stats.norm.ppf([baseline, baseline + wanted])
    distance = math.sqrt(2 * (after**2 - before**2))
    separation = math.sqrt(2) * before  # of the covariates' log-odds, in units of its deviation
    # Given a positive, the log-odds are normal with mean separation^2 / 2 and this deviation.
    log_odds = separation * np.linspace(-8, 8, 2001) + separation**2 / 2
    density = stats.norm.pdf(np.linspace(-8, 8, 2001)) * 0.008
    working = float((density / (2 + np.exp(log_odds) + np.exp(-log_odds))).sum())
    total = (stats.norm.ppf(1 - alpha) + stats.norm.ppf(power)) ** 2 / (working * distance**2)
    return float(total + columns) / 2
