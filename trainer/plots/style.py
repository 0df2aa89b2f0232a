"""Colours, markers and text styles of all displays."""

from collections.abc import Sized
from typing import Any

# Okabe and Ito's colours, distinguishable by colour-blind readers, each with a marker and a dash.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "^", "s", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
GREY = "#555555"
HOLLOW = {"ls": "none", "mfc": "white", "mec": GREY, "mew": 1.5, "zorder": 4}


def literal(text: Any, limit: int = 48) -> str:
    """Escape text for a label: no mathematics, one line, never hidden, and not too long.

    Matplotlib interprets `$...$` as mathematics and hides labels that begin with an underscore.
    """
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return (" " + text if text.startswith("_") else text).replace("$", r"\$")


def tidy(*axes: Any) -> None:
    """Draw a light grid behind the data, and no frame at the top and on the right."""
    for ax in axes:
        ax.grid(color="0.9", lw=0.8)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)


def check_few(models: Sized) -> None:
    """Raise if there are no models, or more models than colours."""
    if not 1 <= len(models) <= len(COLOURS):
        raise ValueError(
            f"there must be 1 to {len(COLOURS)} models, as many as there are colours that "
            f"colour-blind readers can tell apart, got {len(models)}; draw several pictures"
        )
