"""Stratified cluster bootstrap: items drawn again in whole clusters, within strata."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy import stats

from wor.statistics.auc import why_unusable
from wor.statistics.result import Estimate, undefined

DRAWS_PER_BLOCK = 256  # draws that share a histogram, so that it stays in the processor's cache


def cluster_weights(cluster: np.ndarray, stratum: np.ndarray, draws: int, seed: int) -> np.ndarray:
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
        for first in range(0, draws, DRAWS_PER_BLOCK):
            rows = np.arange(min(DRAWS_PER_BLOCK, draws - first))[:, None]
            chosen = rows * count + generator.integers(count, size=(len(rows), count), dtype=np.int32)
            times = np.bincount(chosen.ravel(), minlength=len(rows) * count).reshape(len(rows), count)
            drawn[first : first + len(rows), members] = times[:, owner]
    return drawn


def jackknife_weights(cluster: np.ndarray) -> np.ndarray:
    """The jackknife's samples as weights, one cluster left out in each: ``[clusters, N]``."""
    _, owner = np.unique(np.asarray(cluster), return_inverse=True)
    return (np.arange(owner.max() + 1)[:, None] != owner).astype(np.float32)


def pairwise_wins(label: np.ndarray, score: np.ndarray) -> np.ndarray:
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


def percentile_interval(samples: np.ndarray, confidence: float) -> tuple[float, float]:
    """Percentile interval of the bootstrap samples that are defined."""
    samples = samples[~np.isnan(samples)]
    if not len(samples):
        return math.nan, math.nan
    tail = (1 - confidence) / 2
    low, high = np.quantile(samples, [tail, 1 - tail])
    return float(low), float(high)


def bca_interval(samples: np.ndarray, value: float, jackknife: np.ndarray, confidence: float) -> tuple[float, float]:
    """Bias-corrected and accelerated interval (Efron 1987).

    samples : [draws] of the bootstrap; value : the estimate itself; jackknife : [clusters] of `left_out`.
    NaN where every sample lies on one side of the estimate, or the jackknife does not vary.
    """
    samples, jackknife = samples[~np.isnan(samples)], jackknife[~np.isnan(jackknife)]
    # Half of the ties, as scipy.stats.bootstrap does.
    below = ((samples < value).mean() + (samples <= value).mean()) / 2 if len(samples) else 0.0
    centred = jackknife.mean() - jackknife if len(jackknife) else np.zeros(1)
    spread = (centred**2).sum()
    if not 0 < below < 1 or spread == 0:
        return math.nan, math.nan
    bias, acceleration = stats.norm.ppf(below), (centred**3).sum() / (6 * spread**1.5)
    z = bias + stats.norm.ppf([(1 - confidence) / 2, (1 + confidence) / 2])
    low, high = np.quantile(samples, stats.norm.cdf(bias + z / (1 - acceleration * z)))
    return float(low), float(high)


def auroc_interval(
    label: np.ndarray,
    score: np.ndarray,
    drawn: np.ndarray,
    confidence: float = 0.95,
    cluster: np.ndarray | None = None,
) -> Estimate:
    """AUROC with its interval over the samples of `weights`: percentile, or BCa when ``cluster`` is given."""
    if cluster is not None:
        return auroc_intervals(label, score, drawn, cluster, confidence)[0]
    if reason := why_unusable(label, score):
        return undefined(reason, len(label))
    wins = pairwise_wins(label, score)
    return Estimate(float(wins.mean()), *percentile_interval(weighted_auroc(label, drawn, wins), confidence), n=len(label))


def auroc_intervals(
    label: np.ndarray, score: np.ndarray, drawn: np.ndarray, cluster: np.ndarray, confidence: float = 0.95
) -> tuple[Estimate, Estimate]:
    """AUROC with its BCa interval, and with the percentiles', over the same samples of `weights`.

    Where there is no BCa interval, as for classes that the score separates perfectly, it is the percentiles', and
    ``note`` says so.
    """
    if reason := why_unusable(label, score):
        return undefined(reason, len(label)), undefined(reason, len(label))
    wins = pairwise_wins(label, score)
    value, samples = float(wins.mean()), weighted_auroc(label, drawn, wins)
    plain = Estimate(value, *percentile_interval(samples, confidence), n=len(label))
    low, high = bca_interval(samples, value, weighted_auroc(label, jackknife_weights(cluster), wins), confidence)
    if math.isnan(low):
        return replace(plain, note="no BCa interval, as the samples do not vary about the estimate"), plain
    return Estimate(value, low, high, n=len(label)), plain
