"""Many valleys: published data on which one start is not enough, and what the others cost."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from trainer import LogisticNeuron


def long_servedio(n, noise, seed):
    """Long and Servedio's 21 features; labels flipped with probability `noise`."""
    rng = np.random.default_rng(seed)
    y = rng.choice([-1, 1], n)
    X = np.empty((n, 21))
    for row, label, kind in zip(X, y, rng.choice(4, n), strict=True):
        if kind == 0:
            row[:] = label
        elif kind == 1:
            row[:11], row[11:] = label, -label
        else:
            row[:] = -label
            row[rng.choice(11, 5, replace=False)] = label
            row[11 + rng.choice(10, 6, replace=False)] = label
    return X, np.where(rng.random(n) < noise, -y, y)


@pytest.mark.parametrize("noise", [0.05, 0.10, 0.20, 0.25, 0.28])
def test_long_and_servedios_noise_is_seen_through(noise):
    X_clean, y_clean = long_servedio(10_000, 0.0, 1000)
    assert (np.sign(X_clean.sum(axis=1)) == y_clean).all()
    for seed in range(3):
        X, y = long_servedio(4000, noise, seed)
        neuron = LogisticNeuron(alpha=1e-5, random_state=seed).fit(X, y)
        assert neuron.score(X_clean, y_clean) >= 0.999
        convex = LogisticRegression(C=1 / (1e-5 * len(y))).fit(X, y)
        if noise > 0.07:  # from there on every convex loss fails
            assert convex.score(X_clean, y_clean) < 0.95


def test_one_start_is_not_enough_there():
    X, y = long_servedio(4000, 0.25, 1)
    X_clean, y_clean = long_servedio(10_000, 0.0, 1000)
    one = LogisticNeuron(alpha=1e-5, n_starts=1).fit(X, y)
    several = LogisticNeuron(alpha=1e-5, random_state=0).fit(X, y)
    assert one.score(X_clean, y_clean) < 0.95
    assert several.loss_curve_[-1] < one.loss_curve_[-1] - 0.01
    assert (one.termination_.n_starts, one.termination_.n_agreeing) == (1, 1)
    assert (several.termination_.n_starts, several.termination_.n_agreeing) == (4, 1)


def eight_points():
    """Four points on each of two axes: nine strict minima, the lowest at J = 0.203013."""
    x = np.array([1000.0, 100.0, 10.0, 1.0])
    X = np.zeros((8, 2))
    X[:4, 0] = X[4:, 1] = x
    return X, np.tile([1, 0, 1, 0], 2)


@pytest.mark.parametrize("seed", range(20))
def test_the_lowest_of_nine_minima_is_found(seed):
    neuron = LogisticNeuron(alpha=1e-12, tol=1e-9, fit_intercept=False, random_state=seed)
    assert neuron.fit(*eight_points()).loss_curve_[-1] == pytest.approx(0.203013, abs=1e-6)


@pytest.mark.parametrize(
    ("start", "cost"),
    [
        ([0.002, 0.002, 0], 0.203013),
        ([0.002, 0.195, 0], 0.266065),
        ([0.002, -0.02, 0], 0.296700),
        ([0.195, 0.195, 0], 0.329118),
        ([-0.02, 0.195, 0], 0.359753),
        ([-0.02, -0.02, 0], 0.390388),
    ],
)
def test_published_minima_are_where_they_should_be(start, cost):
    neuron = LogisticNeuron(
        alpha=0, tol=1e-10, fit_intercept=False, init=start, n_starts=1, optimizer="newton"
    )
    neuron.fit(*eight_points())
    assert neuron.loss_curve_[-1] == pytest.approx(cost, abs=1e-6)
    assert neuron.termination_.smallest_curvature > 0


def test_easy_data_pays_for_no_other_start():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    one, default = LogisticNeuron(n_starts=1).fit(X, y), LogisticNeuron().fit(X, y)
    assert default.termination_.n_starts == 1
    assert default.termination_.n_passes - one.termination_.n_passes <= 1
    np.testing.assert_array_equal(default.coef_, one.coef_)


def test_init_takes_numbers_or_a_neuron():
    X, y = long_servedio(2000, 0.1, 0)
    fitted = LogisticNeuron(n_starts=1, tol=1e-8).fit(X, y)
    for init in (fitted, np.append(fitted.coef_, fitted.intercept_)):
        again = LogisticNeuron(init=init, n_starts=1, tol=1e-7).fit(X, y)
        assert again.n_iter_ == 0
        np.testing.assert_allclose(again.coef_, fitted.coef_, rtol=1e-12)
