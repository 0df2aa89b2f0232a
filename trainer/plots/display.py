"""The base class of all displays."""

import sys
from io import BytesIO
from itertools import chain
from textwrap import wrap
from typing import Any, ClassVar, Self

from trainer.plots.style import literal

# Sizes of a legend's parts, in inches, for Matplotlib's default font size.
LINE_HEIGHT = 0.21
HANDLE_WIDTH = 0.6
CHARACTER_WIDTH = 0.07


class Display:
    """A plot that can be redrawn and that notebooks show as an image.

    A subclass draws labelled artists in `_draw`; the base class provides the title `name`, the
    legend, the figure and the notebook image.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot; the uppermost if there are several.
    figure_ : matplotlib Figure
        The figure that they belong to.
    """

    name: str | None = None
    ax_: Any
    figure_: Any
    _legend_title: ClassVar[str | None] = None

    def plot(self, ax: Any = None) -> Self:
        """Draw the plot.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Axes to draw on. None creates a figure. If pyplot has been imported, it is a pyplot
            figure, which `plt.show()` shows; otherwise no global reference keeps it open, which
            suits servers.

        Returns
        -------
        self : Display
        """
        axes = self._new_axes() if ax is None else self._given_axes(ax)
        self.ax_, self.figure_ = axes[0], axes[0].figure
        self._draw(*axes)
        if self.name is not None:
            self.ax_.set_title(literal(self.name, 80), loc="left")
        entries = zip(*(each.get_legend_handles_labels() for each in axes), strict=True)
        handles, labels = (list(chain.from_iterable(parts)) for parts in entries)
        if handles and ax is None:
            self._draw_legend_below(handles, labels)
        elif handles:
            self.ax_.legend(handles, labels, framealpha=0.8, edgecolor="none", fontsize="small")
        return self

    def _draw_legend_below(self, handles: list[Any], labels: list[str]) -> None:
        """A legend below the axes, where it hides nothing; the figure grows by its height."""
        width = self.figure_.get_figwidth()
        whole, half = (int((width / n - HANDLE_WIDTH) / CHARACTER_WIDTH) for n in (1, 2))
        wrapped = [
            "\n".join(chain.from_iterable(wrap(line, whole) for line in label.split("\n")))
            for label in labels
        ]
        lines = "\n".join(wrapped).split("\n")
        n_columns = 2 if max(map(len, lines)) <= half else 1
        n_lines = -(-len(lines) // n_columns) + (self._legend_title is not None)
        self.figure_.set_figheight(self.figure_.get_figheight() + LINE_HEIGHT * n_lines)
        self.figure_.legend(
            handles, wrapped, title=self._legend_title, alignment="left", frameon=False,
            loc="outside lower left", ncols=n_columns,
        )  # fmt: skip

    def _draw(self, *axes: Any) -> None:
        raise NotImplementedError

    def _new_axes(self) -> list[Any]:
        """Axes of a new figure, the uppermost first."""
        return [self._new_figure().subplots()]

    def _given_axes(self, ax: Any) -> list[Any]:
        return [ax]

    def _new_figure(self, figsize: tuple[float, float] = (6.4, 4.2)) -> Any:
        """A figure of the given size in inches, before the legend is added."""
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is not None:
            return pyplot.figure(figsize=figsize, layout="constrained")
        from matplotlib.figure import Figure

        return Figure(figsize=figsize, dpi=150, layout="constrained")

    def _repr_png_(self) -> bytes | None:
        """The image for a notebook; None if pyplot shows the figure itself."""
        if not hasattr(self, "figure_"):
            self.plot()
        if _shown_by_pyplot(self.figure_):
            return None
        image = BytesIO()
        self.figure_.savefig(image, format="png", dpi=100)
        return image.getvalue()


def _shown_by_pyplot(figure: Any) -> bool:
    """Whether pyplot has the figure open and an interactive backend to show it."""
    if "matplotlib.pyplot" not in sys.modules:
        return False
    from matplotlib import _pylab_helpers, get_backend
    from matplotlib.backends import BackendFilter, backend_registry

    managers = _pylab_helpers.Gcf.get_all_fig_managers()
    is_open = any(manager.canvas.figure is figure for manager in managers)
    blind = backend_registry.list_builtin(BackendFilter.NON_INTERACTIVE)
    return is_open and get_backend().lower() not in blind
