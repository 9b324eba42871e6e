"""Which heads to remove: the ones that matter more for reasoning than for control, or random ones."""

from __future__ import annotations

import numpy as np

Head = tuple[int, int]


def top_heads(effect: np.ndarray, share: float) -> list[Head]:
    """The ``share`` of heads with the largest effect: ``[L, H]`` -> (layer, head) pairs, best first.

    Ties go to the earlier layer and head.
    """
    count = round(share * effect.size)
    order = np.argsort(-effect, axis=None, kind="stable")[:count]
    return [(int(layer), int(head)) for layer, head in zip(*np.unravel_index(order, effect.shape), strict=True)]


def random_heads_by_layer(chosen: list[Head], n_heads: int, generator: np.random.Generator) -> list[Head]:
    """As many heads in each layer as ``chosen`` has there, drawn at random without replacement.

    A layer of which every head is chosen has only itself to offer.
    """
    layers, counts = np.unique([layer for layer, _ in chosen], return_counts=True) if chosen else ([], [])
    return [
        (int(layer), int(head))
        for layer, count in zip(layers, counts, strict=True)
        for head in sorted(generator.choice(n_heads, count, replace=False))
    ]
