"""Standard errors: against loops over the lesson, repeated rows, and what chance really does."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from scipy.stats import norm
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

from trainer import LogisticNeuron, coefficient_table
from trainer import chain_rule as lesson

COLUMNS = ["coef", "std_err", "z", "p", "lower", "upper"]


def problem(n=200, d=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.7)
    y = rng.random(n) < lesson.sigmoid(X @ np.linspace(-1, 1.5, d) + 0.4)
    return X, y.astype(int)


def by_loops(neuron, X, y, weight, of_class=(1, 1)):
    """The sandwich row by row, each row's gradient with its share of the penalty."""
    theta = np.append(neuron.coef_[0], neuron.intercept_)
    penalty = np.append(np.full(len(theta) - 1, neuron.alpha_), 0)
    size = len(theta) if neuron.fit_intercept else len(theta) - 1
    A, B = np.zeros((2, size, size))
    n = 0
    for x, target, times in zip(X, y, weight, strict=True):
        c = target * of_class[1] + (1 - target) * of_class[0]
        target = target * of_class[1] / c
        x1 = np.append(x, 1)
        z = theta @ x1
        score = c * (lesson.dl_dz([target], [z]) * x1 + penalty * theta)[:size]
        curvature = lesson.d2l_dz2([target], [z]) * np.outer(x1, x1) + np.diag(penalty)
        A += times * c * curvature[:size, :size]
        B += times * np.outer(score, score)
        n += times * c
    inverse = np.linalg.inv(A / n)
    return theta[:size], np.sqrt(np.diag(inverse @ (B / n) @ inverse / n))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("alpha", [0, 1e-4, 0.05])
def test_table_is_the_sum_over_rows_written_out(alpha, fit_intercept, weighted):
    X, y = problem()
    weight = np.random.default_rng(1).integers(0, 4, len(y)) * 1.0 if weighted else None
    neuron = LogisticNeuron(alpha=alpha, fit_intercept=fit_intercept, tol=1e-12)
    neuron.fit(X, y, weight)
    table = coefficient_table(neuron, X, y, weight, level=0.9)
    coef, std_err = by_loops(neuron, X, y, np.ones(len(y)) if weight is None else weight)
    names = ["x0", "x1", "x2"] + ["intercept"] * fit_intercept
    assert table.index.tolist() == names
    assert table.columns.tolist() == COLUMNS
    np.testing.assert_array_equal(table["coef"], coef)
    np.testing.assert_allclose(table["std_err"], std_err, rtol=1e-9)
    np.testing.assert_allclose(table["z"], coef / std_err, rtol=1e-9)
    np.testing.assert_allclose(table["p"], 2 * norm.sf(np.abs(coef / std_err)), rtol=1e-7)
    lower, upper = norm.interval(0.9, coef, std_err)
    np.testing.assert_allclose(table["lower"], lower, rtol=1e-8)
    np.testing.assert_allclose(table["upper"], upper, rtol=1e-8)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("alpha", [0, 0.05])
def test_class_weights_and_soft_labels_are_the_sum_over_rows_too(alpha, soft):
    X, y = problem()
    rng = np.random.default_rng(3)
    weight = rng.integers(0, 4, len(y)) * 1.0
    p = 0.2 + 0.6 * y * rng.random(len(y)) if soft else y
    given = np.column_stack([1 - p, p]) if soft else y
    for of_class in (None, {0: 2.5, 1: 0.5}):
        neuron = LogisticNeuron(alpha=alpha, class_weight=of_class, tol=1e-12)
        neuron.fit(X, given, weight)
        table = neuron.summary(X, given, weight)
        coef, std_err = by_loops(neuron, X, p, weight, (1, 1) if of_class is None else (2.5, 0.5))
        np.testing.assert_array_equal(table["coef"], coef)
        np.testing.assert_allclose(table["std_err"], std_err, rtol=1e-9)


def test_class_weights_do_not_count_rows():
    X, y = problem()
    plain, doubled = (
        LogisticNeuron(alpha=0.01, class_weight=c).fit(X, y) for c in (None, {0: 2, 1: 2})
    )
    pd.testing.assert_frame_equal(doubled.summary(X, y), plain.summary(X, y), rtol=1e-6)
    counts = np.random.default_rng(2).integers(0, 4, len(y))
    balanced = LogisticNeuron(class_weight="balanced").fit(X, y, counts)
    pd.testing.assert_frame_equal(
        balanced.summary(X, y, counts),
        balanced.summary(X.repeat(counts, axis=0), y.repeat(counts)),
        rtol=1e-9,
    )


def test_soft_labels_of_several_classes_are_tabled_by_class():
    X, y = load_iris(return_X_y=True, as_frame=True)
    table = LogisticNeuron(alpha=0.01).fit(X, y).summary(X, y)
    one_hot = pd.get_dummies(y, dtype=float)
    pd.testing.assert_frame_equal(
        LogisticNeuron(alpha=0.01).fit(X, one_hot).summary(X, one_hot), table, rtol=1e-6
    )


def test_errors_with_class_weights_are_what_chance_really_does():
    rng = np.random.default_rng(4)
    coef, std_err = [], []
    neuron = LogisticNeuron(alpha=1e-6, n_starts=1, class_weight={0: 1, 1: 4})
    for _ in range(400):
        X = rng.normal(size=(1500, 1))
        y = rng.random(1500) < lesson.sigmoid(X[:, 0] - 1.5)
        table = coefficient_table(neuron.fit(X, y), X, y)
        coef.append(table["coef"])
        std_err.append(table["std_err"])
    by_chance = np.std(coef, axis=0, ddof=1)  # itself known to 3.5 % from 400 data sets
    np.testing.assert_allclose(np.mean(std_err, axis=0), by_chance, rtol=0.1)


def test_a_weight_counts_the_row_so_many_times():
    X, y = problem()
    counts = np.random.default_rng(2).integers(0, 4, len(y))
    neuron = LogisticNeuron().fit(X, y, counts)
    pd.testing.assert_frame_equal(
        coefficient_table(neuron, X, y, counts),
        coefficient_table(neuron, X.repeat(counts, axis=0), y.repeat(counts)),
        rtol=1e-9,
    )
    y[counts == 0] = 7  # a label that no weight counts
    assert np.isfinite(coefficient_table(neuron, X, y, counts)).all(axis=None)


def test_units_do_not_matter():
    X, y = problem()
    units = np.array([1e-4, 1.0, 1e5])
    table = coefficient_table(LogisticNeuron(alpha=0, tol=1e-12).fit(X, y), X, y)
    neuron = LogisticNeuron(alpha=0, tol=1e-12).fit(X, y)
    neuron.coef_ = neuron.coef_ / units
    rescaled = coefficient_table(neuron, X * units, y)
    np.testing.assert_allclose(rescaled["z"], table["z"], rtol=1e-8)
    np.testing.assert_allclose(rescaled["std_err"][:3] * units, table["std_err"][:3], rtol=1e-8)


def test_sparse_is_dense():
    X, y = problem()
    neuron = LogisticNeuron().fit(X, y)
    dense = coefficient_table(neuron, X, y)
    pd.testing.assert_frame_equal(coefficient_table(neuron, csr_array(X), y), dense, rtol=1e-10)


def test_float32_answers_to_its_precision():
    X, y = problem(n=5000)
    double = coefficient_table(LogisticNeuron().fit(X, y), X, y)
    X = X.astype(np.float32)
    single = coefficient_table(LogisticNeuron().fit(X, y), X, y)
    assert (single.dtypes == np.float64).all()
    pd.testing.assert_frame_equal(single, double, rtol=1e-3, atol=1e-4)


def test_names_are_those_of_the_columns_and_labels_may_be_words():
    X, y = problem()
    frame = pd.DataFrame(X, columns=["age", "dose", "weight"])
    words = np.where(y == 1, "yes", "no")
    table = coefficient_table(LogisticNeuron().fit(frame, words), frame, words)
    assert table.index.tolist() == ["age", "dose", "weight", "intercept"]
    plain = coefficient_table(LogisticNeuron().fit(X, y), X, y)
    np.testing.assert_allclose(table.to_numpy(), plain.to_numpy(), rtol=1e-10)


def test_neurons_of_several_classes_are_tabled_one_after_the_other():
    X, y = load_iris(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    ones = [LogisticNeuron(alpha=0.01).fit(X, y == k) for k in range(3)]
    bank = LogisticNeuron(alpha=0.01).fit(X, y == 0)
    bank.classes_ = np.arange(3)
    bank.coef_ = np.vstack([one.coef_ for one in ones])
    bank.intercept_ = np.concatenate([one.intercept_ for one in ones])
    table = coefficient_table(bank, X, y)
    assert table.index.names == ["class", "coefficient"]
    for k, one in enumerate(ones):
        pd.testing.assert_frame_equal(
            table.loc[k], coefficient_table(one, X, y == k), rtol=1e-8, check_names=False
        )


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    truth = np.array([1.0, -1.0, 0.5])
    coef, std_err, held = [], [], []
    neuron = LogisticNeuron(alpha=1e-8, n_starts=1)
    for _ in range(600):
        X = rng.normal(size=(2000, 2))
        y = rng.random(2000) < lesson.sigmoid(X @ truth[:2] + truth[2])
        table = coefficient_table(neuron.fit(X, y), X, y)
        coef.append(table["coef"])
        std_err.append(table["std_err"])
        held.append((table["lower"] < truth) & (truth < table["upper"]))
    assert (np.abs(np.mean(held, axis=0) - 0.95) < 0.02).all()
    by_chance = np.std(coef, axis=0, ddof=1)  # itself known to 3 % from 600 data sets
    np.testing.assert_allclose(np.mean(std_err, axis=0), by_chance, rtol=0.05)


def test_intervals_hold_where_the_model_is_wrong():
    """Labels noisier far out than any logistic curve says: the least-squares formula is misled."""
    x = np.linspace(-3, 3, 25)
    p_x = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()
    p_one = np.where(np.abs(x) > 1.2, 0.35 + 0.3 * lesson.sigmoid(2 * x), lesson.sigmoid(2 * x))
    # every row there can be, and its probability: the minimum over these is the truth
    X, y = x.repeat(2)[:, np.newaxis], np.tile([0, 1], len(x))
    probability = np.column_stack([p_x * (1 - p_one), p_x * p_one]).ravel()
    neuron = LogisticNeuron(alpha=1e-8, n_starts=1, tol=1e-10)
    truth = neuron.fit(X, y, probability).coef_[0, 0]
    rng, n = np.random.default_rng(1), 5000
    coef, held, held_naively = [], [], []
    for _ in range(600):
        counts = rng.multinomial(n, probability).astype(float)
        table = coefficient_table(neuron.fit(X, y, counts), X, y, counts)
        line = table.loc["x0"]
        held.append(line["lower"] < truth < line["upper"])
        coef.append(line["coef"])
        z = neuron.decision_function(X)
        slopes = lesson.dsig_dz(z)[:, np.newaxis] * np.hstack([X, np.ones_like(X)])
        variance = counts @ (y - lesson.sigmoid(z)) ** 2 / n  # taken for the same in every row
        naive = variance * np.linalg.inv((slopes.T * counts) @ slopes)
        held_naively.append(abs(line["coef"] - truth) < 1.96 * np.sqrt(naive[0, 0]))
    assert abs(np.mean(held) - 0.95) < 0.02
    assert np.mean(held_naively) < 0.85


def test_a_column_of_zeros_has_nothing_to_tell():
    X, y = problem()
    X[:, 1] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = coefficient_table(LogisticNeuron().fit(X, y), X, y)
    assert table.loc["x1", ["coef", "std_err"]].tolist() == [0, 0]
    assert table.loc["x1", ["z", "p"]].isna().all()
    others = coefficient_table(LogisticNeuron().fit(X[:, [0, 2]], y), X[:, [0, 2]], y)
    np.testing.assert_allclose(table.drop("x1").to_numpy(), others.to_numpy(), rtol=1e-4)


# ----------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_parameters_set_after_the_fit_take_no_intercept_away(fit_intercept):
    X, y = problem()
    neuron = LogisticNeuron(fit_intercept=fit_intercept).fit(X, y)
    before = neuron.summary(X, y)
    assert ("intercept" in before.index) == fit_intercept
    if fit_intercept:
        pd.testing.assert_frame_equal(neuron.set_params(fit_intercept=False).summary(X, y), before)


def test_a_neuron_must_be_fitted():
    X, y = problem()
    with pytest.raises(NotFittedError):
        coefficient_table(LogisticNeuron(), X, y)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_level_is_a_share(level):
    X, y = problem()
    with pytest.raises(ValueError, match=rf"level must be > 0 and < 1.*got {level}"):
        coefficient_table(LogisticNeuron().fit(X, y), X, y, level=level)


def test_rows_must_be_those_of_the_training():
    X, y = problem()
    neuron = LogisticNeuron().fit(X, y)
    with pytest.raises(ValueError, match="X has 2 features, but LogisticNeuron is expecting 3"):
        coefficient_table(neuron, X[:, :2], y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        coefficient_table(neuron, X, y[:-1])
    with pytest.raises(ValueError, match=r"only labels .*\[0, 1\], got 2"):
        coefficient_table(neuron, X, y + 1)
    with pytest.raises(ValueError, match=r"[Ss]ample weights .*zero"):
        coefficient_table(neuron, X, y, np.zeros(len(y)))
    refused = r"at the minimum of J on the rows given, within 0\.25 standard errors, got"
    for others in (problem(seed=5), (X[:100], y[:100])):
        with pytest.raises(ValueError, match=refused):
            coefficient_table(neuron, *others)
    with pytest.raises(ValueError, match=refused):
        coefficient_table(neuron, X, y, sample_weight=1 + 3 * y)
    with pytest.raises(ValueError, match="a saddle on these rows"):
        coefficient_table(neuron, X, 1 - y)


def test_training_must_have_reached_a_minimum():
    X, y = problem()
    with pytest.warns(UserWarning, match="max_iter"):
        neuron = LogisticNeuron(optimizer="gradient_descent", max_iter=3).fit(X, y)
    with pytest.raises(ValueError, match="train on to a smaller tol"):
        coefficient_table(neuron, X, y)


def test_separable_data_without_a_penalty_has_no_minimum():
    X, y = load_iris(return_X_y=True)
    X, y = StandardScaler().fit_transform(X), y == 0
    with pytest.warns(UserWarning, match="separable"):
        neuron = LogisticNeuron(alpha=0).fit(X, y)
    with pytest.raises(ValueError, match="alpha > 0"):
        coefficient_table(neuron, X, y)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_collinear_columns_need_a_penalty(dtype):
    X, y = problem(d=4)
    X[:, 3] = X[:, 0] - X[:, 2]
    neuron = LogisticNeuron(alpha=0).fit(X, y)
    refused = r"positive definite.*along (x0|x2|x3), .*set alpha > 0, or drop columns"
    with pytest.raises(ValueError, match=refused) as raised:
        coefficient_table(neuron, X.astype(dtype), y)
    assert "x1" not in str(raised.value)
    penalised = coefficient_table(LogisticNeuron().fit(X, y), X.astype(dtype), y)
    assert np.isfinite(penalised).all(axis=None)


def test_a_saddle_is_no_minimum():
    X = np.array([[-3.0], [-1.0], [1.0], [3.0]])
    y = np.array([1, 0, 0, 1])
    neuron = LogisticNeuron(alpha=0, fit_intercept=False).fit(X, y == 1)
    neuron.coef_ = np.array([[1.5]])
    with pytest.raises(ValueError, match=r"a saddle on these rows: .* train again"):
        coefficient_table(neuron, X, y == 1)
