"""Access to a neuron's parameters, their names, and its objective over given rows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.core.objective import Objective
from trainer.estimators.data import prepare
from trainer.estimators.neuron import LogisticNeuron
from trainer.estimators.parameters import has_intercept, pack
from trainer.estimators.parameters import parameter_names as named

Array = npt.NDArray[Any]

BANK = 256
"""Parameter vectors evaluated in one pass over the rows, so that X is read less often."""


def fitted_parameters(neuron: LogisticNeuron) -> Array:
    """θ (d + 1,) of a fitted neuron of two classes, the bias last."""
    theta: Array = pack(neuron)[:, 0]
    return theta


def parameter_names(neuron: LogisticNeuron) -> list[str]:
    """The features' names, or x0, x1, ..., and "intercept"."""
    return named(getattr(neuron, "feature_names_in_", None), neuron.n_features_in_)


def objective_over(neuron: LogisticNeuron, X: Any, y: Any, sample_weight: Any) -> Objective:
    """The fitted neuron's J over these rows."""
    data = prepare(neuron, X, y, sample_weight, classes=neuron.classes_)
    return data.objective(neuron.alpha_, has_intercept(neuron))


def in_banks(evaluate: Callable[[Array], tuple[Array, ...]], theta: Array) -> list[Array]:
    """Results of `evaluate` for many columns of θ, evaluated in banks of moderate size."""
    banks = [theta[:, k : k + BANK] for k in range(0, theta.shape[1], BANK)]
    return [np.concatenate(parts) for parts in zip(*map(evaluate, banks), strict=True)]


def check_neuron(what: str, neuron: Any) -> None:
    """Raise for anything but a neuron."""
    if not isinstance(neuron, LogisticNeuron):
        raise ValueError(
            f"{what} needs a LogisticNeuron, got {type(neuron).__name__}; of a pipeline give its "
            "last step, and X as the steps before transform it"
        )


def check_labels(neuron: LogisticNeuron) -> None:
    """Raise for a neuron whose cost is not that of the lesson."""
    if neuron.noise_rates_ is not None:
        raise ValueError(
            "the neuron must be fitted without noise_rates, as its chain rule has one factor more, "
            f"got {neuron.noise_rates_.tolist()}"
        )


def check_classes(neuron: LogisticNeuron) -> None:
    """Raise for a neuron with more than two classes."""
    if len(neuron.classes_) != 2:
        raise ValueError(
            f"the neuron must be fitted to two classes, got {neuron.classes_.tolist()}; choose one "
            "class against the rest, for instance y == y[0]"
        )
