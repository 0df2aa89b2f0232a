"""`LogisticNeuron`: the trainer as a scikit-learn classifier."""

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from trainer import chain_rule
from trainer.callbacks import CallbackSupportMixin, FitNotifier
from trainer.objective import Objective
from trainer.optimizers import OPTIMIZERS, Optimizer, UpdateRule
from trainer.rows import ArrayRows
from trainer.search import search
from trainer.training import History, Result, Termination

Array = npt.NDArray[Any]


class DivergenceError(ValueError):
    """Training ran away from any minimum; the neuron keeps the parameters from before."""


class LogisticNeuron(CallbackSupportMixin, ClassifierMixin, BaseEstimator):
    """A logistic neuron σ(w·x + b) trained on the mean squared error of its output.

    Minimises J(w, b) = mean (y - σ(Xw + b))² + alpha/2 ‖w‖², with y = 1 for the second
    class and 0 for the first: the Brier score of its probabilities, with a penalty.
    As no row can cost more than 1, wrong labels far from the boundary cannot drag it.

    Parameters
    ----------
    optimizer : str, default="auto"
        A solver, which needs no learning rate: "newton" (trust region, exact Hessian),
        "lbfgs", or "auto", which chooses between them by the data's shape and solves a
        sample of the rows first where there are many. Or an update rule:
        "gradient_descent", "momentum", "nesterov", "adam",
        "normalized_gradient_descent".
    alpha : float, default=1e-4
        L2 penalty on the weights, not on the bias; >= 0.
    learning_rate : "auto" or float, default="auto"
        Step length of an update rule; "auto" takes it from the data: for gradient
        descent on full batches it is 1/L, with which J never rises.
    batch_size : int, default=None
        Rows a mini-batch for an update rule; None uses all rows in every update.
    max_iter : int, default=1000
        Iterations at most: steps of the optimizer, or epochs with mini-batches.
    tol : float, default=1e-6
        Training is done when no component of J's gradient exceeds this.
    fit_intercept : bool, default=True
        False leaves out the bias b.
    early_stopping : bool, default=False
        Stop when the cost on rows held out no longer improves, and keep the
        parameters that were best there.
    validation_fraction : float, default=0.1
        Share of the training rows that early stopping holds out, stratified by class.
    n_iter_no_change : int, default=10
        Iterations without improvement that early stopping waits for.
    init : array-like of shape (n_features + 1,) or fitted LogisticNeuron, default=None
        Where to start: the weights and, last, the bias; None starts from rest, at 0.
    n_starts : int, default=4
        J can have several minima. With more than one start, the minimum found is compared
        with where 4 and 16 times its parameters and n_starts - 3 random starts lead, and
        the lowest J wins. Where the minimum leaves few rows on the wrong side nothing
        can be gained, and no other start is tried. Solvers only.
    random_state : int, RandomState instance or None, default=None
        Draws the rows held out, the order of mini-batches, samples and random starts.
    verbose : int, default=0
        Print one line every `verbose` iterations; 0 prints nothing.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features)
        Weights w, in the precision of X.
    intercept_ : ndarray of shape (1,)
        Bias b.
    classes_ : ndarray of shape (2,)
        The labels; probabilities are those of the second one rising with z.
    n_iter_ : int
        Iterations done.
    loss_curve_ : ndarray of shape (n_iter_ + 1,)
        J before the first iteration and after each.
    validation_curve_ : ndarray of shape (n_iter_ + 1,) or None
        The same cost on the rows held out, if there are any.
    history_ : DataFrame
        One row an iteration, the start first: iteration, cost, gradient_max (largest
        component of J's gradient), validation_cost, seconds since the start.
    termination_ : Termination
        Why training stopped.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where X had them as strings.

    References
    ----------
    Masnadi-Shirazi and Vasconcelos, "On the design of loss functions for
    classification", NIPS 2008, on this loss as a function of the margin.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from trainer import LogisticNeuron
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), LogisticNeuron()).fit(X, y)
    >>> bool(model.score(X, y) > 0.98)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "optimizer": [StrOptions(set(OPTIMIZERS))],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "fit_intercept": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "init": ["array-like", HasMethods("decision_function"), None],
        "n_starts": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        optimizer: str = "auto",
        alpha: float = 1e-4,
        learning_rate: float | str = "auto",
        batch_size: int | None = None,
        max_iter: int = 1000,
        tol: float = 1e-6,
        fit_intercept: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        init: Any = None,
        n_starts: int = 4,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.optimizer = optimizer
        self.alpha = alpha
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.init = init
        self.n_starts = n_starts
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, X_val: Any = None, y_val: Any = None
    ) -> Self:
        """Train the neuron.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows; float32 stays float32. Scale the features first.
        y : array-like of shape (n_samples,)
            Labels, of two classes.
        sample_weight : array-like of shape (n_samples,), optional
            Weight of each row; a weight of 2 counts as the row twice.
        X_val, y_val : array-like, optional
            Rows and labels held out: the cost on them is recorded and, with
            `early_stopping`, decides when to stop, in place of a share of X.

        Returns
        -------
        self : LogisticNeuron

        Raises
        ------
        ValueError
            For input or parameters that cannot be trained with.
        DivergenceError
            If J explodes; the parameters of the last good step are kept.

        Warns
        -----
        ConvergenceWarning
            If training stopped before it was done.
        """
        random_state = check_random_state(self.random_state)
        seed = int(random_state.randint(2**31 - 1))
        optimizer = self._make_optimizer(seed)
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=[np.float64, np.float32], y_numeric=False
        )
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
        target = self._encode(y, weight, X.dtype)
        notifier = FitNotifier(self, self.max_iter, X, y, sample_weight)

        validation = None
        if X_val is not None or y_val is not None:
            validation = self._validate_held_out(X_val, y_val)
        elif self.early_stopping:
            X, target, weight, validation = self._hold_out(X, target, weight, random_state)

        def after_iteration(theta: Array, history: History) -> bool:
            iteration = len(history.cost) - 1
            if self.verbose and iteration % self.verbose == 0:
                cost, slope = history.cost[-1][0], history.gradient_max[-1][0]
                print(f"iteration {iteration:5d}   J {cost:.8f}   largest slope {slope:.2e}")
            return notifier.iteration(lambda: self._parameters(theta, X.dtype))

        objective = Objective(ArrayRows(X, target, weight), self.alpha, self.fit_intercept)
        result = search(
            objective,
            optimizer,
            self._initial_theta(X.shape[1]),
            n_starts=1 if isinstance(optimizer, UpdateRule) else self.n_starts,
            seed=seed,
            max_iter=self.max_iter,
            tol=self.tol,
            validation=validation,
            patience=self.n_iter_no_change if self.early_stopping else None,
            callback=after_iteration,
        )
        self._store(result, X.dtype)
        notifier.end(lambda: self._parameters(result.theta, X.dtype))
        self._report()
        return self

    def decision_function(self, X: Any) -> Array:
        """Weighted sum z = w·x + b of each row: above 0 for the second class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        return safe_sparse_dot(X, self.coef_[0], dense_output=True) + self.intercept_[0]

    def predict(self, X: Any) -> Array:
        """Label of each row: the class whose probability is higher.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        positive = self.decision_function(X) > 0
        return self.classes_[positive.astype(int)]

    def predict_proba(self, X: Any) -> Array:
        """Probability of each class: 1 - σ(z) and σ(z), each exact on its own tail.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, 2)
        """
        z = self.decision_function(X)
        return np.column_stack([chain_rule.sigmoid(-z), chain_rule.sigmoid(z)])

    @property
    def history_(self) -> Any:
        """One row an iteration, as a DataFrame."""
        check_is_fitted(self)
        import pandas as pd

        return pd.DataFrame(self._history)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_class = False
        return tags

    def _make_optimizer(self, seed: int) -> Optimizer:
        kind = OPTIMIZERS[self.optimizer]
        if issubclass(kind, UpdateRule):
            return kind(learning_rate=self.learning_rate, batch_size=self.batch_size, seed=seed)
        for name, unused in (("learning_rate", "auto"), ("batch_size", None)):
            if getattr(self, name) != unused:
                raise ValueError(
                    f"{name} must be {unused!r} with optimizer={self.optimizer!r}, which does not "
                    f"use it, got {getattr(self, name)!r}; choose an update rule, such as 'adam'"
                )
        return kind(seed=seed) if self.optimizer == "auto" else kind()

    def _initial_theta(self, n_features: int) -> Array:
        if self.init is None:
            return np.zeros((n_features + 1, 1))
        if hasattr(self.init, "decision_function"):
            check_is_fitted(self.init)
            theta = np.append(self.init.coef_, self.init.intercept_)
        else:
            theta = np.array(self.init, dtype=np.float64).ravel()
        if len(theta) != n_features + 1 or not np.isfinite(theta).all():
            raise ValueError(
                f"init must hold {n_features + 1} finite numbers, a weight for each of the "
                f"{n_features} features and the bias last, got {theta!r}"
            )
        if not self.fit_intercept:
            theta[-1] = 0
        return theta.reshape(-1, 1)

    def _encode(self, y: Array, weight: Array | None, dtype: Any) -> Array:
        """Labels as 0.0 and 1.0; sets `classes_`."""
        if y.dtype.kind not in "biuSU":  # these kinds are labels, whatever their values
            check_classification_targets(y)
        classes = np.unique(y)
        if len(classes) > 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is "
                f"{type_of_target(y)}, with {len(classes)} classes; "
                "choose one class against the rest, for instance y == y[0]."
            )
        second = y == classes[-1]
        counted = second if weight is None else second[weight > 0]
        if len(classes) < 2 or counted.all() or not counted.any():
            raise ValueError(
                "LogisticNeuron needs rows of two classes with weight, got only one class: "
                f"{classes[-1 if counted.all() else 0]!r}"
            )
        self.classes_ = classes
        return second.astype(dtype)

    def _validate_held_out(self, X_val: Any, y_val: Any) -> Objective:
        if X_val is None or y_val is None:
            raise ValueError("X_val and y_val must be given together, got only one of them")
        X_val, y_val = validate_data(
            self, X_val, y_val, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False
        )
        y_val = column_or_1d(y_val)
        unknown = np.setdiff1d(y_val, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y_val must hold only labels of y, {list(self.classes_)}, got {unknown[0]!r}"
            )
        target = np.searchsorted(self.classes_, y_val).astype(X_val.dtype)
        return Objective(ArrayRows(X_val, target), self.alpha, self.fit_intercept)

    def _hold_out(
        self, X: Any, target: Array, weight: Array | None, random_state: Any
    ) -> tuple[Any, Array, Array | None, Objective]:
        """Split off the rows that early stopping watches."""
        from sklearn.model_selection import train_test_split

        rows_a_class = np.bincount(target.astype(int)).min()
        n_held_out = int(np.ceil(self.validation_fraction * len(target)))
        if rows_a_class < 2 or not 2 <= n_held_out <= len(target) - 2:
            raise ValueError(
                "early_stopping needs rows of both classes to hold out and to keep, got "
                f"n_samples = {len(target)}, {rows_a_class} of the rarer class, with "
                f"validation_fraction={self.validation_fraction}; give X_val and y_val instead"
            )
        arrays = [X, target] if weight is None else [X, target, weight]
        parts = train_test_split(
            *arrays,
            test_size=self.validation_fraction,
            stratify=target,
            random_state=random_state,
        )
        kept, held_out = parts[::2], parts[1::2]
        if weight is None:
            kept, held_out = [*kept, None], [*held_out, None]
        validation = Objective(ArrayRows(*held_out), self.alpha, self.fit_intercept)
        return kept[0], kept[1], kept[2], validation

    def _parameters(self, theta: Array, dtype: Any) -> dict[str, Array]:
        """From θ to scikit-learn's names."""
        return {
            "coef_": theta[:-1].T.astype(dtype),
            "intercept_": theta[-1].astype(dtype),
        }

    def _store(self, result: Result, dtype: Any) -> None:
        for name, value in self._parameters(result.theta, dtype).items():
            setattr(self, name, value)
        history = result.history
        self.termination_: Termination = result.terminations[0]
        self.n_iter_ = self.termination_.n_iter
        self.loss_curve_ = np.concatenate(history.cost)
        self._history: dict[str, Array] = {
            "iteration": np.arange(len(history.cost)),
            "cost": self.loss_curve_,
            "gradient_max": np.concatenate(history.gradient_max),
        }
        self.validation_curve_ = None
        if history.validation_cost:
            self.validation_curve_ = np.concatenate(history.validation_cost)
            self._history["validation_cost"] = self.validation_curve_
        self._history["seconds"] = np.array(history.seconds)

    def _report(self) -> None:
        """The one warning, or the error, for training that did not end well."""
        termination = self.termination_
        if termination.reason == "diverged":
            raise DivergenceError(
                f"training with learning_rate={self.learning_rate!r} diverged: "
                f"{termination.message}; choose a smaller learning_rate, or 'auto'"
            )
        if not termination.converged:
            warnings.warn(
                f"LogisticNeuron stopped ({termination.reason}): {termination.message}",
                ConvergenceWarning,
                stacklevel=4,
            )
