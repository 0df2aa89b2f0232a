"""Pictures of a neuron: how it was trained, how good its probabilities are, where it decides.

Displays follow scikit-learn's convention: `from_estimator` draws at once, `plot(ax=None)`
again, `ax_` and `figure_` are what was drawn on. Matplotlib is imported on first use. Where
no Axes are given a figure is made without pyplot, so nothing stays open.
"""

from trainer.plots.animation import animate
from trainer.plots.brier import BrierDecompositionDisplay
from trainer.plots.calibration import plot_calibration
from trainer.plots.cost_surface import CostSurfaceDisplay
from trainer.plots.decision_boundary import plot_decision_boundary
from trainer.plots.loss_curve import LossCurveDisplay
from trainer.plots.penalty_curve import PenaltyCurveDisplay

__all__ = [
    "BrierDecompositionDisplay",
    "CostSurfaceDisplay",
    "LossCurveDisplay",
    "PenaltyCurveDisplay",
    "animate",
    "plot_calibration",
    "plot_decision_boundary",
]
