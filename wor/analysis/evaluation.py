"""The evaluation items of one model, as every part of the analysis sees them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from wor.config.params import Params
from wor.measures.covariates import WINDOW_COVARIATES
from wor.measures.registry import COMPONENTS
from wor.statistics import auc, bootstrap
from wor.statistics.baseline import Baseline
from wor.statistics.clusters import count_clusters

COVARIATES = ["token_len", "avg_logprob", "perplexity", "cot_len"]  # the registered baseline
# Everything that the text or the output distribution alone tell: the full baseline.
FULL_COVARIATES = [*COVARIATES, "prompt_perplexity", *WINDOW_COVARIATES, "n_generated"]
LOGARITHMS = ("perplexity", "prompt_perplexity")  # enter a baseline as logarithms
PARTIAL_GIVEN = ["token_len", "perplexity"]
# Of some hundred analyses beside the study's own: draws, refits and splits that take seconds.
DRAWS, REFITS, REPEATS = 2000, 50, 4


@dataclass(frozen=True)
class Evaluation:
    """The metrics tables of all datasets, one row per item. Only items with a REV are ``scored``.

    All estimates share ``weights`` and the two baselines, so that intervals are paired. ``draws``
    has the scores that calibration changes, by name: [items, B], under B draws of that sample.
    """

    items: pd.DataFrame
    params: Params
    draws: Mapping[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def scored(self) -> pd.DataFrame:
        return self.items[self.items["rev"].notna()].reset_index(drop=True)

    @cached_property
    def label(self) -> np.ndarray:
        return class_labels(self.scored)

    @cached_property
    def cluster(self) -> np.ndarray:
        return self.scored["cluster"].to_numpy(str)

    @cached_property
    def weights(self) -> np.ndarray:
        return bootstrap_weights(self.scored, self.params)

    @cached_property
    def baseline(self) -> Baseline:
        """Return the fit of the registered covariates."""
        return self._shared_baseline(COVARIATES)

    @cached_property
    def full_baseline(self) -> Baseline:
        """Return the fit of all covariates, which decides."""
        return self._shared_baseline(FULL_COVARIATES)

    def _shared_baseline(self, names: Iterable[str]) -> Baseline:
        settings = self.params.statistics
        index = np.arange(len(self.scored))
        return self.fit_baseline(index, self.weights, settings.repeats, names=names, refit_draws=settings.refit_draws)

    @cached_property
    def why_unusable(self) -> str:
        """Return why nothing at all can be estimated; empty when something can."""
        if repeated := self.items["item_id"][self.items["item_id"].duplicated()].tolist():
            return f"{len(repeated)} items occur twice, {repeated[0]} among them"
        for role in ("reasoning", "control"):
            if not (self.scored["role"] == role).any():
                why = next(iter(count_excluded(self.items[self.items["role"] == role])), "there are none")
                return f"no {role} item has a REV ({why})"
        roles = self.scored.groupby("cluster")["role"].nunique()
        if (roles > 1).any():
            return f"cluster {roles.idxmax()} has items of both classes"
        if reason := auc.why_unusable(self.label, self.score("rev")):
            return reason
        return count_clusters(self.weights, self.label).why_too_few

    def score(self, name: str) -> np.ndarray:
        return self.scored[name].to_numpy(float)

    def score_draws(self, name: str) -> np.ndarray:
        """Return a score of the scored items under each draw of the calibration sample: [B, N].

        It goes with the first B rows of ``weights``. Rows are equal, and the score itself, for a
        score that calibration does not change.
        """
        if name in self.draws:
            return self.draws[name][self.items["rev"].notna().to_numpy()].T.astype(float)
        shape = min(self.params.statistics.calibration_draws, len(self.weights)), len(self.scored)
        return np.broadcast_to(self.score(name), shape)

    def refit_scores(self, name: str) -> np.ndarray | None:
        """Return a score under each refit's calibration draw, [refits, N]; None if it's the same.

        A draw of calibration that gives an item no score leaves all scores as they are.
        """
        if name not in self.draws:
            return None
        rows = self.score_draws(name)[: self.params.statistics.refit_draws]
        return np.where(np.isnan(rows).any(1, keepdims=True), self.score(name), rows)

    def covariates(self, names: Iterable[str]) -> np.ndarray:
        """Return the covariates as a baseline takes them, [N, K], without those the table lacks."""
        columns = {name: self.score(name) for name in names if name in self.scored}
        return np.column_stack([np.log(column) if name in LOGARITHMS else column for name, column in columns.items()])

    def fit_baseline(
        self,
        index: np.ndarray,
        weights: np.ndarray,
        repeats: int,
        cluster: np.ndarray | None = None,
        names: Iterable[str] = FULL_COVARIATES,
        refit_draws: int = 0,
    ) -> Baseline:
        """Return the covariates' fit on the scored items at ``index``, in clusters of their own."""
        settings, covariates = self.params.statistics, self.covariates(names)
        arrays = (self.label[index], covariates[index], self.cluster[index] if cluster is None else cluster, weights)
        return Baseline(*arrays, settings.folds, repeats, self.params.seed, settings.confidence, refit_draws)

    def direction(self, name: str) -> int:
        """Return the preset direction of a score: a component's sign; else higher in reasoning."""
        return getattr(self.params.rev, name).sign if name in COMPONENTS else 1


def class_labels(rows: pd.DataFrame) -> np.ndarray:
    """Return 1 for reasoning and 0 for control."""
    return (rows["role"] == "reasoning").to_numpy().astype(int)


def bootstrap_weights(rows: pd.DataFrame, params: Params, max_draws: int | None = None) -> np.ndarray:
    """Return bootstrap weights of ``rows``, at most ``max_draws``: clusters within datasets."""
    draws = params.statistics.bootstrap_draws
    return bootstrap.cluster_weights(rows["cluster"], rows["dataset"], min(draws, max_draws or draws), params.seed)


def auroc_by_score(
    rows: pd.DataFrame, names: Iterable[str], label: np.ndarray, weights: np.ndarray, params: Params
) -> dict[str, dict]:
    """Return the AUROC of columns of ``rows``, with BCa intervals, as dicts."""
    scores, cluster = {name: rows[name].to_numpy(float) for name in names}, rows["cluster"].to_numpy(str)
    settings = (weights, params.statistics.confidence, cluster, rows["dataset"].to_numpy(str))
    return {name: bootstrap.auroc_interval(label, score, *settings).as_dict() for name, score in scores.items()}


def count_excluded(items: pd.DataFrame) -> dict[str, int]:
    """Return the number of items without a REV, by role and reason."""
    excluded = items[items["rev"].isna()].groupby(["role", "reason"], dropna=False).size()
    return {f"{role}: {reason}": int(n) for (role, reason), n in excluded.items()}
