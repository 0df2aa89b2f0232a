"""The converter that skl2onnx needs for a neuron among the steps that it knows itself."""

from typing import Any

import numpy as np

import trainer
from trainer.persistence.contents import bare
from trainer.persistence.export import add_neuron


def register_skl2onnx() -> None:
    """Tell skl2onnx how to convert LogisticNeuron and LogisticNeuronCV.

    For pipelines with steps that `to_onnx` does not have. The graph of the neuron is the one of
    `to_onnx`: it computes in double precision. skl2onnx's own converter of linear classifiers
    must not be registered in its place: it takes the softmax of more than two classes, and its
    probabilities are wrong without a warning.

    Raises
    ------
    ImportError
        If the package skl2onnx is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from trainer import LogisticNeuron, register_skl2onnx
    >>> neuron = LogisticNeuron().fit([[0.0], [1.0]], ["no", "yes"])
    >>> register_skl2onnx()  # doctest: +SKIP
    >>> from skl2onnx import to_onnx  # doctest: +SKIP
    >>> graph = to_onnx(neuron, np.zeros((1, 1)), options={"zipmap": False})  # doctest: +SKIP
    """
    try:
        from skl2onnx import update_registered_converter
        from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
    except ImportError as error:
        raise ImportError("register_skl2onnx needs skl2onnx; pip install skl2onnx") from error
    for kind in (trainer.LogisticNeuron, trainer.LogisticNeuronCV):
        update_registered_converter(
            kind,
            f"Trainer{kind.__name__}",
            calculate_linear_classifier_output_shapes,
            _convert,
            options={
                "zipmap": [True, False, "columns"],
                "nocl": [True, False],
                "output_class_labels": [True, False],
            },
        )


def _convert(scope: Any, operator: Any, container: Any) -> None:
    graph = _Nodes(scope, operator, container)
    x = graph.add("Cast", operator.inputs[0].full_name, to=graph.onnx.TensorProto.DOUBLE)
    add_neuron(graph, bare(operator.raw_operator), x)


class _Nodes:
    """skl2onnx's container as `trainer.persistence.export` fills one."""

    def __init__(self, scope: Any, operator: Any, container: Any) -> None:
        import onnx

        self.onnx, self.scope, self.container = onnx, scope, container
        self.outputs = dict(zip(("label", "probabilities"), operator.outputs, strict=True))

    def constant(self, value: Any) -> str:
        """An array, in the graph itself."""
        name, array = self.scope.get_unique_variable_name("constant"), np.asarray(value)
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        self.container.add_initializer(name, kind, array.shape, array.ravel().tolist())
        return str(name)

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """A node; the name of its output."""
        output = output or self.scope.get_unique_variable_name("value")
        name = self.scope.get_unique_operator_name(operator)
        self.container.add_node(operator, list(inputs), [output], name=name, **attributes)
        return output

    def output(self, operator: str, *inputs: str, like: Any, name: str, **attributes: Any) -> None:
        """A node whose output is one of the graph's, in the type that skl2onnx has declared."""
        found = self.add(operator, *inputs, **attributes)
        variable = self.outputs[name]
        kind = variable.type.to_onnx_type().tensor_type.elem_type
        if kind == self.onnx.TensorProto.STRING:
            self.add("Identity", found, output=variable.full_name)
        else:
            self.add("Cast", found, output=variable.full_name, to=kind)
