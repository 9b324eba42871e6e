"""Make studies whose truth is known: metrics tables, and the activations behind measures."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from wor.measures.covariates import WINDOW_COVARIATES
from wor.measures.registry import SCORES

LAYERS, WINDOW, HEADS = 12, 16, 3
NULL_SEEDS = (3, 4, 5)


def table(effect: float = 0.0, confound: float = 0.0, n: int = 60, seed: int = 0) -> pd.DataFrame:
    """Return a metrics table. The class shifts scores and, by ``confound``, prompt length."""
    rng = np.random.default_rng(seed)
    role = np.where(np.arange(n) % 2, "reasoning", "control")
    reasoning = (role == "reasoning").astype(float)
    length = np.round(100 + 10 * rng.normal(size=n) + 10 * confound * reasoning)
    logprob = -0.5 + 0.1 * rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "item_id": [f"i{index}" for index in range(n)],
            "dataset": np.where(role == "reasoning", "gsm-symbolic", "wiki"),
            "role": role,
            "split": "evaluation",
            "cluster": [f"c{index}" for index in range(n)],
            "token_len": length,
            "cot_len": 64,
            "n_generated": 64,
            "avg_logprob": logprob,
            "perplexity": np.exp(-logprob),
            "prompt_perplexity": 20 + rng.normal(size=n),
            "paraphrase_share": 0.1 + 0.01 * rng.normal(size=n),
            **dict(zip(WINDOW_COVARIATES, np.random.default_rng([seed, 1]).uniform(size=(5, n)), strict=True)),
            "paraphrase_fluency": np.random.default_rng([seed, 3]).normal(-0.2, 0.1, n),
            **dict(zip(("body_share", "moved_share"), np.random.default_rng([seed, 2]).uniform(0, 0.2, (2, n)), strict=True)),
            "finished": False,
            "template": "chat template",
            "answer": np.where(np.arange(n) % 4 == 1, "7", ""),
            "correct": np.where(role == "reasoning", (np.arange(n) % 4 == 1).astype(float), math.nan),
            "steps": np.where(role == "reasoning", rng.integers(2, 7, n), math.nan),
            "reason": "",
        }
    )
    for name in SCORES:
        frame[name] = rng.normal(size=n) + effect * reasoning + 0.05 * confound * (length - 100)
    return frame


def activations(
    frame: pd.DataFrame, rng: np.random.Generator, apl: np.ndarray, ape: np.ndarray, sib: np.ndarray
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Return what the activations stage writes, each component shifted by so many deviations.

    All layers and tokens of an item shift together: their log KL, entropies, and log distances.
    """
    n = len(frame)
    texts = {
        "prompt_ids": list(range(80)),
        "continuation_ids": list(range(WINDOW)),
        "tokens": ["a"] * WINDOW,
        "token_logprob": [-0.5] * WINDOW,
        "token_entropy": [1.0] * WINDOW,
    }
    records = frame.assign(window_start=80, window_end=80 + WINDOW, paraphrase_reason="")
    records = records.assign(**{name: [values] * n for name, values in texts.items()}).drop(columns=[*SCORES, *WINDOW_COVARIATES])

    def item(shift: np.ndarray, *shape: int) -> np.ndarray:
        return (rng.normal(size=n) + shift).reshape(n, *[1] * len(shape)) * np.ones((n, *shape))

    def noise(*shape: int) -> np.ndarray:
        return rng.normal(size=(n, *shape))

    entropy = np.log(90) * (0.5 + 0.05 * item(ape, LAYERS, WINDOW) + 0.002 * noise(LAYERS, WINDOW))
    arrays = {
        "kl": np.exp(-3 + item(apl, LAYERS, WINDOW) + 0.2 * noise(LAYERS, WINDOW)),
        "entropy": entropy,
        "entropy_no_sink": entropy - 0.1,
        "entropy_heads": 0.5 + 0.1 * noise(LAYERS, HEADS),
        "cosine": 1 - np.exp(-2 - 0.1 * item(sib, 2, LAYERS + 1) - 0.004 * noise(2, LAYERS + 1)),
        "jsd": rng.uniform(size=(n, LAYERS, WINDOW)),
        "prediction_entropy": np.exp(noise(WINDOW)),
    }
    return records, {name: array.astype(np.float32) for name, array in arrays.items()}


def read_by_nulls(frame, scores, noise=0.3, kinds=("permuted",), n=60, seed=1):
    """Return what null models write that see ``scores`` of the first items, each with noise."""
    rng = np.random.default_rng(seed)
    parts = []
    for kind in kinds:
        for null_seed in NULL_SEEDS:
            part = pd.DataFrame({"item_id": frame["item_id"].iloc[:n], "kind": kind, "seed": null_seed, "apl": math.nan})
            for name in ("ape", "sib"):
                part[name] = 5 * (scores[name][:n] + noise * rng.normal(size=n)) + null_seed
            parts.append(part.assign(rev=(part["ape"] + part["sib"]) / 2, reason=""))
    return pd.concat(parts, ignore_index=True)


def head_entropies(table, seed=2):
    return table[["item_id", "kind", "seed"]], np.random.default_rng(seed).normal(size=(len(table), 8))
