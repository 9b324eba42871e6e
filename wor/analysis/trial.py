"""The trial: every measure on the same items, with the same covariates, nulls and designs."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from wor.analysis.evaluation import (
    DRAWS,
    FULL_COVARIATES,
    PARTIAL_GIVEN,
    REFITS,
    REPEATS,
    Evaluation,
    auroc_by_score,
    bootstrap_weights,
    class_labels,
)
from wor.analysis.null_models import in_deviations
from wor.config.params import ROLES
from wor.measures.registry import PUBLISHED, SCORES
from wor.statistics import linear_feature, multiple_testing, paired, partial, trend
from wor.statistics.baseline import Baseline
from wor.statistics.nulls import cross_fitted_auroc
from wor.statistics.result import Estimate, undefined
from wor.statistics.threads import by_name

PROMPT_DEPTHS = (0.5, 0.75)  # of `engine.states`, without which this stage does
GOES_WITH = ("token_len", "perplexity", "window_entropy")  # what a measure's correlation is shown with
NOT_STORED = "no pass that it needs was made here"


def claimed_directions(evaluation: Evaluation) -> dict[str, int]:
    """Return the direction that each measure's authors claim: 1 or -1, and 0 for none."""
    own = {name: evaluation.direction(name) for name in SCORES}
    return own | {measure.name: measure.direction for measure in PUBLISHED}


def run_trial(
    evaluation: Evaluation, halves: pd.DataFrame, nulls: pd.DataFrame, designs: pd.DataFrame, states: np.ndarray
) -> dict:
    """Return for each measure what it separates, adds and goes with. Every value is an Estimate.

    - ``auroc``: as it comes, with a BCa interval. ``claim`` says whether it lies on the side that
      the authors claim
    - ``gain``: dAUC over the full baseline, bounded to the claimed side. ``coefficient`` tests
      whether it adds; ``p_holm`` is its p, corrected over all measures
    - ``partial``: partial r with the class, given the covariates of the full baseline
    - ``given_nulls``: by kind of null model, partial r given length, perplexity and the null
      models' own values
    - ``derive_copy``: of the model's own text, under its prompt minus under a prompt to copy it, in
      standard deviations of the study's items
    - ``dose``: by dataset, Kendall's tau with the steps of the worked solution
    - ``goes_with``: Spearman's correlation with length, perplexity and the predictions' entropy
    - ``reliability``: of the window's even tokens with its odd ones, within the classes

    ``halves`` is of `measures.halves.half_table`, ``nulls`` of `measure_null_models`, ``designs``
    of `design_table`. ``states``, [scored items, depths, D], are at the prompt's last token. From
    these comes ``linear_feature``, which is trained on the classes and stands apart.
    """
    directions = claimed_directions(evaluation)
    baseline = None
    if not evaluation.why_unusable:
        everyone = np.arange(len(evaluation.scored))
        baseline = evaluation.fit_baseline(everyone, evaluation.weights[:DRAWS], REPEATS, refit_draws=REFITS)
        complete = [name for name in directions if name in evaluation.scored]
        baseline.prepare([evaluation.score(name) for name in complete], [directions[name] for name in complete])
    measures = by_name(lambda name: _try(evaluation, name, directions[name], baseline, halves, nulls, designs), directions)
    adjusted = multiple_testing.holm({name: entry["coefficient"]["p"] for name, entry in measures.items()})
    for name, entry in measures.items():
        entry["p_holm"] = adjusted[name]
    feature = _linear_feature(evaluation, states)
    return {"draws": DRAWS, "refit_draws": REFITS, "measures": measures, "linear_feature": feature}


def _linear_feature(evaluation: Evaluation, states: np.ndarray) -> dict[str, dict[str, dict]]:
    """Return the AUROC of the linear feature by depth, cross-fitted and by left-out dataset."""
    label, settings, n = evaluation.label, evaluation.params.statistics, len(evaluation.scored)
    if evaluation.why_unusable:
        missing = undefined(evaluation.why_unusable, n).as_dict()
        return {f"{depth:g}": {"cross-fitted": missing, "dataset left out": missing} for depth in PROMPT_DEPTHS}
    shared = {"repeats": REPEATS, "seed": evaluation.params.seed}
    dataset, results = evaluation.scored["dataset"].to_numpy(str), {}
    for index, depth in enumerate(PROMPT_DEPTHS):
        fits = {
            "cross-fitted": linear_feature.fit_linear_feature(
                label, states[:, index], evaluation.cluster, folds=settings.folds, **shared
            ),
            "dataset left out": linear_feature.fit_without_dataset(
                label, states[:, index], evaluation.cluster, dataset, **shared
            ),
        }
        results[f"{depth:g}"] = {
            name: (
                undefined(fit, n)
                if isinstance(fit, str)
                else cross_fitted_auroc(fit, label, evaluation.weights, settings.confidence)
            ).as_dict()
            for name, fit in fits.items()
        }
    return results


def _try(
    evaluation: Evaluation,
    name: str,
    direction: int,
    baseline: Baseline | None,
    halves: pd.DataFrame,
    nulls: pd.DataFrame,
    designs: pd.DataFrame,
) -> dict:
    rows = evaluation.scored
    score = rows[name].to_numpy(float) if name in rows else np.full(len(rows), np.nan)
    reason = evaluation.why_unusable or _why_missing(score)
    missing = undefined(reason, len(rows)).as_dict()
    entry: dict = {"direction": direction, **dict.fromkeys(("auroc", "gain", "coefficient", "partial"), missing)}
    entry["goes_with"] = dict.fromkeys(GOES_WITH, missing)
    entry["dose"] = {}
    if not reason:
        assert baseline is not None
        weights, confidence = evaluation.weights[:DRAWS], evaluation.params.statistics.confidence
        entry["auroc"] = auroc_by_score(rows, [name], evaluation.label, evaluation.weights, evaluation.params)[name]
        entry["gain"] = baseline.delta(score, direction)[0].as_dict()
        entry["coefficient"] = baseline.coefficient(score, direction).as_dict()
        given = evaluation.covariates(FULL_COVARIATES)
        entry["partial"] = partial.clustered_partial(score, evaluation.label, given, weights, confidence=confidence).as_dict()
        entry["goes_with"] = {other: _correlation(score, rows[other].to_numpy(float), weights, confidence) for other in GOES_WITH}
        entry["dose"] = _dose(evaluation, name)
    entry["claim"] = judge_claim(entry["auroc"], direction)
    entry["given_nulls"] = _given_nulls(evaluation, name, nulls)
    entry["derive_copy"] = _derive_copy(evaluation, name, designs).as_dict()
    entry["reliability"] = _reliability(evaluation, name, halves).as_dict()
    return entry


def _why_missing(score: np.ndarray) -> str:
    if np.isnan(score).all():
        return NOT_STORED
    n = int(np.isnan(score).sum())
    return f"{n} of {len(score)} items have none" if n else ""


def judge_claim(auroc: Mapping, direction: int) -> str:
    """Return whether an AUROC's interval lies on the claimed side of 0.5."""
    if auroc["low"] is None or np.isnan(auroc["low"]):
        return "not evaluable"
    side = 1 if auroc["low"] > 0.5 else -1 if auroc["high"] < 0.5 else 0
    if not direction:
        return {1: "higher", -1: "lower", 0: "undecided"}[side] + ", none claimed"
    return {direction: "supported", -direction: "contradicted", 0: "undecided"}[side]


def _correlation(score: np.ndarray, other: np.ndarray, weights: np.ndarray, confidence: float) -> dict:
    none = np.empty((len(score), 0))
    return partial.clustered_partial(score, other, none, weights, "spearman", confidence).as_dict()


def _dose(evaluation: Evaluation, name: str) -> dict[str, dict]:
    settings, seed = evaluation.params.statistics, evaluation.params.seed
    datasets = {}
    for dataset, rows in evaluation.scored[evaluation.scored["steps"].notna()].groupby("dataset"):
        weights = evaluation.weights[:DRAWS, rows.index]
        steps, score = rows["steps"].to_numpy(float), rows[name].to_numpy(float)
        estimate = trend.kendall_trend(steps, score, weights, settings.permutations, seed, settings.confidence)
        datasets[str(dataset)] = estimate.as_dict()
    return datasets


def _given_nulls(evaluation: Evaluation, name: str, nulls: pd.DataFrame) -> dict[str, dict]:
    """Return the partial r given null models, on the items of which all have a value."""
    confidence, results = evaluation.params.statistics.confidence, {}
    for kind, part in nulls.groupby("kind", sort=False):
        if evaluation.why_unusable or name not in part or name not in evaluation.scored:
            results[str(kind)] = undefined(evaluation.why_unusable or NOT_STORED).as_dict()
            continue
        values = part.pivot(index="item_id", columns="seed", values=name).dropna()
        rows = evaluation.scored[evaluation.scored["item_id"].isin(values.index) & evaluation.scored[name].notna()]
        rows = rows.reset_index(drop=True)
        if not len(rows):
            results[str(kind)] = undefined("null models have no value of it").as_dict()
            continue
        label = class_labels(rows)
        weights = bootstrap_weights(rows, evaluation.params, DRAWS)
        replicates = values.loc[rows["item_id"]].to_numpy(float).T
        replicates = in_deviations(replicates)
        score, given = rows[name].to_numpy(float), rows[PARTIAL_GIVEN].to_numpy(float)
        estimate = partial.partial_given_replicates(score, label, given, replicates, weights, confidence)
        results[str(kind)] = estimate.as_dict()
    return results


def _derive_copy(evaluation: Evaluation, name: str, designs: pd.DataFrame) -> Estimate:
    """Return derive minus copy of the model's own text, in deviations over the study's items."""
    if name not in designs or name not in evaluation.scored:
        return undefined(NOT_STORED)
    rows = designs[(designs["source"] == "own") & (designs["role"] == "reasoning")]
    arms = rows.pivot(index="item_id", columns="arm", values=name)
    if not {"derive", "copy"} <= set(arms.columns):
        return undefined("no text is both derived and copied")
    arms = arms.dropna()
    deviation = evaluation.scored[name].std()
    if not len(arms) or not deviation > 0:
        return undefined(NOT_STORED if not len(arms) else "constant score", len(arms))
    clusters = rows.drop_duplicates("item_id").set_index("item_id")["cluster"].loc[arms.index].to_numpy(str)
    difference = (arms["derive"] - arms["copy"]).to_numpy(float) / deviation
    settings = evaluation.params.statistics
    return paired.sign_flip_mean(difference, clusters, DRAWS, evaluation.params.seed, settings.confidence)


def _reliability(evaluation: Evaluation, name: str, halves: pd.DataFrame) -> Estimate:
    """Return Cronbach's alpha of a window's even and odd tokens, without the classes' means."""
    if evaluation.why_unusable or name not in halves:
        return undefined(evaluation.why_unusable or "it has no value of half a window")
    values = halves.pivot(index="item_id", columns="half", values=name).dropna()
    rows = evaluation.scored[evaluation.scored["item_id"].isin(values.index)]
    if not len(rows):
        return undefined("it has no value of half a window")
    replicates = values.loc[rows["item_id"]].to_numpy(float).T.copy()
    for role in ROLES:
        mask = (rows["role"] == role).to_numpy()
        if mask.any():
            replicates[:, mask] -= replicates[:, mask].mean(1, keepdims=True)
    spread = replicates.std(1, keepdims=True)
    if not (spread > 0).all():
        return undefined("constant score", len(rows))
    weights = evaluation.weights[:DRAWS, rows.index]
    return partial.reliability_of_mean(replicates / spread, weights, evaluation.params.statistics.confidence)


def trial_table(result: dict) -> pd.DataFrame:
    """Return the trial as a table: one row per measure and quantity, with value, interval and p."""
    rows = []
    for name, entry in result["measures"].items():
        nested = {
            **{key: entry[key] for key in ("auroc", "gain", "coefficient", "partial", "derive_copy", "reliability")},
            **{f"given {kind}": value for kind, value in entry["given_nulls"].items()},
            **{f"dose {dataset}": value for dataset, value in entry["dose"].items()},
            **{f"correlation with {other}": value for other, value in entry["goes_with"].items()},
        }
        for quantity, estimate in nested.items():
            p_holm = entry["p_holm"] if quantity == "coefficient" else np.nan
            rows.append({"measure": name, "quantity": quantity, **estimate, "p_holm": p_holm, "claim": entry["claim"]})
    rows += [
        {"measure": f"linear_feature_{depth}", "quantity": f"auroc, {name}", **estimate}
        for depth, entries in result["linear_feature"].items()
        for name, estimate in entries.items()
    ]
    return pd.DataFrame(rows)
