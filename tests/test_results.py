"""What the attributes of a fit say is what happened: one run, several, banks, callbacks."""

import pickle
import warnings
from time import perf_counter

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from test_multistart import long_servedio

from trainer import DivergenceError, EarlyStopping, LogisticNeuron, LogisticNeuronCV
from trainer.optimizers import LBFGS, Momentum, Newton

X_CANCER, Y_CANCER = load_breast_cancer(return_X_y=True)
X_CANCER = StandardScaler().fit_transform(X_CANCER)


class Copier:
    """A scikit-learn callback that pickles the estimator after every iteration."""

    def __init__(self):
        self.copies = []

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        self.copies.append(pickle.loads(pickle.dumps(estimator)))


def test_a_callback_may_pickle_the_estimator_in_the_middle_of_a_fit():
    copier = Copier()
    neuron = LogisticNeuron().set_callbacks(copier).fit(X_CANCER, Y_CANCER)
    assert len(copier.copies) >= neuron.n_iter_ > 1
    again = copier.copies[1].set_callbacks().fit(X_CANCER, Y_CANCER)
    np.testing.assert_array_equal(again.coef_, neuron.coef_)


class Watcher:
    """A scikit-learn callback that may stop, or raise, after some iterations."""

    def __init__(self, stop_after=None, error=None):
        self.stop_after, self.error, self.n_seen = stop_after, error, 0

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        if context.parent is None:
            return False
        self.n_seen += 1
        if self.n_seen == self.stop_after and self.error is not None:
            raise self.error
        return self.n_seen == self.stop_after


def J(theta, alpha, X, y):
    sigma = 1 / (1 + np.exp(-X @ theta[:-1] - theta[-1]))
    return np.mean((y - sigma) ** 2) + alpha / 2 * theta[:-1] @ theta[:-1]


def hard_data(seed=1):
    """Data on which a second start wins (test_multistart)."""
    return long_servedio(4000, 0.25, seed)


def large():
    """Rows enough for `auto` to solve samples first."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(100_000, 4))
    return X, (X[:, 0] + rng.logistic(size=len(X)) > 0).astype(int)


def few_rows():
    """Rows so few that `auto` solves the problem with a stronger penalty first."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(1_000, 120))
    return X, (X[:, 0] + rng.logistic(size=len(X)) > 0).astype(int)


CASES = {
    "one run": lambda: ((X_CANCER, Y_CANCER), {}),
    "a second start": lambda: (hard_data(), {"alpha": 1e-5, "random_state": 0}),
    "samples first": lambda: (large(), {"n_starts": 1}),
    "a stronger penalty first": lambda: (few_rows(), {"n_starts": 1, "alpha": 1e-3}),
    "a bank": lambda: (load_iris(return_X_y=True), {}),
    "early stopping": lambda: (
        (X_CANCER, Y_CANCER), {"optimizer": "adam", "early_stopping": True, "random_state": 0}
    ),
    "epochs": lambda: (
        (X_CANCER, Y_CANCER), {"optimizer": "adam", "batch_size": 50, "max_iter": 30}
    ),
}  # fmt: skip


@pytest.mark.parametrize("callback", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_history_counts_and_times_what_happened(case, callback):
    rows, options = CASES[case]()
    neuron = LogisticNeuron(**options)
    watcher = Watcher()
    if callback:
        neuron.set_callbacks(watcher)
    started = perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        neuron.fit(*rows)
    elapsed = perf_counter() - started
    history = neuron.history_
    assert len(neuron.loss_curve_) == neuron.n_iter_ + 1 == len(history)
    assert neuron.loss_curve_[0] == pytest.approx(0.25, rel=1e-12)  # J at 0 for any labels
    np.testing.assert_array_equal(history["iteration"], np.arange(len(history)))
    np.testing.assert_array_equal(history["cost"], neuron.loss_curve_)
    assert (np.diff(history["seconds"]) >= 0).all()
    end = neuron.termination_
    assert history["seconds"].iloc[-1] <= end.seconds <= elapsed
    n_runs = {"a second start": 2, "samples first": 3, "a stronger penalty first": 2}.get(case, 1)
    assert ("run" in history) == (n_runs > 1)
    if n_runs > 1:
        np.testing.assert_array_equal(history["run"].unique(), np.arange(1, n_runs + 1))
    if case == "samples first":
        assert history.groupby("run")["n_rows"].first().tolist() == [2_500, 20_000, 100_000]
    assert ("n_rows" in history) == (case == "samples first")
    if case == "a stronger penalty first":
        assert history.groupby("run")["alpha"].first().tolist() == [1e-2, 1e-3]
    assert ("alpha" in history) == (case == "a stronger penalty first")
    if callback:
        assert watcher.n_seen == neuron.n_iter_ - (n_runs - 1)  # runs' starts are no iterations
    assert end.n_passes > 0


@pytest.mark.parametrize(
    ("case", "column", "value"),
    [("samples first", "n_rows", 2_500), ("a stronger penalty first", "alpha", 1e-2)],
)
def test_a_stop_in_an_easier_problem_is_seen_in_the_history(case, column, value):
    rows, options = CASES[case]()
    stop = EarlyStopping(rows[0][:50], rows[1][:50], n_iter_no_change=0)
    with pytest.warns(ConvergenceWarning, match="on request"):
        neuron = LogisticNeuron(**options).set_callbacks(stop).fit(*rows)
    assert neuron.history_[column].tolist() == [value] * len(neuron.history_)


@pytest.mark.parametrize("case", ["a second start", "samples first", "early stopping"])
def test_seconds_are_those_of_the_wall_clock(case):
    rows, options = CASES[case]()
    shares = []
    for _ in range(5):  # another process may delay one of them
        neuron, started = LogisticNeuron(**options), perf_counter()
        neuron.fit(*rows)
        shares.append(neuron.termination_.seconds / (perf_counter() - started))
    assert 0.8 <= max(shares) <= 1


def test_the_second_start_is_appended_to_the_first():
    X, y = hard_data()
    options = {"alpha": 1e-5, "random_state": 0}
    alone = LogisticNeuron(n_starts=1, **options).fit(X, y)
    neuron = LogisticNeuron(**options).fit(X, y)
    n = alone.n_iter_ + 1
    np.testing.assert_allclose(neuron.loss_curve_[:n], alone.loss_curve_, rtol=1e-12)
    assert (neuron.history_["run"] == 1).sum() == n
    theta = np.append(neuron.coef_, neuron.intercept_)
    assert neuron.loss_curve_[-1] == pytest.approx(J(theta, 1e-5, X, (y > 0)), rel=1e-12)
    assert neuron.termination_.cost == pytest.approx(neuron.loss_curve_[-1], rel=1e-14)
    assert neuron.termination_.n_passes > alone.termination_.n_passes


def test_divergence_keeps_a_history_of_good_steps():
    neuron = LogisticNeuron(optimizer="gradient_descent", learning_rate=1e5, alpha=1.0)
    with pytest.raises(DivergenceError, match="in iteration 1;"):
        neuron.fit(X_CANCER, Y_CANCER)
    assert neuron.n_iter_ == 0
    assert len(neuron.loss_curve_) == 1
    assert np.isfinite(neuron.coef_).all()


# ------------------------------------------------------------------------------ Ctrl-C


@pytest.mark.parametrize("after", [1, 3])
def test_ctrl_c_leaves_fit_with_the_best_so_far(after):
    neuron = LogisticNeuron(optimizer="nesterov", tol=0)
    neuron.set_callbacks(Watcher(after, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        neuron.fit(X_CANCER, Y_CANCER)
    assert neuron.termination_.reason == "interrupted"
    assert not neuron.termination_.converged
    assert neuron.n_iter_ == after
    theta = np.append(neuron.coef_, neuron.intercept_)
    cost = J(theta, neuron.alpha_, X_CANCER, Y_CANCER)
    assert neuron.termination_.cost == pytest.approx(cost, rel=1e-12)
    assert cost < 0.25


def test_ctrl_c_in_the_second_run_keeps_the_first_minimum_and_does_not_call_it_converged():
    X, y = long_servedio(6000, 0.25, 2)
    options = {"alpha": 1e-5, "random_state": 0, "optimizer": "lbfgs", "tol": 1e-9}
    first = LogisticNeuron(n_starts=1, **options).fit(X, y)
    neuron = LogisticNeuron(**options)
    neuron.set_callbacks(Watcher(first.n_iter_ + 1, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        neuron.fit(X, y)
    assert neuron.termination_.reason == "interrupted"
    np.testing.assert_allclose(neuron.coef_, first.coef_, rtol=1e-9)


def test_ctrl_c_stops_cross_validation():
    X, y = large()
    neuron = LogisticNeuronCV(alphas=3, tol=1e-10)
    neuron.set_callbacks(Watcher(1, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        neuron.fit(X[:10_000], y[:10_000])  # the last run starts where a sample ended
    assert not hasattr(neuron, "coef_")


def test_ctrl_c_in_the_bank_of_a_cross_validation(monkeypatch):
    from trainer.optimizers.lbfgs import LBFGS

    step, calls = LBFGS.step, []

    def interrupted(self, objective, state):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(self, objective, state)

    monkeypatch.setattr(LBFGS, "step", interrupted)
    neuron = LogisticNeuronCV(alphas=3)
    with pytest.raises(KeyboardInterrupt):
        neuron.fit(X_CANCER, Y_CANCER)
    assert not hasattr(neuron, "alpha_")


def test_ctrl_c_stops_a_grid_search(monkeypatch):
    step, calls = Newton.step, []

    def interrupted(self, objective, state):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return step(self, objective, state)

    monkeypatch.setattr(Newton, "step", interrupted)
    search = GridSearchCV(LogisticNeuron(optimizer="newton"), {"alpha": [1e-3, 1e-2]}, cv=3)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X_CANCER, Y_CANCER)
    assert len(calls) == 6


# ------------------------------------------------------- a fit that fails changes nothing

FAILURES = {
    "bad y": lambda n: n.fit(X_CANCER[:, :3], np.linspace(0, 1, 569)),
    "one class": lambda n: n.fit(X_CANCER[:, :3], np.ones(569)),
    "NaN": lambda n: n.fit(np.full((4, 3), np.nan), [0, 1, 0, 1]),
    "wrong init": lambda n: n.set_params(init=[1.0, 2.0]).fit(X_CANCER[:, :3], Y_CANCER),
    "wrong X_val": lambda n: n.fit(X_CANCER[:, :3], Y_CANCER, X_val=X_CANCER, y_val=Y_CANCER),
    "no y_val": lambda n: n.fit(X_CANCER[:, :3], Y_CANCER, X_val=X_CANCER[:, :3]),
    "early stopping": lambda n: n.set_params(early_stopping=True).fit(
        [[0.0, 0, 0], [1, 1, 1]], [0, 1]
    ),
    "callback": lambda n: n.set_callbacks(Watcher(1, ValueError("no"))).fit(
        X_CANCER[:, :3], Y_CANCER + 5
    ),
}


@pytest.mark.parametrize("kind", [LogisticNeuron, LogisticNeuronCV])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_fit_that_fails_leaves_the_fitted_neuron_as_it_was(kind, failure):
    if kind is LogisticNeuronCV and failure in ("wrong init", "wrong X_val", "no y_val",
                                                "early stopping"):  # fmt: skip
        pytest.skip("LogisticNeuronCV has no such parameter")
    neuron = kind().fit(X_CANCER, Y_CANCER)
    before = neuron.predict_proba(X_CANCER)
    with pytest.raises(ValueError, match=r"\w"):
        FAILURES[failure](neuron)
    np.testing.assert_array_equal(neuron.predict_proba(X_CANCER), before)
    assert neuron.classes_.tolist() == [0, 1]
    assert neuron.n_features_in_ == 30


def test_a_scorer_that_raises_leaves_the_fitted_neuron_as_it_was():
    def fail(*arguments):
        raise RuntimeError("of a scorer")

    neuron = LogisticNeuronCV(alphas=3, cv=3).fit(X_CANCER, Y_CANCER)
    before = neuron.predict_proba(X_CANCER)
    with pytest.raises(RuntimeError, match="of a scorer"):
        neuron.set_params(scoring=fail).fit(X_CANCER[:, :3], 1 - Y_CANCER)
    np.testing.assert_array_equal(neuron.predict_proba(X_CANCER), before)
    assert neuron.n_features_in_ == 30


def test_a_fit_that_diverges_leaves_the_parameters_before_the_last_step():
    neuron = LogisticNeuron(optimizer="gradient_descent", alpha=1.0).fit(X_CANCER, Y_CANCER)
    names = np.where(Y_CANCER == 1, "yes", "no")
    with pytest.raises(DivergenceError, match="the parameters before that step are kept"):
        neuron.set_params(learning_rate=1e12).fit(X_CANCER[:, :3], names)
    assert neuron.classes_.tolist() == ["no", "yes"]
    assert neuron.n_features_in_ == 3
    np.testing.assert_allclose(neuron.predict_proba(X_CANCER[:, :3]), 0.5)  # those of the start


# --------------------------------------------------------------- optimizers as values


def test_an_optimizer_may_be_an_instance():
    by_name = LogisticNeuron(optimizer="momentum", max_iter=5)
    instance = LogisticNeuron(optimizer=Momentum(), max_iter=5)
    other = LogisticNeuron(optimizer=Momentum(momentum=0.5, learning_rate=0.1), max_iter=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for neuron in (by_name, instance, other):
            neuron.fit(X_CANCER, Y_CANCER)
    np.testing.assert_array_equal(instance.coef_, by_name.coef_)
    assert np.abs(other.coef_ - by_name.coef_).max() > 1e-3
    assert "Momentum(learning_rate=0.1" in repr(other)
    LogisticNeuron(optimizer=LBFGS(memory_size=3)).fit(X_CANCER, Y_CANCER)


def test_scikit_learns_tools_see_an_optimizers_parameters():
    grid = {"optimizer__momentum": [0.0, 0.9], "alpha": [0.1]}
    neuron = LogisticNeuron(optimizer=Momentum(learning_rate=0.5), max_iter=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search = GridSearchCV(neuron, grid, cv=2, scoring="neg_brier_score")
        search.fit(X_CANCER, Y_CANCER)
    assert search.best_params_["optimizer__momentum"] == 0.9
    assert neuron.optimizer.momentum == 0.9  # the grid's, not the search's
    assert neuron.get_params()["optimizer__batch_size"] is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Momentum(momentum=1.0), "momentum must be a number >= 0 and < 1, got 1.0"),
        (lambda: Momentum(learning_rate=-1), "learning_rate must be a number > 0"),
        (lambda: Momentum(batch_size=0), "batch_size must be an integer >= 1, got 0"),
        (lambda: LBFGS(memory_size=2.5), "memory_size must be an integer >= 1, got 2.5"),
        (lambda: Newton(first_radius=0), "first_radius must be a number >= 1e-08"),
        (lambda: Momentum().set_params(speed=1), "'speed' is no parameter of Momentum"),
        (
            lambda: LogisticNeuron(optimizer=Momentum(), learning_rate=0.1).fit([[0.0]], [0]),
            r"set it on the optimizer, Momentum\(learning_rate=",
        ),
        (lambda: LogisticNeuron(optimizer=3).fit([[0.0]], [0]), "optimizer"),
    ],
)
def test_bad_optimizers_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# ------------------------------------------------------------ what belongs to the caller


def unsorted_sparse(duplicates):
    rng = np.random.default_rng(0)
    n, d, k = 60, 8, 4
    indices = np.concatenate([rng.permutation(d)[:k] for _ in range(n)])
    if duplicates:
        indices[1::k] = indices[::k]
    return csr_array((rng.standard_normal(n * k), indices, np.arange(0, n * k + 1, k)), (n, d))


@pytest.mark.parametrize("duplicates", [False, True])
@pytest.mark.parametrize("kind", [LogisticNeuron, LogisticNeuronCV])
def test_a_sparse_matrix_is_not_changed(kind, duplicates):
    X, y = unsorted_sparse(duplicates), np.arange(60) % 2
    before = [part.copy() for part in (X.data, X.indices, X.indptr)]
    neuron = kind(random_state=0).fit(X, y)
    neuron.predict_proba(X)
    for old, new in zip(before, (X.data, X.indices, X.indptr), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_allclose(
        neuron.coef_, kind(random_state=0).fit(X.toarray(), y).coef_, rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("settings", ["warn", "raise"])
@pytest.mark.parametrize("scale", [1e-310, 1e-150, 1e18, 1e90])
def test_numpys_warnings_do_not_leak(scale, settings):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 3)) * scale, np.arange(40) % 2
    with warnings.catch_warnings(), np.errstate(all=settings):
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        neuron = LogisticNeuron().fit(X, y)
        p = neuron.predict_proba(X)
    assert np.isfinite(neuron.coef_).all()
    assert np.isfinite(p).all()


@pytest.mark.parametrize("optimizer", ["gradient_descent", "momentum", "nesterov", "adam"])
@pytest.mark.parametrize("scale", [0.0, 1e-310])
def test_features_without_any_size_leave_an_update_rule_at_its_start(scale, optimizer):
    X = np.random.default_rng(0).standard_normal((40, 3)) * scale
    neuron = LogisticNeuron(optimizer=optimizer, fit_intercept=False, alpha=0.0, max_iter=5)
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        neuron.fit(X, np.arange(40) % 2)
    np.testing.assert_allclose(neuron.predict_proba(X), 0.5)


@pytest.mark.parametrize("settings", [{}, {"alpha": 0.0}, {"optimizer": "adam"}, {"max_iter": 0}])
def test_a_start_whose_cost_is_no_number_is_refused(settings):
    X, y = [[0.1, 9.0], [-0.1, -9.0]], [0, 1]
    neuron = LogisticNeuron(init=[1e308, -1e308, 0.0], **settings)
    with pytest.raises(ValueError, match="J must be finite where training starts, got"):
        neuron.fit(X, y)
    assert not hasattr(neuron, "coef_")


@pytest.mark.parametrize("optimizer", ["auto", "newton"])
@pytest.mark.parametrize("kind", ["constant columns", "integers"])
@pytest.mark.parametrize("alpha", ["auto", 0.0])
def test_huge_features_train_to_what_they_are_at_scale_one(kind, optimizer, alpha):
    rng = np.random.default_rng(0)
    if kind == "integers":
        X, y, scale = rng.integers(-9, 10, (12, 150)).astype(float), np.arange(12) % 2, 3e26
    else:
        X, y, scale = np.ones((300, 40)), rng.integers(0, 2, 300), 4e18
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        neuron = LogisticNeuron(optimizer=optimizer, alpha=alpha).fit(X * scale, y)
        # a penalty on weights of 1e-26 is next to none
        one = LogisticNeuron(optimizer=optimizer, alpha=0.0).fit(X, y)
    assert neuron.termination_.cost <= one.termination_.cost + 1e-6
    assert neuron.termination_.reason != "plateau"


@pytest.mark.parametrize(
    ("dtype", "value", "words"),
    [
        (np.float64, 1e160, r"at most 1e\+100 in absolute value, in float64, got 1e\+160; scale"),
        (np.float64, -1e300, r"got 1e\+300"),
        (np.float32, 1e20, None),  # small tables are trained on in float64
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_features_too_large_to_be_summed_are_refused(dtype, value, words):
    X = np.array([[0.0], [1.0], [2.0], [value]], dtype)
    for kind in (np.asarray, np.asfortranarray, csr_array, pd.DataFrame):
        if words is None:
            assert np.isfinite(LogisticNeuron().fit(kind(X), [0, 1, 0, 1]).coef_).all()
            continue
        with pytest.raises(ValueError, match=words):
            LogisticNeuron().fit(kind(X), [0, 1, 0, 1])


def test_float32_that_is_summed_in_float32_has_lower_limits(monkeypatch):
    monkeypatch.setattr("trainer.core.rows.MAX_PROMOTED", 0)
    X = np.array([[0], [1], [2], [1e20]], np.float32)
    with pytest.raises(ValueError, match=r"at most 1e\+10 in absolute value, in float32"):
        LogisticNeuron().fit(X, [0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"must have a sum from 1e-15 to 1e\+15, in float32"):
        LogisticNeuron().fit(X[:3], [0, 1, 0], [1e30, 1e30, 1e30])


@pytest.mark.parametrize("weights", [[1e308] * 4, [1e-200] * 4, [1e100] * 4])
@pytest.mark.parametrize("kind", [LogisticNeuron, LogisticNeuronCV])
def test_weights_whose_sums_are_no_numbers_are_refused(kind, weights):
    with pytest.raises(ValueError, match=r"must have a sum from 1e-100 to 1e\+100.*their mean"):
        kind().fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1], weights)
    with pytest.raises(ValueError, match="must have a sum from"):
        kind(class_weight={0: 1e308, 1: 1}).fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1])


@pytest.mark.parametrize("scale", [1e-44, 1e37])
def test_the_scale_of_weights_changes_nothing_in_float32(scale):
    rng = np.random.default_rng(0)
    X, y, weight = rng.normal(size=(60, 3)).astype("f4"), np.arange(60) % 2, rng.random(60)
    plain = LogisticNeuron(alpha=1e-2).fit(X, y, weight)
    scaled = LogisticNeuron(alpha=1e-2).fit(X, y, scale * weight)
    np.testing.assert_allclose(scaled.coef_, plain.coef_, rtol=1e-6)


def test_parameters_too_large_for_their_precision_are_refused():
    X = np.array([[0], [1e-40], [0], [1e-40]], np.float32)
    with pytest.raises(ValueError, match="parameters must be finite numbers in float32, got"):
        LogisticNeuron(alpha=0.0, init=[1e50, 0], max_iter=0).fit(X, [0, 1, 0, 1])


def test_a_row_whose_products_overflow_with_both_signs_has_its_probability():
    neuron = LogisticNeuron().fit([[0.0, 1.0], [1.0, 0.0]], [0, 1])
    neuron.coef_ = np.array([[10.0, -20.0]])
    z = neuron.decision_function([[1.5e308, 1.5e308], [1.0, 0.5]])
    assert z.tolist() == [-np.inf, neuron.intercept_[0]]
    assert neuron.predict_proba([[1.5e308, 1.5e308]]).tolist() == [[1.0, 0.0]]
    assert neuron.decision_function([[1.5e308, 0.75e308]])[0] == neuron.intercept_[0]


# -------------------------------------------------------------- float32 without scaling


@pytest.mark.parametrize("seed", range(20))
def test_unscaled_float32_gives_what_float64_gives(seed):
    rng = np.random.default_rng(seed)
    n, d = rng.integers(20, 300), rng.integers(2, 30)
    means, spreads = 10 ** rng.uniform(0, 5, d), 10 ** rng.uniform(-1, 3, d)
    X = (rng.standard_normal((n, d)) * spreads + means).astype(np.float32)
    y = rng.integers(0, 2, n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        single = LogisticNeuron(random_state=0).fit(X, y)
        double = LogisticNeuron(random_state=0).fit(X.astype(np.float64), y)
    assert single.coef_.dtype == np.float32
    assert single.termination_.reason == double.termination_.reason
    assert single.termination_.cost == pytest.approx(double.termination_.cost, rel=1e-12)
    np.testing.assert_allclose(single.coef_, double.coef_, rtol=1e-6)


@pytest.mark.parametrize(
    "X",
    [
        (np.random.default_rng(0).standard_normal((200, 10)) + 1e4).astype("f4"),
        np.repeat(np.arange(1990, 2020, dtype="f4"), 4)[:, None] * [1, 1],  # a column twice
        np.array([[3e8], [3e8 + 64], [3e8 + 128], [3e8 + 192]], dtype="f4"),  # Unix time
    ],
)
@pytest.mark.parametrize("alpha", [0.0, 1e-4])
def test_float32_of_large_means_does_not_crash(X, alpha):
    y = np.arange(len(X)) % 3 == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        neuron = LogisticNeuron(alpha=alpha, random_state=0).fit(X, y)
    assert np.isfinite(neuron.coef_).all()
    assert neuron.termination_.cost <= 0.25


def test_float32_of_few_rows_and_many_columns_is_separable_as_in_float64():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 64)).astype(np.float32), rng.integers(0, 2, 40)
    for given in (X, X.astype(np.float64)):
        with pytest.warns(ConvergenceWarning, match="separable"):
            neuron = LogisticNeuron(alpha=0.0).fit(given, y)
        assert neuron.score(given, y) == 1


def test_years_and_salaries_in_float32_end_as_in_float64():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(1950, 2010, 300), rng.integers(20_000, 90_000, 300)])
    y = X[:, 1] + rng.normal(0, 2e4, 300) > 50_000
    single, double = (LogisticNeuron().fit(X.astype(kind), y) for kind in (np.float32, np.float64))
    assert single.termination_.reason == double.termination_.reason == "gradient"
    np.testing.assert_allclose(single.predict_proba(X), double.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("alphas", [[0.0, 1e-3], [1e-3, 0.0], [0.0]])
def test_one_hot_columns_in_float32_without_a_penalty_are_cross_validated(alphas):
    rng = np.random.default_rng(0)
    X = np.eye(5, dtype=np.float32)[rng.integers(0, 5, (120, 3))].reshape(120, 15)
    y = rng.integers(0, 2, 120)
    single, double = (LogisticNeuronCV(alphas=alphas).fit(X.astype(k), y) for k in ("f4", "f8"))
    assert single.alpha_ == double.alpha_
    np.testing.assert_allclose(single.scores_, double.scores_, atol=1e-4)


@pytest.mark.parametrize("seed", range(10))
def test_float32_that_is_summed_in_float32_does_not_crash_newton(seed, monkeypatch):
    monkeypatch.setattr("trainer.core.rows.MAX_PROMOTED", 0)
    rng = np.random.default_rng(seed)
    n, d = rng.integers(20, 300), rng.integers(2, 30)
    X = rng.standard_normal((n, d)) * 10 ** rng.uniform(-1, 3, d) + 10 ** rng.uniform(0, 5, d)
    y = rng.integers(0, 2, n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        neuron = LogisticNeuron(optimizer="newton").fit(X.astype(np.float32), y)
    assert np.isfinite(neuron.coef_).all()
    assert neuron.termination_.cost <= 0.25 + 1e-6


def test_float32_too_large_to_be_copied_still_trains(monkeypatch):
    monkeypatch.setattr("trainer.core.rows.MAX_PROMOTED", 0)
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((300, 5)) + 3).astype(np.float32)
    y = (X[:, 0] > 3.2).astype(int)
    single = LogisticNeuron(tol=1e-5, alpha=1e-2).fit(X, y)
    double = LogisticNeuron(tol=1e-5, alpha=1e-2).fit(X.astype(np.float64), y)
    np.testing.assert_allclose(single.coef_, double.coef_, atol=2e-3)
