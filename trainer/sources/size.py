"""Whether a table can be trained on in memory, from its size on disk and a look at its start."""

import gzip
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainer.datasets.files import LARGEST_FILE
from trainer.datasets.tables import DELIMITERS, LARGEST_TABLE

BYTES_A_CELL = 40
"""Memory that training takes for each cell: the table, its two parts, and copies of these as they
are prepared and compared with other models."""

BYTES_A_BYTE = 4
"""Memory that training takes for each byte of a file that holds mostly text."""

SHARE_OF_MEMORY = 0.25
"""Share of the machine's memory that a table may take by default."""

GZIP_RATIO = 4
"""Text is compressed to a quarter or less; the size that gzip records is modulo 2^32."""

_START = 2**20


def too_large_for_memory(source: Any, memory: int | float | str | None = None) -> str | None:
    """Why a table is to be read in pieces by `open_rows`; None if it can be trained on in memory.

    Parameters
    ----------
    source : path or list of paths
        As `open_rows` takes it. What cannot be read is left to others to report.
    memory : int or str, optional
        Memory that training may take, in bytes or with a unit such as "2GB"; by default a
        quarter of the machine's, or of the container's.

    Returns
    -------
    str or None
        The reason: several files, a format that only `open_rows` reads, or the size.

    Raises
    ------
    ValueError
        If `memory` is not a number of bytes.

    Examples
    --------
    >>> too_large_for_memory("data/wine.csv")
    >>> too_large_for_memory("data/*.csv")
    'it is a pattern of names'
    """
    limit = SHARE_OF_MEMORY * machine_bytes() if memory is None else to_bytes(memory)
    if isinstance(source, list | tuple):
        return f"there are {len(source)} files"
    path = Path(source)
    try:
        if path.is_dir():
            return "it is a folder"
        if not path.is_file():  # a pipe or a device would never end
            is_pattern = not path.exists() and any(mark in str(source) for mark in "*?[")
            return "it is a pattern of names" if is_pattern else None
        n_cells, n_bytes = _measured(path)
    except (OSError, EOFError, ValueError, ImportError):
        return None
    if n_cells is None:
        return "it is an Arrow file"
    needed = max(BYTES_A_CELL * n_cells, BYTES_A_BYTE * n_bytes)
    if n_cells > LARGEST_TABLE or n_bytes > LARGEST_FILE or needed > limit:
        return (
            f"training on it in memory would take about {needed / 1e9:.2g} GB, and "
            f"{min(limit, BYTES_A_CELL * LARGEST_TABLE) / 1e9:.2g} GB are allowed"
        )
    return None


def _measured(path: Path) -> tuple[float | None, float]:
    """Cells, None for an Arrow file, and bytes of a file, uncompressed; estimates for text."""
    n_bytes: float = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(_START)
        file.seek(-4, os.SEEK_END)
        recorded = int.from_bytes(file.read(4), "little")
    if start.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return None, n_bytes
    if start.startswith(b"PAR1"):
        from pyarrow import parquet

        found = parquet.read_metadata(path)
        groups = [found.row_group(i) for i in range(found.num_row_groups)]
        return found.num_rows * found.num_columns, sum(group.total_byte_size for group in groups)
    if start.startswith(b"\x1f\x8b"):
        with gzip.open(path) as unzipped:
            start = unzipped.read(_START)
        n_bytes = max(recorded, GZIP_RATIO * n_bytes)
    marks = sum(start.count(mark) for mark in f"{DELIMITERS}\n".encode())
    return n_bytes * marks / max(1, len(start)), n_bytes


def machine_bytes() -> int:
    """Memory of the machine, or that of the container if it is less; 8 GiB where it is unknown."""
    n_bytes = 2**33
    with suppress(AttributeError, ValueError, OSError):
        n_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(ValueError, OSError):
        n_bytes = min(n_bytes, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return n_bytes


def to_bytes(memory: int | float | str) -> int:
    """A number of bytes, given as one or as text such as "2GB".

    Examples
    --------
    >>> to_bytes("2GB"), to_bytes("512 MiB"), to_bytes(1e6)
    (2000000000, 536870912, 1000000)
    """
    text = str(memory).strip().lower()
    match = re.fullmatch(r"(\d+\.?\d*(?:e\+?\d+)?)\s*(|[kmgt])(i?)b?", text)
    try:
        assert match
        number, unit, is_binary = match.groups()
        power = "kmgt".index(unit) + 1 if unit else 0
        n_bytes = int(float(number) * (1024 if is_binary else 1000) ** power)
        if n_bytes < 1e6:
            raise ValueError
    except (AssertionError, ValueError, OverflowError):
        raise ValueError(
            f"memory must be a number of bytes such as 2e9 or '2GB', at least 1 MB, got {memory!r}"
        ) from None
    return n_bytes
