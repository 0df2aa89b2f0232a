"""Normalised gradient descent: the gradient determines only the direction of a step."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainer.optimizers.base import Array, RuleState, SmoothObjective, UpdateRule


@dataclass
class NormalizedGradientDescent(UpdateRule):
    """θ ← θ - η g/‖g‖ with g = dJ/dθ: steps on a plateau are as long as on a steep slope.

    This suits a saturated neuron. Because steps of a fixed length would circle around the
    minimum, η is halved after a step (an epoch, with mini-batches) that increases J, and
    multiplied by 1.05 after any other.

    References
    ----------
    Hazan, Levy and Shalev-Shwartz, "Beyond convexity: stochastic quasi-convex
    optimization", NIPS 2015, which studies this neuron with the squared error.
    """

    needs: ClassVar[tuple[str, ...]] = (
        "value_and_gradient", "gradient", "minibatches", "mean_square_row"
    )  # fmt: skip

    def default_learning_rate(self, objective: SmoothObjective) -> Array:
        """Initial length 1/√(mean ‖x̃‖²), which changes z by at most 1 (rms); less for batches."""
        rate = 1 / np.sqrt(objective.mean_square_row())
        return rate if self.batch_size is None else rate / 10

    def update(
        self, theta: Array, gradient: Array, rate: Array, memory: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """Parameters after one update; unchanged if the gradient is 0."""
        norm = np.linalg.norm(gradient, axis=0)
        return theta - rate * gradient / np.where(norm > 0, norm, 1), memory

    def next_rate(self, state: RuleState, J: Array) -> Array:
        """Half the length after a step that increased J, otherwise 1.05 times the length."""
        return state.rate * np.where(J > state.J, 0.5, 1.05)
