"""What all programs share: their name, output that stops nothing, colours, errors and signals."""

import errno
import os
import re
import shlex
import shutil
import signal
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from trainer.commands import COMMANDS

# Errors that say what is wrong with the input or its place; any other is one of the program.
FORESEEN = (ValueError, OSError, ImportError, MemoryError)
# Of the 16 colours that a terminal's theme defines, those that are legible on light and dark.
COLOURS = {"error": "1;31", "interrupted": "1;31", "warning": "1;35", "emphasis": "1"}

_program = "logistic-neuron"


def run_program(
    program: str, work: "Callable[[list[str], Signals], int]", arguments: list[str] | None
) -> int:
    """Run a program of the command line, whatever happens to its streams and its process.

    Parameters
    ----------
    program : str
        Its name as it was typed, such as "train.py" or "logistic-neuron train".
    work : callable
        Called with the arguments and the `Signals`; gives the exit status. It sets
        `signals.finishing` once the files that it writes are in place.
    arguments : list of str or None
        Those of the command line; None takes the process's.

    Returns
    -------
    int
        The exit status: 2 after an error, 128 and its number after a signal.
    """
    global _program
    before, _program = _program, program
    try:
        return _run(work, sys.argv[1:] if arguments is None else arguments)
    finally:
        _program = before


def _run(work: "Callable[[list[str], Signals], int]", arguments: list[str]) -> int:
    with safe_streams() as output, Signals() as signals, warnings_in_one_line():
        try:
            status = work(arguments, signals)
        except BrokenPipeError:  # whoever reads the output has seen enough
            return 0
        except FORESEEN as error:
            tell("error", describe(error, arguments))
            return 2
        except KeyboardInterrupt:
            tell("interrupted", "nothing was written")
            return 128 + (signals.caught or signal.SIGINT)
        except SystemExit:  # of --help
            status = 0
        except Exception as error:
            import traceback

            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{place.filename}:{place.lineno}"
            tell("internal error", f"{type(error).__name__}: {error} ({where}); please report it")
            return 2
        # A reader that has left does not wait for what is lost.
        if output.failure and getattr(output.failure, "errno", None) != errno.EPIPE:
            if not signals.finishing:
                tell("error", f"standard output cannot be written: {output.failure}")
                return 2
            tell("warning", f"standard output was lost: {output.failure}")
        return status


def program_name() -> str:
    """The name of the running program, as it was typed."""
    return _program


def as_typed(text: str) -> str:
    """Examples of the command line as it was typed: the command's, or those of scripts/."""
    if _program.endswith(".py"):
        return re.sub(r"logistic-neuron (\w+)", r"python scripts/\1.py", text)
    name, _, last = _program.rpartition(" ")
    return text.replace("logistic-neuron", name if last in COMMANDS else _program)


def describe(error: BaseException, arguments: list[str]) -> str:
    """An error in words, with the command to copy where one more option would do."""
    if isinstance(error, MemoryError):
        return f"not enough memory; take a part of the rows or columns ({error})"
    if added := getattr(error, "arguments", None):
        typed = ["python", sys.argv[0]] if _program.endswith(".py") else _program.split()
        return f"{error}, as in: {shlex.join([*typed, *arguments, *added])}"
    return str(error)


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


def printable(text: Any) -> str:
    """Text with escapes for control characters, which could move a cursor or set colours."""
    shown = (c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in str(text))
    return "".join(shown)


def say(text: Any = "", *, hang: int = 0, emphasis: str | None = None) -> None:
    """Print lines; on a terminal, none breaks inside a word.

    Parameters
    ----------
    text : object
        What to print.
    hang : int, default=0
        Columns by which the rest of a line that is too long is indented.
    emphasis : str, optional
        Regular expression of what is bold where the terminal can show it.
    """
    shown = _wrapped(printable(text), sys.stdout, hang)
    if emphasis:
        shown = _coloured(emphasis, shown, "emphasis", sys.stdout)
    print(shown)


def tell(kind: str, message: Any) -> None:
    """Print an error, a warning or a note on standard error, as one line."""
    line = printable(" ".join(str(message).split()))
    shown = _wrapped(f"{_program}: {kind}: {line}", sys.stderr)
    print(_coloured(f"{kind}:", shown, kind, sys.stderr, count=1), file=sys.stderr)


def _wrapped(text: str, stream: Any, hang: int = 0) -> str:
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    how: Any = {"break_long_words": False, "break_on_hyphens": False, "drop_whitespace": True}
    lines = (
        textwrap.wrap(
            line,
            width,
            subsequent_indent=" " * max(hang, len(line) - len(line.lstrip())),
            **how,
        )
        if len(line) > width
        else [line]
        for line in text.split("\n")
    )
    return "\n".join(line for wrapped in lines for line in wrapped)


def _coloured(pattern: str, text: str, kind: str, stream: Any, count: int = 0) -> str:
    """Text with what matches in the colour of that kind, if the stream has colours."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb"
    if plain or kind not in COLOURS or not stream.isatty():
        return text
    return re.sub(pattern, f"\x1b[{COLOURS[kind]}m\\g<0>\x1b[0m", text, count=count)


class Stream:
    """A text stream that goes silent when it is closed or full: the run goes on.

    Attributes
    ----------
    failure : Exception or None
        What silenced it.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.failure: Exception | None = None

    def write(self, text: str) -> int:
        """Write and flush; characters that the stream cannot show are escaped."""
        if self.stream is not None and self.failure is None:
            encoding = getattr(self.stream, "encoding", None) or "utf-8"
            try:
                self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
                self.stream.flush()
            except (OSError, ValueError) as error:
                self.failure = error
                self._discard()
        return len(text)

    def _discard(self) -> None:
        """Let the interpreter flush into nothing at its end, not into the same error."""
        with suppress(OSError, ValueError):
            place = self.stream.fileno()
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, place)
            os.close(null)

    def flush(self) -> None:
        """Nothing is left to flush."""

    def isatty(self) -> bool:
        """Whether a terminal shows what is written."""
        with suppress(OSError, ValueError):
            return self.failure is None and self.stream is not None and self.stream.isatty()
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def safe_streams() -> Iterator[Stream]:
    """Standard output and error as `Stream`s; yields the output."""
    for place in range(3):
        try:
            os.fstat(place)
        except OSError:  # closed: the next file opened would take its place, and what it prints
            os.open(os.devnull, os.O_RDWR)
    before = sys.stdout, sys.stderr
    streams = Stream(before[0]), Stream(before[1])
    sys.stdout, sys.stderr = streams
    try:
        yield streams[0]
    finally:
        sys.stdout, sys.stderr = before


class Signals:
    """Ctrl-C, SIGTERM and SIGHUP: a `KeyboardInterrupt`, or only noted where that would do harm.

    A context manager. Signals that were ignored before, as nohup does, stay ignored.

    Attributes
    ----------
    caught : int
        The last signal, 0 if none came.
    requested : bool
        One came while `training`: stop after this iteration. The next one interrupts.
    finishing : bool
        All files are in place: signals are only noted.
    """

    NAMES = ("SIGINT", "SIGTERM", "SIGHUP")

    def __init__(self) -> None:
        self.caught = 0
        self.requested = self.training = self.finishing = False
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        for name in self.NAMES:
            number = getattr(signal, name, None)
            if number is None or signal.getsignal(number) is signal.SIG_IGN:
                continue
            with suppress(ValueError):  # handlers belong to the main thread
                self.before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: Any) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.caught = number
        if self.finishing:
            return
        if self.training and not self.requested:
            self.requested = True
            return
        raise KeyboardInterrupt
