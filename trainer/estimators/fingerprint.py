"""What a fit must have in common with the one that it continues: parameters, data, rounding."""

import platform
from hashlib import sha256
from numbers import Integral
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy

import trainer
from trainer.core.objective import Objective
from trainer.core.parallel import rounding
from trainer.optimizers.base import Optimizer

Array = npt.NDArray[Any]

MAX_SHOWN = 20
"""Larger arrays are compared by their digest."""

_BYTES = 2**24
# What `fit` makes of them is compared, or they change nothing.
_NOT_COMPARED = ("init", "warm_start", "random_state", "verbose")
_DIGEST = "sha256:"


def fingerprint(
    neuron: Any, theta: Array, objective: Objective, validation: Objective | None
) -> dict[str, Any]:
    """Parameters and data of a fit, each by the name that a user knows it by.

    Parameters
    ----------
    neuron : LogisticNeuron
        Its parameters count, and its classes and features.
    theta : array of shape (d + 1, K)
        First parameters.
    objective, validation : Objective
        Rows to train on, and validation rows if there are any.
    """
    given = neuron.random_state
    found = {
        "random_state": int(given) if isinstance(given, Integral) else type(given).__name__,
        **{
            name: _described(value)
            for name, value in neuron.get_params(deep=False).items()
            if name not in _NOT_COMPARED
        },
        "classes": _described(neuron.classes_),
        "feature names": _described(getattr(neuron, "feature_names_in_", None)),
        "first parameters": _described(theta),
    }
    for prefix, part in (("", objective), ("validation ", validation)):
        found[f"{prefix}rows, columns"] = (
            None if part is None else [part.n_rows, part.n_parameters - 1]
        )
        for name, digest in _digests(None if part is None else part.rows).items():
            found[f"{prefix}{name}"] = digest
    return found


def surroundings() -> dict[str, Any]:
    """What decides the last digit of a sum, besides the order of the rows."""
    return {
        **rounding(),
        "trainer": trainer.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "machine": platform.machine(),
    }


def differences(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The values that differ, in words."""
    return [
        _difference(name, was.get(name), now.get(name))
        for name in was | now
        if was.get(name) != now.get(name)
    ]


def _difference(name: str, was: Any, now: Any) -> str:
    if any(isinstance(each, str) and each.startswith(_DIGEST) for each in (was, now)):
        return f"{name} had other values, or another memory layout"
    return f"{name} was {was!r}, is {now!r}"


def _described(value: Any) -> Any:
    """A value in a form that can be stored and compared."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Optimizer):
        return [type(value).__name__, _described(value.get_params())]
    if isinstance(value, dict):
        pairs = [[_described(key), _described(item)] for key, item in value.items()]
        return sorted(pairs, key=repr)  # the order of labels means nothing
    if isinstance(value, list | tuple):
        return [_described(item) for item in value]
    array = np.asarray(value)
    if array.size <= MAX_SHOWN:
        return [array.dtype.str, *map(str, array.ravel().tolist())]
    if array.dtype == object:
        array = array.astype(str)
    return _Digest().add(array).text


def _digests(rows: Any) -> dict[str, Any]:
    """Digests of features, targets and weights, block by block where rows are read so."""
    names = ("X", "y", "sample_weight")
    if rows is None:
        return dict.fromkeys(names)
    digests = {name: _Digest() for name in names}
    if hasattr(rows, "shards"):
        for texts in rows.shards.run(_of_shard):
            for digest, text in zip(digests.values(), texts, strict=True):
                digest.hash.update(text.encode())
    else:
        blocks = rows.blocks() if hasattr(rows, "blocks") else [(rows.X, rows.y, rows.weight)]
        for block in blocks:
            for digest, part in zip(digests.values(), block, strict=True):
                digest.add(part)
    return {name: digest.text for name, digest in digests.items()}


def _of_shard(shard: Any) -> list[str]:
    """On a worker; the layout that an array has there is not that of another worker."""
    packed = (np.ascontiguousarray(p) if isinstance(p, np.ndarray) else p for p in shard)
    return [_Digest().add(part).text for part in packed]


class _Digest:
    """SHA-256 of arrays with their types, shapes and layouts."""

    def __init__(self) -> None:
        self.hash = sha256()

    @property
    def text(self) -> str:
        return _DIGEST + self.hash.hexdigest()

    def add(self, array: Any) -> Self:
        """Add an array, a CSR matrix or None."""
        if array is None:
            self.hash.update(b"None")
        elif not isinstance(array, np.ndarray):
            self.hash.update(repr(array.shape).encode())
            self.add(array.data).add(array.indices).add(array.indptr)
        else:
            is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
            self.hash.update(f"{array.dtype.str}{array.shape}{is_fortran}".encode())
            values = np.atleast_1d(array.T if is_fortran else array)
            step = max(1, _BYTES // max(1, values[:1].nbytes))
            for start in range(0, len(values), step):
                self.hash.update(values[start : start + step].tobytes())
        return self
