"""A bank's whole search: train, look for lower valleys, say what was reached."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.core.multistart import SIGNIFICANT, lower_starts
from trainer.core.objective import Objective
from trainer.core.optimality import certify
from trainer.core.training import History, Result, Termination, train
from trainer.optimizers import Optimizer

Array = npt.NDArray[Any]

SEPARABLE = (
    "no finite minimum: J falls towards {limit:.3g}, the share of rows that no line through the "
    "data puts right, as the weights grow; set alpha > 0"
)
PLATEAU = (
    "the neuron is so saturated (mean σ(1-σ) = {mean_slope:.1e}) that its gradient would be this "
    "small whatever the labels; start nearer to 0 (init), scale the features, or set alpha > 0"
)
SADDLE = (
    "no slope to tol, but a saddle and no minimum: the lowest curvature is "
    "{smallest_curvature:.3g}; start elsewhere (init), or use optimizer='newton'"
)


def solve(
    objective: Objective,
    optimizer: Optimizer,
    theta: Array,
    *,
    n_starts: int,
    seed: int,
    tol: float,
    validation: Objective | None = None,
    callback: Callable[[Array, History], bool] | None = None,
    **settings: Any,
) -> Result:
    """Train a bank, go on from lower starts where there are any, and certify the ends.

    Parameters
    ----------
    objective : Objective
        Cost of the bank.
    optimizer : Optimizer
        How to lower it.
    theta : array of shape (d + 1, K)
        Where to start.
    n_starts : int
        Starts to compare, see `trainer.core.multistart`.
    seed : int
        Draws samples and starts.
    tol, validation, callback
        As in `trainer.core.training.train`.
    **settings
        The other settings of `trainer.core.training.train`.

    Returns
    -------
    Result
        With a `Termination` a neuron that tells minima from what only looks like one.
    """
    with objective.rows.at_work(theta.shape[1]):
        read_before = objective.rows.n_read[0]
        result = train(
            objective,
            optimizer,
            theta,
            tol=tol,
            validation=validation,
            callback=callback,
            **settings,
        )
        n_tried = np.ones(theta.shape[1], dtype=int)
        n_agreeing = n_tried.copy()
        ended = [end.reason in ("gradient", "plateau") for end in result.terminations]
        if any(end.reason == "interrupted" for end in result.terminations):
            ended = [False] * len(ended)  # a request to stop is for the whole bank
        index = np.flatnonzero(ended)
        if n_starts > 1 and len(index):
            rng = np.random.default_rng([seed, 1])
            with suppress(KeyboardInterrupt):  # what was found is a minimum all the same
                found = lower_starts(
                    objective.columns(index),
                    result.theta[:, index],
                    np.array([result.terminations[k].cost for k in index]),
                    n_starts,
                    rng,
                )
                n_tried[index], n_agreeing[index] = found.n_starts, found.n_agreeing
                index = index[found.neurons]
                if len(index):
                    other = train(
                        objective.columns(index),
                        optimizer,
                        found.theta,
                        tol=tol,
                        validation=None if validation is None else validation.columns(index),
                        callback=_of_the_whole_bank(callback, result.theta, index),
                        **settings,
                    )
                    lower = np.array(
                        [
                            new.cost < result.terminations[k].cost * (1 - SIGNIFICANT)
                            for k, new in zip(index, other.terminations, strict=True)
                        ]
                    )
                    result = _replaced(result, other, index, lower)
        n_passes = (objective.rows.n_read[0] - read_before) / objective.rows.n_rows
        ends = [
            replace(
                _certified(
                    objective.columns(np.array([k])),
                    result.theta[:, [k]],
                    end,
                    tol,
                    result.hessians.get(k),
                ),
                n_starts=int(n_tried[k]),
                n_agreeing=int(n_agreeing[k]),
                n_passes=n_passes,
                seconds=result.history.seconds[-1],
            )
            for k, end in enumerate(result.terminations)
        ]
        return Result(result.theta, ends, result.history)


def _of_the_whole_bank(
    callback: Callable[[Array, History], bool] | None, theta: Array, index: Array
) -> Callable[[Array, History], bool] | None:
    """A callback that is shown the whole bank while only the neurons at `index` are trained."""
    if callback is None:
        return None

    def shown(part: Array, history: History) -> bool:
        whole = theta.copy()
        whole[:, index] = part
        return callback(whole, history)

    return shown


def _replaced(result: Result, other: Result, index: Array, lower: Array) -> Result:
    """The result with the neurons at `index` replaced by `other`'s where those are `lower`."""
    chosen, index = np.flatnonzero(lower), index[lower]
    theta, ends = result.theta.copy(), list(result.terminations)
    hessians = dict(result.hessians)
    theta[:, index] = other.theta[:, chosen]
    for k, j in zip(index.tolist(), chosen.tolist(), strict=True):
        ends[k] = other.terminations[j]
        hessians.pop(k, None)
        if j in other.hessians:
            hessians[k] = other.hessians[j]
    if len(index) == len(ends):
        return Result(theta, ends, other.history, hessians)
    history = History(seconds=max(result.history.seconds, other.history.seconds, key=len))
    history.seconds = history.seconds[: 1 + max(end.n_iter for end in ends)]
    for name in ("cost", "gradient_max", "validation_cost"):
        old, new = getattr(result.history, name), getattr(other.history, name)
        length = min(max(len(old), len(new)), 1 + max(end.n_iter for end in ends))
        for i in range(length if old else 0):  # who has finished stays as it ended
            values = old[min(i, len(old) - 1)].copy()
            values[index] = new[min(i, len(new) - 1)][chosen]
            getattr(history, name).append(values)
    return Result(theta, ends, history, hessians)


def _certified(
    objective: Objective, theta: Array, end: Termination, tol: float, hessian: Array | None
) -> Termination:
    if end.reason not in ("gradient", "plateau", "max_iter"):
        return end
    found = certify(objective, theta, max(tol, end.gradient_max), hessian)
    values = {
        "mean_slope": found.mean_slope,
        "smallest_curvature": found.smallest_curvature,
        "limit": end.cost,
    }
    end = replace(end, mean_slope=found.mean_slope, smallest_curvature=found.smallest_curvature)
    if end.reason == "max_iter":
        return end
    if found.kind == "separable":
        return replace(end, reason="separable", message=SEPARABLE.format(**values))
    if found.kind == "plateau":
        return replace(end, reason="plateau", message=PLATEAU.format(**values))
    if found.kind == "saddle":
        return replace(end, at_minimum=False, message=SADDLE.format(**values))
    return end
