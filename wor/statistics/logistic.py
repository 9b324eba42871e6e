"""Ridge logistic regression of many bootstrap samples at once."""

import numpy as np
from scipy.special import expit

ITERATIONS = 50
STEPS = 15  # of `add_score`, each much cheaper than one of `fit_ridge`
TOLERANCE = 1e-8  # of the gradient, per unit of weight


def fit_ridge(
    columns: np.ndarray,
    label: np.ndarray,
    weights: np.ndarray,
    score: np.ndarray | None = None,
    penalty: float = 1.0,
    score_penalty: float | None = None,
    tolerance: float = TOLERANCE,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Return coefficients of each sample: ``[draws, 1 + K]``, or ``[draws, 2 + K]`` with a score.

    Maximises sum w (y eta - log(1 + exp eta)) - penalty / 2 |beta|^2 by Newton's method. The
    intercept comes first and is not penalised; the score's coefficient comes last. ``columns`` are
    [N, K] and the same in every sample, so that all Hessians are one matrix product. ``weights``
    are [draws, N], and ``score`` is [N] or [draws, N]. ``start``, [draws, 1 + K], is a fit without
    the score, from which fewer steps are left. As scikit-learn's LogisticRegression with
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
    if start is not None:
        beta[:, :k] = start  # [1, 1 + K] where all samples start alike
    log_odds = _predict(design, beta, extra)
    decay = np.exp(-np.abs(log_odds))
    value = _objective(label, weights, log_odds, decay, beta, ridge)
    active = np.arange(draws)
    for _ in range(ITERATIONS):
        w, s = weights[active], None if extra is None else extra[active]
        p = np.where(log_odds[active] < 0, decay[active], 1.0) / (1 + decay[active])
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
            then = _predict(design, tried, s)
            decayed = np.exp(-np.abs(then))
            after = _objective(label, w, then, decayed, tried, ridge)
            worse = after < value[active] - 1e-12 * np.abs(value[active])
            if not worse.any():
                break
            size[worse] /= 2
        beta[active], value[active], log_odds[active], decay[active] = tried, after, then, decayed
        active = active[np.abs(gradient).max(1) > tolerance * weights[active].sum(1)]
        if not len(active):
            break
    return beta


def add_score(
    columns: np.ndarray,
    label: np.ndarray,
    weights: np.ndarray,
    score: np.ndarray,
    start: np.ndarray,
    start_information: np.ndarray,
    tolerance: float = TOLERANCE,
) -> np.ndarray:
    """Return `fit_ridge` with a score, from the fits without it: ``[draws, 2 + K]``.

    ``score`` is [draws, N], or [1, N] where all samples share it, which is faster.
    ``start``, [draws, 1 + K], has these fits' coefficients, and ``start_information``,
    [draws, 1 + K, 1 + K], their `information`; all samples may share one fit. The Hessian there is
    known, and later ones are estimated from the gradients (BFGS), so that no step multiplies
    columns by columns. Samples that this does not lead to the maximum go to `fit_ridge`.
    """
    draws, k = len(weights), 1 + columns.shape[1]
    design, ridge = np.column_stack([np.ones(len(columns)), columns]), np.concatenate([[0.0], np.ones(k)])
    every = np.column_stack([design, score[0]]) if len(score) == 1 else None  # the columns that all samples share

    def climb(beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return probabilities and gradients."""
        p = expit(_predict(design, beta, score) if every is None else _predict(every, beta, None))
        residual = weights * (label - p)
        products = np.column_stack([residual @ design, (residual * score).sum(1)]) if every is None else residual @ every
        return p, products - ridge * beta

    beta = np.concatenate([np.broadcast_to(start, (draws, k)), np.zeros((draws, 1))], axis=1)
    p, gradient = climb(beta)
    curved = weights * p * (1 - p) * score
    inverse = np.linalg.inv(start_information + np.diag(ridge[:k] + 1e-10))
    inverse = _bordered(inverse, curved @ design, (curved * score).sum(1) + ridge[-1])
    with np.errstate(over="ignore", invalid="ignore"):  # of samples that go to fit_ridge
        for _ in range(STEPS):
            step = (inverse @ gradient[:, :, None])[:, :, 0]
            beta += step
            far = ~(np.abs(gradient).max(1) <= tolerance * weights.sum(1))
            if not far.any():
                return beta
            before, (_, gradient) = gradient, climb(beta)
            _update(inverse, step, before - gradient)
    rest = np.broadcast_to(score, weights.shape)[far], np.broadcast_to(start, (draws, k))[far]
    beta[far] = fit_ridge(columns, label, weights[far], rest[0], tolerance=tolerance, start=rest[1])
    return beta


def _bordered(inverse: np.ndarray, shared: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return the inverses of matrices with one more row and column: ``shared``, and ``own`` last.

    [draws, K, K] or [1, K, K], [draws, K] and [draws] -> [draws, 1 + K, 1 + K].
    """
    slope = (inverse @ shared[:, :, None])[:, :, 0]
    left = (own - (shared * slope).sum(1))[:, None]
    side = -slope / left
    corner = np.concatenate([side, 1 / left], axis=1)[:, None]
    return np.concatenate(
        [np.concatenate([inverse - slope[:, :, None] * side[:, None], side[:, :, None]], axis=2), corner], axis=1
    )


def _update(inverse: np.ndarray, step: np.ndarray, change: np.ndarray) -> None:
    """Correct inverse Hessians by a step and the gradient's change along it (BFGS)."""
    along = (step * change).sum(1)[:, None]
    step = step / np.where(along > 0, along, np.inf)
    product = (inverse @ change[:, :, None])[:, :, 0]
    bend = along + (change * product).sum(1)[:, None]
    inverse += step[:, :, None] * (bend * step)[:, None]
    inverse -= product[:, :, None] * step[:, None] + step[:, :, None] * product[:, None]


def outer_products(columns: np.ndarray) -> np.ndarray:
    """Return each row's products of two of its K values, each pair once: ``[N, K (K + 1) / 2]``."""
    return np.concatenate([columns[:, [first]] * columns[:, first:] for first in range(columns.shape[1])], axis=1)


def symmetric(pairs: np.ndarray) -> np.ndarray:
    """Return the matrices whose upper triangles are rows of ``pairs``: ``[rows, K, K]``."""
    k = int((8 * pairs.shape[1] + 1) ** 0.5) // 2
    rows, columns = np.triu_indices(k)
    matrices = np.empty((len(pairs), k, k))
    matrices[:, rows, columns] = matrices[:, columns, rows] = pairs
    return matrices


def information(design: np.ndarray, curvature: np.ndarray, outer: np.ndarray | None = None) -> np.ndarray:
    """Return X' diag(curvature) X of each sample: ``[samples, K, K]``.

    ``design`` is [N, K], ``curvature`` [samples, N], and ``outer`` from `outer_products`, if known.
    """
    if len(curvature) == 1:
        return (design.T * curvature[0]) @ design[None]
    return symmetric(curvature @ (outer_products(design) if outer is None else outer))


def predict_log_odds(columns: np.ndarray, coefficients: np.ndarray, score: np.ndarray | None = None) -> np.ndarray:
    """Return log-odds of rows under each sample's fit: ``[draws, N]``."""
    return _predict(np.column_stack([np.ones(len(columns)), columns]), coefficients, score)


def _predict(design, beta, score):
    if score is None:
        return beta @ design.T
    return beta[:, :-1] @ design.T + beta[:, [-1]] * score


def _objective(label, weights, log_odds, decay, beta, ridge):
    # log(1 + exp(x)) is max(x, 0) + log(1 + exp(-|x|)), of which ``decay`` is the last part
    likelihood = label * log_odds - np.maximum(log_odds, 0) - np.log(1 + decay)
    return (weights * likelihood).sum(1) - 0.5 * (ridge * beta**2).sum(1)
