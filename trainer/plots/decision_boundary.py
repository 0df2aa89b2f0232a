"""The decision boundary of a model with two features."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from trainer.plots.display import Display
from trainer.plots.style import COLOURS, MARKERS, literal

Array = npt.NDArray[Any]

GRID = 200


class DecisionBoundaryDisplay(Display):
    """Probability of a class over two features, the line where it is 0.5, and rows.

    Parameters
    ----------
    first, second : arrays of shape (n,) and (m,)
        Values of the two features.
    probability : array of shape (m, n)
        Probability of the class at second[i], first[j].
    points : array of shape (n_samples, 2)
        Rows to show.
    is_positive : array of bool of shape (n_samples,)
        Which of them belong to the class.
    features : pair of str
        Names of the features.
    classes : pair
        The class and the other one.
    name : str, optional
        Title of the plot.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.
    figure_ : matplotlib Figure
        The figure it belongs to.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from trainer import DecisionBoundaryDisplay, LogisticNeuron
    >>> X, y = make_moons(50, noise=0.3, random_state=0)
    >>> display = DecisionBoundaryDisplay.from_estimator(LogisticNeuron().fit(X, y), X, y)
    >>> display.points.shape
    (50, 2)
    """

    def __init__(
        self,
        first: Array,
        second: Array,
        probability: Array,
        points: Array,
        is_positive: Array,
        *,
        features: tuple[Any, Any],
        classes: tuple[Any, Any],
        name: str | None = None,
    ) -> None:
        self.first = first
        self.second = second
        self.probability = probability
        self.points = points
        self.is_positive = is_positive
        self.features = features
        self.classes = classes
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: npt.ArrayLike,
        *,
        pos_label: Any = None,
        ax: Any = None,
        name: str | None = None,
    ) -> Self:
        """Draw the decision boundary of a fitted classifier.

        Parameters
        ----------
        estimator : classifier of two classes
            Fitted to two features in their original units, with `predict_proba` and `classes_`.
        X : DataFrame or array of shape (n_samples, 2)
            The rows to show; rows with a missing value are omitted.
        y : array-like of shape (n_samples,)
            Their labels.
        pos_label : object, optional
            The label whose probability is shown; the model's second class by default.
        ax : matplotlib Axes, optional
            Axes to draw on; None creates a figure.
        name : str, optional
            Title of the plot.

        Returns
        -------
        DecisionBoundaryDisplay

        Raises
        ------
        ValueError
            For a model with more than two classes, an unknown `pos_label`, or X without exactly
            two features.

        Examples
        --------
        >>> from trainer import LogisticNeuron
        >>> X, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 3.0]], ["a", "a", "b", "b"]
        >>> display = DecisionBoundaryDisplay.from_estimator(LogisticNeuron().fit(X, y), X, y)
        >>> display.probability.shape
        (200, 200)
        """
        check_is_fitted(estimator)
        classes = np.asarray(estimator.classes_).tolist()
        pos_label = classes[-1] if pos_label is None else pos_label
        if len(classes) != 2 or pos_label not in classes:
            raise ValueError(
                "the estimator must know two classes, pos_label being one of them, got "
                f"{classes} and pos_label={pos_label!r}; name one of two"
            )
        values = np.asarray(X, dtype=float)
        if values.ndim != 2 or values.shape[1] != 2:
            raise ValueError(
                f"X must have two features, got shape {values.shape}; fit a model to two of them"
            )
        complete = np.isfinite(values).all(axis=1)
        points = values[complete]
        if not len(points):
            raise ValueError("X must hold a row without missing values, got none")
        low, high = points.min(axis=0), points.max(axis=0)
        margin = 0.08 * np.where(high > low, high - low, 1)
        first, second = np.linspace(low - margin, high + margin, GRID).T
        grid: Any = np.stack(np.meshgrid(first, second), axis=-1).reshape(-1, 2)
        features = getattr(X, "columns", None)
        if features is not None:
            grid = type(X)({name: grid[:, k] for k, name in enumerate(features)})
        p = estimator.predict_proba(grid)[:, classes.index(pos_label)].reshape(GRID, GRID)
        negative = classes[1 - classes.index(pos_label)]
        display = cls(
            first,
            second,
            p,
            points,
            np.asarray(y)[complete] == pos_label,
            features=("feature 0", "feature 1") if features is None else tuple(features),
            classes=(pos_label, negative),
            name=name,
        )
        return display.plot(ax)

    def _draw(self, ax: Any) -> None:
        from matplotlib.colors import LinearSegmentedColormap, to_rgb

        pale = [(1 + np.array(to_rgb(colour))) / 2 for colour in (COLOURS[1], "white", COLOURS[0])]
        colours = LinearSegmentedColormap.from_list("field", pale)
        plane = (self.first, self.second, self.probability)
        field = ax.contourf(*plane, np.linspace(0, 1, 11), cmap=colours)
        ax.contour(*plane, [0.5], colors="black", linewidths=1.5)
        size = float(np.clip(10000 / max(len(self.points), 1), 8, 40))
        for label, rows, colour, marker in zip(
            self.classes, (self.is_positive, ~self.is_positive), COLOURS, MARKERS, strict=False
        ):
            ax.scatter(
                *self.points[rows].T, s=size, c=colour, marker=marker, label=literal(label),
                edgecolors="white", linewidths=0.6,
            )  # fmt: skip
        ax.plot([], [], color="black", lw=1.5, label="decision boundary")
        bar = ax.figure.colorbar(field, ax=ax, ticks=np.linspace(0, 1, 6))
        bar.set_label(f"probability of {literal(self.classes[0])}")
        ax.set(xlabel=literal(self.features[0]), ylabel=literal(self.features[1]))
        ax.spines[["top", "right"]].set_visible(False)
