"""How good a classifier's probabilities and labels are, compared with reference models."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.isotonic import isotonic_regression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.validation import _check_sample_weight

from trainer.estimators.data import WEIGHT_SUMS
from trainer.estimators.targets import in_words

Array = npt.NDArray[Any]


MAX_BINS = 10**6
"""Maximum number of bins, which are kept in memory whether they hold a forecast or not."""

BAND_POINTS = 500
"""Maximum number of points of a consistency band: more would not be visible, but use memory."""

BAND_GROUPS = 10_000
"""Neighbouring forecasts are pooled into at most this many groups for the band of an isotonic
curve, whose own steps are much longer: with 10^6 rows a group has 100, and a step some 10^4."""


@dataclass(frozen=True)
class ReliabilityCurve:
    """The isotonic reliability curve and its parts of the Brier score, see `reliability_curve`.

    Parameters
    ----------
    brier : float
        Mean of (p - y)².
    miscalibration : float
        Reduction of the Brier score by recalibrating the forecasts; 0 if they are calibrated.
    discrimination : float
        Brier score of the constant forecast minus that of the recalibrated forecasts; higher is
        better.
    uncertainty : float
        Variance of y: the Brier score of the constant forecast.
    prob_pred, prob_true, weight : arrays of shape (n_distinct,)
        Each distinct forecast in increasing order, its recalibrated value, and the weight of its
        rows.

    Examples
    --------
    >>> from trainer import reliability_curve
    >>> curve = reliability_curve([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9])
    >>> curve.prob_true.tolist(), curve.discrimination
    ([0.0, 0.0, 1.0, 1.0], 0.25)
    """

    brier: float
    miscalibration: float
    discrimination: float
    uncertainty: float
    prob_pred: Array
    prob_true: Array
    weight: Array


@dataclass(frozen=True)
class ConsistencyBand:
    """Range of reliability curves of calibrated forecasts, see `consistency_band`.

    Parameters
    ----------
    prob_pred, lower, upper : arrays of shape (n_points,)
        Forecasts in increasing order, and the ends of the band there.
    level : float
        Probability, at each forecast, that a calibrated model's curve is within the band.

    Examples
    --------
    >>> import numpy as np
    >>> from trainer import consistency_band
    >>> band = consistency_band(np.linspace(0.05, 0.95, 50), random_state=0)
    >>> bool((band.lower <= band.upper).all())
    True
    """

    prob_pred: Array
    lower: Array
    upper: Array
    level: float


@dataclass(frozen=True)
class BrierDecomposition:
    """Parts of the Brier score for binned forecasts, see `brier_decomposition`.

    Parameters
    ----------
    brier : float
        Mean of (p - y)².
    reliability : float
        Mean squared difference between the bins' observed frequencies and forecasts; 0 is
        perfect.
    resolution : float
        Mean squared difference between the bins' observed frequencies and the overall frequency;
        higher is better.
    uncertainty : float
        Variance of y: the Brier score of the constant forecast.
    within_bins : float
        Contribution of the differences between forecasts in the same bin.
    edges : array of shape (n_edges,)
        Edges of the bins; a forecast on an edge is in the bin below it.
    filled : array of shape (n_filled_bins,)
        Numbers, from 0, of the bins that contain a row.
    prob_pred, prob_true, weight : arrays of shape (n_filled_bins,)
        Mean forecast, observed frequency and weight of each of these bins.
    n_rows : array of int of shape (n_filled_bins,)
        Number of rows in each of them, not counting rows of weight 0.

    Examples
    --------
    >>> from trainer import brier_decomposition
    >>> parts = brier_decomposition([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9])
    >>> total = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins
    >>> abs(total - parts.brier) < 1e-12
    True
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
    n_rows: Array


@np.errstate(all="ignore")
def reliability_curve(
    y_true: npt.ArrayLike,
    y_prob: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    pos_label: Any = None,
) -> ReliabilityCurve:
    """Recalibrate forecasts by isotonic regression and decompose the Brier score (CORP).

    The recalibrated forecasts r are the nondecreasing function of the forecasts p that is closest
    to the labels y in mean square, so no bins need to be chosen. With S the Brier score and ȳ the
    overall frequency, Brier = miscalibration - discrimination + uncertainty exactly, where::

        miscalibration = S(p) - S(r)   >= 0
        discrimination = S(ȳ) - S(r)   >= 0
        uncertainty    = S(ȳ) = ȳ (1 - ȳ)

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels.
    y_prob : array-like of shape (n_samples,)
        Forecast probability of `pos_label`, of any classifier.
    sample_weight : array-like of shape (n_samples,), optional
        Weight of each row.
    pos_label : object, optional
        The label forecast, all others being the negative class; 1 by default where the labels
        are 0 and 1 or -1 and 1.

    Returns
    -------
    ReliabilityCurve

    Raises
    ------
    ValueError
        If a forecast is not between 0 and 1, or `pos_label` is missing or not a label.

    References
    ----------
    Dimitriadis, Gneiting and Jordan, "Stable reliability diagrams for probabilistic
    classifiers", PNAS 118 (2021).

    Examples
    --------
    >>> curve = reliability_curve([0, 1, 0, 1, 1], [0.1, 0.3, 0.4, 0.8, 0.9])
    >>> curve.prob_true.tolist()
    [0.0, 0.5, 0.5, 1.0, 1.0]
    >>> parts = (curve.miscalibration, curve.discrimination, curve.uncertainty, curve.brier)
    >>> [round(part, 3) for part in parts]
    [0.042, 0.14, 0.24, 0.142]
    """
    p, weight, counted = _checked_forecasts(y_prob, sample_weight)
    y = _binary_labels(y_true, counted, pos_label)
    prob_pred, group = np.unique(p, return_inverse=True)
    n, total = np.bincount(group, weight), weight.sum()
    share = np.bincount(group, weight * y) / n
    prob_true = isotonic_regression(share, sample_weight=n, y_min=0, y_max=1)
    mean, recalibrated = float(weight @ y / total), prob_true[group]
    # S(p) - S(r) row by row, which avoids the cancellation between two sums.
    gains = (p - recalibrated) * (p + recalibrated - 2 * y)
    return ReliabilityCurve(
        brier=float(weight @ (p - y) ** 2 / total),
        miscalibration=float(weight @ gains / total),
        discrimination=float(n @ (prob_true - mean) ** 2 / total),
        uncertainty=mean * (1 - mean),
        prob_pred=prob_pred,
        prob_true=prob_true,
        weight=n,
    )


@np.errstate(all="ignore")
def consistency_band(
    y_prob: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    edges: npt.ArrayLike | None = None,
    level: float = 0.95,
    n_resamples: int = 500,
    random_state: Any = None,
) -> ConsistencyBand:
    """Simulate the range of the reliability curve if the forecasts were calibrated.

    Labels are drawn from the forecasts, P(y = 1) = p, while forecasts and weights stay the same,
    and a curve is computed from each draw. A curve outside this pointwise band is evidence
    against calibration. The run time is that of `n_resamples` isotonic regressions, on at most
    10 000 groups of neighbouring forecasts.

    Parameters
    ----------
    y_prob : array-like of shape (n_samples,)
        Forecast probabilities.
    sample_weight : array-like of shape (n_samples,), optional
        Weight of each row.
    edges : array-like of shape (n_edges,), optional
        Edges of bins, from 0 to 1, for a band around the observed frequencies in the bins of
        `brier_decomposition`; None computes the band of the isotonic curve.
    level : float, default=0.95
        Fraction of the draws within the band at each forecast. It can be slightly more, because
        frequencies among few rows take few values.
    n_resamples : int, default=500
        Number of draws.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws.

    Returns
    -------
    ConsistencyBand
        At every distinct forecast, or at 500 of them if there are more; with `edges`, at the mean
        forecast of each bin that contains rows.

    Raises
    ------
    ValueError
        If a forecast is not between 0 and 1, or the level or the number of draws is out of range.

    References
    ----------
    Dimitriadis, Gneiting and Jordan, as in `reliability_curve`, for the isotonic curve; Bröcker
    and Smith, "Increasing the reliability of reliability diagrams", Weather and Forecasting 22
    (2007), for bins. Both also resample the forecasts, with replacement.

    Examples
    --------
    >>> band = consistency_band([0.1, 0.1, 0.1, 0.9, 0.9, 0.9], random_state=1)
    >>> band.prob_pred.tolist(), band.lower.round(2).tolist(), band.upper.round(2).tolist()
    ([0.1, 0.9], [0.0, 0.33], [0.67, 1.0])
    """
    p, weight, _ = _checked_forecasts(y_prob, sample_weight)
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}; 0.95 is usual")
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be 1 or more, got {n_resamples!r}; 500 is usual")
    order = np.argsort(p, kind="stable")
    p, weight = p[order], weight[order]
    groups = p if edges is None else _bin_numbers(p, np.asarray(edges))[1]
    _, starts = np.unique(groups, return_index=True)
    if edges is None:
        starts = starts[_spread(len(starts), BAND_GROUPS)]
    total = np.add.reduceat(weight, starts)
    mean = np.clip(np.add.reduceat(weight * p, starts) / total, 0, 1)
    n_rows = np.diff(starts, append=len(p))
    counts_suffice = edges is None and weight.min() == weight.max()
    at = _spread(len(starts), BAND_POINTS)
    rng = check_random_state(random_state)
    shares = np.empty((n_resamples, len(at)))
    for row in shares:
        if counts_suffice:  # the forecasts of a group are equal, or almost
            share = rng.binomial(n_rows, mean) / n_rows
        else:
            drawn = rng.random_sample(len(p)) < p
            share = np.add.reduceat(weight * drawn, starts) / total
        if edges is None:
            share = isotonic_regression(share, sample_weight=total, y_min=0, y_max=1)
        row[:] = share[at]
    # Round outwards, so that the band contains at least the stated fraction of the draws.
    lower = np.quantile(shares, (1 - level) / 2, axis=0, method="lower")
    upper = np.quantile(shares, (1 + level) / 2, axis=0, method="higher")
    prob_pred = p[starts] if edges is None else mean
    return ConsistencyBand(prob_pred[at], lower, upper, level)


def _spread(n: int, most: int) -> Array:
    """Indices of at most `most` of n places, evenly spread, with the first and the last."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(int))


@np.errstate(all="ignore")
def brier_decomposition(
    y_true: npt.ArrayLike,
    y_prob: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    pos_label: Any = None,
    n_bins: int | None = None,
    strategy: str = "uniform",
) -> BrierDecomposition:
    """Decompose the Brier score over bins k: weight n_k, mean forecast p_k, observed frequency y_k.

    Brier = reliability - resolution + uncertainty + within bins, where N = Σ n_k and
    ȳ is the overall frequency::

        reliability = Σ n_k (p_k - y_k)² / N
        resolution  = Σ n_k (y_k - ȳ)² / N
        uncertainty = ȳ (1 - ȳ)
        within bins = Σ n_k (var_k(p) - 2 cov_k(p, y)) / N

    The first three sum to the Brier score of the forecasts replaced by their bins' means; the
    last is the difference from the score of the forecasts themselves. All but the uncertainty
    depend on the bins; `reliability_curve` needs none.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels.
    y_prob : array-like of shape (n_samples,)
        Forecast probability of `pos_label`.
    sample_weight : array-like of shape (n_samples,), optional
        Weight of each row.
    pos_label : object, optional
        The label forecast, all others being the negative class; 1 by default where the labels
        are 0 and 1 or -1 and 1.
    n_bins : int, optional
        Number of bins between 0 and 1; by default 10, or 5 for fewer than 1000 rows.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of about equal weight.

    Returns
    -------
    BrierDecomposition

    Raises
    ------
    ValueError
        If a forecast is not between 0 and 1, or `pos_label` is missing or not a label.

    References
    ----------
    Murphy, "A new vector partition of the probability score", Journal of Applied
    Meteorology 12 (1973); Stephenson, Coelho and Jolliffe, "Two extra components in the
    Brier score decomposition", Weather and Forecasting 23 (2008), on the part within bins.

    Examples
    --------
    >>> parts = brier_decomposition([0, 0, 1, 1], [0.1, 0.1, 0.7, 0.7])
    >>> [round(x, 4) for x in (parts.brier, parts.reliability, parts.resolution)]
    [0.05, 0.05, 0.25]
    >>> parts.uncertainty, round(parts.within_bins, 12)
    (0.25, 0.0)
    """
    p, weight, counted = _checked_forecasts(y_prob, sample_weight)
    y = _binary_labels(y_true, counted, pos_label)
    if n_bins is None:
        n_bins = 5 if len(p) < 1000 else 10
    if not isinstance(n_bins, int | np.integer) or not 1 <= n_bins <= MAX_BINS:
        raise ValueError(f"n_bins must be an integer from 1 to {MAX_BINS}, got {n_bins!r}")
    fractions = np.linspace(0, 1, n_bins + 1)
    if strategy == "uniform":
        edges = fractions
    elif strategy == "quantile":
        # Weights count as repeated rows; equal forecasts can merge two edges.
        inner = np.quantile(p, fractions[1:-1], weights=weight, method="inverted_cdf")
        edges = np.unique(np.concatenate([[0.0], inner, [1.0]]))
    else:
        raise ValueError(f'strategy must be "uniform" or "quantile", got {strategy!r}')
    filled, bins = _bin_numbers(p, edges)

    def per_bin(values: Array) -> Array:
        return np.bincount(bins, weight * values)

    n, total = per_bin(np.ones_like(p)), weight.sum()
    p_k, y_k = per_bin(p) / n, per_bin(y) / n
    mean = float(weight @ y / total)
    deviation = p - p_k[bins]
    return BrierDecomposition(
        brier=float(weight @ (p - y) ** 2 / total),
        reliability=float(n @ (p_k - y_k) ** 2 / total),
        resolution=float(n @ (y_k - mean) ** 2 / total),
        uncertainty=mean * (1 - mean),
        within_bins=float(weight @ (deviation * (deviation - 2 * (y - y_k[bins]))) / total),
        edges=edges,
        filled=filled,
        prob_pred=p_k,
        prob_true=y_k,
        weight=n,
        n_rows=np.bincount(bins),
    )


def _bin_numbers(p: Array, edges: Array) -> tuple[Array, Array]:
    """Numbers of the bins that contain a forecast, and for each forecast its index among them."""
    filled, bins = np.unique(np.searchsorted(edges[1:-1], p), return_inverse=True)
    return filled, bins


@in_words()
def _checked_forecasts(y_prob: Any, sample_weight: Any) -> tuple[Array, Array, Array]:
    """Forecasts and weights of the rows with nonzero weight, and a mask of these rows."""
    p = column_or_1d(y_prob).astype(np.float64)
    check_consistent_length(p, sample_weight)
    outside = p[~((p >= 0) & (p <= 1))]
    if len(outside):
        raise ValueError(
            f"y_prob must hold probabilities between 0 and 1, got {outside[0]}; give a column of "
            "predict_proba, not decision_function"
        )
    if not len(p):
        raise ValueError("y_prob must hold at least one forecast, got none")
    weight = _check_sample_weight(sample_weight, p, dtype=np.float64, ensure_non_negative=True)
    total = float(weight.sum())
    low, high = WEIGHT_SUMS[np.float64]
    if not low <= total <= high:
        raise ValueError(
            f"sample_weight must have a sum from {low:g} to {high:g}, got {total:g}; divide the "
            "weights by their mean"
        )
    counted = weight > 0
    return p[counted], weight[counted], counted


@in_words()
def _binary_labels(y_true: Any, counted: Array, pos_label: Any) -> Array:
    """Labels of the rows counted: 1.0 for `pos_label`, 0.0 for all others."""
    labels = column_or_1d(y_true)
    check_consistent_length(labels, counted)
    known = np.unique(labels).tolist()
    # one of two usual labels may have no rows
    usual = next((pair for pair in ({0, 1}, {-1, 1}) if set(known) <= pair), set())
    if pos_label is None and usual:
        pos_label = 1
    if pos_label not in usual.union(known):
        raise ValueError(
            "pos_label must be the label in y_true that y_prob is the probability of, got "
            f"labels {known} and pos_label={pos_label!r}; name one"
        )
    return (labels == pos_label).astype(np.float64)[counted]


def reference_models(X: Any, y: Any) -> dict[str, Any]:
    """Fit the reference models: the constant probability and scikit-learn's LogisticRegression.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training rows, preprocessed as for the neuron.
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

    Examples
    --------
    >>> from trainer import reference_models
    >>> models = reference_models([[0.0], [1.0], [2.0]], [0, 1, 1])
    >>> models["constant"].predict_proba([[5.0]]).round(3).tolist()
    [[0.333, 0.667]]
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
    """Compute scores of several models on several sets of rows.

    Parameters
    ----------
    models : mapping of str to classifier
        Fitted classifiers of two classes, by name.
    rows : mapping of str to (X, y)
        Sets of rows, by name, with both classes in each.
    pos_label : object
        The class whose probability is scored.

    Returns
    -------
    DataFrame
        One row per set and model; columns Brier (mean squared error of the probability,
        0 to 1, lower is better), accuracy, ROC AUC and log loss.

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
            p = _probability(model, X, pos_label)
            lines[part, name] = {
                "Brier": brier_score_loss(positive, p),
                "accuracy": accuracy_score(y, model.predict(X)),
                "ROC AUC": roc_auc_score(positive, p),
                "log loss": log_loss(positive, p),
            }
    return pd.DataFrame.from_dict(lines, orient="index", dtype=float)


def brier_difference(
    model: Any, reference: Any, X: Any, y: Any, pos_label: Any, *, level: float = 0.95
) -> tuple[float, float]:
    """Compare the Brier scores of two models on the same rows.

    With the probabilities p and r of row i under the two models,
    d_i = (p_i - y_i)² - (r_i - y_i)². The mean of d is the difference, and the half-width of its
    confidence interval is z · sd(d) / √n, with z the quantile of the normal distribution. It
    accounts for the choice of the rows, not for that of the training rows.

    Parameters
    ----------
    model, reference : classifier
        Fitted, with `predict_proba` and `classes_`.
    X : array-like of shape (n_samples, n_features)
        Rows that neither was trained on, at least two.
    y : array-like of shape (n_samples,)
        Their labels.
    pos_label : object
        The class whose probability is scored.
    level : float, default=0.95
        Confidence level.

    Returns
    -------
    difference, margin : float
        Negative if `model` has the lower Brier score; the interval is difference ± margin.

    Examples
    --------
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], ["no", "no", "yes", "yes"]
    >>> models = reference_models(X, y)
    >>> difference, margin = brier_difference(
    ...     models["LogisticRegression"], models["constant"], X, y, pos_label="yes"
    ... )
    >>> round(difference, 3), round(margin, 3)
    (-0.158, 0.062)
    """
    positive = np.asarray(pd.Series(y).eq(pos_label), dtype=np.float64)
    ours, theirs = (
        (_probability(each, X, pos_label) - positive) ** 2 for each in (model, reference)
    )
    apart = ours - theirs
    z = NormalDist().inv_cdf((1 + level) / 2)
    return float(apart.mean()), float(z * apart.std(ddof=1) / np.sqrt(len(apart)))


def _probability(model: Any, X: Any, pos_label: Any) -> Array:
    """Probability of one class under a fitted classifier."""
    p: Array = model.predict_proba(X)[:, list(model.classes_).index(pos_label)]
    return p
