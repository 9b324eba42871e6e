"""Pairs of items that are alike in their covariates, chosen after the fact."""

from __future__ import annotations

import numpy as np

from wor.statistics.baseline import ridge_logistic

CALIPER = 0.2  # standard deviations of the propensity's log-odds (Austin 2011)


def caliper_pairs(label: np.ndarray, covariates: np.ndarray, caliper: float = CALIPER) -> np.ndarray:
    """Indices of the items that are left after 1:1 matching without replacement, ascending: ``[2 P]``.

    Greedy nearest neighbours on the log-odds of a propensity fit (logistic regression of the class on the
    covariates), hardest positive first; pairs farther apart than ``caliper`` standard deviations are not made.
    Deterministic: ties go to the earlier item. Empty where there is one class only.
    """
    if len(np.unique(label)) < 2:
        return np.array([], int)
    log_odds = ridge_logistic().fit(covariates, label).decision_function(covariates)
    limit = caliper * log_odds.std(ddof=1)
    free, kept = list(np.flatnonzero(label == 0)), []
    positives = np.flatnonzero(label == 1)
    for index in positives[np.argsort(-log_odds[positives], kind="stable")]:
        if not free:
            break
        distances = np.abs(log_odds[free] - log_odds[index])
        nearest = int(distances.argmin())
        if distances[nearest] <= limit:
            kept += [index, free.pop(nearest)]
    return np.array(sorted(kept), int)
