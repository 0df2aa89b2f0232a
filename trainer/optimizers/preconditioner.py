"""Preconditioners for L-BFGS: inverse Hessians, or diagonals if Hessians are too large."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

from trainer.optimizers.base import Array, SmoothObjective

SAME_SCALE = 10
"""If the curvatures along the features are within this factor, no preconditioner is used."""

SAMPLE_ROWS, ROWS_PER_PARAMETER, LARGEST_SAMPLE = 4_000, 10, 10_000
"""Curvature is measured on a sample of this many rows, or this many per parameter if these are
more, but at most the last number, where there are more than twice as many. 20 000 x 500 took 1.0 s
of processor time with all rows, and .43 s with 5 010."""

FEWEST_PER_PARAMETER = 4
"""With fewer rows per parameter a sample has directions of negative curvature that all rows do not
have: 10 000 of 200 000 sparse rows, with 10 001 parameters, gave -.22 in place of .005."""

RIDGE = 1e-10
"""Fraction of its diagonal added to a Hessian, which is singular for collinear features."""


def inverse_of_definite(matrix: Array) -> Array | None:
    """Inverse of a symmetric matrix from its Cholesky factor; None if it is not definite."""
    factor, failed = dpotrf(matrix)
    if failed:
        return None
    inverse: Array = dpotri(factor)[0]  # only the upper triangle; zeros below
    inverse = inverse + inverse.T
    np.einsum("ii->i", inverse)[:] /= 2
    return inverse


def inverse_made_definite(hessian: Array, gram: Array, min_curvature: float) -> Array:
    """Inverse of a Hessian plus the smallest tried multiple of G that makes it definite.

    `gram` is the Gram matrix G, and `min_curvature` that of the loss: H - min_curvature·G is
    positive semidefinite.
    """
    diagonal = np.einsum("ii->i", gram)
    scale = np.where(diagonal > 0, diagonal, 1)
    metric = gram + np.diag(np.where(diagonal > 0, 1e-8 * diagonal, 1))
    for share in (1e-8, 1e-4, 1e-2, -min_curvature, 1.0):
        inverse = inverse_of_definite(hessian + share * metric)
        if inverse is not None:
            return inverse
    return np.diag(1 / scale)  # rounding or overflow has made both matrices unusable


def inverse_hessians(hessians: Array, gram: Callable[[int], Array], min_curvature: float) -> Array:
    """Inverse of each neuron's Hessian (d + 1, d + 1, K), made definite if necessary.

    `gram(k)` returns the Gram matrix of neuron k; it is called only if it is needed.
    """
    inverses = np.empty(hessians.shape, order="F")
    for k in range(hessians.shape[-1]):
        H = hessians[..., k]
        diagonal = np.abs(np.einsum("ii->i", H))
        inverse = inverse_of_definite(H + np.diag(RIDGE * diagonal))
        if inverse is None:
            inverse = inverse_made_definite(H, gram(k), min_curvature)
        inverses[..., k] = inverse
    return inverses


def sample_for_curvature(objective: Any) -> Any:
    """The objective over a sample of the rows that is large enough for a Hessian, or over all."""
    size = objective.n_parameters
    n_rows = max(SAMPLE_ROWS, min(ROWS_PER_PARAMETER * size, LARGEST_SAMPLE))
    if objective.n_rows <= 2 * n_rows or n_rows < FEWEST_PER_PARAMETER * size:
        return objective
    return objective.sample(np.random.default_rng(0), n_rows)


def sampled_inverses(objective: Any, theta: Array) -> Array:
    """`curvature_inverses`, measured on a sample of the rows if that is large enough."""
    return curvature_inverses(sample_for_curvature(objective), theta)


def curvature_inverses(objective: SmoothObjective, theta: Array) -> Array:
    """Inverses of d²J/dθ² (d + 1, d + 1, K), made definite if necessary.

    At θ = 0 one is enough if all neurons have the same, (d + 1, d + 1, 1).
    """
    if objective.shares_curvature and not theta.any():
        first = np.array([0])
        objective, theta = objective.select(first), theta[:, first]

    @cache
    def gram(k: int) -> Array:
        return objective.select(np.array([k])).gram()[..., 0]

    return inverse_hessians(
        objective.value_gradient_hessian(theta)[2],
        lambda k: gram(0 if objective.shares_curvature else k),
        objective.loss.min_curvature,
    )


def inverse_diagonal(objective: SmoothObjective, n_neurons: int) -> Array:
    """Inverse of the diagonal of d²J/dθ² at θ = 0, (d + 1, K).

    Ones if the features have similar scales. The weights at the minimum are in the span of the
    rows, and a diagonal that hardly varies would make the steps leave that span for no gain.
    """
    diagonal = objective.hessian_diagonal_at_zero() + np.zeros(n_neurons)
    empty = diagonal == 0
    varies = diagonal.max(axis=0) > SAME_SCALE * np.where(empty, np.inf, diagonal).min(axis=0)
    return np.where(varies & ~empty, 1 / np.where(empty, 1, diagonal), 1.0)


def preconditioned(inverse: Array, b: Array) -> Array:
    """P⁻¹ b for every neuron, with P⁻¹ (d + 1, d + 1, 1 or K) or its diagonal (d + 1, K)."""
    if inverse.ndim == 2:
        return inverse * b
    if inverse.shape[-1] == 1:
        return np.dot(b.T, inverse[..., 0]).T
    return np.matmul(inverse.T, b.T[..., np.newaxis])[..., 0].T
