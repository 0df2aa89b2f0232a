"""Values in a sealed archive: arrays keep their memory layout, and nothing else can be built.

The order of sums, and so the last bit of a result, can depend on the strides of an array. An
array is therefore stored as the memory that it is a view of, once for all its views, with
offset, shape and strides. Besides arrays there are numbers, text, lists, tuples, dicts, and
dataclasses from a list that the reader gives: no name is looked up elsewhere.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.persistence.sealed import check_array, demand, npy_bytes, seal, unseal

Array = npt.NDArray[Any]

DOCUMENT = "values.json"
MAX_ENTRIES = 2**28
"""Entries of an array, which may repeat what is stored once."""

_KINDS = "biuf"
_PLAIN = (type(None), bool, int, float, str)


def write_values(values: dict[str, Any], kinds: Iterable[type], version: str) -> bytes:
    """An archive of values by name.

    Parameters
    ----------
    values : dict
        What to store.
    kinds : iterable of dataclasses
        Those that may occur.
    version : str
        The trainer's.

    Raises
    ------
    ValueError
        For a value of a type that cannot be stored.
    """
    writer = _Writer(kinds)
    document = json.dumps(writer.told(values), separators=(",", ":"))
    arrays = {f"{i}.npy": npy_bytes(array) for i, array in enumerate(writer.memory)}
    return seal({DOCUMENT: document.encode(), **arrays}, version)


def read_values(data: bytes, kinds: Iterable[type], kind: str, writer: str) -> dict[str, Any]:
    """The values that `write_values` stored.

    Parameters
    ----------
    data : bytes
        The archive.
    kinds : iterable of dataclasses
        Those that may be built.
    kind, writer : str
        What the archive should be, and what writes such, for messages.

    Raises
    ------
    ArchiveError
        If the archive is damaged, of a newer format, or holds what `write_values` does not write.
    """
    members = unseal(data, DOCUMENT, kind, writer)
    document = json.loads(members.pop(DOCUMENT))
    reader = _Reader(kinds, [members.pop(f"{i}.npy") for i in range(len(members))])
    values: dict[str, Any] = reader.value(document)
    demand(isinstance(values, dict))
    return values


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


class _Writer:
    """Values as JSON, and the memory of their arrays."""

    def __init__(self, kinds: Iterable[type]) -> None:
        self.kinds = set(kinds)
        self.memory: list[Array] = []
        self.number_of: dict[int, int] = {}
        self.owners: list[Array] = []

    def told(self, value: Any) -> Any:
        kind = type(value)
        if kind in _PLAIN:
            return value
        if isinstance(value, np.generic):
            return {"scalar": self.told(np.asarray(value))}
        if kind is np.ndarray and value.dtype.kind in _KINDS and value.dtype.isnative:
            return self._array(value)
        if kind is list:
            return [self.told(item) for item in value]
        if kind is tuple:
            return {"tuple": [self.told(item) for item in value]}
        if kind is dict:
            return {"dict": [[self.told(key), self.told(item)] for key, item in value.items()]}
        if kind in self.kinds:
            parts = {field.name: self.told(getattr(value, field.name)) for field in fields(value)}
            return {"dataclass": _name(kind), "fields": parts}
        what = value.dtype if isinstance(value, np.ndarray) else _name(kind)
        raise ValueError(
            f"cannot hold a value of type {what}; arrays of numbers, numbers, text, tuples of "
            "these, and states of optimizers can be held"
        )

    def _array(self, array: Array) -> Any:
        owner = array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        if owner.base is not None or owner.dtype.kind not in _KINDS:  # memory of another library
            owner = array = array.copy(order="K")
        if id(owner) not in self.number_of:
            self.number_of[id(owner)] = len(self.memory)
            self.owners.append(owner)  # an id is unique as long as its object lives
            self.memory.append(owner.ravel(order="K"))
        offset = array.ctypes.data - owner.ctypes.data
        place = [self.number_of[id(owner)], array.dtype.str, offset]
        return {"array": [*place, list(array.shape), list(array.strides)]}


class _Reader:
    """Values from JSON and the memory of their arrays."""

    def __init__(self, kinds: Iterable[type], members: list[bytes]) -> None:
        self.kinds = {_name(kind): kind for kind in kinds}
        self.memory: list[Array] = []
        for member in members:
            shape, dtype = check_array(member, _KINDS)
            demand(len(shape) == 1)
            flat = np.empty(shape, dtype)
            flat[:] = np.frombuffer(member, dtype, offset=len(member) - flat.nbytes)
            self.memory.append(flat)

    def value(self, told: Any) -> Any:
        if isinstance(told, list):
            return [self.value(item) for item in told]
        if not isinstance(told, dict):
            return told
        match told:
            case {"array": [int(number), str(dtype), int(offset), list(shape), list(strides)]}:
                demand(np.dtype(dtype).kind in _KINDS)
                demand(math.prod(shape) <= MAX_ENTRIES)
                # NumPy raises where a view leaves its memory
                return np.ndarray(shape, dtype, self.memory[number], offset, strides)
            case {"scalar": part}:
                return self.value(part)[()]
            case {"tuple": list(items)}:
                return tuple(self.value(item) for item in items)
            case {"dict": list(items)}:
                return {self.value(key): self.value(item) for key, item in items}
            case {"dataclass": str(name), "fields": dict(parts)} if name in self.kinds:
                kind = self.kinds[name]
                demand(parts.keys() == {field.name for field in fields(kind)})
                return kind(**{key: self.value(part) for key, part in parts.items()})
        demand(False)
