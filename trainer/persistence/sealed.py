"""A zip archive with a checksum: its members are read within limits, as they were written.

One member, `trainer.json`, holds the version of the format, the trainer's version, and a SHA-256
over all other members. The checksum tells an accident from what was written; it is no
signature, as anyone can compute it.
"""

import io
import json
import math
import re
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

FORMAT = (1, 0)
"""Version of the format; a reader refuses a larger first number."""

VERSION = r"[0-9]{1,4}\.[0-9]{1,4}"
"""What a version of the format looks like."""

MAX_DIRECTORY = 2**20
"""Size of the archive's directory: some 15 000 members."""

MAX_TEXT = 16 * 2**20
"""Size of the member that is JSON; as objects up to 12 times that."""

MANIFEST = "trainer.json"


class ArchiveError(ValueError):
    """The archive breaks a rule; the message names it, without a subject, which is the file."""


def seal(members: Mapping[str, bytes], version: str) -> bytes:
    """An archive of members, and a manifest with the trainer's version."""
    manifest = {
        "format": ".".join(map(str, FORMAT)),
        "trainer": version,
        "sha256": _digest(members),
    }
    return zipped({MANIFEST: (json.dumps(manifest, indent=2) + "\n").encode(), **members})


def unseal(data: bytes, text: str, kind: str, writer: str) -> dict[str, bytes]:
    """The members of an archive by name, without the manifest.

    Parameters
    ----------
    data : bytes
        The archive.
    text : str
        Name of a member that must be there, of `MAX_TEXT` bytes at most.
    kind, writer : str
        What the archive should be, and what writes such, for messages.

    Raises
    ------
    ArchiveError
        If the archive is damaged, too large or of a newer format.
    """
    with opened(data, kind, writer) as archive:
        found = {info.filename: info for info in _infos(archive, len(data))}
        for name in (MANIFEST, text):
            if name not in found:
                raise ArchiveError(f"must hold a member {name}, which {writer} writes, has none")
        manifest = _manifest(archive.read(MANIFEST))
        check_format(manifest["format"], manifest["trainer"])
        if found[text].file_size > MAX_TEXT:
            raise ArchiveError(
                f"must have a schema of at most {MAX_TEXT} bytes, got {found[text].file_size}"
            )
        members = {name: archive.read(info) for name, info in found.items() if name != MANIFEST}
    if _digest(members) != manifest["sha256"]:
        raise ArchiveError("is damaged: its checksum is another than that of its contents")
    return members


def opened(data: bytes, kind: str, writer: str) -> zipfile.ZipFile:
    """The archive; its directory is within the limit, and where `zipfile` looks for it."""
    end, before = data[-22:], data[-42:-38]
    if len(end) < 22 or end[:4] != b"PK\5\6" or end[-2:] != b"\0\0" or before == b"PK\6\7":
        raise ArchiveError(f"is not {kind}, or is damaged; {writer} writes one")
    if int.from_bytes(end[12:16], "little") > MAX_DIRECTORY:
        raise ArchiveError(f"must have a directory of at most {MAX_DIRECTORY} bytes")
    return zipfile.ZipFile(io.BytesIO(data))


def zipped(members: Mapping[str, bytes]) -> bytes:
    """An archive of members, uncompressed; the same members give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # dated 1980, whenever it is written
    return buffer.getvalue()


def check_format(given: str, version: Any) -> None:
    """Refuse a format of a newer first number than this trainer writes."""
    if int(given.split(".")[0]) > FORMAT[0]:
        raise ArchiveError(
            f"must be of format {FORMAT[0]} or older, got {given}, written by trainer "
            f"{shown(version)}; install that version to load it"
        )


def check_array(data: bytes, kinds: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array in the npy format, of a kind allowed and as long as it says."""
    buffer = io.BytesIO(data)
    demand(npy.read_magic(buffer) == (1, 0))
    shape, _, dtype = npy.read_array_header_1_0(buffer)
    if dtype.kind not in kinds:
        raise ArchiveError(f"must hold arrays of numbers, booleans or text, got {shown(dtype)}")
    demand(dtype.itemsize > 0 and dtype.isnative)
    demand(all(0 <= n <= len(data) for n in shape) and len(shape) <= 8)
    demand(math.prod(shape) * dtype.itemsize == len(data) - buffer.tell())
    return shape, dtype


def npy_bytes(array: npt.NDArray[Any]) -> bytes:
    """An array in the npy format."""
    buffer = io.BytesIO()
    npy.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def demand(holds: Any) -> None:
    """A rule that no file breaks by accident once its checksum is right."""
    if not holds:
        raise ArchiveError("holds values that the trainer does not write")


def shown(value: Any, length: int = 80) -> str:
    """A value from a file, short and without control characters, for a message."""
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return text if len(text) <= length else f"{text[:length]}..."


def _infos(archive: zipfile.ZipFile, size: int) -> list[zipfile.ZipInfo]:
    infos = archive.infolist()
    if len({info.filename for info in infos}) < len(infos):
        raise ArchiveError("must name each member once")
    if any(i.compress_type != zipfile.ZIP_STORED or i.flag_bits & 1 for i in infos):
        raise ArchiveError("must hold members as they are, got compressed or encrypted ones")
    if sum(max(info.file_size, info.compress_size) for info in infos) > size:
        raise ArchiveError("must hold members that do not overlap, got more bytes than its own")
    return infos


def _manifest(text: bytes) -> dict[str, str]:
    manifest = json.loads(text) if len(text) < 10_000 else None
    wanted = ("format", "trainer", "sha256")
    if not (
        isinstance(manifest, dict)
        and all(isinstance(manifest.get(key), str) for key in wanted)
        and re.fullmatch(VERSION, manifest["format"])
    ):
        raise ArchiveError(f"must say {', '.join(wanted)} in {MANIFEST}")
    return manifest


def _digest(members: Mapping[str, bytes]) -> str:
    """SHA-256 over name, size and contents of each member, in the order of names."""
    digest = sha256()
    for name in sorted(members):
        digest.update(f"{name}\n{len(members[name])}\n".encode())
        digest.update(members[name])
    return digest.hexdigest()
