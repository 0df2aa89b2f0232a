"""The logistic-neuron trainer: σ(w·x + b) trained on the mean squared error of its output."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Where each public name is defined; it is imported on first use, so that `import trainer` and
# `from trainer.chain_rule import ...` load nothing that they do not need.
_LAZY = {
    "ArrayRows": "core.rows",
    "BrierDecomposition": "inspection.evaluation",
    "BrierDecompositionDisplay": "plots",
    "CostSurface": "inspection",
    "CostSurfaceDisplay": "plots",
    "Dataset": "datasets.toy",
    "DivergenceError": "estimators.neuron",
    "LogisticNeuron": "estimators.neuron",
    "LogisticNeuronCV": "estimators.neuron_cv",
    "LossCurveDisplay": "plots",
    "OPTIMIZERS": "optimizers",
    "Objective": "core.objective",
    "PenaltyCurveDisplay": "plots",
    "Termination": "core.training",
    "brier_decomposition": "inspection.evaluation",
    "check_gradient": "inspection",
    "coefficient_table": "estimators.inference",
    "compare_models": "inspection.evaluation",
    "cost_surface": "inspection",
    "list_datasets": "datasets.toy",
    "load_dataset": "datasets.toy",
    "load_model": "persistence.models",
    "make_preprocessor": "datasets.preprocessing",
    "plot_calibration": "plots",
    "plot_decision_boundary": "plots",
    "reference_models": "inspection.evaluation",
    "save_model": "persistence.models",
    "to_onnx": "persistence.export",
    "trace": "inspection",
}

__all__ = sorted(_LAZY)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"trainer.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'trainer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
