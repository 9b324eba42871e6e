"""AUROC and DeLong's variance. ``score``: higher means more like the positive class."""

import math

import numpy as np
from scipy import stats

from wor.statistics.result import Estimate, undefined

NO_VARIANCE = "the difference has no variance: its interval is from those of its two parts"
MIN_PER_CLASS = 10  # with fewer items in a class, DeLong's normal limit and a bootstrap say little


def why_too_few(label: np.ndarray) -> str:
    """Return why classes of these sizes allow no estimate; empty when they do."""
    if not len(label):
        return "no items"
    counts = int((label == 1).sum()), int((label == 0).sum())
    if 0 in counts:
        return "one class only"
    if min(counts) < MIN_PER_CLASS:
        return f"fewer than {MIN_PER_CLASS} items in a class ({counts[0]} positive, {counts[1]} negative)"
    return ""


def why_unusable(label: np.ndarray, score: np.ndarray) -> str:
    """Return why these allow no estimate; empty when they do."""
    if not len(label):
        return "no items"
    if np.isnan(score).all():
        return "every score is NaN"
    if np.isnan(score).any():
        return "scores hold NaN"
    return why_too_few(label) or ("constant score" if np.ptp(score) == 0 else "")


def auroc(label: np.ndarray, score: np.ndarray) -> float:
    """Return P(score of a positive > score of a negative) + P(equal) / 2. In [0, 1].

    This is Mann-Whitney's U over the number of pairs. NaN for one class only.
    """
    label, score = np.asarray(label), np.asarray(score, float)
    won, pairs = mann_whitney(label, score)
    return float(won / pairs) if pairs and not np.isnan(score).any() else math.nan


def mann_whitney(label: np.ndarray, score: np.ndarray) -> tuple[float, int]:
    """Return U, the pairs in which the positive scores higher (equal: half), and all pairs."""
    positive = label == 1
    higher, lower = score[positive], np.sort(score[~positive])
    twice = lower.searchsorted(higher, "left").sum() + lower.searchsorted(higher, "right").sum()
    return float(twice / 2), len(higher) * len(lower)


def weight_below(rows: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the weight of the items that score below each item, equal ones half: ``[rows, N]``.

    ``rows``, [rows, N], are small whole numbers, ``score`` is [N]. It is exact in float32.
    """
    order = np.argsort(score, kind="stable")
    ranked, until = score[order], np.zeros((len(rows), len(score) + 1), np.float32)
    rows[:, order].cumsum(1, dtype=np.float32, out=until[:, 1:])
    below = until[:, ranked.searchsorted(score, "left")]
    below += until[:, ranked.searchsorted(score, "right")]
    return below / 2


def placements(label: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return DeLong's structural components, in O(n log n) by mid-ranks (Sun & Xu 2014).

    The first has for each positive the share of negatives below it, the second for each negative
    the share of positives above it. Ties count half.
    """
    positive = label == 1
    a, b = score[positive], score[~positive]
    ranks = stats.rankdata(score)
    of_positives = (ranks[positive] - stats.rankdata(a)) / len(b)
    of_negatives = 1 - (ranks[~positive] - stats.rankdata(b)) / len(a)
    return of_positives, of_negatives


def covariance(label: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return AUROCs ``[K]`` and their DeLong covariance ``[K, K]``; ``scores`` are ``[K, N]``."""
    v10, v01 = (np.stack(part) for part in zip(*(placements(label, score) for score in scores), strict=True))
    return v10.mean(1), np.atleast_2d(np.cov(v10)) / v10.shape[1] + np.atleast_2d(np.cov(v01)) / v01.shape[1]


def binomial_interval(auroc: float, clusters: int, confidence: float) -> tuple[float, float]:
    """Return an interval that also holds where no pair, or hardly one, is out of order.

    k clusters of the smaller class make k pairs that share no cluster, each right with probability
    AUROC. All are right with at most AUROC^k, and a mixture of scores reaches that bound (so does
    the variance its own, AUROC (1 - AUROC) / k: Birnbaum & Klose 1957). The interval is Clopper &
    Pearson's (1934) for k AUROC of k. At AUROC 1 its lower end is ((1 - confidence) / 2)^(1 / k),
    about 1 - 3.7 / k at 95 %; Obuchowski & Lieber 2002 have tighter ones for normal scores.
    """
    wins, losses = clusters * auroc, clusters * (1 - auroc)
    low = stats.beta.ppf((1 - confidence) / 2, wins, losses + 1) if wins > 0 else 0.0
    high = stats.beta.ppf((1 + confidence) / 2, wins + 1, losses) if losses > 0 else 1.0
    return float(low), float(high)


def mover_difference(first: tuple[float, float, float], second: tuple[float, float, float]) -> tuple[float, float]:
    """Return an interval of first - second from each one's (value, low, high).

    It adds the squares of the distances to the ends (Newcombe 1998; Zou & Donner 2008), as for
    independent estimates. For scores that correlate it is too wide.
    """
    (a, a_low, a_high), (b, b_low, b_high) = first, second
    return a - b - math.hypot(a - a_low, b_high - b), a - b + math.hypot(a_high - a, b - b_low)


def rank_alike(first: np.ndarray, second: np.ndarray) -> bool:
    """Return whether two scores put all items in the same order, ties included."""
    return bool(np.array_equal(stats.rankdata(first), stats.rankdata(second)))


def delong(label: np.ndarray, score: np.ndarray, confidence: float = 0.95) -> Estimate:
    """Return AUROC with DeLong's interval (normal, cut to [0, 1]) and the p-value of AUROC = 0.5.

    Source: DeLong, DeLong & Clarke-Pearson 1988. NaN with a reason where `why_unusable` gives one.
    Perfect separation has variance 0. Its interval is `binomial_interval` of the smaller class.
    """
    label, score = np.asarray(label), np.asarray(score, float)
    if reason := why_unusable(label, score):
        return undefined(reason, len(label))
    (value,), ((variance,),) = covariance(label, score[None])
    if variance <= 0:
        note = "the score separates the classes perfectly: binomial bound, no test"
        interval = binomial_interval(float(value), int(min((label == 1).sum(), (label == 0).sum())), confidence)
        return Estimate(float(value), *interval, n=len(label), note=note)
    half = stats.norm.ppf((1 + confidence) / 2) * math.sqrt(variance)
    p = 2 * stats.norm.sf(abs(value - 0.5) / math.sqrt(variance))
    return Estimate(float(value), max(0.0, value - half), min(1.0, value + half), float(p), len(label))


def delong_difference(label: np.ndarray, first: np.ndarray, second: np.ndarray, confidence: float = 0.95) -> Estimate:
    """Return AUROC(first) - AUROC(second) of the same items, with DeLong's paired interval."""
    label = np.asarray(label)
    scores = np.stack([np.asarray(first, float), np.asarray(second, float)])
    for score in scores:
        if reason := why_unusable(label, score):
            return undefined(reason, len(label))
    values, matrix = covariance(label, scores)
    difference = float(values[0] - values[1])
    variance = float(matrix[0, 0] + matrix[1, 1] - 2 * matrix[0, 1])
    if variance <= 1e-15:
        if rank_alike(first, second):
            return Estimate(difference, difference, difference, n=len(label), note="the scores rank the items alike")
        each = [delong(label, score, confidence) for score in scores]
        interval = mover_difference(*((estimate.value, estimate.low, estimate.high) for estimate in each))
        return Estimate(difference, *interval, n=len(label), note=NO_VARIANCE)
    half = stats.norm.ppf((1 + confidence) / 2) * math.sqrt(variance)
    p = 2 * stats.norm.sf(abs(difference) / math.sqrt(variance))
    return Estimate(difference, difference - half, difference + half, float(p), len(label))
