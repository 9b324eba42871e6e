"""What an analysis finds where there is nothing to find, and what surface text alone gives away."""

from __future__ import annotations

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline

from wor.statistics import bootstrap
from wor.statistics.auc import auroc, usable
from wor.statistics.baseline import CrossFit
from wor.statistics.result import Estimate, undefined


def permuted_auroc(label: np.ndarray, score: np.ndarray, draws: int, seed: int, confidence: float = 0.95) -> Estimate:
    """AUROC under shuffled labels: its mean and central interval, and the p-value of the true AUROC.

    p = (1 + number of shuffles at least as far from 0.5) / (draws + 1).
    """
    if reason := usable(label, score):
        return undefined(reason, len(label))
    generator = np.random.default_rng(seed)
    null = np.array([auroc(generator.permutation(label), score) for _ in range(draws)])
    extreme = np.abs(null - 0.5) >= abs(auroc(label, score) - 0.5) - 1e-12
    p = (1 + extreme.sum()) / (draws + 1)
    return Estimate(float(null.mean()), *bootstrap.percentile(null, confidence), p=float(p), n=len(label))


def surface_ceiling(
    label: np.ndarray,
    texts: list[str],
    cluster: np.ndarray,
    drawn: np.ndarray,
    *,
    folds: int,
    seed: int,
    confidence: float = 0.95,
) -> Estimate:
    """Cross-fitted AUROC of a bag of the prompt's words (TF-IDF, logistic regression).

    How well the classes can be told apart without any model looked into. It is near 1 wherever the tasks
    differ in wording, and then no measure can show that it sees more than wording by its AUROC alone.
    """
    if min(len(np.unique(cluster[label == value])) for value in (0, 1)) < folds:
        return undefined(f"a class has fewer clusters than {folds} folds", len(label))
    model = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10.0, max_iter=1000))
    log_odds, fold = np.zeros((1, len(label))), np.zeros((1, len(label)), int)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for index, (train, test) in enumerate(splitter.split(texts, label, cluster)):
        model.fit([texts[i] for i in train], label[train])
        log_odds[0, test] = model.decision_function([texts[i] for i in test])
        fold[0, test] = index
    wins, counted = CrossFit(log_odds, fold).pairs(label)
    interval = bootstrap.percentile(bootstrap.weighted_auroc(label, drawn, wins, counted), confidence)
    return Estimate(float(wins.sum() / counted.sum()), *interval, n=len(label))
