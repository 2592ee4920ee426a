"""A frozen graph as a Keras model, whose constants become weights of Keras' own layers.

The file that Keras then saves is loaded without this package, runs on each of Keras' backends and can be trained
further. What does not depend on the input is computed once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras  # several seconds, so only an export imports this module, and late
import numpy as np
import tensorflow as tf

from audionet.errors import InputError


def keras_model(definition: Any) -> Any:
    """Return the Keras model of a GraphDef from `input` to `final_result`.

    Raises:
        InputError: the graph has an operation that has no counterpart here, as modules of TensorFlow Hub may.
    """
    fed = _fed(definition)
    fixed = _constants(fed, definition)
    values: dict[str, Any] = {}
    for node in fed:
        name = node.name
        if node.op == "Placeholder":
            shape = [dimension.size for dimension in node.attr["shape"].shape.dim]
            values[name] = keras.Input([None if size < 0 else size for size in shape[1:]], name=name)
        else:
            inputs = [fixed[source] if source in fixed else values[source] for source in map(_source, node.input)]
            values[name] = _translated(_Operation(node.op, inputs, node.attr))
    return keras.Model(values["input"], values["final_result"], name="audionet")


def _source(name: str) -> str:
    return name.removesuffix(":0")


def _fed(definition: Any) -> list[Any]:
    """Return the nodes that depend on the input, in an order in which sources come before what they feed."""
    names: set[str] = set()
    nodes = []
    for node in definition.node:
        if node.op == "Placeholder" or any(_source(name) in names for name in node.input):
            names.add(node.name)
            nodes.append(node)
    return nodes


def _constants(fed: list[Any], definition: Any) -> dict[str, np.ndarray]:
    """Return the values of what feeds such nodes, but does not depend on the input."""
    names = sorted({_source(name) for node in fed for name in node.input} - {node.name for node in fed})
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            return dict(zip(names, session.run([f"{name}:0" for name in names]), strict=True))


@dataclass(frozen=True)
class _Operation:
    """A node with its inputs, which are constants or Keras tensors."""

    name: str
    inputs: list[Any]
    attributes: Mapping[str, Any]

    def text(self, name: str) -> str:
        return str(self.attributes[name].s.decode())

    def height_and_width(self, name: str) -> tuple[int, int]:
        """Return those two of an attribute that has four numbers."""
        _, height, width, _ = self.attributes[name].list.i
        return height, width


def _translated(operation: _Operation) -> Any:
    """Return what an operation of TensorFlow gives, as a Keras tensor.

    Raises:
        InputError: it has no counterpart here.
    """
    name = operation.name
    if name == "Identity":
        return operation.inputs[0]
    if name in _SAME_INPUTS:
        return getattr(keras.ops, _SAME_INPUTS[name])(*operation.inputs)
    if name in _ARITHMETIC:
        return _arithmetic(_ARITHMETIC[name], *operation.inputs)
    if name in _REDUCTIONS:
        return _reduced(_REDUCTIONS[name], operation)
    if name in _REARRANGEMENTS:
        return getattr(keras.ops, _REARRANGEMENTS[name])(operation.inputs[0], _numbers(operation.inputs[1]))
    if name in _POOLINGS:
        return _pooled(_POOLINGS[name], operation)
    if name in _OTHERS:
        return _OTHERS[name](operation)
    raise InputError(
        f"--format keras: this network has the operation {name}, which has no counterpart in Keras here. Choose "
        "saved_model instead."
    )


def _numbers(constant: np.ndarray) -> tuple[int, ...]:
    """Return a constant that is one number or several."""
    return tuple(np.atleast_1d(constant).tolist())


def _reduced(function: str, operation: _Operation) -> Any:
    values, axes = operation.inputs
    keeps = bool(operation.attributes["keep_dims"].b)
    return getattr(keras.ops, function)(values, axis=_numbers(axes), keepdims=keeps)


def _scaled(values: Any, scale: np.ndarray | float, offset: np.ndarray | float) -> Any:
    """Return values * scale + offset, each number of which is a weight."""
    shape = values.shape[1:]
    least = np.broadcast_shapes(np.shape(scale), np.shape(offset))
    if np.prod(least, initial=1) > shape[-1]:  # more than one number a channel: each place is a channel of its own
        whole = [np.broadcast_to(part, shape).ravel() for part in (scale, offset)]
        flat = _scaled(keras.layers.Flatten()(values), *whole)
        return keras.layers.Reshape(shape)(flat)
    gamma, beta = (np.broadcast_to(np.ravel(part), shape[-1]) for part in (scale, offset))
    layer = keras.layers.BatchNormalization(epsilon=0.0, trainable=False)
    return _with_weights(layer, values, gamma, beta, np.zeros(shape[-1]), np.ones(shape[-1]))


def _with_weights(layer: Any, values: Any, *weights: np.ndarray) -> Any:
    outputs = layer(values)  # which makes the variables
    layer.set_weights(weights)
    return outputs


def _arithmetic(function: str, first: Any, second: Any) -> Any:
    """Compute; with a constant of several numbers by a layer whose weights they are."""
    constant = first if isinstance(first, np.ndarray) else second
    if not isinstance(constant, np.ndarray) or constant.size == 1:
        operands = [float(value) if isinstance(value, np.ndarray) else value for value in (first, second)]
        return getattr(keras.ops, function)(*operands)
    values = second if constant is first else first
    if function == "add":
        return _scaled(values, 1.0, constant)
    if function == "subtract":
        return _scaled(values, 1.0, -constant) if constant is second else _scaled(values, -1.0, constant)
    return _scaled(values, constant if function == "multiply" else 1 / constant, 0.0)


def _product(operation: _Operation) -> Any:
    values, weights = operation.inputs
    return _with_weights(keras.layers.Dense(weights.shape[1], use_bias=False), values, weights)


def _convolution(operation: _Operation) -> Any:
    values, kernel = operation.inputs
    layer = keras.layers.Conv2D(
        kernel.shape[3],
        kernel.shape[:2],
        strides=operation.height_and_width("strides"),
        padding=operation.text("padding").lower(),
        dilation_rate=operation.height_and_width("dilations"),
        use_bias=False,
    )
    return _with_weights(layer, values, kernel)


def _depthwise_convolution(operation: _Operation) -> Any:
    values, kernel = operation.inputs
    layer = keras.layers.DepthwiseConv2D(
        kernel.shape[:2],
        strides=operation.height_and_width("strides"),
        padding=operation.text("padding").lower(),
        depth_multiplier=kernel.shape[3],
        use_bias=False,
    )
    return _with_weights(layer, values, kernel)


def _pooled(layer: str, operation: _Operation) -> Any:
    size, strides = operation.height_and_width("ksize"), operation.height_and_width("strides")
    return getattr(keras.layers, layer)(size, strides, operation.text("padding").lower())(operation.inputs[0])


def _concatenated(operation: _Operation) -> Any:
    *parts, axis = operation.inputs
    return keras.ops.concatenate(parts, axis=int(axis))


def _stacked(operation: _Operation) -> Any:
    return keras.ops.stack(operation.inputs, axis=int(operation.attributes["axis"].i))


def _gathered(operation: _Operation) -> Any:
    values, places, axis = operation.inputs
    return keras.ops.take(values, places, axis=int(axis))


def _expanded(operation: _Operation) -> Any:
    values, axis = operation.inputs
    return keras.ops.expand_dims(values, int(axis))


def _padded(operation: _Operation) -> Any:
    values, widths = operation.inputs
    return keras.ops.pad(values, tuple(map(tuple, widths.tolist())))


def _cast(operation: _Operation) -> Any:
    return keras.ops.cast(operation.inputs[0], tf.dtypes.as_dtype(operation.attributes["DstT"].type).name)


def _largest(operation: _Operation) -> Any:
    values, count = operation.inputs
    return keras.ops.top_k(values, int(count))[0]


# Functions of keras.ops, and layers of Keras, by the operation of TensorFlow.
_SAME_INPUTS = {
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "Square": "square",
    "Exp": "exp",
    "Log": "log",
    "Abs": "abs",
    "Sign": "sign",
    "Floor": "floor",
    "Round": "round",
}
_ARITHMETIC = {
    "AddV2": "add",
    "Sub": "subtract",
    "Mul": "multiply",
    "RealDiv": "divide",
    "Maximum": "maximum",
    "Minimum": "minimum",
}
_REDUCTIONS = {"Mean": "mean", "Sum": "sum", "Max": "max"}
_REARRANGEMENTS = {"Transpose": "transpose", "ReverseV2": "flip", "Reshape": "reshape"}
_POOLINGS = {"AvgPool": "AveragePooling2D", "MaxPool": "MaxPooling2D"}
_OTHERS: Mapping[str, Callable[[_Operation], Any]] = {
    "MatMul": _product,
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _depthwise_convolution,
    "ConcatV2": _concatenated,
    "GatherV2": _gathered,
    "ExpandDims": _expanded,
    "Pad": _padded,
    "Cast": _cast,
    "Pack": _stacked,
    "TopKV2": _largest,
}
