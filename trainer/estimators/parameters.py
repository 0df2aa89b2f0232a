"""Between θ (d + 1, K), the parameters of a bank, and scikit-learn's `coef_` and `intercept_`."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

Array = npt.NDArray[Any]


def given_start(init: Any, shape: tuple[int, int], fit_intercept: bool) -> Array:
    """θ of a bank from what its user gave: numbers, a fitted linear classifier, or None for rest.

    Parameters
    ----------
    init : array-like, fitted classifier or None
        Weights and, last, the bias; or what has them as `coef_` and `intercept_`.
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
        theta = np.vstack([init.coef_.T, np.broadcast_to(init.intercept_, len(init.coef_))])
    else:
        theta = np.array(init, dtype=np.float64)
    of_bank = n_neurons == 1 or theta.shape == shape  # of one neuron the numbers' order is plain
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
