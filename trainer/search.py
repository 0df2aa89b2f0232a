"""One neuron's whole search: train, look for a lower valley, say what was reached."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.certificate import certify
from trainer.objective import Objective
from trainer.optimizers import Optimizer
from trainer.starts import lower_start
from trainer.training import History, Result, Termination, train

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


def search(
    objective: Objective,
    optimizer: Optimizer,
    theta: Array,
    *,
    n_starts: int,
    seed: int,
    tol: float,
    callback: Callable[[Array, History], bool] | None = None,
    **settings: Any,
) -> Result:
    """Train one neuron, go on from a lower start if there is one, and certify the end.

    Parameters
    ----------
    objective : Objective
        Cost of one neuron.
    optimizer : Optimizer
        How to lower it.
    theta : array of shape (d + 1, 1)
        Where to start.
    n_starts : int
        Starts to compare, see `trainer.starts`.
    seed : int
        Draws samples and starts.
    tol : float
        As in `trainer.training.train`.
    callback : callable, optional
        As in `trainer.training.train`.
    **settings
        The other settings of `trainer.training.train`.

    Returns
    -------
    Result
        With a `Termination` that tells minima from what only looks like one.
    """
    read_before = objective.rows.n_read[0]
    result = train(objective, optimizer, theta, tol=tol, callback=callback, **settings)
    n_tried = n_agreeing = 1
    if result.terminations[0].reason in ("gradient", "plateau"):
        rng = np.random.default_rng([seed, 1])
        try:
            start, n_tried = lower_start(objective, result.theta, n_starts, rng)
        except KeyboardInterrupt:  # what was found is a minimum all the same
            start, n_tried = None, 1
        n_agreeing = n_tried
        if start is not None:
            other = train(objective, optimizer, start, tol=tol, callback=callback, **settings)
            n_agreeing -= 1
            if other.terminations[0].cost < result.terminations[0].cost:
                result, n_agreeing = other, 1
    end = replace(
        _certified(objective, result, tol),
        n_starts=n_tried,
        n_agreeing=n_agreeing,
        n_passes=(objective.rows.n_read[0] - read_before) / objective.rows.n_rows,
        seconds=result.history.seconds[-1],
    )
    return Result(result.theta, [end], result.history)


def _certified(objective: Objective, result: Result, tol: float) -> Termination:
    end = result.terminations[0]
    if end.reason not in ("gradient", "plateau", "max_iter"):
        return end
    found = certify(objective, result.theta, max(tol, end.gradient_max))
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
