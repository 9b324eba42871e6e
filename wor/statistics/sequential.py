"""How small p has to be at each of several planned looks at growing data."""

import math
from typing import Literal

import numpy as np
from scipy import optimize, stats

Spending = Literal["obrien-fleming", "pocock"]
POINTS = 801  # of the grid that densities are integrated on
FAR = 9.0  # standard deviations, beyond which a density is taken as 0


def look_levels(looks: int, alpha: float, spending: Spending) -> list[float]:
    """Return the one-sided level of each of ``looks`` equally spaced looks, ``alpha`` in all.

    Look k of K rejects where z > c for "pocock" (1977), and where z > c sqrt(K / k) for
    "obrien-fleming" (1979). c makes the probability of any rejection under the null ``alpha``.
    """
    shape = [1.0 if spending == "pocock" else math.sqrt(looks / k) for k in range(1, looks + 1)]
    ceiling = float(stats.norm.isf(alpha / looks)) + 1
    c = optimize.brentq(lambda c: rejection_probability([c * factor for factor in shape]) - alpha, 0.0, ceiling, xtol=1e-10)
    return [float(stats.norm.sf(c * factor)) for factor in shape]


def rejection_probability(bounds: list[float]) -> float:
    """Return the probability that z exceeds its bound at any of equally spaced looks, by chance.

    The density of the sum of k normal steps that has passed no bound is integrated step by step
    (Armitage, McPherson & Rowe 1969).
    """
    rejected, grid, density = 0.0, np.zeros(1), np.ones(1)
    for k, bound in enumerate(bounds, 1):
        limit = bound * math.sqrt(k)  # of the sum, whose variance is k
        rejected += float(density @ stats.norm.sf(limit - grid))
        following = np.linspace(-FAR * math.sqrt(k), limit, POINTS)
        weights = np.full(POINTS, following[1] - following[0])
        weights[[0, -1]] /= 2
        density = (density @ stats.norm.pdf(following[None, :] - grid[:, None])) * weights
        grid = following
    return rejected
