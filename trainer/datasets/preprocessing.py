"""The preprocessor that a data frame needs before a neuron can be trained on it."""

import numpy as np
import pandas as pd
from pandas.api import types
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from trainer.datasets.tables import LARGEST
from trainer.datasets.text import quote

MAX_CATEGORIES = 50
"""Maximum number of categories of a text column; the rarest share one column."""
LARGEST_MATRIX = 2 * 10**8
"""Maximum size of the encoded rows: 1.6 GB. A text column can need 50 times its own memory."""


def make_preprocessor(X: pd.DataFrame) -> ColumnTransformer:
    """Make the preprocessor for a frame's columns, to be fitted on the training rows.

    Numbers and booleans: missing values are replaced by the median, then the column is scaled to
    mean 0 and variance 1. Text and categories: one column of 0 and 1 for each value, including
    missing. If there are more than 50 values, the rarest share the last column. Unknown values at
    prediction are encoded in this shared column if there is one, otherwise as 0 in all columns.

    Parameters
    ----------
    X : DataFrame
        Determines the types of the columns; text is checked for values that scikit-learn cannot
        encode.

    Returns
    -------
    ColumnTransformer
        Unfitted; its output is dense float64.

    Raises
    ------
    ValueError
        If a column holds dates, objects of many kinds, pandas.NA in text, or infinite numbers or
        numbers above 10^100; or if the rows would become more than 2 * 10^8 numbers.

    Examples
    --------
    >>> X = pd.DataFrame({"age": [20, None, 40], "town": ["Kyiv", "Oslo", None]})
    >>> preprocessor = make_preprocessor(X)
    >>> preprocessor.fit_transform(X).round(3).tolist()
    [[-1.225, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [1.225, 0.0, 0.0, 1.0]]
    >>> preprocessor.get_feature_names_out().tolist()
    ['age', 'town_Kyiv', 'town_Oslo', 'town_nan']
    """
    numbers = [
        name
        for name in X
        if types.is_any_real_numeric_dtype(X[name]) or types.is_bool_dtype(X[name])
    ]
    text = [name for name in X if name not in numbers]
    for name in numbers:
        largest = np.nanmax(np.abs(X[name].to_numpy(float, na_value=np.nan)), initial=0)
        if largest > LARGEST:
            raise ValueError(
                f"column {quote(name)} must hold finite numbers of at most {LARGEST:g} in absolute "
                f"value, got {largest:g}; correct it, or leave the cell empty"
            )
    for name in text:
        found = types.infer_dtype(X[name], skipna=True)
        if any(value is pd.NA for value in X[name][X[name].isna()]):
            found = "pandas.NA"
        if found not in {"string", "categorical", "boolean", "empty"}:
            raise ValueError(
                f"column {quote(name)} must hold numbers, booleans, or text with None or NaN "
                f"where missing, got {found}; convert it or leave it out"
            )
    width = len(numbers) + sum(min(X[name].nunique(dropna=False), MAX_CATEGORIES) for name in text)
    if len(X) * width > LARGEST_MATRIX:
        raise ValueError(
            f"the rows may become at most {LARGEST_MATRIX} numbers, got {len(X)} rows of {width} "
            f"with up to {MAX_CATEGORIES} for a text column; leave text columns out, or train on "
            "a part of the rows"
        )
    # A column may be empty in the training rows only: it is kept, as zeros.
    scale = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )
    encode = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES, sparse_output=False
    )
    # Value "a" of column "c" is named "c_a": if another column may have this name, add prefixes.
    clash = any(str(other).startswith(f"{name}_") for name in text for other in X)
    parts = [("numbers", scale, numbers), ("text", encode, text)]
    return ColumnTransformer(parts, verbose_feature_names_out=clash)
