"""Where to start. A cost with many valleys: look for one that is lower than the one training found.

J is bounded, so a line that gives up some rows for good can be the better one, and a
solver that starts from rest may end where it fits all rows a little. Each start is
followed for a few steps only, all of them as one bank: a start that leads to a lower
valley is below the found minimum by then, and the others are given up.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.core.objective import Objective
from trainer.optimizers.lbfgs import LBFGS
from trainer.optimizers.newton import Newton

Array = npt.NDArray[Any]

SAMPLE_ROWS = 4_000
"""Starts are compared on a sample of so many rows at most."""

MISFIT = 0.02
"""Below this share of rows with p < 1/3 for their own label no other start is tried.

Another valley is lower only if it fits rows that this one gives up, and then J can
fall by no more than their share."""

STEPS = 10
LARGEST_HESSIAN = 40


class LowerStarts(NamedTuple):
    """What was found: which neurons (indices) have a lower start, the starts, and who was tried."""

    neurons: Array
    theta: Array
    tried: Array


def lower_starts(
    objective: Objective, theta: Array, n_starts: int, rng: np.random.Generator
) -> LowerStarts:
    """Look for starts from which J falls below minima already found.

    Tried are 4 and 16 times the minimum itself, which keep its direction but make the
    neuron decide, so that rows far on the wrong side are given up, and random ones. On the
    noisy data of Long and Servedio ("Random classification noise defeats all convex
    potential boosters", 2008) the larger multiples lead out of the convex losses' trap.

    Parameters
    ----------
    objective : Objective
        Cost of a bank.
    theta : array of shape (d + 1, K)
        The minima found.
    n_starts : int
        Starts to try a neuron, the one that led to `theta` included; >= 2.
    rng : Generator
        Draws the sample and the random starts.

    Returns
    -------
    LowerStarts
        neurons (k,), those for which one of the starts is lower after a few steps;
        theta (d + 1, k), where it stood then; tried (K,), whether starts were tried.
    """
    if objective.n_rows > SAMPLE_ROWS:
        objective = objective.sample(rng, SAMPLE_ROWS)
    tried = objective.negative_curvature_fraction(theta) >= MISFIT
    index = np.flatnonzero(tried)
    if not len(index):
        return LowerStarts(index, theta[:, index], tried)
    level = objective.value(theta)[index] * (1 - 1e-3)
    n_others = n_starts - 1
    bank = objective.select(np.repeat(index, n_others))
    starts = np.hstack(
        [_starts(objective.select(k), theta[:, k], n_others, rng) for k in index[:, np.newaxis]]
    )
    optimizer: Any = Newton() if len(theta) <= LARGEST_HESSIAN else LBFGS()
    state = optimizer.init(bank, starts)
    for _ in range(STEPS):
        state = optimizer.step(bank, state)
    J = state.J.reshape(-1, n_others)
    best = J.argmin(axis=1) + n_others * np.arange(len(index))
    lower = J.min(axis=1) < level
    return LowerStarts(index[lower], state.theta[:, best[lower]], tried)


def _starts(objective: Objective, theta: Array, n: int, rng: np.random.Generator) -> Array:
    """Multiples of θ, then random directions that move the z's by 4 (root mean square)."""
    random = rng.standard_normal((len(theta), max(n - 2, 0)))
    if not objective.fit_intercept:
        random[-1] = 0
    if random.size:
        random *= 4 / np.sqrt(objective.mean_square_response(random))
    return np.hstack([4 * theta, 16 * theta, random])[:, :n]
