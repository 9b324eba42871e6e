"""Stratified cluster bootstrap: whole clusters of items are resampled within strata."""

import math

import numpy as np
from scipy import stats

from wor.statistics.auc import binomial_interval, why_unusable
from wor.statistics.clusters import MIN_CLUSTERS, Clusters, count_clusters, with_note
from wor.statistics.result import Estimate, undefined

NO_BCA = "no BCa interval, as the samples do not vary about the estimate"
BINOMIAL = "binomial bound"  # how a note calls the interval of `bound_near_perfect`
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


def percentile_interval(samples: np.ndarray, confidence: float, clusters: Clusters | None = None) -> tuple[float, float]:
    """Return the percentile interval of the bootstrap samples that are not NaN.

    With ``clusters`` the percentiles are further out, by as much as t's quantile is than the
    normal's (Hesterberg 2015, expanded percentile interval).
    """
    samples = samples[~np.isnan(samples)]
    if not len(samples):
        return math.nan, math.nan
    low, high = np.quantile(samples, stats.norm.cdf(_normal_quantiles(confidence, clusters)))
    return float(low), float(high)


def _normal_quantiles(confidence: float, clusters: Clusters | None) -> np.ndarray:
    half = clusters.quantile(confidence) if clusters else float(stats.norm.ppf((1 + confidence) / 2))
    return np.array([-half, half])


def bca_interval(
    samples: np.ndarray,
    value: float,
    jackknife: np.ndarray,
    confidence: float,
    stratum: np.ndarray | None = None,
    clusters: Clusters | None = None,
) -> tuple[float, float]:
    """Return the bias-corrected and accelerated interval (Efron 1987).

    ``jackknife`` has one estimate per cluster left out, and ``stratum`` the stratum of each; left
    out, there is one. The acceleration is that of several samples (Davison & Hinkley 1997, 5.4):
    1/6 sum(u^3 / k^3) / sum(u^2 / k^2)^1.5 over clusters, with u = (k - 1) (mean - estimate)
    within a stratum of k clusters. ``clusters`` widens it as in `percentile_interval`. NaN where
    every sample, [draws], lies on one side of ``value``, or the jackknife does not vary.
    """
    samples, defined = samples[~np.isnan(samples)], ~np.isnan(jackknife)
    strata = np.zeros(len(jackknife)) if stratum is None else np.asarray(stratum)
    # Half of the ties, as scipy.stats.bootstrap does.
    below = ((samples < value).mean() + (samples <= value).mean()) / 2 if len(samples) else 0.0
    squares = cubes = 0.0
    for name in np.unique(strata[defined]):
        left = jackknife[defined & (strata == name)]
        influence = (len(left) - 1) * (left.mean() - left) / len(left)
        squares, cubes = squares + (influence**2).sum(), cubes + (influence**3).sum()
    if not 0 < below < 1 or squares == 0:
        return math.nan, math.nan
    bias, acceleration = stats.norm.ppf(below), cubes / (6 * squares**1.5)
    z = bias + _normal_quantiles(confidence, clusters)
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


def normal_interval(value: float, samples: np.ndarray, confidence: float, clusters: Clusters) -> tuple[float, float, float]:
    """Return value -+ t x the samples' standard error, and the two-sided p of 0.

    They agree: p is below 1 - confidence where the interval leaves 0 out. All NaN where nothing
    varies.
    """
    error = float(np.nanstd(samples, ddof=1))
    if not error > 0:
        return math.nan, math.nan, math.nan
    half = clusters.quantile(confidence) * error
    return value - half, value + half, clusters.p_value(value / error)


def bound_near_perfect(
    estimate: Estimate,
    label: np.ndarray,
    weights: np.ndarray,
    confidence: float,
    wins: np.ndarray,
    counts: np.ndarray | None = None,
) -> Estimate:
    """Return ``estimate`` with `binomial_interval` if few clusters of each class are ever wrong.

    A bootstrap of fewer than MIN_CLUSTERS has little to vary: of none it gives a point as interval.
    """
    counts = np.ones_like(wins) if counts is None else counts
    wrong = (wins < counts) if estimate.value > 0.5 else (wins > 0)
    involved = [wrong.any(1), wrong.any(0)]
    mixed = [count_clusters(weights[:, label == value][:, rows]).counts[0] for value, rows in zip((1, 0), involved, strict=True)]
    if estimate.reason or max(mixed) >= MIN_CLUSTERS:
        return estimate
    k = min(count_clusters(weights, label).counts)
    low, high = binomial_interval(estimate.value, k, confidence)
    note = f"fewer than {MIN_CLUSTERS} clusters of each class are ever out of order: {BINOMIAL} of {k} clusters"
    return with_note(Estimate(estimate.value, low, high, estimate.p, estimate.n), estimate.note, note)


def auroc_interval(
    label: np.ndarray,
    score: np.ndarray,
    weights: np.ndarray,
    confidence: float = 0.95,
    cluster: np.ndarray | None = None,
    stratum: np.ndarray | None = None,
) -> Estimate:
    """Return AUROC with its bootstrap interval: BCa when ``cluster`` is given, else percentile."""
    if cluster is not None:
        return auroc_intervals(label, score, weights, cluster, confidence, stratum)[0]
    if reason := why_unusable(label, score) or count_clusters(weights, label).why_too_few:
        return undefined(reason, len(label))
    wins = pairwise_wins(label, score)
    return _percentile(label, weights, wins, weighted_auroc(label, weights, wins), confidence)


def auroc_intervals(
    label: np.ndarray,
    score: np.ndarray,
    weights: np.ndarray,
    cluster: np.ndarray,
    confidence: float = 0.95,
    stratum: np.ndarray | None = None,
) -> tuple[Estimate, Estimate]:
    """Return AUROC with its BCa interval, and with the percentile interval of the same samples.

    ``stratum``, [N], is what ``weights`` were drawn within, by default the class. Where there is no
    BCa interval, the first has the percentile interval and a ``note`` on that. Where hardly a pair
    is out of order, both have that of `bound_near_perfect`.
    """
    clusters = count_clusters(weights, label)
    if reason := why_unusable(label, score) or clusters.why_too_few:
        return undefined(reason, len(label)), undefined(reason, len(label))
    wins = pairwise_wins(label, score)
    value, samples = float(wins.mean()), weighted_auroc(label, weights, wins)
    percentile = _percentile(label, weights, wins, samples, confidence)
    _, first = np.unique(np.asarray(cluster), return_index=True)
    jackknife = weighted_auroc(label, jackknife_weights(cluster), wins)
    strata = np.asarray(label if stratum is None else stratum)[first]
    low, high = bca_interval(samples, value, jackknife, confidence, strata, clusters)
    if math.isnan(low):
        return with_note(percentile, NO_BCA), percentile
    bca = Estimate(value, low, high, n=len(label), note=clusters.note)
    return bound_near_perfect(bca, label, weights, confidence, wins), percentile


def _percentile(label: np.ndarray, weights: np.ndarray, wins: np.ndarray, samples: np.ndarray, confidence: float) -> Estimate:
    clusters = count_clusters(weights, label)
    interval = percentile_interval(samples, confidence, clusters)
    plain = Estimate(float(wins.mean()), *interval, n=len(label), note=clusters.note)
    return bound_near_perfect(plain, label, weights, confidence, wins)
