"""Standard output and error that stop nothing, and signals that all end a run like Ctrl-C."""

import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

PROGRAM = "train.py"


def printable(text: Any) -> str:
    """Text with escapes for control characters, which could move a cursor or set colours."""
    shown = (c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in str(text))
    return "".join(shown)


def say(text: Any = "") -> None:
    """Print lines; on a terminal, none breaks inside a word."""
    print(_wrapped(printable(text), sys.stdout))


def tell(kind: str, message: Any) -> None:
    """Print an error or a warning on standard error, as one line."""
    line = printable(" ".join(str(message).split()))
    print(_wrapped(f"{PROGRAM}: {kind}: {line}", sys.stderr), file=sys.stderr)


def _wrapped(text: str, stream: Any) -> str:
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    how: Any = {"break_long_words": False, "break_on_hyphens": False, "drop_whitespace": True}
    lines = (
        textwrap.wrap(line, width, subsequent_indent=" " * (len(line) - len(line.lstrip())), **how)
        if len(line) > width
        else [line]
        for line in text.split("\n")
    )
    return "\n".join(line for wrapped in lines for line in wrapped)


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
