"""The bridge to scikit-learn's callbacks, which are experimental: all that touches them.

`sklearn.callback.CallbackSupportMixin` gives the estimator `set_callbacks`; this
module tells those callbacks when a fit begins, when each iteration ends and when
the fit is over. An estimator without callbacks pays nothing. `EarlyStopping` and
`GradientTape` are callbacks for scikit-learn's own linear classifiers too.
"""

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.callback import CallbackSupportMixin

from trainer.estimators.data import prepare
from trainer.estimators.parameters import pack
from trainer.estimators.scoring import scorer_for

__all__ = ["CallbackSupportMixin", "EarlyStopping", "FitNotifier", "GradientTape"]


class FitNotifier:
    """Tells an estimator's callbacks how its fit goes along.

    Parameters
    ----------
    estimator : estimator with CallbackSupportMixin
        Whose callbacks to call.
    max_iter : int
        Iterations at most, for progress displays.
    X, y : array-like
        Training data, for callbacks that ask for them.
    sample_weight : array-like, optional
        Weights, passed on as metadata.
    """

    def __init__(
        self, estimator: Any, max_iter: int, X: Any, y: Any, sample_weight: Any = None
    ) -> None:
        self.estimator = estimator
        self.arguments = {
            "X": X,
            "y": y,
            "metadata": None if sample_weight is None else {"sample_weight": sample_weight},
        }
        self.before: Callable[[], dict[str, Any]] | None = None
        self.active = bool(getattr(estimator, "_skl_callbacks", ())) or hasattr(
            estimator, "_parent_callback_ctx"
        )
        if self.active:
            self.context = estimator._init_callback_context(max_subtasks=max_iter)
            self.context.call_on_fit_task_begin(estimator=estimator, **self.arguments)

    def iteration(self, fitted_attributes: Callable[[], dict[str, Any]]) -> bool:
        """One iteration has ended; true when a callback asks to stop.

        `fitted_attributes` is called only if a callback wants a fitted estimator.
        """
        if not self.active:
            return False
        context = self.context.subcontext(task_name="iteration")
        context.call_on_fit_task_begin(
            estimator=self.estimator, reconstruction_attributes=self.before, **self.arguments
        )
        self.before = fitted_attributes
        return bool(
            context.call_on_fit_task_end(
                estimator=self.estimator,
                reconstruction_attributes=fitted_attributes,
                **self.arguments,
            )
        )

    def end(self, fitted_attributes: Callable[[], dict[str, Any]]) -> None:
        """The fit is over."""
        if self.active:
            self.context.call_on_fit_task_end(
                estimator=self.estimator,
                reconstruction_attributes=fitted_attributes,
                **self.arguments,
            )


class AfterIteration:
    """A callback that only acts after iterations: the other hooks of scikit-learn do nothing."""

    def setup(self, estimator: Any, context: Any) -> None:
        """A fit begins."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """A fit is over."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """An iteration begins."""


class EarlyStopping(AfterIteration):
    """A callback that asks a fit to stop when its score on validation rows no longer improves.

    LogisticNeuron stops with `termination_.reason` "interrupted", and keeps the parameters with the
    lowest J; its parameter `early_stopping` keeps those that are best on the validation rows.
    scikit-learn 1.9's LogisticRegression calls callbacks with its solver "lbfgs" and ignores what
    they ask for.

    Parameters
    ----------
    X_val, y_val : array-like
        Validation rows and labels.
    scoring : str or callable, default="neg_brier_score"
        A scikit-learn scorer.
    n_iter_no_change : int, default=10
        Iterations without improvement until the fit is asked to stop.

    Attributes
    ----------
    scores_ : list of float
        The score after every iteration of the last fit.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from trainer import EarlyStopping, LogisticNeuron
    >>> X, y = make_moons(200, noise=0.3, random_state=0)
    >>> stop = EarlyStopping(X[100:], y[100:])
    >>> neuron = LogisticNeuron().set_callbacks(stop).fit(X[:100], y[:100])
    >>> len(stop.scores_) == neuron.n_iter_
    True
    """

    def __init__(
        self,
        X_val: Any,
        y_val: Any,
        *,
        scoring: Any = "neg_brier_score",
        n_iter_no_change: int = 10,
    ) -> None:
        self.X_val, self.y_val, self.scoring = X_val, y_val, scoring
        self.n_iter_no_change = n_iter_no_change
        self.scores_: list[float] = []

    def setup(self, estimator: Any, context: Any) -> None:
        """Forget the scores of an earlier fit."""
        self.scores_ = []

    def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any) -> bool:
        """Score the estimator; true asks to stop."""
        if context.parent is None or fitted_estimator is None:  # the fit itself, an empty task
            return False
        scorer = scorer_for(self.scoring, fitted_estimator.classes_)
        self.scores_.append(float(scorer(fitted_estimator, self.X_val, self.y_val)))
        n_since_best = len(self.scores_) - 1 - int(np.argmax(self.scores_))
        return n_since_best >= self.n_iter_no_change


class GradientTape(AfterIteration):
    """A callback that records the parameters after every iteration, and the gradient there.

    The gradient is that of the mean squared error (y - σ(z))², without a penalty, also for an
    estimator that minimises another loss: it shows what the chain rule says along its path. With
    `noise_rates` it is that of (y - q)², which the neuron minimises. Of
    more than two classes it is that of each class against the rest.

    Attributes
    ----------
    thetas_ : list of ndarray of shape (n_features + 1, 1 or n_classes)
        Weights and, last, the bias, after every iteration of the last fit.
    gradients_ : list of ndarray of the same shape
        The gradient there.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from sklearn.linear_model import LogisticRegression
    >>> from trainer import GradientTape
    >>> X, y = make_moons(200, noise=0.3, random_state=0)
    >>> tape = GradientTape()
    >>> model = LogisticRegression().set_callbacks(tape).fit(X, y)
    >>> bool((tape.thetas_[-1][:-1, 0] == model.coef_[0]).all()), tape.gradients_[-1].shape
    (True, (3, 1))
    """

    def __init__(self) -> None:
        self.thetas_: list[npt.NDArray[Any]] = []
        self.gradients_: list[npt.NDArray[Any]] = []

    def setup(self, estimator: Any, context: Any) -> None:
        """Forget an earlier fit."""
        self.thetas_, self.gradients_ = [], []

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, X: Any, y: Any, metadata: Any, fitted_estimator: Any
    ) -> None:
        """Record an iteration."""
        if context.parent is None or fitted_estimator is None:  # the fit itself, an empty task
            return
        theta, weight = pack(fitted_estimator), (metadata or {}).get("sample_weight")
        # X has been validated, and may have lost the names of its columns
        owner, classes = copy(fitted_estimator), fitted_estimator.classes_
        data = prepare(owner, X, y, weight, classes=classes, reset=True)
        self.thetas_.append(theta)
        gradient = data.objective(0.0, estimator.fit_intercept).value_and_gradient(theta)[1]
        self.gradients_.append(gradient)
