"""A model as ONNX, for programs without Python; probabilities are exact on both tails there too."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import trainer
from trainer.persistence.contents import bare, check_model
from trainer.persistence.files import write_atomically

Array = npt.NDArray[Any]
Parts = list[tuple[str, int]]
"""Names and widths of tensors (n, width) to concatenate."""

OPSET, OPSET_ML, IR_VERSION = 21, 4, 10
"""onnxruntime reads these from version 1.18 on; onnx alone would choose the newest."""


def to_onnx(model: Any, path: str | os.PathLike[str] | None = None) -> Any:
    """Turn a fitted model into an ONNX graph, which computes in double precision.

    Where all columns are numbers there is one input, X (n, d) of doubles. Where some are text
    there is one (n, 1) a column, by the column's name, of doubles or strings; what is missing is
    NaN or "". The outputs are `label` (n,), what `predict` gives, and `probabilities`
    (n, n_classes), what `predict_proba` gives for rows in double precision.

    Values that a OneHotEncoder has not seen are 0 in all columns even where its
    `handle_unknown` is "error": a graph raises nothing.

    Parameters
    ----------
    model : estimator
        A fitted LogisticNeuron or LogisticNeuronCV, or a Pipeline of `make_preprocessor`'s
        transformers and one of these.
    path : path, optional
        A file to write the graph to, by convention "….onnx".

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ImportError
        If the package onnx is missing: `pip install "logistic-neuron-trainer[onnx]"`.
    ValueError
        If the model is not fitted, or has a step or a value that has no counterpart.

    Notes
    -----
    σ(z) is computed as E/(1 + E) for z < 0 and 1/(1 + E) otherwise, ``E = exp(-|z|)``. ONNX has an
    operator `Sigmoid`, whose left tail common runtimes lose: 0 from about z = -34 on.

    Examples
    --------
    >>> from trainer import LogisticNeuron
    >>> neuron = LogisticNeuron().fit([[0.0], [1.0]], ["no", "yes"])
    >>> graph = to_onnx(neuron)  # doctest: +SKIP
    >>> import onnxruntime  # doctest: +SKIP
    >>> session = onnxruntime.InferenceSession(graph.SerializeToString())  # doctest: +SKIP
    >>> session.run(["label"], {"X": [[0.9]]})  # doctest: +SKIP
    [array(['yes'], dtype=object)]
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            'to_onnx needs the package onnx; pip install "logistic-neuron-trainer[onnx]"'
        ) from error
    model = bare(model)
    check_model(model)  # indices and shapes below are taken as they are
    steps = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
    graph = _Graph()
    parts = _transformed(graph, steps[:-1], _inputs(graph, steps))
    add_neuron(graph, steps[-1], graph.joined(parts))
    proto = graph.model(onnx)
    onnx.checker.check_model(proto, full_check=True)
    if path is not None:
        write_atomically(path, proto.SerializeToString())
    return proto


class _Graph:
    """Nodes as they come; a tensor is known by its name."""

    def __init__(self) -> None:
        import onnx

        self.onnx = onnx
        self.inputs: dict[str, Any] = {}
        self.outputs: list[Any] = []
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.n_names = 0

    def name(self, wish: str = "") -> str:
        """A name that no input has."""
        while not wish or wish in self.inputs:
            self.n_names += 1
            wish = f"{wish or 'value'}_{self.n_names}"
        return wish

    def input(self, name: str, kind: int, width: int) -> str:
        """An input (n, width)."""
        self.inputs[name] = self.onnx.helper.make_tensor_value_info(name, kind, ["n", width])
        return name

    def constant(self, value: Any) -> str:
        """An array, in the graph itself."""
        name = self.name()
        array = np.asarray(value)
        if array.dtype.kind in "UO":
            array = array.astype(object)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """A node; the name of its output."""
        output = output or self.name()
        make = self.onnx.helper.make_node
        self.nodes.append(make(operator, list(inputs), [output], **attributes))
        return output

    def output(
        self, operator: str, *inputs: str, like: Array, name: str, **attributes: Any
    ) -> None:
        """A node whose output is one of the graph's, its rows of the shape and type of `like`'s."""
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(like.dtype)
        name = self.add(operator, *inputs, output=self.name(name), **attributes)
        shape = ["n", *like.shape[1:]]
        self.outputs.append(self.onnx.helper.make_tensor_value_info(name, kind, shape))

    def joined(self, parts: Parts) -> str:
        """Side by side, as one tensor."""
        if len(parts) == 1:
            return parts[0][0]
        return self.add("Concat", *(name for name, _ in parts), axis=1)

    def selected(self, parts: Parts, columns: list[int]) -> Parts:
        """Some columns, by number; those of a single tensor stay one."""
        if len(parts) == 1:
            name, width = parts[0]
            if columns == list(range(width)):
                return parts
            return [(self.add("Gather", name, self.constant(columns), axis=1), len(columns))]
        if any(width != 1 for _, width in parts):
            return self.selected([(self.joined(parts), sum(w for _, w in parts))], columns)
        return [parts[column] for column in columns]

    def model(self, onnx: Any) -> Any:
        """The whole, with versions."""
        helper = onnx.helper
        body = helper.make_graph(
            self.nodes, "logistic_neuron", list(self.inputs.values()), self.outputs, self.constants
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", OPSET_ML)]
        return helper.make_model(
            body,
            opset_imports=opsets,
            ir_version=IR_VERSION,
            producer_name="logistic-neuron-trainer",
            producer_version=trainer.__version__,
        )


def _inputs(graph: _Graph, steps: list[Any]) -> Parts:
    """One input, or one a column where some are text."""
    import onnx

    first = next((step for step in steps if type(step) in _TRANSFORMERS), steps[-1])
    d = first.n_features_in_
    text = _text_columns(first, list(range(d)))
    if not text:
        return [(graph.input("X", onnx.TensorProto.DOUBLE, d), d)]
    names = list(getattr(first, "feature_names_in_", [f"x{i}" for i in range(d)]))
    if "" in names or len(set(names)) < d:
        raise ValueError(f"ONNX needs columns with different names, got {names}; rename them")
    kinds = (onnx.TensorProto.STRING if i in text else onnx.TensorProto.DOUBLE for i in range(d))
    return [(graph.input(name, kind, 1), 1) for name, kind in zip(names, kinds, strict=True)]


def _text_columns(step: Any, columns: list[int]) -> set[int]:
    """Which of the columns that a transformer takes are text."""
    if isinstance(step, Pipeline):
        parts = [part for _, part in step.steps if type(part) in _TRANSFORMERS]
        return _text_columns(parts[0], columns) if parts else set()
    if isinstance(step, ColumnTransformer):
        found = (
            _text_columns(part, [columns[i] for i in step._transformer_to_input_indices[name]])
            for name, part, _ in step.transformers_
            if len(step._transformer_to_input_indices[name])
        )
        return set().union(*found)
    if isinstance(step, OneHotEncoder):
        return {
            i
            for i, categories in zip(columns, step.categories_, strict=True)
            if any(isinstance(value, str) for value in categories.tolist())
        }
    return set()


def _transformed(graph: _Graph, steps: list[Any], parts: Parts) -> Parts:
    for step in steps:
        if step is None or (isinstance(step, str) and step == "passthrough"):
            continue
        export = _TRANSFORMERS.get(type(step))
        if export is None:
            raise ValueError(
                f"ONNX export knows {', '.join(kind.__name__ for kind in _TRANSFORMERS)}, got "
                f"{type(step).__name__}; transform the rows before, or leave it out"
            )
        parts = export(graph, step, parts)
    return parts


def _pipeline(graph: _Graph, step: Any, parts: Parts) -> Parts:
    return _transformed(graph, [part for _, part in step.steps], parts)


def _columns(graph: _Graph, step: Any, parts: Parts) -> Parts:
    results: Parts = []
    for name, part, _ in step.transformers_:
        indices = step._transformer_to_input_indices[name]
        if indices and not (isinstance(part, str) and part == "drop"):
            results += _transformed(graph, [part], graph.selected(parts, indices))
    return results


def _same(graph: _Graph, step: Any, parts: Parts) -> Parts:
    return parts


def _scaler(graph: _Graph, step: Any, parts: Parts) -> Parts:
    x = graph.joined(parts)
    if step.with_mean:
        x = graph.add("Sub", x, graph.constant(step.mean_.astype(np.float64)))
    if step.with_std:
        x = graph.add("Div", x, graph.constant(step.scale_.astype(np.float64)))
    return [(x, step.n_features_in_)]


def _imputer(graph: _Graph, step: Any, parts: Parts) -> Parts:
    if step.statistics_.dtype.kind not in "fiub" or not isinstance(
        step.missing_values, int | float
    ):
        raise ValueError("ONNX export knows SimpleImputer for numbers, got one for text")
    statistics = step.statistics_.astype(np.float64)
    if np.isnan(statistics).any():  # columns that were empty are left out
        kept = np.flatnonzero(~np.isnan(statistics)).tolist()
        parts, statistics = graph.selected(parts, kept), statistics[kept]
    x = graph.joined(parts)
    if np.isnan(step.missing_values):
        missing = graph.add("IsNaN", x)
    else:
        missing = graph.add("Equal", x, graph.constant(np.float64(step.missing_values)))
    return [(graph.add("Where", missing, graph.constant(statistics), x), len(statistics))]


def _one_hot(graph: _Graph, step: Any, parts: Parts) -> Parts:
    """Of each column the row of a table, by the number of the category; the last is for unknown."""
    results: Parts = []
    for i, categories in enumerate(step.categories_):
        ((name, _),) = graph.selected(parts, [i])
        table = _table(step, i)
        code = graph.add("LabelEncoder", name, domain="ai.onnx.ml", **_codes(graph, categories))
        rows = graph.add("Gather", graph.constant(table), code, axis=0)
        results.append((graph.add("Flatten", rows, axis=1), table.shape[1]))
    return results


def _table(step: Any, i: int) -> Array:
    """What the encoder makes of each category of column i, and of an unknown one."""
    n = len(step.categories_[i])
    mappings = getattr(step, "_default_to_infrequent_mappings", None) or [None] * (i + 1)
    place = np.arange(n) if mappings[i] is None else mappings[i]
    table = np.zeros((n + 1, place.max() + 1))
    table[np.arange(n), place] = 1
    if mappings[i] is not None and step.handle_unknown in ("infrequent_if_exist", "warn"):
        table[n, -1] = 1  # the rare ones share the last column
    dropped = None if step.drop_idx_ is None else step._drop_idx_after_grouping[i]
    return table if dropped is None else np.delete(table, dropped, axis=1)


def _codes(graph: _Graph, categories: Array) -> dict[str, Any]:
    """The attributes of an encoder from categories to their numbers; unknown ones get the last."""
    values = categories.tolist()
    numbers = np.arange(len(values))
    if any(isinstance(value, str) for value in values):
        keys = ["" if value is None or value != value else value for value in values]
        if len(set(keys)) < len(keys) or not all(isinstance(key, str) for key in keys):
            raise ValueError(
                "ONNX has one missing text, the empty one; a column of text must hold text and "
                f"one kind of missing value, got {values[-3:]} among its categories"
            )
        return {
            "keys_strings": keys,
            "values_int64s": numbers,
            "default_int64": len(values),
        }
    to_tensor = graph.onnx.numpy_helper.from_array
    floats = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    if len(np.unique(floats)) < len(floats):
        raise ValueError(f"ONNX has doubles, which do not tell these categories apart: {values}")
    return {
        "keys_tensor": to_tensor(floats),
        "values_tensor": to_tensor(numbers),
        "default_tensor": to_tensor(np.array([len(values)])),
    }


def add_neuron(graph: Any, neuron: Any, x: str) -> None:
    """The label and the probabilities, from z = w·x + b."""
    weights = graph.constant(neuron.coef_.T.astype(np.float64))
    bias = graph.constant(neuron.intercept_.astype(np.float64))
    z = graph.add("Add", graph.add("MatMul", x, weights), bias)

    one = graph.constant(np.float64(1))
    is_negative = graph.add("Less", z, graph.constant(np.float64(0)))
    E = graph.add("Exp", graph.add("Neg", graph.add("Abs", z)))
    total = graph.add("Add", one, E)
    sigma = graph.add("Div", graph.add("Where", is_negative, E, one), total)

    classes = _labels(neuron.classes_)
    if len(classes) == 2:
        chosen = graph.add("Greater", z, graph.constant(np.float64(0)))  # z = 0 is the first class
        number = graph.add("Cast", chosen, to=graph.onnx.TensorProto.INT64)
        number = graph.add("Squeeze", number, graph.constant([1]))
        rest = graph.add("Div", graph.add("Where", is_negative, one, E), total)
        parts = [rest, sigma]
    else:
        number = graph.add("ArgMax", z, axis=1, keepdims=0)
        sums = graph.add("ReduceSum", sigma, graph.constant([1]), keepdims=1)
        double = np.finfo(np.float64)
        too_small = graph.add("Less", sums, graph.constant(double.tiny / double.eps))
        shares = graph.add("Div", sigma, sums)  # as PredictionMixin.predict_proba has it
        parts = [graph.add("Where", too_small, graph.add("Softmax", z, axis=1), shares)]
    graph.output("Gather", graph.constant(classes), number, like=classes[:1], name="label")
    probabilities = np.empty((1, len(classes)))
    graph.output("Concat", *parts, axis=1, like=probabilities, name="probabilities")


def _labels(classes: Array) -> Array:
    """Labels as ONNX knows them: text, int64, double or bool."""
    if classes.dtype.kind in "UO":
        return classes.astype(object)
    wanted = {"b": np.bool, "i": np.int64, "u": np.int64, "f": np.float64}.get(classes.dtype.kind)
    if wanted is None or not (classes.astype(wanted) == classes).all():
        raise ValueError(f"ONNX has no labels of type {classes.dtype}; train with text or numbers")
    return classes.astype(wanted)


_TRANSFORMERS: dict[type, Callable[[_Graph, Any, Parts], Parts]] = {
    ColumnTransformer: _columns,
    FunctionTransformer: _same,
    OneHotEncoder: _one_hot,
    Pipeline: _pipeline,
    SimpleImputer: _imputer,
    StandardScaler: _scaler,
}
