"""The lesson's numbers, every derivative by two oracles and swapped arguments."""

import inspect
import re
import warnings

import numpy as np
import pytest
from helpers import Z_FAR, rounded

from trainer import chain_rule as lesson

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


def public():
    """The lesson's functions, by name."""
    return {n: f for n, f in inspect.getmembers(lesson, inspect.isfunction) if n[0] != "_"}


@pytest.mark.parametrize("name", public())
def test_the_number_in_a_docstring_is_what_the_function_gives(name):
    """The text is one line and ends with ": name(arguments) = number."."""
    (text,) = public()[name].__doc__.splitlines()
    call, told = re.search(rf": ({name}\(.*\)) = (.+)\.$", text).groups()
    assert repr(eval(call, public())) == told


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
    assert curvature.max() == pytest.approx(0.15405857, rel=1e-7)
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
