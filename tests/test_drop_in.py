"""In LogisticRegression's place: scikit-learn's own tools around a neuron, on real tables."""

import numpy as np
import pandas as pd
import pytest
from helpers import mixed_table
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.ensemble import BaggingClassifier, StackingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, brier_score_loss, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    train_test_split,
)
from sklearn.multiclass import OneVsOneClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from trainer import LogisticNeuron, LogisticNeuronCV

NEURON, REGRESSION = LogisticNeuron(alpha=1e-3, random_state=0), LogisticRegression(max_iter=1000)
BOTH = (NEURON, REGRESSION)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """On a busy machine BLAS's threads wait for each other far longer than small sets take."""
    with threadpool_limits(1):
        yield


def split(load, **settings):
    """Train and test rows, scaled by the train rows: X, X_test, y, y_test."""
    X, y = load(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.4, stratify=y, random_state=0, **settings
    )
    scaler = StandardScaler().fit(X)
    return scaler.transform(X), scaler.transform(X_test), y, y_test


@pytest.fixture(scope="module")
def cancer():
    return split(load_breast_cancer)


@pytest.fixture(scope="module")
def cancer_and_noise(cancer):
    """The cancer's 30 columns, then 10 of its columns shuffled, which tell nothing."""
    X, _, y, _ = cancer
    noise = np.random.default_rng(0).permuted(X[:, :10], axis=0)
    return np.hstack([X, noise]), y


@pytest.fixture(scope="module")
def digits():
    """Rows of two thirds of the digits."""
    return split(lambda return_X_y: tuple(a[:1200] for a in load_digits(return_X_y=return_X_y)))


@pytest.fixture(scope="module")
def incomes():
    table = mixed_table(16_000)
    X, y = table.drop(columns="income"), table["income"]
    return train_test_split(X, y, train_size=8000, stratify=y, random_state=0)


def mixed(model):
    """The pipeline that people write for such a table; one-hot columns make it sparse."""
    text = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=10)
    columns = make_column_transformer(
        (text, lambda X: X.columns[[not pd.api.types.is_numeric_dtype(t) for t in X.dtypes]]),
        (StandardScaler(), lambda X: X.select_dtypes("number").columns),
        sparse_threshold=1.0,
    )
    return make_pipeline(columns, model)


def test_a_table_of_text_and_numbers(incomes):
    X, X_test, y, y_test = incomes
    assert X.isna().any().any()
    pipes = [mixed(model).fit(X, y) for model in (LogisticNeuron(random_state=0), REGRESSION)]
    assert pipes[0][:-1].transform(X[:5]).format == "csr"
    ours, theirs = (pipe.predict_proba(X_test)[:, 1] for pipe in pipes)
    rich = y_test == ">50K"
    assert pipes[0].classes_.tolist() == ["<=50K", ">50K"]
    assert brier_score_loss(rich, ours) <= brier_score_loss(rich, theirs) + 0.001
    assert roc_auc_score(rich, ours) > roc_auc_score(rich, theirs) - 0.005
    accuracy = [pipe.score(X_test, y_test) for pipe in pipes]
    assert accuracy[0] > accuracy[1] - 0.005
    assert accuracy[0] > rich.eq(False).mean() + 0.08


def test_grid_search(cancer):
    X, X_test, y, y_test = cancer
    grid = {"alpha": np.geomspace(1e-5, 1e-1, 9)}
    search = GridSearchCV(LogisticNeuron(random_state=0), grid, scoring="neg_brier_score").fit(X, y)
    rival = GridSearchCV(REGRESSION, {"C": np.geomspace(1e-3, 1e2, 9)}, scoring="neg_brier_score")
    rival.fit(X, y)
    assert search.best_score_ > rival.best_score_ - 0.002
    assert search.best_estimator_.alpha == search.best_params_["alpha"]
    proba = search.predict_proba(X_test)[:, 1]
    assert brier_score_loss(y_test, proba) < (
        brier_score_loss(y_test, rival.predict_proba(X_test)[:, 1]) + 0.005
    )
    # the same grid as one bank gives the same answer
    bank = LogisticNeuronCV(alphas=grid["alpha"], random_state=0).fit(X, y)
    np.testing.assert_allclose(
        bank.scores_.mean(axis=0), search.cv_results_["mean_test_score"], atol=1e-4
    )
    assert bank.alpha_ == search.best_params_["alpha"]


def test_halving_grid_search(digits):
    X, X_test, y, y_test = digits
    search = HalvingGridSearchCV(
        LogisticNeuron(random_state=0),
        {"alpha": [1e-4, 1e-3, 1e-2, 1]},
        cv=3,
        random_state=0,
        min_resources=200,
    ).fit(X, y)
    assert search.n_resources_[-1] > search.n_resources_[0]
    assert search.best_params_["alpha"] < 1  # which leaves no weights to speak of
    assert search.score(X_test, y_test) > clone(REGRESSION).fit(X, y).score(X_test, y_test) - 0.02


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("ensemble", [True, False])
def test_calibration(cancer, method, ensemble):
    X, X_test, y, y_test = cancer
    brier = []
    for model in BOTH:
        calibrated = CalibratedClassifierCV(model, method=method, ensemble=ensemble).fit(X, y)
        brier.append(brier_score_loss(y_test, calibrated.predict_proba(X_test)[:, 1]))
    assert brier[0] < brier[1] + 0.005
    assert brier[0] < y.var() / 4  # the constant's is y.var()


@pytest.mark.parametrize("load", [load_iris, load_wine])
def test_one_against_one(load):
    X, X_test, y, y_test = split(load)
    pairs = [OneVsOneClassifier(model).fit(X, y) for model in BOTH]
    assert [len(pair.estimators_) for pair in pairs] == [3, 3]
    assert all(one.coef_.shape == (1, X.shape[1]) for one in pairs[0].estimators_)
    accuracy = [pair.score(X_test, y_test) for pair in pairs]
    assert accuracy[0] > accuracy[1] - 0.02


def test_bagging(digits):
    X, X_test, y, y_test = digits
    settings = {"n_estimators": 5, "max_samples": 0.6, "max_features": 0.7, "random_state": 0}
    accuracy = [
        BaggingClassifier(model, **settings).fit(X, y).score(X_test, y_test) for model in BOTH
    ]
    assert accuracy[0] > accuracy[1] - 0.02
    assert accuracy[0] > 0.9


def test_stacking(cancer):
    X, X_test, y, y_test = cancer
    scores = []
    for model in BOTH:
        tree = DecisionTreeClassifier(max_depth=2, random_state=0)
        stack = StackingClassifier([("line", model), ("tree", tree)], clone(model)).fit(X, y)
        scores.append(stack.score(X_test, y_test))
        weight = dict(zip(["line", "tree"], stack.final_estimator_.coef_[0], strict=True))
        assert weight["line"] > weight["tree"]  # the better of the two is believed
    assert scores[0] > scores[1] - 0.01


def test_recursive_elimination_drops_what_tells_nothing(cancer_and_noise):
    X, y = cancer_and_noise
    kept = [set(RFE(model, n_features_to_select=10).fit(X, y).get_support(True)) for model in BOTH]
    assert max(kept[0]) < 30
    assert len(kept[0] & kept[1]) >= 7


def test_selection_by_weight(cancer_and_noise):
    X, y = cancer_and_noise
    select = SelectFromModel(NEURON, threshold="mean").fit(X, y)
    support, weights = select.get_support(), np.abs(select.estimator_.coef_[0])
    np.testing.assert_array_equal(support, weights >= weights.mean())
    assert support[:30].mean() > 2 * support[30:].mean()
    theirs = SelectFromModel(REGRESSION, threshold="mean").fit(X, y).get_support()
    assert (support & theirs).sum() > 0.75 * (support | theirs).sum()
    scores = [cross_val_score(make_pipeline(select, model), X, y).mean() for model in BOTH]
    assert scores[0] > scores[1] - 0.01


def test_permutation_importance(cancer_and_noise):
    X, y = cancer_and_noise
    ours, theirs = (
        permutation_importance(
            clone(model).fit(X, y), X, y, scoring="neg_brier_score", n_repeats=3, random_state=0
        ).importances_mean
        for model in BOTH
    )
    assert ours[:30].max() > 5 * ours[30:].max()
    assert np.corrcoef(ours, theirs)[0, 1] > 0.8


def test_predictions_out_of_fold(cancer):
    X, _, y, _ = cancer
    ours, theirs = (cross_val_predict(m, X, y, method="predict_proba") for m in BOTH)
    np.testing.assert_allclose(ours.sum(axis=1), 1)
    assert brier_score_loss(y, ours[:, 1]) < brier_score_loss(y, theirs[:, 1]) + 0.002
    z = cross_val_predict(NEURON, X, y, method="decision_function")
    np.testing.assert_array_equal(z > 0, cross_val_predict(NEURON, X, y) == 1)
    np.testing.assert_allclose(1 / (1 + np.exp(-z)), ours[:, 1], rtol=1e-6, atol=1e-12)


def test_a_threshold_that_is_tuned(incomes):
    X, X_test, y, y_test = incomes
    X, y = X[:3000], y[:3000]
    balanced = []
    for model in BOTH:
        tuned = TunedThresholdClassifierCV(mixed(model), cv=3).fit(X, y)
        assert 0.1 < tuned.best_threshold_ < 0.45  # a quarter of the rows are ">50K"
        balanced.append(balanced_accuracy_score(y_test, tuned.predict(X_test)))
    plain = mixed(NEURON).fit(X, y).predict(X_test)
    assert balanced[0] > balanced_accuracy_score(y_test, plain) + 0.03
    assert balanced[0] > balanced[1] - 0.01


def test_many_classes(digits):
    X, X_test, y, y_test = digits
    accuracy = [clone(model).fit(X, y).score(X_test, y_test) for model in BOTH]
    assert accuracy[0] > accuracy[1] - 0.02


def test_weights_by_metadata_routing_are_weights_by_hand(cancer):
    X, X_test, y, _ = cancer
    weight = np.random.default_rng(0).integers(0, 4, len(y)).astype(float)
    alphas, folds = [1e-3, 1e-1, 10.0], StratifiedKFold(3)
    scored = []
    for alpha in alphas:
        for train, test in folds.split(X, y):
            by_hand = make_pipeline(StandardScaler(), LogisticNeuron(alpha=alpha, random_state=0))
            by_hand.fit(X[train], y[train], logisticneuron__sample_weight=weight[train])
            hits = by_hand.predict(X[test])
            scored.append(accuracy_score(y[test], hits, sample_weight=weight[test]))
    scored = np.reshape(scored, (3, 3))

    with config_context(enable_metadata_routing=True):
        neuron = LogisticNeuron(random_state=0).set_fit_request(sample_weight=True)
        neuron.set_score_request(sample_weight=True)
        pipe = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), neuron)
        search = GridSearchCV(pipe, {"logisticneuron__alpha": alphas}, cv=folds)
        search.fit(X, y, sample_weight=weight)
    got = np.transpose([search.cv_results_[f"split{k}_test_score"] for k in range(3)])
    np.testing.assert_allclose(got, scored)

    best = alphas[scored.mean(axis=1).argmax()]
    final = make_pipeline(StandardScaler(), LogisticNeuron(alpha=best, random_state=0))
    final.fit(X, y, logisticneuron__sample_weight=weight)
    assert search.best_params_ == {"logisticneuron__alpha": best}
    np.testing.assert_allclose(search.predict_proba(X_test), final.predict_proba(X_test))
    unweighted = make_pipeline(StandardScaler(), LogisticNeuron(alpha=best, random_state=0)).fit(
        X, y
    )
    assert np.abs(search.predict_proba(X_test) - unweighted.predict_proba(X_test)).max() > 1e-3


def test_rows_held_out_go_through_the_pipeline_too(cancer):
    X, X_val, y, y_val = cancer
    X, X_val = 100 * X + 7, 100 * X_val + 7  # of no use unless scaled
    neuron = LogisticNeuron(alpha=0, early_stopping=True, optimizer="gradient_descent")
    with config_context(enable_metadata_routing=True):
        asked = clone(neuron).set_fit_request(X_val=True, y_val=True)
        pipe = Pipeline(
            [("scale", StandardScaler()), ("neuron", asked)], transform_input=["X_val"]
        ).fit(X, y, X_val=X_val, y_val=y_val)
    scaler = StandardScaler().fit(X)
    neuron.fit(scaler.transform(X), y, X_val=scaler.transform(X_val), y_val=y_val)
    np.testing.assert_array_equal(pipe[-1].validation_curve_, neuron.validation_curve_)
    np.testing.assert_array_equal(pipe[-1].coef_, neuron.coef_)


def test_the_penalty_chosen_inside_every_fold(cancer):
    X, _, y, _ = cancer
    pipe = make_pipeline(StandardScaler(), LogisticNeuronCV(alphas=8, cv=3, random_state=0))
    scores = cross_val_score(pipe, X, y, scoring="neg_brier_score", cv=3)
    worst = LogisticNeuron(alpha=1.0, random_state=0)
    rivals = [
        cross_val_score(
            make_pipeline(StandardScaler(), model), X, y, scoring="neg_brier_score", cv=3
        )
        for model in (REGRESSION, worst)
    ]
    assert scores.mean() > rivals[0].mean() - 0.003
    assert scores.mean() > rivals[1].mean() + 0.01


def test_copies_and_parameters_in_a_pipeline(cancer):
    X, X_test, y, _ = cancer
    pipe = make_pipeline(StandardScaler(), LogisticNeuron(random_state=0)).fit(X, y)
    before = pipe.predict_proba(X_test)
    copy = clone(pipe).set_params(logisticneuron__alpha=0.1, logisticneuron__optimizer="newton")
    assert not hasattr(copy[-1], "coef_")
    assert pipe.get_params()["logisticneuron__alpha"] == "auto"
    assert np.abs(copy.fit(X, y).predict_proba(X_test) - before).max() > 0.01
    np.testing.assert_array_equal(pipe.predict_proba(X_test), before)

    back = copy.set_params(**{
        name: value for name, value in pipe.get_params().items() if "__" in name
    }).fit(X, y)  # fmt: skip
    np.testing.assert_array_equal(back.predict_proba(X_test), before)
    with pytest.raises(ValueError, match="Invalid parameter 'alfa'"):
        copy.set_params(logisticneuron__alfa=1)
