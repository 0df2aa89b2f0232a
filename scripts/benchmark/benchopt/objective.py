"""The mean squared error of a logistic neuron with an L2 penalty, as a benchopt objective.

Run it with ``python -m pip install -e ".[bench]" benchopt`` and
``benchopt run scripts/benchmark/benchopt``.
"""

from typing import Any

from benchmark_utils import Problem, problems
from benchopt import BaseObjective


class Objective(BaseObjective):
    """J(w, b) = mean (y - σ(Xw + b))² + alpha/2 ‖w‖²."""

    name = "squared error of a logistic neuron"
    min_benchopt_version = "1.7"
    parameters = {"alpha": [1e-4]}  # noqa: RUF012 - benchopt's interface

    def set_data(self, X: Any, labels: Any) -> None:
        """Take the rows of a data set."""
        self.problem = Problem("", X, labels, alpha=self.alpha)

    def get_objective(self) -> dict[str, Any]:
        """Return what a solver receives."""
        return {"problem": self.problem}

    def evaluate_result(self, theta: Any) -> dict[str, float]:
        """J and the largest component of its gradient, by the reference implementation."""
        J, gradient = problems.reference(self.problem, theta)
        return {"value": J, "gradient_max": float(abs(gradient).max())}

    def get_one_result(self) -> dict[str, Any]:
        """Return the starting point, for `benchopt test`."""
        return {"theta": self.problem.start}
