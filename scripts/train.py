"""Train a logistic neuron on a data set; print what happened; leave pictures, figures, the model.

python scripts/train.py                                    breast cancer, in a few seconds
python scripts/train.py moons --optimizer adam             another set; --list shows them all
python scripts/train.py path/to/table.csv --target column  a table of your own
"""

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from train_options import make_parser

import trainer

# All that a run leaves behind; other files in its folder are the user's, and stay.
PICTURES = ("loss_curve.png", "calibration.png", "decision_boundary.png")
OUTPUTS = (*PICTURES, "history.csv", "metrics.json", "model.skops")
PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit status."""
    try:
        options = make_parser(__doc__).parse_args(argv)
        if options.list:
            known = trainer.list_datasets()
            width = max(map(len, known))
            print("\n".join(f"{name:<{width}}  {line}" for name, line in known.items()))
        else:
            run(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"train.py: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("train.py: interrupted; nothing was written", file=sys.stderr)
        return 130
    return 0


def run(options: argparse.Namespace) -> None:
    """Load, train, evaluate, write, print."""
    data = trainer.load_dataset(
        options.data, target=options.target, positive=options.positive, random_state=options.seed
    )
    X_train, X_test, y_train, y_test = split(data, options.test_size, options.seed)
    target = options.output / data.name
    with run_folder(target) as folder, warnings_in_one_line():
        print_data(data)
        preprocessor = trainer.make_preprocessor(X_train)
        rows = {
            "train": (preprocessor.fit_transform(X_train), y_train),
            "test": (preprocessor.transform(X_test), y_test),
        }
        print(f"\nTraining with optimizer {options.optimizer} on {len(y_train)} rows", flush=True)
        neuron = train(options, rows)
        ending = neuron.termination_
        print(f"Stopped after {ending.n_iter} iterations: {ending.message}\n")

        models = {"LogisticNeuron": neuron, **trainer.reference_models(*rows["train"])}
        figures = trainer.compare_models(models, rows, data.positive)
        print(figures.to_string(float_format="{:.4f}".format))

        model = Pipeline([("preprocessor", preprocessor), ("neuron", neuron)])
        trainer.save_model(model, folder / "model.skops")
        neuron.history_.to_csv(folder / "history.csv", index=False)
        write_metrics(folder / "metrics.json", options, data, neuron, figures)
        draw(folder, data, model, models, *rows["test"])
        written = [name for name in OUTPUTS if (folder / name).exists()]
    print(f"\nWritten to {target}: {', '.join(written)}")
    print("The model can be loaded again:")
    print("    from trainer import load_model")
    print(f"    model = load_model({str(target / 'model.skops')!r})")


def split(data: Any, test_size: float, seed: int) -> Any:
    """X_train, X_test, y_train, y_test, stratified by class."""
    with suppress(ValueError):
        parts = train_test_split(
            data.X, data.y, test_size=test_size, stratify=data.y, random_state=seed
        )
        if all(len(np.unique(y)) == 2 for y in parts[2:]):
            return parts
    rarest = np.unique(data.y, return_counts=True)[1].min()
    raise ValueError(
        f"--test-size {test_size:g} of {len(data.y)} rows, {rarest} of them of the rarer class, "
        "leaves a class without training or test rows; choose another --test-size or add rows"
    )


def train(options: argparse.Namespace, rows: dict[str, Any]) -> Any:
    """The neuron, fitted on the training rows."""
    neuron = trainer.LogisticNeuron(
        optimizer=options.optimizer,
        learning_rate=options.learning_rate,
        max_iter=options.max_iter,
        batch_size=options.batch_size,
        alpha=options.alpha,
        tol=options.tol,
        early_stopping=options.early_stopping,
        random_state=options.seed,
    )
    # The cost on the test rows is recorded, no more; with early stopping it would decide.
    X_val, y_val = (None, None) if options.early_stopping else rows["test"]
    if sys.stdout.isatty():
        neuron.set_callbacks(TrainingBar())
    try:
        neuron.fit(*rows["train"], X_val=X_val, y_val=y_val)
    except KeyboardInterrupt:
        if not hasattr(neuron, "coef_"):
            raise
        ending = neuron.termination_
        warnings.warn(f"training was interrupted: {ending.message}", stacklevel=2)
    return neuron.set_callbacks()


class TrainingBar:
    """A scikit-learn callback that shows a bar while a neuron trains.

    scikit-learn's own ProgressBar takes time that grows with the square of the iterations.
    """

    def setup(self, estimator: Any, context: Any) -> None:
        """Show the bar."""
        from rich.progress import Progress

        self.bar = Progress(transient=True)
        self.task = self.bar.add_task("iterations", total=context.max_subtasks)
        self.bar.start()

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Nothing to show yet."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """One iteration more; at the end of the fit, clear the line for its warning."""
        if context.parent is None:
            self.bar.stop()
        else:
            self.bar.advance(self.task)

    def teardown(self, estimator: Any, context: Any) -> None:
        """Take the bar away, whatever has happened."""
        self.bar.stop()


@contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """Warnings as a line each on standard error, without their place in the code."""

    def show(message: Warning | str, *place: Any, **more: Any) -> None:
        print(f"train.py: warning: {' '.join(str(message).split())}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = show
        yield


def class_counts(data: Any) -> dict[str, int]:
    """Rows of each class."""
    labels, counts = np.unique(data.y, return_counts=True)
    return {str(label): int(n) for label, n in zip(labels, counts, strict=True)}


def print_data(data: Any) -> None:
    """What there is to learn from."""
    n = len(data.X)
    counts = class_counts(data).items()
    balance = (f"{label} ({count} rows, {count / n:.1%})" for label, count in counts)
    print(f"{data.name}: {data.description}")
    print(f"{n} rows, {data.X.shape[1]} features; classes {' and '.join(balance)}")
    print(f"The neuron gives the probability of: {data.positive}")
    for note in data.notes:
        print(f"Note: {note}")


def write_metrics(
    path: Path, options: argparse.Namespace, data: Any, neuron: Any, figures: Any
) -> None:
    """The run in figures: the same for the same seed, but for the seconds."""
    termination = {
        name: None if value != value else value  # NaN is no JSON
        for name, value in asdict(neuron.termination_).items()
    }
    report = {
        "data": {
            "name": data.name,
            "description": data.description,
            "rows": len(data.X),
            "features": data.X.shape[1],
            "classes": class_counts(data),
            "positive": str(data.positive),
            "notes": data.notes,
        },
        "test_size": options.test_size,
        "seed": options.seed,
        "parameters": neuron.get_params(),
        "termination": termination,
        "figures": {part: figures.loc[part].to_dict("index") for part in ("train", "test")},
        "versions": {
            "trainer": trainer.__version__,
            "python": platform.python_version(),
            **{package: version(package) for package in PACKAGES},
        },
    }
    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def draw(folder: Path, data: Any, model: Any, models: dict[str, Any], X: Any, y: Any) -> None:
    """The loss curve, the calibration on the test rows and, of two numbers, the boundary."""
    neuron = model["neuron"]
    held_out = "training rows held out" if neuron.early_stopping else "test rows"
    loss = trainer.LossCurveDisplay.from_estimator(
        neuron, held_out_label=held_out, name=f"{data.name}: loss"
    )
    compared = {name: models[name] for name in models if name != "constant"}
    calibration = trainer.CalibrationDisplay.from_estimators(
        compared,
        X,
        y,
        pos_label=data.positive,
        random_state=0,
        name=f"{data.name}: calibration on {len(y)} test rows",
    )
    pictures = [loss, calibration]
    numeric = [is_numeric_dtype(kind) and not is_bool_dtype(kind) for kind in data.X.dtypes]
    if numeric == [True, True]:
        boundary = trainer.DecisionBoundaryDisplay.from_estimator(
            model,
            data.X,
            data.y,
            pos_label=data.positive,
            name=f"{data.name}: probability and boundary, all rows",
        )
        pictures.append(boundary)
    for name, picture in zip(PICTURES, pictures, strict=False):
        picture.figure_.savefig(folder / name)


@contextmanager
def run_folder(target: Path) -> Iterator[Path]:
    """A draft folder whose files go to `target` when all has gone well; if not, nothing changes.

    Of what `target` holds already, only files of our own names are replaced or removed.
    """
    for path in (target, *target.parents):
        if path.exists() and not path.is_dir():
            raise ValueError(f"--output: {path} is a file where a folder should be; choose another")
    for path in (target / name for name in OUTPUTS):
        if path.is_dir():
            raise ValueError(f"--output: {path} is a folder where a file should be; move it away")
    if target.exists() and not os.access(target, os.W_OK):
        raise ValueError(f"--output: {target} cannot be written to; choose another")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent)
    except OSError as error:
        raise ValueError(
            f"--output: {target} cannot be written ({error.strerror}); choose another"
        ) from error
    with draft:
        yield Path(draft.name)
        interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # not between two files
        try:
            target.mkdir(exist_ok=True)
            for name in OUTPUTS:
                if (Path(draft.name) / name).exists():
                    os.replace(Path(draft.name) / name, target / name)
                else:
                    (target / name).unlink(missing_ok=True)
        finally:
            signal.signal(signal.SIGINT, interrupt)


if __name__ == "__main__":
    sys.exit(main())
