"""What the columns of a table hold, decided over all of its rows, and their conversion.

A feature is a number (booleans are 0 and 1) or text, as `trainer.datasets.tables` reads them;
NaN where a value is missing. Of CSV, a column is a number if its cells are, over all files.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from trainer.datasets.tables import LARGEST, MISSING, MISSING_LABELS, quote
from trainer.datasets.toy import two_classes
from trainer.sources.batches import Part, import_arrow

Array = npt.NDArray[Any]

NUMBERS_PER_MISFIT = 9
"""A column of CSV with more numbers than this for each other word is one of numbers, and the
word an error; with fewer, it is text."""

MAX_LABELS = 100_000
"""Different labels, and no more, of which one is told from the rest."""

MAX_CLASSES = 50
"""Different whole numbers in a target that are classes of their own."""


class Columns:
    """The types of some columns, from declarations and, for CSV, from all cells.

    Parameters
    ----------
    parts : list of Part
        The table.
    names : list of str
        Its features.
    text : collection of str
        Columns that are text whatever they hold.
    """

    def __init__(self, parts: list[Part], names: list[str], text: Iterable[str]) -> None:
        self.text = set(text)
        self.names = names
        self.counts: dict[str, Counter[str]] = {name: Counter() for name in names}
        self.misfits: dict[str, tuple[Part, int, str]] = {}
        self.kinds: dict[str, str] = {}
        for name in names:
            declared: dict[str, Part] = {}
            for part in parts:
                if not part.is_text and (kind := _kind(part.schema.field(name).type)):
                    declared.setdefault("number" if kind == "boolean" else kind, part)
            if len(declared) > 1 and name not in self.text:
                (a, first), (b, second) = list(declared.items())[:2]
                raise ValueError(
                    f"column {quote(name)} must be of one type in all files, got {a} in "
                    f"{first.name} and {b} in {second.name}; convert it, or read it as text: "
                    f"text=[{name!r}]"
                )
            self.kinds[name] = "text" if name in self.text else next(iter(declared), "")
        self.undecided = [name for name in names if not self.kinds[name]]

    def observe(self, part: Part, batch: Any, first_row: int) -> None:
        """Count what the cells of columns without a declared type are."""
        if not part.is_text:
            return
        for name in self.undecided:
            column = batch.column(name)
            numbers, misfits = _to_numbers(column, part.decimal_comma)
            counts = self.counts[name]
            if misfits is None:
                counts["number"] += int(np.count_nonzero(~np.isnan(numbers)))
                continue
            counts["number"] += int((~np.isnan(numbers)).sum())
            words = _cells(column, MISSING).filter(import_arrow().array(misfits))
            found = Counter(
                {
                    entry["values"]: entry["counts"]
                    for entry in import_arrow().compute.value_counts(words).to_pylist()
                }
            )
            n_boolean = sum(n for word, n in found.items() if word.lower() in ("true", "false"))
            counts["boolean"] += n_boolean
            counts["text"] += found.total() - n_boolean
            if name not in self.misfits:
                row = int(misfits.argmax())
                self.misfits[name] = part, first_row + row, str(column[row].as_py())

    def add(self, other: "Columns") -> None:
        """Add what was counted in other parts."""
        for name in self.names:
            self.counts[name] += other.counts[name]
        self.misfits = other.misfits | self.misfits

    def decide(self) -> None:
        """Settle the types that only the cells tell."""
        for name in self.undecided:
            counts = self.counts[name]
            others = counts["boolean"] + counts["text"]
            if not others:
                self.kinds[name] = "number"
            elif counts["boolean"] and counts["boolean"] == counts.total():
                self.kinds[name] = "boolean"
            elif counts["number"] > NUMBERS_PER_MISFIT * others:
                part, row, word = self.misfits[name]
                raise ValueError(
                    f"column {quote(name)} holds numbers, got {quote(word)} in {part.line(row)} "
                    f"of {part.name}; correct it, leave the cell empty, or read the column as "
                    f"text: text=[{name!r}]"
                )
            else:
                self.kinds[name] = "text"

    def frame(self, part: Part, batch: Any, rows: Any, names: list[str]) -> pd.DataFrame:
        """Features as a frame of float64, and objects that are strings or NaN.

        Messages need `rows`, the number of each row in its part.
        """
        return pd.DataFrame(
            {name: self._converted(part, batch.column(name), name, rows) for name in names}
        )

    def _converted(self, part: Part, column: Any, name: str, rows: Any) -> Any:
        kind = self.kinds[name]
        if kind not in (
            "number",
            "boolean",
            "number or boolean",
            "text",
        ):  # dates and such; `split_table` drops them
            return pd.Series(np.full(len(column), pd.Timestamp(0)), dtype=object)
        if kind == "text":
            return pd.Series(_to_objects(_cells(column, MISSING)), dtype=object)
        if kind == "boolean":
            lut = {"true": 1.0, "false": 0.0, None: np.nan}
            words, index = _encoded(_cells(column, MISSING))
            return np.array([lut.get(word and word.lower(), np.inf) for word in words])[index]
        numbers, misfits = _to_numbers(column, part.decimal_comma)
        if misfits is not None and kind == "number or boolean":
            words, index = _encoded(_cells(column, MISSING))
            is_true = np.array([word is not None and word.lower() == "true" for word in words])
            is_false = np.array([word is not None and word.lower() == "false" for word in words])
            numbers = np.where(is_true[index], 1.0, np.where(is_false[index], 0.0, numbers))
            misfits = misfits & ~(is_true | is_false)[index]
        if misfits is not None and misfits.any():
            row = int(misfits.argmax())
            raise ValueError(
                f"column {quote(name)} holds numbers, got {quote(column[row].as_py())} in "
                f"{part.line(rows[row])} of {part.name}; correct it or leave the cell empty"
            )
        huge = (numbers > LARGEST) | (numbers < -LARGEST)
        if huge.any():
            row = int(huge.argmax())
            raise ValueError(
                f"numbers must be finite and at most {LARGEST:g} in size, got {numbers[row]:g} in "
                f"{part.line(rows[row])} of {part.name}, column {quote(name)}; correct it or "
                "leave the cell empty"
            )
        return numbers


class Labels:
    """The labels of a target column, and their classes.

    Attributes
    ----------
    totals : dict
        Rows with weight of each label, as found.
    n_missing : int
        Rows without a label.
    classes : ndarray of shape (n_classes,)
        The classes, in order; set by `decide`.
    positive : object or None
        The class told from the rest, where one is.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.totals: Counter[Any] = Counter()
        self.n_missing = 0
        self.is_text = False
        self.classes: Array = np.empty(0)
        self.positive: Any = None
        self._code_of: dict[Any, int] = {}

    def observe(self, part: Part, batch: Any, weight: Array | None) -> Array:
        """Count the labels of a batch; a mask of the rows that have one."""
        self.is_text |= part.is_text
        labels, index = self._encoded(part, batch)
        counts = np.bincount(index, weights=weight, minlength=len(labels))
        self.n_missing += int(np.count_nonzero(index == len(labels) - 1))
        for label, count in zip(labels[:-1], counts.tolist(), strict=False):
            self.totals[label] += count
        if len(self.totals) > MAX_LABELS:
            raise ValueError(
                f"target column {quote(self.target)} must hold classes, got more than "
                f"{MAX_LABELS} different values; choose a column of classes"
            )
        has_label: Array = index < len(labels) - 1
        return has_label

    def add(self, other: "Labels") -> None:
        """Add what was counted in other parts."""
        self.totals.update(other.totals)  # += would drop labels of weight 0
        self.n_missing += other.n_missing
        self.is_text |= other.is_text

    def decide(self, positive: Any, is_binary: bool = False) -> None:
        """The classes: of labels, or of one of them and all others."""
        what = f"target column {quote(self.target)}"
        found = [label for label, total in self.totals.items() if total > 0]
        if not found:
            raise ValueError(f"{what} must hold labels, got no row with one; choose another target")
        value_of = _values(found, self.is_text, what)
        values = np.array(sorted(set(value_of.values())))
        if len(values) < 2:
            raise ValueError(
                f"{what} must hold two classes or more, got {quote(values[0])} in all rows; choose "
                "another target or add rows"
            )
        if positive is None and values.dtype.kind in "iu" and len(values) > MAX_CLASSES:
            raise ValueError(
                f"{what} must hold classes, got {len(values)} different numbers, as a continuous "
                "one does; choose a column of classes, or say which number against the rest: "
                "positive"
            )
        if positive is not None or is_binary:
            renamed, self.positive = two_classes(np.repeat(values, 2), positive, what)
            names = dict(zip(values.tolist(), renamed[::2].tolist(), strict=True))
            value_of = {label: names[value] for label, value in value_of.items()}
            values = np.array(sorted(set(value_of.values())))
        self.classes = values
        codes = {value: code for code, value in enumerate(values.tolist())}
        self._code_of = {label: codes[value] for label, value in value_of.items()}

    @property
    def class_totals(self) -> Array:
        """Weight of the rows of each class."""
        totals = np.zeros(len(self.classes))
        for label, code in self._code_of.items():
            totals[code] += self.totals[label]
        return totals

    def codes(self, part: Part, batch: Any) -> Array:
        """The number of each row's class; -1 for none."""
        labels, index = self._encoded(part, batch)
        for label in labels[:-1]:
            if label not in self._code_of and label not in self.totals:
                raise ValueError(
                    f"{part.name} must give the same rows in every pass, got the label "
                    f"{quote(label)} in the second one alone"
                )
        # a label whose rows have no weight is no class: its rows count as class 0, with weight 0
        lut = np.array([self._code_of.get(label, 0) for label in labels], dtype=np.int32)
        lut[-1] = -1
        codes: Array = lut[index]
        return codes

    def _encoded(self, part: Part, batch: Any) -> tuple[list[Any], Array]:
        """The different labels, None as the last one, and which of them each row has."""
        column = batch.column(self.target)
        kind = _kind(column.type)
        if kind not in ("number", "boolean", "text", None):
            raise ValueError(
                f"target column {quote(self.target)} of {part.name} must hold numbers or text, "
                f"got {column.type}; choose another target"
            )
        if kind == "text":
            column = _cells(column, MISSING_LABELS)
        elif kind == "number":
            pa = import_arrow()
            column = pa.compute.cast(column, pa.float64(), safe=False)
            column = pa.compute.if_else(pa.compute.is_nan(column), None, column)
        return _encoded(column)


def _values(labels: list[Any], is_text: bool, what: str) -> dict[Any, Any]:
    """What labels stand for: CSV's words that are all numbers are numbers."""
    values: list[Any] = labels
    if is_text and all(isinstance(label, str) for label in labels):
        if {label.lower() for label in labels} <= {"true", "false"}:
            values = [label.lower() == "true" for label in labels]
        else:
            numbers = pd.to_numeric(pd.Series(labels, dtype=object), errors="coerce")
            if numbers.notna().all():
                values = numbers.astype(float).tolist()
    if all(isinstance(value, float) for value in values):
        for value in values:
            if value % 1 != 0 or abs(value) >= 2**53:
                raise ValueError(
                    f"{what} must hold classes, got continuous numbers such as {value:g}; choose a "
                    "column of classes"
                )
        values = [int(value) for value in values]
    if len({type(value) for value in values}) > 1:
        raise ValueError(f"{what} must be of one type in all files; convert it")
    return dict(zip(labels, values, strict=True))


def to_weights(part: Part, batch: Any, name: str, first_row: int) -> Array:
    """The weights of a batch's rows."""
    numbers, misfits = _to_numbers(batch.column(name), part.decimal_comma)
    wrong = ~(np.isfinite(numbers) & (numbers >= 0))
    if misfits is not None or wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"weights must be numbers >= 0, got {quote(batch.column(name)[row].as_py())} in "
            f"{part.line(first_row + row)} of {part.name}, column {quote(name)}; correct it"
        )
    return numbers


def _kind(kind: Any) -> str | None:
    """The kind of a declared type; None for a column of nulls."""
    types = import_arrow().types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_null(kind):
        return None
    if types.is_boolean(kind):
        return "boolean"
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "text"
    return str(kind)


def _cells(column: Any, missing: list[str]) -> Any:
    """Text without spaces around it; null where that leaves a word for missing."""
    pa = import_arrow()
    if not pa.types.is_string(column.type):
        column = pa.compute.cast(column, pa.string())
    text = pa.compute.utf8_trim_whitespace(column)
    is_missing = pa.compute.is_in(text, value_set=pa.array(missing))
    return pa.compute.if_else(is_missing, None, text)


def _to_numbers(column: Any, decimal_comma: bool) -> tuple[Array, Array | None]:
    """float64 with NaN for what is missing, and a mask of the cells that are no numbers, if any."""
    pa = import_arrow()
    if pa.types.is_boolean(column.type):
        column = pa.compute.cast(column, pa.uint8())
    if _kind(column.type) != "text":
        return _to_floats(pa.compute.cast(column, pa.float64(), safe=False)), None
    try:
        return _to_floats(pa.compute.cast(column, pa.float64())), None
    except pa.ArrowInvalid:
        pass
    cells = _cells(column, MISSING)
    if decimal_comma:
        cells = pa.compute.replace_substring(cells, ",", ".")
    try:
        return _to_floats(pa.compute.cast(cells, pa.float64())), None
    except pa.ArrowInvalid:  # pandas takes a few more forms, and says which cells are no numbers
        words, index = _encoded(cells)
        values = pd.to_numeric(pd.Series(words, dtype=object), errors="coerce").to_numpy(float)
        numbers = values[index]
        misfits = np.isnan(numbers) & (index < len(words) - 1)
        return numbers, misfits if misfits.any() else None


def _to_floats(column: Any) -> Array:
    floats: Array = column.to_numpy(zero_copy_only=False)
    return floats


def _encoded(column: Any) -> tuple[list[Any], Array]:
    """The different values, None as the last one, and the number of each row's."""
    encoded = column.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    index = encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    return [*values, None], index


def _to_objects(column: Any) -> Array:
    values, index = _encoded(column)
    values[-1] = np.nan
    return np.array(values, dtype=object)[index]
