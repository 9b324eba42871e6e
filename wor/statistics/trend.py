"""Whether a score rises with a dose."""

import numpy as np

from wor.statistics import auc, bootstrap
from wor.statistics.clusters import count_clusters
from wor.statistics.result import Estimate, undefined

MIN_ITEMS = 10


def kendall_trend(
    dose: np.ndarray, score: np.ndarray, weights: np.ndarray, permutations: int, seed: int, confidence: float = 0.95
) -> Estimate:
    """Return Kendall's tau-b, with a permutation p and the cluster bootstrap's interval.

    The test of tau against permutations is the Jonckheere-Terpstra trend test, two-sided: both
    count concordant pairs. p = (1 + permutations at least as far from 0) / (permutations + 1). It
    takes items as independent; the interval does not. ``weights`` are [draws, N] from
    `bootstrap.cluster_weights`. NaN with a reason for fewer than MIN_ITEMS items, too few clusters,
    NaN, or a dose or score, [N], that does not vary.
    """
    n = len(dose)
    if n < MIN_ITEMS:
        return undefined(f"fewer than {MIN_ITEMS} items with a dose ({n})", n)
    if np.isnan(dose).any() or np.isnan(score).any():
        return undefined("values hold NaN", n)
    for name, values in (("dose", dose), ("score", score)):
        if np.ptp(values) == 0:
            return undefined(f"constant {name}", n)
    clusters = count_clusters(weights)
    if clusters.why_too_few:
        return undefined(clusters.why_too_few, n)
    level, tied = (np.unique(values, return_inverse=True)[1] for values in (dose, score))
    once = np.ones((1, n), np.float32)
    scale = float(np.sqrt(_untied(level, once) * _untied(tied, once))[0])
    value = float(_concordance(level[None], score)[0] / scale)
    generator = np.random.default_rng(seed)
    shuffled = np.empty((permutations, n), level.dtype)
    for row in shuffled:
        row[generator.permutation(n)] = level
    null = _concordance(shuffled, score) / scale
    p = (1 + (np.abs(null) >= abs(value) - 1e-12).sum()) / (permutations + 1)
    agreement = np.zeros(len(weights))
    for dose_level in range(1, level.max() + 1):
        members = np.flatnonzero(level <= dose_level)
        won, total = bootstrap.won_pairs(level == dose_level, score, weights, members)
        agreement += 2 * (2 * won - total)
    scales = np.sqrt(_untied(level, weights) * _untied(tied, weights))
    samples = np.divide(agreement, scales, out=np.full(len(weights), np.nan), where=scales > 0)
    return Estimate(value, *bootstrap.percentile_interval(samples, confidence, clusters), p=float(p), n=n, note=clusters.note)


def _concordance(levels: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the concordant minus the discordant pairs, each counted twice, per row of ``levels``.

    That is over levels of the dose 2 (2 U - pairs), with Mann and Whitney's U of a level against
    all lower ones (Jonckheere 1954). ``levels``, [rows, N], count from 0.
    """
    concordance = np.zeros(len(levels))
    for level in range(1, levels.max() + 1):
        at, lower = levels == level, levels < level
        u = (at * auc.weight_below(lower, score)).sum(1, dtype=np.float64)
        concordance += 2 * (2 * u - at.sum(1) * lower.sum(1))
    return concordance


def _untied(level: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weight of all pairs of different levels, each counted twice: [draws]."""
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.diff(level[order], prepend=-1))
    sums = np.add.reduceat(weights[:, order], starts, axis=1).astype(float)
    return sums.sum(1) ** 2 - (sums**2).sum(1)
