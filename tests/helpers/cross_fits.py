"""The AUROC of out-of-fold log-odds."""

from __future__ import annotations

import numpy as np

from wor.statistics.baseline import CrossFit


def within_fold_auroc(fit: CrossFit, label: np.ndarray) -> float:
    """Return the AUROC over the pairs that share a fold, summed over repeats."""
    wins, counts = fit.pairs(label)
    return float(wins.sum() / counts.sum())
