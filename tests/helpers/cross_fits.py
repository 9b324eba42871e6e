"""The AUROC of scores and of out-of-fold log-odds, pair by pair."""

from __future__ import annotations

import numpy as np

from wor.statistics.baseline import CrossFit


def wins(label: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return 1, 1/2 or 0 where a positive scores higher, equal or lower: [positives, negatives]."""
    positive, negative = score[label == 1][:, None], score[label == 0][None, :]
    return (positive > negative) + 0.5 * (positive == negative)


def within_fold_auroc(fit: CrossFit, label: np.ndarray) -> float:
    """Return the AUROC over the pairs that share a fold, summed over repeats."""
    won = total = 0.0
    for log_odds, fold in zip(fit.log_odds, fit.fold, strict=True):
        positive, negative = fold[label == 1][:, None], fold[label == 0][None, :]
        same = (positive == negative) & (positive >= 0)
        won, total = won + wins(label, log_odds)[same].sum(), total + same.sum()
    return won / total
