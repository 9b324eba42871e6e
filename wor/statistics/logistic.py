"""Ridge logistic regression of many bootstrap samples at once."""

import numpy as np

ITERATIONS = 50
TOLERANCE = 1e-8  # of the gradient, per unit of weight


def fit_ridge(
    columns: np.ndarray,
    label: np.ndarray,
    weights: np.ndarray,
    score: np.ndarray | None = None,
    penalty: float = 1.0,
    score_penalty: float | None = None,
    tolerance: float = TOLERANCE,
) -> np.ndarray:
    """Return coefficients of each sample: ``[draws, 1 + K]``, or ``[draws, 2 + K]`` with a score.

    Maximises sum w (y eta - log(1 + exp eta)) - penalty / 2 |beta|^2 by Newton's method. The
    intercept comes first and is not penalised; the score's coefficient comes last. ``columns`` are
    [N, K] and the same in every sample, so that all Hessians are one matrix product. ``weights``
    are [draws, N], and ``score`` is [N] or [draws, N]. As scikit-learn's LogisticRegression with
    C = 1 / penalty and these sample weights.
    """
    weights = np.asarray(weights, float)
    draws, n = weights.shape
    design = np.column_stack([np.ones(n), columns])
    k = design.shape[1]
    outer = outer_products(design) if draws > 1 else None
    extra = None if score is None else np.broadcast_to(np.asarray(score, float), (draws, n))
    ridge = np.full(k + (extra is not None), penalty, float)
    ridge[0] = 0.0
    if extra is not None and score_penalty is not None:
        ridge[-1] = score_penalty
    beta = np.zeros((draws, len(ridge)))
    active = np.arange(draws)
    value = _objective(design, label, weights, extra, beta, ridge)
    for _ in range(ITERATIONS):
        w, s = weights[active], None if extra is None else extra[active]
        p = 1 / (1 + np.exp(-_predict(design, beta[active], s)))
        residual = w * (label - p)
        curvature = w * p * (1 - p)
        gradient = np.empty((len(active), len(ridge)))
        hessian = np.empty((len(active), len(ridge), len(ridge)))
        gradient[:, :k] = residual @ design
        hessian[:, :k, :k] = information(design, curvature, outer)
        if s is not None:
            gradient[:, -1] = (residual * s).sum(1)
            hessian[:, :k, -1] = hessian[:, -1, :k] = (curvature * s) @ design
            hessian[:, -1, -1] = (curvature * s * s).sum(1)
        gradient -= ridge * beta[active]
        hessian[:, np.arange(len(ridge)), np.arange(len(ridge))] += ridge + 1e-10
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        size = np.ones(len(active))
        for _ in range(12):  # halve a step that overshoots
            tried = beta[active] + size[:, None] * step
            after = _objective(design, label, w, s, tried, ridge)
            worse = after < value[active] - 1e-12 * np.abs(value[active])
            if not worse.any():
                break
            size[worse] /= 2
        beta[active], value[active] = tried, after
        active = active[np.abs(gradient).max(1) > tolerance * weights[active].sum(1)]
        if not len(active):
            break
    return beta


def outer_products(design: np.ndarray) -> np.ndarray:
    """Return each row's outer product with itself: ``[N, K * K]``."""
    return (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)


def information(design: np.ndarray, curvature: np.ndarray, outer: np.ndarray | None = None) -> np.ndarray:
    """Return X' diag(curvature) X of each sample: ``[samples, K, K]``.

    ``design`` is [N, K], ``curvature`` [samples, N], and ``outer`` from `outer_products`, if known.
    """
    k = design.shape[1]
    if len(curvature) == 1:
        return (design.T * curvature[0]) @ design[None]
    return (curvature @ (outer_products(design) if outer is None else outer)).reshape(len(curvature), k, k)


def predict_log_odds(columns: np.ndarray, coefficients: np.ndarray, score: np.ndarray | None = None) -> np.ndarray:
    """Return log-odds of rows under each sample's fit: ``[draws, N]``."""
    return _predict(np.column_stack([np.ones(len(columns)), columns]), coefficients, score)


def _predict(design, beta, score):
    if score is None:
        return beta @ design.T
    return beta[:, :-1] @ design.T + beta[:, [-1]] * score


def _objective(design, label, weights, score, beta, ridge):
    log_odds = _predict(design, beta, score)
    return (weights * (label * log_odds - np.logaddexp(0, log_odds))).sum(1) - 0.5 * (ridge * beta**2).sum(1)
