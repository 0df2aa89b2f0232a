"""`LogisticNeuronCV`: a neuron with the penalty that does best on rows held out.

All penalties and folds (and classes) are the columns of one bank: the rows are read for
all of them at once, none is copied for a fold, and what the rows of one tell about the
curvature serves them all.
"""

from functools import cached_property
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.base import _fit_context
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import Interval, StrOptions

from trainer.core.objective import Objective
from trainer.core.rows import ArrayRows
from trainer.core.solve import solve
from trainer.core.training import train
from trainer.estimators.callbacks import FitNotifier
from trainer.estimators.neuron import LogisticNeuron
from trainer.estimators.targets import is_soft
from trainer.optimizers.auto import LARGEST_BANK, Auto
from trainer.optimizers.lbfgs import LBFGS, inverse_made_definite, inverse_of_definite

Array = npt.NDArray[Any]

SMALLEST, LARGEST = 1e-6, 1.0
"""Ends of the grid of penalties."""

FEWEST_ROWS = 4_000
"""Of a larger set so many rows give the first minimum and the curvature; more for many columns."""

REFRESHED_AFTER = 6
"""Iterations after which it is measured anew."""


class LogisticNeuronCV(LogisticNeuron):
    """LogisticNeuron with its penalty alpha chosen by cross-validation.

    Every penalty is trained on every fold's training rows, and the one with the best mean
    score on the rows held out wins; of equals, the largest. The final neuron is trained
    on all rows. Where a penalty is so weak that J has several minima, the one is taken that
    continues the middle penalty's.

    Parameters
    ----------
    alphas : int or array-like, default=20
        Penalties to try, or how many on a log grid from 1e-6 to 1.
    cv : int, cross-validation generator or iterable, default=None
        How to split, as in scikit-learn; None is 5 folds, stratified by class.
    scoring : str or callable, default="neg_brier_score"
        What is best on the rows held out: a scikit-learn scorer.
    fit_intercept, class_weight
        As in `LogisticNeuron`.
    max_iter : int, default=1000
        Iterations at most, of the bank and of the final neuron.
    tol : float, default=1e-6
        A neuron is trained when no component of J's gradient exceeds this.
    n_starts : int, default=4
        Starts compared, as in `LogisticNeuron`, at the middle penalty: the lowest minimum
        found there is where all others begin.
    random_state, verbose
        As in `LogisticNeuron`.

    Attributes
    ----------
    alpha_ : float
        The penalty chosen.
    alphas_ : ndarray of shape (n_alphas,)
        The penalties tried, in rising order.
    scores_ : ndarray of shape (n_folds, n_alphas)
        The score of each penalty on each fold's rows held out.
    cv_results_ : dict of ndarrays
        The same for a DataFrame, named as in scikit-learn's GridSearchCV.
    coefs_paths_ : ndarray of shape (n_folds, n_alphas, 1 or n_classes, n_features + 1)
        Weights and, last, the bias of every neuron trained.
    coef_, intercept_, classes_, n_iter_, loss_curve_, history_, termination_
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

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **{
            name: LogisticNeuron._parameter_constraints[name]
            for name in (
                "fit_intercept", "class_weight", "max_iter", "tol", "n_starts", "random_state",
                "verbose",
            )
        },
        "alphas": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "cv": ["cv_object"],
        "scoring": [StrOptions(set(get_scorer_names())), callable],
    }  # fmt: skip

    optimizer = "auto"
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
        self.random_state = random_state
        self.verbose = verbose

    @property
    def alpha(self) -> float:  # type: ignore[override]
        """The penalty chosen, under the name that `LogisticNeuron` gives it."""
        return self.alpha_

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Choose the penalty and train the neuron.

        Parameters
        ----------
        X, y, sample_weight : array-like
            As in `LogisticNeuron.fit`; the weights count in training and in the scores.

        Returns
        -------
        self : LogisticNeuronCV

        Raises
        ------
        ValueError
            For input that cannot be trained with, or a fold without rows of two classes.

        Warns
        -----
        ConvergenceWarning
            If the final neuron's training stopped before it was done.
        """
        seed = self._draw_seed()
        alphas = self._penalties()
        given = y
        X, target, weight, _ = self._validate_rows(X, y, sample_weight)
        soft = is_soft(given)
        y = target if soft else np.asarray(given).ravel()
        notifier = FitNotifier(self, self.max_iter, X, given, sample_weight)
        splits = list(check_cv(self.cv, y, classifier=not soft).split(X, y))
        self._check_folds(splits, target, weight, soft)

        bank = _Bank(X, target, weight, alphas, splits, self.fit_intercept)
        with ArrayRows(X, target).at_work(len(alphas) * len(splits) * bank.n_neurons):
            bank.train(self.n_starts, seed, self.max_iter, self.tol)
        if self.scoring == "neg_brier_score" and bank.n_neurons == 1:
            self.scores_ = -bank.costs_held_out(sample_weight)
        else:
            self.scores_ = self._scores(bank, X, y, sample_weight)
        mean = self.scores_.mean(axis=0)
        best = int(len(mean) - 1 - mean[::-1].argmax())  # of equals, the largest penalty
        self.alphas_, self.alpha_ = alphas, float(alphas[best])
        self.cv_results_ = _results(alphas, self.scores_)
        self.coefs_paths_ = bank.theta.transpose(2, 1, 3, 0).copy()

        result = solve(
            Objective(ArrayRows(X, target, weight), self.alpha_, self.fit_intercept),
            bank.optimizers[best],
            bank.path[:, best],
            n_starts=1,
            seed=seed,
            callback=lambda theta, history: notifier.iteration(
                lambda: self._parameters(theta, X.dtype)
            ),
            max_iter=self.max_iter,
            tol=self.tol,
        )
        self._store(result, X.dtype)
        notifier.end(lambda: self._parameters(result.theta, X.dtype))
        self._report()
        return self

    def _penalties(self) -> Array:
        if isinstance(self.alphas, Integral):
            return np.geomspace(SMALLEST, LARGEST, int(self.alphas))
        alphas = np.unique(np.asarray(self.alphas, dtype=np.float64))
        if not alphas.size or not (np.isfinite(alphas) & (alphas >= 0)).all():
            raise ValueError(f"alphas must be numbers >= 0, at least one, got {self.alphas!r}")
        return alphas

    def _check_folds(self, splits: Any, target: Array, weight: Array | None, soft: bool) -> None:
        columns = target.reshape(len(target), -1)
        for i, (rows, _) in enumerate(splits):
            counted = rows if weight is None else rows[weight[rows] > 0]
            ends = columns[counted].min(axis=0, initial=1), columns[counted].max(axis=0, initial=0)
            if not soft and (ends[0] == ends[1]).any():
                raise ValueError(
                    f"each fold must train on rows of every class, got a class without any in "
                    f"fold {i}; use fewer folds (cv), or drop the class"
                )

    def _scores(self, bank: "_Bank", X: Any, y: Array, sample_weight: Any) -> Array:
        """Any scorer's, which asks a neuron for its answers to a fold's rows held out."""
        scorer = get_scorer(self.scoring) if isinstance(self.scoring, str) else self.scoring
        scores = np.empty(bank.theta.shape[2:0:-1])
        neuron = LogisticNeuron()
        neuron.classes_, neuron.n_features_in_ = self.classes_, X.shape[1]
        for f, (_, held_out) in enumerate(bank.splits):
            rows, labels = _safe_indexing(X, held_out), y[held_out]
            weights = {}
            if sample_weight is not None:
                weights["sample_weight"] = np.asarray(sample_weight)[held_out]
            for a in range(len(bank.alphas)):
                neuron.coef_, neuron.intercept_ = bank.theta[:-1, a, f].T, bank.theta[-1, a, f]
                scores[f, a] = scorer(neuron, rows, labels, **weights)
        return scores


class _Bank:
    """All penalties on each fold's rows: theta (d + 1, n_alphas, n_folds, n_neurons)."""

    def __init__(
        self, X: Any, target: Array, weight: Array | None, alphas: Array, splits: Any,
        fit_intercept: bool,
    ) -> None:  # fmt: skip
        self.X, self.target, self.weight, self.alphas, self.splits = (
            X, target, weight, alphas, splits,
        )  # fmt: skip
        self.n_neurons = 1 if target.ndim == 1 else target.shape[1]
        self.fit_intercept = fit_intercept

    def train(self, n_starts: int, seed: int, max_iter: int, tol: float) -> None:
        """First `path` (d + 1, n_alphas, n_neurons), on a sample of many rows, then `theta`.

        The path's minima and curvature are where the folds begin, and the final neuron.
        """
        X, target, weight = self.X, self.target, self.weight
        size, A, F, C = X.shape[1] + 1, len(self.alphas), len(self.splits), self.n_neurons
        rows = ArrayRows(X, target, weight)
        middle = float(self.alphas[A // 2])
        sample = _sampled(Objective(rows, middle, self.fit_intercept), seed)
        first = solve(
            sample, Auto(seed=seed), np.zeros((size, C)),
            n_starts=n_starts, seed=seed, max_iter=max_iter, tol=tol,
        ).theta  # fmt: skip

        # the data's part of the curvature is measured at one penalty for all, then for every two
        every, one = np.arange(A * C), np.tile(np.arange(C), A)
        two = every // (2 * C) * 2 * C + one
        path = Objective(sample.rows.columns(one), np.repeat(self.alphas, C), self.fit_intercept)
        curvature, theta = _Curvature(path, F, seed), np.tile(first, A)
        inverses = curvature.inverses(every, theta, measured=one)
        theta = _descend(path, theta, curvature, inverses, max_iter, 100 * tol)
        self.path = theta.reshape(size, A, C)
        inverses = curvature.inverses(every, theta, measured=two)
        self.optimizers: list[Any] = [Auto(seed=seed)] * A
        if inverses is not None:
            self.optimizers = [LBFGS(inverse=inverses[..., k * C : (k + 1) * C]) for k in range(A)]

        shape = (A, F, C)
        a, _, c = (index.ravel() for index in np.indices(shape))
        folds = self._objective_of_folds(shape, weight, training=True)
        theta = _descend(
            folds,
            theta[:, a * C + c],
            _Curvature(folds, 1, seed),
            None if inverses is None else inverses.T[a * C + c].T,
            max_iter,
            tol,
        )
        self.theta = theta.reshape(size, *shape)
        if path.rows.n_rows < rows.n_rows:  # then the folds together know more than the sample
            self.path = self.theta.mean(axis=2)

    def costs_held_out(self, sample_weight: Any) -> Array:
        """The Brier score (n_folds, n_alphas) of the only neuron on each fold's rows held out."""
        shape = self.theta.shape[1:]
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        held_out = self._objective_of_folds(shape, weight, training=False)
        return held_out.value(self.theta.reshape(len(self.theta), -1)).reshape(shape)[..., 0].T

    def _objective_of_folds(
        self, shape: tuple[int, ...], weight: Array | None, training: bool
    ) -> Objective:
        """J of each penalty on each fold's rows for training, or the bare J on those held out."""
        a, f, c = (index.ravel() for index in np.indices(shape))
        members = np.zeros((self.X.shape[0], len(self.splits)), dtype=self.X.dtype, order="F")
        for fold, split in enumerate(self.splits):
            members[split[0 if training else 1], fold] = 1
        if weight is not None:
            members *= weight[:, np.newaxis]
        rows = ArrayRows(
            self.X, self.target, members, y_of=c if self.n_neurons > 1 else None, weight_of=f
        )
        return Objective(rows, self.alphas[a] if training else 0.0, self.fit_intercept)


class _Curvature:
    """Inverse Hessians of a bank's neurons, on a sample where there are many rows.

    None where those of `n_times` as many neurons would take too much memory.
    """

    def __init__(self, objective: Objective, n_times: int, seed: int) -> None:
        size = objective.rows.n_features + 1
        self.is_small = size**2 * len(objective.alpha) * n_times <= LARGEST_BANK
        self.objective, self.seed = objective, seed

    @cached_property
    def sampled(self) -> Objective:
        """Drawn when it is first asked for: most banks are trained without."""
        return _sampled(self.objective, self.seed)

    def inverses(self, neurons: Array, theta: Array, measured: Array | None = None) -> Array | None:
        """Inverses (d + 1, d + 1, k) of d²J/dθ² of the `neurons` (k,) at their theta (d + 1, k).

        Of neurons that differ by their penalties, the `measured` one's (k,) data serve each.
        """
        if not self.is_small:
            return None
        if measured is None:
            measured = neurons
        looked_at, where = np.unique(measured, return_inverse=True)
        part = self.sampled.columns(looked_at)
        places = np.searchsorted(neurons, looked_at)
        hessians = part.value_gradient_hessian(theta[:, places])[2][..., where]
        alpha = self.objective.alpha
        np.einsum("iik->ik", hessians)[:-1] += alpha[neurons] - alpha[measured]
        inverses = np.empty(hessians.shape, order="F")
        for k, H in enumerate(np.moveaxis(hessians, -1, 0)):
            inverse = inverse_of_definite(H)
            if inverse is None:
                gram = self.sampled.columns(neurons[[k]]).gram()
                inverse = inverse_made_definite(H, gram[..., 0])
            inverses[..., k] = inverse
        return inverses


def _sampled(objective: Objective, seed: int) -> Objective:
    """The cost over a sample of the rows, where they are many."""
    n_rows = max(FEWEST_ROWS, 50 * (objective.rows.n_features + 1))
    if objective.rows.n_rows <= n_rows:
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
    """Train a bank by preconditioned L-BFGS; who takes long is measured anew on the way."""
    theta, working = theta.copy(), np.arange(theta.shape[1])
    while len(working) and max_iter > 0:
        n_iter = max_iter if inverses is None else min(REFRESHED_AFTER, max_iter)
        found = train(
            objective.columns(working),
            LBFGS(inverse=inverses),
            theta[:, working],
            max_iter=n_iter,
            tol=tol,
        )
        theta[:, working] = found.theta
        max_iter -= n_iter
        working = working[[end.reason == "max_iter" for end in found.terminations]]
        if len(working):
            inverses = curvature.inverses(working, theta[:, working])
    return theta


def _results(alphas: Array, scores: Array) -> dict[str, Array]:
    mean = scores.mean(axis=0)
    rank = rankdata(-mean, method="min").astype(np.int32)
    folds = {f"split{f}_test_score": fold for f, fold in enumerate(scores)}
    return {
        "param_alpha": alphas,
        **folds,
        "mean_test_score": mean,
        "std_test_score": scores.std(axis=0),
        "rank_test_score": rank,
    }
