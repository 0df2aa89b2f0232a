"""The interface of all optimizers, their state, and the base class of the update rules.

An optimizer is a dataclass whose fields are its parameters, with two methods:
``init(objective, theta)`` returns the state before the first iteration, and
``step(objective, state)`` returns the state after one more iteration. An optimizer uses the
objective, never the data. States are immutable. The last axis of a state's arrays is that of the
bank's K neurons, so that finished neurons can be removed; arrays that all neurons share have
another. Checkpoints can hold a state of arrays, numbers, text, None, and tuples of these.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from numbers import Integral, Real
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class SmoothObjective(Protocol):
    """What an optimizer may require of an objective; `trainer.Objective` implements all of it."""

    alpha: Array
    rounding: float
    loss: Any
    n_rows: int
    n_parameters: int
    is_sparse: bool
    shares_curvature: bool

    def select(self, neurons: Array) -> "SmoothObjective": ...
    def value_and_gradient(self, theta: Array) -> tuple[Array, Array]: ...
    def gradient(self, theta: Array) -> Array: ...
    def value_gradient_hessian(self, theta: Array) -> tuple[Array, Array, Array]: ...
    def gram(self) -> Array: ...
    def curvature_bound(self, direction: Array) -> Array: ...
    def lipschitz(self, batch_size: int | None = None) -> Array: ...
    def mean_square_row(self) -> Array: ...
    def hessian_diagonal_at_zero(self) -> Array: ...
    def minibatches(self, rng: np.random.Generator, size: int) -> Iterator["SmoothObjective"]: ...
    def sample(self, rng: np.random.Generator, size: int) -> "SmoothObjective": ...


@dataclass(frozen=True)
class State:
    """Parameters θ (d + 1, K), with J (K,) and dJ/dθ (d + 1, K) there, and optional values.

    Attributes
    ----------
    stalled : array of shape (K,) or None
        Neurons whose J no step can lower in this precision.
    hessian : array of shape (d + 1, d + 1, K) or None
        d²J/dθ², if the optimizer computes it.
    """

    theta: Array
    J: Array
    gradient: Array
    stalled: Array | None = field(default=None, kw_only=True)
    hessian: Array | None = field(default=None, kw_only=True)

    def select(self, neurons: Array) -> Self:
        """The state of some of the bank's neurons; arrays that all share are kept."""
        K = len(self.J)
        parts = {f.name: _select(getattr(self, f.name), neurons, K) for f in fields(self)}
        return replace(self, **parts)


def _select(value: Any, neurons: Array, n_neurons: int) -> Any:
    if isinstance(value, np.ndarray) and value.shape[-1] == n_neurons:
        return value.T[neurons].T  # each neuron's part stays contiguous
    if isinstance(value, tuple):
        return tuple(_select(item, neurons, n_neurons) for item in value)
    return value


@dataclass
class Optimizer:
    """Base class of all optimizers; a subclass is a dataclass that implements `init` and `step`.

    `needs` lists the methods of the objective that it calls; their presence is checked before
    training. `get_params` and `set_params` make its parameters available to scikit-learn's
    `clone`, `set_params` and hyperparameter searches.
    """

    needs: ClassVar[tuple[str, ...]] = ("value_and_gradient",)
    is_update_rule: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check the parameters; a subclass with parameters extends this."""

    def init(self, objective: Any, theta: Array) -> Any:
        """State before the first iteration, at `theta`."""
        raise NotImplementedError

    def step(self, objective: Any, state: Any) -> Any:
        """State after one more iteration."""
        raise NotImplementedError

    def resume(self, objective: Any, theta: Array, previous: Any) -> Any:
        """State at `theta` with the memory of a previous state; the rows may be different."""
        raise NotImplementedError(f"{type(self).__name__} cannot go on with other rows")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name, as in scikit-learn's estimators."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, and check them."""
        known = self.get_params()
        for name in params:
            if name not in known:
                raise ValueError(
                    f"{name!r} is no parameter of {type(self).__name__}; it has "
                    f"{', '.join(known) or 'none'}"
                )
        replace(self, **params)  # raises for a value that cannot be, before one is set
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def _check(self, name: str, low: float, high: float, integral: bool = False) -> None:
        """Raise unless low <= parameter < high (for an integer, low <= parameter)."""
        value: Any = getattr(self, name)
        is_number = isinstance(value, Integral if integral else Real)
        if not is_number or value is True or value is False or not low <= value < high:
            rule = f">= {low}" + ("" if high == np.inf else f" and < {high}")
            noun = "an integer" if integral else "a number"
            raise ValueError(f"{name} must be {noun} {rule}, got {value!r}")


def check_objective(optimizer: Optimizer, objective: Any) -> None:
    """Raise TypeError if the objective lacks a method that the optimizer needs."""
    missing = [name for name in optimizer.needs if not hasattr(objective, name)]
    if missing:
        raise TypeError(
            f"{type(optimizer).__name__} needs an objective with {', '.join(missing)}, which "
            f"{type(objective).__name__} does not have; choose another optimizer"
        )


@dataclass(frozen=True)
class RuleState(State):
    """State of an update rule: step length (K,), memory, and number of steps so far."""

    rate: Array
    memory: tuple[Array, ...]
    n_steps: int


@dataclass
class UpdateRule(Optimizer):
    """Base class of the first-order rules: one step is one update, or one epoch of mini-batches.

    Parameters
    ----------
    learning_rate : float or "auto"
        Step length; "auto" computes it from the data, see `default_learning_rate`.
    batch_size : int or None
        Number of rows in a mini-batch; None uses all rows in every update.
    seed : int or None
        Determines the order of the mini-batches: epoch e shuffles with (seed, e). None means 0,
        or a number that an estimator draws from its `random_state`.
    """

    learning_rate: float | str = "auto"
    batch_size: int | None = None
    seed: int | None = None

    is_update_rule: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = (
        "value_and_gradient", "gradient", "minibatches", "lipschitz"
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Check the parameters."""
        rate: Any = self.learning_rate
        is_number = isinstance(rate, Real) and not isinstance(rate, bool)
        if rate != "auto" and not (is_number and 0 < rate < np.inf):
            raise ValueError(f'learning_rate must be a number > 0 or "auto", got {rate!r}')
        if self.batch_size is not None:
            self._check("batch_size", 1, np.inf, integral=True)
        if self.seed is not None:
            self._check("seed", 0, np.inf, integral=True)

    def update(
        self, theta: Array, gradient: Array, rate: Array, memory: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """Parameters and memory after one update."""
        raise NotImplementedError

    def initial_memory(self, theta: Array) -> tuple[Array, ...]:
        """Memory before the first update."""
        return ()

    def default_learning_rate(self, objective: SmoothObjective) -> Array:
        """Step length for learning_rate="auto", (1,) or (K,).

        1/L, where L is the Lipschitz constant of dJ/dθ: with full batches J never increases.
        """
        return 1 / objective.lipschitz(self.batch_size)

    def next_rate(self, state: RuleState, J: Array) -> Array:
        """Step length (K,) after a step from `state` that ended at `J`."""
        return state.rate

    def init(self, objective: SmoothObjective, theta: Array) -> RuleState:
        """State before the first update."""
        J, gradient = objective.value_and_gradient(theta)
        rate = self.initial_rate(objective, len(J))
        return RuleState(theta, J, gradient, rate, self.initial_memory(theta), n_steps=0)

    def resume(self, objective: SmoothObjective, theta: Array, previous: RuleState) -> RuleState:
        """See `Optimizer.resume`; a new `learning_rate` is set by replacing `previous.rate`."""
        J, gradient = objective.value_and_gradient(theta)
        return replace(previous, theta=theta, J=J, gradient=gradient)

    def initial_rate(self, objective: SmoothObjective, n_neurons: int) -> Array:
        """Step length of each neuron before the first step, (K,)."""
        rate = self.learning_rate
        given = self.default_learning_rate(objective) if rate == "auto" else np.array([rate])
        return np.broadcast_to(given, n_neurons).astype(np.float64)

    def step(self, objective: SmoothObjective, state: RuleState) -> RuleState:
        """State after one update with all rows, or after one epoch of mini-batches."""
        theta, memory = state.theta, state.memory
        if self.batch_size is None:
            theta, memory = self.update(theta, state.gradient, state.rate, memory)
        else:
            rng = np.random.default_rng([self.seed or 0, state.n_steps])
            rate = state.rate
            if self.learning_rate == "auto":
                rate = rate / np.sqrt(1 + state.n_steps)  # so that the gradient noise averages out
            for batch in objective.minibatches(rng, self.batch_size):
                theta, memory = self.update(theta, batch.gradient(theta), rate, memory)
        J, gradient = objective.value_and_gradient(theta)
        rate = self.next_rate(state, J)
        return RuleState(theta, J, gradient, rate, memory, state.n_steps + 1)
