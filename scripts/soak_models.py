"""Mutate model files, load each in a process of its own, and judge what came of it.

python scripts/soak_models.py                         2 000 files, some minutes
python scripts/soak_models.py --files 60 --seed 7     a short run; the same seed, the same files

Accidents are flipped bits, cuts and fills. Sealed files are changed on purpose: values, types, names
and arrays, with sizes, CRCs and checksums made right again. No file may run code, take more than 5 s
or 500 MB, raise anything but a ValueError of one line, or load as a model that does not work as one.
An accident must be refused, or predict as the model that was saved.
"""

import argparse
import io
import json
import os
import select
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_is_fitted

import trainer

SECONDS, MEGABYTES = 5, 500
Rng = np.random.Generator
Members = dict[str, bytes]


@dataclass
class Subject:
    """A model, rows to try it on, and its file."""

    name: str
    model: Any
    X: Any
    y: Any
    ending: str
    data: bytes = b""
    probabilities: Any = None


@dataclass
class Outcome:
    """What loading a file came to."""

    subject: str
    mutation: str
    verdict: str
    detail: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0


@dataclass
class Report:
    """All outcomes; `failures` are those that may not be."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def failures(self) -> list[Outcome]:
        """Outcomes that break a promise."""
        return [outcome for outcome in self.outcomes if outcome.verdict not in VERDICTS]

    def __str__(self) -> str:
        """One page."""
        counts = Counter((o.mutation, o.verdict) for o in self.outcomes)
        mutations = list(dict.fromkeys(o.mutation for o in self.outcomes))
        columns = [*VERDICTS, "failed"]
        lines = [f"{'mutation':<24}" + "".join(f"{name:>12}" for name in columns)]
        for mutation in [*sorted(mutations), "all"]:
            row = [
                sum(
                    n
                    for (of, verdict), n in counts.items()
                    if of == mutation or mutation == "all"
                    if (verdict if verdict in VERDICTS else "failed") == column
                )
                for column in columns
            ]
            lines.append(f"{mutation:<24}" + "".join(f"{n:>12}" for n in row))
        slowest = max(self.outcomes, key=lambda o: o.seconds)
        largest = max(self.outcomes, key=lambda o: o.megabytes)
        lines.append(f"slowest {slowest.seconds:.2f} s ({slowest.subject}, {slowest.mutation})")
        lines.append(f"largest {largest.megabytes:.0f} MB ({largest.subject}, {largest.mutation})")
        lines += [f"FAILED {o.subject}, {o.mutation}: {o.verdict}: {o.detail}" for o in self.failures]
        return "\n".join(lines)


# A sealed change that fits together is another model: no file can tell who made it.
VERDICTS = ("refused", "unharmed", "another")


def subjects(folder: Path) -> list[Subject]:
    """Models of every kind that can be saved."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": np.where(rng.random(150) < 0.1, np.nan, rng.normal(size=150)),
            "town": rng.choice(["Kyiv", "Oslo", "Lima"], 150),
            "new": rng.random(150) < 0.5,
            "street": rng.integers(0, 60, 150).astype(str),
        }
    )
    frame.loc[3, "town"] = None
    X, y = load_iris(return_X_y=True)
    in_parts = trainer.LogisticNeuron(optimizer="adam", random_state=np.random.RandomState(3))
    for _ in range(4):
        in_parts.partial_fit(X[:100], y[:100], classes=[0, 1])
    town = np.where(frame["town"] == "Oslo", "north", "south")
    chosen = trainer.LogisticNeuronCV(alphas=3, cv=3, class_weight={0: 1, 1: 2.0, 2: 1}, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [
            Subject("in parts", in_parts, X[:100], y[:100], ".skops"),
            Subject("chosen", chosen.fit(X, y), X, y, ".skops"),
            Subject(
                "pipeline",
                make_pipeline(
                    trainer.make_preprocessor(frame), trainer.LogisticNeuron(early_stopping=True, random_state=0)
                ).fit(frame, town),
                frame,
                town,
                ".skops",
            ),
            Subject("readable", trainer.LogisticNeuron().fit(X, y.astype(str)), X, y.astype(str), ".json"),
        ]
    for subject in found:
        path = folder / f"good{subject.ending}"
        trainer.save_model(subject.model, path)
        subject.data = path.read_bytes()
        subject.probabilities = subject.model.predict_proba(subject.X)
    return found


# Accidents: what disks, cables and editors do.


def flipped(data: bytes, rng: Rng) -> bytes:
    """One to eight bits."""
    array = np.frombuffer(data, dtype=np.uint8).copy()
    for place in rng.integers(0, len(array), rng.integers(1, 9)):
        array[place] ^= 1 << rng.integers(8)
    return array.tobytes()


def cut(data: bytes, rng: Rng) -> bytes:
    """The end, the beginning or a piece of the middle is gone."""
    a, b = sorted(rng.integers(0, len(data) + 1, 2))
    return (data[:a], data[b:], data[:a] + data[b:])[rng.integers(3)]


def filled(data: bytes, rng: Rng) -> bytes:
    """A run of bytes is 0, 255, noise or a copy of another run."""
    a, n = int(rng.integers(len(data))), int(rng.integers(1, 600))
    other = int(rng.integers(len(data)))
    fills = (bytes(n), b"\xff" * n, rng.bytes(n), data[other : other + n])
    return data[:a] + fills[rng.integers(4)][: len(data) - a] + data[a + n :]


ACCIDENTS = (flipped, cut, filled)


# Sealed changes: the file's format, written down a second time, independently of the trainer.


def opened(data: bytes) -> Members:
    """The members of a model file, but for the manifest."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {n: archive.read(n) for n in archive.namelist() if n != "trainer.json"}


def sealed(members: Members, version: str = "1.0", **archive_settings: Any) -> bytes:
    """A model file of any members, its checksum right."""
    digest = sha256()
    for name in sorted(members):
        digest.update(f"{name}\n{len(members[name])}\n".encode() + members[name])
    manifest = {"format": version, "trainer": "0.1.0", "sha256": digest.hexdigest()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **archive_settings) as archive:
        archive.writestr("trainer.json", json.dumps(manifest))
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def sealed_json(document: dict[str, Any]) -> bytes:
    """A neuron's JSON, its checksum right."""
    rest = {key: value for key, value in document.items() if key != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return json.dumps({**document, "sha256": sha256(text.encode()).hexdigest()}).encode()


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a tree and every key in it."""
    items = list(tree.items() if isinstance(tree, dict) else enumerate(tree))
    for key, value in items:
        yield tree, key
        if isinstance(value, dict | list):
            yield from places(value)


def node(loader: str, full: str, **content: Any) -> dict[str, Any]:
    """A node of a skops schema."""
    module, _, name = full.rpartition(".")
    return {"__class__": name, "__module__": module, "__loader__": loader, **content}


def json_node(value: Any) -> dict[str, Any]:
    """A plain value."""
    return node("JsonNode", "builtins.str", content=json.dumps(value), is_json=True)


def dict_node(values: dict[str, Any]) -> dict[str, Any]:
    """A dict of nodes, by names."""
    kinds = [node("TypeNode", "builtins.str") for _ in values]
    key_types = node("ListNode", "builtins.list", content=kinds)
    return node("DictNode", "builtins.dict", content=values, key_types=key_types)


def generator(name: str) -> dict[str, Any]:
    """A random generator whose "bit generator" skops 0.14 looks up in numpy.random, and calls."""
    states = {"bit_generator": dict_node({"bit_generator": json_node(name)})}
    sequence = dict_node({"entropy": json_node(1)})
    return node("RandomGeneratorNode", "numpy.random._generator.Generator", content={**states, "seed_seq": sequence})


def foreign_nodes() -> list[dict[str, Any]]:
    """Nodes that would run something, were they built."""
    command = json_node("touch /tmp/never")
    arguments = node("TupleNode", "builtins.tuple", content=[command])
    return [
        node("FunctionNode", "os.system"),
        node("FunctionNode", "numpy.exp"),
        node("TypeNode", "subprocess.Popen"),
        node("ConstructorFromReduceNode", "subprocess.Popen", content=arguments),
        node("ConstructorFromReduceNode", "builtins.exec", content=arguments),
        node("ObjectNode", "sklearn.svm._classes.SVC", content=dict_node({})),
        node("MethodNode", "builtins.str", content={"func": "format", "obj": command}),
        node("OperatorFuncNode", "operator.attrgetter", attrs=arguments),
        node("CachedNode", "builtins.str", __id__=1),
        node(
            "PartialNode",
            "functools.partial",
            content={
                "func": node("FunctionNode", "os.system"),
                "args": arguments,
                "kwds": dict_node({}),
                "namespace": json_node(None),
            },
        ),
        generator("seed"),
        generator("PCG64"),
    ]


VALUES = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "x",
    "auto", "adam", "passthrough", "drop", "predict", "\x1b[2J", "9" * 5000,
)  # fmt: skip


def value_changed(schema: Any, rng: Rng) -> None:
    """A plain value is another."""
    plain = [n for n in _nodes(schema) if n["__loader__"] == "JsonNode"]
    pick(plain, rng)["content"] = json.dumps(pick(VALUES, rng))


def entry_removed(schema: Any, rng: Rng) -> None:
    """Something is not there."""
    tree, key = pick(list(places(schema)), rng)
    del tree[key]


def attribute_removed(schema: Any, rng: Rng) -> None:
    """An attribute is not there, and its key neither."""
    where = pick([n for n in _nodes(schema) if n["__loader__"] == "DictNode" and n["content"]], rng)
    i = int(rng.integers(len(where["content"])))
    del where["content"][list(where["content"])[i]], where["key_types"]["content"][i]


def attribute_renamed(schema: Any, rng: Rng) -> None:
    """An attribute has the name of a method, or another's."""
    where = pick([n for n in _nodes(schema) if n["__loader__"] == "DictNode" and n["content"]], rng)
    names = list(where["content"])
    others = ["predict", "predict_proba", "fit", "__class__", "__dict__", "history_", "x", *names]
    old, new = pick(names, rng), pick(others, rng)
    where["content"] = {(new if name == old else name): v for name, v in where["content"].items()}


def places_swapped(schema: Any, rng: Rng) -> None:
    """Two subtrees stand in each other's place."""
    (a, i), (b, j) = (pick(list(places(schema)), rng) for _ in range(2))
    a[i], b[j] = deepcopy(b[j]), deepcopy(a[i])


def type_changed(schema: Any, rng: Rng) -> None:
    """A node is of the type of another."""
    a, b = (pick(list(_nodes(schema)), rng) for _ in range(2))
    a.update({key: b[key] for key in ("__class__", "__module__", "__loader__") if rng.random() < 0.7})


def foreign_put_in(schema: Any, rng: Rng) -> None:
    """A node that would run code, as a value or a new attribute."""
    where = pick([n for n in _nodes(schema) if n["__loader__"] == "DictNode" and n["content"]], rng)
    name = pick([*where["content"], "predict", "coef_"], rng)
    if name not in where["content"]:
        where["key_types"]["content"].append(node("TypeNode", "builtins.str"))
    where["content"][name] = pick(foreign_nodes(), rng)


def nested(schema: Any, rng: Rng) -> None:
    """A value is a list of lists, deep, or each naming the next twice."""
    deep = json_node(1)
    for level in range(int(rng.choice([30, 60, 300]))):
        deep = node("ListNode", "builtins.list", content=[deep], __id__=level + 1)
    doubled: dict[str, Any] = json_node(1)
    for level in range(25):
        again = node("ListNode", "builtins.list", content=[], __id__=level + 1)
        doubled = node("ListNode", "builtins.list", content=[doubled, again], __id__=level + 2)
    where = pick([n for n in _nodes(schema) if n["__loader__"] == "DictNode" and n["content"]], rng)
    where["content"][pick(list(where["content"]), rng)] = (deep, doubled)[rng.integers(2)]


SCHEMA_CHANGES: tuple[Callable[[Any, Rng], None], ...] = (
    value_changed, entry_removed, attribute_removed, attribute_renamed, places_swapped, type_changed,
    foreign_put_in, nested,
)  # fmt: skip


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        if "__loader__" in tree:
            yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def pick(things: Any, rng: Rng) -> Any:
    """One of them."""
    return things[int(rng.integers(len(things)))]


def array_bits(members: Members, rng: Rng) -> None:
    """Bits in an array, its header left alone."""
    name = _array_name(members, rng)
    data = members[name]
    members[name] = data[:128] + flipped(data[128:], rng) if len(data) > 128 else data


def array_values(members: Members, rng: Rng) -> None:
    """An array's values are others: NaN, infinite, huge, 0, in another order."""
    name = _array_name(members, rng)
    array = np.load(io.BytesIO(members[name]))
    value = pick([np.nan, np.inf, -np.inf, 1e308, 0, -1], rng)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            array.reshape(-1)[int(rng.integers(max(array.size, 1))) :] = value
        except (OverflowError, ValueError):
            array = array[::-1].copy() if array.ndim else array
    members[name] = _saved(array)


def array_shape(members: Members, rng: Rng) -> None:
    """An array lacks a row, has one more, or lies on its side."""
    name = _array_name(members, rng)
    array = np.atleast_1d(np.load(io.BytesIO(members[name])))
    changed = (array[:-1], np.concatenate([array, array[:1]]), array.T.copy(), array[None], array[::-1], array.ravel())
    members[name] = _saved(pick(changed, rng))


def array_type(members: Members, rng: Rng) -> None:
    """An array is of another type."""
    name = _array_name(members, rng)
    array = np.load(io.BytesIO(members[name]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in rng.permutation(["f2", "f4", "c16", "?", "i1", "i8", ">f8", "U3", "S2", "M8[s]", "V8"]):
            try:
                members[name] = _saved(array.astype(str(kind)))
                return
            except (ValueError, TypeError):
                continue


def array_header(members: Members, rng: Rng) -> None:
    """A header tells of more than there is, or of what cannot be."""
    header = pick(
        [
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }",
            "{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000,), }",
            "{'descr': '|S2000000000', 'fortran_order': False, 'shape': (), }",
            "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "9" * 4000 + ",), }",
            "{'descr': '<f8', 'fortran_order': False, 'shape': " + "(" * 3000 + ", }",
        ],
        rng,
    ).encode()
    text = header + b" " * (-(len(header) + 11) % 64) + b"\n"
    body = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(8)
    members[_array_name(members, rng)] = body


def arrays_swapped(members: Members, rng: Rng) -> None:
    """Two arrays have each other's names."""
    a, b = (_array_name(members, rng) for _ in range(2))
    members[a], members[b] = members[b], members[a]


MEMBER_CHANGES: tuple[Callable[[Members, Rng], None], ...] = (
    array_bits, array_values, array_shape, array_type, array_header, arrays_swapped,
)  # fmt: skip


def _array_name(members: Members, rng: Rng) -> str:
    return str(pick(sorted(n for n in members if n.endswith(".npy")), rng))


def _saved(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def bomb(data: bytes, rng: Rng) -> bytes:
    """Much in little: packed zeros, many names for one member, a schema without end."""
    members = opened(data)
    kind = int(rng.integers(5))
    if kind < 3:  # 300 MB of zeros in a few kB
        packing = (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)[kind]
        return sealed({**members, "zeros.npy": bytes(3 * 10**8)}, compression=packing)
    schema = json.loads(members["schema.json"])
    root = schema["content"]
    root["key_types"]["content"].append(node("TypeNode", "builtins.str"))
    if kind == 3:  # 8 MB, a hundred times
        members["large.npy"] = _saved(np.zeros(10**6))
        array = node("NdArrayNode", "numpy.ndarray", type="numpy", file="large.npy")
        root["content"]["_large"] = node("ListNode", "builtins.list", content=[array] * 100)
    else:  # 400 000 values
        root["content"]["_large"] = node("ListNode", "builtins.list", content=[json_node(1)] * 400_000)
    return sealed({**members, "schema.json": json.dumps(schema).encode()})


def many_members(data: bytes, rng: Rng) -> bytes:
    """One member under a thousand names: they overlap in the file."""
    end = data.rfind(b"PK\5\6")
    start = int.from_bytes(data[end + 16 : end + 20], "little")
    entry = data[start : data.find(b"PK\1\2", start + 1)]
    name = entry[46 : 46 + int.from_bytes(entry[28:30], "little")]
    size = min(len(name), 4)
    added = b"".join(entry.replace(name, f"{i:0{size}x}".encode()[:size] + name[size:]) for i in range(1000))
    total = (int.from_bytes(data[end + 10 : end + 12], "little") + 1000).to_bytes(2, "little")
    length = (end - start + len(added)).to_bytes(4, "little")
    return data[:end] + added + data[end : end + 8] + total * 2 + length + data[end + 16 :]


def json_changed(data: bytes, rng: Rng) -> bytes:
    """A neuron's JSON with a value changed, removed, swapped or repeated."""
    document = json.loads(data)
    all_places = [p for p in places(document) if p[1] != "sha256"]
    tree, key = pick(all_places, rng)
    kind = int(rng.integers(4))
    if kind == 0:
        tree[key] = pick(VALUES, rng)
    elif kind == 1:
        del tree[key]
    elif kind == 2:
        other, place = pick(all_places, rng)
        tree[key], other[place] = deepcopy(other[place]), deepcopy(tree[key])
    else:
        tree[key] = [deepcopy(tree[key])] * 2
    return sealed_json(document)


def mutated(subject: Subject, number: int, rng: Rng) -> tuple[str, bytes]:
    """The name of a mutation, and the file; of three files one is an accident."""
    if number % 3 == 0:
        accident = pick(ACCIDENTS, rng)
        return f"accident {accident.__name__}", accident(subject.data, rng)
    if subject.ending == ".json":
        return "sealed json_changed", json_changed(subject.data, rng)
    if number % 50 == 1:
        make = (bomb, many_members)[number // 50 % 2]
        return f"sealed {make.__name__}", make(subject.data, rng)
    members = opened(subject.data)
    if rng.random() < 0.6:
        change = pick(SCHEMA_CHANGES, rng)
        schema = json.loads(members["schema.json"])
        for _ in range(int(rng.integers(1, 3))):
            change(schema, rng)
        members["schema.json"] = json.dumps(schema).encode()
        return f"sealed {change.__name__}", sealed(members)
    change = pick(MEMBER_CHANGES, rng)
    change(members, rng)
    return f"sealed {change.__name__}", sealed(members)


# Judging.


def use(subject: Subject, model: Any) -> None:
    """Do with a model what models are for; raise where it does not work as one."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        neuron = model[-1] if isinstance(model, Pipeline) else model
        check_is_fitted(neuron)
        repr(model), str(neuron.get_params())
        P, labels = model.predict_proba(subject.X), model.predict(subject.X)
        if np.abs(neuron.coef_).max() < 1e100:
            require(P.shape == (len(subject.X), len(neuron.classes_)), "shape of probabilities")
            require(np.isfinite(P).all() and (P >= 0).all(), "probabilities are no numbers")
            require(np.abs(P.sum(axis=1) - 1).max() < 1e-5, "probabilities do not sum to 1")
            rows = model[:-1].transform(subject.X) if isinstance(model, Pipeline) else subject.X
            z = np.asarray(rows) @ neuron.coef_.T + neuron.intercept_
            found = z.argmax(axis=1) if z.shape[1] > 1 else (z[:, 0] > 0).astype(int)
            require((neuron.classes_[found] == labels).all(), "labels are not those of z")
        require(len(set(neuron.classes_.tolist())) == len(neuron.classes_), "labels are not different")
        if hasattr(neuron, "history_"):
            neuron.history_.describe()
        if hasattr(neuron, "termination_"):
            require(isinstance(neuron.termination_.converged, bool), "termination")
        if hasattr(neuron, "cv_results_"):
            require(len(pd.DataFrame(neuron.cv_results_)) == len(neuron.alphas_), "cv_results_")
            require(neuron.scores_.shape == neuron.coefs_paths_.shape[:2], "scores_")
        if hasattr(neuron, "partial_fit") and not isinstance(model, Pipeline):
            try:
                clone(neuron).partial_fit(subject.X, labels, classes=neuron.classes_)
                deepcopy(neuron).partial_fit(subject.X, labels)
            except trainer.DivergenceError:
                pass  # of a learning rate that is too large, or huge weights
            except ValueError as error:
                require("class_weight" in str(error), f"partial_fit: {error}")


def require(holds: Any, what: str) -> None:
    """A condition that a model must meet."""
    if not holds:
        raise AssertionError(what)


class Watch:
    """An audit hook that notes what a file has no business to do."""

    ALLOWED = ("open", "compile", "object.__", "array.", "code.__new__", "builtins.id", "gc.", "sys._getframe", "import", "exec", "marshal.loads")  # fmt: skip

    def __init__(self) -> None:
        self.on, self.seen = False, [""][:0]

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note an event."""
        if not self.on:
            return
        is_writing = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        if is_writing or event in ("import", "exec", "pickle.find_class") or not event.startswith(self.ALLOWED):
            self.seen.append(f"{event} {arguments!r}"[:200])


def load_and_judge(subject: Subject, path: Path, accident: bool) -> Outcome:
    """In a process of its own."""
    watch = Watch()
    sys.addaudithook(watch)
    before, random = _peak(), str(np.random.get_state())  # noqa: NPY002: of the process
    start = time.perf_counter()
    watch.on = True
    try:
        model, refusal = trainer.load_model(path), ""
    except ValueError as error:
        model, refusal = None, str(error)
    except Exception as error:
        return Outcome("", "", "raised", f"{type(error).__name__}: {error}"[:300])
    finally:
        watch.on = False
    seconds, megabytes = time.perf_counter() - start, _peak() - before
    figures = {"seconds": seconds, "megabytes": megabytes}
    if watch.seen or random != str(np.random.get_state()):  # noqa: NPY002
        return Outcome("", "", "ran code", "; ".join(watch.seen), **figures)
    if seconds > SECONDS or megabytes > MEGABYTES:
        return Outcome("", "", "took too much", f"{seconds:.1f} s, {megabytes:.0f} MB", **figures)
    if model is None:
        fits = refusal.isprintable() and len(refusal) < 1500
        return Outcome("", "", "refused" if fits else "message", refusal[:300], **figures)
    try:
        use(subject, model)
        same = np.array_equal(model.predict_proba(subject.X), subject.probabilities)
    except Exception as error:
        return Outcome("", "", "does not work", f"{type(error).__name__}: {error}"[:300], **figures)
    if accident and not same:
        return Outcome("", "", "predicts otherwise", "", **figures)
    return Outcome("", "", "unharmed" if same else "another", "", **figures)


def _peak() -> float:
    """Largest resident memory of this process so far, in MB."""
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1000


def in_a_process(work: Callable[[], Outcome]) -> Outcome:
    """Fork, work, and send the outcome back; a process that does not answer is ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            outcome = work()
        except BaseException as error:
            outcome = Outcome("", "", "raised", repr(error)[:300])
        os.write(writing, json.dumps(vars(outcome)).encode()[:60_000])
        os._exit(0)
    os.close(writing)
    try:
        if not select.select([reading], [], [], 4 * SECONDS)[0]:
            os.kill(child, 9)
            return Outcome("", "", "took too much", "did not end", seconds=4 * SECONDS)
        answer = os.read(reading, 65_536)
    finally:
        os.close(reading)
        os.waitpid(child, 0)
    return Outcome(**json.loads(answer)) if answer else Outcome("", "", "died")


def campaign(n_files: int, seed: int = 0) -> Report:
    """Mutate, load and judge so many files."""
    report = Report()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = subjects(folder)
        for subject in models:  # whatever a good file imports is imported now
            path = folder / f"file{subject.ending}"
            path.write_bytes(subject.data)
            use(subject, trainer.load_model(path))
        for number in range(n_files):
            rng = np.random.default_rng([seed, number])
            subject = models[number // 3 % len(models)]
            mutation, data = mutated(subject, number, rng)
            path = folder / f"file{subject.ending}"
            path.write_bytes(data)
            accident = number % 3 == 0

            def work(subject: Subject = subject, path: Path = path, accident: bool = accident) -> Outcome:
                return load_and_judge(subject, path, accident)

            outcome = in_a_process(work)
            outcome.subject, outcome.mutation = f"{number} {subject.name}", mutation
            report.outcomes.append(outcome)
    return report


def main(argv: list[str] | None = None) -> int:
    """Run the command line; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random (default: 0)")
    options = parser.parse_args(argv)
    report = campaign(options.files, options.seed)
    print(report)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
