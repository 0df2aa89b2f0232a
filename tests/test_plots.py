"""What the pictures show: the data drawn, their scales and their labels."""

import io
import itertools
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.datasets import load_breast_cancer, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer import CostSurface, LogisticNeuron, brier_decomposition, trace
from trainer.plots import (
    BrierDecompositionDisplay,
    CostSurfaceDisplay,
    LossCurveDisplay,
    PenaltyCurveDisplay,
    plot_calibration,
    plot_decision_boundary,
)

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
        assert line.get_markevery() == [neuron.n_iter_]
        words = "gradient within tol" if neuron.termination_.converged else "max_iter reached"
        assert line.get_label() == f"{name}, {neuron.n_iter_} iterations:\n{words}"
    for kind in ("color", "linestyle", "marker"):
        assert len({getattr(line, f"get_{kind}")() for line in drawn}) == len(drawn)
    assert legend(display.ax_) == [line.get_label() for line in drawn]
    assert display.ax_.get_title("left") == "together"
    assert display.gradient_ax_ is None


def test_the_legend_of_several_covers_no_curve(runs):
    display = LossCurveDisplay.from_estimators(runs, gradient=True)
    figure = display.figure_
    figure.savefig(io.BytesIO())  # lays it out
    box = display.ax_.get_legend().get_window_extent()
    assert box.x0 >= display.ax_.get_window_extent().x1
    assert box.x1 <= figure.bbox.x1


def test_the_gradient_has_a_panel_of_its_own(runs):
    neuron = runs["newton"]
    display = LossCurveDisplay.from_estimator(neuron, gradient=True)
    curve, _, tol = display.gradient_ax_.get_lines()
    np.testing.assert_array_equal(curve.get_ydata(), neuron.history_["gradient_max"])
    assert set(tol.get_ydata()) == {neuron.tol}
    assert legend(display.gradient_ax_) == ["tol = 1e-06"]
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
    with pytest.raises(ValueError, match=r"two Axes, .* got one; give two, or leave"):
        LossCurveDisplay.from_estimator(runs["adam"], gradient=True, ax=pair[0])


@pytest.mark.parametrize("n_models", [0, 8])
def test_no_more_models_than_colours(runs, n_models):
    models = {str(i): runs["newton"] for i in range(n_models)}
    with pytest.raises(ValueError, match=f"1 to 7 models, .* got {n_models}; draw the others"):
        LossCurveDisplay.from_estimators(models)
    with pytest.raises(ValueError, match=f"got {n_models}"):
        plot_calibration(models, X, Y)


def test_the_cost_surface_shows_the_way_of_training(moons):
    _, frame, y = moons
    points = StandardScaler().set_output(transform="pandas").fit_transform(frame)
    neuron = LogisticNeuron(optimizer="newton").fit(points, y)
    display = CostSurfaceDisplay.from_estimator(neuron, points, y, name="moons")
    drawn = lines(display.ax_)
    assert list(drawn) == ["training", "start", "fitted"]
    way = drawn["training"].get_xydata()
    assert len(way) == neuron.n_iter_ + 1
    np.testing.assert_array_equal(way, trace(neuron, points, y)[["length in mm", "width"]])
    assert drawn["start"].get_xydata().tolist() == [[0, 0]]
    assert drawn["fitted"].get_xydata().tolist() == [neuron.coef_[0].tolist()]
    assert display.ax_.get_xlabel() == "weight of length in mm"
    assert display.ax_.get_ylabel() == "weight of width"
    assert display.figure_.axes[1].get_ylabel() == "cost J, all other parameters as fitted"
    for line, low, high in (
        (way[:, 0], *display.ax_.get_xlim()),
        (way[:, 1], *display.ax_.get_ylim()),
    ):
        assert low < line.min()
        assert line.max() < high
    display.figure_.draw_without_rendering()


def test_contours_are_where_the_cost_is_what_they_say(moons):
    _, frame, y = moons
    points = StandardScaler().fit_transform(frame)
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
    assert np.diff(contours.levels, 2).min() > 0  # closer together the lower


def test_a_second_run_is_drawn_apart():
    surface = CostSurface(("x0", "x1"), (1.0, 2.0), np.arange(3.0), np.arange(4.0), np.ones((4, 3)))
    display = CostSurfaceDisplay(surface, [[(0, 0), (1, 1)], [(2, 2), (1, 2)]]).plot()
    drawn = lines(display.ax_)
    assert drawn["training"].get_xydata().tolist() == [[0, 0], [1, 1]]
    assert drawn["training, from a lower start"].get_xydata().tolist() == [[2, 2], [1, 2]]
    assert drawn["start"].get_xydata().tolist() == [[0, 0]]
    display.figure_.draw_without_rendering()


def forecasts(n=400, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.beta(0.5, 0.8, n)
    return (rng.random(n) < p**1.3).astype(int), p, rng.integers(0, 4, n)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("weighed", [False, True])
def test_the_brier_score_is_the_sum_of_its_parts(strategy, weighed):
    y, p, weight = forecasts()
    options = {"sample_weight": weight} if weighed else {}
    parts = brier_decomposition(y, p, n_bins=7, strategy=strategy, **options)
    score = brier_score_loss(y, p, **options)
    assert parts.brier == pytest.approx(score, rel=1e-12)
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins
    assert total == pytest.approx(score, rel=1e-12)
    assert abs(parts.within_bins) > 1e-5


def test_binned_forecasts_leave_nothing_within_bins():
    """Murphy's own case: his three parts, summed over the forecasts' values."""
    y, p, weight = forecasts()
    p = np.floor(p * 5) / 5 + 0.1
    parts = brier_decomposition(y, p, sample_weight=weight, n_bins=5)
    assert parts.within_bins == pytest.approx(0, abs=1e-15)
    share = np.average(y, weights=weight)
    reliability = resolution = 0.0
    for value in np.unique(p):
        here = p == value
        observed = np.average(y[here], weights=weight[here])
        reliability += weight[here].sum() / weight.sum() * (value - observed) ** 2
        resolution += weight[here].sum() / weight.sum() * (observed - share) ** 2
    assert parts.reliability == pytest.approx(reliability, rel=1e-12)
    assert parts.resolution == pytest.approx(resolution, rel=1e-12)
    assert parts.uncertainty == pytest.approx(np.average((y - share) ** 2, weights=weight))


def test_what_is_within_bins_is_what_their_means_leave():
    y, p, _ = forecasts()
    parts = brier_decomposition(y, p, n_bins=7)
    means = np.empty_like(p)
    for low, high in itertools.pairwise(parts.edges):
        here = (low < p) & (p <= high)
        means[here] = p[here].mean() if here.any() else 0
    expected = brier_score_loss(y, p) - brier_score_loss(y, means)
    assert parts.within_bins == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_weights_count_as_repeated_rows_in_bins(strategy):
    y, p, weight = forecasts()
    weighed = brier_decomposition(y, p, sample_weight=weight, n_bins=6, strategy=strategy)
    repeated = brier_decomposition(
        np.repeat(y, weight), np.repeat(p, weight), n_bins=6, strategy=strategy
    )
    for name, value in vars(weighed).items():
        np.testing.assert_allclose(value, getattr(repeated, name), rtol=1e-10, err_msg=name)


@pytest.mark.parametrize("pos_label", ["benign", "malignant"])
def test_the_reliability_diagram_shows_the_bins_and_the_parts(pos_label):
    neuron = trained()
    display = BrierDecompositionDisplay.from_estimator(
        neuron, X[TEST], Y[TEST], pos_label=pos_label, n_bins=8, random_state=0
    )
    p = neuron.predict_proba(X[TEST])[:, list(neuron.classes_).index(pos_label)]
    shares, means = calibration_curve(Y[TEST] == pos_label, p, n_bins=8)
    np.testing.assert_allclose(
        lines(display.ax_)["LogisticNeuron"].get_xydata(), np.c_[means, shares]
    )
    counted = {
        round(bar.get_x() * 8 - 0.05): bar.get_height() for bar in display.counts_ax_.patches
    }
    histogram = np.histogram(p, 8, (0, 1))[0]
    assert counted == {k: n for k, n in enumerate(histogram) if n}
    parts = display.decomposition
    shown = display.ax_.texts[0].get_text().split("\n")
    assert shown[0].split() == [f"{parts.reliability:.4f}", "reliability"]
    assert shown[1].split() == ["−", f"{parts.resolution:.4f}", "resolution"]
    assert shown[-1].split() == ["=", f"{parts.brier:.4f}", "Brier", "score"]
    assert parts.brier == pytest.approx(brier_score_loss(Y[TEST] == pos_label, p))
    assert pos_label in display.ax_.get_ylabel()
    assert pos_label in display.counts_ax_.get_xlabel()
    assert "95 % range if reliable" in legend(display.ax_)
    share = lines(display.ax_)["no resolution: share overall"].get_ydata()
    np.testing.assert_allclose(share, np.mean(Y[TEST] == pos_label))
    display.figure_.draw_without_rendering()


def test_reliable_forecasts_are_within_the_band_as_often_as_it_says():
    inside = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        p = rng.random(500)
        display = BrierDecompositionDisplay.from_predictions(
            (rng.random(500) < p).astype(int), p, n_bins=5, level=0.9, n_resamples=200,
            random_state=seed, ax=Figure().subplots(),
        )  # fmt: skip
        low, high = display.band
        inside += list(
            (low <= display.decomposition.prob_true) & (display.decomposition.prob_true <= high)
        )
    assert 0.85 < np.mean(inside) < 0.95


def test_the_confidence_band_is_that_of_shares():
    """In a bin of n rows it is the binomial's, near enough; of one label only, a point."""
    rng = np.random.default_rng(0)
    y = np.r_[np.zeros(500), rng.random(2000) < 0.3].astype(int)
    p = np.r_[np.full(500, 0.1), np.full(2000, 0.9)]
    display = BrierDecompositionDisplay.from_predictions(
        y, p, n_bins=2, band="confidence", level=0.95, n_resamples=2000, random_state=0
    )
    (low_0, low_1), (high_0, high_1) = display.band
    assert (low_0, high_0) == (0, 0)
    share = y[500:].mean()
    half = 1.96 * np.sqrt(share * (1 - share) / 2000)
    assert (high_1 - low_1) / 2 == pytest.approx(half, rel=0.1)
    assert (high_1 + low_1) / 2 == pytest.approx(share, abs=half / 10)
    assert "95 % confidence" in legend(display.ax_)


def test_the_band_is_drawn_again_the_same_with_a_seed_and_may_be_left_out():
    y, p, weight = forecasts()
    draw = BrierDecompositionDisplay.from_predictions
    first, second = (draw(y, p, sample_weight=weight, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(first.band, second.band)
    assert first.band.shape == (2, len(first.decomposition.prob_true))
    without = draw(y, p, band=None, name="forecast")
    assert without.band is None
    assert legend(without.ax_) == ["reliable", "no resolution: share overall", "forecast"]


@pytest.mark.parametrize(
    ("y", "options", "words"),
    [
        ([0, 1], {"y_prob": [0.2, 1.2]}, "between 0 and 1, got 1.2; give a column of"),
        ([0, 1], {"y_prob": [0.2, np.nan]}, "got nan"),
        (["a", "b"], {}, r"two labels, .* got labels \['a', 'b'\] and pos_label=None; name it"),
        (["a", "b"], {"pos_label": "c"}, "pos_label='c'"),
        ([0, 2], {}, r"got labels \[0, 2\]"),
        ([0, 1], {"sample_weight": [0, 0]}, "at least one non-zero"),
        ([0, 1], {"n_bins": -1}, "n_bins must be 1 or more, got -1"),
        ([0, 1], {"strategy": "even"}, "\"uniform\" or \"quantile\", got 'even'"),
        ([0, 1], {"band": "wide"}, "\"consistency\", \"confidence\" or None"),
        ([0, 1], {"n_resamples": 0}, "n_resamples must be 1 or more, got 0"),
        ([0, 1], {"level": 95}, "level between 0 and 1, got 'consistency' and 95"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_apart_is_told(y, options, words):
    options = {"y_prob": [0.2, 0.7], **options}
    with pytest.raises(ValueError, match=words):
        BrierDecompositionDisplay.from_predictions(y, **options)


def test_only_labels_that_the_model_knows_can_be_judged():
    neuron = trained()
    with pytest.raises(ValueError, match="pos_label='cured'; name one of two"):
        BrierDecompositionDisplay.from_estimator(neuron, X, Y, pos_label="cured")


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
    assert legend(display.ax_)[-1] == "chosen: alpha = 0.1"
    assert display.ax_.get_title("left") == "penalties"
    assert isinstance(display.figure_, Figure)
    display.figure_.draw_without_rendering()


def test_the_penalty_curve_from_arrays_needs_no_more(search):
    display = PenaltyCurveDisplay([0, 1e-3, 1], search.scores_[:, :3], alpha=0).plot()
    assert display.ax_.get_xscale() == "symlog"  # that shows 0 too
    assert display.ax_.get_ylabel() == "score (higher is better)"
    display.figure_.draw_without_rendering()
    bare = PenaltyCurveDisplay([0.1, 1], [[1, 2]], scoring=brier_score_loss).plot()
    assert len(legend(bare.ax_)) == 3
    assert "brier_score_loss" in bare.ax_.get_ylabel()


@pytest.mark.parametrize(
    ("alphas", "scores", "words"),
    [
        ([1, 2], np.ones((2, 3)), r"\(2, 3\) with alphas of shape \(2,\); transpose"),
        ([1, 2], [1, 2], "a line for each fold"),
        ([1, -2], np.ones((3, 2)), r"finite and 0 or more, got \[1.0, -2.0\]"),
    ],
)
def test_scores_that_fit_no_penalties_are_told(alphas, scores, words):
    with pytest.raises(ValueError, match=words):
        PenaltyCurveDisplay(alphas, scores)
