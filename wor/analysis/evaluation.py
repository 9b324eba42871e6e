"""The evaluation items of one model, as every part of the analysis sees them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from wor.config.params import Params
from wor.statistics import auc, bootstrap
from wor.statistics.baseline import Baseline

COVARIATES = ["token_len", "avg_logprob", "perplexity", "cot_len"]
PARTIAL_GIVEN = ["token_len", "perplexity"]


@dataclass(frozen=True)
class Evaluation:
    """Rows of the metrics tables of all datasets, one an item. Only items with a REV are ``kept``.

    ``drawn`` and ``baseline`` are made once and shared by every estimate, so that intervals are paired.
    """

    items: pd.DataFrame
    params: Params

    @cached_property
    def kept(self) -> pd.DataFrame:
        return self.items[self.items["rev"].notna()].reset_index(drop=True)

    @cached_property
    def label(self) -> np.ndarray:
        return class_labels(self.kept)

    @cached_property
    def cluster(self) -> np.ndarray:
        return self.kept["cluster"].to_numpy(str)

    @cached_property
    def drawn(self) -> np.ndarray:
        return self.draw(self.kept)

    def draw(self, rows: pd.DataFrame, most: int | None = None) -> np.ndarray:
        """`draw` by this study's parameters."""
        return draw_weights(rows, self.params, most)

    @cached_property
    def baseline(self) -> Baseline:
        return self.baseline_of(np.arange(len(self.kept)), self.drawn, self.params.statistics.repeats)

    def baseline_of(self, chosen: np.ndarray, drawn: np.ndarray, repeats: int) -> Baseline:
        """The covariates' fit on some of the kept items."""
        settings, covariates = self.params.statistics, self.kept[COVARIATES].to_numpy(float)
        return Baseline(
            self.label[chosen],
            covariates[chosen],
            self.cluster[chosen],
            drawn,
            settings.folds,
            repeats,
            self.params.seed,
            settings.confidence,
        )

    def score(self, name: str) -> np.ndarray:
        return self.kept[name].to_numpy(float)

    @cached_property
    def refusal(self) -> str:
        """Why nothing at all can be estimated; empty when something can."""
        if twice := self.items["item_id"][self.items["item_id"].duplicated()].tolist():
            return f"{len(twice)} items occur twice, {twice[0]} among them"
        for role in ("reasoning", "control"):
            if not (self.kept["role"] == role).any():
                why = next(iter(count_excluded(self.items[self.items["role"] == role])), "there are none")
                return f"no {role} item has a REV ({why})"
        roles = self.kept.groupby("cluster")["role"].nunique()
        if (roles > 1).any():
            return f"cluster {roles.idxmax()} has items of both classes"
        return auc.why_unusable(self.label, self.score("rev"))


def class_labels(rows: pd.DataFrame) -> np.ndarray:
    """1 for reasoning, 0 for control."""
    return (rows["role"] == "reasoning").to_numpy().astype(int)


def draw_weights(rows: pd.DataFrame, params: Params, most: int | None = None) -> np.ndarray:
    """Bootstrap weights of ``rows``, at ``most`` so many draws: clusters within datasets."""
    draws = params.statistics.bootstrap_draws
    return bootstrap.cluster_weights(rows["cluster"], rows["dataset"], min(draws, most or draws), params.seed)


def count_excluded(items: pd.DataFrame) -> dict[str, int]:
    """Items without a REV, by reason and role."""
    gone = items[items["rev"].isna()]
    return {f"{role}: {reason}": int(n) for (role, reason), n in gone.groupby(["role", "reason"], dropna=False).size().items()}
