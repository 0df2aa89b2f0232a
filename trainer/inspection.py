"""The glass box: the way that training took, the gradient checked, the cost as a landscape."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from trainer import chain_rule
from trainer.neuron import LogisticNeuron
from trainer.objective import Objective
from trainer.rows import ArrayRows
from trainer.targets import from_labels, from_probabilities, is_soft

Array = npt.NDArray[Any]

BANK = 256
"""Parameter vectors that one pass over the rows evaluates: enough to share the reading of X."""

DIFFERENCE = np.finfo(float).eps ** (1 / 3)
"""Half step of a central difference: where its rounding and its truncation weigh the same."""


N_FIGURES = 4
"""Columns of a trace before its parameters."""


class CostSurface(NamedTuple):
    """J over two parameters.

    `names` are theirs, `fitted` what the neuron has; `first` (n,) and `second` (m,) their values;
    `J` (m, n) the cost, as matplotlib's contours take it: J[i, j] is that of second[i], first[j].
    """

    names: tuple[str, str]
    fitted: tuple[float, float]
    first: Array
    second: Array
    J: Array


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
        For labels of more than two classes, or input that cannot be trained with.
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

    _check_neuron("trace", neuron)
    # A clone's clone of `init` would be an unfitted neuron.
    copy, start = (clone(neuron).set_params(init=neuron.init) for _ in range(2))
    recorder = _Recorder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the table shows how it went
        start.set_params(max_iter=0, verbose=0, early_stopping=False).set_callbacks()
        _check_classes(start.fit(X, y, sample_weight))
        copy.set_callbacks(recorder).fit(X, y, sample_weight)
    runs = _runs(fitted_parameters(start), recorder.steps, copy)
    bank = np.column_stack([theta for run in runs for theta in run])  # (d + 1, table's rows)

    objective = _objective(copy, X, y, sample_weight)
    J, gradient_max = _in_banks(lambda theta: _cost_and_slope(objective, theta), bank)
    run = np.repeat([1, 2][: len(runs)], [len(run) for run in runs])
    iteration = np.arange(len(run))
    if len(runs) == 2:
        iteration[run == 2] = copy.n_iter_ - np.arange(len(runs[1]))[::-1]
    table = pd.DataFrame({"run": run, "iteration": iteration, "J": J, "gradient_max": gradient_max})
    parameters = pd.DataFrame(bank.T, columns=_parameter_names(copy))
    return pd.concat([table, parameters], axis="columns")


def check_gradient(X: Any, y: Any, w: Any, b: Any) -> Any:
    """Compare the lesson's dJ_dw and dJ_db with central finite differences of its J.

    dJ/dθ ≈ (J(θ + h) - J(θ - h)) / 2h, with h = ε^(1/3) over the root mean square of what θ
    multiplies, so that z moves by 6e-6. Rounding leaves about 1e-11 in each difference: where
    the gradient itself is as small, on a plateau, they need not agree.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Rows; plain numbers or a batch of numbers (n_samples,) with a number `w`.
    y : array-like of shape (n_samples,)
        Targets between 0 and 1.
    w : array-like of shape (n_features,)
        Weights at which to compare.
    b : float
        Bias.

    Returns
    -------
    DataFrame
        A line a parameter; columns: parameter, by the chain rule, by finite differences,
        relative difference (of the larger of the two).

    Raises
    ------
    ValueError
        If the shapes do not fit or a target is not between 0 and 1.

    Examples
    --------
    >>> table = check_gradient([[1.0], [2.0]], [1, 0], [0.5], 0.3)
    >>> table["parameter"].tolist(), bool((table["relative difference"] < 1e-8).all())
    (['x0', 'intercept'], True)
    """
    import pandas as pd

    x = np.asarray(X, dtype=np.float64)
    w = np.asarray(w, dtype=np.float64)
    y = _targets(y)
    if w.ndim > 1 or np.ndim(b) or (w.ndim and x.shape[-1:] != w.shape) or (x.ndim > 1 + w.ndim):
        raise ValueError(
            "w must hold a weight for each column of X, and b one number, got X of shape "
            f"{x.shape}, w of shape {w.shape} and b of shape {np.shape(b)}; check one neuron at "
            "a time"
        )
    if x.shape[: x.ndim - w.ndim] != y.shape:
        raise ValueError(
            f"y must hold a target for each row of X, got y of shape {y.shape} with X of shape "
            f"{x.shape}; drop the rows without a target"
        )

    def cost(theta: Array) -> float:
        return float(chain_rule.J(x, y, theta[:-1].reshape(w.shape), theta[-1]))

    theta = np.append(w, b)
    inputs = np.append(np.sqrt(np.mean(x.reshape(-1, w.size) ** 2, axis=0)), 1)
    half_steps = DIFFERENCE / np.where(inputs > 0, inputs, 1)
    by_differences = np.array([_slope(cost, theta, k, h) for k, h in enumerate(half_steps)])
    by_chain_rule = np.append(chain_rule.dJ_dw(x, y, w, b), chain_rule.dJ_db(x, y, w, b))
    larger = np.maximum(np.abs(by_chain_rule), np.abs(by_differences))
    apart = np.abs(by_chain_rule - by_differences) / np.where(larger > 0, larger, 1)
    return pd.DataFrame(
        {
            "parameter": _names(getattr(X, "columns", None), w.size),
            "by the chain rule": by_chain_rule,
            "by finite differences": by_differences,
            "relative difference": apart,
        }
    )


def cost_surface(
    neuron: LogisticNeuron,
    X: Any,
    y: Any,
    parameters: Sequence[int | str] = (0, 1),
    *,
    sample_weight: Any = None,
    ranges: Sequence[tuple[float, float]] | None = None,
    grid: int = 60,
) -> CostSurface:
    """J over two of the neuron's parameters, the others held as fitted.

    J = mean (y - σ(Xw + b))² + alpha/2 ‖w‖², over the rows given.

    Parameters
    ----------
    neuron : LogisticNeuron
        Fitted, to labels of two classes.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows.
    y : array-like of shape (n_samples,)
        Their labels.
    parameters : pair of int or str, default=(0, 1)
        Which two: a feature's number or name (x0, x1, ... where the features had none) for
        its weight; n_features or "intercept" for the bias.
    sample_weight : array-like of shape (n_samples,), optional
        Weight of each row.
    ranges : pair of (low, high), optional
        Values of the first and of the second parameter; by default from 0, where training
        starts, to what was fitted, and half as much again on both sides.
    grid : int, default=60
        Values of each parameter.

    Returns
    -------
    CostSurface
        names, fitted, first (grid,), second (grid,), J (grid, grid).

    Raises
    ------
    ValueError
        If the parameters, ranges, grid or labels cannot be used.

    Examples
    --------
    >>> from trainer import LogisticNeuron
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]
    >>> surface = cost_surface(LogisticNeuron().fit(X, y), X, y, (0, "intercept"), grid=5)
    >>> surface.names, surface.J.shape
    (('x0', 'intercept'), (5, 5))
    """
    chosen = parameter_places(neuron, parameters)
    theta, names = fitted_parameters(neuron), _parameter_names(neuron)
    if grid < 2:
        raise ValueError(f"grid must be 2 or more values of each parameter, got {grid!r}")
    if ranges is None:
        ranges = [around(0.0, value) for value in theta[chosen]]
    if (
        np.shape(ranges) != (2, 2)
        or not np.isfinite(ranges).all()
        or not np.all(np.diff(ranges) > 0)
    ):
        raise ValueError(
            "ranges must be two pairs of numbers, (low, high) with low < high, one for each of "
            f"the parameters {names[chosen[0]]} and {names[chosen[1]]}, got {ranges!r}"
        )
    first, second = (np.linspace(low, high, grid) for low, high in ranges)
    bank = np.repeat(theta[:, np.newaxis], grid * grid, axis=1)  # (d + 1, grid²)
    bank[chosen] = np.stack(np.meshgrid(first, second)).reshape(2, -1)
    objective = _objective(neuron, X, y, sample_weight)
    (J,) = _in_banks(lambda theta: (objective.value(theta),), bank)
    i, j = chosen
    return CostSurface(
        (names[i], names[j]), (theta[i], theta[j]), first, second, J.reshape(grid, grid)
    )


def parameter_places(neuron: LogisticNeuron, parameters: Sequence[int | str]) -> list[int]:
    """Where two parameters of a fitted neuron stand in θ, whose last row is the bias.

    Raises
    ------
    ValueError
        If they are not two different parameters of a neuron of two classes.
    """
    _check_neuron("cost_surface", neuron)
    check_is_fitted(neuron)
    _check_classes(neuron)
    places = [_place(parameter, _parameter_names(neuron)) for parameter in parameters]
    if len(places) != 2 or places[0] == places[1]:
        raise ValueError(
            f"parameters must be two different ones, got {parameters!r}; give two numbers or names"
        )
    return places


def fitted_parameters(neuron: LogisticNeuron) -> Array:
    """θ (d + 1,) of a fitted neuron of two classes, the bias last."""
    return np.append(neuron.coef_, neuron.intercept_).astype(np.float64)


def around(*values: Any) -> tuple[float, float]:
    """A range that holds the values, and half their span on both sides."""
    low, high = min(map(np.min, values)), max(map(np.max, values))
    margin = (high - low or 1.0) / 2
    return float(low - margin), float(high + margin)


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


def _objective(neuron: LogisticNeuron, X: Any, y: Any, sample_weight: Any) -> Objective:
    """The fitted neuron's J over these rows."""
    X = validate_data(neuron, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
    soft = is_soft(y)
    y = y if soft else column_or_1d(y)
    check_consistent_length(X, y)
    weight = None
    if sample_weight is not None:
        weight = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
    encode = from_probabilities if soft else from_labels
    targets = encode(y, weight, neuron.class_weight, X.dtype, neuron.classes_)
    rows = ArrayRows(X, targets.values, targets.weight)
    return Objective(rows, neuron.alpha, neuron.fit_intercept)


def _cost_and_slope(objective: Objective, theta: Array) -> tuple[Array, Array]:
    J, gradient = objective.value_and_gradient(theta)
    return J, np.abs(gradient).max(axis=0)


def _in_banks(evaluate: Callable[[Array], tuple[Array, ...]], theta: Array) -> list[Array]:
    """What `evaluate` gives for many columns of θ, a bank of moderate size at a time."""
    banks = [theta[:, k : k + BANK] for k in range(0, theta.shape[1], BANK)]
    return [np.concatenate(parts) for parts in zip(*map(evaluate, banks), strict=True)]


def _slope(cost: Callable[[Array], float], theta: Array, k: int, half_step: float) -> float:
    above, below = theta.copy(), theta.copy()
    above[k] += half_step
    below[k] -= half_step
    return (cost(above) - cost(below)) / float(above[k] - below[k])  # as rounded, not as meant


def _parameter_names(neuron: LogisticNeuron) -> list[str]:
    return _names(getattr(neuron, "feature_names_in_", None), neuron.n_features_in_)


def _names(features: Any, n_features: int) -> list[str]:
    if features is None:
        features = [f"x{j}" for j in range(n_features)]
    return [*map(str, features), "intercept"]


def _place(parameter: int | str, names: list[str]) -> int:
    """The row of θ that a number or a name stands for."""
    if isinstance(parameter, str) and parameter in names:
        return names.index(parameter)
    if not isinstance(parameter, str) and 0 <= parameter < len(names):
        return int(parameter)
    listed = ", ".join(names if len(names) <= 8 else [*names[:6], "...", names[-1]])
    raise ValueError(
        f"a parameter must be one of {listed} or a number from 0 to {len(names) - 1}, the last "
        f"for the intercept, got {parameter!r}"
    )


def _targets(y: Any) -> Array:
    y = np.asarray(y)
    if y.dtype.kind not in "biuf" or not np.all((y >= 0) & (y <= 1)):
        strange = y[~((y >= 0) & (y <= 1))] if y.dtype.kind in "biuf" else y.ravel()
        raise ValueError(
            f"y must hold targets between 0 and 1, got {strange.flat[0]!r}; encode labels first, "
            "for instance (y == neuron.classes_[1]).astype(float)"
        )
    return y


def _check_neuron(what: str, neuron: Any) -> None:
    if not isinstance(neuron, LogisticNeuron):
        raise ValueError(
            f"{what} needs a LogisticNeuron, got {type(neuron).__name__}; of a pipeline give its "
            "last step, and X as the steps before transform it"
        )


def _check_classes(neuron: LogisticNeuron) -> None:
    if len(neuron.classes_) != 2:
        raise ValueError(
            f"the neuron must be fitted to two classes, got {neuron.classes_.tolist()}; choose one "
            "class against the rest, for instance y == y[0]"
        )
