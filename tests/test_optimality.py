"""What a small gradient does not prove: plateau, saddle and separable data, each told."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_iris, load_svmlight_file
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from trainer import LogisticNeuron
from trainer.core.objective import Objective
from trainer.core.optimality import check_optimality
from trainer.core.rows import ArrayRows
from trainer.optimizers import OPTIMIZERS

SHARED = Path(__file__).parents[2] / "shared" / "datasets"
SOLVERS = ["auto", "newton", "lbfgs"]


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_minimum_is_certified_without_a_warning(cancer, solver):
    X, y = cancer
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        neuron = LogisticNeuron(optimizer=solver, tol=1e-8).fit(X, y)
    end = neuron.termination_
    assert end.reason == "gradient"
    assert end.converged
    sigma = neuron.predict_proba(X)[:, 1]
    v = sigma * (1 - sigma)
    assert end.mean_sigmoid_derivative == pytest.approx(v.mean(), rel=1e-10)
    X1 = np.hstack([X, np.ones((len(X), 1))])
    bend = 2 * v * v + 2 * (sigma - y) * v * (1 - 2 * sigma)
    hessian = (X1 * bend[:, None]).T @ X1 / len(X) + np.diag([neuron.alpha_] * 30 + [0])
    assert end.smallest_curvature == pytest.approx(np.linalg.eigvalsh(hessian)[0], rel=1e-6)
    assert end.n_passes > end.n_iter
    assert end.seconds > 0


@pytest.mark.parametrize("solver", SOLVERS)
def test_separable_data_without_a_penalty_is_named(solver):
    X, y = load_iris(return_X_y=True)
    X, y = StandardScaler().fit_transform(X), y == 0
    neuron = LogisticNeuron(optimizer=solver, alpha=0)
    with pytest.warns(ConvergenceWarning, match=r"no finite minimum.*set alpha > 0") as caught:
        neuron.fit(X, y)
    assert len(caught) == 1
    assert neuron.termination_.reason == "separable"
    assert neuron.score(X, y) == 1
    assert LogisticNeuron(optimizer=solver, alpha=1e-4).fit(X, y).termination_.converged


def test_nearly_separable_data_tends_to_the_share_left_wrong(cancer):
    X, y = cancer
    with pytest.warns(ConvergenceWarning, match="no finite minimum"):
        neuron = LogisticNeuron(alpha=0, tol=1e-9).fit(X, y)
    wrong = (neuron.predict(X) != y).mean()
    assert neuron.termination_.reason == "separable"
    assert neuron.loss_curve_[-1] == pytest.approx(wrong, abs=1e-5)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_plateau_far_out_is_never_called_converged(cancer, solver):
    X, y = cancer
    good = LogisticNeuron().fit(X, y)
    far = -1e4 * np.append(good.coef_, good.intercept_)
    neuron = LogisticNeuron(optimizer=solver, alpha=0, init=far, n_starts=1)
    with pytest.warns(ConvergenceWarning, match="saturated"):
        neuron.fit(X, y)
    end = neuron.termination_
    assert end.reason == "saturated"
    assert end.gradient_max <= 1e-6  # the gradient alone would have passed
    assert end.mean_sigmoid_derivative < 1e-6
    assert not end.converged


def saddle():
    """A point on the eight-point cost's ridge between two minima, where the gradient is 0."""
    x = np.array([[1000.0], [100.0], [10.0], [1.0]])
    y = np.array([1.0, 0.0, 1.0, 0.0])
    objective = Objective(ArrayRows(x, y), 0.0, fit_intercept=False)

    def slope(w):
        return objective.value_and_gradient(np.array([[w], [0.0]]))[1][0, 0]

    low, high = 0.00200088, 0.19498181  # two published minima; the slope changes sign between
    grid = np.linspace(low * 1.01, high * 0.99, 4001)
    ups = [k for k in range(4000) if slope(grid[k]) > 0 >= slope(grid[k + 1])]
    low, high = grid[ups[0]], grid[ups[0] + 1]
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return x, y, objective, np.array([[low], [0.0]])


def test_a_saddle_is_told_and_warned_about():
    x, y, objective, theta = saddle()
    gradient = np.abs(objective.value_and_gradient(theta)[1]).max()
    tol = max(2 * gradient, 1e-8)
    assert check_optimality(objective, theta, tol).status == "saddle"
    neuron = LogisticNeuron(
        alpha=0, fit_intercept=False, init=theta.ravel(), n_starts=1, tol=tol, optimizer="lbfgs"
    )
    with pytest.warns(ConvergenceWarning, match="at a saddle point, not at a minimum"):
        neuron.fit(x, y)
    assert neuron.termination_.smallest_curvature < 0
    assert not neuron.termination_.converged


def test_certificate_of_many_columns_is_iterated_for(monkeypatch, cancer):
    X, y = cancer
    theta = np.full((31, 1), 0.05)
    objective = Objective(ArrayRows(X, y.astype(float)), 1e-3)
    formed = check_optimality(objective, theta, 1.0).smallest_curvature
    monkeypatch.setattr("trainer.core.optimality.LARGEST_HESSIAN", 5)
    iterated = check_optimality(objective, theta, 1.0).smallest_curvature
    assert iterated == pytest.approx(formed, rel=1e-2, abs=1e-4)


def test_certificate_of_many_rows_is_a_samples(monkeypatch, cancer):
    X, y = cancer
    monkeypatch.setattr("trainer.core.optimality.SAMPLE_ROWS", 400)
    neuron = LogisticNeuron().fit(X, y)
    assert neuron.termination_.mean_sigmoid_derivative == pytest.approx(
        np.prod(neuron.predict_proba(X), axis=1).mean(), rel=0.3
    )


@pytest.mark.parametrize("largest", [0, 500])
def test_a_samples_negative_curvature_is_checked_on_all_rows(monkeypatch, largest):
    monkeypatch.setattr("trainer.core.optimality.SAMPLE_ROWS", 20)
    monkeypatch.setattr("trainer.core.optimality.LARGEST_HESSIAN", largest)
    X, y = np.random.default_rng(1).random((400, 6)), np.ones(400)
    y[np.random.default_rng(0).choice(400, 20, replace=False, shuffle=False)] = 0  # the sample
    theta = np.append(np.zeros(6), 1.5)[:, np.newaxis]
    objective = Objective(ArrayRows(X, y), 1e-3)
    sampled = objective.sample(np.random.default_rng(0), 20).value_gradient_hessian(theta)[2]
    whole = objective.value_gradient_hessian(theta)[2]
    assert np.linalg.eigvalsh(sampled[..., 0])[0] < -0.01
    found = check_optimality(objective, theta, 1e-9)
    assert found.status == "minimum"
    assert found.smallest_curvature >= np.linalg.eigvalsh(whole[..., 0])[0] > 0


@pytest.mark.skipif(not SHARED.exists(), reason="the shared tables are not here")
@pytest.mark.parametrize("solver", SOLVERS)
def test_agaricus_is_separable(solver):
    X, y = load_svmlight_file(str(SHARED / "agaricus_train.libsvm.gz"), n_features=127)
    with pytest.warns(ConvergenceWarning, match="no finite minimum"):
        assert (
            LogisticNeuron(optimizer=solver, alpha=0).fit(X, y).termination_.reason == "separable"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        end = LogisticNeuron(optimizer=solver, alpha=1e-4).fit(X, y).termination_
    assert end.reason == "gradient"


def test_update_rules_are_certified_too(cancer):
    for name in OPTIMIZERS:
        neuron = LogisticNeuron(optimizer=name, alpha=0.1, max_iter=3000).fit(*cancer)
        assert neuron.termination_.smallest_curvature > 0
