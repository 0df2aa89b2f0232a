"""A step length that satisfies the strong Wolfe conditions, along one direction.

The search is a generator: it yields the next step to try, and is sent J and its directional
derivative there. So a bank can run K searches together and evaluate all their trial steps in
one pass over the rows.
"""

from collections.abc import Generator
from math import isfinite, sqrt
from typing import Any, NamedTuple

SUFFICIENT_DECREASE = 1e-4
CURVATURE = 0.9


class Trial(NamedTuple):
    """A trial step, J there, and `slope`, the derivative of J along the direction there.

    These are numbers, or arrays (K,) with one number for each neuron.
    """

    step: Any
    J: Any
    slope: Any


def satisfied(start: Trial, trial: Trial, noise: Any) -> Any:
    """Whether a trial meets the conditions of `strong_wolfe`, for numbers or arrays (K,)."""
    is_flat = abs(trial.slope) <= -CURVATURE * start.slope
    is_lower = trial.J <= start.J + SUFFICIENT_DECREASE * trial.step * start.slope
    is_hidden = abs(trial.J - start.J) <= noise
    has_turned = trial.slope <= (2 * SUFFICIENT_DECREASE - 1) * start.slope
    return is_flat & (is_lower | (is_hidden & has_turned))


def strong_wolfe(
    J: float, slope: float, step: float, noise: float, max_trials: int = 30
) -> Generator[float, tuple[float, float], Trial | None]:
    """Find a step t with J(t) <= J + c₁·t·slope and |slope(t)| <= c₂·|slope|.

    Parameters
    ----------
    J, slope : float
        J and its directional derivative at step 0; `slope` is negative.
    step : float
        First step to try.
    noise : float
        If values of J differ by less than this, their slopes are compared instead.
    max_trials : int
        Maximum number of evaluations.

    Yields
    ------
    float
        A step to evaluate; the search expects (J, slope) there to be sent.

    Returns
    -------
    Trial or None
        The step found; otherwise the lowest trial below J; None if there is none.

    References
    ----------
    Nocedal and Wright, "Numerical Optimization", 2nd ed., algorithms 3.5 and 3.6. If rounding
    hides the decrease of J, slopes are tested with Hager and Zhang's "approximate Wolfe"
    condition (SIAM J. Optim., 2005).
    """
    start = Trial(0.0, J, slope)
    low, high = start, None
    for _ in range(max_trials):
        trial = Trial(step, *(yield step))
        if satisfied(start, trial, noise):
            return trial
        too_high = trial.J > J + SUFFICIENT_DECREASE * step * slope or trial.J >= low.J
        hidden = abs(trial.J - low.J) <= noise
        if not isfinite(trial.J) or (too_high and not (hidden and trial.slope < 0)):
            high = trial
        else:
            if high is None:
                if trial.slope >= 0:
                    high = low
            elif trial.slope * (high.step - low.step) >= 0:
                high = low
            low = trial
        step = _expand(low, start) if high is None else _between(low, high)
        if high is not None and abs(high.step - low.step) <= 1e-15 * max(high.step, low.step):
            break
    return low if low.step > 0 and low.J <= J + noise else None


def _expand(low: Trial, start: Trial) -> float:
    """A step beyond the last trial, to the zero of the slope's secant: 2 to 10 times the step."""
    gain = low.slope - start.slope
    secant = low.step * start.slope / -gain if gain > 0 else 10 * low.step
    return min(max(secant, 2 * low.step), 10 * low.step)


def _between(low: Trial, high: Trial) -> float:
    """Minimum of the cubic through both ends, at least a tenth of the bracket from either end."""
    width = high.step - low.step
    middle = low.step + width / 2
    if not (isfinite(high.J) and isfinite(high.slope)):
        return low.step + width / 10
    a = low.slope + high.slope - 3 * (high.J - low.J) / width
    square = a * a - low.slope * high.slope
    if square < 0:
        return middle
    b = sqrt(square) if width > 0 else -sqrt(square)
    denominator = high.slope - low.slope + 2 * b
    if denominator == 0:
        return middle
    step = high.step - width * (high.slope + b - a) / denominator
    first, last = sorted((low.step + width / 10, high.step - width / 10))
    return min(max(step, first), last)
