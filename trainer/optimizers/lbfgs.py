"""L-BFGS: recent changes of the gradient approximate the Hessian."""

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from trainer.optimizers.base import Array, Optimizer, SmoothObjective, State
from trainer.optimizers.line_search import Trial, satisfied, strong_wolfe
from trainer.optimizers.preconditioner import (
    inverse_diagonal,
    preconditioned,
    sampled_inverses,
)


@dataclass(frozen=True)
class LBFGSState(State):
    """State of L-BFGS: the last pairs (s, y, 1/sᵀy), newest last.

    A pair whose 1/sᵀy is 0 for a neuron is ignored for that neuron.
    """

    pairs: tuple[tuple[Array, Array, Array], ...]
    scale: Array
    """Factor of P⁻¹ in the initial inverse Hessian: sᵀy/yᵀP⁻¹y of the newest pair, (K,)."""
    inverse: Array
    """P⁻¹ of the preconditioner, (d + 1, d + 1, 1 or K), or its diagonal, (d + 1, K)."""
    smallest_norm: Array
    """Smallest gradient norm so far, (K,)."""
    idle: Array
    """Consecutive iterations that lowered neither J beyond rounding nor `smallest_norm`, (K,)."""
    n_steps: int = 0
    """Number of iterations so far."""


@dataclass
class LBFGS(Optimizer):
    """Limited-memory BFGS with a strong Wolfe line search, for each neuron of a bank.

    If the features differ in scale, the diagonal of the Hessian at θ = 0 preconditions them.

    Parameters
    ----------
    memory_size : int
        Number of pairs of steps and gradient changes that are stored, >= 1.
    patience : int
        A neuron stalls after this many consecutive iterations without progress beyond rounding,
        >= 1.

    References
    ----------
    Liu and Nocedal, "On the limited memory BFGS method for large scale optimization",
    Mathematical Programming 45, 1989.
    """

    memory_size: int = 10
    patience: int = 5

    needs: ClassVar[tuple[str, ...]] = (
        "value_and_gradient", "select", "curvature_bound", "hessian_diagonal_at_zero"
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Check the parameters."""
        self._check("memory_size", 1, np.inf, integral=True)
        self._check("patience", 1, np.inf, integral=True)

    def init(self, objective: SmoothObjective, theta: Array) -> LBFGSState:
        """State before the first iteration.

        The first direction is the negative gradient, scaled to the step at which the bound on
        the curvature guarantees a decrease. This makes progress without saturating the neuron.
        """
        J, gradient = objective.value_and_gradient(theta)
        inverse = self._inverse(objective, theta)
        return LBFGSState(
            theta=theta,
            J=J,
            gradient=gradient,
            pairs=(),
            scale=_first_scale(objective, inverse, gradient),
            inverse=inverse,
            smallest_norm=np.linalg.norm(gradient, axis=0),
            idle=np.zeros(len(J), dtype=int),
            stalled=np.zeros(len(J), dtype=bool),
        )

    def _inverse(self, objective: SmoothObjective, theta: Array) -> Array:
        return inverse_diagonal(objective, theta.shape[1])

    def step(self, objective: SmoothObjective, state: LBFGSState) -> LBFGSState:
        """State after one line search."""
        direction = -self._inverse_hessian_product(state)
        slope = np.vecdot(direction.T, state.gradient.T)
        theta, J, gradient, moved = _search(objective, state, direction, slope)

        s, y = theta - state.theta, gradient - state.gradient
        curvature = np.vecdot(s.T, y.T)
        square = np.vecdot(y.T, preconditioned(state.inverse, y).T)
        useful = moved & (curvature > np.finfo(float).eps * square)
        inverse = np.divide(1, curvature, out=np.zeros_like(curvature), where=useful)
        scale = np.divide(curvature, square, out=state.scale.copy(), where=useful)
        pairs = (*state.pairs, (s, y, inverse))[-self.memory_size :]

        norm = np.linalg.norm(gradient, axis=0)
        progress = (J < state.J - objective.rounding * np.abs(J)) | (norm < state.smallest_norm)
        idle = np.where(progress, 0, state.idle + 1)

        # A line search may fail because of old pairs: discard them and use the negative
        # gradient next. A neuron without pairs has stalled.
        failed = ~moved
        stalled = (idle >= self.patience) | (failed & ~_has_pairs(state))
        if failed.any():
            pairs = tuple((s, y, np.where(failed, 0.0, inverse)) for s, y, inverse in pairs)
            scale = np.where(failed, _first_scale(objective, state.inverse, gradient), scale)
        smallest_norm = np.minimum(norm, state.smallest_norm)
        return LBFGSState(
            theta, J, gradient, pairs, scale, state.inverse, smallest_norm, idle,
            state.n_steps + 1, stalled=stalled,
        )  # fmt: skip

    def _inverse_hessian_product(self, state: LBFGSState) -> Array:
        """Two-loop recursion for all neurons at once, (d + 1, K)."""
        product = state.gradient.copy()
        weights = []
        for s, y, inverse in reversed(state.pairs):
            weight = inverse * np.vecdot(s.T, product.T)
            product -= weight * y
            weights.append(weight)
        product = state.scale * preconditioned(state.inverse, product)
        for (s, y, inverse), weight in zip(state.pairs, reversed(weights), strict=True):
            product += s * (weight - inverse * np.vecdot(y.T, product.T))
        return product


RENEWAL_STEPS, PARAMETERS_PER_STEP = 6, 20
"""The preconditioner is renewed after 6 iterations, or (d + 1)/20 if these are more ...

A Hessian costs about as much as (d + 1)/20 gradients. Renewed once, then after twice as many
iterations and so on, it took 1/4 of the processor time without on digits (22 iterations instead of
104), and no longer on 5 000 x 300, where 15 iterations suffice.
"""


@dataclass
class PreconditionedLBFGS(LBFGS):
    """L-BFGS with an inverse Hessian of each neuron as preconditioner.

    By default it is the inverse of d²J/dθ² at the start, on a sample of the rows. At θ = 0 that is
    the Gram matrix, scaled, plus the penalty: one matrix for all neurons.

    Parameters
    ----------
    inverse : array of shape (d + 1, d + 1, 1 or K), optional
        Inverse of an approximation of the Hessian, to begin with.
    is_renewed : bool
        Whether the preconditioner is renewed, after more and more iterations.
    """

    inverse: Array | None = field(default=None, repr=False)
    is_renewed: bool = True

    needs: ClassVar[tuple[str, ...]] = (
        "value_and_gradient", "select", "value_gradient_hessian", "gram", "sample"
    )  # fmt: skip

    def _inverse(self, objective: SmoothObjective, theta: Array) -> Array:
        if self.inverse is not None:
            return self.inverse
        return sampled_inverses(objective, theta)

    def step(self, objective: SmoothObjective, state: LBFGSState) -> LBFGSState:
        """State after one line search, with a new preconditioner where it is due."""
        period = max(RENEWAL_STEPS, len(state.theta) // PARAMETERS_PER_STEP)
        n_periods, rest = divmod(state.n_steps + period, period)
        is_due = rest == 0 and n_periods > 1 and n_periods.bit_count() == 1
        if self.is_renewed and is_due:
            inverse = sampled_inverses(objective, state.theta)
            state = replace(state, inverse=inverse, pairs=(), scale=np.ones(len(state.J)))
        return super().step(objective, state)


def _has_pairs(state: LBFGSState) -> Array:
    counts = np.zeros(len(state.J), dtype=bool)
    for _, _, inverse in state.pairs:
        counts |= inverse > 0
    return counts


def _first_scale(objective: SmoothObjective, inverse: Array, gradient: Array) -> Array:
    """Length of a step along -P⁻¹ dJ/dθ: 1 if P⁻¹ is a full matrix.

    If P⁻¹ is diagonal, the length for which the bound on J's curvature guarantees a decrease.
    """
    if inverse.ndim == 3:
        return np.ones(gradient.shape[1])
    direction = inverse * gradient
    slope = np.vecdot(gradient.T, direction.T)
    bound = objective.curvature_bound(direction)
    return np.divide(slope, bound, out=np.ones_like(bound), where=bound > 0)


def _search(
    objective: SmoothObjective, state: LBFGSState, direction: Array, slope: Array
) -> tuple[Array, Array, Array, Array]:
    """Run the neurons' line searches together, evaluating all trial steps in one pass.

    Returns θ, J and dJ/dθ at the end of the searches, and which neurons moved.
    """
    theta, J, gradient = state.theta.copy(), state.J.copy(), state.gradient.copy()
    steps = np.where(slope < 0, 1.0, 0.0)
    searches: dict[int, Generator[float, tuple[float, float], Trial | None]] = {}
    index = np.flatnonzero(steps)
    is_first = True
    while len(index):
        theta[:, index] = state.theta[:, index] + steps[index] * direction[:, index]
        part = objective if len(index) == len(J) else objective.select(index)
        J[index], gradient[:, index] = part.value_and_gradient(theta[:, index])
        slopes = np.vecdot(gradient[:, index].T, direction[:, index].T)
        if is_first:  # most full steps are accepted: test them for all neurons at once
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
                continue  # this was the final step of a search that returned to an earlier trial
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
