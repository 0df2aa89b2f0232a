"""The preprocessor that a data frame needs before a neuron can be trained on it."""

import pandas as pd
from pandas.api import types
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from trainer.datasets.text import quote

MAX_CATEGORIES = 50
"""Categories that a text column keeps; the rarest beyond these share one column."""
LARGEST_MATRIX = 2 * 10**8
"""Numbers that the rows may become: 1.6 GB. A text column can take 50 times its own memory."""


def make_preprocessor(X: pd.DataFrame) -> ColumnTransformer:
    """Make the preprocessor for a frame's columns, to be fitted on the training rows.

    Numbers and booleans: the median for missing values, then mean 0 and variance 1. Text and
    categories: a column of 0 and 1 for each value, missing being one. Of more than 50, the
    rarest share the last column. Values first met at prediction go there too, if there is
    one, or are 0 in all.

    Parameters
    ----------
    X : DataFrame
        Its types are looked at, and of text, whether scikit-learn can take it.

    Returns
    -------
    ColumnTransformer
        Unfitted; gives dense float64.

    Raises
    ------
    ValueError
        If a column holds dates, objects of many kinds, or pandas.NA in text; or if the rows
        would become more than 2 * 10^8 numbers.

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
    # A column of the table can be empty in the training rows alone: it is kept, as zeros.
    scale = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )
    encode = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES, sparse_output=False
    )
    # Value "a" of column "c" is named "c_a": a column that may be called so wants a prefix.
    clash = any(str(other).startswith(f"{name}_") for name in text for other in X)
    parts = [("numbers", scale, numbers), ("text", encode, text)]
    return ColumnTransformer(parts, verbose_feature_names_out=clash)
