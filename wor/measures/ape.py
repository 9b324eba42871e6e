"""APE, attention process entropy: how widely attention is spread while the window is generated."""

from __future__ import annotations

import numpy as np

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays


def ape_by_layer(entropy: np.ndarray, first_position: int, skipped_keys: int = 0) -> np.ndarray:
    """Mean over window positions of H / log k, k the number of visible keys: ``[L, W] -> [L]`` in [0, 1].

    Parameters
    ----------
    entropy : [L, W] attention entropy in nats, mean over heads; NaN columns pad a short window.
    first_position : position of the first window token in the sequence, counted from 0; the query at
        position p sees k = p + 1 keys.
    skipped_keys : keys left out of the entropy (1 without the attention sink).

    Returns
    -------
    [L]; NaN when the window is empty.

    Raises
    ------
    ValueError : a row has fewer than two keys left, so that log k is 0.
    """
    used = entropy[:, ~np.isnan(entropy).all(0)].astype(np.float64)
    if not used.size:
        return np.full(len(entropy), np.nan)
    visible = first_position + 1 + np.arange(used.shape[1]) - skipped_keys
    if visible[0] < 2:
        raise ValueError(f"the query at position {first_position} sees {visible[0]} keys; entropy over one key has no scale")
    return (used / np.log(visible)).mean(1)


def ape(entropy: np.ndarray, first_position: int, skipped_keys: int = 0) -> float:
    """Mean over layers of `by_layer`, which names the arguments. In [0, 1] or NaN.

    Rows that spread evenly over all keys give 1, rows on a single key 0.
    """
    return float(ape_by_layer(entropy, first_position, skipped_keys).mean())


def compute(item: ItemArrays, settings: Measures) -> float:
    """`ape` of an item's stored entropies, over all keys or without the first."""
    if settings.ape == "no_sink":
        return ape(item.arrays["entropy_no_sink"], item.first_position, skipped_keys=1)
    return ape(item.arrays["entropy"], item.first_position)


def ape_nats(entropy: np.ndarray) -> float:
    """Mean entropy in nats, not normalised; grows with the number of keys. ``[L, W]`` -> >= 0 or NaN."""
    used = entropy[:, ~np.isnan(entropy).all(0)].astype(np.float64)
    return float(used.mean()) if used.size else float("nan")
