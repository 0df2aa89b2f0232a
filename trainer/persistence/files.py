"""Read and write whole files: a file is the old one or the new one, never a mixture."""

import os
import shutil
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

fcntl: Any = None
with suppress(ImportError):  # on Windows: drafts of dead processes stay
    fcntl = import_module("fcntl")

DRAFT = ".trainer-{}.draft"
"""Name of a draft. It is locked by the process that writes it, as long as that lives."""


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file through a draft in its folder, which replaces it once it is complete.

    The draft has a name of its own, is forced to disk, read back and compared before it is
    renamed. Whatever goes wrong, the file that was there stays as it was. Drafts that killed
    processes have left in the folder are removed.

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
    path = Path(os.path.realpath(path))  # a link stays one
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} must be a file, got a folder or a device; choose another name")
    file = draft = None
    try:
        clear_drafts(path.parent)
        file = _new_draft(path.parent)
        draft = Path(file.name)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, draft)
        if draft.read_bytes() != data:
            raise OSError(f"{path} was not written: the disk gives back other bytes than it took")
        if fcntl is None:  # Windows renames no open file
            file.close()
        os.replace(draft, path)
    except OSError as error:
        if error.errno is None:
            raise
        # the draft's name says nothing to anyone
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            if file is not None:
                file.close()
        with suppress(OSError):
            if draft is not None:
                draft.unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        with suppress(OSError):  # some file systems cannot; the file itself is safe
            _sync_folder(path.parent)


def _new_draft(folder: Path) -> IO[bytes]:
    """An open draft, locked; another process may remove it before it is."""
    while True:
        draft = folder / DRAFT.format(uuid4().hex)
        file = open(draft, "xb")  # noqa: SIM115 - the caller closes it
        try:
            _lock(file)
            if draft.exists():
                return file
        except BlockingIOError:
            pass  # locked by another that is about to remove it
        except OSError:  # some file systems have no locks
            return file
        file.close()


def clear_drafts(folder: Path) -> None:
    """Remove the drafts in a folder that no living process has locked."""
    if fcntl is None:
        return
    for draft in folder.glob(DRAFT.format("*")):
        with suppress(OSError), open(draft, "rb") as file:
            _lock(file)
            draft.unlink()


def _lock(file: IO[bytes]) -> None:
    """Lock a file until it is closed; BlockingIOError if another has locked it."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


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
