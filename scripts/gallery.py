"""Draw the gallery's pictures into docs/gallery, or into the folder given.

python scripts/gallery.py [folder]

The picture of the replay page is taken by Chromium; where none is installed, it is left out.
"""

import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

import trainer

DPI = 90
WINDOW = "1280,1262"  # pixels of the picture of the replay page


def main(folder: Path) -> None:
    """Draw all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture in (calibration, cost_surface, decision_boundary, loss_curves, penalty_curve):
        path = folder / f"{picture.__name__}.png"
        picture().figure_.savefig(path, dpi=DPI, metadata={"Software": None})  # no version in it
        print(path)
    path = folder / "replay.png"
    print(path if replay(path) else "replay.png is left out: Chromium was not found")


def calibration() -> Any:
    """The isotonic reliability curve, its consistency band and the parts of the Brier score."""
    X, y = rows("moons")
    return trainer.CalibrationDisplay.from_estimator(
        fitted(X, y), X, y, n_bins=10, random_state=0, name="moons: calibration"
    )


def cost_surface() -> Any:
    """Momentum passes the minimum and comes back."""
    X, y = rows("moons")
    neuron = fitted(X, y, optimizer="momentum")
    return trainer.CostSurfaceDisplay.from_estimator(neuron, X, y, name="moons: momentum")


def decision_boundary() -> Any:
    """The line where the probability is 1/2."""
    data = trainer.load_dataset("moons")
    neuron = fitted(data.X, data.y)
    title = "moons: probability and decision boundary"
    return trainer.DecisionBoundaryDisplay.from_estimator(neuron, data.X, data.y, name=title)


def loss_curves() -> Any:
    """How fast six optimizers lower J and its gradient."""
    X, y = rows("breast_cancer")
    names = ("gradient_descent", "momentum", "nesterov", "adam", "lbfgs", "newton")
    neurons = {name: fitted(X, y, optimizer=name, max_iter=1000) for name in names}
    title = "breast_cancer: six optimizers"
    return trainer.LossCurveDisplay.from_estimators(neurons, gradient=True, name=title)


def penalty_curve() -> Any:
    """The score on the validation set against the penalty, for each fold and their mean."""
    X, y = rows("breast_cancer")
    search = trainer.LogisticNeuronCV(random_state=0).fit(X, y)
    title = "breast_cancer: cross-validated penalty"
    return trainer.PenaltyCurveDisplay.from_estimator(search, name=title)


def replay(path: Path) -> bool:
    """The replay page at iteration 2 of a run with default settings; False without a browser."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        return False
    X, y = rows("moons")
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)
    with TemporaryDirectory() as folder:
        page = Path(folder, "moons.html")
        fitted(X, y).to_html(page, X, y, X_test=X_test, y_test=y_test, title="moons")
        flags = [
            "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--force-device-scale-factor=1", f"--window-size={WINDOW}",
            f"--user-data-dir={folder}/chromium", f"--screenshot={path.absolute()}",
        ]  # fmt: skip
        command = [browser, *flags, f"{page.as_uri()}#step=2"]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(256)  # colours: a third of the size
    few.save(path, optimize=True)
    return True


def rows(name: str) -> tuple[Any, Any]:
    """A toy set, its features scaled to mean 0 and variance 1."""
    data = trainer.load_dataset(name)
    scale = trainer.make_preprocessor(data.X).set_output(transform="pandas")
    return scale.fit_transform(data.X), data.y


def fitted(X: Any, y: Any, **settings: Any) -> Any:
    """A trained neuron, without a warning: the picture shows why it stopped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return trainer.LogisticNeuron(random_state=0, **settings).fit(X, y)


if __name__ == "__main__":
    root = Path(__file__).parents[1]
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else root / "docs" / "gallery")
