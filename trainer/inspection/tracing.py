"""The way that training took."""

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
    fitted_parameters,
    in_banks,
    objective_over,
    parameter_names,
)

Array = npt.NDArray[Any]

N_FIGURES = 4
"""Columns of a trace before its parameters."""


def trace(neuron: LogisticNeuron, X: Any, y: Any, sample_weight: Any = None) -> Any:
    """Train a copy of the neuron and write down its parameters after every iteration.

    The copy is trained as `neuron.fit(X, y, sample_weight)` would be; the neuron itself
    stays as it is. With an integer `random_state`, or without chance, it is the same run.

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
        One row an iteration, the start first. Columns, in this order: run (1, or 2 where
        training went on from a lower start, see `n_starts`), iteration (of that run), J and
        gradient_max (the largest component of its gradient) over all rows given, penalty
        included; then the parameters, a weight each under its feature's name or x0, x1, ...,
        and intercept. With `early_stopping` the neuron keeps the parameters of its best row,
        not of the last.

    Raises
    ------
    ValueError
        For labels of more than two classes, a neuron that searches for its penalty, or input
        that cannot be trained with.
    DivergenceError
        If J explodes.

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
    # A clone's clone of `init` would be an unfitted neuron.
    copy, start = (clone(neuron).set_params(init=neuron.init) for _ in range(2))
    recorder = _Recorder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the table shows how it went
        start.set_params(max_iter=0, verbose=0, early_stopping=False).set_callbacks()
        check_classes(start.fit(X, y, sample_weight))
        copy.set_callbacks(recorder).fit(X, y, sample_weight)
    runs = _runs(fitted_parameters(start), recorder.steps, copy)
    bank = np.column_stack([theta for run in runs for theta in run])  # (d + 1, table's rows)

    objective = objective_over(copy, X, y, sample_weight)
    J, gradient_max = in_banks(lambda theta: _cost_and_slope(objective, theta), bank)
    run = np.repeat([1, 2][: len(runs)], [len(run) for run in runs])
    iteration = np.arange(len(run))
    if len(runs) == 2:
        iteration[run == 2] = copy.n_iter_ - np.arange(len(runs[1]))[::-1]
    table = pd.DataFrame({"run": run, "iteration": iteration, "J": J, "gradient_max": gradient_max})
    parameters = pd.DataFrame(bank.T, columns=parameter_names(copy))
    return pd.concat([table, parameters], axis="columns")


class _Recorder:
    """A scikit-learn callback that keeps θ (d + 1,) after every iteration."""

    def __init__(self) -> None:
        self.steps: list[Array] = []

    def setup(self, estimator: Any, context: Any) -> None:
        """Nothing to set up."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """Nothing to tear down."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Nothing to see yet."""

    def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any) -> None:
        """An iteration is over, or the fit, whose end was the last iteration's."""
        if context.parent is not None:
            self.steps.append(fitted_parameters(fitted_estimator))


def _runs(start: Array, steps: list[Array], fitted: LogisticNeuron) -> list[list[Array]]:
    """The run whose end was kept, start first, after the run before it if there was one.

    A second run goes on from a lower start found. Where it ends no lower, the first one's end
    is kept. Its start is not seen, unless that was the end already.
    """
    n, end = fitted.n_iter_, fitted_parameters(fitted)
    first = [start, *steps[:n]]
    if len(steps) == n or any(np.array_equal(theta, end) for theta in first):
        return [first]
    n_before = len(steps) - n
    return [[start, *steps[:n_before]], steps[n_before:] or [end]]


def _cost_and_slope(objective: Objective, theta: Array) -> tuple[Array, Array]:
    J, gradient = objective.value_and_gradient(theta)
    return J, np.abs(gradient).max(axis=0)
