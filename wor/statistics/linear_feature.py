"""The linear reasoning feature, LiReF: how far a state lies in the direction between the classes.

Source: arXiv 2503.23084, and its authors' code. r = mean state of reasoning minus mean
state of control, of unit length. The score of an item is the projection of its state on r. Range:
any number, in the residual stream's own units. Direction: higher in reasoning.

It needs labels. So an item's direction comes from other items alone, and the score is a supervised
ceiling, no rival on equal terms. The authors take the layer that separates best. Ours is fixed
beforehand: that choice would need a sample of its own.
"""

import numpy as np

from wor.statistics.baseline import CrossFit, cross_fit, make_splits, why_not_cross_fitted


class MeanDifference:
    """The projection on the difference of the class means, as a classifier of scikit-learn."""

    def fit(self, states: np.ndarray, label: np.ndarray) -> "MeanDifference":
        difference = states[label == 1].mean(0) - states[label == 0].mean(0)
        self.direction = difference / max(float(np.linalg.norm(difference)), np.finfo(float).tiny)
        return self

    def decision_function(self, states: np.ndarray) -> np.ndarray:
        return states @ self.direction


def fit_linear_feature(
    label: np.ndarray, states: np.ndarray, cluster: np.ndarray, *, folds: int, repeats: int, seed: int
) -> CrossFit | str:
    """Return the cross-fitted projection of states ``[N, D]``, or why there is none.

    Folds keep clusters whole. Projections on different directions are not comparable: `CrossFit`
    compares items within a fold.
    """
    if reason := _why_unusable(states) or why_not_cross_fitted(label, cluster, folds):
        return reason
    return cross_fit(label, states.astype(np.float64), make_splits(label, cluster, folds, repeats, seed), MeanDifference)


def fit_without_dataset(
    label: np.ndarray, states: np.ndarray, cluster: np.ndarray, dataset: np.ndarray, *, repeats: int, seed: int
) -> CrossFit | str:
    """Return the projection of each reasoning dataset on a direction made without it, or why not.

    A fold is one dataset of reasoning items and an equal share of the controls' clusters: a
    direction that only tells that dataset from articles is of no use on it.
    """
    names = np.unique(dataset[label == 1])
    if len(names) < 2:
        return f"{len(names)} dataset of reasoning items; to leave one out takes 2"
    if reason := _why_unusable(states) or why_not_cross_fitted(label, cluster, 2):
        return reason
    n_controls = len(np.unique(cluster[label == 0]))
    if n_controls < len(names):
        return f"controls have {n_controls} clusters, fewer than {len(names)} datasets"
    splits = [_leave_out(label, cluster, dataset, names, np.random.default_rng([seed, repeat])) for repeat in range(repeats)]
    return cross_fit(label, states.astype(np.float64), splits, MeanDifference)


def _leave_out(label, cluster, dataset, names, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    controls = rng.permutation(np.unique(cluster[label == 0]))
    split = []
    for index, name in enumerate(names):
        left_out = np.where(label == 1, dataset == name, np.isin(cluster, controls[index :: len(names)]))
        split.append((np.flatnonzero(~left_out), np.flatnonzero(left_out)))
    return split


def _why_unusable(states: np.ndarray) -> str:
    return "" if np.isfinite(states).all() else "states hold NaN or overflow"
