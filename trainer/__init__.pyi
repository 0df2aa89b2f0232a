# The public names for type checkers: `trainer/__init__.py` imports them on first use.

from trainer.core.objective import Objective as Objective
from trainer.core.rows import ArrayRows as ArrayRows
from trainer.core.termination import Termination as Termination
from trainer.datasets.preprocessing import make_preprocessor as make_preprocessor
from trainer.datasets.toy import (
    Dataset as Dataset,
    list_datasets as list_datasets,
    load_dataset as load_dataset,
)
from trainer.estimators.callbacks import (
    EarlyStopping as EarlyStopping,
    GradientTape as GradientTape,
)
from trainer.estimators.checkpoint import Checkpoint as Checkpoint
from trainer.estimators.inference import coefficient_table as coefficient_table
from trainer.estimators.neuron import (
    DivergenceError as DivergenceError,
    LogisticNeuron as LogisticNeuron,
)
from trainer.estimators.neuron_cv import LogisticNeuronCV as LogisticNeuronCV
from trainer.estimators.suspects import suspect_labels as suspect_labels
from trainer.inspection import (
    CostSurface as CostSurface,
    Replay as Replay,
    check_gradient as check_gradient,
    cost_surface as cost_surface,
    explain as explain,
    mark as mark,
    replay_page as replay_page,
    trace as trace,
)
from trainer.inspection.evaluation import (
    BrierDecomposition as BrierDecomposition,
    ConsistencyBand as ConsistencyBand,
    ReliabilityCurve as ReliabilityCurve,
    brier_decomposition as brier_decomposition,
    brier_difference as brier_difference,
    compare_models as compare_models,
    consistency_band as consistency_band,
    reference_models as reference_models,
    reliability_curve as reliability_curve,
)
from trainer.inspection.page import self_contained_page as self_contained_page
from trainer.optimizers import OPTIMIZERS as OPTIMIZERS
from trainer.persistence.export import to_onnx as to_onnx
from trainer.persistence.models import (
    load_model as load_model,
    save_model as save_model,
    trusted_types as trusted_types,
)
from trainer.persistence.skl2onnx_converter import register_skl2onnx as register_skl2onnx
from trainer.plots.animation import animate as animate
from trainer.plots.calibration import CalibrationDisplay as CalibrationDisplay
from trainer.plots.cost_surface import CostSurfaceDisplay as CostSurfaceDisplay
from trainer.plots.decision_boundary import DecisionBoundaryDisplay as DecisionBoundaryDisplay
from trainer.plots.loss_curve import LossCurveDisplay as LossCurveDisplay
from trainer.plots.penalty_curve import PenaltyCurveDisplay as PenaltyCurveDisplay
from trainer.sources.cluster import ShardedRows as ShardedRows
from trainer.sources.files import open_rows as open_rows
from trainer.sources.frames import FrameReader as FrameReader
from trainer.sources.size import too_large_for_memory as too_large_for_memory

__version__: str
__all__: list[str]
