"""SciPy's L-BFGS-B on the textbook's cost."""

from benchmark_utils import PeerSolver


class Solver(PeerSolver):
    """`benchmark.solvers.scipy_lbfgsb`."""

    name = "SciPy L-BFGS-B"
    requirements = ["scipy"]  # noqa: RUF012 - benchopt's interface
