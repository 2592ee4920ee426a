"""Networks that are trained from scratch: definitions as published, without their last layer, which is the head.

`DESIGNS` has one row for each; `--network` names it. To add one, write a function and a row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SmallCnn:
    """One network."""

    name: str  # what `--network` calls it
    image_size: int  # pixels a side that pictures are brought to
    # Maps a Keras input, float32 [n, height, width, 3] in 0..255, to features [n, d], given the activation, and the
    # mean and the variance of the brightness of the training pictures.
    build: Callable[[Any, str, float, float], Any]


def _cnvrg(pictures: Any, activation: str, mean: float, variance: float) -> Any:
    """Two convolutions, each halved, and 64 units.

    Source: the sequential model of cnvrg's tutorial on speech and images with one network.
    """
    from keras import layers  # several seconds, which only building should take

    maps = layers.Rescaling(1 / 255)(pictures)
    for _ in range(2):
        maps = layers.Activation(activation)(layers.Conv2D(32, 3)(maps))
        maps = layers.MaxPooling2D(2)(maps)
    units = layers.Activation(activation)(layers.Dense(64)(layers.Flatten()(maps)))
    return layers.Dropout(0.5)(units)


def _simple_audio(pictures: Any, activation: str, mean: float, variance: float) -> Any:
    """Brightness normalised by the training pictures, two convolutions, halved once, and 128 units.

    Source: the model of TensorFlow's tutorial "Simple audio recognition: Recognizing keywords".
    """
    from keras import layers, ops  # several seconds, which only building should take

    maps = layers.Normalization(axis=None, mean=mean, variance=variance)(ops.mean(pictures, axis=-1, keepdims=True))
    for channels in (32, 64):
        maps = layers.Conv2D(channels, 3, activation=activation)(maps)
    maps = layers.Dropout(0.25)(layers.MaxPooling2D()(maps))
    units = layers.Dense(128, activation=activation)(layers.Flatten()(maps))
    return layers.Dropout(0.5)(units)


SMALL_CNNS: Mapping[str, SmallCnn] = {
    design.name: design for design in (SmallCnn("cnvrg", 64, _cnvrg), SmallCnn("simple_audio", 32, _simple_audio))
}
