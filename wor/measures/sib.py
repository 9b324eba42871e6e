"""SIB, stability of intermediate beliefs: how little the hidden states change when the prompt is reworded."""

from __future__ import annotations

import numpy as np

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays


def layer_index(depth: float, n_layers: int) -> int:
    """Index into [L + 1] hidden states at a share of the depth: 0 the embedding, 1 the last layer's output."""
    return round(depth * n_layers)


def sib(cosine: np.ndarray, layer: int) -> float:
    """Mean over paraphrases of the cosine at ``layer``.

    The cosine is between the centred window means of the residual stream under the item's own prompt and
    under a paraphrase, the same continuation teacher-forced.

    Parameters
    ----------
    cosine : [P, L + 1]; rows of NaN pad missing paraphrases.
    layer : index into the second axis, see `layer_at`.

    Returns
    -------
    In [-1, 1]; higher is more stable. NaN without a paraphrase.
    """
    values = cosine[:, layer].astype(np.float64)
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")


def compute(item: ItemArrays, settings: Measures) -> float:
    """`sib` of an item's stored cosines, at the preset depth."""
    cosine = item.arrays["cosine"]
    return sib(cosine, layer_index(settings.sib_depth, cosine.shape[1] - 1))
