"""Apply a saved model to tables of any size, in pieces.

logistic-neuron predict model.skops passengers.csv -o out.csv
logistic-neuron predict model.skops 'logs/*.parquet' --id user -o out.parquet
zcat t.csv.gz | logistic-neuron predict model.skops - -o - | head
"""

import argparse
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trainer
from trainer.commands.console import Signals, run_program, tell
from trainer.commands.options import Parser, check_model

if TYPE_CHECKING:
    import pandas as pd


def main(argv: list[str] | None = None, program: str = "predict.py") -> int:
    """Run the command line; the exit status."""
    return run_program(program, work, argv)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = Parser(__doc__)
    parser.add_argument("model", metavar="MODEL", type=Path, help="a file that train.py wrote")
    what = "files, folders or patterns: Parquet, Arrow, CSV, gzipped CSV; - for CSV from a pipe"
    parser.add_argument("tables", metavar="TABLE", nargs="+", help=what)
    what = "the file to write, .csv or .parquet; - for CSV on standard output"
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help=what)
    what = "column to copy to the output (default: the row's number)"
    parser.add_argument("--id", metavar="COLUMN", help=what)
    parser.add_argument(
        "--rows", type=int, default=20_000, metavar="N", help="rows a piece (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    check_model(options.model)
    if options.rows < 1:
        raise ValueError(f"--rows must be an integer >= 1, got {options.rows}")
    if options.output != "-" and not options.output.endswith((".csv", ".parquet")):
        raise ValueError(f"-o must end in .csv or .parquet, or be -, got {options.output!r}")
    return options


def work(arguments: list[str], signals: Signals) -> int:
    """Read, predict, write; say what the tables lack or have besides."""
    options = parse(arguments)
    model = trainer.load_model(options.model)
    reader = trainer.FrameReader(model, options.rows, id_column=options.id)
    with ExitStack() as stack:
        tables = options.tables
        if "-" in tables:
            if len(tables) > 1:
                raise ValueError("- for standard input must be the only table")
            tables = [stack.enter_context(standard_input())]
        pieces = reader.read(tables)
        for path in (options.model, *reader.paths):
            if os.path.exists(options.output) and os.path.samefile(path, options.output):
                raise ValueError(f"-o must not be {path}, which is read; name another file")
        for note in reader.notes:
            tell("note", note)
        write = stack.enter_context(output(options.output))
        advance = stack.enter_context(progress(reader.n_bytes))
        n_rows = 0
        for identity, frame, read in pieces:
            write(predicted(model, identity, frame))
            n_rows += len(frame)
            advance(n_rows, read)
        if not n_rows:
            raise ValueError("the tables have no rows")
    for column, n_unseen in reader.unseen.items():
        if n_unseen:
            tell(
                "note",
                f"column {column!r}: {n_unseen} of {n_rows} rows hold a category that the training "
                "rows did not",
            )
    signals.finishing = options.output != "-"
    tell("done", f"{n_rows} rows written" + (f" to {options.output}" if signals.finishing else ""))
    return 0


def predicted(model: Any, identity: "pd.Series", frame: "pd.DataFrame") -> "pd.DataFrame":
    """One piece of the output: identity, label, and a probability for each class."""
    import pandas as pd

    X, neuron = model[:-1].transform(frame), model[-1]
    P = neuron.predict_proba(X)
    found: dict[Any, Any] = {"label": neuron.predict(X)}
    found |= {f"p_{name}": P[:, k] for k, name in enumerate(neuron.classes_.tolist())}
    if identity.name in found:
        raise ValueError(
            f"--id: the output has a column {identity.name!r} of its own; rename yours"
        )
    columns: dict[Any, Any] = {identity.name: identity.array}
    return pd.DataFrame(columns | found)


@contextmanager
def standard_input() -> Iterator[str]:
    """Standard input as a temporary file: its first bytes tell what it is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "standard input"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield str(path)


@contextmanager
def output(name: str) -> Iterator[Any]:
    """A function that writes a piece; a file appears under its name once it is complete."""
    if name == "-":
        is_first = True

        def show(piece: "pd.DataFrame") -> None:
            nonlocal is_first
            sys.stdout.write(piece.to_csv(index=False, header=is_first))
            is_first = False
            if failure := getattr(sys.stdout, "failure", None):
                raise failure  # nobody reads on

        yield show
        return
    path = Path(name)
    if path.is_dir():
        raise ValueError(f"-o: {path} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise ValueError(f"-o: there is no folder {path.parent}; make it, or choose another")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("xb") as file, writer(path, file) as write:
            yield write
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def writer(path: Path, file: Any) -> Iterator[Any]:
    """A function that writes a piece to an open file of that kind."""
    if path.suffix == ".csv":
        yield lambda piece: piece.to_csv(file, index=False, header=file.tell() == 0)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    parquet: Any = None

    def write(piece: "pd.DataFrame") -> None:
        nonlocal parquet
        schema = None if parquet is None else parquet.schema
        table = pa.Table.from_pandas(piece, schema=schema, preserve_index=False)
        if parquet is None:
            parquet = pq.ParquetWriter(file, table.schema)
        parquet.write_table(table)

    try:
        yield write
    finally:
        if parquet is not None:
            parquet.close()


@contextmanager
def progress(n_bytes: int) -> Iterator[Any]:
    """A function that moves a bar on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.completed:,} rows"), BarColumn(), TextColumn("{task.fields[share]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("rows", total=None, share="")

        def advance(n_rows: int, read: float) -> None:
            total = None if read <= 0 else n_rows / read
            bar.update(task, completed=n_rows, total=total, share=f"{min(read, 1.0):.0%}")

        yield advance
