"""Draw the gallery's pictures into docs/gallery, or into the folder given.

python scripts/gallery.py [folder]
"""

import sys
import warnings
from pathlib import Path
from typing import Any

from sklearn.exceptions import ConvergenceWarning

import trainer

DPI = 90


def main(folder: Path) -> None:
    """Draw all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture in (loss_curves, cost_surface, brier_decomposition, penalty_curve):
        path = folder / f"{picture.__name__}.png"
        picture().savefig(path, dpi=DPI, metadata={"Software": None})  # no version in the file
        print(path)


def loss_curves() -> Any:
    """How fast six optimizers come down, and how near to where J has no slope."""
    X, y = rows("breast_cancer")
    names = ("gradient_descent", "momentum", "nesterov", "adam", "lbfgs", "newton")
    neurons = {name: fitted(X, y, optimizer=name, max_iter=1000) for name in names}
    title = "breast_cancer: six optimizers"
    return trainer.LossCurveDisplay.from_estimators(neurons, gradient=True, name=title).figure_


def cost_surface() -> Any:
    """How the heavy ball rolls past the minimum, and back."""
    X, y = rows("moons")
    neuron = fitted(X, y, optimizer="momentum")
    title = "moons: the way of momentum"
    return trainer.CostSurfaceDisplay.from_estimator(neuron, X, y, name=title).figure_


def brier_decomposition() -> Any:
    """What the Brier score is made of."""
    X, y = rows("moons")
    display = trainer.BrierDecompositionDisplay.from_estimator(
        fitted(X, y), X, y, n_bins=10, random_state=0
    )
    display.ax_.set_title("moons: the Brier score taken apart", loc="left")
    return display.figure_


def penalty_curve() -> Any:
    """Which penalty does best on rows held out, and how far the folds differ."""
    X, y = rows("breast_cancer")
    search = trainer.LogisticNeuronCV(random_state=0).fit(X, y)
    title = "breast_cancer: cross-validated penalty"
    return trainer.PenaltyCurveDisplay.from_estimator(search, name=title).figure_


def rows(name: str) -> tuple[Any, Any]:
    """A toy set, its features brought to mean 0 and variance 1."""
    data = trainer.load_dataset(name)
    scale = trainer.make_preprocessor(data.X).set_output(transform="pandas")
    return scale.fit_transform(data.X), data.y


def fitted(X: Any, y: Any, **settings: Any) -> Any:
    """A trained neuron, its end shown by the picture and not by a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return trainer.LogisticNeuron(random_state=0, **settings).fit(X, y)


if __name__ == "__main__":
    root = Path(__file__).parents[1]
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else root / "docs" / "gallery")
