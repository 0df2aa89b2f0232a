"""The factors of each sample by the complex step, and their means by the trainer's objective."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer import LogisticNeuron, LogisticNeuronCV, explain
from trainer.inspection.parameters import objective_over

FRAME, LABELS = load_breast_cancer(return_X_y=True, as_frame=True)
FRAME = StandardScaler().set_output(transform="pandas").fit_transform(FRAME)
X, Y = FRAME.to_numpy(), LABELS.to_numpy()
EPS = np.finfo(float).eps
QUANTITIES = [
    "x",
    "y",
    "z",
    "σ",
    "l",
    "dl/dσ",
    "dσ/dz",
    "dl/dz",
    "dz/dw",
    "dz/db",
    "dl/dw",
    "dl/db",
]


def complex_step(function, at):
    """The derivative of an analytic function, without a difference."""
    return function(at + 1e-30j).imag / 1e-30


def sigma(z):
    return 1 / (1 + np.exp(-z))


def test_the_lesson_by_hand():
    """2(0.6457 - 1) = -0.7087; 0.6457 · 0.3543 = 0.2288; their product times x = 1 is -0.1621."""
    table = explain((0.3, 0.3), 1, 1)
    assert table.columns.tolist() == QUANTITIES
    assert table.index.tolist() == [0, "mean"]
    assert table.loc[0, ["x", "y", "z", "σ"]].tolist() == [1, 1, 0.6, 0.6456563062257954]
    assert table.loc[0, "l"] == pytest.approx(0.12555945331754728, rel=1e-15)
    by_hand = [-0.7087, 0.2288, -0.1621, 1, 1, -0.1621, -0.1621]
    assert table.loc[0].tolist()[5:] == pytest.approx(by_hand, abs=5e-5)
    assert table.loc["mean", ["l", "dl/dw", "dl/db"]].tolist() == [
        *table.loc[0, ["l", "dl/dw", "dl/db"]]
    ]
    assert table.loc["mean"].isna().sum() == 9


def test_every_factor_meets_the_complex_step():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 3)), rng.random(50)
    w, b = rng.normal(size=3), 0.4
    table = explain((w, b), x, y).iloc[:-1]
    z = x @ w + b
    expected = {
        "z": z,
        "σ": sigma(z),
        "l": (y - sigma(z)) ** 2,
        "dl/dσ": complex_step(lambda s: (y - s) ** 2, sigma(z)),
        "dσ/dz": complex_step(sigma, z),
        "dl/dz": complex_step(lambda z: (y - sigma(z)) ** 2, z),
        "dz/db": complex_step(lambda b: x @ w + b, b),
        "dl/db": complex_step(lambda b: (y - sigma(x @ w + b)) ** 2, b),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(table[name], values, rtol=1e-13, atol=4 * EPS, err_msg=name)
    for k in range(3):
        unit = np.eye(3)[k]
        for name, function in (
            ("dz/dw", lambda t, unit=unit: x @ (w + t * unit) + b),
            ("dl/dw", lambda t, unit=unit: (y - sigma(x @ (w + t * unit) + b)) ** 2),
        ):
            values = complex_step(function, 0)
            np.testing.assert_allclose(table[name][f"x{k}"], values, rtol=1e-13, atol=4 * EPS)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"alpha": 0.1},
        {"max_iter": 2},
        {"alpha": 0.0, "max_iter": 3},
        {"fit_intercept": False},
        {"class_weight": {0: 3, 1: 0.5}, "max_iter": 3},
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_foot_is_the_gradient_of_the_objective(options, weighted):
    """To the rounding of a sum of parts of this size: at a minimum they cancel."""
    weight = np.random.default_rng(0).random(len(Y)) if weighted else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        neuron = LogisticNeuron(**options).fit(FRAME, Y, weight)
    table = explain(neuron, FRAME, Y, weight)
    theta = np.append(neuron.coef_, neuron.intercept_)
    J, gradient = objective_over(neuron, FRAME, Y, weight).value_and_gradient(theta[:, np.newaxis])
    foot, parts = table.iloc[-1], table.iloc[: len(Y)]
    assert foot.name == ("mean" if neuron.alpha_ == 0 else "sum")
    assert table["dl/dw"].columns.tolist() == FRAME.columns.tolist()
    size = np.abs(parts["dl/dw"]).mean().to_numpy() + neuron.alpha_ * np.abs(theta[:-1])
    assert (np.abs(foot["dl/dw"] - gradient[:-1, 0]) <= 20 * EPS * size).all()
    assert foot["l"].item() == pytest.approx(J[0], rel=1e-14)
    if neuron.fit_intercept:
        allowed = 20 * EPS * np.abs(parts["dl/db"]).mean()
        assert abs(foot["dl/db"].item() - gradient[-1, 0]) <= allowed
    else:
        assert not {"dz/db", "dl/db"} & set(table.columns.get_level_values(0))
    assert ("weight" in table) == (weighted or "class_weight" in options)


def test_saturated_samples_keep_their_factors():
    """Both tails to 1e-13 of exp(-|z|), which they equal to that precision."""
    for y, z in ((1, 50.0), (0, -50.0), (1, -600.0), (0, 600.0), (0, 50.0), (1, -50.0)):
        row = explain((1.0, z), 0, y).iloc[0]
        wrong = (y == 1) == (z < 0)
        assert row["dσ/dz"] == pytest.approx(np.exp(-abs(z)), rel=1e-13)
        residual = 1.0 if wrong else np.exp(-abs(z))
        assert abs(row["dl/dσ"]) == pytest.approx(2 * residual, rel=1e-13)
        assert abs(row["dl/db"]) == pytest.approx(2 * residual * np.exp(-abs(z)), rel=1e-13)


def test_the_way_that_samples_come_does_not_matter():
    neuron = LogisticNeuron().fit(X, Y)
    expected = explain(neuron, X, Y)
    values = expected.to_numpy()
    theta = (neuron.coef_[0], neuron.intercept_[0])
    soft = np.column_stack([1 - Y, Y]).astype(float)
    np.testing.assert_allclose(explain(neuron, csr_array(X), Y), values, rtol=1e-10)
    np.testing.assert_array_equal(explain(neuron, X, soft), values)
    np.testing.assert_array_equal(explain(theta, X, Y).iloc[:-1], values[:-3])
    np.testing.assert_array_equal(explain(theta, csr_array(X), Y).iloc[:-1], values[:-3])
    np.testing.assert_allclose(explain(theta, X[0], Y[0]).iloc[0], values[0], rtol=1e-13)
    named = LogisticNeuron().fit(FRAME, np.where(Y == 1, "yes", "no"))
    some = explain(named, FRAME.iloc[[7, 3]], ["no", "yes"])
    assert some.index.tolist() == [7, 3, "mean", "penalty", "sum"]
    assert some["y"].tolist()[:2] == [0, 1]


def test_weights_are_repeated_samples():
    weight = np.random.default_rng(0).integers(0, 4, len(Y))
    theta = (np.linspace(-1, 1, 30), 0.2)
    weighted = explain(theta, X, Y, weight).loc["mean"].drop("weight", level=0)
    repeated = explain(theta, np.repeat(X, weight, 0), np.repeat(Y, weight)).loc["mean"]
    np.testing.assert_allclose(weighted, repeated, rtol=1e-12)


def test_a_neuron_that_chose_its_penalty_can_be_explained():
    neuron = LogisticNeuronCV(alphas=3).fit(X, Y)
    table = explain(neuron, X, Y)
    np.testing.assert_allclose(
        table.loc["penalty", "dl/dw"], neuron.alpha_ * neuron.coef_[0], rtol=1e-15
    )


def test_printed_tables_fit_eighty_columns():
    points, y = make_moons(40, random_state=0)
    neuron = LogisticNeuron().fit(FRAME, Y)
    shown = {
        "lesson": explain((0.3, 0.3), 1, 1),
        "two features": explain(([0.3, 0.2], 0.3), points, y),
        "all": explain(neuron, FRAME, Y),
    }
    for table in shown.values():
        assert max(map(len, str(table).splitlines())) <= 80
        assert "NaN" not in str(table) + table._repr_html_()
        assert "..." not in str(table.head(3))
    assert len(str(shown["all"]).splitlines()) < 600  # of 569 samples the first and the last
    text = str(explain(neuron, FRAME.head(2), Y[:2]))
    assert all(name in text for name in FRAME.columns)
    assert "-0.1621" in str(shown["lesson"])
    assert "-0.1621" in shown["lesson"]._repr_html_()
    assert isinstance(shown["all"]["dl/dw"], pd.DataFrame)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((0.3, 0.3, 1), 1, 1), r"fitted or a tuple \(w, b\), got 3 values"),
        (((np.zeros(3), 0.0), X, Y), "w must hold a weight for each column"),
        (((np.zeros(30), 0.0), X, Y[:5]), "y must hold a target for each row"),
        (((0.3, 0.3), 1, 2), "targets between 0 and 1, got .*2"),
        (((0.3, 0.3), np.nan, 1), "finite numbers"),
        (((0.3, np.inf), 1, 1), "finite numbers"),
        (((0.3, 0.3), [], []), "at least one row"),
        ((([], 0.3), [[]], [1]), "at least one row and one column"),
        (((0.3, 0.3), [1, 2], [1, 0], [1, -1]), "sample_weight must hold a finite number >= 0"),
        (((0.3, 0.3), [1, 2], [1, 0], [0, 0]), "not 0 for all"),
        (((0.3, 0.3), [1, 2], [1, 0], [1]), "each of 2 samples"),
        ((0.3, X, Y), "explain needs a LogisticNeuron, got float"),
        (
            (make_pipeline(StandardScaler(), LogisticNeuron()).fit(X, Y), X, Y),
            "of a pipeline give its last step",
        ),
    ],
)
def test_what_cannot_be_explained_is_told(arguments, words):
    with pytest.raises(ValueError, match=words):
        explain(*arguments)


def test_several_classes_are_one_neuron_each():
    neuron = LogisticNeuron(max_iter=200).fit(X[:90], np.arange(90) % 3)
    with pytest.raises(ValueError, match="two classes"):
        explain(neuron, X[:9], np.arange(9) % 3)
