"""PyTorch's L-BFGS with autograd."""

from benchmark_utils import PeerSolver


class Solver(PeerSolver):
    """`benchmark.solvers.torch_lbfgs`."""

    name = "PyTorch L-BFGS"
    requirements = ["pip::torch"]  # noqa: RUF012 - benchopt's interface
