"""Where the rows of `train.py` come from: memory, files read in pieces, or a cluster."""

import argparse
import logging
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import trainer
from trainer.commands.console import say

CONNECT_SECONDS = 30
"""Longest wait for a scheduler, unless --wait is shorter."""


class Table(NamedTuple):
    """A table in two parts, as training and evaluation take them.

    Attributes
    ----------
    data : Dataset
        Names and notes. Its X and y are those that pictures show: all rows, or only those for
        testing if the others are not in memory.
    n_rows, n_features : int
        Of the table.
    class_counts : dict of str to int
        Rows of each class.
    preprocessor : ColumnTransformer
        Fitted on training rows.
    n_training : int
        Rows to train on.
    training : tuple
        What `fit` takes: (X, y), or (rows,).
    validation : tuple of (X, y)
        Rows whose cost is recorded or, with early stopping, decides; (None, None) for some of the
        training rows.
    scored : dict of str to (X, y)
        The sets of rows that there are figures of.
    references : callable
        Fits the models that the neuron is compared with, by name.
    is_file : bool
        Whether it comes from a file.
    close_bar : callable or None
        Takes away the progress bar that a table read in pieces shows.
    """

    data: Any
    n_rows: int
    n_features: int
    class_counts: dict[str, int]
    preprocessor: Any
    n_training: int
    training: tuple[Any, ...]
    validation: tuple[Any, Any]
    scored: dict[str, tuple[Any, Any]]
    references: Callable[[], dict[str, Any]]
    is_file: bool = True
    close_bar: Callable[[], None] | None = None


def find(options: argparse.Namespace) -> tuple[str, AbstractContextManager[Table]]:
    """The name of the run, and the table, which is read in pieces when its context is entered."""
    given = options.data
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    on_cluster = bool(options.workers or options.scheduler)
    if isinstance(given, str) and given in trainer.list_datasets():
        if on_cluster:
            raise ValueError(f"--workers and --scheduler are for files, got the data set {given}")
        why = None
    else:
        why = trainer.too_large_for_memory(given, options.memory)
    if why is None and not on_cluster:
        return _in_memory(options, given)
    _check(options, why or "it is read by workers", on_cluster)
    return _name(given), _in_pieces(options, given, why)


def make_neuron(options: argparse.Namespace) -> Any:
    """The neuron to train."""
    return trainer.LogisticNeuron(
        optimizer=options.optimizer,
        learning_rate=options.learning_rate,
        max_iter=options.max_iter,
        batch_size=options.batch_size,
        alpha=options.alpha,
        tol=options.tol,
        early_stopping=options.early_stopping,
        random_state=options.seed,
    )


def _try_neuron(options: argparse.Namespace) -> None:
    """Let a tiny fit refuse options that do not go together, before there is any work done."""
    tiny = [[-1.0], [1.0]], [0, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make_neuron(options).set_params(max_iter=1).fit(*tiny, X_val=tiny[0], y_val=tiny[1])


def _in_memory(
    options: argparse.Namespace, given: str
) -> tuple[str, AbstractContextManager[Table]]:
    data = trainer.load_dataset(
        given, target=options.target, positive=options.positive, random_state=options.seed
    )
    _try_neuron(options)
    X_train, X_test, y_train, y_test = _split(data.X, data.y, options.test_size, options.seed)

    @contextmanager
    def prepared() -> Iterator[Table]:
        preprocessor = trainer.make_preprocessor(X_train)
        training = preprocessor.fit_transform(X_train), y_train
        test = preprocessor.transform(X_test), y_test
        yield Table(
            data=data,
            n_rows=len(data.X),
            n_features=data.X.shape[1],
            class_counts=_counted(data.y),
            preprocessor=preprocessor,
            n_training=len(y_train),
            training=training,
            # The cost on the test rows is recorded, no more; with early stopping it would decide.
            validation=(None, None) if options.early_stopping else test,
            scored={"train": training, "test": test},
            references=lambda: trainer.reference_models(*training),
            is_file=given not in trainer.list_datasets(),
        )

    return data.name, prepared()


def _split(X: Any, y: Any, test_size: float, seed: int) -> Any:
    """X_train, X_test, y_train, y_test, stratified by class."""
    import numpy as np
    from sklearn.model_selection import train_test_split

    with suppress(ValueError):
        parts = train_test_split(X, y, test_size=test_size, stratify=y, random_state=seed)
        if all(len(np.unique(labels)) == 2 for labels in parts[2:]):
            return parts
    rarest = np.unique(y, return_counts=True)[1].min()
    raise ValueError(
        f"--test-size {test_size:g} of {len(y)} rows, {rarest} of them of the rarer class, "
        "leaves a class without training or test rows; choose another --test-size or add rows"
    )


def _counted(y: Any) -> dict[str, int]:
    import numpy as np

    labels, counts = np.unique(y, return_counts=True)
    return {str(label): int(n) for label, n in zip(labels, counts, strict=True)}


def _check(options: argparse.Namespace, why: str, on_cluster: bool) -> None:
    """Refuse, before any row is read, what cannot be done in pieces."""
    for name in ("suspects", "report", "wrong_labels"):
        if getattr(options, name):
            option = f"--{name.replace('_', '-')}"
            raise ValueError(
                f"{option} needs the table in memory, and it is read in pieces: {why}; leave it out"
            )
    if options.target is None:
        raise ValueError(f"--target must be given for a table that is read in pieces: {why}")
    if options.workers and options.scheduler:
        raise ValueError("--workers starts a cluster, and --scheduler uses another; give one")
    if on_cluster and options.batch_size:
        raise ValueError(
            "--batch-size cannot be used on a cluster, where every epoch would send all rows to "
            "one process; leave it out"
        )
    _try_neuron(options)


@contextmanager
def _in_pieces(options: argparse.Namespace, given: Any, why: str | None) -> Iterator[Table]:
    """The table read by `open_rows`, with rows kept out to validate and test on."""
    bar, paths = Bar(), _listed(given)
    with ExitStack() as stack:
        stack.callback(bar.close)
        client, source = None, given
        if options.workers or options.scheduler:
            client = stack.enter_context(_cluster(options))
            n = len(client.scheduler_info(n_workers=-1)["workers"])
            how, reason = f"read and kept by {n} worker{'s' * (n != 1)}", ""
            source = [os.path.abspath(path) for path in paths]
        else:
            how, reason = "read in pieces", f": {why}"
        shown = ", ".join(os.path.basename(os.path.normpath(path)) for path in paths[:3])
        shown += ", ..." * (len(paths) > 3)
        say(f"{shown}: {how}{reason}")
        # with early stopping, a tenth of the other rows, as for tables in memory
        share = options.test_size
        kept_out = share + (1 - share) / 10 if options.early_stopping else share
        rows = trainer.open_rows(
            source, target=options.target, positive=options.positive, is_binary=True,
            test_size=kept_out, memory=options.memory or "512MB", random_state=options.seed,
            progress=bar, client=client,
        )  # fmt: skip
        stack.enter_context(rows)
        bar.close()
        X_test, y_test = rows.X_test, rows.y_test
        n_rows = rows.n_rows + len(y_test)
        counts = _counted(y_test)
        if len(counts) < 2 or len(rows.classes) < 2:
            raise ValueError(
                f"--test-size {share:g} keeps out {len(y_test)} of {n_rows} rows, all of one "
                "class; choose another --test-size or add rows"
            )
        validation = None
        if options.early_stopping:
            X_val, X_test, y_val, y_test = _split(X_test, y_test, share / kept_out, options.seed)
            validation = rows.preprocessor.transform(X_val), y_val
        test = rows.preprocessor.transform(X_test), y_test
        for label, n in rows.class_totals.items():
            counts[str(label)] = counts.get(str(label), 0) + int(n)
        rest = next(label for label in rows.classes.tolist() if label != rows.positive)
        data = trainer.Dataset(
            name=_name(given),
            description=f'rows of {shown}, {how}: "{options.target}" is {rows.positive}, or {rest}',
            X=X_test,
            y=y_test,
            positive=rows.positive,
            notes=(
                *rows.notes,
                "left out, as they need all training rows in memory: their figures, and "
                "LogisticRegression's",
            ),
        )
        yield Table(
            data=data,
            n_rows=n_rows,
            n_features=len(rows.preprocessor.feature_names_in_),
            class_counts=dict(sorted(counts.items())),
            preprocessor=rows.preprocessor,
            n_training=rows.n_rows,
            training=(rows,),
            validation=validation or test,
            scored={"test": test},
            references=lambda: {"constant": _constant(rows)},
            close_bar=bar.close,
        )


def _constant(rows: Any) -> Any:
    """The constant probability, from the classes' totals."""
    import numpy as np
    from sklearn.dummy import DummyClassifier

    weight = [rows.class_totals[label] for label in rows.classes.tolist()]
    X = np.zeros((len(weight), 1))
    return DummyClassifier(strategy="prior").fit(X, rows.classes, sample_weight=weight)


def _listed(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else given


def _name(given: Any) -> str:
    """The run's name: that of the folder, or of the first file or pattern."""
    path = Path(_listed(given)[0])
    if path.is_dir():
        return path.resolve().name or "table"
    suffixes = r"(\.(csv|tsv|txt|parquet|pq|arrow|feather|ipc))?(\.gz)?$"
    stem = re.sub(suffixes, "", path.name, flags=re.IGNORECASE)
    if not path.exists():  # a pattern
        stem = re.sub(r"[][*?]+", "", stem)
    return stem.strip(".-_ ") or "table"


@contextmanager
def _cluster(options: argparse.Namespace) -> Iterator[Any]:
    """A client of a cluster on this machine, or of one that stands."""
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise ImportError(
            '--workers and --scheduler need Dask: pip install "logistic-neuron-trainer[dask]"'
        ) from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # errors are told in one line
    with dask.config.set({"trainer.wait": options.wait}), ExitStack() as stack:
        address: Any = options.scheduler
        if options.workers:
            # a terminal's Ctrl-C reaches the workers too, which are to finish the pass
            with _ignored(signal.SIGINT):
                address = stack.enter_context(
                    LocalCluster(
                        n_workers=options.workers, threads_per_worker=1, processes=True,
                        dashboard_address=":0", silence_logs=logging.CRITICAL,
                    )
                )  # fmt: skip
        seconds = min(options.wait, CONNECT_SECONDS)
        try:
            client = stack.enter_context(Client(address, timeout=seconds))
        except (OSError, ValueError) as error:
            raise ValueError(
                f"--scheduler: {address} cannot be reached in {seconds:g} s ({error}); check the "
                "address, and that the scheduler runs"
            ) from None
        yield client


@contextmanager
def _ignored(number: int) -> Iterator[None]:
    """A signal is ignored, here and for good in the processes that are started."""
    if threading.current_thread() is not threading.main_thread():  # which has the handlers
        yield
        return
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)


class Bar:
    """Rows or shards read, prepared, and gone through in each pass, as a bar on a terminal."""

    def __init__(self) -> None:
        self.bar: Any = None

    def __call__(self, what: str, n_done: int, n_all: int | None) -> None:
        """Show how far it has come."""
        if not sys.stdout.isatty():
            return
        if self.bar is None:
            from rich.progress import Progress

            self.bar = Progress(transient=True)
            self.task = self.bar.add_task(what, total=n_all)
            self.bar.start()
        self.bar.update(self.task, description=what, completed=n_done, total=n_all)

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
