"""Labels for the reasons why training stopped."""

from typing import Any

LABELS = {
    "gradient": "gradient within tol",
    "max_iter": "max_iter reached",
    "early_stopping": "no gain on the held-out rows",
    "plateau": "plateau of J",
    "saturated": "neuron saturated",
    "separable": "no finite minimum",
    "saddle": "saddle point",
    "diverged": "diverged",
    "interrupted": "interrupted",
}


def reason_of(neuron: Any) -> str | None:
    """Why the last fit stopped: a key of `LABELS`, or None after `partial_fit`."""
    termination = getattr(neuron, "termination_", None)
    if termination is None:
        return None
    if termination.reason == "gradient" and not termination.at_minimum:
        return "saddle"
    return termination.reason


def label_of(reason: str) -> str:
    """The reason in a few words; words of the caller's own are taken as they are."""
    return LABELS.get(reason, reason)
