"""What the pictures share: colours, markers, and figures that pyplot knows nothing of."""

from typing import Any

# Okabe and Ito's colours, told apart by colour-blind eyes too, each with its marker and dash.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "^", "s", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
GREY = "#555555"


def new_axes(ax: Any, figsize: tuple[float, float] = (6.4, 4.2), panels: int = 1) -> Any:
    """The Axes given, or those of a new figure: one, or an array of panels, the first on top."""
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=figsize, dpi=150, layout="constrained").subplots(panels, sharex=True)


def axes_above_counts(ax: Any, aside: float = 0.0) -> tuple[Any, Any]:
    """Square axes for probabilities, and axes beneath them for the rows they rest on.

    A new figure has room of `aside` inches on their right.
    """
    if ax is None:
        width = 5.4 + aside
        ax = new_axes(None, figsize=(width, 6.8))
        ax.figure.set_layout_engine("none")  # it would not leave room for the counts
        ax.set_position((0.756 / width, 0.3, 4.428 / width, 0.65))
    return ax, ax.inset_axes((0, -0.32, 1, 0.26), sharex=ax)


def tidy(*axes: Any) -> None:
    """A light grid behind the data, no frame above and on the right."""
    for ax in axes:
        ax.grid(color="0.9", lw=0.8)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)


def check_few(models: Any) -> None:
    """Raise where there are more models than colours."""
    if not 1 <= len(models) <= len(COLOURS):
        raise ValueError(
            f"models must hold 1 to {len(COLOURS)} models, as many as there are colours that all "
            f"eyes tell apart, got {len(models)}; draw the others in a picture of their own"
        )
