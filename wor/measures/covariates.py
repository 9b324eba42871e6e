"""What the text and the output distribution alone say of a window. No look inside the model.

The window is ``[start, end)`` of the generated tokens. A token's log-probability and entropy are
those of the prediction that it was drawn from, at temperature 1. An empty window has NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from wor.data.windows import completes_repeat, repeat_share

if TYPE_CHECKING:  # `wor` starts without pandas
    import pandas as pd

WINDOW_COVARIATES = ("window_logprob", "window_entropy", "repeat_share", "bigram_share", "digit_share")


def window_mean(values: Sequence[float], start: int, end: int) -> float:
    """Return the mean over the window of one value per generated token."""
    used = np.asarray(values, np.float64)[start:end]
    return float(used.mean()) if len(used) else float("nan")


def bigram_share(continuation: Sequence[int], start: int, end: int) -> float:
    """Return the share of the window's tokens that complete a bigram which stood before.

    Both bigrams lie within the continuation, so copying from the prompt doesn't count. The first
    generated token completes none. In [0, 1].
    """
    return window_mean(completes_repeat(continuation, 2), start, end)


def digit_share(tokens: Sequence[str], start: int, end: int) -> float:
    """Return the share of decimal digits among the window's characters, in [0, 1].

    ``tokens`` has each generated token's text. NaN also for a window without a character.
    """
    text = "".join(tokens[start:end])
    return sum(character.isdecimal() for character in text) / len(text) if text else float("nan")


def window_covariates(frame: pd.DataFrame) -> dict[str, list[float]]:
    """Return `WINDOW_COVARIATES` of stored records, one value per row; NaN without a window."""
    columns: dict[str, list[float]] = {name: [] for name in WINDOW_COVARIATES}
    for _, row in frame.iterrows():
        start, end = (int(row[name]) - len(row["prompt_ids"]) for name in ("window_start", "window_end"))
        prompt, continuation = ([int(token) for token in row[name]] for name in ("prompt_ids", "continuation_ids"))
        values = (
            window_mean(row["token_logprob"], start, end),
            window_mean(row["token_entropy"], start, end),
            repeat_share(prompt, continuation, start, end),
            bigram_share(continuation, start, end),
            digit_share(list(row["tokens"]), start, end),
        )
        for name, value in zip(WINDOW_COVARIATES, values, strict=True):
            columns[name].append(value)
    return columns
