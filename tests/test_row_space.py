"""More features than rows: the span of the rows holds the same objective and its minimum."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

from trainer import LogisticNeuron, trace
from trainer.core.objective import Objective
from trainer.core.row_space import row_space


def wide(n=40, d=150, n_classes=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * np.geomspace(1, 30, d), np.arange(n) % n_classes


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_objective_and_its_derivative_are_the_same_inside(fit_intercept):
    X, y = wide()
    weight = np.random.default_rng(1).random(40)
    objective = Objective.from_arrays(X, y.astype(float), weight, 0.1, fit_intercept)
    space = row_space(objective, np.zeros((151, 1)))
    inner = 0.1 * np.random.default_rng(2).normal(size=(41, 1))
    theta = space.outside(inner)
    J, gradient = space.objective.value_and_gradient(inner)
    expected, outer = objective.value_and_gradient(theta)
    np.testing.assert_allclose(J, expected, rtol=1e-12)
    np.testing.assert_allclose(space.outside(gradient), outer, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(space.inside(theta), inner, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("settings", [{}, {"fit_intercept": False}, {"class_weight": "balanced"}])
def test_the_minimum_is_newtons(n_classes, settings):
    X, y = wide(n_classes=n_classes)
    settings = {"alpha": 0.1, "tol": 1e-10} | settings
    neuron = LogisticNeuron(**settings).fit(X, y)
    newton = LogisticNeuron(optimizer="newton", **settings).fit(X, y)
    np.testing.assert_allclose(neuron.coef_, newton.coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(neuron.intercept_, newton.intercept_, rtol=1e-6, atol=1e-9)
    assert neuron.termination_.at_minimum
    assert all(end.gradient_max <= 1e-10 for end in neuron.terminations_)
    assert len(neuron.loss_curve_) == neuron.n_iter_ + 1


def test_a_start_outside_the_span_is_where_training_starts():
    X, y = wide()
    init = 0.1 * np.random.default_rng(3).normal(size=151)
    given = LogisticNeuron(alpha=0.1, tol=1e-9, init=init).fit(X, y)
    from_zero = LogisticNeuron(alpha=0.1, tol=1e-9).fit(X, y)
    np.testing.assert_allclose(given.coef_, from_zero.coef_, atol=1e-6)
    J = np.mean((y - expit(X @ init[:-1] + init[-1])) ** 2) + 0.05 * np.sum(init[:-1] ** 2)
    assert given.loss_curve_[0] == pytest.approx(J, rel=1e-12)


def test_the_run_inside_is_traced_outside(tmp_path):
    X, y = wide()
    neuron = LogisticNeuron(random_state=0).fit(X, y)
    table = trace(neuron, X, y)
    np.testing.assert_allclose(table["J"], neuron.loss_curve_, rtol=1e-12)
    theta = table.iloc[-1, 4:].to_numpy(float)
    np.testing.assert_allclose(theta[:-1], neuron.coef_[0], rtol=1e-9, atol=1e-12)
    assert neuron.to_html(tmp_path / "run.html", X, y).stat().st_size < 3e6


def test_max_iter_counts_inside():
    X, y = wide()
    with pytest.warns(ConvergenceWarning, match="max_iter = 3"):
        neuron = LogisticNeuron(alpha=1e-3, tol=1e-12, max_iter=3, n_starts=1).fit(X, y)
    assert neuron.n_iter_ == 3
    assert neuron.coef_.shape == (1, 150)


@pytest.mark.parametrize(
    ("mean", "alpha"),
    [(1e6, 1e-6), (0, 0)],
    ids=["rounding exceeds the penalty", "no penalty"],
)
def test_where_the_span_is_not_exact_it_is_not_used(mean, alpha):
    X, y = wide()
    objective = Objective.from_arrays(X + mean, y.astype(float), alpha=alpha)
    assert row_space(objective, np.zeros((151, 1))) is None
