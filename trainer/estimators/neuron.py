"""`LogisticNeuron`: the trainer as a scikit-learn classifier."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from numbers import Integral, Real
from time import perf_counter
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call

from trainer.core.objective import Objective
from trainer.core.solve import solve
from trainer.core.termination import Termination
from trainer.core.training import History, Result, TrainingInterrupted, train
from trainer.estimators.array_api import placed_like
from trainer.estimators.callbacks import CallbackSupportMixin, FitNotifier
from trainer.estimators.checkpoint import Progress, progress_of
from trainer.estimators.data import Data, prepare
from trainer.estimators.holdout import held_out
from trainer.estimators.noise import MAX_STD_ERR, checked_rates, learn_rates
from trainer.estimators.parameters import initial_theta, pack, unpack
from trainer.estimators.prediction import PredictionMixin
from trainer.estimators.targets import checked_classes, in_words
from trainer.optimizers import OPTIMIZERS, Optimizer, UpdateRule
from trainer.optimizers.base import RuleState

Array = npt.NDArray[Any]
Method = TypeVar("Method", bound=Callable[..., Any])

checks_parameters: Callable[[Method], Method] = _fit_context(prefer_skip_nested_validation=True)
"""scikit-learn's decorator of fit methods, with a type that keeps theirs."""

_OF_LABELS = ("classes_", "feature_names_in_", "noise_rates_", "noise_rates_std_err_")
"""Fitted arrays that stay in NumPy under `array_api_dispatch`."""


class DivergenceError(ValueError):
    """Training ran away from any minimum; the neuron keeps the parameters from before.

    Examples
    --------
    >>> from trainer import DivergenceError, LogisticNeuron
    >>> neuron = LogisticNeuron(optimizer="gradient_descent", learning_rate=1e9, alpha=1.0)
    >>> try:
    ...     neuron.fit([[0.0], [1.0], [2.0]], [0, 1, 1])
    ... except DivergenceError as error:
    ...     print(str(error).split(":")[0])
    training with learning_rate=1000000000.0 diverged
    """


def _trains_in_parts(neuron: Any) -> bool:
    """Whether the optimizer is an update rule: a solver needs all rows at once."""
    given = neuron.optimizer
    kind = OPTIMIZERS.get(given) if isinstance(given, str) else given
    if kind is not None and kind.is_update_rule:
        return True
    raise AttributeError(
        f"partial_fit needs an update rule, got optimizer={given!r}; choose 'adam', for instance"
    )


@contextmanager
def unchanged_on_error(estimator: Any) -> Iterator[None]:
    """Leave a fitted estimator as it was when its next fit fails."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        estimator.__dict__ = before
        raise


class LogisticNeuron(CallbackSupportMixin, PredictionMixin, BaseEstimator):
    """A logistic neuron σ(w·x + b) trained on the mean squared error of its output.

    Minimises J(w, b) = mean (y - σ(Xw + b))² + alpha/2 ‖w‖², with y = 1 for the second
    class and 0 for the first: the Brier score of its probabilities, with a penalty.
    No row can cost more than 1, so the pull of a wrong label far from the boundary is bounded.
    More than two classes are trained as a bank of neurons, one a class against the rest;
    their probabilities are divided by their sum, which can leave them too close to even.
    ``CalibratedClassifierCV(neuron, method="temperature")`` corrects that.

    Parameters
    ----------
    optimizer : str or Optimizer, default="auto"
        A solver, which needs no learning rate: "newton" (trust region, exact Hessian),
        "lbfgs", or "auto", which chooses between them by the shape of the data, gives L-BFGS
        a Hessian as preconditioner, and solves an easier problem first: a sample where there
        are many rows, and ten times the penalty where there are few for the number of
        features. Or an update rule: "gradient_descent", "momentum", "nesterov", "adam",
        "normalized_gradient_descent". An instance, such as
        ``trainer.optimizers.Momentum(momentum=0.95)``, sets the optimizer's own parameters.
    alpha : "auto" or float, default="auto"
        L2 penalty on the weights, not on the bias; >= 0. "auto" is 1 / (2 · total weight of the
        rows), class weights included: 1/(2n) without weights. It is as strong as
        LogisticRegression's ``C=1``, as this loss has half of log loss's curvature at z = 0.
        With a weaker penalty more probabilities come close to 0 and 1, which costs little in
        the Brier score and much in log loss where they are wrong: raise alpha, or choose it
        with ``LogisticNeuronCV(scoring="neg_log_loss")``, if the log loss counts.
    learning_rate : "auto" or float, default="auto"
        Step length of an update rule; "auto" takes it from the data: for gradient
        descent on full batches it is 1/L, with which J never rises.
    batch_size : int, default=None
        Rows a mini-batch for an update rule; None uses all rows in every update.
    max_iter : int, default=1000
        Largest number of iterations of a run: steps of the optimizer, or epochs with
        mini-batches.
    tol : float, default=1e-6
        Training is done when no component of J's gradient exceeds this.
    fit_intercept : bool, default=True
        False trains without the bias b.
    class_weight : dict or "balanced", default=None
        Weight of each class, by label; "balanced" weighs all classes alike. It multiplies
        `sample_weight`.
    early_stopping : bool, default=False
        Stop when the cost on a validation set no longer improves, and keep the parameters that
        were best there.
    validation_fraction : float, default=0.1
        Share of the training rows that early stopping holds out as validation set, stratified
        by class; equal rows are held out together.
    n_iter_no_change : int, default=10
        Iterations without improvement that early stopping waits for.
    init : array-like of shape (n_features + 1,) or (n_features + 1, n_classes), or fitted \
            linear classifier, default=None
        Where to start: the weights and, last, the bias; None starts at 0. A classifier goes
        into scikit-learn's FrozenEstimator where the neuron is cloned, as by a grid search.
    warm_start : bool, default=False
        Start where the last fit ended, if there was one.
    n_starts : int, default=4
        J can have several minima. With more than one start, the minimum found is compared
        with where multiples of its parameters, a fit in which distant rows have no leverage,
        and, from the fifth start on, random starts lead; the lowest J wins. No other start is
        tried where few rows are on the wrong side and J is low. For solvers only.
    noise_rates : array-like of shape (n_classes,), dict, "symmetric", "learn" or None, \
            default=None
        Rates at which the labels of `y` are wrong: for each class, in the order of `classes_`
        or in a dict by label, the share of its rows that are recorded as another class. Of more
        than two classes, any of the others is recorded alike. The neuron then gives the
        probability of the true label. J is the mean squared error (y - q)² of the probability
        of the recorded label, ``q = rho_0 + (1 - rho_0 - rho_1) σ``, with the penalty.

        Known rates improve the probabilities, and half of the true rates still helps; rates that
        are too high can do harm, so rather give too low ones. "symmetric" learns one rate for all
        classes, and "learn" both of two classes, each below 1/2. Two learned rates come near the
        true ones with thousands of rows that the model fits; with fewer rows, or where it does
        not fit, noise cannot be told from misfit and they can do harm. Learned rates are found
        first, by a solver; then the neuron is trained with them. `docs/wrong_labels.md` has
        figures.
    random_state : int, RandomState instance or None, default=None
        Draws the validation set, the order of mini-batches, samples and random starts.
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
    alpha_ : float
        The penalty used.
    noise_rates_ : ndarray of shape (n_classes,) or None
        The rates used.
    noise_rates_std_err_ : ndarray of shape (n_classes,) or None
        Standard errors of rates that were learned, from the sandwich. They hold where the
        model fits, and know nothing of the penalty, which draws the rates towards 0. NaN for
        more than two classes and above 1000 parameters.
    n_iter_ : int
        Iterations done, over all runs; a later run's start counts as one.
    loss_curve_ : ndarray of shape (``n_iter_`` + 1,)
        J before the first iteration and after each; the mean over the neurons if there are
        several. It shows all runs, in order: also a second one, from another start, that
        ended no lower. While "auto" solves an easier problem first, it is J of that: of a
        sample of the rows, or with a stronger penalty.
    validation_curve_ : ndarray of shape (``n_iter_`` + 1,) or None
        Mean squared error on the validation set, without the penalty, if there is one. Class
        weights count in it where `fit` has held out the set, and not in X_val.
    history_ : DataFrame
        One row an iteration, the start first: iteration, cost (J), gradient_max (largest
        component of its gradient), validation_cost, seconds since `fit` began. Also run,
        where there was more than one, and n_rows or alpha, where one was on a sample of the
        rows or with a stronger penalty.
    optimizer_ : str
        The optimizer that was used, where "auto" chose it.
    termination_ : Termination
        Why training stopped. With several neurons: that of the slowest neuron that did not
        converge or, if all converged, of the slowest.
    terminations_ : list of Termination
        The same for every neuron.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (``n_features_in_``,)
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
    noise_rates_: Array | None
    noise_rates_std_err_: Array | None
    _keeps_parameters = False  # `trainer.trace` sets it on its copy
    _rule_state: tuple[UpdateRule, RuleState] | None

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "optimizer": [StrOptions({"auto", *OPTIMIZERS}), Optimizer],
        "alpha": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "fit_intercept": ["boolean"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "noise_rates": ["array-like", dict, StrOptions({"symmetric", "learn"}), None],
        "init": ["array-like", HasMethods("decision_function"), None],
        "n_starts": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        optimizer: str | Optimizer = "auto",
        alpha: float | str = "auto",
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
        noise_rates: Any = None,
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
        self.noise_rates = noise_rates
        self.random_state = random_state
        self.verbose = verbose

    @checks_parameters
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        resume: Any = None,
    ) -> Self:
        """Train the neuron.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or source of rows
            Training rows; float32 gives float32 parameters. Scale the features first. A
            source is an object whose method `blocks()` returns a new iterator over blocks
            (X, y) or (X, y, sample_weight) for every pass: see `docs/extending.md`.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Labels. Or soft labels, such as shares of votes: a probability for each class,
            the shape that `predict_proba` returns; a frame's columns name the classes.
            None for a source.
        sample_weight : array-like of shape (n_samples,), optional
            Weight of each row; a weight of 2 counts as the row twice.
        X_val, y_val : array-like, optional
            Validation set: J on it is recorded and, with `early_stopping`,
            decides when to stop, in place of a fraction of X.
        resume : path, optional
            A file of `trainer.Checkpoint`: training goes on where that fit was when the file was
            written. All parameters and the data must be the same.

        Returns
        -------
        self : LogisticNeuron

        Raises
        ------
        ValueError
            For input or parameters that cannot be trained with, or a checkpoint that is damaged
            or of another fit; a neuron that was fitted before stays as it was.
        DivergenceError
            If J explodes; the parameters of the last good step are kept.
        KeyboardInterrupt
            On Ctrl-C; the best parameters so far are kept, if there are any, with
            `termination_.reason` "interrupted".

        Warns
        -----
        ConvergenceWarning
            If training stopped before it converged.
        UserWarning
            If rates of noise were learned that are too uncertain to be believed, or if sums are
            rounded in another way than where a checkpoint was written.
        """
        history = History(keep_parameters=self._keeps_parameters)
        with unchanged_on_error(self), np.errstate(all="ignore"):
            resumed, seed = None, self._draw_seed()
            if resume is not None:
                resumed = Progress.read(resume)
                seed = resumed.seed
            optimizer = self._make_optimizer(seed)
            data = prepare(self, X, y, sample_weight, reset=True)
            self.classes_ = data.classes
            theta = self._initial_theta(data)
            has_validation = X_val is not None or y_val is not None
            held_out = None
            if self.early_stopping and not has_validation:
                data, held_out = self._split(data, seed)
            self._set_penalty(data.weight_sum)
            self._set_noise(data, seed)
            data, validation = data.with_noise(self.noise_rates_), None
            if has_validation:
                validation = self._validation_objective(X_val, y_val)
            elif held_out is not None:
                held_out = held_out.with_noise(self.noise_rates_)
                validation = held_out.objective(0.0, self.fit_intercept)
            is_rule = optimizer is not None and optimizer.is_update_rule
            n_starts = 1 if is_rule else self.n_starts
            # "auto" solves up to two samples before a run, which may go on for max_iter more
            n_runs = (1 if n_starts == 1 else 2) * (2 if optimizer is not None else 4)
            objective = data.objective(self.alpha_, self.fit_intercept)
            self._progress = progress_of(self, resumed, seed, theta, objective, validation)
            history.journal = None if self._progress is None else self._progress.journal
            notifier = FitNotifier(self, self.max_iter * n_runs, X, y, sample_weight)
            fitted = self._fitted_like(X, data.dtype)
            was_interrupted = False
            try:
                result = solve(
                    objective,
                    optimizer,
                    theta,
                    n_starts=n_starts,
                    seed=seed,
                    max_iter=self.max_iter,
                    tol=self.tol,
                    validation=validation,
                    patience=self.n_iter_no_change if self.early_stopping else None,
                    callback=self._after_iteration(notifier, fitted),
                    history=history,
                )
            except TrainingInterrupted as stop:
                result, was_interrupted = stop.result, True
            self._store(result, fitted, data.rows.n_rows)
            notifier.end(lambda: fitted(result.theta))
            self._place_like(X)
            del self._progress
        if was_interrupted:
            raise KeyboardInterrupt
        self._report()
        return self

    @available_if(_trains_in_parts)
    @checks_parameters
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train a little more on some rows: one update, or with `batch_size` one epoch.

        The update rule's memory and step length are kept from call to call, unless another
        `learning_rate` is set; after `fit` the first call goes on from its parameters with a
        fresh memory and history. For update rules only, as a solver needs all rows at once.
        Callbacks are not called.

        ``alpha="auto"`` counts all rows so far, those of an earlier `fit` included: a stream
        ends with the penalty of one fit on all of its rows. Set `alpha` to a number if the same
        rows come more than once.

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
        if self.early_stopping:
            raise ValueError(
                "early_stopping must be False for partial_fit, which is given no validation set, "
                "got True"
            )
        with unchanged_on_error(self), np.errstate(all="ignore"):
            if is_first := not hasattr(self, "coef_"):
                self.__dict__.pop("classes_", None)
            if classes is not None:
                classes = checked_classes(classes)
            with in_words():
                _check_partial_fit_first_call(self, classes)
            if isinstance(self.noise_rates, str):
                raise ValueError(
                    "noise_rates must be numbers for partial_fit, which never sees all rows, got "
                    f"{self.noise_rates!r}"
                )
            self.noise_rates_, self.noise_rates_std_err_ = self._given_rates(self.classes_), None
            data = prepare(self, X, y, sample_weight, classes=self.classes_, reset=is_first)
            rule: Any = self._make_optimizer(self._draw_seed())
            seen = 0.0 if is_first else getattr(self, "_weight_seen", 0.0)  # JSON does not hold it
            self._set_penalty(data.weight_sum + seen)
            objective = data.objective(self.alpha_, self.fit_intercept)
            theta = self._initial_theta(data, go_on=not is_first)
            state = None
            if (kept := getattr(self, "_rule_state", None)) and type(kept[0]) is type(rule):
                state = kept[1]
                if kept[0].learning_rate != rule.learning_rate:
                    state = replace(state, rate=rule.initial_rate(objective, data.n_neurons))
            result = train(objective, rule, theta, max_iter=1, tol=-1.0, previous=state)
            fitted = self._fitted_like(X, data.dtype)
            self._store_part(result, rule, is_new=state is None, fitted=fitted)
            self._place_like(X)
        return self

    def _store_part(
        self, result: Result, rule: UpdateRule, *, is_new: bool, fitted: Callable[[Array], Any]
    ) -> None:
        end = result.terminations[0]
        if any(end.reason == "diverged" for end in result.terminations):
            raise self._divergence(end)
        records = result.history.records
        costs = [record.cost.mean() for record in records]
        gradients = [record.gradient_max.max() for record in records]
        if is_new:  # what a fit says of its end no longer holds
            for name in ("termination_", "terminations_", "validation_curve_", "optimizer_"):
                self.__dict__.pop(name, None)
        else:
            costs = [*self._history["cost"], costs[-1]]
            gradients = [*self._history["gradient_max"], gradients[-1]]
        assert isinstance(result.state, RuleState)
        self._rule_state = rule, result.state
        self._set(**fitted(result.theta), n_iter_=result.state.n_steps)
        self.loss_curve_ = np.array(costs)
        self._history = {
            "iteration": np.arange(len(costs)),
            "cost": self.loss_curve_,
            "gradient_max": np.array(gradients),
        }

    def _set_penalty(self, weight_seen: float) -> None:
        self._weight_seen = weight_seen
        self.alpha_ = float(1 / (2 * weight_seen) if self.alpha == "auto" else self.alpha)

    def _set_noise(self, data: Data, seed: int) -> None:
        """Set the rates of wrong labels: as given, or learned from the rows."""
        self.noise_rates_, self.noise_rates_std_err_ = self._given_rates(data.classes), None
        if isinstance(self.noise_rates, str):
            alpha = 1 / (2 * data.weight_sum) if isinstance(self.alpha, str) else self.alpha
            self.noise_rates_, self.noise_rates_std_err_ = learn_rates(
                data.recorded(),
                self.noise_rates,
                len(data.classes),
                alpha,
                self.fit_intercept,
                n_starts=self.n_starts,
                seed=seed,
                max_iter=self.max_iter,
                tol=self.tol,
            )

    def _given_rates(self, classes: Array) -> Array | None:
        """The rates that were given as numbers, checked."""
        given = self.noise_rates
        if given is not None and self.class_weight is not None:
            raise ValueError(
                "class_weight must be None with noise_rates, as it would weigh rows by labels that "
                f"may be wrong, got {self.class_weight!r}; weigh rows with sample_weight"
            )
        return None if given is None or isinstance(given, str) else checked_rates(given, classes)

    def _draw_seed(self) -> int:
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _make_optimizer(self, seed: int) -> Optimizer | None:
        """The optimizer, with its parameters; None for "auto"."""
        given = self.optimizer
        name = given if isinstance(given, str) else type(given).__name__
        kind = OPTIMIZERS.get(given) if isinstance(given, str) else None
        if kind is not None and issubclass(kind, UpdateRule):
            return kind(learning_rate=self.learning_rate, batch_size=self.batch_size, seed=seed)
        for parameter, unused in (("learning_rate", "auto"), ("batch_size", None)):
            if getattr(self, parameter) != unused:
                remedy = (
                    f"set it on the optimizer, {name}({parameter}=...)"
                    if isinstance(given, UpdateRule)
                    else "choose an update rule, such as 'adam'"
                )
                raise ValueError(
                    f"{parameter} is not for optimizer={given!r}, which does not use it, got "
                    f"{getattr(self, parameter)!r}; leave it out, or {remedy}"
                )
        if isinstance(given, UpdateRule) and given.seed is None:
            return replace(given, seed=seed)
        if isinstance(given, Optimizer):
            return replace(given)
        return None if kind is None else kind()

    def _initial_theta(self, data: Data, go_on: bool = False) -> Array:
        shape = (data.rows.n_features + 1, data.n_neurons)
        if (go_on or self.warm_start) and hasattr(self, "coef_"):
            theta = pack(self)
            if theta.shape == shape:
                return initial_theta(theta, shape, self.fit_intercept)
        return initial_theta(self.init, shape, self.fit_intercept)

    def _validation_objective(self, X_val: Any, y_val: Any) -> Objective:
        if X_val is None or y_val is None:
            raise ValueError("X_val and y_val must be given together, got only one of them")
        try:
            data = prepare(self, X_val, y_val, None, classes=self.classes_, class_weight=None)
        except ValueError as error:
            raise ValueError(f"X_val, y_val: {error}") from error
        return data.objective(0.0, self.fit_intercept)

    def _split(self, data: Data, seed: int) -> tuple[Data, Data]:
        """The rows to train on, and the validation set of early stopping."""
        if data.targets is None:
            raise ValueError(
                "early_stopping needs X_val and y_val where X is a source of rows; give them"
            )
        targets = data.targets
        mask = held_out(data.X, targets.strata, targets.weight, self.validation_fraction, seed)
        return data.part(~mask), data.part(mask)

    def _fitted_like(self, X: Any, dtype: Any) -> Callable[[Array], dict[str, Any]]:
        """From θ to `coef_` and `intercept_`, where X is."""
        place = placed_like(X)
        return lambda theta: {name: place(value) for name, value in unpack(theta, dtype).items()}

    def _place_like(self, X: Any) -> None:
        """Move what a fit has learned to where X is; of labels it stays in NumPy."""
        place = placed_like(X)
        for name, value in vars(self).items():
            if name.endswith("_") and name not in _OF_LABELS and isinstance(value, np.ndarray):
                setattr(self, name, place(value))

    def _after_iteration(
        self, notifier: FitNotifier, fitted: Callable[[Array], dict[str, Any]]
    ) -> Any:
        """What to do after every iteration: print, and call the callbacks; None if nothing."""
        if not (self.verbose or notifier.active):
            return None

        def call(theta: Array, history: History) -> bool:
            if self.verbose and history.n_iter % self.verbose == 0:
                last = history.records[-1]
                cost, gradient = last.cost.mean(), last.gradient_max.max()
                print(f"iteration {history.n_iter:5d}   J {cost:.8f}   gradient {gradient:.2e}")
            return notifier.iteration(lambda: fitted(theta))

        return call

    def _store(self, result: Result, fitted: Callable[[Array], Any], n_rows: int) -> None:
        self._set(**fitted(result.theta))
        records = result.history.records
        seconds = perf_counter() - result.history.started
        self.terminations_: list[Termination] = [
            replace(end, seconds=seconds) for end in result.terminations
        ]
        self.termination_: Termination = max(
            self.terminations_,
            key=lambda end: (end.reason == "diverged", not end.converged, end.n_iter),
        )
        self.n_iter_ = result.history.n_iter
        self.optimizer_ = next(
            (name for name, kind in OPTIMIZERS.items() if isinstance(result.optimizer, kind)),
            type(result.optimizer).__name__,
        )
        self.loss_curve_ = np.mean([record.cost for record in records], axis=1)
        self._history: dict[str, Array] = {
            "iteration": np.arange(len(records)),
            "cost": self.loss_curve_,
            "gradient_max": np.max([record.gradient_max for record in records], axis=1),
        }
        self.validation_curve_ = None
        if records[-1].validation_cost is not None:
            costs: list[Any] = [record.validation_cost for record in records]
            self.validation_curve_ = np.mean(costs, axis=1)
            self._history["validation_cost"] = self.validation_curve_
        if self._keeps_parameters:
            thetas: list[Any] = [record.theta for record in records]
            self._parameter_history = np.stack(thetas, axis=-1)
        self._history["seconds"] = np.array([record.seconds for record in records])
        if result.history.n_runs > 1:
            self._history["run"] = np.array([record.run for record in records])
        for name, usual in (("n_rows", n_rows), ("alpha", self.alpha_)):
            values = np.array([getattr(record, name) for record in records])
            if (values != usual).any():
                self._history[name] = values
        self._rule_state = None

    def _set(self, **attributes: Any) -> None:
        for name, value in attributes.items():
            setattr(self, name, value)

    def _divergence(self, end: Termination) -> DivergenceError:
        rate = getattr(self.optimizer, "learning_rate", self.learning_rate)
        return DivergenceError(
            f"training with learning_rate={rate!r} diverged: {end.message}; choose a smaller "
            "learning_rate, or 'auto'"
        )

    def _report(self) -> None:
        """Warnings, or the error, for training that did not end well."""
        rates, errors = self.noise_rates_, self.noise_rates_std_err_
        if (
            rates is not None
            and errors is not None
            and len(errors) == 2
            and not (errors <= MAX_STD_ERR).all()
        ):
            warnings.warn(
                f"noise_rates={self.noise_rates!r} learned {rates.round(3).tolist()} "
                f"with standard errors {errors.round(3).tolist()}, too uncertain to be believed "
                f"(above {MAX_STD_ERR}, or unknown); give rates that are known, or none",
                UserWarning,
                stacklevel=4,
            )
        termination = self.termination_
        if termination.reason == "diverged":
            raise self._divergence(termination)
        if not termination.converged:
            ends, which = self.terminations_, ""
            if len(ends) > 1:
                n_unfinished = sum(not end.converged for end in ends)
                label = self.classes_.tolist()[ends.index(termination)]
                which = f" for {n_unfinished} of {len(ends)} classes, longest for {label!r}"
            warnings.warn(
                f"{type(self).__name__} stopped ({termination.reason}){which}: "
                f"{termination.message}",
                ConvergenceWarning,
                stacklevel=4,
            )
