"""Nesterov's accelerated gradient, with restarts."""

from dataclasses import dataclass

import numpy as np

from trainer.optimizers.base import Array, UpdateRule


@dataclass
class Nesterov(UpdateRule):
    """x' ← θ - η dJ/dθ, θ ← x' + β (x' - x): the gradient is evaluated at a look-ahead point.

    β follows Nesterov's sequence (t - 1)/t' with t' = (1 + √(1 + 4t²))/2, and a neuron
    whose step has a positive component along its gradient restarts the sequence (t = 1). With
    mini-batches the gradient is too noisy for this test, so β is limited to
    `mini_batch_momentum`.

    Parameters
    ----------
    mini_batch_momentum : float
        Maximum β with mini-batches, in [0, 1).
    learning_rate, batch_size, seed
        As in `trainer.optimizers.UpdateRule`.

    References
    ----------
    Nesterov, "A method of solving a convex programming problem with convergence rate
    O(1/k²)", 1983. O'Donoghue and Candès, "Adaptive restart for accelerated gradient
    schemes", 2015.
    """

    mini_batch_momentum: float = 0.9

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        self._check("mini_batch_momentum", 0, 1)

    def initial_memory(self, theta: Array) -> tuple[Array, ...]:
        """The point x before the look-ahead, and t (K,)."""
        return theta, np.ones(theta.shape[1])

    def update(
        self, theta: Array, gradient: Array, rate: Array, memory: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """Parameters (the look-ahead), x and t after one update."""
        x, t = memory
        x_next = theta - rate * gradient
        move = x_next - x
        t_next = (1 + np.sqrt(1 + 4 * t**2)) / 2
        beta = (t - 1) / t_next
        if self.batch_size is None:
            uphill = np.vecdot(gradient.T, move.T) > 0
            beta = np.where(uphill, 0.0, beta)
            t_next = np.where(uphill, 1.0, t_next)
        else:
            beta = np.minimum(beta, self.mini_batch_momentum)
        return x_next + beta * move, (x_next, t_next)
