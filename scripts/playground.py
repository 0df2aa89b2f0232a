"""Build docs/playground.html, one neuron to train in the browser, or the file given.

python scripts/playground.py [file]
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import make_blobs, make_circles, make_moons

import trainer

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "docs" / "playground"
STYLES = (ROOT / "trainer" / "web" / "style.css", SOURCES / "page.css")
SCRIPTS = (
    "neuron.js",
    "table.js",
    "plot.js",
    "picture.js",
    "state.js",
    "address.js",
    "run.js",
    "own.js",
    "views.js",
    "data_view.js",
    "cost_view.js",
    "tables_view.js",
    "page.js",
)
N_SAMPLES = 120


def main(arguments: list[str]) -> int:
    """Run the command line; the exit status."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print(__doc__)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    target = Path(arguments[0]) if arguments else ROOT / "docs" / "playground.html"
    try:
        target.write_text(page(), encoding="utf-8", newline="\n")
    except OSError as error:
        print(f"playground.py: error: {target} cannot be written: {error}", file=sys.stderr)
        return 2
    print(target)
    return 0


def page() -> str:
    """The page as one file: styles, scripts and data sets inside."""
    return trainer.self_contained_page(
        SOURCES / "page.html",
        STYLES,
        [SOURCES / name for name in SCRIPTS],
        datasets(),
        "One logistic neuron, step by step",
    )


def datasets() -> dict[str, dict[str, Any]]:
    """The data sets by name, as the page takes them.

    title and note are shown; X, y and features are the rows; alpha, bias (is it trained?) and
    start (the weights and, last, the bias) are what training begins with; reach is how far the
    cost plots go at least. unit and weightUnit give the features' and the weights' axes a scale
    that is linear up to there and logarithmic beyond.
    """
    return {
        "lesson": dataset(
            "The lesson's point",
            "One sample, x = 1 and y = 1. The lesson starts at w = 0.3 and b = 0.3.",
            [[1.0]],
            [1],
            start=[0.3, 0.3],
        ),
        "moons": dataset(
            "Moons",
            f"{N_SAMPLES} samples on two half circles that interlock.",
            *make_moons(N_SAMPLES, noise=0.2, random_state=0),
        ),
        "circles": dataset(
            "Circles",
            f"{N_SAMPLES} samples on two circles, one inside the other: no line separates them.",
            *make_circles(N_SAMPLES, noise=0.1, factor=0.5, random_state=0),
        ),
        "blobs": dataset("Blobs", f"{N_SAMPLES} samples in two round clusters.", *blobs()),
        "flipped": dataset(
            "Blobs, 10 % wrong labels",
            f"The blobs with the labels of {N_SAMPLES // 10} samples flipped at random.",
            *flipped(),
        ),
        "outliers": dataset(
            "Blobs, wrong labels far out",
            "Two clusters of 50, and ten samples far out with the wrong label.",
            *outliers(),
        ),
        "valleys": dataset(
            "Two valleys",
            "Eight samples on a line, no bias, α = 0.001: J of squared error has minima at "
            "w = −0.22 and w = 3.83.",
            [[-10.0], [-9.0], [-1.0], [-0.5], [0.5], [1.0], [9.0], [10.0]],
            [1, 1, 0, 0, 1, 1, 0, 0],
            alpha=1e-3,
            bias=False,
            reach=8,
        ),
        "eight": dataset(
            "Nine minima",
            "Eight samples, four on each axis, no bias: J of squared error has nine minima. "
            "All axes are logarithmic away from 0.",
            [[x, 0.0] for x in (1000.0, 100.0, 10.0, 1.0)]
            + [[0.0, x] for x in (1000.0, 100.0, 10.0, 1.0)],
            [1, 0, 1, 0, 1, 0, 1, 0],
            bias=False,
            reach=1,
            unit=1,
            weightUnit=1e-3,
        ),
    }


def dataset(title: str, note: str, X: Any, y: Any, **settings: Any) -> dict[str, Any]:
    """A data set with the usual settings where none are given; values to four decimals."""
    X = np.round(np.asarray(X, dtype=float), 4)
    usual = {"alpha": 0.0, "bias": True, "start": [0.0] * (X.shape[1] + 1), "reach": 4}
    return {
        "title": title,
        "note": note,
        "X": X.tolist(),
        "y": np.asarray(y).tolist(),
        "features": ["x", "x₂"][: X.shape[1]] if X.shape[1] == 1 else ["x₁", "x₂"],
        **usual,
        **settings,
    }


def blobs() -> Any:
    """Two round clusters."""
    return make_blobs(N_SAMPLES, centers=[[-1, -1], [1, 1]], random_state=0)


def flipped() -> Any:
    """The blobs, a tenth of the labels wrong."""
    X, y = blobs()
    wrong = np.random.default_rng(0).choice(N_SAMPLES, N_SAMPLES // 10, replace=False)
    y[wrong] = 1 - y[wrong]
    return X, y


def outliers() -> Any:
    """Two clusters, and ten samples on the far side of the other class's."""
    return make_blobs(
        [50, 50, 5, 5],
        centers=[[-1, -1], [1, 1], [6, 4], [-6, -4]],
        cluster_std=[0.7, 0.7, 0.4, 0.4],
        shuffle=False,
        random_state=0,
    )[0], np.repeat([0, 1, 0, 1], [50, 50, 5, 5])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
