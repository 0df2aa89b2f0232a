"""More features than rows: the minimum lies in the span of the rows, which has few dimensions.

The penalty makes the weights w a combination of the rows of X. With XXᵀ = U E Uᵀ and the
orthonormal rows Q = E^-½ Uᵀ X they are w = Qᵀu, so that Xw = U E^½ u and ‖w‖ = ‖u‖: the
same objective, of at most n unknowns u, over the rows U E^½.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.core.objective import Objective
from trainer.core.rows import ArrayRows

Array = npt.NDArray[Any]

MAX_ROWS = 1_000
"""Up to this many rows the eigenvalues of XXᵀ are computed."""

MAX_ROUNDING = 1e-7
"""Fraction of the penalty by which rounding may change the curvature of J along a direction."""

START_APART = 1e-10
"""Fraction of θ by which rounding may move a start that lies in the span of the rows."""


class RowSpace:
    """The objective in the span of the rows, and the way there and back.

    Attributes
    ----------
    objective : Objective
        J as a function of u and b.
    """

    def __init__(self, objective: Objective, values: Array, vectors: Array) -> None:
        rows: Any = objective.rows
        self.X, root = rows.X, np.sqrt(values)
        self.combination = vectors / root
        """Qᵀ = Xᵀ times this, (n, number of unknowns)."""
        y, weight = rows.y.astype(np.float64), rows.weight
        self.objective = objective.over(
            ArrayRows(vectors * root, y, weight, rows.y_of, rows.weight_of, rows.weight_sum)
        )

    def inside(self, theta: Array) -> Array:
        """(Qw, b) of parameters, or of a gradient, (w, b)."""
        return np.vstack([self.combination.T @ (self.X @ theta[:-1]), theta[-1:]])

    def outside(self, theta: Array) -> Array:
        """(Qᵀu, b) of parameters (u, b)."""
        return np.vstack([self.X.T @ (self.combination @ theta[:-1]), theta[-1:]])


def row_space(objective: Objective, theta: Array) -> RowSpace | None:
    """The span of the rows, where it has far fewer dimensions than features, and θ is in it."""
    rows: Any = objective.rows
    n, d = objective.n_rows, objective.n_parameters - 1
    is_wide = isinstance(rows, ArrayRows) and not rows.is_sparse and 2 * n <= d and n <= MAX_ROWS
    if not is_wide or rows.dtype != np.float64 or not objective.alpha.all():
        return None
    values, vectors = np.linalg.eigh(rows.X @ rows.X.T)
    rounding = n * np.finfo(np.float64).eps * values[-1]
    curvature = objective.loss.max_curvature * rounding / rows.weight_sum.min()
    if not curvature <= MAX_ROUNDING * objective.alpha.min():
        return None
    kept = values > rounding
    space = RowSpace(objective, values[kept], vectors[:, kept])
    apart = np.abs(space.outside(space.inside(theta)) - theta).max()
    return space if apart <= START_APART * np.abs(theta).max() else None
