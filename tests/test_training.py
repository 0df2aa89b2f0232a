"""The loop: when it stops, what it keeps, what it writes down."""

import numpy as np
import pytest
from helpers import costs
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.preprocessing import StandardScaler

from trainer.core.objective import Objective
from trainer.core.rows import ArrayRows
from trainer.core.training import TrainingInterrupted, train
from trainer.optimizers import OPTIMIZERS


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X), y.astype(float)


def run(X, y, *, optimizer="lbfgs", alpha=1e-3, start=None, max_iter=100, tol=1e-6, **more):
    rule = OPTIMIZERS[optimizer](**more.pop("rule", {}))
    start = np.zeros((X.shape[1] + 1, 1)) if start is None else start
    objective = Objective(ArrayRows(X, y), alpha)
    return objective, train(objective, rule, start, max_iter=max_iter, tol=tol, **more)


def test_history_is_what_the_objective_says(cancer):
    seen = []
    objective, result = run(*cancer, callback=lambda theta, history: seen.append(theta.copy()))
    records = result.history.records
    np.testing.assert_allclose(records[0].cost, objective.value(np.zeros((31, 1))))
    for theta, record in zip(seen, records[1:], strict=True):
        J, dJ = objective.value_and_gradient(theta)
        np.testing.assert_allclose(record.cost, J, rtol=1e-13)
        np.testing.assert_allclose(record.gradient_max, np.abs(dJ).max(axis=0), rtol=1e-9)
    assert (np.diff([record.seconds for record in records]) >= 0).all()
    end = result.terminations[0]
    assert (end.reason, end.n_iter) == ("gradient", len(records) - 1)
    assert end.gradient_max <= 1e-6 < records[-2].gradient_max[0]
    assert f"{end.gradient_max:.3g}" in end.message


def test_max_iter_stops_and_says_what_is_missing(cancer):
    _, result = run(*cancer, max_iter=3)
    assert result.terminations[0].reason == "max_iter"
    assert "max_iter = 3" in result.terminations[0].message
    assert len(result.history.records) == 4
    assert not result.terminations[0].converged
    _, untouched = run(*cancer, max_iter=0)
    assert untouched.terminations[0].n_iter == 0
    assert (untouched.theta == 0).all()


def test_early_stopping_returns_to_the_best_validation_cost():
    X, y = make_classification(
        120, 40, n_informative=3, n_redundant=0, flip_y=0.3, class_sep=0.6, random_state=1
    )
    seen = [np.zeros((41, 1))]
    validation = Objective(ArrayRows(X[60:], y[60:].astype(float)), 0.0)
    _, result = run(
        X[:60],
        y[:60].astype(float),
        alpha=0.0,
        optimizer="nesterov",
        validation=validation,
        patience=5,
        callback=lambda theta, history: seen.append(theta.copy()),
    )
    recorded = np.concatenate([r.validation_cost for r in result.history.records])
    recomputed = [validation.value(theta)[0] for theta in seen]
    # the last entry of `seen` may already be the restored best
    np.testing.assert_allclose(recorded[:-1], recomputed[:-1], rtol=1e-13)
    best = recorded.argmin()
    end = result.terminations[0]
    assert end.reason == "early_stopping"
    assert end.n_iter == best + 5
    np.testing.assert_array_equal(result.theta, seen[best])
    assert end.cost == costs(result)[best, 0]


@pytest.mark.parametrize("optimizer", ["gradient_descent", "momentum", "nesterov"])
def test_divergence_keeps_the_last_good_step(cancer, optimizer):
    seen = [np.zeros((31, 1))]
    objective, result = run(
        *cancer,
        alpha=0.5,
        optimizer=optimizer,
        rule={"learning_rate": 100.0},
        callback=lambda theta, history: seen.append(theta.copy()),
    )
    end = result.terminations[0]
    assert end.reason == "diverged"
    assert np.isfinite(result.theta).all()
    np.testing.assert_array_equal(result.theta, seen[end.n_iter])
    np.testing.assert_allclose(objective.value(result.theta), end.cost)
    assert len(result.history.records) == end.n_iter + 1
    assert f"in iteration {end.n_iter + 1}" in end.message


def test_divergence_to_infinity_is_caught_without_a_warning(cancer):
    _, result = run(*cancer, alpha=1.0, optimizer="gradient_descent", rule={"learning_rate": 1e300})
    assert result.terminations[0].reason == "diverged"
    assert np.isfinite(result.theta).all()


def test_one_neuron_may_diverge_while_another_finishes(cancer):
    X, y = cancer
    objective = Objective(ArrayRows(X, y), np.array([1e-2, 50.0]))
    rule = OPTIMIZERS["gradient_descent"](learning_rate=0.3)
    start = np.full((31, 2), 0.01)
    result = train(objective, rule, start, max_iter=5000, tol=1e-5)
    assert [end.reason for end in result.terminations] == ["gradient", "diverged"]
    alone = train(Objective(ArrayRows(X, y), 1e-2), rule, start[:, :1], max_iter=5000, tol=1e-5)
    np.testing.assert_allclose(result.theta[:, :1], alone.theta, rtol=1e-9)


def test_keyboard_interrupt_is_passed_on_with_the_best_so_far(cancer):
    def interrupt(theta, history):
        if history.n_iter == 7:
            raise KeyboardInterrupt

    with pytest.raises(TrainingInterrupted) as stop:
        run(*cancer, optimizer="momentum", rule={"learning_rate": 8.0}, tol=0, callback=interrupt)
    result = stop.value.result
    found = costs(result)
    assert result.terminations[0].reason == "interrupted"
    assert not result.terminations[0].converged
    assert found.argmin() != len(found) - 1  # or the test would show nothing
    assert result.terminations[0].cost == found.min()
    X, y = cancer
    objective = Objective(ArrayRows(X, y), 1e-3)
    np.testing.assert_allclose(objective.value(result.theta), found.min(), rtol=1e-12)


class Interrupting:
    """A validation objective during which somebody presses Ctrl-C."""

    def __init__(self, at):
        self.at, self.calls = at, 0

    def select(self, index):
        return self

    def value(self, theta):
        self.calls += 1
        if self.calls > self.at:
            raise KeyboardInterrupt
        return np.array([1.0 / self.calls])


def test_an_interruption_amid_the_bookkeeping_leaves_no_half_record(cancer):
    with pytest.raises(TrainingInterrupted) as stop:
        run(*cancer, validation=Interrupting(4))
    result = stop.value.result
    assert len(result.history.records) == 4
    assert result.terminations[0].n_iter == 3
    assert result.terminations[0].cost == costs(result)[3, 0]


def test_an_interruption_before_anything_is_known_is_passed_on(cancer):
    with pytest.raises(KeyboardInterrupt) as stop:
        run(*cancer, validation=Interrupting(0))
    assert not isinstance(stop.value, TrainingInterrupted)


def test_callback_can_stop_the_training(cancer):
    _, result = run(*cancer, callback=lambda theta, history: history.n_iter == 2)
    assert result.terminations[0].reason == "interrupted"
    assert result.terminations[0].n_iter == 2


def test_plateau_is_told_when_rounding_hides_the_slope(cancer):
    _, result = run(*cancer, tol=0.0, max_iter=2000)
    assert result.terminations[0].reason == "plateau"
    assert result.terminations[0].gradient_max < 1e-9
