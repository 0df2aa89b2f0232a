"""The exact Hessian, the trust region's subproblem, and the solvers against one another."""

import numpy as np
import pytest
from helpers import minimise
from scipy.linalg import eigh
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import expit
from sklearn.datasets import load_breast_cancer, load_wine, make_classification
from sklearn.preprocessing import StandardScaler

from trainer.core.loss import SQUARED_ERROR
from trainer.core.objective import Objective
from trainer.core.rows import ArrayRows
from trainer.core.solve import solve
from trainer.core.training import TrainingInterrupted
from trainer.optimizers import LBFGS, OPTIMIZERS, Newton, auto
from trainer.optimizers.lbfgs import PreconditionedLBFGS
from trainer.optimizers.newton import trust_region_step

SOLVERS = ["newton", "lbfgs", "auto"]


def bank(sparse=False, fit_intercept=True):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(80, 5)) * (rng.random((80, 5)) < 0.7)
    y = rng.random((80, 3)).round(1)
    rows = ArrayRows(csr_array(X) if sparse else X, y, rng.random((80, 3)))
    theta = 2 * rng.normal(size=(6, 3))
    if not fit_intercept:
        theta[-1] = 0
    return Objective(rows, np.array([0.0, 0.1, 0.3]), fit_intercept), theta


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_hessian_meets_finite_differences_and_products(sparse, fit_intercept):
    objective, theta = bank(sparse, fit_intercept)
    J, gradient, hessian = objective.value_gradient_hessian(theta)
    np.testing.assert_allclose(J, objective.value(theta), rtol=1e-14)
    np.testing.assert_allclose(gradient, objective.value_and_gradient(theta)[1], rtol=1e-13)
    n_moving = len(theta) if fit_intercept else len(theta) - 1
    for j in range(n_moving):
        step = np.zeros_like(theta)
        step[j] = 1e-5
        ahead = objective.value_and_gradient(theta + step)[1]
        behind = objective.value_and_gradient(theta - step)[1]
        column = (ahead - behind) / 2e-5
        np.testing.assert_allclose(hessian[:, j], column, rtol=1e-6, atol=1e-9)
        product = objective.hessian_product(theta, step / 1e-5)
        np.testing.assert_allclose(hessian[:, j], product, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(hessian, hessian.transpose(1, 0, 2), rtol=1e-13, atol=1e-17)


def test_gram_is_the_mean_square_response():
    objective, theta = bank()
    gram = objective.gram()
    by_gram = np.einsum("ik,ijk,jk->k", theta, gram, theta)
    np.testing.assert_allclose(by_gram, objective.mean_square_response(theta), rtol=1e-12)


def test_curvature_never_falls_below_its_bound():
    X, y = StandardScaler().fit_transform(load_wine().data), load_wine().target == 0
    objective = Objective(ArrayRows(X, y.astype(float)))
    lowest = 0.0
    gram = objective.gram()[..., 0]
    for seed in range(30):
        theta = np.random.default_rng(seed).normal(size=(14, 1))
        hessian = objective.value_gradient_hessian(theta)[2][..., 0]
        lowest = min(lowest, eigh(hessian, gram, eigvals_only=True)[0])
    assert SQUARED_ERROR.min_curvature <= lowest < -0.02


@pytest.mark.parametrize("kind", ["definite", "indefinite", "hard case", "far inside"])
def test_trust_region_step_is_the_models_minimum(kind):
    rng = np.random.default_rng(3)
    for _ in range(20):
        p = 6
        A = rng.normal(size=(p, p))
        G = A @ A.T + np.eye(p)
        L = np.linalg.cholesky(G)
        lambdas = rng.uniform(0.01, 0.15, p)
        if kind in ("indefinite", "hard case"):
            lambdas[0] = -0.1
        Q = np.linalg.qr(rng.normal(size=(p, p)))[0]
        H = L @ Q @ np.diag(lambdas) @ Q.T @ L.T
        g = L @ Q @ (rng.normal(size=p) * 0.1)
        if kind == "hard case":
            coordinates = Q.T @ np.linalg.solve(L, g)
            coordinates[0] = 0
            g = 1e-3 * L @ Q @ coordinates
        radius = 1e3 if kind == "far inside" else 0.7
        s = trust_region_step(g, H, G, radius, 0.12)
        assert np.sqrt(s @ G @ s) <= 1.1 * radius
        # the minimum, by a dense search on the secular equation in the metric's own coordinates
        g_rotated = Q.T @ np.linalg.solve(L, g)

        def model(v, g_rotated=g_rotated, lambdas=lambdas):
            return g_rotated @ v + (lambdas * v * v).sum() / 2

        shifts = np.logspace(-9, 3, 4001) + max(0.0, -lambdas[0])
        candidates = [-g_rotated / (lambdas + shift) for shift in shifts]
        inside = [v for v in candidates if np.linalg.norm(v) <= radius]
        if kind == "hard case":
            best = inside[0].copy()
            best[0] = np.sqrt(radius**2 - best @ best)
            inside.append(best)
        if kind in ("definite", "far inside"):
            inside += [v for v in [-g_rotated / lambdas] if np.linalg.norm(v) <= radius]
        lowest = min(model(v) for v in inside)
        reached = g @ s + s @ H @ s / 2
        assert reached <= 0.8 * lowest < 0  # within a fifth of the exact decrease


@pytest.mark.parametrize("solver", SOLVERS)
def test_solvers_agree_in_theta(solver):
    X, y = StandardScaler().fit_transform(load_breast_cancer().data), load_breast_cancer().target
    objective = Objective(ArrayRows(X, y.astype(float)), 0.05)
    start = np.zeros((31, 1))
    reference = minimise(objective, "nesterov", start, max_iter=20000, tol=1e-12)
    result = minimise(objective, solver, start, max_iter=1000, tol=1e-11)
    assert result.terminations[0].reason == "gradient"
    np.testing.assert_allclose(result.theta, reference.theta, atol=1e-8)


@pytest.mark.parametrize("solver", SOLVERS)
def test_sparse_rows_give_the_dense_answer(solver):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 12)) * (rng.random((300, 12)) < 0.3)
    y = (X @ rng.normal(size=12) + rng.normal(size=300) > 0).astype(float)
    start = np.zeros((13, 1))
    found = [
        minimise(Objective(ArrayRows(rows, y), 0.01), solver, start, **LIMITS).theta
        for rows in (X, csr_array(X))
    ]
    np.testing.assert_allclose(found[1], found[0], atol=1e-8)


LIMITS = {"max_iter": 2000, "tol": 1e-10}


def large(n=12_000, d=8, condition=1.0):
    rng = np.random.default_rng(5)
    X = rng.normal(size=(n, d)) * np.logspace(0, -np.log10(condition), d)
    z = X @ (rng.normal(size=d) * np.logspace(0, np.log10(condition), d))
    return X, (rng.random(n) < 1 / (1 + np.exp(-z))).astype(float)


@pytest.fixture
def small_samples(monkeypatch):
    """Let `auto` work through a sample on data small enough for a test."""
    monkeypatch.setattr(auto, "sample_size", lambda n_parameters: 2_000)


@pytest.mark.parametrize("condition", [1.0, 1e4])
def test_auto_goes_through_a_sample_to_newtons_minimum(small_samples, condition):
    X, y = large(condition=condition)
    objective = Objective(ArrayRows(X, y), 1e-8)
    start = np.zeros((9, 1))
    whole = minimise(objective, "newton", start, **LIMITS)
    read = objective.n_passes
    quick = minimise(objective, "auto", start, seed=1, **LIMITS)
    passes = objective.n_passes - read
    np.testing.assert_allclose(quick.theta, whole.theta, rtol=1e-5, atol=1e-6)
    assert quick.terminations[0].reason == "gradient"
    assert passes < 20  # the point of the sample
    again = minimise(objective, "auto", start, seed=1, **LIMITS)
    np.testing.assert_array_equal(again.theta, quick.theta)


def test_auto_samples_for_a_whole_bank(small_samples):
    X, y = large()
    targets = np.column_stack([y, 1 - y, y])
    alpha = np.array([1e-3, 1e-3, 1e-1])
    start = np.zeros((9, 3))
    bank = minimise(Objective(ArrayRows(X, targets), alpha), "auto", start, **LIMITS)
    np.testing.assert_allclose(bank.theta[:, 0], -bank.theta[:, 1], atol=1e-8)
    for k in (0, 2):
        objective = Objective(ArrayRows(X, targets[:, k]), alpha[k])
        one = minimise(objective, "auto", start[:, [k]], **LIMITS)
        np.testing.assert_allclose(bank.theta[:, [k]], one.theta, atol=1e-8)


def test_auto_chooses_by_shape():
    def chosen(n, d, n_neurons=1):
        X = csr_array((n, d))
        objective = Objective(ArrayRows(X if d > 2000 else X.toarray(), np.zeros(n)))
        return auto.choose(objective, d + 1, n_neurons)

    assert chosen(50, 3) == auto.Choice(Newton())
    assert chosen(10, 3000) == auto.Choice(LBFGS())
    assert chosen(900, 50, 10_000) == auto.Choice(LBFGS())  # its Hessians are too large
    assert chosen(2_000, 100) == chosen(2_000, 20, 10) == auto.Choice(PreconditionedLBFGS())
    assert chosen(1_000, 120) == auto.Choice(PreconditionedLBFGS(), penalty=10)
    assert chosen(90_000, 2) == auto.Choice(LBFGS(), (2_500, 20_000))


def test_samples_are_runs_of_the_history(small_samples):
    X, y = large()
    seen = []
    result = solve(
        Objective(ArrayRows(X, y), 1e-3), None, np.zeros((9, 1)),
        n_starts=1, seed=0, callback=lambda theta, history: seen.append(theta), **LIMITS,
    )  # fmt: skip
    records = result.history.records
    sizes = {record.run: record.n_rows for record in records}
    assert sizes == {1: 250, 2: 2_000, 3: len(X)}
    assert len(seen) == len(records) - 3  # every iteration, the starts of the runs excluded
    bounded = solve(
        Objective(ArrayRows(X, y), 1e-3), None, np.zeros((9, 1)),
        n_starts=1, seed=0, max_iter=2, tol=0,
    )  # fmt: skip
    assert bounded.terminations[0].reason == "max_iter"
    runs = [record.run for record in bounded.history.records]
    assert runs == [1, 1, 1, 2, 2, 2, 3, 3, 3]  # a start and two iterations each


def few_rows(seed):
    """Rows so few for their features that J has many minima."""
    rng = np.random.default_rng(seed)
    X, w = rng.normal(size=(1_000, 120)), rng.normal(size=120)
    z = X @ (4 * w / np.linalg.norm(w))
    return X, (rng.random(len(X)) < 1 / (1 + np.exp(-z))).astype(float)


def test_few_rows_end_lower_than_an_independent_solver_from_zero():
    ratios = []
    for seed in range(4):
        X, y = few_rows(seed)
        objective = Objective(ArrayRows(X, y), 1e-5)

        def J(theta, X=X, y=y):
            sigma = expit(X @ theta[:-1] + theta[-1])
            dl_dz = 2 * (sigma - y) * sigma * (1 - sigma) / len(y)
            gradient = np.append(X.T @ dl_dz + 1e-5 * theta[:-1], dl_dz.sum())
            return np.mean((y - sigma) ** 2) + 0.5e-5 * theta[:-1] @ theta[:-1], gradient

        limits = {"maxiter": 5_000, "maxfun": 10_000, "gtol": 1e-8, "ftol": 0}
        zero = np.zeros(121)
        other = minimize(J, zero, jac=True, method="L-BFGS-B", options=limits)
        found = solve(objective, None, zero[:, np.newaxis], n_starts=1, seed=0, **LIMITS)
        assert found.terminations[0].at_minimum
        assert np.abs(J(found.theta[:, 0])[1]).max() <= LIMITS["tol"]
        ratios.append(J(found.theta[:, 0])[0] / other.fun)
    assert np.mean(ratios) < 0.98  # .92 to .99 on six draws, .96 in the mean


@pytest.mark.parametrize(("alpha", "start", "n_runs"), [(1e-3, 0, 2), (0, 0, 1), (1e-3, 0.1, 1)])
def test_a_stronger_penalty_comes_first_from_zero(alpha, start, n_runs):
    X, y = few_rows(0)
    theta = np.full((121, 1), float(start))
    result = solve(Objective(ArrayRows(X, y), alpha), None, theta, n_starts=1, seed=0, **LIMITS)
    records = result.history.records
    alphas = {record.run: record.alpha for record in records}
    assert alphas == ({1: 10 * alpha, 2: alpha} if n_runs == 2 else {1: alpha})
    assert records[-1].cost[0] == result.terminations[0].cost


@pytest.mark.parametrize("is_key", [False, True])
@pytest.mark.parametrize("run", [1, 3])
def test_a_stop_is_heard_in_every_run(small_samples, run, is_key):
    X, y = large()
    objective = Objective(ArrayRows(X, y), 1e-3)

    def stop(theta, history):
        if is_key and history.n_runs == run:
            raise KeyboardInterrupt
        return history.n_runs == run

    problem = (objective, None, np.zeros((9, 1)))
    if is_key:
        with pytest.raises(TrainingInterrupted) as caught:
            solve(*problem, n_starts=4, seed=0, callback=stop, **LIMITS)
        result = caught.value.result
    else:
        result = solve(*problem, n_starts=4, seed=0, callback=stop, **LIMITS)
    assert result.history.n_runs == run
    end = result.terminations[0]
    assert end.reason == "interrupted"
    J, gradient = objective.value_and_gradient(result.theta)  # over all rows, whatever was solved
    assert (end.cost, end.gradient_max) == pytest.approx((J[0], np.abs(gradient).max()), rel=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("trouble", ["collinear", "constant", "zero", "scales", "wide"])
def test_solvers_cope_with_awkward_columns(solver, trouble):
    X, y = make_classification(200, 6, n_informative=4, flip_y=0.2, random_state=0)
    if trouble == "collinear":
        X[:, 5] = X[:, 0] - 2 * X[:, 1]
    elif trouble == "constant":
        X[:, 5] = 3.0
    elif trouble == "zero":
        X[:, 5] = 0.0
    elif trouble == "scales":
        X[:, :3] *= [1e-3, 1e2, 10.0]
    else:
        X = np.random.default_rng(0).normal(size=(200, 900))
    alpha = 0.0 if trouble != "wide" else 1e-2
    objective = Objective(ArrayRows(X, y.astype(float)), alpha)
    start = np.zeros((X.shape[1] + 1, 1))
    result = minimise(objective, solver, start, max_iter=5000, tol=1e-7)
    assert result.terminations[0].reason == "gradient"
    reference = minimise(objective, "newton", start, max_iter=500, tol=1e-9)
    assert result.terminations[0].cost == pytest.approx(reference.terminations[0].cost, abs=1e-8)


def test_newton_follows_negative_curvature_away_from_a_saddle():
    # two rows of each label far out and one near: between two minima on the axis lies a hump
    x, y = np.array([[10.0], [1.0]]), np.array([1.0, 0.0])
    objective = Objective(ArrayRows(x, y), 0.0, fit_intercept=False)
    grid = np.linspace(0.1, 3, 2000)
    slopes = [objective.value_and_gradient(np.array([[w], [0.0]]))[1][0, 0] for w in grid]
    curved = [objective.value_gradient_hessian(np.array([[w], [0.0]]))[2][0, 0, 0] for w in grid]
    at = int(np.argmin(curved))
    assert curved[at] < 0
    start = np.array([[grid[at]], [0.0]])
    stepped = OPTIMIZERS["newton"]().step(objective, OPTIMIZERS["newton"]().init(objective, start))
    assert np.sign(stepped.theta[0, 0] - grid[at]) == -np.sign(slopes[at])
    assert stepped.J[0] < objective.value(start)[0]
