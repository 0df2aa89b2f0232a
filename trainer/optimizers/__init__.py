"""The optimizers by name. Adding one is a file, a line here and a row in the common test."""

from typing import Any

from trainer.optimizers.adam import Adam
from trainer.optimizers.auto import Auto
from trainer.optimizers.base import Optimizer, State, UpdateRule
from trainer.optimizers.gradient_descent import GradientDescent
from trainer.optimizers.lbfgs import LBFGS
from trainer.optimizers.momentum import Momentum
from trainer.optimizers.nesterov import Nesterov
from trainer.optimizers.newton import Newton
from trainer.optimizers.normalized_gradient_descent import NormalizedGradientDescent

OPTIMIZERS: dict[str, Any] = {
    "auto": Auto,
    "gradient_descent": GradientDescent,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adam": Adam,
    "normalized_gradient_descent": NormalizedGradientDescent,
    "lbfgs": LBFGS,
    "newton": Newton,
}

__all__ = ["OPTIMIZERS", "Optimizer", "State", "UpdateRule"]
