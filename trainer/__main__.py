"""The command `logistic-neuron`, also `python -m trainer`: it runs a program by its name."""

import os
import signal
import sys
from importlib import import_module

import trainer
from trainer.commands import COMMANDS


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    name = os.path.basename(sys.argv[0])
    name = "python -m trainer" if name == "__main__.py" else name.removesuffix(".exe")
    if arguments and arguments[0] in COMMANDS:
        return run(arguments[0], f"{name} {arguments[0]}", arguments[1:])
    return run(None, name, arguments)


def run(command: str | None, name: str, arguments: list[str]) -> int:
    """Run a program; None says what there is.

    Parameters
    ----------
    command : str or None
        One of `COMMANDS`.
    name : str
        The program's name as it was typed.
    arguments : list of str
        What follows it.

    Returns
    -------
    int
        The exit status.
    """
    if "LogisticNeuron" not in getattr(trainer, "__all__", ()):
        place = os.path.dirname(trainer.__file__ or "")
        print(
            f"{name}: error: the package 'trainer' in {place} is another one of that name; "
            "install logistic-neuron-trainer in an environment of its own",
            file=sys.stderr,
        )
        return 2
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # no traceback while the rest is imported
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        if command is None:
            from trainer.commands.console import run_program

            return run_program(name, answer, arguments)
        status: int = import_module(f"trainer.commands.{command}").main(arguments, name)
        return status
    finally:
        signal.signal(signal.SIGINT, before)


def answer(arguments: list[str], signals: object) -> int:
    """Say what there is, or that there is no such command."""
    from trainer.commands.console import as_typed, say

    if arguments == ["--version"]:
        say(f"logistic-neuron-trainer {trainer.__version__}")
    elif not arguments or arguments[0] in {"-h", "--help", "help"}:
        say(as_typed("usage: logistic-neuron COMMAND [ARGUMENT ...]"))
        say(
            "\nTrain a logistic neuron on the squared error of its output, and see how it learns.\n"
        )
        width = max(map(len, COMMANDS))
        for command, line in COMMANDS.items():
            say(f"  {command:<{width}}  {line}", hang=width + 4)
        say(as_typed("\nlogistic-neuron COMMAND --help explains its arguments. To begin:"))
        say(as_typed("  logistic-neuron train"))
    else:
        from difflib import get_close_matches

        from trainer.commands.options import got

        nearest = get_close_matches(arguments[0][:100], COMMANDS, n=1, cutoff=0)[0]
        raise ValueError(
            f"there is no command {got(arguments[0])}; the nearest is {nearest!r}, --help lists all"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
