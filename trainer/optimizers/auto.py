"""The default: a solver chosen by the data's shape; of many rows, a sample does the groundwork."""

from dataclasses import dataclass

import numpy as np

from trainer.optimizers.base import Array, Objective, State
from trainer.optimizers.lbfgs import (
    LBFGS,
    LBFGSState,
    inverse_made_definite,
    inverse_of_definite,
)
from trainer.optimizers.newton import Newton, NewtonState

LARGEST_HESSIAN = 1500
"""Up to this many parameters a Hessian is formed and inverted."""

LARGEST_BANK = 20_000_000
"""No more numbers than this in the Hessians of a whole bank."""

LARGEST_SPARSE_HESSIAN = 100
"""The same where X is sparse: then a gradient costs so little that Hessians do not pay."""


@dataclass(frozen=True)
class Auto:
    """Newton for few rows, L-BFGS for many columns, both for many rows.

    With many more rows than a sample needs, the sample is solved first. Its minimum lies
    close to the whole set's, and its Hessian, inverted once, is so good a
    preconditioner that L-BFGS needs only a few passes over the whole set.

    Parameters
    ----------
    seed : int
        Draws the sample.
    """

    seed: int = 0

    def init(self, objective: Objective, theta: Array) -> State:
        """State of the optimizer that fits the problem."""
        size, rows = len(theta), objective.rows
        largest = LARGEST_SPARSE_HESSIAN if rows.is_sparse else LARGEST_HESSIAN
        too_many = size**2 * theta.shape[1] > LARGEST_BANK
        if too_many or size > min(largest, max(rows.n_rows, 100)):
            return LBFGS().init(objective, theta)
        if rows.n_rows <= 4 * sample_size(size):
            return Newton().init(objective, theta)
        J, gradient = objective.value_and_gradient(theta)
        return State(theta, J, gradient)

    def step(self, objective: Objective, state: State) -> State:
        """State after one more step; the first one may be a sample's whole solution."""
        if isinstance(state, NewtonState):
            return Newton().step(objective, state)
        if isinstance(state, LBFGSState):
            return LBFGS().step(objective, state)
        return self._from_sample(objective, state)

    def _from_sample(self, objective: Objective, state: State) -> State:
        """Solve a small sample, then a larger one from there, and precondition with its Hessian."""
        rng = np.random.default_rng(self.seed)
        size = len(state.theta)
        theta = state.theta
        for n_rows in (sample_size(size) // 8, sample_size(size)):
            sample = objective.sample(rng, n_rows)
            solved = _solve(sample, theta, enough=1e-3 * size / n_rows)
            theta = solved.theta
        inverse = np.empty(solved.hessian.shape, order="F")
        for k in range(theta.shape[1]):
            H, G = solved.hessian[..., k], solved.gram[..., k]
            found = inverse_of_definite(H + 1e-10 * G)
            if found is None:
                found = inverse_made_definite(H, G)
            inverse[..., k] = found
        return LBFGS(inverse=inverse).init(objective, theta)


def sample_size(n_parameters: int) -> int:
    """Rows whose Hessian stands for all rows' well enough."""
    return max(20_000, 100 * n_parameters)


def _solve(objective: Objective, theta: Array, enough: float) -> NewtonState:
    """Newton until the steps gain less than a share `enough` of J: the sampling error hides it."""
    newton = Newton()
    state = newton.init(objective, theta)
    for _ in range(50):
        before, state = state, newton.step(objective, state)
        moved = np.any(state.theta != before.theta, axis=0)
        if np.all((before.J - state.J <= enough * state.J) & (moved | state.stalled)):
            break
    return state
