"""The lesson's numbers, every derivative by two oracles, swapped arguments, and the kernels."""

import warnings

import mpmath
import numpy as np
import pytest
from scipy.sparse import csr_array

from trainer import chain_rule as lesson
from trainer.core import kernels
from trainer.core.rows import Block

LESSON = [
    # w, z, sigma, loss for x = 1, b = 0.3, y = 1
    (0.3, 0.6, 0.6456563062257954, 0.12555945331754728),
    (0.5, 0.8, 0.6899744811276125, 0.0961158223520931),
]


@pytest.mark.parametrize(("w", "z", "sigma", "loss"), LESSON)
def test_lesson_numbers_hold_to_the_last_digit(w, z, sigma, loss):
    assert lesson.z(1, w, 0.3) == z
    assert lesson.sigmoid(lesson.z(1, w, 0.3)) == sigma
    assert lesson.h(1, w, 0.3) == sigma
    assert lesson.l(1, lesson.h(1, w, 0.3)) == loss
    assert lesson.J(1, 1, w, 0.3) == loss


@pytest.mark.parametrize(("w", "z", "sigma", "loss"), LESSON)
def test_lesson_derivatives_are_the_product_written_out(w, z, sigma, loss):
    expected = 2 * (sigma - 1) * sigma * (1 - sigma) * 1
    assert lesson.dl_dsig(1, sigma) == pytest.approx(2 * (sigma - 1), rel=1e-14)
    assert lesson.dsig_dz(z) == pytest.approx(sigma * (1 - sigma), rel=1e-14)
    assert lesson.dz_dw(1) == 1
    assert lesson.dz_db() == 1
    assert lesson.dJ_dw(1, 1, w, 0.3) == pytest.approx(expected, rel=1e-14)
    assert lesson.dJ_db(1, 1, w, 0.3) == pytest.approx(expected, rel=1e-14)


def batch(kind):
    rng = np.random.default_rng(7)
    n, d, K = 40, 3, 4
    y = rng.random(n)
    y[:20] = rng.random(20) < 0.5
    if kind == "numbers":
        return rng.normal(size=n), y, 0.7, -0.2
    X = rng.normal(size=(n, d))
    if kind == "one neuron":
        return X, y, rng.normal(size=d), 0.3
    return X, y[:, None], rng.normal(size=(d, K)), rng.normal(size=K)


KINDS = ["numbers", "one neuron", "bank"]


def central_difference(function, at, step=1e-5):
    """dJ/dat by value, one component at a time; the bank's neurons do not mix."""
    at = np.array(at, dtype=float)
    result = np.empty_like(at)
    for index in np.ndindex(at.shape):
        ahead, behind = at.copy(), at.copy()
        ahead[index] += step
        behind[index] -= step
        slope = (np.asarray(function(ahead)) - np.asarray(function(behind))) / (2 * step)
        result[index] = slope if slope.ndim == 0 else slope[index[-1]]
    return result


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_meet_finite_differences(kind):
    x, y, w, b = batch(kind)
    by_w = central_difference(lambda w: lesson.J(x, y, w, b), w)
    by_b = central_difference(lambda b: lesson.J(x, y, w, b), b)
    np.testing.assert_allclose(lesson.dJ_dw(x, y, w, b), by_w, rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(lesson.dJ_db(x, y, w, b), by_b, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_product_of_three_is_backpropagation(kind):
    x, y, w, b = batch(kind)
    dJ_dw, dJ_db = lesson.backpropagation(x, y, w, b)
    np.testing.assert_allclose(dJ_dw, lesson.dJ_dw(x, y, w, b), rtol=1e-13, atol=1e-17)
    np.testing.assert_allclose(dJ_db, lesson.dJ_db(x, y, w, b), rtol=1e-13, atol=1e-17)
    assert np.shape(dJ_dw) == np.shape(w)
    assert np.shape(dJ_db) == np.shape(b)


Z_FAR = np.concatenate([np.linspace(-700, 700, 281), np.linspace(-12, 12, 241) + 0.013])


@np.vectorize(otypes=[object, object])
def exact(y, z):
    """dl/dz and d²l/dz² with 50 digits."""
    with mpmath.workdps(50):
        y, z = mpmath.mpf(float(y)), mpmath.mpf(float(z))
        sigma = 1 / (1 + mpmath.exp(-z))
        one_minus = 1 / (1 + mpmath.exp(z))
        v = sigma * one_minus
        # σ - y, without the 50 digits' own cancellation at |z| = 700
        residual = -one_minus if y == 1 else sigma - y
        first = 2 * residual * v
        second = 2 * v * (v + residual * (one_minus - sigma))
        return first, second


def rounded(y, z):
    """The derivatives of `exact` in float64."""
    return tuple(np.asarray(derivative, dtype=float) for derivative in exact(y, z))


@pytest.mark.parametrize("y", [0.0, 1.0])
def test_derivatives_by_z_meet_fifty_digits(y):
    """Rounding 1 - σ and σ - y leaves an absolute error of ε each: v is at most 1/4, |σ - y| 1."""
    z = np.concatenate([Z_FAR, np.linspace(-40, 40, 321)])
    first, second = rounded(y, z)
    eps = np.finfo(float).eps
    assert np.abs(lesson.dl_dz(y, z) - first).max() <= 4 * eps
    assert np.abs(lesson.d2l_dz2(y, z) - second).max() <= 4 * eps


@pytest.mark.parametrize("y", [0.0, 0.25, 1.0])
def test_derivatives_by_z_meet_finite_differences(y):
    z, step = np.linspace(-8, 8, 101), 1e-5
    slope = (lesson.l(y, lesson.sigmoid(z + step)) - lesson.l(y, lesson.sigmoid(z - step))) / (
        2 * step
    )
    bend = (lesson.dl_dz(y, z + step) - lesson.dl_dz(y, z - step)) / (2 * step)
    np.testing.assert_allclose(lesson.dl_dz(y, z), slope, atol=1e-9)
    np.testing.assert_allclose(lesson.d2l_dz2(y, z), bend, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_warning_and_right_limits_far_out(dtype):
    z = np.array([-1e4, 1e4], dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lesson.sigmoid(z).tolist() == [0.0, 1.0]
        assert lesson.l(1, lesson.sigmoid(z)).tolist() == [1.0, 0.0]
        for derivative in (lesson.dl_dz, lesson.d2l_dz2):
            assert derivative(1, z).tolist() == [0.0, 0.0]
        assert lesson.dsig_dz(z).tolist() == [0.0, 0.0]


def test_extremes_are_the_published_ones():
    z = np.linspace(-6, 6, 1_200_001)
    assert np.abs(lesson.dl_dz(1, z)).max() == pytest.approx(8 / 27, rel=1e-9)
    curvature = lesson.d2l_dz2(1, z)
    assert curvature.max() == pytest.approx(lesson.MAX_CURVATURE, rel=1e-9)
    assert z[curvature.argmax()] == pytest.approx(0.465663, abs=1e-4)
    assert curvature.min() == pytest.approx(-0.12020440, rel=1e-7)
    assert z[curvature.argmin()] == pytest.approx(-1.851958, abs=1e-4)
    assert (curvature < 0).sum() == (z < -np.log(2)).sum()


# --------------------------------------------------------- arguments out of their order


@pytest.mark.parametrize(
    "call",
    [
        lambda sigma: lesson.dl_dsig(sigma, 1),
        lambda sigma: lesson.dl_dsig(sigma, 1.0),
        lambda sigma: lesson.l(sigma, 1),
        lambda sigma: lesson.l([sigma, sigma], [1, 0]),
        lambda sigma: lesson.dJ_dw(0.5, 0.3, 1, 1),  # w, b, x, y
        lambda sigma: lesson.dJ_db(0.5, 0.3, 1, 1),
        lambda sigma: lesson.J(1, 0.5, 0.3, 1),  # x, w, b, y
        lambda sigma: lesson.backpropagation(1, 0.5, 0.3, 1),
        lambda sigma: lesson.dl_dz(0.6, 1),
        lambda sigma: lesson.d2l_dz2(-2, 1),
        lambda sigma: lesson.dl_dsig(np.nan, sigma),
    ],
)
def test_a_swapped_target_is_an_error(call):
    with pytest.raises(ValueError, match=r"y must be 0 or 1, .* got .* name the arguments"):
        call(lesson.h(1, 0.3, 0.3))


@pytest.mark.parametrize("z", [-0.6, 1.2, np.nan])
def test_z_in_the_place_of_sigma_is_an_error_where_it_shows(z):
    for function in (lesson.l, lesson.dl_dsig):
        with pytest.raises(ValueError, match=r"sigma must be σ\(z\), from 0 to 1, got"):
            function(1, z)


def test_soft_labels_are_a_batch():
    assert lesson.dl_dsig([0.9], [0.5]) == pytest.approx([-0.8], rel=1e-15)
    assert lesson.J([1.0], [0.9], 0.0, 0.0) == pytest.approx(0.16, rel=1e-15)
    assert lesson.l(0, 1) == lesson.l(1, 0) == 1
    saturated = lesson.J([1.0, 2.0], [0.9, 0.9], 100.0, 0.0)  # σ is 1 exactly: still no swap
    assert saturated == pytest.approx(0.01, rel=1e-14)


@pytest.mark.parametrize(
    ("x", "y", "w", "words"),
    [
        (np.ones((3, 2)), np.ones((3, 1)), np.ones(2), r"shape \(3, 1\) for outputs \(3,\)"),
        (np.ones((3, 2)), np.ones(3), np.ones((2, 3)), r"shape \(3,\) for outputs \(3, 3\)"),
        (np.ones((3, 2)), np.ones(1), np.ones(2), r"shape \(1,\) for outputs \(3,\)"),
        (1.0, np.ones(2), 1.0, r"shape \(2,\) for outputs \(\)"),
        (np.ones(2), 1.0, np.ones((2, 2)), "at least as many dimensions as w, got 1 and 2"),
    ],
)
def test_shapes_that_would_broadcast_to_something_else_are_errors(x, y, w, words):
    for function in (lesson.J, lesson.dJ_dw, lesson.dJ_db, lesson.backpropagation):
        with pytest.raises(ValueError, match=words):
            function(x, y, w, 0.0)


def test_plain_numbers_give_plain_floats_and_arguments_have_names():
    sigma, z = lesson.h(x=1, w=0.3, b=0.3), lesson.z(x=1, w=0.3, b=0.3)
    gradient = {"dJ_dw": lesson.dJ_dw(x=1, y=1, w=0.3, b=0.3)}
    gradient["dJ_db"] = lesson.dJ_db(x=1, y=1, w=0.3, b=0.3)
    row = np.array([1.0, 2.0])
    for value in (
        sigma,
        z,
        lesson.sigmoid(z=np.float64(0.6)),
        lesson.sigmoid(z=0),
        lesson.l(y=1, sigma=sigma),
        lesson.J(x=1, y=1, w=0.3, b=0.3),
        lesson.J(row, 1, row, 0.3),
        lesson.J(row, [1, 0], 0.3, 0.3),
        lesson.dl_dsig(y=1, sigma=sigma),
        lesson.dsig_dz(z=z),
        lesson.dz_dw(x=1),
        lesson.dz_db(),
        *gradient.values(),
        *lesson.backpropagation(x=1, y=1, w=0.3, b=0.3),
        lesson.dl_dz(y=1, z=z),
        lesson.d2l_dz2(y=1, z=z),
        *lesson.update(w=0.3, b=0.3, **gradient, learning_rate=1),
    ):
        assert type(value) is float


def test_one_row_is_a_batch_of_one():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 4))
    for function in (lesson.J, lesson.dJ_dw, lesson.dJ_db):
        np.testing.assert_allclose(
            function(x, 1, w, 0.2), function(x[np.newaxis], [1], w, 0.2), rtol=1e-15
        )


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_update_lowers_the_cost_as_the_gradient_says(kind):
    x, y, w, b = batch(kind)
    dJ_dw, dJ_db = lesson.backpropagation(x, y, w, b)
    rate = 1e-6
    lower = lesson.J(x, y, *lesson.update(w, b, dJ_dw, dJ_db, rate))
    squares = np.sum(np.square(dJ_dw), axis=0) + np.square(dJ_db)
    np.testing.assert_allclose((lesson.J(x, y, w, b) - lower) / rate, squares, rtol=1e-4)


# --------------------------------------------------------------------- the kernels


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
        return Block(kept, 1 - 2 * y, True, weight, {}), X, y, theta
    return Block(kept, y, False, weight, {}), X, y, theta


def test_gradient_kernel_is_the_lesson(block_and_bank):
    block, X, y, theta = block_and_bank
    w, b = theta[:-1], theta[-1]
    z = lesson.z(X, w, b)
    upstream = block.weight * rounded(y, z)[0]
    cost, gradient = kernels.gradient_sums(block, theta)
    np.testing.assert_allclose(
        cost, (block.weight * lesson.l(y, lesson.sigmoid(z))).sum(axis=0), rtol=1e-13
    )
    np.testing.assert_allclose(gradient[:-1], X.T @ upstream, rtol=1e-12)
    np.testing.assert_allclose(gradient[-1], upstream.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(kernels.cost_sums(block, theta)[0], cost, rtol=1e-15)


def test_unweighted_gradient_kernel_is_backpropagation(block_and_bank):
    block, X, y, theta = block_and_bank
    dJ_dw, dJ_db = lesson.backpropagation(X, y, theta[:-1], theta[-1])
    _, sums = kernels.gradient_sums(block._replace(weight=None), theta)
    np.testing.assert_allclose(sums / len(X), np.vstack([dJ_dw, dJ_db]), rtol=1e-12)


def test_curvature_kernels_are_the_lesson(block_and_bank):
    block, X, y, theta = block_and_bank
    direction = np.random.default_rng(5).normal(size=theta.shape)
    z = lesson.z(X, theta[:-1], theta[-1])
    response = X @ direction[:-1] + direction[-1]
    X1 = np.hstack([X, np.ones((len(X), 1))])
    curvature = rounded(y, z)[1]
    upstream = block.weight * curvature * response
    (product,) = kernels.hessian_product_sums(block, theta, direction)
    np.testing.assert_allclose(product, X1.T @ upstream, rtol=1e-11)
    (misfit,) = kernels.misfit_sums(block, theta)
    expected = (block.weight * (curvature < 0)).sum(axis=0)
    np.testing.assert_allclose(misfit, expected, rtol=1e-12)
    (squares,) = kernels.squared_response_sums(block, direction)
    np.testing.assert_allclose(squares, (block.weight * response**2).sum(axis=0), rtol=1e-12)
    (gram,) = kernels.gram_product_sums(block, direction)
    np.testing.assert_allclose(gram, X1.T @ (block.weight * response), rtol=1e-11)
    (squares,) = kernels.squared_column_sums(block)
    np.testing.assert_allclose(squares[:, 0], (block.weight * X1**2).sum(axis=0), rtol=1e-12)


def test_score_product_kernel_is_the_lesson_row_by_row(block_and_bank):
    block, X, y, theta = block_and_bank
    (products,) = kernels.score_product_sums(block, theta)
    assert products.shape == (5, 5, 3)
    for k in range(theta.shape[1]):
        expected = np.zeros((5, 5))
        for x, label, weight in zip(X, y[:, k], block.weight[:, 0], strict=True):
            z = lesson.z(x, theta[:-1, k], theta[-1, k])
            score = float(rounded(label, z)[0]) * np.append(x, 1)
            expected += weight * np.outer(score, score)
        np.testing.assert_allclose(products[..., k], expected, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_kernels_keep_both_tails(y, hard):
    """One row x = 1, a neuron for each z: within 1e-13 of 50 digits wherever float64 holds it."""
    z = np.concatenate([Z_FAR, [-800.0, 800.0]])
    target = np.array([[y]])
    block = Block(np.ones((1, 1)), 1 - 2 * target if hard else target, hard, None, {})
    theta = np.vstack([np.zeros_like(z), z])
    direction = np.vstack([np.zeros_like(z), np.ones_like(z)])
    _, gradient = kernels.gradient_sums(block, theta)
    (product,) = kernels.hessian_product_sums(block, theta, direction)
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
