"""The decision boundary of a model of two features."""

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.plots.style import COLOURS, MARKERS, new_axes


def plot_decision_boundary(
    model: Any, X: Any, y: npt.ArrayLike, *, pos_label: Any = None, ax: Any = None
) -> Any:
    """Draw the probability that a model of two features gives, its 0.5 line and the rows.

    Parameters
    ----------
    model : fitted classifier
        With `predict_proba` and `classes_`, on features in their own units.
    X : DataFrame or array of shape (n_samples, 2)
        The rows to show; those with a missing value are left out.
    y : array-like of shape (n_samples,)
        Their labels.
    pos_label : object, optional
        The label whose probability is shown; the model's second class by default.
    ax : matplotlib Axes, optional
        Where to draw; None makes a figure.

    Returns
    -------
    matplotlib Axes
    """
    from matplotlib.colors import LinearSegmentedColormap

    classes = list(model.classes_)
    pos_label = classes[1] if pos_label is None else pos_label
    values = np.asarray(X, dtype=float)
    complete = np.isfinite(values).all(axis=1)
    values, y = values[complete], np.asarray(y)[complete]
    low, high = values.min(axis=0), values.max(axis=0)
    margin = 0.08 * np.where(high > low, high - low, 1)
    sides = np.linspace(low - margin, high + margin, 200).T
    grid = np.stack(np.meshgrid(*sides), axis=-1)
    names = getattr(X, "columns", ("feature 0", "feature 1"))
    points = grid.reshape(-1, 2)
    if hasattr(X, "columns"):
        points = type(X)(points, columns=names)
    p = model.predict_proba(points)[:, classes.index(pos_label)].reshape(grid.shape[:2])

    ax = new_axes(ax, figsize=(6.4, 4.8))
    colours = LinearSegmentedColormap.from_list("field", [COLOURS[1], "white", COLOURS[0]])
    field = ax.contourf(*sides, p, np.linspace(0, 1, 11), cmap=colours, alpha=0.5)
    ax.contour(*sides, p, [0.5], colors="black", linewidths=1.5)
    negative = next(label for label in classes if label != pos_label)
    size = float(np.clip(10000 / max(len(values), 1), 8, 40))
    for label, colour, marker in zip((pos_label, negative), COLOURS, MARKERS, strict=False):
        rows = values[y == label].T
        ax.scatter(
            *rows, s=size, c=colour, marker=marker, label=label, edgecolors="white", linewidths=0.6
        )
    bar = ax.figure.colorbar(field, ax=ax, ticks=np.linspace(0, 1, 6))
    bar.set_label(f"probability of {pos_label}")
    ax.set(xlabel=names[0], ylabel=names[1])
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=True, framealpha=0.9, edgecolor="none")
    return ax
