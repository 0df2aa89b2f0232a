"""Sums over a block of rows against the lesson and 50-digit arithmetic."""

import numpy as np
import pytest
from helpers import Z_FAR, exact, rounded
from scipy.sparse import csr_array

from trainer import chain_rule as lesson
from trainer.core import kernels
from trainer.core.kernels import Block
from trainer.core.loss import SQUARED_ERROR


@pytest.fixture(params=["dense", "sparse", "dense, hard labels", "sparse, hard labels"])
def block_and_bank(request):
    rng = np.random.default_rng(3)
    m, d, K = 50, 4, 3
    X = rng.normal(size=(m, d)) * (rng.random((m, d)) < 0.6)
    y = np.where(rng.random((m, K)) < 0.5, rng.integers(0, 2, (m, K)), rng.random((m, K)))
    weight = rng.random((m, 1))
    theta = 3 * rng.normal(size=(d + 1, K))
    kept = csr_array(X) if request.param.startswith("sparse") else X
    if request.param.endswith("hard labels"):
        y = y.round()
    loss, stored = SQUARED_ERROR.encode(y)
    assert (loss is SQUARED_ERROR) != request.param.endswith("hard labels")
    return Block(kept, stored, weight), loss, X, y, theta


def test_gradient_kernel_is_the_lesson(block_and_bank):
    block, loss, X, y, theta = block_and_bank
    w, b = theta[:-1], theta[-1]
    z = lesson.z(X, w, b)
    upstream = block.weight * rounded(y, z)[0]
    cost, gradient = kernels.gradient_sums(block, theta, loss)
    np.testing.assert_allclose(
        cost, (block.weight * lesson.l(y, lesson.sigmoid(z))).sum(axis=0), rtol=1e-13
    )
    np.testing.assert_allclose(gradient[:-1], X.T @ upstream, rtol=1e-12)
    np.testing.assert_allclose(gradient[-1], upstream.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(kernels.value_sums(block, theta, loss)[0], cost, rtol=1e-15)


def test_unweighted_gradient_kernel_is_backpropagation(block_and_bank):
    block, loss, X, y, theta = block_and_bank
    dJ_dw, dJ_db = lesson.backpropagation(X, y, theta[:-1], theta[-1])
    _, sums = kernels.gradient_sums(block._replace(weight=None), theta, loss)
    np.testing.assert_allclose(sums / len(X), np.vstack([dJ_dw, dJ_db]), rtol=1e-12)


def test_curvature_kernels_are_the_lesson(block_and_bank):
    block, loss, X, y, theta = block_and_bank
    direction = np.random.default_rng(5).normal(size=theta.shape)
    z = lesson.z(X, theta[:-1], theta[-1])
    response = X @ direction[:-1] + direction[-1]
    X1 = np.hstack([X, np.ones((len(X), 1))])
    curvature = rounded(y, z)[1]
    upstream = block.weight * curvature * response
    (product,) = kernels.hessian_product_sums(block, theta, direction, loss)
    np.testing.assert_allclose(product, X1.T @ upstream, rtol=1e-11)
    (negative,) = kernels.negative_curvature_sums(block, theta, loss)
    expected = (block.weight * (curvature < 0)).sum(axis=0)
    np.testing.assert_allclose(negative, expected, rtol=1e-12)
    (squares,) = kernels.squared_response_sums(block, direction)
    np.testing.assert_allclose(squares, (block.weight * response**2).sum(axis=0), rtol=1e-12)
    (gram,) = kernels.gram_product_sums(block, direction)
    np.testing.assert_allclose(gram, X1.T @ (block.weight * response), rtol=1e-11)
    (squares,) = kernels.squared_feature_sums(block)
    np.testing.assert_allclose(squares[:, 0], (block.weight * X1**2).sum(axis=0), rtol=1e-12)


def test_score_product_kernel_is_the_lesson_row_by_row(block_and_bank):
    block, loss, X, y, theta = block_and_bank
    (products,) = kernels.score_product_sums(block, theta, loss)
    assert products.shape == (5, 5, 3)
    for k in range(theta.shape[1]):
        expected = np.zeros((5, 5))
        for x, label, weight in zip(X, y[:, k], block.weight[:, 0], strict=True):
            z = lesson.z(x, theta[:-1, k], theta[-1, k])
            score = float(rounded(label, z)[0]) * np.append(x, 1)
            expected += weight * np.outer(score, score)
        np.testing.assert_allclose(products[..., k], expected, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_neurons", [3, 12])
def test_hessians_of_few_and_of_many_neurons_are_the_lessons(n_neurons, dtype):
    rng = np.random.default_rng(8)
    m, d = 2 * kernels.PAIRED_ROWS + 7, 5
    X = rng.normal(size=(m, d)).astype(dtype)
    y = rng.integers(0, 2, (m, n_neurons)).astype(dtype)
    weight = rng.random((m, 1)).astype(dtype)
    theta = rng.normal(size=(d + 1, n_neurons))
    hessian = kernels.hessian_sums(Block(X, y, weight), theta, SQUARED_ERROR)[2]
    X1 = np.hstack([X, np.ones((m, 1))])
    curvature = weight * rounded(y, lesson.z(X, theta[:-1], theta[-1]))[1]
    expected = np.einsum("mi,mj,mk->ijk", X1, X1, curvature)
    np.testing.assert_allclose(hessian, expected, atol=1e-11 if dtype == np.float64 else 1e-4)


@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_kernels_keep_both_tails(y, hard):
    """One row x = 1, a neuron for each z: within 1e-13 of 50 digits wherever float64 holds it."""
    z = np.concatenate([Z_FAR, [-800.0, 800.0]])
    target = np.array([[y]])
    loss, stored = SQUARED_ERROR.encode(target) if hard else (SQUARED_ERROR, target)
    block = Block(np.ones((1, 1)), stored, None)
    theta = np.vstack([np.zeros_like(z), z])
    direction = np.vstack([np.zeros_like(z), np.ones_like(z)])
    _, gradient = kernels.gradient_sums(block, theta, loss)
    (product,) = kernels.hessian_product_sums(block, theta, direction, loss)
    away_from_zero = np.abs((2 * y - 1) * z + np.log(2)) > 0.01  # of the curvature
    compared = 0
    for ours, true, where in zip(
        (gradient[1], product[1]), exact(y, z), (True, away_from_zero), strict=True
    ):
        held = np.abs(true) >= np.finfo(float).tiny
        assert (np.abs(ours[~held]) <= 1e-307).all()
        held &= where
        assert (np.abs((ours[held] - true[held]) / true[held]) <= 1e-13).all()
        compared += held.sum()
    assert compared > 700
