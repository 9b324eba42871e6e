"""APL given entropy: the share of layers with a larger effect than such an entropy explains.

A layer's effect on a prediction grows with the prediction's entropy, whatever it does there.
So each layer's log KL is regressed on the log entropy of the same prediction, over all window
tokens of the calibration controls. The fit is a natural cubic spline with 3 degrees of freedom.
The measure is the share of layers whose residual, averaged over the window, exceeds mean + tau * sd
of that average over calibration controls. Range [0, 1]. It is a variant of APL and no part of REV.
Hypothesis: higher in reasoning.
"""

from collections.abc import Mapping

import numpy as np

from wor.config.params import Measures
from wor.measures.item_arrays import EntropyFit, ItemArrays, Records
from wor.measures.moments import moments_by_draw
from wor.statistics.splines import QUANTILES, natural_spline

MIN_ENTROPY, MIN_KL = 1e-6, 1e-9  # nats; less is rounding


def fit_by_draw(calibration: Mapping[str, np.ndarray], weights: np.ndarray, tau: float) -> EntropyFit:
    """Fit the arrays of N calibration items, once per draw. ``weights``, [B, N], are counts."""
    log_kl, log_entropy = _tokens(calibration)
    used = ~np.isnan(log_entropy).all(1)
    log_kl, log_entropy, weights = log_kl[used], log_entropy[used], weights[:, used].astype(float)
    tokens = log_entropy[~np.isnan(log_entropy)]
    knots = np.quantile(tokens, QUANTILES) if len(tokens) else np.full(len(QUANTILES), np.nan)
    if not (np.diff(knots) > 0).all():  # entropy hardly varies
        undefined = np.full((len(weights), len(knots), log_kl.shape[1]), np.nan)
        return EntropyFit(np.arange(4.0), undefined, undefined[:, 0])
    columns = _columns(log_entropy, knots)
    squares = np.einsum("nwk,nwj->nkj", columns, columns)
    products = np.einsum("nwk,nlw->nkl", columns, np.nan_to_num(log_kl))
    left, right = (np.tensordot(weights, part, 1) for part in (squares, products))
    coefficients = np.linalg.pinv(left, hermitian=True) @ right
    residuals = _mean_residuals(log_kl, log_entropy, knots, coefficients)
    moments = [moments_by_draw(layer, weights) for layer in np.moveaxis(residuals, -1, 0)]
    return EntropyFit(knots, coefficients, np.stack([mean + tau * deviation for mean, deviation in moments], 1))


def by_draw(arrays: Mapping[str, np.ndarray], fit: EntropyFit) -> np.ndarray:
    """Return the measure of each item under each draw's fit: ``[B, N]``; NaN without either."""
    residuals = _mean_residuals(*_tokens(arrays), fit.knots, fit.coefficients)
    undefined = np.isnan(residuals).any(-1) | np.isnan(fit.limits).any(-1)[:, None]
    return np.where(undefined, np.nan, (residuals > fit.limits[:, None]).mean(-1))


def compute(item: ItemArrays, settings: Measures) -> float:
    """Return the measure of an item under the fit of the whole calibration sample."""
    if item.entropy_fit is None:
        return float("nan")
    return float(by_draw({name: item.arrays[name][None] for name in ("kl", "prediction_entropy")}, item.entropy_fit)[0, 0])


def compute_by_draw(calibration: Records, items: Records, weights: np.ndarray, settings: Measures) -> np.ndarray:
    """Return the measure of each item under each draw of the calibration items: [B, N]."""
    return by_draw(items[1], fit_by_draw(calibration[1], weights, settings.tau))


def _tokens(arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return log KL, [N, L, W], and log entropy, [N, W], of the windows' predictions."""
    entropy = arrays["prediction_entropy"].astype(np.float64)
    log_kl = np.log(np.maximum(arrays["kl"].astype(np.float64), MIN_KL))
    return np.where(np.isnan(entropy)[:, None], np.nan, log_kl), np.log(np.maximum(entropy, MIN_ENTROPY))


def _mean_residuals(log_kl: np.ndarray, log_entropy: np.ndarray, knots: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Return each item's mean residual under each draw's fit, ``[B, N, L]``; NaN if empty."""
    count = (~np.isnan(log_entropy)).sum(1)[:, None]
    count = np.where(count > 0, count, np.nan)
    effects, columns = np.nansum(log_kl, -1) / count, _columns(log_entropy, knots).sum(1) / count
    return effects - columns @ coefficients


def _columns(log_entropy: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Return 1 and the 3 columns of the spline, ``[..., 4]``; 0 where there is no token."""
    values = np.nan_to_num(log_entropy).ravel()
    columns = np.column_stack([np.ones(len(values)), natural_spline(values, knots)]).reshape(*log_entropy.shape, -1)
    return np.where(np.isnan(log_entropy)[..., None], 0.0, columns)
