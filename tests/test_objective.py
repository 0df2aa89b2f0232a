"""J, dJ and d²J of a bank: by value, in blocks, one by one, weighted, sparse."""

import tracemalloc
from threading import current_thread, main_thread
from time import sleep

import numpy as np
import pytest
from scipy.sparse import csr_array

from trainer.chain_rule import dl_dz
from trainer.core import parallel
from trainer.core import rows as rows_module
from trainer.core.objective import Objective
from trainer.core.rows import ArrayRows


def problem(K=3, n=60, d=4, weighted=True):
    rng = np.random.default_rng(11)
    X = rng.normal(size=(n, d))
    y = (rng.random((n, K)) < 0.4).astype(float)
    weight = rng.random((n, K)) if weighted else None
    theta = rng.normal(size=(d + 1, K))
    alpha = np.linspace(0.01, 0.3, K)
    return X, y, weight, theta, alpha


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_gradient_and_hessian_meet_finite_differences(fit_intercept):
    X, y, weight, theta, alpha = problem()
    objective = Objective(ArrayRows(X, y, weight), alpha, fit_intercept)
    direction = np.random.default_rng(1).normal(size=theta.shape)
    if not fit_intercept:
        direction[-1] = 0
    step = 1e-5
    J_ahead, dJ_ahead = objective.value_and_gradient(theta + step * direction)
    J_behind, dJ_behind = objective.value_and_gradient(theta - step * direction)
    J, dJ = objective.value_and_gradient(theta)
    np.testing.assert_allclose(
        (dJ * direction).sum(axis=0), (J_ahead - J_behind) / (2 * step), rtol=1e-7
    )
    np.testing.assert_allclose(
        objective.hessian_product(theta, direction),
        (dJ_ahead - dJ_behind) / (2 * step),
        rtol=1e-6,
        atol=1e-9,
    )
    np.testing.assert_allclose(objective.value(theta), J, rtol=1e-15)
    if not fit_intercept:
        assert (dJ[-1] == 0).all()


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_score_products_are_the_mean_over_rows_without_the_penalty(fit_intercept):
    X, y, weight, theta, alpha = problem()
    products = Objective(ArrayRows(X, y, weight), alpha, fit_intercept).score_products(theta)
    X1 = np.hstack([X, np.full((len(X), 1), float(fit_intercept))])
    score = dl_dz(y, X @ theta[:-1] + theta[-1])[:, np.newaxis] * X1[:, :, np.newaxis]
    for k in range(theta.shape[1]):
        outer = [np.outer(row, row) for row in score[..., k]]
        expected = np.average(outer, axis=0, weights=weight[:, k])
        np.testing.assert_allclose(products[..., k], expected, rtol=1e-11, atol=1e-16)


def test_cost_is_the_weighted_mean_plus_the_penalty_on_w_alone():
    X, y, weight, theta, alpha = problem()
    sigma = 1 / (1 + np.exp(-(X @ theta[:-1] + theta[-1])))
    expected = np.average((y - sigma) ** 2, axis=0, weights=weight)
    expected += alpha / 2 * (theta[:-1] ** 2).sum(axis=0)
    got = Objective(ArrayRows(X, y, weight), alpha).value(theta)
    np.testing.assert_allclose(got, expected, rtol=1e-13)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
def test_blocks_are_the_whole(monkeypatch, sparse, order):
    X, y, weight, theta, alpha = problem(n=2000)
    X = csr_array(X) if sparse else np.asarray(X, order=order)
    objective = Objective(ArrayRows(X, y, weight), alpha)
    whole = objective.value_and_gradient(theta)
    monkeypatch.setattr(rows_module, "BLOCK_BYTES", 1)  # the smallest blocks there are
    in_blocks = objective.value_and_gradient(theta)
    again = objective.value_and_gradient(theta)
    for a, b, c in zip(whole, in_blocks, again, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12)
        np.testing.assert_array_equal(b, c)


def test_bank_is_its_neurons_one_at_a_time():
    X, y, weight, theta, alpha = problem()
    bank = Objective(ArrayRows(X, y, weight), alpha)
    J, dJ = bank.value_and_gradient(theta)
    for k in range(theta.shape[1]):
        one = Objective(ArrayRows(X, y[:, k], weight[:, k]), alpha[k])
        J_k, dJ_k = one.value_and_gradient(theta[:, [k]])
        np.testing.assert_allclose(J[[k]], J_k, rtol=1e-13)
        np.testing.assert_allclose(dJ[:, [k]], dJ_k, rtol=1e-11, atol=1e-16)
        products = bank.score_products(theta)[..., [k]]
        np.testing.assert_allclose(products, one.score_products(theta[:, [k]]), rtol=1e-10)
        np.testing.assert_allclose(bank.lipschitz()[[k]], one.lipschitz(), rtol=1e-12)
        np.testing.assert_allclose(bank.mean_square_row()[[k]], one.mean_square_row(), rtol=1e-12)
        part = bank.select(np.array([k])).value_and_gradient(theta[:, [k]])
        np.testing.assert_allclose(part[1], dJ_k, rtol=1e-12, atol=1e-16)


def test_weights_are_repeated_rows():
    X, y, _, theta, alpha = problem()
    counts = np.random.default_rng(2).integers(0, 4, len(X))
    weighted = Objective(ArrayRows(X, y, counts.astype(float)), alpha)
    repeated = Objective(ArrayRows(X.repeat(counts, axis=0), y.repeat(counts, axis=0)), alpha)
    for a, b in zip(
        weighted.value_and_gradient(theta), repeated.value_and_gradient(theta), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_allclose(
        weighted.score_products(theta), repeated.score_products(theta), rtol=1e-11
    )
    np.testing.assert_allclose(weighted.lipschitz(), repeated.lipschitz(), rtol=1e-12)
    np.testing.assert_allclose(weighted.mean_square_row(), repeated.mean_square_row(), rtol=1e-12)
    np.testing.assert_allclose(
        weighted.curvature_bound(theta), repeated.curvature_bound(theta), rtol=1e-12
    )


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_mean_square_features_are_the_diagonal_of_the_gram_matrix(sparse, weighted):
    X, y, weight, _, alpha = problem(weighted=weighted)
    objective = Objective(ArrayRows(csr_array(X) if sparse else X, y, weight), alpha)
    expected = np.einsum("iik->ik", objective.gram())
    np.testing.assert_allclose(objective.mean_square_features(), expected, rtol=1e-12)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_hessian_operator_is_the_hessian_product(sparse, weighted, fit_intercept):
    X, y, weight, theta, alpha = problem(weighted=weighted)
    rows = ArrayRows(csr_array(X) if sparse else X, y, weight)
    objective = Objective(rows, alpha, fit_intercept).select(np.array([2, 0]))
    theta = 3 * theta[:, [2, 0]]  # with negative curvature in some rows
    direction = np.random.default_rng(1).normal(size=theta.shape)
    expected = objective.hessian_product(theta, direction)
    product = objective.hessian_operator(theta)
    np.testing.assert_allclose(product(direction), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(product(-2 * direction), -2 * expected, rtol=1e-12, atol=1e-15)


def test_no_pass_over_sparse_rows_copies_their_entries(monkeypatch):
    """SciPy copies a view of less than half of an array, when it makes a matrix of it."""
    monkeypatch.setattr(parallel, "available_threads", lambda: 2)
    n = 40_001  # of two blocks, one has less than half
    X = csr_array((np.ones(60 * n), np.tile(np.arange(60), n), np.arange(0, 60 * n + 1, 60)))
    objective = Objective(ArrayRows(X, np.arange(n) % 2.0), 1e-4)
    theta = np.zeros((61, 1))
    objective.value_and_gradient(theta)
    tracemalloc.start()
    objective.value_and_gradient(theta)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.data.nbytes / 4


def test_float32_answers_to_its_precision():
    X, y, weight, theta, alpha = problem(n=5000)
    J, dJ = Objective(ArrayRows(X, y, weight), alpha).value_and_gradient(theta)
    single = ArrayRows(X.astype("f4"), y.astype("f4"), weight.astype("f4"))
    J_single, dJ_single = Objective(single, alpha).value_and_gradient(theta)
    assert dJ_single.dtype == np.float64
    np.testing.assert_allclose(J_single, J, rtol=1e-6)
    np.testing.assert_allclose(dJ_single, dJ, atol=1e-6)


@pytest.mark.parametrize("limit", [500, 1])
def test_lipschitz_is_the_largest_eigenvalue_and_bounds_all_curvature(monkeypatch, limit):
    monkeypatch.setattr("trainer.core.objective.MAX_EXACT_EIGENVALUE", limit)
    X, y, _, theta, _ = problem(K=1)
    objective = Objective(ArrayRows(X, y), 0.1)
    X1 = np.hstack([X, np.ones((len(X), 1))])
    by_svd = 0.15405857 * np.linalg.svd(X1, compute_uv=False)[0] ** 2 / len(X) + 0.1
    assert objective.lipschitz()[0] == pytest.approx(by_svd, rel=2e-5)
    before = objective.n_passes
    assert objective.lipschitz()[0] >= by_svd * (1 - 1e-7)
    assert objective.n_passes - before == 1 if limit == 500 else objective.n_passes - before > 1
    bound = objective.curvature_bound(theta)
    for scale in (0.1, 1, 3):
        curvature = (theta * objective.hessian_product(scale * theta, theta)).sum()
        assert curvature <= bound[0] <= objective.lipschitz()[0] * (theta**2).sum()


def test_minibatches_hold_every_row_once_and_average_to_the_whole():
    X, y, weight, theta, alpha = problem(n=50)
    objective = Objective(ArrayRows(X, y, weight), alpha)
    batches = [
        (batch.rows.X, batch.gradient(theta))
        for batch in objective.minibatches(np.random.default_rng(0), 16)
    ]
    seen = np.vstack([rows for rows, _ in batches])
    assert [len(rows) for rows, _ in batches] == [16, 16, 16, 2]
    np.testing.assert_array_equal(np.sort(seen, axis=0), np.sort(X, axis=0))
    mean = sum(len(rows) / 50 * gradient for rows, gradient in batches)
    np.testing.assert_allclose(mean, objective.value_and_gradient(theta)[1], rtol=1e-12)
    other = next(objective.minibatches(np.random.default_rng(1), 16))
    assert not np.array_equal(other.rows.X, batches[0][0])


@pytest.mark.parametrize("shuffled", [False, True])
def test_neurons_that_share_weights_are_themselves(monkeypatch, shuffled):
    """The columns of a cross-validation: some blocks count for no neuron, some for a few."""
    X, y, _, theta, alpha = problem(K=6, n=3000)
    y_of, weight_of = np.repeat([0, 1], 3), np.tile([0, 1, 2], 2)
    weight = np.zeros((3000, 3))
    weight[600:1500, 0] = weight[1200:, 1] = 1
    weight[600:2000, 2] = np.random.default_rng(2).random(1400)
    weight[:300] = 1
    if shuffled:
        np.random.default_rng(3).shuffle(weight)
    monkeypatch.setattr(rows_module, "BLOCK_BYTES", 1)
    bank = Objective(ArrayRows(X, y[:, :2], weight, y_of, weight_of), alpha=np.tile(alpha[:3], 2))
    found = (*bank.value_gradient_hessian(theta), bank.gram(), bank.mean_square_features())
    for k in range(6):
        rows = ArrayRows(X, y[:, y_of[k]], weight[:, weight_of[k]])
        one = Objective(rows, alpha[k % 3])
        expected = (
            *one.value_gradient_hessian(theta[:, [k]]), one.gram(), one.mean_square_features()
        )  # fmt: skip
        for got, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(got[..., [k]], wanted, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("shared", [False, True])
def test_threads_that_take_some_of_the_neurons_each_find_the_same(monkeypatch, shared):
    X, y, weight, theta, alpha = problem(K=5)
    of = np.array([0, 1, 1, 2, 0]) if shared else None
    objective = Objective(ArrayRows(X, y, weight, of, of), alpha)
    alone = objective.value_gradient_hessian(theta)
    used = []
    monkeypatch.setattr(parallel, "available_threads", lambda: 3)
    monkeypatch.setattr(rows_module, "MIN_SHARED_BLOCK", 1)
    monkeypatch.setattr(parallel, "run", noted(parallel.run, used))
    objective = Objective(ArrayRows(X, y, weight, of, of), alpha)
    together = objective.value_gradient_hessian(theta)
    assert [len(tasks) for (tasks,) in used] == [3]
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-15)


def test_an_interruption_waits_for_the_other_threads(monkeypatch):
    X, y, _, theta, _ = problem(n=3000)
    monkeypatch.setattr(rows_module, "BLOCK_BYTES", 1)
    monkeypatch.setattr(parallel, "available_threads", lambda: 2)
    rows, done = ArrayRows(X, y), []

    def kernel(block, theta):
        if current_thread() is main_thread():
            raise KeyboardInterrupt
        sleep(0.01)
        done.append(len(block.y))
        return (np.zeros(3),)

    with parallel.session():
        with pytest.raises(KeyboardInterrupt):
            rows.map_sum(kernel, theta)
        assert sum(done) == 3000 - 6 * rows_module.MIN_BLOCK_ROWS


def noted(function, calls):
    def call(*args):
        calls.append(args)
        return function(*args)

    return call
