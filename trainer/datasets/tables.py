"""Tables from CSV and Parquet files, gzipped or not.

Anything that cannot be used for training raises a one-line ValueError, which states the rule,
what was found, and what to do.
"""

import codecs
import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from trainer.datasets.files import LARGEST_FILE, read_content
from trainer.datasets.text import nearest, quote, short_path

# pandas is imported on use, so that a missing file is reported without waiting for it.
if TYPE_CHECKING:
    import pandas as pd

# Usual words for missing values; empty cells and surrounding spaces are handled separately.
MISSING = ["", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None"]
# In the target only these mean missing, because None and null may be classes.
MISSING_LABELS = ["", "?", "NA", "NaN", "nan"]
DELIMITERS = ",;\t|"
# Larger numbers overflow when they are squared and summed.
LARGEST = 1e100
LARGEST_TABLE = 10**8
"""Maximum rows times columns: 800 MB of numbers, which training copies."""
LONGEST_HEADER = 2**24
"""Maximum number of characters in the first line of a CSV file."""
LONGEST_LABEL = 100
"""Maximum number of characters in a class: NumPy would pad all labels to a longer one."""
MOST_CLASSES = 50
"""A target with more distinct integers than this, or than half its rows, is continuous."""
# With at least this many rows, text that differs in every row is considered names or keys.
KEY_ROWS = 20
MAX_ODD = 0.05
"""Largest fraction of non-empty cells in a numeric column that may be no numbers, and are then
treated as missing. A column with more of them is text."""


def read_table(path: str | Path, target: str | None = None) -> "tuple[pd.DataFrame, list[str]]":
    """Read a CSV or Parquet file, gzipped or not, and note changes to its cells.

    The delimiter of a CSV file is the one of comma, semicolon, tab and | that is most frequent in
    the first line, or the one named by a preceding line such as "sep=;". Spaces around cells are
    removed; empty cells, "?" and the usual words for missing values become NaN. In a column of
    numbers, up to one non-empty cell in twenty may be something else: it becomes NaN, with a
    note.

    Parameters
    ----------
    path : path
        The file; its format is detected from its content, not from its name.
    target : str, optional
        A column in which None, null and N/A are labels, not missing values, and in which no cell
        is replaced.

    Returns
    -------
    table : DataFrame
        One column for each column of the file, under the same name.
    notes : list of str
        Non-numeric cells that were treated as missing, or that made a column text.

    Raises
    ------
    ValueError
        If the file does not exist, is empty, is not a table with distinct column names, or
        contains more than 1 GiB uncompressed or 10^8 cells.
    """
    path = Path(path)
    content, name = read_content(path), short_path(path.name)
    notes: list[str] = []
    if content.startswith(b"PAR1"):
        table = _read_parquet(content, name)
    elif path.suffix in {".parquet", ".pq"}:
        raise ValueError(f"{name} is not a Parquet file; save the table again, or as CSV")
    else:
        table, notes = _read_csv(content, name, target)
    if table.empty:
        raise ValueError(f"{name} has no rows, only a header; add rows to train on")
    return table, notes


def split_table(
    table: "pd.DataFrame", target: str, name: str, notes: Iterable[str] = ()
) -> "tuple[pd.DataFrame, pd.Series, list[str]]":
    """Split a table into features, labels, and notes on what was dropped.

    Features are float64, or objects that are strings or NaN; labels are unchanged, and rows
    without a label are dropped. `name` is the name of the table in messages; `notes` are placed
    before the new ones. A ValueError is raised if the target does not exist, if a number is
    infinite or above 1e100, or if there is no usable feature.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"dose": [1, 2, 3], "cured": ["no", "yes", None]})
    >>> X, labels, notes = split_table(table, "cured", "trial.csv")
    >>> list(labels), notes
    (['no', 'yes'], ['1 of 3 rows dropped: no value in the target column "cured"'])
    """
    import pandas as pd

    _refuse_unknown(target, table.columns, name)
    # Missing labels are dropped first, so that they do not turn a label True into 1.0.
    labels = tidy(table[target].dropna(), MISSING_LABELS)
    if labels is None or labels.isna().all():
        found = "no values" if labels is not None else f"values of type {table[target].dtype}"
        raise ValueError(
            f"target column {quote(target)} of {name} must hold numbers or text, got {found}; "
            "choose another target"
        )
    _refuse_huge(labels, name)
    labels = labels.dropna()
    if labels.dtype == object and (longest := max(map(len, labels))) > LONGEST_LABEL:
        raise ValueError(
            f"target column {quote(target)} of {name} must hold classes, of at most "
            f"{LONGEST_LABEL} characters, got a text of {longest}; choose another target"
        )
    notes = [*notes]
    if missing := len(table) - len(labels):
        notes.append(
            f"{missing} of {len(table)} rows dropped: no value in the target column {quote(target)}"
        )
    features, dropped = {}, {}
    for column, cells in (table.loc[labels.index] if missing else table).items():
        if column == target:
            continue
        values = tidy(cells)
        if values is None:
            dropped[column] = "neither numbers nor text"
            continue
        _refuse_huge(values, name)
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
            + (f" ({'; '.join(notes)})" if notes else "")
            + "; add a column of numbers or text that varies"
        )
    # the index still tells each row's place in the table, of which rows may have been dropped
    return pd.DataFrame(features, index=labels.index), labels, notes


def _read_csv(content: bytes, name: str, target: str | None) -> "tuple[pd.DataFrame, list[str]]":
    content, marks, n_before = _from_the_header(content)
    if not content.strip():
        raise ValueError(f"{name} is empty; a table has a header and rows")
    if b"\0" in content or not _is_utf8(content):
        raise ValueError(f"{name} is not a table, nor text in UTF-8; save it as CSV in UTF-8")
    delimiter, header = header_of(content, marks, name)
    if target is not None:
        _refuse_unknown(target, header, name)
    # Rows may be shorter than the header: 100 kB of names could need 80 GB of NaN.
    _refuse_large(max(content.count(b"\n"), content.count(b"\r")), len(header), name)
    words = {
        place: MISSING_LABELS if column == target else MISSING
        for place, column in enumerate(header)
    }
    table = _parse_csv(content, delimiter, words, name)
    columns, notes = {}, []
    for place, column in enumerate(header):
        if not column and not table[place].notna().any():
            continue  # from a delimiter at the end of the line
        values = _numbers_if_all_are(table[place], words[place], delimiter == ";")
        if column != target and values.dtype == object:
            values, odd = _numbers_but_for_odd(values, delimiter == ";")
            if odd is not None:
                line = n_before + _line(int(odd.index[0]), content, delimiter)
                notes.append(_tell_odd(column, values, odd, line))
        columns[column] = values
    import pandas as pd

    return pd.DataFrame(columns), notes


def _from_the_header(content: bytes) -> tuple[bytes, str, int]:
    """The text from its header on, possible delimiters, and the number of lines before it."""
    rest = content.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n")
    marks = DELIMITERS
    if named := re.match(rb'"?sep=([,;\t|])"?\s*?(\r?\n[\r\n]*|$)', rest):  # by spreadsheets
        marks, rest = named[1].decode(), rest[named.end() :]
    return rest, marks, content[: len(content) - len(rest)].count(b"\n")


def line_numbers(path: str | Path) -> list[int] | None:
    """Lines of a CSV file, as in an editor, in which its rows end; None where they are unknown."""
    content = read_content(Path(path))
    if content.startswith(b"PAR1"):
        return None
    content, marks, n_before = _from_the_header(content)
    delimiter, _ = header_of(content, marks, Path(path).name)
    try:
        return [n_before + line for line in _lines(content, delimiter)][1:]
    except csv.Error:  # a cell is too long for csv
        return None


def header_of(content: bytes, marks: str, name: str) -> tuple[str, list[str]]:
    """The most frequent delimiter of the first line, and the cells of this line."""
    headers, failed = {}, None
    for mark in marks:
        try:
            headers[mark] = [cell.strip() for cell in next(_rows(content, mark), [""])]
        except csv.Error as error:  # without its delimiter, a long line is one cell too long
            failed = error
    if not headers:
        raise ValueError(f"{name} is not a table: {failed}; correct it there")
    delimiter = max(headers, key=lambda mark: len(headers[mark]))
    header = headers[delimiter]
    if len(header) == 1:
        raise ValueError(
            f"{name} is not a table: no comma, semicolon, tab or | in its first line, so no "
            "feature beside a target; save it as CSV or Parquet"
        )
    refuse_duplicates([column for column in header if column], name)
    return delimiter, header


def _parse_csv(
    content: bytes, delimiter: str, words: dict[int, list[str]], name: str
) -> "pd.DataFrame":
    import pandas as pd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                io.BytesIO(content),
                sep=delimiter,
                header=0,
                names=range(len(words)),
                index_col=False,
                skipinitialspace=True,
                keep_default_na=False,
                na_values=cast(Any, words),
                low_memory=False,
            )
    except pd.errors.ParserError as error:
        reason = " ".join(str(error).split()).removeprefix("Error tokenizing data. C error: ")
        raise ValueError(f"{name} is not a table: {reason}; correct it there") from None
    except pd.errors.ParserWarning:
        raise ValueError(
            f"{name} is not a table: rows have more cells than the header; name every column"
        ) from None


def _is_utf8(content: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(content)
    try:
        for start in range(0, len(view), 2**20):
            decoder.decode(view[start : start + 2**20])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _rows(content: bytes, delimiter: str) -> Any:
    """The cells of each line, unchanged: pandas would rename duplicate columns."""
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8", newline="")

    def lines() -> Iterator[str]:
        while line := text.readline(LONGEST_HEADER):
            if len(line) == LONGEST_HEADER:
                raise csv.Error(f"a line is longer than {LONGEST_HEADER} characters")
            yield line

    return csv.reader(lines(), delimiter=delimiter, skipinitialspace=True)


def _numbers_if_all_are(
    values: "pd.Series", missing: list[str], decimal_comma: bool
) -> "pd.Series":
    """Convert to numbers if spaces or decimal commas kept pandas from recognising them."""
    from pandas.api import types

    if values.dtype.kind in "biuf" or types.infer_dtype(values, skipna=True) != "string":
        return values
    text = _strip(values, missing)
    numbers = _to_numbers(text, decimal_comma)
    return numbers if numbers.notna().equals(text.notna()) else text


def _numbers_but_for_odd(
    text: "pd.Series", decimal_comma: bool
) -> "tuple[pd.Series, pd.Series | None]":
    """A text column as numbers if nearly all cells are, and the cells that are not, if few."""
    from pandas.api import types

    if types.infer_dtype(text, skipna=True) != "string":
        return text, None
    numbers = _to_numbers(text, decimal_comma)
    odd = text[text.notna() & numbers.isna()]
    if len(odd) <= MAX_ODD * text.count():
        return numbers, odd
    return text, odd if len(odd) <= text.count() / 2 else None


def _to_numbers(text: "pd.Series", decimal_comma: bool) -> "pd.Series":
    import pandas as pd

    text = text.str.replace(",", ".") if decimal_comma else text
    return pd.to_numeric(text, errors="coerce")


def _line(row: int, content: bytes, delimiter: str) -> int:
    """Line number, as in an editor, of a row of the table."""
    try:
        return next(islice(_lines(content, delimiter), row + 1, None))
    except (csv.Error, StopIteration):  # a cell before it is too long for csv
        return row + 2


def _lines(content: bytes, delimiter: str) -> Iterator[int]:
    """Lines in which the header and the rows end."""
    reader = _rows(content, delimiter)
    return (reader.line_num for cells in reader if len(cells) > 1 or "".join(cells).strip())


def _tell_odd(column: str, values: "pd.Series", odd: "pd.Series", line: int) -> str:
    """A note on the effect of the non-numeric cells of a column."""
    cells = "1 cell" if len(odd) == 1 else f"{len(odd)} cells"
    example = f"such as {quote(odd.iloc[0])} in line {line}"
    if values.dtype == object:
        became = f"column {quote(column)} became text because of {cells} of {values.count()}"
        return f"{became} that are no numbers, {example}"
    return f"{cells} of column {quote(column)} taken as missing among numbers, {example}"


def _read_parquet(content: bytes, name: str) -> "pd.DataFrame":
    import pandas as pd

    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise ValueError(
            f"{name} is a Parquet file, which needs pyarrow: "
            'pip install "logistic-neuron-trainer[parquet]"'
        ) from None

    try:
        described = parquet.read_metadata(pa.BufferReader(content))
        schema = described.schema.to_arrow_schema()
        chunks = [
            described.row_group(i).column(j)
            for i in range(described.num_row_groups)
            for j in range(described.num_columns)
        ]
        n_cells = max(
            sum(chunk.num_values for chunk in chunks), described.num_rows * described.num_columns
        )
        n_bytes = sum(chunk.total_uncompressed_size for chunk in chunks)
    except Exception as error:  # an untrusted file can be wrong in any way
        raise ValueError(f"{name} is damaged Parquet ({quote(error)}); make it again") from None
    columns = [column.strip() for column in schema.names]
    refuse_duplicates(columns, name)
    _refuse_large(n_cells, 1, name, n_bytes)
    try:
        # Text stays dictionary-encoded: a long word in every row is stored once.
        text = [field.name for field in schema if field.type in (pa.string(), pa.large_string())]
        table = parquet.read_table(pa.BufferReader(content), read_dictionary=text)
        table.validate(full=True)
        # Only names and types are used: the metadata written by pandas may be wrong.
        frame = table.to_pandas(ignore_metadata=True)
    except Exception as error:
        raise ValueError(f"{name} is damaged Parquet ({quote(error)}); make it again") from None
    frame.columns = pd.Index(columns)
    unnamed = [column for column in columns if re.fullmatch(r"__index_level_\d+__", column)]
    return frame.drop(columns=unnamed)


def _refuse_large(rows: int, columns: int, name: str, n_bytes: int = 0) -> None:
    if rows * columns > LARGEST_TABLE or n_bytes > LARGEST_FILE:
        size = f"{n_bytes} bytes" if n_bytes > LARGEST_FILE else f"{rows * columns} cells"
        raise ValueError(
            f"{name} is too large: a table may have {LARGEST_TABLE} cells and {LARGEST_FILE} "
            f"bytes, got {size}; train on a part of its rows or columns"
        )


def _refuse_unknown(target: str, columns: Iterable[str], name: str) -> None:
    if target not in columns:
        raise ValueError(
            f"target column {quote(target)} is not in {name}; {nearest(target, columns)}"
        )


def refuse_duplicates(columns: list[str], name: str) -> None:
    """Raise ValueError if two columns of the table have one name."""
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise ValueError(
            f"column names must differ, got {quote(twice[0])} more than once in {name}; "
            "rename all but one"
        )


def _refuse_huge(values: "pd.Series", name: str) -> None:
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


def _strip(values: "pd.Series", missing: list[str]) -> "pd.Series":
    """Text without surrounding spaces, with NaN for words that mean missing."""
    import numpy as np
    import pandas as pd

    codes, words = pd.factorize(values)  # each distinct word is processed once
    stripped = pd.Series(np.asarray(words, dtype=object), dtype=object).str.strip()
    known = stripped.where(~stripped.isin(missing)).to_numpy(object)
    cells = np.append(known, np.nan)[codes]  # code -1 is a missing cell
    return pd.Series(cells, index=values.index, name=values.name, dtype=object)


def tidy(values: "pd.Series", missing: list[str] = MISSING) -> "pd.Series | None":
    """Turn a column into numbers, booleans, or strings and NaN; into None if it is neither."""
    import numpy as np
    import pandas as pd
    from pandas.api import types

    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "biuf":
        return values
    if isinstance(values.dtype, pd.CategoricalDtype):
        # Not by astype: Arrow's strings would store a long word again in every row.
        words: Any = [*values.cat.categories, None]  # code -1 is a missing cell
        cells = np.array(words, dtype=object)[values.cat.codes]
        values = pd.Series(cells, index=values.index, name=values.name, dtype=object)
    kind = types.infer_dtype(values, skipna=True)
    if kind == "string":
        return _strip(values, missing)
    if kind == "empty":
        return values.astype(float)
    if kind == "boolean":
        return values.astype(float if values.isna().any() else bool)
    if kind in {"integer", "floating", "mixed-integer-float", "integer-na", "decimal"}:
        return _floats(values) if values.isna().any() or values.dtype == object else values
    return None


def _floats(values: "pd.Series") -> "pd.Series":
    try:
        return values.astype(float)
    except OverflowError:  # integers too large for a float

        def nearest_float(value: Any) -> float:
            try:
                return float(value)
            except OverflowError:
                return float("inf") if value > 0 else float("-inf")

        return values.map(nearest_float, na_action="ignore").astype(float)


def _why_useless(column: str, values: "pd.Series") -> str | None:
    """The reason why a feature is useless, or None."""
    if values.dtype != object:  # a fast path: a file may have 100 000 such columns
        numbers = values.to_numpy(float)
        numbers = numbers[numbers == numbers]
        count, different = len(numbers), 1 if (numbers == numbers[:1]).all() else 2
    else:
        count, different = values.count(), values.nunique()
    reasons = {
        "no name in the header": not column,
        "no values": count == 0,
        "the same value in every row": different == 1 and count == len(values),
        "a different text in every row": values.dtype == object and different == count >= KEY_ROWS,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)
