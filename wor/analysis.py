"""What a study reports of a model: tables in, numbers with intervals out."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from wor.measures.rev import COMPONENTS
from wor.params import Params
from wor.statistics import auc, baseline, bootstrap, family, nulls, partial
from wor.statistics.result import Estimate, undefined

BASELINE = ["token_len", "avg_logprob", "perplexity", "cot_len"]
PARTIAL_GIVEN = ["token_len", "perplexity"]
SCORES = ["rev", *COMPONENTS, "dtr"]
BALANCE = ["token_len", "cot_len", "n_generated", "avg_logprob", "perplexity", "prompt_perplexity", "paraphrase_share"]


def analyse(items: pd.DataFrame, prompts: dict[str, str], params: Params) -> dict:
    """Everything that DESIGN section 5 asks of one model's evaluation items.

    Parameters
    ----------
    items : rows of the metrics tables of all datasets, one an item.
    prompts : item ID to prompt, for the surface ceiling.
    """
    settings = params.statistics
    kept = items[items["rev"].notna()].reset_index(drop=True)
    label = (kept["role"] == "reasoning").to_numpy().astype(int)
    if dropped := _refusal(items, kept):
        return _empty(items, dropped)
    drawn = bootstrap.weights(kept["cluster"], kept["dataset"], settings.bootstrap_draws, params.seed)
    cluster = kept["cluster"].to_numpy()
    texts = [prompts[name] for name in kept["item_id"]]
    scores = {name: kept[name].to_numpy(float) for name in [*SCORES, *BASELINE, "prompt_perplexity"]}
    separation = {
        name: {
            "bootstrap": bootstrap.auroc_interval(label, score, drawn, settings.confidence).as_dict(),
            "delong": auc.delong(label, score, settings.confidence).as_dict(),
        }
        for name, score in scores.items()
    }
    covariates = kept[BASELINE].to_numpy(float)
    given = kept[PARTIAL_GIVEN].to_numpy(float)
    gains = {
        name: baseline.added_value(
            label,
            covariates,
            scores[name],
            cluster,
            drawn,
            folds=settings.folds,
            repeats=settings.repeats,
            seed=params.seed,
            confidence=settings.confidence,
        )
        for name in SCORES
    }
    correlations = {
        name: {
            method: partial.partial_correlation(scores[name], label, given, method, settings.confidence).as_dict()
            for method in ("pearson", "spearman")
        }
        for name in SCORES
    }
    tests = {f"auroc_{name}": separation[name]["delong"]["p"] for name in SCORES}
    tests |= {f"partial_{name}": correlations[name]["pearson"]["p"] for name in SCORES}
    return {
        "n": {"items": len(items), "used": len(kept), "reasoning": int(label.sum()), "control": int((1 - label).sum())},
        "excluded": _excluded(items),
        "auroc": separation,
        "added": {name: gain.as_dict() for name, gain in gains.items()},
        "partial": correlations,
        "holm": family.holm(tests),
        "nulls": {
            "permuted_labels": nulls.permuted_auroc(
                label, scores["rev"], settings.permutations, params.seed, settings.confidence
            ).as_dict(),
            "surface_ceiling": nulls.surface_ceiling(
                label, texts, cluster, drawn, folds=settings.folds, seed=params.seed, confidence=settings.confidence
            ).as_dict(),
        },
        "direction": direction(separation, params),
        "balance": balance(kept),
        "spread": spread(items),
        "accuracy": accuracy(items),
    }


def _refusal(items: pd.DataFrame, kept: pd.DataFrame) -> str:
    for role in ("reasoning", "control"):
        if not (kept["role"] == role).any():
            why = next(iter(_excluded(items)), "there are none")
            return f"no {role} item has a REV ({why})"
    return ""


def _empty(items: pd.DataFrame, reason: str) -> dict:
    """The same keys, each number missing with its reason."""
    missing = undefined(reason, len(items)).as_dict()
    return {
        "n": {"items": len(items), "used": 0, "reasoning": 0, "control": 0},
        "excluded": _excluded(items),
        "auroc": {name: {"bootstrap": missing, "delong": missing} for name in [*SCORES, *BASELINE, "prompt_perplexity"]},
        "added": {name: dict.fromkeys(baseline.Added.__dataclass_fields__, missing) for name in SCORES},
        "partial": {name: {"pearson": missing, "spearman": missing} for name in SCORES},
        "holm": {},
        "nulls": {"permuted_labels": missing, "surface_ceiling": missing},
        "direction": {},
        "balance": balance(items),
        "spread": spread(items),
        "accuracy": accuracy(items),
    }


def _excluded(items: pd.DataFrame) -> dict[str, int]:
    """Items without a REV, by reason and role."""
    gone = items[items["rev"].isna()]
    return {f"{role}: {reason}": int(n) for (role, reason), n in gone.groupby(["role", "reason"], dropna=False).size().items()}


def direction(separation: dict, params: Params) -> dict[str, str]:
    """Whether each component points where its preset sign says. Signs are never flipped to suit."""
    found = {}
    for name in COMPONENTS:
        estimate, sign = separation[name]["bootstrap"], getattr(params.rev, name).sign
        if math.isnan(estimate["value"]):
            found[name] = f"unknown: {estimate['reason']}"
            continue
        low, high = (estimate["low"], estimate["high"]) if sign > 0 else (1 - estimate["high"], 1 - estimate["low"])
        found[name] = "as hypothesised" if low > 0.5 else "contradicted" if high < 0.5 else "undecided"
    return found


def balance(items: pd.DataFrame) -> dict[str, dict]:
    """Covariates by class, with standardised mean differences."""
    groups = {role: items[items["role"] == role] for role in ("reasoning", "control")}
    return {
        name: {
            **{role: {"mean": group[name].mean(), "sd": group[name].std()} for role, group in groups.items()},
            "smd": family.standardised_difference(*(group[name].to_numpy(float) for group in groups.values())),
        }
        for name in BALANCE
    }


def spread(items: pd.DataFrame) -> dict[str, dict]:
    """Mean, standard deviation and n of every measure, by class and by dataset."""
    table = {}
    for key in ("role", "dataset"):
        for group, rows in items.groupby(key):
            table[str(group)] = {
                name: {"mean": rows[name].mean(), "sd": rows[name].std(), "n": int(rows[name].notna().sum())} for name in SCORES
            }
    return table


def accuracy(items: pd.DataFrame) -> dict[str, dict]:
    """Share of right answers, and of continuations without a readable one, by dataset."""
    asked = items[items["correct"].notna()]
    return {
        str(dataset): {"accuracy": rows["correct"].mean(), "unparsed": rows["answer"].fillna("").eq("").mean(), "n": len(rows)}
        for dataset, rows in asked.groupby("dataset")
    }


def temperatures(table: pd.DataFrame, params: Params) -> dict:
    """REV over temperatures: class means with bootstrap bands, AUROC, and the variance of the reasoning mean."""
    rows, settings = [], params.statistics
    for temperature, group in table.groupby("temperature"):
        row = {"temperature": float(temperature), "n": len(group), "undefined": int(group["rev"].isna().sum())}
        for role in ("reasoning", "control"):
            row[role] = mean_interval(group[group["role"] == role], params).as_dict()
        kept = group[group["rev"].notna()]
        drawn = bootstrap.weights(kept["cluster"], kept["dataset"], settings.bootstrap_draws, params.seed)
        label = (kept["role"] == "reasoning").to_numpy().astype(int)
        row["auroc"] = bootstrap.auroc_interval(label, kept["rev"].to_numpy(float), drawn, settings.confidence).as_dict()
        rows.append(row)
    means = np.array([row["reasoning"]["value"] for row in rows])
    return {
        "by_temperature": rows,
        "n": len(table),
        "undefined": int(table["rev"].isna().sum()),
        "variance": float(means.var(ddof=1)) if len(means) > 1 and not np.isnan(means).any() else math.nan,
    }


def mean_interval(rows: pd.DataFrame, params: Params, column: str = "rev") -> Estimate:
    """Mean of a column with a cluster bootstrap interval."""
    rows = rows[rows[column].notna()]
    if not len(rows):
        return undefined("no item has a value")
    settings = params.statistics
    drawn = bootstrap.weights(rows["cluster"], rows["dataset"], settings.bootstrap_draws, params.seed)
    values = rows[column].to_numpy(float)
    samples = drawn @ values / drawn.sum(1)
    return Estimate(float(values.mean()), *bootstrap.percentile(samples, settings.confidence), n=len(rows))


def head_curve(table: pd.DataFrame, params: Params) -> list[dict]:
    """Accuracy by role, kind of removal and share, with intervals over items and the range over random draws.

    The interval resamples items; for random heads an item's value is its mean over the draws.
    """
    rows = []
    for (role, kind, share), group in table.groupby(["role", "kind", "share"]):
        items = group.groupby(["item_id", "dataset"], as_index=False)["accuracy"].mean()
        items["cluster"] = items["item_id"]
        draws = group.groupby("draw")["accuracy"].mean()
        rows.append(
            {
                "role": role,
                "kind": kind,
                "share": float(share),
                "n_heads": int(group["n_heads"].iloc[0]),
                "draws": len(draws),
                "draws_low": draws.min(),
                "draws_high": draws.max(),
                **mean_interval(items, params, "accuracy").as_dict(),
            }
        )
    return rows
