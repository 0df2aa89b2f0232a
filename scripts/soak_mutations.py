"""Mutations of model files: accidents, and changes that are sealed, sizes and checksums made right.

The formats are written down here a second time, independently of the trainer.
"""

import io
import json
import warnings
import zipfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from hashlib import sha256
from typing import Any

import numpy as np

Rng = np.random.Generator
Members = dict[str, bytes]


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


# Sealed changes: of the schema, of arrays, of the archive.


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
    return node(
        "RandomGeneratorNode",
        "numpy.random._generator.Generator",
        content={**states, "seed_seq": sequence},
    )


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
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, float("nan"),
    float("inf"), "", "x", "auto", "adam", "passthrough", "drop", "predict", "\x1b[2J", "9" * 5000,
)  # fmt: skip


def value_changed(schema: Any, rng: Rng) -> None:
    """A plain value is another."""
    plain = [n for n in nodes(schema) if n["__loader__"] == "JsonNode"]
    pick(plain, rng)["content"] = json.dumps(pick(VALUES, rng))


def entry_removed(schema: Any, rng: Rng) -> None:
    """Something is not there."""
    tree, key = pick(list(places(schema)), rng)
    del tree[key]


def attribute_removed(schema: Any, rng: Rng) -> None:
    """An attribute is not there, and its key neither."""
    where = pick([n for n in nodes(schema) if n["__loader__"] == "DictNode" and n["content"]], rng)
    i = int(rng.integers(len(where["content"])))
    del where["content"][list(where["content"])[i]], where["key_types"]["content"][i]


def attribute_renamed(schema: Any, rng: Rng) -> None:
    """An attribute has the name of a method, or another's."""
    where = pick([n for n in nodes(schema) if n["__loader__"] == "DictNode" and n["content"]], rng)
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
    a, b = (pick(list(nodes(schema)), rng) for _ in range(2))
    a.update(
        {key: b[key] for key in ("__class__", "__module__", "__loader__") if rng.random() < 0.7}
    )


def foreign_put_in(schema: Any, rng: Rng) -> None:
    """A node that would run code, as a value or a new attribute."""
    where = pick([n for n in nodes(schema) if n["__loader__"] == "DictNode" and n["content"]], rng)
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
    where = pick([n for n in nodes(schema) if n["__loader__"] == "DictNode" and n["content"]], rng)
    where["content"][pick(list(where["content"]), rng)] = (deep, doubled)[rng.integers(2)]


SCHEMA_CHANGES: tuple[Callable[[Any, Rng], None], ...] = (
    value_changed, entry_removed, attribute_removed, attribute_renamed, places_swapped,
    type_changed, foreign_put_in, nested,
)  # fmt: skip


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """All nodes in a schema."""
    if isinstance(tree, dict):
        if "__loader__" in tree:
            yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for value in tree:
            yield from nodes(value)


def pick(things: Any, rng: Rng) -> Any:
    """One of them."""
    return things[int(rng.integers(len(things)))]


def array_bits(members: Members, rng: Rng) -> None:
    """Bits in an array, its header left alone."""
    name = array_name(members, rng)
    data = members[name]
    members[name] = data[:128] + flipped(data[128:], rng) if len(data) > 128 else data


def array_values(members: Members, rng: Rng) -> None:
    """An array's values are others: NaN, infinite, huge, 0, in another order."""
    name = array_name(members, rng)
    array = np.load(io.BytesIO(members[name]))
    value = pick([np.nan, np.inf, -np.inf, 1e308, 0, -1], rng)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            array.reshape(-1)[int(rng.integers(max(array.size, 1))) :] = value
        except (OverflowError, ValueError):
            array = array[::-1].copy() if array.ndim else array
    members[name] = saved(array)


def array_shape(members: Members, rng: Rng) -> None:
    """An array lacks a row, has one more, or lies on its side."""
    name = array_name(members, rng)
    array = np.atleast_1d(np.load(io.BytesIO(members[name])))
    changed = (
        array[:-1],
        np.concatenate([array, array[:1]]),
        array.T.copy(),
        array[None],
        array[::-1],
        array.ravel(),
    )
    members[name] = saved(pick(changed, rng))


def array_type(members: Members, rng: Rng) -> None:
    """An array is of another type."""
    name = array_name(members, rng)
    array = np.load(io.BytesIO(members[name]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in rng.permutation(
            ["f2", "f4", "c16", "?", "i1", "i8", ">f8", "U3", "S2", "M8[s]", "V8"]
        ):
            try:
                members[name] = saved(array.astype(str(kind)))
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
    members[array_name(members, rng)] = body


def arrays_swapped(members: Members, rng: Rng) -> None:
    """Two arrays have each other's names."""
    a, b = (array_name(members, rng) for _ in range(2))
    members[a], members[b] = members[b], members[a]


MEMBER_CHANGES: tuple[Callable[[Members, Rng], None], ...] = (
    array_bits, array_values, array_shape, array_type, array_header, arrays_swapped,
)  # fmt: skip


def array_name(members: Members, rng: Rng) -> str:
    """The name of an array."""
    return str(pick(sorted(n for n in members if n.endswith(".npy")), rng))


def saved(array: Any) -> bytes:
    """As `numpy.save` writes it."""
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
        members["large.npy"] = saved(np.zeros(10**6))
        array = node("NdArrayNode", "numpy.ndarray", type="numpy", file="large.npy")
        root["content"]["_large"] = node("ListNode", "builtins.list", content=[array] * 100)
    else:  # 400 000 values
        root["content"]["_large"] = node(
            "ListNode", "builtins.list", content=[json_node(1)] * 400_000
        )
    return sealed({**members, "schema.json": json.dumps(schema).encode()})


def many_members(data: bytes, rng: Rng) -> bytes:
    """One member under a thousand names: they overlap in the file."""
    end = data.rfind(b"PK\5\6")
    start = int.from_bytes(data[end + 16 : end + 20], "little")
    entry = data[start : data.find(b"PK\1\2", start + 1)]
    name = entry[46 : 46 + int.from_bytes(entry[28:30], "little")]
    size = min(len(name), 4)
    added = b"".join(
        entry.replace(name, f"{i:0{size}x}".encode()[:size] + name[size:]) for i in range(1000)
    )
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
