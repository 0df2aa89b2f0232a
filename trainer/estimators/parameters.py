"""Between θ (d + 1, K), the parameters of a bank, and scikit-learn's `coef_` and `intercept_`."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from trainer.estimators.array_api import as_numpy

Array = npt.NDArray[Any]


def pack(model: Any) -> Array:
    """θ (d + 1, K) of a fitted linear classifier, the biases last, in float64."""
    weights: Any = model.coef_
    weights = weights.toarray() if hasattr(weights, "toarray") else as_numpy(weights)
    coef = np.asarray(weights, dtype=np.float64)
    return np.vstack([coef.T, np.broadcast_to(as_numpy(model.intercept_), len(coef))])


def unpack(theta: Array, dtype: Any) -> dict[str, Array]:
    """`coef_` (K, d) and `intercept_` (K,) of θ.

    Raises
    ------
    ValueError
        If a parameter is too large for the dtype.
    """
    parameters = theta.astype(dtype)
    if not np.isfinite(parameters).all():
        raise ValueError(
            f"parameters must be finite numbers in {np.dtype(dtype).name}, got "
            f"{theta[~np.isfinite(parameters)][0]:g}; scale the features, or set alpha > 0"
        )
    return {"coef_": parameters[:-1].T, "intercept_": parameters[-1]}


def has_intercept(neuron: Any) -> bool:
    """Whether a fitted neuron has an intercept, which `set_params` cannot take from it."""
    return bool(neuron.fit_intercept or np.any(neuron.intercept_))


def parameter_names(features: Any, n_features: int) -> list[str]:
    """The features' names, or x0, x1, ... where they have none, and "intercept"."""
    if features is None:
        features = [f"x{j}" for j in range(n_features)]
    return [*map(str, features), "intercept"]


def initial_theta(init: Any, shape: tuple[int, int], fit_intercept: bool) -> Array:
    """θ of a bank from what the user gave: numbers, a fitted linear classifier, or None for 0.

    Parameters
    ----------
    init : array-like, fitted classifier or None
        Weights and, last, the bias; or an estimator with `coef_` and `intercept_`.
    shape : tuple of int
        (d + 1, K).
    fit_intercept : bool
        False sets the biases to 0.

    Returns
    -------
    array of shape (d + 1, K)

    Raises
    ------
    ValueError
        If there are not as many numbers, or they are not finite.
    """
    if init is None:
        return np.zeros(shape)
    size, n_neurons = shape
    if hasattr(init, "decision_function"):
        check_is_fitted(init)
        theta = pack(init)
    else:
        theta = np.array(init, dtype=np.float64)
    of_bank = n_neurons == 1 or theta.shape == shape  # one neuron may be given as a vector
    if theta.size != size * n_neurons or not of_bank or not np.isfinite(theta).all():
        for_each = f" for each of {n_neurons} classes" if n_neurons > 1 else ""
        raise ValueError(
            f"init must hold {size} finite numbers{for_each}, a weight for each of the "
            f"{size - 1} features and the bias last, got {theta!r}"
        )
    theta = theta.reshape(shape).astype(np.float64)
    if not fit_intercept:
        theta[-1] = 0
    return theta
