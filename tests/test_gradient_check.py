"""The tolerance of `check_gradient` is a bound, and a tight one."""

import mpmath
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from trainer import chain_rule, check_gradient
from trainer.inspection.gradient_check import MAX_THIRD_DERIVATIVE


def third_derivative(y, z):
    """By differentiation of l itself, with 50 digits."""
    with mpmath.workdps(50):
        return float(mpmath.diff(lambda t: (y - 1 / (1 + mpmath.exp(-t))) ** 2, z, 3))


def test_the_largest_third_derivative_is_the_one_given():
    found = minimize_scalar(lambda z: -abs(third_derivative(0, z)), bounds=(0, 1), method="bounded")
    assert -found.fun == pytest.approx(MAX_THIRD_DERIVATIVE, rel=1e-7)
    grid = [abs(third_derivative(y, z)) for y in (0, 0.5, 1) for z in np.linspace(-9, 9, 61)]
    assert max(grid) <= MAX_THIRD_DERIVATIVE


def problems():
    rng = np.random.default_rng(0)
    for k in range(150):
        n, d = rng.integers(1, 40), rng.integers(1, 9)
        X = rng.normal(size=(n, d)) * 10 ** rng.uniform(-4, 4, d) + rng.normal(size=d)
        w = rng.normal(size=d) / np.sqrt(np.mean(X**2, axis=0)) * 10 ** rng.uniform(-2, 3)
        y = rng.random(n) if k % 2 else rng.integers(0, 2, n)
        yield X, y, w, rng.normal() * 10 ** rng.uniform(-2, 1)


def test_right_gradients_agree_whatever_the_units_and_the_saturation():
    for X, y, w, b in problems():
        table = check_gradient(X, y, w, b)
        assert table["agrees"].all()
        assert (table["relative difference"] <= table["tolerance"]).all()


@pytest.mark.parametrize("slip", [1e-4, -0.5, 1.0])
def test_wrong_gradients_do_not_agree(monkeypatch, slip):
    right = chain_rule.dJ_dw
    monkeypatch.setattr(chain_rule, "dJ_dw", lambda *args: right(*args) * (1 + slip))
    seen = 0
    for X, y, w, b in problems():
        table = check_gradient(X, y, w, b)
        shown = table["tolerance"][:-1] < abs(slip) / (2 * (1 + abs(slip)))
        assert not table["agrees"][:-1][shown].any()
        assert table["agrees"].iloc[-1]
        seen += shown.sum()
    assert seen > 350


def test_at_an_ordinary_point_more_than_eight_digits_are_expected():
    rng = np.random.default_rng(1)
    X, y, w = rng.normal(size=(100, 5)), rng.integers(0, 2, 100), rng.normal(size=5) / 3
    table = check_gradient(X, y, w, 0.1)
    assert (table["digits expected"] > 7).all()
    assert (table["digits"] <= -np.log10(np.finfo(float).eps)).all()
    assert (table["digits"] >= table["digits expected"]).all()
    np.testing.assert_allclose(table["tolerance"], 10 ** -table["digits expected"], rtol=1e-12)


@pytest.mark.parametrize("X", [[[np.nan]], [[np.inf]]])
def test_missing_values_are_told(X):
    with pytest.raises(ValueError, match="finite numbers"):
        check_gradient(X, [1], [0.5], 0.3)
    with pytest.raises(ValueError, match="at least one row"):
        check_gradient(np.empty((0, 1)), [], [0.5], 0.3)
    with pytest.raises(ValueError, match="at least one row and one column"):
        check_gradient(np.empty((1, 0)), [1], [], 0.3)


def test_one_plain_number_with_a_soft_label_can_be_checked():
    assert check_gradient(1, 0.3, 0.5, 0.3)["agrees"].all()
