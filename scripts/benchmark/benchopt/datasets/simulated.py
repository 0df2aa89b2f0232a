"""Rows of a logistic model with a given condition number."""

from typing import Any

from benchmark_utils import problems
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """`benchmark.problems.conditioned`."""

    name = "simulated"
    parameters = {  # noqa: RUF012 - benchopt's interface
        "n, d, condition": [(10_000, 50, 1.0), (10_000, 50, 1e4), (100_000, 50, 1e4)]
    }
    test_parameters = {"n, d, condition": [(300, 4, 10.0)]}  # noqa: RUF012

    def get_data(self) -> dict[str, Any]:
        """Draw X and the labels."""
        problem = problems.conditioned(self.n, self.d, self.condition)
        return {"X": problem.X, "labels": problem.labels}
