"""What an analysis reports where nothing is there, and what surface text gives away."""

import numpy as np
from scipy import stats
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from wor.statistics import bootstrap
from wor.statistics.auc import auroc, why_unusable
from wor.statistics.baseline import cross_fit, make_splits, why_not_cross_fitted
from wor.statistics.result import Estimate, undefined


def permuted_auroc(
    label: np.ndarray, score: np.ndarray, cluster: np.ndarray, draws: int, seed: int, confidence: float = 0.95
) -> Estimate:
    """Return the mean AUROC under shuffled labels, its central interval, and p of the true AUROC.

    Whole clusters swap classes, as their items are alike. Each class keeps its number of clusters,
    so its number of items may vary. p = (1 + shuffles at least as far from 0.5) / (draws + 1).
    Clusters that are larger in one class distort the test. It is conservative where that class has
    fewer clusters: 1 % in place of 5 % (20 of 4 items, 80 of 1). Where it has more, the test
    rejects too often: 9 to 15 % (40 of 4, 10 of 1).
    """
    if reason := why_unusable(label, score):
        return undefined(reason, len(label))
    _, first, owner = np.unique(np.asarray(cluster), return_index=True, return_inverse=True)
    if (label[first][owner] != label).any():
        return undefined("a cluster holds items of both classes: it has no class to swap", len(label))
    generator = np.random.default_rng(seed)
    shuffled = generator.permuted(np.broadcast_to(label[first], (draws, len(first))), axis=1)[:, owner]
    positives = shuffled.sum(1)
    pairs = positives * (len(label) - positives)
    null = (shuffled @ stats.rankdata(score) - positives * (positives + 1) / 2)[pairs > 0] / pairs[pairs > 0]
    extreme = np.abs(null - 0.5) >= abs(auroc(label, score) - 0.5) - 1e-12
    p = (1 + extreme.sum()) / (len(null) + 1)
    return Estimate(float(null.mean()), *bootstrap.percentile_interval(null, confidence), p=float(p), n=len(label))


def bag_of_words_auroc(
    label: np.ndarray,
    texts: list[str],
    cluster: np.ndarray,
    weights: np.ndarray,
    *,
    folds: int,
    seed: int,
    confidence: float = 0.95,
) -> Estimate:
    """Return the cross-fitted AUROC of the prompt's words alone (TF-IDF, logistic regression).

    Where it is near 1, no measure's AUROC alone shows that the measure sees more than wording.
    """
    if reason := why_not_cross_fitted(label, cluster, folds):
        return undefined(reason, len(label))
    fit = cross_fit(label, np.array(texts, object), make_splits(label, cluster, folds, 1, seed), _tfidf_logistic)
    return fit.estimate(label, weights, confidence)


def _tfidf_logistic():
    return make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10.0, max_iter=1000))
