"""How many independent clusters an interval rests on, and what follows from few of them.

This is the one place of the rule: below MIN_CLUSTERS in a class there is a reason and no number,
below FEW_CLUSTERS a note, and quantiles are t's.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from wor.statistics.result import Estimate

MIN_CLUSTERS = 5  # with fewer in a class, neither a variance nor a quantile can be estimated
FEW_CLUSTERS = 20  # from here on simulated intervals hold what they claim (benchmarks/COVERAGE.md)
FIXED = "a dataset that is one cluster is the same in every draw and adds no variance"
ENOUGH_DRAWS = 256  # counts in so many draws tell any two clusters apart


@dataclass(frozen=True)
class Clusters:
    """The number of clusters that vary, per class or in all, and whether some cluster does not."""

    counts: tuple[int, ...]
    fixed: bool = False

    @property
    def why_too_few(self) -> str:
        """Return why so few clusters allow no estimate; empty when they do."""
        if min(self.counts) >= MIN_CLUSTERS:
            return ""
        if len(self.counts) == 1:
            return f"fewer than {MIN_CLUSTERS} clusters to resample ({self.counts[0]})"
        sizes = f"{self.counts[0]} positive, {self.counts[1]} negative"
        return f"fewer than {MIN_CLUSTERS} clusters to resample in a class ({sizes})"

    @property
    def note(self) -> str:
        """Return the caveats; empty where there is none."""
        few = min(self.counts)
        where = " in a class" if len(self.counts) > 1 else ""
        return join_notes(f"only {few} clusters{where}" if few < FEW_CLUSTERS else "", FIXED if self.fixed else "")

    @property
    def freedom(self) -> float:
        """Return Welch & Satterthwaite's degrees of freedom, for clusters that vary alike.

        (sum v)^2 / sum(v^2 / (k - 1)) with v = 1 / k for k clusters of a class. In one class it is
        k - 1, in two of equal size 2 (k - 1), in two of very unequal size near the smaller's k - 1.
        """
        return sum(1 / k for k in self.counts) ** 2 / sum(1 / (k * k * (k - 1)) for k in self.counts)

    @property
    def expansion(self) -> float:
        """Return the factor that a bootstrap's standard error lacks: draws of k vary as k - 1."""
        return math.sqrt(sum(1 / k for k in self.counts) / sum((k - 1) / k**2 for k in self.counts))

    def quantile(self, confidence: float) -> float:
        """Return what to multiply a bootstrap's standard error by, for an interval's half width.

        It is t with `freedom` times `expansion` (Hesterberg 2015, expanded percentile interval).
        """
        return float(stats.t.ppf((1 + confidence) / 2, self.freedom)) * self.expansion

    def p_value(self, ratio: float) -> float:
        """Return the two-sided p of an estimate over its bootstrap's standard error."""
        return 2 * self.tail(abs(ratio))

    def tail(self, ratio: float) -> float:
        """Return the one-sided p of an estimate over its bootstrap's standard error, if above 0."""
        return float(stats.t.sf(ratio / self.expansion, self.freedom))


def count_clusters(weights: np.ndarray, label: np.ndarray | None = None) -> Clusters:
    """Return the clusters behind ``weights``, [draws, N], of each class if there is a ``label``.

    Items are of one cluster when their counts agree in every draw. Counts that never vary are those
    of a stratum with one cluster. A ``label`` of other than two values gives no classes.
    """
    head = np.ascontiguousarray(np.asarray(weights)[:ENOUGH_DRAWS].T.astype(np.uint16))
    if not head.size:
        return _count(np.zeros(0, int), label)
    _, owner = np.unique(head.view(f"V{2 * head.shape[1]}").ravel(), return_inverse=True)
    return _count(np.where((head != head[:, :1]).any(1), owner, -1), label)


def count_names(cluster: np.ndarray, label: np.ndarray) -> Clusters:
    """Return the number of different clusters of each class, from their names."""
    _, owner = np.unique(np.asarray(cluster), return_inverse=True)
    return _count(owner, label)


def _count(owner: np.ndarray, label: np.ndarray | None) -> Clusters:
    groups = [owner]
    if label is not None and len(values := np.unique(label)) == 2:
        groups = [owner[label == value] for value in values[::-1]]
    return Clusters(tuple(len(np.unique(group[group >= 0])) for group in groups), bool((owner < 0).any()))


def join_notes(*notes: str) -> str:
    """Return the notes that are not empty, each once, as one."""
    return "; ".join(dict.fromkeys(note for note in notes if note))


def with_note(estimate: Estimate, *notes: str) -> Estimate:
    return replace(estimate, note=join_notes(estimate.note, *notes))
