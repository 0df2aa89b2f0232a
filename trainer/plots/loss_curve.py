"""Loss curves of one or several neurons, and optionally their gradients below."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from trainer.core.termination import reason_label
from trainer.plots.display import Display
from trainer.plots.style import COLOURS, DASHES, GREY, HOLLOW, MARKERS, check_few, literal, tidy

Array = npt.NDArray[Any]

FEW_ITERATIONS = 40
"""Up to this many iterations, each is marked."""
LONG_RUN = 100
"""Above this number of iterations, their scale is logarithmic."""
OVERSHOOT = 0.01
"""An increase of J is marked if it exceeds this fraction of the lowest value so far."""


class LossCurveDisplay(Display):
    """The cost J against the iteration, with the point where training stopped and the reason.

    For a single model, three more things are drawn: the cost on the validation set, the iteration
    that was kept if it is not the last, and the largest overshoot (update rules can increase J).
    The scale of J is logarithmic if J decreases by more than a factor of ten, and that of the
    iterations if there are more than 100.

    Parameters
    ----------
    histories : dict of str to DataFrame or mapping of str to array
        Columns as in a neuron's `history_`, by the name of the model; at most seven models.
        Columns of shape (n_iter + 1,): cost, the start first; gradient_max, required if
        `gradient`; validation_cost, drawn only for a single model; iteration, by default
        0, 1, ...; run, the number of the run if there were several.
    gradient : bool, default=False
        Also draw the largest component of the gradient of J, in a panel below.
    tol : float, optional
        Tolerance, drawn in that panel: training stops when the gradient is below it.
    reasons : dict of str to str, optional
        Why training stopped, by the name of the model; a key of
        `trainer.core.termination.REASONS`, or any text.
    kept : int, optional
        Position in the history of the parameters that were kept, if not the last; for a single
        model.
    name : str, optional
        Title of the plot.
    validation_label : str, default="validation set"
        Name of the validation set in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the cost.
    gradient_ax_ : matplotlib Axes or None
        Axes of the gradient.
    figure_ : matplotlib Figure
        The figure they belong to.

    Raises
    ------
    ValueError
        For no models, more than there are colours, or a history without the columns needed.

    Examples
    --------
    >>> history = {"cost": [0.25, 0.1, 0.09]}
    >>> display = LossCurveDisplay({"adam": history}, reasons={"adam": "max_iter"}).plot()
    >>> display.ax_.get_xlabel()
    'iteration'
    """

    def __init__(
        self,
        histories: Mapping[str, Any],
        *,
        gradient: bool = False,
        tol: float | None = None,
        reasons: Mapping[str, str] | None = None,
        kept: int | None = None,
        name: str | None = None,
        validation_label: str = "validation set",
    ) -> None:
        check_few(histories)
        for key, history in histories.items():
            for column in ("cost", "gradient_max")[: 1 + gradient]:
                if column not in history:
                    raise ValueError(
                        f"each history must have the column {column!r}, got {list(history)} for "
                        f"{key!r}; give a neuron's history_"
                    )
        self.histories = dict(histories)
        self.gradient = gradient
        self.tol = tol
        self.reasons = dict(reasons or {})
        self.kept = kept
        self.name = name
        self.validation_label = validation_label

    @classmethod
    def from_estimator(cls, estimator: Any, **options: Any) -> Self:
        """Draw the loss curve of a fitted neuron, named after the optimizer that ran.

        Parameters
        ----------
        estimator : LogisticNeuron or Pipeline that ends with one
            Fitted.
        **options
            As in `from_estimators`.

        Returns
        -------
        LossCurveDisplay
        """
        neuron = _neuron(estimator)
        optimizer = getattr(neuron, "optimizer_", neuron.optimizer)
        key = optimizer if isinstance(optimizer, str) else type(optimizer).__name__
        return cls.from_estimators({key: neuron}, **options)

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        *,
        gradient: bool = False,
        ax: Any = None,
        name: str | None = None,
        validation_label: str = "validation set",
    ) -> Self:
        """Draw the loss curves of several fitted neurons in one plot.

        Parameters
        ----------
        estimators : mapping of str to LogisticNeuron or Pipeline that ends with one
            Fitted, by name; at most seven.
        gradient : bool, default=False
            Also draw the largest component of each gradient, in a panel below.
        ax : matplotlib Axes, or a pair of them with `gradient`, optional
            Axes to draw on; None creates a figure.
        name : str, optional
            Title of the plot.
        validation_label : str, default="validation set"
            Name of the validation set in the legend, for a single neuron.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        ValueError
            For no neurons, or more than there are colours.
        """
        neurons = {key: _neuron(each) for key, each in estimators.items()}
        for neuron in neurons.values():
            check_is_fitted(neuron)
        ends = {key: getattr(neuron, "termination_", None) for key, neuron in neurons.items()}
        tols = {neuron.tol for neuron in neurons.values()}
        display = cls(
            {key: neuron.history_ for key, neuron in neurons.items()},
            gradient=gradient,
            tol=tols.pop() if len(tols) == 1 else None,
            reasons={key: end.reason for key, end in ends.items() if end is not None},
            kept=_kept(next(iter(neurons.values()))) if len(neurons) == 1 else None,
            name=name,
            validation_label=validation_label,
        )
        return display.plot(ax)

    def _new_axes(self) -> list[Any]:
        if not self.gradient:
            return super()._new_axes()
        return list(self._new_figure((6.4, 6.2)).subplots(2, sharex=True))

    def _given_axes(self, ax: Any) -> list[Any]:
        axes = np.ravel(ax).tolist()
        if len(axes) != 1 + self.gradient:
            raise ValueError(
                f"ax must be {1 + self.gradient} Axes, one for the cost and one for its gradient "
                f"if that is drawn, got {len(axes)}"
            )
        return axes

    def _draw(self, ax: Any, gradient_ax: Any = None) -> None:
        alone = len(self.histories) == 1
        longest = max(_last_iteration(history) for history in self.histories.values())
        styles = zip(COLOURS, DASHES, MARKERS, strict=True)
        for (key, history), (colour, dash, marker) in zip(
            self.histories.items(), styles, strict=False
        ):
            style = {"color": colour, "ls": dash, "lw": 1.8}
            if alone:
                label = f"{literal(key)}: J = mean squared error + penalty, training rows"
                style |= _few_marked(longest)
            else:
                label = f"{literal(key)}, {_last_iteration(history)} iterations"
                if key in self.reasons:
                    label += f":\n{literal(reason_label(self.reasons[key]))}"
                style |= {"marker": marker, "ms": 7, "mfc": "white", "mew": 1.5, "markevery": [-1]}
            ax.plot(*_curve(history, "cost"), **style, label=label)
            if gradient_ax is not None:
                gradient_ax.plot(*_curve(history, "gradient_max"), **style)
        if alone:
            self._draw_details(ax, *self.histories.items())
        _mark_new_starts(ax, self.histories.values())
        _scale_cost(ax)
        ax.set_ylabel("cost" if alone else "cost J, with penalty")
        for each in filter(None, (ax, gradient_ax)):
            _scale_iterations(each, longest)
            tidy(each)
        if gradient_ax is not None:
            if self.tol:
                label = f"tol = {self.tol:g}"
                gradient_ax.axhline(self.tol, color=GREY, lw=1, ls="dotted", label=label)
            gradient_ax.set(yscale="log", ylabel="largest gradient component")
        (gradient_ax or ax).set_xlabel("iteration")
        self.gradient_ax_ = gradient_ax

    def _draw_details(self, ax: Any, item: tuple[str, Any]) -> None:
        """Details of a single model: validation set, overshoot, kept and last iteration."""
        key, history = item
        iteration, cost = _column(history, "iteration"), _column(history, "cost")
        if "validation_cost" in history:
            ax.plot(
                *_curve(history, "validation_cost"), color=COLOURS[1], ls=DASHES[1], lw=1.8,
                label=f"mean squared error, {literal(self.validation_label)}",
                **_few_marked(_last_iteration(history)),
            )  # fmt: skip
        peak = _overshoot(history)
        if peak is not None:
            label = f"overshoot at iteration {iteration[peak]}: an update rule can raise J"
            ax.plot(iteration[peak], cost[peak], "v", ms=8, label=label, **HOLLOW)
        if self.kept is not None and self.kept != len(cost) - 1:
            label = f"kept: iteration {iteration[self.kept]}"
            ax.plot(iteration[self.kept], cost[self.kept], "o", ms=7, label=label, **HOLLOW)
        if key in self.reasons:
            label = (
                f"stopped at iteration {iteration[-1]}: {literal(reason_label(self.reasons[key]))}"
            )
            ax.plot(iteration[-1], cost[-1], "D", ms=7, label=label, **HOLLOW)


def _neuron(estimator: Any) -> Any:
    return estimator[-1] if hasattr(estimator, "steps") else estimator


def _kept(neuron: Any) -> int | None:
    """Position in the history of the parameters kept; None for a bank, which has several."""
    ends: Any = getattr(neuron, "terminations_", ())
    if len(ends) != 1 or neuron.loss_curve_[-1] == ends[0].cost:
        return None
    places = np.flatnonzero(neuron.loss_curve_ == ends[0].cost)
    return int(places[0]) if len(places) else None


def _column(history: Any, column: str) -> Array:
    """A column of a history; by default iterations are counted from 0 and there is one run."""
    if column in history:
        return np.asarray(history[column])
    n = len(history["cost"])
    return np.arange(n) if column == "iteration" else np.ones(n, dtype=int)


def _last_iteration(history: Any) -> int:
    return int(_column(history, "iteration")[-1])


def _new_starts(history: Any) -> Array:
    """Positions in the history where a run after the first begins."""
    return np.flatnonzero(np.diff(_column(history, "run"))) + 1


def _curve(history: Any, column: str) -> tuple[Array, Array]:
    """Iterations and a column, with a gap between runs."""
    gaps = _new_starts(history)
    x, y = (_column(history, each).astype(float) for each in ("iteration", column))
    return np.insert(x, gaps, np.nan), np.insert(y, gaps, np.nan)


def _mark_new_starts(ax: Any, histories: Iterable[Any]) -> None:
    label: str | None = "new start"
    for history in histories:
        places = _new_starts(history)
        if len(places):
            points = (_column(history, each)[places] for each in ("iteration", "cost"))
            ax.plot(*points, ">", ms=7, label=label, **HOLLOW)
            label = None


def _overshoot(history: Any) -> int | None:
    """Position of the largest increase of J above the lowest value so far in its run, if large."""
    runs = np.split(_column(history, "cost"), _new_starts(history))
    lowest = np.concatenate([np.minimum.accumulate(run) for run in runs])
    rise = np.concatenate(runs) - lowest
    rise = np.where(rise > OVERSHOOT * lowest, rise, 0)
    return int(rise.argmax()) if rise.any() else None


def _few_marked(n_iter: int) -> dict[str, Any]:
    return {"marker": MARKERS[0], "ms": 4} if n_iter <= FEW_ITERATIONS else {}


def _scale_cost(ax: Any) -> None:
    """Log scale for more than a decade; from 0 for more than a factor of 2; else the data range."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    costs = np.concatenate([line.get_ydata() for line in ax.get_lines()])
    costs = costs[np.isfinite(costs)]
    low, high = costs.min(), costs.max()
    if 0 < 10 * low < high:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    elif 2 * low < high:
        ax.set_ylim(0, 1.05 * high)
    else:
        ax.ticklabel_format(axis="y", useOffset=False)


def _scale_iterations(ax: Any, last: int) -> None:
    """A log scale for long runs, so that the first iterations remain visible."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if last > LONG_RUN:
        ax.set_xscale("symlog", linthresh=1)
        ax.set_xlim(0, last * 1.3)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
