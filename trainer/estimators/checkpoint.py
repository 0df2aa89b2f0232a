"""Checkpoints of a fit: all that it is, on disk, so that a fit that was killed can go on.

A checkpoint holds the journal of `trainer.core.training`, the seed that `random_state` gave, and
what the fit must have in common with the one that goes on: the neuron's parameters, the data,
and what decides the rounding of sums.
"""

import warnings
from dataclasses import dataclass
from os import W_OK, PathLike, access
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

import trainer
from trainer.core.objective import Objective
from trainer.core.termination import Termination
from trainer.core.training import Journal, Record
from trainer.estimators.callbacks import AfterIteration
from trainer.estimators.fingerprint import differences, fingerprint, surroundings
from trainer.optimizers.base import State
from trainer.persistence.files import clear_drafts, read_whole, write_atomically
from trainer.persistence.sealed import ArchiveError, demand
from trainer.persistence.states import read_values, write_values

Array = npt.NDArray[Any]

MAX_BYTES = 2**31
"""Size of a checkpoint, which holds the Hessians of the neurons where the optimizer has them."""

MIN_PAUSE = 10.0
"""The next checkpoint is written after this many times the time that the last one took."""

_RECORD = (
    "run", "n_rows", "alpha", "cost", "gradient_max", "validation_cost", "seconds", "theta"
)  # fmt: skip


class Checkpoint(AfterIteration):
    """A scikit-learn callback that keeps the fit of a LogisticNeuron in a file while it runs.

    ``fit(X, y, resume=path)`` goes on from that file: parameters, history and `termination_`
    are, bit for bit, those of a fit that was never interrupted. Only `seconds` differ: they
    leave out the time after the last checkpoint and until the fit went on.

    The file is replaced as a whole, and kept when the fit is over. If it cannot be written, as
    on a full disk, a warning says so, the last file stays and training goes on.

    Parameters
    ----------
    path : path
        The file; one fit at a time writes it.
    every : float, default=10.0
        Seconds between two checkpoints, >= 0; 0 writes one after every iteration. Checkpoints
        that take long are written less often, so that at most a tenth of the time goes into
        them, unless `every` is 0. The last one is written when the fit ends, by Ctrl-C too.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from trainer import Checkpoint, LogisticNeuron, load_dataset
    >>> data = load_dataset("blobs")
    >>> neuron = LogisticNeuron(optimizer="adam", max_iter=50, tol=1e-3)
    >>> with TemporaryDirectory() as folder:
    ...     path = f"{folder}/blobs.checkpoint"
    ...     first = neuron.set_callbacks(Checkpoint(path)).fit(data.X, data.y).coef_
    ...     again = neuron.set_callbacks().fit(data.X, data.y, resume=path).coef_
    >>> bool((first == again).all())
    True
    """

    def __init__(self, path: str | PathLike[str], every: float = 10.0) -> None:
        if not isinstance(every, int | float | np.number) or not 0 <= every < np.inf:
            raise ValueError(f"every must be a number of seconds >= 0, got {every!r}")
        self.path, self.every = Path(path), float(every)
        self.due, self.has_failed = 0.0, False

    def setup(self, estimator: Any, context: Any) -> None:
        """Check what can be checked before training."""
        if getattr(estimator, "_progress", None) is None:
            raise ValueError(
                f"Checkpoint keeps the fit of a LogisticNeuron, got a {type(estimator).__name__}, "
                "which trains many neurons that a checkpoint would not hold; set it on a "
                "LogisticNeuron"
            )
        folder = self.path.parent
        if not folder.is_dir() or not access(folder, W_OK) or self.path.is_dir():
            raise ValueError(
                f"Checkpoint must be given a file in a folder that can be written to, got "
                f"{self.path}; make the folder, or choose another"
            )
        clear_drafts(folder)
        self.due, self.has_failed = perf_counter() + self.every, False

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """Write a checkpoint if one is due."""
        begin = perf_counter()
        if context.task_name != "iteration" or begin >= self.due:
            try:
                write_atomically(self.path, estimator._progress.dumped())
                self.has_failed = False
            except (OSError, ValueError, MemoryError) as error:
                if not self.has_failed:
                    warnings.warn(
                        f"the checkpoint {self.path} was not written, the last one stays and "
                        f"training goes on: {error}",
                        UserWarning,
                        stacklevel=2,
                    )
                self.has_failed = True
            end = perf_counter()
            self.due = end + max(self.every, MIN_PAUSE * (end - begin) if self.every else 0.0)
        return False


def progress_of(
    neuron: Any,
    resumed: "Progress | None",
    seed: int,
    theta: Array,
    objective: Objective,
    validation: Objective | None,
) -> "Progress | None":
    """The progress that a fit begins with: that of its checkpoint, or none so far.

    None if neither a checkpoint is to be written nor one was given.

    Raises
    ------
    ValueError
        If the checkpoint is that of another fit.
    """
    callbacks = getattr(neuron, "_skl_callbacks", ())
    if resumed is None and not any(isinstance(each, Checkpoint) for each in callbacks):
        return None
    fit = fingerprint(neuron, theta, objective, validation)
    if resumed is None:
        return Progress(seed, fit, surroundings(), Journal())
    resumed.check(fit)
    return resumed


@dataclass
class Progress:
    """What a checkpoint holds.

    Attributes
    ----------
    seed : int
        Drawn from `random_state`.
    fit : dict
        Parameters and data, in a form that can be compared.
    surroundings : dict
        What decides the last digit of a sum.
    journal : Journal
        How far training has come.
    path : path or None
        The file that was read.
    """

    seed: int
    fit: dict[str, Any]
    surroundings: dict[str, Any]
    journal: Journal
    path: Any = None

    @classmethod
    def read(cls, path: Any) -> "Progress":
        """The progress in a file.

        Raises
        ------
        ValueError
            If it is not a checkpoint, is damaged, or of a newer format.
        OSError
            If it is not there or cannot be read.
        """
        data = read_whole(path, MAX_BYTES)
        try:
            held = read_values(data, _kinds(), "a checkpoint", "Checkpoint")
            demand(held.keys() == {"seed", "fit", "surroundings", "phases", "history"})
            phases, records = held.pop("phases"), _records(held.pop("history"))
            demand(all(phase["n_records"] <= len(records) for phase in phases))
            for phase in phases:
                _check(phase)
            return cls(**held, journal=Journal(phases, records), path=path)
        except ArchiveError as error:
            raise ValueError(f"{path} {error}") from error
        except Exception as error:  # a file from elsewhere can be wrong in any way
            raise ValueError(
                f"{path} is not a checkpoint, or is damaged; Checkpoint writes one"
            ) from error

    def dumped(self) -> bytes:
        """The contents of a file."""
        phases = self.journal.phases
        n_records = phases[-1]["n_records"] if phases else 0
        values = {
            "seed": self.seed,
            "fit": self.fit,
            "surroundings": self.surroundings,
            "phases": phases,
            "history": _columns(self.journal.records[:n_records]),
        }
        data = write_values(values, _kinds(), trainer.__version__)
        if len(data) > MAX_BYTES:
            raise ValueError(f"it must have at most {MAX_BYTES} bytes, got {len(data)}")
        return data

    def check(self, fit: dict[str, Any]) -> None:
        """Refuse another fit; warn where rounding may differ."""
        if different := differences(self.fit, fit):
            raise ValueError(
                f"{self.path} must be a checkpoint of this fit, got that of another: "
                f"{different[0]}; give the same data and parameters, or fit without resume"
            )
        here = surroundings()
        if different := differences(self.surroundings, here):
            warnings.warn(
                f"{self.path} was written where sums are rounded in another way "
                f"({'; '.join(different)}): the result will differ in its last digits from that "
                "of a fit that was not interrupted",
                UserWarning,
                stacklevel=5,
            )
            self.surroundings = here


def _kinds() -> list[type]:
    """Types of values in a checkpoint: states of all optimizers that are defined."""
    kinds: list[type] = [State, Termination]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return kinds


def _columns(records: list[Record]) -> dict[str, Any]:
    """The attributes of all records as arrays, a row an iteration."""
    columns = {}
    for name in _RECORD:
        values = [getattr(record, name) for record in records]
        columns[name] = None if not values or values[0] is None else np.array(values)
    return columns


def _records(columns: dict[str, Any]) -> list[Record]:
    n = 0 if columns["run"] is None else len(columns["run"])
    lists: dict[str, Any] = {
        name: [None] * n
        if column is None
        else (column.tolist() if column.ndim == 1 else list(column))
        for name, column in columns.items()
    }
    return [Record(*row) for row in zip(*(lists[name] for name in _RECORD), strict=True)]


def _check(phase: dict[str, Any]) -> None:
    """Whether the arrays of a phase belong together."""
    theta, working = phase["theta"], phase["working"]
    size, n_neurons = theta.shape
    for name in ("gradient", "J", "gradient_max", "best_score", "best_iter", "limit"):
        demand(phase[name].shape == ((size, n_neurons) if name == "gradient" else (n_neurons,)))
    demand([part.shape for part in phase["best"]] == [theta.shape, (n_neurons,), (n_neurons,)])
    demand(len(phase["terminations"]) == n_neurons and isinstance(phase["hessians"], dict))
    demand(working.ndim == 1 and working.dtype.kind == "i")
    demand(np.isin(working, np.arange(n_neurons)).all())
    if len(working):
        demand(phase["state"].theta.shape == (size, len(working)))
