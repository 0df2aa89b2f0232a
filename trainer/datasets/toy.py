"""Data sets with two classes: scikit-learn's toy data sets by name, tables by path."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from trainer.datasets.choice import ArgumentsNeededError, choose_target, same_label
from trainer.datasets.tables import MOST_CLASSES, line_numbers, read_table, split_table
from trainer.datasets.text import nearest, quote, short_path

# NumPy, pandas and scikit-learn are imported on use: listing the data sets does not need them.
if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd


@dataclass(frozen=True)
class Dataset:
    """Rows to train on, with two classes.

    Parameters
    ----------
    name : str
        The name of the data set, or of the file without its extensions.
    description : str
        One line: what the rows are, and what the classes are.
    X : DataFrame
        Unprocessed features: numbers and text, with NaN for missing values.
    y : ndarray
        Labels, with exactly two distinct values. If there were more than two classes, one
        against the rest: "virginica" and "not virginica".
    positive : object
        The label whose probability is reported.
    notes : tuple of str
        Changes to the table: dropped columns and rows, non-numeric cells treated as missing.
    path : path, optional
        The file that it comes from.

    Examples
    --------
    >>> from trainer import load_dataset
    >>> load_dataset("moons")
    Dataset('moons', 500 rows, 2 features, positive=1)
    """

    name: str
    description: str
    X: "pd.DataFrame"
    y: "npt.NDArray[Any]"
    positive: Any
    notes: tuple[str, ...] = ()
    path: Path | None = None

    def lines(self) -> list[int] | None:
        """Line of each row in the CSV file, as in an editor; None where it is unknown."""
        known = None if self.path is None else line_numbers(self.path)
        return None if known is None else [known[row] for row in self.X.index]

    def __repr__(self) -> str:
        n_rows, n_features = self.X.shape
        return (
            f"Dataset({self.name!r}, {n_rows} rows, {n_features} features, "
            f"positive={self.positive!r})"
        )


_Toy: TypeAlias = tuple[str, str, str, dict[str, Any]]
# Description, positive class, scikit-learn's loader and its arguments. These have class names.
_LOADED: dict[str, _Toy] = {
    "breast_cancer": (
        "569 tumours, 30 measurements of cell nuclei: malignant or benign",
        "malignant",
        "load_breast_cancer",
        {"as_frame": True},
    ),
    "iris": (
        "150 irises, 4 measurements: virginica against the rest (setosa, versicolor)",
        "virginica",
        "load_iris",
        {"as_frame": True},
    ),
    "wine": (
        "178 wines, 13 measurements: cultivar class_0 against the rest (class_1, class_2)",
        "class_0",
        "load_wine",
        {"as_frame": True},
    ),
    "digits": (
        "1797 handwritten digits, 8 x 8 pixels: 8 against the rest (the other nine)",
        "8",
        "load_digits",
        {"as_frame": True},
    ),
}
# 500 generated points: two features, so that the decision boundary can be drawn; classes 0, 1.
_GENERATED: dict[str, _Toy] = {
    "moons": (
        "500 points on two half circles that interlock (generated)",
        "1",
        "make_moons",
        {"noise": 0.2},
    ),
    "circles": (
        "500 points on two circles, one inside the other: no line separates them (generated)",
        "1",
        "make_circles",
        {"noise": 0.1, "factor": 0.5},
    ),
    "blobs": (
        "500 points in two round clusters (generated)",
        "1",
        "make_blobs",
        {"centers": [[-1, -1], [1, 1]]},
    ),
    "classification": (
        "500 points in two stretched clusters, about 5 % with the wrong label (generated)",
        "1",
        "make_classification",
        # flip_y redraws labels at random, and half of the redrawn labels are right.
        {"n_redundant": 0, "n_clusters_per_class": 1, "flip_y": 0.1, "n_features": 2},
    ),
    "gaussian_quantiles": (
        "500 points of one normal distribution: inner half against outer half (generated)",
        "1",
        "make_gaussian_quantiles",
        {"n_features": 2, "n_classes": 2},
    ),
}
TOYS = _LOADED | _GENERATED


def list_datasets() -> dict[str, str]:
    """List the toy data sets with a one-line description of each.

    Returns
    -------
    dict
        Descriptions by name.

    Examples
    --------
    >>> list_datasets()["breast_cancer"]
    '569 tumours, 30 measurements of cell nuclei: malignant or benign'
    """
    return {name: description for name, (description, *_) in TOYS.items()}


def load_dataset(
    source: str | Path,
    *,
    target: str | None = None,
    positive: Any = None,
    random_state: Any = 0,
) -> Dataset:
    """Load a toy data set by name, or a table by path.

    Parameters
    ----------
    source : str or path
        A name from `list_datasets`, or a CSV or Parquet file, gzipped or not.
    target : str, optional
        For a file, the column with the labels. It may be omitted if one column is the obvious
        choice: the only column of two classes if every other column contains numbers, or the only
        one called target, class, label or y. A note says which column was chosen.
    positive : object, optional
        The class whose probability is to be learnt, against all others: its text, or its
        value in another form (1.0 or 01 for 1, true for True). The default is the data set's own
        for a toy data set, and the last in sorted order for a file with two classes. Without it,
        a target with more than 50 distinct integers, or more than half the number of rows, is
        considered continuous.
    random_state : int, RandomState instance or None, default=0
        Seed for generated data sets.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        With a one-line message, if the data set is unknown or the file cannot be used.

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
    if isinstance(source, str) and source in TOYS:
        return _load_toy(source, target, positive, random_state)
    path = Path(source)
    looks_like_a_path = isinstance(source, Path) or path.suffix or path.name != source
    if looks_like_a_path or os.path.exists(path):
        return _load_file(path, target, positive)
    raise ValueError(f"unknown data set {quote(source)}; {nearest(source, TOYS)}")


def _load_toy(name: str, target: str | None, positive: Any, random_state: Any) -> Dataset:
    if target is not None:
        raise ValueError(
            f"target is for files, got {quote(target)} with the data set {name}, "
            "which has its own; leave it out"
        )
    import pandas as pd
    from sklearn import datasets

    description, usual, loader, arguments = TOYS[name]
    load = getattr(datasets, loader)
    if name in _LOADED:
        bunch = load(**arguments)
        X, labels = bunch.data, bunch.target_names[bunch.target].astype(str)
    else:
        points, labels = load(n_samples=500, random_state=random_state, **arguments)
        X = pd.DataFrame(points, columns=["x1", "x2"])
    y, positive = two_classes(labels, usual if positive is None else positive, name)
    return Dataset(name, description, X, y, positive)


def _load_file(path: Path, target: str | None, positive: Any) -> Dataset:
    name, notes = short_path(path.name), []
    table, odd = read_table(path, None if target is None else target.strip())
    if target is None:
        target, why = choose_target(table, positive, name)
        notes.append(why)
        if odd or table[target].isna().any():  # in the target, None, null and typos are labels
            table, odd = read_table(path, target)
    X, labels, notes = split_table(table, target.strip(), name, [*notes, *odd])
    import numpy as np

    what = f"target column {quote(target)} of {name}"
    missing = len(table) - len(labels)
    y, positive = two_classes(np.asarray(labels.tolist()), positive, what, missing)
    rest = next(label for label in y.tolist() if label != positive)
    description = f"rows of {name}: {quote(target)} is {positive}, or {rest}"
    stem = re.sub(r"(\.(csv|tsv|txt|parquet|pq))?(\.gz)?$", "", path.name, flags=re.IGNORECASE)
    return Dataset(stem.strip(".") or "table", description, X, y, positive, tuple(notes), path)


def two_classes(
    labels: "npt.NDArray[Any]", positive: Any, what: str, dropped: int = 0
) -> tuple[Any, Any]:
    """Labels with two classes, and the positive one of them."""
    import numpy as np

    if labels.dtype.kind == "f":  # integers become floats if a row without a label was dropped
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
        if integers and len(classes) > min(MOST_CLASSES, len(labels) / 2):
            raise ValueError(
                f"{what} must hold classes, got {len(classes)} different numbers in "
                f"{len(labels)} rows, as a continuous one does; choose a column of classes, "
                "or say which number against the rest: positive"
            )
        if len(classes) > 2:
            raise ArgumentsNeededError(
                f"{what} holds {len(classes)} classes ({shown}); "
                "say which one against the rest: positive",
                ["--positive", str(classes[-1])],
            )
        positive = classes[-1]
    matching = same_label(positive, classes.tolist())
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
