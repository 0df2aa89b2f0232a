"""The cost over two parameters, and the path of training over it."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trainer.core.termination import reason_label
from trainer.inspection.parameters import fitted_parameters
from trainer.inspection.surface import CostSurface, around, cost_surface, parameter_places
from trainer.inspection.tracing import trace
from trainer.plots.display import Display
from trainer.plots.style import COLOURS, DASHES, GREY, literal

Array = npt.NDArray[Any]

N_LEVELS = 24
N_MARKS = 20
N_ARROWS = 14


class CostSurfaceDisplay(Display):
    """Contours of J over two parameters, with the path of training.

    The other parameters are fixed at their fitted values. During training they had other values,
    so J along the path was not that of the contours. For a neuron with one weight and a bias, the
    two agree.

    Parameters
    ----------
    surface : CostSurface
        Result of `trainer.cost_surface`.
    path : sequence of array-like of shape (n_steps, 2), optional
        The two parameters after every iteration, the start first; one array per run.
    gradient : bool, default=False
        Draw arrows along -dJ, with lengths proportional to the gradient.
    end_label : str, default="fitted"
        Label of the neuron's own parameters.
    name : str, optional
        Title of the plot.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the contours.
    figure_ : matplotlib Figure
        The figure it belongs to.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from trainer import CostSurfaceDisplay, LogisticNeuron
    >>> X, y = make_moons(50, noise=0.3, random_state=0)
    >>> neuron = LogisticNeuron().fit(X, y)
    >>> display = CostSurfaceDisplay.from_estimator(neuron, X, y, ("x0", "intercept"), grid=10)
    >>> display.surface.J.shape
    (10, 10)
    """

    def __init__(
        self,
        surface: CostSurface,
        path: Sequence[npt.ArrayLike] = (),
        *,
        gradient: bool = False,
        end_label: str = "fitted",
        name: str | None = None,
    ) -> None:
        self.surface = surface
        self.path = [np.asarray(run) for run in path]
        self.gradient = gradient
        self.end_label = end_label
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
        gradient: bool = False,
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
            The two parameters, as in `trainer.cost_surface`.
        path : bool, default=True
            Train a copy of the neuron to draw its path.
        gradient : bool, default=False
            Draw arrows along -dJ, with lengths proportional to the gradient.
        ranges : pair of (low, high), optional
            Values of the two parameters; by default those of the path and 0, with a margin of
            half their range on both sides.
        grid : int, default=100
            Values of each parameter.
        ax : matplotlib Axes, optional
            Axes to draw on; None makes a figure.
        name : str, optional
            Title of the picture.

        Returns
        -------
        CostSurfaceDisplay

        Raises
        ------
        ValueError
            As `trainer.cost_surface` does.
        """
        runs: list[Any] = []
        places = parameter_places(neuron, parameters)
        theta = fitted_parameters(neuron)
        if path:
            steps = trace(neuron, X, y, sample_weight)
            values = steps.to_numpy()[:, -len(theta) :][
                :, places
            ]  # parameters are the last columns
            runs = [values[steps["run"] == run] for run in steps["run"].unique()]
        if ranges is None:
            ranges = [around(column) for column in np.vstack([[0, 0], theta[places], *runs]).T]
        surface = cost_surface(
            neuron, X, y, places, sample_weight=sample_weight, ranges=ranges, grid=grid
        )
        end, reason = "fitted", getattr(getattr(neuron, "termination_", None), "reason", None)
        if reason is not None and not neuron.termination_.converged:
            end = f"stopped: {reason_label(reason)}"
        return cls(surface, runs, gradient=gradient, end_label=end, name=name).plot(ax)

    def _draw(self, ax: Any) -> None:
        from matplotlib.colors import BoundaryNorm
        from matplotlib.patheffects import withStroke

        names, fitted, first, second, J, _ = self.surface
        levels = _round_levels(J)
        norm = BoundaryNorm(levels, 256)
        field = ax.contourf(first, second, J, levels, cmap="cividis", norm=norm)
        ax.contour(first, second, J, levels, colors="white", linewidths=0.4, alpha=0.6)
        if self.gradient:
            self._draw_gradient(ax)
        edge = {"color": "white", "markeredgecolor": "black", "ls": "none", "zorder": 4}
        n_steps = max((len(run) for run in self.path), default=0)
        every = int(_round_step(max(n_steps / N_MARKS, 1)))
        for i, run in enumerate(self.path):
            label = "training" if i == 0 else "training, after a new start"
            ax.plot(
                *run.T, color=COLOURS[4], lw=1.6, ls=DASHES[i % len(DASHES)], marker="o",
                markevery=every, ms=4, mew=0,
                path_effects=[withStroke(linewidth=3, foreground="black")],
                label=f"{label}, a dot every {f'{every} iterations' if every > 1 else 'iteration'}",
            )  # fmt: skip
        if self.path:
            ax.plot(*self.path[0][0], "o", ms=8, label="start", **edge)
        ax.plot(*fitted, "*", ms=14, label=literal(self.end_label), **edge)
        ax.set(xlabel=_axis_label(names[0]), ylabel=_axis_label(names[1]))
        ax.set(xlim=first[[0, -1]], ylim=second[[0, -1]])
        bar = ax.figure.colorbar(field, ax=ax, ticks=_ticks(levels), format="{x:g}")
        bar.set_label("cost J, other parameters as fitted")

    def _draw_gradient(self, ax: Any) -> None:
        first, second = self.surface.first, self.surface.second
        at = [
            np.linspace(0, len(values) - 1, N_ARROWS + 2).astype(int)[1:-1]
            for values in (first, second)
        ]
        down = -self.surface.gradient[:, at[1][:, np.newaxis], at[0]]
        ax.quiver(
            first[at[0]], second[at[1]], *down, angles="xy", color="white", width=0.004
        )  # fmt: skip
        arrow = {"marker": r"$\rightarrow$", "ms": 14, "color": GREY, "ls": "none"}
        ax.plot([], [], **arrow, label="−dJ, longer where J is steeper")


def _round_levels(J: Array) -> Array:
    """Round levels, denser near the lowest J, so that contours of a quadratic are evenly spaced.

    The first is at or below the lowest J, the last at or above the highest.
    """
    low, high = float(J.min()), float(J.max())
    if high - low < 1e-6 * high or high == low:
        high = low + 1
    wanted = low + (high - low) * np.linspace(0, 1, N_LEVELS + 1) ** 2
    steps = np.array([_round_step(gap) for gap in np.diff(wanted)])
    levels = [*np.floor(wanted[:-1] / steps) * steps, np.ceil(high / steps[-1]) * steps[-1]]
    return np.unique([float(f"{level:.9g}") for level in levels])


def _round_step(x: float) -> float:
    """The largest number of the form 1, 2 or 5 times a power of ten that is at most x."""
    decade = 10.0 ** np.floor(np.log10(x))
    return float(decade * (5 if x >= 5 * decade else 2 if x >= 2 * decade else 1))


def _ticks(levels: Array) -> list[float]:
    """One of every five levels, the one with the fewest digits."""
    return [min(levels[i : i + 5], key=_digits) for i in range(0, len(levels) - 1, 5)]


def _digits(level: float) -> tuple[int, bool]:
    """Significant digits of a level, and whether the last is other than 0 or 5."""
    mantissa = f"{level:.8e}".partition("e")[0].replace(".", "").rstrip("0")
    return len(mantissa), not mantissa.endswith("5")


def _axis_label(name: str) -> str:
    return "bias b (intercept)" if name == "intercept" else f"weight of {literal(name)}"
