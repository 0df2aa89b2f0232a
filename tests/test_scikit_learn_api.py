"""What scikit-learn's own linear classifiers have: log-probabilities, array API, conversion, ..."""

import importlib.util
import warnings

import mpmath
import numpy as np
import pytest
from scipy.sparse import csr_array, issparse
from sklearn import config_context
from sklearn.datasets import load_iris, make_classification
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, brier_score_loss, get_scorer
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut, StratifiedKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer import (
    EarlyStopping,
    GradientTape,
    LogisticNeuron,
    LogisticNeuronCV,
    cost_surface,
    load_model,
    save_model,
    to_onnx,
)


@pytest.fixture(scope="module")
def two_classes():
    X, y = make_classification(120, 5, flip_y=0.2, random_state=0)
    return X, np.array(["no", "yes"])[y]


@pytest.fixture(scope="module")
def three_classes():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.mark.parametrize("n_classes", [2, 3])
def test_log_probabilities_are_exact_on_both_tails(n_classes):
    """Against 50 digits, at z from -1e5 to 1e5, in float64 and float32."""
    rng = np.random.default_rng(0)
    size = 10.0 ** rng.uniform(-3, 5, (400, n_classes))
    Z = size * rng.choice([-1, 1], size.shape)
    Z[:20] = -745 - rng.uniform(0, 5, (20, n_classes))  # where σ(z) is denormal or 0
    Z[20:40] = Z[20:40, :1] * (1 + 1e-9 * rng.uniform(size=(20, n_classes)))  # nearly equal
    if n_classes == 2:
        Z = Z[:, :1]
    neuron = LogisticNeuron().fit(np.zeros((n_classes, 1)), np.arange(n_classes))
    neuron.coef_ = np.eye(Z.shape[1])
    neuron.intercept_ = np.zeros(Z.shape[1])
    neuron.n_features_in_ = Z.shape[1]
    for dtype, n_ulp in ((np.float64, 8), (np.float32, 8)):
        z = Z.astype(dtype)
        neuron.coef_ = neuron.coef_.astype(dtype)
        neuron.intercept_ = neuron.intercept_.astype(dtype)
        got = neuron.predict_log_proba(z)
        assert got.dtype == dtype
        with mpmath.workdps(50):
            for row, logs in zip(z.tolist(), got.tolist(), strict=True):
                row = [-row[0], row[0]] if n_classes == 2 else row
                sigma = [1 / (1 + mpmath.exp(-mpmath.mpf(v))) for v in row]
                for k, log in enumerate(logs):
                    rest = mpmath.fsum(s for j, s in enumerate(sigma) if j != k)
                    exact = -mpmath.log1p(rest / sigma[k])  # log 1/(1 + rest/own)
                    error = abs(mpmath.mpf(log) - exact)
                    # a rounding of the differences of z, up to 745, changes exp by as much
                    condition = 1 if n_classes == 2 else max(1, -mpmath.log(-exact))
                    bound = n_ulp * np.finfo(dtype).eps * condition * abs(exact)
                    assert error <= bound + np.finfo(dtype).tiny


def test_log_probabilities_of_recorded_labels_and_of_lists(two_classes):
    X, y = two_classes
    neuron = LogisticNeuron().fit(X, y)
    log_proba = neuron.predict_log_proba(X.tolist())
    np.testing.assert_allclose(np.exp(log_proba), neuron.predict_proba(X), rtol=1e-13)

    def score(model, X, y):
        recorded = model.predict_proba(X)
        np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), recorded, rtol=1e-13)
        assert (model.predict(X) == model.classes_[recorded.argmax(axis=1)]).all()
        return -brier_score_loss(y, recorded[:, 1], pos_label="yes")

    model = LogisticNeuronCV(alphas=[1e-2], noise_rates=[0.1, 0.2], scoring=score).fit(X, y)
    assert (model.scores_ < -0.01).all()  # recorded labels are never certain


@pytest.mark.parametrize("kind", [np.asarray, csr_array])
def test_sparse_weights_predict_the_same(three_classes, kind):
    X, y = three_classes
    neuron = LogisticNeuron().fit(X, y)
    expected, coef = neuron.decision_function(X), neuron.coef_
    assert issparse(neuron.sparsify().coef_)
    np.testing.assert_allclose(neuron.decision_function(kind(X)), expected, rtol=1e-13)
    neuron.set_params(warm_start=True).fit(X, y)  # starts from sparse weights
    assert neuron.n_iter_ <= 1
    assert neuron.sparsify().densify().coef_.shape == coef.shape
    two = LogisticNeuron().fit(X, y == y[0])
    dense = cost_surface(two, X, y == y[0], (0, 1)).J
    np.testing.assert_array_equal(cost_surface(two.sparsify(), X, y == y[0], (0, 1)).J, dense)
    assert neuron.densify() is neuron


def test_a_class_without_weight_is_one_of_the_classes(three_classes):
    X, y = three_classes
    weight = np.where(y == 1, 0.0, 1.0)
    ours, theirs = (
        model.fit(X, y, sample_weight=weight) for model in (LogisticNeuron(), LogisticRegression())
    )
    for model in (ours, theirs):
        assert model.classes_.tolist() == [0, 1, 2]
        assert model.predict_proba(X)[:, 1].max() < 0.01
        assert 1 not in model.predict(X)
    present = LogisticNeuron(class_weight="balanced").fit(X[y != 1], y[y != 1])
    balanced = LogisticNeuron(class_weight="balanced").fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(balanced.coef_[2], present.coef_[0], atol=1e-5)


def test_bagging_may_draw_rows_of_one_class():
    X, y = [[1.0, 2], [3, 4]], [1, 0]
    bags = [
        BaggingClassifier(model, random_state=1).fit(X, y)
        for model in (LogisticNeuron(), LogisticRegression())
    ]
    assert bags[0].predict(X).tolist() == bags[1].predict(X).tolist() == y


def test_a_single_row_needs_classes():
    with pytest.raises(ValueError, match=r"only one class: \[1\]; rows of one class can"):
        LogisticNeuron().fit([[1.0]], [1])
    neuron = LogisticNeuron().fit([[1.0]], [[0.0, 1.0]])  # a table names the classes
    assert neuron.predict([[1.0]]).tolist() == [1]
    assert neuron.termination_.converged
    online = LogisticNeuron(optimizer="gradient_descent", learning_rate=1.0, alpha=0.0)
    online.partial_fit([[1.0]], [1], classes=[0, 1])
    # the lesson: dJ/db = 2(σ - y)σ' = 2 · -1/2 · 1/4 at z = 0
    assert online.intercept_[0] == online.coef_[0, 0] == 0.25


@pytest.fixture
def routing():
    with config_context(enable_metadata_routing=True):
        yield


def test_groups_reach_the_splitter(two_classes, routing):
    X, y = two_classes
    groups = np.arange(len(y)) % 4
    model = LogisticNeuronCV(alphas=3, cv=LeaveOneGroupOut()).fit(X, y, groups=groups)
    by_hand = list(LeaveOneGroupOut().split(X, y, groups))
    expected = LogisticNeuronCV(alphas=3, cv=by_hand).fit(X, y)
    np.testing.assert_array_equal(model.scores_, expected.scores_)
    pipe = make_pipeline(StandardScaler(), LogisticNeuronCV(alphas=3, cv=GroupKFold(3)))
    assert pipe.fit(X, y, groups=groups)[-1].scores_.shape == (3, 3)
    with pytest.raises(TypeError, match="groups"):
        LogisticNeuronCV(cv=3).fit(X, y, groups=groups)


def test_groups_need_routing(two_classes):
    with pytest.raises(ValueError, match="enable_metadata_routing"):
        LogisticNeuronCV(cv=LeaveOneGroupOut()).fit(*two_classes, groups=np.arange(120) % 4)


@pytest.mark.parametrize("wants", [True, False])
@pytest.mark.parametrize("name", ["accuracy", "neg_brier_score"])
def test_a_scorers_request_is_honoured(two_classes, routing, wants, name):
    X, y = two_classes
    weight = np.random.default_rng(0).uniform(0.1, 3, len(y))
    scorer = get_scorer(name).set_score_request(sample_weight=wants)
    model = LogisticNeuronCV(alphas=[1e-2], cv=3, scoring=scorer, tol=1e-9)
    model.set_fit_request(sample_weight=True).fit(X, y, sample_weight=weight)
    for f, (rows, held_out) in enumerate(StratifiedKFold(3).split(X, y)):
        neuron = LogisticNeuron(alpha=1e-2, tol=1e-9).fit(X[rows], y[rows], weight[rows])
        given = {"sample_weight": weight[held_out]} if wants else {}
        if name == "accuracy":
            expected = accuracy_score(y[held_out], neuron.predict(X[held_out]), **given)
        else:
            p = neuron.predict_proba(X[held_out])[:, 1]
            expected = -brier_score_loss(y[held_out], p, pos_label="yes", **given)
        assert model.scores_[f, 0] == pytest.approx(expected, abs=1e-8)


def test_a_callable_without_weights_scores_without(two_classes):
    X, y = two_classes
    weight = np.random.default_rng(0).uniform(0.1, 3, len(y))
    seen = []

    def plain(neuron, X, y):
        return neuron.score(X, y)

    def weighted(neuron, X, y, sample_weight):
        seen.append(len(sample_weight))
        return neuron.score(X, y, sample_weight)

    parameters = {"alphas": [1e-2], "cv": [([*range(80)], [*range(80, 120)])]}  # lists, weights
    ours = LogisticNeuronCV(**parameters, scoring=plain).fit(X, y, weight)
    rows, held_out = parameters["cv"][0]
    neuron = LogisticNeuron(alpha=1e-2).fit(X[rows], y[rows], weight[rows])
    assert ours.scores_[0, 0] == neuron.score(X[held_out], y[held_out])
    theirs = LogisticNeuronCV(**parameters, scoring=weighted).fit(X, y, weight)
    assert seen == [40]
    assert theirs.scores_[0, 0] == pytest.approx(
        neuron.score(X[held_out], y[held_out], weight[held_out]), abs=1e-12
    )


@pytest.mark.filterwarnings("ignore:F-score is ill-defined")
@pytest.mark.parametrize("scoring", ["neg_brier_score", "neg_log_loss", "accuracy", "f1_macro"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_fold_may_lack_a_class(n_classes, scoring):
    """As in scikit-learn's test of LogisticRegressionCV: with strong penalty, little is lost."""
    y = np.repeat(["a", "b", "c"][:n_classes], 2)
    X = np.arange(2.0 * n_classes)[:, np.newaxis]
    model = LogisticNeuronCV(alphas=[1e-2, 1.0], cv=KFold(n_classes), scoring=scoring).fit(X, y)
    assert model.coefs_paths_.shape == (n_classes, 2, 1 if n_classes == 2 else 3, 2)
    neuron = LogisticNeuron().fit(X, y)
    for f, (_, held_out) in enumerate(KFold(n_classes).split(X)):
        path = model.coefs_paths_[f, 0]
        neuron.coef_, neuron.intercept_ = path[:, :-1], path[:, -1]
        p = neuron.predict_proba(X[held_out])
        own = p[:, y[held_out[0]] == neuron.classes_]
        assert own.max() < 0.5  # the class held out was never seen
        if scoring == "neg_brier_score":
            scale = {"scale_by_half": n_classes == 2}
            brier = brier_score_loss(y[held_out], p, labels=list(neuron.classes_), **scale)
            assert model.scores_[f, 0] == pytest.approx(-brier, abs=1e-12)
    if scoring == "accuracy":
        assert (model.scores_ == 0).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_equal_estimator_of_scikit_learn(two_classes, three_classes, dtype):
    for X, y in (two_classes, three_classes):
        X = X.astype(dtype)
        neuron = LogisticNeuron(fit_intercept=len(y) != 120).fit(X, y)
        twin = neuron.to_sklearn()
        kind = LogisticRegression if len(neuron.classes_) == 2 else OneVsRestClassifier
        assert type(twin) is kind
        np.testing.assert_array_equal(twin.predict(X), neuron.predict(X))
        tolerance = 1e-15 if dtype == np.float64 else 3e-7
        np.testing.assert_allclose(
            twin.predict_proba(X), neuron.predict_proba(X), rtol=0, atol=tolerance
        )
        assert twin.score(X, y) == neuron.score(X, y)
        again = twin.fit(X, y)  # scikit-learn's from here on
        assert np.abs(again.predict_proba(X) - neuron.predict_proba(X)).max() > 1e-3


def test_the_equal_estimator_knows_the_columns(two_classes):
    import pandas as pd

    X, y = two_classes
    frame = pd.DataFrame(X, columns=list("abcde"))
    model = LogisticNeuronCV(alphas=2).fit(frame, y).to_sklearn()
    assert model.feature_names_in_.tolist() == list("abcde")
    assert model.predict(frame).shape == (120,)


class _Watch:
    """Asks a fit to stop after some iterations."""

    def __init__(self, stop_after):
        self.stop_after, self.n_iter = stop_after, 0

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context):
        self.n_iter += context.parent is not None
        return self.n_iter == self.stop_after


def test_a_request_to_stop_is_honoured(two_classes):
    model = LogisticNeuron().set_callbacks(_Watch(2))
    with pytest.warns(match="interrupted"):
        model.fit(*two_classes)
    assert model.n_iter_ == 2
    assert model.termination_.reason == "interrupted"


@pytest.mark.parametrize("model", [LogisticNeuron(alpha=0, n_starts=1), LogisticRegression(C=1e6)])
def test_early_stopping_scores_every_iteration(two_classes, model):
    X, y = two_classes
    stop = EarlyStopping(X[60:], y[60:], n_iter_no_change=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.set_callbacks(stop).fit(X[:60], y[:60])
    n_iter = int(np.ravel(model.n_iter_)[0])
    assert len(stop.scores_) == n_iter
    last = -brier_score_loss(y[60:], model.predict_proba(X[60:])[:, 1], pos_label="yes")
    assert stop.scores_[-1] == pytest.approx(last, abs=1e-12)
    if isinstance(model, LogisticNeuron):
        best = int(np.argmax(stop.scores_))
        assert n_iter == best + 3  # two more than the best, counted from 1


@pytest.mark.parametrize("load", ["two_classes", "three_classes"])
@pytest.mark.parametrize("model", [LogisticNeuron(), LogisticRegression()])
def test_gradients_on_the_tape_are_finite_differences(request, load, model):
    X, y = request.getfixturevalue(load)
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    tape = GradientTape()
    model.set_callbacks(tape).fit(X, y, sample_weight=weight)
    assert len(tape.gradients_) == int(np.ravel(model.n_iter_)[0])
    classes = np.unique(y)
    targets = (y[:, np.newaxis] == (classes[1:] if len(classes) == 2 else classes)).astype(float)
    X1 = np.column_stack([X, np.ones(len(X))])

    def J(theta):
        return np.average((targets - 1 / (1 + np.exp(-X1 @ theta))) ** 2, axis=0, weights=weight)

    theta, h = tape.thetas_[0], 1e-6
    for i in range(len(theta)):
        step = np.zeros_like(theta)
        step[i] = h
        slope = (J(theta + step) - J(theta - step)) / (2 * h)
        np.testing.assert_allclose(tape.gradients_[0][i], slope, atol=1e-9)


@pytest.mark.parametrize("library", ["array_api_strict", "torch"])
@pytest.mark.parametrize("model", [LogisticNeuron(), LogisticNeuronCV(alphas=3)])
def test_other_arrays_give_what_numpy_gives(two_classes, library, model, tmp_path):
    xp = pytest.importorskip(library)
    X, y = two_classes
    expected = model.fit(X, y == "yes").predict_proba(X)
    Xs, ys = xp.asarray(X), xp.asarray((y == "yes").astype(int))
    with config_context(array_api_dispatch=True):
        model.fit(Xs, ys)
        for array in (model.coef_, model.predict_proba(Xs), model.predict(Xs)):
            assert type(array) is type(Xs)
        np.testing.assert_array_equal(np.asarray(model.predict_proba(Xs)), expected)
        with pytest.raises(ValueError, match="must use the same namespace"):
            model.predict(X)
        text = LogisticNeuron().fit(Xs, y)  # other libraries have no text
        assert set(text.predict(Xs).tolist()) == {"no", "yes"}
        assert len(model.summary(Xs, ys)) == 6
    save_model(model, tmp_path / "model.skops")
    np.testing.assert_array_equal(load_model(tmp_path / "model.skops").predict_proba(X), expected)
    if importlib.util.find_spec("onnx"):
        assert to_onnx(model).graph.name == "logistic_neuron"
