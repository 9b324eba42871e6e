"""The input of a measure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:  # `wor` starts without pandas
    import pandas as pd

# What stages store: one row per item, and arrays whose first axis is the items.
Records: TypeAlias = "tuple[pd.DataFrame, dict[str, np.ndarray]]"

# Arrays whose last axis is the window, and those whose first is `engine.states.PARTS` of it.
BY_TOKEN = {
    "entropy", "entropy_no_sink", "kl", "jsd", "prediction_entropy", "attention_squares", "norm", "step_weighted", "step_mean",
    "step_cosine", "step_entropy", "hoyer", "top_energy", "lens_kl", "lens_probability", "lens_flip",
}  # fmt: skip
BY_PART = {"part_cosine", "block_influence", "chain", "participation", "lens_entropy"}
# What computes an array after the forward pass, by its name in `engine.observe.PASSES`.
_STATES = ("norm", "step_weighted", "step_mean", "step_cosine", "step_entropy", "part_cosine", "block_influence", "chain")
_LENS = ("jsd", "lens_kl", "lens_probability", "lens_flip", "lens_entropy")
PASS = {"kl": "ablation", "cosine": "paraphrases"}
PASS |= dict.fromkeys((*_STATES, "participation", "hoyer", "top_energy"), "states") | dict.fromkeys(_LENS, "lens")


@dataclass(frozen=True)
class EntropyFit:
    """Each layer's log KL as a spline of log entropy, under B draws of the calibration items.

    knots : [K] log entropies, of the whole sample. coefficients : [B, K, L]. limits : [B, L], which
    an item's mean residual exceeds in a layer that takes part. See `apl_given_entropy`.
    """

    knots: np.ndarray
    coefficients: np.ndarray
    limits: np.ndarray


@dataclass(frozen=True)
class ItemArrays:
    """The stored arrays of one item: L layers, H heads, W window positions, P paraphrases.

    NaN pads short windows, and fills all arrays of an item without a window. By name, ``entropy``
    and ``entropy_no_sink``, [L, W], are in nats, mean over heads. ``entropy_heads``, [L, H], is
    over log k, mean over the window. ``kl``, [L, W] in nats, is the effect of each layer's
    ablation. ``cosine`` is [P, L + 1]. ``jsd``, [L, W] in bits, is each layer's logit lens against
    the last's. It and what has lens in its name are of evaluation items only. The rest is what
    `engine.states.describe_states` lists. ``first_position``, from 0, is where the window's first
    token was predicted.
    ``prediction_entropy``, [W] in nats, is from `with_prediction_entropy`. ``thresholds``, [L] in
    nats, come from calibration controls, and so do ``entropy_fit`` and ``quantiles``, by array; see
    `apl.thresholds`, `tell_tale_norm.thresholds` and `output_entropy.threshold`.
    """

    arrays: Mapping[str, np.ndarray]
    first_position: int
    thresholds: np.ndarray
    entropy_fit: EntropyFit | None = None
    quantiles: Mapping[str, np.ndarray] = field(default_factory=dict)

    def half(self, parity: int) -> ItemArrays:
        """Return the item with the window's tokens at even places (0) alone, or at odd ones (1).

        Their columns stay where they are, and the others are NaN. Arrays that are stored as a mean
        over the whole window are left out, so measures from these have no half.
        """
        arrays = {}
        for name in self.arrays.keys() & BY_TOKEN:
            arrays[name] = np.full_like(self.arrays[name], np.nan)
            arrays[name][..., parity::2] = self.arrays[name][..., parity::2]
        for name in self.arrays.keys() & BY_PART:
            arrays[name] = self.arrays[name][[1 + parity]]
        return replace(self, arrays=arrays)


def iterate_items(
    frame: pd.DataFrame,
    arrays: Mapping[str, np.ndarray],
    thresholds: np.ndarray,
    entropy_fit: EntropyFit | None = None,
    quantiles: Mapping[str, np.ndarray] | None = None,
) -> Iterator[ItemArrays]:
    """Yield each item of stored records, whose arrays have items as their first axis."""
    for index, position in enumerate(first_positions(frame)):
        stored = {name: array[index] for name, array in arrays.items()}
        yield ItemArrays(stored, position, thresholds, entropy_fit, quantiles or {})


def select(records: Records, rows: np.ndarray) -> Records:
    """Return the records of ``rows``: a mask or indices of items."""
    return records[0].iloc[rows].reset_index(drop=True), {name: array[rows] for name, array in records[1].items()}


def join(parts: Sequence[Records]) -> Records:
    """Return the records of all parts, which have the same arrays, one after another."""
    import pandas as pd

    frame = pd.concat([frame for frame, _ in parts], ignore_index=True)
    return frame, {name: np.concatenate([arrays[name] for _, arrays in parts]) for name in parts[0][1]}


def first_positions(frame: pd.DataFrame) -> np.ndarray:
    """Return the position before each window's first token, which predicted it: [N].

    ``window_start`` is the token's own position, from 0, in prompt and continuation.
    """
    return frame["window_start"].to_numpy() - 1


def with_prediction_entropy(records: Records) -> Records:
    """Return records with the array ``prediction_entropy``, [N, W]: of each window token's own.

    Column w goes with column w of ``kl``. It is NaN beyond a window, or where there is none.
    """
    frame, arrays = records
    entropy = np.full((len(frame), arrays["kl"].shape[-1]), np.nan)
    windows = zip(frame["token_entropy"], frame["window_start"] - frame["token_len"], arrays["kl"], strict=True)
    for row, (entropies, start, kl) in zip(entropy, windows, strict=True):
        width = int((~np.isnan(kl[0])).sum())
        row[:width] = entropies[start : start + width]
    return frame, {**arrays, "prediction_entropy": entropy}
