"""Normalised gradient descent: the gradient gives the direction of a step, not its length."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainer.optimizers.base import Array, RuleState, SmoothObjective, UpdateRule


@dataclass
class NormalizedGradientDescent(UpdateRule):
    """θ ← θ - η g/‖g‖ with g = dJ/dθ: a flat plateau is crossed as fast as a steep slope.

    This suits a saturated neuron. As steps of a fixed length would circle around the
    minimum, η is halved after a step (an epoch, with mini-batches) that raises J, and grows
    by a twentieth after one that does not.

    References
    ----------
    Hazan, Levy and Shalev-Shwartz, "Beyond convexity: stochastic quasi-convex
    optimization", NIPS 2015, which treats just this neuron with the squared error.
    """

    needs: ClassVar[tuple[str, ...]] = (
        "value_and_gradient", "gradient", "minibatches", "mean_square_row"
    )  # fmt: skip

    def default_learning_rate(self, objective: SmoothObjective) -> Array:
        """First length 1/√(mean ‖x̃‖²), which moves no z further than 1 (rms); less in batches."""
        rate = 1 / np.sqrt(objective.mean_square_row())
        return rate if self.batch_size is None else rate / 10

    def update(
        self, theta: Array, gradient: Array, rate: Array, memory: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """Parameters after one update; a neuron whose gradient is 0 stays."""
        norm = np.linalg.norm(gradient, axis=0)
        return theta - rate * gradient / np.where(norm > 0, norm, 1), memory

    def next_rate(self, state: RuleState, J: Array) -> Array:
        """Half the length after a step that raised J, a little more after one that did not."""
        return state.rate * np.where(J > state.J, 0.5, 1.05)
