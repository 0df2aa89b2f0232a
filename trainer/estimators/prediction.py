"""Predictions of a fitted neuron: weighted sums, labels, probabilities, and its summary."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted, validate_data

from trainer.core.loss import sigmoid
from trainer.estimators.targets import in_words
from trainer.sources.cluster import is_dask, lazily

Array = npt.NDArray[Any]


class PredictionMixin(ClassifierMixin):
    """The half of `LogisticNeuron` that needs only its fitted attributes."""

    coef_: Array
    intercept_: Array
    classes_: Array
    n_features_in_: int
    _history: dict[str, Array]

    def decision_function(self, X: Any) -> Array:
        """Weighted sum z = w·x + b of each row: above 0 for the second class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_classes) for more than two
        """
        check_is_fitted(self)
        if is_dask(X):
            n_columns = None if len(self.intercept_) == 1 else len(self.intercept_)
            return self._lazily("decision_function", X, n_columns, self.coef_.dtype)
        kinds = {"accept_sparse": "csr", "dtype": [np.float64, np.float32]}
        with in_words():
            X = validate_data(self, X, reset=False, **kinds)
        with np.errstate(all="ignore"):  # an infinite z has its probability
            z = safe_sparse_dot(X, self.coef_.T, dense_output=True) + self.intercept_
            beyond = ~np.isfinite(z).all(axis=1)
            if beyond.any():  # partial sums of both signs may have left the range of floats
                x = X[beyond]
                x = x.toarray() if hasattr(x, "toarray") else x
                scales = [np.abs(part).max() for part in (x, self.coef_)]
                z[beyond] = (x / scales[0]) @ (self.coef_ / scales[1]).T
                z[beyond] = z[beyond] * scales[0] * scales[1] + self.intercept_
        return z[:, 0] if z.shape[1] == 1 else z

    def predict(self, X: Any) -> Array:
        """Label of each row: the class whose probability is highest.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        if is_dask(X):
            return self._lazily("predict", X, None, self.classes_.dtype)
        z = self.decision_function(X)
        return self.classes_[(z > 0).astype(int) if z.ndim == 1 else z.argmax(axis=1)]

    def predict_proba(self, X: Any) -> Array:
        """Probability of each class.

        Of two classes, 1 - σ(z) and σ(z), each exact on its own tail; of more, the
        neurons' σ(z) divided by their sum.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        if is_dask(X):
            return self._lazily("predict_proba", X, len(self.classes_), self.coef_.dtype)
        z = self.decision_function(X)
        with np.errstate(all="ignore"):  # tails that are too small to be held are 0
            if z.ndim == 1:
                return np.column_stack([sigmoid(-z), sigmoid(z)])
            sigma = sigmoid(z)
            sums = sigma.sum(axis=1, keepdims=True)
            hidden = sums[:, 0] < np.finfo(z.dtype).tiny / np.finfo(z.dtype).eps
            if hidden.any():  # far out on the lower tail σ(z) is exp(z), too small to be held
                finite = np.maximum(z[hidden], np.finfo(z.dtype).min)
                sigma[hidden] = softmax(finite, axis=1)
                sums[hidden] = 1
            return sigma / sums

    def _lazily(self, method: str, X: Any, n_columns: int | None, dtype: Any) -> Any:
        """A method for a Dask collection, whose blocks are computed when they are asked for."""
        check_is_fitted(self)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        return lazily(getattr(self, method), X, n_columns, dtype)

    def summary(self, X: Any, y: Any, sample_weight: Any = None, *, level: float = 0.95) -> Any:
        """Table of the coefficients with standard errors that hold for a wrong model too.

        Parameters
        ----------
        X, y, sample_weight : array-like
            The rows that the neuron was fitted to; it does not keep them.
        level : float, default=0.95
            Coverage of the intervals.

        Returns
        -------
        DataFrame
            See `trainer.coefficient_table`.
        """
        from trainer.estimators.inference import coefficient_table

        return coefficient_table(self, X, y, sample_weight, level=level)

    def to_html(self, path: Any, X: Any, y: Any, sample_weight: Any = None, **options: Any) -> Any:
        """Write an HTML page that replays the training, for labels of two classes.

        Parameters
        ----------
        path : path
            The file to write.
        X, y, sample_weight : array-like
            The rows that the neuron was fitted to; it does not keep them.
        **options
            As in `trainer.replay_page`.

        Returns
        -------
        Path
            The file written.
        """
        import trainer  # the page is made by a higher layer

        return trainer.replay_page(self, X, y, path, sample_weight=sample_weight, **options)

    @property
    def history_(self) -> Any:
        """One row an iteration, as a DataFrame."""
        check_is_fitted(self)
        if not hasattr(self, "_history"):
            raise AttributeError(
                "history_ must have been recorded, got a neuron from JSON, which keeps "
                "loss_curve_ alone; save as .skops to keep it"
            )
        import pandas as pd

        return pd.DataFrame(self._history)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coef_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
