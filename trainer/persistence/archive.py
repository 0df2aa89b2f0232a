"""The archive around a model: what it may contain is checked before skops builds anything.

A model file is a skops file, sealed (`sealed.py`). skops reads the whole archive before its
audit, knows hundreds of types and lets objects refer to each other. A model needs little of
that: here the archive is read within limits, and its schema is rebuilt from a short list
of nodes, types and arrays. Only the rebuilt schema goes to skops.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from trainer.persistence.sealed import (
    ArchiveError,
    check_array,
    demand,
    opened,
    seal,
    shown,
    unseal,
    zipped,
)

MAX_BYTES = 64 * 2**20
"""Size of a model file, and of all arrays that it names; 62 MiB of them took 260 MB to load."""

MAX_NODES = 100_000
"""Values in a schema; 99 000 took 2.2 s of processor time and 120 MB to load, mostly in skops."""

MAX_DEPTH = 50
"""Values within values; a cross-validated neuron in a pipeline has about 15."""

SCHEMA = "schema.json"

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
    with opened(dumped, "a skops file", "skops") as archive:
        members = _rewritten({i.filename: archive.read(i) for i in archive.infolist()}, objects)
    return seal(members, version)


def read(data: bytes, objects: set[str], max_bytes: float) -> bytes:
    """The skops file in a model file, checked and rebuilt.

    Raises
    ------
    ArchiveError
        In a sentence without a subject, which is the file.
    """
    members = unseal(data, SCHEMA, "a model file", "save_model")
    if members[SCHEMA].count(b"{") + members[SCHEMA].count(b"[") > 3 * MAX_NODES:
        raise ArchiveError(f"must hold at most {MAX_NODES} values, got more")
    return zipped(_rewritten(members, objects, max_bytes))


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
        demand(isinstance(state, dict))
        loader, module, name = (state.get(f"__{k}__") for k in ("loader", "module", "class"))
        demand(all(isinstance(part, str) for part in (loader, module, name)))
        rule = self.rules.get(loader)
        full = f"{module}.{name}"
        if rule is None:
            raise ArchiveError(f"holds a type that is not trusted: {shown(full)} ({shown(loader)})")
        demand(not loaders or loader in loaders)
        self.depth += 1
        content = rule(state, full)
        self.depth -= 1
        return {"__class__": name, "__module__": module, "__loader__": loader, **content}

    def _json(self, state: Any, full: str) -> dict[str, Any]:
        demand(full == "builtins.str")
        value = json.loads(_text(state["content"]))
        demand(value is None or isinstance(value, str | int | float))
        return {"content": state["content"], "is_json": True}

    def _list(self, state: Any, full: str) -> dict[str, Any]:
        _trust(full, {"builtins.list"})
        return {"content": self._nodes(state["content"])}

    def _tuple(self, state: Any, full: str) -> dict[str, Any]:
        _trust(full, {"builtins.tuple"})
        return {"content": self._nodes(state["content"])}

    def _nodes(self, states: Any, *loaders: str) -> list[Any]:
        demand(isinstance(states, list))
        return [self.node(state, *loaders) for state in states]

    def _dict(self, state: Any, full: str) -> dict[str, Any]:
        _trust(full, {"builtins.dict"})
        kinds = self.node(state["key_types"], "ListNode")
        content = state["content"]
        demand(isinstance(content, dict))
        names = [f"{kind['__module__']}.{kind['__class__']}" for kind in kinds["content"]]
        for kind, name in zip(kinds["content"], names, strict=True):
            demand(kind["__loader__"] == "TypeNode")
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
        demand(all(end is None or type(end) is int for end in ends.values()))
        return {"content": ends}

    def _object(self, state: Any, full: str) -> dict[str, Any]:
        _trust(full, self.objects)
        content = self.node(state["content"], "DictNode")
        demand(all(kind["__class__"] == "str" for kind in content["key_types"]["content"]))
        version = content["content"].get("_sklearn_version", {"content": '""'})["content"]
        demand(re.fullmatch(r'"[\w.+-]{0,40}"', version))  # scikit-learn warns with this text
        return {"content": content}

    def _random_state(self, state: Any, full: str) -> dict[str, Any]:
        _trust(full, {_RANDOM_STATE})
        return {"content": self.node(state["content"], "DictNode")}

    def _dtype(self, state: Any, full: str) -> dict[str, Any]:
        _trust(full, {"numpy.dtype"})
        content = self.node(state["content"], "NdArrayNode")
        demand(content["__class__"] == "ndarray")
        return {"content": content}

    def _array(self, state: Any, full: str) -> dict[str, Any]:
        _trust(full, {"numpy.ndarray", *_SCALARS})
        if state["type"] == "json":  # of objects, as a list
            items, shape = self._nodes(state["content"]), self.node(state["shape"], "TupleNode")
            demand(full == "numpy.ndarray")
            demand([node.get("content") for node in shape["content"]] == [str(len(items))])
            return {"type": "json", "content": items, "shape": shape}
        demand(state["type"] == "numpy")
        name = _text(state["file"])
        demand(name in self.members and name != SCHEMA)
        dimensions, dtype = check_array(self.members[name], _ARRAY_KINDS)
        if full in _SCALARS:
            demand(dimensions == () and dtype.type is _SCALARS[full])
        self.n_bytes += len(self.members[name])
        if self.n_bytes > self.max_bytes:
            raise ArchiveError(f"must name arrays of at most {self.max_bytes} bytes in all")
        self.used.add(name)
        number = self.arrays.setdefault(self.members[name], len(self.arrays))
        return {"type": "numpy", "file": f"{number}.npy"}


def _trust(full: str, allowed: set[str]) -> None:
    if full not in allowed:
        raise ArchiveError(f"holds a type that is not trusted: {shown(full)}")


def _text(value: Any) -> str:
    demand(isinstance(value, str))
    return value
