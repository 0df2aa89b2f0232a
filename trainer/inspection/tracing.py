"""The parameters after every iteration of a training run."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from trainer.core.objective import Objective
from trainer.estimators.neuron import LogisticNeuron
from trainer.inspection.parameters import (
    check_classes,
    check_neuron,
    in_banks,
    objective_over,
    parameter_names,
)

Array = npt.NDArray[Any]

N_FIGURES = 4
"""Number of columns of a trace before its parameters."""


@np.errstate(all="ignore")
def trace(neuron: LogisticNeuron, X: Any, y: Any, sample_weight: Any = None) -> Any:
    """Train a copy of the neuron and record its parameters after every iteration.

    The copy is trained as by `neuron.fit(X, y, sample_weight)`; the neuron itself does not
    change. If `random_state` is an integer, or training is deterministic, the run is the same.

    Parameters
    ----------
    neuron : LogisticNeuron
        Fitted or not, for labels of two classes.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training rows.
    y : array-like of shape (n_samples,)
        Labels, of two classes.
    sample_weight : array-like of shape (n_samples,), optional
        Weight of each row.

    Returns
    -------
    DataFrame
        One row per iteration, the start first. Columns, in this order: run (1; higher if
        training continued from another start or from an easier problem), iteration (numbered
        consecutively through all runs), J and gradient_max (the largest component of its
        gradient) over all rows given, including the penalty; then the parameters, each weight
        under its feature's name or x0, x1, ..., and intercept. The neuron's parameters need not
        be those of the last row: with `early_stopping` they are the best, and with several runs
        those of the run with the lowest J.

    Raises
    ------
    ValueError
        For labels of more than two classes, a neuron that searches for its penalty, or input
        that cannot be used for training.
    DivergenceError
        If training diverges.

    Examples
    --------
    >>> from trainer import LogisticNeuron
    >>> steps = trace(LogisticNeuron(), [[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1])
    >>> steps.columns.tolist()
    ['run', 'iteration', 'J', 'gradient_max', 'x0', 'intercept']
    >>> steps.loc[0].tolist()
    [1.0, 0.0, 0.25, 0.125, 0.0, 0.0]
    """
    import pandas as pd

    check_neuron("trace", neuron)
    if "init" not in neuron.get_params():
        raise ValueError(
            "trace needs a neuron of one penalty, got one that searches for it, "
            f"{type(neuron).__name__}; give a LogisticNeuron with the alpha_ that it found"
        )
    copy = clone(neuron).set_params(init=neuron.init)  # a clone of `init` would be unfitted
    copy._keeps_parameters = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the table shows what happened
        copy.fit(X, y, sample_weight)
    check_classes(copy)
    history, theta = copy.history_, copy._parameter_history[:, 0]
    objective = objective_over(copy, X, y, sample_weight)
    J, gradient_max = in_banks(lambda bank: _value_and_largest(objective, bank), theta)
    table = pd.DataFrame(
        {
            "run": history.get("run", np.ones(len(history), dtype=int)),
            "iteration": history["iteration"],
            "J": J,
            "gradient_max": gradient_max,
        }
    )
    parameters = pd.DataFrame(theta.T, columns=parameter_names(copy))
    return pd.concat([table, parameters], axis="columns")


def _value_and_largest(objective: Objective, theta: Array) -> tuple[Array, Array]:
    J, gradient = objective.value_and_gradient(theta)
    return J, np.abs(gradient).max(axis=0)
