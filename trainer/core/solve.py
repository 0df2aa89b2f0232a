"""From a start to a minimum: train, try other starts, check what was reached."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.core.multistart import lower_starts
from trainer.core.objective import Objective
from trainer.core.optimality import check_optimality
from trainer.core.parallel import session
from trainer.core.termination import Termination, message
from trainer.core.training import Callback, History, Result, TrainingInterrupted, train
from trainer.optimizers.auto import choose
from trainer.optimizers.base import Optimizer
from trainer.optimizers.lbfgs import PreconditionedLBFGS
from trainer.optimizers.newton import Newton
from trainer.optimizers.preconditioner import inverse_hessians

Array = npt.NDArray[Any]


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
    """Train a bank, go on from better starts where there are any, and check the ends.

    Parameters
    ----------
    objective : Objective
        Objective of the bank.
    optimizer : Optimizer or None
        How to minimise it; None chooses by the shape of the data.
    theta : array of shape (d + 1, K)
        Start.
    n_starts : int
        Starts to compare, see `trainer.core.multistart`.
    seed : int
        Draws samples and starts.
    max_iter, tol, validation, patience, callback, history
        As in `trainer.core.training.train`; the callback gets the parameters of all neurons.

    Returns
    -------
    Result
        Its terminations tell minima from what only looks like one.

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

    def train(self) -> None:
        """The first run."""
        self.result = self._run(np.arange(self.theta.shape[1]), self.theta)

    def try_other_starts(self, n_starts: int) -> None:
        """A second run of the neurons for which another start promises a lower minimum."""
        result = self.result
        assert result is not None
        ended = [end.reason in ("gradient", "plateau") for end in result.terminations]
        if any(end.reason == "interrupted" for end in result.terminations):
            return  # a request to stop is for the whole bank
        index = np.flatnonzero(ended)
        if not len(index):
            return
        rng = np.random.default_rng([self.seed, 1])
        found = lower_starts(self.objective.select(index), result.theta[:, index], n_starts, rng)
        ends = list(result.terminations)
        for k in index[found.tried]:
            ends[k] = replace(ends[k], n_starts=n_starts, n_agreeing=n_starts)
        index = index[found.neurons]
        for k in index:
            ends[k] = replace(ends[k], n_agreeing=n_starts - 1)
        self.result = result = replace(result, terminations=ends)
        if not len(index):
            return
        other = self._run(index, found.theta)
        theta, hessians = result.theta.copy(), dict(result.hessians)
        for j, k in enumerate(index.tolist()):
            if other.terminations[j].cost < ends[k].cost:
                theta[:, k] = other.theta[:, j]
                ends[k] = replace(other.terminations[j], n_starts=n_starts, n_agreeing=1)
                hessians.pop(k, None)
                if j in other.hessians:
                    hessians[k] = other.hessians[j]
            else:
                ends[k] = replace(ends[k], n_iter=other.terminations[j].n_iter)
        self.result = replace(result, theta=theta, terminations=ends, hessians=hessians)

    def check(self) -> None:
        """Tell minima from saddle points, saturation and runs to infinity."""
        result = self.result
        assert result is not None
        ends = [
            _checked(
                self.objective.select(np.array([k])),
                result.theta[:, [k]],
                end,
                self.settings["tol"],
                result.hessians.get(k),
            )
            for k, end in enumerate(result.terminations)
        ]
        self.result = replace(result, terminations=self._final(ends))

    def interrupted(self) -> Result:
        """The result so far, all of it called interrupted."""
        assert self.result is not None
        sentence = message("interrupted", n_iter=self.history.n_iter)
        ends = [
            replace(end, reason="interrupted", message=sentence) for end in self.result.terminations
        ]
        return replace(self.result, terminations=self._final(ends))

    def adopt(self, part: Result) -> None:
        """Take over an interrupted first run; of a later one the first run's end is kept."""
        if self.result is None:
            self.result = part

    def _final(self, ends: list[Termination]) -> list[Termination]:
        seconds = self.history.records[-1].seconds
        n_passes = self.objective.n_passes
        return [replace(end, n_passes=n_passes, seconds=seconds) for end in ends]

    def _run(self, neurons: Array, theta: Array) -> Result:
        """Train some neurons: the optimizer given, or the one chosen with its samples."""
        is_whole = len(neurons) == self.theta.shape[1]
        objective = self.objective if is_whole else self.objective.select(neurons)
        validation = self.validation
        if validation is not None and not is_whole:
            validation = validation.select(neurons)
        shared: dict[str, Any] = {
            "history": self.history,
            "neurons": neurons,
            "validation": validation,
            "callback": self.callback if is_whole else self._shown_whole(neurons),
        }
        optimizer = self.optimizer
        if optimizer is None:
            optimizer, sizes = choose(objective, len(theta), len(neurons))
            rng = np.random.default_rng(self.seed)
            sample, solved = objective, None
            for n_rows in sizes:
                sample = objective.sample(rng, n_rows)
                solved = train(
                    sample, Newton(), theta,
                    max_iter=self.settings["max_iter"], tol=0.0,
                    min_decrease=1e-3 * len(theta) / n_rows,  # hidden by the sampling error
                    **shared,
                )  # fmt: skip
                theta = solved.theta
                if any(end.reason == "interrupted" for end in solved.terminations):
                    return solved
            if solved is not None:
                hessians = np.stack([solved.hessians[k] for k in range(len(neurons))], axis=-1)
                inverse = inverse_hessians(
                    hessians,
                    lambda k: sample.select(np.array([k])).gram()[..., 0],
                    objective.loss.min_curvature,
                )
                optimizer = PreconditionedLBFGS(inverse=inverse)
        return train(objective, optimizer, theta, **self.settings, **shared)

    def _shown_whole(self, neurons: Array) -> Callback | None:
        """The callback, which gets all neurons while only some are trained."""
        callback, result = self.callback, self.result
        if callback is None or result is None:
            return callback

        def call(part: Array, history: History) -> bool:
            whole = result.theta.copy()
            whole[:, neurons] = part
            return callback(whole, history)

        return call


def _checked(
    objective: Objective, theta: Array, end: Termination, tol: float, hessian: Array | None
) -> Termination:
    """The termination of one neuron, corrected where its gradient misleads."""
    if end.reason not in ("gradient", "plateau", "max_iter"):
        return end
    report = check_optimality(objective, theta, max(tol, end.gradient_max), hessian)
    end = replace(
        end,
        smallest_curvature=report.smallest_curvature,
        mean_sigmoid_derivative=report.mean_sigmoid_derivative,
    )
    if end.reason == "max_iter" or report.status == "minimum":
        return end
    return replace(
        end,
        reason=report.status,
        message=message(report.status, **vars(end)),
        at_minimum=report.status != "saddle",
    )
