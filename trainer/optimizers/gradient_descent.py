"""Gradient descent: one step of fixed length along the negative gradient."""

from dataclasses import dataclass

from trainer.optimizers.base import Array, UpdateRule


@dataclass
class GradientDescent(UpdateRule):
    """θ ← θ - η dJ/dθ. With η = 1/L, the default with full batches, J never increases."""

    def update(
        self, theta: Array, gradient: Array, rate: Array, memory: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """Parameters after one update."""
        return theta - rate * gradient, memory
