"""The cost over two parameters, and the way that training took over it."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trainer.inspection import (
    N_FIGURES,
    CostSurface,
    around,
    cost_surface,
    fitted_parameters,
    parameter_places,
    trace,
)
from trainer.plots.style import COLOURS, DASHES, MARKERS, new_axes

N_LEVELS = 24
FEW = 40
"""Steps of a run up to which each gets a marker."""


class CostSurfaceDisplay:
    """Contours of J over two parameters, with the way that training took.

    The other parameters are held as fitted. The way is what it was in the two shown: a point
    of it had its own values of the others then, and so another J than the contour beneath.
    In a neuron of two parameters in all, one weight and the bias, the two agree.

    Parameters
    ----------
    surface : CostSurface
        What `cost_surface` gives.
    path : sequence of array-like of shape (n_steps, 2), optional
        The two parameters after every iteration, the start first; one array a run.
    name : str, optional
        Title of the picture.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where the contours were drawn.
    figure_ : matplotlib Figure
        The figure it belongs to.
    """

    def __init__(
        self,
        surface: CostSurface,
        path: Sequence[npt.ArrayLike] = (),
        *,
        name: str | None = None,
    ) -> None:
        self.surface = surface
        self.path = [np.asarray(run) for run in path]
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        neuron: Any,
        X: Any,
        y: Any,
        parameters: Sequence[int | str] = (0, 1),
        *,
        sample_weight: Any = None,
        path: bool = True,
        ranges: Sequence[tuple[float, float]] | None = None,
        grid: int = 100,
        ax: Any = None,
        name: str | None = None,
    ) -> Self:
        """Draw J over two parameters of a fitted neuron.

        Parameters
        ----------
        neuron : LogisticNeuron
            Fitted to these rows.
        X, y, sample_weight : array-like
            The training rows, their labels, of two classes, and their weights if there were any.
        parameters : pair of int or str, default=(0, 1)
            Which two, as in `trainer.inspection.cost_surface`.
        path : bool, default=True
            Train once more, to draw the way.
        ranges : pair of (low, high), optional
            Values of the two; by default the way's, from 0 at least, and half as much again.
        grid : int, default=100
            Values of each parameter.
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.
        name : str, optional
            Title of the picture.

        Returns
        -------
        CostSurfaceDisplay

        Raises
        ------
        ValueError
            As `trainer.inspection.cost_surface` does.
        """
        runs: list[Any] = []
        places = parameter_places(neuron, parameters)
        if path:
            steps = trace(neuron, X, y, sample_weight)
            values = steps.iloc[:, N_FIGURES:].to_numpy()[:, places]
            runs = [values[steps["run"] == run] for run in steps["run"].unique()]
        if ranges is None:
            passed = np.vstack([np.zeros(2), fitted_parameters(neuron)[places], *runs])
            ranges = [around(column) for column in passed.T]
        surface = cost_surface(
            neuron, X, y, places, sample_weight=sample_weight, ranges=ranges, grid=grid
        )
        return cls(surface, runs, name=name).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the contours and the way.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        CostSurfaceDisplay
        """
        from matplotlib.colors import BoundaryNorm
        from matplotlib.patheffects import withStroke

        names, fitted, first, second, J = self.surface
        ax = new_axes(ax, figsize=(6.4, 5.0))
        levels = _levels(J)
        norm = BoundaryNorm(levels, 256)
        field = ax.contourf(first, second, J, levels, cmap="cividis", norm=norm)
        ax.contour(first, second, J, levels, colors="white", linewidths=0.4, alpha=0.6)
        edge = {"color": "white", "markeredgecolor": "black", "ls": "none", "zorder": 4}
        for i, run in enumerate(self.path):
            few = MARKERS[0] if len(run) <= FEW else None
            label = "training" if i == 0 else "training, from a lower start"
            ax.plot(
                *run.T, color=COLOURS[4], lw=1.6, ls=DASHES[i], marker=few, ms=4, mec="black",
                mew=0.5, label=label, path_effects=[withStroke(linewidth=3.2, foreground="black")],
            )  # fmt: skip
        if self.path:
            ax.plot(*self.path[0][0], "o", ms=8, label="start", **edge)
        ax.plot(*fitted, "*", ms=14, label="fitted", **edge)
        ax.set(xlabel=_axis_label(names[0]), ylabel=_axis_label(names[1]))
        ax.set(xlim=first[[0, -1]], ylim=second[[0, -1]])
        bar = ax.figure.colorbar(field, ax=ax, ticks=levels[::4], format="%.3g")
        bar.set_label("cost J, all other parameters as fitted")
        if self.name:
            ax.set_title(self.name, loc="left")
        ax.legend(framealpha=0.9, edgecolor="none")
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _levels(J: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Levels of J, closer together near its lowest: a bowl's are at equal distances then."""
    low, high = float(J.min()), float(J.max())
    if not high > low:
        high = low + 1
    return low + (high - low) * np.linspace(0, 1, N_LEVELS + 1) ** 2


def _axis_label(name: str) -> str:
    return "bias b (intercept)" if name == "intercept" else f"weight of {name}"
