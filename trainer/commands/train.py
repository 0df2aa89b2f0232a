"""Train a logistic neuron; write plots, scores and the model to a folder.

logistic-neuron train                            breast cancer, in seconds
logistic-neuron train moons --optimizer adam     another set; see --list
logistic-neuron train table.csv --target column  a table of your own
"""

import argparse
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import trainer
from trainer.commands import rows
from trainer.commands.console import Signals, run_program, say
from trainer.commands.options import make_parser
from trainer.commands.pictures import PICTURES, draw, matplotlib_settings
from trainer.commands.run_folder import check_place, run_folder

# All that a run leaves behind; other files in its folder are the user's, and stay. The last
# holds the checksums of the others.
OUTPUTS = (*PICTURES, "report.html", "suspects.csv", "history.csv", "model.skops", "metrics.json")
PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn")
LONGEST_NAME = 200
"""Bytes of a folder's name: file systems take 255, and a draft's is longer."""
WRONG_LABELS = 0.1
"""Share of the training labels that is flipped to show what that costs, for sets known by name."""


def main(argv: list[str] | None = None, program: str = "train.py") -> int:
    """Run the command line; the exit status."""
    return run_program(program, work, argv)


def work(arguments: list[str], signals: Signals) -> int:
    """List the data sets, or train."""
    options = make_parser(__doc__).parse_args(arguments)
    if options.list:
        list_sets()
    else:
        run(options, signals)
    return 0


def list_sets() -> None:
    """Print the data sets known by name."""
    known = trainer.list_datasets()
    width = max(map(len, known))
    for name, line in known.items():
        say(f"{name:<{width}}  {line}", hang=width + 2)


def run(options: argparse.Namespace, signals: Signals) -> None:
    """Load, train, evaluate, write, print."""
    processors = os.environ.get("LOKY_MAX_CPU_COUNT", "1")
    if not processors.isdecimal():
        raise ValueError(
            f"the environment's LOKY_MAX_CPU_COUNT must be an integer, got {processors!r}; unset it"
        )
    check_place(options.output)
    name, opened = rows.find(options)
    while len(os.fsencode(name)) > LONGEST_NAME:
        name = name[:-1]
    target = options.output / name
    checkpoint = None
    if options.checkpoint or options.resume:
        checkpoint = target.with_name(f"{name}.checkpoint")
    with run_folder(target, OUTPUTS) as folder, opened as table:
        data, preprocessor, test = table.data, table.preprocessor, table.scored["test"]
        if options.wrong_labels is None:
            options.wrong_labels = 0.0 if table.is_file else WRONG_LABELS
        print_data(table)
        settings = matplotlib_settings()
        signals.training = True  # whatever comes now stops training, and the run goes on
        say(f"\nTraining with optimizer {options.optimizer} on {table.n_training} rows")
        neuron = train(options, table, signals, checkpoint)
        print_ending(neuron.termination_)
        if table.close_bar is not None:
            say(f"All rows were read {neuron.termination_.n_passes:.1f} times")

        models = {"LogisticNeuron": neuron, **table.references()}
        figures = trainer.compare_models(models, table.scored, data.positive)
        print_figures(figures, table.n_training, len(test[1]))
        say(verdict(models, *test, data.positive, figures.loc["test"]), emphasis=".+")
        wanted = options.wrong_labels and not signals.requested
        if wanted and better_than_constant(figures.loc["test"]):
            import pandas as pd

            tried = wrong_labels(options, table, signals)
            figures = pd.concat([figures, tried])

        from sklearn.pipeline import Pipeline

        model = Pipeline([("preprocessor", preprocessor), ("neuron", neuron)])
        trainer.save_model(model, folder / "model.skops")
        neuron.history_.to_csv(folder / "history.csv", index=False)
        draw(folder, data, model, models, *test, settings)
        if options.suspects:
            from sklearn.base import clone

            suspects = trainer.suspect_labels(clone(model), data.X, data.y)
            if lines := data.lines():
                suspects.insert(1, "line", [lines[row] for row in suspects["row"]])
            suspects.to_csv(folder / "suspects.csv")
        if options.report:
            X, y = table.training
            names = preprocessor.get_feature_names_out()
            trainer.replay_page(
                neuron, X, y, folder / "report.html", X_test=test[0], y_test=test[1],
                feature_names=names, pos_label=data.positive,
                title=f"{data.name}, preprocessed training rows",
            )  # fmt: skip
        write_metrics(folder, options, table, neuron, figures)
        written = [name for name in OUTPUTS if (folder / name).exists()]
        signals.finishing = True  # from here on the run ends well
    if checkpoint is not None and neuron.termination_.reason != "interrupted":
        checkpoint.unlink(missing_ok=True)
    say(f"\nWritten to {target}: {', '.join(written)}")
    if checkpoint is not None and checkpoint.exists():
        say(f"The same command with --resume goes on from {checkpoint}")
    say("To load the model:")
    say("    from trainer import load_model")
    say(f"    model = load_model({str(target / 'model.skops')!r})")


def train(
    options: argparse.Namespace,
    table: rows.Table,
    signals: Signals,
    checkpoint: Path | None = None,
) -> Any:
    """The neuron, fitted on the training rows."""
    neuron = rows.make_neuron(options)
    callbacks: list[Any] = [TrainingWatch(signals, table.close_bar)]
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
        X_val, y_val = table.validation
        neuron.fit(*table.training, X_val=X_val, y_val=y_val, resume=resume)
    finally:
        signals.training = False
    return neuron.set_callbacks()


class TrainingWatch:
    """A scikit-learn callback: progress on a terminal, and the end of training on request.

    scikit-learn's own ProgressBar takes time that grows with the square of the iterations. A
    table read in pieces shows a bar of its passes, which `close_bar` takes away.
    """

    def __init__(self, signals: Signals, close_bar: Any = None) -> None:
        self.signals, self.close_bar = signals, close_bar
        self.bar: Any = None

    def setup(self, estimator: Any, context: Any) -> None:
        """Show the line."""
        if sys.stdout.isatty() and self.close_bar is None:
            from rich.progress import Progress, TextColumn

            self.bar = Progress(TextColumn("iteration {task.completed}"), transient=True)
            self.task = self.bar.add_task("iterations", total=None)
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
        """Take the line away, whatever has happened."""
        if self.bar is not None:
            self.bar.stop()
        if self.close_bar is not None:
            self.close_bar()


def print_data(table: rows.Table) -> None:
    """What there is to learn from."""
    data, n, counts = table.data, table.n_rows, table.class_counts.items()
    balance = (f"{label} ({count} rows, {100 * count / n:.1f} %)" for label, count in counts)
    say(f"{data.name}: {data.description}")
    s = "s" * (table.n_features != 1)
    say(f"{n} rows, {table.n_features} feature{s}; classes {' and '.join(balance)}")
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
    verb = "Converged" if ending.reason == "gradient" else "Stopped"
    say(f"{verb} after {ending.n_iter} iterations{why}")


def print_figures(figures: Any, n_train: int, n_test: int) -> None:
    """The tables of figures, the best of each column marked."""
    print_head(figures)
    headings = {"train": f"On the {n_train} training rows", "test": f"On the {n_test} test rows"}
    for part in figures.index.unique(level=0):
        print_table(figures.loc[part], headings[part])
    say("* best in its block, to the digits shown")


def print_head(figures: Any) -> None:
    """The names of the columns."""
    say(f"\n{'':<20}" + "".join(f"{column:>11}" for column in figures.columns))


def print_table(figures: Any, heading: str) -> None:
    """A heading, and a line for each model."""
    say(heading)
    shown = figures.round(3)
    for name, line in shown.iterrows():
        cells = (
            f"{value:>10.3f}" + ("*" if value == best(shown[column]) else " ")
            for column, value in line.items()
        )
        say(f"  {name:<19}{''.join(cells)}".rstrip(), emphasis=r"\S+\*")


def best(column: Any) -> float:
    """The best figure of a column: the lowest error, the highest share of what is right."""
    return float(column.min() if column.name in {"Brier", "log loss"} else column.max())


def better_than_constant(figures: Any) -> bool:
    """Whether the neuron's Brier score is lower than that of the constant by a hundredth of it."""
    brier = figures["Brier"]
    return bool(brier["LogisticNeuron"] <= 0.99 * brier["constant"])


def verdict(models: dict[str, Any], X: Any, y: Any, positive: Any, figures: Any) -> str:
    """What the Brier scores on these rows say, in a sentence."""
    ours, constant = (figures.loc[name, "Brier"] for name in ("LogisticNeuron", "constant"))
    if not better_than_constant(figures):
        return (
            f"The neuron is no better than the constant probability, Brier score {ours:.4f} "
            f"against {constant:.4f}: perhaps no linear boundary separates these classes."
        )
    if "LogisticRegression" not in models:
        return (
            "The neuron's Brier score is lower on these rows than that of the constant "
            f"probability: {ours:.4f} against {constant:.4f}."
        )
    theirs = figures.loc["LogisticRegression", "Brier"]
    difference, margin = trainer.brier_difference(
        models["LogisticNeuron"], models["LogisticRegression"], X, y, positive
    )
    apart = f"{abs(difference):.4f} ± {margin:.4f} (95 % confidence interval)"
    if abs(difference) <= margin:
        return (
            f"No clear difference on these rows: Brier score {ours:.4f} of the neuron, "
            f"{theirs:.4f} of LogisticRegression; they differ by {apart}."
        )
    better = "The neuron's" if difference < 0 else "LogisticRegression's"
    low, high = sorted((ours, theirs))
    return f"{better} Brier score is lower on these rows: {low:.4f} against {high:.4f}, by {apart}."


def wrong_labels(options: argparse.Namespace, table: rows.Table, signals: Signals) -> Any:
    """Train with some labels flipped, print what that costs; None if training was interrupted."""
    import numpy as np
    from sklearn.exceptions import ConvergenceWarning

    (X, y), test, positive = table.training, table.scored["test"], table.data.positive
    n_wrong = max(1, round(options.wrong_labels * len(y)))
    flipped = np.random.default_rng(options.seed).choice(len(y), n_wrong, replace=False)
    first, second = np.unique(y)
    wrong = y.copy()
    wrong[flipped] = np.where(y[flipped] == first, second, first)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the run itself has warned
        neuron = train(options, table._replace(training=(X, wrong)), signals)
        if signals.requested:
            return None
        models = {"LogisticNeuron": neuron, **trainer.reference_models(X, wrong)}
    figures = trainer.compare_models(models, {"wrong_labels": test}, positive)
    share = f"{n_wrong} of the {len(y)} training labels"
    say(f"\nThe same with {share} flipped at random (--wrong-labels {options.wrong_labels:g})")
    print_head(figures)
    print_table(figures.loc["wrong_labels"], f"On the {len(test[1])} test rows")
    sentence = verdict(models, *test, positive, figures.loc["wrong_labels"])
    say(sentence, emphasis=".+")
    return figures


def write_metrics(
    folder: Path, options: argparse.Namespace, table: rows.Table, neuron: Any, figures: Any
) -> None:
    """The run in figures, and the checksums of its files.

    The same for the same seed, but for the seconds, which the model's file holds too.
    """
    import hashlib
    import json
    import platform
    from dataclasses import asdict
    from importlib.metadata import version

    termination = {
        name: None if value != value else value  # NaN is no JSON
        for name, value in asdict(neuron.termination_).items()
    }
    data = table.data
    report = {
        "data": {
            "name": data.name,
            "description": data.description,
            "rows": table.n_rows,
            "features": table.n_features,
            "classes": table.class_counts,
            "positive": str(data.positive),
            "notes": data.notes,
        },
        "test_size": options.test_size,
        "wrong_labels": options.wrong_labels,
        "seed": options.seed,
        "parameters": neuron.get_params(),
        "termination": termination,
        "figures": {
            part: figures.loc[part].to_dict("index") for part in figures.index.unique(level=0)
        },
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
