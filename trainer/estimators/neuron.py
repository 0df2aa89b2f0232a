"""`LogisticNeuron`: the trainer as a scikit-learn classifier."""

import warnings
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, validate_data

from trainer.core.objective import Objective
from trainer.core.rows import ArrayRows
from trainer.core.solve import solve
from trainer.core.training import History, Result, Termination
from trainer.estimators.callbacks import CallbackSupportMixin, FitNotifier
from trainer.estimators.holdout import held_out
from trainer.estimators.parameters import given_start
from trainer.estimators.prediction import PredictionMixin
from trainer.estimators.targets import from_labels, from_probabilities, is_soft
from trainer.optimizers import OPTIMIZERS, Optimizer, UpdateRule

Array = npt.NDArray[Any]


class DivergenceError(ValueError):
    """Training ran away from any minimum; the neuron keeps the parameters from before."""


def _trains_in_parts(neuron: Any) -> bool:
    """Whether the optimizer is an update rule: a solver needs all rows at once."""
    if issubclass(OPTIMIZERS[neuron.optimizer], UpdateRule):
        return True
    raise AttributeError(
        f"partial_fit needs an update rule, got optimizer={neuron.optimizer!r}; choose 'adam', "
        "for instance"
    )


class LogisticNeuron(CallbackSupportMixin, PredictionMixin, BaseEstimator):
    """A logistic neuron σ(w·x + b) trained on the mean squared error of its output.

    Minimises J(w, b) = mean (y - σ(Xw + b))² + alpha/2 ‖w‖², with y = 1 for the second
    class and 0 for the first: the Brier score of its probabilities, with a penalty.
    As no row can cost more than 1, wrong labels far from the boundary cannot drag it.
    More than two classes are a bank of neurons, one a class against the rest, trained
    together; their probabilities are divided by their sum.

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
    class_weight : dict or "balanced", default=None
        Weight of each class, by label; "balanced" weighs all classes alike. It multiplies
        `sample_weight`.
    early_stopping : bool, default=False
        Stop when the cost on rows held out no longer improves, and keep the
        parameters that were best there.
    validation_fraction : float, default=0.1
        Share of the training rows that early stopping holds out, stratified by class;
        equal rows are held out together.
    n_iter_no_change : int, default=10
        Iterations without improvement that early stopping waits for.
    init : array-like of shape (n_features + 1,) or (n_features + 1, n_classes), or fitted \
            linear classifier, default=None
        Where to start: the weights and, last, the bias; None starts from rest, at 0.
    warm_start : bool, default=False
        Start where the last fit ended, if there was one.
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
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Weights w, in the precision of X; of two classes, those of the second one.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Bias b.
    classes_ : ndarray of shape (n_classes,)
        The labels.
    n_iter_ : int
        Iterations done; of several neurons, by the last to finish.
    loss_curve_ : ndarray of shape (n_iter_ + 1,)
        J before the first iteration and after each; of several neurons, their mean.
    validation_curve_ : ndarray of shape (n_iter_ + 1,) or None
        Mean squared error on the rows held out, if there are any, without the penalty.
    history_ : DataFrame
        One row an iteration, the start first: iteration, cost, gradient_max (largest
        component of J's gradient), validation_cost, seconds since the start.
    termination_ : Termination
        Why training stopped; of several neurons, for the one that took longest among those
        that are not at a minimum, or among all.
    terminations_ : list of Termination
        The same for every neuron.
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

    classes_: Array
    loss_curve_: Array
    _rule_state: tuple[str, Any, dict[str, Any]] | None

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "optimizer": [StrOptions(set(OPTIMIZERS))],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "fit_intercept": ["boolean"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "init": ["array-like", HasMethods("decision_function"), None],
        "n_starts": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
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
        class_weight: Any = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        init: Any = None,
        n_starts: int = 4,
        warm_start: bool = False,
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
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.init = init
        self.n_starts = n_starts
        self.warm_start = warm_start
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
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Labels. Or soft labels, such as shares of votes: a probability for each class,
            the shape that `predict_proba` gives; a frame's columns name the classes.
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
        seed = self._draw_seed()
        optimizer = self._make_optimizer(seed)
        X, target, weight, strata = self._validate_rows(X, y, sample_weight)
        theta = self._initial_theta(X.shape[1], 1 if target.ndim == 1 else target.shape[1])
        n_starts = 1 if isinstance(optimizer, UpdateRule) else self.n_starts
        n_runs = 1 if n_starts == 1 else 2  # the second goes on from a lower start
        notifier = FitNotifier(self, self.max_iter * n_runs, X, y, sample_weight)

        validation = None
        if X_val is not None or y_val is not None:
            validation = self._validate_held_out(X_val, y_val)
        elif self.early_stopping:
            mask = held_out(X, strata, weight, self.validation_fraction, seed)
            parts = [
                (X[m], target[m], None if weight is None else weight[m]) for m in (mask, ~mask)
            ]
            validation, (X, target, weight) = self._objective(*parts[0], alpha=0), parts[1]

        def after_iteration(theta: Array, history: History) -> bool:
            iteration = len(history.cost) - 1
            if self.verbose and iteration % self.verbose == 0:
                cost, slope = history.cost[-1].mean(), history.gradient_max[-1].max()
                print(f"iteration {iteration:5d}   J {cost:.8f}   largest slope {slope:.2e}")
            return notifier.iteration(lambda: self._parameters(theta, X.dtype))

        result = solve(
            self._objective(X, target, weight),
            optimizer,
            theta,
            n_starts=n_starts,
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

    @available_if(_trains_in_parts)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train a little more on some rows: one update, or with `batch_size` one epoch.

        The update rule's memory and step length are kept from call to call, unless another
        `learning_rate` is set; after `fit` the first call goes on from its parameters with a
        fresh memory and history. For update rules only, as a solver needs all rows at once.

        Parameters
        ----------
        X, y, sample_weight : array-like
            Rows, labels and weights, as in `fit`.
        classes : array-like of shape (n_classes,), optional
            All labels that will ever come; needed in the first call.

        Returns
        -------
        self : LogisticNeuron

        Raises
        ------
        ValueError
            For input that cannot be trained with, or classes that are missing or change.
        DivergenceError
            If J explodes; the parameters before the call are kept.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight must be a dict or None for partial_fit, which never sees all rows, "
                "got 'balanced'; give the weights of the classes"
            )
        if is_first := not hasattr(self, "coef_"):
            self.__dict__.pop("classes_", None)  # a first call that failed leaves nothing behind
        _check_partial_fit_first_call(self, classes)
        X, target, weight, _ = self._validate_rows(
            X, y, sample_weight, reset=is_first, in_parts=True
        )
        n_neurons = 1 if target.ndim == 1 else target.shape[1]
        rule: Any = self._make_optimizer(self._draw_seed())
        objective = self._objective(X, target, weight)
        theta = self._initial_theta(X.shape[1], n_neurons, go_on=not is_first)
        state = rule.init(objective, theta)
        before, given, kept = getattr(self, "_rule_state", None) or ("", None, {})
        costs: Any = [state.J.mean()]
        slopes: Any = [np.abs(state.gradient).max()]
        if before == self.optimizer:
            fresh = {} if given == self.learning_rate else {"rate": state.rate}
            state = replace(state, **{**kept, **fresh})
            costs, slopes = self._history["cost"], self._history["gradient_max"]
        else:  # what a fit told of its end no longer holds
            for name in ("termination_", "terminations_", "validation_curve_"):
                self.__dict__.pop(name, None)
        limit = state.J + 1  # as in fit
        with np.errstate(over="ignore", invalid="ignore"):
            state = rule.step(objective, state)
        if not (state.J <= limit).all():
            raise DivergenceError(
                f"training with learning_rate={self.learning_rate!r} diverged: J went to "
                f"{state.J.max():.3g}; choose a smaller learning_rate, or 'auto'"
            )
        kept = {name: getattr(state, name) for name in ("rate", "memory", "n_steps")}
        self._rule_state = (self.optimizer, self.learning_rate, kept)
        self.__dict__.update(self._parameters(state.theta, X.dtype), n_iter_=state.n_steps)
        self.loss_curve_ = np.append(costs, state.J.mean())
        self._history = {
            "iteration": np.arange(len(self.loss_curve_)),
            "cost": self.loss_curve_,
            "gradient_max": np.append(slopes, np.abs(state.gradient).max()),
        }
        return self

    def _draw_seed(self) -> int:
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

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

    def _validate_rows(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool = True, in_parts: bool = False
    ) -> tuple[Any, Array, Array | None, Array]:
        """X, targets, weights and strata; sets `classes_`, unless they come in parts."""
        X, y = self._validate(X, y, reset)
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
        known = self.classes_ if in_parts else None
        encode = from_probabilities if is_soft(y) else from_labels
        targets = encode(y, weight, self.class_weight, X.dtype, known)
        self.classes_ = targets.classes
        return X, targets.values, targets.weight, targets.strata

    def _initial_theta(self, n_features: int, n_neurons: int, go_on: bool = False) -> Array:
        shape = (n_features + 1, n_neurons)
        if (go_on or self.warm_start) and hasattr(self, "coef_"):
            theta = np.vstack([self.coef_.T, self.intercept_])
            if theta.shape == shape:
                return given_start(theta, shape, self.fit_intercept)
        return given_start(self.init, shape, self.fit_intercept)

    def _objective(
        self, X: Any, target: Array, weight: Array | None, alpha: float | None = None
    ) -> Objective:
        alpha = self.alpha if alpha is None else alpha
        return Objective(ArrayRows(X, target, weight), alpha, self.fit_intercept)

    def _validate_held_out(self, X_val: Any, y_val: Any) -> Objective:
        if X_val is None or y_val is None:
            raise ValueError("X_val and y_val must be given together, got only one of them")
        X_val, y_val = self._validate(X_val, y_val, reset=False)
        encode = from_probabilities if is_soft(y_val) else from_labels
        try:
            targets = encode(y_val, None, None, X_val.dtype, self.classes_)
        except ValueError as error:
            raise ValueError(f"y_val: {error}") from error
        return self._objective(X_val, targets.values, None, alpha=0)

    def _validate(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        """X and y by scikit-learn's rules; soft labels as they come."""
        kinds: dict[str, Any] = {"accept_sparse": "csr", "dtype": [np.float64, np.float32]}
        if not is_soft(y):
            return validate_data(self, X, y, reset=reset, **kinds)
        X = validate_data(self, X, reset=reset, **kinds)
        check_consistent_length(X, y)
        return X, y

    def _parameters(self, theta: Array, dtype: Any) -> dict[str, Array]:
        """From θ to scikit-learn's names."""
        return {"coef_": theta[:-1].T.astype(dtype), "intercept_": theta[-1].astype(dtype)}

    def _store(self, result: Result, dtype: Any) -> None:
        self.__dict__.update(self._parameters(result.theta, dtype))
        history = result.history
        self.terminations_: list[Termination] = result.terminations
        self.termination_: Termination = max(
            result.terminations,
            key=lambda end: (end.reason == "diverged", not end.converged, end.n_iter),
        )
        self.n_iter_ = max(end.n_iter for end in result.terminations)
        self.loss_curve_ = np.mean(history.cost, axis=1)
        self._history: dict[str, Array] = {
            "iteration": np.arange(len(history.cost)),
            "cost": self.loss_curve_,
            "gradient_max": np.max(history.gradient_max, axis=1),
        }
        self.validation_curve_ = None
        if history.validation_cost:
            self.validation_curve_ = np.mean(history.validation_cost, axis=1)
            self._history["validation_cost"] = self.validation_curve_
        self._history["seconds"] = np.array(history.seconds)
        self._rule_state = None

    def _report(self) -> None:
        """The one warning, or the error, for training that did not end well."""
        termination = self.termination_
        if termination.reason == "diverged":
            raise DivergenceError(
                f"training with learning_rate={self.learning_rate!r} diverged: "
                f"{termination.message}; choose a smaller learning_rate, or 'auto'"
            )
        if not termination.converged:
            ends, which = self.terminations_, ""
            if len(ends) > 1:
                n_unfinished = sum(not end.converged for end in ends)
                label = self.classes_.tolist()[ends.index(termination)]
                which = f" for {n_unfinished} of {len(ends)} classes, longest for {label!r}"
            warnings.warn(
                f"LogisticNeuron stopped ({termination.reason}){which}: {termination.message}",
                ConvergenceWarning,
                stacklevel=4,
            )
