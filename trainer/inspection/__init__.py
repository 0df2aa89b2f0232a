"""Look inside: every factor of the gradient, the path of training, gradients checked and marked."""

from trainer.inspection.explain import explain
from trainer.inspection.gradient_check import check_gradient
from trainer.inspection.parameters import fitted_parameters
from trainer.inspection.replay import Replay, replay_page
from trainer.inspection.surface import CostSurface, around, cost_surface, parameter_places
from trainer.inspection.tracing import N_FIGURES, trace

__all__ = [
    "N_FIGURES",
    "CostSurface",
    "Replay",
    "around",
    "check_gradient",
    "cost_surface",
    "explain",
    "fitted_parameters",
    "parameter_places",
    "replay_page",
    "trace",
]
