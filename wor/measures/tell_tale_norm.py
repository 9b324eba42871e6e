"""The Tell-Tale Norm, a published rival: the size of the residual stream in late layers.

Source: arXiv 2606.06188, and its authors' code. n(l, t) is the L2 norm of the residual stream after
layer l at window position t. The layers are those of the last quarter without the last (0-based
3L/4 to L - 2). Over layers and tokens: the mean of n; the mean excess max(0, n - tau(l)); the share
of n > tau(l). tau(l) is the 0.95 quantile of n over the tokens of the calibration controls. Range:
norms are >= 0, in the residual stream's own units, and a share is in [0, 1]. Direction: its authors
claim that more intense reasoning is higher.

The authors sum over tokens, which grows with length: we take means. The names ``*_trimmed`` are
without the 10 dimensions with the largest reference mean, which dominate a norm.
"""

from functools import partial

import numpy as np

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays
from wor.measures.measure import PublishedMeasure, mean

QUANTILE = 0.95  # of the calibration tokens' norms


def thresholds(norms: np.ndarray) -> np.ndarray:
    """Return tau of each layer from N calibration controls: ``[N, 2, late, W] -> [2, late]``.

    NaN without a token.
    """
    tokens = np.moveaxis(norms, 0, -2).reshape(*norms.shape[1:3], -1).astype(np.float64)
    present = ~np.isnan(tokens).all((0, 1)) if tokens.size else np.zeros(0, bool)
    if not present.any():
        return np.full(norms.shape[1:3], np.nan)
    return np.quantile(tokens[..., present], QUANTILE, axis=-1)


def compute_mean(item: ItemArrays, settings: Measures, trimmed: bool) -> float:
    """Return the mean norm over late layers and window tokens."""
    return mean(item.arrays["norm"][int(trimmed)])


def compute_excess(item: ItemArrays, settings: Measures, trimmed: bool) -> float:
    """Return the mean excess of the norm over its layer's threshold."""
    return mean(_excess(item, trimmed).clip(0))


def compute_share(item: ItemArrays, settings: Measures, trimmed: bool) -> float:
    """Return the share of layers and tokens whose norm exceeds its layer's threshold."""
    excess = _excess(item, trimmed)
    return mean(excess[~np.isnan(excess)] > 0)


def _excess(item: ItemArrays, trimmed: bool) -> np.ndarray:
    norm = item.arrays["norm"][int(trimmed)].astype(np.float64)
    limits = item.quantiles.get("norm")
    return np.full_like(norm, np.nan) if limits is None else norm - limits[int(trimmed)][:, None]


_published = partial(PublishedMeasure, required_arrays=("norm",), family="Tell-Tale Norm", direction=1, source="arXiv 2606.06188")


def _measures(trimmed: bool) -> tuple[PublishedMeasure, ...]:
    suffix, label, without = ("_trimmed", ", trimmed", ", without the 10 largest dimensions") if trimmed else ("", "", "")
    return (
        _published(
            f"norm_mean{suffix}",
            f"late norm{label}",
            partial(compute_mean, trimmed=trimmed),
            kind="variant" if trimmed else "rival",
            formula=f"mean over late l and t of n(l, t){without}",
            range=">= 0",
            units="norm",
        ),
        _published(
            f"norm_excess{suffix}",
            f"late norm, excess{label}",
            partial(compute_excess, trimmed=trimmed),
            kind="variant",
            formula=f"mean over late l and t of max(0, n(l, t) - tau(l)){without}",
            range=">= 0",
            units="norm",
        ),
        _published(
            f"norm_share{suffix}",
            f"late norm, share above{label}",
            partial(compute_share, trimmed=trimmed),
            kind="variant",
            formula=f"share of late l and t with n(l, t) > tau(l){without}",
            range="0 to 1",
            units="share of layers and tokens",
        ),
    )


PUBLISHED = (*_measures(trimmed=False), *_measures(trimmed=True))
