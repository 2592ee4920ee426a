"""Google's speech embedding, a network that listens for words, rebuilt from an ONNX file of it.

It reads the power in 32 mel bands up to 3,800 Hz, in windows of 25 ms every 10 ms, and gives 96 numbers every 80 ms,
each time of the last three quarters of a second. Words differ in what comes when, so these are kept side by side, and a
sound is moved until it begins at a fixed place, behind some silence: without that, the same word said later is another
one. What is long has its numbers averaged over as many stretches of time as `MOST_STEPS`. All of this is in the graph.

Source: J. Lin et al., "Training Keyword Spotters with Limited and Synthesized Speech Data", ICASSP 2020
(tfhub.dev/google/speech_embedding/1), as the package openWakeWord 0.1.1 converted it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from audionet.errors import WeightsError
from audionet.models.backbones.mel_frames import mel_filters, mel_powers
from audionet.models.backbones.own.onnx_files import float_tensors
from audionet.models.backbones.weights import Weights, expect_format

WINDOW_SAMPLES = 400
HOP_SAMPLES = 160
MEL_FILTERS = mel_filters(fft_samples=512, bands=32, low_hz=60, high_hz=3_800)
FULL_SCALE = 32_767  # of the samples that it was trained on
RANGE_DB = 80.0  # what lies this far or further below the loudest point is as quiet as that
STEP_FRAMES = 8
FRAMES_SEEN = 76  # by each step
NUMBERS = 96  # of each step
MOST_STEPS = 16

LEAD_SAMPLES = 6_400  # of silence in front of a sound, and of its first samples before the onset
BEFORE_ONSET_SAMPLES = 800
ONSET_DB = 30.0  # a sound begins where it is no further below its loudest 10 ms

# Of each convolution behind the first: its channels, and the stretch of time and bands that its largest are taken of.
_CHANNELS = (24,) * 2 + (48,) * 4 + (72,) * 4 + (96,) * 8
_POOLS: Mapping[int, tuple[int, int]] = {2: (2, 2), 6: (1, 2), 10: (2, 2), 14: (1, 2), 18: (2, 2)}
_LEAK, _FLOOR = 0.2, -0.4
_FIRST = "model/conv2d/StatefulPartitionedCall/StatefulPartitionedCall/Conv2D/ReadVariableOp:0"
_NORM = "model/batch_normalization/"
_NORMS = (
    "ReadVariableOp:0",
    "ReadVariableOp_1:0",
    "FusedBatchNormV3/ReadVariableOp:0",
    "FusedBatchNormV3/ReadVariableOp_1:0",
)
_NORM_EPSILON = 1e-3
_LAST = "model/conv2d_19/Conv2D/ReadVariableOp:0"


def speech_embedding(weights: Weights, *, samples: int) -> "SpeechEmbedding":
    """Build the network with weights from the package's ONNX file.

    Raises:
        WeightsError: the weights are of another network.
    """
    expect_format(weights, "onnx", 'an ONNX file (".onnx")')
    try:
        arrays = float_tensors(weights.path.read_bytes())
    except ValueError as error:
        raise WeightsError(f"{weights.path} is damaged ({error}); fetch it again.") from error
    shapes = _shapes()
    for name, shape in shapes.items():
        if name not in arrays or arrays[name].size != np.prod(shape):
            raise WeightsError(
                f"Expected {shape} numbers called {name} in {weights.path}, received others; these are weights of "
                "another network: choose its --architecture, or another file."
            )
    return SpeechEmbedding({name: arrays[name].reshape(shape) for name, shape in shapes.items()}, samples)


def _shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of every array by name; kernels are [outputs, inputs, time, bands]."""
    shapes: dict[str, tuple[int, ...]] = {_FIRST: (24, 1, 3, 3)} | {_NORM + name: (24,) for name in _NORMS}
    for number, (inputs, outputs) in enumerate(zip((24, *_CHANNELS), _CHANNELS, strict=False), start=1):
        shapes[_kernel(number)] = (outputs, inputs, *((1, 3) if number % 2 else (3, 1)))
        shapes[_bias(number)] = (outputs,)
    return shapes | {_LAST: (NUMBERS, 96, 3, 1)}


def _kernel(number: int) -> str:
    return f"model/conv2d_{number}/Conv2D_weights_fused_bn"


def _bias(number: int) -> str:
    return f"model/conv2d_{number}/Conv2D_bias_fused_bn"


@dataclass(frozen=True, eq=False)
class SpeechEmbedding:
    """The network for sounds of one length; `arrays` are its weights under the file's names."""

    arrays: Mapping[str, np.ndarray]
    samples: int

    def __call__(self, sounds: Any) -> Any:
        """Map a float32 tensor of sounds [n, samples] in -1..1, at 16 kHz, to vectors, float32 [n, steps * 96]."""
        import tensorflow as tf  # seconds, which only freezing takes

        steps = self.embed(_log_mel(from_onset(sounds, self.samples)))
        count = int(steps.shape[1])
        if count > MOST_STEPS:
            means = np.array([_share(count, place) for place in range(MOST_STEPS)], np.float32)
            steps = tf.einsum("nsd,ps->npd", steps, means)
            count = MOST_STEPS
        return tf.reshape(steps, (-1, count * NUMBERS))

    def embed(self, frames: Any) -> Any:
        """Map frames of log-mel, float32 [n, frames, bands], to float32 [n, steps, 96]."""
        import tensorflow as tf

        maps = self._convolved(tf.pad(frames[..., None], ((0, 0), (0, 0), (1, 1), (0, 0))), _FIRST)
        gamma, beta, mean, variance = (self.arrays[_NORM + name] for name in _NORMS)
        scale = gamma / np.sqrt(variance + _NORM_EPSILON)
        maps = _bent(tf.nn.relu(maps) * scale + (beta - mean * scale))
        for number in range(1, len(_CHANNELS) + 1):
            if number % 2:
                maps = tf.pad(maps, ((0, 0), (0, 0), (1, 1), (0, 0)))
            maps = _bent(self._convolved(maps, _kernel(number)) + self.arrays[_bias(number)])
            if number in _POOLS:
                maps = tf.nn.max_pool2d(maps, _POOLS[number], _POOLS[number], padding="VALID")
        return self._convolved(maps, _LAST)[:, :, 0]

    def _convolved(self, maps: Any, name: str) -> Any:
        import tensorflow as tf

        return tf.nn.conv2d(maps, self.arrays[name].transpose(2, 3, 1, 0), strides=1, padding="VALID")


def from_onset(sounds: Any, samples: int) -> Any:
    """Move sounds, a float32 tensor [n, samples], to where the network expects them to begin; the rest is silent.

    Returns:
        float32 [n, LEAD_SAMPLES + samples], of at least as many samples as one step sees.
    """
    import tensorflow as tf

    length = max(LEAD_SAMPLES + samples, (FRAMES_SEEN - 1) * HOP_SAMPLES + 2 * (len(MEL_FILTERS) - 1))
    whole = samples // HOP_SAMPLES
    powers = tf.reduce_mean(tf.square(tf.reshape(sounds[:, : whole * HOP_SAMPLES], (-1, whole, HOP_SAMPLES))), axis=2)
    smooth = tf.nn.avg_pool1d(powers[..., None], ksize=3, strides=1, padding="SAME")[..., 0]
    loud = smooth >= 10 ** (-ONSET_DB / 10) * tf.reduce_max(smooth, axis=1, keepdims=True)
    onset = tf.argmax(tf.cast(loud, tf.int32), axis=1, output_type=tf.int32) * HOP_SAMPLES
    start = tf.maximum(onset - BEFORE_ONSET_SAMPLES, 0)[:, None]
    padded = tf.pad(sounds, ((0, 0), (LEAD_SAMPLES, length)))
    places = tf.range(length)[None]
    moved = tf.gather(padded, places + start, batch_dims=1)
    return tf.where(places < LEAD_SAMPLES, 0.0, moved)


def _log_mel(sounds: Any) -> Any:
    import tensorflow as tf

    powers = mel_powers(sounds * FULL_SCALE, MEL_FILTERS, window_samples=WINDOW_SAMPLES, hop_samples=HOP_SAMPLES)
    decibels = 10 / np.log(10) * tf.math.log(tf.maximum(powers, 1e-10))
    loudest = tf.reduce_max(decibels, axis=(1, 2), keepdims=True)
    return tf.maximum(decibels, loudest - RANGE_DB) / 10 + 2


def _bent(maps: Any) -> Any:
    import tensorflow as tf

    return tf.maximum(tf.nn.leaky_relu(maps, _LEAK), _FLOOR)


def _share(count: int, place: int) -> np.ndarray:
    """Return how much each of `count` steps counts in one of the stretches of time."""
    edges = np.linspace(0, count, MOST_STEPS + 1)
    first, last = edges[place], edges[place + 1]
    steps = np.arange(count)
    shares: np.ndarray = np.maximum(np.minimum(steps + 1, last) - np.maximum(steps, first), 0) / (last - first)
    return shares
