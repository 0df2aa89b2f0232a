"""Adam: a separate step length for each parameter, from running moments of its gradient."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from trainer.optimizers.base import Array, SmoothObjective, UpdateRule


@dataclass
class Adam(UpdateRule):
    """m ← β₁m + (1-β₁)g, s ← β₂s + (1-β₂)g², θ ← θ - η m̂ / (√ŝ + ε), with g = dJ/dθ.

    The hats denote correction for the bias of moments that start at zero.

    Parameters
    ----------
    beta_1, beta_2 : float
        Decay of the first and of the second moment, in [0, 1).
    epsilon : float
        Added to √ŝ, >= 0.
    learning_rate, batch_size, seed
        As in `trainer.optimizers.UpdateRule`.

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    needs: ClassVar[tuple[str, ...]] = (
        "value_and_gradient", "gradient", "minibatches", "mean_square_row"
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        self._check("beta_1", 0, 1)
        self._check("beta_2", 0, 1)
        self._check("epsilon", 0, np.inf)

    def default_learning_rate(self, objective: SmoothObjective) -> Array:
        """A quarter of 1/√(mean ‖x̃‖²): a step with random signs changes the z's by about 1/4."""
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
        scale = np.sqrt(second / (1 - self.beta_2**n_updates))
        return theta - rate * mean / (scale + self.epsilon), (first, second, n_updates)
