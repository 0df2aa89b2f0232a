"""Labels, soft labels and class weights: each against weights by hand and repeated rows."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_iris
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight

from trainer import LogisticNeuron
from trainer.estimators.targets import from_labels, from_probabilities


def neuron(**parameters):
    return LogisticNeuron(**{"alpha": 0.01, "tol": 1e-11, "n_starts": 1} | parameters)


def parameters_of(model):
    return np.column_stack([model.coef_, model.intercept_])


def assert_same(one, other, rtol=1e-6):
    np.testing.assert_allclose(parameters_of(one), parameters_of(other), rtol=rtol, atol=1e-8)


def problem(n_classes, n=120):
    rng = np.random.default_rng(n_classes)
    X = rng.normal(size=(n, 3))
    z = X @ rng.normal(size=(3, n_classes)) + rng.gumbel(size=(n, n_classes))
    P = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return X, z.argmax(axis=1), P


# ------------------------------------------------------------------------ class weights


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kind", ["dict", "balanced"])
def test_class_weights_are_sample_weights_by_hand(kind, n_classes, weighted):
    X, y, _ = problem(n_classes)
    weight = np.random.default_rng(0).integers(1, 4, len(y)) * 1.0 if weighted else np.ones(len(y))
    if kind == "dict":
        given, of_class = {0: 3, 1: 0.5, 2: 2}, np.array([3, 0.5, 2])
        given = {k: given[k] for k in range(n_classes)}
    else:
        given = "balanced"
        totals = np.array([weight[y == k].sum() for k in range(n_classes)])
        of_class = weight.sum() / (n_classes * totals)
        if not weighted:
            by_sklearn = compute_class_weight("balanced", classes=np.arange(n_classes), y=y)
            np.testing.assert_allclose(of_class, by_sklearn)
    model = neuron(class_weight=given).fit(X, y, weight if weighted else None)
    assert_same(model, neuron().fit(X, y, weight * of_class[y]))


def test_whole_class_weights_are_repeated_rows():
    X, y, _ = problem(3)
    times = np.array([1, 3, 2])[y]
    model = neuron(class_weight={0: 1, 1: 3, 2: 2}).fit(X, y)
    assert_same(model, neuron().fit(X.repeat(times, axis=0), y.repeat(times)))


def test_balanced_counts_a_weight_as_so_many_rows():
    X, y, _ = problem(3)
    counts = np.random.default_rng(1).integers(0, 4, len(y))
    model = neuron(class_weight="balanced")
    weighted = parameters_of(model.fit(X, y, counts))
    repeated = parameters_of(model.fit(X.repeat(counts, axis=0), y.repeat(counts)))
    np.testing.assert_allclose(weighted, repeated, rtol=1e-7)


@pytest.mark.parametrize("given", ["balanced", {"a": 1, "b": 2}])
def test_class_weights_do_not_count_a_class_without_weight(given):
    X, y, _ = problem(3)
    names = np.array(["a", "b", "c"])[y]
    model = neuron(class_weight=given).fit(X, names, (y < 2).astype(float))
    assert model.classes_.tolist() == ["a", "b", "c"]
    present = neuron(class_weight=given).fit(X[y < 2], names[y < 2])
    np.testing.assert_allclose(model.coef_[1], present.coef_[0], rtol=1e-6)
    assert model.predict_proba(X)[:, 2].max() < 0.01


@pytest.mark.parametrize("soft", [False, True])
def test_class_weights_that_are_none_are_refused(soft):
    X, y, P = problem(2)
    given = P if soft else y
    for bad in (-1, np.nan, np.inf):
        with pytest.raises(ValueError, match="class_weight must hold finite numbers >= 0, got"):
            neuron(class_weight={0: bad, 1: 1}).fit(X, given)
    with pytest.raises(ValueError, match="class weights, must leave rows with weight"):
        neuron(class_weight={0: 0, 1: 0}).fit(X, given)
    with pytest.raises(ValueError, match="not in class_weight"):
        neuron(class_weight={1: 2, 7: 1}).fit(X, given)
    with pytest.raises(ValueError, match="class_weight"):
        neuron(class_weight="even").fit(X, given)


def test_class_weights_too_small_for_their_digits_count_as_next_to_nothing():
    X, y, _ = problem(2)
    tiny, tinier = (neuron(class_weight={0: w, 1: 1.0}).fit(X, y) for w in (1e-300, 1e-320))
    np.testing.assert_allclose(tiny.predict_proba(X), tinier.predict_proba(X), atol=1e-6)


# -------------------------------------------------------------------------- soft labels


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_soft_labels_are_rows_of_each_class_with_those_weights(n_classes, weighted):
    X, _, P = problem(n_classes)
    weight = np.random.default_rng(2).random(len(X)) if weighted else np.ones(len(X))
    soft = neuron().fit(X, P, weight if weighted else None)
    hard = neuron().fit(
        np.tile(X, (n_classes, 1)),
        np.arange(n_classes).repeat(len(X)),
        (P * weight[:, np.newaxis]).T.ravel(),
    )
    assert soft.classes_.tolist() == list(range(n_classes))
    np.testing.assert_allclose(parameters_of(soft), parameters_of(hard), atol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_one_hot_table_is_hard_labels(n_classes):
    X, y, _ = problem(n_classes)
    for given in (np.eye(n_classes)[y], np.eye(n_classes, dtype=int)[y].tolist()):
        assert_same(neuron().fit(X, given), neuron().fit(X, y), rtol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kind", ["dict", "balanced"])
def test_class_weights_of_soft_labels_are_weights_by_hand(kind, n_classes):
    X, _, P = problem(n_classes)
    weight = np.random.default_rng(3).random(len(X))
    of_class = np.array([3, 0.5, 2])[:n_classes]
    given = dict(enumerate(of_class.tolist()))
    if kind == "balanced":
        given, totals = "balanced", weight @ P
        of_class = totals.sum() / (n_classes * totals)
    soft = neuron(class_weight=given).fit(X, P, weight)
    hard = neuron().fit(
        np.tile(X, (n_classes, 1)),
        np.arange(n_classes).repeat(len(X)),
        (P * of_class * weight[:, np.newaxis]).T.ravel(),
    )
    np.testing.assert_allclose(parameters_of(soft), parameters_of(hard), atol=1e-6)


def test_a_frames_columns_name_the_classes_in_any_order():
    X, _, P = problem(3)
    frame = pd.DataFrame(P, columns=["mid", "low", "high"])
    model = neuron().fit(X, frame)
    assert model.classes_.tolist() == ["high", "low", "mid"]  # in order, as scikit-learn's are
    assert_same(model, neuron().fit(X, P[:, [2, 1, 0]]), rtol=1e-12)
    assert set(model.predict(X)) <= set(frame)
    watched = neuron(alpha=0).fit(X, frame, X_val=X, y_val=frame[["low", "high", "mid"]])
    np.testing.assert_allclose(watched.validation_curve_, watched.loss_curve_, rtol=1e-12)
    with pytest.raises(ValueError, match=r"y_val: y must have the columns \['high', 'low', 'mid"):
        neuron().fit(X, frame, X_val=X, y_val=P)


def test_a_polars_frame_names_them_too():
    pl = pytest.importorskip("polars")
    X, y, P = problem(3)
    model = neuron().fit(
        pl.DataFrame(X, schema=["u", "v", "w"]), pl.DataFrame(P, schema=["a", "b", "c"])
    )
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.feature_names_in_.tolist() == ["u", "v", "w"]
    assert_same(model, neuron().fit(X, P), rtol=1e-10)
    hard = neuron().fit(pl.DataFrame(X, schema=["u", "v", "w"]), pl.Series(y))
    assert_same(hard, neuron().fit(X, y), rtol=1e-10)
    assert hard.predict(pl.DataFrame(X, schema=["u", "v", "w"])).shape == (len(X),)


def test_a_soft_row_without_weight_is_absent_whatever_it_says():
    X, _, P = problem(3)
    weight = np.ones(len(X))
    weight[:20] = 0
    P[:10], P[10:20] = np.nan, 5
    before = P.copy()
    assert_same(neuron().fit(X, P, weight), neuron().fit(X[20:], P[20:]), rtol=1e-9)
    np.testing.assert_array_equal(P, before)


def test_soft_labels_need_no_row_of_a_second_class():
    X, _, _ = problem(2)
    P = np.tile([0.3, 0.7], (len(X), 1))
    model = neuron().fit(X, P)
    np.testing.assert_allclose(model.predict_proba(X), P, atol=1e-6)


# ------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([[0.5, 0.6]], r"rows that sum to 1, got a row that sums to 1\.1; divide"),
        ([[1.5, -0.5]], "got values that are negative or not finite; give labels as a single"),
        ([[np.nan, 1.0]], "negative or not finite"),
        ([[np.inf, 0.0]], "negative or not finite"),
        (pd.DataFrame([[0.5, 0.5]], columns=["a", "a"]), "name each class once, got the columns"),
    ],
)
def test_what_is_no_table_of_probabilities_is_refused(y, message):
    with pytest.raises(ValueError, match=message):
        from_probabilities(y, None, None, float)
    with pytest.raises(ValueError, match=message):
        neuron().fit([[1.0]], y)


def test_labels_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"at least two classes, .*: \['a'\]"):
        from_labels(np.array(["a", "a"]), None, None, float)
    with pytest.raises(ValueError, match=r"only labels of \[0, 1\], got 2$"):
        from_labels(np.array([0, 2]), None, None, float, np.array([0, 1]))
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        from_labels(np.array([0.5, 1.2]), None, None, float)
    with pytest.raises(ValueError, match=r"must have the columns \['a', 'b'\], got \[0, 1\]"):
        from_probabilities(np.eye(2), None, None, float, np.array(["a", "b"]))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        neuron().fit(np.ones((3, 1)), np.eye(2))
    with pytest.raises(ValueError, match="at least one non-zero number"):
        neuron().fit(np.ones((2, 1)), np.eye(2), np.zeros(2))


def test_a_sparse_table_is_refused_in_words():
    with pytest.raises(ValueError, match=r"must not be sparse; give y\.toarray"):
        neuron().fit(np.eye(2), csr_array(np.eye(2)))


def test_a_column_of_labels_is_labels():
    X, y = load_iris(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, that a column is no vector
        column = neuron().fit(X, y[:, np.newaxis])
    assert_same(column, neuron().fit(X, y), rtol=1e-12)


def test_a_pyarrow_table_of_soft_labels_names_the_classes():
    pa = pytest.importorskip("pyarrow")
    X, _, P = problem(2)
    table = pa.table({"yes": P[:, 1], "no": P[:, 0]})
    model = neuron().fit(X, table)
    assert model.classes_.tolist() == ["no", "yes"]
    assert_same(model, neuron().fit(X, P))


def of_arrays(shape):
    """An array whose entries are arrays."""
    values = np.empty(shape, dtype=object)
    for place in np.ndindex(values.shape):
        values[place] = np.zeros(2)
    return values


@pytest.mark.parametrize(
    ("X", "y", "weight"),
    [
        ([[[1, 2], [3]], [[1], [2]]], [0, 1], None),
        ([[1.0], [2.0]], np.array([1, "a"], dtype=object), None),
        ([[1.0], [2.0]], [0, 1], ["a", "b"]),
        ([[{}], [2.0]], [0, 1], None),
        (np.zeros(2, dtype=[("a", float), ("b", float)]), [0, 1], None),
        (of_arrays((2, 1)), [0, 1], None),
        ([[1.0], [2.0]], of_arrays(2), None),
        ([[1.0], [2.0]], [0, 1], of_arrays(2)),
    ],
)
def test_what_numpy_cannot_read_is_refused_with_a_rule(X, y, weight):
    with pytest.raises((TypeError, ValueError), match=r"must be|must hold|Unknown label"):
        neuron().fit(X, y, weight)
