"""Colours, markers and text that all displays use."""

from collections.abc import Sized
from typing import Any

# Okabe and Ito's colours, which colour-blind readers can tell apart, each with a marker and dash.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "^", "s", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
GREY = "#555555"
HOLLOW = {"ls": "none", "mfc": "white", "mec": GREY, "mew": 1.5, "zorder": 4}


def literal(text: Any, limit: int = 48) -> str:
    """Text for a label that is drawn as it is: no mathematics, one line, not hidden, not too long.

    Matplotlib takes `$...$` for mathematics and hides labels that begin with an underscore.
    """
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return (" " + text if text.startswith("_") else text).replace("$", r"\$")


def tidy(*axes: Any) -> None:
    """A light grid behind the data, no frame at the top and on the right."""
    for ax in axes:
        ax.grid(color="0.9", lw=0.8)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)


def check_few(models: Sized) -> None:
    """Raise where there are more models than colours."""
    if not 1 <= len(models) <= len(COLOURS):
        raise ValueError(
            f"there must be 1 to {len(COLOURS)} models, as many as there are colours that "
            f"colour-blind readers can tell apart, got {len(models)}; draw several pictures"
        )
