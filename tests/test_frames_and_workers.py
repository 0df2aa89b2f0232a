"""Frames of either kind, copies in other processes, and how a neuron shows in a notebook."""

import numpy as np
import pandas as pd
import pytest
from joblib import Parallel, delayed
from sklearn.datasets import load_iris
from sklearn.utils import estimator_html_repr

from trainer import LogisticNeuron, LogisticNeuronCV

NAMES = ["sepal length", "sepal width", "petal length", "petal width"]


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return X - X.mean(axis=0), y


def frame_of(kind, X):
    if kind == "pandas":
        return pd.DataFrame(X, columns=NAMES)
    return pytest.importorskip("polars").DataFrame(X, schema=NAMES)


# scikit-learn keeps float32 of pandas frames, and reads polars' as float64
@pytest.mark.parametrize(
    ("kind", "dtype"), [("pandas", np.float32), ("pandas", np.float64), ("polars", np.float64)]
)
def test_a_frame_is_its_numbers_with_names(iris, kind, dtype):
    X, y = iris
    X = X.astype(dtype)
    frame = frame_of(kind, X)
    plain = LogisticNeuron(alpha=0.01, early_stopping=True, random_state=0).fit(X, y)
    framed = LogisticNeuron(alpha=0.01, early_stopping=True, random_state=0).fit(frame, y)
    np.testing.assert_array_equal(framed.coef_, plain.coef_)
    np.testing.assert_array_equal(framed.predict_proba(frame), plain.predict_proba(X))
    assert framed.coef_.dtype == dtype
    assert framed.feature_names_in_.tolist() == NAMES
    assert not hasattr(plain, "feature_names_in_")
    with pytest.raises(ValueError, match="feature names"):
        framed.predict(frame[NAMES[::-1]])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        framed.predict(X)
    adam = LogisticNeuron(optimizer="adam").partial_fit(frame, y, classes=[0, 1, 2])
    assert adam.feature_names_in_.tolist() == NAMES
    framed.set_params(early_stopping=False).fit(frame, y)
    assert framed.summary(frame, y).loc[1].index.tolist() == [*NAMES, "intercept"]


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_rows_held_out_may_be_frames(iris, kind):
    X, y = iris
    frame, shares = frame_of(kind, X), np.eye(3)[y]
    plain = LogisticNeuron().fit(X, y, X_val=X, y_val=y).validation_curve_
    for target in (y, shares):
        watched = LogisticNeuron().fit(frame, target, X_val=frame, y_val=target)
        np.testing.assert_allclose(watched.validation_curve_, plain, rtol=1e-10)


def fitted(neuron, X, y):
    return neuron.fit(X, y)


def answers(neuron, X):
    return neuron.predict_proba(X)


def test_other_processes_fit_and_answer_alike(iris):
    X, y = iris
    neurons = [
        LogisticNeuron(alpha=0.01, random_state=0),
        LogisticNeuron(optimizer="adam", batch_size=16, max_iter=5, tol=1, random_state=0),
    ]
    work = Parallel(n_jobs=2)
    afar = work(delayed(fitted)(neuron, X, y) for neuron in neurons)
    for neuron, other in zip(neurons, afar, strict=True):
        assert not hasattr(neuron, "coef_")
        assert neuron.fit(X, y).termination_.reason == other.termination_.reason
        np.testing.assert_allclose(other.coef_, neuron.coef_, rtol=1e-10)
    for neuron, p in zip(neurons, work(delayed(answers)(n, X) for n in neurons), strict=True):
        np.testing.assert_array_equal(p, neuron.predict_proba(X))


@pytest.mark.parametrize("kind", [LogisticNeuron, LogisticNeuronCV])
def test_a_notebook_shows_parameters_and_what_was_fitted(iris, kind):
    X, y = iris
    model = kind().fit(X, y)
    shown = estimator_html_repr(model)
    attributes = ["coef_", "intercept_", "classes_", "n_iter_", "termination_", "loss_curve_"]
    if kind is LogisticNeuronCV:
        attributes += ["alpha_", "alphas_", "scores_"]
    for name in [*model.get_params(), *attributes]:
        assert name in shown
    assert "not fitted" not in shown.lower()
    assert kind.__name__ in kind()._repr_html_()
    assert "not fitted" in estimator_html_repr(kind()).lower()


@pytest.mark.parametrize("optimizer", ["auto", "adam"])
def test_verbose_speaks_for_the_bank(iris, capsys, optimizer):
    X, y = iris
    neuron = LogisticNeuron(optimizer=optimizer, verbose=2, n_starts=1, tol=1e-4).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == neuron.n_iter_ // 2
    for i, line in enumerate(lines, start=1):
        words = line.split()
        assert words[:2] == ["iteration", str(2 * i)]
        assert float(words[3]) == pytest.approx(neuron.loss_curve_[2 * i], abs=1e-8)
        slope = neuron.history_["gradient_max"][2 * i]
        assert float(words[-1]) == pytest.approx(slope, rel=1e-2)
