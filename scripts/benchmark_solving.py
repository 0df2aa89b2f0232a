"""Time to a solution: every peer from zero to the same measured gradient."""

import gc
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from benchmark_peers import OURS, PEERS, Peer
from benchmark_problems import Array, Problem, gradient_max, referee
from benchmark_watch import Row, Run, Timed, set_ratios, timed, turns
from sklearn.exceptions import ConvergenceWarning

SLACK = 1.02
"""The referee adds up in another order than a solver that has just met the target."""


@dataclass(frozen=True)
class Settings:
    """How to measure: small sizes or not, repeats, seconds a peer, and who takes part."""

    quick: bool = False
    repeats: int = 5
    time_limit: float = 60.0
    peers: tuple[str, ...] = tuple(PEERS)


STARTED = perf_counter()


def elapsed() -> float:
    """Seconds since the program began."""
    return perf_counter() - STARTED


def say(text: str) -> None:
    """Progress, with the seconds so far, apart from the results."""
    print(f"{elapsed():6.0f} s  {text}", file=sys.stderr, flush=True)


@contextmanager
def quietly() -> Iterator[list[warnings.WarningMessage]]:
    """Keep warnings back, to be looked at."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def solve_all(
    case: str,
    problems: Callable[[bool, float], Iterator[Problem]],
    settings: Settings,
    peers: tuple[str, ...] = (),
) -> list[Row]:
    """Time all peers on some problems, one problem in memory at a time."""
    rows = []
    for problem in problems(settings.quick, settings.time_limit):
        names = [name for name in settings.peers if not peers or name in peers]
        rows += solve(case, problem, {name: PEERS[name] for name in names}, settings.repeats)
        gc.collect()
    return rows


def solve(case: str, problem: Problem, peers: dict[str, Peer], repeats: int) -> list[Row]:
    """Time peers on one problem, in turns, each warmed up.

    Who has spent the time limit sits out the further turns; the first run is always done,
    and counted as it is. A peer that fails is told of in its row's note.
    """
    n, d = problem.X.shape
    say(f"{problem.name} ({n} x {d}, {problem.X.dtype}) to {problem.target:.0e}")
    rows = {name: Row(case, problem.name, name, n, d, dtype=str(problem.X.dtype)) for name in peers}
    runs: dict[str, Run] = {}
    results: dict[str, list[Timed]] = {name: [] for name in peers}
    for name, peer in peers.items():
        rows[name].note = peer.refusal(problem)
        if not rows[name].note:
            try:
                runs[name] = prepare(name, peer, problem)
            except Exception as error:  # a peer's failure is a result
                rows[name].note = f"failed: {error}".splitlines()[0]
    if n * d < 200_000 and problem.time_limit > 1:
        repeats *= 3
    for _, name in turns(runs, repeats):
        spent = sum(result.seconds for result in results[name])
        if spent < problem.time_limit and not rows[name].note:
            try:
                results[name].append(run_once(runs[name], peers[name], problem))
            except Exception as error:
                rows[name].note = f"failed: {error}".splitlines()[0]
    for name in runs:
        if results[name] and not rows[name].note:
            judge(rows[name], problem, peers[name], results[name])
    found = set_ratios(list(rows.values()), OURS)
    if OURS in rows and rows[OURS].reached != "yes":
        for row in found:
            row.ratio = np.nan  # to what did not get there
    return found


WARM: set[tuple[str, str, bool]] = set()
"""Peer, precision and sparsity that have been run before."""


def prepare(name: str, peer: Peer, problem: Problem) -> Run:
    """Make a peer ready for a problem, after a first run on a corner of the first such."""
    kind = name, str(problem.X.dtype), problem.is_sparse
    with quietly():
        if kind not in WARM and not peer.compiles:
            WARM.add(kind)
            corner = problem.corner()
            timed(peer.prepare(corner), corner.time_limit)
        return peer.prepare(problem)


def run_once(run: Run, peer: Peer, problem: Problem) -> Timed:
    """One run; one of another loss that was not done is told by its warning."""
    with quietly() as caught:
        result = timed(run, problem.time_limit)
    unfinished = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    if peer.other_loss and unfinished:
        return replace(result, in_time=False)
    return result


def judge(row: Row, problem: Problem, peer: Peer, results: list[Timed]) -> None:
    """Fill in a row: the times, and what the referee says of the answers.

    A run cut short counts with the time it was given; as long as those are the minority,
    the median is what it would have been.
    """
    row.take([result.seconds for result in results])
    if peer.other_loss:
        done = sum(result.in_time for result in results) > len(results) / 2
        row.reached = "other loss" if done else "no"
        row.note = "" if done else "out of time, by its own tolerance"
        return
    slopes = [np.inf if r.theta is None else gradient_max(problem, r.theta) for r in results]
    there = [
        slope
        for slope, result in zip(slopes, results, strict=True)
        if result.in_time and slope <= SLACK * problem.target
    ]
    row.reached = "yes" if len(there) > len(results) / 2 else "no"
    row.gradient_max = max(there if row.reached == "yes" else slopes)
    if row.reached == "no":
        in_time = all(result.in_time for result in results)
        row.note = "stopped by itself" if in_time else "out of time"


# --------------------------------------------------------------- cost against time

TRACED = (OURS, "PyTorch L-BFGS", "PyTorch Adam", "SciPy L-BFGS-B")


@dataclass(frozen=True)
class Curve:
    """J - J* at some seconds of one run, and whether the run ended in time."""

    seconds: Array
    excess: Array
    in_time: bool


def trace(problem: Problem, names: tuple[str, ...]) -> dict[str, Curve]:
    """One recorded run of each peer.

    J is the referee's at every point that the peer showed, at 200 points at most, and J*
    the lowest of all. In a line search not every point is lower than the one before: what
    is kept is the lowest so far.
    """
    say(f"{problem.name}: recording the way down")
    curves: dict[str, Curve] = {}
    for name in (name for name in names if name in TRACED):
        run = prepare(name, PEERS[name], problem)
        with quietly():
            result = timed(run, problem.time_limit, tracing=True)
        if not result.path:
            continue
        kept = np.unique(np.geomspace(1, len(result.path), 200).astype(int)) - 1
        costs = np.array([referee(problem, result.path[i][1])[0] for i in kept])
        seconds = np.array([result.path[i][0] for i in kept])
        curves[name] = Curve(seconds, np.minimum.accumulate(costs), result.in_time)
    lowest = min((curve.excess.min() for curve in curves.values()), default=0.0)
    return {name: replace(c, excess=c.excess - lowest) for name, c in curves.items()}
