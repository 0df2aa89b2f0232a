"""LogisticNeuronCV: one bank is a hundred neurons fitted one by one, and what users expect."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.datasets import load_breast_cancer, load_iris, make_classification
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning
from sklearn.metrics import brier_score_loss, get_scorer
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from trainer import LogisticNeuron, LogisticNeuronCV
from trainer.estimators import neuron_cv as module


@parametrize_with_checks([LogisticNeuronCV(alphas=5, cv=3, random_state=0)])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
def test_scikit_learns_common_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.fixture(scope="module")
def fitted(cancer):
    return LogisticNeuronCV(tol=1e-8).fit(*cancer)


def one_by_one(model, X, y, weight=None, scoring="neg_brier_score"):
    """Scores and parameters of every penalty on every fold, each by a fit of its own."""
    folds = list(StratifiedKFold(5).split(X, y))
    scores = np.empty((5, len(model.alphas_)))
    theta = np.empty((*scores.shape, *model.coefs_paths_.shape[2:]))
    for f, (rows, held_out) in enumerate(folds):
        for a, alpha in enumerate(model.alphas_):
            neuron = LogisticNeuron(alpha=alpha, tol=1e-9, n_starts=1)
            weights = {} if weight is None else {"sample_weight": weight[rows]}
            neuron.fit(X[rows], y[rows], **weights)
            weights = {} if weight is None else {"sample_weight": weight[held_out]}
            scores[f, a] = get_scorer(scoring)(neuron, X[held_out], y[held_out], **weights)
            theta[f, a] = np.column_stack([neuron.coef_, neuron.intercept_])
    return scores, theta


def test_the_bank_is_a_hundred_neurons_one_by_one(cancer, fitted):
    scores, theta = one_by_one(fitted, *cancer)
    strong = fitted.alphas_ > 1e-4  # below, this small set has several minima
    np.testing.assert_allclose(fitted.coefs_paths_[:, strong], theta[:, strong], atol=1e-4)
    np.testing.assert_allclose(fitted.scores_[:, strong], scores[:, strong], atol=1e-6)
    assert fitted.alpha_ == fitted.alphas_[scores.mean(axis=0).argmax()]


def test_with_many_rows_the_bank_is_a_hundred_neurons_for_all_penalties():
    X, y = make_classification(3000, 6, n_redundant=0, flip_y=0.2, random_state=0)
    model = LogisticNeuronCV(tol=1e-9).fit(X, y)
    scores, theta = one_by_one(model, X, y)
    np.testing.assert_allclose(model.coefs_paths_, theta, atol=1e-5)
    np.testing.assert_allclose(model.scores_, scores, atol=1e-8)
    assert model.alpha_ == model.alphas_[scores.mean(axis=0).argmax()]


def test_the_final_neuron_is_the_chosen_one_on_all_rows(cancer, fitted):
    alone = LogisticNeuron(alpha=fitted.alpha_, tol=1e-9).fit(*cancer)
    np.testing.assert_allclose(fitted.coef_, alone.coef_, atol=1e-4)
    assert fitted.termination_.reason == "gradient"
    assert fitted.score(*cancer) == alone.score(*cancer)


def test_grid_search_chooses_the_same(cancer, fitted):
    grid = {"alpha": fitted.alphas_}
    search = GridSearchCV(LogisticNeuron(tol=1e-8), grid, scoring="neg_brier_score", cv=5)
    search.fit(*cancer)
    assert search.best_params_["alpha"] == fitted.alpha_
    mean = search.cv_results_["mean_test_score"]
    strong = fitted.alphas_ > 1e-4
    ours = fitted.cv_results_["mean_test_score"]
    np.testing.assert_allclose(ours[strong], mean[strong], atol=1e-6)
    table = pd.DataFrame(fitted.cv_results_)
    assert {"param_alpha", "split0_test_score", "mean_test_score"} <= set(table)
    assert table.loc[table["rank_test_score"].idxmin(), "param_alpha"] == fitted.alpha_


@pytest.mark.parametrize("scoring", ["accuracy", "roc_auc", "neg_log_loss"])
def test_any_scorer_decides(scoring):
    X, y = make_classification(300, 8, flip_y=0.2, random_state=0)
    model = LogisticNeuronCV(alphas=[1e-3, 1e-2, 1e-1], scoring=scoring, tol=1e-8).fit(X, y)
    scores, _ = one_by_one(model, X, y, scoring=scoring)
    np.testing.assert_allclose(model.scores_, scores, atol=1e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_log_loss_is_reported_beside_the_score(n_classes):
    X, y = make_classification(
        300, 8, n_informative=4, flip_y=0.2, n_classes=n_classes, random_state=0
    )
    weight = np.random.default_rng(0).uniform(0.5, 3, len(y))
    model = LogisticNeuronCV(alphas=[1e-3, 1e-2, 1e-1], tol=1e-9).fit(X, y, weight)
    scores, _ = one_by_one(model, X, y, weight, scoring="neg_log_loss")
    results = model.cv_results_
    np.testing.assert_allclose(results["mean_test_neg_log_loss"], scores.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(results["std_test_neg_log_loss"], scores.std(axis=0), atol=1e-6)


def test_the_grid_lies_around_the_default_penalty():
    X, y = make_classification(80, 3, n_redundant=0, random_state=0)
    model = LogisticNeuronCV(alphas=7, tol=1e-4).fit(X, y)
    np.testing.assert_allclose(model.alphas_ * 2 * 80, 10.0 ** np.arange(-3, 4))
    twice = LogisticNeuronCV(alphas=7, tol=1e-4).fit(X, y, np.full(80, 2.0))
    np.testing.assert_allclose(twice.alphas_, model.alphas_ / 2)
    assert LogisticNeuronCV(alphas=1).fit(X, y).alpha_ == LogisticNeuron().fit(X, y).alpha_


def test_more_than_two_classes():
    X, y = load_iris(return_X_y=True)
    model = LogisticNeuronCV(alphas=[1e-3, 1e-2, 1e-1], tol=1e-8).fit(X, y)
    scores, theta = one_by_one(model, X, y)
    assert model.coefs_paths_.shape == (5, 3, 3, 5)
    np.testing.assert_allclose(model.coefs_paths_, theta, atol=1e-4)
    np.testing.assert_allclose(model.scores_, scores, atol=1e-6)


def test_weights_count_in_training_and_in_scores():
    X, y = make_classification(200, 5, flip_y=0.2, random_state=1)
    weight = np.random.default_rng(0).uniform(0.5, 3, len(y))
    model = LogisticNeuronCV(alphas=[1e-3, 1e-1], tol=1e-9).fit(X, y, sample_weight=weight)
    scores, _ = one_by_one(model, X, y, weight)
    np.testing.assert_allclose(model.scores_, scores, atol=1e-7)
    accuracy = LogisticNeuronCV(alphas=[1e-3, 1e-1], scoring="accuracy").fit(X, y, weight)
    scores, _ = one_by_one(accuracy, X, y, weight, "accuracy")
    np.testing.assert_allclose(accuracy.scores_, scores, atol=1e-12)


def test_class_weight_counts_in_training_alone(cancer):
    X, y = cancer
    model = LogisticNeuronCV(alphas=[1e-2], class_weight={0: 3.0}, tol=1e-9).fit(X, y)
    for f, (rows, held_out) in enumerate(StratifiedKFold(5).split(X, y)):
        neuron = LogisticNeuron(alpha=1e-2, class_weight={0: 3.0}, tol=1e-9).fit(X[rows], y[rows])
        brier = brier_score_loss(y[held_out], neuron.predict_proba(X[held_out])[:, 1])
        assert model.scores_[f, 0] == pytest.approx(-brier, abs=1e-7)


def test_sparse_float32_and_samples_agree(cancer, fitted, monkeypatch):
    X, y = cancer
    strong = fitted.alphas_ > 1e-4
    sparse = LogisticNeuronCV(tol=1e-8).fit(csr_array(X), y)
    np.testing.assert_allclose(sparse.scores_[:, strong], fitted.scores_[:, strong], atol=1e-6)
    single = LogisticNeuronCV(tol=1e-5).fit(X.astype("f4"), y)
    assert single.coef_.dtype == np.float32
    np.testing.assert_allclose(single.scores_[:, strong], fitted.scores_[:, strong], atol=1e-4)
    monkeypatch.setattr(module, "MIN_SAMPLE_ROWS", 100)
    monkeypatch.setattr(module, "MAX_BANK_SIZE", 0)
    plain = LogisticNeuronCV(alphas=fitted.alphas_[strong], tol=1e-8).fit(X, y)
    np.testing.assert_allclose(plain.scores_, fitted.scores_[:, strong], atol=1e-6)


def test_soft_labels_are_scored_by_their_squared_error():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(200, 3))
    p = 1 / (1 + np.exp(-X[:, 0] + rng.normal(size=200)))
    model = LogisticNeuronCV(alphas=[1e-3, 1e-1], cv=KFold(4), tol=1e-9)
    model.fit(X, np.column_stack([1 - p, p]))
    rows, held_out = next(KFold(4).split(X))
    neuron = LogisticNeuron(alpha=1e-3, tol=1e-9)
    neuron.fit(X[rows], np.column_stack([1 - p, p])[rows])
    error = np.mean((neuron.predict_proba(X[held_out])[:, 1] - p[held_out]) ** 2)
    assert model.scores_[0, 0] == pytest.approx(-error, abs=1e-9)


def test_soft_labels_of_several_classes_are_scored_before_class_weights():
    X, y = load_iris(return_X_y=True)
    P = 0.1 + 0.7 * np.eye(3)[y]
    model = LogisticNeuronCV(alphas=[1e-2], cv=KFold(4, shuffle=True, random_state=0))
    model.set_params(class_weight={0: 1, 1: 2, 2: 5}, tol=1e-9).fit(X, P)
    rows, held_out = next(model.cv.split(X))
    neuron = LogisticNeuron(alpha=1e-2, class_weight=model.class_weight, tol=1e-9)
    p = neuron.fit(X[rows], P[rows]).predict_proba(X[held_out])
    error = ((P[held_out] - p) ** 2).sum(axis=1).mean()
    assert model.scores_[0, 0] == pytest.approx(-error, abs=1e-7)
    with pytest.raises(ValueError, match="for soft labels, got 'accuracy'"):
        model.set_params(scoring="accuracy").fit(X, P)


def test_class_weight_leaves_the_soft_labels_that_scores_compare_with():
    rng = np.random.default_rng(0)
    X, P = rng.normal(size=(200, 3)), rng.dirichlet([1, 1, 1], 200)
    parameters = {"class_weight": {0: 5.0, 1: 1.0, 2: 1.0}, "tol": 1e-9}
    model = LogisticNeuronCV(alphas=[1e-2], cv=KFold(4), **parameters).fit(X, P)
    for f, (rows, held_out) in enumerate(KFold(4).split(X)):
        neuron = LogisticNeuron(alpha=1e-2, **parameters).fit(X[rows], P[rows])
        error = ((neuron.predict_proba(X[held_out]) - P[held_out]) ** 2).sum(axis=1).mean()
        assert model.scores_[f, 0] == pytest.approx(-error, abs=1e-7)


def test_verbose_prints_the_final_neurons_iterations(cancer, capsys):
    model = LogisticNeuronCV(alphas=2, verbose=1).fit(*cancer)
    assert capsys.readouterr().out.count("iteration") == model.n_iter_ > 0


@pytest.mark.parametrize("soft", [False, True])
def test_a_fold_must_train_on_rows_with_weight(cancer, soft):
    X, y = cancer
    weight = np.where(np.arange(len(y)) < 100, 0.0, 1.0)
    cv = [(np.arange(100), np.arange(100, 300))]
    targets = np.column_stack([1 - y, y]) if soft else y
    with pytest.raises(ValueError, match="each fold must train on rows with weight"):
        LogisticNeuronCV(cv=cv).fit(X, targets, weight)


def test_a_fold_must_hold_out_rows_with_weight(cancer):
    X, y = cancer
    halves = np.arange(len(y)) < 300
    with pytest.raises(ValueError, match="must hold out rows with weight, got none in fold 0"):
        LogisticNeuronCV(cv=[(halves, ~halves), (~halves, halves)]).fit(X, y, halves.astype(float))


def test_masks_and_a_weight_for_all_rows_are_what_positions_and_ones_are(cancer):
    X, y = cancer
    halves = np.arange(len(y)) % 2 == 0
    masks = [(halves, ~halves), (~halves, halves)]
    found = LogisticNeuronCV(alphas=3, cv=masks).fit(X, y, sample_weight=2.0)
    positions = [tuple(map(np.flatnonzero, split)) for split in masks]
    expected = LogisticNeuronCV(alphas=3, cv=positions).fit(X, y, np.full(len(y), 2.0))
    np.testing.assert_array_equal(found.scores_, expected.scores_)


def test_a_scorer_that_some_penalties_lack_is_refused(cancer):
    scores = iter([0.1, np.nan, 0.2] * 100)
    with pytest.raises(ValueError, match="must give a number"):
        LogisticNeuronCV(alphas=3, cv=3, scoring=lambda *arguments: next(scores)).fit(*cancer)


def test_a_fold_of_one_class_does_not_count_where_the_score_needs_two(cancer):
    X, y = cancer
    ones, others = np.flatnonzero(y == 1), np.flatnonzero(np.arange(len(y)) % 2)
    splits = [(others, ones[::2]), (np.setdiff1d(np.arange(len(y)), others), others)]
    with pytest.warns(UndefinedMetricWarning, match="not defined"):
        model = LogisticNeuronCV(alphas=3, cv=splits, scoring="roc_auc").fit(X, y)
    alone = LogisticNeuronCV(alphas=3, cv=splits[1:], scoring="roc_auc").fit(X, y)
    for name in ("mean_test_score", "rank_test_score"):
        np.testing.assert_allclose(model.cv_results_[name], alone.cv_results_[name], rtol=1e-6)


def test_of_equal_scores_the_largest_penalty_wins(cancer):
    model = LogisticNeuronCV(alphas=[1e-3, 1.1e-3], scoring=lambda neuron, X, y: 1.0).fit(*cancer)
    assert model.alpha_ == 1.1e-3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alphas": [-1.0]}, "alphas must be numbers >= 0"),
        ({"alphas": []}, "alphas must be numbers >= 0"),
        ({"alphas": 0}, "alphas"),
        ({"scoring": "best"}, "scoring"),
        ({"cv": [(np.arange(212), np.arange(212, 569))]}, None),
        ({"cv": [(np.arange(100), [])]}, "hold out rows with weight"),
        ({"cv": []}, "cv must give at least one split, got none"),
        ({"scoring": lambda *arguments: np.nan}, "must give a number .* got NaN"),
    ],
)
def test_bad_parameters_are_named(cancer, parameters, message):
    model = LogisticNeuronCV(**parameters)
    if message is None:
        assert model.fit(*cancer).scores_.shape == (1, 20)
        return
    with pytest.raises(ValueError, match=message):
        model.fit(*cancer)


def test_a_bank_in_portions_is_the_bank(cancer, monkeypatch):
    X, y = cancer
    whole = LogisticNeuronCV(alphas=6, cv=3, random_state=0, tol=1e-9).fit(X, y)
    three = y + y * (X[:, 0] < 0)
    bank = LogisticNeuronCV(alphas=2, cv=2, random_state=0, tol=1e-9).fit(X, three)
    monkeypatch.setattr("trainer.estimators.neuron_cv.PORTION_BYTES", 50_000)  # five neurons
    parts = LogisticNeuronCV(alphas=6, cv=3, random_state=0, tol=1e-9).fit(X, y)
    np.testing.assert_allclose(parts.scores_, whole.scores_, rtol=1e-7)
    np.testing.assert_allclose(parts.coefs_paths_, whole.coefs_paths_, rtol=1e-5, atol=1e-7)
    assert parts.alpha_ == whole.alpha_
    parts = LogisticNeuronCV(alphas=2, cv=2, random_state=0, tol=1e-9).fit(X, three)
    np.testing.assert_allclose(parts.scores_, bank.scores_, rtol=1e-6)


def test_a_bank_too_large_to_be_kept_is_refused_with_its_size():
    X, y = np.eye(60, 20_000), np.arange(60) % 10
    with pytest.raises(
        ValueError,
        match="500 penalties of 3 folds of 10 neurons of 20001, 300015000; use fewer",
    ):
        LogisticNeuronCV(alphas=500, cv=3).fit(X, y)


@pytest.mark.parametrize("max_iter", [1, 3])
def test_callbacks_may_see_every_iteration_of_the_final_neuron(max_iter, monkeypatch):
    """scikit-learn refuses more iterations than a fit has announced."""
    monkeypatch.setattr("trainer.estimators.neuron_cv.MAX_BANK_SIZE", 0)  # "auto" for the last run
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100_000, 3))
    y = (X[:, 0] + rng.standard_normal(len(X)) > 0).astype(int)
    model = LogisticNeuronCV(alphas=[1e-3], cv=2, max_iter=max_iter, tol=1e-15)
    model.set_callbacks(ProgressBar())
    with pytest.warns(ConvergenceWarning):
        model.fit(X, y)
    assert 2 * max_iter < model.n_iter_ <= 4 * max_iter + 3


def test_clone_and_summary(cancer, fitted):
    assert clone(fitted).get_params() == fitted.get_params()
    table = fitted.summary(*cancer)
    assert len(table) == 31
    assert not hasattr(fitted, "partial_fit")


def test_splits_may_be_lists_masks_and_repeat_rows_and_others_are_named(cancer):
    X, y = cancer
    rows, held_out = np.arange(400), np.arange(400, 569)
    mask = np.isin(np.arange(569), rows)
    models = [
        LogisticNeuronCV(alphas=[1e-2], cv=[split]).fit(X, y)
        for split in ((rows, held_out), (rows.tolist(), held_out.tolist()), (mask, ~mask))
    ]
    for model in models[1:]:
        np.testing.assert_array_equal(model.scores_, models[0].scores_)
    weight = np.where(np.arange(569) < 200, 2.0, 1.0)
    weighted = LogisticNeuronCV(alphas=[1e-2], cv=[(rows, held_out)], tol=1e-9).fit(X, y, weight)
    twice = np.concatenate([rows, np.arange(200)])
    repeated = LogisticNeuronCV(alphas=[1e-2], cv=[(twice, held_out)], tol=1e-9).fit(X, y)
    np.testing.assert_allclose(repeated.scores_, weighted.scores_, rtol=1e-6)
    for wrong in ([-1, 3], [3, 569], [True, False], [0.5, 1.5]):
        with pytest.raises(ValueError, match="cv must split the rows by positions"):
            LogisticNeuronCV(cv=[(rows, wrong)]).fit(X, y)
    with pytest.raises(ValueError, match="must train on rows with weight"):
        LogisticNeuronCV(cv=[([], held_out)]).fit(X, y)
