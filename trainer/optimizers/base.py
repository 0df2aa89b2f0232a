"""What all optimizers share: a state that can be written down, and the update rules' frame.

An optimizer has two verbs. ``init(objective, theta)`` gives the state before the
first iteration, ``step(objective, state)`` the state after one more. It sees the
objective, never the data. In a state the last axis of every array is the bank's
K neurons, so that neurons which have finished can be taken out of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Objective(Protocol):
    """What an optimizer may ask of a cost; `trainer.core.objective.Objective` is one."""

    rows: Any
    alpha: Array
    rounding: float

    def sample(self, rng: np.random.Generator, size: int) -> "Objective": ...
    def columns(self, index: Array) -> "Objective": ...
    def value_and_gradient(self, theta: Array) -> tuple[Array, Array]: ...
    def gradient(self, theta: Array) -> Array: ...
    def value_gradient_hessian(self, theta: Array) -> tuple[Array, Array, Array]: ...
    def gram(self) -> Array: ...
    def curvature_bound(self, direction: Array) -> Array: ...
    def lipschitz(self, batch_size: int | None = None) -> Array: ...
    def mean_square_row(self) -> Array: ...
    def diagonal_at_rest(self) -> Array: ...
    def minibatches(self, rng: np.random.Generator, size: int) -> Iterator["Objective"]: ...


@dataclass(frozen=True)
class State:
    """Where a run stands: parameters θ (d + 1, K), and J (K,) and dJ/dθ (d + 1, K) there."""

    theta: Array
    J: Array
    gradient: Array

    def columns(self, index: Array) -> Self:
        """The state of some of the bank's neurons."""
        return replace(self, **{f.name: _take(getattr(self, f.name), index) for f in fields(self)})


def _take(value: Any, index: Array) -> Any:
    if isinstance(value, np.ndarray):
        return value.T[index].T  # each neuron's part stays one run in memory
    if isinstance(value, tuple):
        return tuple(_take(item, index) for item in value)
    return value


class Optimizer(Protocol):
    """The face of every optimizer."""

    def init(self, objective: Any, theta: Array) -> Any: ...
    def step(self, objective: Any, state: Any) -> Any: ...


@dataclass(frozen=True)
class RuleState(State):
    """State of an update rule: its step length a neuron (K,), its memory, its age in steps."""

    rate: Array
    memory: tuple[Array, ...]
    n_steps: int


@dataclass(frozen=True)
class UpdateRule:
    """Frame of the first-order rules: one step is one update, or one epoch of mini-batches.

    Parameters
    ----------
    learning_rate : float or "auto"
        Step length; "auto" takes it from the data, see `auto_rate`.
    batch_size : int or None
        Rows a mini-batch; None uses all rows in every update.
    seed : int
        Fixes the order of the mini-batches: epoch e shuffles with (seed, e).
    """

    learning_rate: float | str = "auto"
    batch_size: int | None = None
    seed: int = 0

    def update(
        self, theta: Array, gradient: Array, rate: Array, memory: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """Parameters and memory after one update."""
        raise NotImplementedError

    def initial_memory(self, theta: Array) -> tuple[Array, ...]:
        """Memory before the first update."""
        return ()

    def auto_rate(self, objective: Objective) -> Array:
        """Step length for learning_rate="auto", (1,) or (K,).

        1/L, with L the Lipschitz constant of dJ/dθ: on full batches J never rises.
        """
        return 1 / objective.lipschitz(self.batch_size)

    def init(self, objective: Objective, theta: Array) -> RuleState:
        """State before the first update."""
        J, gradient = objective.value_and_gradient(theta)
        rate = self.learning_rate
        given = self.auto_rate(objective) if rate == "auto" else np.array([rate])
        return RuleState(
            theta=theta,
            J=J,
            gradient=gradient,
            rate=np.broadcast_to(given, J.shape).astype(np.float64),
            memory=self.initial_memory(theta),
            n_steps=0,
        )

    def step(self, objective: Objective, state: RuleState) -> RuleState:
        """State after one update with all rows, or after one epoch of mini-batches."""
        theta, memory = state.theta, state.memory
        if self.batch_size is None:
            theta, memory = self.update(theta, state.gradient, state.rate, memory)
        else:
            rng = np.random.default_rng([self.seed, state.n_steps])
            rate = state.rate
            if self.learning_rate == "auto":
                rate = rate / np.sqrt(1 + state.n_steps)  # else the batches' noise never settles
            for batch in objective.minibatches(rng, self.batch_size):
                theta, memory = self.update(theta, batch.gradient(theta), rate, memory)
        J, gradient = objective.value_and_gradient(theta)
        return RuleState(
            theta=theta,
            J=J,
            gradient=gradient,
            rate=self.next_rate(state, J),
            memory=memory,
            n_steps=state.n_steps + 1,
        )

    def next_rate(self, state: RuleState, J: Array) -> Array:
        """Step length (K,) after a step from `state` that ended at cost `J`."""
        return state.rate
