"""The lesson as a guided run: one neuron, its loss, the chain rule, training.

logistic-neuron explain                      the lesson, one screen per step
logistic-neuron explain --w -10 --all        another start, without pauses
logistic-neuron explain --data iris --row 7  another data set
"""

import sys
from collections.abc import Callable
from typing import Any

import trainer
from trainer.commands.console import Signals, run_program, say
from trainer.commands.options import Parser, number

KEYS = "Enter: go on   b: back   q: quit  "


def main(argv: list[str] | None = None, program: str = "explain.py") -> int:
    """Run the command line; the exit status."""
    return run_program(program, work, argv)


def work(arguments: list[str], signals: Signals) -> int:
    """Load the data, show the screens."""
    options = make_parser().parse_args(arguments)
    data = trainer.load_dataset(options.data, target=options.target, positive=options.positive)
    from trainer.commands.screens import screens

    pages = list(screens(options, data))
    try:
        show(pages, not options.all and sys.stdin.isatty() and sys.stdout.isatty())
    except (KeyboardInterrupt, EOFError):
        say()
        return 128 + signals.caught if signals.caught else 0
    return 0


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(__doc__)
    real = number(float, "a number from -1000 to 1000", lambda v: abs(v) <= 1000)
    rate = number(float, "a number above 0 and at most 1000", lambda v: 0 < v <= 1000)
    count = number(int, "an integer from 1 to 1000", lambda v: 1 <= v <= 1000)
    row = number(int, "an integer >= 0", lambda v: v >= 0)
    target = number(int, "0 or 1", lambda v: v in (0, 1))
    options: list[tuple[str, Callable[[str], Any], Any, str]] = [
        ("w", real, 0.3, "weight at the start"),
        ("b", real, 0.3, "bias at the start"),
        ("x", real, 1.0, "input"),
        ("y", target, 1, "target"),
        ("steps", count, 5, "steps of gradient descent"),
        ("learning-rate", rate, 1.0, "learning rate of gradient descent"),
        ("data", str, "breast_cancer", "data set of the last part: a name, or a CSV file"),
        ("row", row, 17, "row of that data set to show, counted from 0"),
    ]
    for name, kind, default, what in options:
        what += " (default: %(default)s)"
        parser.add_argument(f"--{name}", type=kind, default=default, help=what)
    what = "of a CSV file, the column to predict (default: the only column of classes)"
    parser.add_argument("--target", metavar="COLUMN", help=what)
    what = "class whose probability the neuron gives (default: as in train)"
    parser.add_argument("--positive", metavar="CLASS", help=what)
    what = "print all screens without waiting for a key"
    parser.add_argument("--all", action="store_true", help=what)
    return parser


def show(pages: list[tuple[str, str]], wait: bool) -> None:
    """Print the screens, waiting for a key after each, or all of them at once."""
    k = 0
    while k < len(pages):
        title, text = pages[k]
        title = f"{k + 1} of {len(pages)}  {title}"
        if wait:
            sys.stdout.write("\033[2J\033[H")
        say(f"{title}\n{'-' * len(title)}", emphasis="^.*")
        say(f"{text}\n")
        key = input(KEYS).strip().lower() if wait else ""
        if key == "q":
            return
        k = max(k - 1, 0) if key == "b" else k + 1
