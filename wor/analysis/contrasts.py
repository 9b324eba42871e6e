"""REV beside its rivals, over doses, and in groups where something else should be found."""

from __future__ import annotations

import numpy as np
import pandas as pd

from wor.analysis.evaluation import PARTIAL_GIVEN, Evaluation, class_labels, count_excluded
from wor.measures.registry import COMPONENTS, HEADS, RIVALS, SCORES
from wor.statistics import bootstrap, family, partial, power, rivals, trend
from wor.statistics.result import undefined


def compare_with_rivals(evaluation: Evaluation, entropies: np.ndarray) -> dict[str, dict]:
    """AUROC(REV) - AUROC(rival), paired, with Holm over the rivals.

    Rivals: each component in its preset direction, every other measure, and a sparse logistic regression on the entropies of all
    heads, ``[kept items, heads]``, cross-fitted. The last is trained on these classes, which REV is not.
    """
    label, settings = evaluation.label, evaluation.params.statistics
    missing = undefined(evaluation.refusal, len(label))
    found, fitted = dict.fromkeys((*COMPONENTS, *RIVALS, HEADS), missing), missing
    if not evaluation.refusal:
        own, drawn, confidence = evaluation.score("rev"), evaluation.drawn, settings.confidence
        for name in (*COMPONENTS, *RIVALS):
            sign = getattr(evaluation.params.rev, name).sign if name in COMPONENTS else 1
            found[name] = rivals.auroc_difference(label, own, sign * evaluation.score(name), drawn, confidence)
        repeats = max(1, settings.repeats // 4)
        fit = rivals.fit_sparse_logistic(
            label, entropies, evaluation.cluster, folds=settings.folds, repeats=repeats, seed=evaluation.params.seed
        )
        if isinstance(fit, str):
            found[HEADS] = fitted = undefined(fit, len(label))
        else:
            found[HEADS], fitted = (
                rivals.auroc_difference(label, own, fit, drawn, confidence),
                fit.estimate(label, drawn, confidence),
            )
    adjusted = family.holm({name: estimate.p for name, estimate in found.items()})
    return {
        "difference": {name: {**estimate.as_dict(), "p_holm": adjusted[name]} for name, estimate in found.items()},
        "auroc_heads": fitted.as_dict(),
    }


def dose_response(evaluation: Evaluation) -> dict[str, dict]:
    """Each score against the number of steps of the worked solution, by dataset; and given the prompt's length.

    A longer solution has a longer problem, so the trend alone could be the length's.
    """
    settings, seed = evaluation.params.statistics, evaluation.params.seed
    found = {}
    with_steps = evaluation.kept[evaluation.kept["steps"].notna()]
    for dataset, rows in with_steps.groupby("dataset"):
        rows = rows.reset_index(drop=True)
        steps, drawn = rows["steps"].to_numpy(float), evaluation.draw(rows)
        found[str(dataset)] = {
            "by_steps": [
                {"steps": int(step), "n": len(group), "mean": group["rev"].mean(), "sd": group["rev"].std()}
                for step, group in rows.groupby("steps")
            ],
            "trend": {
                name: trend.kendall_trend(
                    steps, rows[name].to_numpy(float), drawn, settings.permutations, seed, settings.confidence
                ).as_dict()
                for name in SCORES
            },
            "given_length": _given_length(rows, steps, drawn, "spearman", settings.confidence),
        }
    return found


def correctness(evaluation: Evaluation) -> dict[str, dict]:
    """Each score against a right answer, by dataset: AUROC of right over wrong, and given the prompt's length.

    The class cannot be adjusted for it, as controls have no answer; within reasoning it is the covariate.
    """
    settings, found = evaluation.params.statistics, {}
    asked = evaluation.kept[evaluation.kept["correct"].notna()]
    for dataset, rows in asked.groupby("dataset"):
        rows = rows.reset_index(drop=True)
        right, drawn = rows["correct"].to_numpy(int), evaluation.draw(rows)
        cluster = rows["cluster"].to_numpy(str)
        found[str(dataset)] = {
            "n": {"right": int(right.sum()), "wrong": int((1 - right).sum())},
            "auroc": {
                name: bootstrap.auroc_interval(right, rows[name].to_numpy(float), drawn, settings.confidence, cluster).as_dict()
                for name in SCORES
            },
            "given_length": _given_length(rows, right, drawn, "pearson", settings.confidence),
        }
    return found


def _given_length(rows: pd.DataFrame, other: np.ndarray, drawn: np.ndarray, method: str, confidence: float) -> dict[str, dict]:
    """Partial correlation of each score with ``other``, given the prompt's length."""
    given = rows[["token_len"]].to_numpy(float)
    scores = {name: rows[name].to_numpy(float) for name in SCORES}
    return {
        name: partial.clustered_partial(score, other, given, drawn, method, confidence).as_dict()
        for name, score in scores.items()
    }


def compare_with_twin(evaluation: Evaluation, table: pd.DataFrame) -> dict:
    """REV of a model with random weights that reads the same tokens, and of the real one on the same items.

    What the twin tells apart lies in the text and the architecture: no learned computation is needed for it.
    """
    both = table[table["rev"].notna()].merge(evaluation.kept[["item_id", "rev"]], on="item_id", suffixes=("", "_real"))
    label = class_labels(both)
    n = {"reasoning": int(label.sum()), "control": int((1 - label).sum())}
    if not len(both):
        missing = undefined(
            evaluation.refusal or f"no item of the twin has a REV ({next(iter(count_excluded(table)), '')})"
        ).as_dict()
        auroc = dict.fromkeys(("rev", *COMPONENTS, "rev_real"), missing)
        return {"n": n, "auroc": auroc, "difference": missing, "verdict": "no verdict: there is no twin to hold it against"}
    settings, drawn = evaluation.params.statistics, evaluation.draw(both)
    separation = {
        name: bootstrap.auroc_interval(
            label, both[name].to_numpy(float), drawn, settings.confidence, both["cluster"].to_numpy(str)
        ).as_dict()
        for name in ("rev", *COMPONENTS, "rev_real")
    }
    real, random = (both[name].to_numpy(float) for name in ("rev_real", "rev"))
    return {
        "n": n,
        "auroc": separation,
        "difference": rivals.auroc_difference(label, real, random, drawn, settings.confidence).as_dict(),
        "verdict": _twin_verdict(separation["rev"], n),
    }


def _twin_verdict(found: dict, n: dict[str, int]) -> str:
    if np.isnan(found["value"]):
        return f"no verdict: {found['reason']}"
    if found["low"] > 0.5 or found["high"] < 0.5:
        return "random weights tell the classes apart too, so REV's AUROC is no evidence of learned computation"
    least = power.detectable_auroc(n["reasoning"], n["control"])
    return f"random weights are not seen to tell the classes apart (so few items show an AUROC from {least:.2f})"


def compare_full_length_controls(evaluation: Evaluation, table: pd.DataFrame | None) -> dict:
    """What matching in length changes: the same articles as controls, cut to length and whole.

    AUROC against all reasoning items, of every measure and of the covariates that partial
    correlation is given. Articles with a REV both ways.
    """
    if table is None:
        return {"reason": "the controls of this run are not matched (control.match: none)"}
    reasoning, drawn = evaluation.kept[evaluation.kept["role"] == "reasoning"], {}
    whole, cut = table[table["rev"].notna()], evaluation.kept[evaluation.kept["role"] == "control"]
    groups = {
        "matched": cut[cut["item_id"].isin(whole["item_id"])],
        "literal": whole[whole["item_id"].isin(cut["item_id"])],
    }
    for name, controls in groups.items():
        rows = pd.concat([reasoning, controls], ignore_index=True)
        label = class_labels(rows)
        weights = evaluation.draw(rows)
        drawn[name] = {
            "n": len(controls),
            "tokens": controls["token_len"].mean(),
            "auroc": {
                score: bootstrap.auroc_interval(
                    label,
                    rows[score].to_numpy(float),
                    weights,
                    evaluation.params.statistics.confidence,
                    rows["cluster"].to_numpy(str),
                ).as_dict()
                for score in (*SCORES, *PARTIAL_GIVEN)
            },
        }
    return drawn
