"""From labels, or a table of probabilities, to the targets of a bank of neurons, and weights.

Two classes are one neuron, y = 1 for the second; more are one neuron a class, that
class against the rest.
"""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

Array = npt.NDArray[Any]


class Targets(NamedTuple):
    """What a bank is trained on.

    Attributes
    ----------
    classes : array of shape (n_classes,)
        The classes, in order.
    values : array of shape (n,) or (n, n_classes)
        Targets in [0, 1]: of the second class, or of each of more than two.
    weight : array of shape (n,) or None
        Weight of each row, class weights included.
    strata : array of shape (n,)
        Number of each row's class, to stratify by; soft labels form one stratum.
    """

    classes: Array
    values: Array
    weight: Array | None
    strata: Array


def check_two(classes: Array) -> None:
    """Raise for labels of one class."""
    if len(classes) < 2:
        raise ValueError(
            f"LogisticNeuron needs labels of at least two classes, got only one class: "
            f"{classes.tolist()}; rows of one class can be trained on with labels as a table of "
            "probabilities, a column for each class"
        )


def is_soft(y: Any) -> bool:
    """Whether y is a table of probabilities, a column a class, rather than labels."""
    y = y if hasattr(y, "shape") else np.asarray(y)
    return len(y.shape) == 2 and y.shape[1] > 1


@contextmanager
def in_words() -> Iterator[None]:
    """Give errors of NumPy's about the caller's arrays a rule and a remedy; others have them."""
    try:
        yield
    except (TypeError, ValueError) as error:
        *_, last = traceback.extract_tb(error.__traceback__)
        if (last.line or "").startswith("raise"):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            "X must be a table of numbers, y hold a label of one type for each row, and weights "
            f"be numbers, got what NumPy cannot read: {error}; convert them, a frame with "
            "make_preprocessor"
        ) from error


@in_words()
def checked_classes(classes: Any) -> Array:
    """Labels that a caller names, or an error where one of them is missing."""
    classes = column_or_1d(classes)
    assert_all_finite(classes, input_name="classes")
    return classes


def from_labels(
    y: Array,
    weight: Array | None,
    class_weight: Any,
    dtype: Any,
    classes: Array | None = None,
) -> Targets:
    """Targets for labels.

    Parameters
    ----------
    y : array of shape (n,)
        Labels of any kind.
    weight : array of shape (n,) or None
        Weight of each row. A class whose rows have none is one of the classes all the same.
    class_weight : dict, "balanced" or None
        Weight of each class, as in scikit-learn.
    dtype : dtype
        Precision of the targets.
    classes : array, optional
        The classes, where they are known already; else those of y.

    Returns
    -------
    Targets

    Raises
    ------
    ValueError
        For labels that are numbers on a scale, fewer than two classes, or unknown labels.

    Examples
    --------
    >>> from_labels(np.array(["b", "a", "c", "a"]), None, None, float).values.T.tolist()
    [[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
    """
    if y.dtype.kind not in "biuSU":  # these kinds are labels, whatever their values
        check_classification_targets(y)
    if classes is None:
        classes = np.unique(y)
    elif len(unknown := np.setdiff1d(y if weight is None else y[weight > 0], classes)):
        raise ValueError(
            f"y must hold only labels of {classes.tolist()}, got {unknown.tolist()[0]!r}"
        )
    check_two(classes)
    if len(classes) == 2:
        is_second = y == classes[1]
        values, strata = is_second.astype(dtype), is_second.astype(int)
    else:
        strata = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
        values = np.asfortranarray(y[:, np.newaxis] == classes, dtype=dtype)
    if class_weight is not None:
        counted = slice(None) if weight is None else weight > 0
        present = np.unique(y[counted]) if isinstance(class_weight, str) else classes
        of_class = np.ones(len(classes))
        of_class[np.isin(classes, present)] = compute_class_weight(
            class_weight,
            classes=present,
            y=y[counted],
            sample_weight=None if weight is None else weight[counted],
        )
        weight = _times(weight, checked_class_weight(of_class)[strata])
    return Targets(classes, values, weight, strata)


def from_probabilities(
    P: Any, weight: Array | None, class_weight: Any, dtype: Any, classes: Array | None = None
) -> Targets:
    """Targets for soft labels: a probability a class, as `predict_proba` gives them.

    A row is to the cost what rows of each class with those weights are together:
    Σ_k P_k (y_k - σ)² has the same minimum as (P - σ)². Class weights c make the row
    weigh Σ_k c_k P_k, and turn its target into c_k P_k over that.

    Parameters
    ----------
    P : array or DataFrame of shape (n, n_classes)
        Probabilities, rows that sum to 1; a frame's columns name the classes, and may stand
        in any order.
    weight, class_weight, dtype, classes
        As in `from_labels`.

    Returns
    -------
    Targets

    Raises
    ------
    ValueError
        For numbers that are no probabilities, or columns that are not the classes.
    """
    if hasattr(P, "toarray"):
        raise ValueError("y must not be sparse; give y.toarray()")
    if hasattr(P, "column_names"):  # a pyarrow Table, whose `columns` are not names
        P = P.to_pandas()
    names, order = np.unique(getattr(P, "columns", range(np.shape(P)[1])), return_index=True)
    if len(names) < np.shape(P)[1]:
        raise ValueError(f"y must name each class once, got the columns {list(P.columns)}")
    values = np.array(P, dtype=np.float64)[:, order]  # classes stand in order, as labels' do
    rows = values
    if weight is not None:
        rows = values[weight > 0]
        values[weight == 0] = 0  # nothing is known of a row that counts nothing
    if not (np.isfinite(rows).all() and (rows >= 0).all()):
        raise ValueError(
            "y of two dimensions must hold a probability for each class, got values that are "
            "negative or not finite; give labels as a single column"
        )
    sums = rows.sum(axis=1)
    if np.abs(sums - 1).max(initial=0) > 1e-5:
        worst = sums[np.abs(sums - 1).argmax()]
        raise ValueError(
            "y of two dimensions must hold a probability for each class, rows that sum to 1, got "
            f"a row that sums to {worst:.6g}; divide by the sums, or give labels as one column"
        )
    if classes is not None and names.tolist() != classes.tolist():
        raise ValueError(f"y must have the columns {classes.tolist()}, got {names.tolist()}")
    if class_weight is not None:
        of_class = _soft_class_weight(class_weight, names, values, weight)
        of_row = values @ of_class
        values = values * of_class / np.where(of_row > 0, of_row, 1)[:, np.newaxis]
        weight = _times(weight, of_row)
    values = values[:, 1] if values.shape[1] == 2 else np.asfortranarray(values)
    strata = np.zeros(len(values), dtype=int)
    return Targets(names, values.astype(dtype), weight, strata)


def _soft_class_weight(given: Any, classes: Array, P: Array, weight: Array | None) -> Array:
    if isinstance(given, Mapping):
        of_class = compute_class_weight(dict(given), classes=classes, y=classes)
    else:
        totals = np.average(P, axis=0, weights=weight)
        of_class = 1 / (len(classes) * np.where(totals > 0, totals, 1))
    return checked_class_weight(np.asarray(of_class, dtype=np.float64))


def checked_class_weight(of_class: Array) -> Array:
    """Weights of classes, or an error where they are no finite numbers >= 0."""
    if not (np.isfinite(of_class).all() and (of_class >= 0).all()):
        raise ValueError(f"class_weight must hold finite numbers >= 0, got {of_class.tolist()}")
    return of_class


def _times(weight: Array | None, of_row: Array) -> Array:
    return of_row if weight is None else weight * of_row
