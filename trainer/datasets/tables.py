"""Tables from files, as people have them: CSV and Parquet, gzipped or not.

Whatever cannot be trained on ends in a ValueError of one line, which says what the rule is,
what was found, and what to do.
"""

import csv
import gzip
import io
import os
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from pandas.api import types

# What people write where a value is missing; empty cells and spaces around are seen to besides.
MISSING = ["", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None"]
# In the target only these: None and null may well be classes.
MISSING_LABELS = ["", "?", "NA", "NaN", "nan"]
DELIMITERS = ",;\t|"
# Numbers beyond overflow when they are squared and summed.
LARGEST = 1e100
# From this many rows on, text that differs in every row is taken for names or keys.
KEY_ROWS = 20


def quote(value: Any) -> str:
    r"""Show a value in a message: on one line, and not for pages.

    Examples
    --------
    >>> quote("two\nlines")
    '"two lines"'
    """
    text = " ".join(str(value).split())
    return f'"{text}"' if len(text) <= 60 else f'"{text[:57]}..."'


def nearest(value: Any, among: Iterable[Any]) -> str:
    """Say which of the names is most like a mistaken one, whatever its case.

    Examples
    --------
    >>> nearest("incme", ["age", "income"])
    'the nearest is "income"'
    """
    names = {str(name).lower(): str(name) for name in among}
    best = get_close_matches(str(value).lower(), names, n=1, cutoff=0.0)[0]
    return f"the nearest is {quote(names[best])}"


def read_table(path: str | Path, target: str | None = None) -> pd.DataFrame:
    """Read a CSV or Parquet file, gzipped or not.

    Of CSV, the delimiter is the one of comma, semicolon, tab and | that the first line has
    most of, or that a line "sep=;" before it names. Spaces around cells go; empty cells, "?"
    and the usual words for missing become NaN.

    Parameters
    ----------
    path : path
        The file; what it is shows in its content, not in its name.
    target : str, optional
        A column in which None, null and N/A are not missing but labels.

    Returns
    -------
    DataFrame
        One column a column of the file, under its own name.

    Raises
    ------
    ValueError
        If the file is not there, is empty, or is not a table with columns of different names.
    """
    path = Path(path)
    content = _read_bytes(path)
    if content.startswith(b"PAR1"):
        table = _read_parquet(content, path.name)
    elif path.suffix in {".parquet", ".pq"}:
        raise ValueError(f"{path.name} is not a Parquet file; save the table again, or as CSV")
    else:
        table = _read_csv(content, path.name, target)
    if table.empty:
        raise ValueError(f"{path.name} has no rows, only a header; add rows to train on")
    return table


def split_table(
    table: pd.DataFrame, target: str, name: str
) -> tuple[pd.DataFrame, pd.Series, list[str]]:
    """Split a table into features, labels, and notes on what was dropped.

    Features are float64, or objects that are strings or NaN; labels are as found, none
    missing. `name` is what messages call the table. A ValueError says that there is no such
    target, that a number is infinite or above 1e100, or that no feature is of use.

    Examples
    --------
    >>> table = pd.DataFrame({"dose": [1, 2, 3], "cured": ["no", "yes", None]})
    >>> X, labels, notes = split_table(table, "cured", "trial.csv")
    >>> list(labels), notes
    (['no', 'yes'], ['1 of 3 rows dropped: no value in the target column "cured"'])
    """
    if target not in table.columns:
        raise ValueError(
            f"target column {quote(target)} is not in {name}; {nearest(target, table.columns)}"
        )
    # Missing ones go first: a label True shall not turn into 1.0 because of them.
    labels = _tidy(table[target].dropna(), MISSING_LABELS)
    if labels is None or labels.isna().all():
        found = "no values" if labels is not None else f"values of type {table[target].dtype}"
        raise ValueError(
            f"target column {quote(target)} of {name} must hold numbers or text, got {found}; "
            "choose another target"
        )
    _refuse_huge(labels, name)
    labels = labels.dropna()
    notes = []
    if missing := len(table) - len(labels):
        notes.append(
            f"{missing} of {len(table)} rows dropped: no value in the target column {quote(target)}"
        )
    features, dropped = {}, {}
    for column in table.columns.drop(target):
        values = _tidy(table[column])
        if values is None:
            dropped[column] = "neither numbers nor text"
            continue
        _refuse_huge(values, name)
        values = values[labels.index]
        if useless := _why_useless(str(column), values):
            dropped[column] = useless
        else:
            features[column] = values if values.dtype == object else values.astype(float)
    for reason in dict.fromkeys(dropped.values()):
        columns = [quote(column) for column, why in dropped.items() if why == reason]
        shown = ", ".join(columns[:10]) + (", ..." if len(columns) > 10 else "")
        notes.append(f"{len(columns)} of {table.shape[1]} columns dropped, {reason}: {shown}")
    if not features:
        raise ValueError(
            f"{name} has no usable feature beside {quote(target)}"
            + (f" ({'; '.join(notes)})" if dropped else "")
            + "; add a column of numbers or text that varies"
        )
    return pd.DataFrame(features).reset_index(drop=True), labels.reset_index(drop=True), notes


def _read_bytes(path: Path) -> bytes:
    """Give the content of the file, unzipped."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}; check its name and folder") from None
    except OSError as error:
        if os.path.isdir(path):
            raise ValueError(f"{path} is a folder, not a table; name a file in it") from None
        raise ValueError(f"{path} cannot be read: {error.strerror}; check the file") from None
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            raise ValueError(f"{path.name} is a damaged gzip file; make it again") from None
    if not content.strip():
        raise ValueError(f"{path.name} is empty; a table has a header and rows")
    return content


def _read_csv(content: bytes, name: str, target: str | None) -> pd.DataFrame:
    try:
        text = content.decode("utf-8-sig").lstrip("\r\n")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError(f"{name} is not a table, nor text in UTF-8; save it as CSV in UTF-8")
    named = re.match(rf'"?sep=([{DELIMITERS}])"?\r?\n[\r\n]*', text)  # by spreadsheets
    if named:
        text = text[named.end() :]
    try:
        headers = {mark: _header(text, mark) for mark in (named[1] if named else DELIMITERS)}
        delimiter = max(headers, key=lambda key: len(headers[key]))
        header = headers[delimiter]
        words = {
            place: MISSING_LABELS if column == target else MISSING
            for place, column in enumerate(header)
        }
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                io.StringIO(text),
                sep=delimiter,
                header=0,
                names=range(len(header)),
                index_col=False,
                skipinitialspace=True,
                keep_default_na=False,
                na_values=cast(Any, words),
                low_memory=False,
            )
    except (csv.Error, pd.errors.ParserError) as error:
        reason = " ".join(str(error).split()).removeprefix("Error tokenizing data. C error: ")
        raise ValueError(f"{name} is not a table: {reason}; correct it there") from None
    except pd.errors.ParserWarning:
        raise ValueError(
            f"{name} is not a table: rows have more cells than the header; name every column"
        ) from None
    if len(header) == 1:
        raise ValueError(
            f"{name} is not a table: no comma, semicolon, tab or | in its first line, so no "
            "feature beside a target; save it as CSV or Parquet"
        )
    _refuse_duplicates([column for column in header if column], name)
    columns = {
        column: _numbers_if_all_are(table[place], words[place], delimiter == ";")
        for place, column in enumerate(header)
        if column or table[place].notna().any()  # not what a delimiter at the line's end makes
    }
    return pd.DataFrame(columns)


def _header(text: str, delimiter: str) -> list[str]:
    """Column names as they stand: pandas would rename those that come twice."""
    line = next(
        csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    )
    return [cell.strip() for cell in line]


def _numbers_if_all_are(values: pd.Series, missing: list[str], decimal_comma: bool) -> pd.Series:
    """Numbers where spaces, or a comma for the point, had kept pandas from seeing them."""
    if types.infer_dtype(values, skipna=True) != "string":
        return values
    text = _strip(values, missing)
    numbers = pd.to_numeric(text.str.replace(",", ".") if decimal_comma else text, errors="coerce")
    return numbers if numbers.notna().equals(text.notna()) else text


def _read_parquet(content: bytes, name: str) -> pd.DataFrame:
    try:
        table = pd.read_parquet(io.BytesIO(content))
    except ImportError:
        raise ValueError(
            f"{name} is a Parquet file, which needs pyarrow: "
            'pip install "logistic-neuron-trainer[parquet]"'
        ) from None
    except (ValueError, OSError) as error:  # pyarrow's own are kinds of these
        what = f"damaged Parquet, or has two columns of one name ({quote(error)})"
        raise ValueError(f"{name} is {what}; make it again") from None
    table = table.reset_index(drop=None in table.index.names)  # an index with a name is a column
    table.columns = pd.Index([str(column).strip() for column in table.columns])
    _refuse_duplicates(list(table.columns), name)
    return table


def _refuse_duplicates(columns: list[str], name: str) -> None:
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise ValueError(
            f"column names must differ, got {quote(twice[0])} more than once in {name}; "
            "rename all but one"
        )


def _refuse_huge(values: pd.Series, name: str) -> None:
    if values.dtype == object:
        return
    numbers = values.to_numpy(float)
    huge = abs(numbers) > LARGEST
    if huge.any():
        row = huge.argmax()
        raise ValueError(
            f"numbers must be finite and at most {LARGEST:g} in size, got {numbers[row]:g} in row "
            f"{list(values.index)[row] + 1} of column {quote(values.name)} in {name}; "
            "correct it or leave the cell empty"
        )


def _strip(values: pd.Series, missing: list[str]) -> pd.Series:
    """Text without spaces around it, and NaN where that leaves a word for missing."""
    text = values.astype(object).where(values.notna(), np.nan).str.strip()
    return text.mask(text.isin(missing), np.nan)


def _tidy(values: pd.Series, missing: list[str] = MISSING) -> pd.Series | None:
    """Turn a column into numbers, booleans, or strings and NaN; into None if it is neither."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    kind = types.infer_dtype(values, skipna=True)
    if kind == "string":
        return _strip(values, missing)
    if kind == "empty":
        return values.astype(float)
    if kind == "boolean":
        return values.astype(float if values.isna().any() else bool)
    if kind in {"integer", "floating", "mixed-integer-float", "integer-na", "decimal"}:
        return values.astype(float) if values.isna().any() or values.dtype == object else values
    return None


def _why_useless(column: str, values: pd.Series) -> str | None:
    """Say what keeps a feature from being of use, if anything does."""
    count, different = values.count(), values.nunique()
    reasons = {
        "no name in the header": not column,
        "no values": count == 0,
        "the same value in every row": different == 1 and count == len(values),
        "a different text in every row": values.dtype == object and different == count >= KEY_ROWS,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)
