"""Whether a score rises with a dose."""

import numpy as np

from wor.statistics import bootstrap
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
    dose_order, score_order = (np.sign(values[:, None] - values[None, :]) for values in (dose, score))
    scale = np.sqrt((dose_order**2).sum() * (score_order**2).sum())
    agreement = dose_order * score_order
    value = float(agreement.sum() / scale)
    generator = np.random.default_rng(seed)
    orders = (generator.permutation(n) for _ in range(permutations))
    null = np.array([(dose_order * score_order[np.ix_(order, order)]).sum() for order in orders]) / scale
    p = (1 + (np.abs(null) >= abs(value) - 1e-12).sum()) / (permutations + 1)

    def weighted_sum(matrix: np.ndarray) -> np.ndarray:
        return ((weights @ matrix.astype(np.float32)) * weights).sum(1, dtype=np.float64)

    scales = np.sqrt(weighted_sum(dose_order**2) * weighted_sum(score_order**2))
    samples = np.divide(weighted_sum(agreement), scales, out=np.full(len(weights), np.nan), where=scales > 0)
    return Estimate(value, *bootstrap.percentile_interval(samples, confidence, clusters), p=float(p), n=n, note=clusters.note)
