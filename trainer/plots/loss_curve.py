"""The loss curve of one neuron or of several, and the gradient beneath it."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trainer.plots.style import COLOURS, DASHES, GREY, MARKERS, check_few, new_axes, tidy

Array = npt.NDArray[Any]

STOPPED = {
    "gradient": "gradient within tol",
    "max_iter": "max_iter reached",
    "early_stopping": "no gain on the rows held out",
    "plateau": "no step lowers J",
    "diverged": "diverged",
    "interrupted": "interrupted",
}
HOLLOW = {"ls": "none", "mfc": "white", "mew": 1.5, "zorder": 3}
FEW = 40
"""Iterations up to which each gets a marker."""


class LossCurveDisplay:
    """The cost J against the iteration, with the point where training stopped.

    J has a log scale where it falls by more than a factor of ten, the iterations where
    there are more than 200. The gradient, in a panel beneath, always has a log scale.

    Parameters
    ----------
    loss_curve : array-like of shape (n_iter + 1,), or dict of str to array-like
        J on the training rows, before the first iteration and after each; of several
        models, by name: seven at most.
    validation_curve : array-like of shape (n_iter + 1,), optional
        The same on rows held out; of one model only.
    gradient_curve : as `loss_curve`, optional
        Largest component of J's gradient, in a panel beneath.
    tol : float, optional
        Drawn into that panel: training was done when the gradient was below.
    reason : str or dict of str to str, optional
        Why training stopped; a key of `STOPPED` or any words.
    kept : int, optional
        The iteration whose parameters were kept, if not the last; of one model only.
    name : str, optional
        Title of the picture.
    held_out_label : str, default="rows held out"
        What to call the rows held out.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where the curve was drawn.
    gradient_ax_ : matplotlib Axes or None
        Where the gradient was drawn.
    figure_ : matplotlib Figure
        The figure they belong to.

    Examples
    --------
    >>> display = LossCurveDisplay([0.25, 0.1, 0.09], reason="max_iter").plot()
    >>> display.ax_.get_xlabel()
    'iteration'
    """

    def __init__(
        self,
        loss_curve: npt.ArrayLike | Mapping[str, npt.ArrayLike],
        validation_curve: npt.ArrayLike | None = None,
        *,
        gradient_curve: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None,
        tol: float | None = None,
        reason: str | Mapping[str, str] | None = None,
        kept: int | None = None,
        name: str | None = None,
        held_out_label: str = "rows held out",
    ) -> None:
        self.loss_curve = _curves(loss_curve)
        self.validation_curve = None if validation_curve is None else np.asarray(validation_curve)
        self.gradient_curve = None if gradient_curve is None else _curves(gradient_curve)
        self.tol = tol
        self.reason = reason
        self.kept = kept
        self.name = name
        self.held_out_label = held_out_label

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        gradient: bool = False,
        ax: Any = None,
        name: str | None = None,
        held_out_label: str = "rows held out",
    ) -> Self:
        """Draw the loss curve of a fitted neuron.

        Parameters
        ----------
        estimator : LogisticNeuron or Pipeline that ends with one
            Fitted.
        gradient : bool, default=False
            Draw the largest component of the gradient too, in a panel beneath.
        ax : matplotlib Axes, or a pair of them with `gradient`, optional
            Where to draw; None makes a figure.
        name : str, optional
            Title of the picture.
        held_out_label : str, default="rows held out"
            What to call the rows held out.

        Returns
        -------
        LossCurveDisplay
        """
        neuron = _neuron(estimator)
        reason = neuron.termination_.reason
        kept = None
        if neuron.early_stopping and reason != "diverged":
            kept = int(np.argmin(neuron.validation_curve_))
        elif reason == "interrupted":
            kept = int(np.argmin(neuron.loss_curve_))
        display = cls(
            neuron.loss_curve_,
            neuron.validation_curve_,
            gradient_curve=_gradient_curve(neuron) if gradient else None,
            tol=neuron.tol,
            reason=reason,
            kept=kept,
            name=name,
            held_out_label=held_out_label,
        )
        return display.plot(ax=ax)

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        *,
        gradient: bool = False,
        ax: Any = None,
        name: str | None = None,
    ) -> Self:
        """Draw the loss curves of several fitted neurons into one picture.

        Parameters
        ----------
        estimators : mapping of str to LogisticNeuron or Pipeline that ends with one
            Fitted, by name; seven at most.
        gradient : bool, default=False
            Draw the largest component of each gradient too, in a panel beneath.
        ax : matplotlib Axes, or a pair of them with `gradient`, optional
            Where to draw; None makes a figure.
        name : str, optional
            Title of the picture.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        ValueError
            For no neurons, or more than there are colours.
        """
        neurons = {key: _neuron(each) for key, each in estimators.items()}
        tols = {neuron.tol for neuron in neurons.values()}
        display = cls(
            {key: neuron.loss_curve_ for key, neuron in neurons.items()},
            gradient_curve=(
                {key: _gradient_curve(neuron) for key, neuron in neurons.items()}
                if gradient
                else None
            ),
            tol=tols.pop() if len(tols) == 1 else None,
            reason={key: neuron.termination_.reason for key, neuron in neurons.items()},
            name=name,
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, or a pair of them with a gradient, optional
            Where to draw; None makes a figure.

        Returns
        -------
        LossCurveDisplay
        """
        aside = ax is None and isinstance(self.loss_curve, dict)
        ax, gradient_ax = self._panels(ax)
        if isinstance(self.loss_curve, dict):
            self._draw_several(ax, gradient_ax, self.loss_curve)
        else:
            self._draw_one(ax, gradient_ax, self.loss_curve)
        ax.set(ylabel="cost J (mean squared error + penalty)")
        tidy(ax)
        if gradient_ax is not None:
            if self.tol:
                label = f"tol = {self.tol:g}"
                gradient_ax.axhline(self.tol, color=GREY, lw=1, ls="dotted", label=label, zorder=2)
                gradient_ax.legend(frameon=False)
            gradient_ax.set(yscale="log", ylabel="largest slope of J")
            tidy(gradient_ax)
        (gradient_ax or ax).set_xlabel("iteration")
        if self.name:
            ax.set_title(self.name, loc="left")
        # Of several models its entries are many and long: they would cover the curves.
        place = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)} if aside else {}
        ax.legend(frameon=False, **place)
        self.ax_, self.gradient_ax_, self.figure_ = ax, gradient_ax, ax.figure
        return self

    def _width(self) -> float:
        return 8.6 if isinstance(self.loss_curve, dict) else 6.4

    def _panels(self, ax: Any) -> tuple[Any, Any]:
        """The axes for J and, with a gradient, those for it."""
        if self.gradient_curve is None:
            return new_axes(ax, figsize=(self._width(), 4.2)), None
        if ax is None:
            return tuple(new_axes(None, figsize=(self._width(), 6.4), panels=2))
        axes = np.ravel(ax)
        if len(axes) != 2:
            raise ValueError(
                "ax must be two Axes, for the cost and for its gradient, got one; give two, or "
                "leave the gradient out"
            )
        return axes[0], axes[1]

    def _draw_one(self, ax: Any, gradient_ax: Any, costs: Array) -> None:
        curves = {"training rows": costs}
        if self.validation_curve is not None:
            curves[self.held_out_label] = self.validation_curve
        last = len(costs) - 1
        few = MARKERS[0] if last <= FEW else None
        for (label, curve), colour, dash in zip(curves.items(), COLOURS, DASHES, strict=False):
            style = {"color": colour, "linestyle": dash, "marker": few, "ms": 3, "lw": 1.8}
            ax.plot(np.arange(last + 1), curve, label=label, **style)
        _scale_cost(ax, np.concatenate(list(curves.values())))
        _scale_iterations(ax, last)
        if gradient_ax is not None:
            gradient_ax.plot(self.gradient_curve, color=COLOURS[0], marker=few, ms=3, lw=1.8)
            _scale_iterations(gradient_ax, last)
        if self.kept not in (None, last):
            label = f"kept: iteration {self.kept}"
            ax.plot(self.kept, costs[self.kept], "o", ms=6, mec=GREY, label=label, **HOLLOW)
        if self.reason is not None:
            label = f"stopped at {last}: {_words(self.reason)}"
            for each in filter(None, (ax, gradient_ax)):
                each.axvline(last, color=GREY, lw=1, ls="dotted", zorder=0)
            ax.plot(last, costs[-1], "D", ms=7, mec=GREY, label=label, **HOLLOW)

    def _draw_several(self, ax: Any, gradient_ax: Any, curves: dict[str, Array]) -> None:
        check_few(curves)
        gradients = self.gradient_curve or {}
        longest = max(map(len, curves.values())) - 1
        reasons = self.reason if isinstance(self.reason, Mapping) else {}
        for (name, costs), colour, marker, dash in zip(
            curves.items(), COLOURS, MARKERS, DASHES, strict=False
        ):
            last = len(costs) - 1
            label = f"{name}, {last} iterations"
            if name in reasons:
                label += f":\n{_words(reasons[name])}"
            panels = [(ax, costs)]
            if gradient_ax is not None:
                panels.append((gradient_ax, gradients[name]))
            for each, curve in panels:
                each.plot(
                    curve, color=colour, ls=dash, lw=1.8, marker=marker, ms=7, mfc="white",
                    mew=1.5, markevery=[last], label=label if each is ax else None,
                )  # fmt: skip
        _scale_cost(ax, np.concatenate(list(curves.values())))
        for each in filter(None, (ax, gradient_ax)):
            _scale_iterations(each, longest)


def _neuron(estimator: Any) -> Any:
    return estimator[-1] if hasattr(estimator, "steps") else estimator


def _gradient_curve(neuron: Any) -> Array:
    return neuron.history_["gradient_max"].to_numpy()


def _curves(curves: Any) -> Any:
    if isinstance(curves, Mapping):
        return {name: np.asarray(curve) for name, curve in curves.items()}
    return np.asarray(curves)


def _words(reason: Any) -> str:
    return STOPPED.get(reason, reason)


def _scale_cost(ax: Any, costs: Array) -> None:
    """A log scale where a linear one would press the curve against the axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if 10 * costs.min() < costs.max() and costs.min() > 0:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_ylim(0, 1.1 * costs.max())


def _scale_iterations(ax: Any, last: int) -> None:
    """The same for a long run, whose start would be pressed against the other."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if last > 200:
        ax.set_xscale("symlog", linthresh=1)
        ax.set_xlim(0, last * 1.3)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
