"""Descriptive statistics of the items, without a test."""

from typing import Any

import pandas as pd

from wor.measures.covariates import WINDOW_COVARIATES
from wor.measures.registry import SCORES
from wor.statistics.matching import IMBALANCED, standardised_difference

BALANCE = [
    *("token_len", "cot_len", "n_generated", "avg_logprob", "perplexity", "prompt_perplexity"),
    *("paraphrase_share", "body_share", "moved_share", "paraphrase_fluency"),
    *WINDOW_COVARIATES,
]

# Beyond this difference, what is left of the classes is not comparable. Reviews of experiments draw
# a line at a few points too, which depends on how many are lost in all (Deke & Chiang 2017).
UNEQUAL_ATTRITION = 0.05


def covariate_balance(items: pd.DataFrame) -> dict[str, dict]:
    """Return each covariate's mean and sd by class, and its standardised mean difference.

    ``imbalanced`` marks a difference that is too large to be adjusted for.
    """
    groups = {role: items[items["role"] == role] for role in ("reasoning", "control")}
    balance = {}
    for name in BALANCE:
        difference = standardised_difference(*(group[name].to_numpy(float) for group in groups.values()))
        balance[name] = {role: {"mean": group[name].mean(), "sd": group[name].std()} for role, group in groups.items()} | {
            "smd": difference,
            "imbalanced": abs(difference) > IMBALANCED,
        }
    return balance


def generation_quality(items: pd.DataFrame, calibration: pd.DataFrame, max_repeat: float) -> dict:
    """Return how many texts of each class loop, are complete, and are used.

    Per group, the classes and ``calibration``: ``n`` items, of which ``used`` have a REV,
    ``repeating`` have a `repeat_share` above ``max_repeat``, and ``closed`` reach their closing
    statement or end by themselves. ``unequal_attrition`` says that the classes lose different
    shares of their items.
    """
    quality: dict[str, Any] = {"max_repeat": max_repeat}
    classes = {role: items[items["role"] == role] for role in ("reasoning", "control")}
    for name, rows in (classes | {"calibration": calibration}).items():
        quality[name] = {
            "n": len(rows),
            "used": int(rows["rev"].notna().sum()),
            "repeating": int((rows["repeat_share"] > max_repeat).sum()),
            "closed": int(((rows["cot_len"] < rows["n_generated"]) | rows["finished"].astype(bool)).sum()),
        }
    lost = [1 - quality[role]["used"] / quality[role]["n"] for role in classes if quality[role]["n"]]
    return quality | {"unequal_attrition": len(lost) == 2 and abs(lost[0] - lost[1]) > UNEQUAL_ATTRITION}


def measure_summary(items: pd.DataFrame) -> dict[str, dict]:
    """Return mean, standard deviation and n of every measure, by class and by dataset."""
    return {
        str(group): {
            name: {"mean": rows[name].mean(), "sd": rows[name].std(), "n": int(rows[name].notna().sum())} for name in SCORES
        }
        for key in ("role", "dataset")
        for group, rows in items.groupby(key)
    }


def answer_accuracy(items: pd.DataFrame) -> dict[str, dict]:
    """Return the share of right answers and of unreadable ones, by dataset with known answers."""
    with_answer = items[items["correct"].notna()]
    return {
        str(dataset): {"accuracy": rows["correct"].mean(), "unparsed": rows["answer"].fillna("").eq("").mean(), "n": len(rows)}
        for dataset, rows in with_answer.groupby("dataset")
    }
