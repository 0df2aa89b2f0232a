"""Which labels are likely to be wrong: those that a model trained without them finds unlikely."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils.validation import check_is_fitted, column_or_1d

from trainer.estimators.data import is_source
from trainer.estimators.neuron import LogisticNeuron
from trainer.estimators.neuron_cv import LogisticNeuronCV, fold_key, splits_of
from trainer.estimators.targets import in_words, is_soft

Array = npt.NDArray[Any]


@np.errstate(all="ignore")
def suspect_labels(estimator: BaseEstimator, X: Any, y: Any, *, cv: Any = None) -> pd.DataFrame:
    """Rank rows by how unlikely their label is to a model that was trained without them.

    A fitted LogisticNeuronCV, alone or as the last step of a pipeline, has trained such models:
    those of its folds, at the penalty chosen. Any other classifier is trained on folds here.

    Parameters
    ----------
    estimator : classifier with `predict_proba`
        A LogisticNeuronCV must be fitted, to these rows; of another classifier a clone is
        fitted where it is not.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The rows.
    y : array-like of shape (n_samples,)
        Their labels.
    cv : int, cross-validation generator or iterable, default=None
        Folds for a classifier other than LogisticNeuronCV; None is 5, stratified by class.

    Returns
    -------
    DataFrame
        A line for each row that a fold holds out, the most suspect first, indexed by rank from
        1, with the columns:

        - row: position in X, from 0;
        - label: the label given;
        - probability: of this label, out of fold;
        - change: how far that is below the probability by the model trained on all rows: how
          much the row itself speaks for its label;
        - predicted: the most probable label, out of fold.

    Raises
    ------
    ValueError
        If the folds of a LogisticNeuronCV cannot be made again from X and y.

    Notes
    -----
    A low rank is a reason to look at a label, not to change it: rows near the boundary, and
    rows that the model cannot fit, come up as well.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import StandardScaler
    >>> from trainer import LogisticNeuronCV, suspect_labels
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X = StandardScaler().fit_transform(X)
    >>> y[[5, 500]] = 1 - y[[5, 500]]
    >>> table = suspect_labels(LogisticNeuronCV().fit(X, y), X, y)
    >>> sorted(table["row"][:10].loc[lambda row: row.isin([5, 500])].tolist())
    [5, 500]
    """
    if is_source(X):
        raise ValueError("suspect_labels needs X as an array or a frame, got a source of rows")
    if is_soft(y):
        raise ValueError("y must hold a label for each row, got soft labels of several columns")
    with in_words():
        y = column_or_1d(y)
    final: Any = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if isinstance(final, LogisticNeuronCV):
        check_is_fitted(estimator)
        if isinstance(estimator, Pipeline) and len(estimator) > 1:
            X = estimator[:-1].transform(X)
        fitted, without = final, _out_of_fold(final, X, y)
    else:
        fitted = estimator
        try:
            check_is_fitted(estimator)
        except NotFittedError:
            fitted = clone(estimator).fit(X, y)
        without = _cross_validated(estimator, X, y, cv, fitted.classes_)
    classes = fitted.classes_
    if len(unknown := np.setdiff1d(y, classes)):
        raise ValueError(f"y must hold labels of {classes.tolist()}, got {unknown.tolist()[0]!r}")
    own = np.arange(len(y)), np.searchsorted(classes, y)
    probability = without[own]
    order = np.argsort(probability, kind="stable")
    order = order[~np.isnan(probability[order])]
    table = pd.DataFrame(
        {
            "row": np.arange(len(y)),
            "label": y,
            "probability": probability,
            "change": fitted.predict_proba(X)[own] - probability,
            "predicted": classes[without.argmax(axis=1)],
        }
    ).iloc[order]
    table.index = pd.RangeIndex(1, len(table) + 1, name="rank")
    return table


def _cross_validated(estimator: Any, X: Any, y: Array, cv: Any, classes: Array) -> Array:
    """Probabilities (n, n_classes) out of fold; cross_val_predict would rename the labels."""
    X, y = indexable(X, y)
    forecasts = []
    for train, held_out in splits_of(cv, X, y, is_soft=False):
        model = clone(estimator).fit(_safe_indexing(X, train), y[train])
        P = np.zeros((len(held_out), len(classes)))
        P[:, np.searchsorted(classes, model.classes_)] = model.predict_proba(
            _safe_indexing(X, held_out)
        )
        forecasts.append((held_out, P))
    return _mean_of(forecasts, len(y))


def _out_of_fold(model: LogisticNeuronCV, X: Any, y: Array) -> Array:
    """Probabilities (n, n_classes) by the models of the folds that hold a row out; their mean."""
    splits = splits_of(model.cv, X, y, is_soft=False)
    if fold_key(splits) != model._fold_key:
        raise ValueError(
            "X and y must be the rows that the LogisticNeuronCV was fitted to, in the same order, "
            "and its cv must give the same folds again; give cv a random_state where it shuffles"
        )
    best = int(np.flatnonzero(model.alphas_ == model.alpha_)[0])
    forecasts = []
    neuron = LogisticNeuron()
    neuron.classes_, neuron.n_features_in_ = model.classes_, model.n_features_in_
    if hasattr(model, "feature_names_in_"):
        neuron.feature_names_in_ = model.feature_names_in_
    for parameters, (_, held_out) in zip(model.coefs_paths_[:, best], splits, strict=True):
        neuron._set(coef_=parameters[:, :-1], intercept_=parameters[:, -1])
        forecasts.append((held_out, neuron.predict_proba(_safe_indexing(X, held_out))))
    return _mean_of(forecasts, len(y))


def _mean_of(forecasts: list[tuple[Array, Array]], n_rows: int) -> Array:
    """Mean probabilities of rows by all folds that hold them out; NaN where none does."""
    total, count = np.zeros((n_rows, forecasts[0][1].shape[1])), np.zeros((n_rows, 1))
    for held_out, P in forecasts:
        total[held_out] += P
        count[held_out] += 1
    with np.errstate(invalid="ignore"):
        mean: Array = total / count
    return mean
