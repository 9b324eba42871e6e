"""Natural cubic splines of covariates, as columns of a design that a ridge fit can take."""

from dataclasses import dataclass

import numpy as np

QUANTILES = (0.05, 0.35, 0.65, 0.95)  # of four knots, for 3 degrees of freedom (Harrell 2015, table 2.3)
TINY = 1e-8  # of a column's length: what is left of a column that others span already


def choose_knots(values: np.ndarray) -> np.ndarray:
    """Return the knots for 3 degrees of freedom, at observed values: ``[4]``, or fewer.

    A column of few values, or one that is nearly constant, has knots that coincide. With three left
    it has 2 degrees of freedom. With fewer it enters linearly, and the result is empty.
    """
    knots = np.unique(np.quantile(values, QUANTILES, method="inverted_cdf"))
    return knots if len(knots) > 2 else np.array([])


def natural_spline(values: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Return a basis, beside the constant, of natural cubic splines: ``[N, knots - 1]``.

    The first column is the value itself. Beyond the outer knots every spline is linear. These are
    the truncated powers of Harrell (Regression Modeling Strategies, 2015, eq. 2.25).
    """
    if not len(knots):
        return values[:, None]
    cubes = np.maximum(values[:, None] - knots, 0) ** 3
    last, before = knots[-1], knots[-2]
    from_before, from_last = ((last - knots[:-2]) / (last - before)), ((before - knots[:-2]) / (last - before))
    bent = cubes[:, :-2] - cubes[:, [-2]] * from_before + cubes[:, [-1]] * from_last
    return np.column_stack([values, bent / (last - knots[0]) ** 2])


@dataclass(frozen=True)
class SplineDesign:
    """The columns of all covariates, with knots, means and scales of the rows that made it.

    On those rows each covariate's columns have mean 0, standard deviation 1 and no correlation: its
    linear part first, then what its bends add. A ridge penalty on them therefore does not depend on
    the basis. A constant covariate has no column, nor has a copy of an earlier one.
    """

    knots: tuple[np.ndarray, ...]
    means: tuple[np.ndarray, ...]
    bases: tuple[np.ndarray, ...]

    @classmethod
    def fit(cls, covariates: np.ndarray) -> "SplineDesign":
        """Return the design of ``covariates``, [N, K]."""
        knots, means, bases = [], [], []
        lines: list[np.ndarray] = []
        for values in covariates.T:
            own_knots = choose_knots(values)
            columns = natural_spline(values, own_knots)
            mean = columns.mean(0)
            centred = columns - mean
            line = centred[:, 0] / max(np.linalg.norm(centred[:, 0]), TINY * (1 + abs(mean[0])))
            is_new = np.linalg.norm(line) > 0.5 and all(abs(line @ other) < 1 - TINY for other in lines)
            basis = _orthonormal(centred) if is_new else np.zeros((columns.shape[1], 0))
            lines += [line] if is_new else []
            knots.append(own_knots)
            means.append(mean)
            bases.append(basis * np.sqrt(len(values)))
        return cls(tuple(knots), tuple(means), tuple(bases))

    def columns(self, covariates: np.ndarray) -> np.ndarray:
        """Return the columns of other rows, or the same: ``[N, columns]``."""
        parts = zip(covariates.T, self.knots, self.means, self.bases, strict=True)
        return np.column_stack([(natural_spline(values, knots) - mean) @ basis for values, knots, mean, basis in parts])


def _orthonormal(centred: np.ndarray) -> np.ndarray:
    """Return what makes the columns orthonormal in their order, without dependent ones."""
    lengths = np.linalg.norm(centred, axis=0)
    lengths = np.where(lengths > 0, lengths, 1)
    q, r = np.linalg.qr(centred / lengths)
    kept = np.abs(np.diag(r)) > TINY
    return (np.linalg.pinv(centred) @ q)[:, kept]
