"""The lesson: a logistic neuron, its squared error, and the chain rule between them.

A neuron turns an input x into ``z = w·x + b`` and outputs ``σ(z)``. For a target y, 0 or 1, the
squared error is ``l = (y - σ)²``; the cost ``J`` is the mean of l over the batch. Training needs
dJ/dw and dJ/db. The chain rule gives both as products of local derivatives::

    dl/dw = dl/dσ · dσ/dz · dz/dw          dl/db = dl/dσ · dσ/dz · dz/db

Every function takes plain numbers, and then returns a float, or arrays: x is a number, a batch of
numbers (n,), a row (d,) or a batch of rows (n, d); w and b are two numbers, (d,) and a number, or
a bank of K neurons, (d, K) and (K,), for which y has shape (n, 1) or (n, K).

Where this differs from the lesson
----------------------------------
- Arguments always come in the order x, y, w, b. The lesson also has x, w, b, y and w, b, x, y.
  Names are safest: ``dJ_dw(x=1, y=1, w=0.5, b=0.3)``. A swap is an error where values reveal it;
  therefore a target between 0 and 1 (a soft label) must come as a batch, ``[0.9]``.
- ``l(y, sigma)`` is the error of an output; the lesson's ``l(x, w, b, y)`` is ``J(x, y, w, b)``.
- The lesson's ``dJ_dw`` returns a name that it never defines, receives no y, and passes arguments
  to ``h`` in another order than ``h`` declares. It derives dσ/dz and dz/db but writes no function
  for them; here they are ``dsig_dz`` and ``dz_db``.
- The lesson prints z, σ and the loss at every call; here ``python scripts/explain.py`` does.
- The lesson stops before training; here ``update`` is one step of it.
"""

from typing import Any

import numpy as np

Numbers = Any  # a number or an array of them


# ---------------------------------------------------------------- the forward pass


def sigmoid(z: Numbers) -> Any:
    """Logistic function, 1 / (1 + exp(-z)): sigmoid(0.6) = 0.6456563062257954."""
    e = np.exp(-np.abs(z))  # exp(-z) would overflow below z = -709; there σ = exp(z) / (1 + exp(z))
    return _plain(np.where(np.less(z, 0), e, 1) / (1 + e))


def z(x: Numbers, w: Numbers, b: Numbers) -> Any:
    """Weighted sum, w·x + b: z(1, 0.3, 0.3) = 0.6."""
    if np.ndim(w) > np.ndim(x):
        raise ValueError(
            f"x must have at least as many dimensions as w, got {np.ndim(x)} and {np.ndim(w)}; "
            "give weights (d,) a row (d,) or a batch (n, d), and weights (d, K) a batch (n, d)"
        )
    return _plain(np.dot(x, w) + b)


def h(x: Numbers, w: Numbers, b: Numbers) -> Any:
    """Output of the neuron, σ(w·x + b): h(1, 0.5, 0.3) = 0.6899744811276125."""
    return sigmoid(z(x, w, b))


def l(y: Numbers, sigma: Numbers) -> Any:
    """Squared error, (y - σ)²: l(1, 0.75) = 0.0625."""
    y, sigma = _checked(y, sigma)
    return _plain((y - sigma) ** 2)


def J(x: Numbers, y: Numbers, w: Numbers, b: Numbers) -> Any:
    """Cost, the mean of l over the batch: J(1, 1, 0.3, 0.3) = 0.12555945331754728."""
    loss = l(y, h(x, w, b))
    return _plain(np.sum(loss, axis=0) / _n_rows(loss))


# ------------------------------------------------------------ the local derivatives


def dl_dsig(y: Numbers, sigma: Numbers) -> Any:
    """dl/dσ, derivative of the squared error, 2(σ - y): dl_dsig(1, 0.75) = -0.5."""
    y, sigma = _checked(y, sigma)
    return _plain(2 * (sigma - y))


def dsig_dz(z: Numbers) -> Any:
    """dσ/dz, derivative of the output, σ(1 - σ): dsig_dz(0) = 0.25."""
    sigma = sigmoid(z)
    return sigma * (1 - sigma)  # 0 from z = 36.8 on; `trainer.core` is exact on both tails


def dz_dw(x: Numbers) -> Any:
    """dz/dw, derivative of the weighted sum with respect to w, x: dz_dw(3) = 3.0."""
    return _plain(np.asarray(x))


def dz_db() -> float:
    """dz/db, derivative of the weighted sum with respect to b, 1: dz_db() = 1.0."""
    return 1.0


# ------------------------------------------------------ their product: dJ/dw, dJ/db


def dJ_dw(x: Numbers, y: Numbers, w: Numbers, b: Numbers) -> Any:
    """Mean of dl/dσ · dσ/dz · dz/dw: dJ_dw(1, 1, 0.3, 0.3) = -0.16213650568147556."""
    upstream = dl_dsig(y, h(x, w, b)) * dsig_dz(z(x, w, b))
    return _plain(np.dot(np.transpose(dz_dw(x)), upstream) / _n_rows(upstream))


def dJ_db(x: Numbers, y: Numbers, w: Numbers, b: Numbers) -> Any:
    """Mean of dl/dσ · dσ/dz · dz/db: dJ_db(1, 1, 0.3, 0.3) = -0.16213650568147556."""
    factors = dl_dsig(y, h(x, w, b)) * dsig_dz(z(x, w, b)) * dz_db()
    return _plain(np.sum(factors, axis=0) / _n_rows(factors))


def backpropagation(x: Numbers, y: Numbers, w: Numbers, b: Numbers) -> tuple[Any, Any]:
    """Both gradients, from J back to w and b: backpropagation(1, 1, 0, 0) = (-0.25, -0.25)."""
    zs = z(x, w, b)
    dJ_dsigma = dl_dsig(y, sigmoid(zs)) / _n_rows(zs)
    dJ_dz = dJ_dsigma * dsig_dz(zs)
    return _plain(np.dot(np.transpose(dz_dw(x)), dJ_dz)), _plain(np.sum(dJ_dz * dz_db(), axis=0))


# --------------------------------------------- derivatives with respect to z, d²l/dz²


def dl_dz(y: Numbers, z: Numbers) -> Any:
    """dl/dz, upstream of both parameters, dl/dσ · dσ/dz: dl_dz(0, 0) = 0.25."""
    return dl_dsig(y, sigmoid(z)) * dsig_dz(z)


def d2l_dz2(y: Numbers, z: Numbers) -> Any:
    """Curvature, 2v² + 2(σ - y)v(1 - 2σ) with v = σ(1 - σ): d2l_dz2(1, 0) = 0.125."""
    sigma, v = sigmoid(z), dsig_dz(z)  # negative where σ gives the target less than 1/3
    return 2 * v**2 + dl_dsig(y, sigma) * v * (1 - 2 * sigma)


# ----------------------------------------------------------------- a step of training


def update(w: Any, b: Any, dJ_dw: Any, dJ_db: Any, learning_rate: float) -> tuple[Any, Any]:
    """Step of descent, w - η·dJ/dw and b - η·dJ/db: update(1, 0, 2, 4, 0.25) = (0.5, -1.0)."""
    w, b = w - learning_rate * np.asarray(dJ_dw), b - learning_rate * np.asarray(dJ_db)
    return _plain(w), _plain(b)


# ----------------------------------------------------------------------------- helpers


def _plain(value: Any) -> Any:
    return float(value) if np.ndim(value) == 0 else value


def _n_rows(batch: Any) -> int:
    return np.shape(batch)[0] if np.ndim(batch) else 1


def _checked(y: Numbers, sigma: Numbers) -> tuple[Any, Any]:
    y, sigma = np.asarray(y), np.asarray(sigma)
    legal = (y >= 0) & (y <= 1)
    if sigma.ndim == 0 or sigma.dtype.kind in "biu":  # a y between 0 and 1 is σ or b out of place
        legal &= (y == 0) | (y == 1)
    if not np.all(legal):
        raise ValueError(
            f"y must be 0 or 1, or an array of values between, got {y[~legal].flat[0]}; the order "
            "is y, sigma or x, y, w, b: name the arguments, and give a soft label as a batch, [0.9]"
        )
    legal = (sigma >= 0) & (sigma <= 1)
    if not np.all(legal):
        raise ValueError(f"sigma must be σ(z), from 0 to 1, got {sigma[~legal].flat[0]}")
    if y.ndim and (y.ndim != sigma.ndim or len(y) != len(sigma)):
        raise ValueError(
            f"y must hold a target for each row, got shape {y.shape} for outputs {sigma.shape}; "
            "give one neuron y of shape (n,), a bank (n, 1) or (n, K)"
        )
    return y, sigma
