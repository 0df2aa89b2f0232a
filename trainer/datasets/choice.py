"""Choice of the target column of a table if none was given."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trainer.datasets.tables import MISSING_LABELS, MOST_CLASSES, tidy
from trainer.datasets.text import quote

if TYPE_CHECKING:
    import pandas as pd

MOST_SHOWN = 8
"""Maximum number of columns that a message names."""
USUAL_NAMES = {"target", "class", "label", "y"}
"""Usual names of a target column, compared without regard to case."""


class ArgumentsNeededError(ValueError):
    """The target must be named, or which of its classes is the positive one.

    Attributes
    ----------
    arguments : sequence of str
        Arguments to add on the command line, such as ["--target", "income"]; empty if no column is
        suitable.
    """

    def __init__(self, message: str, arguments: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.arguments = arguments


def choose_target(table: "pd.DataFrame", positive: Any, name: str) -> tuple[str, str]:
    """Choose the target if only one column is an obvious choice.

    Parameters
    ----------
    table : DataFrame
        As returned by `read_table`.
    positive : object
        A class that the target must contain, or None.
    name : str
        Name of the table in messages.

    Returns
    -------
    target, why : str
        The column, and a note that states the choice.

    Raises
    ------
    ArgumentsNeededError
        If there is no such column, or more than one.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"dose": [1.5, 2.5, 3, 4], "cured": ["no", "yes", "no", "yes"]})
    >>> choose_target(table, None, "trial.csv")[0]
    'cured'
    """
    import numpy as np

    known: Any
    counts: Any
    classes: dict[str, list[Any]] = {}
    for column in filter(None, table.columns):
        # Columns of more than two numbers are usually measurements, unless a class was given.
        labels = tidy(table[column], MISSING_LABELS)
        if labels is None:
            continue
        numeric = labels.dtype != object
        if numeric:  # a fast path: a file may have 100 000 such columns
            cells = labels.to_numpy(float)
            known, counts = np.unique(cells[cells == cells], return_counts=True)
        else:
            rows = labels.value_counts().sort_index()
            known, counts = rows.index.to_numpy(), rows.to_numpy(int)
        most = 2 if numeric and positive is None else max(2, min(MOST_CLASSES, len(labels) / 2))
        if 2 <= len(known) <= most and counts.min() > 1:
            known = known.tolist()
            if positive is None or same_label(positive, known):
                classes[column] = known
    plain = [c for c in classes if len(classes[c]) == 2 or positive is not None]
    usual = [c for c in plain if c.lower() in USUAL_NAMES]
    if len(usual) == 1:
        return usual[0], f"no target given: column {quote(usual[0])} is taken, for its name"
    if len(plain) == len(classes) == 1:
        why = "the only one of classes" if positive is None else f"which holds {quote(positive)}"
        return plain[0], f"no target given: column {quote(plain[0])} is taken, {why}"
    raise _needed([*table.columns], classes, positive, name)


def _needed(
    columns: list[str], classes: dict[str, list[Any]], positive: Any, name: str
) -> ArgumentsNeededError:
    shown = list(classes or columns)[-MOST_SHOWN:]
    names = ", ".join(
        f"{quote(c)} ({len(classes[c])} classes)" if c in classes else quote(c) for c in shown
    )
    more = "..., " if len(classes or columns) > MOST_SHOWN else ""
    holding = f" that holds {quote(positive)}" if positive is not None else ""
    some = "one column of more than two classes" if len(classes) == 1 else "columns of classes"
    found = some if classes else "no column of classes"
    arguments = []
    if classes:  # the target is usually last; with many classes, one is compared with the rest
        best = next((c for c in reversed(shown) if len(classes[c]) == 2), shown[-1])
        arguments = ["--target", best]
        if positive is None and len(classes[best]) > 2:
            arguments += ["--positive", str(classes[best][-1])]
    return ArgumentsNeededError(
        f"no target given for {name}, which has {found}{holding}; "
        f"name it as target, one of {more}{names}",
        arguments,
    )


def same_label(label: Any, known: list[Any]) -> list[int]:
    """Positions of a label among others: by its text, or else by its value, as 01 and 1.0 are 1.

    Examples
    --------
    >>> same_label("1.0", [0, 1])
    [1]
    """
    text = str(label).strip()
    return [place for place, other in enumerate(known) if str(other) == text] or [
        place for place, other in enumerate(known) if _value(other) == _value(label)
    ]


def _value(label: Any) -> Any:
    """The number that a label represents, as 1.0, 01 and True do, or else its text."""
    text = str(label).strip()
    try:
        return float({"true": "1", "false": "0"}.get(text.lower(), text))
    except ValueError:
        return text
