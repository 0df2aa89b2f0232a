"""L-BFGS: the gradients' recent changes stand in for the Hessian."""

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

from trainer.optimizers.base import Array, Objective, State
from trainer.optimizers.line_search import Trial, satisfied, strong_wolfe
from trainer.optimizers.newton import MOST_NEGATIVE

SAME_SCALE = 10
"""Curvatures along the features that are no further apart are not worth a preconditioner."""


@dataclass(frozen=True)
class LBFGSState(State):
    """State of L-BFGS: the last pairs (s, y, 1/sᵀy), newest last, and who is stuck.

    A pair whose 1/sᵀy is 0 for a neuron does not count for that neuron.
    """

    pairs: tuple[tuple[Array, Array, Array], ...]
    scale: Array
    """Length of the inverse Hessian before any pair, sᵀy/yᵀP⁻¹y of the newest, (K,)."""
    inverse: Array
    """P⁻¹ of the preconditioner, (d + 1, d + 1, K), or its diagonal, (d + 1, K)."""
    flattest: Array
    """Smallest gradient norm seen, (K,)."""
    idle: Array
    """Iterations in a row that lowered neither J, beyond rounding, nor `flattest`, (K,)."""
    stalled: Array
    """Neurons whose J no step lowers any more, (K,)."""


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS with a strong Wolfe line search, each neuron of a bank by itself.

    Parameters
    ----------
    memory_size : int
        Pairs remembered.
    patience : int
        Idle iterations, lost in rounding, after which a neuron counts as stalled.
    inverse : array of shape (d + 1, d + 1, K), optional
        Inverse of a preconditioner for each neuron: something like the Hessian at the
        minimum. None takes the diagonal of the Hessian at rest where the features are of
        different scales.

    References
    ----------
    Liu and Nocedal, "On the limited memory BFGS method for large scale optimization",
    Mathematical Programming 45, 1989.
    """

    memory_size: int = 10
    patience: int = 5
    inverse: Array | None = None

    def init(self, objective: Objective, theta: Array) -> LBFGSState:
        """State before the first iteration.

        The first direction is down the slope, as long as the bound on J's curvature allows:
        far enough to matter, never far out into saturation.
        """
        J, gradient = objective.value_and_gradient(theta)
        inverse = _inverse_diagonal(objective, len(J)) if self.inverse is None else self.inverse
        return LBFGSState(
            theta=theta,
            J=J,
            gradient=gradient,
            pairs=(),
            scale=_first_scale(objective, inverse, gradient),
            inverse=inverse,
            flattest=np.linalg.norm(gradient, axis=0),
            idle=np.zeros(len(J), dtype=int),
            stalled=np.zeros(len(J), dtype=bool),
        )

    def step(self, objective: Objective, state: LBFGSState) -> LBFGSState:
        """State after one line search."""
        direction = -self._inverse_hessian_product(state)
        slope = np.vecdot(direction.T, state.gradient.T)
        theta, J, gradient, moved = _search(objective, state, direction, slope)

        s, y = theta - state.theta, gradient - state.gradient
        curvature = np.vecdot(s.T, y.T)
        square = np.vecdot(y.T, _preconditioned(state.inverse, y).T)
        useful = moved & (curvature > np.finfo(float).eps * square)
        inverse = np.divide(1, curvature, out=np.zeros_like(curvature), where=useful)
        scale = np.divide(curvature, square, out=state.scale.copy(), where=useful)
        pairs = (*state.pairs, (s, y, inverse))[-self.memory_size :]

        norm = np.linalg.norm(gradient, axis=0)
        progress = (J < state.J - objective.rounding * np.abs(J)) | (norm < state.flattest)
        idle = np.where(progress, 0, state.idle + 1)

        # A search that failed may have been misled by old pairs: forget them and try the
        # slope itself; a neuron that has none to forget is stuck.
        failed = ~moved
        stalled = (idle >= self.patience) | (failed & ~_has_pairs(state))
        if failed.any():
            pairs = tuple((s, y, np.where(failed, 0.0, inverse)) for s, y, inverse in pairs)
            scale = np.where(failed, _first_scale(objective, state.inverse, gradient), scale)
        flattest = np.minimum(norm, state.flattest)
        return LBFGSState(theta, J, gradient, pairs, scale, state.inverse, flattest, idle, stalled)

    def _inverse_hessian_product(self, state: LBFGSState) -> Array:
        """Two-loop recursion for all neurons at once, (d + 1, K)."""
        product = state.gradient.copy()
        weights = []
        for s, y, inverse in reversed(state.pairs):
            weight = inverse * np.vecdot(s.T, product.T)
            product -= weight * y
            weights.append(weight)
        product = state.scale * _preconditioned(state.inverse, product)
        for (s, y, inverse), weight in zip(state.pairs, reversed(weights), strict=True):
            product += s * (weight - inverse * np.vecdot(y.T, product.T))
        return product


def _preconditioned(inverse: Array, b: Array) -> Array:
    """P⁻¹ b for every neuron."""
    if inverse.ndim == 2:
        return inverse * b
    return np.matmul(inverse.T, b.T[..., np.newaxis])[..., 0].T


def inverse_of_definite(matrix: Array) -> Array | None:
    """Inverse of a symmetric matrix by its Cholesky factor; None where it is not definite."""
    factor, failed = dpotrf(matrix)
    if failed:
        return None
    inverse: Array = dpotri(factor)[0]  # its upper triangle, above zeros
    inverse = inverse + inverse.T
    np.einsum("ii->i", inverse)[:] /= 2
    return inverse


def inverse_made_definite(hessian: Array, gram: Array) -> Array:
    """Inverse of a Hessian plus as little of the Gram matrix as makes it definite."""
    diagonal = np.einsum("ii->i", gram)
    metric = gram + np.diag(np.where(diagonal > 0, 1e-8 * diagonal, 1))
    shares = (1e-8, 1e-4, 1e-2, MOST_NEGATIVE, 1.0)
    inverses = (inverse_of_definite(hessian + share * metric) for share in shares)
    return next(inverse for inverse in inverses if inverse is not None)


def _has_pairs(state: LBFGSState) -> Array:
    counts = np.zeros(len(state.J), dtype=bool)
    for _, _, inverse in state.pairs:
        counts |= inverse > 0
    return counts


def _inverse_diagonal(objective: Objective, n_neurons: int) -> Array:
    """Inverse of the diagonal of d²J/dθ² at rest, (d + 1, K).

    Ones where the features are of much the same scale: the steps of a diagonal that hardly
    varies leave the span of the rows, which holds the minimum's weights, for no gain.
    """
    diagonal = objective.diagonal_at_rest() + np.zeros(n_neurons)
    empty = diagonal == 0
    varies = diagonal.max(axis=0) > SAME_SCALE * np.where(empty, np.inf, diagonal).min(axis=0)
    return np.where(varies & ~empty, 1 / np.where(empty, 1, diagonal), 1.0)


def _first_scale(objective: Objective, inverse: Array, gradient: Array) -> Array:
    """Length of a step along -P⁻¹ dJ/dθ: 1 for a whole P⁻¹.

    For a diagonal one as far as the bound on J's curvature proves that J is lower there.
    """
    if inverse.ndim == 3:
        return np.ones(gradient.shape[1])
    direction = inverse * gradient
    slope = np.vecdot(gradient.T, direction.T)
    bound = objective.curvature_bound(direction)
    return np.divide(slope, bound, out=np.ones_like(bound), where=bound > 0)


def _search(
    objective: Objective, state: LBFGSState, direction: Array, slope: Array
) -> tuple[Array, Array, Array, Array]:
    """Run the neurons' line searches side by side, each trial of all of them in one pass.

    Returns θ, J and dJ/dθ where the searches ended, and which neurons moved.
    """
    theta, J, gradient = state.theta.copy(), state.J.copy(), state.gradient.copy()
    steps = np.where(slope < 0, 1.0, 0.0)
    searches: dict[int, Generator[float, tuple[float, float], Trial | None]] = {}
    index = np.flatnonzero(steps)
    is_first = True
    while len(index):
        theta[:, index] = state.theta[:, index] + steps[index] * direction[:, index]
        part = objective if len(index) == len(J) else objective.columns(index)
        J[index], gradient[:, index] = part.value_and_gradient(theta[:, index])
        slopes = np.vecdot(gradient[:, index].T, direction[:, index].T)
        if is_first:  # the full step is good most often, and so many neurons judged fast
            is_first = False
            noise = objective.rounding * state.J[index]
            start = Trial(0.0, state.J[index], slope[index])
            going_on = ~satisfied(start, Trial(1.0, J[index], slopes), noise)
            index, slopes, noise = index[going_on], slopes[going_on], noise[going_on]
            for k, hidden in zip(index.tolist(), noise.tolist(), strict=True):
                searches[k] = strong_wolfe(float(state.J[k]), float(slope[k]), 1.0, hidden)
                next(searches[k])
        to_do = []
        for k, found in zip(index.tolist(), slopes.tolist(), strict=True):
            if k not in searches:
                continue  # this was the step that its search had come back to
            tried = steps[k]
            try:
                steps[k] = searches[k].send((float(J[k]), found))
                to_do.append(k)
            except StopIteration as end:
                del searches[k]
                steps[k] = 0.0 if end.value is None else end.value.step
                if steps[k] != tried:
                    to_do.append(k)
        index = np.array(to_do, dtype=int)
    return theta, J, gradient, steps > 0
