"""Predictions of a fitted neuron: weighted sums, labels, probabilities, and its summary."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.utils._array_api import check_same_namespace
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted, validate_data

from trainer.core.loss import sigmoid
from trainer.estimators.array_api import as_numpy, dispatched, placed_like
from trainer.estimators.parameters import pack, unpack
from trainer.estimators.targets import in_words
from trainer.sources.cluster import is_dask, lazily

Array = npt.NDArray[Any]


class PredictionMixin(ClassifierMixin):
    """The half of `LogisticNeuron` that needs only its fitted attributes."""

    coef_: Any  # an array, or a sparse one
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
        return self._predicted("decision_function", X)

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
        return self._predicted("predict", X)

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
        return self._predicted("predict_proba", X)

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithm of the probability of each class.

        It is computed from z, not from the probability: it is finite where that is too small to
        be held, and exact where that is 1 to all digits.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)

        Examples
        --------
        >>> from trainer import LogisticNeuron
        >>> neuron = LogisticNeuron().fit([[0.0], [1.0]], ["no", "yes"])
        >>> neuron.predict_proba([[100.0]])[0, 1] - 1, neuron.predict_log_proba([[100.0]])[0, 1] < 0
        (np.float64(0.0), np.True_)
        """
        return self._predicted("predict_log_proba", X)

    def _predicted(self, method: str, X: Any) -> Any:
        """What a method returns for X: computed by NumPy, or lazily, and returned where X is."""
        check_is_fitted(self)
        if is_dask(X):
            return self._lazily(method, X)
        check_same_namespace(X, self, attribute="coef_", method=method)
        kinds = {"accept_sparse": "csr", "dtype": [np.float64, np.float32]}
        with in_words():
            rows = validate_data(self, *dispatched(X), reset=False, **kinds)
        with np.errstate(all="ignore"):  # an infinite z has its probability; tails may be 0
            z = self._weighted_sums(rows)
            return placed_like(X)(getattr(self, f"_{method}")(z))

    def _weighted_sums(self, X: Any) -> Array:
        """The z = Xw + b, (n_samples, K)."""
        coef, intercept = as_numpy(self.coef_), as_numpy(self.intercept_)
        z: Array = safe_sparse_dot(X, coef.T, dense_output=True) + intercept
        beyond = ~np.isfinite(z).all(axis=1)
        if beyond.any():  # partial sums of both signs may have left the range of floats
            x, w = (p.toarray() if hasattr(p, "toarray") else p for p in (X[beyond], coef))
            scales = [np.abs(part).max() for part in (x, w)]
            z[beyond] = (x / scales[0]) @ (w / scales[1]).T
            z[beyond] = z[beyond] * scales[0] * scales[1] + intercept
        return z

    def _decision_function(self, z: Array) -> Array:
        return z[:, 0] if z.shape[1] == 1 else z

    def _predict(self, z: Array) -> Array:
        return self.classes_[z.argmax(axis=1) if z.shape[1] > 1 else (z[:, 0] > 0).astype(int)]

    def _predict_proba(self, z: Array) -> Array:
        if z.shape[1] == 1:
            return np.hstack([sigmoid(-z), sigmoid(z)])
        sigma = sigmoid(z)
        sums = sigma.sum(axis=1, keepdims=True)
        hidden = sums[:, 0] < np.finfo(z.dtype).tiny / np.finfo(z.dtype).eps
        if hidden.any():  # far out on the lower tail σ(z) is exp(z), too small to be held
            sigma[hidden] = softmax(np.maximum(z[hidden], np.finfo(z.dtype).min), axis=1)
            sums[hidden] = 1
        return sigma / sums

    def _predict_log_proba(self, z: Array) -> Array:
        """From z: log σ(z) = min(z, 0) - log(1 + exp(-|z|)), less log Σ σ(z) of several."""
        if z.shape[1] == 1:
            z = np.hstack([-z, z])
            return np.minimum(z, 0) - np.log1p(np.exp(-np.abs(z)))
        # the differences to the largest, so that nothing cancels: log p = (log σ - log σ_max) +
        # log p_max, and 1/p_max = 1 + Σ σ/σ_max over the others
        of_largest = z.argmax(axis=1)[:, np.newaxis]
        linear, rest = np.minimum(z, 0), np.log1p(np.exp(-np.abs(z)))
        for part in (linear, rest):
            part -= np.take_along_axis(part, of_largest, axis=1)
        below = linear - rest
        ratios = np.exp(below)
        np.put_along_axis(ratios, of_largest, 0, axis=1)
        return below - np.log1p(ratios.sum(axis=1, keepdims=True))

    def sparsify(self) -> Any:
        """Convert `coef_` to a sparse array, for predictions alone.

        As in scikit-learn's linear models; it saves memory where most weights are exactly 0,
        which this penalty does not bring about.

        Returns
        -------
        self
        """
        check_is_fitted(self)
        self.coef_ = csr_array(as_numpy(self.coef_))
        return self

    def densify(self) -> Any:
        """Convert `coef_` back to an ndarray; all but predictions need it.

        Returns
        -------
        self
        """
        check_is_fitted(self)
        if hasattr(self.coef_, "toarray"):
            self.coef_ = self.coef_.toarray()
        return self

    def _lazily(self, method: str, X: Any) -> Any:
        """A method for a Dask collection, whose blocks are computed when they are asked for."""
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        dtype = self.classes_.dtype if method == "predict" else self.coef_.dtype
        n_columns: int | None = len(self.classes_)
        if method == "predict" or (method == "decision_function" and n_columns == 2):
            n_columns = None
        return lazily(getattr(self, method), X, n_columns, dtype)

    def to_sklearn(self) -> Any:
        """The fitted estimator of scikit-learn that predicts the same.

        For tools that know scikit-learn's own estimators alone. A refit or a clone of it is
        scikit-learn's, trained on the log loss with its default parameters.

        Returns
        -------
        LogisticRegression or OneVsRestClassifier
            Of two classes a LogisticRegression; of more, a OneVsRestClassifier of one for each
            class, whose probabilities are divided by their sum as here. They are equal to
            1e-15; where they are smaller than that, scikit-learn's can be 0.

        Examples
        --------
        >>> from trainer import LogisticNeuron
        >>> LogisticNeuron().fit([[0.0], [1.0]], ["no", "yes"]).to_sklearn().predict([[0.9]])
        array(['yes'], dtype='<U3')
        """
        check_is_fitted(self)
        from sklearn.linear_model import LogisticRegression
        from sklearn.multiclass import OneVsRestClassifier
        from sklearn.preprocessing import LabelBinarizer

        shared = {"n_features_in_": self.n_features_in_}
        if hasattr(self, "feature_names_in_"):
            shared["feature_names_in_"] = self.feature_names_in_
        theta, dtype = pack(self), as_numpy(self.intercept_).dtype
        models = []
        for k in range(theta.shape[1]):
            model = LogisticRegression()
            classes = self.classes_ if len(self.classes_) == 2 else np.array([0, 1])
            n_iter = np.array([self.n_iter_], dtype=np.int32)
            fitted = unpack(theta[:, [k]], dtype)
            vars(model).update(shared | fitted, classes_=classes, n_iter_=n_iter)
            models.append(model)
        if len(models) == 1:
            return models[0]
        bank = OneVsRestClassifier(LogisticRegression())
        binarizer = LabelBinarizer(sparse_output=True).fit(self.classes_)
        vars(bank).update(
            shared, estimators_=models, label_binarizer_=binarizer, classes_=self.classes_
        )
        return bank

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
        tags.array_api_support = True
        return tags
