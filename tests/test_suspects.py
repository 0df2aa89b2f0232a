"""Suspect labels: out-of-fold probabilities by hand, and outliers that others have found."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold, ShuffleSplit, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from trainer import LogisticNeuron, LogisticNeuronCV, load_model, save_model, suspect_labels

VASO = pd.read_csv(Path(__file__).parent / "data" / "vaso.csv")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """On a busy machine BLAS's threads wait for each other far longer than small sets take."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.mark.parametrize("scaled", [False, True])
def test_the_outliers_of_vasoconstriction_come_first(scaled):
    """Rows 4 and 18, counted from 1: Pregibon, Annals of Statistics 9 (1981)."""
    X, y = np.log(VASO[["Volume", "Rate"]]), VASO["Y"]
    model = LogisticNeuronCV(random_state=0)
    model = make_pipeline(StandardScaler(), model) if scaled else model
    table = suspect_labels(model.fit(X, y), X, y)
    assert set(table["row"][:2] + 1) == {4, 18}
    assert (table["label"][:2] == 1).all()
    assert (table["predicted"][:2] == 0).all()
    assert table.index.tolist() == list(range(1, 40))


def test_the_probabilities_are_those_of_the_folds(cancer):
    X, y = cancer
    model = LogisticNeuronCV(alphas=[1e-3, 1e-2], tol=1e-9).fit(X, y)
    table = suspect_labels(model, X, y).sort_values("row")
    expected = np.empty(len(y))
    for rows, held_out in StratifiedKFold(5).split(X, y):
        neuron = LogisticNeuron(alpha=model.alpha_, tol=1e-9).fit(X[rows], y[rows])
        p = neuron.predict_proba(X[held_out])
        expected[held_out] = p[np.arange(len(held_out)), y[held_out]]
    np.testing.assert_allclose(table["probability"], expected, atol=1e-5)
    fitted = model.predict_proba(X)[np.arange(len(y)), y]
    np.testing.assert_allclose(table["change"], fitted - table["probability"], atol=1e-12)
    assert (np.diff(suspect_labels(model, X, y)["probability"]) >= 0).all()
    # any other classifier is trained on the same folds here
    other = suspect_labels(LogisticNeuron(alpha=model.alpha_, tol=1e-9), X, y).sort_values("row")
    np.testing.assert_allclose(other["probability"], expected, atol=1e-5)


def test_wrong_labels_are_found(cancer):
    X, y = cancer
    wrong = np.random.default_rng(0).random(len(y)) < 0.1
    recorded = np.array(["benign", "malignant"])[np.where(wrong, 1 - y, y)]
    for model in (LogisticNeuronCV().fit(X, recorded), LogisticRegression()):
        table = suspect_labels(model, X, recorded)
        assert roc_auc_score(wrong[table["row"]], 1 - table["probability"]) > 0.95
        first = table[: wrong.sum()]
        assert wrong[first["row"]].mean() > 0.8
        assert (first["predicted"] != first["label"]).mean() > 0.9


def test_several_classes_repeated_folds_and_a_saved_model(tmp_path):
    X, y = load_iris(return_X_y=True, as_frame=True)
    cv = RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticNeuronCV(alphas=4, cv=cv)).fit(X, y)
    table = suspect_labels(model, X, y)
    assert len(table) == 150
    save_model(model, tmp_path / "model.skops")
    again = suspect_labels(load_model(tmp_path / "model.skops"), X, y)
    pd.testing.assert_frame_equal(again, table)
    part = LogisticNeuronCV(alphas=4, cv=ShuffleSplit(1, test_size=30, random_state=0)).fit(X, y)
    assert len(suspect_labels(part, X, y)) == 30  # the rows that a fold held out


def test_folds_that_cannot_be_made_again_are_refused(cancer):
    X, y = cancer
    model = LogisticNeuronCV(alphas=2, cv=StratifiedKFold(3, shuffle=True)).fit(X, y)
    with pytest.raises(ValueError, match="give cv a random_state where it shuffles"):
        suspect_labels(model, X, y)
    model = LogisticNeuronCV(alphas=2).fit(X, y)
    with pytest.raises(ValueError, match="must be the rows that the LogisticNeuronCV was fitted"):
        suspect_labels(model, X[:-1], y[:-1])
    with pytest.raises(ValueError, match="got soft labels"):
        suspect_labels(model, X, np.column_stack([1 - y, y]))


def test_labels_keep_their_names_out_of_fold():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((90, 2)), np.repeat(["a", "b", "c"], 30)
    X[y == "b"] += 2
    neuron = LogisticNeuron(class_weight={"b": 20.0})
    cv = StratifiedKFold(3)
    table = suspect_labels(neuron, X, y, cv=cv).sort_values("row")
    expected = np.empty(90)
    for train, held_out in cv.split(X, y):
        p = neuron.fit(X[train], y[train]).predict_proba(X[held_out])
        expected[held_out] = p[np.arange(len(p)), np.searchsorted(["a", "b", "c"], y[held_out])]
    np.testing.assert_allclose(table["probability"], expected, rtol=1e-12)
    two = suspect_labels(neuron.fit(X, y), X[y != "a"], y[y != "a"])  # knows one class more
    assert len(two) == 60
