"""The peers that differentiate by themselves: PyTorch and JAX. See `benchmark_peers`.

Neither package is imported before it is asked for: both are optional.
"""

import os
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from benchmark_problems import Array, Problem
from benchmark_watch import Run, Watch


def torch_cost(problem: Problem, theta: Any) -> Callable[[], Any]:
    """J as a PyTorch user writes it; autograd does the rest. X is not copied when dense."""
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


def torch_optimizer(problem: Problem, make: Callable[[Any, Any], Any], n_evaluations: int) -> Run:
    """Step a PyTorch optimizer until its own gradient is at the target, or it is stuck.

    `n_evaluations` between looks at the gradient; the optimizer may do them in one step.
    """
    torch = import_module("torch")

    def run(watch: Watch) -> Array:
        theta = torch.from_numpy(problem.start).requires_grad_()
        optimizer = make(torch, [theta])
        cost = torch_cost(problem, theta)

        def closure() -> Any:
            optimizer.zero_grad()
            J = cost()
            J.backward()
            watch.see(theta.detach().numpy(), float(J.detach()))
            return J

        before = None
        while before is None or not np.array_equal(before, theta.detach().numpy()):
            before = theta.detach().numpy().copy()
            for _ in range(n_evaluations):
                optimizer.step(closure)
            closure()
            if theta.grad.abs().max() <= problem.target:
                break
        answer: Array = theta.detach().numpy()
        return answer

    torch_cost(problem, torch.from_numpy(problem.start))  # warns of sparse X's beta state, once
    return run


def torch_lbfgs(problem: Problem) -> Run:
    """PyTorch's L-BFGS with its strong Wolfe search and a memory of 10 pairs, as all here have.

    On the ill-conditioned set it needs a quarter of the time it takes with its default of
    100. Close to the minimum it learns no more: pairs with s·y below 1e-10 it drops.
    """

    def make(torch: Any, parameters: Any) -> Any:
        return torch.optim.LBFGS(
            parameters, max_iter=10_000, max_eval=1_000_000, tolerance_grad=problem.target,
            tolerance_change=0.0, history_size=10, line_search_fn="strong_wolfe",
        )  # fmt: skip

    return torch_optimizer(problem, make, n_evaluations=1)


def torch_adam(problem: Problem) -> Run:
    """PyTorch's Adam on all rows, learning rate 0.02; looks at the gradient every 20 steps."""
    return torch_optimizer(
        problem, lambda torch, parameters: torch.optim.Adam(parameters, lr=0.02), 20
    )


def torch_pass(problem: Problem, theta: Array) -> Callable[[], Any]:
    """J and its gradient by autograd."""
    torch = import_module("torch")
    parameters = torch.from_numpy(theta.copy()).requires_grad_()
    cost = torch_cost(problem, parameters)

    def once() -> Any:
        parameters.grad = None
        J = cost()
        J.backward()
        return J, parameters.grad.numpy()

    return once


def jax_cost(theta: Any, X: Any, y: Any, alpha: float) -> Any:
    """J as a JAX user writes it; of a bank, the sum."""
    jax = import_module("jax")
    jnp = jax.numpy
    residual = (jax.nn.sigmoid(X @ theta[:-1] + theta[-1]).T - y).T
    penalty = alpha / 2 * jnp.sum(theta[:-1] ** 2)
    return jnp.sum(jnp.mean(residual**2, axis=0)) + penalty


def jax_arrays(problem: Problem) -> tuple[Any, Any]:
    """X and y as JAX arrays, in their own precision."""
    jax = import_module("jax")
    jax.config.update("jax_enable_x64", True)
    if problem.is_sparse:
        X = import_module("jax.experimental.sparse").BCOO.from_scipy_sparse(problem.X)
    else:
        X = jax.numpy.asarray(problem.X)
    return X, jax.numpy.asarray(problem.y)


def jax_pass(problem: Problem, theta: Array) -> Callable[[], Any]:
    """J and its gradient, compiled."""
    jax = import_module("jax")
    X, y = jax_arrays(problem)
    compiled = jax.jit(jax.value_and_grad(jax_cost))
    parameters = jax.numpy.asarray(theta)
    return lambda: jax.block_until_ready(compiled(parameters, X, y, problem.alpha))


@cache
def optax_iterations() -> Any:
    """Optax's L-BFGS in one jitted loop, until the target or some iterations are reached."""
    jax, optax = import_module("jax"), import_module("optax")
    solver = optax.lbfgs()

    def iterate(
        theta: Any, state: Any, X: Any, y: Any, alpha: float, target: float, n_iterations: int
    ) -> Any:
        def fun(theta: Any) -> Any:
            return jax_cost(theta, X, y, alpha)

        def advance(carry: Any) -> Any:
            n, theta, state, _ = carry
            value, gradient = optax.value_and_grad_from_state(fun)(theta, state=state)
            updates, state = solver.update(
                gradient, state, theta, value=value, grad=gradient, value_fn=fun
            )
            slope = jax.numpy.abs(optax.tree.get(state, "grad")).max()
            return n + 1, optax.apply_updates(theta, updates), state, slope

        def unfinished(carry: Any) -> Any:
            return (carry[0] < n_iterations) & (carry[3] > target)

        start = (0, theta, state, jax.numpy.full((), np.inf, theta.dtype))
        return jax.lax.while_loop(unfinished, advance, start)[1:]

    return jax.jit(iterate)


def optax_lbfgs(problem: Problem) -> Run:
    """Optax's L-BFGS as it comes; every 20 iterations it shows itself."""
    X, y = jax_arrays(problem)
    jax, optax = import_module("jax"), import_module("optax")
    iterate = optax_iterations()
    jnp = jax.numpy

    def start() -> tuple[Any, Any]:
        theta = jnp.asarray(problem.start)
        # Given a type of its own, an array in the state is not compiled for once more later.
        state = jax.tree.map(lambda a: jnp.array(a, dtype=a.dtype), optax.lbfgs().init(theta))
        return theta, state

    def advance(theta: Any, state: Any, n_iterations: int) -> Any:
        return iterate(theta, state, X, y, problem.alpha, problem.target, n_iterations)

    def run(watch: Watch) -> Array:
        (theta, state), slope, before = start(), np.inf, None
        while slope > problem.target:
            theta, state, slope = advance(theta, state, 20)
            now = np.asarray(theta)
            watch.see(now)
            if before is not None and np.array_equal(before, now):
                break
            before = now
        return np.asarray(theta)

    advance(*start(), 0)  # compiles
    return run
