"""Resemblyzer's speaker encoder, a network that listens, rebuilt without torch and librosa.

A quiet sound is turned up to -30 dBFS. Its power in 40 mel bands, in windows of 25 ms every 10 ms, is cut into
overlapping pieces of 1.6 s, and three layers of LSTM read each. What the last one holds at the end of a piece becomes
256 numbers of unit length, none below zero; their mean over the pieces, at unit length, is the sound's vector. All of
this is in the graph. Pauses are kept, which the package's own `preprocess_wav` takes out.

Source: C. Jemine, Resemblyzer 0.1.4, after L. Wan et al., "Generalized End-to-End Loss for Speaker Verification", 2018.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from audionet.errors import WeightsError
from audionet.models.backbones.mel_frames import SAMPLE_RATE_HZ, mel_filters, mel_powers
from audionet.models.backbones.weights import Weights, expect_format, named_array, read_arrays

WINDOW_SAMPLES = 400
HOP_SAMPLES = 160
MEL_BANDS = 40
PIECE_FRAMES = 160
PIECES_A_SECOND = 1.3
LEAST_COVERAGE = 0.75  # of the last piece by sound; one with less is left out
UNITS = 256
LAYERS = 3
TARGET_DBFS = -30
MEL_FILTERS = mel_filters(fft_samples=WINDOW_SAMPLES, bands=MEL_BANDS, low_hz=0, high_hz=SAMPLE_RATE_HZ / 2)
SILENCE = 1e-9  # root mean square, far below any sound, and far enough from zero to divide by


def voice_encoder(weights: Weights, *, samples: int) -> "VoiceEncoder":
    """Build the network with weights from the package's own file, or another of its kind.

    Raises:
        WeightsError: the weights are of another network.
    """
    expect_format(weights, "torch", 'a torch state dict (".pt", ".pth")')
    arrays = read_arrays(weights)
    shapes: dict[str, tuple[int, ...]] = {"linear.weight": (UNITS, UNITS), "linear.bias": (UNITS,)}
    for layer in range(LAYERS):
        shapes |= {
            f"lstm.weight_ih_l{layer}": (4 * UNITS, UNITS if layer else MEL_BANDS),
            f"lstm.weight_hh_l{layer}": (4 * UNITS, UNITS),
            f"lstm.bias_ih_l{layer}": (4 * UNITS,),
            f"lstm.bias_hh_l{layer}": (4 * UNITS,),
        }
    for name, shape in shapes.items():
        received = named_array(arrays, name, weights).shape
        if received != shape:
            raise WeightsError(
                f"Expected shape {shape} for {name}, received {received} in {weights.path}; "
                "these are weights of another network: choose its --architecture, or another file."
            )
    return VoiceEncoder({name: arrays[name] for name in shapes}, samples)


@dataclass(frozen=True, eq=False)
class VoiceEncoder:
    """The network for sounds of one length; `arrays` are its weights under torch's names."""

    arrays: Mapping[str, np.ndarray]
    samples: int

    def __call__(self, sounds: Any) -> Any:
        """Map a float32 tensor of sounds [n, samples] in -1..1, at 16 kHz, to vectors, float32 [n, 256]."""
        import tensorflow as tf  # seconds, which only freezing takes

        starts = piece_starts(self.samples)
        padded = _padded(_turned_up(sounds), self.samples, frames=starts[-1] + PIECE_FRAMES)
        bands = mel_powers(padded, MEL_FILTERS, window_samples=WINDOW_SAMPLES, hop_samples=HOP_SAMPLES)
        frames = np.add.outer(starts, np.arange(PIECE_FRAMES))
        pieces = tf.reshape(tf.gather(bands, frames, axis=1), (-1, PIECE_FRAMES, MEL_BANDS))
        hidden = tf.nn.relu(tf.matmul(self._read(pieces), self.arrays["linear.weight"].T) + self.arrays["linear.bias"])
        vectors = tf.reshape(_at_unit_length(hidden), (-1, len(starts), UNITS))
        return _at_unit_length(tf.reduce_mean(vectors, axis=1))

    def _read(self, pieces: Any) -> Any:
        """Return what the last LSTM layer holds at the end of pieces [n, frames, bands], as [n, units]."""
        import tensorflow as tf

        outputs = tf.transpose(pieces, (1, 0, 2))
        for layer in range(LAYERS):
            outputs = self._lstm(outputs, layer)
        return outputs[-1]

    def _lstm(self, inputs: Any, layer: int) -> Any:
        """Run one layer over [frames, n, inputs] and return its outputs [frames, n, units].

        TensorFlow has the layer as one operation, which OpenVINO runs twice as fast as the loop that Keras makes of it.
        """
        import tensorflow as tf

        kernels = [self.arrays[f"lstm.weight_{kind}_l{layer}"] for kind in ("ih", "hh")]
        biases = self.arrays[f"lstm.bias_ih_l{layer}"] + self.arrays[f"lstm.bias_hh_l{layer}"]
        zeros, no_peephole = tf.zeros((tf.shape(inputs)[1], UNITS)), tf.zeros((UNITS,))
        return tf.raw_ops.BlockLSTM(
            seq_len_max=tf.constant(PIECE_FRAMES, tf.int64),
            x=inputs,
            cs_prev=zeros,
            h_prev=zeros,
            w=tf.constant(_gates_in_order(np.concatenate(kernels, axis=1)).T),
            wci=no_peephole,
            wcf=no_peephole,
            wco=no_peephole,
            b=tf.constant(_gates_in_order(biases)),
            forget_bias=0.0,
            cell_clip=-1.0,
            use_peephole=False,
        ).h


def piece_starts(samples: int) -> list[int]:
    """Return the frame that each piece of a sound starts at; a sound shorter than a piece has one.

    Source: `VoiceEncoder.compute_partial_slices`.
    """
    frames = math.ceil((samples + 1) / HOP_SAMPLES)
    step = round(SAMPLE_RATE_HZ / PIECES_A_SECOND / HOP_SAMPLES)
    starts = list(range(0, max(1, frames - PIECE_FRAMES + step + 1), step))
    coverage = (samples / HOP_SAMPLES - starts[-1]) / PIECE_FRAMES
    return starts[:-1] if len(starts) > 1 and coverage < LEAST_COVERAGE else starts


def _turned_up(sounds: Any) -> Any:
    """Bring sounds that are quieter than the target to it, and leave louder ones; silence stays silent."""
    import tensorflow as tf

    level = tf.sqrt(tf.reduce_mean(tf.square(sounds), axis=1, keepdims=True))
    return sounds * tf.maximum(1.0, 10 ** (TARGET_DBFS / 20) / tf.maximum(level, SILENCE))


def _padded(sounds: Any, samples: int, *, frames: int) -> Any:
    """Return sounds with silence around them, so that their windows are centred on every tenth millisecond."""
    import tensorflow as tf

    seen = (frames - 1) * HOP_SAMPLES + WINDOW_SAMPLES
    before = WINDOW_SAMPLES // 2
    return tf.pad(sounds, ((0, 0), (before, max(0, seen - before - samples))))[:, :seen]


def _at_unit_length(vectors: Any) -> Any:
    import tensorflow as tf

    return vectors / tf.maximum(tf.norm(vectors, axis=1, keepdims=True), SILENCE)


def _gates_in_order(rows: np.ndarray) -> np.ndarray:
    """Bring the gates from torch's order (input, forget, cell, output) to TensorFlow's, with the cell before forget."""
    entry, forget, cell, output = np.split(rows, 4)
    return np.concatenate([entry, cell, forget, output])
