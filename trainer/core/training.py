"""The training loop: an optimizer takes steps until there is a reason to stop.

Nothing here prints or warns. What happened is returned: a `Termination` for every neuron,
and a `History` with one record per iteration.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.core.objective import Objective
from trainer.core.parallel import session
from trainer.core.termination import Termination, message
from trainer.optimizers.base import Optimizer, State, check_objective

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Record:
    """The state of a bank after an iteration; the first record of a run is its start.

    Attributes
    ----------
    run : int
        Number of the run, starting at 1.
    n_rows : int
        Number of rows over which J was computed: fewer than all while a sample is solved first.
    alpha : float
        Penalty in J, the largest of the bank: stronger while an easier problem is solved first.
    cost, gradient_max : array of shape (K,)
        J and the largest component of its gradient; finished neurons keep their last values.
    validation_cost : array of shape (K,) or None
        J on the validation set, if there is one.
    seconds : float
        Time since training began.
    theta : array of shape (d + 1, K) or None
        The parameters, if `History.keep_parameters` is true.
    """

    run: int
    n_rows: int
    alpha: float
    cost: Array
    gradient_max: Array
    validation_cost: Array | None
    seconds: float
    theta: Array | None = None


class Journal:
    """The phases of a fit: with them, a fit that was stopped goes on as if it had not been.

    Each call of `train` with the fit's history is a phase. The first phases of a fit that is
    started again are known: one that is done is not trained again, and the last one continues
    after its last complete iteration. Whatever a fit does between two phases must depend on
    their results alone; then all that follows is the same, bit for bit.

    Parameters
    ----------
    phases : list of dict
        What the rest of each known phase depends on; all but the last must be done.
    records : list of Record
        History of these phases.
    """

    def __init__(self, phases: Sequence[dict[str, Any]] = (), records: Sequence[Record] = ()):
        self.phases, self.records = list(phases), list(records)
        self.n_begun = 0

    def begin(self) -> dict[str, Any] | None:
        """A new phase begins; return what is known of it."""
        self.n_begun += 1
        return self.phases[self.n_begun - 1] if self.n_begun <= len(self.phases) else None

    def note(self, phase: dict[str, Any], records: list[Record]) -> None:
        """Replace what is known of the current phase, and forget those after it.

        Nothing is noted after a phase that was stopped early: a fit goes on from there.
        """
        if all(is_done(phase) for phase in self.phases[: self.n_begun - 1]):
            self.phases[self.n_begun - 1 :] = [phase]
            self.records = records


def is_done(phase: dict[str, Any]) -> bool:
    """Whether no neuron of a phase is still being trained."""
    return not len(phase["working"])


@dataclass
class History:
    """Records of all runs of a fit, in order; records are appended and never replaced.

    Iterations are numbered consecutively: the start of a later run counts as an iteration.
    With a `journal`, the runs can be continued by another process. `outside` maps a run's
    parameters to those that are kept, where the run has others.
    """

    records: list[Record] = field(default_factory=list)
    started: float = field(default_factory=perf_counter)
    keep_parameters: bool = False
    journal: Journal | None = None
    outside: Callable[[Array], Array] | None = None

    @property
    def n_iter(self) -> int:
        """Number of the last iteration; 0 is the start of the first run."""
        return len(self.records) - 1

    @property
    def n_runs(self) -> int:
        """Number of the last run."""
        return self.records[-1].run if self.records else 0

    def append(
        self,
        run: int,
        n_rows: int,
        alpha: float,
        neurons: Array,
        theta: Array,
        cost: Array,
        gradient_max: Array,
        validation_cost: Array | None,
    ) -> None:
        """Append a record; neurons that are not in `neurons` keep their last values."""
        kept = theta if self.keep_parameters else None
        if kept is not None and self.outside is not None:
            kept = self.outside(kept)
        values: list[Any] = [cost, gradient_max, validation_cost, kept]
        if self.records and len(neurons) < len(self.records[-1].cost):
            last = self.records[-1]
            before = last.cost, last.gradient_max, last.validation_cost, last.theta
            for i, (old, new) in enumerate(zip(before, values, strict=True)):
                if new is not None and old is not None:
                    values[i] = old.copy()
                    values[i][..., neurons] = new
        cost, gradient_max, validation_cost, kept = values
        seconds = perf_counter() - self.started
        self.records.append(
            Record(run, n_rows, alpha, cost, gradient_max, validation_cost, seconds, kept)
        )


@dataclass(frozen=True)
class Result:
    """Parameters (d + 1, K), a `Termination` for every neuron, and the history.

    `gradient` (d + 1, K) is the gradient after the last iteration of each neuron. `hessians`
    maps the number of a neuron to its Hessian (d + 1, d + 1) at the parameters, if the
    `optimizer` computes it. `state` is the optimizer's last state, for the neurons that were
    still being trained; None for a run that a journal knew to its end.
    """

    theta: Array
    gradient: Array
    terminations: list[Termination]
    history: History
    hessians: dict[int, Array] = field(default_factory=dict)
    state: State | None = None
    optimizer: Optimizer | None = None


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C during training; `result` holds the best parameters so far."""

    def __init__(self, result: Result) -> None:
        super().__init__("training was interrupted")
        self.result = result


Callback = Callable[[Array, History], bool]


def train(
    objective: Objective,
    optimizer: Optimizer,
    theta: Array,
    *,
    max_iter: int,
    tol: float,
    min_decrease: float | None = None,
    validation: Objective | None = None,
    patience: int | None = None,
    callback: Callback | None = None,
    previous: State | None = None,
    history: History | None = None,
    neurons: Array | None = None,
    is_continued: bool = False,
) -> Result:
    """Train a bank of neurons from `theta` until each has a reason to stop.

    Parameters
    ----------
    objective : Objective
        Objective to minimise.
    optimizer : Optimizer
        How to minimise it.
    theta : array of shape (d + 1, k)
        Initial parameters.
    max_iter : int
        Maximum number of iterations (epochs, with mini-batches) of this run.
    tol : float
        A neuron stops when no component of its gradient exceeds this.
    min_decrease : float, optional
        A neuron also stops when an iteration lowers its J by less than this fraction.
    validation : Objective, optional
        Objective on the validation set, recorded at every iteration.
    patience : int, optional
        Stop a neuron whose validation objective has not improved for this many iterations,
        and restore its best parameters; requires `validation`.
    callback : callable, optional
        Called with the parameters and the history after every iteration; a true return value
        stops the training.
    previous : State, optional
        State of an earlier run of this optimizer, whose memory and step length are reused.
    history : History, optional
        History of earlier runs, to which this run is appended. What its journal knows of this
        run is not computed again.
    neurons : array of shape (k,), optional
        Numbers of the neurons in the history, if only some of the bank's neurons are trained.
    is_continued : bool
        Whether this run continues from the end of the last run in the history, so that its
        start is not recorded again.

    Returns
    -------
    Result

    Raises
    ------
    TypeError
        If the objective lacks a method that the optimizer needs.
    ValueError
        If J is not finite at the start, or the journal knows another run than this one.
    TrainingInterrupted
        On Ctrl-C, with the best parameters so far.
    """
    check_objective(optimizer, objective)
    run = _Run(
        objective, optimizer, theta, max_iter, tol, min_decrease, validation, patience,
        History() if history is None else history, neurons, is_continued,
    )  # fmt: skip
    with np.errstate(all="ignore"), session():
        try:
            if not run.resume():
                run.start(previous)
                run.note()
            while run.working.size:
                run.advance()
                run.note()
                if callback is not None and callback(run.theta, run.history):
                    run.interrupt()
        except KeyboardInterrupt:
            if not run.is_recorded:
                raise  # nothing to keep yet
            run.interrupt()
            raise TrainingInterrupted(run.result()) from None
    return run.result()


class _Run:
    """One run of the loop.

    Arrays hold all neurons of the run; `state`, `objective` and `validation` only those that
    are still being trained, `working`. No array is changed in place.
    """

    CARRIED = (
        "theta", "gradient", "J", "gradient_max", "working", "best_score", "best", "best_iter",
        "terminations", "hessians", "limit", "state",
    )  # fmt: skip
    """What one iteration hands to the next."""

    def __init__(
        self,
        objective: Objective,
        optimizer: Optimizer,
        theta: Array,
        max_iter: int,
        tol: float,
        min_decrease: float | None,
        validation: Objective | None,
        patience: int | None,
        history: History,
        neurons: Array | None,
        is_continued: bool,
    ) -> None:
        self.objective, self.validation, self.optimizer = objective, validation, optimizer
        self.max_iter, self.tol = max_iter, tol
        self.first_record = len(history.records) - is_continued
        self.min_decrease, self.patience = min_decrease, patience
        self.history, self.is_continued = history, is_continued
        self.number = history.n_runs + (not is_continued)
        n_neurons = theta.shape[1]
        self.neurons = np.arange(n_neurons) if neurons is None else neurons
        self.theta = theta.astype(np.float64)
        self.gradient = np.full_like(self.theta, np.nan)
        self.J = self.gradient_max = np.full(n_neurons, np.inf)
        self.working = np.arange(n_neurons)
        self.best_score = np.full(n_neurons, np.inf)
        self.best = self.theta, self.J, self.gradient_max
        self.best_iter = np.zeros(n_neurons, dtype=int)
        self.terminations: list[Any] = [None] * n_neurons
        self.hessians: dict[int, Array] = {}
        self.is_recorded = False

    def start(self, previous: State | None) -> None:
        """Evaluate the start."""
        if previous is None:
            self.state = self.optimizer.init(self.objective, self.theta)
        else:
            self.state = self.optimizer.resume(self.objective, self.theta, previous)
        if self.number == 1 and not np.isfinite(self.state.J).all():
            raise ValueError(
                "J must be finite where training starts, got "
                f"{self.state.J[~np.isfinite(self.state.J)][0]}; choose a smaller init or alpha"
            )
        # A larger increase than the loss's maximum can only come from a diverging penalty.
        self.limit = np.minimum(
            self.state.J + self.objective.loss.max_value, np.finfo(np.float64).max
        )
        self._record()
        self._finish_where_done(None)

    def note(self) -> None:
        """Tell the journal, if there is one, how far this run has come."""
        if self.history.journal is not None:
            self.history.journal.note(
                self._carried()
                | {
                    "run": self._description(),
                    "n_records": len(self.history.records),
                    "n_rows_read": self.objective.counter.n_rows_read,
                },
                self.history.records,
            )

    def resume(self) -> bool:
        """Go to where the journal knows this run to have been; False if it does not know it."""
        history, journal = self.history, self.history.journal
        known = None if journal is None else journal.begin()
        if journal is None or known is None:
            return False
        if known["run"] != self._description():
            raise ValueError(
                f"training would go on with another run, {self._description()}, than it was "
                f"stopped in, {known['run']}: rounding differs on this machine; train anew here, "
                "or go on where training was stopped"
            )
        vars(self).update({name: known[name] for name in self.CARRIED})
        vars(self).update(self._carried())
        self.objective.counter.n_rows_read = known["n_rows_read"]
        history.records += journal.records[len(history.records) : known["n_records"]]
        history.started = perf_counter() - history.records[-1].seconds
        self.is_recorded = True
        if self.working.size < len(self.neurons):
            self._select(self.working)
        return True

    def _carried(self) -> dict[str, Any]:
        """What the next iteration needs; only lists and dicts are changed in place."""
        values = {name: getattr(self, name) for name in self.CARRIED}
        if not self.working.size:
            values["state"] = None  # large, and of no more use
        return {k: v.copy() if isinstance(v, list | dict) else v for k, v in values.items()}

    def _description(self) -> list[Any]:
        return [
            self.number, type(self.optimizer).__name__, self.objective.n_rows, self.max_iter,
            self.tol, self.first_record, self.neurons.tolist(),
        ]  # fmt: skip

    def advance(self) -> None:
        """Take one step with the neurons still training; remove those with a reason to stop."""
        before = self.state
        self.state = self.optimizer.step(self.objective, before)
        diverged = ~(self.state.J <= self.limit[self.working])
        if diverged.any():
            for k, J in zip(self.working[diverged], self.state.J[diverged], strict=True):
                self._terminate(k, "diverged", diverged_to=J)
            before = before.select(np.flatnonzero(~diverged))
            self._keep(~diverged)
        if self.working.size:
            self._record()
            self._finish_where_done(before)

    def interrupt(self) -> None:
        """Stop all neurons still training, at the best parameters so far."""
        for k in self.working:
            self._restore_best(k)
            self._terminate(k, "interrupted")
        self.working = self.working[:0]

    def result(self) -> Result:
        """The result of the run so far."""
        return Result(
            self.theta, self.gradient, self.terminations, self.history,
            self.hessians, self.state, self.optimizer,
        )  # fmt: skip

    def _record(self) -> None:
        state = self.state
        gradient_max = np.abs(state.gradient).max(axis=0)
        validation_cost = None
        if self.validation is not None:
            validation_cost = self.validation.value(state.theta)
        if self.is_recorded or not self.is_continued:
            self.history.append(
                self.number, self.objective.n_rows, float(self.objective.alpha.max()),
                self.neurons[self.working], state.theta, state.J, gradient_max, validation_cost,
            )  # fmt: skip
        self.is_recorded = True
        self.theta = self._filled_in(self.theta, state.theta)
        self.gradient = self._filled_in(self.gradient, state.gradient)
        self.J = self._filled_in(self.J, state.J)
        self.gradient_max = self._filled_in(self.gradient_max, gradient_max)
        score = self.J
        if self.patience is not None and validation_cost is not None:
            score = self._filled_in(np.full(len(self.J), np.inf), validation_cost)
        improved = score < self.best_score
        now = self.theta, self.J, self.gradient_max
        if improved.all():
            self.best, self.best_score = now, score
        else:
            pairs = zip(now, self.best, strict=True)
            self.best = tuple(np.where(improved, new, old) for new, old in pairs)  # type: ignore[assignment]
            self.best_score = np.where(improved, score, self.best_score)
        if self.patience is not None:
            self.best_iter = np.where(improved, self.history.n_iter, self.best_iter)

    def _filled_in(self, last: Array, values: Array) -> Array:
        """Values of the neurons still training, and the last values of finished neurons."""
        if len(self.working) == last.shape[-1]:
            return values
        filled = last.copy()
        filled[..., self.working] = values
        return filled

    def _finish_where_done(self, before: State | None) -> None:
        working, state = self.working, self.state
        reasons = {"gradient": self.gradient_max[working] <= self.tol}
        if self.patience is not None:
            waited = self.history.n_iter - self.best_iter[working]
            reasons["early_stopping"] = waited >= self.patience
        if self.min_decrease is not None and before is not None:
            moved = np.any(state.theta != before.theta, axis=0)
            reasons["sample"] = moved & (before.J - state.J <= self.min_decrease * state.J)
        if state.stalled is not None:
            reasons["plateau"] = state.stalled
        if self.history.n_iter - self.first_record >= self.max_iter:
            reasons["max_iter"] = np.ones(len(working), dtype=bool)
        if not any(applies.any() for applies in reasons.values()):
            return
        done = np.zeros(len(working), dtype=bool)
        for reason, applies in reasons.items():
            for k in working[applies & ~done]:
                self._terminate(k, reason)
                if self.patience is not None:
                    self._restore_best(k)
                    self.terminations[k] = replace(
                        self.terminations[k],
                        cost=float(self.J[k]),
                        gradient_max=float(self.gradient_max[k]),
                    )
            done = done | applies
        if self.patience is None and state.hessian is not None:
            for i in np.flatnonzero(done):
                self.hessians[int(working[i])] = state.hessian[..., i]
        if done.all() and len(done) == len(self.neurons):
            self.working = working[:0]  # the state of all neurons is kept for `Result.state`
        else:
            self._keep(~done)

    def _restore_best(self, k: Any) -> None:
        self.theta, self.J, self.gradient_max = (
            np.array(values) for values in (self.theta, self.J, self.gradient_max)
        )
        for values, best in zip((self.theta, self.J, self.gradient_max), self.best, strict=True):
            values[..., k] = best[..., k]

    def _terminate(self, k: Any, reason: str, diverged_to: float = np.nan) -> None:
        n_iter = self.history.n_iter
        cost, gradient_max = float(self.J[k]), float(self.gradient_max[k])
        sentence = message(
            reason,
            n_iter=n_iter + 1 if reason == "diverged" else n_iter,
            n_rows=self.objective.n_rows,
            max_iter=self.max_iter,
            gradient_max=gradient_max,
            patience=self.patience,
            cost=cost,
            diverged_to=diverged_to,
        )
        self.terminations[k] = Termination(reason, sentence, n_iter, cost, gradient_max)

    def _keep(self, keep: Array) -> None:
        index = np.flatnonzero(keep)
        self.working, self.state = self.working[index], self.state.select(index)
        self._select(index)

    def _select(self, index: Array) -> None:
        self.objective = self.objective.select(index)
        if self.validation is not None:
            self.validation = self.validation.select(index)
