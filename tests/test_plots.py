"""What the pictures show: the data drawn, their scales and their labels."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.datasets import load_breast_cancer, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer import LogisticNeuron
from trainer.plots import LossCurveDisplay, plot_calibration, plot_decision_boundary

X, Y = load_breast_cancer(return_X_y=True)
X = StandardScaler().fit_transform(X)
Y = np.where(Y == 1, "benign", "malignant")
TRAIN, TEST = slice(None, None, 2), slice(1, None, 2)


def trained(**options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticNeuron(**options).fit(X[TRAIN], Y[TRAIN], X_val=X[TEST], y_val=Y[TEST])


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_loss_curve_shows_the_costs_recorded():
    neuron = trained()
    display = LossCurveDisplay.from_estimator(neuron, name="a run", held_out_label="test rows")
    drawn = lines(display.ax_)
    for label, costs in (
        ("training rows", neuron.loss_curve_),
        ("test rows", neuron.validation_curve_),
    ):
        np.testing.assert_array_equal(drawn[label].get_ydata(), costs)
        np.testing.assert_array_equal(drawn[label].get_xdata(), np.arange(neuron.n_iter_ + 1))
    assert display.ax_.get_title("left") == "a run"
    assert display.ax_.get_xlabel() == "iteration"
    assert display.ax_.get_yscale() == "log"
    assert display.ax_.get_xscale() == "linear"
    assert isinstance(display.figure_, Figure)
    display.figure_.draw_without_rendering()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "gradient within tol"),
        ({"max_iter": 4}, "max_iter reached"),
        ({"max_iter": 9, "optimizer": "gradient_descent"}, "max_iter reached"),
    ],
)
def test_the_stopping_point_is_marked_with_its_reason(options, words):
    neuron = trained(**options)
    display = LossCurveDisplay.from_estimator(neuron)
    label = f"stopped at {neuron.n_iter_}: {words}"
    mark = lines(display.ax_)[label]
    assert mark.get_xydata().tolist() == [[neuron.n_iter_, neuron.loss_curve_[-1]]]
    assert label in legend(display.ax_)


def test_early_stopping_marks_the_iteration_that_was_kept():
    neuron = trained(early_stopping=True, optimizer="nesterov", n_iter_no_change=5)
    display = LossCurveDisplay.from_estimator(neuron)
    kept = neuron.n_iter_ - 5
    assert neuron.termination_.reason == "early_stopping"
    assert f"kept: iteration {kept}" in legend(display.ax_)
    assert neuron.loss_curve_[kept] == neuron.termination_.cost


@pytest.mark.parametrize(
    ("costs", "scale"),
    [(np.geomspace(0.25, 0.02, 50), "log"), (np.geomspace(0.25, 0.03, 50), "linear"),
     (np.linspace(0.25, 0, 50), "linear")],
)  # fmt: skip
def test_costs_get_a_log_scale_from_a_decade_on(costs, scale):
    ax = LossCurveDisplay(costs).plot().ax_
    assert ax.get_yscale() == scale
    if scale == "linear":
        assert ax.get_ylim()[0] == 0


def test_long_runs_get_a_log_scale_that_shows_the_start():
    ax = LossCurveDisplay(np.geomspace(0.25, 0.1, 5000)).plot().ax_
    assert ax.get_xscale() == "symlog"
    assert ax.get_xlim()[0] == 0
    assert ax.get_xlim()[1] > 4999
    ax.figure.draw_without_rendering()
    ticks = [tick.get_text() for tick in ax.get_xticklabels()]
    assert {"0", "1", "10", "100", "1000"} <= set(ticks)


def test_without_rows_held_out_there_is_one_curve():
    neuron = LogisticNeuron().fit(X, Y)
    pipeline = make_pipeline(StandardScaler(), LogisticNeuron()).fit(X, Y)
    for model in (neuron, pipeline):
        assert len(legend(LossCurveDisplay.from_estimator(model).ax_)) == 2


def test_axes_that_are_given_are_used():
    ax = Figure().subplots()
    neuron = trained()
    display = LossCurveDisplay.from_estimator(neuron, ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    ax = Figure().subplots()
    assert plot_calibration({"neuron": neuron}, X[TEST], Y[TEST], ax=ax) is ax
    moons, y = make_moons(50, random_state=0)
    ax = Figure().subplots()
    assert plot_decision_boundary(LogisticNeuron().fit(moons, y), moons, y, ax=ax) is ax


@pytest.mark.parametrize("pos_label", ["benign", "malignant"])
def test_calibration_shows_observed_shares_and_counts(pos_label):
    models = {"neuron": trained(), "other": LogisticRegression().fit(X[TRAIN], Y[TRAIN])}
    ax = plot_calibration(models, X[TEST], Y[TEST], pos_label=pos_label, n_bins=8)
    (counts,) = ax.child_axes
    heights = np.array([bar.get_height() for bar in counts.patches]).reshape(2, 8)
    for (name, model), counted in zip(models.items(), heights, strict=True):
        p = model.predict_proba(X[TEST])[:, list(model.classes_).index(pos_label)]
        shares, means = calibration_curve(Y[TEST] == pos_label, p, n_bins=8)
        np.testing.assert_allclose(lines(ax)[name].get_xydata(), np.c_[means, shares])
        np.testing.assert_array_equal(counted, np.histogram(p, 8, (0, 1))[0])
    assert legend(ax) == ["perfectly calibrated", "neuron", "other"]
    assert pos_label in ax.get_ylabel()
    assert pos_label in counts.get_xlabel()
    ax.figure.draw_without_rendering()


def test_few_rows_make_few_bins():
    neuron = trained()
    ax = plot_calibration({"neuron": neuron}, X[TEST], Y[TEST])
    assert len(ax.child_axes[0].patches) == 5
    rows = np.tile(X, (2, 1))
    ax = plot_calibration({"neuron": neuron}, rows, np.tile(Y, 2))
    assert len(ax.child_axes[0].patches) == 10
    assert "malignant" in ax.get_ylabel()  # the second class, by default


@pytest.fixture
def moons():
    points, y = make_moons(80, noise=0.1, random_state=0)
    frame = pd.DataFrame({"length in mm": 1000 * points[:, 0] + 5000, "width": points[:, 1]})
    y = np.where(y == 1, "lower", "upper")
    return make_pipeline(StandardScaler(), LogisticNeuron()).fit(frame, y), frame, y


def test_the_boundary_is_where_the_probability_is_one_half(moons):
    model, frame, y = moons
    ax = plot_decision_boundary(model, frame, y, pos_label="lower")
    boundary = ax.collections[1]
    assert boundary.levels.tolist() == [0.5]
    points = pd.DataFrame(boundary.get_paths()[0].vertices, columns=frame.columns)
    assert len(points) > 10
    np.testing.assert_allclose(model.predict_proba(points), 0.5, atol=2e-3)


def test_the_rows_are_drawn_in_their_own_units(moons):
    model, frame, y = moons
    ax = plot_decision_boundary(model, frame, y, pos_label="lower")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("length in mm", "width")
    rows = {each.get_label(): each for each in ax.collections[2:]}
    assert list(rows) == ["lower", "upper"]
    for label, drawn in rows.items():
        np.testing.assert_array_equal(drawn.get_offsets(), frame[y == label])
        low, high = ax.get_xlim()
        assert ((low < drawn.get_offsets()[:, 0]) & (drawn.get_offsets()[:, 0] < high)).all()
    lower, upper = rows.values()
    assert not np.array_equal(lower.get_facecolor(), upper.get_facecolor())
    assert len(lower.get_paths()[0]) != len(upper.get_paths()[0])  # shapes differ too
    assert ax.figure.axes[1].get_ylabel() == "probability of lower"


def test_the_field_belongs_to_the_class_asked_for(moons):
    model, frame, y = moons
    for pos_label in ("lower", "upper"):
        ax = plot_decision_boundary(model, frame, y, pos_label=pos_label)
        first = ax.collections[2]
        assert first.get_label() == pos_label
        assert ax.figure.axes[1].get_ylabel() == f"probability of {pos_label}"
        field = ax.collections[0].get_array()
        assert field.min() >= 0
        assert field.max() <= 1
        colours = ax.collections[0].get_facecolor()  # from 0 to 1: the rest's, the class's own
        own = first.get_facecolor()[0]
        assert np.abs(colours[-1] - own).sum() < np.abs(colours[0] - own).sum()


def test_rows_with_a_missing_value_and_plain_arrays_can_be_drawn():
    points, y = make_moons(50, noise=0.1, random_state=0)
    neuron = LogisticNeuron().fit(points, y)
    points[:3, 0] = np.nan
    ax = plot_decision_boundary(neuron, points, y)
    assert sum(len(each.get_offsets()) for each in ax.collections[2:]) == 47
    assert ax.get_xlabel() == "feature 0"


def test_drawing_leaves_pyplot_alone():
    code = (
        "import sys, trainer.plots; assert 'matplotlib' not in sys.modules;"
        "trainer.plots.LossCurveDisplay([0.25, 0.1]).plot();"
        "assert 'matplotlib' in sys.modules; assert 'matplotlib.pyplot' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
