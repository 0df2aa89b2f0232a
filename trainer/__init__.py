"""The logistic-neuron trainer: σ(w·x + b) trained on the mean squared error of its output."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Where each public name is defined; it is imported on first use, so that `import trainer` and
# `from trainer.chain_rule import ...` load nothing that they do not need.
_LAZY = {
    "ArrayRows": "core.rows",
    "BrierDecomposition": "inspection.evaluation",
    "CalibrationDisplay": "plots.calibration",
    "Checkpoint": "estimators.checkpoint",
    "ConsistencyBand": "inspection.evaluation",
    "CostSurface": "inspection",
    "CostSurfaceDisplay": "plots.cost_surface",
    "Dataset": "datasets.toy",
    "DecisionBoundaryDisplay": "plots.decision_boundary",
    "DivergenceError": "estimators.neuron",
    "EarlyStopping": "estimators.callbacks",
    "FrameReader": "sources.frames",
    "GradientTape": "estimators.callbacks",
    "LogisticNeuron": "estimators.neuron",
    "LogisticNeuronCV": "estimators.neuron_cv",
    "LossCurveDisplay": "plots.loss_curve",
    "OPTIMIZERS": "optimizers",
    "Objective": "core.objective",
    "Replay": "inspection",
    "ShardedRows": "sources.cluster",
    "PenaltyCurveDisplay": "plots.penalty_curve",
    "ReliabilityCurve": "inspection.evaluation",
    "Termination": "core.termination",
    "animate": "plots.animation",
    "brier_decomposition": "inspection.evaluation",
    "brier_difference": "inspection.evaluation",
    "check_gradient": "inspection",
    "coefficient_table": "estimators.inference",
    "compare_models": "inspection.evaluation",
    "consistency_band": "inspection.evaluation",
    "cost_surface": "inspection",
    "explain": "inspection",
    "list_datasets": "datasets.toy",
    "load_dataset": "datasets.toy",
    "load_model": "persistence.models",
    "mark": "inspection",
    "make_preprocessor": "datasets.preprocessing",
    "open_rows": "sources.files",
    "register_skl2onnx": "persistence.skl2onnx_converter",
    "reference_models": "inspection.evaluation",
    "replay_page": "inspection",
    "reliability_curve": "inspection.evaluation",
    "save_model": "persistence.models",
    "self_contained_page": "inspection.page",
    "trusted_types": "persistence.models",
    "to_onnx": "persistence.export",
    "too_large_for_memory": "sources.size",
    "suspect_labels": "estimators.suspects",
    "trace": "inspection",
}

__all__ = sorted(_LAZY)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"trainer.{_LAZY[name]}"), name)
    if not name.startswith("_"):
        _check_collision(name)
    raise AttributeError(f"module 'trainer' has no attribute {name!r}")


def _check_collision(name: str) -> None:
    """Raise ImportError if the distribution "trainer" is installed too, whose name it may be."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        other = version("trainer")
    except PackageNotFoundError:
        return
    raise ImportError(
        f"'trainer' is logistic-neuron-trainer's package here and has no {name!r}, but trainer "
        f"{other} is installed too: install one of them in an environment of its own"
    )


def __dir__() -> list[str]:
    return [*globals(), *__all__]
