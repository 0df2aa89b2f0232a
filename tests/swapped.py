"""A pytest plugin: scikit-learn's own tests with our classes in the place of its own.

`python -m pytest -p swapped --pyargs sklearn.linear_model.tests.test_logistic` runs a module of
the installed scikit-learn where `LogisticRegression` is a LogisticNeuron and
`LogisticRegressionCV` a LogisticNeuronCV, under their names and with their parameters and
attributes as far as there is an equal one: `alpha` is 1 / (2 C · total weight), and `n_iter_` an
array. Tests in `REASONS` must fail.
"""

import inspect

import numpy as np
import pytest
import sklearn.linear_model
from sklearn.linear_model import _logistic

from trainer import LogisticNeuron, LogisticNeuronCV
from trainer.estimators.array_api import placed_like

LOSS = "the expected values are minima of the log loss"
SOLVERS = "is about one of LogisticRegression's solvers, which are not ours"
L1 = "is about L1 penalties, which we do not have"
DEPRECATED = "expects a warning of a parameter that LogisticRegression is about to lose"
LAYOUT = "expects the attributes of LogisticRegressionCV; ours are those of the docstring"
REFIT = "expects coefficients that are means over the folds (refit=False), which we do not have"


class LogisticRegression(LogisticNeuron):
    """LogisticNeuron with LogisticRegression's parameters."""

    _parameter_constraints = _logistic.LogisticRegression._parameter_constraints
    optimizer = alpha = learning_rate = "auto"
    batch_size = init = noise_rates = None
    early_stopping = False
    n_starts = 4

    def __init__(
        self,
        penalty="deprecated",
        *,
        C=1.0,
        l1_ratio=0.0,
        dual=False,
        tol=1e-4,
        fit_intercept=True,
        intercept_scaling=1,
        class_weight=None,
        random_state=None,
        solver="lbfgs",
        max_iter=100,
        verbose=0,
        warm_start=False,
        n_jobs=None,
    ):
        self.penalty = penalty
        self.C = C
        self.l1_ratio = l1_ratio
        self.dual = dual
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.random_state = random_state
        self.solver = solver
        self.max_iter = max_iter
        self.verbose = verbose
        self.warm_start = warm_start
        self.n_jobs = n_jobs

    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        self.n_iter_ = placed_like(X)(np.array([self.n_iter_], dtype=np.int32))
        return self

    def _set_penalty(self, weight_seen):
        super()._set_penalty(weight_seen)
        self.alpha_ /= self.C


class LogisticRegressionCV(LogisticNeuronCV):
    """LogisticNeuronCV with LogisticRegressionCV's parameters."""

    _parameter_constraints = _logistic.LogisticRegressionCV._parameter_constraints

    def __init__(
        self,
        *,
        Cs=10,
        l1_ratios="warn",
        fit_intercept=True,
        cv=None,
        dual=False,
        penalty="deprecated",
        scoring="warn",
        solver="lbfgs",
        tol=1e-4,
        max_iter=100,
        class_weight=None,
        n_jobs=None,
        verbose=0,
        refit=True,
        intercept_scaling=1.0,
        random_state=None,
        use_legacy_attributes="warn",
    ):
        self.Cs = Cs
        self.l1_ratios = l1_ratios
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.dual = dual
        self.penalty = penalty
        self.scoring = "accuracy" if scoring in (None, "warn") else scoring
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.refit = refit
        self.intercept_scaling = intercept_scaling
        self.random_state = random_state
        self.use_legacy_attributes = use_legacy_attributes

    n_starts, noise_rates = 4, None

    def fit(self, X, y, sample_weight=None, **params):
        super().fit(X, y, sample_weight, **params)
        best = np.searchsorted(self.alphas_, self.alpha_)
        self.C_, self.l1_ratio_, self.l1_ratios_ = float(self.Cs_[::-1][best]), 0.0, np.zeros(1)
        # an axis for the L1 ratios, and rising C
        self.scores_ = self.scores_[:, np.newaxis, ::-1]
        self.coefs_paths_ = self.coefs_paths_[:, np.newaxis, ::-1]
        return self

    def _penalties(self, weight_sum):
        Cs = np.geomspace(1e-4, 1e4, self.Cs) if np.ndim(self.Cs) == 0 else np.asarray(self.Cs)
        self.Cs_ = np.sort(Cs)
        return np.sort(1 / (2 * weight_sum * Cs))


REASONS: dict[str, dict[str, str]] = {
    "linear_model.tests.test_logistic": {
        "test_LogisticRegressionCV_GridSearchCV_elastic_net:[3]": L1,
        "test_LogisticRegressionCV_elasticnet_attribute_shapes": L1,
        "test_LogisticRegressionCV_no_refit": REFIT,
        "test_LogisticRegressionCV_on_folds": LAYOUT,
        "test_LogisticRegression_elastic_net_objective": L1,
        "test_check_solver_option": SOLVERS,
        "test_consistency_path": SOLVERS,
        "test_dtype_match:liblinear": SOLVERS,
        "test_elastic_net_coeffs": L1,
        "test_elasticnet_l1_ratio_err_helpful": L1,
        "test_get_default_scorer": "calls a private method",
        "test_l1_ratio_None_deprecated": DEPRECATED,
        "test_l1_ratio_non_elasticnet": L1,
        "test_large_sparse_matrix:liblinear": SOLVERS,
        "test_large_sparse_matrix:sag": SOLVERS,
        "test_liblinear_dual_random_state": SOLVERS,
        "test_liblinear_multiclass_raises": SOLVERS,
        "test_liblinear_with_large_values": SOLVERS,
        "test_logistic_cv": LAYOUT,
        "test_logistic_cv_folds_with_classes_missing": (
            "expects the strongest penalty to be the best of folds that lack a class; with this "
            "loss the probabilities of such folds end where `tol` stops them"
        ),
        "test_logistic_cv_mock_scorer": "expects rising C in the calls of a scorer",
        "test_logistic_cv_multinomial_score": LOSS,
        "test_logistic_glmnet": LOSS,
        "test_logistic_regression_callback_support": (
            "expects one more empty task after the last iteration, SciPy's"
        ),
        "test_logistic_regression_callback_support_warning": SOLVERS,
        "test_logistic_regression_solvers_multiclass_unpenalized": LOSS,
        "test_logisticregression_warns_with_n_jobs": DEPRECATED,
        "test_logisticregressioncv_warns_with_use_legacy_attributes": DEPRECATED,
        "test_logreg_predict_proba_multinomial": LOSS,
        "test_lr_cv_scores_differ_when_sample_weight_is_requested": LAYOUT,
        "test_lr_penalty_l1ratio_incompatible": DEPRECATED,
        "test_lr_scoring_warns": DEPRECATED,
        "test_max_iter": "expects the words of each solver's warning; ours has its own",
        "test_multinomial_cv_iris": LAYOUT,
        "test_multinomial_identifiability_on_iris": LOSS,
        "test_n_iter": "`n_iter_` of LogisticNeuronCV is that of its final neuron",
        "test_newton_cholesky_fallback_to_lbfgs": SOLVERS,
        "test_passing_params_without_enabling_metadata_routing": (
            "expects a `score` by `scoring`; ours is the accuracy, as any classifier's"
        ),
        "test_penalty_deprecated": DEPRECATED,
        "test_penalty_none": DEPRECATED,
        "test_scores_attribute_layout_elasticnet": L1,
    },
    "tests.test_calibration": {
        "test_temperature_scaling:[False": (
            "C=inf: without a penalty this loss has no finite minimum there, and probabilities so "
            "near 0 and 1 tie"
        ),
    },
    "tests.test_multiclass": {
        "test_multiclass_estimator_attribute_error": (
            "expects another wording: `partial_fit` exists for update rules"
        ),
    },
    "tests.test_multioutput": {
        "test_classifier_chain_fit_and_predict_with_sparse_data": (
            "tol=1e-4 leaves 4 of 4000 labels different from those of dense rows; at our default, "
            "1e-6, none"
        ),
        "test_multiclass_multioutput_estimator_predict_proba": LOSS,
    },
}
"""By module and test: why it fails. "name:text" is for those whose parameters contain the text."""


def reason_for(item):
    """Why a test must fail; None if it must not."""
    reasons = REASONS.get(item.module.__name__.removeprefix("sklearn."), {})
    for key, reason in reasons.items():
        name, _, text = key.partition(":")
        if item.originalname == name and text in item.name:
            return reason
    return None


def is_about_us(item):
    """Whether a test names the classes, in its code or in its parameters."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return "LogisticRegression" in f"{inspect.getsource(item.function)} {parameters}"


def pytest_configure():
    """Swap before a test module is imported."""
    for module in (sklearn.linear_model, _logistic):
        for swapped in (LogisticRegression, LogisticRegressionCV):
            setattr(module, swapped.__name__, swapped)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Leave out tests of other classes, and mark those that must fail."""
    others = [item for item in items if not is_about_us(item)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]
    for item in items:
        if (reason := reason_for(item)) is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
