"""What a small gradient does not prove: plateaus, saddles, infinity, slow directions."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from trainer import LogisticNeuron
from trainer.core import optimality
from trainer.core.objective import Objective
from trainer.core.rows import ArrayRows
from trainer.optimizers import OPTIMIZERS

SOLVERS = ["auto", "newton", "lbfgs"]


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def check_optimality(objective, theta, tol):
    (report,) = optimality.check_optimality(objective, theta, tol)
    return report


def lowest_curvature(X, y, theta, alpha):
    """Lowest eigenvalue of D^-½ H D^-½ by the textbook's formulas; the bias comes last."""
    X1 = np.hstack([X, np.ones((len(X), 1))])
    penalty = np.diag(np.append(np.full(X.shape[1], alpha), 0.0))
    sigma = expit(X1 @ theta)
    v = sigma * (1 - sigma)
    bend = 2 * v * v + 2 * (sigma - y) * v * (1 - 2 * sigma)
    H = (X1 * bend[:, None]).T @ X1 / len(X) + penalty
    scale = np.diag(X1.T @ X1 / (8 * len(X)) + penalty) ** -0.5
    return np.linalg.eigvalsh(H * np.outer(scale, scale))[0]


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
    assert end.at_minimum is True
    theta = np.append(neuron.coef_, neuron.intercept_)
    assert end.smallest_curvature == pytest.approx(
        lowest_curvature(X, y, theta, neuron.alpha_), rel=1e-6
    )
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
    with pytest.warns(ConvergenceWarning, match="fraction of rows that the direction leaves wrong"):
        neuron = LogisticNeuron(alpha=0, tol=1e-9).fit(X, y)
    wrong = (neuron.predict(X) != y).mean()
    assert wrong > 0
    assert neuron.termination_.reason == "unbounded"
    assert neuron.termination_.at_minimum is False
    assert f"decreases towards {wrong:.3g}" in neuron.termination_.message
    assert neuron.loss_curve_[-1] == pytest.approx(wrong, abs=1e-5)


def test_soft_labels_are_never_called_separable(cancer):
    X, y = cancer
    target = np.where(y == 1, 0.9, 0.0)
    theta = LogisticNeuron(alpha=1e-4).fit(X, y)
    theta = 1e3 * np.append(theta.coef_, theta.intercept_)[:, np.newaxis]
    report = check_optimality(Objective(ArrayRows(X, target), 0.0), theta, 1e-6)
    assert report.status != "separable"


def test_a_strict_minimum_is_not_left_for_infinity_in_silence():
    x, y = np.repeat([100.0, 30.0], [12, 48]), np.repeat([0, 1], [12, 48])
    settings = {"alpha": 0, "fit_intercept": False, "random_state": 0}
    one = LogisticNeuron(n_starts=1, **settings)
    one.fit(x[:, np.newaxis], y)
    assert one.termination_.at_minimum
    assert one.termination_.smallest_curvature > 0
    several = LogisticNeuron(**settings)
    with pytest.warns(
        ConvergenceWarning, match="no finite minimum.*n_starts=1 keeps a strict minimum"
    ):
        several.fit(x[:, np.newaxis], y)
    assert several.termination_.reason == "unbounded"
    assert several.loss_curve_[-1] < one.loss_curve_[-1] - 1e-3


def test_the_message_is_true_where_tol_is_below_rounding():
    X, y = np.random.default_rng(0).standard_normal((200, 3)), np.arange(200) % 3 == 0
    for settings in ({"tol": 0}, {"tol": 0, "optimizer": "lbfgs"}):
        end = LogisticNeuron(**settings).fit(X, y).termination_
        assert end.converged
        assert ("within tol" in end.message) == (end.gradient_max == 0)


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


def pairs_far_apart():
    """Each row has a twin at -x: at w = 0 dJ/dw is 0, and the rare rows of class 1 lie far out."""
    return np.array([[3.0], [-3.0]] + [[0.1], [-0.1]] * 4), np.repeat([1.0, 0.0], [2, 8])


def test_a_saddle_is_told():
    x, y = pairs_far_apart()
    theta = np.array([[0.0], [np.log(0.2 / 0.8)]])  # sigma is the share of class 1
    objective = Objective(ArrayRows(x, y), 0.0)
    report = check_optimality(objective, theta, 1e-6)
    assert report.status == "saddle"
    expected = lowest_curvature(x, y, theta[:, 0], 0.0)
    assert report.smallest_curvature == pytest.approx(expected, rel=1e-12)
    assert expected < -0.5
    assert report.remaining_decrease == np.inf


@pytest.mark.parametrize("solver", SOLVERS)
def test_training_that_starts_on_a_saddle_says_so_or_leaves_it(solver):
    x, y = pairs_far_apart()
    init = [0.0, np.log(0.2 / 0.8)]
    neuron = LogisticNeuron(alpha=1e-3, n_starts=1, init=init, optimizer=solver)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        neuron.fit(x, y)
    if neuron.coef_[0, 0] == 0:
        assert "at a saddle point, not at a minimum" in str(caught[0].message)
        assert neuron.termination_.smallest_curvature < 0
        assert not neuron.termination_.converged
    else:
        assert neuron.loss_curve_[-1] < neuron.loss_curve_[0] - 1e-3


def test_a_lowest_curvature_of_many_parameters_is_iterated_for(monkeypatch, cancer):
    X, y = cancer
    rng = np.random.default_rng(0)
    objective = Objective(ArrayRows(X * 10 ** rng.uniform(-9, 9, 30), y.astype(float)), 0.0)
    diagonal = objective.hessian_diagonal_at_zero()
    for spread in (0.05, 3.0):  # a convex place and one that is not
        theta = spread * rng.standard_normal((31, 1)) / np.sqrt(diagonal)
        formed = check_optimality(objective, theta, 1e-6)
        monkeypatch.setattr("trainer.core.optimality.LARGEST_HESSIAN", 5)
        iterated = check_optimality(objective, theta, 1e-6)
        monkeypatch.undo()
        assert iterated.smallest_curvature == pytest.approx(formed.smallest_curvature, rel=2e-2)
        assert iterated.remaining_decrease == pytest.approx(formed.remaining_decrease, rel=0.1)


def test_the_verdict_of_many_rows_is_a_samples(monkeypatch, cancer):
    X, y = cancer
    monkeypatch.setattr("trainer.optimizers.preconditioner.SAMPLE_ROWS", 400)
    neuron = LogisticNeuron(optimizer="lbfgs").fit(X, y)
    assert neuron.termination_.at_minimum
    assert neuron.termination_.mean_sigmoid_derivative == pytest.approx(
        np.prod(neuron.predict_proba(X), axis=1).mean(), rel=0.3
    )


@pytest.mark.parametrize("largest", [0, 500])
def test_a_samples_negative_curvature_is_checked_on_all_rows(monkeypatch, largest):
    monkeypatch.setattr("trainer.optimizers.preconditioner.SAMPLE_ROWS", 20)
    monkeypatch.setattr("trainer.optimizers.preconditioner.ROWS_PER_PARAMETER", 0)
    monkeypatch.setattr("trainer.core.optimality.LARGEST_HESSIAN", largest)
    X, y = np.random.default_rng(1).random((400, 6)), np.ones(400)
    y[np.random.default_rng(0).choice(400, 20, replace=False, shuffle=False)] = 0  # the sample
    theta = np.append(np.zeros(6), 1.5)[:, np.newaxis]
    objective = Objective(ArrayRows(X, y), 1e-3)
    sampled = objective.sample(np.random.default_rng(0), 20).value_gradient_hessian(theta)[2]
    assert np.linalg.eigvalsh(sampled[..., 0])[0] < -0.01
    assert check_optimality(objective, theta, 1e-6).smallest_curvature > 0
    assert lowest_curvature(X, y, theta[:, 0], 1e-3) > 0


def test_a_bank_is_judged_as_each_neuron_alone(monkeypatch):
    monkeypatch.setattr("trainer.optimizers.preconditioner.SAMPLE_ROWS", 20)
    monkeypatch.setattr("trainer.optimizers.preconditioner.ROWS_PER_PARAMETER", 0)
    monkeypatch.setattr("trainer.core.optimality.HESSIAN_ENTRIES", 3 * 7**2)
    rng = np.random.default_rng(1)
    X, y = rng.random((400, 6)), np.ones((400, 5))
    y[rng.choice(400, 20, replace=False, shuffle=False), ::2] = 0
    y[np.random.default_rng(0).choice(400, 20, replace=False, shuffle=False), 1] = 0  # the sample
    y[:, 3] = rng.integers(0, 2, 400)
    theta = np.outer(np.append(np.zeros(6), 1.5), [1, 1, 0, -1, 2])
    objective = Objective(ArrayRows(X, y), 1e-3)
    reports = optimality.check_optimality(objective, theta, 1e-6)
    for k, report in enumerate(reports):
        alone = check_optimality(objective.select(np.array([k])), theta[:, [k]], 1e-6)
        assert report.status == alone.status
        on_all_rows = lowest_curvature(X, y[:, k], theta[:, k], 1e-3)
        assert np.sign(report.smallest_curvature) == np.sign(on_all_rows)
        np.testing.assert_allclose(report.smallest_curvature, alone.smallest_curvature, rtol=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("scale", [1e-9, 1e-6, 1e6, 1e12, "mixed"])
def test_convergence_does_not_depend_on_the_features_scale(cancer, solver, scale):
    X, y = cancer[0][:, [0, 3, 7, 20]], cancer[1]
    settings = {"optimizer": solver, "alpha": 0, "fit_intercept": False, "n_starts": 1}
    found = minimize(lambda w: ((expit(X @ w) - y) ** 2).mean(), np.zeros(4), tol=1e-14)
    scales = 10.0 ** np.array([-9, -3, 4, 9]) if scale == "mixed" else scale
    neuron = LogisticNeuron(**settings).fit(X * scales, y)  # a warning would be an error
    assert neuron.termination_.converged
    assert neuron.loss_curve_[-1] <= found.fun * (1 + 1e-4)
    unscaled = LogisticNeuron(**settings).fit(X, y).termination_.smallest_curvature
    assert neuron.termination_.smallest_curvature == pytest.approx(unscaled, rel=1e-2)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("alpha", [1e-6, 1e-8])
def test_flat_directions_hide_no_error(solver, alpha):
    """More columns than rows and next to no penalty: the gradient is small long before J is."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((120, 240)), rng.integers(0, 3, 120)
    neuron = LogisticNeuron(optimizer=solver, alpha=alpha).fit(X, y)
    assert all(end.converged for end in neuron.terminations_)
    settings = {"alpha": alpha, "tol": 1e-12, "n_starts": 1, "init": neuron, "max_iter": 10_000}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # rounding may end it
        exact = LogisticNeuron(optimizer="newton", **settings).fit(X, y)
    for end, best in zip(neuron.terminations_, exact.terminations_, strict=True):
        assert end.cost <= best.cost * (1 + 1e-4) + 1e-10
    np.testing.assert_allclose(neuron.predict_proba(X), exact.predict_proba(X), atol=1e-3)


def test_a_cost_that_can_still_fall_is_not_a_minimum(cancer):
    X, y = cancer
    objective = Objective(ArrayRows(X, y.astype(float)), 1e-4)
    best = LogisticNeuron(alpha=1e-4, tol=1e-10, n_starts=1).fit(X, y)
    theta = np.append(best.coef_, best.intercept_)[:, np.newaxis]
    J = objective.value(theta)[0]
    assert check_optimality(objective, theta, 1e-6).status == "minimum"
    for share in (1e-2, 1e-3):  # away along every parameter alike, until J is that much higher
        step = np.random.default_rng(0).standard_normal(theta.shape)
        step *= np.sqrt(2 * share * J / (step.T @ objective.hessian_product(theta, step)))
        report = check_optimality(objective, theta + step, 1e-6)
        actual = 1 - J / objective.value(theta + step)[0]
        assert report.status != "minimum"
        assert report.remaining_decrease == pytest.approx(actual, rel=0.5)


def test_what_was_not_examined_is_not_called_a_minimum(cancer):
    X, y = cancer
    stopped = LogisticNeuron(early_stopping=True, n_iter_no_change=1, random_state=0).fit(X, y)
    if stopped.termination_.reason == "early_stopping":
        assert stopped.termination_.at_minimum is None
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        cut = LogisticNeuron(max_iter=2).fit(X, y)
    assert cut.termination_.at_minimum is False
    assert not cut.termination_.converged


def test_sparse_rows_are_judged_alike(cancer):
    X, y = cancer
    theta = np.full((31, 1), 0.05)
    dense, thin = (
        check_optimality(Objective(ArrayRows(rows, y.astype(float)), 1e-3), theta, 1e-6)
        for rows in (X, sparse.csr_array(X))
    )
    assert dense.status == thin.status
    assert thin.smallest_curvature == pytest.approx(dense.smallest_curvature, rel=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_sparse_separable_data_is_named(solver):
    rng = np.random.default_rng(0)
    X = sparse.random_array((2000, 120), density=0.15, rng=rng, format="csr")
    X.data[:] = 1  # binary features, as of a text
    X = X[:, [*range(120), 0, 1, 2]]  # and some of them twice
    y = (X @ rng.normal(size=123) > 0.5).astype(int)
    with pytest.warns(ConvergenceWarning, match="no finite minimum"):
        end = LogisticNeuron(optimizer=solver, alpha=0).fit(X, y).termination_
    assert end.reason == "separable"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        end = LogisticNeuron(optimizer=solver, alpha=1e-4).fit(X, y).termination_
    assert end.reason == "gradient"


def test_update_rules_are_certified_too(cancer):
    for name in OPTIMIZERS:
        neuron = LogisticNeuron(optimizer=name, alpha=0.1, max_iter=3000).fit(*cancer)
        assert neuron.termination_.smallest_curvature > 0


def test_separable_rows_in_single_precision_are_named():
    X = np.random.default_rng(0).normal(size=(3000, 3)).astype("f4")
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    source = type("Source", (), {"blocks": lambda self: iter([(X, y)])})()  # never promoted
    with pytest.warns(ConvergenceWarning, match="separable"):
        neuron = LogisticNeuron(alpha=0, max_iter=300).fit(source)
    assert neuron.termination_.reason == "separable"


@pytest.mark.parametrize("max_iter", [0, 10])
def test_rows_of_zeros_without_a_bias_are_at_their_minimum(max_iter):
    neuron = LogisticNeuron(fit_intercept=False, max_iter=max_iter)
    neuron.fit(np.zeros((2, 3)), [0, 1])
    assert neuron.coef_.tolist() == [[0, 0, 0]]
    assert neuron.termination_.converged
