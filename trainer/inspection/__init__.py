"""Diagnostics: factors of the gradient, the path of training, gradient checks and marking."""

from trainer.inspection.explain import explain
from trainer.inspection.gradient_check import check_gradient
from trainer.inspection.marking import Mark, mark
from trainer.inspection.parameters import fitted_parameters
from trainer.inspection.replay import Replay, replay_page
from trainer.inspection.surface import CostSurface, around, cost_surface, parameter_places
from trainer.inspection.tracing import N_FIGURES, trace

__all__ = [
    "N_FIGURES",
    "CostSurface",
    "Mark",
    "Replay",
    "around",
    "check_gradient",
    "cost_surface",
    "explain",
    "fitted_parameters",
    "mark",
    "parameter_places",
    "replay_page",
    "trace",
]
