"""What the displays show: the data drawn, their scales and their labels."""

import copy
import os
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.datasets import load_breast_cancer, load_iris, make_moons
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from test_optimality import pairs_far_apart

import trainer
from trainer import (
    CalibrationDisplay,
    CostSurface,
    CostSurfaceDisplay,
    DecisionBoundaryDisplay,
    LogisticNeuron,
    LossCurveDisplay,
    PenaltyCurveDisplay,
    brier_decomposition,
    consistency_band,
    reliability_curve,
    trace,
)
from trainer.optimizers import Adam
from trainer.plots.display import Display
from trainer.plots.style import literal

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


def legend(display):
    """Texts of the legend, below a figure of its own or on Axes that were given."""
    (found,) = display.figure_.legends or [display.ax_.get_legend()]
    return [text.get_text() for text in found.get_texts()]


@pytest.fixture(autouse=True)
def nothing_left_open():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="module")
def displays():
    points, y = make_moons(60, noise=0.1, random_state=0)
    neuron = LogisticNeuron().fit(points, y)
    scores = [[-0.05, -0.03], [-0.06, -0.05]]
    return {
        "CalibrationDisplay": CalibrationDisplay.from_estimator(neuron, points, y, random_state=0),
        "CostSurfaceDisplay": CostSurfaceDisplay.from_estimator(neuron, points, y, grid=10),
        "DecisionBoundaryDisplay": DecisionBoundaryDisplay.from_estimator(neuron, points, y),
        "LossCurveDisplay": LossCurveDisplay.from_estimator(neuron),
        "PenaltyCurveDisplay": PenaltyCurveDisplay([0.1, 1], scores).plot(),
    }


def test_every_display_can_be_shown_and_drawn_again(displays):
    assert set(displays) == {name for name in trainer.__all__ if name.endswith("Display")}
    for display in displays.values():
        assert isinstance(display.figure_, Figure)
        assert display._repr_png_().startswith(b"\x89PNG")
        again, ax = copy.copy(display), Figure().subplots()
        again.name = "a title"
        assert again.plot(ax) is again
        assert (again.ax_, again.figure_) == (ax, ax.figure)
        assert ax.get_title("left") == "a title"
        assert len(ax.get_lines()) == len(display.ax_.get_lines())


def test_a_display_is_drawn_when_it_is_first_shown():
    display = LossCurveDisplay({"adam": {"cost": [0.25, 0.1]}})
    assert display._repr_png_().startswith(b"\x89PNG")
    assert display.ax_.get_lines()


def test_a_new_display_needs_to_draw_and_no_more():
    class WeightsDisplay(Display):
        def __init__(self, weights, name=None):
            self.weights = weights
            self.name = name

        def _draw(self, ax):
            ax.bar(range(len(self.weights)), self.weights)

    display = WeightsDisplay([0.1, -0.3], name="weights").plot()
    assert [bar.get_height() for bar in display.ax_.patches] == [0.1, -0.3]
    assert display.ax_.get_title("left") == "weights"
    assert not display.figure_.legends
    assert display._repr_png_().startswith(b"\x89PNG")
    assert WeightsDisplay([1]).plot(Figure().subplots()).ax_.get_legend() is None


def test_legends_are_below_the_axes_and_within_the_figure(displays):
    models = {f"{i}: a model with a long name": trained(max_iter=i) for i in range(7)}
    several = LossCurveDisplay.from_estimators(models, gradient=True)
    calibrated = CalibrationDisplay.from_estimators(models, X[TEST], Y[TEST])
    for display in (*displays.values(), several, calibrated):
        figure = display.figure_
        figure.draw_without_rendering()  # lays it out
        box = figure.legends[0].get_window_extent()
        assert box.y1 <= min(ax.get_tightbbox().y0 for ax in figure.axes)
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert display.ax_.get_window_extent().height > 150 * 1.5


@pytest.mark.parametrize("text", ["_per_$\t$unit", 300 * "long"])
def test_names_are_drawn_as_they_are(text):
    points, y = make_moons(60, noise=0.1, random_state=0)
    frame = pd.DataFrame(points, columns=[text, "other"])
    labels = np.where(y == 1, text, "no")
    neuron = LogisticNeuron().fit(frame, labels)
    options = {"pos_label": text, "name": text}
    displays = [
        CalibrationDisplay.from_estimators({text: neuron}, frame, labels, level=None, **options),
        CostSurfaceDisplay.from_estimator(neuron, frame, labels, grid=5, path=False, name=text),
        DecisionBoundaryDisplay.from_estimator(neuron, frame, labels, **options),
        LossCurveDisplay.from_estimators({text: neuron}, validation_label=text, name=text),
        PenaltyCurveDisplay([0.1, 1], [[1, 2]], scoring=text).plot(),
    ]
    for display in displays:  # mathematics that is none and missing glyphs are errors
        display.figure_.draw_without_rendering()
    assert legend(displays[2])[0] == literal(text)
    assert literal("_per_$\t$unit") == " _per_\\$\N{REPLACEMENT CHARACTER}\\$unit"
    assert len(literal(300 * "long")) == 48


def test_drawing_imports_no_pyplot():
    code = (
        "import sys, trainer; from trainer import LossCurveDisplay as Display;"
        "assert 'matplotlib' not in sys.modules;"
        "Display({'adam': {'cost': [0.25, 0.1]}}).plot()._repr_png_();"
        "assert 'matplotlib' in sys.modules; assert 'matplotlib.pyplot' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_figures_are_pyplots_where_it_is_imported():
    """So that `plt.show()` and `plt.savefig()` work, and a window is not doubled by an image."""
    code = (
        "import matplotlib.pyplot as plt; from trainer import LossCurveDisplay as Display;"
        "display = Display({'adam': {'cost': [0.25, 0.1]}}).plot();"
        "assert plt.gcf() is display.figure_;"
        "assert display._repr_png_();"  # Agg shows nothing itself
        "import matplotlib; matplotlib.get_backend = lambda: 'qtagg';"
        "assert display._repr_png_() is None;"
        "plt.close('all'); plt.figure();"
        "assert display._repr_png_()"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "MPLBACKEND": "agg"},
    )
    assert run.returncode == 0, run.stderr


def test_the_loss_curve_shows_the_costs_recorded():
    neuron = trained()
    display = LossCurveDisplay.from_estimator(neuron, name="a run", validation_label="test rows")
    drawn = lines(display.ax_)
    for label, costs in (
        ("newton: J = mean squared error + penalty, training rows", neuron.loss_curve_),
        ("mean squared error, test rows", neuron.validation_curve_),
    ):
        np.testing.assert_array_equal(drawn[label].get_ydata(), costs)
        np.testing.assert_array_equal(drawn[label].get_xdata(), np.arange(neuron.n_iter_ + 1))
    score = brier_score_loss(Y[TEST], neuron.predict_proba(X[TEST])[:, 1], pos_label="malignant")
    assert neuron.validation_curve_[-1] == pytest.approx(score, rel=1e-10)
    assert display.ax_.get_title("left") == "a run"
    assert display.ax_.get_xlabel() == "iteration"
    assert display.ax_.get_yscale() == "log"
    assert display.ax_.get_xscale() == "linear"


def test_the_curve_is_named_after_the_optimizer_that_ran():
    neuron = LogisticNeuron().fit(X, Y)
    neuron.optimizer_ = "newton"
    assert legend(LossCurveDisplay.from_estimator(neuron))[0].startswith("newton: J = ")


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
    label = f"stopped at iteration {neuron.n_iter_}: {words}"
    mark = lines(display.ax_)[label]
    assert mark.get_xydata().tolist() == [[neuron.n_iter_, neuron.loss_curve_[-1]]]
    assert label in legend(display)


# dJ/dw is exactly 0 there, so that gradient descent does not leave it
ON_SADDLE = {"alpha": 1e-3, "optimizer": "gradient_descent", "init": [0, np.log(0.2 / 0.8)]}


@pytest.mark.parametrize(
    ("points", "labels", "options", "words"),
    [
        ([[-1.0], [1.0]], [0, 1], {"alpha": 0}, "separable data"),
        (*pairs_far_apart(), ON_SADDLE, "saddle point"),
        ([[-1.0], [1.0], [2.0]], [0, 1, 0], {"alpha": 0, "init": [900.0, 0.0]}, "neuron saturated"),
    ],
)
def test_reasons_that_are_no_minimum_are_named(points, labels, options, words):
    options = {"n_starts": 1, "optimizer": "lbfgs", **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        neuron = LogisticNeuron(**options).fit(np.asarray(points, dtype=float), labels)
    assert legend(LossCurveDisplay.from_estimator(neuron))[-1].endswith(f": {words}")


def test_early_stopping_marks_the_iteration_that_was_kept():
    neuron = trained(early_stopping=True, optimizer="nesterov", n_iter_no_change=5)
    display = LossCurveDisplay.from_estimator(neuron)
    kept = neuron.n_iter_ - 5
    assert neuron.termination_.reason == "early_stopping"
    mark = lines(display.ax_)[f"kept: iteration {kept}"]
    assert mark.get_xydata().tolist() == [[kept, neuron.termination_.cost]]


def test_an_overshoot_is_marked_and_explained():
    points, y = make_moons(200, noise=0.2, random_state=0)
    curve = LogisticNeuron(optimizer="momentum").fit(points, y).loss_curve_
    display = LossCurveDisplay({"momentum": {"cost": curve}}).plot()
    (label,) = (label for label in legend(display) if label.startswith("overshoot"))
    ((iteration, cost),) = lines(display.ax_)[label].get_xydata()
    assert cost == curve[int(iteration)]
    assert cost > 1.01 * curve[: int(iteration)].min()
    assert label == f"overshoot at iteration {iteration:.0f}: an update rule can raise J"
    falling = LossCurveDisplay({"newton": {"cost": np.minimum.accumulate(curve)}}).plot()
    assert len(legend(falling)) == 1


def with_two_runs():
    return pd.DataFrame(
        {
            "run": [1, 1, 1, 2, 2, 2],
            "iteration": np.arange(6),
            "cost": [0.25, 0.2, 0.16, 0.3, 0.1, 0.05],
            "gradient_max": np.geomspace(0.1, 1e-7, 6),
        }
    )


def test_a_new_start_is_a_gap_and_a_mark():
    history = with_two_runs()
    display = LossCurveDisplay({"newton": history}, gradient=True).plot()
    curve, start = display.ax_.get_lines()
    for line, column in ((curve, "cost"), (display.gradient_ax_.get_lines()[0], "gradient_max")):
        x, y = line.get_data()
        np.testing.assert_array_equal(x, [0, 1, 2, np.nan, 3, 4, 5])
        np.testing.assert_array_equal(y, np.insert(history[column], 3, np.nan))
    assert start.get_label() == "new start"
    assert start.get_xydata().tolist() == [[3, 0.3]]
    assert not any("overshoot" in label for label in legend(display))
    several = LossCurveDisplay({"a": history, "b": history, "c": history[:3]}).plot()
    assert legend(several).count("new start") == 1
    assert [line.get_markevery() for line in several.ax_.get_lines()[:3]] == [[-1]] * 3


@pytest.mark.parametrize(
    ("costs", "scale"),
    [(np.geomspace(0.25, 0.02, 50), "log"), (np.geomspace(0.25, 0.03, 50), "linear"),
     (np.linspace(0.25, 0, 50), "linear"), (np.geomspace(0.25, 1e-12, 50), "log")],
)  # fmt: skip
def test_costs_get_a_log_scale_from_a_decade_on(costs, scale):
    ax = LossCurveDisplay({"lbfgs": {"cost": costs}}).plot().ax_
    assert ax.get_yscale() == scale
    if scale == "linear":
        assert ax.get_ylim()[0] == 0


@pytest.mark.parametrize("costs", [[0.25, 0.2499, 0.2498], [0.25, 0.14], [0.25], [0.25, 0.25]])
def test_costs_that_hardly_fall_fill_the_axes(costs):
    ax = LossCurveDisplay({"lbfgs": {"cost": costs}}).plot().ax_
    ax.figure.draw_without_rendering()
    low, high = ax.get_ylim()
    assert low < min(costs)
    assert high > max(costs)
    if len(set(costs)) > 1:
        assert max(costs) - min(costs) > 0.8 * (high - low)
    assert ax.yaxis.get_offset_text().get_text() == ""


def test_long_runs_get_a_log_scale_that_shows_the_start():
    ax = LossCurveDisplay({"adam": {"cost": np.geomspace(0.25, 0.1, 5000)}}).plot().ax_
    assert ax.get_xscale() == "symlog"
    assert ax.get_xlim()[0] == 0
    assert ax.get_xlim()[1] > 4999
    ax.figure.draw_without_rendering()
    ticks = [tick.get_text() for tick in ax.get_xticklabels()]
    assert {"0", "1", "10", "100", "1000"} <= set(ticks)


def test_without_held_out_rows_there_is_one_curve():
    neuron = LogisticNeuron().fit(X, Y)
    pipeline = make_pipeline(StandardScaler(), LogisticNeuron()).fit(X, Y)
    in_parts = LogisticNeuron(optimizer="adam").partial_fit(X, Y, classes=["benign", "malignant"])
    for model, n in ((neuron, 2), (pipeline, 2), (in_parts, 1)):
        assert len(legend(LossCurveDisplay.from_estimator(model))) == n


def test_several_classes_have_one_curve_and_no_single_iteration_kept():
    neuron = LogisticNeuron(early_stopping=True, random_state=0).fit(*load_iris(return_X_y=True))
    drawn = lines(LossCurveDisplay.from_estimator(neuron).ax_)
    np.testing.assert_array_equal(next(iter(drawn.values())).get_ydata(), neuron.loss_curve_)
    assert not any(label.startswith("kept") for label in drawn)


def test_a_neuron_that_is_not_fitted_is_an_error():
    points, y = make_moons(20, random_state=0)
    for draw in (
        lambda: LossCurveDisplay.from_estimator(LogisticNeuron()),
        lambda: CalibrationDisplay.from_estimator(LogisticNeuron(), points, y),
        lambda: DecisionBoundaryDisplay.from_estimator(LogisticNeuron(), points, y),
        lambda: CostSurfaceDisplay.from_estimator(LogisticNeuron(), points, y),
    ):
        with pytest.raises(NotFittedError):
            draw()


@pytest.fixture(scope="module")
def runs():
    return {
        name: trained(optimizer=name, max_iter=25)
        for name in ("gradient_descent", "adam", "newton")
    }


def test_several_loss_curves_are_told_apart(runs):
    models = {**runs, "piped": make_pipeline(StandardScaler(), LogisticNeuron()).fit(X, Y)}
    display = LossCurveDisplay.from_estimators(models, name="together")
    neurons = {**runs, "piped": models["piped"][-1]}
    drawn = display.ax_.get_lines()
    assert len(drawn) == len(neurons)
    for line, (name, neuron) in zip(drawn, neurons.items(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), neuron.loss_curve_)
        words = "gradient within tol" if neuron.termination_.converged else "max_iter reached"
        assert line.get_label() == f"{name}, {neuron.n_iter_} iterations:\n{words}"
    for kind in ("color", "linestyle", "marker"):
        assert len({getattr(line, f"get_{kind}")() for line in drawn}) == len(drawn)
    assert legend(display) == [line.get_label() for line in drawn]
    assert display.gradient_ax_ is None


def test_the_gradient_has_a_panel_of_its_own(runs):
    neuron = runs["newton"]
    display = LossCurveDisplay.from_estimator(neuron, gradient=True)
    curve, tol = display.gradient_ax_.get_lines()
    np.testing.assert_array_equal(curve.get_ydata(), neuron.history_["gradient_max"])
    assert set(tol.get_ydata()) == {neuron.tol}
    assert legend(display)[-1] == "tol = 1e-06"
    assert display.gradient_ax_.get_yscale() == "log"
    assert display.gradient_ax_.get_xlabel() == "iteration"
    assert display.gradient_ax_.get_xlim() == display.ax_.get_xlim()
    several = LossCurveDisplay.from_estimators(runs, gradient=True)
    for line, neuron in zip(several.gradient_ax_.get_lines(), runs.values(), strict=False):
        np.testing.assert_array_equal(line.get_ydata(), neuron.history_["gradient_max"])


def test_a_cost_and_its_gradient_need_two_axes(runs):
    pair = Figure().subplots(2)
    display = LossCurveDisplay.from_estimator(runs["adam"], gradient=True, ax=pair)
    assert (display.ax_, display.gradient_ax_) == tuple(pair)
    with pytest.raises(ValueError, match=r"ax must be 2 Axes, .* got 1"):
        LossCurveDisplay.from_estimator(runs["adam"], gradient=True, ax=pair[0])
    with pytest.raises(ValueError, match=r"ax must be 1 Axes, .* got 2"):
        LossCurveDisplay.from_estimator(runs["adam"], ax=pair)


def test_a_history_without_its_columns_is_an_error():
    with pytest.raises(ValueError, match=r"'cost', got .*'J'.* for 'adam'"):
        LossCurveDisplay({"adam": {"J": [0.25]}})
    with pytest.raises(ValueError, match="'gradient_max'"):
        LossCurveDisplay({"adam": {"cost": [0.25]}}, gradient=True)


@pytest.mark.parametrize("n_models", [0, 8])
def test_no_more_models_than_colours(runs, n_models):
    models = {str(i): runs["newton"] for i in range(n_models)}
    for draw in (
        lambda: LossCurveDisplay.from_estimators(models),
        lambda: CalibrationDisplay.from_estimators(models, X, Y),
        lambda: CalibrationDisplay.from_predictions([0, 1], {key: [0.2, 0.8] for key in models}),
    ):
        with pytest.raises(ValueError, match=f"1 to 7 models, .* got {n_models}; draw several"):
            draw()


@pytest.mark.parametrize("pos_label", ["benign", "malignant"])
def test_calibration_shows_curve_band_bins_counts_and_parts(pos_label):
    neuron = trained()
    display = CalibrationDisplay.from_estimator(
        neuron, X[TEST], Y[TEST], pos_label=pos_label, n_bins=8, random_state=0
    )
    p = neuron.predict_proba(X[TEST])[:, list(neuron.classes_).index(pos_label)]
    y = (Y[TEST] == pos_label).astype(int)
    curve, parts = reliability_curve(y, p), brier_decomposition(y, p, n_bins=8)
    _, isotonic, bins, few = display.ax_.get_lines()
    np.testing.assert_array_equal(isotonic.get_xydata(), np.c_[curve.prob_pred, curve.prob_true])
    shares, means = calibration_curve(y, p, n_bins=8)
    assert (parts.n_rows < 10).any()
    drawn = np.vstack([bins.get_xydata(), few.get_xydata()])
    np.testing.assert_allclose(np.sort(drawn[:, 0]), means)
    np.testing.assert_allclose(drawn[np.argsort(drawn[:, 0]), 1], shares)
    np.testing.assert_array_equal(few.get_xdata(), parts.prob_pred[parts.n_rows < 10])
    assert few.get_markerfacecolor() == "none"
    band = consistency_band(p, random_state=0)
    low, high = display.ax_.collections[0].get_paths()[0].vertices[:, 1][[1, -2]]
    assert {low, high} <= {*band.lower, *band.upper}
    assert legend(display) == [
        "calibrated",
        "95 % consistency band of a calibrated model",
        f"LogisticNeuron\n{curve.brier:.4f} = {curve.miscalibration:.4f} − "
        f"{curve.discrimination:.4f} + {curve.uncertainty:.4f}",
        f"shares of 8 bins, hollow: under 10 rows\n{parts.brier:.4f} = {parts.reliability:.4f} − "
        f"{parts.resolution:.4f} + {parts.uncertainty:.4f} "
        f"{'+' if parts.within_bins >= 0 else '−'} {abs(parts.within_bins):.4f} within bins",
    ]
    histogram = np.histogram(p, 8, (0, 1))[0]
    bars = {round(bar.get_x() * 8 - 0.05): bar.get_height() for bar in display.counts_ax_.patches}
    assert bars == {k: n for k, n in enumerate(histogram) if n}
    assert display.counts_ax_.get_yscale() == "linear"
    numbers = [text.get_text() for text in display.counts_ax_.texts if text.get_text()]
    assert numbers == [str(n) for n in histogram if 0 < n < 10]
    assert pos_label in display.ax_.get_ylabel()
    assert pos_label in display.counts_ax_.get_xlabel()


def test_calibration_of_several_models_and_of_any_classifier():
    models = {
        "neuron": trained(),
        "other": LogisticRegression().fit(X[TRAIN], Y[TRAIN]),
        "piped": make_pipeline(StandardScaler(), LogisticNeuron()).fit(X[TRAIN], Y[TRAIN]),
    }
    weight = np.random.default_rng(0).integers(0, 3, len(X[TEST]))
    options = {"sample_weight": weight, "n_bins": 4, "n_resamples": 20, "random_state": 0}
    display = CalibrationDisplay.from_estimators(models, X[TEST], Y[TEST], **options)
    assert not display.bands
    for (name, model), line in zip(models.items(), display.ax_.get_lines()[1:], strict=True):
        p = model.predict_proba(X[TEST])[:, 1]
        curve = reliability_curve(Y[TEST], p, sample_weight=weight, pos_label="malignant")
        np.testing.assert_array_equal(line.get_ydata(), curve.prob_true)
        score = brier_score_loss(Y[TEST] == "malignant", p, sample_weight=weight)
        assert line.get_label().startswith(f"{name}\n{score:.4f} = ")
    heights = np.array([bar.get_height() for bar in display.counts_ax_.patches])
    assert heights.sum() == 3 * np.count_nonzero(weight)
    two = dict(list(models.items())[:2])
    assert set(CalibrationDisplay.from_estimators(two, X[TEST], Y[TEST], **options).bands) == {*two}
    options["level"] = None
    assert not CalibrationDisplay.from_estimators(two, X[TEST], Y[TEST], **options).bands


def test_calibration_of_one_class_against_the_rest():
    flowers, y = load_iris(return_X_y=True)
    neuron = LogisticNeuron().fit(flowers, y)
    display = CalibrationDisplay.from_estimator(neuron, flowers, y, pos_label=1, n_resamples=20)
    p = neuron.predict_proba(flowers)[:, 1]
    expected = reliability_curve((y == 1) * 1, p)
    np.testing.assert_array_equal(display.curves["LogisticNeuron"].prob_true, expected.prob_true)
    with pytest.raises(ValueError, match=r"classes \[0, 1, 2\] .* got None; name one"):
        CalibrationDisplay.from_estimator(neuron, flowers, y)
    with pytest.raises(ValueError, match=r"got 3; name one"):
        CalibrationDisplay.from_estimator(neuron, flowers, y, pos_label=3)
    with pytest.raises(ValueError, match=r"predict_proba, got LinearSVC; .*CalibratedClassifierCV"):
        CalibrationDisplay.from_estimator(LinearSVC().fit(flowers, y == 1), flowers, y == 1)


def test_calibration_on_given_axes_is_the_diagram_alone():
    ax = Figure().subplots()
    display = CalibrationDisplay.from_predictions([0, 1, 1], [0.5, 0.5, 0.5], ax=ax)
    assert display.counts_ax_ is None
    assert ax.figure.axes == [ax]
    assert ax.get_xlabel() == "forecast probability of the positive class"
    assert legend(display)[2] == "forecast"
    assert lines(ax)["forecast"].get_marker() == "o"  # a single forecast is a point


@pytest.fixture
def moons():
    points, y = make_moons(80, noise=0.1, random_state=0)
    frame = pd.DataFrame({"length in mm": 1000 * points[:, 0] + 5000, "width": points[:, 1]})
    y = np.where(y == 1, "lower", "upper")
    return make_pipeline(StandardScaler(), LogisticNeuron()).fit(frame, y), frame, y


def test_the_boundary_is_where_the_probability_is_one_half(moons):
    model, frame, y = moons
    ax = DecisionBoundaryDisplay.from_estimator(model, frame, y, pos_label="lower").ax_
    boundary = ax.collections[1]
    assert boundary.levels.tolist() == [0.5]
    points = pd.DataFrame(boundary.get_paths()[0].vertices, columns=frame.columns)
    assert len(points) > 10
    np.testing.assert_allclose(model.predict_proba(points), 0.5, atol=2e-3)


def test_the_rows_are_drawn_in_their_own_units(moons):
    model, frame, y = moons
    ax = DecisionBoundaryDisplay.from_estimator(model, frame, y, pos_label="lower").ax_
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
        ax = DecisionBoundaryDisplay.from_estimator(model, frame, y, pos_label=pos_label).ax_
        first = ax.collections[2]
        assert first.get_label() == pos_label
        assert ax.figure.axes[1].get_ylabel() == f"probability of {pos_label}"
        colours = ax.collections[0].get_facecolor()  # from 0 to 1: the other class's, the class's
        own = first.get_facecolor()[0]
        assert np.abs(colours[-1] - own).sum() < np.abs(colours[0] - own).sum()


def test_rows_with_a_missing_value_and_plain_arrays_can_be_drawn():
    points, y = make_moons(50, noise=0.1, random_state=0)
    neuron = LogisticNeuron().fit(points, y)
    points[:3, 0] = np.nan
    ax = DecisionBoundaryDisplay.from_estimator(neuron, points, y).ax_
    assert sum(len(each.get_offsets()) for each in ax.collections[2:]) == 47
    assert ax.get_xlabel() == "feature 0"


def test_a_boundary_that_cannot_be_drawn_is_an_error():
    points, y = make_moons(50, noise=0.1, random_state=0)
    neuron = LogisticNeuron().fit(points, y)
    draw = DecisionBoundaryDisplay.from_estimator
    with pytest.raises(ValueError, match="pos_label=2; name one of two"):
        draw(neuron, points, y, pos_label=2)
    with pytest.raises(ValueError, match=r"two features, got shape \(50, 3\)"):
        draw(neuron, np.c_[points, y], y)
    with pytest.raises(ValueError, match="without missing values, got none"):
        draw(neuron, np.full((3, 2), np.nan), y[:3])
    flowers = load_iris()
    with pytest.raises(ValueError, match=r"two classes, .* got \[0, 1, 2\]"):
        draw(LogisticNeuron().fit(flowers.data, flowers.target), flowers.data, flowers.target)


@pytest.fixture
def scaled(moons):
    _, frame, y = moons
    return StandardScaler().set_output(transform="pandas").fit_transform(frame), y


def test_the_cost_surface_shows_the_path_of_training(scaled):
    points, y = scaled
    neuron = LogisticNeuron(optimizer="newton").fit(points, y)
    display = CostSurfaceDisplay.from_estimator(neuron, points, y, name="moons")
    drawn = lines(display.ax_)
    assert list(drawn) == ["training, a dot every iteration", "start", "fitted"]
    path = drawn["training, a dot every iteration"].get_xydata()
    assert len(path) == neuron.n_iter_ + 1
    np.testing.assert_array_equal(path, trace(neuron, points, y)[["length in mm", "width"]])
    assert drawn["start"].get_xydata().tolist() == [[0, 0]]
    assert drawn["fitted"].get_xydata().tolist() == [neuron.coef_[0].tolist()]
    assert display.ax_.get_xlabel() == "weight of length in mm"
    assert display.ax_.get_ylabel() == "weight of width"
    assert display.figure_.axes[1].get_ylabel() == "cost J, other parameters as fitted"
    for line, low, high in (
        (path[:, 0], *display.ax_.get_xlim()),
        (path[:, 1], *display.ax_.get_ylim()),
    ):
        assert low < line.min()
        assert line.max() < high


def test_contours_are_where_the_cost_is_what_they_say(scaled):
    points, y = scaled[0].to_numpy(), scaled[1]
    neuron = LogisticNeuron(alpha=0.01).fit(points, y)
    display = CostSurfaceDisplay.from_estimator(
        neuron, points, y, (1, "intercept"), ranges=[(-4, 1), (-2, 2)], path=False
    )
    assert list(lines(display.ax_)) == ["fitted"]
    assert display.ax_.get_ylabel() == "bias b (intercept)"
    contours = display.ax_.collections[1]
    for level, path in list(zip(contours.levels, contours.get_paths(), strict=True))[2:-2:5]:
        w1, b = path.vertices[:: max(len(path.vertices) // 7, 1)].T
        z = points[:, [0]] * neuron.coef_[0, 0] + points[:, [1]] * w1 + b
        costs = np.mean(((y == "upper")[:, np.newaxis] - 1 / (1 + np.exp(-z))) ** 2, axis=0)
        costs += 0.01 / 2 * (neuron.coef_[0, 0] ** 2 + w1**2)
        np.testing.assert_allclose(costs, level, rtol=5e-3)


@pytest.mark.parametrize(("low", "high"), [(0.0932, 0.7956), (1e-9, 3e-7), (0.2498, 0.25), (0, 1)])
def test_levels_are_round_and_closer_together_near_the_minimum(low, high):
    J = np.array([[low, (low + high) / 2], [high, high]])
    display = CostSurfaceDisplay(
        CostSurface(("x0", "x1"), (1.0, 2.0), np.arange(2.0), np.arange(2.0), J, np.ones((2, 2, 2)))
    ).plot()
    levels = display.ax_.collections[0].levels
    assert levels[0] <= low
    assert levels[-1] >= high
    gaps = np.diff(levels)
    assert gaps[: len(gaps) // 2].sum() < gaps[len(gaps) // 2 :].sum() / 2
    # No level has more digits than its distance from the next asks for.
    for level, gap in zip(levels[1:], gaps, strict=True):
        unit = 10.0 ** np.floor(np.log10(gap / 2))
        assert level / unit == pytest.approx(round(level / unit), abs=1e-6)
    display.figure_.draw_without_rendering()
    ticks = [tick.get_text() for tick in display.figure_.axes[1].get_yticklabels()]
    np.testing.assert_array_less(0, np.diff([float(tick.replace("−", "-")) for tick in ticks]))
    assert 4 <= len(ticks) <= 8


@pytest.mark.parametrize(
    ("n_steps", "words"), [(20, "iteration"), (63, "2 iterations"), (1001, "50 iterations")]
)
def test_long_paths_are_marked_every_few_iterations(n_steps, words):
    path = [np.linspace([0, 0], [1, 1], n_steps)]
    surface = flat_surface()
    (line, *_) = CostSurfaceDisplay(surface, path).plot().ax_.get_lines()
    assert line.get_label() == f"training, a dot every {words}"
    every = int(words.split()[0]) if " " in words else 1
    assert line.get_markevery() == every


def flat_surface():
    J = np.ones((4, 3))
    return CostSurface(
        ("x0", "x1"), (1.0, 2.0), np.arange(3.0), np.arange(4.0), J, np.ones((2, 4, 3))
    )


def test_a_second_run_is_drawn_apart():
    display = CostSurfaceDisplay(flat_surface(), [[(0, 0), (1, 1)], [(2, 2), (1, 2)]]).plot()
    first, second, start, _ = display.ax_.get_lines()
    assert first.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert second.get_xydata().tolist() == [[2, 2], [1, 2]]
    assert second.get_label() == "training, after a new start, a dot every iteration"
    assert first.get_linestyle() != second.get_linestyle()
    assert start.get_xydata().tolist() == [[0, 0]]


def test_a_neuron_that_stopped_early_is_not_called_fitted(scaled):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        neuron = LogisticNeuron(optimizer="gradient_descent", max_iter=5).fit(*scaled)
    display = CostSurfaceDisplay.from_estimator(neuron, *scaled, grid=10)
    assert legend(display)[-1] == "stopped: max_iter reached"


def test_arrows_point_down_the_gradient(scaled):
    neuron = LogisticNeuron().fit(*scaled)
    display = CostSurfaceDisplay.from_estimator(neuron, *scaled, gradient=True, grid=31)
    arrows = display.ax_.collections[2]
    _, _, first, second, J, _ = display.surface
    dJ_dsecond, dJ_dfirst = np.gradient(J, second, first)
    for x, y, u, v in zip(*arrows.XY.T, arrows.U, arrows.V, strict=True):
        i, j = np.searchsorted(second, y), np.searchsorted(first, x)
        size = np.hypot(dJ_dfirst, dJ_dsecond).max()
        np.testing.assert_allclose([u, v], [-dJ_dfirst[i, j], -dJ_dsecond[i, j]], atol=0.02 * size)
    assert len(arrows.U) == 14**2
    assert "−dJ, longer where J is steeper" in legend(display)


@pytest.fixture
def search():
    """A stand-in with the attributes that a cross-validated neuron has."""
    rng = np.random.default_rng(0)
    alphas = np.array([1.0, 1e-3, 1e-1, 1e-2])
    scores = -0.05 - rng.random((5, 4)) / 100
    return SimpleNamespace(alphas_=alphas, scores_=scores, alpha_=0.1, scoring="neg_brier_score")


def test_the_penalty_curve_shows_folds_mean_and_choice(search):
    display = PenaltyCurveDisplay.from_estimator(search, name="penalties")
    order = [1, 3, 2, 0]
    *folds, mean, _, chosen = display.ax_.get_lines()
    np.testing.assert_array_equal([line.get_ydata() for line in folds], search.scores_[:, order])
    np.testing.assert_array_equal(mean.get_xdata(), search.alphas_[order])
    np.testing.assert_allclose(mean.get_ydata(), search.scores_.mean(axis=0)[order])
    np.testing.assert_allclose(chosen.get_xydata(), [[0.1, search.scores_[:, 2].mean()]])
    low, high = np.sort(display.ax_.collections[0].get_paths()[0].vertices[:, 1])[[0, -1]]
    means, spread = search.scores_.mean(axis=0), search.scores_.std(axis=0)
    assert (low, high) == pytest.approx(((means - spread).min(), (means + spread).max()))
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.get_xlabel() == "penalty alpha"
    assert display.ax_.get_ylabel() == "neg_brier_score (higher is better)"
    assert legend(display)[-1] == "chosen: alpha = 0.1"
    assert display.ax_.get_title("left") == "penalties"
    assert isinstance(display.figure_, Figure)
    display.figure_.draw_without_rendering()


def test_the_penalty_curve_from_arrays_needs_no_more(search):
    display = PenaltyCurveDisplay([0, 1e-3, 1], search.scores_[:, :3], alpha=0).plot()
    assert display.ax_.get_xscale() == "symlog"  # that shows 0 too
    assert display.ax_.get_ylabel() == "score (higher is better)"
    display.figure_.draw_without_rendering()
    bare = PenaltyCurveDisplay([0.1, 1], [[1, 2]], scoring=brier_score_loss).plot()
    assert len(legend(bare)) == 3
    assert "brier_score_loss" in bare.ax_.get_ylabel()


@pytest.mark.parametrize(
    ("alphas", "scores", "words"),
    [
        ([1, 2], np.ones((2, 3)), r"\(2, 3\) with alphas of shape \(2,\); transpose"),
        ([1, 2], [1, 2], "a row for each fold"),
        ([1, -2], np.ones((3, 2)), r"finite and 0 or more, got \[1.0, -2.0\]"),
    ],
)
def test_scores_that_fit_no_penalties_are_told(alphas, scores, words):
    with pytest.raises(ValueError, match=words):
        PenaltyCurveDisplay(alphas, scores)


def test_a_polars_frame_has_a_decision_boundary():
    frame = pl.DataFrame(X[:, :2], schema=["first", "second"])
    neuron = LogisticNeuron().fit(frame, Y)
    display = DecisionBoundaryDisplay.from_estimator(neuron, frame, Y)
    assert display.features == ("first", "second")
    corner = pl.DataFrame({"first": display.first[:1], "second": display.second[:1]})
    assert display.probability[0, 0] == pytest.approx(neuron.predict_proba(corner)[0, 1])


def test_a_neuron_trained_in_parts_has_a_loss_curve():
    neuron = LogisticNeuron(optimizer=Adam(learning_rate=0.1)).partial_fit(X, Y, np.unique(Y))
    assert "Adam" in LossCurveDisplay.from_estimator(neuron).ax_.get_legend_handles_labels()[1][0]
