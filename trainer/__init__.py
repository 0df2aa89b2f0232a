"""The logistic-neuron trainer: σ(w·x + b) trained on the mean squared error of its output."""

from importlib import import_module
from typing import Any

from trainer.neuron import DivergenceError, LogisticNeuron
from trainer.optimizers import OPTIMIZERS
from trainer.training import Termination

__version__ = "0.1.0"

# Public names whose modules are imported on first use: they bring pandas or matplotlib along.
_LAZY = {
    "ArrayRows": "rows",
    "BrierDecomposition": "evaluation",
    "BrierDecompositionDisplay": "plots",
    "CostSurface": "inspection",
    "CostSurfaceDisplay": "plots",
    "Dataset": "datasets",
    "LogisticNeuronCV": "model_selection",
    "LossCurveDisplay": "plots",
    "Objective": "objective",
    "PenaltyCurveDisplay": "plots",
    "brier_decomposition": "evaluation",
    "check_gradient": "inspection",
    "coefficient_table": "inference",
    "compare_models": "evaluation",
    "cost_surface": "inspection",
    "list_datasets": "datasets",
    "load_dataset": "datasets",
    "make_preprocessor": "datasets",
    "plot_calibration": "plots",
    "plot_decision_boundary": "plots",
    "reference_models": "evaluation",
    "load_model": "persistence",
    "save_model": "persistence",
    "trace": "inspection",
}

__all__ = ["OPTIMIZERS", "DivergenceError", "LogisticNeuron", "Termination", *sorted(_LAZY)]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"trainer.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'trainer' has no attribute {name!r}")
