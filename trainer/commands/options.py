"""Options: what the programs' command lines share, and those of `train`."""

import argparse
import math
import re
import textwrap
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from trainer.commands.console import as_typed, program_name

# The neuron's own names and defaults, so that --help need not load it; a test compares.
OPTIMIZERS = (
    "auto",
    "gradient_descent",
    "momentum",
    "nesterov",
    "adam",
    "normalized_gradient_descent",
    "lbfgs",
    "newton",
)
DEFAULTS = {
    "optimizer": "auto",
    "learning_rate": "auto",
    "max_iter": 1000,
    "alpha": "auto",
    "tol": 1e-6,
}
# What a number may look like: Python also takes 1_000, and digits of other scripts.
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
SMALLEST = 1e-300
"""Sizes below, but for 0, lose digits in float64, or are 0 there."""
MOST = 2**31 - 1
"""Counts beyond do not fit an index of 32 bits, and mean nothing."""


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help that breaks lines between words only."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(
            " ".join(text.split()), width, break_long_words=False, break_on_hyphens=False
        )


class Parser(argparse.ArgumentParser):
    """A parser that lets `run_program` report its errors, in one line.

    Parameters
    ----------
    description : str or None
        What the program does, with examples that begin with "logistic-neuron".
    prog : str, optional
        The program's name, by default that of the program that runs.
    """

    def __init__(self, description: str | None, prog: str | None = None) -> None:
        super().__init__(
            prog=prog or program_name(),
            description=as_typed(description or ""),
            formatter_class=Formatter,
            allow_abbrev=False,
        )

    def parse_args(self, *arguments: Any, **more: Any) -> Any:
        """Parse; "--alpha=--" too needs a value, which argparse takes for an empty list."""
        options = super().parse_args(*arguments, **more)
        for name, value in vars(options).items():
            if value == []:
                self.error(f"argument --{name.replace('_', '-')}: expected one argument")
        return options

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the command line."""
        shown = message if len(message) <= 400 else f"{message[:250]} ... {message[-100:]}"
        raise ValueError(f"{shown}; --help explains all options")


def got(text: str) -> str:
    """What was given, in quotes and not for pages."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def number(kind: type, rule: str, holds: Callable[[Any], bool]) -> Callable[[str], Any]:
    """Type of an option: a number that keeps a rule."""

    def parse(text: str) -> Any:
        if NUMBER.fullmatch(text) and len(text) <= 400:
            value: Any = float(text)
            lost = abs(value) < SMALLEST and re.search("[1-9]", re.split("[eE]", text)[0])
            if kind is int:
                value = int(value) if value.is_integer() and text.lstrip("+-").isdigit() else None
            if value is not None and not lost and holds(value):
                return abs(value) if value == 0 else value  # -0 is 0
        raise argparse.ArgumentTypeError(f"must be {rule}, got {got(text)}")

    return parse


not_negative = number(
    float, f"a finite number >= 0, and 0 or at least {SMALLEST:g}", lambda v: 0 <= v < math.inf
)


def learning_rate(text: str) -> Any:
    """Type of an option: "auto" or a positive number."""
    rule = f"'auto' or a number > 0, of at least {SMALLEST:g}"
    return text if text == "auto" else number(float, rule, lambda v: 0 < v < math.inf)(text)


def penalty(text: str) -> Any:
    """Type of an option: "auto" or a number that is not negative."""
    return text if text == "auto" else not_negative(text)


def optimizer(text: str) -> str:
    """Type of an option: an optimizer's name."""
    if text in OPTIMIZERS:
        return text
    nearest = get_close_matches(text[:100], OPTIMIZERS, n=1, cutoff=0)[0]
    raise argparse.ArgumentTypeError(f"there is no {got(text)}; the nearest is {nearest!r}")


def check_model(path: Path) -> None:
    """Raise ValueError if there is no such file, before anything is loaded that could read it."""
    if not path.is_file():
        raise ValueError(f"there is no model file {got(str(path))}; train writes one, model.skops")


def make_parser(description: str | None) -> Parser:
    """The command line; where an option is the neuron's, so is its default."""
    parser = Parser(description)
    count = number(int, f"an integer >= 1, of at most {MOST}", lambda v: 1 <= v <= MOST)
    share = number(float, "a number between 0 and 1", lambda v: 0 < v < 1)
    seed = number(int, "an integer from 0 to 4294967295", lambda v: 0 <= v < 2**32)

    def add(*names: str, help: str, default: Any = None, **settings: Any) -> None:
        shown = "" if default is None else " (default: %(default)s)"
        parser.add_argument(*names, help=help + shown, default=default, **settings)

    def add_switch(name: str, help: str) -> None:
        parser.add_argument(name, action="store_true", help=help)

    what = (
        "a data set by name, or files, folders or patterns such as 'logs/2026-*.parquet': "
        "Parquet, CSV, gzipped CSV, Arrow"
    )
    add("data", nargs="*", default="breast_cancer", metavar="DATA", help=what)
    add_switch("--list", "show the data sets known by name, and stop")
    what = "column of a file to predict (default: the only column of classes, or one called target)"
    add("--target", metavar="COLUMN", help=what)
    what = "class whose probability is predicted "
    what += "(default: the data set's own; of two in a file, the last)"
    add("--positive", metavar="CLASS", help=what)
    what = f"one of {', '.join(OPTIMIZERS)}"
    add("--optimizer", type=optimizer, default=DEFAULTS["optimizer"], metavar="NAME", help=what)
    what = "step length of gradient_descent, momentum, nesterov, adam ..., or auto: from the data"
    rate = DEFAULTS["learning_rate"]
    add("--learning-rate", type=learning_rate, default=rate, metavar="RATE", help=what)
    names, default = ("--epochs", "--max-iter"), DEFAULTS["max_iter"]
    what = "maximum number of iterations; of epochs, with mini-batches"
    add(*names, dest="max_iter", type=count, default=default, metavar="N", help=what)
    what = "rows per mini-batch, not for lbfgs and newton (default: all rows)"
    add("--batch-size", type=count, metavar="ROWS", help=what)
    what = "L2 penalty on the weights, or auto: 1/(2 x rows), LogisticRegression's default strength"
    add("--alpha", type=penalty, default=DEFAULTS["alpha"], metavar="ALPHA", help=what)
    what = "stop when no component of the gradient exceeds this"
    add("--tol", type=not_negative, default=DEFAULTS["tol"], help=what)
    what = "stop when the cost on a validation set, a tenth of the training rows, does not improve"
    add_switch("--early-stopping", what)
    what = "share of the rows kept from training, to test on"
    add("--test-size", type=share, default=0.2, metavar="SHARE", help=what)
    what = "also train with this share of the training labels flipped at random, to see the cost"
    what += " (default: 0.1 for a data set by name, 0 for a file)"
    low = number(float, "a number >= 0 and below 0.5", lambda v: 0 <= v < 0.5)
    add("--wrong-labels", type=low, metavar="SHARE", help=what)
    add("--seed", type=seed, default=42, metavar="N", help="random seed")
    what = (
        "memory that training may take, such as 2GB; a larger table is read in pieces, and several "
        "files always are (default: a quarter of the machine's)"
    )
    add("--memory", metavar="SIZE", help=what)
    what = "read the files and train on a cluster of N processes, which it starts on this machine"
    workers = number(int, "an integer from 1 to 1000", lambda v: 1 <= v <= 1000)
    add("--workers", type=workers, metavar="N", help=what)
    what = "train on a running Dask cluster, such as tcp://host:8786, whose workers see the files"
    add("--scheduler", metavar="ADDRESS", help=what)
    what = (
        "give up after this time without a worker or progress; a scheduler must answer within 30 s"
    )
    seconds = number(float, "a number > 0", lambda v: 0 < v < math.inf)
    add("--wait", type=seconds, default=300.0, metavar="SECONDS", help=what)
    what = "where the folder of results, named after the data set, is put"
    add("--output", type=Path, default=Path("runs"), metavar="FOLDER", help=what)
    what = "keep the fit in a file beside that folder while it runs, for --resume"
    add_switch("--checkpoint", what)
    what = "go on with a fit that was stopped, and keep it as --checkpoint does"
    add_switch("--resume", what)
    what = "also write suspects.csv: the rows, ranked by how unlikely their label is to models "
    what += "that were not trained on them"
    add_switch("--suspects", what)
    what = "also write report.html, a page that replays the training"
    add_switch("--report", what)
    return parser
