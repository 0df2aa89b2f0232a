"""The glass box: what it shows is what training did, what the lesson says, what J is."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_multistart import long_servedio

from trainer import LogisticNeuron, chain_rule, check_gradient, cost_surface, trace
from trainer.optimizers import OPTIMIZERS

FRAME, LABELS = load_breast_cancer(return_X_y=True, as_frame=True)
FRAME = StandardScaler().set_output(transform="pandas").fit_transform(FRAME)
X, Y = FRAME.to_numpy(), LABELS.to_numpy()


def fitted(*rows, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticNeuron(**options).fit(*rows)


def J(theta, alpha, X=X, y=Y, weight=None):
    """The cost of one θ (d + 1,), from its definition."""
    sigma = 1 / (1 + np.exp(-X @ theta[:-1] - theta[-1]))
    return np.average((y - sigma) ** 2, weights=weight) + alpha / 2 * theta[:-1] @ theta[:-1]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_trace_is_the_run(optimizer):
    options = {"optimizer": optimizer, "max_iter": 60, "random_state": 0}
    neuron = fitted(X, Y, **options)
    table = trace(neuron, FRAME, Y)
    assert table.columns.tolist() == [
        "run", "iteration", "J", "gradient_max", *FRAME.columns, "intercept"
    ]  # fmt: skip
    np.testing.assert_array_equal(table["iteration"], np.arange(neuron.n_iter_ + 1))
    assert (table["run"] == 1).all()
    history = neuron.history_
    np.testing.assert_allclose(table["J"], history["cost"], rtol=1e-12)
    np.testing.assert_allclose(table["gradient_max"], history["gradient_max"], atol=1e-14)
    theta = table.iloc[:, 4:].to_numpy()
    assert not theta[0].any()
    np.testing.assert_array_equal(theta[-1], [*neuron.coef_[0], *neuron.intercept_])
    for k in (0, 3, len(theta) - 1):
        assert table["J"][k] == pytest.approx(J(theta[k], neuron.alpha_), rel=1e-12)


def test_the_trace_steps_down_the_gradient_by_hand():
    """Gradient descent's step is 1/L along the lesson's dJ_dw, penalty added."""
    neuron = LogisticNeuron(optimizer="gradient_descent", learning_rate=0.5, max_iter=7, alpha=0.1)
    theta = trace(neuron, X, Y).iloc[:, 4:].to_numpy()
    w, b = np.zeros(30), 0.0
    for step in theta:
        np.testing.assert_allclose(step, [*w, b], atol=1e-14)
        dw = chain_rule.dJ_dw(X, Y, w, b) + 0.1 * w
        w, b = w - 0.5 * dw, b - 0.5 * chain_rule.dJ_db(X, Y, w, b)


def test_the_neuron_traced_stays_as_it_is():
    neuron = LogisticNeuron(max_iter=3)
    trace(neuron, X, Y)
    assert not hasattr(neuron, "coef_")
    assert not getattr(neuron, "_skl_callbacks", ())


def test_the_trace_begins_where_the_neuron_does():
    start = np.linspace(-1, 1, 31)
    table = trace(LogisticNeuron(init=start, max_iter=2), X, Y)
    np.testing.assert_array_equal(table.iloc[0, 4:], start)
    before = fitted(X, Y, max_iter=3)
    table = trace(LogisticNeuron(init=before, fit_intercept=False, max_iter=2), X, Y)
    np.testing.assert_array_equal(table.iloc[0, 4:], [*before.coef_[0], 0.0])
    assert (table["intercept"] == 0).all()


def test_no_iteration_is_a_trace_of_one_row():
    assert len(trace(LogisticNeuron(max_iter=0), X, Y)) == 1


@pytest.mark.parametrize("options", [{"class_weight": {0: 3, 1: 1}}, {"class_weight": "balanced"}])
def test_weights_count_in_the_trace(options):
    weight = np.random.default_rng(0).integers(0, 3, len(Y)).astype(float)
    neuron = LogisticNeuron(optimizer="newton", **options).fit(X, Y, weight)
    table = trace(neuron, X, Y, weight)
    np.testing.assert_allclose(table["J"], neuron.loss_curve_, rtol=1e-12)


def test_sparse_rows_float32_and_soft_labels_can_be_traced():
    dense = trace(LogisticNeuron(optimizer="newton"), X, Y)
    sparse = trace(LogisticNeuron(optimizer="newton"), csr_array(X), Y)
    np.testing.assert_allclose(sparse["J"], dense["J"], rtol=1e-9)
    single = trace(LogisticNeuron(optimizer="newton", tol=1e-4), X.astype(np.float32), Y)
    np.testing.assert_allclose(single["J"], dense["J"][: len(single)], rtol=1e-3)
    soft = np.column_stack([1 - Y, Y]) * 0.8 + 0.1
    neuron = LogisticNeuron(optimizer="newton").fit(X, soft)
    np.testing.assert_allclose(trace(neuron, X, soft)["J"], neuron.loss_curve_, rtol=1e-12)


# The better start is at its minimum at once, or some steps from it.
@pytest.mark.parametrize(
    ("seed", "options"), [(1, {}), (2, {}), (2, {"optimizer": "lbfgs", "tol": 1e-9})]
)
def test_a_lower_start_is_a_run_of_its_own(seed, options):
    rows, y = long_servedio(1000, 0.25, seed)
    options = {"alpha": 1e-5, "random_state": 0, **options}
    neuron = LogisticNeuron(**options).fit(rows, y)
    table = trace(neuron, rows, y)
    first, second = (table[table["run"] == run] for run in (1, 2))
    alone = LogisticNeuron(**options, n_starts=1).fit(rows, y)
    np.testing.assert_allclose(first["J"], alone.loss_curve_, rtol=1e-12)
    np.testing.assert_allclose(table["J"], neuron.loss_curve_, rtol=1e-12)
    assert second["J"].iloc[-1] < first["J"].iloc[-1] - 0.01
    np.testing.assert_array_equal(table["iteration"], np.arange(neuron.n_iter_ + 1))
    np.testing.assert_array_equal(table["run"], neuron.history_["run"])
    np.testing.assert_array_equal(
        table.iloc[-1, 4:].astype(float), [*neuron.coef_[0], *neuron.intercept_]
    )


def test_early_stopping_keeps_a_row_of_the_trace():
    neuron = fitted(X, Y, optimizer="adam", early_stopping=True, random_state=0)
    theta = trace(neuron, X, Y).iloc[:, 4:].to_numpy()
    kept = int(np.argmin(neuron.validation_curve_))
    np.testing.assert_array_equal(theta[kept], [*neuron.coef_[0], *neuron.intercept_])


@pytest.mark.parametrize("kind", ["a frame", "an array"])
def test_the_lesson_agrees_with_finite_differences(kind):
    rng = np.random.default_rng(0)
    w, b = rng.normal(size=30), 0.3
    rows = FRAME * 1000 ** rng.uniform(-1, 1, 30)  # units must not matter
    table = check_gradient(rows if kind == "a frame" else rows.to_numpy(), Y, w / 30, b)
    names = FRAME.columns if kind == "a frame" else [f"x{j}" for j in range(30)]
    assert table["parameter"].tolist() == [*names, "intercept"]
    assert (table["relative difference"] < 1e-6).all()


def test_the_columns_of_the_check_are_what_they_say():
    rng = np.random.default_rng(1)
    theta = rng.normal(size=31) / 10
    table = check_gradient(X, Y, theta[:-1], theta[-1])
    np.testing.assert_allclose(
        table["by the chain rule"], approx_fprime(theta, lambda t: J(t, 0.0)), atol=1e-6
    )
    a, b = table["by the chain rule"], table["by finite differences"]
    np.testing.assert_allclose(
        table["relative difference"], (a - b).abs() / np.maximum(a.abs(), b.abs()), rtol=1e-12
    )
    assert (a != b).any()


def test_a_wrong_gradient_is_seen(monkeypatch):
    monkeypatch.setattr(chain_rule, "dJ_dw", lambda x, y, w, b: np.full(30, 0.1))
    table = check_gradient(X, Y, np.zeros(30), 0.0)
    assert (table["relative difference"][:30] > 1e-3).all()
    assert table["relative difference"][30] < 1e-6


def test_plain_numbers_can_be_checked():
    table = check_gradient([1.0, 2.0], [1, 0], 0.3, 0.3)
    assert table["parameter"].tolist() == ["x0", "intercept"]
    np.testing.assert_allclose(table["relative difference"], 0, atol=1e-8)
    assert (check_gradient([0.0, 0.0], [1, 0], 0.3, 0.0)["relative difference"][:1] == 0).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((X, Y, np.zeros(3), 0.0), r"w must hold a weight .* X of shape \(569, 30\), w .* \(3,\)"),
        ((X, Y, np.zeros((30, 2)), np.zeros(2)), "check one neuron at a time"),
        ((X, Y[:5], np.zeros(30), 0.0), r"y must hold a target for each row .* \(5,\)"),
        ((X, 2 * Y, np.zeros(30), 0.0), "y must hold targets between 0 and 1, got .*2.*encode"),
        ((X, Y.astype(str), np.zeros(30), 0.0), "targets between 0 and 1, got .*'0'.*encode"),
    ],
)
def test_what_cannot_be_checked_is_told(arguments, words):
    with pytest.raises(ValueError, match=words):
        check_gradient(*arguments)


@pytest.mark.parametrize(
    ("parameters", "places"),
    [
        ((0, 1), (0, 1)),
        (("worst area", 2), (23, 2)),
        (("intercept", 5), (30, 5)),
        ((7, 30), (7, 30)),
    ],
)
def test_the_surface_is_J_over_two_parameters(parameters, places):
    neuron = LogisticNeuron(alpha=0.01).fit(FRAME, Y)
    ranges = [(-1, 2), (-3, 0.5)]
    surface = cost_surface(neuron, FRAME, Y, parameters, ranges=ranges, grid=20)
    names = [*FRAME.columns, "intercept"]
    assert surface.names == tuple(names[place] for place in places)
    np.testing.assert_array_equal(surface.first, np.linspace(-1, 2, 20))
    np.testing.assert_array_equal(surface.second, np.linspace(-3, 0.5, 20))
    theta = np.append(neuron.coef_, neuron.intercept_)
    assert surface.fitted == tuple(theta[list(places)])
    for i, j in ((0, 0), (4, 17), (19, 3)):
        moved = theta.copy()
        moved[list(places)] = surface.first[j], surface.second[i]
        assert surface.J[i, j] == pytest.approx(J(moved, 0.01), rel=1e-12)


def test_the_fitted_neuron_is_lowest_on_its_surface():
    neuron = LogisticNeuron().fit(X, Y)
    surface = cost_surface(neuron, X, Y)
    assert surface.J.min() > neuron.loss_curve_[-1]
    for name, value, line in zip(
        surface.names, surface.fitted, (surface.first, surface.second), strict=True
    ):
        assert name in ("x0", "x1")
        assert line[0] < min(value, 0)
        assert line[-1] > max(value, 0)


def test_weights_count_on_the_surface_as_repeated_rows():
    weight = np.random.default_rng(0).integers(1, 4, len(Y))
    neuron = LogisticNeuron().fit(X, Y, weight)
    weighed = cost_surface(neuron, X, Y, sample_weight=weight, grid=5)
    repeated = cost_surface(neuron, np.repeat(X, weight, 0), np.repeat(Y, weight), grid=5)
    np.testing.assert_allclose(weighed.J, repeated.J, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"parameters": ("x0", "nothing")}, "one of x0, x1, intercept or a number .*'nothing'"),
        ({"parameters": (0, 3)}, "a number from 0 to 2, the last for the intercept, got 3"),
        ({"parameters": (0, -1)}, "got -1"),
        ({"parameters": (0, "x0")}, r"two different ones, got \(0, 'x0'\)"),
        ({"parameters": (0, 1, 2)}, "two different ones"),
        ({"ranges": [(0, 1)]}, r"\(low, high\) with low < high, .* x0 and x1"),
        ({"ranges": [(0, 1), (2, 2)]}, "low < high"),
        ({"ranges": [(0, np.inf), (1, 2)]}, "pairs of numbers"),
        ({"grid": 1}, "grid must be 2 or more"),
    ],
)
def test_what_is_no_surface_is_told(options, words):
    points, y = make_moons(40, random_state=0)
    with pytest.raises(ValueError, match=words):
        cost_surface(fitted(points, y), points, y, **options)


def test_only_neurons_of_two_classes_have_a_landscape():
    rows, y = X[:9], np.arange(9) % 3
    several = fitted(rows, y, max_iter=1)
    for shown in (lambda: trace(clone(several), rows, y), lambda: cost_surface(several, rows, y)):
        with pytest.raises(ValueError, match=r"two classes, got \[0, 1, 2\]; choose one"):
            shown()
    pipeline = make_pipeline(StandardScaler(), LogisticNeuron()).fit(X, Y)
    for shown in (trace, cost_surface):
        with pytest.raises(ValueError, match="got Pipeline; of a pipeline give its last step"):
            shown(pipeline, X, Y)


def test_a_search_for_the_penalty_has_no_trace():
    class Searching(LogisticNeuron):
        def __init__(self, alphas=3):
            self.alphas = alphas

    with pytest.raises(ValueError, match="searches for it, Searching; give a LogisticNeuron"):
        trace(Searching(), X, Y)


def test_rows_of_other_labels_are_told():
    neuron = LogisticNeuron().fit(X, Y)
    with pytest.raises(ValueError, match="only labels of"):
        cost_surface(neuron, X, Y + 1)


def test_a_feature_may_bear_any_name():
    frame = pd.DataFrame(X[:, :2], columns=["J", "intercept"])
    table = trace(LogisticNeuron(max_iter=4, tol=0.01), frame, Y)
    assert table.shape[1] == 7
    neuron = fitted(frame, Y)
    assert cost_surface(neuron, frame, Y, ("J", 2), grid=3).fitted[1] == neuron.intercept_[0]
