"""Rates of wrong labels: the link model's own minimum, and every way of passing rows."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.model_selection import KFold, train_test_split
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from trainer import LogisticNeuron, LogisticNeuronCV, Objective, explain, make_preprocessor
from trainer.core.loss import RecordedSquaredError
from trainer.estimators.noise import link, transitions

RATES = (0.1, 0.25)
SHARED = Path(__file__).parents[2] / "shared" / "datasets"


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """On a busy machine BLAS's threads wait for each other far longer than small sets take."""
    with threadpool_limits(1):
        yield


def problem(n=400, rates=RATES, seed=0, d=3):
    """Features, recorded labels, true labels."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    y = (rng.random(n) < sigmoid(X @ np.linspace(-2, 2, d) + 0.3)).astype(int)
    flipped = rng.random(n) < np.where(y == 1, rates[1], rates[0])
    return X, np.where(flipped, 1 - y, y), y


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def J(theta, X, y, rates, alpha, weight=None):
    """The link model's cost, written out."""
    q = rates[0] + (1 - sum(rates)) * sigmoid(X @ theta[:-1] + theta[-1])
    return np.average((y - q) ** 2, weights=weight) + alpha / 2 * theta[:-1] @ theta[:-1]


def theta_of(neuron):
    return np.append(neuron.coef_, neuron.intercept_)


class Source:
    """Rows in blocks."""

    def __init__(self, X, y):
        self.X, self.y = X, y

    def blocks(self):
        for part in np.array_split(np.arange(len(self.y)), 3):
            yield self.X[part], self.y[part]


# ------------------------------------------------------------------------------ the loss


def test_derivatives_are_the_complex_steps():
    loss = RecordedSquaredError(0.1, 0.65)
    z = np.linspace(-6, 6, 41)[:, np.newaxis]
    for y in (0.0, 0.3, 1.0):
        value, slope, curvature = loss.evaluate(z.copy(), np.full((1, 1), y), 2)

        def loss_at(at, y=y):
            return (y - 0.1 - 0.65 * sigmoid(at)) ** 2

        np.testing.assert_allclose(value, loss_at(z), rtol=1e-13)
        np.testing.assert_allclose(slope, loss_at(z + 1e-30j).imag / 1e-30, rtol=1e-12, atol=1e-16)
        step = 1e-5
        expected = (
            (loss_at(z + step + 1e-30j).imag - loss_at(z - step + 1e-30j).imag) / 1e-30 / (2 * step)
        )
        np.testing.assert_allclose(curvature, expected, atol=1e-10)


def test_single_precision_stays_single():
    loss, _ = link(np.array(RATES))
    z, y = np.linspace(-4, 4, 9, dtype="f4")[:, np.newaxis], np.ones((9, 1), dtype="f4")
    assert {part.dtype for part in loss.evaluate(z, y, 2)} == {np.dtype("f4")}


@pytest.mark.parametrize("rates", [(0.0, 0.0), (0.1, 0.25), (0.0, 0.7), (0.45, 0.45)])
def test_the_constants_are_the_extremes(rates):
    loss, _ = link(np.array(rates))
    z = np.linspace(-12, 12, 100_001)[:, np.newaxis]
    y = np.array([[0.0, 1.0]])
    z2 = np.repeat(z, 2, axis=1)
    # copies, as the next call may overwrite what one returns
    value, slope, curvature = (part.copy() for part in loss.evaluate(z2.copy(), y, 2))
    assert loss.max_value >= value.max()
    assert loss.max_curvature == pytest.approx(curvature.max(), rel=1e-6)
    assert loss.min_curvature == pytest.approx(curvature.min(), rel=1e-6)
    assert loss.curvature_at_zero == pytest.approx(loss.evaluate(np.zeros((1, 2)), y, 2)[2][0, 0])
    assert (np.abs(slope) <= loss.max_slope(z2.copy()) * (1 + 1e-12)).all()


def test_gradient_descent_never_raises_J():
    X, y, _ = problem()
    neuron = LogisticNeuron(noise_rates=(0.3, 0.4), optimizer="gradient_descent", max_iter=5000)
    assert (np.diff(neuron.fit(X, y).loss_curve_) <= 0).all()


# ----------------------------------------------------------------------- the minimum


@pytest.mark.parametrize("optimizer", ["auto", "newton", "lbfgs"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_minimum_is_the_link_models_by_scipy(optimizer, weighted):
    X, y, _ = problem()
    weight = np.random.default_rng(1).random(len(y)) if weighted else None
    neuron = LogisticNeuron(noise_rates=RATES, optimizer=optimizer, tol=1e-11).fit(X, y, weight)
    arguments = X, y, RATES, neuron.alpha_, weight
    found = minimize(
        J, np.zeros(4), arguments, method="BFGS", jac="3-point", options={"gtol": 1e-10}
    )
    np.testing.assert_allclose(theta_of(neuron), found.x, atol=1e-8)
    assert neuron.termination_.cost == pytest.approx(J(theta_of(neuron), *arguments), rel=1e-12)
    assert neuron.loss_curve_[-1] == neuron.termination_.cost
    np.testing.assert_array_equal(neuron.noise_rates_, RATES)


def test_it_is_training_on_targets_outside_0_and_1():
    X, y, _ = problem()
    neuron = LogisticNeuron(noise_rates=RATES, tol=1e-10).fit(X, y)
    slope = 1 - sum(RATES)
    targets, alpha = (y - RATES[0]) / slope, neuron.alpha_ / slope**2
    objective = Objective.from_arrays(X, targets, alpha=alpha)
    value, gradient = objective.value_and_gradient(theta_of(neuron)[:, np.newaxis])
    assert np.abs(gradient).max() < 1e-9
    assert slope**2 * value[0] == pytest.approx(neuron.termination_.cost, rel=1e-12)


def test_known_rates_recover_the_oracle():
    X, recorded, y = problem(20_000, (0.1, 0.3), d=8)
    oracle = LogisticNeuron().fit(X, y)
    known = LogisticNeuron(noise_rates=(0.1, 0.3)).fit(X, recorded)
    plain = LogisticNeuron().fit(X, recorded)
    brier = [brier_score_loss(y, m.predict_proba(X)[:, 1]) for m in (oracle, known, plain)]
    assert known.score(X, y) > oracle.score(X, y) - 0.003
    assert brier[1] < brier[0] + 0.002 < brier[2]
    assert plain.score(X, y) < known.score(X, y) - 0.01


def test_one_update_is_the_chain_rule_with_one_factor_more():
    X, y, _ = problem(50)
    start = np.array([0.3, -0.2, 0.5, 0.1])
    neuron = LogisticNeuron(
        noise_rates=RATES, optimizer="gradient_descent", learning_rate=0.5, alpha=0.02, init=start
    )
    neuron.partial_fit(X, y, classes=[0, 1])
    sigma = sigmoid(X @ start[:-1] + start[-1])
    slope = 1 - sum(RATES)
    dl_dz = 2 * (RATES[0] + slope * sigma - y) * slope * sigma * (1 - sigma)
    step = np.append(X.T @ dl_dz / 50 + 0.02 * start[:-1], dl_dz.mean())
    np.testing.assert_allclose(theta_of(neuron), start - 0.5 * step, rtol=1e-12)


# ------------------------------------------------------------- every way of passing rows


@pytest.mark.parametrize("noise_rates", [RATES, "symmetric", "learn"])
def test_weights_are_repeated_rows_and_sparse_is_dense(noise_rates):
    X, y, _ = problem(1500)
    counts = np.random.default_rng(2).integers(0, 3, len(y))
    neuron = LogisticNeuron(noise_rates=noise_rates, tol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of rates from few rows
        weighted = theta_of(neuron.fit(X, y, counts)), neuron.noise_rates_
        errors = neuron.noise_rates_std_err_
        for rows in (X.repeat(counts, axis=0), csr_array(X.repeat(counts, axis=0))):
            neuron.fit(rows, y.repeat(counts))
            np.testing.assert_allclose(theta_of(neuron), weighted[0], rtol=1e-3)
            np.testing.assert_allclose(neuron.noise_rates_, weighted[1], atol=1e-4)
            if errors is not None:
                np.testing.assert_allclose(neuron.noise_rates_std_err_, errors, rtol=1e-2)


@pytest.mark.parametrize("noise_rates", [RATES, "learn"])
def test_sources_soft_labels_and_other_names_are_the_same_labels(noise_rates):
    X, y, _ = problem(1500)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        one, other, soft = (
            LogisticNeuron(noise_rates=noise_rates, tol=1e-9, n_starts=1) for _ in range(3)
        )
        one.fit(X, y)
        other.fit(Source(X, np.array(["no", "yes"])[y]))
        soft.fit(X, np.column_stack([1 - y, y]).astype(float))
    for same in (other, soft):
        np.testing.assert_allclose(theta_of(same), theta_of(one), rtol=1e-4)
        np.testing.assert_allclose(same.noise_rates_, one.noise_rates_, atol=1e-5)
    if noise_rates == RATES:
        named = LogisticNeuron(noise_rates={"yes": RATES[1], "no": RATES[0]}, tol=1e-9)
        named.fit(X, np.array(["no", "yes"])[y])
        np.testing.assert_allclose(theta_of(named), theta_of(one), rtol=1e-6)


def test_early_stopping_and_validation_rows_are_judged_as_recorded():
    X, y, _ = problem()
    neuron = LogisticNeuron(noise_rates=RATES).fit(X, y, X_val=X[:50], y_val=y[:50])
    expected = J(theta_of(neuron), X[:50], y[:50], RATES, 0.0)
    assert neuron.validation_curve_[-1] == pytest.approx(expected, rel=1e-12)
    stopped = LogisticNeuron(noise_rates=RATES, early_stopping=True, random_state=0).fit(X, y)
    assert stopped.validation_curve_[0] == pytest.approx(J(np.zeros(4), X, y, RATES, 0.0), abs=0.02)


# ------------------------------------------------------------------ more than two classes


def test_equal_rates_of_three_classes_are_a_pair_for_each():
    X, y = load_iris(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    three = LogisticNeuron(noise_rates=[0.2] * 3, tol=1e-9, alpha=0.01).fit(X, y)
    for k in range(3):  # another class is recorded as k at 0.1, class k as another at 0.2
        one = LogisticNeuron(noise_rates=(0.1, 0.2), tol=1e-9, alpha=0.01).fit(X, y == k)
        np.testing.assert_allclose(three.coef_[k], one.coef_[0], rtol=1e-5)


def test_unequal_rates_of_three_classes_are_corrected_in_the_mean():
    rates = np.array([0.05, 0.3, 0.15])
    loss, matrix = link(rates)
    np.testing.assert_allclose(transitions(rates).sum(axis=1), 1)
    # a row of class j is recorded as T_j: its target, expected, is 1 for j and 0 for the others
    expected = transitions(rates) @ matrix
    np.testing.assert_allclose((expected - loss.offset) / loss.slope, np.eye(3), atol=1e-12)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 6000)
    X = rng.normal(size=(6000, 2)) + 2 * np.array([[1, 0], [0, 1], [-1, -1]])[y]
    draw = rng.random((6000, 1)) < transitions(rates)[y].cumsum(axis=1)
    recorded = draw.argmax(axis=1)
    corrected = LogisticNeuron(noise_rates=rates).fit(X, recorded)
    plain = LogisticNeuron().fit(X, recorded)
    oracle = LogisticNeuron().fit(X, y)
    brier = [((np.eye(3)[y] - m.predict_proba(X)) ** 2).sum(axis=1).mean() for m in
             (oracle, corrected, plain)]  # fmt: skip
    assert brier[1] < brier[0] + 0.005 < brier[2] - 0.02
    in_blocks = LogisticNeuron(noise_rates=rates).fit(Source(X, recorded))
    np.testing.assert_allclose(in_blocks.coef_, corrected.coef_, rtol=1e-4)


def test_one_rate_of_three_classes_is_learned():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, 6000)
    X = rng.normal(size=(6000, 2)) + 3 * np.array([[1, 0], [0, 1], [-1, -1]])[y]
    wrong = rng.random(6000) < 0.2
    recorded = np.where(wrong, (y + rng.integers(1, 3, 6000)) % 3, y)
    neuron = LogisticNeuron(noise_rates="symmetric").fit(X, recorded)
    np.testing.assert_allclose(neuron.noise_rates_, 0.2, atol=0.02)
    with pytest.raises(ValueError, match="'learn' needs two classes, got 3; choose 'symmetric'"):
        LogisticNeuron(noise_rates="learn").fit(X, recorded)


# -------------------------------------------------------------------------- learned rates


def test_learned_rates_are_the_joint_minimum_by_scipy():
    X, y, _ = problem(3000, (0.1, 0.2))
    neuron = LogisticNeuron(noise_rates="learn", tol=1e-8).fit(X, y)
    found = minimize(
        lambda both: J(both[:4], X, y, both[4:], neuron.alpha_),
        [*theta_of(neuron) * 0.8, 0.05, 0.05],
        method="BFGS", jac="3-point", options={"gtol": 1e-9},
    )  # fmt: skip
    np.testing.assert_allclose(neuron.noise_rates_, found.x[4:], atol=2e-5)
    np.testing.assert_allclose(theta_of(neuron), found.x[:4], rtol=2e-4)
    # for fixed σ, the rates are the intercept and the slope of the line of y on σ
    slope, offset = np.polyfit(neuron.predict_proba(X)[:, 1], y, 1)
    expected = [offset, 1 - offset - slope]
    np.testing.assert_allclose(neuron.noise_rates_, expected, atol=1e-4)
    again = LogisticNeuron(noise_rates=neuron.noise_rates_, tol=1e-8).fit(X, y)
    np.testing.assert_array_equal(theta_of(again), theta_of(neuron))
    assert again.noise_rates_std_err_ is None


@pytest.mark.parametrize("kind", ["symmetric", "learn"])
def test_standard_errors_are_what_chance_does(kind):
    rates = (0.15, 0.15) if kind == "symmetric" else (0.1, 0.2)
    found, errors = [], []
    neuron = LogisticNeuron(noise_rates=kind, n_starts=1, alpha=1e-6)  # next to no bias
    for seed in range(50):
        X, y, _ = problem(2000, rates, seed=seed)
        neuron.fit(X, y)
        found.append(neuron.noise_rates_)
        errors.append(neuron.noise_rates_std_err_)
    by_chance = np.std(found, axis=0, ddof=1)  # itself known to 10 %
    np.testing.assert_allclose(np.mean(errors, axis=0), by_chance, rtol=0.2)
    np.testing.assert_allclose(np.mean(found, axis=0), rates, atol=0.01)


def test_both_rates_are_learned_from_a_real_table_of_many_rows():
    path = SHARED / "adult_train.csv.gz"
    if not path.exists():
        pytest.skip("shared/datasets/adult_train.csv.gz is not there")
    table = pd.read_csv(path, skipinitialspace=True, na_values="?")
    y = (table.pop("income") == ">50K").to_numpy().astype(int)
    X, X_test, y, y_test = train_test_split(table, y, test_size=0.3, stratify=y, random_state=0)
    prepare = make_preprocessor(X)
    X, X_test = prepare.fit_transform(X), prepare.transform(X_test)
    wrong = np.random.default_rng(0).random(len(y)) < 0.3
    for label in (0, 1):
        recorded = np.where(wrong & (y == label), 1 - y, y)
        learned = LogisticNeuron(noise_rates="learn", n_starts=1).fit(X, recorded)
        assert learned.score(X_test, y_test) >= 0.845
        assert LogisticNeuron(n_starts=1).fit(X, recorded).score(X_test, y_test) < 0.83
        assert learned.noise_rates_[label] == pytest.approx(0.3, abs=0.04)
        assert learned.noise_rates_[1 - label] < 0.03


def test_one_rate_costs_nothing_on_clean_labels():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    neuron, plain = LogisticNeuron(noise_rates="symmetric").fit(X, y), LogisticNeuron().fit(X, y)
    np.testing.assert_array_equal(neuron.noise_rates_, 0)
    np.testing.assert_allclose(neuron.predict_proba(X), plain.predict_proba(X), atol=1e-5)


def test_rates_that_the_rows_cannot_tell_are_warned_of():
    X, y, _ = problem(120)
    with pytest.warns(UserWarning, match=r"learned \[.*\] with standard errors .*too uncertain"):
        LogisticNeuron(noise_rates="learn").fit(X, y)


# --------------------------------------------------------------------- cross-validation


def test_cross_validation_scores_the_label_as_recorded():
    X, y, _ = problem()
    model = LogisticNeuronCV(alphas=[1e-3, 1e-1], cv=KFold(4), noise_rates=RATES, tol=1e-10)
    model.fit(X, y)
    losses = []
    for f, (rows, held_out) in enumerate(KFold(4).split(X)):
        neuron = LogisticNeuron(alpha=1e-3, noise_rates=RATES, tol=1e-10).fit(X[rows], y[rows])
        expected = J(theta_of(neuron), X[held_out], y[held_out], RATES, 0.0)
        assert model.scores_[f, 0] == pytest.approx(-expected, abs=1e-8)
        q = RATES[0] + (1 - sum(RATES)) * neuron.predict_proba(X[held_out])[:, 1]
        losses.append(log_loss(y[held_out], q))
    assert model.cv_results_["mean_test_neg_log_loss"][0] == pytest.approx(-np.mean(losses))
    by_scorer = LogisticNeuronCV(**model.get_params() | {"scoring": "neg_log_loss"}).fit(X, y)
    np.testing.assert_allclose(
        by_scorer.scores_.mean(axis=0), model.cv_results_["mean_test_neg_log_loss"], rtol=1e-6
    )
    alone = LogisticNeuron(alpha=model.alpha_, noise_rates=RATES, tol=1e-10).fit(X, y)
    np.testing.assert_allclose(model.coef_, alone.coef_, rtol=1e-6)


def test_cross_validation_learns_the_rates_once():
    X, y, _ = problem(3000, (0.1, 0.2))
    model = LogisticNeuronCV(alphas=3, noise_rates="learn").fit(X, y)
    learned = LogisticNeuron(noise_rates="learn").fit(X, y)
    np.testing.assert_allclose(model.noise_rates_, learned.noise_rates_, atol=1e-6)
    with pytest.warns(UserWarning, match="too uncertain"):
        LogisticNeuronCV(alphas=3, noise_rates="learn").fit(X[:100], y[:100])


# ------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"noise_rates": "guess"}, "noise_rates"),
        ({"noise_rates": (0.5, 0.5)}, r"noise_rates must have a sum < 1, got \[0.5, 0.5\]"),
        ({"noise_rates": (-0.1, 0.5)}, "a rate >= 0 and < 1 for each of 2 classes"),
        ({"noise_rates": (0.1, np.nan)}, "a rate >= 0 and < 1 for each of 2 classes"),
        ({"noise_rates": [0.1, 0.1, 0.1]}, "for each of 2 classes"),
        ({"noise_rates": ["a", "b"]}, "noise_rates must hold numbers"),
        ({"noise_rates": {2: 0.1}}, r"noise_rates must name labels of \[0, 1\], got 2"),
        (
            {"noise_rates": RATES, "class_weight": "balanced"},
            "class_weight must be None with noise_rates.*; weigh rows with sample_weight",
        ),
    ],
)
def test_bad_rates_are_named(parameters, message):
    X, y, _ = problem(60)
    with pytest.raises(ValueError, match=message):
        LogisticNeuron(**parameters).fit(X, y)
    with pytest.raises(ValueError, match=message):
        LogisticNeuronCV(alphas=2, **parameters).fit(X, y)


def test_too_high_rates_of_three_classes_are_refused():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="must be < 2/3 for 3 classes"):
        LogisticNeuron(noise_rates=[0.1, 0.1, 0.7]).fit(X, y)


def test_what_cannot_be_done_with_rates_is_told():
    X, y, _ = problem(60)
    with pytest.raises(ValueError, match=r"numbers for partial_fit.*got 'learn'"):
        LogisticNeuron(noise_rates="learn", optimizer="adam").partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="fitted without noise_rates, as its chain rule has one"):
        explain(LogisticNeuron(noise_rates=RATES).fit(X, y), X, y)


def test_the_table_of_coefficients_is_the_link_models():
    found, errors = [], []
    neuron = LogisticNeuron(noise_rates=RATES, n_starts=1, alpha=1e-6)
    for seed in range(150):
        X, y, _ = problem(1500, seed=seed)
        table = neuron.fit(X, y).summary(X, y)
        found.append(table["coef"])
        errors.append(table["std_err"])
    by_chance = np.std(found, axis=0, ddof=1)  # itself known to 6 %
    np.testing.assert_allclose(np.mean(errors, axis=0), by_chance, rtol=0.2)


def test_rates_that_equal_rows_cannot_tell_have_no_standard_error():
    X = np.tile([0.24177188, 0.23538092, 1.57562603], (3, 1))
    neuron = LogisticNeuron(noise_rates="learn", alpha=1e-4, fit_intercept=False, max_iter=0)
    with pytest.warns(UserWarning, match="too uncertain"):
        neuron.fit(X, [0, 0, 1])
    assert np.isinf(neuron.noise_rates_std_err_).all()
