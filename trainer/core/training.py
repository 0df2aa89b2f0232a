"""The only loop: one optimizer step after another, until there is a reason to stop.

Nothing here prints or warns. What happened is a value: a `Termination` for every
neuron of the bank, and the history of the run.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.core.objective import Objective
from trainer.optimizers import Optimizer, State

Array = npt.NDArray[Any]

MESSAGES = {
    "gradient": "the largest component of the gradient, {gradient_max:.3g}, is within tol",
    "max_iter": (
        "max_iter = {n_iter} iterations were not enough: the largest component of the gradient "
        "is {gradient_max:.3g}; raise max_iter or tol, or scale the features"
    ),
    "early_stopping": (
        "the cost on the validation rows has not improved for {patience} iterations; "
        "the parameters that were best there are kept"
    ),
    "diverged": (
        "J went from {cost:.3g} to {diverged_to:.3g} in iteration {n_iter}; "
        "the parameters before that step are kept"
    ),
    "plateau": (
        "no step lowers J any further in this precision, though the largest component of the "
        "gradient is {gradient_max:.3g}; scale the features or raise tol"
    ),
    "interrupted": "stopped on request after {n_iter} iterations; the best parameters are kept",
}


@dataclass(frozen=True)
class Termination:
    """Why a neuron's training stopped, and where it stood.

    Attributes
    ----------
    reason : str
        "gradient": a point without slope, to tol. "max_iter", "early_stopping",
        "diverged", "interrupted": as they say. "plateau": rounding hides any decrease of J.
    message : str
        The same in a sentence, with what to do about it.
    n_iter : int
        Iterations done.
    cost : float
        J at the parameters that were kept.
    gradient_max : float
        Largest component of dJ/dθ there, in absolute value.
    growth : float
        ‖θ‖ after the last iteration over ‖θ‖ before it: above 1 it was still growing.
    at_minimum : bool or None
        True where it is shown that J is within 100 tol of itself of a minimum, see
        `trainer.core.optimality`; None where that was not examined, or tol >= 0.01 promises
        nothing.
    smallest_curvature : float
        Lowest eigenvalue of d²J/dθ² there: above 0 at a minimum, below at a saddle; see
        `trainer.core.optimality`.
    mean_slope : float
        Mean of σ(1 - σ): 1/4 for a neuron at rest, near 0 for a saturated one.
    n_starts, n_agreeing : int
        Starts compared, and how many of them led to nothing lower than what was kept.
    n_passes : float
        How often the training rows were read, in all.
    seconds : float
        Time that training took.
    """

    reason: str
    message: str
    n_iter: int
    cost: float
    gradient_max: float
    growth: float = float("nan")
    at_minimum: bool | None = None
    smallest_curvature: float = float("nan")
    mean_slope: float = float("nan")
    n_starts: int = 1
    n_agreeing: int = 1
    n_passes: float = float("nan")
    seconds: float = float("nan")

    @property
    def converged(self) -> bool:
        """Whether training ended because it was done: at a minimum, to tol, or early as asked."""
        return self.reason == "early_stopping" or (
            self.reason == "gradient" and self.at_minimum is not False
        )


@dataclass
class History:
    """One entry an iteration, the first for the start; arrays (K,), kept by frozen neurons."""

    cost: list[Array] = field(default_factory=list)
    gradient_max: list[Array] = field(default_factory=list)
    validation_cost: list[Array] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Result:
    """Parameters (d + 1, K), a `Termination` a neuron, and the history of the whole bank.

    `hessians` (d + 1, d + 1) are those at the parameters, by number of the neuron, where the
    optimizer knew them.
    """

    theta: Array
    terminations: list[Termination]
    history: History
    hessians: dict[int, Array] = field(default_factory=dict)


def train(
    objective: Objective,
    optimizer: Optimizer,
    theta: Array,
    *,
    max_iter: int,
    tol: float,
    validation: Objective | None = None,
    patience: int | None = None,
    callback: Callable[[Array, History], bool] | None = None,
) -> Result:
    """Train a bank of neurons from `theta` until each has a reason to stop.

    Parameters
    ----------
    objective : Objective
        Cost to lower.
    optimizer : Optimizer
        How to lower it.
    theta : array of shape (d + 1, K)
        Where to start.
    max_iter : int
        Optimizer steps (epochs, with mini-batches) at most.
    tol : float
        A neuron is done when no component of its gradient exceeds this.
    validation : Objective, optional
        Cost on rows held out, recorded at every iteration.
    patience : int, optional
        Stop a neuron whose validation cost has not improved for that many iterations,
        and go back to its best parameters; needs `validation`.
    callback : callable, optional
        Called with the parameters and the history after every iteration; a true answer
        stops the training.

    Returns
    -------
    Result
    """
    run = _Run(objective, optimizer, theta, max_iter, tol, validation, patience)
    rows = objective.rows
    with np.errstate(over="ignore", invalid="ignore"), rows.at_work(theta.shape[1]):
        try:
            run.start()
            while run.working.size:
                run.advance()
                if callback is not None and callback(run.theta, run.history):
                    run.interrupt()
        except KeyboardInterrupt:
            if not run.history.seconds:  # nothing to keep yet
                raise
            run.interrupt()
    return Result(run.theta, run.terminations, run.history, run.hessians)


class _Run:
    """One training run.

    `theta`, `best_*`, `terminations` and the history's entries hold the whole bank;
    `state`, `objective` and `validation` only the neurons still `working`.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: Optimizer,
        theta: Array,
        max_iter: int,
        tol: float,
        validation: Objective | None,
        patience: int | None,
    ) -> None:
        self.objective, self.validation, self.optimizer = objective, validation, optimizer
        self.max_iter, self.tol, self.patience = max_iter, tol, patience
        n_neurons = theta.shape[1]
        self.theta = self.previous_theta = theta.astype(np.float64)
        self.working = np.arange(n_neurons)
        self.n_iter = 0
        self.history = History()
        self.terminations: list[Any] = [None] * n_neurons
        self.hessians: dict[int, Array] = {}
        self.best_theta = self.theta.copy()
        self.best_score = np.full(n_neurons, np.inf)
        self.best_iter = np.zeros(n_neurons, dtype=int)
        self.started = perf_counter()

    def start(self) -> None:
        """Evaluate the start."""
        self.state: State = self.optimizer.init(self.objective, self.theta)
        # The squared error is at most 1: only a runaway penalty lifts J by more than that.
        self.limit = self.state.J + 1
        self._record()
        self._finish_where_done()

    def advance(self) -> None:
        """One step of the neurons still working; those with a reason to stop leave."""
        stepped = self.optimizer.step(self.objective, self.state)
        self.n_iter += 1
        diverged = ~(stepped.J <= self.limit[self.working])
        if diverged.any():
            for k, cost in zip(self.working[diverged], stepped.J[diverged], strict=True):
                self._terminate(k, "diverged", diverged_to=cost)
            stepped = stepped.columns(np.flatnonzero(~diverged))
            self._keep_working(~diverged)
        self.state = stepped
        if self.working.size:
            self._record()
            self._finish_where_done()

    def interrupt(self) -> None:
        """Stop all neurons still working, at the best parameters they have seen."""
        history = self.history
        lists: list[list[Any]] = [history.cost, history.gradient_max, history.seconds]
        if self.validation is not None:
            lists.append(history.validation_cost)
        n_whole = min(map(len, lists))  # an interruption can fall between two of them
        for entries in lists:
            del entries[n_whole:]
        self.n_iter = n_whole - 1
        self.theta = self.theta.copy()
        for k in self.working:
            self.theta[:, k] = self.best_theta[:, k]
            self._terminate(k, "interrupted")
        self.working = self.working[:0]

    def _record(self) -> None:
        history, state = self.history, self.state
        self.previous_theta, self.theta = self.theta, self._filled_in(self.theta, state.theta)
        self._append(history.cost, state.J)
        self._append(history.gradient_max, np.abs(state.gradient).max(axis=0))
        if self.validation is not None:
            self._append(history.validation_cost, self.validation.value(state.theta))
        history.seconds.append(perf_counter() - self.started)

        judged = history.cost if self.patience is None else history.validation_cost
        improved = judged[-1] < self.best_score
        if improved.all():
            self.best_score, self.best_theta = judged[-1], self.theta
            self.best_iter = np.full(len(improved), self.n_iter)
        else:
            self.best_score = np.where(improved, judged[-1], self.best_score)
            self.best_theta = np.where(improved, self.theta, self.best_theta)
            self.best_iter = np.where(improved, self.n_iter, self.best_iter)

    def _append(self, entries: list[Array], values: Array) -> None:
        entries.append(self._filled_in(entries[-1], values) if entries else values)

    def _filled_in(self, last: Array, values: Array) -> Array:
        """Values of the neurons still working, and the last ones of those that have finished."""
        if len(self.working) == last.shape[-1]:
            return values
        filled = last.copy()
        filled[..., self.working] = values
        return filled

    def _finish_where_done(self) -> None:
        working = self.working
        reasons = {"gradient": self.history.gradient_max[-1][working] <= self.tol}
        if self.patience is not None:
            reasons["early_stopping"] = self.n_iter - self.best_iter[working] >= self.patience
        if hasattr(self.state, "stalled"):
            reasons["plateau"] = self.state.stalled
        if self.n_iter >= self.max_iter:
            reasons["max_iter"] = np.ones(len(working), dtype=bool)
        if not any(applies.any() for applies in reasons.values()):
            return
        done = np.zeros(len(working), dtype=bool)
        if self.patience is not None:
            self.theta = self.theta.copy()
        for reason, applies in reasons.items():
            for k in working[applies & ~done]:
                if self.patience is not None:
                    self.theta[:, k] = self.best_theta[:, k]
                self._terminate(k, reason)
            done = done | applies
        if self.patience is None and hasattr(self.state, "hessian"):
            for i in np.flatnonzero(done):
                self.hessians[int(working[i])] = self.state.hessian[..., i]
        self.state = self.state.columns(np.flatnonzero(~done))
        self._keep_working(~done)

    def _terminate(self, k: Any, reason: str, diverged_to: float = np.nan) -> None:
        kept = self.n_iter
        if reason == "interrupted" or (self.patience is not None and reason != "diverged"):
            kept = int(self.best_iter[k])
        kept = min(kept, len(self.history.cost) - 1)
        cost = float(self.history.cost[kept][k])
        gradient_max = float(self.history.gradient_max[kept][k])
        message = MESSAGES[reason].format(
            n_iter=self.n_iter,
            gradient_max=gradient_max,
            patience=self.patience,
            cost=cost,
            diverged_to=diverged_to,
        )
        before, after = (t[:, k] @ t[:, k] for t in (self.previous_theta, self.theta))
        growth = float(np.sqrt(after / before)) if before > 0 else np.nan
        self.terminations[k] = Termination(reason, message, self.n_iter, cost, gradient_max, growth)

    def _keep_working(self, keep: Array) -> None:
        self.working = self.working[keep]
        index = np.flatnonzero(keep)
        self.objective = self.objective.columns(index)
        if self.validation is not None:
            self.validation = self.validation.columns(index)
