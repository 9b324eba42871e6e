"""Ridge logistic regression of many bootstrap samples at once."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

ITERATIONS = 50
STEPS = 15  # of `Fits.add_score`, each much cheaper than one of `fit_ridge`
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


@dataclass(frozen=True)
class Fits:
    """Fits of columns in each sample, with what is known there of fits with a score beside them."""

    label: np.ndarray  # [N]
    weights: np.ndarray  # [samples, N]
    design: np.ndarray  # [N, 1 + K]
    beta: np.ndarray  # [samples, 1 + K]
    residual: np.ndarray  # [samples, N], of the label, times the sample's weights
    working: np.ndarray  # [samples, N], p (1 - p) times the sample's weights
    inverse: np.ndarray  # [samples, 1 + K, 1 + K], of the columns' `information`
    penalised: np.ndarray  # the same, of the negative Hessian: with the penalty

    @classmethod
    def at(cls, beta: np.ndarray, columns: np.ndarray, label: np.ndarray, weights: np.ndarray) -> "Fits":
        """Return them for the coefficients of `fit_ridge`."""
        design = np.column_stack([np.ones(len(columns)), columns])
        p = expit(_predict(design, beta, None))
        working = weights * p * (1 - p)
        known, identity = information(design, working), np.eye(design.shape[1])
        # So little that it only keeps a draw with fewer different items than columns solvable.
        inverse = np.linalg.inv(known + (1e-6 * working.sum(1) + 1e-12)[:, None, None] * identity)
        penalised = np.linalg.inv(known + np.diag(_ridge(design) + 1e-10))
        return cls(label, weights, design, beta, weights * (label - p), working, inverse, penalised)

    def one_step(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return each score's coefficient after one step, and its share that is new.

        ``scores`` are [samples, N], or [1, N] for all samples, or [scores, N] with one sample.
        """
        slopes = (self.inverse @ ((self.working * scores) @ self.design)[:, :, None])[:, :, 0]
        left = scores - slopes @ self.design.T
        new, total = (self.working * left**2).sum(1), (self.working * scores**2).sum(1)
        share = np.divide(new, total, out=np.zeros(len(new)), where=total > 0)
        return (self.residual * left).sum(1) / np.where(new > 0, new, 1.0), share

    def add_score(self, scores: np.ndarray, tolerance: float = TOLERANCE) -> np.ndarray:
        """Return `fit_ridge` with a score, from the fits without it: ``[fits, 2 + K]``.

        ``scores`` are those of `one_step`; one that all samples share is faster. The Hessian is
        known here, and later ones are estimated from the gradients (BFGS), so that no step
        multiplies columns by columns. Fits that do not reach the maximum so go to `fit_ridge`.
        """
        k, shared = self.design.shape[1], len(scores) == 1
        fits = len(scores if len(self.weights) == 1 else self.weights)
        every = np.column_stack([self.design, scores[0]]) if shared else self.design
        ridge = np.append(_ridge(self.design), 1.0)

        def gradients(residual: np.ndarray) -> np.ndarray:
            products = residual @ every
            products = products if shared else np.column_stack([products, (residual * scores).sum(1)])
            return products - ridge * beta

        beta = np.concatenate([np.broadcast_to(self.beta, (fits, k)), np.zeros((fits, 1))], axis=1)
        gradient, curved = gradients(np.broadcast_to(self.residual, (fits, len(every)))), self.working * scores
        inverse = _bordered(self.penalised, curved @ self.design, (curved * scores).sum(1) + ridge[-1])
        with np.errstate(over="ignore", invalid="ignore"):  # of fits that go to fit_ridge
            for _ in range(STEPS):
                step = (inverse @ gradient[:, :, None])[:, :, 0]
                beta += step
                far = ~(np.abs(gradient).max(1) <= tolerance * self.weights.sum(1))
                if not far.any():
                    return beta
                log_odds = _predict(every, beta, None if shared else scores)
                before, gradient = gradient, gradients(self.weights * (self.label - expit(log_odds)))
                _update(inverse, step, before - gradient)
        weights, score = (np.broadcast_to(rows, (fits, len(every)))[far] for rows in (self.weights, scores))
        start = np.broadcast_to(self.beta, (fits, k))[far]
        beta[far] = fit_ridge(self.design[:, 1:], self.label, weights, score, tolerance=tolerance, start=start)
        return beta


def _ridge(design: np.ndarray) -> np.ndarray:
    """Return the penalty of each column, of which the first is the intercept: [K]."""
    return np.append(0.0, np.ones(design.shape[1] - 1))


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
