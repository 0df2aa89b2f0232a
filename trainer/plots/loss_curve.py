"""Pictures of a trained neuron: its loss curve, its calibration, its decision boundary.

Matplotlib is imported on first use. A function that is not given an Axes makes a figure of
its own, without pyplot, so nothing stays open; the Axes it returns knows it: `ax.figure`.
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.calibration import CalibrationDisplay

# Okabe and Ito's colours, told apart by colour-blind eyes too, each with its marker.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
MARKERS = ("o", "^", "s", "D")
GREY = "#555555"

STOPPED = {
    "gradient": "gradient within tol",
    "max_iter": "max_iter reached",
    "early_stopping": "no gain on the rows held out",
    "plateau": "no step lowers J",
    "diverged": "diverged",
    "interrupted": "interrupted",
}


class LossCurveDisplay:
    """The cost J against the iteration, with the point where training stopped.

    J has a log scale where it falls by more than a factor of ten, the iterations where
    there are more than 200.

    Parameters
    ----------
    loss_curve : array-like of shape (n_iter + 1,)
        J on the training rows, before the first iteration and after each.
    validation_curve : array-like of shape (n_iter + 1,), optional
        The same on rows held out.
    reason : str, optional
        Why training stopped; a key of `STOPPED` or any words.
    kept : int, optional
        The iteration whose parameters were kept, if not the last.
    name : str, optional
        Title of the picture.
    held_out_label : str, default="rows held out"
        What to call the rows held out.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where the curve was drawn.
    figure_ : matplotlib Figure
        The figure it belongs to.
    """

    def __init__(
        self,
        loss_curve: npt.ArrayLike,
        validation_curve: npt.ArrayLike | None = None,
        *,
        reason: str | None = None,
        kept: int | None = None,
        name: str | None = None,
        held_out_label: str = "rows held out",
    ) -> None:
        self.loss_curve = np.asarray(loss_curve)
        self.validation_curve = None if validation_curve is None else np.asarray(validation_curve)
        self.reason = reason
        self.kept = kept
        self.name = name
        self.held_out_label = held_out_label

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        ax: Any = None,
        name: str | None = None,
        held_out_label: str = "rows held out",
    ) -> Self:
        """Draw the loss curve of a fitted neuron.

        Parameters
        ----------
        estimator : LogisticNeuron or Pipeline that ends with one
            Fitted.
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.
        name : str, optional
            Title of the picture.
        held_out_label : str, default="rows held out"
            What to call the rows held out.

        Returns
        -------
        LossCurveDisplay
        """
        neuron = estimator[-1] if hasattr(estimator, "steps") else estimator
        reason = neuron.termination_.reason
        kept = None
        if neuron.early_stopping and reason != "diverged":
            kept = int(np.argmin(neuron.validation_curve_))
        elif reason == "interrupted":
            kept = int(np.argmin(neuron.loss_curve_))
        display = cls(
            neuron.loss_curve_,
            neuron.validation_curve_,
            reason=reason,
            kept=kept,
            name=name,
            held_out_label=held_out_label,
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        LossCurveDisplay
        """
        ax = _axes(ax)
        curves = {"training rows": self.loss_curve}
        if self.validation_curve is not None:
            curves[self.held_out_label] = self.validation_curve
        last = len(self.loss_curve) - 1
        few = MARKERS[0] if last <= 40 else None
        for (label, curve), colour, dash in zip(
            curves.items(), COLOURS, ("solid", "dashed"), strict=False
        ):
            style = {"color": colour, "linestyle": dash, "marker": few, "ms": 3, "lw": 1.8}
            ax.plot(np.arange(last + 1), curve, label=label, **style)
        _scale_loss_axes(ax, np.concatenate(list(curves.values())), last)

        hollow = {"ls": "none", "mfc": "white", "mec": GREY, "mew": 1.5, "zorder": 3}
        if self.kept not in (None, last):
            label = f"kept: iteration {self.kept}"
            ax.plot(self.kept, self.loss_curve[self.kept], "o", ms=6, label=label, **hollow)
        if self.reason is not None:
            label = f"stopped at {last}: {STOPPED.get(self.reason, self.reason)}"
            ax.axvline(last, color=GREY, lw=1, ls="dotted", zorder=0)
            ax.plot(last, self.loss_curve[-1], "D", ms=7, label=label, **hollow)
        ax.set(xlabel="iteration", ylabel="cost J (mean squared error + penalty)")
        if self.name:
            ax.set_title(self.name, loc="left")
        ax.grid(color="0.9", lw=0.8)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False)
        self.ax_, self.figure_ = ax, ax.figure
        return self


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
        Fitted classifiers of two classes, by name; four at most.
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
    """
    n_bins = n_bins or (5 if len(np.asarray(y)) < 1000 else 10)
    if ax is None:
        ax = _axes(None, figsize=(5.4, 6.8))
        ax.figure.set_layout_engine("none")  # it would not leave room for the counts
        ax.set_position((0.14, 0.3, 0.82, 0.65))
    counts = ax.inset_axes((0, -0.32, 1, 0.26), sharex=ax)
    ax.plot([0, 1], [0, 1], color=GREY, lw=1, ls="dotted", label="perfectly calibrated")
    edges = np.linspace(0, 1, n_bins + 1)
    width = 0.8 / n_bins / len(models)
    styles = zip(COLOURS, MARKERS, ("-", "--", "-.", ":"), strict=True)
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
    for each in (ax, counts):
        each.grid(color="0.9", lw=0.8)
        each.set_axisbelow(True)
        each.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelbottom=False)
    ax.legend(frameon=False, loc="lower right")
    return ax


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

    ax = _axes(ax, figsize=(6.4, 4.8))
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


def _axes(ax: Any, figsize: tuple[float, float] = (6.4, 4.2)) -> Any:
    """The Axes given, or those of a new figure that pyplot knows nothing of."""
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=figsize, dpi=150, layout="constrained").subplots()


def _scale_loss_axes(ax: Any, costs: npt.NDArray[Any], last: int) -> None:
    """Log scales where a linear one would press the curve against an axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    plain = FuncFormatter(lambda value, _: f"{value:g}")
    if 10 * costs.min() < costs.max() and costs.min() > 0:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(plain)
        ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_ylim(0, 1.1 * costs.max())
    if last > 200:
        ax.set_xscale("symlog", linthresh=1)
        ax.set_xlim(0, last * 1.3)
        ax.xaxis.set_major_formatter(plain)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
