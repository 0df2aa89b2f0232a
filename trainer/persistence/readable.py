"""A neuron as JSON that people can read, numbers exact; no name in it is looked up anywhere."""

import dataclasses
import json
import math
import re
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

import trainer
from trainer.persistence.contents import ContentsError
from trainer.persistence.sealed import FORMAT, VERSION, ArchiveError, check_format, shown

MAX_TEXT = 16 * 2**20
"""Size of a file; as objects up to 12 times that."""

MAX_BRACKETS = 300_000
"""Lists and objects in a file."""

KEPT = ("coef_", "intercept_", "classes_", "n_features_in_", "alpha_", "n_iter_", "loss_curve_")
"""Attributes that come back to the bit; `save_model` compares them."""

_KEYS = (
    "format", "trainer", "kind", "sha256", "parameters", "classes", "features", "dtype",
    "intercept", "coef", "alpha", "optimizer", "noise_rates", "n_iter", "loss_curve",
    "validation_curve", "termination", "terminations",
)  # fmt: skip
_OPTIONAL = {
    "sha256", "alpha", "optimizer", "noise_rates", "validation_curve", "termination",
    "terminations",
}  # fmt: skip
_LISTS = ("noise_rates", "validation_curve")
"""Attributes that are arrays or None."""
_SINGLE = ("alpha", "optimizer")
"""Attributes that are a number or text, and may be missing."""
_BY_LABEL = ("class_weight", "noise_rates")
_FLOATS = {"float64": np.float64, "float32": np.float32}
_LABELS = {"bool": bool, "int": int, "uint": int, "float": float, "U": str, "object": str}


def write(neuron: Any, version: str) -> bytes:
    """The text of a fitted LogisticNeuron.

    Raises
    ------
    ContentsError
        For another estimator, or values that JSON has no way to say.
    """
    if type(neuron) is not trainer.LogisticNeuron:
        raise ContentsError(
            f"a JSON file holds a LogisticNeuron alone, got {type(neuron).__name__}; choose "
            "another ending, such as .skops"
        )
    names = vars(neuron).get("feature_names_in_")
    document = {
        "format": ".".join(map(str, FORMAT)),
        "trainer": version,
        "kind": "LogisticNeuron",
        "sha256": "",
        "parameters": {
            name: _parameter(name, value) for name, value in neuron.get_params(deep=False).items()
        },
        "classes": {"dtype": _label_dtype(neuron.classes_), "labels": neuron.classes_.tolist()},
        "features": neuron.n_features_in_ if names is None else names.tolist(),
        "dtype": neuron.coef_.dtype.name,
        "intercept": neuron.intercept_.tolist(),
        "coef": neuron.coef_.tolist(),
        "n_iter": neuron.n_iter_,
        "loss_curve": neuron.loss_curve_.tolist(),
    }
    for name in _LISTS:
        if (values := getattr(neuron, f"{name}_", None)) is not None:
            document[name] = values.tolist()
    for name in _SINGLE:
        if hasattr(neuron, f"{name}_"):
            document[name] = getattr(neuron, f"{name}_")
    if hasattr(neuron, "terminations_"):
        document["termination"] = _told(neuron.termination_)
        document["terminations"] = [_told(end) for end in neuron.terminations_]
    if neuron.classes_.dtype.kind not in "biufUO":
        raise ContentsError(f"JSON has no labels of type {neuron.classes_.dtype}; use text")
    document["sha256"] = _digest(document)
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read(data: bytes) -> Any:
    """The neuron in a text.

    Raises
    ------
    ArchiveError
        In a sentence without a subject, which is the file.
    """
    if len(data) > MAX_TEXT or data.count(b"[") + data.count(b"{") > MAX_BRACKETS:
        raise ArchiveError(
            f"must have at most {MAX_TEXT} bytes and {MAX_BRACKETS} lists, got more; "
            "save large models as .skops"
        )
    document = json.loads(data.decode(), object_pairs_hook=_once)
    if not isinstance(document, dict) or document.get("kind") != "LogisticNeuron":
        raise ArchiveError('must be a model\'s JSON, with "kind": "LogisticNeuron"')
    given = document.get("format")
    if not isinstance(given, str) or not re.fullmatch(VERSION, given):
        raise ArchiveError(f'must have a "format" such as "1.0", got {shown(given)}')
    check_format(given, document.get("trainer"))
    if document.keys() - _KEYS and given == ".".join(map(str, FORMAT)):
        unknown = shown(sorted(document.keys() - _KEYS)[0])
        raise ArchiveError(f"must have the keys {', '.join(_KEYS)} only, got {unknown}")
    if missing := [key for key in _KEYS if key not in document and key not in _OPTIONAL]:
        raise ArchiveError(f"must have the keys {', '.join(_KEYS)}, has no {missing[0]}")
    if "sha256" in document and document["sha256"] != _digest(document):
        raise ArchiveError(
            "is damaged or was changed: its checksum is another than that of its contents; take "
            'out "sha256" if you changed it on purpose'
        )
    return _neuron(document)


def _neuron(document: dict[str, Any]) -> Any:
    parameters = dict(document["parameters"])
    for name in _BY_LABEL:
        value = parameters.get(name)
        if isinstance(value, list) and all(isinstance(each, list) for each in value):
            parameters[name] = dict(value)
    neuron: Any = trainer.LogisticNeuron(**parameters)
    if parameters.keys() != neuron.get_params().keys():
        raise ContentsError(f"parameters must be {sorted(neuron.get_params())}")
    dtype = _FLOATS[document["dtype"]]
    features = document["features"]
    names = features if isinstance(features, list) else None
    held = {
        "n_features_in_": features if names is None else len(names),
        "classes_": _labels(**document["classes"]),
        "coef_": _numbers(document["coef"], dtype),
        "intercept_": _numbers(document["intercept"], dtype),
        "n_iter_": document["n_iter"],
        "loss_curve_": _numbers(document["loss_curve"], np.float64),
        "noise_rates_std_err_": None,
    }
    for name in _LISTS:
        held[f"{name}_"] = _numbers(document[name], np.float64) if name in document else None
    held |= {f"{name}_": document[name] for name in _SINGLE if name in document}
    if names is not None:
        held["feature_names_in_"] = np.array(names, dtype=object)
    if "terminations" in document:
        held["termination_"] = _termination(document["termination"])
        held["terminations_"] = [_termination(end) for end in document["terminations"]]
    vars(neuron).update(held)
    return neuron


def _parameter(name: str, value: Any) -> Any:
    value = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
    if name in _BY_LABEL and isinstance(value, dict):
        value = [
            [label.item() if isinstance(label, np.generic) else label, float(weight)]
            for label, weight in value.items()
        ]
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ContentsError(
            f"JSON cannot hold {name}={shown(value)}; give numbers or text, or choose another "
            "ending, such as .skops"
        ) from error
    return value


def _label_dtype(classes: npt.NDArray[Any]) -> str:
    return classes.dtype.str[1:] if classes.dtype.kind == "U" else classes.dtype.name


def _labels(dtype: str, labels: list[Any]) -> npt.NDArray[Any]:
    """Labels, each of the kind that the type says, and none cut short."""
    kind = re.fullmatch(r"(bool|int|uint|float|U|object)[0-9]{0,4}", dtype)
    if kind is None or any(type(label) is not _LABELS[kind[1]] for label in labels):
        raise ContentsError(f"classes must be of their dtype, got {shown(dtype)}")
    classes = np.array(labels, dtype=dtype)
    if classes.tolist() != labels:
        raise ContentsError(f"classes must be of their dtype, got {shown(dtype)}")
    return classes


def _numbers(value: Any, dtype: Any) -> npt.NDArray[Any]:
    """Numbers, and no text or booleans that NumPy would make numbers of."""
    array = np.array(value)
    if array.dtype.kind not in "if":
        raise ContentsError(f"numbers must be lists of numbers, got {shown(value)}")
    return array.astype(dtype)


def _told(termination: Any) -> dict[str, Any]:
    """Its fields; NaN, which is no JSON, as null, and infinity as text."""
    fields = {}
    for name, value in dataclasses.asdict(termination).items():
        value = value.item() if isinstance(value, np.generic) else value
        if isinstance(value, float) and not math.isfinite(value):
            value = None if math.isnan(value) else str(value)
        fields[name] = value
    return fields


def _termination(fields: dict[str, Any]) -> Any:
    numbers = {"inf": math.inf, "-inf": -math.inf}
    values: dict[str, Any] = {
        name: math.nan if value is None else numbers.get(value, value)
        for name, value in fields.items()
    }
    return trainer.Termination(**values)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ArchiveError("must name each key once")
    return found


def _digest(document: dict[str, Any]) -> str:
    """SHA-256 over the rest of the document, however it is laid out."""
    rest = {key: value for key, value in document.items() if key != "sha256"}
    return sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
