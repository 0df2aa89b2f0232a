"""The chain rule, sample by sample: every factor of a neuron's gradient as a table."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from trainer.chain_rule import sigmoid
from trainer.estimators.data import prepare
from trainer.inspection.gradient_check import checked_problem, reals
from trainer.inspection.parameters import (
    check_classes,
    check_labels,
    check_neuron,
    fitted_parameters,
    has_intercept,
    named,
    parameter_names,
)

Array = npt.NDArray[Any]

WIDTH = 80
"""Terminal width, in characters, of a printed table."""


class FactorTable(pd.DataFrame):
    """A DataFrame that prints all columns within 80 characters, and missing values as blanks."""

    @property
    def _constructor(self) -> type["FactorTable"]:
        return FactorTable

    def __repr__(self) -> str:
        return self.to_string(
            line_width=WIDTH,
            max_rows=pd.get_option("display.max_rows"),
            min_rows=pd.get_option("display.min_rows"),
            na_rep="",
            float_format="{:.4g}".format,
        )

    def _repr_html_(self) -> str:
        return self.to_html(
            max_rows=pd.get_option("display.max_rows"),
            max_cols=pd.get_option("display.max_columns"),
            na_rep="",
            float_format="{:.4g}".format,
        )


@np.errstate(all="ignore")
def explain(neuron: Any, X: Any, y: Any, sample_weight: Any = None) -> Any:
    """Show every factor of the chain rule for each sample, and how they add up to the gradient.

    For a sample (x, y), with z = w·x + b and σ = σ(z)::

        l = (y - σ)²    dl/dw = dl/dσ · dσ/dz · dz/dw    dl/db = dl/dσ · dσ/dz · dz/db

    dl/dw and dl/db are the sample's contribution to the gradient: dJ/dw and dJ/db are their
    means. The penalty α/2 ‖w‖² of a neuron does not belong to a sample: it adds α w to dJ/dw.
    `explain` shows one point of a run, factor by factor; `trace` shows the parameters of all its
    iterations.

    Parameters
    ----------
    neuron : LogisticNeuron or tuple (w, b)
        A neuron fitted to labels of two classes, or weights of shape (n_features,) and a bias;
        two plain numbers for the lesson's neuron of one input.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Samples. For (w, b) also one sample of shape (n_features,), and with a plain number `w` a
        number or a batch of numbers (n_samples,).
    y : array-like of shape (n_samples,)
        Labels as given to `fit`; for (w, b) targets between 0 and 1.
    sample_weight : array-like of shape (n_samples,), optional
        Weight of each sample; the means are then weighted means.

    Returns
    -------
    DataFrame
        One row per sample, labelled as in `X` or by its number, with the columns x, y, z, σ, l,
        dl/dσ, dσ/dz, dl/dz, dz/dw, dz/db, dl/dw, dl/db, and weight if the weights differ. x, dz/dw
        and dl/dw have one column per feature: the columns are a MultiIndex, and
        ``table["dl/dw"]`` is a table of features. With a plain number `w` the columns are a flat
        index. A neuron without an intercept has no dz/db and dl/db.
        The rows below are "mean", and for a neuron with a penalty "penalty" and "sum". The last
        row contains J under l, dJ/dw under dl/dw and dJ/db under dl/db. The other columns are NaN
        there, because a mean of products is not the product of the means.

    Raises
    ------
    ValueError
        If shapes do not fit, targets are not between 0 and 1, weights are negative or all 0, or
        the neuron has more than two classes.

    Examples
    --------
    >>> table = explain((0.3, 0.3), [1.0, 2.0], [1, 0])
    >>> print(table[["z", "σ", "dl/dσ", "dσ/dz", "dz/dw", "dl/dw"]])
           z      σ   dl/dσ  dσ/dz  dz/dw   dl/dw
    0    0.6 0.6457 -0.7087 0.2288      1 -0.1621
    1    0.9 0.7109   1.422 0.2055      2  0.5844
    mean                                   0.2111
    """
    flat, alpha, fit_intercept = False, 0.0, True
    if isinstance(neuron, tuple):
        if len(neuron) != 2:
            raise ValueError(f"neuron must be fitted or a tuple (w, b), got {len(neuron)} values")
        dense = X.toarray() if hasattr(X, "toarray") else X
        x, target, w, b = checked_problem(dense, y, *neuron)
        flat = np.ndim(neuron[0]) == 0
        features = named(getattr(X, "columns", None), w.size)[:-1]
        weight = _checked_weight(sample_weight, len(target))
    else:
        check_neuron("explain", neuron)
        check_is_fitted(neuron)
        check_classes(neuron)
        check_labels(neuron)
        data = prepare(neuron, X, y, sample_weight, classes=neuron.classes_)
        if data.targets is None:
            raise ValueError("explain needs X as an array or a frame, got a source of rows")
        x, targets = data.X, data.targets
        x = np.asarray(x.toarray() if hasattr(x, "toarray") else x, dtype=np.float64)
        target = np.asarray(targets.values, dtype=np.float64)
        weight = np.ones(len(target)) if targets.weight is None else targets.weight
        weight = np.asarray(weight, dtype=np.float64)
        theta, features = fitted_parameters(neuron), parameter_names(neuron)[:-1]
        w, b, alpha, fit_intercept = theta[:-1], theta[-1], neuron.alpha_, has_intercept(neuron)

    z = x @ w + b
    sigma, one_minus_sigma = sigmoid(z), sigmoid(-z)  # subtraction would lose precision in a tail
    residual = (1 - target) * sigma - target * one_minus_sigma  # σ - y, for the same reason
    dl_dsig, dsig_dz = 2 * residual, sigma * one_minus_sigma
    dl_dz = dl_dsig * dsig_dz
    factors: dict[str, Array] = {
        "x": x, "y": target, "z": z, "σ": sigma, "l": residual**2,
        "dl/dσ": dl_dsig, "dσ/dz": dsig_dz, "dl/dz": dl_dz,
        "dz/dw": x, "dz/db": np.ones_like(z), "dl/dw": dl_dz[:, np.newaxis] * x, "dl/db": dl_dz,
    }  # fmt: skip
    if not fit_intercept:
        del factors["dz/db"], factors["dl/db"]
    if np.ptp(weight) > 0:
        factors["weight"] = weight
    columns = [
        (name, feature)
        for name, values in factors.items()
        for feature in (features if values.ndim == 2 else [""])
    ]
    rows = np.column_stack(list(factors.values()))
    summed = np.array([name in ("l", "dl/dw", "dl/db") for name, _ in columns])
    total = math.fsum(weight)
    foot = {"mean": np.array([math.fsum(weight * part) / total for part in rows.T[summed]])}
    if alpha:
        of_penalty = [alpha / 2 * float(w @ w), *(alpha * w), 0.0]
        foot["penalty"] = np.array(of_penalty[: summed.sum()])
        foot["sum"] = foot["mean"] + foot["penalty"]
    below = np.full((len(foot), len(columns)), np.nan)
    below[:, summed] = list(foot.values())
    labels = X.index if hasattr(X, "iloc") else range(len(rows))  # a list has an `index` too
    return FactorTable(
        np.vstack([rows, below]),
        index=[*labels, *foot],
        columns=[name for name, _ in columns] if flat else pd.MultiIndex.from_tuples(columns),
    )


def _checked_weight(weight: Any, n_samples: int) -> Array:
    if weight is None:
        return np.ones(n_samples)
    weight = reals("sample_weight", weight)
    if weight.shape != (n_samples,) or not (weight >= 0).all() or not 0 < weight.sum() < math.inf:
        raise ValueError(
            f"sample_weight must hold a finite number >= 0 for each of {n_samples} samples, and "
            f"not 0 for all, got {weight.tolist() if weight.size < 10 else weight.shape}"
        )
    return weight
