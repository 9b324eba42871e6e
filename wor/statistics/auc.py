"""AUROC and DeLong's variance. ``score``: higher means more like the positive class."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from wor.statistics.result import Estimate, undefined

MIN_PER_CLASS = 10  # items a class: with fewer, neither DeLong's normal limit nor a bootstrap says much


def why_too_few(label: np.ndarray) -> str:
    """Why classes of these sizes allow no estimate; empty when they do."""
    if not len(label):
        return "no items"
    counts = int((label == 1).sum()), int((label == 0).sum())
    if 0 in counts:
        return "one class only"
    if min(counts) < MIN_PER_CLASS:
        return f"fewer than {MIN_PER_CLASS} items in a class ({counts[0]} positive, {counts[1]} negative)"
    return ""


def why_unusable(label: np.ndarray, score: np.ndarray) -> str:
    """Why an estimate of these is refused; empty when it is not."""
    if not len(label):
        return "no items"
    if np.isnan(score).all():
        return "every score is NaN"
    if np.isnan(score).any():
        return "scores hold NaN"
    return why_too_few(label) or ("constant score" if np.ptp(score) == 0 else "")


def auroc(label: np.ndarray, score: np.ndarray) -> float:
    """P(score of a positive > score of a negative) + P(equal) / 2. In [0, 1].

    Mann-Whitney's U over the number of pairs, from mid-ranks. NaN for one class only.
    """
    label, score = np.asarray(label), np.asarray(score, float)
    positive = label == 1
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n or np.isnan(score).any():
        return math.nan
    ranks = stats.rankdata(score)
    return float((ranks[positive].sum() - m * (m + 1) / 2) / (m * n))


def placements(label: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's structural components: of each positive, the share of negatives below it (ties half), and
    of each negative the share of positives above it. O(n log n) by mid-ranks (Sun & Xu 2014).
    """
    positive = label == 1
    a, b = score[positive], score[~positive]
    m, n = len(a), len(b)
    ranks = stats.rankdata(score)
    of_positive = (ranks[positive] - stats.rankdata(a)) / n
    of_negative = 1 - (ranks[~positive] - stats.rankdata(b)) / m
    return of_positive, of_negative


def covariance(label: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROCs ``[K]`` and their DeLong covariance ``[K, K]``, for K scores of the same items, ``[K, N]``."""
    parts = [placements(label, score) for score in scores]
    v10 = np.stack([positive for positive, _ in parts])
    v01 = np.stack([negative for _, negative in parts])
    return v10.mean(1), np.atleast_2d(np.cov(v10)) / v10.shape[1] + np.atleast_2d(np.cov(v01)) / v01.shape[1]


def delong(label: np.ndarray, score: np.ndarray, confidence: float = 0.95) -> Estimate:
    """AUROC with DeLong's interval (normal, cut to [0, 1]) and the p-value of AUROC = 0.5.

    DeLong, DeLong & Clarke-Pearson 1988. NaN with a reason for one class, a constant score, NaN scores, or
    fewer than LEAST items in a class. Where the classes separate perfectly the variance is 0 and the interval a point,
    which understates what is unknown; the bootstrap's does too.
    """
    label, score = np.asarray(label), np.asarray(score, float)
    if reason := why_unusable(label, score):
        return undefined(reason, len(label))
    (value,), ((variance,),) = covariance(label, score[None])
    half = stats.norm.ppf((1 + confidence) / 2) * math.sqrt(variance)
    p = 2 * stats.norm.sf(abs(value - 0.5) / math.sqrt(variance)) if variance > 0 else math.nan
    note = "" if variance > 0 else "the score separates the classes perfectly: no variance, no test"
    return Estimate(float(value), max(0.0, value - half), min(1.0, value + half), float(p), len(label), note=note)


def delong_difference(label: np.ndarray, first: np.ndarray, second: np.ndarray, confidence: float = 0.95) -> Estimate:
    """AUROC(first) - AUROC(second) of the same items, with DeLong's paired interval and test."""
    label = np.asarray(label)
    scores = np.stack([np.asarray(first, float), np.asarray(second, float)])
    for score in scores:
        if reason := why_unusable(label, score):
            return undefined(reason, len(label))
    values, matrix = covariance(label, scores)
    difference = float(values[0] - values[1])
    variance = float(matrix[0, 0] + matrix[1, 1] - 2 * matrix[0, 1])
    if variance <= 1e-15:
        note = "the scores rank the items alike" if difference == 0 else "the difference has no variance"
        return Estimate(difference, difference, difference, math.nan, len(label), note=note)
    half = stats.norm.ppf((1 + confidence) / 2) * math.sqrt(variance)
    p = 2 * stats.norm.sf(abs(difference) / math.sqrt(variance))
    return Estimate(difference, difference - half, difference + half, float(p), len(label))


def delong_unpaired(
    first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray], confidence: float = 0.95
) -> Estimate:
    """AUROC(first) - AUROC(second) of different items, each given as ``(label, score)``; DeLong's variances add.

    The test is Welch's t with Satterthwaite's degrees of freedom, as in pROC (Robin et al. 2011), and so is
    the interval. ``n`` counts the items of both.
    """
    parts = []
    for label, score in (first, second):
        label, score = np.asarray(label), np.asarray(score, float)
        if reason := why_unusable(label, score):
            return undefined(reason, len(label))
        (value,), ((variance,),) = covariance(label, score[None])
        parts.append((float(value), float(variance), len(label)))
    (a, va, na), (b, vb, nb) = parts
    difference, variance = a - b, va + vb
    if variance <= 0:
        return Estimate(difference, difference, difference, math.nan, na + nb, note="both separate the classes perfectly")
    freedom = variance**2 / (va**2 / (na - 1) + vb**2 / (nb - 1))
    error = math.sqrt(variance)
    half = stats.t.ppf((1 + confidence) / 2, freedom) * error
    p = 2 * stats.t.sf(abs(difference) / error, freedom)
    return Estimate(difference, difference - half, difference + half, float(p), na + nb)
