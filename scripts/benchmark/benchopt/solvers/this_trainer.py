"""`LogisticNeuron` with a single start."""

from benchmark_utils import PeerSolver


class Solver(PeerSolver):
    """`benchmark.solvers.this_trainer`."""

    name = "this trainer"
    requirements = ["pip::logistic-neuron-trainer"]  # noqa: RUF012 - benchopt's interface
