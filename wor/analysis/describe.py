"""What the items are like, without a test."""

from __future__ import annotations

import pandas as pd

from wor.measures.registry import SCORES
from wor.statistics import family

BALANCE = ["token_len", "cot_len", "n_generated", "avg_logprob", "perplexity", "prompt_perplexity", "paraphrase_share"]


def covariate_balance(items: pd.DataFrame) -> dict[str, dict]:
    """Covariates by class, with standardised mean differences."""
    groups = {role: items[items["role"] == role] for role in ("reasoning", "control")}
    return {
        name: {
            **{role: {"mean": group[name].mean(), "sd": group[name].std()} for role, group in groups.items()},
            "smd": family.standardised_difference(*(group[name].to_numpy(float) for group in groups.values())),
        }
        for name in BALANCE
    }


def measure_summary(items: pd.DataFrame) -> dict[str, dict]:
    """Mean, standard deviation and n of every measure, by class and by dataset."""
    table = {}
    for key in ("role", "dataset"):
        for group, rows in items.groupby(key):
            table[str(group)] = {
                name: {"mean": rows[name].mean(), "sd": rows[name].std(), "n": int(rows[name].notna().sum())} for name in SCORES
            }
    return table


def answer_accuracy(items: pd.DataFrame) -> dict[str, dict]:
    """Share of right answers, and of continuations without a readable one, by dataset."""
    asked = items[items["correct"].notna()]
    return {
        str(dataset): {"accuracy": rows["correct"].mean(), "unparsed": rows["answer"].fillna("").eq("").mean(), "n": len(rows)}
        for dataset, rows in asked.groupby("dataset")
    }
