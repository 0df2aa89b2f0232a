"""`LogisticNeuronCV`: a neuron with the penalty that does best in cross-validation.

All penalties and folds (and classes) are trained as one bank of neurons: the rows are read
for all of them at once, none is copied for a fold, and what the rows of one tell about the
curvature serves all.
"""

import warnings
from inspect import signature
from numbers import Integral
from typing import Any, ClassVar, NamedTuple, Self
from zlib import crc32

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy
from scipy.stats import rankdata
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _raise_for_params,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.validation import _check_method_params

from trainer.core.loss import Loss, RecordedSquaredError, SignedSquaredError, sigmoid
from trainer.core.objective import Objective
from trainer.core.parallel import session
from trainer.core.rows import MIN_BLOCK_ROWS
from trainer.core.solve import solve
from trainer.core.training import History, TrainingInterrupted, train
from trainer.estimators.array_api import dispatched
from trainer.estimators.callbacks import FitNotifier
from trainer.estimators.data import Data, prepare
from trainer.estimators.neuron import LogisticNeuron, checks_parameters, unchanged_on_error
from trainer.estimators.noise import transitions
from trainer.estimators.parameters import unpack
from trainer.estimators.scoring import scorer_for
from trainer.estimators.targets import is_soft
from trainer.optimizers import LBFGS, Optimizer
from trainer.optimizers.auto import MAX_BANK_SIZE
from trainer.optimizers.lbfgs import PreconditionedLBFGS
from trainer.optimizers.preconditioner import inverse_hessians

Array = npt.NDArray[Any]

SMALLEST_FACTOR, LARGEST_FACTOR = 1e-3, 1e3
"""Ends of the default grid, as multiples of the penalty that "auto" would be.

On 25 tables cross-validation chose .03 to 12 times that penalty.
"""

MIN_SAMPLE_ROWS = 8_000
"""On larger data, the first minimum and the curvature are estimated on this many rows, or on 50
times the number of parameters if that is more. With 4 000 of 20 000 x 50 the folds took six passes
over all rows instead of four, and the whole 8 % more processor time."""

MAX_PARAMETERS = 2 * 10**8
"""Largest number of parameters of all penalties, folds and classes, which are kept: 1.6 GB."""

PORTION_BYTES = 2**28
"""Memory of the neurons that are trained at once: some 24 copies of their parameters, most of them
L-BFGS's memory, and 6 numbers for each neuron and row of a block."""

REFRESH_AFTER = 6
"""Iterations after which the preconditioner of a neuron that has not converged is renewed."""


class LogisticNeuronCV(LogisticNeuron):
    """LogisticNeuron with its penalty alpha chosen by cross-validation.

    Every penalty is trained on every fold's training rows, and the one with the best mean
    score on the validation sets wins; of equal ones, the largest. The final neuron is trained
    on all rows. Where a penalty is so weak that J has several minima, the neuron takes the one
    that continues the minimum at the middle penalty.

    Parameters
    ----------
    alphas : int or array-like, default=20
        Penalties to try, or how many on a log grid around LogisticNeuron's default
        1 / (2 · total weight of the rows), from a thousandth of it to a thousand times.
    cv : int, cross-validation generator or iterable, default=None
        How to split, as in scikit-learn; None is 5 folds, stratified by class.
    scoring : str or callable, default="neg_brier_score"
        What is best on the validation sets: a scikit-learn scorer. With `noise_rates` it judges the
        probability of the label as recorded. The Brier score hardly
        punishes probabilities of 0 and 1 that are wrong, and log loss severely: choose
        "neg_log_loss" where the log loss counts. `cv_results_` holds it in either case.
    fit_intercept, class_weight
        As in `LogisticNeuron`.
    max_iter : int, default=1000
        Iterations at most, of the bank and of the final neuron.
    tol : float, default=1e-6
        A neuron is trained when no component of J's gradient exceeds this.
    n_starts : int, default=4
        Starts compared, as in `LogisticNeuron`, at the middle penalty: the lowest minimum
        found there is where all others begin.
    noise_rates : array-like, dict, "symmetric", "learn" or None, default=None
        As in `LogisticNeuron`. Rates are learned once, from all rows at its default penalty, and
        serve every fold.
    random_state, verbose
        As in `LogisticNeuron`.

    Attributes
    ----------
    alpha_ : float
        The penalty chosen.
    alphas_ : ndarray of shape (n_alphas,)
        The penalties tried, in rising order.
    scores_ : ndarray of shape (n_folds, n_alphas)
        The score of each penalty on each fold's validation set.
    cv_results_ : dict of ndarrays
        The same for a DataFrame, named as in scikit-learn's GridSearchCV, and the log loss of
        each penalty: "mean_test_neg_log_loss" and "std_test_neg_log_loss".
    coefs_paths_ : ndarray of shape (n_folds, n_alphas, 1 or n_classes, n_features + 1)
        Weights and, last, the bias of every neuron trained.
    coef_, intercept_, classes_, n_iter_, loss_curve_, history_, termination_, noise_rates_
        Of the final neuron, as in `LogisticNeuron`.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import StandardScaler
    >>> from trainer import LogisticNeuronCV
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = LogisticNeuronCV().fit(StandardScaler().fit_transform(X), y)
    >>> bool(1e-4 < model.alpha_ < 1e-1), model.scores_.shape
    (True, (5, 20))
    """

    _fold_key: int
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **{
            name: LogisticNeuron._parameter_constraints[name]
            for name in (
                "fit_intercept", "class_weight", "max_iter", "tol", "n_starts", "noise_rates",
                "random_state", "verbose",
            )
        },
        "alphas": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "cv": ["cv_object"],
        "scoring": [StrOptions(set(get_scorer_names())), callable],
    }  # fmt: skip

    optimizer = "auto"
    alpha = "auto"  # at which rates of noise are learned
    early_stopping = False
    init = None
    warm_start = False
    learning_rate = "auto"
    batch_size = None

    def __init__(
        self,
        *,
        alphas: Any = 20,
        cv: Any = None,
        scoring: Any = "neg_brier_score",
        fit_intercept: bool = True,
        class_weight: Any = None,
        max_iter: int = 1000,
        tol: float = 1e-6,
        n_starts: int = 4,
        noise_rates: Any = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.alphas = alphas
        self.cv = cv
        self.scoring = scoring
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.tol = tol
        self.n_starts = n_starts
        self.noise_rates = noise_rates
        self.random_state = random_state
        self.verbose = verbose

    @checks_parameters
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, **params: Any) -> Self:
        """Choose the penalty and train the neuron.

        Parameters
        ----------
        X, y, sample_weight : array-like
            As in `LogisticNeuron.fit`; the weights count in training and in the scores. For a
            source of rows, `cv` must be an integer or None (rows are assigned to folds at
            random), and the scores are Brier scores. A scorer that does not take
            `sample_weight` scores without.
        **params : dict
            With metadata routing enabled, what `cv` and `scoring` ask for, such as `groups`.
            Then `sample_weight` also counts in the scores only if the scorer requests it:
            ``get_scorer("neg_brier_score").set_score_request(sample_weight=True)``.

        Returns
        -------
        self : LogisticNeuronCV

        Raises
        ------
        ValueError
            For input that cannot be trained with, or a fold without rows that have weight.

        Warns
        -----
        ConvergenceWarning
            If the final neuron's training stopped before it converged.
        """
        history = History()  # seconds count from here
        _raise_for_params(params, self, "fit")
        with unchanged_on_error(self), np.errstate(all="ignore"), session():
            seed = self._draw_seed()
            given = X
            X, y, sample_weight = dispatched(X, y, sample_weight)
            for_cv, for_scorer = self._routed(sample_weight, params)
            data = prepare(self, X, y, sample_weight, reset=True)
            alphas = self._penalties(data.weight_sum)
            self.classes_ = data.classes
            self._check_scoring(data, y)
            self._set_noise(data, seed)
            data = scored = data.with_noise(self.noise_rates_)
            if self.class_weight is not None:  # class weights count in training alone
                scored = prepare(self, X, y, sample_weight, classes=data.classes, class_weight=None)
            folds = self._folds(data, y, seed, for_cv)
            notifier = FitNotifier(self, 4 * self.max_iter, given, y, sample_weight)
            fitted = self._fitted_like(given, data.dtype)

            bank = _Bank(data, alphas, folds, self.fit_intercept)
            bank.train(self.n_starts, seed, self.max_iter, self.tol)
            brier, log_loss = bank.losses_held_out(scored)
            if self.scoring == "neg_brier_score":
                self.scores_ = -brier
            else:
                self.scores_ = self._scores(bank, scored, y, for_scorer)
            mean = np.nanmean(self.scores_, axis=0)
            best = int(len(mean) - 1 - mean[::-1].argmax())  # of equals, the largest penalty
            self.alphas_, self.alpha_ = alphas, float(alphas[best])
            self.cv_results_ = _results(alphas, self.scores_) | {
                "mean_test_neg_log_loss": -log_loss.mean(axis=0),
                "std_test_neg_log_loss": log_loss.std(axis=0),
            }
            self.coefs_paths_ = bank.theta.transpose(2, 1, 3, 0).copy()

            try:
                result = solve(
                    data.objective(self.alpha_, self.fit_intercept),
                    bank.optimizer(best),
                    bank.path[:, best],
                    n_starts=1,
                    seed=seed,
                    max_iter=self.max_iter,
                    tol=self.tol,
                    callback=self._after_iteration(notifier, fitted),
                    history=history,
                )
            except TrainingInterrupted:
                raise KeyboardInterrupt from None
            self._store(result, fitted, data.rows.n_rows)
            notifier.end(lambda: fitted(result.theta))
            self._place_like(given)
        self._report()
        return self

    def get_metadata_routing(self) -> MetadataRouter:
        """What `fit` asks for, and what it passes on to `cv` and `scoring`.

        Returns
        -------
        MetadataRouter
            As in scikit-learn's guide to metadata routing.
        """
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(splitter=self.cv, method_mapping=MethodMapping().add(caller="fit", callee="split"))
            .add(
                scorer=get_scorer(self.scoring),
                method_mapping=MethodMapping().add(caller="fit", callee="score"),
            )
        )

    def _routed(self, sample_weight: Any, params: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """What goes to the splitter and what to the scorer."""
        if _routing_enabled():
            routed = process_routing(self, "fit", sample_weight=sample_weight, **params)
            return routed.splitter.split, dict(routed.scorer.score)
        takes = signature(get_scorer(self.scoring)).parameters.values()
        if sample_weight is None or not any(
            each.name == "sample_weight" or each.kind is each.VAR_KEYWORD for each in takes
        ):
            return {}, {}
        return {}, {"sample_weight": sample_weight}

    def _folds(self, data: Data, y: Any, seed: int, for_cv: Any) -> "_Folds":
        """How the rows are split; every fold trains on some weight and holds out some."""
        n_rows = data.rows.n_rows
        if data.targets is None:
            if not (self.cv is None or isinstance(self.cv, Integral)):
                raise ValueError(
                    f"cv must be an integer or None where X is a source of rows, got {self.cv!r}"
                )
            n_folds = 5 if self.cv is None else int(self.cv)
            if n_folds > n_rows:
                raise ValueError(
                    f"cv must not exceed the {n_rows} rows of the source, got {n_folds}"
                )
            numbers = np.random.default_rng(seed).permutation(n_rows) % n_folds
            dtype = np.int16 if n_folds < 2**15 else np.int64
            return _Folds(None, numbers.astype(dtype), n_folds, data.dtype)
        soft = is_soft(y)
        labels = data.targets.values if soft else np.asarray(y).ravel()
        splits = splits_of(self.cv, data.X, labels, soft, **for_cv)
        self._fold_key = fold_key(splits)
        if not splits:
            raise ValueError(f"cv must give at least one split, got none from {self.cv!r}")
        weight = data.targets.weight
        for i, (rows, held_out) in enumerate(splits):
            if weight is not None:
                rows, held_out = rows[weight[rows] > 0], held_out[weight[held_out] > 0]
            if not len(rows):
                raise ValueError(f"each fold must train on rows with weight, got none in fold {i}")
            if not len(held_out):
                raise ValueError(
                    f"each fold must hold out rows with weight, got none in fold {i}; use fewer "
                    "folds (cv)"
                )
        return _Folds(splits, np.empty(0), len(splits), data.dtype)

    def _penalties(self, weight_sum: float) -> Array:
        if isinstance(self.alphas, Integral):
            factors = np.geomspace(SMALLEST_FACTOR, LARGEST_FACTOR, int(self.alphas))
            if len(factors) == 1:
                factors = np.ones(1)
            return factors / (2 * weight_sum)
        alphas = np.unique(np.asarray(self.alphas, dtype=np.float64))
        if not alphas.size or not (np.isfinite(alphas) & (alphas >= 0)).all():
            raise ValueError(f"alphas must be numbers >= 0, at least one, got {self.alphas!r}")
        return alphas

    def _check_scoring(self, data: Data, y: Any) -> None:
        """Raise for scores that these labels cannot have, before the bank is trained."""
        is_brier = self.scoring == "neg_brier_score"
        if data.targets is None and not (is_brier and data.n_neurons == 1):
            raise ValueError(
                "scoring must be 'neg_brier_score', for two classes, where X is a source of "
                f"rows, got {self.scoring!r} for {len(data.classes)} classes"
            )
        if data.targets is not None and is_soft(y) and not is_brier:
            raise ValueError(
                f"scoring must be 'neg_brier_score' for soft labels, got {self.scoring!r}"
            )

    def _scores(self, bank: "_Bank", data: Data, y: Any, params: dict[str, Any]) -> Array:
        """Scores of any scorer, which gets a neuron and a fold's validation set."""
        scorer = scorer_for(self.scoring, data.classes)
        y = np.asarray(y).ravel()
        scores = np.empty(bank.theta.shape[2:0:-1])
        neuron = _neuron_for(data)
        for f, (_, held_out) in enumerate(bank.folds.splits or ()):
            rows, labels = _safe_indexing(data.X, held_out), y[held_out]
            of_fold = _check_method_params(data.X, params, held_out)
            for a in range(len(bank.alphas)):
                neuron._set(**unpack(bank.theta[:, a, f], np.float64))
                scores[f, a] = scorer(neuron, rows, labels, **of_fold)
        undefined = np.isnan(scores).all(axis=1)
        if undefined.all() or np.isnan(scores[~undefined]).any():
            raise ValueError(
                f"scoring={self.scoring!r} must give a number on the validation set of a fold, got "
                "NaN; choose another scoring, or folds with rows of every class (cv)"
            )
        if undefined.any():
            warnings.warn(
                f"scoring={self.scoring!r} is not defined on the validation sets of folds "
                f"{np.flatnonzero(undefined).tolist()}, which do not count in the choice",
                UndefinedMetricWarning,
                stacklevel=4,
            )
        return scores


def splits_of(
    cv: Any, X: Any, labels: Array, is_soft: bool, **params: Any
) -> list[tuple[Array, Array]]:
    """Positions of the rows (training, validation) of each fold; `params` are for the splitter."""
    n_rows = len(labels)
    splitter = check_cv(cv, labels, classifier=not is_soft)
    return [
        (_positions(rows, n_rows), _positions(held_out, n_rows))
        for rows, held_out in splitter.split(X, labels, **params)
    ]


def fold_key(splits: list[tuple[Array, Array]]) -> int:
    """A checksum of the validation sets, which tells other folds from the same again."""
    key = 0
    for _, held_out in splits:
        key = crc32(held_out.astype(np.int64).tobytes(), key)
    return key


class _Folds(NamedTuple):
    """How rows are split: by positions (training, validation), or by a fold number a row."""

    splits: list[tuple[Array, Array]] | None
    numbers: Array
    n_folds: int
    dtype: Any

    def factors(self, n_rows: int, training: bool) -> Any:
        """How often each row counts in each fold's part, (n_rows, n_folds)."""
        if self.splits is None:
            return _FactorsByNumber(self.numbers, self.n_folds, self.dtype, training)
        factors = np.zeros((n_rows, self.n_folds), dtype=self.dtype, order="F")
        for fold, split in enumerate(self.splits):
            factors[:, fold] = np.bincount(split[0 if training else 1], minlength=n_rows)
        return factors


class _FactorsByNumber(NamedTuple):
    """The same for fold numbers, made for the rows that are asked for."""

    numbers: Array
    n_folds: int
    dtype: Any
    training: bool

    def __getitem__(self, rows: Any) -> Array:  # type: ignore[override]
        held_out = self.numbers[rows, np.newaxis] == np.arange(self.n_folds)
        return np.asfortranarray(held_out ^ self.training, dtype=self.dtype)


def _positions(rows: Any, n_rows: int) -> Array:
    """Positions of rows that are given as positions, a list or a mask."""
    rows = np.asarray(rows)
    if rows.dtype == bool and rows.shape == (n_rows,):
        return np.flatnonzero(rows)
    if not rows.size:
        return np.empty(0, dtype=int)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= n_rows:
        raise ValueError(
            f"cv must split the rows by positions from 0 to {n_rows - 1}, or by masks of length "
            f"{n_rows}, got {rows!r}"
        )
    return rows


def _neuron_for(data: Data) -> LogisticNeuron:
    """A neuron that predicts once it is given parameters."""
    neuron = LogisticNeuron() if data.noise_rates is None else _RecordedNeuron()
    neuron.classes_, neuron.n_features_in_ = data.classes, data.X.shape[1]
    neuron.noise_rates_ = data.noise_rates
    return neuron


class _RecordedNeuron(LogisticNeuron):
    """A neuron that predicts the label as it is recorded, noise and all, for scorers."""

    def _predict_proba(self, z: Array) -> Array:
        assert self.noise_rates_ is not None
        recorded: Array = super()._predict_proba(z) @ transitions(self.noise_rates_)
        return recorded

    def _predict_log_proba(self, z: Array) -> Array:
        return np.log(self._predict_proba(z))

    def _predict(self, z: Array) -> Array:
        labels: Array = self.classes_[self._predict_proba(z).argmax(axis=1)]
        return labels


class _LogLoss(Loss):
    """Log loss -y log σ - (1 - y) log(1 - σ) of rows whose targets another loss has encoded."""

    def __init__(self, encoded_by: Loss) -> None:
        self.encoded_by = encoded_by

    def evaluate(self, z: Array, y: Array, order: int) -> tuple[Array, ...]:
        """See `Loss.evaluate`; the value alone."""
        if isinstance(self.encoded_by, RecordedSquaredError):
            tiny = np.finfo(z.dtype).tiny
            offset, slope = self.encoded_by.offset, self.encoded_by.slope
            q, one_minus_q = offset + slope * sigmoid(z), 1 - offset - slope + slope * sigmoid(-z)
            q, one_minus_q = np.maximum(q, tiny), np.maximum(one_minus_q, tiny)
            return (-xlogy(y, q) - xlogy(1 - y, one_minus_q),)
        if isinstance(self.encoded_by, SignedSquaredError):
            y = (1 - y) / 2
        # log(1 + exp(z)); NumPy's logaddexp takes five times as long
        return (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))) - y * z,)


class _Bank:
    """All penalties on each fold's rows.

    After `train`, `theta` (d + 1, n_alphas, n_folds, n_neurons) holds the minima on the folds
    and `path` (d + 1, n_alphas, n_neurons) a start for each penalty on all rows.
    """

    def __init__(self, data: Data, alphas: Array, folds: _Folds, fit_intercept: bool) -> None:
        self.data, self.alphas, self.folds = data, alphas, folds
        self.n_neurons, self.fit_intercept = data.n_neurons, fit_intercept
        self.path: Array = np.empty(0)
        self.theta: Array = np.empty(0)
        self.inverses: Array | None = None

    def train(self, n_starts: int, seed: int, max_iter: int, tol: float) -> None:
        """First the path over all penalties, on a sample of many rows, then all folds."""
        size = self.data.rows.n_features + 1
        A, F, C = len(self.alphas), self.folds.n_folds, self.n_neurons
        if size * A * F * C > MAX_PARAMETERS:
            raise ValueError(
                f"alphas, cv, classes and features must make at most {MAX_PARAMETERS} parameters, "
                f"got {A} penalties of {F} folds of {C} neurons of {size}, {size * A * F * C}; "
                "use fewer alphas or folds"
            )
        middle = float(self.alphas[A // 2])
        sample = _sampled(self.data.objective(middle, self.fit_intercept), seed)
        first = solve(
            sample, None, np.zeros((size, C)),
            n_starts=n_starts, seed=seed, max_iter=max_iter, tol=tol,
        ).theta  # fmt: skip

        # the data's part of the curvature is measured at one penalty for all, then for every two
        every, one = np.arange(A * C), np.tile(np.arange(C), A)
        two = every // (2 * C) * 2 * C + one
        path = Objective(
            sample.rows.select(one), np.repeat(self.alphas, C), self.fit_intercept, sample.loss
        )
        curvature, theta = _Curvature(path, F, seed), np.tile(first, A)
        inverses = curvature.inverses(every, theta, measured=one)
        theta = _descend(path, theta, curvature, inverses, max_iter, 100 * tol)
        self.path = theta.reshape(size, A, C)
        self.inverses = inverses = curvature.inverses(every, theta, measured=two)

        shape = (A, F, C)
        a, _, c = (index.ravel() for index in np.indices(shape))
        objective = self._objective_of_folds(shape, self.data, training=True)
        theta = _descend(
            objective,
            theta[:, a * C + c],
            _Curvature(objective, 1, seed),
            None if inverses is None else inverses.T[a * C + c].T,
            max_iter,
            tol,
        )
        self.theta = theta.reshape(size, *shape)
        if path.n_rows < self.data.rows.n_rows:  # the folds together know more than the sample
            self.path = self.theta.mean(axis=2)

    def optimizer(self, penalty: int) -> Optimizer | None:
        """L-BFGS with the curvature at one penalty; None, "auto", where there is none."""
        if self.inverses is None:
            return None
        C = self.n_neurons
        inverse = self.inverses[..., penalty * C : (penalty + 1) * C]
        return PreconditionedLBFGS(inverse=inverse, is_renewed=False)

    def losses_held_out(self, data: Data) -> tuple[Array, Array]:
        """Brier scores and log losses (n_folds, n_alphas) on each fold's validation set.

        Of more than two classes, the Brier score is Σ_k (y_k - p_k)², as in scikit-learn.
        """
        shape = self.theta.shape[1:]
        if self.n_neurons == 1:
            theta = self.theta.reshape(len(self.theta), -1)
            losses = []
            for loss in (data.loss, _LogLoss(data.loss)):
                objective = self._objective_of_folds(
                    shape, data._replace(loss=loss), training=False
                )
                values = [
                    objective.select(part).value(theta[:, part])
                    for part in _portions(objective, theta.shape[1])
                ]
                losses.append(np.concatenate(values).reshape(shape)[..., 0].T)
            return losses[0], losses[1]
        assert data.targets is not None
        brier, log_loss = np.empty((2, *shape[1::-1]))
        tiny = np.finfo(np.float64).tiny  # a probability may be too small to be held
        neuron = _neuron_for(data)
        for f, (_, held_out) in enumerate(self.folds.splits or ()):
            rows, y = _safe_indexing(data.X, held_out), data.targets.values[held_out]
            weight = None if data.weight is None else data.weight[held_out]
            for a in range(shape[0]):
                neuron._set(**unpack(self.theta[:, a, f], np.float64))
                p = neuron.predict_proba(rows)
                brier[f, a] = np.average(((y - p) ** 2).sum(axis=1), weights=weight)
                log_loss[f, a] = np.average(
                    -xlogy(y, np.maximum(p, tiny)).sum(axis=1), weights=weight
                )
        return brier, log_loss

    def _objective_of_folds(self, shape: tuple[int, ...], data: Data, training: bool) -> Objective:
        """J of each penalty on each fold's training rows, or the bare J on its validation set."""
        a, f, c = (index.ravel() for index in np.indices(shape))
        factors = self.folds.factors(data.rows.n_rows, training)
        rows = data.rows.reweighted(factors, f, c if self.n_neurons > 1 else None)
        alpha = self.alphas[a] if training else 0.0
        return Objective(rows, alpha, self.fit_intercept, data.loss)


class _Curvature:
    """Inverse Hessians of a bank's neurons, on a sample where there are many rows.

    None where those of `n_times` as many neurons would take too much memory.
    """

    def __init__(self, objective: Objective, n_times: int, seed: int) -> None:
        size = objective.n_parameters
        self.is_small = size**2 * len(objective.alpha) * n_times <= MAX_BANK_SIZE
        self.objective, self.seed = objective, seed
        self.sample: Objective | None = None  # most banks are trained without

    def inverses(self, neurons: Array, theta: Array, measured: Array | None = None) -> Array | None:
        """Inverses (d + 1, d + 1, k) of d²J/dθ² of the `neurons` (k,) at their theta (d + 1, k).

        For neurons that differ only in their penalties, the `measured` (k,) neuron serves each.
        """
        if not self.is_small:
            return None
        if self.sample is None:
            self.sample = _sampled(self.objective, self.seed)
        sample = self.sample
        if measured is None:
            measured = neurons
        distinct, where = np.unique(measured, return_inverse=True)
        places = np.searchsorted(neurons, distinct)
        part = sample.select(distinct)
        hessians = part.value_gradient_hessian(theta[:, places])[2][..., where]
        alpha = self.objective.alpha
        np.einsum("iik->ik", hessians)[:-1] += alpha[neurons] - alpha[measured]
        return inverse_hessians(
            hessians,
            lambda k: sample.select(neurons[[k]]).gram()[..., 0],
            self.objective.loss.min_curvature,
        )


def _sampled(objective: Objective, seed: int) -> Objective:
    """The objective over a sample of the rows, where there are many."""
    n_rows = max(MIN_SAMPLE_ROWS, 50 * objective.n_parameters)
    if objective.n_rows <= n_rows:
        return objective
    return objective.sample(np.random.default_rng(seed), n_rows)


def _descend(
    objective: Objective,
    theta: Array,
    curvature: _Curvature,
    inverses: Array | None,
    max_iter: int,
    tol: float,
) -> Array:
    """Train a bank by preconditioned L-BFGS, renewing the preconditioner of slow neurons."""
    theta = theta.copy()
    for part in _portions(objective, theta.shape[1]):
        own = None if inverses is None else inverses[..., part]
        _descend_together(objective, theta, part, curvature, own, max_iter, tol)
    return theta


def _portions(objective: Objective, n_neurons: int) -> list[Array]:
    """The neurons of a bank in portions that fit into `PORTION_BYTES`."""
    rows = objective.rows
    n_at_once = rows.n_rows if rows.is_sparse else min(rows.n_rows, MIN_BLOCK_ROWS)
    n_bytes = 8 * n_neurons * (24 * objective.n_parameters + 6 * n_at_once)
    return np.array_split(np.arange(n_neurons), min(n_neurons, -(-n_bytes // PORTION_BYTES)))


def _descend_together(
    objective: Objective,
    theta: Array,
    working: Array,
    curvature: _Curvature,
    inverses: Array | None,
    max_iter: int,
    tol: float,
) -> None:
    """Train some neurons of a bank, in place."""
    while len(working) and max_iter > 0:
        n_iter = max_iter if inverses is None else min(REFRESH_AFTER, max_iter)
        optimizer = LBFGS()
        if inverses is not None:
            optimizer = PreconditionedLBFGS(inverse=inverses, is_renewed=False)
        result = train(
            objective.select(working),
            optimizer,
            theta[:, working],
            max_iter=n_iter,
            tol=tol,
        )
        theta[:, working] = result.theta
        max_iter -= n_iter
        working = working[[end.reason == "max_iter" for end in result.terminations]]
        if len(working):
            inverses = curvature.inverses(working, theta[:, working])


def _results(alphas: Array, scores: Array) -> dict[str, Array]:
    mean = np.nanmean(scores, axis=0)
    rank = rankdata(-mean, method="min").astype(np.int32)
    folds = {f"split{f}_test_score": fold for f, fold in enumerate(scores)}
    return {
        "param_alpha": alphas,
        **folds,
        "mean_test_score": mean,
        "std_test_score": np.nanstd(scores, axis=0),
        "rank_test_score": rank,
    }
