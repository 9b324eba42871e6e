"""Stratified cluster bootstrap: items drawn again in whole clusters, within strata."""

from __future__ import annotations

import math

import numpy as np

from wor.statistics.auc import usable
from wor.statistics.result import Estimate, undefined


def weights(cluster: np.ndarray, stratum: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """How often each item occurs in each bootstrap sample: ``[draws, N]``.

    Within a stratum as many clusters are drawn, with replacement, as it has. A cluster is what shares a
    template or an article: its items are not independent, so they come and go together.
    """
    generator = np.random.default_rng(seed)
    cluster, stratum = np.asarray(cluster), np.asarray(stratum)
    drawn = np.zeros((draws, len(cluster)), np.float32)
    for name in np.unique(stratum):
        members = np.flatnonzero(stratum == name)
        _, owner = np.unique(cluster[members], return_inverse=True)
        count = owner.max() + 1
        times = generator.multinomial(count, np.full(count, 1 / count), size=draws)
        drawn[:, members] = times[:, owner]
    return drawn


def pairs(label: np.ndarray, score: np.ndarray) -> np.ndarray:
    """For each positive and negative, whether the positive scores higher (1), the same (1/2) or lower (0)."""
    positive, negative = score[label == 1][:, None], score[label == 0][None, :]
    return (positive > negative) + 0.5 * (positive == negative)


def weighted_auroc(label: np.ndarray, drawn: np.ndarray, wins: np.ndarray, counted: np.ndarray | None = None) -> np.ndarray:
    """AUROC of each bootstrap sample: ``[draws]``; NaN where a sample has no pair.

    wins : [M, N0] from `pairs`, possibly summed over repeats and masked.
    counted : [M, N0] how often a pair counts (default once each).
    """
    of_positive, of_negative = drawn[:, label == 1], drawn[:, label == 0]
    won = ((of_positive @ wins.astype(np.float32)) * of_negative).sum(1, dtype=np.float64)
    if counted is None:
        total = of_positive.sum(1, dtype=np.float64) * of_negative.sum(1, dtype=np.float64)
    else:
        total = ((of_positive @ counted.astype(np.float32)) * of_negative).sum(1, dtype=np.float64)
    return np.divide(won, total, out=np.full(len(drawn), np.nan), where=total > 0)


def percentile(samples: np.ndarray, confidence: float) -> tuple[float, float]:
    """Percentile interval of the bootstrap samples that are defined."""
    samples = samples[~np.isnan(samples)]
    if not len(samples):
        return math.nan, math.nan
    tail = (1 - confidence) / 2
    low, high = np.quantile(samples, [tail, 1 - tail])
    return float(low), float(high)


def auroc_interval(label: np.ndarray, score: np.ndarray, drawn: np.ndarray, confidence: float = 0.95) -> Estimate:
    """AUROC with its percentile interval over the samples of `weights`."""
    if reason := usable(label, score):
        return undefined(reason, len(label))
    wins = pairs(label, score)
    return Estimate(float(wins.mean()), *percentile(weighted_auroc(label, drawn, wins), confidence), n=len(label))
