"""From what users pass to `fit`, arrays or a source of blocks, to rows, targets and weights."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_array
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from trainer.core.loss import SQUARED_ERROR, Loss, SignedSquaredError
from trainer.core.objective import Objective
from trainer.core.rows import ArrayRows, BlockRows, Rows, is_promoted, promoted
from trainer.estimators.array_api import dispatched
from trainer.estimators.noise import link
from trainer.estimators.targets import (
    Targets,
    check_two,
    checked_class_weight,
    from_labels,
    from_probabilities,
    in_words,
    is_soft,
)
from trainer.sources.cluster import DaskSource, is_dask

Array = npt.NDArray[Any]

KINDS: dict[str, Any] = {
    "accept_sparse": "csr",
    "dtype": [np.float64, np.float32],
    "ensure_all_finite": False,  # `check_values` has one pass over X for all
}
"""What `check_array` accepts as features."""

LARGEST_FEATURE = {np.float64: 1e100, np.float32: 1e10}
"""Largest feature, in absolute value, by the precision of the sums: products of a curvature, two
features and two steps have to be numbers too."""

WEIGHT_SUMS = {np.float64: (1e-100, 1e100), np.float32: (1e-15, 1e15)}
"""Smallest and largest total weight. Beyond, sums overflow, or weights have few digits left."""

CHECKED_AT_ONCE, OF_SMALL_X = 2**17, 2**13
"""Entries of X that are checked at once, which stay in a core's cache. Of a small X, so few that
BLAS starts no threads for them: they would keep spinning during the fit."""


class Data(NamedTuple):
    """Rows to train on.

    Attributes
    ----------
    rows : Rows
        The rows, with targets as `loss` stores them.
    loss : Loss
        The loss of a row.
    classes : array of shape (n_classes,)
        The classes, in order.
    dtype : dtype
        Precision of X as it was passed.
    X, targets, weight : array, Targets, array or None
        The same in arrays: features, targets, and `sample_weight` without class weights; None
        if the rows come from a source.
    noise_rates : array of shape (n_classes,) or None
        Rates at which the labels are wrong, where `loss` takes account of them.
    """

    rows: Rows
    loss: Loss
    classes: Array
    dtype: Any
    X: Any = None
    targets: Targets | None = None
    weight: Array | None = None
    noise_rates: Array | None = None

    @property
    def n_neurons(self) -> int:
        """One for two classes, else one a class."""
        return 1 if len(self.classes) == 2 else len(self.classes)

    @property
    def weight_sum(self) -> float:
        """Total weight of the rows, class weights included."""
        return float(self.rows.weight_sum[0])

    def objective(self, alpha: Any, fit_intercept: bool) -> Objective:
        """J over these rows."""
        return Objective(self.rows, alpha, fit_intercept, self.loss)

    def with_noise(self, rates: Array | None) -> "Data":
        """The same rows, with the loss of labels that are wrong at these rates."""
        if rates is None or not rates.any():
            return self
        loss, matrix = link(rates)
        return self._replace(rows=self.recorded(matrix), loss=loss, noise_rates=rates)

    def recorded(self, matrix: Array | None = None) -> Rows:
        """The rows with targets as they were recorded, or these times a matrix."""
        if self.targets is not None:
            values = self.targets.values
            if matrix is not None:
                values = np.asfortranarray(values @ matrix, dtype=self.dtype)
            return ArrayRows(*promoted(self.X, values, self.targets.weight))
        rows, is_signed = self.rows, isinstance(self.loss, SignedSquaredError)
        if not isinstance(rows, BlockRows):
            raise ValueError(
                "noise_rates must be None for rows on a cluster; leave them out or use files"
            )

        def blocks() -> Iterator[tuple[Any, Array, Array | None]]:
            for X, values, weight in rows.blocks():
                if is_signed:
                    values = (1 - values) / 2
                if matrix is not None:
                    values = (values @ matrix).astype(self.dtype)
                yield X, values, weight

        return BlockRows(**{**vars(rows), "blocks": blocks})

    def part(self, mask: Array) -> "Data":
        """Some of the rows; for arrays only."""
        assert self.targets is not None
        weight = self.targets.weight
        chosen = self.targets._replace(
            values=self.targets.values[mask], weight=None if weight is None else weight[mask]
        )
        return in_arrays(self.X[mask], chosen, None, self.dtype)


def is_source(X: Any) -> bool:
    """Whether X is a source of rows: an object whose `blocks()` yields (X, y) or (X, y, weight)."""
    return callable(getattr(X, "blocks", None)) or hasattr(X, "encoded")


@in_words()
def prepare(
    neuron: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    classes: Array | None = None,
    reset: bool = False,
    class_weight: Any = "estimator",
) -> Data:
    """Validate rows by the rules of `fit`.

    Parameters
    ----------
    neuron : estimator
        Whose `class_weight` applies, and whose features X must have.
    X, y, sample_weight
        As in `LogisticNeuron.fit`.
    classes : array, optional
        The classes, where they are known.
    reset : bool
        Whether the features' number and names are set rather than checked.
    class_weight : dict, "balanced" or None
        Class weights in place of the estimator's.

    The rates of noise that a fitted neuron has used count, where `classes` is given.

    Returns
    -------
    Data
    """
    if class_weight == "estimator":
        class_weight = neuron.class_weight
    if is_dask(X):
        X, y, sample_weight = DaskSource(X, y, sample_weight), None, None
    if is_source(X):
        data = _from_source(neuron, X, y, sample_weight, classes, reset, class_weight)
        return data if classes is None else data.with_noise(getattr(neuron, "noise_rates_", None))
    X, y, sample_weight = dispatched(X, y, sample_weight)
    if is_soft(y):
        X = validate_data(neuron, X, reset=reset, **KINDS)
        check_consistent_length(X, y)
    elif reset:
        X, y = validate_data(neuron, X, y, **KINDS)
    else:
        X, y = validate_data(neuron, X, reset=False, **KINDS), column_or_1d(y)
        check_consistent_length(X, y)
    X = canonical(X)
    check_values(X, neuron, np.float64 if is_promoted(X) else X.dtype.type)
    weight = None
    if sample_weight is not None:
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    encode = from_probabilities if is_soft(y) else from_labels
    targets = encode(y, weight, class_weight, X.dtype, classes)
    data = in_arrays(X, targets, weight, X.dtype)
    _check_weight_sum(data.rows)
    return data if classes is None else data.with_noise(getattr(neuron, "noise_rates_", None))


def check_values(X: Any, estimator: Any, dtype: Any) -> None:
    """Raise for features that are not finite, or too large to be summed in `dtype`."""
    values = X if isinstance(X, np.ndarray) else X.data[np.newaxis]
    if values.flags.f_contiguous:
        values = values.T
    at_once = CHECKED_AT_ONCE if values.size > 8 * CHECKED_AT_ONCE else OF_SMALL_X
    step = max(1, at_once // max(1, values.shape[1]))
    starts = range(0, len(values), step)
    with np.errstate(all="ignore"):
        # no number is larger than the root of the sum of all squares, which BLAS is quick to add
        parts = (values[start : start + step].ravel() for start in starts)
        if sum(float(part @ part) for part in parts) <= LARGEST_FEATURE[dtype] ** 2:
            return
    largest = [np.abs(values[start : start + step]).max(initial=0) for start in starts]
    found = float(np.max([0.0, *largest]))
    if found <= LARGEST_FEATURE[dtype]:
        return
    if not np.isfinite(found):  # in scikit-learn's words
        kinds = {**KINDS, "ensure_all_finite": True}
        check_array(X, estimator=estimator, input_name="X", **kinds)
    raise ValueError(
        f"X must hold numbers of at most {LARGEST_FEATURE[dtype]:g} in absolute value, in "
        f"{np.dtype(dtype).name}, got {found:g}; scale the features, or impute it if it stands "
        "for a missing value"
    )


def _check_weight_sum(rows: Rows) -> None:
    """Raise for weights that leave nothing to train on, or whose sums are no numbers."""
    total = float(rows.weight_sum[0])
    if total == 0:
        raise ValueError(
            "weights, times the class weights, must leave rows with weight, got 0 for every row"
        )
    low, high = WEIGHT_SUMS[rows.dtype.type]
    if not low <= total <= high:
        raise ValueError(
            f"sample_weight, times the class weights, must have a sum from {low:g} to {high:g}, "
            f"in {rows.dtype.name}, got {total:g}; divide the weights by their mean"
        )


def canonical(X: Any) -> Any:
    """X, or a copy in the machine's byte order, with sorted indices and without duplicates.

    SciPy's products would sort the indices in place, and X is the caller's.
    """
    if not X.dtype.isnative:
        X = X.astype(X.dtype.newbyteorder("="))
    if isinstance(X, np.ndarray) or X.has_canonical_format:
        return X
    X = X.copy()
    X.sum_duplicates()
    return X


def in_arrays(X: Any, targets: Targets, weight: Array | None, dtype: Any) -> Data:
    """Rows of arrays that have been validated."""
    loss, values = SQUARED_ERROR.encode(targets.values)
    rows = ArrayRows(*promoted(X, values, targets.weight))
    return Data(rows, loss, targets.classes, dtype, X, targets, weight)


def _from_source(
    neuron: Any,
    source: Any,
    y: Any,
    sample_weight: Any,
    classes: Array | None,
    reset: bool,
    class_weight: Any,
) -> Data:
    """Survey a source in one pass; its targets are encoded block by block in every pass.

    A source with a method `encoded`, such as those of `trainer.sources`, has been surveyed, and
    keeps its targets encoded.
    """
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ValueError(
                f"{name} must be None where X is a source of rows, whose blocks hold it"
            )
    survey = source if hasattr(source, "encoded") else _Survey(source)
    if reset:
        neuron.n_features_in_ = survey.n_features
        vars(neuron).pop("feature_names_in_", None)
        if (names := getattr(source, "feature_names", None)) is not None:
            neuron.feature_names_in_ = names
    elif survey.n_features != neuron.n_features_in_:
        raise ValueError(
            f"X has {survey.n_features} features, but {type(neuron).__name__} is expecting "
            f"{neuron.n_features_in_} features as input"
        )
    if classes is None:
        classes = survey.classes
    if isinstance(class_weight, str):  # "balanced"
        if getattr(survey, "is_soft", False):
            raise ValueError(
                "class_weight must be a dict or None for soft labels from a source of rows, got "
                f"{class_weight!r}; give the weights of the classes"
            )
        totals = np.array([survey.class_totals.get(label, 0.0) for label in classes.tolist()])
        shares = totals.sum() / (np.count_nonzero(totals) * np.where(totals > 0, totals, 1))
        class_weight = dict(zip(classes.tolist(), shares.tolist(), strict=True))
    dtype = survey.dtype
    if hasattr(source, "encoded"):
        of_class = None
        if class_weight is not None:
            of_class = checked_class_weight(
                compute_class_weight(class_weight, classes=classes, y=classes)
            )
        loss = SQUARED_ERROR.encode(np.zeros(1))[0]
        rows = source.encoded(classes, of_class)
        _check_weight_sum(rows)
        return Data(rows, loss, classes, dtype)
    encode = from_probabilities if survey.is_soft else from_labels
    is_binary = len(classes) == 2
    loss = SQUARED_ERROR if survey.is_soft else SQUARED_ERROR.encode(np.zeros(1))[0]

    def blocks() -> Iterator[tuple[Any, Array, Array | None]]:
        for X, labels, weight in _checked_blocks(source):
            targets = encode(labels, weight, class_weight, dtype, classes)
            values, weight = targets.values, targets.weight
            if not survey.is_soft:
                values = SQUARED_ERROR.encode(values)[1]
            yield (
                X.astype(dtype, copy=False),
                values,
                None if weight is None else weight.astype(dtype),
            )

    rows = BlockRows(
        blocks, survey.n_rows, survey.n_features, 1 if is_binary else len(classes), dtype,
        survey.is_sparse,
    )  # fmt: skip
    _check_weight_sum(rows)
    return Data(rows, loss, classes, dtype)


class _Survey:
    """What one pass over a source tells: its shape, precision, kinds and classes."""

    def __init__(self, source: Any) -> None:
        self.n_rows, self.n_features = 0, -1
        self.dtype: Any = np.dtype(np.float32)
        self.is_sparse = self.is_soft = False
        self.class_totals: dict[Any, float] = {}
        kinds: tuple[str, str] | None = None
        for X, y, weight in _checked_blocks(source):
            if self.n_features not in (-1, X.shape[1]):
                raise ValueError(
                    f"all blocks must have the same features, got {X.shape[1]} after "
                    f"{self.n_features}"
                )
            self.n_rows, self.n_features = self.n_rows + X.shape[0], X.shape[1]
            self.dtype = np.promote_types(self.dtype, X.dtype)
            self.is_sparse, self.is_soft = not isinstance(X, np.ndarray), is_soft(y)
            found = (
                "sparse rows" if self.is_sparse else "dense rows",
                f"{y.shape[1]} columns of soft labels" if self.is_soft else "labels",
            )
            if kinds is not None and found != kinds:
                raise ValueError(
                    f"all blocks must be of one kind, got {' and '.join(found)} after "
                    f"{' and '.join(kinds)}; convert them"
                )
            kinds = found
            if self.is_soft:
                self.class_totals.update(dict.fromkeys(range(y.shape[1]), 1.0))
                continue
            labels, inverse = np.unique(y, return_inverse=True)
            sums = np.bincount(inverse, weights=weight, minlength=len(labels))
            for label, total in zip(labels.tolist(), sums.tolist(), strict=True):
                self.class_totals[label] = self.class_totals.get(label, 0.0) + total
        if self.n_rows == 0:
            raise ValueError("a source of rows must yield at least one block with rows, got none")

    @property
    def classes(self) -> Array:
        """The classes that have rows."""
        try:
            found = np.array(sorted(self.class_totals))
        except TypeError:
            names = sorted({type(label).__name__ for label in self.class_totals})
            raise ValueError(
                f"labels must be of one type in all blocks, got {' and '.join(names)}; convert them"
            ) from None
        check_two(found)
        return found


def _checked_blocks(source: Any) -> Iterator[tuple[Any, Array, Array | None]]:
    """The blocks of a source, validated: (X, y, weight)."""
    for i, block in enumerate(source.blocks()):
        try:
            X, y, weight = block if len(block) == 3 else (*block, None)
            X = canonical(check_array(X, ensure_min_samples=0, **KINDS))
            check_values(X, None, X.dtype.type)
            if not is_soft(y):
                y = column_or_1d(y)
            elif hasattr(y, "columns"):
                raise ValueError(
                    "soft labels must be arrays, with columns in the order of the classes, got a "
                    f"{type(y).__name__}, whose columns may have another order in another block"
                )
            y = np.asarray(y)
            check_consistent_length(X, y)
            if weight is not None and X.shape[0]:
                weight = _check_sample_weight(
                    weight,
                    X,
                    dtype=np.float64,
                    ensure_non_negative=True,
                    allow_all_zero_weights=True,
                )
        except (TypeError, ValueError) as error:
            raise ValueError(f"block {i} of the source of rows: {error}") from error
        if X.shape[0]:
            yield X, y, weight
