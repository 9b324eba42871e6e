"""Split-half reliability of a ranking by the difference of two classes' means."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from wor.statistics.result import Estimate, undefined


def split_half(
    positive: np.ndarray,
    negative: np.ndarray,
    clusters: Sequence[np.ndarray],
    halves: int,
    seed: int,
    confidence: float,
    min_clusters: int,
) -> Estimate:
    """Return the reliability of ranking K units by their mean in one class minus the other's.

    ``positive``, [N1, K], and ``negative``, [N0, K], hold the values of each class's items, and
    ``clusters`` the cluster of each item. A random half of each class's clusters ranks the units,
    and so does the other half. r is Spearman's correlation of both rankings, averaged over
    ``halves`` such splits. The value is 2 r / (1 + r), which a ranking from all items has (Spearman
    and Brown, 1910): the correlation to expect with a ranking from as many other items. It is at
    most 1. Of noise it is about 0, above or below.

    The interval takes the units as given, and the clusters as sampled. It is a jackknife over the
    clusters of log(1 - value) = -2 artanh r (Bonett 2002), with t quantiles of as many degrees of
    freedom as the smaller class has clusters, less one. Fewer than ``min_clusters`` in a class, or
    units that do not differ, give a reason. ``n`` counts items.
    """
    n = len(positive) + len(negative)
    owners = [np.unique(names, return_inverse=True)[1] for names in clusters]
    counts = [int(owner.max(initial=-1)) + 1 for owner in owners]
    if min(counts) < max(2, min_clusters):
        return undefined(f"fewer than {max(2, min_clusters)} clusters rank in a class ({counts[0]} and {counts[1]})", n)
    generator = np.random.default_rng(seed)
    # Of k clusters, k // 2 are in a split's first half.
    firsts = [np.argsort(generator.random((halves, count)), axis=1) < count // 2 for count in counts]

    def artanh_r(left_out: tuple[int, int] | None = None) -> float:
        effects = []
        for in_half in (True, False):
            means = []
            for index, values in enumerate((positive, negative)):
                weights = firsts[index] == in_half
                if left_out and left_out[0] == index:
                    weights = weights & (np.arange(counts[index]) != left_out[1])
                weights = weights[:, owners[index]].astype(float)
                with np.errstate(invalid="ignore"):
                    means.append(weights @ values / weights.sum(1, keepdims=True))
            effects.append(means[0] - means[1])
        return math.atanh(min(_mean_spearman(*effects), 1 - 1e-12))

    z = artanh_r()
    if math.isnan(z):
        return undefined("the units do not differ", n)
    variance = 0.0
    for index, count in enumerate(counts):
        without = np.array([artanh_r((index, cluster)) for cluster in range(count)])
        variance += (count - 1) / count * ((without - without.mean()) ** 2).sum()
    margin = stats.t.ppf((1 + confidence) / 2, min(counts) - 1) * math.sqrt(variance)
    value, low, high = (1 - math.exp(-2 * at) for at in (z, z - margin, z + margin))
    return Estimate(value, low, high, n=n)


def _mean_spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean over rows of Spearman's correlation of two arrays [rows, K]."""
    complete = ~(np.isnan(first).any(1) | np.isnan(second).any(1))  # a half lost its only cluster
    ranks = [stats.rankdata(values[complete], axis=1) for values in (first, second)]
    centred = [values - values.mean(1, keepdims=True) for values in ranks]
    scale = np.sqrt((centred[0] ** 2).sum(1) * (centred[1] ** 2).sum(1))
    if not (scale > 0).any():
        return math.nan
    return float(((centred[0] * centred[1]).sum(1)[scale > 0] / scale[scale > 0]).mean())
