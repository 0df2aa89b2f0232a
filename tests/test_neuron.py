"""LogisticNeuron as scikit-learn's users meet it."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.sparse import csc_array, csr_array
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import brier_score_loss
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from trainer import DivergenceError, LogisticNeuron, Objective
from trainer.optimizers import OPTIMIZERS, GradientDescent


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [LogisticNeuron(optimizer=name, random_state=0) for name in OPTIMIZERS]
    + [LogisticNeuron(early_stopping=True, validation_fraction=0.3, random_state=0)]
)
def test_scikit_learns_common_checks(estimator, check):
    check(estimator)


def mini_batches_split_what_weights_hold_together(estimator):
    reason = "a row of weight 2 stands in one mini-batch, a repeated row in two"
    return {
        f"check_sample_weight_equivalence_on_{kind}_data": reason for kind in ("dense", "sparse")
    }


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [LogisticNeuron(optimizer="adam", batch_size=4, max_iter=50, random_state=0)],
    expected_failed_checks=mini_batches_split_what_weights_hold_together,
)
def test_scikit_learns_common_checks_with_mini_batches(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.fixture(scope="module")
def fitted(cancer):
    return LogisticNeuron(tol=1e-9).fit(*cancer)


def test_minimum_is_an_independent_solvers(cancer, fitted):
    X, y = cancer

    def J(theta):
        return np.mean((y - 1 / (1 + np.exp(-X @ theta[:-1] - theta[-1]))) ** 2) + (
            fitted.alpha_ / 2 * theta[:-1] @ theta[:-1]
        )

    theta = np.append(fitted.coef_, fitted.intercept_)
    assert fitted.loss_curve_[-1] == pytest.approx(J(theta), rel=1e-12)
    found = minimize(J, theta, method="BFGS", options={"gtol": 1e-7}, jac="3-point")
    np.testing.assert_allclose(theta, found.x, atol=1e-3)
    assert found.fun == pytest.approx(J(theta), rel=1e-9)


def test_the_default_penalty_is_as_strong_as_logistic_regressions(cancer):
    """Both losses' first Newton step from 0 is the same, (X̃ᵀX̃/4 + I)⁻¹ X̃ᵀ(y - 1/2) for C = 1."""
    X, y = cancer
    alpha = LogisticNeuron().fit(X, y).alpha_
    start = np.zeros((31, 1))
    objective = Objective.from_arrays(X, y.astype(float), alpha=alpha)
    _, gradient, hessian = objective.value_gradient_hessian(start)
    X1 = np.column_stack([X, np.ones(len(X))])
    theirs = np.linalg.solve(X1.T @ X1 / 4 + np.diag([1.0] * 30 + [0]), X1.T @ (y - 0.5))
    np.testing.assert_allclose(np.linalg.solve(hessian[..., 0], -gradient[:, 0]), theirs)


def test_the_default_penalty_counts_weights_as_rows(cancer):
    X, y = cancer
    counts = np.random.default_rng(0).integers(0, 3, len(y))
    weighted = LogisticNeuron(tol=1e-9).fit(X, y, counts)
    repeated = LogisticNeuron(tol=1e-9).fit(X.repeat(counts, axis=0), y.repeat(counts))
    assert weighted.alpha_ == repeated.alpha_ == 1 / (2 * counts.sum())
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-5)
    by_class = LogisticNeuron(tol=1e-9, class_weight={0: 2, 1: 0.5}).fit(X, y)
    by_row = LogisticNeuron(tol=1e-9).fit(X, y, np.where(y == 1, 0.5, 2.0))
    assert by_class.alpha_ == by_row.alpha_
    np.testing.assert_allclose(by_class.coef_, by_row.coef_, rtol=1e-9)
    assert LogisticNeuron(alpha=0.3).fit(X, y).alpha_ == 0.3
    stopped = LogisticNeuron(early_stopping=True, random_state=0).fit(X, y)
    assert 1 / (2 * stopped.alpha_) == pytest.approx(0.9 * len(y), abs=2)  # a tenth is held out


def test_attributes_have_scikit_learns_shapes(cancer, fitted):
    X, _ = cancer
    assert fitted.coef_.shape == (1, 30)
    assert fitted.intercept_.shape == (1,)
    assert fitted.classes_.tolist() == [0, 1]
    assert len(fitted.loss_curve_) == fitted.n_iter_ + 1
    assert fitted.loss_curve_[0] == pytest.approx(0.25)
    assert fitted.termination_.reason == "gradient"
    assert fitted.decision_function(X).shape == (569,)
    assert list(fitted.history_) == ["iteration", "cost", "gradient_max", "seconds"]
    np.testing.assert_array_equal(fitted.history_["cost"], fitted.loss_curve_)
    assert fitted.validation_curve_ is None


def test_probabilities_are_exact_on_both_tails(fitted, cancer):
    X, y = cancer
    z = fitted.decision_function(X)
    proba = fitted.predict_proba(X)
    np.testing.assert_allclose(proba[:, 1], 1 / (1 + np.exp(-z)), rtol=1e-12)
    np.testing.assert_allclose(proba[:, 0], 1 / (1 + np.exp(z)), rtol=1e-12)
    assert brier_score_loss(y, proba[:, 1]) < 0.02
    far = fitted.predict_proba(1e3 * X)
    assert np.isfinite(far).all()
    assert (far >= 0).all()


@pytest.mark.parametrize(
    "labels",
    [("benign", "malignant"), (False, True), (-1, 1), (7, 3), (2.0, 5.0)],
)
def test_labels_of_any_kind(cancer, fitted, labels):
    X, y = cancer
    named = np.array(labels)[y]
    model = LogisticNeuron(tol=1e-9).fit(X, named)
    assert sorted(labels) == model.classes_.tolist()
    sign = 1 if labels[1] == max(labels) else -1
    np.testing.assert_allclose(model.coef_, sign * fitted.coef_, atol=1e-5)
    assert model.score(X, named) == fitted.score(X, y)
    assert set(model.predict(X)) == set(labels)


def test_pandas_sparse_float32_and_memory_map_agree(cancer, fitted, tmp_path):
    X, y = cancer
    frame = pd.DataFrame(X, columns=[f"feature {i}" for i in range(30)])
    framed = LogisticNeuron(tol=1e-9).fit(frame, pd.Series(y, dtype="category"))
    np.testing.assert_allclose(framed.coef_, fitted.coef_, rtol=1e-7)
    assert framed.feature_names_in_.tolist() == list(frame)
    for kind in (csr_array, csc_array, np.asfortranarray):
        other = LogisticNeuron(tol=1e-9).fit(kind(X), y)
        np.testing.assert_allclose(other.coef_, fitted.coef_, atol=1e-5)
    single = LogisticNeuron(tol=1e-5).fit(X.astype("f4"), y)
    assert single.coef_.dtype == single.predict_proba(X.astype("f4")).dtype == np.float32
    assert single.loss_curve_[-1] == pytest.approx(fitted.loss_curve_[-1], abs=1e-5)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    np.testing.assert_array_equal(LogisticNeuron(tol=1e-9).fit(mapped, y).coef_, fitted.coef_)


def test_fit_intercept_false_goes_through_the_origin(cancer):
    X, y = cancer
    for optimizer in OPTIMIZERS:
        model = LogisticNeuron(
            optimizer=optimizer, fit_intercept=False, alpha=0.05, max_iter=3000
        ).fit(X, y)
        assert model.intercept_.tolist() == [0.0]
        assert model.decision_function(np.zeros((1, 30))).tolist() == [0.0]


def test_same_seed_same_numbers_other_seed_others(cancer):
    settings = {"optimizer": "adam", "batch_size": 64, "max_iter": 5, "tol": 0}
    with pytest.warns(ConvergenceWarning, match="max_iter = 5"):
        one, same, other = (
            LogisticNeuron(**settings, random_state=seed).fit(*cancer).coef_ for seed in (1, 1, 2)
        )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_early_stopping_holds_out_rows_and_keeps_the_best(cancer):
    model = LogisticNeuron(alpha=0, early_stopping=True, n_iter_no_change=3, random_state=1)
    model.fit(*cancer)
    assert model.termination_.reason == "early_stopping"
    assert model.n_iter_ == model.validation_curve_.argmin() + 3
    assert list(model.history_)[-2:] == ["validation_cost", "seconds"]


def test_rows_given_as_held_out_are_recorded_and_change_nothing(cancer):
    X, y = cancer
    names = np.array(["no", "yes"])[y]
    alone = LogisticNeuron().fit(X[:400], names[:400])
    watched = LogisticNeuron().fit(X[:400], names[:400], X_val=X[400:], y_val=names[400:])
    np.testing.assert_array_equal(alone.coef_, watched.coef_)
    brier = brier_score_loss(y[400:], watched.predict_proba(X[400:])[:, 1])
    assert watched.validation_curve_[-1] == pytest.approx(brier, rel=1e-10)
    stopped = LogisticNeuron(alpha=0, early_stopping=True, n_iter_no_change=2)
    stopped.fit(X[:400], names[:400], X_val=X[400:], y_val=names[400:])
    assert stopped.n_iter_ == stopped.validation_curve_.argmin() + 2


def test_weights_are_repeated_rows_and_zero_is_absence(cancer):
    X, y = cancer
    counts = np.random.default_rng(0).integers(0, 3, len(y))
    weighted = LogisticNeuron(tol=1e-10).fit(X, y, sample_weight=counts)
    repeated = LogisticNeuron(tol=1e-10).fit(X.repeat(counts, axis=0), y.repeat(counts))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-5)


def test_divergence_is_an_error_that_names_the_learning_rate(cancer):
    model = LogisticNeuron(optimizer="gradient_descent", learning_rate=1e4, alpha=0.1)
    with pytest.raises(DivergenceError, match=r"learning_rate=10000.*smaller.*'auto'") as error:
        model.fit(*cancer)
    assert "\n" not in str(error.value)
    assert model.termination_.reason == "diverged"
    assert np.isfinite(model.predict_proba(cancer[0])).all()
    rule = GradientDescent(learning_rate=2e4)
    with pytest.raises(DivergenceError, match="learning_rate=20000"):
        LogisticNeuron(optimizer=rule, alpha=0.1).fit(*cancer)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"optimizer": "sgd"}, "optimizer"),
        ({"alpha": -1}, "alpha"),
        ({"alpha": "strong"}, "alpha"),
        ({"alpha": np.nan}, "alpha"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"learning_rate": 0.1}, "learning_rate is not for optimizer='auto'.*got 0.1"),
        ({"batch_size": 10}, "batch_size is not for optimizer='auto'.*leave it out"),
        ({"n_starts": 0}, "n_starts"),
        ({"init": [1.0, 2.0]}, "init must hold 31 finite numbers"),
        ({"batch_size": 0, "optimizer": "adam"}, "batch_size"),
        ({"max_iter": -1}, "max_iter"),
        ({"tol": -1e-3}, "tol"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"n_iter_no_change": 0}, "n_iter_no_change"),
    ],
)
def test_bad_parameters_are_named(cancer, parameters, message):
    with pytest.raises(ValueError, match=message):
        LogisticNeuron(**parameters).fit(*cancer)


def test_bad_data_is_named(cancer):
    X, y = cancer
    with pytest.raises(ValueError, match="one class"):
        LogisticNeuron().fit(X, np.zeros(len(y)))
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        LogisticNeuron().fit(X, X[:, 0])
    with pytest.raises(ValueError, match="rows that sum to 1, got a row that sums to 2"):
        LogisticNeuron().fit(X, np.ones((len(y), 2)))
    with pytest.raises(ValueError, match="negative or not finite"):
        LogisticNeuron().fit(X, np.column_stack([1 + y, -y]))
    with pytest.raises(ValueError, match="y_val: y must hold only labels of"):
        LogisticNeuron().fit(X, y, X_val=X, y_val=y + 1)
    with pytest.raises(ValueError, match="together"):
        LogisticNeuron().fit(X, y, X_val=X)
    with pytest.raises(NotFittedError):
        _ = LogisticNeuron().history_


def test_max_iter_warns_once_with_a_remedy(cancer):
    with pytest.warns(ConvergenceWarning) as caught:
        LogisticNeuron(max_iter=2).fit(*cancer)
    assert len(caught) == 1
    assert "raise max_iter" in str(caught[0].message)
    assert caught[0].filename == __file__


def test_verbose_prints_every_so_many_iterations(cancer, capsys):
    model = LogisticNeuron(verbose=5).fit(*cancer)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == model.n_iter_ // 5
    assert f"{model.loss_curve_[5]:.8f}" in lines[0]


def test_clone_and_pickle_keep_everything(cancer, fitted):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(cancer[0]), fitted.predict_proba(cancer[0]))
    assert again.termination_ == fitted.termination_
    assert clone(fitted).get_params() == fitted.get_params()
    assert not hasattr(clone(fitted), "coef_")


class Recorder:
    """A callback in scikit-learn's protocol."""

    def __init__(self, stop_after=None):
        self.stop_after, self.events, self.scores = stop_after, [], []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.events.append(("end", context.task_name))
        self.scores.append(fitted_estimator.score(X, y))
        n_iterations = self.events.count(("end", "iteration"))
        return self.stop_after is not None and n_iterations >= self.stop_after


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_callbacks_see_every_iteration(cancer, optimizer):
    recorder = Recorder()
    model = LogisticNeuron(optimizer=optimizer, alpha=0.1, max_iter=3000)
    model.set_callbacks(recorder).fit(*cancer)
    assert recorder.events[0] == "setup"
    assert recorder.events[-1] == "teardown"
    assert recorder.events.count(("end", "iteration")) == model.n_iter_
    assert recorder.events.count(("end", "fit")) == 1
    assert recorder.scores[-1] == model.score(*cancer)


def test_a_callback_may_stop_the_fit(cancer):
    model = LogisticNeuron().set_callbacks(Recorder(stop_after=4))
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        model.fit(*cancer)
    assert model.n_iter_ == 4


def test_progress_bar_is_scikit_learns(cancer, capsys):
    LogisticNeuron().set_callbacks(ProgressBar()).fit(*cancer)
    assert "LogisticNeuron - fit" in capsys.readouterr().out
