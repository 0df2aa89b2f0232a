"""The bridge to scikit-learn's callbacks, which are experimental: all that touches them.

`sklearn.callback.CallbackSupportMixin` gives the estimator `set_callbacks`; this
module tells those callbacks when a fit begins, when each iteration ends and when
the fit is over. An estimator without callbacks pays nothing.
"""

from collections.abc import Callable
from typing import Any

from sklearn.callback import CallbackSupportMixin

__all__ = ["CallbackSupportMixin", "FitNotifier"]


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
        context.call_on_fit_task_begin(estimator=self.estimator, **self.arguments)
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
