"""The optimizers by name. To add one, add a file and a line in `OPTIMIZERS`."""

from trainer.optimizers.adam import Adam
from trainer.optimizers.base import Optimizer, State, UpdateRule
from trainer.optimizers.gradient_descent import GradientDescent
from trainer.optimizers.lbfgs import LBFGS
from trainer.optimizers.momentum import Momentum
from trainer.optimizers.nesterov import Nesterov
from trainer.optimizers.newton import Newton
from trainer.optimizers.normalized_gradient_descent import NormalizedGradientDescent

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "gradient_descent": GradientDescent,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adam": Adam,
    "normalized_gradient_descent": NormalizedGradientDescent,
    "lbfgs": LBFGS,
    "newton": Newton,
}

__all__ = [
    "LBFGS", "OPTIMIZERS", "Adam", "GradientDescent", "Momentum", "Nesterov", "Newton",
    "NormalizedGradientDescent", "Optimizer", "State", "UpdateRule",
]  # fmt: skip
