"""`open_rows`: tables larger than memory, prepared once and read from a scratch file."""

import copy
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.compose import ColumnTransformer

from trainer.core.parallel import available_threads
from trainer.core.rows import BlockRows
from trainer.datasets.preprocessing import make_preprocessor
from trainer.datasets.tables import quote, split_table
from trainer.sources.batches import Part, check_same_columns, import_arrow, open_parts
from trainer.sources.columns import Columns, Labels, to_weights
from trainer.sources.scratch import EncodedBlocks, Scratch
from trainer.sources.size import to_bytes

Array = npt.NDArray[Any]
T = TypeVar("T")

MAX_SAMPLE_ROWS = 100_000
"""Rows, drawn at random, that the preprocessor is fitted on: means are then within 0.3 % of a
standard deviation of those of all rows, and a category of one row in 10 000 is met 10 times."""

MAX_TEST_ROWS = 100_000
"""Rows at most that are kept out for testing."""

MIN_BATCH_ROWS, MAX_BATCH_ROWS = 500, 50_000
"""Rows that are converted and prepared at a time."""

Progress = Callable[[str, int, int | None], None]


class PreparedRows:
    """Rows of a table, prepared for a neuron, wherever they are kept; `open_rows` makes them.

    `LogisticNeuron.fit` and `LogisticNeuronCV.fit` take them in place of X and y. Their space, on
    disk or in the memory of workers, is given back by `close`, at the end of a ``with`` block, or
    with the process.

    Attributes
    ----------
    preprocessor : ColumnTransformer
        Fitted; turns a frame of the table's features into what the neuron is trained on.
    n_rows, n_features : int
        Rows with a label, and features after preprocessing.
    classes : ndarray of shape (n_classes,)
        The classes, in order.
    class_totals : dict
        Rows of each class, or their weight.
    positive : object or None
        The class told from the rest, where `open_rows` was given one.
    notes : list of str
        What was dropped, and why, and what the preprocessor was fitted on.
    nbytes : int
        Size of the prepared features, labels and weights.
    X_test, y_test : DataFrame and ndarray
        Rows kept out of training; empty if none were asked for.
    weight_test : ndarray or None
        Their weights.
    """

    def __init__(self, plan: "Plan", n_rows: int, dtype: Any, progress: Progress | None) -> None:
        self.preprocessor, self.notes = plan.preprocessor, plan.notes
        self.classes, self.positive = plan.classes, plan.positive
        self.class_totals = plan.class_totals
        self.n_rows, self.n_features = n_rows, plan.n_features
        self.dtype = np.dtype(dtype)
        row_bytes = self.dtype.itemsize * plan.n_features + 4 + 8 * plan.is_weighted
        self.nbytes = n_rows * row_bytes
        self.X_test, self.y_test, self.weight_test = plan.X_test, plan.y_test, plan.weight_test
        self._plan, self._progress = plan, progress

    def _weight_sum(self, neuron_of: Array, of_class: Array | None) -> Array:
        """Weight of all rows, from that of the classes: no pass is needed to add it up."""
        totals = np.array(list(self.class_totals.values()))
        return np.array([(totals if of_class is None else totals * of_class[neuron_of]).sum()])

    def close(self) -> None:
        """Give the space back."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.n_rows} rows, {self.n_features} features, "
            f"{len(self.classes)} classes, {self.nbytes / 1e9:.2f} GB)"
        )


class FileRows(PreparedRows):
    """Prepared rows in a scratch file; see `PreparedRows` for their attributes."""

    def __init__(self, plan: "Plan", scratch: Scratch, progress: Progress | None) -> None:
        super().__init__(plan, scratch.n_rows, scratch.dtype, progress)
        self._scratch = scratch

    def blocks(self) -> Iterator[tuple[Array, Array, Array | None]]:
        """All rows, block by block: (X, y, sample_weight), y the labels."""
        for _, X, codes, weight in self._scratch.blocks():
            yield X, self.classes[codes], weight

    def encoded(self, classes: Array, of_class: Array | None) -> BlockRows:
        """The rows of a bank of neurons.

        Parameters
        ----------
        classes : array of shape (n_classes,)
            The classes, in the estimator's order.
        of_class : array of shape (n_classes,) or None
            Weight of each class.
        """
        neuron_of = self._plan.neuron_of(classes)
        blocks = EncodedBlocks(self._scratch, neuron_of, len(classes), of_class, self._progress)
        n_targets = 1 if len(classes) == 2 else len(classes)
        return BlockRows(
            blocks, self.n_rows, self.n_features, n_targets, self.dtype,
            weight_sum=self._weight_sum(neuron_of, of_class),
        )  # fmt: skip

    def close(self) -> None:
        """Give the scratch space back."""
        self._scratch.close()


def open_rows(
    source: Any,
    *,
    target: str,
    weight: str | None = None,
    positive: Any = None,
    is_binary: bool = False,
    columns: Iterable[str] | None = None,
    text: Iterable[str] = (),
    test_size: float = 0.0,
    memory: int | float | str = "512MB",
    dtype: str = "float64",
    folder: str | os.PathLike[str] | None = None,
    random_state: int = 0,
    progress: Progress | None = None,
    client: Any = None,
) -> Any:
    """Prepare the rows of a table of any size, for training in blocks.

    The table is read twice. The first pass decides the columns' types over all files, counts
    the classes, and draws the random sample that the preprocessor of `make_preprocessor` is
    fitted on: all rows where there are at most 100 000. The second pass writes the prepared
    rows to a scratch file, which every pass of training reads. A stream that can be read only
    once is saved to a temporary file while it is read.

    Parameters
    ----------
    source : path, list of paths, or source of record batches
        A file, several, a folder or a pattern such as ``"logs/2026-*.parquet"``: Parquet, Arrow
        IPC, CSV, gzipped CSV. Or Arrow record batches: a pyarrow Dataset, Table or
        RecordBatchReader, a polars LazyFrame, a function that opens a stream, an iterator.
    target : str
        The column with the labels. Rows without a label are dropped.
    weight : str, optional
        The column with the weights of the rows, >= 0.
    positive : object, optional
        The class to tell from all others; by default all classes are kept.
    is_binary : bool, default=False
        Whether the target must have two classes where `positive` is None: a third one is an
        error before rows are prepared.
    columns : iterable of str, optional
        The features; by default all other columns.
    text : iterable of str, optional
        Columns to read as text, whatever they hold, such as codes made of digits.
    test_size : float, default=0
        Share of the rows to keep out of training, at random, 100 000 rows at most.
    memory : int or str, default="512MB"
        Memory for reading and preparing, in bytes or with a unit.
    dtype : {"float64", "float32"}, default="float64"
        Precision of the prepared rows. float32 halves the scratch file.
    folder : path, optional
        Where the scratch file is put; the system's folder for temporary files by default.
    random_state : int, default=0
        Draws the sample and the rows for testing.
    progress : callable, optional
        Called with what is being done, rows done, and rows in all or None, while the table is
        read and prepared, and in every pass of training. With a client, shards are counted.
    client : distributed.Client, optional
        Workers of this cluster read the files, which they must see under the same paths, and
        keep the prepared rows in their memory; no scratch file is written.

    Returns
    -------
    FileRows, or ClusterRows with a client
        For `LogisticNeuron.fit` and `LogisticNeuronCV.fit`.

    Raises
    ------
    ImportError
        If pyarrow is missing.
    ValueError
        In one line, if the table cannot be read or trained on, with file, line or row, and
        column; or if the disk has too little space.

    Examples
    --------
    >>> from trainer import LogisticNeuron, open_rows
    >>> from sklearn.pipeline import Pipeline
    >>> with open_rows("data/wine.csv", target="cultivar", positive="class_1") as rows:
    ...     neuron = LogisticNeuron().fit(rows)
    >>> model = Pipeline([("preprocessor", rows.preprocessor), ("neuron", neuron)])
    >>> rows.n_rows, rows.n_features, neuron.classes_.tolist()
    (178, 13, ['class_1', 'not class_1'])
    """
    import_arrow()
    budget = to_bytes(memory)
    if dtype not in ("float64", "float32"):
        raise ValueError(f"dtype must be 'float64' or 'float32', got {dtype!r}")
    if not 0 <= test_size < 1:
        raise ValueError(f"test_size must be a share from 0 to less than 1, got {test_size!r}")
    columns, text = None if columns is None else list(columns), list(text)
    parts = open_parts(source, folder)
    names = [target] if weight is None else [target, weight]
    found = check_same_columns(parts, [*names, *(columns or ()), *text])
    features = [name for name in (found if columns is None else columns) if name not in names]
    table = Table(parts, features, Labels(target), weight, text, progress, budget)
    n_drawn = MAX_SAMPLE_ROWS + (MAX_TEST_ROWS if test_size else 0)
    if client is not None:
        from trainer.sources.cluster_files import open_on_cluster

        return open_on_cluster(
            client, table, n_drawn, (positive, is_binary), test_size, dtype, random_state
        )
    draw = table.survey(n_drawn, random_state)
    plan = Plan(table, draw, (positive, is_binary), test_size)
    n_rows = table.n_rows - len(plan.held_out)
    scratch = Scratch(folder, n_rows, plan.n_features, dtype, weight is not None)
    try:
        table.prepare(plan.preprocessor, scratch, plan.held_out)
    except BaseException:
        scratch.close()
        raise
    return FileRows(plan, scratch, progress)


class Plan:
    """What is decided between the two passes: the preprocessor, and the rows for testing.

    Parameters
    ----------
    table : Table
        After the first pass.
    draw : Draw
        The sample it drew.
    classes : tuple of (object, bool)
        `positive` and `is_binary` of `open_rows`.
    test_size : float
        Share of the rows to keep out of training.
    """

    def __init__(
        self, table: "Table", draw: "Draw", classes: tuple[Any, bool], test_size: float
    ) -> None:
        labels = table.labels
        if not table.features:
            raise ValueError(
                f"{table.parts[0].name} must have a feature beside {quote(labels.target)}, got "
                "none; name its columns"
            )
        labels.decide(*classes)
        sample = table.sample(draw)
        is_all = len(sample.keys) == table.n_rows
        n_test = min(round(test_size * table.n_rows), MAX_TEST_ROWS)
        if not is_all:
            n_test = min(n_test, len(sample.keys) // 2)
        order = np.argsort(sample.keys)
        held_out, used = np.sort(order[:n_test]), np.sort(order[n_test:])
        X, _, dropped = split_table(
            sample.frame.iloc[used].assign(**{labels.target: sample.codes[used]}),
            labels.target,
            table.parts[0].name,
        )
        table.features = list(X.columns)
        self.preprocessor = make_preprocessor(X).fit(X)
        self.n_features = self.preprocessor.transform(X.iloc[:1]).shape[1]
        self.classes, self.positive = labels.classes, labels.positive
        self.is_weighted = table.weight is not None
        self.held_out = sample.numbers[held_out]
        self.X_test = sample.frame[table.features].iloc[held_out].reset_index(drop=True)
        self.y_test = labels.classes[sample.codes[held_out]]
        self.weight_test = None if sample.weight is None else sample.weight[held_out]
        totals = labels.class_totals
        of_test = np.ones(n_test) if self.weight_test is None else self.weight_test
        np.subtract.at(totals, sample.codes[held_out], of_test)
        self.class_totals = dict(zip(labels.classes.tolist(), totals.tolist(), strict=True))
        self.notes: list[str] = []
        if labels.n_missing:
            n_read = labels.n_missing + table.n_rows
            what = f"no value in the target column {quote(labels.target)}"
            self.notes.append(f"{labels.n_missing} of {n_read} rows dropped: {what}")
        self.notes += dropped
        if not is_all:
            self.notes.append(
                f"columns are judged and preprocessing is fitted on {len(used)} rows drawn at "
                "random"
            )

    def neuron_of(self, classes: Array) -> Array:
        """Which of an estimator's classes each of these is."""
        known = classes.tolist()
        for label in self.classes.tolist():
            if label not in known:
                raise ValueError(f"y must hold only labels of {known}, got {label!r}")
        return np.array([known.index(label) for label in self.classes.tolist()])


class Table:
    """A table's parts, and the two passes over them."""

    def __init__(
        self,
        parts: list[Part],
        features: list[str],
        labels: Labels,
        weight: str | None,
        text: Iterable[str],
        progress: Progress | None,
        budget: int,
    ) -> None:
        self.parts, self.features, self.labels, self.weight = parts, features, labels, weight
        self.columns = Columns(parts, features, text)
        self.progress = progress
        self.budget = budget
        self.n_rows = 0
        self.n_threads = available_threads()

    def of_part(self, part: Part) -> "Table":
        """A table of one of the parts alone, for one thread, that knows what this one knows."""
        own = copy.copy(self)
        own.parts, own.progress, own.n_threads, own.n_rows = [part], None, 1, 0
        return copy.deepcopy(own)  # without the progress display, which cannot be copied

    def add(self, other: "Table") -> None:
        """Add what another part's first pass has counted."""
        self.n_rows += other.n_rows
        self.columns.add(other.columns)
        self.labels.add(other.labels)

    def _batches(self, features: list[str], n_rows: int) -> Iterator[tuple[Part, Any, int]]:
        """Record batches: the part, the batch, and the number of its first row in the part."""
        names = [*features, self.labels.target] + ([self.weight] if self.weight else [])
        for part in self.parts:
            first = 0
            for batch in part.batches(names, n_rows):
                yield part, batch, first
                first += batch.num_rows

    def _batch_rows(self, n_columns: int) -> int:
        """Rows a batch, so that a thread's share of the memory holds some ten copies."""
        n_rows = self.budget // (self.n_threads * 100 * n_columns)
        return int(min(max(n_rows, MIN_BATCH_ROWS), MAX_BATCH_ROWS))

    def survey(self, size: int, random_state: Any) -> "Draw":
        """The first pass: count, find types and labels, and draw a sample."""
        rng = np.random.default_rng(random_state)
        draw = Draw(min(size, self.budget // (32 * (len(self.features) + 1))))
        n_rows = self._batch_rows(len(self.features) + 1)
        for part, batch, first in self._batches(self.features, n_rows):
            self.columns.observe(part, batch, first)
            weight = to_weights(part, batch, self.weight, first) if self.weight else None
            has_label = self.labels.observe(part, batch, weight)
            keys = np.full(batch.num_rows, np.inf)
            keys[has_label] = rng.random(int(has_label.sum()))
            numbers = self.n_rows + np.cumsum(has_label) - 1
            self.n_rows += int(has_label.sum())
            draw.add(part, batch, first, keys, numbers)
            self._report("reading", self.n_rows, None)
        draw.shrink()
        return draw

    def sample(self, draw: "Draw") -> "_Sample":
        """The rows drawn, converted by types that are settled now."""
        self.columns.decide()
        frames, codes, weights = [], [], []
        for part, batch, rows in draw.kept:
            frames.append(self.columns.frame(part, batch, rows, self.features))
            codes.append(self.labels.codes(part, batch))
            if self.weight:
                weights.append(to_weights(part, batch, self.weight, 0))
        return _Sample(
            draw.keys,
            draw.numbers,
            pd.concat(frames, ignore_index=True),
            np.concatenate(codes),
            np.concatenate(weights) if weights else None,
        )

    def prepare(self, preprocessor: ColumnTransformer, scratch: Any, held_out: Array) -> None:
        """The second pass: write all labelled rows but those held out, whose numbers are given."""
        labels, n_seen = self.labels, 0

        def tasks() -> Iterator[Callable[[], tuple[Array, Array, Array | None]]]:
            nonlocal n_seen
            # the frame, its copies and one-hot columns of all threads share the memory
            n_rows = self._batch_rows(len(self.features) + 1 + scratch.n_features)
            for part, batch, first in self._batches(self.features, n_rows):
                codes = labels.codes(part, batch)
                weight = to_weights(part, batch, self.weight, first) if self.weight else None
                chosen = codes >= 0
                numbers = n_seen + np.cumsum(chosen) - 1
                n_seen += int(chosen.sum())
                if len(held_out):
                    place = np.minimum(np.searchsorted(held_out, numbers), len(held_out) - 1)
                    chosen &= held_out[place] != numbers
                yield partial(convert, part, batch, first, codes, weight, chosen)

        def convert(
            part: Part, batch: Any, first: int, codes: Array, weight: Array | None, chosen: Array
        ) -> tuple[Array, Array, Array | None]:
            rows = range(first, first + batch.num_rows)
            frame = self.columns.frame(part, batch, rows, self.features)
            if not chosen.all():
                frame, codes = frame[chosen], codes[chosen]
                weight = None if weight is None else weight[chosen]
            if not len(frame):
                return np.empty((0, scratch.n_features)), codes, weight
            X = preprocessor.transform(frame).astype(scratch.dtype, copy=False)
            if not np.isfinite(X).all():
                raise ValueError(
                    f"{part.name} holds numbers that overflow {scratch.dtype} when they are "
                    "scaled; correct them, or use dtype='float64'"
                )
            return X, codes, weight

        n_written = 0
        for X, codes, weight in _in_order(tasks(), self.n_threads):
            scratch.append(X, codes, weight)
            n_written += len(X)
            self._report("preparing", n_written, scratch.n_rows)
        if n_written != scratch.n_rows:
            raise ValueError(
                f"the table must give the same rows in every pass, got {n_written} rows after "
                f"{scratch.n_rows}; a function must open the stream anew in each call"
            )
        scratch.finish()

    def _report(self, what: str, n_done: int, n_rows: int | None) -> None:
        if self.progress:
            self.progress(what, n_done, n_rows)


class Draw:
    """The rows with the smallest of random keys: a sample without replacement in one pass."""

    def __init__(self, size: int) -> None:
        self.size, self.threshold = size, np.inf
        self.keys, self.numbers = np.empty(0), np.empty(0, dtype=np.int64)
        self.kept: list[tuple[Part, Any, Array]] = []

    def add(self, part: Part, batch: Any, first: int, keys: Array, numbers: Array) -> None:
        """Keep those rows of a batch that may be among the smallest; infinite keys are not."""
        chosen = np.flatnonzero(keys < self.threshold)
        if not len(chosen):
            return
        self.kept.append((part, batch.take(chosen), first + chosen))
        self.keys = np.append(self.keys, keys[chosen])
        self.numbers = np.append(self.numbers, numbers[chosen])
        if len(self.keys) > 2 * self.size:
            self.shrink()

    def extend(self, other: "Draw", n_before: int) -> None:
        """Add the rows that another part's first pass has drawn."""
        self.keys = np.append(self.keys, other.keys)
        self.numbers = np.append(self.numbers, other.numbers + n_before)
        self.kept += other.kept
        self.threshold = min(self.threshold, other.threshold)

    def shrink(self) -> None:
        """Drop all rows but `size`."""
        if len(self.keys) > self.size:
            bound = float(np.partition(self.keys, self.size)[self.size])
            self.threshold = min(self.threshold, bound)
        chosen = self.keys < self.threshold
        if chosen.all():
            return
        kept, start = [], 0
        for part, batch, rows in self.kept:
            of_batch = np.flatnonzero(chosen[start : start + len(rows)])
            start += len(rows)
            if len(of_batch):
                kept.append((part, batch.take(of_batch), rows[of_batch]))
        self.kept = kept
        self.keys, self.numbers = self.keys[chosen], self.numbers[chosen]


class _Sample(NamedTuple):
    """A sample of the labelled rows, in the table's order: random keys and numbers first."""

    keys: Array
    numbers: Array
    frame: pd.DataFrame
    codes: Array
    weight: Array | None


def _in_order(tasks: Iterator[Callable[[], T]], n_threads: int) -> Iterator[T]:
    """Results of tasks in order, with no more of them under way than threads."""
    coming: deque[Future[T]] = deque()
    with ThreadPoolExecutor(n_threads) as pool:
        for task in tasks:
            coming.append(pool.submit(task))
            if len(coming) > n_threads:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
