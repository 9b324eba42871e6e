"""The model compared with null models: networks that read the same tokens and know less."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from wor.analysis.evaluation import COVARIATES, PARTIAL_GIVEN, Evaluation, auroc_by_score, bootstrap_weights, class_labels
from wor.measures.registry import COMPONENTS, LABELS
from wor.statistics import partial, rivals
from wor.statistics.baseline import Baseline, CrossFit
from wor.statistics.nulls import cross_fitted_auroc
from wor.statistics.result import Estimate, undefined

NETWORKS = {
    "initialised": "an untrained network",
    "permuted": "a network with permuted weights",
    "permuted_embeddings_kept": "one with permuted weights and the model's embeddings",
}
MIN_SEEDS = 3
MIN_SPREAD = 0.01  # of the model's sd; below it, a null model's score ranks differences that hardly exist
NO_NULLS = "no item was read by every null model and has a REV of each"


def named_scores(evaluation: Evaluation, table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return each null model's scores by name, such as ``rev (permuted)``, for the scored items.

    Each is an average over seeds, see `average_over_seeds`; NaN for an item that was not read.
    """
    nulls = _Nulls(evaluation, table)
    where = evaluation.scored["item_id"].isin(nulls.rows["item_id"]).to_numpy()
    scores = {}
    for kind in nulls.kinds:
        for name, seeds in nulls.scores(kind).items():
            values = np.full(len(evaluation.scored), np.nan)
            values[where] = average_over_seeds(seeds)
            scores[f"{name} ({kind})"] = values
    return scores


def average_over_seeds(scores: np.ndarray) -> np.ndarray:
    """Return the mean over seeds, [N], of scores [S, N] in each seed's own deviations over items.

    A seed without any spread counts as 0. Classes are not used.
    """
    centred = scores - scores.mean(1, keepdims=True)
    spread = centred.std(1, keepdims=True)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0).mean(0)


def compare_with_nulls(evaluation: Evaluation, table: pd.DataFrame, heads: tuple[pd.DataFrame, np.ndarray]) -> dict:
    """Return what null models separate, and what the model's scores add to theirs, by kind.

    ``table`` is of `measure_null_models`. ``heads`` are rows with item_id, kind and seed, and the
    entropies [rows, heads] of all heads. Everything is on the items that all null models read.

    by kind, for REV and each component that the null models have:
    auroc : ``by_seed``, their ``mean`` with an interval over items, and their ``range``.
    difference : AUROC of the model minus that mean, paired.
    correlation : r of the model's score with the null models' over items.
    partial, delta : partial r and dAUC of the model's score. The null models' components stand
        beside the registered covariates. For all of the model's components.
    heads : the mean over seeds of the AUROC of a sparse logistic regression on all heads.

    A null model's score is averaged over seeds before it is a covariate or correlated.
    """
    nulls = _Nulls(evaluation, table)
    kinds = {kind: _compare(nulls, kind, heads) for kind in nulls.kinds}
    label = nulls.label
    return {
        "n": {"reasoning": int(label.sum()), "control": int((1 - label).sum())},
        "seeds": nulls.seeds,
        "components": nulls.components,
        "auroc": {name: nulls.model_auroc(name) for name in ("rev", *COMPONENTS)},
        "kinds": kinds,
        "verdict": _verdict(kinds, nulls),
    }


@dataclass(frozen=True)
class _Nulls:
    """The items that every null model read, with the model's scores and the null models'."""

    evaluation: Evaluation
    table: pd.DataFrame

    @cached_property
    def kinds(self) -> list[str]:
        return list(dict.fromkeys(self.table["kind"]))

    @cached_property
    def seeds(self) -> list[int]:
        return sorted({int(seed) for seed in self.table["seed"]})

    @cached_property
    def rows(self) -> pd.DataFrame:
        """Return the model's rows, in the order of the scored items."""
        complete = self.table.groupby("item_id")["rev"].agg(lambda values: values.notna().all())
        scored = self.evaluation.scored
        return scored[scored["item_id"].isin(complete.index[complete])].reset_index(drop=True)

    @cached_property
    def label(self) -> np.ndarray:
        return class_labels(self.rows)

    @cached_property
    def weights(self) -> np.ndarray:
        return bootstrap_weights(self.rows, self.evaluation.params)

    @cached_property
    def components(self) -> list[str]:
        """Return the components that every null model has: those of the null models' REV."""
        read = self.table[self.table["item_id"].isin(self.rows["item_id"])]
        return [name for name in COMPONENTS if len(read) and read[name].notna().all()]

    @cached_property
    def why_unusable(self) -> str:
        if self.evaluation.why_unusable:
            return self.evaluation.why_unusable
        return "" if len(self.rows) else NO_NULLS

    @cached_property
    def confidence(self) -> float:
        return self.evaluation.params.statistics.confidence

    def model_score(self, name: str) -> np.ndarray:
        return self.rows[name].to_numpy(float)

    def model_auroc(self, name: str) -> dict:
        if self.why_unusable:
            return undefined(self.why_unusable, len(self.rows)).as_dict()
        return auroc_by_score(self.rows, [name], self.label, self.weights, self.evaluation.params)[name]

    def scores(self, kind: str) -> dict[str, np.ndarray]:
        """Return REV and the components of a kind, ``[S, N]`` each."""
        part = self.table[self.table["kind"] == kind]
        by_seed = {
            name: part.pivot(index="seed", columns="item_id", values=name).reindex(columns=self.rows["item_id"])
            for name in ("rev", *self.components)
        }
        return {name: values.to_numpy(float) for name, values in by_seed.items()}

    def given(self, kind: str) -> np.ndarray:
        """Return the null models' components, averaged over seeds: ``[N, components]``."""
        scores = self.scores(kind)
        return np.column_stack([average_over_seeds(scores[name]) for name in self.components])


def _compare(nulls: _Nulls, kind: str, heads: tuple[pd.DataFrame, np.ndarray]) -> dict:
    names, model_names = ("rev", *nulls.components), ("rev", *COMPONENTS)
    if nulls.why_unusable:
        missing = undefined(nulls.why_unusable, len(nulls.rows)).as_dict()
        entry = {"by_seed": {str(seed): missing for seed in nulls.seeds}, "mean": missing, "range": [np.nan, np.nan]}
        parts = {"difference": names, "correlation": names, "partial": model_names, "delta": model_names}
        return {
            "auroc": dict.fromkeys(names, entry),
            **{part: dict.fromkeys(keys, missing) for part, keys in parts.items()},
            "heads": missing,
            "verdict": f"no verdict: {nulls.why_unusable}",
        }
    scores, confidence = nulls.scores(kind), nulls.confidence
    caveats = _caveats(nulls, scores)
    covariates = {
        given: np.column_stack([nulls.rows[list(columns)].to_numpy(float), nulls.given(kind)])
        for given, columns in (("partial", PARTIAL_GIVEN), ("baseline", COVARIATES))
    }
    settings = nulls.evaluation.params.statistics
    baseline = Baseline(
        nulls.label,
        covariates["baseline"],
        nulls.rows["cluster"].to_numpy(str),
        nulls.weights,
        settings.folds,
        max(1, settings.repeats // 4),
        nulls.evaluation.params.seed,
        confidence,
    )
    result = {
        "auroc": {name: _auroc(nulls, name, scores[name], caveats[name]) for name in names},
        "difference": {
            name: rivals.auroc_difference(
                nulls.label, nulls.model_score(name), _as_fits(scores[name]), nulls.weights, confidence
            ).as_dict()
            for name in names
        },
        "correlation": {name: _correlation(nulls, name, scores[name]).as_dict() for name in names},
        "partial": {
            name: partial.clustered_partial(
                nulls.model_score(name), nulls.label, covariates["partial"], nulls.weights, confidence=confidence
            ).as_dict()
            for name in model_names
        },
        "delta": {name: baseline.delta(nulls.model_score(name))[0].as_dict() for name in model_names},
        "heads": _heads(nulls, kind, *heads).as_dict(),
    }
    return {**result, "verdict": _kind_verdict(kind, result["partial"]["rev"], result["difference"]["rev"])}


def _as_fits(scores: np.ndarray) -> CrossFit:
    """Return scores [S, N] as fits of all items: AUROCs are then means over seeds."""
    return CrossFit(scores, np.zeros(scores.shape, int))


def _auroc(nulls: _Nulls, name: str, scores: np.ndarray, notes: list[str]) -> dict:
    seeds = [str(seed) for seed in nulls.seeds]
    frame = nulls.rows.assign(**dict(zip(seeds, scores, strict=True)))
    by_seed = auroc_by_score(frame, seeds, nulls.label, nulls.weights, nulls.evaluation.params)
    values = [entry["value"] for entry in by_seed.values()]
    if reason := next((entry["reason"] for entry in by_seed.values() if entry["reason"]), ""):
        return {"by_seed": by_seed, "mean": undefined(reason, len(nulls.rows)).as_dict(), "range": [np.nan, np.nan]}
    mean = cross_fitted_auroc(_as_fits(scores), nulls.label, nulls.weights, nulls.confidence)
    notes = [*filter(None, [mean.note]), *notes]
    return {"by_seed": by_seed, "mean": replace(mean, note="; ".join(notes)).as_dict(), "range": [min(values), max(values)]}


def _caveats(nulls: _Nulls, scores: dict[str, np.ndarray]) -> dict[str, list[str]]:
    """Return for each score the caveats on it. REV has those of its components."""
    n = len(nulls.seeds)
    few = [f"{n} seed{'s' * (n > 1)}, so the spread over seeds is not known"] * (n < MIN_SEEDS)
    caveats = {name: list(few) for name in scores}
    for name in nulls.components:
        spread, of_model = scores[name].std(1).max(), nulls.model_score(name).std()
        if spread < MIN_SPREAD * of_model:
            ranks = f"{LABELS[name]} has a deviation of {spread:.1g} over these items, of {of_model:.1g} in the model"
            caveats[name].append(f"{ranks}: its ranks and z-scores are of differences that hardly exist")
            caveats["rev"].append(caveats[name][-1])
    return caveats


def _correlation(nulls: _Nulls, name: str, scores: np.ndarray) -> Estimate:
    average, none = average_over_seeds(scores), np.zeros((len(nulls.rows), 0))
    return partial.clustered_partial(nulls.model_score(name), average, none, nulls.weights, confidence=nulls.confidence)


def _heads(nulls: _Nulls, kind: str, frame: pd.DataFrame, entropies: np.ndarray) -> Estimate:
    """Return the mean over seeds of the cross-fitted AUROC of all heads of a kind of null model."""
    params, fits, reasons = nulls.evaluation.params, [], []
    settings, cluster = params.statistics, nulls.rows["cluster"].to_numpy(str)
    for seed in nulls.seeds:
        positions = np.flatnonzero((frame["kind"] == kind) & (frame["seed"] == seed))
        by_item = pd.Series(positions, index=frame["item_id"].iloc[positions])
        features = entropies[by_item.loc[nulls.rows["item_id"]].to_numpy()]
        repeats = max(1, settings.repeats // 4)
        fit = rivals.fit_sparse_logistic(nulls.label, features, cluster, folds=settings.folds, repeats=repeats, seed=params.seed)
        if isinstance(fit, str):
            reasons.append(fit)
        else:
            fits.append(fit)
    if not fits:
        return undefined(reasons[0], len(nulls.rows))
    joined = CrossFit(*(np.concatenate(parts) for parts in zip(*((fit.log_odds, fit.fold) for fit in fits), strict=True)))
    estimate = cross_fitted_auroc(joined, nulls.label, nulls.weights, nulls.confidence)
    if not reasons:
        return estimate
    notes = [*filter(None, [estimate.note]), f"without {len(reasons)} of {len(nulls.seeds)} seeds: {reasons[0]}"]
    return replace(estimate, note="; ".join(notes))


def _side(estimate: dict, null: float = 0.0) -> str:
    return "above" if estimate["low"] > null else "below" if estimate["high"] < null else "open"


def _kind_verdict(kind: str, adds: dict, differs: dict) -> str:
    network = NETWORKS.get(kind, kind)
    if adds["reason"]:
        return f"no verdict on {network}: {adds['reason']}"
    added = {
        "above": f"the model's REV adds to what {network} gives",
        "open": f"the model's REV is not shown to add to what {network} gives",
        "below": f"given what {network} gives, the model's REV is lower in reasoning",
    }[_side(adds)]
    if differs["reason"]:
        return added
    separated = {
        "above": "separates the classes better than it",
        "open": "is not shown to separate the classes better than it",
        "below": "separates the classes less than it",
    }[_side(differs)]
    return f"{added}, and {separated}"


def _verdict(kinds: dict[str, dict], nulls: _Nulls) -> str:
    """Return the verdict over all kinds. REV adds to them if it adds to each of them."""
    if nulls.why_unusable:
        return f"no verdict: {nulls.why_unusable}"
    n = len(nulls.seeds)
    about = f"on {len(nulls.rows)} items, {n} seed{'s' * (n > 1)} each"
    return "; ".join(entry["verdict"] for entry in kinds.values()) + f" ({about})"
