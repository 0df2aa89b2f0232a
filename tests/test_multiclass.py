"""More than two classes: a bank of neurons answers as its neurons would one by one."""

import numpy as np
import pandas as pd
import pytest
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_iris, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

from trainer import LogisticNeuron
from trainer import chain_rule as lesson
from trainer.optimizers import OPTIMIZERS


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), np.array(["setosa", "versicolor", "virginica"])[y]


def one_by_one(X, y, **parameters):
    return [LogisticNeuron(**parameters).fit(X, y == label) for label in np.unique(y)]


@pytest.mark.parametrize(
    "parameters",
    [
        {"optimizer": "newton"},
        {"optimizer": "lbfgs"},
        {"optimizer": "auto"},
        {"optimizer": "nesterov"},
        {"optimizer": "adam", "batch_size": 40, "max_iter": 20},
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_bank_is_its_neurons_one_by_one(iris, parameters):
    X, y = iris
    parameters = {"alpha": 0.01, "tol": 1e-9, "max_iter": 5000, "random_state": 0} | parameters
    bank = LogisticNeuron(**parameters).fit(X, y)
    ones = one_by_one(X, y, **parameters)
    np.testing.assert_allclose(bank.coef_, np.vstack([one.coef_ for one in ones]), rtol=1e-6)
    np.testing.assert_allclose(bank.intercept_, np.hstack([one.intercept_ for one in ones]), 1e-6)
    for end, one in zip(bank.terminations_, ones, strict=True):
        assert end.reason == one.termination_.reason
        assert abs(end.n_iter - one.n_iter_) <= 1  # rounding may tip the last step
        assert end.cost == pytest.approx(one.termination_.cost, rel=1e-9)
    last = [one.loss_curve_[-1] for one in ones]
    assert bank.loss_curve_[-1] == pytest.approx(np.mean(last), rel=1e-9)
    if parameters["optimizer"] == "newton":
        longest = max(map(len, (one.loss_curve_ for one in ones)))
        curves = [np.pad(c, (0, longest - len(c)), "edge") for c in (o.loss_curve_ for o in ones)]
        np.testing.assert_allclose(bank.loss_curve_, np.mean(curves, axis=0), rtol=1e-9)
    assert len(bank.history_) == len(bank.loss_curve_) == bank.n_iter_ + 1
    np.testing.assert_array_equal(bank.history_["cost"], bank.loss_curve_)


def test_shapes_are_scikit_learns(iris):
    X, y = iris
    bank = LogisticNeuron().fit(X, y)
    convex, rest = LogisticRegression().fit(X, y), OneVsRestClassifier(LogisticRegression())
    rest.fit(X, y)
    assert bank.coef_.shape == convex.coef_.shape
    assert bank.intercept_.shape == convex.intercept_.shape
    assert bank.classes_.tolist() == convex.classes_.tolist() == rest.classes_.tolist()
    for answer in ("decision_function", "predict_proba", "predict"):
        shape = getattr(bank, answer)(X).shape
        assert shape == getattr(convex, answer)(X).shape == getattr(rest, answer)(X).shape
    assert len(bank.terminations_) == 3
    assert bank.termination_ in bank.terminations_
    np.testing.assert_array_equal(bank.predict(X), bank.classes_[bank.predict_proba(X).argmax(1)])


def test_probabilities_are_the_neurons_divided_by_their_sum(iris):
    X, y = iris
    bank = LogisticNeuron(alpha=0.01, tol=1e-10).fit(X, y)
    ones = one_by_one(X, y, alpha=0.01, tol=1e-10)
    sigma = np.column_stack([one.predict_proba(X)[:, 1] for one in ones])
    by_hand = sigma / sigma.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(bank.predict_proba(X), by_hand, rtol=1e-6)
    np.testing.assert_allclose(bank.predict_proba(X).sum(axis=1), 1, rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_sum_to_1_however_small_they_all_are(iris, dtype):
    X, y = iris
    bank = LogisticNeuron().fit(X.astype(dtype), y)
    bank.coef_ = np.zeros((3, 4), dtype)
    # z on both sides of where exp(z) can no longer be held, all three differing by 1
    at = np.concatenate([np.linspace(-5, -900, 180), [-1e6]]).astype(dtype)
    for z in at:
        bank.intercept_ = np.array([z, z - 1, z - 2], dtype)
        p = bank.predict_proba(X[:1].astype(dtype))
        assert p.dtype == dtype
        assert p.sum() == pytest.approx(1, rel=1e-5)
        # on the lower tail σ(z) = exp(z), so that the shares are e² : e : 1
        if z < -20:
            shares = np.exp([2.0, 1.0, 0.0]) / np.exp([2.0, 1.0, 0.0]).sum()
            np.testing.assert_allclose(p[0], shares, rtol=1e-5)


def test_one_warning_names_the_classes(iris):
    X, y = iris
    with pytest.warns(ConvergenceWarning) as caught:
        bank = LogisticNeuron(max_iter=6).fit(X, y)
    assert len(caught) == 1
    n_unfinished = sum(not end.converged for end in bank.terminations_)
    assert 0 < n_unfinished < 3
    named = bank.classes_[bank.terminations_.index(bank.termination_)]
    assert not bank.termination_.converged
    assert f"(max_iter) for {n_unfinished} of 3 classes, longest for '{named}'" in str(
        caught[0].message
    )
    assert caught[0].filename == __file__


def test_a_class_whose_rows_weigh_nothing_leaves_the_others_as_they_are(iris):
    X, y = iris
    weight = (y != "versicolor") * 1.0
    kept = weight > 0
    three = LogisticNeuron().fit(X, y, weight)
    assert three.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    two = LogisticNeuron().fit(X[kept], y[kept])
    np.testing.assert_allclose(three.coef_[[2]], two.coef_, rtol=1e-6)
    numbers = np.searchsorted(np.unique(y), y)
    numbers[:10] = 3
    weight = np.ones(len(y))
    weight[:10] = 0
    four = LogisticNeuron(alpha=0.01).fit(X, numbers, weight)
    assert four.classes_.tolist() == [0, 1, 2, 3]
    alone = LogisticNeuron(alpha=0.01).fit(X[10:], numbers[10:])
    np.testing.assert_allclose(four.coef_[:3], alone.coef_, rtol=1e-5)


# ------------------------------------------------------------------- where to start from


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_warm_start_begins_at_the_minimum(iris, fit_intercept):
    X, y = iris
    for labels in (y, y == "virginica"):
        neuron = LogisticNeuron(warm_start=True, n_starts=1, fit_intercept=fit_intercept)
        first = neuron.fit(X, labels).coef_
        assert neuron.n_iter_ > 0
        np.testing.assert_array_equal(neuron.fit(X, labels).coef_, first)
        assert neuron.n_iter_ == 0
    neuron.set_params(fit_intercept=False).fit(X, labels)
    assert neuron.intercept_.tolist() == [0]
    neuron.fit(X, y)  # another number of classes: from rest
    assert neuron.coef_.shape == (3, 4)


def test_init_takes_a_bank_of_numbers_or_a_fitted_classifier(iris):
    X, y = iris
    bank = LogisticNeuron(n_starts=1, tol=1e-8).fit(X, y)
    theta = np.vstack([bank.coef_.T, bank.intercept_])
    for init in (bank, theta, theta.tolist()):
        assert LogisticNeuron(init=init, n_starts=1).fit(X, y).n_iter_ == 0
    for labels in (y, y == "virginica"):
        convex = LogisticRegression().fit(X, labels)
        with pytest.warns(ConvergenceWarning):
            start = LogisticNeuron(init=convex, max_iter=0, n_starts=1).fit(X, labels)
        np.testing.assert_array_equal(start.coef_, convex.coef_)
        np.testing.assert_array_equal(start.intercept_, convex.intercept_)
    for bad in (theta.T, theta.ravel(), theta[:, :2], np.where(theta > 0, theta, np.nan)):
        with pytest.raises(ValueError, match=r"init must hold 5 finite numbers for each of 3 cl"):
            LogisticNeuron(init=bad).fit(X, y)


# ------------------------------------------------------- several starts, and who looks on


@pytest.fixture(scope="module")
def trap():
    """Long and Servedio's trap for two classes, and a third that is plain to see."""
    rng = np.random.default_rng(1)
    n = 3000
    y = rng.choice([-1, 1], n)
    X = np.zeros((n, 22))
    for row, label, kind in zip(X, y, rng.choice(4, n), strict=True):
        if kind == 0:
            row[:21] = label
        elif kind == 1:
            row[:11], row[11:21] = label, -label
        else:
            row[:21] = -label
            row[rng.choice(11, 5, replace=False)] = label
            row[11 + rng.choice(10, 6, replace=False)] = label
    y = np.where(rng.random(n) < 0.25, -y, y)
    third = rng.random(n) < 0.3
    X[third] = 0
    X[third, 21] = 1
    return X, np.where(third, 7, y)


SETTINGS = {"alpha": 1e-5, "random_state": 0}


@pytest.mark.parametrize("optimizer", ["newton", "lbfgs"])
def test_other_starts_are_for_the_neurons_that_gain(trap, optimizer):
    X, y = trap
    one = LogisticNeuron(optimizer=optimizer, n_starts=1, **SETTINGS).fit(X, y)
    several = LogisticNeuron(optimizer=optimizer, **SETTINGS).fit(X, y)
    gained = [
        a.cost - b.cost for a, b in zip(one.terminations_, several.terminations_, strict=True)
    ]
    assert min(gained[:2]) > 0.005
    assert abs(gained[2]) < 1e-6
    assert [end.n_starts for end in several.terminations_] == [3, 3, 1]
    for k, label in enumerate(several.classes_):
        z = X @ several.coef_[k] + several.intercept_[k]
        J = np.mean((lesson.sigmoid(z) - (y == label)) ** 2) + 5e-6 * (several.coef_[k] ** 2).sum()
        assert several.terminations_[k].cost == pytest.approx(J, rel=1e-9)
    assert len(several.loss_curve_) == len(several.history_) == several.n_iter_ + 1
    costs = [end.cost for end in several.terminations_]
    assert several.loss_curve_[-1] == pytest.approx(np.mean(costs), rel=1e-12)


class Watcher:
    """A callback that keeps the shapes and scores it is shown."""

    def __init__(self, stop_after=None):
        self.stop_after, self.shapes, self.scores = stop_after, [], []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.shapes.append((fitted_estimator.coef_.shape, fitted_estimator.intercept_.shape))
        self.scores.append(accuracy_score(y, fitted_estimator.predict(X)))
        return self.stop_after is not None and len(self.shapes) >= self.stop_after


def test_callbacks_see_the_whole_bank_in_the_second_run_too(trap):
    X, y = trap
    first = LogisticNeuron(optimizer="newton", n_starts=1, **SETTINGS).fit(X, y).n_iter_
    watcher = Watcher()
    # as many iterations as the first run takes: the second must not run out of them
    bank = LogisticNeuron(optimizer="newton", max_iter=first, **SETTINGS)
    bank.set_callbacks(watcher, ProgressBar()).fit(X, y)
    assert len(watcher.shapes) > first + 1
    assert set(watcher.shapes) == {((3, 22), (3,))}
    assert watcher.scores[-1] == bank.score(X, y)
    for stop_after in (3, first + 1):
        model = LogisticNeuron(optimizer="newton", **SETTINGS)
        watcher = Watcher(stop_after)
        with pytest.warns(ConvergenceWarning, match="interrupted"):
            model.set_callbacks(watcher).fit(X, y)
        assert len(watcher.shapes) == stop_after + 1  # and the fit's own end


def test_a_request_to_stop_is_for_those_too_who_have_finished(trap):
    X, y = trap
    ends = LogisticNeuron(optimizer="lbfgs", n_starts=1, **SETTINGS).fit(X, y).terminations_
    shortest = min(end.n_iter for end in ends[:2])
    watcher = Watcher(max(shortest, min(end.n_iter for end in ends)))
    model = LogisticNeuron(optimizer="lbfgs", **SETTINGS).set_callbacks(watcher)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        model.fit(X, y)
    assert {end.reason for end in model.terminations_} == {"gradient", "interrupted"}
    assert len(watcher.shapes) == watcher.stop_after + 1


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scikit_learns_own_callbacks(iris, optimizer, capsys):
    X, y = iris
    monitor = ScoringMonitor(scoring="accuracy")
    bank = LogisticNeuron(optimizer=optimizer, alpha=0.01, max_iter=12, random_state=0)
    bank.set_callbacks(monitor, ProgressBar()).fit(X, y)
    log = monitor.get_logs()
    log = log[-1] if isinstance(log, list) else log
    table = pd.DataFrame(log.data)
    of_iterations = table[table["task_name"] == "iteration"]
    assert len(of_iterations) == bank.n_iter_
    assert of_iterations["accuracy"].iloc[-1] == bank.score(X, y)
    assert "LogisticNeuron - fit" in capsys.readouterr().out


def test_many_classes_are_one_bank():
    X, y = make_classification(
        4000, 16, n_informative=12, n_redundant=2, n_classes=26, n_clusters_per_class=1,
        class_sep=2.0, random_state=0,
    )  # fmt: skip
    X = StandardScaler().fit_transform(X)
    held_out = np.arange(len(y)) % 3 == 0
    bank = LogisticNeuron(random_state=0).fit(X[~held_out], y[~held_out])
    assert [end.converged for end in bank.terminations_] == [True] * 26
    convex = OneVsRestClassifier(LogisticRegression()).fit(X[~held_out], y[~held_out])
    accuracy = bank.score(X[held_out], y[held_out])
    assert accuracy > convex.score(X[held_out], y[held_out]) - 0.02


@pytest.mark.parametrize("max_iter", [1, 3])
def test_callbacks_see_the_samples_of_auto_too(max_iter):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100_000, 3))
    y = (X[:, 0] + rng.standard_normal(len(X)) > 0).astype(int)
    neuron = LogisticNeuron(max_iter=max_iter, tol=1e-15).set_callbacks(ProgressBar())
    with pytest.warns(ConvergenceWarning):
        neuron.fit(X, y)
    assert neuron.n_iter_ > 2 * max_iter
