"""Displays in a notebook, executed: each is an image in the outputs of its cell, once."""

import base64

import pytest

import trainer

SETUP = """
from sklearn.datasets import make_moons
from trainer import *
X, y = make_moons(60, noise=0.1, random_state=0)
neuron = LogisticNeuron().fit(X, y)
"""
CELLS = {
    "CalibrationDisplay": "CalibrationDisplay.from_estimator(neuron, X, y, random_state=0)",
    "CostSurfaceDisplay": "CostSurfaceDisplay.from_estimator(neuron, X, y, grid=10)",
    "DecisionBoundaryDisplay": "DecisionBoundaryDisplay.from_estimator(neuron, X, y)",
    "LossCurveDisplay": "LossCurveDisplay.from_estimator(neuron)",
    "PenaltyCurveDisplay": "PenaltyCurveDisplay([0.1, 1], [[-0.2, -0.3], [-0.1, -0.4]])",
}


def images(cell):
    shown = [output.get("data", {}) for output in cell.outputs]
    assert not any(output.output_type == "error" for output in cell.outputs)
    return [base64.b64decode(data["image/png"]) for data in shown if "image/png" in data]


def test_every_display_is_shown_once():
    """With pyplot, whose figures the notebook shows itself, and without."""
    reason = "needs the packages nbclient and ipykernel"
    nbclient = pytest.importorskip("nbclient", reason=reason)
    pytest.importorskip("ipykernel", reason=reason)
    import nbformat.v4 as v4

    assert set(CELLS) == {name for name in trainer.__all__ if name.endswith("Display")}
    sources = [SETUP, *CELLS.values(), "import matplotlib.pyplot", *CELLS.values()]
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources])
    nbclient.NotebookClient(notebook, timeout=120).execute()
    for cell in notebook.cells:
        expected = 1 if cell.source in CELLS.values() else 0
        found = images(cell)
        assert len(found) == expected, cell.source
        assert all(image.startswith(b"\x89PNG") for image in found)
