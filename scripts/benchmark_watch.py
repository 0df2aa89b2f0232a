"""Clocks: one run of one solver, watched; and rows of results."""

import random
import signal
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, process_time, sleep
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

NAP = 0.02
"""Seconds to wait at a time, between runs, for the last run's threads to go to sleep."""


class TimeUp(KeyboardInterrupt):
    """The time limit; a KeyboardInterrupt, so that what answers Ctrl-C answers this too."""


class Watch:
    """Sees the points that a solver reaches, and when.

    Parameters
    ----------
    tracing : bool
        Keep all points with their times; else only the last, or the lowest where the
        solver tells its cost.
    """

    def __init__(self, tracing: bool = False) -> None:
        self.tracing = tracing
        self.path: list[tuple[float, Array]] = []
        self.best: Array | None = None
        self.best_cost = np.inf
        self.started = perf_counter()

    def see(self, theta: Array, cost: float | None = None) -> None:
        """A solver's word: it has reached θ."""
        if cost is None or cost <= self.best_cost:
            self.best, self.best_cost = np.array(theta), np.inf if cost is None else cost
        if self.tracing:
            self.path.append((perf_counter() - self.started, np.array(theta)))


Run = Callable[[Watch], Array]
"""A solver made ready for a problem: it takes a watch, solves from zero, returns θ (d + 1,)."""


@dataclass(frozen=True)
class Timed:
    """One run: its seconds, its answer (None when there was no time for any), its path."""

    seconds: float
    theta: Array | None
    in_time: bool
    path: list[tuple[float, Array]]


def timed(run: Run, limit: float, tracing: bool = False) -> Timed:
    """Run a solver once, for `limit` seconds at most (where the system has alarms)."""
    watch = Watch(tracing)
    in_time = True
    try:
        with alarm(limit):
            watch.started = perf_counter()
            theta: Array | None = run(watch)
            seconds = perf_counter() - watch.started
    except TimeUp:
        seconds, theta, in_time = perf_counter() - watch.started, watch.best, False
    return Timed(seconds, theta, in_time and seconds <= limit, watch.path)


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise TimeUp in the block after so many seconds."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def ring(*_: Any) -> None:
        raise TimeUp

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def turns(names: Iterable[str], repeats: int) -> Iterator[tuple[int, str]]:
    """Whose turn it is: all names in every turn, so that a busy moment troubles all alike.

    Each turn has its own order, and all find the process at rest.
    """
    shuffle = random.Random(0).shuffle
    order = list(names)
    for turn in range(repeats):
        shuffle(order)
        for name in order:
            rest()
            yield turn, name


def rest(longest: float = 1.0) -> None:
    """Wait until no thread of this process works, for `longest` seconds at most.

    The threads of NumPy's BLAS go on waiting for work, at full speed, for a tenth of a
    second after a call, and would slow down whoever comes next.
    """
    for _ in range(int(longest / NAP)):
        before = process_time()
        sleep(NAP)
        if process_time() - before < 0.1 * NAP:
            break


def rounds(
    functions: dict[str, Callable[[], Any]], repeats: int, budget: float = np.inf
) -> dict[str, list[float]]:
    """Seconds of each function, in turns, the first of which is not counted.

    Who has used up `budget` seconds sits out the further turns.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for turn, name in turns(functions, repeats + 1):
        if sum(seconds[name]) < budget:
            started = perf_counter()
            functions[name]()
            if turn:
                seconds[name].append(perf_counter() - started)
    return seconds


@dataclass
class Row:
    """One line of the results: a peer's figure in one case.

    Attributes
    ----------
    case, problem, peer : str
        What was measured, on what, and whom.
    n, d, K : int
        Rows, columns and neurons.
    dtype : str
        Precision of X.
    unit : str
        Of the three that follow: seconds, MB, or a plain factor.
    median, low, high : float
        Over the repeats; low and high are the smallest and the largest.
    repeats : int
        Runs that were counted.
    ratio : float
        Median over that of this trainer, or of what the case compares with.
    gradient_max : float
        ‖g‖∞ at the answer by the referee; the worst of the repeats.
    reached : str
        "yes" or "no", whether that meets the target; "other loss"; empty where nothing
        was to be reached.
    note : str
        Anything else worth knowing.
    """

    case: str
    problem: str
    peer: str
    n: int = 0
    d: int = 0
    K: int = 1
    dtype: str = "float64"
    unit: str = "seconds"
    median: float = np.nan
    low: float = np.nan
    high: float = np.nan
    repeats: int = 0
    ratio: float = np.nan
    gradient_max: float = np.nan
    reached: str = ""
    note: str = ""

    def take(self, values: Sequence[float]) -> "Row":
        """Fill in median, low and high."""
        if values:
            self.median, self.repeats = statistics.median(values), len(values)
            self.low, self.high = min(values), max(values)
        return self


def set_ratios(rows: list[Row], reference: str) -> list[Row]:
    """Fill in every row's ratio to the median of the reference peer."""
    base = next((row.median for row in rows if row.peer == reference), np.nan)
    for row in rows:
        row.ratio = row.median / base
    return rows
