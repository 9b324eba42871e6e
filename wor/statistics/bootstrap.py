"""Stratified cluster bootstrap: whole clusters of items are resampled within strata."""

import math
from itertools import pairwise

import numpy as np
from scipy import stats

from wor.statistics.auc import auroc, binomial_interval, why_unusable
from wor.statistics.clusters import MIN_CLUSTERS, Clusters, count_clusters, with_note
from wor.statistics.result import Estimate, undefined

NO_BCA = "no BCa interval, as the samples do not vary about the estimate"
BINOMIAL = "binomial bound"  # how a note calls the interval of `bound_near_perfect`
DRAWS_PER_BLOCK = 256  # draws at once, so that their arrays stay in the processor's cache


def cluster_weights(cluster: np.ndarray, stratum: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Return how often each item occurs in each bootstrap sample: ``[draws, N]``.

    A stratum of k clusters gives k clusters to each sample, drawn with replacement. The items of a
    cluster share a template or an article, so they are not independent.
    """
    generator = np.random.default_rng(seed)
    cluster, stratum = np.asarray(cluster), np.asarray(stratum)
    weights = np.zeros((len(cluster), draws), np.float32).T  # an item's counts lie together: see `won_pairs`
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
    return (np.arange(owner.max() + 1) != owner[:, None]).astype(np.float32).T


def won_pairs(
    label: np.ndarray, score: np.ndarray, weights: np.ndarray, members: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight of each sample's pairs that are in order, and of all pairs: [draws] each.

    A pair is a positive and a negative; it is in order if the positive scores higher, and half if
    equal. ``weights``, [draws, N], are from `cluster_weights` or `jackknife_weights`, or equal to a
    whole number otherwise: then both are exact. Items enter in the order of their scores, in all
    samples at once. Only ``members``, indices of items, count; by default all do.
    """
    positive, members = label == 1, np.arange(len(label)) if members is None else members
    order = members[np.argsort(score[members], kind="stable")]
    ends = [*(np.flatnonzero(np.diff(score[order])) + 1).tolist(), len(order)]
    columns, kinds, items = weights.T, positive[order].tolist(), order.tolist()
    above, below = np.zeros((2, len(weights)), weights.dtype)
    won = np.zeros(len(weights))
    for begin, end in pairwise([0, *ends]):  # items of one score
        if end - begin > 1:
            group = order[begin:end]
            higher, lower = (columns[group[side]].sum(0, dtype=np.float64) for side in (positive[group], ~positive[group]))
            won += higher * (below + lower / 2)
            above += higher
            below += lower
        elif kinds[begin]:
            won += columns[items[begin]] * below
            above += columns[items[begin]]
        else:
            below += columns[items[begin]]
    return won, above.astype(float) * below


def won_pairs_by_draw(label: np.ndarray, score: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `won_pairs` where each draw has scores of its own, [draws, N].

    A draw with a NaN among its scores has no pairs.
    """
    order = np.argsort(score, axis=1)
    score, weights = (np.take_along_axis(values, order, axis=1) for values in (score, weights))
    positive = label[order] == 1
    higher, lower = weights * positive, weights * ~positive
    until = lower.cumsum(1, dtype=np.float64)
    # Equal scores count half: the mean of what lies below the first and up to the last of them.
    column, new = np.arange(label.size), np.ones(score.shape, bool)
    new[:, 1:] = score[:, 1:] != score[:, :-1]
    first = np.maximum.accumulate(np.where(new, column, 0), axis=1)
    ends = np.where(np.roll(new, -1, axis=1), column, label.size - 1)
    last = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    below = np.take_along_axis(until - lower, first, axis=1) + np.take_along_axis(until, last, axis=1)
    complete = ~np.isnan(score[:, -1])  # sorted, a NaN is last
    return (higher * below).sum(1) / 2 * complete, higher.sum(1, dtype=np.float64) * until[:, -1] * complete


def resampled_auroc(label: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the AUROC of each sample: ``[draws]``; NaN where a sample has no pair."""
    return ratio_of_pairs(*won_pairs(label, score, weights))


def ratio_of_pairs(won: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return the share of pairs; NaN where there is none."""
    return np.divide(won, total, out=np.full(len(won), np.nan), where=total > 0)


def out_of_order(label: np.ndarray, score: np.ndarray, rising: bool) -> np.ndarray:
    """Return which items are in a pair that is out of order or equal: ``[N]``.

    A pair is in order where the positive scores higher, or lower if not ``rising``.
    """
    positive, score = label == 1, score if rising else -score
    if not positive.any() or positive.all():
        return np.zeros(len(label), bool)
    return np.where(positive, score <= score[~positive].max(), score >= score[positive].min())


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
    parts = []
    for first in range(0, len(score_draws), DRAWS_PER_BLOCK):
        rows = slice(first, min(first + DRAWS_PER_BLOCK, len(score_draws)))
        parts.append(ratio_of_pairs(*won_pairs_by_draw(label, score_draws[rows], weights[rows])))
    return np.concatenate(parts)


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
    estimate: Estimate, label: np.ndarray, weights: np.ndarray, confidence: float, wrong: np.ndarray
) -> Estimate:
    """Return ``estimate`` with `binomial_interval` if few clusters of each class are ever wrong.

    ``wrong`` is of `out_of_order`. A bootstrap of fewer than MIN_CLUSTERS has little to vary: of
    none it gives a point as interval.
    """
    mixed = [count_clusters(weights[:, wrong & (label == value)]).counts[0] for value in (1, 0)]
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
    clusters = count_clusters(weights, label)
    if reason := why_unusable(label, score) or clusters.why_too_few:
        return undefined(reason, len(label))
    value, wrong = _value(label, score)
    interval = percentile_interval(resampled_auroc(label, score, weights), confidence, clusters)
    plain = Estimate(value, *interval, n=len(label), note=clusters.note)
    return bound_near_perfect(plain, label, weights, confidence, wrong)


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
    (value, wrong), samples = _value(label, score), resampled_auroc(label, score, weights)
    plain = Estimate(value, *percentile_interval(samples, confidence, clusters), n=len(label), note=clusters.note)
    percentile = bound_near_perfect(plain, label, weights, confidence, wrong)
    _, first = np.unique(np.asarray(cluster), return_index=True)
    jackknife = resampled_auroc(label, score, jackknife_weights(cluster))
    strata = np.asarray(label if stratum is None else stratum)[first]
    low, high = bca_interval(samples, value, jackknife, confidence, strata, clusters)
    if math.isnan(low):
        return with_note(percentile, NO_BCA), percentile
    bca = Estimate(value, low, high, n=len(label), note=clusters.note)
    return bound_near_perfect(bca, label, weights, confidence, wrong), percentile


def _value(label: np.ndarray, score: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the AUROC, and the items of pairs that are out of order."""
    value = auroc(label, score)
    return value, out_of_order(label, score, value > 0.5)
