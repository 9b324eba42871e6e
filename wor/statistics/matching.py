"""Pairs of items that are alike in their covariates, chosen after the fact."""

from __future__ import annotations

import math

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

CALIPER = 0.2  # standard deviations of the propensity's log-odds (Austin 2011)


def caliper_pairs(label: np.ndarray, covariates: np.ndarray, caliper: float = CALIPER) -> np.ndarray:
    """Indices of the items that are left after 1:1 matching without replacement, ascending: ``[2 P]``.

    Greedy nearest neighbours on the log-odds of a propensity fit (logistic regression of the class on the
    covariates), hardest positive first; pairs farther apart than ``caliper`` standard deviations are not made.
    Deterministic: ties go to the earlier item. Empty where there is one class only.
    """
    if len(np.unique(label)) < 2:
        return np.array([], int)
    fit = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000)).fit(covariates, label)
    log_odds = fit.decision_function(covariates)
    limit = caliper * log_odds.std(ddof=1)
    free, kept = list(np.flatnonzero(label == 0)), []
    positives = np.flatnonzero(label == 1)
    for index in positives[np.argsort(-log_odds[positives], kind="stable")]:
        distances = np.abs(log_odds[free] - log_odds[index]) if free else np.array([math.inf])
        nearest = int(distances.argmin())
        if distances[nearest] <= limit:
            kept += [index, free.pop(nearest)]
    return np.array(sorted(kept), int)
