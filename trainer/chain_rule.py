"""The lesson: one logistic neuron, its squared error, and the chain rule between them.

A neuron turns an input x into a weighted sum ``z = w·x + b`` and answers with
``σ(z)``. Against a target y it pays the squared error ``l = (y - σ)²``; over a
whole batch it pays the mean, ``J``. Training needs dJ/dw and dJ/db, and the chain
rule gives both as a product of local derivatives::

    dl/dw = dl/dσ · dσ/dz · dz/dw          dl/db = dl/dσ · dσ/dz · dz/db

Read from top to bottom: the forward pass, the local derivatives, their product,
the same product as backpropagation, the second derivative. Training runs the faster
twins of these lines in `trainer/core/kernels.py`, which are tested equal to them.

Every function takes plain numbers as well as arrays: x may be a number, a batch of
numbers (n,), a batch of rows (n, d); w and b one neuron's, (d,) and a number, or a
bank of K neurons', (d, K) and (K,).

The derivatives by σ and z are asked for at z, because σ alone has lost a tail: from
z ≈ 36.7 on ``1 - σ`` is exactly 0 in float64. Here both tails are exact.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Numeric = npt.ArrayLike

MAX_CURVATURE = 0.15405857012135051
"""Largest value of d²l/dz², reached at a margin of (2y-1)z = 0.465663 (y = 0 or 1)."""


# ---------------------------------------------------------------- the forward pass


def sigmoid(z: Numeric) -> Any:
    """σ(z) = 1 / (1 + exp(-z)), to full relative precision on both tails.

    Parameters
    ----------
    z : float or array
        Weighted sum, of any shape.

    Returns
    -------
    float or array of the shape of `z`
        The neuron's answer, between 0 and 1.

    Examples
    --------
    >>> float(sigmoid(0.6))
    0.6456563062257954
    >>> float(sigmoid(-1e4)), float(sigmoid(1e4))
    (0.0, 1.0)
    """
    return _sigmoid_pair(z)[0]


def z(x: Numeric, w: Numeric, b: Numeric) -> Any:
    """Weighted sum z = w·x + b.

    Parameters
    ----------
    x : float or array of shape (n,), (d,) or (n, d)
        Input.
    w : float or array of shape (d,) or (d, K)
        Weights.
    b : float or array of shape (K,)
        Bias.

    Returns
    -------
    float or array of shape (n,) or (n, K)

    Examples
    --------
    >>> float(z(1, 0.3, 0.3))
    0.6
    """
    return np.dot(x, w)[()] + b


def h(x: Numeric, w: Numeric, b: Numeric) -> Any:
    """Answer of the neuron, h = σ(z) with z = w·x + b.

    Parameters
    ----------
    x, w, b : float or array
        Input, weights and bias, as in `z`.

    Returns
    -------
    float or array of shape (n,) or (n, K)

    Examples
    --------
    >>> float(h(1, 0.5, 0.3))
    0.6899744811276125
    """
    return sigmoid(z(x, w, b))


def l(y: Numeric, sigma: Numeric) -> Any:
    """Squared error l = (y - σ)².

    Parameters
    ----------
    y : float or array
        Target: 0, 1, or anything between (a soft label).
    sigma : float or array
        Answer of the neuron.

    Returns
    -------
    float or array

    Examples
    --------
    >>> float(l(1, h(1, 0.3, 0.3)))
    0.12555945331754728
    >>> float(l(1, h(1, 0.5, 0.3)))
    0.0961158223520931
    """
    return (np.asarray(y) - sigma) ** 2


def J(x: Numeric, y: Numeric, w: Numeric, b: Numeric) -> Any:
    """Cost J = mean of l over the batch: the Brier score of the neuron's answers.

    Parameters
    ----------
    x, y, w, b : float or array
        Input, target, weights and bias, as in `z` and `l`.

    Returns
    -------
    float or array of shape (K,)

    Examples
    --------
    >>> float(J([[1.0], [2.0]], [1, 0], [0.5], 0.3))
    0.35682622146279575
    """
    loss = l(y, h(x, w, b))
    return np.sum(loss, axis=0) / _n_rows(loss)


# ------------------------------------------------------------ the local derivatives


def dl_dsig(y: Numeric, z: Numeric) -> Any:
    """How the squared error follows the answer: dl/dσ = 2(σ - y), at σ = σ(z).

    Parameters
    ----------
    y : float or array
        Target, as in `l`.
    z : float or array
        Weighted sum.

    Returns
    -------
    float or array

    Examples
    --------
    >>> float(dl_dsig(0, 0.0))
    1.0
    """
    return 2 * _residual(y, z)


def dsig_dz(z: Numeric) -> Any:
    """How the answer follows the weighted sum: dσ/dz = σ(1 - σ).

    At most 1/4, at z = 0, and next to nothing on both tails: there the neuron is
    saturated and learns slowly.

    Parameters
    ----------
    z : float or array
        Weighted sum.

    Returns
    -------
    float or array

    Examples
    --------
    >>> float(dsig_dz(0.0))
    0.25
    """
    sigma, one_minus_sigma = _sigmoid_pair(z)
    return sigma * one_minus_sigma


def dz_dw(x: Numeric) -> Any:
    """How the weighted sum follows the weights: dz/dw = x.

    Parameters
    ----------
    x : float or array
        Input.

    Returns
    -------
    float or array of the shape of `x`

    Examples
    --------
    >>> float(dz_dw(3.0))
    3.0
    """
    return np.asarray(x)


def dz_db() -> float:
    """How the weighted sum follows the bias: dz/db = 1, whatever the row.

    Examples
    --------
    >>> dz_db()
    1.0
    """
    return 1.0


# ------------------------------------------------------ their product: dJ/dw, dJ/db


def dJ_dw(x: Numeric, y: Numeric, w: Numeric, b: Numeric) -> Any:
    """Gradient for the weights, as the product of three: mean of dl/dσ · dσ/dz · dz/dw.

    Parameters
    ----------
    x, y, w, b : float or array
        Input, target, weights and bias, as in `J`.

    Returns
    -------
    float or array of the shape of `w`

    Examples
    --------
    >>> float(dJ_dw(1, 1, 0.3, 0.3))
    -0.16213650568147545
    """
    zs = z(x, w, b)
    return np.dot(np.transpose(dz_dw(x)), dl_dsig(y, zs) * dsig_dz(zs)) / _n_rows(zs)


def dJ_db(x: Numeric, y: Numeric, w: Numeric, b: Numeric) -> Any:
    """Gradient for the bias, as the product of three: mean of dl/dσ · dσ/dz · dz/db.

    Parameters
    ----------
    x, y, w, b : float or array
        Input, target, weights and bias, as in `J`.

    Returns
    -------
    float or array of the shape of `b`

    Examples
    --------
    >>> float(dJ_db(1, 1, 0.3, 0.3))
    -0.16213650568147545
    """
    zs = z(x, w, b)
    return np.sum(dl_dsig(y, zs) * dsig_dz(zs) * dz_db(), axis=0) / _n_rows(zs)


def backpropagation(x: Numeric, y: Numeric, w: Numeric, b: Numeric) -> tuple[Any, Any]:
    """Both gradients in one walk back from J, each derivative times the one upstream.

    Parameters
    ----------
    x, y, w, b : float or array
        Input, target, weights and bias, as in `J`.

    Returns
    -------
    dJ_dw : float or array of the shape of `w`
    dJ_db : float or array of the shape of `b`

    Examples
    --------
    >>> dJ_dw, dJ_db = backpropagation(1, 1, 0.5, 0.3)
    >>> float(dJ_dw), float(dJ_db)
    (-0.13263492931107848, -0.13263492931107848)
    """
    zs = z(x, w, b)
    dJ_dsigma = dl_dsig(y, zs) / _n_rows(zs)
    dsigma_dz = dsig_dz(zs)
    dJ_dz = dJ_dsigma * dsigma_dz
    dJ_dw = np.dot(np.transpose(dz_dw(x)), dJ_dz)
    dJ_db = np.sum(dJ_dz * dz_db(), axis=0)
    return dJ_dw, dJ_db


# ------------------------------------------------------- derivatives by z, and d²l/dz²


def dl_dz(y: Numeric, z: Numeric) -> Any:
    """Upstream of both parameters: dl/dz = dl/dσ · dσ/dz, never beyond ±8/27 for y = 0 or 1.

    Parameters
    ----------
    y, z : float or array
        Target and weighted sum, as in `dl_dsig`.

    Returns
    -------
    float or array

    Examples
    --------
    >>> float(dl_dz(0, 0.0))
    0.25
    """
    return dl_dsig(y, z) * dsig_dz(z)


def d2l_dz2(y: Numeric, z: Numeric) -> Any:
    """Curvature d²l/dz² = 2v² + 2(σ - y)·v·(1 - 2σ), with v = σ(1 - σ).

    The first term alone is Gauss-Newton's and never negative. The whole is negative
    where the margin (2y-1)z is below -ln 2, that is, where the answer gives the
    target a probability below 1/3: J is not convex.

    Parameters
    ----------
    y, z : float or array
        Target and weighted sum, as in `dl_dsig`.

    Returns
    -------
    float or array

    Examples
    --------
    >>> float(d2l_dz2(1, 0.0))
    0.125
    """
    sigma, one_minus_sigma = _sigmoid_pair(z)
    v = sigma * one_minus_sigma
    return 2 * v * (v + _residual(y, z) * (one_minus_sigma - sigma))


def _sigmoid_pair(z: Numeric) -> tuple[Any, Any]:
    """σ and 1 - σ. exp(-|z|) cannot overflow, and neither is got by subtraction."""
    z = np.asarray(z)
    small = np.exp(-np.abs(z))
    large = 1 / (1 + small)
    small = small * large
    return np.where(z < 0, small, large)[()], np.where(z < 0, large, small)[()]


def _residual(y: Numeric, z: Numeric) -> Any:
    """σ - y as (1 - y)·σ - y·(1 - σ), which for y = 0 and y = 1 subtracts nothing."""
    sigma, one_minus_sigma = _sigmoid_pair(z)
    y = np.asarray(y)
    return (1 - y) * sigma - y * one_minus_sigma


def _n_rows(batch: Numeric) -> int:
    return np.shape(batch)[0] if np.ndim(batch) else 1
