"""Sums over a block of rows, for K neurons at once.

A kernel takes a block of m rows and a loss, and returns sums over the rows, never means:
sums can be added, whatever the block sizes and wherever they were computed. `theta` is
(d + 1, K) with the bias in the last row, and dz/dθ is a row of X followed by a 1. Arrays
over the rows are (m, K), and each column is contiguous in memory.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_array

from trainer.core.loss import Loss, sigmoid_derivative
from trainer.core.parallel import scratch

Array = npt.NDArray[Any]

MIN_SYMMETRIC_SIZE = 2**16
"""If X has at least this many entries, a symmetric product costs less than a general one.

Below this, selecting the rows with a negative factor costs more than it saves. Measured on one
core, general and symmetric: 569 × 30 .031 and .049 ms; 1 000 × 100 .49 and .37 ms;
20 000 × 100 15.7 and 10.0 ms."""

MIN_PAIRED_NEURONS, MAX_PAIRED_FEATURES = 8, 100
"""From 8 neurons and half as many as features on, up to 100 features, all outer products are one
matrix product: that of the factors with the products x_i x_j, which every neuron shares.

Measured on one core, 4 000 rows, each neuron alone and all at once: 16 features, 26 neurons 4.5 and
2.2 ms, 100 neurons 20 and 4.6 ms; 30 features, 10 neurons 4.8 and 4.9 ms, 100 neurons 48 and 12 ms;
64 features, 26 neurons 33 and 36 ms, 100 neurons 112 and 50 ms."""

PAIRED_ROWS = 256
"""Rows whose products x_i x_j are held at once: 10 MB for 100 features."""

SQUARED_ENTRIES = 2**18
"""Entries of sparse rows that are squared at once: 2 MB."""


class Block(NamedTuple):
    """A set of rows: X (m, d), dense or CSR; targets y (m, 1 or K); weight (m, 1 or K) or None."""

    X: Any
    y: Array
    weight: Array | None


def value_sums(block: Block, theta: Array, loss: Loss) -> tuple[Array]:
    """Σ weight·l, (K,)."""
    (values,) = loss.evaluate(_weighted_sums(block, theta), block.y, 0)
    return (_sum_over_rows(block, values),)


def gradient_sums(block: Block, theta: Array, loss: Loss) -> tuple[Array, Array]:
    """Σ weight·l (K,) and Σ weight·dl/dz·dz/dθ (d + 1, K)."""
    values, dl_dz = loss.evaluate(_weighted_sums(block, theta), block.y, 1)
    return _sum_over_rows(block, values), _back_to_parameters(block, dl_dz)


def gradient_only_sums(block: Block, theta: Array, loss: Loss) -> tuple[Array]:
    """Only the second result of `gradient_sums`: mini-batches do not need the value."""
    _, dl_dz = loss.evaluate(_weighted_sums(block, theta), block.y, 1)
    return (_back_to_parameters(block, dl_dz),)


def hessian_sums(block: Block, theta: Array, loss: Loss) -> tuple[Array, Array, Array]:
    """The sums of `gradient_sums`, and Σ weight·d²l/dz²·(dz/dθ)(dz/dθ)ᵀ (d + 1, d + 1, K)."""
    values, dl_dz, d2l_dz2 = loss.evaluate(_weighted_sums(block, theta), block.y, 2)
    return (
        _sum_over_rows(block, values),
        _back_to_parameters(block, dl_dz),
        _outer_products(block, d2l_dz2),
    )


def hessian_product_sums(block: Block, theta: Array, direction: Array, loss: Loss) -> tuple[Array]:
    """Σ weight·d²l/dz²·(dz/dθ·s) dz/dθ for a direction s of each neuron, (d + 1, K)."""
    _, _, upstream = loss.evaluate(_weighted_sums(block, theta), block.y, 2)
    upstream *= _weighted_sums(block, direction, "response")
    return (_back_to_parameters(block, upstream),)


def curvatures(block: Block, theta: Array, loss: Loss) -> Array:
    """weight·d²l/dz² of each row, (m, K): no sum, the weights of `gram_product_sums`."""
    _, _, d2l_dz2 = loss.evaluate(_weighted_sums(block, theta), block.y, 2)
    return d2l_dz2 if block.weight is None else d2l_dz2 * block.weight


def score_product_sums(block: Block, theta: Array, loss: Loss) -> tuple[Array]:
    """Σ weight·(dl/dθ)(dl/dθ)ᵀ = Σ weight·(dl/dz)²·(dz/dθ)(dz/dθ)ᵀ (d + 1, d + 1, K)."""
    _, dl_dz = loss.evaluate(_weighted_sums(block, theta), block.y, 1)
    dl_dz *= dl_dz
    return (_outer_products(block, dl_dz),)


def negative_curvature_sums(block: Block, theta: Array, loss: Loss) -> tuple[Array]:
    """Σ weight over the rows with d²l/dz² < 0, (K,)."""
    _, _, d2l_dz2 = loss.evaluate(_weighted_sums(block, theta), block.y, 2)
    return (_sum_over_rows(block, d2l_dz2 < 0),)


def saturation_sums(block: Block, theta: Array, loss: Loss) -> tuple[Array, Array]:
    """Σ weight·dσ/dz (K,) and Σ weight·max|dl/dz| (K,), see `Loss.max_slope`."""
    z = _weighted_sums(block, theta)
    max_slope = _sum_over_rows(block, loss.max_slope(z.copy()))
    return _sum_over_rows(block, sigmoid_derivative(z)), max_slope


def gram_sums(block: Block) -> tuple[Array]:
    """Σ weight·(dz/dθ)(dz/dθ)ᵀ, (d + 1, d + 1, 1 or K)."""
    return (_outer_products(block, np.ones((block.X.shape[0], 1), dtype=block.X.dtype)),)


OUTER_PRODUCTS = frozenset({hessian_sums, score_product_sums, gram_sums})
"""Kernels whose cost grows with d², so that they are faster on larger blocks."""


def gram_product_sums(block: Block, direction: Array) -> tuple[Array]:
    """Σ weight·(dz/dθ·s) dz/dθ, (d + 1, K)."""
    return (_back_to_parameters(block, _weighted_sums(block, direction, "response")),)


def squared_response_sums(block: Block, direction: Array) -> tuple[Array]:
    """Σ weight·(dz/dθ·s)², (K,): how much a step s changes the z's."""
    response = _weighted_sums(block, direction, "response")
    return (_sum_over_rows(block, response * response),)


def squared_feature_sums(block: Block) -> tuple[Array]:
    """Σ weight·(dz/dθ)², the diagonal of `gram_sums`, (d + 1, 1 or K)."""
    X = block.X
    weight = np.ones((X.shape[0], 1), X.dtype) if block.weight is None else block.weight
    sums = np.zeros((X.shape[1] + 1, weight.shape[1]))
    if isinstance(X, np.ndarray):
        sums[:-1] = (X**2).T @ weight
    else:
        n_rows = max(1, SQUARED_ENTRIES * X.shape[0] // max(1, X.nnz))
        for start in range(0, X.shape[0], n_rows):
            some = rows_of_csr(X, slice(start, start + n_rows))
            some.data = some.data**2
            sums[:-1] += _transposed(some) @ weight[start : start + n_rows]
    sums[-1] = np.add.reduce(weight, axis=0, dtype=np.float64)
    return (sums,)


def _weighted_sums(block: Block, theta: Array, name: str = "z") -> Array:
    """Z = Xw + b for every neuron, (m, K), in X's precision, in the scratch array `name`."""
    X, n_neurons = block.X, theta.shape[1]
    if not isinstance(X, np.ndarray):
        z = X @ theta[:-1].astype(X.dtype, copy=False)
    else:
        z = scratch(name, (X.shape[0], n_neurons), X.dtype)
        if theta[0, 0] == 0 and not theta.any():  # X need not be read
            z.fill(0)
            return z
        np.dot(theta[:-1].T.astype(X.dtype, copy=False), X.T, out=z.T)
    z += theta[-1] if n_neurons > 1 else theta[-1, 0]  # adding a scalar is faster
    return z


def _sum_over_rows(block: Block, values: Array) -> Array:
    if block.weight is not None:
        out = None
        if values.dtype == block.X.dtype:
            n_columns = max(values.shape[1], block.weight.shape[1])
            out = scratch("weighted", (values.shape[0], n_columns), values.dtype)
        values = np.multiply(values, block.weight, out=out)
    return np.add.reduce(values, axis=0, dtype=np.float64)


def _back_to_parameters(block: Block, upstream: Array) -> Array:
    """Σ weight·upstream·dz/dθ: the product with dz/dw = x, and below it with dz/db = 1."""
    if block.weight is not None:
        upstream *= block.weight
    X = block.X
    sums = np.empty((X.shape[1] + 1, upstream.shape[1]))
    sums[:-1] = np.dot(upstream.T, X).T if isinstance(X, np.ndarray) else _transposed(X) @ upstream
    sums[-1] = np.add.reduce(upstream, axis=0)
    return sums


def _outer_products(block: Block, factor: Array) -> Array:
    """Σ weight·factor·(dz/dθ)(dz/dθ)ᵀ, one matrix for each column of weight·factor.

    The sums are in float64, whatever the precision of X: a Hessian summed in float32 need not
    be positive definite at a minimum.
    """
    if block.weight is not None:
        factor = factor * block.weight
    X, d = block.X.astype(np.float64, copy=False), block.X.shape[1]
    factor = factor.astype(np.float64, copy=False)
    n_matrices = factor.shape[1]
    is_small = n_matrices * X.size < MIN_SYMMETRIC_SIZE
    if not is_small and isinstance(X, np.ndarray) and shares_pairs(n_matrices, d):
        return _paired_products(X, factor)
    matrices = np.empty((n_matrices, d + 1, d + 1))
    products, sums = matrices[:, :-1, :-1], matrices.transpose(1, 2, 0)
    if not isinstance(X, np.ndarray):
        for k in range(n_matrices):
            products[k] = (_transposed(X) @ X.multiply(factor[:, k : k + 1]).tocsr()).toarray()
    elif is_small:
        products[:] = (X.T * factor.T[:, np.newaxis]) @ X
    else:
        for k in range(n_matrices):
            products[k] = _symmetric_product(X, factor[:, k])
    sums[:-1, -1] = sums[-1, :-1] = _transposed(X) @ factor
    sums[-1, -1] = factor.sum(axis=0)
    return sums


def shares_pairs(n_neurons: int, n_features: int) -> bool:
    """Whether the outer products of a bank are one matrix product."""
    return MIN_PAIRED_NEURONS <= n_neurons >= n_features / 2 and n_features <= MAX_PAIRED_FEATURES


def _paired_products(X: Array, factor: Array) -> Array:
    """`_outer_products` of many neurons: each row's factors times its products x_i x_j, i <= j."""
    size, n_rows = X.shape[1] + 1, min(len(X), PAIRED_ROWS)
    first, second = np.triu_indices(size)
    ends = np.cumsum(np.arange(size, 0, -1))
    columns, pairs = np.ones((size, n_rows)), np.empty((len(first), n_rows))
    totals = np.zeros((len(first), factor.shape[1]))
    for start in range(0, len(X), n_rows):
        part = slice(start, start + n_rows)
        x = columns[:, : len(X[part])]
        x[:-1] = X[part].T
        products = pairs[:, : x.shape[1]]
        for i, end in enumerate(ends.tolist()):
            np.multiply(x[i:], x[i], out=products[end - size + i : end])
        totals += products @ factor[part]
    sums = np.empty((factor.shape[1], size, size))
    sums[:, first, second] = sums[:, second, first] = totals.T
    return sums.transpose(1, 2, 0)


def _symmetric_product(X: Array, factor: Array) -> Array:
    """Σ factor·xxᵀ over the rows of X.

    NumPy computes AᵀA as a symmetric update, at half the cost of a general product. So the rows
    are scaled by √|factor|, and twice the product of those with a negative factor is subtracted.
    """
    if X.size < MIN_SYMMETRIC_SIZE:
        return X.T @ (X * factor[:, np.newaxis])
    scaled = X * np.sqrt(np.abs(factor))[:, np.newaxis]
    product: Array = scaled.T @ scaled
    negative = factor < 0
    if negative.any():
        subtracted = scaled[negative]
        product -= 2 * (subtracted.T @ subtracted)
    return product


def rows_of_csr(X: Any, part: slice) -> Any:
    """Consecutive rows of a CSR matrix that share its memory; SciPy's slices are copies."""
    first, end, _ = part.indices(X.shape[0])
    start = X.indptr[first]
    data = slice(start, X.indptr[end])
    shape, indptr = (end - first, X.shape[1]), X.indptr[first : end + 1] - start
    return _compressed(type(X), shape, X.data[data], X.indices[data], indptr)


def _compressed(
    kind: type, shape: tuple[int, int], data: Array, indices: Array, indptr: Array
) -> Any:
    """A CSR or CSC matrix over these arrays; SciPy's constructor copies views of a small part."""
    matrix = kind(shape, dtype=data.dtype)
    matrix.data, matrix.indices, matrix.indptr = data, indices, indptr
    return matrix


def _transposed(X: Any) -> Any:
    """Xᵀ, which shares the memory of X, dense or CSR."""
    if isinstance(X, np.ndarray):
        return X.T
    return _compressed(csc_array, X.shape[::-1], X.data, X.indices, X.indptr)
