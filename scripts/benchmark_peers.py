"""The solvers that are compared: each a function that gets ready, and gives what to run.

``prepare(problem)`` converts arrays and compiles, off the clock; ``run(watch)`` solves
from zero, on the clock, and returns θ (d + 1,), the bias last. The trainer and
scikit-learn get no such head start: all of their `fit` is on the clock, validation
included. A solver shows the watch each point it reaches, so that a run that is cut
short still has an answer, and a traced one a path.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from time import perf_counter
from typing import Any

import numpy as np
from benchmark_autograd import optax_lbfgs, torch_adam, torch_lbfgs
from benchmark_problems import Array, Problem
from benchmark_watch import Run, Watch
from scipy.optimize import least_squares, minimize
from sklearn.linear_model import LogisticRegression, SGDClassifier

from trainer import LogisticNeuron

Prepare = Callable[[Problem], Run]

OURS = "this trainer"
MANY = 1_000_000
"""Iterations, where the target or the time limit is to end a run and nothing else."""


@dataclass(frozen=True)
class Peer:
    """A solver, and what it can be asked.

    Attributes
    ----------
    prepare : callable
        Gets ready for a problem and returns what to run.
    package : str
        The module it needs.
    other_loss : bool
        It minimises the logistic loss, to its own default tolerance: the same use, but
        the referee's gradient says nothing about it.
    max_features : int
        It keeps a dense matrix of d × d or more; with more columns it is left out.
    dense_only : bool
        It does not take sparse X.
    compiles : bool
        Its `prepare` compiles for the very problem: no other warm-up is needed.
    """

    prepare: Prepare
    package: str = "sklearn"
    other_loss: bool = False
    max_features: int = 10**9
    dense_only: bool = False
    compiles: bool = False

    @property
    def installed(self) -> bool:
        """Whether its package is there."""
        return find_spec(self.package) is not None

    def refusal(self, problem: Problem) -> str:
        """Why it is left out of a problem; empty when it is not."""
        if self.dense_only and problem.is_sparse:
            return "takes no sparse X"
        if problem.X.shape[1] > self.max_features:
            return f"would need a dense matrix of {problem.X.shape[1]} columns squared"
        return ""


# ----------------------------------------------------------------------- this trainer


def has_parameter(name: str) -> bool:
    """Whether this version of the trainer has a parameter of that name."""
    return name in LogisticNeuron().get_params()


class Recorder:
    """A scikit-learn callback that shows the watch the parameters of every iteration."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def setup(self, estimator: Any, context: Any) -> None:
        """Nothing to set up."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """Nothing to tear down."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Nothing to see yet."""

    def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any) -> None:
        """One iteration, or the fit, is over."""
        self.watch.see(_parameters(fitted_estimator))


def this_trainer(problem: Problem, **settings: Any) -> Run:
    """`LogisticNeuron().fit`, all of it; one start, at zero, as everyone's."""
    settings = {"alpha": problem.alpha, "tol": problem.target, "max_iter": 100_000} | settings
    if has_parameter("n_starts"):
        settings.setdefault("n_starts", 1)

    def run(watch: Watch) -> Array:
        neuron = LogisticNeuron(**settings)
        if watch.tracing:
            neuron.set_callbacks(Recorder(watch))
        return _parameters(neuron.fit(problem.X, problem.labels))

    return run


# ------------------------------------------------------------------- NumPy and SciPy


def textbook(theta: Array, X: Any, y: Array, alpha: float) -> tuple[Any, Array]:
    """J and its gradient as a textbook writes them in NumPy; theta (d + 1,) or (d + 1, K)."""
    w, b = theta[:-1], theta[-1]
    with np.errstate(over="ignore"):
        sigma = 1 / (1 + np.exp(-(X @ w + b)))
    residual = (sigma.T - y).T
    slope = 2 * residual * sigma * (1 - sigma) / len(y)
    gradient = np.concatenate([X.T @ slope + alpha * w, slope.sum(axis=0, keepdims=True)])
    return np.mean(residual**2, axis=0) + alpha / 2 * np.sum(w**2, axis=0), gradient


def scipy_lbfgsb(problem: Problem) -> Run:
    """`scipy.optimize.minimize`, L-BFGS-B on the textbook's cost: its gtol is ‖g‖∞ itself."""
    X, y = problem.X, problem.y

    def cost(theta: Array) -> tuple[float, Array]:
        J, gradient = textbook(theta.astype(X.dtype, copy=False), X, y, problem.alpha)
        return float(J), gradient.astype(np.float64, copy=False)

    def run(watch: Watch) -> Array:
        options: Any = {"gtol": problem.target, "ftol": 0.0, "maxiter": MANY, "maxfun": MANY}
        start = problem.start.astype(np.float64)
        found = minimize(  # type: ignore[call-overload]  # the stubs want the cost first
            cost, start, method="L-BFGS-B", jac=True, callback=watch.see, options=options
        )
        theta: Array = found.x
        return theta

    return run


def scipy_least_squares(problem: Problem) -> Run:
    """`scipy.optimize.least_squares` (trust region), the penalty as d more residuals.

    The residuals √(2/n) (σ - y) and √alpha w make half their sum of squares J, and its
    gtol again ‖g‖∞.
    """
    X, y = problem.X, problem.y
    n, d = X.shape
    scale, penalty = np.sqrt(2 / n), np.sqrt(problem.alpha)

    def answer(theta: Array) -> Any:
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-(X @ theta[:-1] + theta[-1])))

    def residuals(theta: Array) -> Array:
        return np.concatenate([scale * (answer(theta) - y), penalty * theta[:-1]])

    def run(watch: Watch) -> Array:
        def jacobian(theta: Array) -> Array:
            watch.see(theta)
            sigma = answer(theta)
            slope = scale * sigma * (1 - sigma)
            jac = np.zeros((n + d, d + 1))
            np.multiply(X, slope[:, np.newaxis], out=jac[:n, :d])
            jac[:n, d] = slope
            jac[n + np.arange(d), np.arange(d)] = penalty
            return jac

        start = problem.start.astype(np.float64)
        found = least_squares(
            residuals, start, jacobian, ftol=None, xtol=None, gtol=problem.target, max_nfev=MANY
        )
        theta: Array = found.x
        return theta

    return run


# ---------------------------------------------------------------------- scikit-learn


def logistic_regression(problem: Problem, solver: str, **settings: Any) -> Run:
    """`LogisticRegression().fit` at its default tolerance, its penalty set to the same alpha.

    What runs in compiled code cannot be called off: there, max_iter is what the time
    limit allows, going by a few iterations timed beforehand.
    """
    settings = {"C": 1 / (problem.alpha * len(problem.labels)), "max_iter": MANY} | settings
    if solver in ("liblinear", "sag", "saga"):
        seconds = []
        for max_iter in (1, 6):
            started = perf_counter()
            model = LogisticRegression(solver=solver, **settings | {"max_iter": max_iter})
            model.fit(problem.X, problem.labels)
            seconds.append(perf_counter() - started)
        an_iteration = max((seconds[1] - seconds[0]) / 5, 1e-7)
        settings["max_iter"] = int(min(max(problem.time_limit / an_iteration, 1), 1e6))

    def run(watch: Watch) -> Array:
        model = LogisticRegression(solver=solver, **settings)
        return _parameters(model.fit(problem.X, problem.labels))

    return run


def sgd_classifier(problem: Problem) -> Run:
    """`SGDClassifier(loss="log_loss").fit` with the same alpha, other settings as they come."""

    def run(watch: Watch) -> Array:
        model = SGDClassifier(loss="log_loss", alpha=problem.alpha, random_state=0)
        return _parameters(model.fit(problem.X, problem.labels))

    return run


def _parameters(model: Any) -> Array:
    theta: Array = np.append(model.coef_[0], model.intercept_[0])
    return theta


PEERS: dict[str, Peer] = {
    OURS: Peer(this_trainer),
    "SciPy L-BFGS-B": Peer(scipy_lbfgsb, "scipy"),
    "SciPy least_squares": Peer(scipy_least_squares, "scipy", max_features=300, dense_only=True),
    "PyTorch L-BFGS": Peer(torch_lbfgs, "torch"),
    "PyTorch Adam": Peer(torch_adam, "torch"),
    "JAX optax L-BFGS": Peer(optax_lbfgs, "optax", compiles=True),
    **{
        f"LogisticRegression {solver}": Peer(
            partial(logistic_regression, solver=solver),
            other_loss=True,
            max_features=2_000 if solver == "newton-cholesky" else 10**9,
        )
        for solver in ("lbfgs", "newton-cholesky", "newton-cg", "liblinear", "sag", "saga")
    },
    "SGDClassifier": Peer(sgd_classifier, other_loss=True),
}
"""Everyone, by name."""
