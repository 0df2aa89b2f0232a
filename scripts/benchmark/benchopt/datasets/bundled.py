"""scikit-learn's toy sets, standardised, one class against the rest."""

from typing import Any

from benchmark_utils import problems
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """`benchmark.problems.toy`."""

    name = "bundled"
    parameters = {"source": list(problems.TOYS)}  # noqa: RUF012 - benchopt's interface

    def get_data(self) -> dict[str, Any]:
        """Load X and the labels."""
        problem = problems.toy(self.source)
        return {"X": problem.X, "labels": problem.labels}
