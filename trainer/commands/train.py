"""Train a logistic neuron; leave its pictures, figures and the model in a folder.

python scripts/train.py                            breast cancer, in seconds
python scripts/train.py moons --optimizer adam     another set; see --list
python scripts/train.py table.csv --target column  a table of your own
"""

import argparse
import errno
import hashlib
import json
import os
import platform
import shlex
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import trainer
from trainer.commands.console import PROGRAM, Signals, safe_streams, say, tell
from trainer.commands.options import make_parser
from trainer.commands.pictures import PICTURES, draw, matplotlib_settings
from trainer.commands.run_folder import check_place, run_folder

# All that a run leaves behind; other files in its folder are the user's, and stay. The last
# holds the checksums of the others.
OUTPUTS = (*PICTURES, "report.html", "suspects.csv", "history.csv", "model.skops", "metrics.json")
PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn")
LONGEST_NAME = 200
"""Bytes of a folder's name: file systems take 255, and a draft's is longer."""
# Errors that say what is wrong with the input or its place; any other is one of this program.
FORESEEN = (ValueError, OSError, ImportError, MemoryError)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    with safe_streams() as output, Signals() as signals, warnings_in_one_line():
        try:
            options = make_parser(__doc__).parse_args(arguments)
            if options.list:
                list_sets()
            else:
                run(options, signals)
                if lost(output.failure):  # the run's files are there all the same
                    tell("warning", f"standard output was lost: {output.failure}")
                return 0
        except FORESEEN as error:
            tell("error", describe(error, arguments))
            return 2
        except KeyboardInterrupt:
            tell("interrupted", "nothing was written")
            return 128 + (signals.caught or signal.SIGINT)
        except SystemExit:  # of --help
            if not lost(output.failure):
                raise
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{place.filename}:{place.lineno}"
            tell("internal error", f"{type(error).__name__}: {error} ({where}); please report it")
            return 2
        if lost(output.failure):
            tell("error", f"standard output cannot be written: {output.failure}")
            return 2
        return 0


def lost(failure: Exception | None) -> bool:
    """Whether output was lost that somebody waits for; a reader that has left does not."""
    return failure is not None and getattr(failure, "errno", None) != errno.EPIPE


def describe(error: BaseException, arguments: list[str]) -> str:
    """An error in words, with the command to copy where one more option would do."""
    if isinstance(error, MemoryError):
        return f"not enough memory; train on a part of the rows or columns ({error})"
    if added := getattr(error, "arguments", None):
        command = shlex.join(["python", sys.argv[0] or PROGRAM, *arguments, *added])
        return f"{error}, as in: {command}"
    return str(error)


def list_sets() -> None:
    """Print the data sets known by name."""
    known = trainer.list_datasets()
    width = max(map(len, known))
    for name, line in known.items():
        say(f"{name:<{width}}  {line}")


def run(options: argparse.Namespace, signals: Signals) -> None:
    """Load, train, evaluate, write, print."""
    processors = os.environ.get("LOKY_MAX_CPU_COUNT", "1")
    if not processors.isdecimal():
        raise ValueError(
            f"the environment's LOKY_MAX_CPU_COUNT must be an integer, got {processors!r}; unset it"
        )
    check_place(options.output)
    data = trainer.load_dataset(
        options.data, target=options.target, positive=options.positive, random_state=options.seed
    )
    X_train, X_test, y_train, y_test = split(data, options.test_size, options.seed)
    name = data.name
    while len(os.fsencode(name)) > LONGEST_NAME:
        name = name[:-1]
    target = options.output / name
    checkpoint = None
    if options.checkpoint or options.resume:
        checkpoint = target.with_name(f"{name}.checkpoint")
    with run_folder(target, OUTPUTS) as folder:
        print_data(data)
        settings = matplotlib_settings()
        preprocessor = trainer.make_preprocessor(X_train)
        rows = {
            "train": (preprocessor.fit_transform(X_train), y_train),
            "test": (preprocessor.transform(X_test), y_test),
        }
        say(f"\nTraining with optimizer {options.optimizer} on {len(y_train)} rows")
        neuron = train(options, rows, signals, checkpoint)
        print_ending(neuron.termination_)

        models = {"LogisticNeuron": neuron, **trainer.reference_models(*rows["train"])}
        figures = trainer.compare_models(models, rows, data.positive)
        print_figures(figures)

        from sklearn.pipeline import Pipeline

        model = Pipeline([("preprocessor", preprocessor), ("neuron", neuron)])
        trainer.save_model(model, folder / "model.skops")
        neuron.history_.to_csv(folder / "history.csv", index=False)
        draw(folder, data, model, models, *rows["test"], settings)
        if options.suspects:
            from sklearn.base import clone

            suspects = trainer.suspect_labels(clone(model), data.X, data.y)
            if options.data not in trainer.list_datasets():  # below the header
                suspects.insert(1, "line", data.X.index[suspects["row"]] + 2)
            suspects.to_csv(folder / "suspects.csv")
        if options.report:
            X_test, y_test = rows["test"]
            names = preprocessor.get_feature_names_out()
            trainer.replay_page(
                neuron, *rows["train"], folder / "report.html", X_test=X_test, y_test=y_test,
                feature_names=names, title=data.name,
            )  # fmt: skip
        write_metrics(folder, options, data, neuron, figures)
        written = [name for name in OUTPUTS if (folder / name).exists()]
        signals.finishing = True  # from here on the run ends well
    if checkpoint is not None and neuron.termination_.reason != "interrupted":
        checkpoint.unlink(missing_ok=True)
    say(f"\nWritten to {target}: {', '.join(written)}")
    if checkpoint is not None and checkpoint.exists():
        say(f"The same command with --resume goes on from {checkpoint}")
    say("The model can be loaded again:")
    say("    from trainer import load_model")
    say(f"    model = load_model({str(target / 'model.skops')!r})")


def split(data: Any, test_size: float, seed: int) -> Any:
    """X_train, X_test, y_train, y_test, stratified by class."""
    import numpy as np
    from sklearn.model_selection import train_test_split

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


def train(
    options: argparse.Namespace, rows: dict[str, Any], signals: Signals, checkpoint: Path | None
) -> Any:
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
    callbacks: list[Any] = [TrainingWatch(signals)]
    resume = None
    if checkpoint is not None:
        callbacks.append(trainer.Checkpoint(checkpoint))
        if options.resume and checkpoint.exists():
            resume = checkpoint
            say(f"Going on from {checkpoint}")
        elif options.resume:
            say(f"There is no {checkpoint}: training starts at the beginning")
    neuron.set_callbacks(*callbacks)
    signals.training = True
    try:
        neuron.fit(*rows["train"], X_val=X_val, y_val=y_val, resume=resume)
    finally:
        signals.training = False
    return neuron.set_callbacks()


class TrainingWatch:
    """A scikit-learn callback: a bar on a terminal, and the end of training when it is asked for.

    scikit-learn's own ProgressBar takes time that grows with the square of the iterations.
    """

    def __init__(self, signals: Signals) -> None:
        self.signals = signals
        self.bar: Any = None

    def setup(self, estimator: Any, context: Any) -> None:
        """Show the bar."""
        if sys.stdout.isatty():
            from rich.progress import Progress

            self.bar = Progress(transient=True)
            self.task = self.bar.add_task("iterations", total=context.max_subtasks)
            self.bar.start()

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Nothing to show yet."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """One iteration more, or all; whether to stop."""
        if context.parent is None:
            self.teardown(estimator, context)  # the line is clear for the fit's warning
        elif self.bar is not None:
            self.bar.advance(self.task)
        return self.signals.requested

    def teardown(self, estimator: Any, context: Any) -> None:
        """Take the bar away, whatever has happened."""
        if self.bar is not None:
            self.bar.stop()


@contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """Warnings as a line each on standard error, without their place in the code."""

    def show(message: Warning | str, *place: Any, **more: Any) -> None:
        tell("warning", message)

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        for kind in (DeprecationWarning, PendingDeprecationWarning, ResourceWarning):
            warnings.simplefilter("ignore", kind)  # for those who write code
        warnings.showwarning = show
        yield


def class_counts(data: Any) -> dict[str, int]:
    """Rows of each class."""
    import numpy as np

    labels, counts = np.unique(data.y, return_counts=True)
    return {str(label): int(n) for label, n in zip(labels, counts, strict=True)}


def print_data(data: Any) -> None:
    """What there is to learn from."""
    n = len(data.X)
    counts = class_counts(data).items()
    balance = (f"{label} ({count} rows, {count / n:.1%})" for label, count in counts)
    say(f"{data.name}: {data.description}")
    say(f"{n} rows, {data.X.shape[1]} features; classes {' and '.join(balance)}")
    say(f"The neuron gives the probability of: {data.positive}")
    for note in data.notes:
        say(f"Note: {note}")


def print_ending(ending: Any) -> None:
    """Why training stopped; where that was not as it should be, a warning has said it."""
    if ending.converged:
        why = f": {ending.message}"
    elif ending.reason == "interrupted":
        why = ": interrupted; the best parameters are kept"
    else:
        why = f", before it was done ({ending.reason})"
    say(f"Stopped after {ending.n_iter} iterations{why}")


def print_figures(figures: Any) -> None:
    """The table of figures, the best of each column marked, and what it says in a sentence."""
    parts = [part for part in ("train", "test") if part in figures.index]
    names = [name for _, name in figures.index]
    width = max(map(len, names))
    heads = " ".join(f"{column:>10}" for column in figures.columns)
    say(f"\n{'':<{width + 6}}{heads}")
    for part in parts:
        shown = figures.loc[part].round(3)
        for i, (name, line) in enumerate(shown.iterrows()):
            cells = (
                f"{value:>10.3f}"
                + ("*" if value == best(shown[column]) and len(shown) > 1 else " ")
                for column, value in line.items()
            )
            say(f"{part if i == 0 else '':<6}{name:<{width}}{''.join(cells)}".rstrip())
    say("* the best of the three, to the digits shown")
    brier = figures.loc["test", "Brier"]
    ours, theirs, constant = brier["LogisticNeuron"], brier["LogisticRegression"], brier["constant"]
    if ours > 0.99 * constant:
        verdict = (
            f"the neuron is no better than the constant probability, Brier score {ours:.4f} "
            f"against {constant:.4f}: perhaps no line parts these classes"
        )
    elif theirs < ours:
        verdict = f"LogisticRegression's Brier score is lower, {theirs:.4f} against {ours:.4f}"
    else:
        verdict = f"the neuron's Brier score is the lowest, {ours:.4f}"
    say(f"On these test rows {verdict}.")


def best(column: Any) -> float:
    """The best figure of a column: the lowest error, the highest share of what is right."""
    return float(column.min() if column.name in {"Brier", "log loss"} else column.max())


def write_metrics(
    folder: Path, options: argparse.Namespace, data: Any, neuron: Any, figures: Any
) -> None:
    """The run in figures, and the checksums of its files.

    The same for the same seed, but for the seconds, which the model's file holds too.
    """
    from importlib.metadata import version

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
        "sha256": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (folder / name for name in OUTPUTS)
            if path.exists()
        },
        "versions": {
            "trainer": trainer.__version__,
            "python": platform.python_version(),
            **{package: version(package) for package in PACKAGES},
        },
    }
    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
    # In JSON, too, an escape stands for half a character, as names of files may hold.
    (folder / "metrics.json").write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
