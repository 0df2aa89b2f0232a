"""The loss of a row: derivatives, constants, any target; and another loss put in from outside."""

import numpy as np
import pytest
from helpers import ALL, Z_FAR, minimise
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from trainer import chain_rule as lesson
from trainer.core.loss import SQUARED_ERROR, Loss, SquaredError, sigmoid
from trainer.core.objective import Objective


def evaluate(loss, z, y, order=2):
    """What the loss gives for each z, which it may overwrite."""
    loss, stored = loss.encode(np.full((1, 1), float(y)))
    found = loss.evaluate(np.array(z, float)[:, None], stored, order)
    return [values[:, 0].copy() for values in found]  # the next call reuses their memory


@pytest.mark.parametrize("y", [0.0, 1.0, 0.3, -0.4, 1.7])
def test_derivatives_meet_finite_differences_for_any_target(y):
    z, step = np.linspace(-6, 6, 61), 1e-5
    value, slope, curvature = evaluate(SQUARED_ERROR, z, y)
    np.testing.assert_allclose(value, (y - expit(z)) ** 2, rtol=1e-12, atol=1e-15)
    ahead, behind = (evaluate(SQUARED_ERROR, z + s, y) for s in (step, -step))
    np.testing.assert_allclose(slope, (ahead[0] - behind[0]) / (2 * step), atol=1e-9)
    np.testing.assert_allclose(curvature, (ahead[1] - behind[1]) / (2 * step), atol=1e-9)


def test_lower_orders_are_the_first_of_the_higher():
    z = np.linspace(-40, 40, 201)
    for y in (0.0, 1.0, 0.3):
        whole = evaluate(SQUARED_ERROR, z, y)
        for order in (0, 1):
            found = evaluate(SQUARED_ERROR, z, y, order)
            assert len(found) == order + 1
            for a, b in zip(found, whole, strict=False):
                np.testing.assert_array_equal(a, b)


def test_the_constants_are_the_extremes():
    z = np.linspace(-6, 6, 1_200_001)
    for y in (0, 1):
        value, _, curvature = evaluate(SQUARED_ERROR, z, y)
        assert value.max() <= SQUARED_ERROR.max_value
        assert curvature.max() == pytest.approx(SQUARED_ERROR.max_curvature, rel=1e-9)
        assert curvature.min() == pytest.approx(SQUARED_ERROR.min_curvature, rel=1e-9)
        assert curvature[600_000] == pytest.approx(SQUARED_ERROR.curvature_at_zero, rel=1e-12)
        both = [np.abs(evaluate(SQUARED_ERROR, z, target)[1]) for target in (0, 1)]
        bound = SQUARED_ERROR.max_slope(z[:, None].copy())[:, 0]
        assert (np.maximum(*both) <= bound * (1 + 1e-12)).all()
    for y in (0.2, 0.5):
        curvature = evaluate(SQUARED_ERROR, z, y)[2]
        assert SQUARED_ERROR.min_curvature <= curvature.min()
        assert curvature.max() <= SQUARED_ERROR.max_curvature


def test_the_general_bound_of_the_slope_is_the_largest_over_both_labels():
    z = np.linspace(-5, 5, 11)[:, None]
    expected = [np.abs(evaluate(SQUARED_ERROR, z[:, 0], y)[1]) for y in (0, 1)]
    np.testing.assert_allclose(
        Loss.max_slope(SQUARED_ERROR, z)[:, 0], np.maximum(*expected), rtol=1e-12
    )


def test_sigmoid_is_exact_on_both_tails():
    z = np.concatenate([Z_FAR, [-700.5, 700.5]])
    np.testing.assert_allclose(sigmoid(z), expit(z), rtol=1e-14)
    np.testing.assert_allclose(sigmoid(-z), expit(-z), rtol=1e-14)
    assert sigmoid(np.array([-1e4, 1e4])).tolist() == [0.0, 1.0]


def test_the_loss_is_the_lessons():
    z = np.linspace(-20, 20, 81)
    for y in (0, 1, 0.25):
        value, slope, curvature = evaluate(SquaredError(), z, y)
        np.testing.assert_allclose(value, lesson.l(y, lesson.sigmoid(z)), atol=1e-15)
        np.testing.assert_allclose(slope, lesson.dl_dz(y, z), atol=1e-15)
        np.testing.assert_allclose(curvature, lesson.d2l_dz2(y, z), atol=1e-15)


class CrossEntropy(Loss):
    """l = ln(1 + exp(z)) - y z: a loss that the package knows nothing of."""

    max_curvature = curvature_at_zero = 1 / 4

    def evaluate(self, z, y, order):
        sigma = expit(z)
        return (np.logaddexp(0, z) - y * z, sigma - y, sigma * (1 - sigma))[: order + 1]


@pytest.mark.parametrize("optimizer", ALL)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_every_optimizer_minimises_a_loss_from_outside(optimizer, fit_intercept):
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    X1 = np.hstack([X, np.full((len(X), 1), float(fit_intercept))])

    def J(theta):
        z = X1 @ theta
        gradient = X1.T @ (expit(z) - y) / len(y)
        gradient[:-1] += 0.1 * theta[:-1]
        return np.mean(np.logaddexp(0, z) - y * z) + 0.05 * theta[:-1] @ theta[:-1], gradient

    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000}
    lowest = minimize(J, np.zeros(31), jac=True, method="L-BFGS-B", options=options).fun
    objective = Objective.from_arrays(
        X, y.astype(float), None, 0.1, fit_intercept, loss=CrossEntropy()
    )
    result = minimise(objective, optimizer, np.zeros((31, 1)), max_iter=5000, tol=1e-6)
    assert result.terminations[0].cost == pytest.approx(lowest, abs=1e-8)
    assert result.terminations[0].reason == "gradient"
