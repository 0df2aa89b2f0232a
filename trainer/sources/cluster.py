"""Rows on a Dask cluster: shards that workers load, one task a shard and pass.

Shards are results of tasks, never scattered: when a worker dies, its shards are computed again
elsewhere. Their number follows from the data, each is summed by one thread whose BLAS runs on
one core, and the sums are added in the order of the shards. So a fit has the same bits with any
number of workers, and whatever happens to them.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import pairwise
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_array
from sklearn.utils.validation import check_consistent_length, column_or_1d

import trainer
from trainer.core.rows import (
    ArrayRows,
    Kernel,
    add_sums,
    promoted,
    sample_with_weight,
    stacked,
    with_weight,
)
from trainer.sources.scratch import encoded

Array = npt.NDArray[Any]

WAIT_SECONDS = 300.0
"""Longest wait for the next shard; ``dask.config.set({"trainer.wait": seconds})`` changes it."""

POLL_SECONDS = 0.5
"""How often progress is reported within a pass."""

MAX_REPLAYS = 10
"""How often a pass is begun again before its workers are held to be beyond help."""


def is_dask(X: Any) -> bool:
    """Whether X is a Dask collection; does not import Dask."""
    dask = sys.modules.get("dask")
    return dask is not None and dask.is_dask_collection(X)


def active_client(client: Any = None, packages: Sequence[str] = ()) -> Any:
    """The client given or the active one, whose cluster has this version and these packages."""
    try:
        import distributed
    except ImportError:
        raise ImportError(
            'rows on a cluster need Dask: pip install "logistic-neuron-trainer[dask]"'
        ) from None
    if client is None:
        try:
            client = distributed.default_client()
        except ValueError:
            raise ValueError(
                "Dask collections need a client to be trained on; start one with "
                "distributed.Client()"
            ) from None

    def version() -> str:  # by value: a worker without the package can run it
        from importlib import import_module

        try:
            found: str = import_module("trainer").__version__
            for name in packages:
                import_module(name)
        except ImportError as error:
            return f"no package {error.name}"
        return f"trainer {found}"

    needed = f"trainer {trainer.__version__}"
    with _one_line_errors():
        client.wait_for_workers(1, timeout=_wait_seconds())
        found = client.run(version, on_error="return")
        found["the scheduler"] = client.run_on_scheduler(version)  # it unpickles tasks
    for place, installed in found.items():
        if isinstance(installed, Exception):
            continue  # it died on the way; the scheduler finds out
        if installed != needed:
            raise ValueError(
                f"every worker and the scheduler must have {' and '.join([needed, *packages])}, "
                f"got {installed} on {place}; install it there"
            )
    return client


class Shard(NamedTuple):
    """Some rows on a worker: X, and targets and weights, labels and given weights at first."""

    X: Any
    y: Array
    weight: Array | None


class Shards:
    """Results of one task a shard, kept on the cluster and computed again where they are lost.

    Parameters
    ----------
    client : distributed.Client
        Whose workers compute.
    tasks : list of Delayed
        The shards, in order. A result that can be called makes its shard anew for every use:
        such shards take no memory between passes.
    progress : callable, optional
        Called with what is being done, shards done, and shards in all.
    """

    def __init__(self, client: Any, tasks: Sequence[Any], progress: Any = None) -> None:
        self.client, self.tasks, self.progress = client, list(tasks), progress
        self.futures = client.compute(self.tasks)
        self.n_passes = 0

    def __len__(self) -> int:
        return len(self.tasks)

    def then(self, function: Callable[..., Any], *args: Sequence[Any]) -> "Shards":
        """Other shards, made from these: ``function(shard, *args of this shard)``."""
        from dask import delayed

        self._check_open()
        apply = delayed(_changed, pure=False)
        tasks = [apply(function, *given) for given in zip(self.tasks, *args, strict=True)]
        return Shards(self.client, tasks, self.progress)

    def release(self) -> None:
        """Let the workers forget the shards; those that were made from them are kept."""
        self.futures = []

    def _check_open(self) -> None:
        if len(self.futures) < len(self):
            raise ValueError("the rows are closed; open them again")

    def run(
        self, function: Callable[..., Any], *args: Any, each: Any = None, what: str = ""
    ) -> list[Any]:
        """``function(shard, *args)`` of every shard, in order, here; one round of tasks.

        Parameters
        ----------
        function : callable
            Run on the worker that holds the shard.
        *args
            The same for all shards.
        each : sequence, optional
            One more argument, another one for each shard.
        what : str, optional
            What `progress` is told.

        Raises
        ------
        ValueError
            What a task raised, with the number of its shard; or if the shards were released.
        TimeoutError, ConnectionError
            If no worker responds within `WAIT_SECONDS`, or workers die again and again.
        """
        from concurrent.futures import CancelledError

        import distributed
        from distributed.comm.core import CommClosedError

        self._check_open()
        lost: Any = (CancelledError, distributed.KilledWorker, CommClosedError)
        for _ in range(MAX_REPLAYS):
            given = [()] * len(self) if each is None else [(value,) for value in each]
            try:
                pending = [
                    self.client.submit(_applied, function, shard, *args, *own, pure=False)
                    for shard, own in zip(self.futures, given, strict=True)
                ]
                self._wait(pending, what)
                failed = next((i for i, done in enumerate(pending) if done.status == "error"), None)
                if failed is not None:
                    error = pending[failed].exception(timeout=_wait_seconds())
                    if isinstance(error, lost):
                        raise error
                    text = " ".join(str(error).split())
                    raise ValueError(f"shard {failed} of {len(self)}: {text}") from error
                results: list[Any] = self.client.gather(pending)
                return results
            except lost as error:
                reason = error
                self._restore()
        raise ConnectionError(
            f"workers were lost in {MAX_REPLAYS} attempts at one pass ({type(reason).__name__}); "
            "give them more memory, or make smaller shards"
        ) from reason

    def _wait(self, futures: list[Any], what: str) -> None:
        """Until all are done; no longer than `WAIT_SECONDS` for the next one."""
        import distributed

        seconds, n_done, since = _wait_seconds(), 0, monotonic()
        while n_done < len(futures):
            with suppress(TimeoutError):
                distributed.wait(futures, timeout=min(seconds, POLL_SECONDS))
            now = sum(future.done() for future in futures)
            if now > n_done:
                n_done, since = now, monotonic()
            elif monotonic() - since > seconds:
                raise TimeoutError(
                    f"no shard was done for {seconds:g} s, {now} of {len(futures)} are; look "
                    "at the cluster, or set trainer.wait in Dask's configuration"
                )
            if what and self.progress:
                self.progress(what, n_done, len(futures))

    def _restore(self) -> None:
        """Compute again what no worker is going to."""
        with _one_line_errors():
            self.client.wait_for_workers(1, timeout=_wait_seconds())
        erred = [future for future in self.futures if future.status == "error"]
        if erred:
            self.client.retry(erred)
        if any(future.status in ("cancelled", "lost") for future in self.futures):
            self.futures = self.client.compute(self.tasks)


class DaskRows:
    """Rows in shards on a Dask cluster; fulfils `trainer.core.rows.Rows`.

    Parameters
    ----------
    shards : Shards
        Of `Shard`: X, targets as the loss stores them, weights.
    sizes : list of int
        Rows of each shard.
    n_features, n_targets : int
        Columns of X and of the targets.
    dtype : dtype
        Precision of X.
    is_sparse : bool
        Whether X is sparse.
    y_of, weight_of : array of shape (K,), optional
        As in `trainer.core.rows.ArrayRows`.
    weight_sum : array of shape (1,) or (K,), optional
        Sums of the weights, where they are known.
    """

    def __init__(
        self,
        shards: Shards,
        sizes: list[int],
        n_features: int,
        n_targets: int,
        dtype: Any,
        is_sparse: bool = False,
        y_of: Array | None = None,
        weight_of: Array | None = None,
        weight_sum: Array | None = None,
    ) -> None:
        self.shards, self.sizes = shards, sizes
        self.n_features, self.n_targets = n_features, n_targets
        self.dtype, self.is_sparse = np.dtype(dtype), is_sparse
        self.y_of, self.weight_of = y_of, weight_of
        if weight_sum is None:
            sums = sum(shards.run(_weight_sum, what="weighing"))
            weight_sum = sums if weight_of is None else sums[weight_of]
        self.weight_sum = np.asarray(weight_sum, dtype=np.float64)

    @property
    def n_rows(self) -> int:
        """Rows of all shards."""
        return sum(self.sizes)

    def map_sum(self, kernel: Kernel, *args: Array) -> tuple[Array, ...]:
        """See `Rows.map_sum`."""
        self.shards.n_passes += 1
        what = f"pass {self.shards.n_passes}"
        return add_sums(
            self.shards.run(_shard_sum, kernel, args, self.y_of, self.weight_of, what=what)
        )

    def select(self, neurons: Array) -> "DaskRows":
        """See `Rows.select`."""
        sums = self.weight_sum
        own = neurons if self.n_targets > 1 else None
        return self._with(
            y_of=own if self.y_of is None else self.y_of[neurons],
            weight_of=None if self.weight_of is None else self.weight_of[neurons],
            weight_sum=sums if len(sums) == 1 else sums[neurons],
        )

    def _with(self, **changes: Any) -> "DaskRows":
        return DaskRows(**{**vars(self), **changes})

    def sample(self, rng: np.random.Generator, size: int) -> ArrayRows:
        """See `Rows.sample`; the rows drawn come here, the others stay where they are."""
        rows = sample_with_weight(rng, self.n_rows, size, self._take)
        return ArrayRows(*promoted(*rows), self.y_of, self.weight_of)

    def _take(self, drawn: Array) -> tuple[Any, Array, Array | None]:
        bounds = np.cumsum([0, *self.sizes])
        index = [
            drawn[slice(*np.searchsorted(drawn, bounds[i : i + 2]))] - bounds[i]
            for i in range(len(self.sizes))
        ]
        taken = self.shards.run(_take, each=index, what="sampling")
        return stacked([tuple(part) for part in taken])

    def minibatches(self, rng: np.random.Generator, size: int) -> Iterator[ArrayRows]:
        """Refused: every epoch would send all rows to this process."""
        raise ValueError(
            f"batch_size must be None for rows on a cluster, got {size}: every epoch would send "
            "all rows to one process; train on all rows in every update, or from files"
        )

    def reweighted(self, factors: Array, weight_of: Array, y_of: Array | None) -> "DaskRows":
        """See `Rows.reweighted`; the factors go to the workers once."""
        bounds = np.cumsum([0, *self.sizes])
        parts = [_small(factors[a:b]) for a, b in pairwise(bounds)]
        shards = self.shards.then(_reweight, parts)
        return self._with(shards=shards, y_of=y_of, weight_of=weight_of, weight_sum=None)


class ShardSource:
    """Rows in shards with their labels and weights, surveyed on the workers.

    Parameters
    ----------
    shards : Shards
        Of `Shard`, with labels and given weights.
    feature_names : ndarray, optional
        Names of the columns of X.

    Attributes
    ----------
    n_rows, n_features, dtype, classes, class_totals
        As in `trainer.sources.files.PreparedRows`.
    feature_names : ndarray or None
        As given.
    """

    def __init__(self, shards: Shards, feature_names: Any = None) -> None:
        self._shards, self.feature_names = shards, feature_names
        surveys = [_Survey(*found) for found in self._shards.run(_survey, what="reading")]
        self._shards, self.sizes = _without_empty(self._shards, surveys)
        surveys = [survey for survey in surveys if survey.n_rows]
        if not surveys:
            raise ValueError("X must hold rows, got shards without any")
        self.n_features = surveys[0].n_features
        for i, survey in enumerate(surveys):
            if survey.n_features != self.n_features:
                raise ValueError(
                    f"all shards must have the same features, got {survey.n_features} in shard "
                    f"{i} after {self.n_features}"
                )
        self.n_rows = sum(self.sizes)
        self.dtype = np.result_type(*(survey.dtype for survey in surveys))
        self.is_sparse = surveys[0].is_sparse
        self.class_totals: dict[Any, float] = {}
        for survey in surveys:
            for label, total in survey.totals.items():
                self.class_totals[label] = self.class_totals.get(label, 0.0) + total
        self.classes = np.array(sorted(self.class_totals))
        if len(self.classes) < 2:
            raise ValueError(
                "LogisticNeuron needs labels of at least two classes, got only one class: "
                f"{self.classes.tolist()}"
            )

    def encoded(self, classes: Array, of_class: Array | None) -> DaskRows:
        """The rows of a bank of neurons, see `FileRows.encoded`."""
        unknown = [label for label in self.classes.tolist() if label not in classes.tolist()]
        if unknown:
            raise ValueError(f"y must hold only labels of {classes.tolist()}, got {unknown[0]!r}")
        n = len(self.sizes)
        shards = self._shards.then(_encode, [classes] * n, [of_class] * n, [self.dtype] * n)
        n_targets = 1 if len(classes) == 2 else len(classes)
        totals = np.array([self.class_totals[label] for label in self.classes.tolist()])
        if of_class is not None:
            totals = totals * of_class[np.searchsorted(classes, self.classes)]
        return DaskRows(
            shards, self.sizes, self.n_features, n_targets, self.dtype, self.is_sparse,
            weight_sum=np.array([totals.sum()]),
        )  # fmt: skip


class DaskSource(ShardSource):
    """A Dask array or data frame with its labels and weights.

    Parameters
    ----------
    X : dask Array or DataFrame of shape (n, d)
        Features; a chunk of rows, or a partition, is a shard.
    y : dask Array, Series or one-column DataFrame of shape (n,)
        Labels.
    sample_weight : the same of shape (n,), optional
        Weights.
    """

    def __init__(self, X: Any, y: Any, sample_weight: Any = None) -> None:
        from dask import delayed

        if y is None:
            raise ValueError("y must hold the labels of a Dask collection's rows, got None")
        client = active_client()
        if getattr(y, "ndim", 1) == 2 and len(getattr(y, "columns", ())) == 1:
            y = y[y.columns[0]]
        if getattr(y, "ndim", 1) > 1:
            raise ValueError(
                "y must be one column of labels where X is a Dask collection, got "
                f"{y.ndim} dimensions; soft labels can be trained on from arrays"
            )
        columns = getattr(X, "columns", None)
        names = None
        if columns is not None and all(isinstance(name, str) for name in columns):
            names = np.array(columns, dtype=object)
        parts = [_blocks(X, X, "X"), _blocks(y, X, "y")]
        parts.append(
            [None] * len(parts[0])
            if sample_weight is None
            else _blocks(sample_weight, X, "sample_weight")
        )
        for name, blocks in zip(("y", "sample_weight"), parts[1:], strict=True):
            if len(blocks) != len(parts[0]):
                raise ValueError(
                    f"{name} must have the chunks of X, got {len(blocks)} after {len(parts[0])}; "
                    "rechunk it"
                )
        load = delayed(_load, pure=False)
        tasks = [load(*blocks) for blocks in zip(*parts, strict=True)]
        super().__init__(Shards(client, tasks), names)


class ShardedRows(ShardSource):
    """Rows that functions load or generate on the workers of a Dask cluster.

    `LogisticNeuron.fit` and `LogisticNeuronCV.fit` take them in place of X and y.

    Parameters
    ----------
    loaders : iterable of callable
        One a shard: returns (X, y) or (X, y, sample_weight), the same in every call. It is sent
        to the workers by pickle.
    keep : bool, default=True
        Whether the workers keep the shards in memory. If not, a loader is called in every pass,
        and once more for each sample, so that the rows may be more than all workers can hold.
    client : distributed.Client, optional
        The cluster; the active one by default.
    progress : callable, optional
        Called with what is being done, shards done, and shards in all.

    Examples
    --------
    >>> from functools import partial
    >>> loaders = [partial(read_day, day) for day in days]  # doctest: +SKIP
    >>> neuron = LogisticNeuron().fit(ShardedRows(loaders))  # doctest: +SKIP
    """

    def __init__(
        self,
        loaders: Iterable[Callable[[], Any]],
        *,
        keep: bool = True,
        client: Any = None,
        progress: Any = None,
    ) -> None:
        client = active_client(client)
        from dask import delayed

        load = delayed(_called if keep else _itself, pure=False)
        tasks = [load(partial(_load_from, loader)) for loader in loaders]
        if not tasks:
            raise ValueError("loaders must hold a function for each shard, got none")
        super().__init__(Shards(client, tasks, progress))


def lazily(method: Callable[[Any], Array], X: Any, n_columns: int | None, dtype: Any) -> Any:
    """A prediction for a Dask collection: a Dask array, computed when it is asked for."""
    import dask.array as da
    from dask import delayed

    shape = () if n_columns is None else (n_columns,)
    apply, parts = delayed(method, pure=True), _blocks(X, X, "X")
    known = X.chunks[0] if hasattr(X, "chunks") else [np.nan] * len(parts)
    return da.concatenate(
        [
            da.from_delayed(apply(part), (n_rows, *shape), dtype=dtype)
            for part, n_rows in zip(parts, known, strict=True)
        ],
        allow_unknown_chunksizes=True,
    )


def _blocks(values: Any, X: Any, name: str) -> list[Any]:
    """A collection's row blocks as Delayed objects, with the rows of X's where these are known."""
    if hasattr(values, "to_dask_array") and hasattr(values, "npartitions"):  # a frame or series
        return list(values.to_delayed())
    if not hasattr(values, "chunks"):  # a NumPy array, a list, a pandas Series
        import dask.array as da

        if not hasattr(X, "chunks") or np.isnan(X.chunks[0]).any():
            raise ValueError(
                f"{name} must be a Dask collection where X has chunks of unknown size, got "
                f"{type(values).__name__}"
            )
        values = da.from_array(np.asarray(values), chunks=(X.chunks[0],))
    if values.ndim == 2:
        values = values.rechunk({1: -1}) if values.shape[1] != 1 or name == "X" else values[:, 0]
    known = hasattr(X, "chunks") and not np.isnan([*X.chunks[0], *values.chunks[0]]).any()
    if known and values.chunks[0] != X.chunks[0]:
        if values.shape[0] != X.shape[0]:
            raise ValueError(
                f"{name} must have as many rows as X, got {values.shape[0]} and {X.shape[0]}"
            )
        values = values.rechunk({0: X.chunks[0]})
    blocks = values.to_delayed()
    return list(blocks[:, 0] if values.ndim == 2 else blocks)


def _without_empty(shards: Shards, surveys: "list[_Survey]") -> tuple[Shards, list[int]]:
    """The shards that hold rows, and how many each: filtered frames have empty partitions."""
    kept = [i for i, survey in enumerate(surveys) if survey.n_rows]
    if len(kept) < len(surveys):
        shards = Shards(shards.client, [shards.tasks[i] for i in kept], shards.progress)
    return shards, [surveys[i].n_rows for i in kept]


class _Survey(NamedTuple):
    """What a worker tells of its shard."""

    n_rows: int
    n_features: int
    dtype: Any
    is_sparse: bool
    totals: dict[Any, float]


def _itself(value: Any) -> Any:
    return value


def _called(shard: Any) -> Any:
    """The shard, made by its loader if it is not kept."""
    return shard() if callable(shard) else shard


def _applied(function: Callable[..., Any], shard: Any, *args: Any) -> Any:
    """On a worker: a function of a shard."""
    return function(_called(shard), *args)


def _changed(function: Callable[..., Any], shard: Any, *args: Any) -> Any:
    """On a worker: another shard; made for every use if the given one is."""
    changed = partial(_applied, function, shard, *args)
    return changed if callable(shard) else changed()


def _load_from(loader: Callable[[], Any]) -> Shard:
    X, y, *weight = loader()
    return _load(X, y, *(weight or [None]))


def _load(X: Any, y: Any, weight: Any) -> Shard:
    """On a worker: validated features, labels and weights."""
    if not len(y):
        return Shard(np.empty((0, X.shape[1])), np.empty(0), None)
    X = check_array(X, accept_sparse="csr", dtype=[np.float64, np.float32])
    y = column_or_1d(y)
    check_consistent_length(X, y)
    if weight is not None:
        weight = column_or_1d(weight).astype(X.dtype)
        check_consistent_length(X, weight)
        if not (np.isfinite(weight) & (weight >= 0)).all():
            raise ValueError("sample_weight must be finite and >= 0")
    return Shard(X, y, weight)


def _survey(shard: Shard) -> tuple[Any, ...]:
    X, y, weight = shard
    labels, index = np.unique(y, return_inverse=True)
    totals = np.bincount(index, weights=weight, minlength=len(labels))
    if labels.dtype.kind == "f" and (labels % 1 != 0).any():
        raise ValueError("y must hold classes, got continuous numbers")
    found = dict(zip(labels.tolist(), totals.tolist(), strict=True))
    return X.shape[0], X.shape[1], X.dtype, not isinstance(X, np.ndarray), found


def _encode(shard: Shard, classes: Array, of_class: Array | None, dtype: Any) -> Shard:
    X, y, weight = shard
    codes = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    if isinstance(X, np.ndarray):
        X = np.ascontiguousarray(X)
    X = X.astype(dtype, copy=False)
    return Shard(X, *encoded(codes, weight, len(classes), of_class, dtype))


def _reweight(shard: Shard, factors: Array) -> Shard:
    X, y, weight = shard
    factors = np.asfortranarray(factors, dtype=X.dtype)
    if weight is not None:
        factors = factors * weight.reshape(len(factors), -1)
    return Shard(X, y, factors)


def _weight_sum(shard: Shard) -> Array:
    if shard.weight is None:
        return np.array([float(shard.X.shape[0])])
    return np.atleast_1d(shard.weight.sum(axis=0, dtype=np.float64))


def _shard_sum(
    shard: Shard, kernel: Kernel, args: tuple[Array, ...], y_of: Any, weight_of: Any
) -> tuple[Array, ...]:
    # what came from another worker may lie at any byte, where sums round in another order
    aligned = [None if part is None else _aligned(part) for part in shard]
    rows = ArrayRows(aligned[0], aligned[1], aligned[2], y_of, weight_of, weight_sum=np.ones(1))  # type: ignore[arg-type]
    return rows.sum_on_this_thread(kernel, *args)


def _aligned(part: Any) -> Any:
    return np.require(part, requirements="A") if isinstance(part, np.ndarray) else part


def _take(shard: Shard, index: Array) -> Shard:
    weight = None if shard.weight is None else shard.weight[index]
    return Shard(*with_weight(shard.X[index], shard.y[index], weight))


def _small(factors: Array) -> Array:
    """The same in a byte each where that loses nothing, as for folds."""
    small = factors.astype(np.uint8)
    return small if (small == factors).all() else factors


def _wait_seconds() -> float:
    import dask

    return float(dask.config.get("trainer.wait", WAIT_SECONDS))


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """What a cluster that does not answer raises, as one line."""
    try:
        yield
    except (TimeoutError, OSError) as error:
        text = " ".join(str(error).split())
        raise TimeoutError(f"the cluster does not answer: {text or type(error).__name__}") from None
