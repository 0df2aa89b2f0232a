"""The lesson's gradient against finite differences of its cost."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer import chain_rule
from trainer.inspection.parameters import named

Array = npt.NDArray[Any]

EPS = float(np.finfo(float).eps)

DIFFERENCE = EPS ** (1 / 3)
"""Half step of a central difference in z: it balances rounding and truncation errors."""

LARGEST = 1e100
"""Largest feature or parameter, in absolute value: the third power must be a number too."""

MAX_THIRD_DERIVATIVE = 0.20202301
"""Largest |d³l/dz³| for y from 0 to 1, at z = ±0.55919; it bounds the truncation."""


@np.errstate(all="ignore")
def check_gradient(X: Any, y: Any, w: Any, b: Any) -> Any:
    """Compare the lesson's dJ_dw and dJ_db with central finite differences of its J.

    dJ/dθ ≈ (J(θ + h) - J(θ - h)) / 2h, with h = ε^(1/3) / rms(v), where v is the factor of θ in z
    (a feature, or 1 for the bias). The two agree if they differ by no more than the error bound::

        h²/6 · max|d³l/dz³| · mean|v|³  +  δJ/h  +  δg

    The first term is the truncation error of the difference. δJ bounds the rounding error of J,
    and δg that of the gradient: both are sums over the operations that compute z, σ, l and the
    products.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Rows; if `w` is a number, also a number or a batch of numbers (n_samples,).
    y : array-like of shape (n_samples,)
        Targets between 0 and 1.
    w : array-like of shape (n_features,)
        Weights at which to compare.
    b : float
        Bias.

    Returns
    -------
    DataFrame
        One row per parameter. Columns: parameter, by the chain rule, by finite differences,
        relative difference (relative to the larger of the two), tolerance (the bound, relative in
        the same way), digits (on which the two agree), digits expected (from the tolerance; 0 if
        the gradient is too small to be checked by a difference), agrees.

    Raises
    ------
    ValueError
        If the shapes do not fit or a target is not between 0 and 1.

    Examples
    --------
    >>> table = check_gradient([[1.0], [2.0]], [1, 0], [0.5], 0.3)
    >>> table["parameter"].tolist(), table["agrees"].tolist()
    (['x0', 'intercept'], [True, True])
    >>> (table["digits expected"] > 8).tolist()
    [True, True]
    """
    import pandas as pd

    x, y, w, b = checked_problem(X, y, w, b)
    theta, x1 = np.append(w, b), np.column_stack([x, np.ones(len(x))])
    scale = np.sqrt(np.mean(x1**2, axis=0))
    half_steps = DIFFERENCE / np.where(scale > 0, scale, 1)
    half_steps = np.maximum(half_steps, 8 * np.spacing(np.abs(theta)))  # a step is to be one
    by_differences = np.array([_slope(x, y, theta, k, h) for k, h in enumerate(half_steps)])
    by_chain_rule = np.append(chain_rule.dJ_dw(x, y, w, b), chain_rule.dJ_db(x, y, w, b))
    larger = np.maximum(np.abs(by_chain_rule), np.abs(by_differences))
    apart, bound = np.abs(by_chain_rule - by_differences), _error_bound(x1, y, theta, half_steps)
    difference = apart / np.where(larger > 0, larger, 1)
    tolerance = np.divide(bound, larger, out=np.full_like(bound, np.inf), where=larger > 0)
    return pd.DataFrame(
        {
            "parameter": named(getattr(X, "columns", None), w.size),
            "by the chain rule": by_chain_rule,
            "by finite differences": by_differences,
            "relative difference": difference,
            "tolerance": tolerance,
            "digits": -np.log10(np.clip(difference, EPS, 1)),
            "digits expected": -np.log10(np.clip(tolerance, EPS, 1)),
            "agrees": apart <= bound,
        }
    )


def checked_problem(X: Any, y: Any, w: Any, b: Any) -> tuple[Array, Array, Array, float]:
    """One neuron's X (n, d), y (n,), w (d,) and b in float64, or an error if they do not fit."""
    x, w, b = reals("X", X), reals("w", w), reals("b", b)
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
    theta = np.append(w, float(b))
    if not (y.size and w.size) or not all((np.abs(part) <= LARGEST).all() for part in (x, theta)):
        raise ValueError(
            f"X, w and b must hold finite numbers of at most {LARGEST:g} in absolute value and X "
            f"at least one row and one column, got X of shape {x.shape}, w = {w.tolist()} and "
            f"b = {b}; impute or drop missing values"
        )
    return x.reshape(-1, w.size), y.reshape(-1), w.reshape(-1), float(b)


def _slope(x: Array, y: Array, theta: Array, k: int, half_step: float) -> float:
    def cost(moved: Array) -> float:
        # The lesson's J with a correctly rounded sum, whose error does not grow with n.
        return math.fsum(chain_rule.l(y, chain_rule.h(x, moved[:-1], moved[-1]))) / len(y)

    above, below = theta.copy(), theta.copy()
    above[k] += half_step
    below[k] -= half_step
    return (cost(above) - cost(below)) / float(above[k] - below[k])  # the step after rounding


def _error_bound(x1: Array, y: Array, theta: Array, half_steps: Array) -> Array:
    """Bound of |gradient - difference| for each parameter: truncation and first-order rounding."""
    n, size = x1.shape
    z = x1 @ theta
    residual = np.abs(chain_rule.sigmoid(z) - y)
    slope, curvature = (np.abs(f(y, z)) for f in (chain_rule.dl_dz, chain_rule.d2l_dz2))
    dz = (size + 1) * EPS * (np.abs(x1) @ np.abs(theta))  # rounding of w·x + b
    dJ = np.mean(slope * dz + 4 * EPS * residual + 2 * EPS * residual**2)
    # A row's dl/dz: the error of z, 6 roundings, and the absolute errors of 1 - σ and σ - y.
    d_slope = curvature * dz + 6 * EPS * slope + EPS
    inputs = np.abs(x1)
    dg = np.mean((d_slope + (n + 2) * EPS * slope)[:, np.newaxis] * inputs, axis=0)
    truncation = MAX_THIRD_DERIVATIVE / 6 * np.mean((half_steps * inputs) ** 2 * inputs, axis=0)
    return truncation + dJ / half_steps + dg


def reals(name: str, values: Any) -> Array:
    """Real numbers as float64, or an error that names them."""
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biufO":
            raise TypeError
        return array.astype(np.float64)
    except (TypeError, ValueError):
        shown = " ".join(repr(values).split())
        raise ValueError(
            f"{name} must hold real numbers, in rows of equal length, got "
            f"{shown if len(shown) <= 80 else f'{shown[:80]}...'}; convert it"
        ) from None


def _targets(y: Any) -> Array:
    y = np.asarray(y)
    if y.dtype.kind not in "biuf" or not np.all((y >= 0) & (y <= 1)):
        strange = y[~((y >= 0) & (y <= 1))] if y.dtype.kind in "biuf" else y.ravel()
        shown = repr(strange.flat[0]) if strange.size else "none"
        raise ValueError(
            f"y must hold targets between 0 and 1, got {shown}; encode labels first, "
            "for instance (y == neuron.classes_[1]).astype(float)"
        )
    return y.astype(np.float64)
