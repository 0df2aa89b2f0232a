"""The lesson's fast twins: sums of `trainer.chain_rule`'s derivatives over a block of rows.

A kernel sees one block of m rows and a bank of K neurons with parameters `theta`
(d + 1, K), the bias in the last row. It returns sums over its rows, never means:
sums add, whatever the sizes of the blocks. Arrays over the block's rows, (m, K), are
used up in place and lie column by column in memory, so that each neuron's is one run.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Block(Protocol):
    """Some rows: X (m, d), dense or sparse, labels (m, 1 or K), weight (m, 1 or K) or None.

    The labels are the y's in [0, 1], or, if they are `signed`, 1 - 2y of y's that are all 0
    or 1: the sign of the z's that are wrong. `room` keeps arrays over the rows from block to
    block, by name: fresh memory for each would cost as much as the arithmetic in it.
    """

    @property
    def X(self) -> Any: ...
    @property
    def labels(self) -> Array: ...
    @property
    def signed(self) -> bool: ...
    @property
    def weight(self) -> Array | None: ...
    @property
    def room(self) -> dict[str, Array]: ...


def cost_sums(block: Block, theta: Array) -> tuple[Array]:
    """Σ weight·l over the block's rows, (K,)."""
    loss, _, _ = _loss_and_slopes(block, _weighted_sums(block, theta))
    return (_sum_over_rows(block, loss),)


def gradient_sums(block: Block, theta: Array) -> tuple[Array, Array]:
    """Σ weight·l (K,) and Σ weight·dl/dz·dz/dθ (d + 1, K) over the block's rows."""
    loss, half_slope, _ = _loss_and_slopes(block, _weighted_sums(block, theta))
    return _sum_over_rows(block, loss), 2 * _back_to_parameters(block, half_slope)


def slope_sums(block: Block, theta: Array) -> tuple[Array]:
    """The second of `gradient_sums` alone: mini-batches have no use for their cost."""
    _, half_slope, _ = _loss_and_slopes(block, _weighted_sums(block, theta))
    return (2 * _back_to_parameters(block, half_slope),)


def hessian_sums(block: Block, theta: Array) -> tuple[Array, Array, Array]:
    """The sums of `gradient_sums`, and Σ weight·d²l/dz²·(dz/dθ)(dz/dθ)ᵀ (d + 1, d + 1, K)."""
    zs = _weighted_sums(block, theta)
    loss, half_slope, half_curvature = _loss_and_slopes(block, zs, curved=True)
    return (
        _sum_over_rows(block, loss),
        2 * _back_to_parameters(block, half_slope),
        2 * _outer_products(block, half_curvature),
    )


def score_product_sums(block: Block, theta: Array) -> tuple[Array]:
    """Σ weight·(dl/dθ)(dl/dθ)ᵀ = Σ weight·(dl/dz)²·(dz/dθ)(dz/dθ)ᵀ (d + 1, d + 1, K)."""
    _, half_slope, _ = _loss_and_slopes(block, _weighted_sums(block, theta))
    half_slope *= half_slope
    return (4 * _outer_products(block, half_slope),)


def gram_sums(block: Block) -> tuple[Array]:
    """Σ weight·(dz/dθ)(dz/dθ)ᵀ over the block's rows, (d + 1, d + 1, 1 or K)."""
    return (_outer_products(block, np.ones((block.X.shape[0], 1), dtype=block.X.dtype)),)


def hessian_product_sums(block: Block, theta: Array, direction: Array) -> tuple[Array]:
    """Σ weight·d²l/dz²·(dz/dθ·s) dz/dθ over the block's rows, for a direction s each (d + 1, K)."""
    zs = _weighted_sums(block, theta)
    _, _, upstream = _loss_and_slopes(block, zs, curved=True)
    upstream *= _weighted_sums(block, direction, "response")
    return (2 * _back_to_parameters(block, upstream),)


def saturation_sums(block: Block, theta: Array) -> tuple[Array, Array]:
    """Σ weight·σ(1 - σ) (K,) and Σ weight·σ(1 - σ)·|dz/dw| (d, K) over the block's rows."""
    sigma, one_minus_sigma = _sigmoid_pair_in_place(block, _weighted_sums(block, theta))
    slope = sigma * one_minus_sigma
    if block.weight is not None:
        slope *= block.weight
    return slope.sum(axis=0, dtype=np.float64), (abs(block.X).T @ slope).astype(np.float64)


def misfit_sums(block: Block, theta: Array) -> tuple[Array]:
    """Σ weight over the block's rows whose curvature d²l/dz² is negative (K,)."""
    _, _, curvature = _loss_and_slopes(block, _weighted_sums(block, theta), curved=True)
    return (_sum_over_rows(block, curvature < 0),)


def squared_response_sums(block: Block, direction: Array) -> tuple[Array]:
    """Σ weight·(dz/dθ·s)² over the block's rows (K,): how far a step s moves the z's."""
    response = _weighted_sums(block, direction, "response")
    return (_sum_over_rows(block, response * response),)


def squared_column_sums(block: Block) -> tuple[Array]:
    """Σ weight·(dz/dθ)² over the block's rows, (d + 1, 1 or K)."""
    X = block.X
    weight = np.ones((X.shape[0], 1), X.dtype) if block.weight is None else block.weight
    squares = X**2 if isinstance(X, np.ndarray) else _like(X, X.data**2)
    sums = np.empty((X.shape[1] + 1, weight.shape[1]))
    sums[:-1] = squares.T @ weight
    sums[-1] = np.add.reduce(weight, axis=0, dtype=np.float64)
    return (sums,)


def gram_product_sums(block: Block, direction: Array) -> tuple[Array]:
    """Σ weight·(dz/dθ·s) dz/dθ over the block's rows (d + 1, K)."""
    return (_back_to_parameters(block, _weighted_sums(block, direction, "response")),)


def _weighted_sums(block: Block, theta: Array, name: str = "z") -> Array:
    """Twin of `z` for a bank: X W + b, (m, K), in X's precision."""
    X, n_neurons = block.X, theta.shape[1]
    if not isinstance(X, np.ndarray):
        zs = X @ theta[:-1].astype(X.dtype, copy=False)
    else:
        zs = _room(block, name, n_neurons)
        if theta[0, 0] == 0 and not theta.any():  # neurons at rest: X need not be read
            zs.fill(0)
            return zs
        np.dot(theta[:-1].T.astype(X.dtype, copy=False), X.T, out=zs.T)
    zs += theta[-1] if n_neurons > 1 else theta[-1, 0]  # a number adds faster than an array
    return zs


def _room(block: Block, name: str, n_neurons: int) -> Array:
    """Memory for an array (m, K), each neuron's column one run."""
    shape = block.X.shape[0], n_neurons
    kept = block.room.get(name)
    if kept is None or kept.shape != shape or kept.dtype != block.X.dtype:
        size = n_neurons * shape[0]
        memory = None if kept is None else kept.base
        if memory is None or memory.size < size or memory.dtype != block.X.dtype:
            memory = np.empty(size, block.X.dtype)
        kept = block.room[name] = memory[:size].reshape(n_neurons, shape[0]).T
    return kept


def _loss_and_slopes(block: Block, zs: Array, curved: bool = False) -> tuple[Array, Array, Any]:
    """Twin of `l`, and of `dl_dz` and, if `curved`, `d2l_dz2`, both halved; uses up `zs`."""
    if block.signed:
        return _from_margin(block, zs, curved)
    return _from_residual(block, zs, curved)


def _from_residual(block: Block, zs: Array, curved: bool) -> tuple[Array, Array, Any]:
    """Any y: r = σ - y, l = r², dl/dz = 2vr, d²l/dz² = 2v(v + r(1 - 2σ)), with v = σ(1 - σ)."""
    y = block.labels
    sigma, one_minus_sigma = _sigmoid_pair_in_place(block, zs)
    residual = (1 - y) * sigma
    residual -= y * one_minus_sigma
    curvature = one_minus_sigma - sigma if curved else None
    slope = sigma
    slope *= one_minus_sigma
    if curvature is not None:
        curvature *= residual
        curvature += slope
        curvature *= slope
    slope *= residual
    residual *= residual
    return residual, slope, curvature


def _from_margin(block: Block, zs: Array, curved: bool) -> tuple[Array, Array, Any]:
    """Y of 0 and 1: with q the probability of the wrong label, p of the right one, and ±1 = 1 - 2y.

    l = q², dl/dz = ±2pq², d²l/dz² = 2pq²(3p - 1).
    """
    side = block.labels
    zs *= side
    wrong, right = _sigmoid_pair_in_place(block, zs)
    curvature = 3 * right - 1 if curved else None
    wrong *= wrong
    right *= wrong
    if curvature is not None:
        curvature *= right
    right *= side
    return wrong, right, curvature


def _sigmoid_pair_in_place(block: Block, zs: Array) -> tuple[Array, Array]:
    """Twin of `_sigmoid_pair`, with one exponential and no selection; uses up `zs`.

    Held where exp would overflow; 1 - σ is next to nothing there, and no normal number.
    """
    np.minimum(zs, 708.0 if zs.dtype == np.float64 else 87.0, out=zs)
    sigma = np.exp(zs, out=_room(block, "sigma", zs.shape[1]))
    np.add(sigma, 1.0, out=zs)
    np.reciprocal(zs, out=zs)
    sigma *= zs
    return sigma, zs


def _like(X: Any, data: Array) -> Any:
    """A sparse matrix with other numbers in X's places, which it shares."""
    return type(X)((data, X.indices, X.indptr), shape=X.shape)


def _sum_over_rows(block: Block, values: Array) -> Array:
    if block.weight is not None:
        n_neurons = max(values.shape[1], block.weight.shape[1])
        room = _room(block, "weighted", n_neurons) if values.dtype == block.X.dtype else None
        values = np.multiply(values, block.weight, out=room)
    return np.add.reduce(values, axis=0, dtype=np.float64)


def _back_to_parameters(block: Block, upstream: Array) -> Array:
    """Σ upstream·dz/dθ: the product with dz/dw = x, and below it with dz/db = 1."""
    if block.weight is not None:
        upstream *= block.weight
    X = block.X
    sums = np.empty((X.shape[1] + 1, upstream.shape[1]))
    sums[:-1] = np.dot(upstream.T, X).T if isinstance(X, np.ndarray) else X.T @ upstream
    sums[-1] = np.add.reduce(upstream, axis=0)
    return sums


def _outer_products(block: Block, factor: Array) -> Array:
    """Σ weight·factor·(dz/dθ)(dz/dθ)ᵀ, one matrix for each column of weight·factor."""
    if block.weight is not None:
        factor = factor * block.weight
    X, d = block.X, block.X.shape[1]
    sums = np.empty((d + 1, d + 1, factor.shape[1]))
    for k in range(factor.shape[1]):
        if isinstance(X, np.ndarray):
            sums[:-1, :-1, k] = X.T @ (X * factor[:, k : k + 1])
        else:
            sums[:-1, :-1, k] = (X.T @ X.multiply(factor[:, k : k + 1]).tocsr()).toarray()
    sums[:-1, -1] = sums[-1, :-1] = X.T @ factor
    sums[-1, -1] = factor.sum(axis=0)
    return sums
