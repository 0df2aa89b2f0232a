"""The protocol of a set of rows, rows in memory, and rows that are read block by block.

`Rows` is everything that an objective requires of its data. `ArrayRows` keeps the rows in
memory. `BlockRows` reads them from anything that can yield blocks of (X, y, weight) repeatedly:
files, a database, a generator function. `docs/extending.md` has an example in ten lines.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.sparse import vstack

from trainer.core import parallel
from trainer.core.kernels import OUTER_PRODUCTS, Block, rows_of_csr, shares_pairs

Array = npt.NDArray[Any]
Kernel = Callable[..., tuple[Array, ...]]

BLOCK_BYTES = 2**21
"""Bytes per block: a block stays in a core's cache from the forward to the backward pass."""

MANY_BLOCKS = 16
"""From this many blocks on, those of a single neuron are twice as large: threads that share
Python's lock need some 70 µs for the calls of a block. A pass over 1 000 000 × 100 took 97 instead
of 105 ms, over 100 000 × 50 3.0 instead of 3.6."""

MIN_BLOCK_ROWS = 256
"""Minimum rows per block; below this, call overhead exceeds the arithmetic."""

MIN_SHARED_BLOCK = 2**21
"""Minimum number of products before a single block, or sparse rows, are divided among threads."""

MIN_LARGE_PRODUCT, ROWS_PER_FEATURE = 200**2, 4
"""Outer products of at least 200 features are summed over blocks of 4 times as many rows.

On smaller blocks, adding the sums costs as much as computing them: 5 000 × 1 000 took 186 ms in
blocks of 256 rows, and 101 ms at once.
"""

GATHERED_ROWS = 2**15
"""Rows that are copied at once, in random order, and then split into mini-batches."""

MAX_PROMOTED = 2**24
"""Largest number of float32 entries, rows × columns, that are trained on in float64 (128 MB).

In float32, sums over features whose mean is 1 000 times their standard deviation have no correct
digit."""


class Rows(Protocol):
    """What an objective requires of a set of n rows, for a bank of K neurons.

    Attributes
    ----------
    n_rows, n_features : int
        n and d.
    dtype : dtype
        Precision of the kernels.
    is_sparse : bool
        Whether X is sparse.
    weight_sum : array of shape (1,) or (K,)
        Sum of the weights, for all neurons or for each.
    """

    n_rows: int
    n_features: int
    dtype: np.dtype[Any]
    is_sparse: bool
    weight_sum: Array

    def map_sum(self, kernel: Kernel, *args: Array) -> tuple[Array, ...]:
        """Sum of ``kernel(block, *args)`` over all blocks, in a fixed order.

        The last axis of every argument and of every sum is that of the bank's K neurons.
        """

    def select(self, neurons: Array) -> "Rows":
        """The same rows with the targets and weights of some of the bank's neurons."""

    def sample(self, rng: np.random.Generator, size: int) -> "Rows":
        """`size` of the rows, drawn without replacement."""

    def minibatches(self, rng: np.random.Generator, size: int) -> Iterator["Rows"]:
        """Every row once, in random order, `size` rows at a time (the last batch may be smaller).

        The `weight_sum` of a batch is that of all rows times the batch's fraction of the rows,
        not the sum of its own weights: so the gradient of a batch is an unbiased estimate of
        the gradient over all rows.
        """

    def reweighted(self, factors: Array, weight_of: Array, y_of: Array | None) -> "Rows":
        """The same rows for another bank, with their weights multiplied by columns of factors.

        Parameters
        ----------
        factors : array of shape (n, W), or an object that returns its rows when sliced
            Factors >= 0 of the weights; rows held out of a fold have 0 in its column.
        weight_of : array of shape (K,)
            Column of `factors` for each neuron.
        y_of : array of shape (K,) or None
            For each new neuron, the neuron of this bank whose targets it uses; None if there is
            only one.
        """


class ArrayRows:
    """Rows in memory, or in a memory map: X is not copied.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d)
        float64 or float32, in C or Fortran order.
    y : array of shape (n,) or (n, T)
        Targets; a single column is used for every neuron, otherwise each neuron has its own.
    weight : array of shape (n,) or (n, W), optional
        Weight of each row, >= 0; None gives every row weight 1.
    y_of, weight_of : array of shape (K,), optional
        Column of `y`, and of `weight`, for each neuron, unless neuron k uses column k: folds
        share targets, and penalties share weights, without being copied.
    weight_sum : array of shape (1,) or (K,), optional
        Divisor of the sums, if it is not the sum of the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from trainer import ArrayRows, Objective
    >>> rows = ArrayRows(np.array([[0.0], [1.0]]), np.array([0.0, 1.0]))
    >>> Objective(rows, alpha=0.1).value(np.zeros((2, 1)))
    array([0.25])
    """

    def __init__(
        self,
        X: Any,
        y: Array,
        weight: Array | None = None,
        y_of: Array | None = None,
        weight_of: Array | None = None,
        weight_sum: Array | None = None,
    ) -> None:
        self.X = X
        self.y = _as_columns(y)
        self.weight = None if weight is None else _as_columns(weight)
        self.y_of, self.weight_of = y_of, weight_of
        self.n_rows, self.n_features = X.shape
        self.dtype = X.dtype
        self.is_sparse = not isinstance(X, np.ndarray)
        self.weight_sum = self._sum_weights() if weight_sum is None else weight_sum

    def map_sum(self, kernel: Kernel, *args: Array) -> tuple[Array, ...]:
        """See `Rows.map_sum`."""
        n_neurons = args[0].shape[1] if args else 1
        if n_neurons == 1 and self.n_rows <= MIN_BLOCK_ROWS:  # in a mini-batch every call counts
            return kernel(self._block(None), *args)
        size = self._block_rows(n_neurons)
        with parallel.session():
            if n_neurons == 1 and size >= self.n_rows:  # nor is there anything to divide here
                return kernel(self._block(None), *args)
            n_products = 1
            if getattr(kernel, "func", kernel) in OUTER_PRODUCTS:
                n_products = self.n_features
            is_whole = size >= self.n_rows or (self.is_sparse and self._is_small(n_neurons))
            if not is_whole:  # a small fit need not ask the system for its processors
                n_threads = parallel.session_threads()
                are_long = self.is_sparse or n_products * self.n_features > MIN_LARGE_PRODUCT
                min_blocks = 2 if are_long or n_products > 1 else 2 * n_threads + 1
                if are_long:  # sparse rows are read only once in either case
                    share = -(-self.n_rows // n_threads)
                    most = share if self.is_sparse else ROWS_PER_FEATURE * self.n_features
                    size = max(size, min(share, most))
                is_whole = size >= self.n_rows
            if is_whole:
                return self._one_block(kernel, args, n_products)
            starts = range(0, self.n_rows, size)
            if n_threads == 1 or len(starts) < min_blocks:
                return self._add_blocks(kernel, args, starts)
            ends = [i * len(starts) // n_threads for i in range(n_threads + 1)]
            parts = [starts[a:b] for a, b in pairwise(ends)]
            tasks = [partial(self._add_blocks, kernel, args, part) for part in parts]
            return add_sums(parallel.run(tasks))

    def sum_on_this_thread(self, kernel: Kernel, *args: Array) -> tuple[Array, ...]:
        """As `map_sum`, by one thread whose BLAS runs on one core: the same bits anywhere."""
        n_neurons = args[0].shape[1] if args else 1
        step = self.n_rows if self.is_sparse else self._block_rows(n_neurons)
        with parallel.session(), np.errstate(all="ignore"):
            return self._add_blocks(kernel, args, range(0, self.n_rows, step))

    def _one_block(
        self, kernel: Kernel, args: tuple[Array, ...], n_products: int
    ) -> tuple[Array, ...]:
        """All rows as one block; its neurons are divided among threads if that is faster."""
        n_neurons = args[0].shape[1] if args else 1
        work = self.n_rows * self.n_features * n_neurons * n_products
        # each thread would compute the pairs that outer products share
        is_shared = n_products > 1 and shares_pairs(n_neurons, self.n_features)
        if self.is_sparse or n_neurons == 1 or work < MIN_SHARED_BLOCK or is_shared:
            return kernel(self._block(None), *args)
        n_threads = min(parallel.session_threads(), n_neurons)
        parts = np.array_split(np.arange(n_neurons), n_threads)
        tasks = [partial(self._of_neurons, kernel, args, part, None) for part in parts]
        found = parallel.run(tasks)
        return tuple(np.concatenate(sums, axis=-1) for sums in zip(*found, strict=True))

    def _of_neurons(
        self, kernel: Kernel, args: tuple[Array, ...], neurons: Array, part: slice | None
    ) -> tuple[Array, ...]:
        """The kernel's sums for some neurons over one block; over all rows if `part` is None."""
        return kernel(self.select(neurons)._block(part), *(values[:, neurons] for values in args))

    def _add_blocks(
        self, kernel: Kernel, args: tuple[Array, ...], starts: range
    ) -> tuple[Array, ...]:
        """Sums over the blocks that begin at `starts`, in order."""
        totals: tuple[Array, ...] = ()
        for start in starts:
            part = slice(start, start + starts.step)
            active = self._active(part) if args else None
            if active is None:
                sums = kernel(self._block(part), *args)
            else:
                sums = self._of_neurons(kernel, args, active, part)
                sums = tuple(_scatter(values, active, args[0].shape[1]) for values in sums)
            totals = add_sums([totals, sums]) if totals else sums
        return totals

    def _active(self, part: slice) -> Array | None:
        """Neurons for which some of these rows have weight, at least one neuron; None for all.

        Contiguous rows that are held out of a fold are therefore skipped for that fold.
        """
        if self.weight is None or self.weight_of is None:
            return None
        active: Array = np.any(self.weight[part], axis=0)[self.weight_of]
        if active.all():
            return None
        return np.flatnonzero(active) if active.any() else np.array([0])

    def _block(self, part: slice | None) -> Block:
        """Some of the rows, or all, with the target and weight columns of each neuron."""
        X, y, weight = self.X, self.y, self.weight
        if part is not None:
            X, y = X[part] if isinstance(X, np.ndarray) else rows_of_csr(X, part), y[part]
            weight = None if weight is None else weight[part]
        if self.y_of is not None:
            y = _columns(y, self.y_of)
        if weight is not None and self.weight_of is not None:
            if (weight == 1).all(axis=0)[self.weight_of].all():
                weight = None  # rows that every fold trains on
            else:
                weight = _columns(weight, self.weight_of)
        return Block(X, y, weight)

    def _block_rows(self, n_neurons: int) -> int:
        row_bytes = self.dtype.itemsize * (self.n_features + 4 * n_neurons)
        n_rows = max(MIN_BLOCK_ROWS, BLOCK_BYTES // row_bytes)
        is_long = n_neurons == 1 and self.n_rows >= MANY_BLOCKS * n_rows
        return 2 * n_rows if is_long else n_rows

    def _is_small(self, n_neurons: int) -> bool:
        return bool(self.X.nnz * n_neurons < MIN_SHARED_BLOCK)

    def _sum_weights(self) -> Array:
        if self.weight is None:
            return np.array([float(self.n_rows)])
        sums = self.weight.sum(axis=0, dtype=np.float64)
        return sums if self.weight_of is None else sums[self.weight_of]

    def select(self, neurons: Array) -> "ArrayRows":
        """See `Rows.select`."""
        sums = self.weight_sum
        return ArrayRows(
            self.X,
            self.y,
            self.weight,
            _selected(self.y, self.y_of, neurons),
            _selected(self.weight, self.weight_of, neurons),
            sums if len(sums) == 1 else sums[neurons],
        )

    def sample(self, rng: np.random.Generator, size: int) -> "ArrayRows":
        """See `Rows.sample`."""
        candidates: Any = self.n_rows
        if self.weight is not None and not (counts := self.weight.any(axis=1)).all():
            candidates = np.flatnonzero(counts)  # else a sample may have no weight at all
            size = min(size, len(candidates))
        drawn = rng.choice(candidates, size, replace=False, shuffle=False)
        drawn.sort()
        return ArrayRows(*promoted(*self._take(drawn)), self.y_of, self.weight_of)

    def minibatches(self, rng: np.random.Generator, size: int) -> Iterator["ArrayRows"]:
        """See `Rows.minibatches`."""
        order = rng.permutation(self.n_rows)
        step = size * max(1, GATHERED_ROWS // size)
        groups = [order[start : start + step] for start in range(0, self.n_rows, step)]
        share = self.weight_sum / self.n_rows
        with ThreadPoolExecutor(1) as pool:  # gathers the next rows while these are processed
            coming = pool.submit(self._take, groups[0])
            for following in [*groups[1:], None]:
                X, y, weight = coming.result()
                if following is not None:
                    coming = pool.submit(self._take, following)
                for first in range(0, X.shape[0], size):
                    part = slice(first, first + size)
                    batch = X[part]
                    yield ArrayRows(
                        batch,
                        y[part],
                        None if weight is None else weight[part],
                        self.y_of,
                        self.weight_of,
                        share * batch.shape[0],
                    )

    def reweighted(self, factors: Array, weight_of: Array, y_of: Array | None) -> "ArrayRows":
        """See `Rows.reweighted`."""
        factors = factors[:].astype(self.dtype, copy=False)
        if self.weight is not None:
            factors = factors * self.weight
        return ArrayRows(self.X, self.y, factors, y_of, weight_of)

    def with_weights(self, function: Callable[..., Array], *args: Any) -> "ArrayRows":
        """The same rows with ``function(block, *args)`` (n, K) as weights, but the same divisor."""
        weight = function(self._block(None), *args)
        return ArrayRows(self.X, self.y, weight, self.y_of, weight_sum=self.weight_sum)

    def _take(self, index: Array) -> tuple[Any, Array, Array | None]:
        """Copies of some of the rows."""
        return _taken(self.X, index), _taken(self.y, index), _taken(self.weight, index)


class BlockRows:
    """Rows that are read block by block, from a function that opens them anew for every pass.

    Parameters
    ----------
    blocks : callable
        Returns an iterator over (X, y, weight), as `ArrayRows` takes them. The order of the
        blocks and the number of rows in each must not change between passes. If it has a method
        `take(index)`, that returns (X, y, weight) of some rows without a pass over all.
    n_rows, n_features, n_targets : int
        Total number of rows, columns of X, and columns of y.
    dtype : dtype
        Precision of X.
    is_sparse : bool
        Whether X is sparse.
    y_of, weight_of : array of shape (K,), optional
        As in `ArrayRows`.
    factors : array of shape (n, W), optional
        As in `Rows.reweighted`.
    """

    def __init__(
        self,
        blocks: Callable[[], Iterator[tuple[Any, Array, Array | None]]],
        n_rows: int,
        n_features: int,
        n_targets: int,
        dtype: Any,
        is_sparse: bool = False,
        y_of: Array | None = None,
        weight_of: Array | None = None,
        factors: Array | None = None,
        weight_sum: Array | None = None,
    ) -> None:
        self.blocks, self.n_rows = blocks, n_rows
        self.n_features, self.n_targets = n_features, n_targets
        self.dtype, self.is_sparse = np.dtype(dtype), is_sparse
        self.y_of, self.weight_of, self.factors = y_of, weight_of, factors
        self.weight_sum = self._sum_weights() if weight_sum is None else weight_sum

    def _parts(self) -> Iterator[ArrayRows]:
        """Each block in turn, as rows in memory."""
        start = 0
        for X, y, weight in self.blocks():
            weight = self._times_factors(weight, slice(start, start + X.shape[0]))
            start += X.shape[0]
            yield ArrayRows(X, y, weight, self.y_of, self.weight_of)
        if start != self.n_rows:
            raise ValueError(
                f"a source of rows must yield the same rows in every pass, got {start} rows "
                f"after {self.n_rows}; return a new iterator over all blocks in each call"
            )

    def _times_factors(self, weight: Array | None, rows: Any) -> Array | None:
        if self.factors is None:
            return weight
        factors = self.factors[rows]
        return factors if weight is None else factors * _as_columns(weight)

    def _sum_weights(self) -> Array:
        total: Any = 0
        for part in self._parts():
            total = total + part.weight_sum
        return np.asarray(total, dtype=np.float64)

    def map_sum(self, kernel: Kernel, *args: Array) -> tuple[Array, ...]:
        """See `Rows.map_sum`."""
        totals: tuple[Array, ...] = ()
        with parallel.session():
            for part in self._parts():
                sums = part.map_sum(kernel, *args)
                totals = add_sums([totals, sums]) if totals else sums
        return totals

    def select(self, neurons: Array) -> "BlockRows":
        """See `Rows.select`."""
        sums = self.weight_sum
        own = neurons if self.n_targets > 1 else None
        return self._with(
            y_of=own if self.y_of is None else self.y_of[neurons],
            weight_of=None if self.weight_of is None else self.weight_of[neurons],
            weight_sum=sums if len(sums) == 1 else sums[neurons],
        )

    def _with(self, **changes: Any) -> "BlockRows":
        return BlockRows(**{**vars(self), **changes})

    def sample(self, rng: np.random.Generator, size: int) -> ArrayRows:
        """See `Rows.sample`; one pass, unless the blocks have `take` or many have no weight."""
        rows = sample_with_weight(rng, self.n_rows, size, self._take)
        return ArrayRows(*promoted(*rows), self.y_of, self.weight_of)

    def _take(self, index: Array) -> tuple[Any, Array, Array | None]:
        """Copies of those of some rows, in rising order, that have weight."""
        taken, start = [], 0
        if hasattr(self.blocks, "take"):
            for few in np.array_split(index, range(GATHERED_ROWS, len(index), GATHERED_ROWS)):
                X, y, weight = self.blocks.take(few)
                taken.append(with_weight(X, y, self._times_factors(weight, few)))
            return stacked(taken)
        for part in self._parts():
            end = start + part.n_rows
            taken.append(with_weight(*part._take(index[(index >= start) & (index < end)] - start)))
            start = end
        return stacked(taken)

    def minibatches(self, rng: np.random.Generator, size: int) -> Iterator[ArrayRows]:
        """See `Rows.minibatches`; rows are shuffled within groups of consecutive blocks."""
        share = self.weight_sum / self.n_rows
        kept: list[tuple[Any, Array, Array | None]] = []
        n_kept = n_seen = 0
        for part in self._parts():
            kept.append((part.X, part.y, part.weight))
            n_kept += part.n_rows
            n_seen += part.n_rows
            is_last = n_seen == self.n_rows
            if n_kept < GATHERED_ROWS and not is_last:
                continue
            whole = ArrayRows(*stacked(kept), self.y_of, self.weight_of)
            order = rng.permutation(n_kept)
            n_dealt = n_kept if is_last else n_kept - n_kept % size
            for first in range(0, n_dealt, size):
                index = order[first : min(first + size, n_dealt)]
                yield ArrayRows(*whole._take(index), self.y_of, self.weight_of, share * len(index))
            kept, n_kept = [whole._take(order[n_dealt:])], n_kept - n_dealt

    def reweighted(self, factors: Array, weight_of: Array, y_of: Array | None) -> "BlockRows":
        """See `Rows.reweighted`."""
        return self._with(y_of=y_of, weight_of=weight_of, factors=factors, weight_sum=None)


def sample_with_weight(
    rng: np.random.Generator,
    n_rows: int,
    size: int,
    take: Callable[[Array], tuple[Any, Array, Array | None]],
) -> tuple[Any, Array, Array | None]:
    """`size` of the rows with weight, or all, drawn without replacement.

    Parameters
    ----------
    rng : Generator
        Draws the rows.
    n_rows, size : int
        Number of rows, and of those to draw.
    take : callable
        Returns (X, y, weight) of those of some rows, given in rising order, that have weight.
    """
    n_drawn = size
    while True:
        rows = take(np.sort(rng.choice(n_rows, n_drawn, replace=False, shuffle=False)))
        n_found = len(rows[1])
        if n_found >= size or n_drawn == n_rows:
            break
        # without any a sample has no cost: draw as many more as are without weight
        n_drawn = min(n_rows, 2 * n_drawn * size // max(1, n_found))
    if n_found > size:
        index = np.sort(rng.choice(n_found, size, replace=False, shuffle=False))
        rows = _taken(rows[0], index), _taken(rows[1], index), _taken(rows[2], index)
    return rows


def with_weight(X: Any, y: Array, weight: Array | None) -> tuple[Any, Array, Array | None]:
    """The rows whose weight is not 0."""
    if weight is None or (counts := _as_columns(weight).any(axis=1)).all():
        return X, y, weight
    return X[counts], y[counts], weight[counts]


def promoted(X: Any, y: Array, weight: Array | None) -> tuple[Any, Array, Array | None]:
    """The same arrays, in float64 if X is float32 and small enough; see `MAX_PROMOTED`.

    The weights get the precision of X.
    """
    if is_promoted(X):
        X, y = X.astype(np.float64), y.astype(np.float64)
    return X, y, None if weight is None else weight.astype(X.dtype, copy=False)


def is_promoted(X: Any) -> bool:
    """Whether `promoted` turns X into float64."""
    return bool(X.dtype == np.float32 and X.size <= MAX_PROMOTED)


def add_sums(parts: list[tuple[Array, ...]]) -> tuple[Array, ...]:
    """Add all sums to those of the first part, in order, and in place if the shapes are equal.

    They differ if all neurons have the same weights in one block but not in another.
    """
    totals = list(parts[0])
    for sums in parts[1:]:
        for i, more in enumerate(sums):
            if totals[i].shape == more.shape:
                totals[i] += more
            else:
                totals[i] = totals[i] + more
    return tuple(totals)


def _scatter(sums: Array, neurons: Array, n_neurons: int) -> Array:
    """Sums of some neurons, with zeros for the others."""
    whole = np.zeros((*sums.shape[:-1], n_neurons))
    whole[..., neurons] = sums
    return whole


def _taken(part: Any, index: Array) -> Any:
    """Copies of rows of X, y or the weights, in the same memory order."""
    if part is None or not isinstance(part, np.ndarray):
        return None if part is None else part[index]
    if part.flags.f_contiguous and not part.flags.c_contiguous:
        return part.T.take(index, axis=1).T  # `take` would first copy the whole array
    return part.take(index, axis=0)


def stacked(parts: list[tuple[Any, Array, Array | None]]) -> tuple[Any, Array, Array | None]:
    """Concatenate several (X, y, weight); where only some have weights, the others weigh 1."""
    if len(parts) == 1:
        return parts[0]
    X, y, weight = zip(*parts, strict=True)
    rows = np.concatenate(X) if isinstance(X[0], np.ndarray) else vstack(X, format="csr")
    if all(part is None for part in weight):
        return rows, np.concatenate(y), None
    weights = [
        np.ones((len(labels), 1), rows.dtype) if part is None else _as_columns(part)
        for part, labels in zip(weight, y, strict=True)
    ]
    n_columns = max(part.shape[1] for part in weights)
    widened = [np.broadcast_to(part, (len(part), n_columns)) for part in weights]
    return rows, np.concatenate(y), np.concatenate(widened)


def _as_columns(values: Array) -> Array:
    """Targets or weights (n,) or (n, W) as (n, W)."""
    return values if values.ndim == 2 else values[:, np.newaxis]


def _columns(values: Array, index: Array) -> Array:
    """The column of each neuron; `np.take` would first copy all columns of a block of rows."""
    return values.T[index].T


def _selected(values: Array | None, columns: Array | None, neurons: Array) -> Array | None:
    """The columns that belong to some of the neurons."""
    if columns is not None:
        return columns[neurons]
    if values is None or values.shape[1] == 1:
        return None
    is_all = len(neurons) == values.shape[1] and (neurons == np.arange(len(neurons))).all()
    return None if is_all else neurons  # without numbers, no column is copied
