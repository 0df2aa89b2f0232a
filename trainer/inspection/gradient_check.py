"""The lesson's gradient against finite differences of its cost."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer import chain_rule
from trainer.inspection.parameters import named

Array = npt.NDArray[Any]

DIFFERENCE = np.finfo(float).eps ** (1 / 3)
"""Half step of a central difference: where its rounding and its truncation weigh the same."""


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
            "parameter": named(getattr(X, "columns", None), w.size),
            "by the chain rule": by_chain_rule,
            "by finite differences": by_differences,
            "relative difference": apart,
        }
    )


def _slope(cost: Callable[[Array], float], theta: Array, k: int, half_step: float) -> float:
    above, below = theta.copy(), theta.copy()
    above[k] += half_step
    below[k] -= half_step
    return (cost(above) - cost(below)) / float(above[k] - below[k])  # as rounded, not as meant


def _targets(y: Any) -> Array:
    y = np.asarray(y)
    if y.dtype.kind not in "biuf" or not np.all((y >= 0) & (y <= 1)):
        strange = y[~((y >= 0) & (y <= 1))] if y.dtype.kind in "biuf" else y.ravel()
        raise ValueError(
            f"y must hold targets between 0 and 1, got {strange.flat[0]!r}; encode labels first, "
            "for instance (y == neuron.classes_[1]).astype(float)"
        )
    return y
