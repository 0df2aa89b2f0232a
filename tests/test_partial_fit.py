"""partial_fit: the rule's updates by hand, its memory kept from call to call."""

import pickle

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError
from sklearn.utils.class_weight import compute_class_weight

from trainer import DivergenceError, LogisticNeuron
from trainer import chain_rule as lesson
from trainer.optimizers import OPTIMIZERS, UpdateRule

RULES = [name for name, kind in OPTIMIZERS.items() if issubclass(kind, UpdateRule)]
SOLVERS = sorted(set(OPTIMIZERS) - set(RULES))
ALPHA = 0.02


def chunks(n_classes=2, n=5, size=30, seed=0):
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(3, n_classes))
    for _ in range(n):
        X = rng.normal(size=(size, 3))
        yield X, (X @ W + rng.gumbel(size=(size, n_classes))).argmax(axis=1)


def slope(theta, X, target, weight=None):
    """dJ/dθ by the lesson's chain rule, row by row."""
    weight = np.ones(len(X)) if weight is None else weight
    total = np.zeros(len(theta))
    for x, t, times in zip(X, target, weight, strict=True):
        total += times * lesson.dl_dz(t, theta @ np.append(x, 1)) * np.append(x, 1)
    return total / weight.sum() + ALPHA * np.append(theta[:-1], 0)


class HandAdam:
    """Adam out of its paper."""

    def __init__(self, rate):
        self.rate, self.m, self.v, self.t = rate, 0, 0, 0

    def __call__(self, theta, g):
        self.t += 1
        self.m = 0.9 * self.m + 0.1 * g
        self.v = 0.999 * self.v + 0.001 * g * g
        m, v = self.m / (1 - 0.9**self.t), self.v / (1 - 0.999**self.t)
        return theta - self.rate * m / (np.sqrt(v) + 1e-8)


class HandDescent:
    """Gradient descent."""

    def __init__(self, rate):
        self.rate = rate

    def __call__(self, theta, g):
        return theta - self.rate * g


def theta_of(model):
    return np.column_stack([model.coef_, model.intercept_])


@pytest.mark.parametrize(
    ("optimizer", "by_hand"), [("gradient_descent", HandDescent), ("adam", HandAdam)]
)
def test_a_learning_rate_set_between_calls_counts(optimizer, by_hand):
    model = LogisticNeuron(optimizer=optimizer, learning_rate=0.3, alpha=ALPHA)
    rule, theta = by_hand(0.3), np.zeros(4)
    for i, (X, y) in enumerate(chunks(2)):
        if i == 1:
            model.set_params(learning_rate=0.1)
            rule.rate = 0.1
        model.partial_fit(X, y, classes=[0, 1])
        theta = rule(theta, slope(theta, X, y == 1))
        np.testing.assert_allclose(theta_of(model)[0], theta, rtol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    ("optimizer", "by_hand"), [("gradient_descent", HandDescent), ("adam", HandAdam)]
)
def test_every_call_is_one_update_by_hand(optimizer, by_hand, n_classes):
    model = LogisticNeuron(optimizer=optimizer, learning_rate=0.3, alpha=ALPHA)
    labels = [1] if n_classes == 2 else range(n_classes)
    rules = [by_hand(0.3) for _ in labels]
    theta = np.zeros((len(labels), 4))
    for X, y in chunks(n_classes):
        weight = np.random.default_rng(1).random(len(y))
        model.partial_fit(X, y, classes=range(n_classes), sample_weight=weight)
        for k, label in enumerate(labels):
            theta[k] = rules[k](theta[k], slope(theta[k], X, y == label, weight))
        np.testing.assert_allclose(theta_of(model), theta, rtol=1e-9)
    J = [
        np.average((lesson.sigmoid(X @ t[:-1] + t[-1]) - (y == label)) ** 2, weights=weight)
        + ALPHA / 2 * t[:-1] @ t[:-1]
        for t, label in zip(theta, labels, strict=True)
    ]
    assert model.loss_curve_[-1] == pytest.approx(np.mean(J), rel=1e-9)
    assert model.loss_curve_[0] == pytest.approx(0.25)
    assert model.n_iter_ == 5
    assert len(model.loss_curve_) == len(model.history_) == 6


@pytest.mark.parametrize("batch_size", [None, 8])
@pytest.mark.parametrize("optimizer", RULES)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_calls_with_the_same_rows_are_a_fit(optimizer, batch_size):
    ((X, y),) = chunks(n=1)
    settings = {"optimizer": optimizer, "batch_size": batch_size, "alpha": ALPHA, "random_state": 3}
    whole = LogisticNeuron(**settings, max_iter=6, tol=0).fit(X, y)
    parts = LogisticNeuron(**settings)
    for _ in range(6):
        parts.partial_fit(X, y, classes=[0, 1])
    np.testing.assert_allclose(parts.coef_, whole.coef_, rtol=1e-9)
    np.testing.assert_allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-9)


def test_the_default_penalty_counts_all_rows_so_far():
    streamed, total = LogisticNeuron(optimizer="adam"), 0.0
    for X, y in chunks():
        weight = np.random.default_rng(len(y)).random(len(y))
        streamed.partial_fit(X, y, classes=[0, 1], sample_weight=weight)
        total += weight.sum()
        assert streamed.alpha_ == pytest.approx(1 / (2 * total), rel=1e-12)
    fitted = LogisticNeuron(optimizer="adam", max_iter=3, tol=1.0).fit(X, y).partial_fit(X, y)
    assert fitted.alpha_ == pytest.approx(1 / (4 * len(y)))


def test_class_weights_and_soft_labels_come_in_parts_too():
    of_class = {0: 2.0, 1: 0.5}
    settings = {"optimizer": "adam", "alpha": ALPHA, "learning_rate": 0.1}
    weighted = LogisticNeuron(**settings, class_weight=of_class)
    by_hand, soft, hard = (LogisticNeuron(**settings) for _ in range(3))
    for X, y in chunks():
        weighted.partial_fit(X, y, classes=[0, 1])
        of_row = compute_class_weight(of_class, classes=np.arange(2), y=y)[y]
        by_hand.partial_fit(X, y, classes=[0, 1], sample_weight=of_row)
        soft.partial_fit(X, np.eye(2)[y], classes=[0, 1])
        hard.partial_fit(X, y, classes=[0, 1])
    np.testing.assert_allclose(weighted.coef_, by_hand.coef_, rtol=1e-9)
    np.testing.assert_allclose(soft.coef_, hard.coef_, rtol=1e-12)
    one_class = LogisticNeuron(**settings, class_weight=of_class)
    one_class.partial_fit(X[y == 1], y[y == 1], classes=[0, 1])  # a part may hold one class only


def test_pickled_between_calls_it_goes_on_bit_for_bit():
    straight = LogisticNeuron(optimizer="adam", batch_size=7, random_state=0)
    stored = LogisticNeuron(optimizer="adam", batch_size=7, random_state=0)
    for X, y in chunks(3):
        straight.partial_fit(X, y, classes=range(3))
        stored = pickle.loads(pickle.dumps(stored.partial_fit(X, y, classes=range(3))))
    np.testing.assert_array_equal(theta_of(stored), theta_of(straight))
    np.testing.assert_array_equal(stored.loss_curve_, straight.loss_curve_)


def test_sparse_is_dense():
    dense, sparse = (LogisticNeuron(optimizer="adam") for _ in range(2))
    for X, y in chunks():
        X[np.abs(X) < 0.5] = 0
        dense.partial_fit(X, y, classes=[0, 1])
        sparse.partial_fit(csr_array(X), y, classes=[0, 1])
    np.testing.assert_allclose(sparse.coef_, dense.coef_, rtol=1e-9)


def test_after_fit_it_goes_on_from_there_with_a_fresh_memory():
    (X, y), (X2, y2) = chunks(n=2)
    model = LogisticNeuron(optimizer="adam", learning_rate=0.1, alpha=ALPHA, tol=1e-3).fit(X, y)
    theta = theta_of(model)[0]
    before = np.mean((lesson.sigmoid(X2 @ theta[:-1] + theta[-1]) - y2) ** 2)
    model.partial_fit(X2, y2)
    by_hand = HandAdam(0.1)(theta, slope(theta, X2, y2))
    np.testing.assert_allclose(theta_of(model)[0], by_hand, rtol=1e-9)
    assert model.n_iter_ == 1
    assert model.loss_curve_[0] == pytest.approx(before + ALPHA / 2 * theta[:-1] @ theta[:-1])
    assert not hasattr(model, "termination_")  # the fit's end is no longer where it stands
    model.fit(X, y)
    np.testing.assert_allclose(theta_of(model)[0], theta, rtol=1e-12)  # and a fit starts anew


def test_another_rule_begins_with_its_own_memory():
    (X, y), (X2, y2) = chunks(n=2)
    model = LogisticNeuron(optimizer="adam", alpha=ALPHA).partial_fit(X, y, classes=[0, 1])
    theta = theta_of(model)[0]
    model.set_params(optimizer="gradient_descent", learning_rate=0.2).partial_fit(X2, y2)
    np.testing.assert_allclose(theta_of(model)[0], theta - 0.2 * slope(theta, X2, y2), rtol=1e-9)


@pytest.mark.parametrize("optimizer", SOLVERS)
def test_solvers_have_none(optimizer):
    assert not hasattr(LogisticNeuron(optimizer=optimizer), "partial_fit")
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'") as raised:
        _ = LogisticNeuron(optimizer=optimizer).partial_fit
    assert f"update rule, got optimizer='{optimizer}'; choose 'adam'" in str(raised.value.__cause__)
    assert all(hasattr(LogisticNeuron(optimizer=rule), "partial_fit") for rule in RULES)


def test_errors_say_what_is_wrong():
    ((X, y),) = chunks(n=1)
    model = LogisticNeuron(optimizer="adam")
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(X, y)
    with pytest.raises(ValueError, match=r"must hold only labels of \[0, 1\], got 2"):
        model.partial_fit(X, y + 1, classes=[0, 1])
    with pytest.raises(NotFittedError):
        model.predict(X)
    model.partial_fit(X, y, classes=[0, 1])  # the failed call has left nothing behind
    assert model.n_features_in_ == 3
    with pytest.raises(ValueError, match=r"classes=.* is not the same as on last call"):
        model.partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"must hold only labels of \[0, 1\], got 2"):
        model.partial_fit(X, y + 1)
    with pytest.raises(ValueError, match="X has 2 features, but LogisticNeuron is expecting 3"):
        model.partial_fit(X[:, :2], y)
    with pytest.raises(ValueError, match=r"must have the columns \[0, 1\], got \[0, 1, 2\]"):
        model.partial_fit(X, np.eye(3)[y])
    with pytest.raises(ValueError, match=r"a dict or None for partial_fit.*got 'balanced'"):
        LogisticNeuron(optimizer="adam", class_weight="balanced").partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="early_stopping must be False for partial_fit"):
        LogisticNeuron(optimizer="adam", early_stopping=True).partial_fit(X, y, classes=[0, 1])


@pytest.mark.parametrize("classes", [[0], [1]])
def test_one_class_is_too_few(classes):
    ((X, _),) = chunks(n=1)
    with pytest.raises(ValueError, match="at least two classes"):
        LogisticNeuron(optimizer="adam").partial_fit(X, np.full(len(X), classes[0]), classes)


def test_a_bad_step_length_is_an_error_as_in_fit():
    ((X, y),) = chunks(n=1)
    message = r"learning_rate=1000000.* diverged.*smaller"
    settings = {"optimizer": "gradient_descent", "alpha": 1.0}
    with pytest.raises(DivergenceError, match=message):
        LogisticNeuron(**settings, learning_rate=1e6).partial_fit(X, y, classes=[0, 1])
    model = LogisticNeuron(**settings).fit(X, y)
    before = model.coef_
    with pytest.raises(DivergenceError, match=message):
        model.set_params(learning_rate=1e6, tol=0).partial_fit(X[:5], y[:5])
    np.testing.assert_array_equal(model.coef_, before)


@pytest.mark.parametrize("classes", [[0.0, np.nan], np.array(["a", np.nan], dtype=object)])
def test_a_missing_label_among_the_classes_is_refused(classes):
    with pytest.raises(ValueError, match="contains NaN"):
        LogisticNeuron(optimizer="adam").partial_fit([[0.0], [1.0]], [0, 1], classes=classes)
