"""A frozen graph as a Keras model, whose constants become weights of Keras' own layers.

The file that Keras then saves needs nothing of ours to be loaded, runs on each of Keras' backends and can be trained
further. What does not depend on the input is computed once; all else goes through `_TRANSLATIONS`, one row for each
operation that networks and drawings are made of.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from audionet.console import silence_native_stderr
from audionet.errors import InputError


def keras_model(definition: Any) -> Any:
    """Return the Keras model of a GraphDef from `input` to `final_result`.

    Raises:
        InputError: the graph has an operation that has no row here, as modules of TensorFlow Hub may.
    """
    with silence_native_stderr():
        import keras
        import tensorflow as tf

    fed = _fed(definition)
    fixed = _constants(fed, definition)
    values: dict[str, Any] = {}
    for node in fed:
        name = node.name
        if node.op == "Placeholder":
            shape = [dimension.size for dimension in node.attr["shape"].shape.dim]
            values[name] = keras.Input([None if size < 0 else size for size in shape[1:]], name=name)
        else:
            if node.op not in _TRANSLATIONS:
                raise InputError(
                    f"--format keras: this network has the operation {node.op}, which has no counterpart in Keras "
                    "here. Choose saved_model instead."
                )
            inputs = [fixed[source] if source in fixed else values[source] for source in map(_source, node.input)]
            values[name] = _TRANSLATIONS[node.op](inputs, _Attributes(node.attr, tf))
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
    import tensorflow as tf

    names = sorted({_source(name) for node in fed for name in node.input} - {node.name for node in fed})
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            return dict(zip(names, session.run([f"{name}:0" for name in names]), strict=True))


class _Attributes:
    """A node's attributes as Python values."""

    def __init__(self, attributes: Mapping[str, Any], tensorflow: Any):
        self._attributes = attributes
        self._tensorflow = tensorflow

    def text(self, name: str) -> str:
        return self._attributes[name].s.decode()

    def truth(self, name: str) -> bool:
        return bool(self._attributes[name].b)

    def number(self, name: str) -> int:
        return int(self._attributes[name].i)

    def pair(self, name: str) -> tuple[int, int]:
        """Return those of height and width out of four numbers."""
        return tuple(self._attributes[name].list.i[1:3])

    def dtype(self, name: str) -> str:
        return self._tensorflow.dtypes.as_dtype(self._attributes[name].type).name


Translation = Callable[[list, _Attributes], Any]


def _by(function: str) -> Translation:
    """Translate to a function of `keras.ops` with the same inputs."""

    def translate(inputs: list, _: _Attributes) -> Any:
        import keras

        return getattr(keras.ops, function)(*inputs)

    return translate


def _reduced(function: str) -> Translation:
    def translate(inputs: list, attributes: _Attributes) -> Any:
        import keras

        values, axes = inputs
        kept = attributes.truth("keep_dims")
        return getattr(keras.ops, function)(values, axis=tuple(np.atleast_1d(axes).tolist()), keepdims=kept)

    return translate


def _scaled(values: Any, scale: np.ndarray | float, offset: np.ndarray | float) -> Any:
    """Return values * scale + offset, each number of which is a weight."""
    import keras

    shape = values.shape[1:]
    least = np.broadcast_shapes(np.shape(scale), np.shape(offset))
    if np.prod(least, initial=1) > shape[-1]:  # more than one number a channel: each place is a channel of its own
        whole = [np.broadcast_to(part, shape).ravel() for part in (scale, offset)]
        flat = _scaled(keras.layers.Flatten()(values), *whole)
        return keras.layers.Reshape(shape)(flat)
    gamma, beta = (np.broadcast_to(np.ravel(part), shape[-1]) for part in (scale, offset))
    layer = keras.layers.BatchNormalization(epsilon=0.0, trainable=False)
    scaled = layer(values)
    layer.set_weights([gamma, beta, np.zeros(shape[-1]), np.ones(shape[-1])])
    return scaled


def _arithmetic(function: str) -> Translation:
    """Translate arithmetic; what it does with a constant becomes a layer, and with one number stays what it is."""

    def translate(inputs: list, _: _Attributes) -> Any:
        import keras

        first, second = inputs
        constant = first if isinstance(first, np.ndarray) else second
        if not isinstance(constant, np.ndarray) or constant.size == 1:
            operands = [float(value) if isinstance(value, np.ndarray) else value for value in inputs]
            return getattr(keras.ops, function)(*operands)
        values = second if constant is first else first
        if function in ("add", "subtract") and constant is second:
            return _scaled(values, 1.0, constant if function == "add" else -constant)
        if function == "add":
            return _scaled(values, 1.0, constant)
        if function == "subtract":
            return _scaled(values, -1.0, constant)
        return _scaled(values, constant if function == "multiply" else 1 / constant, 0.0)

    return translate


def _product(inputs: list, _: _Attributes) -> Any:
    import keras

    values, weights = inputs
    layer = keras.layers.Dense(weights.shape[1], use_bias=False)
    product = layer(values)
    layer.set_weights([weights])
    return product


def _convolution(inputs: list, attributes: _Attributes) -> Any:
    import keras

    values, kernel = inputs
    layer = keras.layers.Conv2D(
        kernel.shape[3],
        kernel.shape[:2],
        strides=attributes.pair("strides"),
        padding=attributes.text("padding").lower(),
        dilation_rate=attributes.pair("dilations"),
        use_bias=False,
    )
    maps = layer(values)
    layer.set_weights([kernel])
    return maps


def _depthwise_convolution(inputs: list, attributes: _Attributes) -> Any:
    import keras

    values, kernel = inputs
    layer = keras.layers.DepthwiseConv2D(
        kernel.shape[:2],
        strides=attributes.pair("strides"),
        padding=attributes.text("padding").lower(),
        depth_multiplier=kernel.shape[3],
        use_bias=False,
    )
    maps = layer(values)
    layer.set_weights([kernel])
    return maps


def _pooling(layer: str) -> Translation:
    def translate(inputs: list, attributes: _Attributes) -> Any:
        import keras

        size, strides = attributes.pair("ksize"), attributes.pair("strides")
        return getattr(keras.layers, layer)(size, strides, attributes.text("padding").lower())(inputs[0])

    return translate


def _joined(inputs: list, _: _Attributes) -> Any:
    import keras

    *parts, axis = inputs
    return keras.ops.concatenate(parts, axis=int(axis))


def _stacked(inputs: list, attributes: _Attributes) -> Any:
    import keras

    return keras.ops.stack(inputs, axis=attributes.number("axis"))


def _gathered(inputs: list, _: _Attributes) -> Any:
    import keras

    values, places, axis = inputs
    return keras.ops.take(values, places, axis=int(axis))


def _reshaped(inputs: list, _: _Attributes) -> Any:
    import keras

    return keras.ops.reshape(inputs[0], tuple(inputs[1].tolist()))


def _rearranged(function: str) -> Translation:
    """Translate to a function whose second argument is one number or several."""

    def translate(inputs: list, _: _Attributes) -> Any:
        import keras

        return getattr(keras.ops, function)(inputs[0], tuple(np.atleast_1d(inputs[1]).tolist()))

    return translate


def _expanded(inputs: list, _: _Attributes) -> Any:
    import keras

    return keras.ops.expand_dims(inputs[0], int(inputs[1]))


def _padded(inputs: list, _: _Attributes) -> Any:
    import keras

    return keras.ops.pad(inputs[0], tuple(map(tuple, inputs[1].tolist())))


def _cast(inputs: list, attributes: _Attributes) -> Any:
    import keras

    return keras.ops.cast(inputs[0], attributes.dtype("DstT"))


_TRANSLATIONS: dict[str, Translation] = {
    "Identity": lambda inputs, _: inputs[0],
    "AddV2": _arithmetic("add"),
    "Sub": _arithmetic("subtract"),
    "Mul": _arithmetic("multiply"),
    "RealDiv": _arithmetic("divide"),
    "Maximum": _arithmetic("maximum"),
    "Minimum": _arithmetic("minimum"),
    "MatMul": _product,
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _depthwise_convolution,
    "AvgPool": _pooling("AveragePooling2D"),
    "MaxPool": _pooling("MaxPooling2D"),
    "Mean": _reduced("mean"),
    "Sum": _reduced("sum"),
    "Max": _reduced("max"),
    "ConcatV2": _joined,
    "GatherV2": _gathered,
    "Reshape": _reshaped,
    "Transpose": _rearranged("transpose"),
    "ReverseV2": _rearranged("flip"),
    "ExpandDims": _expanded,
    "Pad": _padded,
    "Cast": _cast,
    "Pack": _stacked,
    "Relu": _by("relu"),
    "Relu6": _by("relu6"),
    "Sigmoid": _by("sigmoid"),
    "Softmax": _by("softmax"),
    "Square": _by("square"),
    "Exp": _by("exp"),
    "TopKV2": lambda inputs, _: _by("top_k")([inputs[0], int(inputs[1])], _)[0],
    "Log": _by("log"),
    "Abs": _by("abs"),
    "Sign": _by("sign"),
    "Floor": _by("floor"),
    "Round": _by("round"),
}
