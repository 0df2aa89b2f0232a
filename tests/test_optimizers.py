"""Every optimizer on the same problems, from one table."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import ALL, costs, minimise
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import expit
from sklearn.datasets import load_breast_cancer, load_iris, load_wine, make_moons
from sklearn.preprocessing import StandardScaler

from trainer.core.objective import Objective
from trainer.core.rows import ArrayRows
from trainer.core.training import train
from trainer.optimizers import OPTIMIZERS, Momentum, Newton, UpdateRule
from trainer.optimizers.lbfgs import PreconditionedLBFGS
from trainer.optimizers.line_search import strong_wolfe

PROBLEMS = {
    "breast_cancer": (load_breast_cancer(return_X_y=True), 1, 1e-2),
    "iris": (load_iris(return_X_y=True), 1, 1e-2),
    "wine": (load_wine(return_X_y=True), 0, 1e-2),
    "moons": (make_moons(300, noise=0.2, random_state=0), 1, 1e-3),
}
RULES = [name for name, kind in OPTIMIZERS.items() if issubclass(kind, UpdateRule)]


def data(name):
    (X, y), positive, alpha = PROBLEMS[name]
    return StandardScaler().fit_transform(X), (y == positive).astype(float), alpha


@pytest.fixture(scope="module")
def lowest():
    """J's minimum by an independent solver on an independent formula."""

    def solve(name):
        X, y, alpha = data(name)

        def J(theta):
            sigma = 1 / (1 + np.exp(-(X @ theta[:-1] + theta[-1])))
            slope = 2 * (sigma - y) * sigma * (1 - sigma) / len(y)
            gradient = np.append(X.T @ slope + alpha * theta[:-1], slope.sum())
            return np.mean((sigma - y) ** 2) + alpha / 2 * theta[:-1] @ theta[:-1], gradient

        start = np.zeros(X.shape[1] + 1)
        options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000}
        return minimize(J, start, jac=True, method="L-BFGS-B", options=options).fun

    return {name: solve(name) for name in PROBLEMS}


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("optimizer", ALL)
def test_every_optimizer_reaches_the_same_cost(optimizer, problem, lowest):
    X, y, alpha = data(problem)
    objective = Objective(ArrayRows(X, y), alpha)
    theta = np.zeros((X.shape[1] + 1, 1))
    result = minimise(objective, optimizer, theta, max_iter=5000, tol=1e-7)
    assert result.terminations[0].cost == pytest.approx(lowest[problem], abs=1e-6)
    assert result.terminations[0].reason == "gradient"


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("optimizer", RULES)
def test_every_rule_comes_close_with_minibatches(optimizer, problem, lowest):
    X, y, alpha = data(problem)
    objective = Objective(ArrayRows(X, y), alpha)
    theta = np.zeros((X.shape[1] + 1, 1))
    rule = OPTIMIZERS[optimizer](batch_size=32, seed=1)
    result = train(objective, rule, theta, max_iter=150, tol=1e-7)
    assert costs(result)[-1, 0] == pytest.approx(lowest[problem], abs=1e-3)


@pytest.mark.parametrize("optimizer", ALL)
def test_a_bank_is_its_neurons_one_by_one(optimizer):
    X, y = StandardScaler().fit_transform(load_iris().data), load_iris().target
    targets = (y[:, None] == np.arange(3)).astype(float)
    alpha = np.array([1e-1, 1e-2, 3e-2])
    start = np.random.default_rng(0).normal(size=(5, 3)) / 10
    settings = {"max_iter": 40, "tol": 1e-4}
    bank = minimise(Objective(ArrayRows(X, targets), alpha), optimizer, start, **settings)
    stops = set()
    for k in range(3):
        objective = Objective(ArrayRows(X, targets[:, k]), alpha[k])
        one = minimise(objective, optimizer, start[:, [k]], **settings)
        np.testing.assert_allclose(bank.theta[:, [k]], one.theta, rtol=1e-7, atol=1e-9)
        assert bank.terminations[k].reason == one.terminations[0].reason
        assert bank.terminations[k].n_iter == one.terminations[0].n_iter
        stops.add(bank.terminations[k].n_iter)
    if optimizer == "lbfgs":
        assert len(stops) > 1  # neurons that finish early do leave


def test_a_preconditioner_is_shared_at_zero_and_renewed_for_each_neuron():
    X, y = StandardScaler().fit_transform(load_wine().data), load_wine().target
    objective = Objective(ArrayRows(X, (y[:, None] == np.arange(3)).astype(float)), 1e-4)
    optimizer = PreconditionedLBFGS()
    state = first = optimizer.init(objective, np.zeros((14, 3)))
    hessian = objective.value_gradient_hessian(np.zeros((14, 3)))[2]
    assert first.inverse.shape == (14, 14, 1)
    np.testing.assert_allclose(first.inverse[..., 0] @ hessian[..., 1], np.eye(14), atol=1e-6)
    for _ in range(6):
        state = optimizer.step(objective, state)
        np.testing.assert_array_equal(state.inverse, first.inverse)
    renewed = optimizer.step(objective, state)
    hessian = objective.value_gradient_hessian(state.theta)[2][..., 2]
    np.testing.assert_allclose(renewed.inverse[..., 2] @ hessian, np.eye(14), atol=1e-5)
    part = state.select(np.array([2]))
    alone = optimizer.step(objective.select(np.array([2])), part)
    np.testing.assert_allclose(alone.theta[:, 0], renewed.theta[:, 2], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n", [300, 6_000])
def test_a_preconditioned_bank_is_its_neurons_one_by_one(n):
    rng = np.random.default_rng(4)
    X = rng.normal(size=(n, 12)) * np.geomspace(1, 100, 12)
    y = (X @ rng.normal(size=(12, 3)) + 30 * rng.normal(size=(n, 3)) > 0).astype(float)
    optimizer, start = PreconditionedLBFGS(), np.zeros((13, 3))
    bank = train(Objective(ArrayRows(X, y), 1e-3), optimizer, start, max_iter=200, tol=1e-11)
    for k in range(3):
        objective = Objective(ArrayRows(X, y[:, k]), 1e-3)
        one = train(objective, optimizer, start[:, :1], max_iter=200, tol=1e-11)
        newton = train(objective, Newton(), start[:, :1], max_iter=200, tol=1e-11)
        np.testing.assert_allclose(bank.theta[:, [k]], one.theta, rtol=1e-7, atol=1e-9)
        assert one.terminations[0].cost <= newton.terminations[0].cost * (1 + 1e-10)


@pytest.mark.parametrize("kept", [np.asarray, csr_array])
def test_lbfgs_does_not_mind_the_features_scales(kept):
    X, y, _ = data("breast_cancer")
    scales = 10.0 ** np.random.default_rng(0).integers(-4, 5, X.shape[1])
    found = []
    for Z in (X, X * scales):
        objective = Objective(ArrayRows(kept(Z), y))
        start = np.zeros((X.shape[1] + 1, 1))
        result = train(objective, OPTIMIZERS["lbfgs"](), start, max_iter=30, tol=0)
        found.append(costs(result))
    assert found[0][-1] < 0.01 < found[0][5]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


def test_auto_learning_rate_never_lets_the_cost_rise():
    X, y, alpha = data("breast_cancer")
    start = np.random.default_rng(4).normal(size=(X.shape[1] + 1, 1))
    objective = Objective(ArrayRows(X, y), alpha)
    rule = OPTIMIZERS["gradient_descent"]()
    cost = costs(train(objective, rule, start, max_iter=300, tol=0))
    assert (np.diff(cost[:, 0]) <= 0).all()
    assert rule.default_learning_rate(objective)[0] == pytest.approx(1 / objective.lipschitz()[0])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_taken_up_from_a_state_goes_on_bit_for_bit(optimizer):
    X, y, alpha = data("moons")
    objective = Objective(ArrayRows(X, y), alpha)
    kind = OPTIMIZERS[optimizer]
    rule = kind(batch_size=50, seed=3) if optimizer in RULES else kind()
    state = rule.init(objective, np.zeros((3, 1)))
    for _ in range(3):
        state = rule.step(objective, state)
    kept = replace(state, theta=state.theta.copy())
    for _ in range(3):
        state = rule.step(objective, state)
        kept = rule.step(objective, kept)
    np.testing.assert_array_equal(kept.theta, state.theta)


# ------------------------------------------------------- first updates, by hand


def test_first_updates_are_the_formulas():
    g, rate = np.array([[3.0], [-4.0]]), np.array([0.1])
    theta = np.array([[1.0], [1.0]])
    rule = OPTIMIZERS["gradient_descent"]()
    np.testing.assert_allclose(rule.update(theta, g, rate, ())[0], [[0.7], [1.4]])
    rule = OPTIMIZERS["normalized_gradient_descent"]()
    np.testing.assert_allclose(rule.update(theta, g, rate, ())[0], [[0.94], [1.08]])
    np.testing.assert_array_equal(rule.update(theta, 0 * g, rate, ())[0], theta)
    rule = OPTIMIZERS["momentum"]()
    once, memory = rule.update(theta, g, rate, rule.initial_memory(theta))
    twice, _ = rule.update(once, g, rate, memory)
    np.testing.assert_allclose(twice, theta - 0.1 * g - (0.09 + 0.1) * g)
    rule = OPTIMIZERS["adam"]()
    once, _ = rule.update(theta, g, rate, rule.initial_memory(theta))
    np.testing.assert_allclose(once, theta - 0.1 * np.sign(g), rtol=1e-7)
    rule = OPTIMIZERS["nesterov"]()
    once, memory = rule.update(theta, g, rate, rule.initial_memory(theta))
    np.testing.assert_allclose(once, theta - 0.1 * g)
    twice, _ = rule.update(once, g, rate, memory)
    t1 = (1 + 5**0.5) / 2
    t2 = (1 + (1 + 4 * t1**2) ** 0.5) / 2
    np.testing.assert_allclose(twice, once - 0.1 * g + (t1 - 1) / t2 * (-0.1 * g))


# ------------------------------------------------------------------ the line search

FUNCTIONS = {
    # Moré and Thuente's first function, a steep bowl, a bounded sigmoid valley, rounding only
    "more_thuente": (lambda t: -t / (t * t + 2), lambda t: (t * t - 2) / (t * t + 2) ** 2),
    "bowl": (lambda t: 50 * (t - 0.01) ** 2, lambda t: 100 * (t - 0.01)),
    "valley": (
        lambda t: expit(3 - t) ** 2 + 1e-3 * t * t,
        lambda t: -2 * expit(3 - t) ** 2 * expit(t - 3) + 2e-3 * t,
    ),
}


def run(search, function, slope):
    trials, step = 0, next(search)
    while True:
        trials += 1
        try:
            step = search.send((float(function(step)), float(slope(step))))
        except StopIteration as end:
            return end.value, trials


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_line_search_satisfies_strong_wolfe(name, first):
    function, slope = FUNCTIONS[name]
    found, trials = run(strong_wolfe(function(0.0), slope(0.0), first, noise=0.0), function, slope)
    assert found.J <= function(0.0) + 1e-4 * found.step * slope(0.0)
    assert abs(slope(found.step)) <= 0.9 * abs(slope(0.0))
    assert trials <= 20


def test_line_search_backs_off_from_overflow_and_gives_up_uphill():
    found, _ = run(
        strong_wolfe(1.0, -1.0, 1e6, noise=0.0),
        lambda t: (t - 1) ** 2 if t < 5 else np.nan,
        lambda t: 2 * (t - 1) if t < 5 else np.nan,
    )
    assert 0 < found.step < 5
    found, _ = run(strong_wolfe(1.0, -1.0, 1.0, noise=0.0), lambda t: 1 + t, lambda t: 1.0)
    assert found is None


def test_a_parameter_that_cannot_be_is_not_set():
    momentum = Momentum(momentum=0.5)
    with pytest.raises(ValueError, match="momentum must be"):
        momentum.set_params(learning_rate=0.1, momentum=5.0)
    assert momentum == Momentum(momentum=0.5)
    assert momentum.set_params(momentum=0.7) == Momentum(momentum=0.7)
