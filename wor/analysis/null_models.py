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
    """Return the mean over seeds, [N], of scores [S, N] in each seed's deviations over items."""
    return in_deviations(scores).mean(0)


def in_deviations(scores: np.ndarray) -> np.ndarray:
    """Return scores [S, N] in each seed's deviations over items; a seed without spread is 0.

    Classes are not used.
    """
    centred = scores - scores.mean(1, keepdims=True)
    spread = centred.std(1, keepdims=True)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)


def compare_with_nulls(evaluation: Evaluation, table: pd.DataFrame, heads: tuple[pd.DataFrame, np.ndarray]) -> dict:
    """Return what null models separate, and what the model's scores add to theirs, by kind.

    ``table`` is of `measure_null_models`. ``heads`` are rows with item_id, kind and seed, and the
    entropies [rows, heads] of all heads. Everything is on the items that all null models read.

    by kind, for REV and each component that the null models have:
    auroc : ``by_seed``, their ``mean`` with an interval over items, and their ``range``.
    difference : AUROC of the model minus that mean, paired.
    correlation : r of the model's score with the null models' over items.
    reliability : of the null models' average, from how their seeds agree over items.
    partial, delta : partial r and dAUC of the model's score, by the null models' score that stands
        beside the registered covariates. REV is given each of their scores in turn, a component its
        own, or REV if they have none. The partial r is given the average of ever more seeds, see
        `partial_given_replicates`. dAUC is given the average of these seeds, which holds noise.
    heads : the mean over seeds of the AUROC of a sparse logistic regression on all heads.
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

    def pairs(self) -> dict[str, list[str]]:
        """Return for each of the model's scores the null models' scores that it is given."""
        own = {name: [name if name in self.components else "rev"] for name in COMPONENTS}
        return {"rev": ["rev", *self.components]} | own


def _compare(nulls: _Nulls, kind: str, heads: tuple[pd.DataFrame, np.ndarray]) -> dict:
    names, pairs = ("rev", *nulls.components), nulls.pairs()
    if nulls.why_unusable:
        missing = undefined(nulls.why_unusable, len(nulls.rows)).as_dict()
        entry = {"by_seed": {str(seed): missing for seed in nulls.seeds}, "mean": missing, "range": [np.nan, np.nan]}
        added = {name: dict.fromkeys(given, missing) for name, given in pairs.items()}
        return {
            "auroc": dict.fromkeys(names, entry),
            **{part: dict.fromkeys(names, missing) for part in ("difference", "correlation", "reliability")},
            "partial": added,
            "delta": added,
            "heads": missing,
            "verdict": f"no verdict: {nulls.why_unusable}",
        }
    scores, model = nulls.scores(kind), {name: nulls.model_score(name) for name in pairs}
    label, weights, confidence = nulls.label, nulls.weights, nulls.confidence
    caveats = _caveats(nulls, scores)
    replicates = {name: in_deviations(values) for name, values in scores.items()}
    covariates, none = nulls.rows[PARTIAL_GIVEN].to_numpy(float), np.zeros((len(label), 0))
    baselines = {name: _baseline(nulls, values.mean(0)) for name, values in replicates.items()}
    result = {
        "auroc": {name: _auroc(nulls, name, scores[name], caveats[name]) for name in names},
        "difference": {
            name: rivals.auroc_difference(label, model[name], _as_fits(scores[name]), weights, confidence).as_dict()
            for name in names
        },
        "correlation": {
            name: partial.clustered_partial(model[name], replicates[name].mean(0), none, weights, confidence=confidence).as_dict()
            for name in names
        },
        "reliability": {name: partial.reliability_of_mean(replicates[name], weights, confidence).as_dict() for name in names},
        "partial": {
            name: {
                other: partial.partial_given_replicates(
                    model[name], label, covariates, replicates[other], weights, confidence
                ).as_dict()
                for other in given
            }
            for name, given in pairs.items()
        },
        "delta": {
            name: {other: baselines[other].delta(model[name])[0].as_dict() for other in given} for name, given in pairs.items()
        },
        "heads": _heads(nulls, kind, *heads).as_dict(),
    }
    return {**result, "verdict": _kind_verdict(kind, result["partial"]["rev"], result["difference"]["rev"])}


def _baseline(nulls: _Nulls, average: np.ndarray) -> Baseline:
    """Return the registered baseline with a null models' score as one more covariate."""
    params, rows = nulls.evaluation.params, nulls.rows
    settings, covariates = params.statistics, np.column_stack([rows[COVARIATES].to_numpy(float), average])
    arrays = (nulls.label, covariates, rows["cluster"].to_numpy(str), nulls.weights)
    return Baseline(*arrays, settings.folds, max(1, settings.repeats // 4), params.seed, nulls.confidence)


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


def _kind_verdict(kind: str, adds: dict[str, dict], differs: dict) -> str:
    """Return the verdict on a kind. REV adds to it if it adds to each of its scores."""
    network = NETWORKS.get(kind, kind)
    reasons = [entry["reason"] for entry in adds.values() if entry["reason"]]
    sides = {_side(entry) for entry in adds.values() if not entry["reason"]}
    if "open" in sides or len(sides) == 2:
        verdict = f"the model's REV is not shown to add to what {network} gives"
    elif reasons:
        verdict = f"whether the model's REV adds to what {network} gives is unknown ({reasons[0]})"
    elif sides == {"above"}:
        verdict = f"the model's REV adds to what {network} gives"
    else:
        verdict = f"given what {network} gives, the model's REV is lower in reasoning"
    if differs["reason"]:
        return verdict
    separated = {
        "above": "it separates the classes better",
        "open": "it is not shown to separate the classes better",
        "below": "it separates the classes less",
    }[_side(differs)]
    return f"{verdict}, and {separated}"


def _verdict(kinds: dict[str, dict], nulls: _Nulls) -> str:
    """Return the verdict over all kinds. REV adds to them if it adds to each of them."""
    if nulls.why_unusable:
        return f"no verdict: {nulls.why_unusable}"
    n = len(nulls.seeds)
    about = f"on {len(nulls.rows)} items, {n} seed{'s' * (n > 1)} each"
    return "; ".join(entry["verdict"] for entry in kinds.values()) + f" ({about})"
