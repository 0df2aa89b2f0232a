"""Names and cells of a table for messages: on one line, short, and without control characters."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

# Names beyond these are not compared: a close match among 100 000 takes a minute.
MOST_COMPARED = 2000
MOST_NAMED = 10
"""Maximum number of names that a message lists."""
SIMILAR = 0.5
"""Similarity of two names, from 0 to 1, from which one may be a mistake for the other."""


def visible(value: Any) -> str:
    r"""Text on one line, with escapes for characters that are not printable.

    Runs of white space become one space. Control characters, which could move a terminal's
    cursor or set its colours, and marks that change the writing direction are escaped.

    Examples
    --------
    >>> print(visible("two\nlines, \x1b[31mred"))
    two lines, \x1b[31mred
    """
    text = " ".join(str(value).split())
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def quote(value: Any) -> str:
    r"""Format a value for a message: quoted, on one line, and shortened.

    Examples
    --------
    >>> quote("two\nlines")
    '"two lines"'
    """
    text = visible(str(value)[:300])
    return f'"{text}"' if len(text) <= 60 else f'"{text[:57]}..."'


def short_path(path: Any) -> str:
    """Format a path for a message: only its end if it is long.

    Examples
    --------
    >>> len(short_path("folder/" * 1000 + "table.csv"))
    80
    """
    text = visible(path)
    return text if len(text) <= 80 else f"...{text[-77:]}"


def nearest(value: Any, among: Iterable[Any]) -> str:
    """A hint with the name most similar to a mistaken one, or the first names if none is similar.

    Case does not count.

    Examples
    --------
    >>> nearest("incme", ["age", "income"])
    'the nearest is "income"'
    >>> nearest("colour", ["age", "income"])
    'choose from "age", "income"'
    """
    names = list(map(str, among))
    if not names:
        return "there is none"
    if len(names) > MOST_COMPARED:
        return f"there are {len(names)} others, such as {quote(names[0])}"
    if best := similar(value, names):
        return f"the nearest is {quote(best)}"
    shown = ", ".join(map(quote, names[:MOST_NAMED]))
    return f"choose from {shown}{', ...' if len(names) > MOST_NAMED else ''}"


def similar(value: Any, among: Iterable[Any]) -> str | None:
    """The name most similar to a mistaken one; None if none is, or if there are very many.

    Examples
    --------
    >>> similar("incme", ["age", "income"])
    'income'
    """
    names = {str(name)[:100].lower(): str(name) for name in among}
    if len(names) > MOST_COMPARED:
        return None
    best = get_close_matches(str(value)[:100].lower(), names, n=1, cutoff=SIMILAR)
    return names[best[0]] if best else None
