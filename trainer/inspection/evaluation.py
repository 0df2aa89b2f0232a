"""How good a classifier's probabilities and labels are, beside models that anyone can have."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import _check_sample_weight

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class BrierDecomposition:
    """The Brier score taken apart, see `brier_decomposition`.

    Parameters
    ----------
    brier : float
        Mean of (p - y)².
    reliability : float
        How far the bins' observed shares are from their forecasts: 0 is perfect.
    resolution : float
        How far the bins' observed shares are from the share overall: the more the better.
    uncertainty : float
        Variance of y: the Brier score of the constant forecast.
    within_bins : float
        What the forecasts' differences within a bin add.
    edges : array of shape (n_edges,)
        Where one bin ends and the next begins; a forecast on an edge is in the bin below.
    filled : array of shape (n_filled_bins,)
        The numbers, from 0, of the bins that hold a row.
    prob_pred, prob_true, weight : arrays of shape (n_filled_bins,)
        Mean forecast, observed share and weight of each of them.
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float
    edges: Array
    filled: Array
    prob_pred: Array
    prob_true: Array
    weight: Array


def brier_decomposition(
    y_true: npt.ArrayLike,
    y_prob: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    pos_label: Any = None,
    n_bins: int | None = None,
    strategy: str = "uniform",
) -> BrierDecomposition:
    """Take the Brier score apart, over bins k of weight n_k, forecast p_k and observed share y_k.

    Brier = reliability - resolution + uncertainty + within bins, where, N being Σ n_k and
    ȳ the share overall::

        reliability = Σ n_k (p_k - y_k)² / N
        resolution  = Σ n_k (y_k - ȳ)² / N
        uncertainty = ȳ (1 - ȳ)
        within bins = Σ n_k (var_k(p) - 2 cov_k(p, y)) / N

    The first three alone are exact where all forecasts of a bin are one number, or for
    forecasts that are replaced by their bin's mean; the last is what is between that score and
    the Brier score of the forecasts as they are. It depends on the bins, as the first two do.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels.
    y_prob : array-like of shape (n_samples,)
        Forecast probability of `pos_label`.
    sample_weight : array-like of shape (n_samples,), optional
        Weight of each row.
    pos_label : object, optional
        The label forecast; 1 by default, where the labels are 0 and 1 or -1 and 1.
    n_bins : int, optional
        Bins between 0 and 1; by default 10, or 5 for fewer than 1000 rows.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of about equal weight.

    Returns
    -------
    BrierDecomposition

    Raises
    ------
    ValueError
        If a forecast is not between 0 and 1, or `pos_label` is not told or not there.

    References
    ----------
    Murphy, "A new vector partition of the probability score", Journal of Applied
    Meteorology 12 (1973); Stephenson, Coelho and Jolliffe, "Two extra components in the
    Brier score decomposition", Weather and Forecasting 23 (2008), on what is within bins.

    Examples
    --------
    >>> parts = brier_decomposition([0, 0, 1, 1], [0.1, 0.1, 0.7, 0.7])
    >>> [round(x, 4) for x in (parts.brier, parts.reliability, parts.resolution)]
    [0.05, 0.05, 0.25]
    >>> parts.uncertainty, round(parts.within_bins, 12)
    (0.25, 0.0)
    """
    y, p, weight = binary_forecasts(y_true, y_prob, sample_weight, pos_label)
    n_bins = n_bins or (5 if len(p) < 1000 else 10)
    if n_bins < 1:
        raise ValueError(f"n_bins must be 1 or more, got {n_bins!r}")
    fractions = np.linspace(0, 1, n_bins + 1)
    if strategy == "uniform":
        edges = fractions
    elif strategy == "quantile":
        # Weights count as repeated rows here too; equal forecasts can make two edges one.
        inner = np.quantile(p, fractions[1:-1], weights=weight, method="inverted_cdf")
        edges = np.unique(np.concatenate([[0.0], inner, [1.0]]))
    else:
        raise ValueError(f'strategy must be "uniform" or "quantile", got {strategy!r}')
    filled, bins = bin_numbers(p, edges)

    def per_bin(values: Array) -> Array:
        return np.bincount(bins, weight * values)

    n, total = per_bin(np.ones_like(p)), weight.sum()
    p_k, y_k = per_bin(p) / n, per_bin(y) / n
    mean = float(weight @ y / total)
    apart = p - p_k[bins]  # of each forecast from its bin's
    return BrierDecomposition(
        brier=float(weight @ (p - y) ** 2 / total),
        reliability=float(n @ (p_k - y_k) ** 2 / total),
        resolution=float(n @ (y_k - mean) ** 2 / total),
        uncertainty=mean * (1 - mean),
        within_bins=float(weight @ (apart * (apart - 2 * (y - y_k[bins]))) / total),
        edges=edges,
        filled=filled,
        prob_pred=p_k,
        prob_true=y_k,
        weight=n,
    )


def bin_numbers(p: Array, edges: Array) -> tuple[Array, Array]:
    """The numbers of the bins that hold a forecast, and which of these each forecast is in."""
    filled, bins = np.unique(np.searchsorted(edges[1:-1], p), return_inverse=True)
    return filled, bins


def binary_forecasts(
    y_true: Any, y_prob: Any, sample_weight: Any = None, pos_label: Any = None
) -> tuple[Array, Array, Array]:
    """Labels as 0.0 and 1.0, forecasts and weights, checked; rows without weight are left out."""
    labels, p = column_or_1d(y_true), column_or_1d(y_prob).astype(np.float64)
    check_consistent_length(labels, p, sample_weight)
    outside = p[~((p >= 0) & (p <= 1))]
    if len(outside):
        raise ValueError(
            f"y_prob must hold probabilities between 0 and 1, got {outside[0]}; give a column of "
            "predict_proba, not decision_function"
        )
    known = np.unique(labels).tolist()
    usual = set(known) <= {0, 1} or set(known) <= {-1, 1}
    if pos_label is None and usual:
        pos_label = 1
    if len(known) > 2 or pos_label is None or not (usual or pos_label in known):
        raise ValueError(
            "y_true must hold two labels, and pos_label be the one that y_prob is the "
            f"probability of, got labels {known} and pos_label={pos_label!r}; name it"
        )
    weight = _check_sample_weight(sample_weight, p, dtype=np.float64, ensure_non_negative=True)
    counted = weight > 0
    return (labels == pos_label).astype(np.float64)[counted], p[counted], weight[counted]


def reference_models(X: Any, y: Any) -> dict[str, Any]:
    """Fit the models to beat: the constant probability, and scikit-learn's logistic regression.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training rows, as the neuron gets them.
    y : array-like of shape (n_samples,)
        Labels.

    Returns
    -------
    dict
        "constant" and "LogisticRegression", fitted.

    Warns
    -----
    ConvergenceWarning
        If LogisticRegression did not converge in 1000 iterations.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        regression = LogisticRegression(max_iter=1000).fit(X, y)
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        message = "LogisticRegression did not converge in 1000 iterations; scale the features"
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    constant = DummyClassifier(strategy="prior").fit(X, y)
    return {"constant": constant, "LogisticRegression": regression}


def compare_models(
    models: Mapping[str, Any], rows: Mapping[str, tuple[Any, Any]], pos_label: Any
) -> pd.DataFrame:
    """Table the figures of several models on several sets of rows.

    Parameters
    ----------
    models : mapping of str to classifier
        Fitted classifiers of two classes, by name.
    rows : mapping of str to (X, y)
        Sets of rows, by name, with both classes in each.
    pos_label : object
        The class whose probability is judged.

    Returns
    -------
    DataFrame
        A line for each set and model; columns Brier (mean squared error of the
        probability, 0 to 1, the less the better), accuracy, ROC AUC and log loss.

    Examples
    --------
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], ["no", "no", "yes", "yes"]
    >>> table = compare_models(reference_models(X, y), {"train": (X, y)}, pos_label="yes")
    >>> table.loc[("train", "constant")].round(4).to_dict()
    {'Brier': 0.25, 'accuracy': 0.5, 'ROC AUC': 0.5, 'log loss': 0.6931}
    """
    lines = {}
    for part, (X, y) in rows.items():
        positive = pd.Series(y).eq(pos_label).to_numpy()
        for name, model in models.items():
            p = model.predict_proba(X)[:, list(model.classes_).index(pos_label)]
            lines[part, name] = {
                "Brier": brier_score_loss(positive, p),
                "accuracy": accuracy_score(y, model.predict(X)),
                "ROC AUC": roc_auc_score(positive, p),
                "log loss": log_loss(positive, p),
            }
    return pd.DataFrame.from_dict(lines, orient="index", dtype=float)
