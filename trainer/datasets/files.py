"""Reading of files, gzipped or not, up to a limit."""

import gzip
import io
import os
import stat
import zlib
from pathlib import Path
from typing import Any

from trainer.datasets.text import short_path

LARGEST_FILE = 2**30
"""Maximum bytes of a table, uncompressed: 4 MB of gzip could otherwise need 4 GB of memory."""
_CHUNK = 2**20


def read_content(path: Path) -> bytes:
    """Return the content of a regular file, uncompressed.

    Raises
    ------
    ValueError
        With a one-line message, if the file does not exist, is a folder, a device or a pipe, is
        not readable, is damaged gzip, is empty, or is larger than 1 GiB uncompressed.
    """
    shown, name = short_path(path), short_path(path.name)
    if "\0" in str(path):
        raise ValueError(f"{shown} is no name of a file; check it")
    try:
        # Checked before opening: a pipe without a writer would block, and a device may be endless.
        kind = os.stat(path).st_mode
        if stat.S_ISDIR(kind):
            raise ValueError(f"{shown} is a folder, not a table; name a file in it")
        if not stat.S_ISREG(kind):
            raise ValueError(f"{shown} is a device or a pipe; write the table to a file first")
        with open(path, "rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            content = _unzip(file, name) if zipped else _up_to_the_limit(file, name)
    except FileNotFoundError:
        raise ValueError(f"there is no file {shown}; check its name and folder") from None
    except OSError as error:
        raise ValueError(f"{shown} cannot be read: {error.strerror}; check the file") from None
    except UnicodeError:
        raise ValueError(f"{shown} is no name of a file; check it") from None
    if not content.removeprefix(b"\xef\xbb\xbf").strip():
        raise ValueError(f"{name} is empty; a table has a header and rows")
    return content


def _unzip(file: Any, name: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=file) as unzipped:
            return _up_to_the_limit(unzipped, name)
    except (OSError, EOFError, zlib.error):
        raise ValueError(f"{name} is a damaged gzip file; make it again") from None


def _up_to_the_limit(file: Any, name: str) -> bytes:
    content = io.BytesIO()
    while chunk := file.read(_CHUNK):
        if content.tell() + len(chunk) > LARGEST_FILE:
            raise ValueError(
                f"{name} is too large: a table may have {LARGEST_FILE} bytes, unzipped; "
                "train on a part of its rows"
            )
        content.write(chunk)
    return content.getvalue()
