"""Does a score rise with a dose?"""

from __future__ import annotations

import numpy as np

from wor.statistics import bootstrap
from wor.statistics.result import Estimate, undefined

MIN_ITEMS = 10  # items


def kendall_trend(
    dose: np.ndarray, score: np.ndarray, drawn: np.ndarray, permutations: int, seed: int, confidence: float = 0.95
) -> Estimate:
    """Kendall's tau-b of score and dose, with a permutation p and the cluster bootstrap's interval.

    Testing tau against permutations is the Jonckheere-Terpstra trend test, two-sided: both count concordant
    pairs. p = (1 + permutations at least as far from 0) / (permutations + 1); it takes items as independent, the
    interval does not. NaN with a reason for fewer than
    LEAST items, NaN, or a dose or score that does not vary.

    Parameters
    ----------
    dose, score : [N]. drawn : [draws, N] from `bootstrap.cluster_weights`.
    """
    n = len(dose)
    if n < MIN_ITEMS:
        return undefined(f"fewer than {MIN_ITEMS} items with a dose ({n})", n)
    if np.isnan(dose).any() or np.isnan(score).any():
        return undefined("values hold NaN", n)
    for name, values in (("dose", dose), ("score", score)):
        if np.ptp(values) == 0:
            return undefined(f"constant {name}", n)
    of_dose, of_score = (np.sign(values[:, None] - values[None, :]) for values in (dose, score))
    scale = np.sqrt((of_dose**2).sum() * (of_score**2).sum())
    agreement = of_dose * of_score
    value = float(agreement.sum() / scale)
    generator = np.random.default_rng(seed)
    orders = (generator.permutation(n) for _ in range(permutations))
    null = np.array([(of_dose * of_score[np.ix_(order, order)]).sum() for order in orders]) / scale
    p = (1 + (np.abs(null) >= abs(value) - 1e-12).sum()) / (permutations + 1)

    def weighted(matrix: np.ndarray) -> np.ndarray:
        return ((drawn @ matrix.astype(np.float32)) * drawn).sum(1, dtype=np.float64)

    scales = np.sqrt(weighted(of_dose**2) * weighted(of_score**2))
    samples = np.divide(weighted(agreement), scales, out=np.full(len(drawn), np.nan), where=scales > 0)
    return Estimate(value, *bootstrap.percentile_interval(samples, confidence), p=float(p), n=n)
