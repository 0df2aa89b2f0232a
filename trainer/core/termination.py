"""Why training stopped: every reason, its label, and its message with a remedy."""

from dataclasses import dataclass
from typing import Any, NamedTuple


class Reason(NamedTuple):
    """One reason to stop.

    `label` is used in legends; `message` is a template for the fields of a `Termination`.
    """

    label: str
    message: str
    converged: bool = False


REASONS = {
    "gradient": Reason(
        "gradient within tol",
        "the largest component of the gradient, {gradient_max:.3g}, is within tol",
        converged=True,
    ),
    "early_stopping": Reason(
        "no gain on the validation set",
        "the objective on the validation set has not improved for {patience} iterations; "
        "the parameters that were best there are kept",
        converged=True,
    ),
    "max_iter": Reason(
        "max_iter reached",
        "max_iter = {max_iter} iterations were not enough: the largest component of the gradient "
        "is {gradient_max:.3g}; raise max_iter or tol, or scale the features",
    ),
    "sample": Reason(
        "sample solved",
        "one more iteration would gain less than the sampling error of {n_rows} rows",
    ),
    "plateau": Reason(
        "plateau of J",
        "no step lowers J any further in this precision, though the largest component of the "
        "gradient is {gradient_max:.3g}; scale the features or raise tol",
    ),
    "saturated": Reason(
        "neuron saturated",
        "the neuron is so saturated (mean σ(1-σ) = {mean_sigmoid_derivative:.1e}) that its "
        "gradient would be this small whatever the labels; start nearer to 0 (init), scale the "
        "features, or set alpha > 0",
    ),
    "saddle": Reason(
        "saddle point",
        "the gradient is within tol at a saddle point, not at a minimum: the smallest curvature "
        "is {smallest_curvature:.3g}; start elsewhere (init), or use optimizer='newton'",
    ),
    "unfinished": Reason(
        "not shown to be a minimum",
        "the gradient is within tol, but by Newton's step J can still fall by "
        "{remaining_decrease:.2g} of itself, and the smallest curvature is "
        "{smallest_curvature:.3g}; set a larger alpha or a smaller tol, or scale the features",
    ),
    "unbounded": Reason(
        "no finite minimum",
        "there is no finite minimum in this direction: J decreases towards {limit:.3g}, the "
        "fraction of rows that the direction leaves wrong, as the weights grow; set alpha > 0",
    ),
    "separable": Reason(
        "separable data",
        "there is no finite minimum: these parameters classify every row correctly, and J "
        "decreases towards 0 as they grow; set alpha > 0",
    ),
    "diverged": Reason(
        "diverged",
        "J went from {cost:.3g} to {diverged_to:.3g} in iteration {n_iter}; "
        "the parameters before that step are kept",
    ),
    "interrupted": Reason(
        "interrupted",
        "stopped on request after {n_iter} iterations; the best parameters are kept",
    ),
}
"""All reasons, by the name in `Termination.reason`."""

AT_MINIMUM = (
    "J is at its minimum, though the largest component of the gradient, {gradient_max:.3g}, "
    "exceeds tol: because of rounding, or of the features' units"
)
"""Message of "gradient" where the check at the end, not tol, has shown the minimum."""


@dataclass(frozen=True)
class Termination:
    """Why the training of a neuron stopped, and at which parameters.

    Attributes
    ----------
    reason : str
        One of the names in `trainer.core.termination.REASONS`: "gradient" (no component of
        the gradient exceeds tol, and the parameters are at a minimum as far as was checked),
        "early_stopping", "max_iter", "plateau" (rounding hides any decrease of J), "saturated"
        (the gradient would be as small whatever the labels), "saddle", "unfinished" (J can
        still decrease), "unbounded" (J decreases along a ray to infinity), "separable" (the
        same, and every row is classified correctly), "diverged" or "interrupted".
    message : str
        The same as a sentence, with a remedy.
    n_iter : int
        Number of the last iteration of this neuron.
    cost : float
        J at the parameters that were kept.
    gradient_max : float
        Largest component of dJ/dθ there, in absolute value.
    at_minimum : bool or None
        True if J was shown to exceed a minimum by at most 100 tol × J, see
        `trainer.core.optimality`; None if this was not checked, as after early stopping or with
        tol >= 0.01, which guarantees nothing.
    smallest_curvature : float
        Smallest eigenvalue of d²J/dθ² there, in units of the features: positive at a strict
        minimum; see `trainer.core.optimality`.
    mean_sigmoid_derivative : float
        Mean of σ(1 - σ): 1/4 at θ = 0, near 0 for a saturated neuron.
    n_starts, n_agreeing : int
        Number of starts compared, and number of those that led to the minimum that was kept.
    n_passes : float
        Number of passes over the training rows, by all neurons and runs together, without those
        that learn `noise_rates`.
    seconds : float
        Wall-clock time of the whole fit.

    Examples
    --------
    >>> from trainer import LogisticNeuron
    >>> termination = LogisticNeuron().fit([[0.0], [1.0]], ["no", "yes"]).termination_
    >>> termination.reason, termination.converged
    ('gradient', True)
    """

    reason: str
    message: str
    n_iter: int
    cost: float
    gradient_max: float
    at_minimum: bool | None = None
    smallest_curvature: float = float("nan")
    mean_sigmoid_derivative: float = float("nan")
    n_starts: int = 1
    n_agreeing: int = 1
    n_passes: float = float("nan")
    seconds: float = float("nan")

    @property
    def converged(self) -> bool:
        """Whether training ended at a minimum to within tol, or by early stopping."""
        return REASONS[self.reason].converged


def message(reason: str, /, **values: Any) -> str:
    """The sentence for a reason, with the values that it mentions."""
    return REASONS[reason].message.format(**values)


def reason_label(reason: str) -> str:
    """The reason in a few words, for legends; an unknown reason is returned unchanged."""
    return REASONS[reason].label if reason in REASONS else reason
