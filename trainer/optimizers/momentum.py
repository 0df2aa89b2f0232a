"""Gradient descent with momentum (the heavy-ball method)."""

from dataclasses import dataclass

import numpy as np

from trainer.optimizers.base import Array, UpdateRule


@dataclass
class Momentum(UpdateRule):
    """u ← μ u - η dJ/dθ, θ ← θ + u: each step adds to a decaying sum of the earlier ones.

    Parameters
    ----------
    momentum : float
        μ, in [0, 1).
    learning_rate, batch_size, seed
        As in `trainer.optimizers.UpdateRule`.

    References
    ----------
    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    """

    momentum: float = 0.9

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        self._check("momentum", 0, 1)

    def initial_memory(self, theta: Array) -> tuple[Array, ...]:
        """Velocity u, 0 at first."""
        return (np.zeros_like(theta),)

    def update(
        self, theta: Array, gradient: Array, rate: Array, memory: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """Parameters and velocity after one update."""
        (velocity,) = memory
        velocity = self.momentum * velocity - rate * gradient
        return theta + velocity, (velocity,)
