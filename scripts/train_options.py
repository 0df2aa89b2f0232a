"""The command line of `train.py`: its options, what each allows, and its one-line errors."""

import argparse
import math
from collections.abc import Callable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import trainer

OPTIMIZERS = ("auto", *trainer.OPTIMIZERS)


class Parser(argparse.ArgumentParser):
    """A parser that lets `main` report its errors, in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the command line."""
        raise ValueError(f"{message}; --help explains all options")


def number(kind: type, rule: str, holds: Callable[[Any], bool]) -> Callable[[str], Any]:
    """Type of an option: a number that keeps a rule."""

    def parse(text: str) -> Any:
        with suppress(ValueError):
            value = kind(text)
            if holds(value):
                return value
        raise argparse.ArgumentTypeError(f"must be {rule}, got {text!r}")

    return parse


def learning_rate(text: str) -> Any:
    """Type of an option: "auto" or a positive number."""
    positive = number(float, "'auto' or a number > 0", lambda v: 0 < v < math.inf)
    return text if text == "auto" else positive(text)


def optimizer(text: str) -> str:
    """Type of an option: an optimizer's name."""
    if text in OPTIMIZERS:
        return text
    nearest = get_close_matches(text, OPTIMIZERS, n=1, cutoff=0)[0]
    raise argparse.ArgumentTypeError(f"there is no {text!r}; the nearest is {nearest!r}")


def make_parser(description: str | None) -> Parser:
    """The command line; where an option is the neuron's, so is its default."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = Parser(
        prog="train.py", description=description, formatter_class=formatter, allow_abbrev=False
    )
    usual = trainer.LogisticNeuron().get_params()
    count = number(int, "an integer >= 1", lambda v: v >= 1)
    not_negative = number(float, "a finite number >= 0", lambda v: 0 <= v < math.inf)
    share = number(float, "a number between 0 and 1", lambda v: 0 < v < 1)
    seed = number(int, "an integer from 0 to 4294967295", lambda v: 0 <= v < 2**32)

    def add(*names: str, help: str, default: Any = None, **settings: Any) -> None:
        shown = "" if default is None else " (default: %(default)s)"
        parser.add_argument(*names, help=help + shown, default=default, **settings)

    def add_switch(name: str, help: str) -> None:
        parser.add_argument(name, action="store_true", help=f"{help} (default: off)")

    what = "a data set by name, or a CSV or Parquet file"
    add("data", nargs="?", default="breast_cancer", help=what)
    add_switch("--list", "show the data sets known by name, and stop")
    what = "column of a file to predict (default: none, a file needs it)"
    add("--target", metavar="COLUMN", help=what)
    what = "class to tell from all others (default: the data set's own; of two in a file, the last)"
    add("--positive", metavar="CLASS", help=what)
    what = f"one of {', '.join(OPTIMIZERS)}"
    add("--optimizer", type=optimizer, default=usual["optimizer"], metavar="NAME", help=what)
    what = "step length of an update rule, or auto: taken from the data"
    rate = usual["learning_rate"]
    add("--learning-rate", type=learning_rate, default=rate, metavar="RATE", help=what)
    names, default = ("--epochs", "--max-iter"), usual["max_iter"]
    what = "iterations at most; with mini-batches, epochs"
    add(*names, dest="max_iter", type=count, default=default, metavar="N", help=what)
    what = "rows a mini-batch of an update rule (default: all rows)"
    add("--batch-size", type=count, metavar="ROWS", help=what)
    add("--alpha", type=not_negative, default=usual["alpha"], help="L2 penalty on the weights")
    what = "done when no component of the gradient exceeds this"
    add("--tol", type=not_negative, default=usual["tol"], help=what)
    what = "hold out a tenth of the training rows; stop when the cost on them no longer improves"
    add_switch("--early-stopping", what)
    what = "share of the rows kept from training, to test on"
    add("--test-size", type=share, default=0.2, metavar="SHARE", help=what)
    add("--seed", type=seed, default=42, metavar="N", help="fixes all that is random")
    what = "where the folder of results, named after the data set, is put"
    add("--output", type=Path, default=Path("runs"), metavar="FOLDER", help=what)
    return parser
