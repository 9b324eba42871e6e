"""Stratified cluster bootstrap: whole clusters of items are resampled within strata."""

import math
from dataclasses import replace

import numpy as np
from scipy import stats

from wor.statistics.auc import why_unusable
from wor.statistics.result import Estimate, undefined

DRAWS_PER_BLOCK = 256  # draws that share a histogram, so that it stays in the processor's cache


def cluster_weights(cluster: np.ndarray, stratum: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Return how often each item occurs in each bootstrap sample: ``[draws, N]``.

    A stratum of k clusters gives k clusters to each sample, drawn with replacement. The items of a
    cluster share a template or an article, so they are not independent.
    """
    generator = np.random.default_rng(seed)
    cluster, stratum = np.asarray(cluster), np.asarray(stratum)
    weights = np.zeros((draws, len(cluster)), np.float32)
    for name in np.unique(stratum):
        members = np.flatnonzero(stratum == name)
        _, owner = np.unique(cluster[members], return_inverse=True)
        count = owner.max() + 1
        for first in range(0, draws, DRAWS_PER_BLOCK):
            rows = np.arange(min(DRAWS_PER_BLOCK, draws - first))[:, None]
            picks = rows * count + generator.integers(count, size=(len(rows), count), dtype=np.int32)
            times = np.bincount(picks.ravel(), minlength=len(rows) * count).reshape(len(rows), count)
            weights[first : first + len(rows), members] = times[:, owner]
    return weights


def jackknife_weights(cluster: np.ndarray) -> np.ndarray:
    """Return the jackknife's samples as weights, each without one cluster: ``[clusters, N]``."""
    _, owner = np.unique(np.asarray(cluster), return_inverse=True)
    return (np.arange(owner.max() + 1)[:, None] != owner).astype(np.float32)


def pairwise_wins(label: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return 1, 1/2 or 0 where a positive scores higher, equal or lower: ``[M, N0]``."""
    positive, negative = score[label == 1][:, None], score[label == 0][None, :]
    return (positive > negative) + 0.5 * (positive == negative)


def weighted_auroc(label: np.ndarray, weights: np.ndarray, wins: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """Return the AUROC of each sample: ``[draws]``; NaN where a sample has no pair.

    ``weights``, [draws, N], are from `cluster_weights` or `jackknife_weights`. ``wins``, [M, N0],
    is from `pairwise_wins`, possibly masked and summed over repeats. ``counts``, [M, N0], says how
    often each pair counts; once by default.
    """
    positives, negatives = weights[:, label == 1], weights[:, label == 0]
    won = ((positives @ wins.astype(np.float32)) * negatives).sum(1, dtype=np.float64)
    if counts is None:
        total = positives.sum(1, dtype=np.float64) * negatives.sum(1, dtype=np.float64)
    else:
        total = ((positives @ counts.astype(np.float32)) * negatives).sum(1, dtype=np.float64)
    return np.divide(won, total, out=np.full(len(weights), np.nan), where=total > 0)


def percentile_interval(samples: np.ndarray, confidence: float) -> tuple[float, float]:
    """Return the percentile interval of the bootstrap samples that are not NaN."""
    samples = samples[~np.isnan(samples)]
    if not len(samples):
        return math.nan, math.nan
    low, high = np.quantile(samples, [(1 - confidence) / 2, 1 - (1 - confidence) / 2])
    return float(low), float(high)


def two_sided_p(samples: np.ndarray) -> float:
    """Return p of the hypothesis that the estimate is 0, which the percentile interval agrees with.

    It is twice the share of samples on the smaller side of 0, at least 2 / (draws + 1).
    """
    return float(min(1.0, 2 * (1 + min((samples <= 0).sum(), (samples >= 0).sum())) / (len(samples) + 1)))


def bca_interval(samples: np.ndarray, value: float, jackknife: np.ndarray, confidence: float) -> tuple[float, float]:
    """Return the bias-corrected and accelerated interval (Efron 1987).

    ``jackknife`` has one estimate per cluster left out. NaN where every sample, [draws], lies on
    one side of ``value``, the estimate, or the jackknife does not vary.
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


def joint_auroc(label: np.ndarray, score_draws: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the AUROC of each joint draw of calibration and evaluation clusters: ``[B]``.

    ``score_draws``, [B, N], are the items' scores under each draw of the calibration sample.
    ``weights``, [B or more, N], are from `cluster_weights`. Draw b has row b of both, and is NaN
    where a score is.
    """
    positive = label == 1
    samples = np.full(len(score_draws), np.nan)
    for draw, (score, weight) in enumerate(zip(score_draws, weights, strict=False)):
        if np.isnan(score).any():
            continue
        order = np.argsort(score[~positive])
        negatives = score[~positive][order]
        below = np.concatenate([[0.0], weight[~positive][order].cumsum(dtype=np.float64)])
        won = (below[negatives.searchsorted(score[positive], side)] for side in ("left", "right"))
        total = weight[positive].sum(dtype=np.float64) * below[-1]
        samples[draw] = weight[positive] @ sum(won) / 2 / total if total > 0 else np.nan
    return samples


def auroc_interval(
    label: np.ndarray, score: np.ndarray, weights: np.ndarray, confidence: float = 0.95, cluster: np.ndarray | None = None
) -> Estimate:
    """Return AUROC with its bootstrap interval: BCa when ``cluster`` is given, else percentile."""
    if cluster is not None:
        return auroc_intervals(label, score, weights, cluster, confidence)[0]
    if reason := why_unusable(label, score):
        return undefined(reason, len(label))
    wins = pairwise_wins(label, score)
    return Estimate(float(wins.mean()), *percentile_interval(weighted_auroc(label, weights, wins), confidence), n=len(label))


def auroc_intervals(
    label: np.ndarray, score: np.ndarray, weights: np.ndarray, cluster: np.ndarray, confidence: float = 0.95
) -> tuple[Estimate, Estimate]:
    """Return AUROC with its BCa interval, and with the percentile interval of the same samples.

    Where there is no BCa interval, the first has the percentile interval and a ``note`` on that.
    """
    if reason := why_unusable(label, score):
        return undefined(reason, len(label)), undefined(reason, len(label))
    wins = pairwise_wins(label, score)
    value, samples = float(wins.mean()), weighted_auroc(label, weights, wins)
    percentile = Estimate(value, *percentile_interval(samples, confidence), n=len(label))
    low, high = bca_interval(samples, value, weighted_auroc(label, jackknife_weights(cluster), wins), confidence)
    if math.isnan(low):
        return replace(percentile, note="no BCa interval, as the samples do not vary about the estimate"), percentile
    return Estimate(value, low, high, n=len(label)), percentile
