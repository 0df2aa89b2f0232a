"""Save and load models without pickle: a file from elsewhere can build a model, not run code.

A file is an archive that skops can read, or, for a neuron alone, JSON that people can. Both carry
the version of their format and a checksum. What is loaded is built from a short list
of types, and checked as a whole: `trainer.persistence.contents` has the rules.
"""

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import MetadataRequest

import trainer
from trainer.persistence import archive, readable
from trainer.persistence.contents import (
    REQUESTS,
    ContentsError,
    bare,
    check_model,
    full_name,
    known_types,
    same,
)
from trainer.persistence.files import read_whole, write_atomically
from trainer.persistence.sealed import ArchiveError

_READING = threading.Lock()
"""Held while an archive is read. NumPy parses headers as Python, and where garbage is collected
meanwhile two threads can disturb each other's parsing: of 12 000 in four threads 3 ended in
"SystemError: AST constructor recursion depth mismatch" (CPython 3.11.7), under a lock none."""


def _unlock() -> None:
    global _READING
    _READING = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)  # another thread may have held it


def save_model(model: BaseEstimator, path: str | os.PathLike[str]) -> None:
    """Save a fitted model; the file that was there is replaced once the new one is complete.

    The model is loaded again from the bytes to be written, and compared, before anything is
    written. The same model gives the same bytes.

    Parameters
    ----------
    model : estimator
        A fitted LogisticNeuron or LogisticNeuronCV, or a Pipeline that ends in one after
        transformers such as `make_preprocessor`'s. Callbacks are not kept.
    path : path
        The file to write, by convention "….skops". One that ends in ".json" is written as
        JSON, which people can read: a LogisticNeuron alone, without the history of its
        training, the standard errors of learned rates, and what an update rule remembers
        between calls of `partial_fit`.

    Raises
    ------
    ValueError
        If the model is not fitted, or holds what `load_model` would refuse.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from trainer import LogisticNeuron, load_model
    >>> neuron = LogisticNeuron(n_starts=1).fit([[0.0], [1.0]], [False, True])
    >>> with TemporaryDirectory() as folder:
    ...     save_model(neuron, f"{folder}/neuron.json")
    ...     again = load_model(f"{folder}/neuron.json")
    >>> bool((again.coef_ == neuron.coef_).all())
    True
    """
    try:
        plain = bare(model)
        if _is_json(path):
            check_model(plain)
            data = readable.write(plain, trainer.__version__)
            again = readable.read(data)
            one, other = vars(again), vars(plain)
            fits = all(same(one.get(name), other.get(name)) for name in readable.KEPT)
        else:
            with _READING:
                data = archive.write(_dumped(plain), trainer.__version__, _names())
            again = _read(data, np.inf)
            check_model(again)
            fits = same(again, plain)
    except ArchiveError as error:
        raise ValueError(
            f"the model {error}; leave out what save_model does not know, or use skops.io yourself"
        ) from error
    except ContentsError as error:
        raise ValueError(f"the model cannot be saved: {error}") from error
    except RecursionError as error:
        raise ValueError("the model cannot be saved: it holds itself") from error
    if not fits:
        raise ValueError(
            "the model cannot be saved: its file would give back other values, in "
            f"{_difference(again, plain)}; use plain numbers and text there"
        )
    write_atomically(path, data)


def load_model(path: str | os.PathLike[str], *, max_bytes: int = archive.MAX_BYTES) -> Any:
    """Load a model that `save_model` wrote.

    No code comes from a file, and no type that is not on a short list. Loading is bounded in
    time and memory, and what is loaded fits together: shapes, types, finite numbers, labels in
    order. Whether the model is a good one, or the one you were promised, no file can say.

    Parameters
    ----------
    path : path
        The file; JSON if it ends in ".json".
    max_bytes : int, default=67108864
        Largest size of a file that is read; loading can take five times as much memory.

    Returns
    -------
    estimator
        Predicts as the model saved did.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not a model's, is damaged, too large or of a newer format, or holds types
        that are not trusted or values that do not fit together.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from trainer import LogisticNeuron, save_model
    >>> neuron = LogisticNeuron().fit([[0.0], [1.0]], ["no", "yes"])
    >>> with TemporaryDirectory() as folder:
    ...     save_model(neuron, f"{folder}/model.skops")
    ...     again = load_model(f"{folder}/model.skops")
    >>> again.predict([[0.9]]).tolist()
    ['yes']
    """
    data = read_whole(path, max_bytes)
    try:
        model = readable.read(data) if _is_json(path) else _read(data, max_bytes)
        check_model(model)
        _complete(model)
    except ArchiveError as error:
        raise ValueError(f"{path} {error}") from error
    except ContentsError as error:
        raise ValueError(
            f"{path} holds a model that does not fit together: {error}; save the model anew"
        ) from error
    except Exception as error:  # a file from elsewhere can be wrong in any way
        raise ValueError(
            f"{path} is not a model file, or is damaged; save_model writes one"
        ) from error
    return model


def trusted_types() -> list[str]:
    """Names of the types that a model file may hold, for tools that load skops files themselves.

    Such tools need ``trusted=trusted_types()``, or MLflow's ``skops_trusted_types``. They do not
    make the checks of `load_model`: load with it what comes from elsewhere.

    Returns
    -------
    list of str

    Examples
    --------
    >>> import skops.io
    >>> from trainer import LogisticNeuron, trusted_types
    >>> data = skops.io.dumps(LogisticNeuron().fit([[0.0], [1.0]], ["no", "yes"]))
    >>> skops.io.loads(data, trusted=trusted_types()).predict([[0.9]]).tolist()
    ['yes']
    """
    return ["numpy.dtype", *sorted(_names())]


def _is_json(path: str | os.PathLike[str]) -> bool:
    return Path(path).suffix.lower() == ".json"


def _names() -> set[str]:
    return {full_name(kind) for kind in known_types()}


def _dumped(model: Any) -> bytes:
    import skops.io

    try:
        return bytes(skops.io.dumps(model))
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise ContentsError(f"skops cannot write it ({what[:200]})") from error


def _read(data: bytes, max_bytes: float) -> Any:
    import skops.io

    with _READING:
        checked = archive.read(data, _names(), max_bytes)
        return skops.io.loads(checked, trusted=trusted_types())


def _complete(value: Any) -> None:
    """Turn requests that are dicts, after loading, into scikit-learn's own."""
    if isinstance(value, list | tuple):
        for part in value:
            _complete(part)
    elif isinstance(value, BaseEstimator):
        for part in list(vars(value).values()):
            _complete(part)
        if REQUESTS in vars(value):
            requests = MetadataRequest(owner=value)
            for method, wishes in vars(value)[REQUESTS].items():
                for parameter, alias in wishes.items():
                    getattr(requests, method).add_request(param=parameter, alias=alias)
            setattr(value, REQUESTS, requests)


def _difference(a: Any, b: Any) -> str:
    """Where two models differ, by the names of attributes."""
    if isinstance(a, BaseEstimator) and type(a) is type(b):
        one, other = vars(a), vars(b)
    elif isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        one, other = (dict(zip(map(str, range(len(a))), each, strict=True)) for each in (a, b))
    else:
        return ""
    for name in one.keys() | other.keys():
        if not same(one.get(name), other.get(name)):
            return ".".join(filter(None, (name, _difference(one.get(name), other.get(name)))))
    return ""
