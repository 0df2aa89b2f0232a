"""Read and write whole files: a file is the old one or the new one, never a mixture."""

import os
import shutil
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from uuid import uuid4


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file through a draft in its folder, which replaces it once it is complete.

    The draft has a name of its own, is forced to disk, read back and compared before it is
    renamed. Whatever goes wrong, the file that was there stays as it was.

    Parameters
    ----------
    path : path
        The file to write; keeps its permissions if it exists.
    data : bytes
        Its contents.

    Raises
    ------
    ValueError
        If `path` is a folder or a device.
    OSError
        If the file cannot be written, or is not read back as it was written.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} must be a file, got a folder or a device; choose another name")
    draft = path.with_name(f"{_draft_prefix(path)}{uuid4().hex}.draft")
    try:
        with open(draft, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, draft)
        if draft.read_bytes() != data:
            raise OSError(f"{path} was not written: the disk gives back other bytes than it took")
        os.replace(draft, path)
    except OSError as error:
        if error.errno is None:
            raise
        # the draft's name says nothing to anyone
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        with suppress(OSError):  # some file systems cannot; the file itself is safe
            _sync_folder(path.parent)


def clear_drafts(path: str | os.PathLike[str]) -> None:
    """Remove the drafts of a file that processes have left which were killed while they wrote.

    A process that is writing the same file now fails to, and the file stays as it was.
    """
    path = Path(path)
    for draft in path.parent.glob(f"{_draft_prefix(path)}*.draft"):
        with suppress(OSError):
            draft.unlink()


def _draft_prefix(path: Path) -> str:
    """Of a length that any folder takes, and the same for one file only."""
    return f".trainer-{sha256(os.fsencode(path.name)).hexdigest()[:16]}-"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_whole(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Read a regular file that is not larger than `max_bytes`.

    Raises
    ------
    ValueError
        If it is larger, or no regular file: a pipe or a device may never end.
    OSError
        If it is not there or cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        path.stat()  # raises where nothing is
        raise ValueError(f"{path} must be a file, got a folder or a device")
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise ValueError(
                f"{path} must not be larger than {max_bytes} bytes, got {size}; "
                "raise max_bytes if you trust it"
            )
        return file.read(size)
