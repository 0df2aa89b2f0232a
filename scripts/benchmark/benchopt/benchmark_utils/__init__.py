"""What the objective, the data sets and the solvers share; `benchopt` makes it importable."""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchopt import BaseSolver

sys.path.append(str(Path(__file__).resolve().parents[3]))

from benchmark import problems
from benchmark.solvers import PEERS
from benchmark.timing import Recorder

Problem = problems.Problem


class StopSolver(Exception):  # noqa: N818 - no error
    """Raised in a solver that has run for long enough."""


class CallingRecorder(Recorder):
    """Passes the points that a solver reports on to benchopt."""

    def __init__(self, solver: Any, callback: Callable[[], bool]) -> None:
        super().__init__(keep_path=True)
        self.solver, self.callback = solver, callback

    def record(self, theta: problems.Array, cost: float | None = None) -> None:
        """Let benchopt evaluate θ."""
        self.solver.theta = theta.copy()
        if not self.callback():
            raise StopSolver


class PeerSolver(BaseSolver):
    """A solver of the benchmark beside this folder, by its name there."""

    sampling_strategy = "callback"

    def skip(self, problem: Problem) -> tuple[bool, str | None]:
        """Whether it cannot solve the problem, and why."""
        reason = PEERS[self.name].refusal(problem)
        return bool(reason), reason or None

    def set_objective(self, problem: Problem) -> None:
        """Convert arrays and compile, untimed."""
        self.theta = problem.start
        self.solve = PEERS[self.name].prepare(problem)

    def run(self, callback: Callable[[], bool]) -> None:
        """Solve from zero, and report the points on the way."""
        with suppress(StopSolver):
            self.theta = self.solve(CallingRecorder(self, callback))
            callback()

    def get_result(self) -> dict[str, Any]:
        """Return the last point."""
        return {"theta": self.theta}
