"""Descriptive statistics of the items, without a test."""

import pandas as pd

from wor.measures.covariates import WINDOW_COVARIATES
from wor.measures.registry import SCORES
from wor.statistics.matching import IMBALANCED, standardised_difference

BALANCE = [
    *("token_len", "cot_len", "n_generated", "avg_logprob", "perplexity", "prompt_perplexity"),
    *("paraphrase_share", "body_share", "moved_share"),
    *WINDOW_COVARIATES,
]


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
