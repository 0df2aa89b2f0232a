"""Normalised gradient descent: the slope gives the direction, never the length."""

from dataclasses import dataclass

import numpy as np

from trainer.optimizers.base import Array, Objective, RuleState, UpdateRule


@dataclass(frozen=True)
class NormalizedGradientDescent(UpdateRule):
    """θ ← θ - η g/‖g‖ with g = dJ/dθ: a flat plateau is crossed as fast as a steep slope.

    So made for a saturating neuron. A fixed length would circle the minimum for ever:
    η is halved after a step (an epoch, with mini-batches) that raises J, and grows by
    a twentieth after one that does not.

    References
    ----------
    Hazan, Levy and Shalev-Shwartz, "Beyond convexity: stochastic quasi-convex
    optimization", NIPS 2015, which treats just this neuron with the squared error.
    """

    def auto_rate(self, objective: Objective) -> Array:
        """First length 1/√(mean ‖x̃‖²), which moves no z further than 1 (rms); less in batches."""
        rate = 1 / np.sqrt(objective.mean_square_row())
        return rate if self.batch_size is None else rate / 10

    def update(
        self, theta: Array, gradient: Array, rate: Array, memory: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """Parameters after one update; a neuron without a slope stays."""
        norm = np.linalg.norm(gradient, axis=0)
        return theta - rate * gradient / np.where(norm > 0, norm, 1), memory

    def next_rate(self, state: RuleState, J: Array) -> Array:
        """Half the length after a step that raised J, a little more after one that did not."""
        return state.rate * np.where(J > state.J, 0.5, 1.05)
