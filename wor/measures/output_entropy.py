"""Output-level scores, which are covariates: they need no look inside the model.

``entropy_slope`` = slope of the least-squares line of H(t), the entropy of the prediction of window
token t in nats, over t: nats a token, any number, NaN for one token. ``high_entropy_share`` = share
of window tokens with H(t) above the 0.8 quantile of the calibration controls' window tokens, in
[0, 1]. Direction: none claimed of reasoning against control. Mean entropy and mean log-probability
of the window are columns of their own (`covariates`).
"""

import numpy as np

from wor.config.params import Measures
from wor.measures.item_arrays import ItemArrays
from wor.measures.measure import PublishedMeasure, mean

QUANTILE = 0.8  # of the calibration tokens' entropies


def threshold(entropy: np.ndarray) -> np.ndarray:
    """Return the quantile over the tokens of N calibration controls, ``[N, W] -> []``."""
    tokens = entropy[~np.isnan(entropy)]
    return np.quantile(tokens, QUANTILE) if tokens.size else np.array(np.nan)


def compute_slope(item: ItemArrays, settings: Measures) -> float:
    """Return the slope of the window's entropies over its tokens."""
    entropy = item.arrays["prediction_entropy"]
    places = np.flatnonzero(~np.isnan(entropy)).astype(float)
    if len(places) < 2:
        return float("nan")
    centred = places - places.mean()
    return float(centred @ entropy[places.astype(int)] / (centred @ centred))


def compute_share(item: ItemArrays, settings: Measures) -> float:
    """Return the share of the window's tokens with a high entropy."""
    entropy = item.arrays["prediction_entropy"]
    limit = item.quantiles.get("prediction_entropy", np.array(np.nan))
    return float("nan") if np.isnan(limit) else mean(entropy[~np.isnan(entropy)] > limit)


PUBLISHED = (
    PublishedMeasure(
        "entropy_slope",
        "entropy slope",
        compute_slope,
        ("prediction_entropy",),
        family="Output entropy",
        kind="covariate",
        formula="least-squares slope of H(t) over t",
        range="any",
        units="nats a token",
        direction=0,
        source="this study",
    ),
    PublishedMeasure(
        "high_entropy_share",
        "share of uncertain tokens",
        compute_share,
        ("prediction_entropy",),
        family="Output entropy",
        kind="covariate",
        formula="share of t with H(t) above the 0.8 quantile of calibration tokens",
        range="0 to 1",
        units="share of tokens",
        direction=0,
        source="this study",
    ),
)
