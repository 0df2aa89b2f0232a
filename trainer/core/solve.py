"""From a start to a minimum: train, try other starts, check what was reached."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.core.multistart import SIGNIFICANT, lower_starts
from trainer.core.objective import Objective
from trainer.core.optimality import OptimalityReport, allowed_share, check_optimality
from trainer.core.parallel import session
from trainer.core.row_space import RowSpace, row_space
from trainer.core.termination import AT_MINIMUM, Termination, message
from trainer.core.training import Callback, History, Result, TrainingInterrupted, train
from trainer.optimizers.auto import Choice, choose
from trainer.optimizers.base import Optimizer
from trainer.optimizers.lbfgs import LBFGS, PreconditionedLBFGS
from trainer.optimizers.preconditioner import curvature_inverses, sampled_inverses

Array = npt.NDArray[Any]


TIGHTER = (1e-1, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12)
"""If J is not close enough to its minimum, training continues with tol times each of these ..."""

MIN_MORE_ITERATIONS = 50
"""... for at most twice the number of iterations so far, or for this number if that is larger."""


def solve(
    objective: Objective,
    optimizer: Optimizer | None,
    theta: Array,
    *,
    n_starts: int,
    seed: int,
    max_iter: int,
    tol: float,
    validation: Objective | None = None,
    patience: int | None = None,
    callback: Callback | None = None,
    history: History | None = None,
) -> Result:
    """Train a bank, restart from better starts if there are any, and check the result.

    Parameters
    ----------
    objective : Objective
        Objective of the bank.
    optimizer : Optimizer or None
        How to minimise it; None chooses an optimizer from the shape of the data.
    theta : array of shape (d + 1, K)
        Initial parameters.
    n_starts : int
        Number of starts to compare, see `trainer.core.multistart`.
    seed : int
        Seed for samples and starts.
    max_iter, tol, validation, patience, callback, history
        As in `trainer.core.training.train`; the callback receives the parameters of all neurons.

    Returns
    -------
    Result
        Its terminations distinguish minima from other points with a small gradient.

    Raises
    ------
    TrainingInterrupted
        On Ctrl-C, with the best parameters so far.
    """
    run = _Solve(
        objective, optimizer, theta, seed,
        {"max_iter": max_iter, "tol": tol, "patience": patience}, validation, callback,
        History() if history is None else history,
    )  # fmt: skip
    with np.errstate(all="ignore"), session():
        try:
            run.train()
            if n_starts > 1:
                run.try_other_starts(n_starts)
            run.check()
        except TrainingInterrupted as stop:
            run.adopt(stop.result)
            raise TrainingInterrupted(run.interrupted()) from None
        except KeyboardInterrupt:
            if run.result is None:
                raise
            raise TrainingInterrupted(run.interrupted()) from None
        assert run.result is not None
        return run.result


class _Solve:
    """The steps of `solve`, and the best result so far."""

    def __init__(
        self,
        objective: Objective,
        optimizer: Optimizer | None,
        theta: Array,
        seed: int,
        settings: dict[str, Any],
        validation: Objective | None,
        callback: Callback | None,
        history: History,
    ) -> None:
        self.objective, self.optimizer, self.theta, self.seed = objective, optimizer, theta, seed
        self.settings, self.validation, self.callback = settings, validation, callback
        self.history = history
        self.result: Result | None = None
        self.reports: dict[int, OptimalityReport] = {}
        self.left: dict[int, tuple[OptimalityReport, float]] = {}
        self.n_starts = np.ones(theta.shape[1], dtype=int)
        self.n_agreeing = self.n_starts.copy()
        self.space: RowSpace | None = None
        # early stopping does not aim at a minimum of J, and a large tol guarantees nothing
        self.promises_minimum = (
            settings["patience"] is None and allowed_share(objective, settings["tol"]) < 1
        )

    def train(self) -> None:
        """The first run."""
        if self.optimizer is None and self.validation is None:
            self.space = row_space(self.objective, self.theta)
        self.result = self._run(np.arange(self.theta.shape[1]), self.theta)
        self._go_on()

    def try_other_starts(self, n_starts: int) -> None:
        """Run a second time those neurons for which another start promises a lower minimum."""
        result = self._result()
        if any(end.reason == "interrupted" for end in result.terminations):
            return  # a request to stop applies to the whole bank
        ended = [end.reason in ("gradient", "plateau") for end in result.terminations]
        index = np.flatnonzero(ended)
        if not len(index):
            return
        ends = list(result.terminations)
        found = lower_starts(
            self.objective.select(index),
            result.theta[:, index],
            np.array([ends[k].cost for k in index]),
            n_starts,
            np.random.default_rng([self.seed, 1]),
        )
        self.n_starts[index], self.n_agreeing[index] = found.n_starts, found.n_agreeing
        index = index[found.neurons]
        if not len(index):
            return
        other = self._run(index, found.theta)
        lower = [
            new.cost < ends[k].cost * (1 - SIGNIFICANT)
            for k, new in zip(index, other.terminations, strict=True)
        ]
        for k in index[lower].tolist():
            if k in self.reports:
                self.left[k] = self.reports.pop(k), ends[k].cost
        self.result = _replaced(result, other, index, lower)
        self._go_on()

    def check(self) -> None:
        """Distinguish minima from saddle points, saturation and unbounded weights."""
        self._add_reports(("gradient", "plateau", "max_iter"))
        ends = self._result().terminations
        checked = [self._checked(k, end) for k, end in enumerate(ends)]
        self.result = replace(self._result(), terminations=checked)

    def _go_on(self) -> None:
        """Continue with a smaller tol where the gradient is small but J is not at its minimum."""
        if not self.promises_minimum:
            return
        tol, max_iter = self.settings["tol"], self.settings["max_iter"]
        for factor in TIGHTER:
            known = set(self.reports)
            self._add_reports(("gradient", "plateau"))
            result = self._result()
            index = [
                k
                for k, end in enumerate(result.terminations)
                if k in self.reports
                and k not in known
                and self.reports[k].status in ("unfinished", "saddle")
                and end.reason == "gradient"
                and 0 < end.gradient_max
                and end.n_iter < max_iter
            ]
            if not index:
                return
            n_done = max(result.terminations[k].n_iter for k in index)
            chosen = np.array(index)
            other = train(
                self.objective.select(chosen),
                _of_neurons(result.optimizer, chosen),
                result.theta[:, chosen],
                tol=factor * tol,
                max_iter=min(max_iter - n_done, max(2 * n_done, MIN_MORE_ITERATIONS)),
                is_continued=True,
                **self._shared(chosen),
            )
            # if max_iter is reached now, the requested tol had been reached before
            ends = [
                replace(end, reason="gradient", message=message("gradient", **vars(end)))
                if end.reason == "max_iter"
                else end
                for end in other.terminations
            ]
            other = replace(other, terminations=ends)
            self.result = _replaced(result, other, chosen, [True] * len(chosen))
            for k in index:
                del self.reports[k]

    def _add_reports(self, reasons: tuple[str, ...]) -> None:
        """Add the missing reports of neurons that ended for one of the reasons."""
        result = self._result()
        index = np.array(
            [
                k
                for k, end in enumerate(result.terminations)
                if end.reason in reasons and k not in self.reports
            ],
            dtype=int,
        )
        if len(index):
            known = result.hessians
            hessians = {j: known[k] for j, k in enumerate(index.tolist()) if k in known}
            J = np.array([result.terminations[k].cost for k in index])
            objective, theta, gradient = self.objective, result.theta, result.gradient
            if self.space is not None:
                objective = self.space.objective
                theta, gradient = self.space.inside(theta), self.space.inside(gradient)
            reports = check_optimality(
                objective.select(index), theta[:, index], self.settings["tol"],
                hessians, (J, gradient[:, index]),
            )  # fmt: skip
            self.reports.update(zip(index.tolist(), reports, strict=True))

    def _checked(self, k: int, end: Termination) -> Termination:
        """The termination of a neuron, completed with the results of its optimality report."""
        known: dict[str, Any] = {
            "n_starts": int(self.n_starts[k]),
            "n_agreeing": int(self.n_agreeing[k]),
            **self._costs(),
        }
        report = self.reports.get(k)
        if report is not None:
            known["smallest_curvature"] = report.smallest_curvature
            known["mean_sigmoid_derivative"] = report.mean_sigmoid_derivative
            if self.promises_minimum or report.status in ("saturated", "unbounded", "separable"):
                known["at_minimum"] = report.status == "minimum"
                reason = self._reason(end.reason, report)
                if reason != end.reason:
                    values = {**vars(end), **vars(report)}
                    known.update(reason=reason, message=message(reason, **values))
                if reason == "gradient" and end.gradient_max > self.settings["tol"]:
                    known["message"] = AT_MINIMUM.format(gradient_max=end.gradient_max)
        if k in self.left and known.get("reason") in ("unbounded", "separable"):
            left, cost = self.left[k]
            if left.status == "minimum" and left.smallest_curvature > 0:
                known["message"] += f" (n_starts=1 keeps a strict minimum, of J = {cost:.6g})"
        return replace(end, **known)

    def _reason(self, reason: str, report: OptimalityReport) -> str:
        """Why training ended, in view of the report."""
        if report.status == "minimum":
            is_reached = report.scaled_gradient <= self.settings["tol"]
            return reason if reason == "max_iter" and not is_reached else "gradient"
        if reason == "max_iter" or (reason == "plateau" and report.status == "unfinished"):
            return reason
        return report.status

    def interrupted(self) -> Result:
        """The result so far, with every neuron marked as interrupted."""
        assert self.result is not None
        sentence = message("interrupted", n_iter=self.history.n_iter)
        ends = [
            replace(end, reason="interrupted", message=sentence, **self._costs())
            for end in self.result.terminations
        ]
        return replace(self.result, terminations=ends)

    def adopt(self, part: Result) -> None:
        """Use the result of an interrupted first run; for a later run, keep the earlier result."""
        if self.result is None:
            self.result = part

    def _costs(self) -> dict[str, Any]:
        """What all runs together have cost so far."""
        return {"n_passes": self.objective.n_passes, "seconds": self.history.records[-1].seconds}

    def _run(self, neurons: Array, theta: Array) -> Result:
        """Train some neurons with the given optimizer, or the chosen one after easier problems."""
        if self.space is not None:
            return self._run_inside(self.space, neurons, theta)
        objective, shared = self.objective.select(neurons), self._shared(neurons)
        optimizer = self.optimizer
        if optimizer is not None:
            optimizer = _of_neurons(optimizer, neurons)
        if optimizer is None:
            choice = choose(objective, len(theta), len(neurons))
            optimizer, easier = choice.optimizer, objective
            for easier in self._easier(choice, objective, theta):
                first = choose(easier, len(theta), len(neurons)).optimizer
                if not choice.samples and isinstance(first, PreconditionedLBFGS):
                    # the Hessian at θ = 0 is good enough for both problems
                    first = optimizer = replace(first, inverse=sampled_inverses(easier, theta))
                try:
                    solved = train(
                        easier, first, theta,
                        max_iter=self.settings["max_iter"], tol=0.0,
                        min_decrease=1e-3 * len(theta) / easier.n_rows,  # below the sampling error
                        **shared,
                    )  # fmt: skip
                except TrainingInterrupted as stop:
                    raise TrainingInterrupted(_evaluated(objective, stop.result)) from None
                theta = solved.theta
                if any(end.reason == "interrupted" for end in solved.terminations):
                    return _evaluated(objective, solved)
            if choice.samples:
                inverse = curvature_inverses(easier, theta)
                optimizer = PreconditionedLBFGS(inverse=inverse, is_renewed=False)
        return train(objective, optimizer, theta, **self.settings, **shared)

    def _easier(self, choice: Choice, objective: Objective, theta: Array) -> Iterator[Objective]:
        """The easier problems to solve first; a stronger penalty only from θ = 0 on."""
        rng = np.random.default_rng(self.seed)
        for n_rows in choice.samples:
            yield objective.sample(rng, n_rows)
        if choice.penalty > 1 and objective.alpha.all() and not theta.any():
            yield objective.with_penalty(choice.penalty)

    def _run_inside(self, space: RowSpace, neurons: Array, theta: Array) -> Result:
        """Train in the span of the rows, and go on outside if rounding has left anything to do."""
        shared, max_iter = self._shared(neurons), self.settings["max_iter"]
        callback, n_before = shared["callback"], len(self.history.records)
        if callback is not None:
            shared["callback"] = lambda inner, history: callback(space.outside(inner), history)
        self.history.outside = space.outside
        try:
            result = train(
                space.objective.select(neurons), LBFGS(), space.inside(theta),
                **self.settings, **shared,
            )  # fmt: skip
        except TrainingInterrupted as stop:
            raise TrainingInterrupted(_outside(space, stop.result)) from None
        finally:
            self.history.outside = None
        result = _outside(space, result)
        if any(end.reason == "interrupted" for end in result.terminations):
            return result
        n_left = max_iter - (self.history.n_iter - n_before)
        result = train(
            self.objective.select(neurons), LBFGS(), result.theta,
            **self.settings | {"max_iter": n_left}, **self._shared(neurons), is_continued=True,
        )  # fmt: skip
        ends = [
            replace(end, message=message(end.reason, **vars(end), max_iter=max_iter))
            if end.reason == "max_iter"
            else end
            for end in result.terminations
        ]
        return replace(result, terminations=ends)

    def _shared(self, neurons: Array) -> dict[str, Any]:
        """The arguments that all runs have in common, for some of the neurons."""
        return {
            "history": self.history,
            "neurons": neurons,
            "validation": None if self.validation is None else self.validation.select(neurons),
            "callback": self._shown_whole(neurons),
        }

    def _result(self) -> Result:
        assert self.result is not None
        return self.result

    def _shown_whole(self, neurons: Array) -> Callback | None:
        """The callback, which receives all neurons even if only some are being trained."""
        callback, result = self.callback, self.result
        if callback is None or result is None:
            return callback

        def call(part: Array, history: History) -> bool:
            whole = result.theta.copy()
            whole[:, neurons] = part
            return callback(whole, history)

        return call


def _of_neurons(optimizer: Any, index: Array) -> Any:
    """The optimizer for some of the bank's neurons, which may have a preconditioner for each."""
    inverse = getattr(optimizer, "inverse", None)
    if inverse is None or inverse.shape[-1] == 1:  # one serves all neurons
        return optimizer
    return replace(optimizer, inverse=inverse[..., index])


def _outside(space: RowSpace, result: Result) -> Result:
    """A result in the span of the rows with its parameters and gradient outside."""
    theta, gradient = space.outside(result.theta), space.outside(result.gradient)
    return replace(result, theta=theta, gradient=gradient, hessians={}, state=None)


def _evaluated(objective: Objective, result: Result) -> Result:
    """The result of an easier problem with J and its gradient in the problem itself."""
    J, gradient = objective.value_and_gradient(result.theta)
    largest = np.abs(gradient).max(axis=0)
    ends = [
        replace(end, cost=float(J[k]), gradient_max=float(largest[k]))
        for k, end in enumerate(result.terminations)
    ]
    return replace(result, gradient=gradient, terminations=ends)


def _replaced(result: Result, other: Result, index: Array, chosen: list[bool]) -> Result:
    """The result, with those neurons at `index` that are `chosen` replaced by those of `other`."""
    theta, gradient = result.theta.copy(), result.gradient.copy()
    ends, hessians = list(result.terminations), dict(result.hessians)
    for j, k in enumerate(index.tolist()):
        if chosen[j]:
            theta[:, k], gradient[:, k] = other.theta[:, j], other.gradient[:, j]
            ends[k] = other.terminations[j]
            hessians.pop(k, None)
            if j in other.hessians:
                hessians[k] = other.hessians[j]
        else:
            ends[k] = replace(ends[k], n_iter=other.terminations[j].n_iter)
    return replace(result, theta=theta, gradient=gradient, terminations=ends, hessians=hessians)
