"""Tables as streams of Arrow record batches: files, data sets, queries, and what is read once.

Every part of a table, a file or a stream, can be read again and again, in the same order. Text
is not interpreted here: the cells of CSV come as they stand, for `columns.py` to judge.
"""

import csv
import gzip
import io
import os
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from glob import glob
from itertools import islice
from pathlib import Path
from typing import Any

from trainer.datasets.tables import DELIMITERS, header_of, nearest, quote, refuse_duplicates

SUFFIXES = (".parquet", ".pq", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".arrow", ".feather", ".ipc")
"""Files of a folder that are read; files named by path or pattern may be called anything."""

CSV_BLOCK_BYTES = 2**22
"""Bytes of CSV that are parsed at a time."""


def import_arrow() -> Any:
    """Import pyarrow, or say which extra brings it."""
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError:
        raise ImportError(
            'rows from files need pyarrow: pip install "logistic-neuron-trainer[stream]"'
        ) from None
    return pyarrow


@dataclass(frozen=True)
class Part:
    """One file, or one stream, of a table.

    Parameters
    ----------
    name : str
        What messages call it.
    open : callable
        ``open(columns, n_rows)`` iterates over record batches of those columns, of about
        `n_rows` rows, from the first row on.
    schema : pyarrow.Schema
        Columns and types; of CSV all are text.
    is_text : bool
        Whether the types are still to be found out, as for CSV.
    decimal_comma : bool
        Whether numbers may have a comma for the point.
    path : str, optional
        The file.
    """

    name: str
    open: Callable[[list[str] | None, int], Iterator[Any]]
    schema: Any
    is_text: bool = False
    decimal_comma: bool = False
    path: str | None = None

    def batches(self, columns: list[str] | None, n_rows: int) -> Iterator[Any]:
        """Record batches of some columns, at most `n_rows` rows each, none empty."""
        with _one_line_errors(self.name):
            for batch in _regrouped(self.open(columns, n_rows), n_rows):
                yield batch if columns is None else batch.select(columns)

    def line(self, row: int) -> str:
        """Where a row stands, for messages: its line in CSV, its number elsewhere."""
        if not self.is_text or self.path is None:
            return f"row {row + 1}"
        with _open_text(self.path) as file:
            start = file.readline()
            if not _separator_line(start):
                file.seek(0)
            offset = 1 if _separator_line(start) else 0
            reader = csv.reader(file, delimiter=_delimiter(self.path)[0])
            rows = (cells for cells in reader if cells)
            try:
                next(islice(rows, row + 1, row + 2), None)
            except csv.Error:  # a cell before it is too long for csv
                return f"row {row + 1}"
            return f"line {reader.line_num + offset}"


def open_parts(source: Any, folder: Any) -> list[Part]:
    """The parts of a table: files by path, pattern or folder, or streams of record batches.

    Parameters
    ----------
    source : path, list of paths, or source of record batches
        As `open_rows` takes it.
    folder : path or None
        Where a stream that can be read once is spilled.
    """
    pa = import_arrow()
    if isinstance(source, str | os.PathLike):
        return [_file(path) for path in _found(source)]
    if isinstance(source, list | tuple) and source and isinstance(source[0], str | os.PathLike):
        paths = [path for given in source for path in _found(given)]
        places = set()
        for path in paths:
            place = os.path.realpath(path)
            if place in places:  # the same row could be trained and tested on
                raise ValueError(f"each file must be given once, got {path} twice")
            places.add(place)
        return [_file(path) for path in paths]
    name = f"the {type(source).__name__}"
    if hasattr(source, "to_batches") and hasattr(source, "schema"):  # Dataset, Table

        def scan(columns: list[str] | None, n_rows: int) -> Iterator[Any]:
            if isinstance(source, pa.Table):
                table = source if columns is None else source.select(columns)
                return iter(table.to_batches(max_chunksize=n_rows))
            limits = {"batch_size": n_rows, "batch_readahead": 2, "fragment_readahead": 1}
            batches: Iterator[Any] = source.to_batches(columns=columns, **limits)
            return batches

        return [Part(name, scan, source.schema)]
    if hasattr(source, "collect_batches"):  # polars LazyFrame

        def query(columns: list[str] | None, n_rows: int) -> Iterator[Any]:
            lazy = source if columns is None else source.select(columns)
            for frame in lazy.collect_batches(chunk_size=n_rows):
                yield from _exported(frame)

        schema = pa.table(source.head(0).collect()).schema
        return [Part(name, query, schema)]
    if callable(source):
        opened = _exported(source())
        first = next(opened, None)
        if first is None:
            raise ValueError("a function that opens a stream must give record batches, got none")
        return [Part("the stream", lambda columns, n_rows: _exported(source()), first.schema)]
    if isinstance(source, pa.RecordBatchReader) or (
        isinstance(source, Iterator) and not hasattr(source, "__arrow_c_stream__")
    ):
        return [_spilled(source, folder)]
    if hasattr(source, "__arrow_c_stream__") or isinstance(source, Iterable):  # a frame in memory
        first = next(_exported(source), None)
        if first is None:
            raise ValueError(f"{name} must hold record batches, got none")
        return [Part(name, lambda columns, n_rows: _exported(source), first.schema)]
    raise ValueError(
        "rows must be a path, a list of paths, or a source of Arrow record batches (a pyarrow "
        f"Dataset, a polars LazyFrame, a function that opens a stream), got {type(source).__name__}"
    )


def _exported(stream: Any) -> Iterator[Any]:
    """Record batches of a reader, an iterable, or whatever exports an Arrow stream."""
    pa = import_arrow()
    if hasattr(stream, "__arrow_c_stream__"):
        yield from pa.RecordBatchReader.from_stream(stream)
        return
    for batch in stream:
        if isinstance(batch, pa.RecordBatch):
            yield batch
        elif hasattr(batch, "__arrow_c_stream__"):
            yield from pa.RecordBatchReader.from_stream(batch)
        else:
            raise ValueError(
                f"a stream must give Arrow record batches or frames, got {type(batch).__name__}"
            )


def _spilled(stream: Any, folder: Any) -> Part:
    """What can be read once, in a temporary file without a name: it goes with the process."""
    pa = import_arrow()
    file, writer = tempfile.TemporaryFile(dir=folder), None  # noqa: SIM115 - open as long as the Part
    with _one_line_errors("the stream"):
        for batch in _exported(stream):
            if writer is None:
                writer = pa.ipc.new_stream(
                    file, batch.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")
                )
            writer.write_batch(batch)
    if writer is None:
        raise ValueError("the stream must give at least one record batch, got none")
    writer.close()

    def reopen(columns: list[str] | None, n_rows: int) -> Iterator[Any]:
        file.seek(0)
        yield from pa.ipc.open_stream(file)

    weakref.finalize(reopen, file.close)
    return Part("the stream", reopen, batch.schema)


def _found(given: Any) -> list[str]:
    """Files of a path, a pattern or a folder, in alphabetical order."""
    text = os.fspath(given)
    if os.path.isdir(text):
        paths = sorted(
            str(path)
            for path in Path(text).rglob("*")
            if path.name.lower().endswith(SUFFIXES) and not path.name.startswith((".", "_"))
        )
        if not paths:
            raise ValueError(
                f"{text} is a folder without a table, that is a file named {', '.join(SUFFIXES)}"
            )
        return paths
    if os.path.exists(text):
        return [text]
    if any(mark in text for mark in "*?["):
        paths = sorted(path for path in glob(text, recursive=True) if os.path.isfile(path))
        if not paths:
            raise ValueError(f"no file matches {text}; check the pattern and its folder")
        return paths
    raise ValueError(f"there is no file {text}; check its name and folder")


def _file(path: str) -> Part:
    """A file, by what it holds: Parquet, Arrow IPC, or CSV, gzipped or not."""
    pa = import_arrow()
    name = os.path.basename(path)
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}; check the file") from None
    with _one_line_errors(name):
        if start.startswith(b"PAR1"):
            schema = pa.parquet.read_schema(path)
            named = [field for field in schema if not field.name.startswith("__index_level_")]
            return Part(name, _parquet(path), _plain(pa.schema(named), name), path=path)
        if start.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
            reader = _ipc(path)
            return Part(name, reader, _plain(next(reader(None, 1)).schema, name), path=path)
        if not start.strip():
            raise ValueError(f"{name} is empty; a table has a header and rows")
        if path.lower().endswith((".parquet", ".pq")):
            raise ValueError(f"{name} is not a Parquet file; save the table again, or as CSV")
        return _csv(path, name)


def _plain(schema: Any, name: str) -> Any:
    refuse_duplicates(schema.names, name)
    return schema


def divided(part: Part, n_rows: int) -> list[Part]:
    """A Parquet file as several parts of whole row groups, of some `n_rows` rows or more each."""
    pa = import_arrow()
    if part.path is None or part.is_text:
        return [part]
    try:
        metadata = pa.parquet.read_metadata(part.path)
    except pa.ArrowInvalid:  # Arrow IPC
        return [part]
    groups: list[list[int]] = [[]]
    n_kept = 0
    for i in range(metadata.num_row_groups):
        groups[-1].append(i)
        n_kept += metadata.row_group(i).num_rows
        if n_kept >= n_rows and i + 1 < metadata.num_row_groups:
            groups.append([])
            n_kept = 0
    if len(groups) == 1:
        return [part]
    return [
        replace(
            part, name=f"{part.name} (row groups {of[0]} to {of[-1]})", open=_parquet(part.path, of)
        )
        for of in groups
    ]


def _parquet(path: str, groups: list[int] | None = None) -> Callable[..., Iterator[Any]]:
    def read(columns: list[str] | None, n_rows: int) -> Iterator[Any]:
        pa = import_arrow()  # here, so that the function can be sent to workers
        # without pre_buffer and with a buffer, a row group is read in pieces, not as a whole
        with pa.parquet.ParquetFile(path, pre_buffer=False, buffer_size=2**20) as file:
            yield from file.iter_batches(batch_size=n_rows, columns=columns, row_groups=groups)

    return read


def _ipc(path: str) -> Callable[..., Iterator[Any]]:
    def read(columns: list[str] | None, n_rows: int) -> Iterator[Any]:
        pa = import_arrow()  # here, so that the function can be sent to workers
        with pa.OSFile(path) as file:
            if file.read(6) != b"ARROW1":
                file.seek(0)
                yield from pa.ipc.open_stream(file)
                return
            file.seek(0)
            reader = pa.ipc.open_file(file)
            for i in range(reader.num_record_batches):
                yield reader.get_batch(i)

    return read


def _csv(path: str, name: str) -> Part:
    pa = import_arrow()
    delimiter, header, skipped = _delimiter(path)
    named = [column for column in header if column]
    schema = pa.schema([(column, pa.string()) for column in named])
    places = {column: f"{i}" for i, column in enumerate(header) if column}

    def read(columns: list[str] | None, n_rows: int) -> Iterator[Any]:
        wanted = named if columns is None else columns
        with pa.input_stream(path, compression="gzip" if _is_gzip(path) else None) as file:
            reader = pa.csv.open_csv(
                file,
                read_options=pa.csv.ReadOptions(
                    block_size=CSV_BLOCK_BYTES,
                    column_names=[f"{i}" for i in range(len(header))],
                    skip_rows=skipped,
                ),
                parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                convert_options=pa.csv.ConvertOptions(
                    include_columns=[places[column] for column in wanted],
                    column_types={place: pa.string() for place in places.values()},
                ),
            )
            for batch in reader:
                columns = [_unquoted(column) for column in batch.columns]
                yield pa.RecordBatch.from_arrays(columns, names=wanted)

    return Part(name, read, schema, is_text=True, decimal_comma=delimiter == ";", path=path)


def _unquoted(column: Any) -> Any:
    """Cells without the quotes that follow a space, which Arrow takes for text."""
    compute = import_arrow().compute
    if not compute.any(compute.match_substring(column, '"')).as_py():  # faster than the pattern
        return column
    return compute.replace_substring_regex(column, r'^ +"((?:.|\n)*)"\s*$', r"\1")


def _is_gzip(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def _open_text(path: str) -> Iterator[io.TextIOWrapper]:
    open_binary: Callable[..., Any] = gzip.open if _is_gzip(path) else open
    with (
        open_binary(path, "rb") as binary,
        io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as file,
    ):
        yield file


def _separator_line(line: str) -> str | None:
    """The delimiter that a first line such as "sep=;" names."""
    text = line.strip().strip('"')
    return text[4] if len(text) == 5 and text.startswith("sep=") and text[4] in DELIMITERS else None


def _delimiter(path: str) -> tuple[str, list[str], int]:
    """The delimiter, the header, and how many lines these take."""
    with _open_text(path) as file:
        try:
            n_blank, line = 0, file.readline()
            while line and not line.strip():
                n_blank, line = n_blank + 1, file.readline()
            named = _separator_line(line)
            if named:
                line = file.readline()
        except UnicodeDecodeError:
            line = "\0"
    name = os.path.basename(path)
    if "\0" in line:
        raise ValueError(f"{name} is not a table, nor text in UTF-8; save it as CSV in UTF-8")
    delimiter, header = header_of(line.encode(), named or DELIMITERS, name)
    return delimiter, header, n_blank + (2 if named else 1)


@contextmanager
def _one_line_errors(name: str) -> Iterator[None]:
    """Arrow's errors as a ValueError that names the file."""
    pa = import_arrow()
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, EOFError, OSError) as error:
        text = " ".join(str(error).split())
        raise ValueError(f"{name} cannot be read as a table: {text[:300]}") from error


def _regrouped(batches: Iterable[Any], n_rows: int) -> Iterator[Any]:
    """Record batches of at most `n_rows` rows; small neighbours are put together."""
    pa = import_arrow()
    kept: list[Any] = []
    n_kept = 0
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            piece = _simplified(batch.slice(start, n_rows - n_kept))
            kept.append(piece)
            start, n_kept = start + piece.num_rows, n_kept + piece.num_rows
            if n_kept == n_rows:
                yield kept[0] if len(kept) == 1 else pa.concat_batches(kept)
                kept, n_kept = [], 0
    if kept:
        yield kept[0] if len(kept) == 1 else pa.concat_batches(kept)


def _simplified(batch: Any) -> Any:
    """The same with text as strings, not as numbers into a dictionary that differs by batch."""
    pa = import_arrow()
    types = pa.types
    columns = []
    for column in batch.columns:
        if types.is_dictionary(column.type):
            words = column.dictionary
            if types.is_string_view(words.type) or types.is_large_string(words.type):
                words = pa.compute.cast(words, pa.string())
            column = pa.DictionaryArray.from_arrays(column.indices, words).dictionary_decode()
        if types.is_large_string(column.type) or types.is_string_view(column.type):
            column = pa.compute.cast(column, pa.string())
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def check_same_columns(parts: list[Part], needed: list[str]) -> list[str]:
    """Columns of the first part, which all others must have, in any order."""
    columns = list(parts[0].schema.names)
    for name in needed:
        if name not in columns:
            raise ValueError(
                f"column {quote(name)} is not in {parts[0].name}; {nearest(name, columns)}"
            )
    for part in parts[1:]:
        missing = [quote(name) for name in columns if name not in part.schema.names]
        extra = [quote(name) for name in part.schema.names if name not in columns]
        if missing or extra:
            found = [f"lacks {', '.join(missing)}"] * bool(missing)
            found += [f"has {', '.join(extra)} besides"] * bool(extra)
            raise ValueError(
                f"all files must have the same columns: {part.name} {' and '.join(found)}, "
                f"compared with {parts[0].name}"
            )
    return columns
