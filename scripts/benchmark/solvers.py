"""The compared solvers, and one evaluation of J and its gradient by each library.

``prepare(problem)`` converts arrays and compiles, untimed; ``run(recorder)`` solves from
zero, timed, and returns θ (d + 1,), bias last. Of this trainer and scikit-learn all of
`fit` is timed, including validation. Solvers report the points they reach to the
recorder, so that a run stopped by the time limit still has a result.
PyTorch, JAX and optax are optional and imported on use.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from operator import matmul
from time import perf_counter
from typing import Any

import numpy as np
from scipy.optimize import least_squares, minimize
from sklearn.linear_model import LogisticRegression, SGDClassifier

import trainer
from benchmark.problems import Array, Problem
from benchmark.timing import OURS, Recorder, Run

UNLIMITED = 1_000_000
"""Iterations, where only the target or the time limit is to end a run."""

Pass = Callable[[], Any]
"""One evaluation of J and its gradient; returns both."""


@dataclass(frozen=True)
class Peer:
    """A solver: what prepares its runs, and its limitations."""

    prepare: Callable[[Problem], Run]
    package: str = "sklearn"
    other_loss: bool = False  # minimises the logistic loss, to its own default tolerance
    max_features: int = 10**9  # keeps a dense d × d matrix, or a larger one
    dense_only: bool = False  # takes no sparse X
    compiles: bool = False  # `prepare` compiles for the problem: no other warm-up is needed

    @property
    def installed(self) -> bool:
        """Whether its package is installed."""
        return find_spec(self.package) is not None

    def refusal(self, problem: Problem) -> str:
        """Why it is left out of a problem; empty if it is not."""
        if self.dense_only and problem.is_sparse:
            return "takes no sparse X"
        if problem.X.shape[1] > self.max_features:
            return f"would need a dense matrix of {problem.X.shape[1]} columns squared"
        return ""


# ----------------------------------------------------------------------- this trainer


class RecordIterations:
    """A scikit-learn callback that records the parameters of every iteration."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def setup(self, estimator: Any, context: Any) -> None: ...
    def teardown(self, estimator: Any, context: Any) -> None: ...
    def on_fit_task_begin(self, estimator: Any, context: Any) -> None: ...
    def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any) -> None:
        self.recorder.record(parameters(fitted_estimator))


def this_trainer(problem: Problem, **params: Any) -> Run:
    """`LogisticNeuron.fit` to the problem's target."""

    def run(recorder: Recorder) -> Array:
        neuron = trainer.LogisticNeuron(
            alpha=problem.alpha, tol=problem.target, max_iter=100_000, **params
        )
        if recorder.keep_path:
            neuron.set_callbacks(RecordIterations(recorder))
        try:
            neuron.fit(problem.X, problem.labels)
        except KeyboardInterrupt:
            if hasattr(neuron, "coef_"):
                recorder.record(parameters(neuron))  # the best parameters so far
            raise
        ending = getattr(neuron, "termination_", None)  # has no passes in an old checkout
        recorder.n_passes = getattr(ending, "n_passes", 0.0)
        return parameters(neuron)

    return run


def parameters(model: Any) -> Array:
    """θ (d + 1,) of a fitted binary linear model."""
    theta: Array = np.append(model.coef_[0], model.intercept_[0])
    return theta


def trainer_pass(problem: Problem, theta: Array) -> Pass:
    """The trainer's objective, as its optimizers call it."""
    X, y, alpha = problem.X, problem.y, problem.alpha
    if hasattr(trainer.Objective, "from_arrays"):
        objective = trainer.Objective.from_arrays(X, y, alpha=alpha)
    else:  # a checkout from before it, under --compare
        objective = trainer.Objective(trainer.ArrayRows(X, y), alpha)
    theta = theta.reshape(len(theta), -1).astype(np.float64)
    return lambda: objective.value_and_gradient(theta)


# ------------------------------------------------------------------- NumPy and SciPy


def textbook(theta: Array, X: Any, y: Array, alpha: float) -> tuple[Any, Array]:
    """J and its gradient as in a textbook, in NumPy; theta (d + 1,) or (d + 1, K)."""
    w, b = theta[:-1], theta[-1]
    with np.errstate(over="ignore"):
        sigma = 1 / (1 + np.exp(-(X @ w + b)))
    residual = (sigma.T - y).T
    dJ_dz = 2 * residual * sigma * (1 - sigma) / len(y)
    gradient = np.concatenate([X.T @ dJ_dz + alpha * w, dJ_dz.sum(axis=0, keepdims=True)])
    return np.mean(residual**2, axis=0) + alpha / 2 * np.sum(w**2, axis=0), gradient


def scipy_lbfgsb(problem: Problem) -> Run:
    """`scipy.optimize.minimize`, L-BFGS-B on the textbook's cost; its gtol bounds ‖g‖∞."""
    X, y = problem.X, problem.y

    def cost(theta: Array) -> tuple[float, Array]:
        J, gradient = textbook(theta.astype(X.dtype, copy=False), X, y, problem.alpha)
        return float(J), gradient.astype(np.float64, copy=False)

    def run(recorder: Recorder) -> Array:
        def counted(theta: Array) -> tuple[float, Array]:
            recorder.n_passes += 1
            return cost(theta)

        options: Any = {
            "gtol": problem.target, "ftol": 0.0, "maxiter": UNLIMITED, "maxfun": UNLIMITED,
        }  # fmt: skip
        start = problem.start.astype(np.float64)
        found = minimize(  # type: ignore[call-overload]  # the stubs want the cost first
            counted, start, method="L-BFGS-B", jac=True, callback=recorder.record, options=options
        )
        theta: Array = found.x
        return theta

    return run


def scipy_least_squares(problem: Problem) -> Run:
    """`scipy.optimize.least_squares` (trust region), with the penalty as d more residuals.

    Half the sum of squares of the residuals √(2/n) (σ - y) and √alpha w is J, and its gtol
    bounds ‖g‖∞.
    """
    X, y = problem.X, problem.y
    n, d = X.shape
    scale, penalty = np.sqrt(2 / n), np.sqrt(problem.alpha)

    def sigmoid(theta: Array) -> Any:
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-(X @ theta[:-1] + theta[-1])))

    def run(recorder: Recorder) -> Array:
        def residuals(theta: Array) -> Array:
            recorder.n_passes += 1
            return np.concatenate([scale * (sigmoid(theta) - y), penalty * theta[:-1]])

        def jacobian(theta: Array) -> Array:
            recorder.record(theta)
            recorder.n_passes += 1
            sigma = sigmoid(theta)
            derivative = scale * sigma * (1 - sigma)
            jac = np.zeros((n + d, d + 1))
            np.multiply(X, derivative[:, np.newaxis], out=jac[:n, :d])
            jac[:n, d] = derivative
            jac[n + np.arange(d), np.arange(d)] = penalty
            return jac

        found = least_squares(
            residuals, problem.start.astype(np.float64), jacobian,
            ftol=None, xtol=None, gtol=problem.target, max_nfev=UNLIMITED,
        )  # fmt: skip
        theta: Array = found.x
        return theta

    return run


# --------------------------------------------------------------------------- PyTorch


def torch_cost(problem: Problem, theta: Any) -> Callable[[], Any]:
    """J in PyTorch, for autograd; the sum of a bank's. A dense X is not copied."""
    torch = import_module("torch")
    torch.set_num_threads(os.cpu_count() or 1)
    X = problem.X
    y = torch.from_numpy(problem.y.reshape(-1, *(1,) * (theta.ndim - 1)))
    if problem.is_sparse:
        parts = [torch.from_numpy(part.astype(np.int64)) for part in (X.indptr, X.indices)]
        X = torch.sparse_csr_tensor(*parts, torch.from_numpy(X.data), X.shape)
    else:
        X = torch.from_numpy(X)

    def cost() -> Any:
        w, b = theta[:-1], theta[-1]
        residual = torch.sigmoid(X @ w + b) - y
        return (residual**2).mean(0).sum() + problem.alpha / 2 * (w**2).sum()

    return cost


def torch_run(problem: Problem, optimizer_name: str, n_steps: int, **options: Any) -> Run:
    """Step a PyTorch optimizer until its own gradient meets the target or θ stops moving.

    The gradient is checked every `n_steps` steps.
    """
    torch = import_module("torch")

    def run(recorder: Recorder) -> Array:
        theta = torch.from_numpy(problem.start).requires_grad_()
        optimizer = getattr(torch.optim, optimizer_name)([theta], **options)
        cost = torch_cost(problem, theta)

        def closure() -> Any:
            recorder.n_passes += 1
            optimizer.zero_grad()
            J = cost()
            J.backward()
            recorder.record(theta.detach().numpy(), float(J.detach()))
            return J

        before = None
        while before is None or not np.array_equal(before, theta.detach().numpy()):
            before = theta.detach().numpy().copy()
            for _ in range(n_steps):
                optimizer.step(closure)
            closure()
            if theta.grad.abs().max() <= problem.target:
                break
        solution: Array = theta.detach().numpy()
        return solution

    torch_cost(problem, torch.from_numpy(problem.start))  # sparse tensors warn once, here
    return run


def torch_lbfgs(problem: Problem) -> Run:
    """PyTorch's L-BFGS with its strong Wolfe search, and 10 pairs as all L-BFGS here keep.

    On the ill-conditioned set that takes a quarter of the time of its default of 100 pairs.
    Near the minimum it makes no progress, as it drops pairs with s·y below 1e-10.
    """
    return torch_run(
        problem, "LBFGS", 1, max_iter=10_000, max_eval=UNLIMITED, tolerance_grad=problem.target,
        tolerance_change=0.0, history_size=10, line_search_fn="strong_wolfe",
    )  # fmt: skip


def torch_pass(problem: Problem, theta: Array) -> Pass:
    """PyTorch's autograd."""
    variable = import_module("torch").from_numpy(theta.copy()).requires_grad_()
    cost = torch_cost(problem, variable)

    def evaluate() -> Any:
        variable.grad = None
        J = cost()
        J.backward()
        return J, variable.grad.numpy()

    return evaluate


# ------------------------------------------------------------------------------- JAX


def jax_cost(theta: Any, X: Any, y: Any, alpha: float) -> Any:
    """J in JAX; the sum of a bank's."""
    jax = import_module("jax")
    residual = (jax.nn.sigmoid(X @ theta[:-1] + theta[-1]).T - y).T
    penalty = alpha / 2 * jax.numpy.sum(theta[:-1] ** 2)
    return jax.numpy.sum(jax.numpy.mean(residual**2, axis=0)) + penalty


def jax_arrays(problem: Problem) -> tuple[Any, Any]:
    """X and y as JAX arrays, in their own precision."""
    jax = import_module("jax")
    jax.config.update("jax_enable_x64", True)
    if problem.is_sparse:
        X = import_module("jax.experimental.sparse").BCOO.from_scipy_sparse(problem.X)
    else:
        X = jax.numpy.asarray(problem.X)
    return X, jax.numpy.asarray(problem.y)


def jax_pass(problem: Problem, theta: Array) -> Pass:
    """JAX, compiled."""
    jax = import_module("jax")
    X, y = jax_arrays(problem)
    compiled = jax.jit(jax.value_and_grad(jax_cost))
    variable = jax.numpy.asarray(theta)
    return lambda: jax.block_until_ready(compiled(variable, X, y, problem.alpha))


def optax_lbfgs(problem: Problem) -> Run:
    """Optax's L-BFGS with its defaults, in a jitted loop; it reports every 20 iterations."""
    jax, optax = import_module("jax"), import_module("optax")
    jnp = jax.numpy
    arrays = jax_arrays(problem)
    solver = optax.lbfgs()

    @jax.jit
    def advance(carry: Any, n_iterations: int, X: Any, y: Any) -> Any:
        def cost(theta: Any) -> Any:
            return jax_cost(theta, X, y, problem.alpha)

        def step(carry: Any) -> Any:
            n, theta, state, _, n_passes = carry
            value, gradient = optax.value_and_grad_from_state(cost)(theta, state=state)
            updates, state = solver.update(
                gradient, state, theta, value=value, grad=gradient, value_fn=cost
            )
            largest = jnp.abs(optax.tree.get(state, "grad")).max()
            n_passes += optax.tree.get(state, "num_linesearch_steps")
            return n + 1, optax.apply_updates(theta, updates), state, largest, n_passes

        def unfinished(carry: Any) -> Any:
            return (carry[0] < n_iterations) & (carry[3] > problem.target)

        return jax.lax.while_loop(unfinished, step, (0, *carry))[1:]

    def start() -> Any:
        theta = jnp.asarray(problem.start)
        # Arrays of a weak type in the state would be compiled for once more.
        state = jax.tree.map(lambda a: jnp.array(a, dtype=a.dtype), solver.init(theta))
        return theta, state, jnp.full((), np.inf, theta.dtype), jnp.asarray(1)  # pass, at θ = 0

    def run(recorder: Recorder) -> Array:
        carry, before = start(), None
        while carry[2] > problem.target:
            carry = advance(carry, 20, *arrays)
            theta, recorder.n_passes = np.asarray(carry[0]), float(carry[3])
            recorder.record(theta)
            if before is not None and np.array_equal(before, theta):
                break
            before = theta
        return np.asarray(carry[0])

    advance(start(), 0, *arrays)  # compiles
    return run


# ---------------------------------------------------------------------- scikit-learn


def logistic_regression(problem: Problem, solver: str) -> Run:
    """`LogisticRegression.fit` with its default tolerance and the same alpha.

    Compiled loops cannot be interrupted: there, max_iter is what the time limit allows,
    estimated from a few iterations timed beforehand.
    """
    make = partial(LogisticRegression, solver=solver, C=1 / (problem.alpha * len(problem.labels)))
    max_iter = UNLIMITED
    if solver in ("liblinear", "sag", "saga"):
        seconds = []
        for n_iter in (1, 6):
            started = perf_counter()
            make(max_iter=n_iter).fit(problem.X, problem.labels)
            seconds.append(perf_counter() - started)
        iteration = max((seconds[1] - seconds[0]) / 5, 1e-7)
        max_iter = int(min(max(problem.time_limit / iteration, 1), 1e6))

    def run(recorder: Recorder) -> Array:
        model = make(max_iter=max_iter).fit(problem.X, problem.labels)
        if solver in ("sag", "saga"):  # others read the rows more than once an iteration
            recorder.n_passes = float(model.n_iter_[0])
        return parameters(model)

    return run


def sgd_classifier(problem: Problem) -> Run:
    """`SGDClassifier(loss="log_loss").fit` with the same alpha, otherwise its defaults."""
    model = SGDClassifier(loss="log_loss", alpha=problem.alpha, random_state=0)

    def run(recorder: Recorder) -> Array:
        model.fit(problem.X, problem.labels)
        recorder.n_passes = float(model.n_iter_)
        return parameters(model)

    return run


PEERS: dict[str, Peer] = {
    OURS: Peer(partial(this_trainer, n_starts=1)),  # as all others
    "SciPy L-BFGS-B": Peer(scipy_lbfgsb, "scipy"),
    "SciPy least_squares": Peer(scipy_least_squares, "scipy", max_features=300, dense_only=True),
    "PyTorch L-BFGS": Peer(torch_lbfgs, "torch"),
    "PyTorch Adam": Peer(partial(torch_run, optimizer_name="Adam", n_steps=20, lr=0.02), "torch"),
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
"""All solvers, by name."""

SHORT_LIST = {
    name: PEERS[name]
    for name in (
        OURS, "SciPy L-BFGS-B", "PyTorch L-BFGS", "JAX optax L-BFGS", "LogisticRegression lbfgs",
        "LogisticRegression newton-cholesky", "LogisticRegression newton-cg",
    )
}  # fmt: skip
"""Those that win somewhere: for large problems on which all of them would take too long."""

BARE_PRODUCT = "bare X @ w"

PASSES: dict[str, tuple[str, Callable[[Problem, Array], Pass]]] = {
    OURS: ("numpy", trainer_pass),
    BARE_PRODUCT: ("numpy", lambda problem, theta: partial(matmul, problem.X, theta[:-1])),
    "textbook NumPy": (
        "numpy",
        lambda problem, theta: partial(textbook, theta, problem.X, problem.y, problem.alpha),
    ),
    "PyTorch autograd": ("torch", torch_pass),
    "JAX jit": ("jax", jax_pass),
}
"""The package needed, and what prepares one evaluation of J and its gradient."""
