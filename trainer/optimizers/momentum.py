"""Gradient descent with momentum, the heavy ball."""

from dataclasses import dataclass

import numpy as np

from trainer.optimizers.base import Array, UpdateRule


@dataclass(frozen=True)
class Momentum(UpdateRule):
    """u ← μ u - η dJ/dθ, θ ← θ + u: the step remembers the steps before it.

    References
    ----------
    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    """

    momentum: float = 0.9

    def initial_memory(self, theta: Array) -> tuple[Array, ...]:
        """Velocity u, at rest."""
        return (np.zeros_like(theta),)

    def update(
        self, theta: Array, gradient: Array, rate: Array, memory: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """Parameters and velocity after one update."""
        (velocity,) = memory
        velocity = self.momentum * velocity - rate * gradient
        return theta + velocity, (velocity,)
