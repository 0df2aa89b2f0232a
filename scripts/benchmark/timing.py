"""Timing: how to measure, one recorded run with a time limit, and rows of results."""

import os
import random
import signal
import statistics
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

OURS = "this trainer"
STARTED = perf_counter()

SYSTEM_LOAD = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
"""System load before the start; thread synchronisation is slow on a busy machine."""

POLL_SECONDS = 0.02
"""How often to check whether the threads of this process are idle."""


def elapsed() -> float:
    """Seconds since the program started."""
    return perf_counter() - STARTED


def show_progress(text: str) -> None:
    """Print a line on standard error, with the elapsed seconds."""
    print(f"{elapsed():6.0f} s  {text}", file=sys.stderr, flush=True)


@contextmanager
def recorded_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Collect all warnings instead of showing them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def wait_until_idle(longest: float = 1.0) -> None:
    """Wait until no thread of this process is running, for `longest` seconds at most.

    NumPy's BLAS threads spin for about a tenth of a second after a call and would slow
    down the next solver.
    """
    for _ in range(int(longest / POLL_SECONDS)):
        before = process_time()
        sleep(POLL_SECONDS)
        if process_time() - before < 0.1 * POLL_SECONDS:
            break


@dataclass(frozen=True)
class Settings:
    """How to measure."""

    quick: bool = False  # small sizes
    repeats: int = 5  # runs of each solver
    time_limit: float = 60.0  # seconds of each solver on one problem
    output: Path = Path()  # folder for tables and pictures
    ours_only: bool = False  # leaves out all other solvers
    pause: Callable[[], None] = wait_until_idle  # called before each measurement

    def select(self, candidates: Mapping[str, Any]) -> dict[str, Any]:
        """The candidates, by name, that are to be measured."""
        return {k: v for k, v in candidates.items() if k.startswith(OURS) or not self.ours_only}

    def interleaved(self, names: Iterable[str], repeats: int) -> Iterator[tuple[int, str]]:
        """Each name once per round, in random order: a busy moment affects all alike."""
        shuffle = random.Random(0).shuffle
        order = list(names)
        for n in range(repeats):
            shuffle(order)
            for name in order:
                self.pause()
                yield n, name

    def time(
        self, functions: Mapping[str, Callable[[], Any]], repeats: int | None = None
    ) -> dict[str, list[float]]:
        """Seconds of each function, interleaved; the first call of each is not counted.

        A function that has used up the time limit is not called again.
        """
        seconds: dict[str, list[float]] = {name: [] for name in functions}
        with recorded_warnings():
            for n, name in self.interleaved(functions, (repeats or self.repeats) + 1):
                if sum(seconds[name]) < self.time_limit:
                    started = perf_counter()
                    functions[name]()
                    if n:
                        seconds[name].append(perf_counter() - started)
        return seconds


# --------------------------------------------------------------------- a recorded run


class TimeLimitReached(KeyboardInterrupt):
    """The time limit; a KeyboardInterrupt, since solvers stop for those."""


class Recorder:
    """One run of a solver: its seconds, its solution, and the points it reports.

    Attributes
    ----------
    theta : ndarray or None
        The solution. If the time limit ended the run: the last reported point, or the one
        of lowest cost if the solver reports costs.
    seconds : float
        Duration of the run.
    n_passes : float
        Number of evaluations of J and its gradient over all rows, or of epochs; 0 if the solver
        does not count them.
    in_time : bool
        Whether it ended before the time limit.
    path : list of (seconds, theta)
        All reported points, if `keep_path`.
    """

    def __init__(self, keep_path: bool = False) -> None:
        self.keep_path = keep_path
        self.path: list[tuple[float, Array]] = []
        self.theta: Array | None = None
        self.cost = self.seconds = np.inf
        self.n_passes = 0.0
        self.in_time = False
        self.started = perf_counter()

    def record(self, theta: Array, cost: float | None = None) -> None:
        """Report that θ has been reached."""
        if cost is None or cost <= self.cost:
            self.theta, self.cost = np.array(theta), np.inf if cost is None else cost
        if self.keep_path:
            self.path.append((perf_counter() - self.started, np.array(theta)))


Run = Callable[[Recorder], Array]
"""A solver ready to run on a problem: solves it from zero and returns θ (d + 1,)."""


def timed(run: Run, limit: float, keep_path: bool = False) -> Recorder:
    """Run a solver once, for at most `limit` seconds (where the system has alarms)."""
    recorder = Recorder(keep_path)
    try:
        with alarm(limit):
            recorder.started = perf_counter()
            recorder.theta = run(recorder)
            recorder.seconds = perf_counter() - recorder.started
            recorder.in_time = recorder.seconds <= limit
    except KeyboardInterrupt as stop:
        recorder.seconds = perf_counter() - recorder.started
        if not isinstance(stop, TimeLimitReached) and recorder.seconds < limit:
            raise  # Ctrl-C; a solver that has been stopped by the limit may also raise this
    return recorder


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise TimeLimitReached in the block after so many seconds."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def ring(*_: Any) -> None:
        raise TimeLimitReached

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


# ---------------------------------------------------------------------------- results


@dataclass
class Row:
    """One line of the results: one solver in one case."""

    case: str
    problem: str
    peer: str  # the solver
    n: int = 0  # rows
    d: int = 0  # columns
    K: int = 1  # neurons
    dtype: str = "float64"  # of X
    unit: str = "seconds"  # or MB: of median, low (the smallest) and high (the largest)
    median: float = np.nan
    low: float = np.nan
    high: float = np.nan
    repeats: int = 0  # counted runs
    ratio: float = np.nan  # of the median to this trainer's
    passes: float = np.nan  # over the rows, the median; nan if the solver does not count them
    gradient_max: float = np.nan  # ‖g‖∞ at the solution by the reference, largest of the repeats
    reached: str = ""  # whether that meets the target, "yes" or "no"; "other loss"; "": no target
    note: str = ""

    def summarise(self, values: Sequence[float]) -> "Row":
        """Fill in median, low, high and repeats."""
        if values:
            self.median, self.repeats = statistics.median(values), len(values)
            self.low, self.high = min(values), max(values)
        return self


def make_rows(
    case: str, problem: str, measured: Mapping[str, Sequence[float]], *sizes: Any, **more: Any
) -> list[Row]:
    """A row per solver, from its measurements."""
    return set_ratios(
        [Row(case, problem, peer, *sizes, **more).summarise(v) for peer, v in measured.items()]
    )


def set_ratios(rows: list[Row]) -> list[Row]:
    """Fill in the ratio of every row's median to this trainer's."""
    base = next((row.median for row in rows if row.peer == OURS), np.nan)
    for row in rows:
        row.ratio = row.median / base
    return rows
