"""A bank's whole search: train, look for lower valleys, say what was reached."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.core.multistart import SIGNIFICANT, lower_starts
from trainer.core.objective import Objective
from trainer.core.optimality import OptimalityReport, allowed_share, check_optimality
from trainer.core.training import MESSAGES, History, Result, Termination, train
from trainer.optimizers import Optimizer

Array = npt.NDArray[Any]

SEPARABLE = (
    "no finite minimum: these parameters classify every row correctly, and J falls towards 0 as "
    "they grow; set alpha > 0"
)
UNBOUNDED = (
    "no finite minimum in this direction: J falls towards {limit:.3g} as the weights grow, the "
    "share of rows that the direction leaves wrong; set alpha > 0"
)
LEFT = " (from the first start J has a strict minimum, {cost:.6g}: n_starts=1 keeps that)"
PLATEAU = (
    "the neuron is so saturated (mean σ(1-σ) = {mean_slope:.1e}) that its gradient would be this "
    "small whatever the labels; start nearer to 0 (init), scale the features, or set alpha > 0"
)
SADDLE = (
    "no slope to tol, but a saddle and no minimum: the lowest curvature is "
    "{smallest_curvature:.3g}; start elsewhere (init), or use optimizer='newton'"
)
UNFINISHED = (
    "no slope to tol, but not shown to be a minimum: by Newton's step J can still fall by "
    "{remaining:.2g} of itself, and the lowest curvature is {smallest_curvature:.3g}; set a larger "
    "alpha or a smaller tol, or scale the features"
)
REACHED = (
    "J is at its minimum, to {remaining:.1e} of itself, and the gradient in the features' own "
    "units is {scaled_gradient:.3g}"
)
TIGHTER = (1e-1, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12)
FEWEST_MORE = 50
"""Where J is not close enough to its minimum, training goes on with tol times these in turn, for
at most twice as many iterations as there were, or for so many if those were fewer."""


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
        reports: dict[int, OptimalityReport] = {}

        def settled(result: Result) -> Result:
            return _go_on(
                objective,
                optimizer,
                result,
                reports,
                tol=tol,
                validation=validation,
                callback=callback,
                **settings,
            )

        result = settled(result)
        n_tried = np.ones(theta.shape[1], dtype=int)
        n_agreeing = n_tried.copy()
        ended = [end.reason in ("gradient", "plateau") for end in result.terminations]
        if any(end.reason == "interrupted" for end in result.terminations):
            ended = [False] * len(ended)  # a request to stop is for the whole bank
        index = np.flatnonzero(ended)
        left: dict[int, tuple[OptimalityReport, float]] = {}
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
                        _of_neurons(optimizer, index),
                        found.theta,
                        tol=tol,
                        validation=None if validation is None else validation.columns(index),
                        callback=_of_the_whole_bank(callback, result.theta, index),
                        **settings,
                    )
                    before = np.array([result.terminations[k].cost for k in index])
                    lower = np.array(
                        [
                            new.cost < result.terminations[k].cost * (1 - SIGNIFICANT)
                            for k, new in zip(index, other.terminations, strict=True)
                        ]
                    )
                    result = _replaced(result, other, index, lower)
                    left = {
                        int(k): (reports.pop(k), cost)
                        for k, cost in zip(index[lower], before[lower], strict=True)
                        if k in reports
                    }
                    result = settled(result)
        n_passes = (objective.rows.n_read[0] - read_before) / objective.rows.n_rows
        promised = settings.get("patience") is None and allowed_share(objective, tol) < 1
        _add_reports(reports, objective, result, tol, ("gradient", "plateau", "max_iter"))
        ends = [
            replace(
                _judged(end, reports.get(k), left.get(k), tol, promised),
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


def _add_reports(
    reports: dict[int, OptimalityReport],
    objective: Objective,
    result: Result,
    tol: float,
    reasons: tuple[str, ...],
) -> None:
    """Add reports of the neurons that ended for one of `reasons` and have none."""
    ends = enumerate(result.terminations)
    index = np.array([k for k, end in ends if end.reason in reasons and k not in reports], int)
    if len(index):
        known = result.hessians
        hessians = {j: known[k] for j, k in enumerate(index.tolist()) if k in known}
        found = check_optimality(objective.columns(index), result.theta[:, index], tol, hessians)
        reports.update(zip(index.tolist(), found, strict=True))


def _go_on(
    objective: Objective,
    optimizer: Optimizer,
    result: Result,
    reports: dict[int, OptimalityReport],
    *,
    tol: float,
    validation: Objective | None,
    callback: Callable[[Array, History], bool] | None,
    max_iter: int,
    **settings: Any,
) -> Result:
    """Train on with a smaller tol where the gradient is small and J is not yet at its minimum.

    `reports` receives a report for each neuron that ended by its gradient or by rounding.
    """
    if settings.get("patience") is not None or allowed_share(objective, tol) >= 1:
        return result  # it is not J's minimum that is asked for
    for factor in TIGHTER:
        before = set(reports)
        _add_reports(reports, objective, result, tol, ("gradient", "plateau"))
        index = [
            k
            for k, end in enumerate(result.terminations)
            if k in reports
            and k not in before
            and reports[k].status in ("unfinished", "saddle")
            and end.reason == "gradient"
            and end.gradient_max > 0
            and end.n_iter < max_iter
        ]
        if not index:
            break
        chosen = np.array(index)
        n_done = max(result.terminations[k].n_iter for k in index)
        other = train(
            objective.columns(chosen),
            _of_neurons(optimizer, chosen),
            result.theta[:, chosen],
            tol=factor * tol,
            max_iter=min(max_iter - n_done, max(2 * n_done, FEWEST_MORE)),
            validation=None if validation is None else validation.columns(chosen),
            callback=_of_a_longer_run(callback, result, chosen),
            **settings,
        )
        result = _appended(result, other, chosen)
        for k in index:
            del reports[k]
    return result


def _of_neurons(optimizer: Any, index: Array) -> Any:
    """The optimizer of some of the bank's neurons, if it holds a preconditioner for each."""
    if getattr(optimizer, "inverse", None) is None:
        return optimizer
    return replace(optimizer, inverse=optimizer.inverse[..., index])


def _of_a_longer_run(
    callback: Callable[[Array, History], bool] | None, result: Result, index: Array
) -> Callable[[Array, History], bool] | None:
    """A callback that is shown the whole bank and history while some neurons are trained on."""
    if callback is None:
        return None

    def shown(part: Array, history: History) -> bool:
        whole = result.theta.copy()
        whole[:, index] = part
        return callback(whole, _joined(result.history, history, index))

    return shown


def _joined(first: History, second: History, index: Array) -> History:
    """The history of a bank, and of a run in which its neurons at `index` were trained on."""
    start = first.seconds[-1]
    joined = History(seconds=first.seconds + [start + more for more in second.seconds[1:]])
    for name in ("cost", "gradient_max", "validation_cost"):
        entries = list(getattr(first, name))
        for more in getattr(second, name)[1:]:
            values = entries[-1].copy()
            values[index] = more
            entries.append(values)
        setattr(joined, name, entries)
    return joined


def _appended(result: Result, other: Result, index: Array) -> Result:
    """The result with the run of the neurons at `index` appended; the others stay as they are."""
    theta, ends = result.theta.copy(), list(result.terminations)
    hessians = {k: H for k, H in result.hessians.items() if k not in index}
    theta[:, index] = other.theta
    for j, k in enumerate(index.tolist()):
        new = other.terminations[j]
        if new.reason == "max_iter":  # the tol that was asked for had been reached before
            message = MESSAGES["gradient"].format(gradient_max=new.gradient_max)
            new = replace(new, reason="gradient", message=message)
        ends[k] = replace(new, n_iter=len(result.history.cost) - 1 + new.n_iter)
        if j in other.hessians:
            hessians[k] = other.hessians[j]
    return Result(theta, ends, _joined(result.history, other.history, index), hessians)


def _judged(
    end: Termination,
    found: OptimalityReport | None,
    left: tuple[OptimalityReport, float] | None,
    tol: float,
    promised: bool,
) -> Termination:
    """The termination with what is known of the point where training ended."""
    if found is None:
        return end
    end = replace(end, mean_slope=found.mean_slope, smallest_curvature=found.smallest_curvature)
    if not promised and found.status in ("minimum", "unfinished", "saddle"):
        return end
    end = replace(end, at_minimum=found.status == "minimum")
    is_reached = found.status == "minimum" and found.scaled_gradient <= tol
    if end.reason == "max_iter" and not is_reached:
        return end
    values = {
        "scaled_gradient": found.scaled_gradient,
        "mean_slope": found.mean_slope,
        "smallest_curvature": found.smallest_curvature,
        "limit": found.limit,
        "remaining": found.remaining_decrease,
    }
    if found.status == "minimum":
        if end.reason != "gradient":
            return replace(end, reason="gradient", message=REACHED.format(**values))
        return end
    if found.status in ("separable", "unbounded"):
        message = (SEPARABLE if found.status == "separable" else UNBOUNDED).format(**values)
        if left is not None and left[0].status == "minimum" and left[0].smallest_curvature > 0:
            message += LEFT.format(cost=left[1])
        return replace(end, reason=found.status, message=message)
    if found.status == "plateau":
        return replace(end, reason="plateau", message=PLATEAU.format(**values))
    if found.status == "saddle":
        return replace(end, message=SADDLE.format(**values))
    if end.reason == "plateau":
        return end
    return replace(end, message=UNFINISHED.format(**values))
