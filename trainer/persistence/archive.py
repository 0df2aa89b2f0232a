"""The archive around a model: what it may contain is checked before skops builds anything.

A model file is a skops file with one member more, `trainer.json`: the version of the format, the
trainer's version, and a SHA-256 over all other members. skops reads the whole archive before its
audit, knows hundreds of types and lets objects refer to each other. A model needs little of
that: here the archive is read within limits, and its schema is rebuilt from a short list
of nodes, types and arrays. Only the rebuilt schema goes to skops.
"""

import io
import json
import math
import re
import zipfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.lib import format as npy

FORMAT = (1, 0)
"""Version of the format; a reader refuses a larger first number."""

MAX_BYTES = 64 * 2**20
"""Size of a model file, and of all arrays that it names; 62 MiB of them took 260 MB to load."""

MAX_SCHEMA = 16 * 2**20
"""Size of the schema, which is 100 to 150 bytes for a value; as objects up to 12 times that."""

MAX_NODES = 100_000
"""Values in a schema; 99 000 took 2.2 s of processor time and 120 MB to load, mostly in skops."""

MAX_DEPTH = 50
"""Values within values; a cross-validated neuron in a pipeline has about 15."""

MAX_DIRECTORY = 2**20
"""Size of the archive's directory: some 15 000 members."""

VERSION = r"[0-9]{1,4}\.[0-9]{1,4}"
"""What a version of the format looks like."""

SCHEMA, MANIFEST = "schema.json", "trainer.json"

_JSON = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode"}
_PLAIN = ("str", "int", "float", "bool")
_SCALARS = {
    f"numpy.{kind.__name__}": kind
    for kind in (
        np.bool, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64,
        np.float32, np.float64, np.str_,
    )
}  # fmt: skip
_KEYS = {*(f"builtins.{name}" for name in _PLAIN), *_SCALARS}
_ARRAY_KINDS = "biufUS"
_RANDOM_STATE = "numpy.random.mtrand.RandomState"


class ArchiveError(ValueError):
    """The archive breaks a rule; the message names it."""


def write(dumped: bytes, version: str, objects: set[str]) -> bytes:
    """A model file from what skops dumped; the same model gives the same bytes.

    Parameters
    ----------
    dumped : bytes
        A skops file.
    version : str
        The trainer's.
    objects : set of str
        Full names of the types that may be built.
    """
    with _opened(dumped) as archive:
        members = _rewritten({i.filename: archive.read(i) for i in archive.infolist()}, objects)
    manifest = {
        "format": ".".join(map(str, FORMAT)),
        "trainer": version,
        "sha256": _digest(members),
    }
    return _archive({MANIFEST: (json.dumps(manifest, indent=2) + "\n").encode(), **members})


def read(data: bytes, objects: set[str], max_bytes: float) -> bytes:
    """The skops file in a model file, checked and rebuilt.

    Raises
    ------
    ArchiveError
        In a sentence without a subject, which is the file.
    """
    with _opened(data) as archive:
        found = {info.filename: info for info in _infos(archive, len(data))}
        for name in (MANIFEST, SCHEMA):
            if name not in found:
                raise ArchiveError(f"must hold a member {name}, which save_model writes, has none")
        _check_version(archive.read(MANIFEST))
        if found[SCHEMA].file_size > MAX_SCHEMA:
            raise ArchiveError(
                f"must have a schema of at most {MAX_SCHEMA} bytes, got {found[SCHEMA].file_size}"
            )
        members = {name: archive.read(info) for name, info in found.items()}
    manifest = _manifest(members.pop(MANIFEST))
    if _digest(members) != manifest["sha256"]:
        raise ArchiveError("is damaged: its checksum is another than that of its contents")
    if members[SCHEMA].count(b"{") + members[SCHEMA].count(b"[") > 3 * MAX_NODES:
        raise ArchiveError(f"must hold at most {MAX_NODES} values, got more")
    return _archive(_rewritten(members, objects, max_bytes))


def _opened(data: bytes) -> zipfile.ZipFile:
    """The archive; its directory is within the limit, and where `zipfile` looks for it."""
    end, before = data[-22:], data[-42:-38]
    if len(end) < 22 or end[:4] != b"PK\5\6" or end[-2:] != b"\0\0" or before == b"PK\6\7":
        raise ArchiveError("is not a model file, or is damaged; save_model writes one")
    if int.from_bytes(end[12:16], "little") > MAX_DIRECTORY:
        raise ArchiveError(f"must have a directory of at most {MAX_DIRECTORY} bytes")
    return zipfile.ZipFile(io.BytesIO(data))


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


def _check_version(text: bytes) -> None:
    manifest = _manifest(text)
    check_format(manifest["format"], manifest["trainer"])


def check_format(given: str, version: Any) -> None:
    """Refuse a format of a newer first number than this trainer writes."""
    if int(given.split(".")[0]) > FORMAT[0]:
        raise ArchiveError(
            f"must be of format {FORMAT[0]} or older, got {given}, written by trainer "
            f"{shown(version)}; install that version to load it"
        )


def _digest(members: Mapping[str, bytes]) -> str:
    """SHA-256 over name, size and contents of each member, in the order of names."""
    digest = sha256()
    for name in sorted(members):
        digest.update(f"{name}\n{len(members[name])}\n".encode())
        digest.update(members[name])
    return digest.hexdigest()


def _archive(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # dated 1980, whenever it is written
    return buffer.getvalue()


def _rewritten(
    members: Mapping[str, bytes], objects: set[str], max_bytes: float = math.inf
) -> dict[str, bytes]:
    """Schema and arrays anew: no ids, no other members, arrays numbered as they come."""
    schema = json.loads(members[SCHEMA])
    rewriter = _Rewriter(members, objects, max_bytes)
    root = rewriter.node(schema)
    unused = members.keys() - rewriter.used - {SCHEMA}
    if unused:
        raise ArchiveError(f"must use all its members, does not use {shown(sorted(unused)[0])}")
    root["protocol"] = schema.get("protocol")
    root["_skops_version"] = str(schema.get("_skops_version"))
    arrays = {f"{i}.npy": array for i, array in enumerate(rewriter.arrays)}
    return {SCHEMA: json.dumps(root, separators=(",", ":")).encode(), **arrays}


class _Rewriter:
    """Nodes of a skops schema, each by the rule for its loader, in a new form."""

    def __init__(self, members: Mapping[str, bytes], objects: set[str], max_bytes: float) -> None:
        self.members, self.objects, self.max_bytes = members, objects, max_bytes
        self.rules: dict[str, Callable[[Any, str], dict[str, Any]]] = {
            "JsonNode": self._json,
            "ListNode": self._list,
            "TupleNode": self._tuple,
            "DictNode": self._dict,
            "TypeNode": self._type,
            "SliceNode": self._slice,
            "ObjectNode": self._object,
            "RandomStateNode": self._random_state,
            "DTypeNode": self._dtype,
            "NdArrayNode": self._array,
        }
        self.used: set[str] = set()
        self.arrays: dict[bytes, int] = {}  # equal ones once, in order: no memory address decides
        self.n_nodes = self.n_bytes = self.depth = 0

    def node(self, state: Any, *loaders: str) -> dict[str, Any]:
        """One node, which must have one of these loaders, if any are given."""
        self.n_nodes += 1
        if self.n_nodes > MAX_NODES:
            raise ArchiveError(f"must hold at most {MAX_NODES} values, got more")
        if self.depth >= MAX_DEPTH:
            raise ArchiveError(f"must hold values nested at most {MAX_DEPTH} deep, got deeper")
        _demand(isinstance(state, dict))
        loader, module, name = (state.get(f"__{k}__") for k in ("loader", "module", "class"))
        _demand(all(isinstance(part, str) for part in (loader, module, name)))
        rule = self.rules.get(loader)
        full = f"{module}.{name}"
        if rule is None:
            raise ArchiveError(f"holds a type that is not trusted: {shown(full)} ({shown(loader)})")
        _demand(not loaders or loader in loaders)
        self.depth += 1
        content = rule(state, full)
        self.depth -= 1
        return {"__class__": name, "__module__": module, "__loader__": loader, **content}

    def _json(self, state: Any, full: str) -> dict[str, Any]:
        _demand(full == "builtins.str")
        value = json.loads(_text(state["content"]))
        _demand(value is None or isinstance(value, str | int | float))
        return {"content": state["content"], "is_json": True}

    def _list(self, state: Any, full: str) -> dict[str, Any]:
        _trust(full, {"builtins.list"})
        return {"content": self._nodes(state["content"])}

    def _tuple(self, state: Any, full: str) -> dict[str, Any]:
        _trust(full, {"builtins.tuple"})
        return {"content": self._nodes(state["content"])}

    def _nodes(self, states: Any, *loaders: str) -> list[Any]:
        _demand(isinstance(states, list))
        return [self.node(state, *loaders) for state in states]

    def _dict(self, state: Any, full: str) -> dict[str, Any]:
        _trust(full, {"builtins.dict"})
        kinds = self.node(state["key_types"], "ListNode")
        content = state["content"]
        _demand(isinstance(content, dict))
        names = [f"{kind['__module__']}.{kind['__class__']}" for kind in kinds["content"]]
        for kind, name in zip(kinds["content"], names, strict=True):
            _demand(kind["__loader__"] == "TypeNode")
            _trust(name, _KEYS)
        if len(names) != len(content):
            raise ArchiveError(
                "must hold dicts whose keys differ as texts too, as 1 and '1' do not"
            )
        new = {}
        for name, (key, value) in zip(names, content.items(), strict=True):
            if name in ("builtins.bool", "numpy.bool") and key == "false":
                key = ""  # skops makes a key by calling its type, and bool("false") is True
            new[key] = self.node(value)
        return {"key_types": kinds, "content": new}

    def _type(self, state: Any, full: str) -> dict[str, Any]:
        _trust(full, _KEYS | self.objects)
        return {}

    def _slice(self, state: Any, full: str) -> dict[str, Any]:
        _trust(full, {"builtins.slice"})
        ends = {name: state["content"][name] for name in ("start", "stop", "step")}
        _demand(all(end is None or type(end) is int for end in ends.values()))
        return {"content": ends}

    def _object(self, state: Any, full: str) -> dict[str, Any]:
        _trust(full, self.objects)
        content = self.node(state["content"], "DictNode")
        _demand(all(kind["__class__"] == "str" for kind in content["key_types"]["content"]))
        version = content["content"].get("_sklearn_version", {"content": '""'})["content"]
        _demand(re.fullmatch(r'"[\w.+-]{0,40}"', version))  # scikit-learn warns with this text
        return {"content": content}

    def _random_state(self, state: Any, full: str) -> dict[str, Any]:
        _trust(full, {_RANDOM_STATE})
        return {"content": self.node(state["content"], "DictNode")}

    def _dtype(self, state: Any, full: str) -> dict[str, Any]:
        _trust(full, {"numpy.dtype"})
        content = self.node(state["content"], "NdArrayNode")
        _demand(content["__class__"] == "ndarray")
        return {"content": content}

    def _array(self, state: Any, full: str) -> dict[str, Any]:
        _trust(full, {"numpy.ndarray", *_SCALARS})
        if state["type"] == "json":  # of objects, as a list
            items, shape = self._nodes(state["content"]), self.node(state["shape"], "TupleNode")
            _demand(full == "numpy.ndarray")
            _demand([node.get("content") for node in shape["content"]] == [str(len(items))])
            return {"type": "json", "content": items, "shape": shape}
        _demand(state["type"] == "numpy")
        name = _text(state["file"])
        _demand(name in self.members and name != SCHEMA)
        _check_array(self.members[name], full)
        self.n_bytes += len(self.members[name])
        if self.n_bytes > self.max_bytes:
            raise ArchiveError(f"must name arrays of at most {self.max_bytes} bytes in all")
        self.used.add(name)
        number = self.arrays.setdefault(self.members[name], len(self.arrays))
        return {"type": "numpy", "file": f"{number}.npy"}


def _check_array(data: bytes, full: str) -> None:
    """An array of numbers or text, as long as its header says; a scalar of its own type."""
    buffer = io.BytesIO(data)
    _demand(npy.read_magic(buffer) == (1, 0))
    shape, _, dtype = npy.read_array_header_1_0(buffer)
    if dtype.kind not in _ARRAY_KINDS:
        raise ArchiveError(f"must hold arrays of numbers, booleans or text, got {shown(dtype)}")
    _demand(dtype.itemsize > 0 and dtype.isnative)
    _demand(all(0 <= n <= len(data) for n in shape) and len(shape) <= 8)
    _demand(math.prod(shape) * dtype.itemsize == len(data) - buffer.tell())
    if full in _SCALARS:
        _demand(shape == () and dtype.type is _SCALARS[full])


def _demand(holds: Any) -> None:
    """A rule that no file breaks by accident once its checksum is right."""
    if not holds:
        raise ArchiveError("holds values that save_model does not write")


def _trust(full: str, allowed: set[str]) -> None:
    if full not in allowed:
        raise ArchiveError(f"holds a type that is not trusted: {shown(full)}")


def _text(value: Any) -> str:
    _demand(isinstance(value, str))
    return value


def shown(value: Any, length: int = 80) -> str:
    """A value from a file, short and without control characters, for a message."""
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return text if len(text) <= length else f"{text[:length]}..."
