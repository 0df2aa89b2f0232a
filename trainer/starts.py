"""A cost with many valleys: look for one that is lower than the one training found.

J is bounded, so a line that gives up some rows for good can be the better one, and a
solver that starts from rest may end where it fits all rows a little. Each start is
followed for a few steps only, all of them as one bank: a start that leads to a lower
valley is below the found minimum by then, and the others are given up.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.objective import Objective
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
LARGEST_HESSIAN = 60


def lower_start(
    objective: Objective, theta: Array, n_starts: int, rng: np.random.Generator
) -> tuple[Array | None, int]:
    """Look for a start from which J falls below a minimum already found.

    Tried are 4 and 16 times the minimum itself, which keep its direction but make the
    neuron decide, so that rows far on the wrong side are given up, and random ones. On the
    noisy data of Long and Servedio ("Random classification noise defeats all convex
    potential boosters", 2008) the larger multiples lead out of the convex losses' trap.

    Parameters
    ----------
    objective : Objective
        Cost of one neuron.
    theta : array of shape (d + 1, 1)
        The minimum found.
    n_starts : int
        Starts to try, the one that led to `theta` included.
    rng : Generator
        Draws the sample and the random starts.

    Returns
    -------
    start : array of shape (d + 1, 1) or None
        The best of the starts after a few steps; None where none is lower.
    n_tried : int
        Starts tried, the one that led to `theta` included.
    """
    if objective.rows.n_rows > SAMPLE_ROWS:
        objective = objective.sample(rng, SAMPLE_ROWS)
    if n_starts < 2 or objective.misfit(theta)[0] < MISFIT:
        return None, 1
    starts = _starts(objective, theta, n_starts - 1, rng)
    level = objective.value(theta)[0]
    level -= 1e-3 * level
    optimizer: Any = Newton() if len(theta) <= LARGEST_HESSIAN else LBFGS()
    state = optimizer.init(objective, starts)
    for _ in range(STEPS):
        state = optimizer.step(objective, state)
    best = int(np.argmin(state.J))
    return (state.theta[:, [best]] if state.J[best] < level else None), n_starts


def _starts(objective: Objective, theta: Array, n: int, rng: np.random.Generator) -> Array:
    """Multiples of θ, then random directions that move the z's by 4 (root mean square)."""
    random = rng.standard_normal((len(theta), max(n - 2, 0)))
    if not objective.fit_intercept:
        random[-1] = 0
    if random.size:
        random *= 4 / np.sqrt(objective.mean_square_response(random))
    return np.hstack([4 * theta, 16 * theta, random])[:, :n]
