"""What an analysis reports where nothing is there, and what surface text gives away."""

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from wor.statistics import auc, bootstrap
from wor.statistics.auc import why_unusable
from wor.statistics.baseline import CrossFit, cross_fit, make_splits, why_not_cross_fitted
from wor.statistics.clusters import count_names
from wor.statistics.result import Estimate, undefined

SHUFFLES_PER_BLOCK = 256  # bounds the memory: [block, N] and [block, clusters] at a time


def why_not_shuffled(label: np.ndarray, cluster: np.ndarray) -> str:
    """Return why whole clusters cannot swap classes; empty when they can."""
    _, first, owner = np.unique(np.asarray(cluster), return_index=True, return_inverse=True)
    if (label[first][owner] != label).any():
        return "a cluster holds items of both classes: it has no class to swap"
    return count_names(cluster, label).why_too_few


def shuffled_labels(label: np.ndarray, cluster: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Return labels after whole clusters have swapped classes, ``[draws, N]``.

    Items of a cluster are alike. Each class keeps its number of clusters, so its number of items
    may vary.
    """
    _, first, owner = np.unique(np.asarray(cluster), return_index=True, return_inverse=True)
    generator = np.random.default_rng(seed)
    return generator.permuted(np.broadcast_to(label[first], (draws, len(first))), axis=1)[:, owner]


def studentised_aurocs(labels: np.ndarray, score: np.ndarray, cluster: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the AUROC, [S], under each row of ``labels``, [S, N], and its (AUROC - 0.5) / se, [S].

    se is that of clustered data (Obuchowski 1997): per class, the variance of the clusters' sums of
    placements about the AUROC. With clusters of one item it is DeLong's, and the ratio that of
    Brunner & Munzel 2000. It is infinite at perfect separation. A cluster has one label.
    """
    lower = auc.weight_below(np.ones((1, len(score))), score)
    _, owner = np.unique(np.asarray(cluster), return_inverse=True)
    by_cluster = np.argsort(owner, kind="stable")
    starts = np.flatnonzero(np.diff(owner[by_cluster], prepend=-1))
    aurocs, ratios = [], []
    for start in range(0, len(labels), SHUFFLES_PER_BLOCK):
        positive = labels[start : start + SHUFFLES_PER_BLOCK].astype(np.float32)
        negative = 1 - positive
        m, n = (rows.sum(1, keepdims=True, dtype=np.float64) for rows in (positive, negative))
        below = auc.weight_below(negative, score)
        above = m.astype(np.float32) - (lower - below)  # of the positives, from the negatives below
        of_positives, of_negatives = positive * below / n, negative * above / m
        auroc = of_positives.sum(1, keepdims=True) / m
        variance = np.zeros(len(positive))
        for rows, placements, count in ((positive, of_positives, m), (negative, of_negatives, n)):
            sums = placements - rows * auroc
            if len(starts) < len(score):
                sums = np.add.reduceat(sums[:, by_cluster], starts, axis=1)
            k = rows[:, by_cluster[starts]].sum(1, dtype=np.float64)
            variance += k / np.maximum(k - 1, 1) * (sums**2).sum(1) / count[:, 0] ** 2
        aurocs.append(auroc[:, 0])
        effect, error = auroc[:, 0] - 0.5, np.sqrt(np.where(variance > 1e-18, variance, 0))
        ratios.append(np.divide(effect, error, out=np.where(effect == 0, 0, np.copysign(np.inf, effect)), where=error > 0))
    return np.concatenate(aurocs), np.concatenate(ratios)


def permuted_auroc(
    label: np.ndarray, score: np.ndarray, cluster: np.ndarray, draws: int, seed: int, confidence: float = 0.95
) -> Estimate:
    """Return the mean AUROC under shuffled labels, its central interval, and p of the true AUROC.

    Whole clusters swap classes. The test compares the AUROC over its standard error, as classes of
    unequal spread, number or cluster size would distort a test of the AUROC itself (Neubert &
    Brunner 2007; Pauly, Asendorf & Konietschke 2016): `studentised_aurocs`.
    p = (1 + shuffles at least as far from 0) / (draws + 1).
    """
    if reason := why_unusable(label, score) or why_not_shuffled(label, cluster):
        return undefined(reason, len(label))
    labels = np.concatenate([label[None], shuffled_labels(label, cluster, draws, seed)])
    aurocs, ratios = studentised_aurocs(labels, np.asarray(score, float), cluster)
    null = aurocs[1:]
    extreme = np.abs(ratios[1:]) >= abs(ratios[0]) * (1 - 1e-9)
    p = (1 + extreme.sum()) / (draws + 1)
    return Estimate(float(null.mean()), *bootstrap.percentile_interval(null, confidence), p=float(p), n=len(label))


def control_task(
    label: np.ndarray,
    cluster: np.ndarray,
    refit: Callable[[np.ndarray, int], CrossFit],
    auroc: float,
    *,
    draws: int,
    seed: int,
    confidence: float = 0.95,
) -> Estimate:
    """Return the mean AUROC of a classifier that is trained on shuffled labels, and ``auroc``'s p.

    ``refit(labels, seed)`` cross-fits it to labels whose clusters swapped classes (a control task:
    Hewitt & Liang 2019). Low and high are the central interval over shuffles; p is one-sided,
    (1 + shuffles whose AUROC is as high as ``auroc``) / (draws + 1).
    """
    if reason := why_not_shuffled(label, cluster):
        return undefined(reason, len(label))
    values = []
    for number, shuffled in enumerate(shuffled_labels(label, cluster, draws, seed)):
        values.append(refit(shuffled, seed + number).auroc(shuffled))
    null = np.array(values)
    p = (1 + (null >= auroc - 1e-12).sum()) / (draws + 1)
    interval = bootstrap.percentile_interval(null, confidence)
    return Estimate(float(null.mean()), *interval, p=float(p), n=len(label), note=f"{draws} shuffles")


def fit_words(label: np.ndarray, texts: list[str], cluster: np.ndarray, *, folds: int, repeats: int, seed: int) -> CrossFit | str:
    """Return a cross-fitted logistic regression on the words of texts (TF-IDF), or why not."""
    if reason := why_not_cross_fitted(label, cluster, folds):
        return reason
    if not any(text.split() for text in texts):
        return "the texts are empty"
    return cross_fit(label, count_words(texts), make_splits(label, cluster, folds, repeats, seed), _WordsClassifier)


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
    """Return the cross-fitted AUROC of the words of texts alone.

    Where it is near 1, no measure's AUROC alone shows that the measure sees more than wording.
    """
    fit = fit_words(label, texts, cluster, folds=folds, repeats=1, seed=seed)
    if isinstance(fit, str):
        return undefined(fit, len(label))
    return cross_fitted_auroc(fit, label, weights, confidence)


def cross_fitted_auroc(fit: CrossFit, label: np.ndarray, weights: np.ndarray, confidence: float = 0.95) -> Estimate:
    """Return the AUROC of a fit over pairs within a fold, with the cluster bootstrap's interval."""
    clusters = bootstrap.count_clusters(weights, label)
    if clusters.why_too_few:
        return undefined(clusters.why_too_few, len(label))
    value, samples = fit.auroc(label), fit.resampled_auroc(label, weights)
    plain = Estimate(value, *bootstrap.percentile_interval(samples, confidence, clusters), n=len(label), note=clusters.note)
    return bootstrap.bound_near_perfect(plain, label, weights, confidence, fit.out_of_order(label, value > 0.5))


def words_control_task(
    label: np.ndarray, texts: list[str], cluster: np.ndarray, auroc: float, *, folds: int, draws: int, seed: int
) -> Estimate:
    """Return `control_task` of the words of texts, against their ``auroc``."""
    rows = count_words(texts)

    def refit(shuffled: np.ndarray, shuffle_seed: int) -> CrossFit:
        return cross_fit(shuffled, rows, make_splits(shuffled, cluster, folds, 1, shuffle_seed), _WordsClassifier)

    return control_task(label, cluster, refit, auroc, draws=draws, seed=seed)


def count_words(texts: list[str]) -> csr_array:
    """Return how often each word occurs in each text: [texts, words]."""
    return csr_array(CountVectorizer(dtype=np.float64).fit_transform(texts))


class _WordsClassifier:
    """TF-IDF and a logistic regression, of those words that some training text has."""

    def fit(self, counts: csr_array, label: np.ndarray) -> "_WordsClassifier":
        self.seen = np.flatnonzero(counts.sum(0))
        self.model = make_pipeline(TfidfTransformer(sublinear_tf=True), LogisticRegression(C=10.0, max_iter=1000))
        self.model.fit(counts[:, self.seen], label)
        return self

    def decision_function(self, counts: csr_array) -> np.ndarray:
        return self.model.decision_function(counts[:, self.seen])
