"""The cost over a grid of two parameters."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

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


class CostSurface(NamedTuple):
    """J and its gradient over two parameters.

    Parameters
    ----------
    names, fitted : pair of str and pair of float
        Names of the two parameters, and their values in the neuron.
    first, second : arrays of shape (n,) and (m,)
        Values of the two parameters.
    J : array of shape (m, n)
        The cost at second[i], first[j]; the shape is that required by matplotlib's contours.
    gradient : array of shape (2, m, n)
        Its derivatives there with respect to the first and the second parameter.

    Examples
    --------
    >>> from trainer import LogisticNeuron, cost_surface
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
    >>> surface = cost_surface(LogisticNeuron().fit(X, y), X, y, grid=5)
    >>> surface.names, surface.J.shape, surface.gradient.shape
    (('x0', 'intercept'), (5, 5), (2, 5, 5))
    """

    names: tuple[str, str]
    fitted: tuple[float, float]
    first: Array
    second: Array
    J: Array
    gradient: Array


@np.errstate(all="ignore")
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
    """Compute J over two of the neuron's parameters, the others fixed at their fitted values.

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
        The two parameters: a feature's number or name (x0, x1, ... if the features had none) for
        its weight; n_features or "intercept" for the bias.
    sample_weight : array-like of shape (n_samples,), optional
        Weight of each row.
    ranges : pair of (low, high), optional
        Range of the first and of the second parameter; by default from 0, where training
        starts, to the fitted value, with a margin of half that range on both sides.
    grid : int, default=60
        Number of values of each parameter.

    Returns
    -------
    CostSurface
        With `grid` values of each parameter.

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
    theta, names = fitted_parameters(neuron), parameter_names(neuron)
    if not isinstance(grid, int | np.integer) or grid < 2:
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
    objective = objective_over(neuron, X, y, sample_weight)

    def cost(points: Array) -> tuple[Array, Array, Array]:
        bank = np.repeat(theta[:, np.newaxis], points.shape[1], axis=1)
        bank[chosen] = points
        J, gradient = objective.value_and_gradient(bank)
        return (J, *gradient[chosen])

    parts = in_banks(cost, np.stack(np.meshgrid(first, second)).reshape(2, -1))
    J, *dJ = (part.reshape(grid, grid) for part in parts)
    i, j = chosen
    if not (np.isfinite(J).all() and np.isfinite(dJ).all()):
        raise ValueError(
            f"ranges must be those of parameters for which J is a finite number, got {ranges!r}; "
            "choose smaller ones"
        )
    return CostSurface((names[i], names[j]), (theta[i], theta[j]), first, second, J, np.stack(dJ))


def parameter_places(neuron: LogisticNeuron, parameters: Sequence[int | str]) -> list[int]:
    """Rows of θ, whose last one is the bias, of two parameters of a fitted neuron.

    Raises
    ------
    ValueError
        If they are not two different parameters of a neuron of two classes.
    """
    check_neuron("cost_surface", neuron)
    check_is_fitted(neuron)
    check_classes(neuron)
    given = list(parameters) if isinstance(parameters, Iterable) else [parameters]
    places = [_place(parameter, parameter_names(neuron)) for parameter in given]
    if len(places) != 2 or places[0] == places[1]:
        raise ValueError(
            f"parameters must be two different ones, got {parameters!r}; give two numbers or names"
        )
    return places


def around(*values: Any) -> tuple[float, float]:
    """A range that contains the values, with a margin of half their range on both sides."""
    low, high = min(map(np.min, values)), max(map(np.max, values))
    margin = (high - low or 1.0) / 2
    return float(low - margin), float(high + margin)


def _place(parameter: int | str, names: list[str]) -> int:
    """The row of θ for a number or a name."""
    if isinstance(parameter, str) and parameter in names:
        return names.index(parameter)
    if not isinstance(parameter, str) and 0 <= parameter < len(names):
        return int(parameter)
    listed = ", ".join(names if len(names) <= 8 else [*names[:6], "...", names[-1]])
    raise ValueError(
        f"a parameter must be one of {listed} or a number from 0 to {len(names) - 1}, the last "
        f"for the intercept, got {parameter!r}"
    )
