"""Attention process entropy, APE: how evenly attention is spread over the visible tokens.

APE = mean over layers l, heads h and window positions t of H(a[l, h, t]) / log k. H is the entropy
of the attention weights in nats, k the number of keys that position t sees. Range [0, 1]: 0 is all
weight on one key, 1 the same weight on every key. Hypothesis: higher in reasoning. The measure is
this project's; its parts are from the engine (`wor.engine.attention`), which averages over heads.
"""

import numpy as np

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays
from wor.measures.measure import mean


def ape_by_layer(entropy: np.ndarray, first_position: int, skipped_keys: int = 0) -> np.ndarray:
    """Return the mean over the window of H / log k: ``[L, W] -> [L]`` in [0, 1], NaN if empty.

    ``entropy`` is in nats, mean over heads; NaN columns, as those that pad, are left out.
    ``first_position`` counts from 0. The query at position p sees p + 1 keys, of which
    ``skipped_keys`` are left out (1 without the attention sink). ValueError where k, the keys left,
    is below 2.
    """
    places = np.flatnonzero(~np.isnan(entropy).all(0))
    if not len(places):
        return np.full(len(entropy), np.nan)
    visible = first_position + 1 + places - skipped_keys
    if visible[0] < 2:
        raise ValueError(f"the query at position {first_position} sees {visible[0]} keys; entropy over one key has no scale")
    return (entropy[:, places].astype(np.float64) / np.log(visible)).mean(1)


def ape(entropy: np.ndarray, first_position: int, skipped_keys: int = 0) -> float:
    """Return the mean over layers of `ape_by_layer`, with the same arguments; in [0, 1] or NaN."""
    return float(ape_by_layer(entropy, first_position, skipped_keys).mean())


def ape_nats(entropy: np.ndarray) -> float:
    """Return the mean entropy in nats, which grows with the number of keys; NaN if empty."""
    return mean(entropy)


def compute(item: ItemArrays, settings: Measures) -> float:
    """Return `ape` of an item's stored entropies, over all keys or without the first."""
    if settings.ape == "no_sink":
        return ape(item.arrays["entropy_no_sink"], item.first_position, skipped_keys=1)
    return ape(item.arrays["entropy"], item.first_position)
