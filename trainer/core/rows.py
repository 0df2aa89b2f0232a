"""Where rows come from: blocks of (X, y, weight), behind two verbs.

``map_sum`` runs a kernel on every block and adds the results; ``minibatches``
offers small random samples that are rows themselves. Nothing else in the trainer
knows how or where the rows are kept.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from joblib import cpu_count
from threadpoolctl import ThreadpoolController

Array = npt.NDArray[Any]
Kernel = Callable[..., tuple[Array, ...]]

BLOCK_BYTES = 2**21
"""Bytes that one block keeps busy: it stays in a core's own cache from forward to backward pass."""

FEWEST_ROWS = 256
"""A block has so many rows at least, or calls would cost more than sums."""

N_THREADS = cpu_count()
"""Threads that share large work, the calling one among them; each runs BLAS on its own core."""


MANY_NEURONS = 8
"""From so many on a bank is large."""

LARGE_BLOCK = 2**21
"""From so many rows × columns × neurons on they are worth a second thread."""

GATHERED_ROWS = 2**15
"""Rows copied together, in random order, to be dealt out as mini-batches."""


class Block(NamedTuple):
    """Some rows, as kernels see them: `trainer.core.kernels.Block`."""

    X: Any
    labels: Array
    signed: bool
    weight: Array | None
    room: dict[str, Array]


class Rows(Protocol):
    """What the objective asks of a set of rows."""

    n_rows: int
    n_features: int
    n_read: list[int]
    """Rows read so far, in a list that is shared with all that is taken from these rows."""
    is_sparse: bool
    dtype: np.dtype[Any]
    """Precision of the kernels."""
    weight_sum: Array
    """Sum of the weights, (1,) or (K,)."""

    def map_sum(self, kernel: Kernel, *args: Array) -> tuple[Array, ...]:
        """Sum of ``kernel(block, *args)`` over all blocks, in a fixed order."""

    def at_work(self, n_neurons: int) -> AbstractContextManager[Any]:
        """What these rows need at hand while a bank is trained on them."""

    def minibatches(self, rng: np.random.Generator, size: int) -> Iterator["Rows"]:
        """Every row once, in random order, `size` at a time (the last batch may be smaller).

        What is yielded may be one object that moves on.
        """

    def sample(self, rng: np.random.Generator, size: int) -> "Rows":
        """`size` of the rows, drawn without replacement."""

    def columns(self, index: Array) -> "Rows":
        """The same rows with the targets and weights of some of the bank's neurons."""


class ArrayRows:
    """Rows in memory, or in a memory map: X is read where it is and never copied.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d)
        float64 or float32, in C or Fortran order.
    y : array of shape (n,) or (n, K)
        Targets in [0, 1]; one column serves every neuron, K columns serve one each.
    weight : array of shape (n,) or (n, K), optional
        Weight of each row, not negative; None weighs all rows 1.
    y_of, weight_of : array of shape (K,), optional
        Which column of y, and of `weight`, is each neuron's, where it is not its own: the
        folds of a cross-validation share their targets, the penalties their weights.

    Attributes
    ----------
    n_read : list of one int
        Rows that kernels have read so far, from here and from what was taken from here.
    """

    def __init__(
        self,
        X: Any,
        y: Array,
        weight: Array | None = None,
        y_of: Array | None = None,
        weight_of: Array | None = None,
    ) -> None:
        self.X = X
        self.dtype = X.dtype
        self.is_sparse = not isinstance(X, np.ndarray)
        self.n_read = [0]
        self.crew: list[ThreadPoolExecutor] = []
        self.rooms: list[dict[str, Array]] = [{} for _ in range(N_THREADS)]
        y = _as_columns(y)
        signs = 1 - 2 * y
        self.signed = bool((np.abs(signs) == 1).all())
        self.labels = signs if self.signed else y
        self.weight = None if weight is None else _as_columns(weight)
        self.y_of, self.weight_of = y_of, weight_of
        self.n_rows, self.n_features = X.shape
        self.weight_sum = self._sum_weights()

    def map_sum(self, kernel: Kernel, *args: Array) -> tuple[Array, ...]:
        """Sum of ``kernel(block, *args)`` over all blocks, in a fixed order."""
        self.n_read[0] += self.n_rows
        n_neurons = args[0].shape[1] if args else 1
        size = self._block_rows(n_neurons)
        if size < self.n_rows and not self.is_sparse:
            starts = range(0, self.n_rows, size)
            if not self._shares_rows(n_neurons):
                return self._add_blocks(kernel, args, starts, self.rooms[0])
            ends = [i * len(starts) // N_THREADS for i in range(N_THREADS + 1)]
            tasks = [(kernel, args, starts[a:b]) for a, b in pairwise(ends)]
            return _add(self._in_threads(n_neurons, ArrayRows._add_blocks, tasks))
        # sparse rows are read but once either way, and cutting them out copies them
        if not self._shares_neurons(n_neurons):
            return kernel(self._block(None, self.rooms[0]), *args)
        parts = np.array_split(np.arange(n_neurons), N_THREADS)
        found = self._in_threads(
            n_neurons, ArrayRows._of_neurons, [(kernel, args, part) for part in parts]
        )
        return tuple(np.concatenate(sums, axis=-1) for sums in zip(*found, strict=True))

    def _in_threads(self, n_neurons: int, work: Callable[..., Any], tasks: list[Any]) -> list[Any]:
        """Results of the tasks: the first is done here, each other by a thread of its own."""
        with self.at_work(n_neurons) as pool:
            others = [
                pool.submit(work, self, *task, room)
                for task, room in zip(tasks[1:], self.rooms[1:], strict=True)
            ]
            try:
                first = work(self, *tasks[0], self.rooms[0])
            except BaseException:  # Ctrl-C among them: the others' rooms are soon used again
                wait(others)
                raise
            return [first, *(other.result() for other in others)]

    @contextmanager
    def at_work(self, n_neurons: int) -> Iterator[Any]:
        """Keep threads at hand, if there is work to share, for all that is done in the block.

        BLAS runs on one core meanwhile: its own threads go on spinning for a while after
        each call, on the cores that the blocks are worked on. So it does for a large bank on
        few rows, whose products are too small to share.
        """
        shared = self._shares_rows(n_neurons) or self._shares_neurons(n_neurons)
        if self.crew or not (shared or n_neurons > MANY_NEURONS):
            yield self.crew[0] if self.crew else None
        elif not shared:
            with _blas().limit(limits=1):
                yield None
        else:
            with _blas().limit(limits=1), ThreadPoolExecutor(max(N_THREADS - 1, 1)) as pool:
                self.crew.append(pool)
                try:
                    yield pool
                finally:
                    self.crew.clear()

    def _block_rows(self, n_neurons: int) -> int:
        row_bytes = self.dtype.itemsize * (self.n_features + 4 * n_neurons)
        return max(FEWEST_ROWS, BLOCK_BYTES // row_bytes)

    def _shares_rows(self, n_neurons: int) -> bool:
        """Whether there are blocks enough for threads to share."""
        return not self.is_sparse and self.n_rows > 2 * N_THREADS * self._block_rows(n_neurons)

    def _shares_neurons(self, n_neurons: int) -> bool:
        """Whether one block is work enough for threads that take some of the neurons each."""
        size = self.n_rows * self.n_features * n_neurons
        return not self.is_sparse and n_neurons >= N_THREADS > 1 and size >= LARGE_BLOCK

    def _of_neurons(
        self,
        kernel: Kernel,
        args: tuple[Array, ...],
        neurons: Array,
        room: dict[str, Array],
        part: slice | None = None,
    ) -> tuple[Array, ...]:
        """What the kernel finds for some of the neurons in one block, of all rows if not a part."""
        block = self.columns(neurons)._block(part, room)
        return kernel(block, *(values[:, neurons] for values in args))

    def _add_blocks(
        self, kernel: Kernel, args: tuple[Array, ...], starts: range, room: dict[str, Array]
    ) -> tuple[Array, ...]:
        """Sums over the blocks that begin at `starts`, one after the other."""
        totals: tuple[Array, ...] = ()
        for start in starts:
            part = slice(start, start + starts.step)
            counting = self._counting(part) if args else None
            if counting is None:
                sums = kernel(self._block(part, room), *args)
            else:
                sums = self._of_neurons(kernel, args, counting, room, part)
                sums = tuple(_spread(values, counting, args[0].shape[1]) for values in sums)
            totals = _add([totals, sums]) if totals else sums
        return totals

    def _counting(self, part: slice) -> Array | None:
        """Neurons for which some of these rows count, one of them at least; None for all.

        A fold's rows held out, if they stand together, are not worked on for that fold.
        """
        if self.weight is None or self.weight_of is None:
            return None
        counting: Array = np.any(self.weight[part], axis=0)[self.weight_of]
        if counting.all():
            return None
        return np.flatnonzero(counting) if counting.any() else np.array([0])

    def _block(self, part: slice | None, room: dict[str, Array]) -> Block:
        """Some of the rows, or all, with the columns of each neuron."""
        X, labels, weight = self.X, self.labels, self.weight
        if part is not None:
            X, labels = X[part], labels[part]
            weight = None if weight is None else weight[part]
        if self.y_of is not None:
            labels = _chosen(labels, self.y_of, room, "labels")
        if weight is not None and self.weight_of is not None:
            if (weight == 1).all(axis=0)[self.weight_of].all():
                weight = None  # a fold's rows for training, if they stand together
            else:
                weight = _chosen(weight, self.weight_of, room, "weight")
        return Block(X, labels, self.signed, weight, room)

    def _sum_weights(self) -> Array:
        if self.weight is None:
            return np.array([float(self.n_rows)])
        sums = self.weight.sum(axis=0, dtype=np.float64)
        return sums if self.weight_of is None else sums[self.weight_of]

    def minibatches(self, rng: np.random.Generator, size: int) -> Iterator["ArrayRows"]:
        """Every row once, in random order, `size` at a time (the last batch may be smaller).

        They are one object that moves on to the next batch. A batch divides by its share of
        the whole weight, not by its own weight: then a batch's gradient is an unbiased
        estimate of the whole set's.
        """
        order = rng.permutation(self.n_rows)
        step = size * max(1, GATHERED_ROWS // size)
        starts = range(0, self.n_rows, step)
        places = [self._place(min(step, self.n_rows)) for _ in starts[:2]]
        share = self.weight_sum / self.n_rows
        whole = share * size
        batch = self._like(self.X, self.labels, self.weight)

        def gather(i: int) -> "ArrayRows":
            return self._take(order[starts[i] : starts[i] + step], places[i % 2])

        with ThreadPoolExecutor(1) as pool:  # gathers the next rows while these are worked on
            coming = pool.submit(gather, 0)
            for i in range(len(starts)):
                gathered = coming.result()
                if i + 1 < len(starts):
                    coming = pool.submit(gather, i + 1)
                for first in range(0, gathered.n_rows, size):
                    part = slice(first, first + size)
                    batch.X, batch.labels = gathered.X[part], gathered.labels[part]
                    if gathered.weight is not None:
                        batch.weight = gathered.weight[part]
                    batch.n_rows = batch.X.shape[0]
                    batch.weight_sum = whole if batch.n_rows == size else share * batch.n_rows
                    yield batch

    def sample(self, rng: np.random.Generator, size: int) -> "ArrayRows":
        """`size` of the rows, drawn without replacement."""
        drawn = rng.choice(self.n_rows, size, replace=False, shuffle=False)
        drawn.sort()
        sample = self._take(drawn)
        sample.weight_sum = sample._sum_weights()
        return sample

    def _take(self, index: Array, place: "_Place | None" = None) -> "ArrayRows":
        """Copies of some rows, in `place` if given; `weight_sum` is left to the caller."""
        if place is None:
            place = self._place(len(index))
        parts = zip((self.X, self.labels, self.weight), place, strict=True)
        return self._like(*(_taken(part, where, index) for part, where in parts))

    def _place(self, n_rows: int) -> "_Place":
        """Memory for copies of so many rows."""
        return tuple(
            np.empty((n_rows, *part.shape[1:]), part.dtype)
            if isinstance(part, np.ndarray)
            else None
            for part in (self.X, self.labels, self.weight)
        )

    def _like(self, X: Any, labels: Array, weight: Array | None) -> "ArrayRows":
        rows = object.__new__(ArrayRows)  # what __init__ finds out is known
        rows.X, rows.labels, rows.weight, rows.signed = X, labels, weight, self.signed
        rows.dtype, rows.is_sparse, rows.n_read = self.dtype, self.is_sparse, self.n_read
        rows.y_of, rows.weight_of = self.y_of, self.weight_of
        rows.crew, rows.rooms = self.crew, self.rooms
        rows.n_rows, rows.n_features = X.shape
        return rows

    def columns(self, index: Array) -> "ArrayRows":
        """The same rows with the targets and weights of some of the bank's neurons."""
        rows = self._like(self.X, self.labels, self.weight)
        rows.y_of = _narrowed(self.labels, self.y_of, index)
        rows.weight_of = _narrowed(self.weight, self.weight_of, index)
        rows.weight_sum = self.weight_sum if len(self.weight_sum) == 1 else self.weight_sum[index]
        return rows


def _add(parts: list[tuple[Array, ...]]) -> tuple[Array, ...]:
    """Add sums to the first part's, in order, and in place where they are of one shape.

    They are not where a block's rows weigh the same for all neurons, and another's do not.
    """
    totals = list(parts[0])
    for sums in parts[1:]:
        for i, more in enumerate(sums):
            if totals[i].shape == more.shape:
                totals[i] += more
            else:
                totals[i] = totals[i] + more
    return tuple(totals)


def _spread(sums: Array, columns: Array, n_columns: int) -> Array:
    """Sums of some neurons among zeros for the others."""
    spread = np.zeros((*sums.shape[:-1], n_columns))
    spread[..., columns] = sums
    return spread


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


_Place = tuple[Any, ...]


def _taken(part: Any, place: Array | None, index: Array) -> Any:
    """Rows of X (or y, or the like) copied into `place`, where X is an array in C order."""
    if part is None or place is None or not part.flags.c_contiguous:
        return None if part is None else part[index]
    # mode="clip" writes to `out` directly; no index is out of bounds
    return part.take(index, axis=0, out=place[: len(index)], mode="clip")


def _as_columns(values: Array) -> Array:
    return values[:, np.newaxis] if values.ndim == 1 else values


def _chosen(values: Array, columns: Array, room: dict[str, Array], name: str) -> Array:
    """The columns of each neuron, one after the other in memory that is kept in `room`."""
    size = len(columns) * len(values)
    if name not in room or room[name].size < size:
        room[name] = np.empty(size, values.dtype)
    place = room[name][:size].reshape(len(columns), len(values))
    return np.take(values.T, columns, axis=0, out=place, mode="clip").T


def _narrowed(values: Array | None, columns: Array | None, index: Array) -> Array | None:
    """Which columns are those of the neurons at `index`."""
    if columns is not None:
        return columns[index]
    return None if values is None or values.shape[1] == 1 else index
