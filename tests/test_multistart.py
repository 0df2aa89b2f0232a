"""Several minima: published data on which one start is not enough, and what the others cost."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit
from sklearn.datasets import (
    load_breast_cancer,
    load_iris,
    load_wine,
    make_blobs,
    make_circles,
    make_classification,
    make_moons,
)
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from trainer import LogisticNeuron, LogisticNeuronCV
from trainer.core import multistart
from trainer.core.multistart import lower_starts
from trainer.core.objective import Objective
from trainer.core.rows import ArrayRows
from trainer.core.training import train
from trainer.optimizers import OPTIMIZERS

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from wrong_labels import far_outliers, leverage_outliers, long_servedio


@pytest.mark.parametrize("noise", [0.05, 0.10, 0.20, 0.25, 0.28])
def test_long_and_servedios_noise_is_seen_through(noise):
    X_clean, y_clean = long_servedio(10_000, 0.0, 1000)
    assert (np.sign(X_clean.sum(axis=1)) == y_clean).all()
    for seed in range(10):
        X, y = long_servedio(4000, noise, seed)
        for alpha in ("auto", 1e-5):
            neuron = LogisticNeuron(alpha=alpha, random_state=seed).fit(X, y)
            assert neuron.score(X_clean, y_clean) >= 0.999
        if noise > 0.07 and seed < 2:  # from there on every convex loss fails
            for C in (1, 1 / (1e-5 * len(y))):
                assert LogisticRegression(C=C).fit(X, y).score(X_clean, y_clean) < 0.95


def test_a_penalty_is_chosen_behind_the_noise_with_a_large_tol():
    X, y = long_servedio(2_000, 0.25, 0)
    search = LogisticNeuronCV(tol=1e-3, random_state=0).fit(X, y)
    assert search.scores_.mean(axis=0).max() > -0.22  # -.1875 is the noise's, -.25 a constant's


def test_a_minimum_that_is_hardly_lower_is_found():
    """The convex losses' minimum has a J that is higher by 6e-4 of it."""
    X, y = long_servedio(4000, 0.28, 4)
    near = LogisticNeuron(n_starts=1).fit(X, y).termination_.cost
    found = LogisticNeuron(random_state=4).fit(X, y).termination_.cost
    assert 2e-4 * near < near - found < multistart.GAIN * near


def test_one_start_is_not_enough_there():
    X, y = long_servedio(4000, 0.25, 1)
    X_clean, y_clean = long_servedio(10_000, 0.0, 1000)
    one = LogisticNeuron(alpha=1e-5, n_starts=1).fit(X, y)
    several = LogisticNeuron(alpha=1e-5, random_state=0).fit(X, y)
    assert one.score(X_clean, y_clean) < 0.95
    assert several.loss_curve_[-1] < one.loss_curve_[-1] - 0.01
    assert (one.termination_.n_starts, one.termination_.n_agreeing) == (1, 1)
    # all rows have the same norm: 4 and 16 times the first minimum are the other starts
    assert several.termination_.n_starts == 3
    assert several.termination_.n_agreeing < 3


def test_far_outliers_do_not_hold_the_neuron_undecided():
    X, y = far_outliers(0)
    one = LogisticNeuron(alpha=1e-8, fit_intercept=False, n_starts=1).fit(X, y)
    several = LogisticNeuron(alpha=1e-8, fit_intercept=False, random_state=0).fit(X, y)
    assert one.score(X, y) < 0.6
    assert several.score(X, y) >= 0.83
    assert several.score(X[:10_000], y[:10_000]) >= 0.83
    grid = np.linspace(-6, 6, 2401)  # in steps of 0.005
    J = [((expit(w * X[:, 0]) - y) ** 2).mean() for w in grid]
    assert several.loss_curve_[-1] <= min(J) + 1e-6


@pytest.mark.parametrize("seed", range(10))
def test_far_outliers_that_a_sample_does_not_hold(seed):
    """There are 50 of them; in the samples of seeds 5 and 7 they make no minimum near 0."""
    X, y = far_outliers(seed)
    neuron = LogisticNeuron(random_state=seed).fit(X, y)
    assert neuron.score(X[:-50], y[:-50]) >= 0.83
    known = LogisticNeuron(init=[2.0, 0.0], n_starts=1).fit(X, y)
    assert neuron.termination_.cost == pytest.approx(known.termination_.cost, rel=1e-6)


@pytest.mark.parametrize(("alpha", "accuracy"), [(1e-5, 0.9), ("auto", 0.85)])
@pytest.mark.parametrize("seed", range(5))
def test_leverage_outliers_do_not_reverse_the_direction(seed, alpha, accuracy):
    """With the default penalty the lowest minima known have accuracies of .87 to .92."""
    X, y, b = leverage_outliers(seed)
    X_test = np.random.default_rng(100 + seed).standard_normal((20_000, 20))
    truth = X_test @ b > 0
    settings = {"alpha": alpha, "fit_intercept": False, "random_state": seed}
    assert LogisticNeuron(n_starts=1, **settings).fit(X, y).score(X_test, truth) < 0.6
    several = LogisticNeuron(**settings).fit(X, y)
    assert several.score(X_test, truth) >= accuracy
    known = LogisticNeuron(init=np.append(b, 0), n_starts=1, **settings).fit(X, y)
    assert several.loss_curve_[-1] <= known.loss_curve_[-1] * 1.01


@pytest.mark.xfail(reason="the lowest minima known reach .87 to .92 with the default penalty")
def test_leverage_outliers_leave_nine_tenths_right_by_default():
    X_test = np.random.default_rng(100).standard_normal((20_000, 20))
    for seed in range(5):
        X, y, b = leverage_outliers(seed)
        neuron = LogisticNeuron(fit_intercept=False, random_state=seed).fit(X, y)
        assert neuron.score(X_test, X_test @ b > 0) >= 0.9


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


def two_classes(load, positive):
    X, y = load(return_X_y=True)
    return X, y == positive


TOY_SETS = {
    "breast_cancer": lambda: load_breast_cancer(return_X_y=True),
    "iris": lambda: two_classes(load_iris, 2),
    "wine": lambda: two_classes(load_wine, 0),
    "moons": lambda: make_moons(500, noise=0.2, random_state=0),
    "circles": lambda: make_circles(500, noise=0.1, factor=0.5, random_state=0),
    "blobs": lambda: make_blobs(500, centers=2, random_state=0),
    "classification": lambda: make_classification(
        500, 2, n_informative=2, n_redundant=0, flip_y=0.1, random_state=0
    ),
}


@pytest.mark.parametrize("name", TOY_SETS)
def test_toy_sets_pay_little_for_other_starts(name):
    X, y = TOY_SETS[name]()
    X = StandardScaler().fit_transform(X)
    alpha = 1 / (2 * len(y))
    one, default = (LogisticNeuron(alpha=alpha, n_starts=k).fit(X, y) for k in (1, 4))
    assert default.termination_.n_passes <= 1.5 * one.termination_.n_passes
    np.testing.assert_array_equal(default.coef_, one.coef_)


def test_a_sample_that_gains_nothing_costs_no_second_training():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100_000, 100))
    y = rng.random(len(X)) < expit(X @ rng.standard_normal(100) / 3)
    y ^= rng.random(len(X)) < 0.1
    one, default = (LogisticNeuron(n_starts=k, random_state=0).fit(X, y) for k in (1, 4))
    assert default.termination_.n_starts > 1
    assert default.termination_.n_passes - one.termination_.n_passes <= 1
    np.testing.assert_array_equal(default.coef_, one.coef_)


def trained(objective, n_features, n_neurons=1):

    theta = np.zeros((n_features + 1, n_neurons))
    return train(objective, OPTIMIZERS["newton"](), theta, max_iter=500, tol=1e-8).theta


def test_on_a_sample_the_minimum_found_takes_the_same_steps(monkeypatch):
    """A sample of 60 rows is fitted better by its own minimum: no reason to train again."""
    monkeypatch.setattr(multistart, "SAMPLE_ROWS", 60)
    monkeypatch.setattr(multistart, "OUTLIER_RATIO", 1.0)
    rng = np.random.default_rng(3)
    X = rng.standard_normal((5000, 10))
    y = (rng.random(5000) < expit(X @ rng.standard_normal(10) / 2)).astype(float)
    objective = Objective(ArrayRows(X, y), 1e-3)
    theta = trained(objective, 10)
    sample = objective.sample(np.random.default_rng(1), 60)
    overfit = trained(sample, 10)
    assert sample.value(overfit)[0] < 0.95 * sample.value(theta)[0]
    found = lower_starts(objective, theta, objective.value(theta), 4, np.random.default_rng(1))
    assert found.n_starts.tolist() == [4]
    assert found.neurons.size == 0


def test_neurons_are_treated_one_by_one():
    X, y = far_outliers(0)
    X, y = X[::3], y[::3].astype(float)
    clean = (X[:, 0] > 0).astype(float)
    targets = np.column_stack([clean, y, 1 - y])
    bank = Objective(ArrayRows(X, targets), 1e-6, fit_intercept=False)
    theta = trained(bank, 1, 3)
    J = bank.value(theta)
    together = lower_starts(bank, theta, J, 4, np.random.default_rng(0))
    assert together.neurons.tolist() == [1, 2]
    assert together.n_starts.tolist() == [1, 4, 4]
    for place, k in enumerate([1, 2]):
        alone = Objective(ArrayRows(X, targets[:, k]), 1e-6, fit_intercept=False)
        found = lower_starts(alone, theta[:, [k]], J[[k]], 4, np.random.default_rng(0))
        np.testing.assert_allclose(found.theta[:, 0], together.theta[:, place], rtol=1e-9)


@pytest.mark.parametrize("layout", ["repeated", "weighted", "sparse"])
def test_weights_and_sparse_rows_lead_to_the_same_starts(layout):
    X, y, _ = leverage_outliers(0)
    y = y.astype(float)
    counts = np.random.default_rng(0).integers(0, 3, len(y))
    plain = Objective(ArrayRows(np.repeat(X, counts, axis=0), np.repeat(y, counts)), 1e-5, False)
    rows = {
        "repeated": plain.rows,
        "weighted": ArrayRows(X, y, counts.astype(float)),
        "sparse": ArrayRows(sparse.csr_array(plain.rows.X), np.repeat(y, counts)),
    }[layout]
    theta = trained(plain, 20)
    expected, found = (
        lower_starts(objective, theta, objective.value(theta), 4, np.random.default_rng(0))
        for objective in (plain, Objective(rows, 1e-5, False))
    )
    assert expected.n_starts.tolist() == found.n_starts.tolist() == [4]
    assert expected.neurons.tolist() == found.neurons.tolist() == [0]
    np.testing.assert_allclose(found.theta, expected.theta, rtol=1e-6, atol=1e-9)


def test_rows_without_weight_are_no_outliers():
    X, y = make_moons(500, noise=0.3, random_state=0)
    X[:10] *= 100
    weight = np.ones(500)
    weight[:10] = 0
    neuron = LogisticNeuron(alpha=1e-3).fit(X, y, sample_weight=weight)
    plain = LogisticNeuron(alpha=1e-3).fit(X[10:], y[10:])
    assert neuron.termination_.n_starts == plain.termination_.n_starts < 4
    np.testing.assert_allclose(neuron.coef_, plain.coef_, rtol=1e-6)


def test_starts_agree_that_lead_to_the_same_minimum():
    X, y = make_moons(500, noise=0.3, random_state=0)
    X[:10] *= 20  # outliers, and of no importance
    neuron = LogisticNeuron(alpha=1e-2, random_state=0).fit(X, y)
    again = LogisticNeuron(alpha=1e-2, n_starts=1, init=neuron, tol=1e-9).fit(X, y)
    np.testing.assert_allclose(again.coef_, neuron.coef_, rtol=1e-4)
    assert neuron.termination_.n_starts == 4
    assert neuron.termination_.n_agreeing > 1


@pytest.mark.parametrize("n_starts", [1, 2, 3, 4, 7])
def test_n_starts_bounds_the_starts_compared(n_starts):
    X, y, _ = leverage_outliers(1)
    neuron = LogisticNeuron(alpha=1e-5, n_starts=n_starts, fit_intercept=False, random_state=0)
    assert neuron.fit(X, y).termination_.n_starts == n_starts
    assert neuron.intercept_ == 0


def test_init_takes_numbers_or_a_neuron():
    X, y = long_servedio(2000, 0.1, 0)
    fitted = LogisticNeuron(n_starts=1, tol=1e-8).fit(X, y)
    for init in (fitted, np.append(fitted.coef_, fitted.intercept_)):
        again = LogisticNeuron(init=init, n_starts=1, tol=1e-7).fit(X, y)
        assert again.n_iter_ == 0
        np.testing.assert_allclose(again.coef_, fitted.coef_, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_samples_leave_out_rows_without_weight(seed):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100_000, 3))
    y = (X[:, 0] + rng.standard_normal(len(X)) > 0).astype(int)
    weight = np.zeros(len(X))
    weight[:20] = 1
    model = LogisticNeuron(alpha=1e-2, random_state=seed).fit(X, y, weight)
    alone = LogisticNeuron(alpha=1e-2).fit(X[:20], y[:20])
    assert model.termination_.converged
    np.testing.assert_allclose(model.coef_, alone.coef_, rtol=1e-3)
