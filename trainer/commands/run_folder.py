"""A run's folder: the old one or the new one, whole, at whatever moment the process dies.

A run writes into a draft beside its folder. When all has been written, and is on the disk,
the two change places in one step (Linux's and macOS's exchange of two names). What else the
folder held goes along. A draft that a dead run has left is cleared by the next run.

Where a file system cannot exchange folders (NFS, Windows), files are replaced one by one, and
a run that dies between two of them is finished by the next: its draft is complete by then.

Hidden names beside the folder "iris" say how far a run has come, with eight random digits:
".iris.draft-…" is being written; ".iris.swap-…" is about to change places with the folder, or
just has; ".iris.move-…" is complete, and its files are on their way.
"""

import errno
import os
import re
import secrets
import shutil
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

fcntl: Any = None
with suppress(ImportError):  # on Windows: drafts of dead runs stay
    fcntl = import_module("fcntl")

DRAFT = re.compile(r"\.(?P<name>.+)\.(?P<state>draft|swap|move)-[0-9a-f]{8}", re.DOTALL)

GONE = ".gone"
"""Ending of an empty file that says: the new run has no file of this name."""


@contextmanager
def run_folder(target: Path, outputs: Collection[str]) -> Iterator[Path]:
    """A draft folder that takes the place of `target` when all has gone well.

    Parameters
    ----------
    target : path
        The folder; made if it is not there. If it is a link, the folder that it leads to.
    outputs : collection of str
        Names of a run's files, the last one replaced last. Whatever else `target` holds is the
        user's, and stays.

    Yields
    ------
    path
        Where to write. After an exception nothing has changed.

    Raises
    ------
    ValueError
        If there cannot be such a folder; before anything is written.
    """
    shown = str(target) if len(str(target)) <= 80 else f"...{str(target)[-77:]}"
    try:
        target = _checked(Path(target), outputs)
    except OSError as error:
        raise ValueError(
            f"--output: {shown} cannot be written ({error.strerror}); choose another"
        ) from error
    parent = target.parent
    missing = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    alive = None
    draft = _beside(target, "draft")
    try:
        try:
            parent.mkdir(parents=True, exist_ok=True)
            with _locked(parent) as held:
                if held:  # without the lock, another run may be alive
                    _clear(parent, outputs)
                draft.mkdir()
                alive = _lock(draft)
        except OSError as error:
            raise ValueError(
                f"--output: {shown} cannot be written ({error.strerror}); choose another"
            ) from error
        yield draft
        _to_disk(draft)
        with _locked(parent):
            _commit(draft, target, outputs)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if alive is not None:
            os.close(alive)
        for folder in missing:
            with suppress(OSError):  # not empty: it is of use
                folder.rmdir()


def check_place(folder: Path) -> None:
    """Raise ValueError if a file stands where a folder, or one above it, is to be."""
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise ValueError(f"--output: {path} is a file where a folder should be; choose another")


def _checked(target: Path, outputs: Collection[str]) -> Path:
    check_place(target)
    for path in (target / name for name in outputs):
        if path.is_dir() and not path.is_symlink():
            raise ValueError(f"--output: {path} is a folder where a file should be; move it away")
    if target.exists() and not os.access(target, os.W_OK):
        raise ValueError(f"--output: {target} cannot be written to; choose another")
    target = Path(os.path.realpath(target))
    if target.is_symlink():
        raise ValueError(f"--output: {target} is a link that leads to itself; choose another")
    if os.path.ismount(target):
        raise ValueError(
            f"--output: {target} is where a file system is mounted, and cannot be replaced as a "
            "whole; choose a folder in it"
        )
    return target


def _beside(target: Path, state: str) -> Path:
    return target.with_name(f".{target.name}.{state}-{secrets.token_hex(4)}")


def _commit(draft: Path, target: Path, outputs: Collection[str]) -> None:
    """Let a complete draft take the place of `target`."""
    if not target.exists():
        draft.rename(target)
        _flush(target.parent)
        return
    shutil.copymode(target, draft)
    swap = _beside(target, "swap")
    draft.rename(swap)
    for entry in target.iterdir():
        if entry.name not in outputs:
            with suppress(OSError):  # folders cannot be linked: they follow
                os.link(entry, swap / entry.name, follow_symlinks=False)
    try:
        exchange(swap, target)
    except OSError:  # a file system without it
        _start_moving(swap, target, outputs)
    else:
        _flush(target.parent)
        _settle(swap, target, outputs)


def exchange(one: Path, other: Path) -> None:
    """Let two folders change places in one step; OSError where that cannot be."""
    if os.name == "nt":
        raise OSError(errno.ENOSYS, "Windows cannot exchange folders")
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    try:
        if sys.platform == "darwin":
            failed = libc.renamex_np(*names, 2)  # RENAME_SWAP
        else:
            here = -100  # AT_FDCWD
            failed = libc.renameat2(here, names[0], here, names[1], 2)  # RENAME_EXCHANGE
    except AttributeError:
        raise OSError(errno.ENOSYS, "the C library cannot exchange folders") from None
    if failed:
        raise OSError(ctypes.get_errno(), "folders cannot be exchanged", str(other))


def _settle(swap: Path, target: Path, outputs: Collection[str]) -> None:
    """Remove the folder that `target` has replaced; what is the user's goes to `target`."""
    for entry in swap.iterdir():
        there = target / entry.name
        if entry.name.removesuffix(GONE) in outputs:
            entry.unlink()
        elif not os.path.lexists(there):
            entry.rename(there)
        elif not entry.is_dir():
            here, other = entry.lstat(), there.lstat()
            if here.st_ino != other.st_ino and here.st_mtime_ns > other.st_mtime_ns:
                entry.replace(there)  # saved while the two changed places
            else:
                entry.unlink()
    swap.rmdir()


def _start_moving(swap: Path, target: Path, outputs: Collection[str]) -> None:
    """Put one file after the other; whoever finds this unfinished goes on."""
    for entry in swap.iterdir():
        if entry.name not in outputs:
            entry.unlink()  # a link to what stays where it is
    for name in outputs:
        if not (swap / name).exists():
            (swap / f"{name}{GONE}").touch()
    _flush(swap)
    move = _beside(target, "move")
    swap.rename(move)
    _move(move, target, outputs)


def _move(move: Path, target: Path, outputs: Collection[str]) -> None:
    target.mkdir(exist_ok=True)
    for name in outputs:
        if (move / f"{name}{GONE}").exists():
            (target / name).unlink(missing_ok=True)
            (move / f"{name}{GONE}").unlink()
        elif (move / name).exists():
            (move / name).replace(target / name)
    _flush(target)
    move.rmdir()


def _clear(parent: Path, outputs: Collection[str]) -> None:
    """Finish or remove what dead runs have left in a folder, which is locked."""
    for path in parent.iterdir():
        parts = DRAFT.fullmatch(path.name)
        if parts is None or path.is_symlink() or not path.is_dir():
            continue
        target = path.with_name(parts["name"])
        with suppress(OSError):
            if parts["state"] == "draft":
                if (dead := _lock(path)) is not None:
                    shutil.rmtree(path, ignore_errors=True)
                    os.close(dead)
            elif parts["state"] == "swap":
                _settle(path, target, outputs)
            else:
                _move(path, target, outputs)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """One process at a time; False where a file system has no locks."""
    held = _lock(folder, wait=True)
    try:
        yield held is not None
    finally:
        if held is not None:
            os.close(held)


def _lock(folder: Path, wait: bool = False) -> int | None:
    """Lock a folder until the descriptor is closed, or the process dies; None if that fails."""
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _to_disk(folder: Path) -> None:
    for path in folder.iterdir():
        _flush(path)
    _flush(folder)


def _flush(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    if fcntl is None:  # Windows wants it open for writing
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
