"""JAX and optax's L-BFGS."""

from benchmark_utils import PeerSolver


class Solver(PeerSolver):
    """`benchmark.solvers.optax_lbfgs`."""

    name = "JAX optax L-BFGS"
    requirements = ["pip::jax", "pip::optax"]  # noqa: RUF012 - benchopt's interface
