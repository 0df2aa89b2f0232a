"""Calibration of several models: predicted probabilities against observed frequencies."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.calibration import CalibrationDisplay

from trainer.plots.style import COLOURS, DASHES, GREY, MARKERS, axes_above_counts, check_few, tidy


def plot_calibration(
    models: Mapping[str, Any],
    X: Any,
    y: npt.ArrayLike,
    *,
    pos_label: Any = None,
    n_bins: int | None = None,
    ax: Any = None,
) -> Any:
    """Draw predicted probabilities against observed frequencies, and how many rows each rests on.

    Parameters
    ----------
    models : mapping of str to classifier
        Fitted classifiers of two classes, by name; seven at most.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows, best such as no model was trained on.
    y : array-like of shape (n_samples,)
        Their labels.
    pos_label : object, optional
        The label whose probability is drawn; the models' second class by default.
    n_bins : int, optional
        Bins of equal width between 0 and 1; by default 10, or 5 for fewer than 1000 rows.
    ax : matplotlib Axes, optional
        Where to draw; None makes a figure. The counts stand in axes of their own beneath.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        For no models, or more than there are colours.
    """
    check_few(models)
    n_bins = n_bins or (5 if len(np.asarray(y)) < 1000 else 10)
    ax, counts = axes_above_counts(ax)
    ax.plot([0, 1], [0, 1], color=GREY, lw=1, ls="dotted", label="perfectly calibrated")
    edges = np.linspace(0, 1, n_bins + 1)
    width = 0.8 / n_bins / len(models)
    styles = zip(COLOURS, MARKERS, DASHES, strict=True)
    for i, ((name, model), (colour, marker, dash)) in enumerate(
        zip(models.items(), styles, strict=False)
    ):
        pos_label = model.classes_[1] if pos_label is None else pos_label
        display = CalibrationDisplay.from_estimator(
            model, X, y, n_bins=n_bins, pos_label=pos_label, name=name, ref_line=False, ax=ax,
            color=colour, marker=marker, ls=dash, lw=1.5, ms=6,
        )  # fmt: skip
        heights, _ = np.histogram(display.y_prob, edges)
        lefts = edges[:-1] + 0.1 / n_bins + i * width
        counts.bar(lefts, heights, width, align="edge", color=colour)
    ax.set(xlabel="", ylabel=f"share of {pos_label} observed")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    counts.set(xlabel=f"predicted probability of {pos_label}", ylabel="rows", yscale="log")
    counts.set_ylim(bottom=0.7)
    counts.yaxis.set_major_formatter("{x:g}")
    tidy(ax, counts)
    ax.tick_params(labelbottom=False)
    ax.legend(framealpha=0.8, edgecolor="none", loc="lower right")
    return ax
