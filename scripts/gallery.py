"""Draw the gallery's pictures into docs/gallery, or into the folder given.

python scripts/gallery.py [folder]

The picture of the replay page is taken by Chromium; where none is installed, it is left out.
"""

import argparse
import shutil
import subprocess
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from sklearn.model_selection import train_test_split

import trainer

DPI = 90
N_SPLITS = 20
"""Splits into training and test rows that the effect of wrong labels is averaged over."""
WINDOW = "1280,1262"  # pixels of the picture of the replay page


def main(folder: Path) -> None:
    """Draw all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture in (
        calibration, cost_surface, decision_boundary, loss_curves, penalty_curve, wrong_labels,
    ):  # fmt: skip
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


def wrong_labels() -> Any:
    """What wrong labels in the training rows cost, measured on test rows with the right ones."""
    X, y = (np.asarray(each) for each in rows("breast_cancer"))
    models: dict[str, Any] = {
        "LogisticRegression": LogisticRegression(max_iter=1000),
        "LogisticNeuron": trainer.LogisticNeuron(random_state=0),
    }
    shares = [0.0, 0.05, 0.1, 0.15, 0.2, 0.25]
    scores = np.empty((len(models), len(shares), N_SPLITS))
    for split in range(N_SPLITS):
        X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=split)
        order = np.random.default_rng(split).permutation(len(y_train))
        for i, share in enumerate(shares):
            labels = y_train == "malignant"
            labels[order[: round(share * len(order))]] ^= True
            for k, model in enumerate(models.values()):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    p = model.fit(X_train, labels).predict_proba(X_test)[:, 1]
                scores[k, i, split] = brier_score_loss(y_test == "malignant", p)
    figure = Figure(figsize=(6.4, 4.2), dpi=DPI, layout="constrained")
    ax = figure.subplots()
    for (name, of_model), colour, marker in zip(
        zip(models, scores, strict=True), ("#D55E00", "#0072B2"), "^o", strict=True
    ):
        mean, error = of_model.mean(axis=1), of_model.std(axis=1, ddof=1) / np.sqrt(N_SPLITS)
        percent = np.multiply(shares, 100)
        ax.fill_between(percent, mean - 2 * error, mean + 2 * error, color=colour, alpha=0.15, lw=0)
        ax.plot(percent, mean, color=colour, marker=marker, lw=1.8, label=name)
    ax.set_title("breast_cancer: wrong labels in the training rows", loc="left")
    ax.set(xlabel="wrong training labels, %", ylabel="Brier score on test rows", ylim=(0, None))
    ax.grid(color="0.9", lw=0.8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, title=f"mean of {N_SPLITS} splits ± 2 standard errors")
    return SimpleNamespace(figure_=figure)


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
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    place = Path(__file__).parents[1] / "docs" / "gallery"
    parser.add_argument("folder", nargs="?", type=Path, default=place, help="where to write them")
    main(parser.parse_args().folder)
