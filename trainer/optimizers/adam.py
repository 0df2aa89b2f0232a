"""Adam: a step length for every parameter, from running moments of its gradient."""

from dataclasses import dataclass

import numpy as np

from trainer.optimizers.base import Array, Objective, UpdateRule


@dataclass(frozen=True)
class Adam(UpdateRule):
    """m ← β₁m + (1-β₁)g, s ← β₂s + (1-β₂)g², θ ← θ - η m̂ / (√ŝ + ε), with g = dJ/dθ.

    The hats undo the moments' start at zero.

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def auto_rate(self, objective: Objective) -> Array:
        """A quarter of 1/√(mean ‖x̃‖²): a step in random signs moves the z's by about 1/4."""
        return 0.25 / np.sqrt(objective.mean_square_row())

    def initial_memory(self, theta: Array) -> tuple[Array, ...]:
        """Both moments and the number of updates (K,)."""
        return np.zeros_like(theta), np.zeros_like(theta), np.zeros(theta.shape[1])

    def update(
        self, theta: Array, gradient: Array, rate: Array, memory: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """Parameters and moments after one update."""
        first, second, n_updates = memory
        n_updates = n_updates + 1
        first = self.beta_1 * first + (1 - self.beta_1) * gradient
        second = self.beta_2 * second + (1 - self.beta_2) * gradient**2
        mean = first / (1 - self.beta_1**n_updates)
        spread = np.sqrt(second / (1 - self.beta_2**n_updates))
        return theta - rate * mean / (spread + self.epsilon), (first, second, n_updates)
