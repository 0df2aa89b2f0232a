"""Data sets of two classes: scikit-learn's toy data sets by name, tables by path."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import datasets as toy

from trainer.datasets.tables import nearest, quote, read_table, split_table

# Different integers that a target may hold, and in half as many rows, before it is continuous.
MAX_INTEGERS = 50


@dataclass(frozen=True)
class Dataset:
    """Rows to train on, of two classes.

    Parameters
    ----------
    name : str
        The set's name, or a file's without its endings.
    description : str
        One line: what the rows are, and what is to be told apart.
    X : DataFrame
        Features as found: numbers, and text; NaN where a value is missing.
    y : ndarray
        Labels, of exactly two different values. Of more than two classes, one against
        the rest: "virginica" and "not virginica".
    positive : object
        The label whose probability is reported.
    notes : tuple of str
        What was dropped, and why.
    """

    name: str
    description: str
    X: pd.DataFrame
    y: npt.NDArray[Any]
    positive: Any
    notes: tuple[str, ...] = ()


_Toy: TypeAlias = tuple[str, str, Callable[..., Any]]  # description, positive class, loader

# These bring names of features and classes.
_LOADED: dict[str, _Toy] = {
    "breast_cancer": (
        "569 tumours, 30 measurements of cell nuclei: malignant or benign",
        "malignant",
        toy.load_breast_cancer,
    ),
    "iris": (
        "150 irises, 4 measurements: virginica against the rest (setosa, versicolor)",
        "virginica",
        toy.load_iris,
    ),
    "wine": (
        "178 wines, 13 measurements: cultivar class_0 against the rest (class_1, class_2)",
        "class_0",
        toy.load_wine,
    ),
    "digits": (
        "1797 handwritten digits, 8 x 8 pixels: 8 against the rest (0 to 9)",
        "8",
        toy.load_digits,
    ),
}
# 500 points drawn anew: two features, so that the decision boundary can be drawn; classes 0, 1.
_GENERATED: dict[str, tuple[str, Callable[..., Any]]] = {
    "moons": (
        "500 points on two half circles that interlock (generated)",
        partial(toy.make_moons, noise=0.2),
    ),
    "circles": (
        "500 points on two circles, one in the other: no line parts them (generated)",
        partial(toy.make_circles, noise=0.1, factor=0.5),
    ),
    "blobs": (
        "500 points in two round clusters (generated)",
        partial(toy.make_blobs, centers=[[-1, -1], [1, 1]]),
    ),
    "classification": (
        "500 points in two stretched clusters, about 5 % with the wrong label (generated)",
        # Labels drawn anew come out right half the time.
        partial(
            toy.make_classification, n_redundant=0, n_clusters_per_class=1, flip_y=0.1, n_features=2
        ),
    ),
    "gaussian_quantiles": (
        "500 points of one normal distribution, inner half or outer (generated)",
        partial(toy.make_gaussian_quantiles, n_features=2, n_classes=2),
    ),
}
_TOYS: dict[str, _Toy] = _LOADED | {
    name: (description, "1", load) for name, (description, load) in _GENERATED.items()
}


def list_datasets() -> dict[str, str]:
    """Name the toy sets, with a line on each.

    Returns
    -------
    dict
        From name to description.

    Examples
    --------
    >>> list_datasets()["breast_cancer"]
    '569 tumours, 30 measurements of cell nuclei: malignant or benign'
    """
    return {name: description for name, (description, _, _) in _TOYS.items()}


def load_dataset(
    source: str | Path,
    *,
    target: str | None = None,
    positive: Any = None,
    random_state: Any = 0,
) -> Dataset:
    """Load a toy set by its name, or a table by its path.

    Parameters
    ----------
    source : str or path
        A name that `list_datasets` gives, or a CSV or Parquet file, gzipped or not.
    target : str, optional
        Of a file, the column with the labels.
    positive : object, optional
        The class whose probability is to be learnt, against all others: its text, or its
        value written otherwise (1.0 or 01 for 1, true for True). By default a toy set's own;
        of two classes in a file, the larger in sorted order. More than 50 different integers,
        or more than half the rows have, are taken for a continuous target without it.
    random_state : int, RandomState instance or None, default=0
        Draws the points of generated sets.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        In one line, if the set is unknown or the file cannot be trained on.

    Examples
    --------
    >>> iris = load_dataset("iris", positive="setosa")
    >>> iris.X.shape, sorted(set(iris.y.tolist())), iris.positive
    ((150, 4), ['not setosa', 'setosa'], 'setosa')
    """
    if not isinstance(source, str | os.PathLike) or not str(source).strip():
        raise ValueError(
            f"a data set's name or a file's path is needed, got {source!r}; "
            "list_datasets() gives the names"
        )
    if isinstance(source, str) and source in _TOYS:
        return _load_toy(source, target, positive, random_state)
    path = Path(source)
    looks_like_a_path = isinstance(source, Path) or path.suffix or path.name != source
    if looks_like_a_path or os.path.exists(path):
        return _load_file(path, target, positive)
    raise ValueError(
        f"unknown data set {quote(source)}; {nearest(source, _TOYS)}, --list shows all"
    )


def _load_toy(name: str, target: str | None, positive: Any, random_state: Any) -> Dataset:
    if target is not None:
        raise ValueError(
            f"target is for files, got {quote(target)} with the data set {name}, "
            "which has its own; leave it out"
        )
    description, usual, load = _TOYS[name]
    if name in _LOADED:
        bunch = load(as_frame=True)
        X, labels = bunch.data, bunch.target_names[bunch.target].astype(str)
    else:
        points, labels = load(n_samples=500, random_state=random_state)
        X = pd.DataFrame(points, columns=["x1", "x2"])
    y, positive = _two_classes(labels, usual if positive is None else positive, name)
    return Dataset(name, description, X, y, positive)


def _load_file(path: Path, target: str | None, positive: Any) -> Dataset:
    target = None if target is None else str(target).strip()
    table = read_table(path, target)
    if target is None:
        columns = ", ".join(quote(column) for column in table.columns[-10:])
        raise ValueError(
            f"no target given for {path.name}: which column is to be predicted? "
            f"say --target, one of {'..., ' if len(table.columns) > 10 else ''}{columns}"
        )
    X, labels, notes = split_table(table, target, path.name)
    what = f"target column {quote(target)} of {path.name}"
    dropped = len(table) - len(labels)
    y, positive = _two_classes(np.asarray(labels.tolist()), positive, what, dropped)
    name = re.sub(r"(\.(csv|tsv|txt|parquet|pq))?(\.gz)?$", "", path.name, flags=re.IGNORECASE)
    rest = next(label for label in y.tolist() if label != positive)
    description = f"rows of {path.name}: {quote(target)} is {positive}, or {rest}"
    return Dataset(name.strip(".") or "table", description, X, y, positive, tuple(notes))


def _two_classes(
    labels: npt.NDArray[Any], positive: Any, what: str, dropped: int = 0
) -> tuple[Any, Any]:
    """Labels of two classes, and the positive one of them."""
    if labels.dtype.kind == "f":  # whole numbers too, where a row without a label was dropped
        broken = labels[(labels % 1 != 0) | (abs(labels) >= 2**53)]
        if len(broken):
            raise ValueError(
                f"{what} must hold classes, got continuous numbers such as {broken[0]:g}; "
                "choose a column of classes"
            )
        labels = labels.astype(int)
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) == 1:
        raise ValueError(
            f"{what} must hold two classes, got {quote(classes[0])} in all rows"
            + (f" but the {dropped} dropped, which have no label" if dropped else "")
            + "; choose another target or add rows"
        )
    shown = ", ".join(quote(label) for label in classes[:10]) + ", ..." * (len(classes) > 10)
    if positive is None:
        integers = labels.dtype.kind in "iu" and len(classes) > 2
        if integers and len(classes) > min(MAX_INTEGERS, len(labels) / 2):
            raise ValueError(
                f"{what} must hold classes, got {len(classes)} different numbers in "
                f"{len(labels)} rows, as a continuous one does; choose a column of classes, "
                "or say which number against the rest: --positive"
            )
        if len(classes) > 2:
            raise ValueError(
                f"{what} holds {len(classes)} classes ({shown}); "
                "say which one against the rest: --positive"
            )
        positive = classes[-1]
    matching = np.flatnonzero(classes.astype(str) == str(positive).strip())
    if len(matching) == 0:
        matching = np.flatnonzero([_value(label) == _value(positive) for label in classes])
    if len(matching) != 1:
        raise ValueError(
            f"positive class {quote(positive)} is not in {what} ({shown}); "
            f"{nearest(positive, classes)}"
        )
    place = matching[0]
    rarest = place if len(classes) > 2 else counts.argmin()
    if counts[rarest] < 2:
        raise ValueError(
            f"{what} must have 2 rows or more of each class, got 1 of "
            f"{quote(classes[rarest])}; add rows or choose another class"
        )
    if len(classes) == 2:
        return labels, classes[place].item()
    positive = str(classes[place])
    return np.where(labels == classes[place], positive, f"not {positive}"), positive


def _value(label: Any) -> Any:
    """Give the number that a label says, as 1.0, 01 and True do, or else its text."""
    text = str(label).strip()
    try:
        return float({"true": "1", "false": "0"}.get(text.lower(), text))
    except ValueError:
        return text
