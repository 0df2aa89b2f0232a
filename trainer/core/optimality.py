"""What a small gradient alone does not prove: that this is a minimum, and a finite one.

A saddle has no slope either, nor has a plateau far out where every row is saturated,
nor the way out to infinity on separable data. Here curvature, saturation and the
cost along the ray through θ tell them apart.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import lobpcg

from trainer.core.objective import Objective

Array = npt.NDArray[Any]

SAMPLE_ROWS = 20_000
"""Of more rows than this a sample's curvature is taken."""

LARGEST_HESSIAN = 500
"""Up to this many parameters the Hessian is formed, above its lowest eigenvalue is iterated for."""

ITERATIONS = 30
"""So often at most."""


@dataclass(frozen=True)
class OptimalityReport:
    """Where a neuron stands, beyond its gradient.

    Attributes
    ----------
    smallest_curvature : float
        Lowest eigenvalue of d²J/dθ²: below 0 at a saddle, above at a strict minimum. Of
        more than 20 000 rows, that of a random sample of 20 000; if that is negative, the
        curvature of all rows in its direction. Of more than 500 parameters the lowest value
        that a few iterations find, which is not below the eigenvalue.
    mean_sigmoid_derivative : float
        Mean of σ(1 - σ) over the rows: 1/4 at rest, near 0 where the neuron is saturated.
    status : str
        "minimum", "saddle", "separable" (J keeps falling along the ray through θ: there is
        no finite minimum) or "saturated" (so saturated that its gradient would be this small
        whatever the labels).
    """

    smallest_curvature: float
    mean_sigmoid_derivative: float
    status: str


def check_optimality(
    objective: Objective, theta: Array, tol: float, hessian: Array | None = None
) -> OptimalityReport:
    """Look beyond the gradient of one neuron.

    Parameters
    ----------
    objective : Objective
        Cost of one neuron.
    theta : array of shape (d + 1, 1)
        A point where no component of the gradient exceeds `tol`.
    tol : float
        What counts as no slope.
    hessian : array of shape (d + 1, d + 1), optional
        d²J/dθ² at `theta`, where it is known.

    Returns
    -------
    OptimalityReport
    """
    looked_at = objective
    if objective.n_rows > SAMPLE_ROWS:
        looked_at = objective.sample(np.random.default_rng(0), SAMPLE_ROWS)
    mean_sigmoid_derivative, steepest = (float(values[0]) for values in looked_at.saturation(theta))
    curvature, direction = _smallest_curvature(looked_at, theta, hessian)
    if curvature < 0 and looked_at is not objective:  # perhaps by the sample's chance
        curvature = float(np.vecdot(direction.T, objective.hessian_product(theta, direction).T)[0])
    status = "minimum"
    if objective.alpha[0] == 0 and theta.any():
        inner, here, outer = (objective.value(scale * theta)[0] for scale in (0.5, 1.0, 2.0))
        if inner > here > outer or (inner > here >= outer and steepest <= tol):
            status = "separable"
        elif steepest <= tol:
            status = "saturated"
    if status == "minimum" and curvature < -max(tol, 1e-9):
        status = "saddle"
    return OptimalityReport(curvature, mean_sigmoid_derivative, status)


def _smallest_curvature(
    objective: Objective, theta: Array, hessian: Array | None
) -> tuple[float, Array]:
    """Lowest eigenvalue of d²J/dθ², and a direction (d + 1, 1) of that curvature if it is < 0."""
    size = len(theta) if objective.fit_intercept else len(theta) - 1
    direction = np.zeros((len(theta), 1))
    if size <= LARGEST_HESSIAN:
        if hessian is None:
            hessian = objective.value_gradient_hessian(theta)[2][..., 0]
        curvature = float(np.linalg.eigvalsh(hessian[:size, :size])[0])
        if curvature < 0:
            direction[:size] = np.linalg.eigh(hessian[:size, :size])[1][:, :1]
        return curvature, direction

    def product(vectors: Array) -> Array:
        padded = np.zeros((len(theta), 1))
        padded[:size] = vectors
        return objective.hessian_product(theta, padded)[:size]

    diagonal = objective.hessian_diagonal_at_zero()[:size]
    diagonal[diagonal == 0] = 1
    start = np.random.default_rng(0).standard_normal((size, 1))
    with warnings.catch_warnings():  # that there is more to find
        warnings.simplefilter("ignore", UserWarning)
        values, direction[:size] = lobpcg(
            product, start, M=lambda vectors: vectors / diagonal,
            largest=False, maxiter=ITERATIONS, tol=1e-6,
        )  # fmt: skip
    return float(values[0]), direction
