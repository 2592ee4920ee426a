"""The drawings of `spectrogram` as TensorFlow operations, for exports that take sound: waveform to picture in a graph.

Everything is gathers, matrix products and arithmetic, which every runtime has: the transform is a product with sines
and cosines, stretching and jpg coding are products from both sides. Jpg coding has a part in it because the network was
trained on what it leaves of a picture. Of the levels that come out, 98 in 100 are those of `served_picture`; the others
are off by 1 of 255 and seldom more, where a number was about to be rounded up or down.
"""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf  # several seconds, so only an export imports this module, and late
from PIL import Image

from audionet.errors import InputError
from audionet.features.image_io import encode_jpg
from audionet.features.recipes import Recipe
from audionet.features.spectrogram import (
    PCEN_BIAS,
    PCEN_BRIGHTEST,
    PCEN_GAIN,
    PCEN_POWER,
    QUIETEST_POWER,
    chroma_filters,
    frame_starts,
    hann,
    mel_filters,
    recent_levels,
    transform_samples,
)

BLOCK = 8  # pixels a side that jpg codes together

# Source: ITU-T T.871 (JFIF), for the colours of jpg.
_TO_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]], np.float32
)
_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136286, -0.714136286], [1, 1.772, 0]], np.float32)


def picture_of(samples: Any, recipe: Recipe) -> Any:
    """Draw chunks as `served_picture` does, jpg coding included.

    Args:
        samples: float32 tensor, shape (n, chunk_samples), in -1..1.
        recipe: how to draw them.

    Returns:
        float32 tensor, shape (n, picture_height, picture_width, 3), whole numbers of 0..255.

    Raises:
        InputError: the recipe's drawing is not among those of this module.
    """
    if recipe.drawing not in DRAWERS:
        raise InputError(
            f"Expected a recipe whose drawing is one of {', '.join(DRAWERS)}, to draw it inside an export; this "
            f"classifier's is {recipe.drawing}. Export it with --input picture, and draw with spectrogram.draw."
        )
    drawing = tf.reverse(DRAWERS[recipe.drawing](samples, recipe), axis=[1])
    coded = _through_jpg(tf.floor(drawing * 255 + 0.5), recipe)
    return tf.concat([coded] * 3, axis=3) if coded.shape[3] == 1 else coded


def resized(levels: Any, *, height: int, width: int) -> Any:
    """Bring pictures to a height and width in pixels as `fit_pictures` does.

    Both `levels` and what is returned are float32 tensors, shape (n, height, width, 3), whole numbers of 0..255.
    """
    if tuple(levels.shape[1:3]) == (height, width):
        return levels
    across = _along_width(levels, stretching(levels.shape[2], width))
    return tf.floor(_along_height(tf.floor(across + 0.5), stretching(levels.shape[1], height)) + 0.5)


def stretching(size: int, target: int) -> np.ndarray:
    """Return how Pillow stretches a row of pixels: the share of each in each target, float32, shape (size, target)."""
    return np.asarray(Image.fromarray(np.eye(size, dtype=np.float32)).resize((target, size), Image.Resampling.BILINEAR))


def _draw_log_mel_3(samples: Any, recipe: Recipe) -> Any:
    power = tf.stack([_mel_power(samples, recipe, window_samples) for window_samples in recipe.window_samples], 3)
    return _stretched(_decibels(power, recipe.range_db), recipe)


def _draw_log_mel(samples: Any, recipe: Recipe) -> Any:
    power = tf.expand_dims(_mel_power(samples, recipe, recipe.window_samples[0]), 3)
    return _stretched(_decibels(power, recipe.range_db), recipe)


def _draw_linear(samples: Any, recipe: Recipe) -> Any:
    from matplotlib import colormaps

    window_samples = recipe.window_samples[0]
    bins = np.arange(transform_samples(window_samples) // 2 + 1)
    levels = _decibels(_power_spectra(samples, recipe, window_samples, bins), recipe.range_db)
    rows = np.linspace(recipe.low_hz, recipe.high_hz, recipe.picture_height) / (recipe.sample_rate_hz / 2) * bins[-1]
    # Interpolation is linear in what it is given: what it makes of each bin alone is its matrix.
    between = np.stack([np.interp(rows, bins, only) for only in np.eye(len(bins))]).astype(np.float32)
    drawing = tf.transpose(_times(levels, between), [0, 2, 1])
    colours = colormaps["viridis"](np.arange(256))[:, :3].astype(np.float32)
    return tf.gather(colours, tf.cast(tf.minimum(drawing * 256, 255), tf.int32))


def _draw_chromagram(samples: Any, recipe: Recipe) -> Any:
    filters = chroma_filters(
        sample_rate_hz=recipe.sample_rate_hz,
        fft_samples=transform_samples(recipe.window_samples[0]),
        low_hz=recipe.low_hz,
        high_hz=recipe.high_hz,
    )
    power = _filtered_power(samples, recipe, recipe.window_samples[0], filters)
    return _stretched(tf.expand_dims(_decibels(power, recipe.range_db), 3), recipe)


def _draw_pcen(samples: Any, recipe: Recipe) -> Any:
    power = _mel_power(samples, recipe, recipe.window_samples[0])
    energies = power / tf.maximum(tf.reduce_max(power, axis=[1, 2], keepdims=True), QUIETEST_POWER)
    # The level is linear in the energies: what it makes of each column alone is its matrix.
    column_seconds = recipe.chunk_seconds / recipe.picture_width
    smoothing = recent_levels(np.eye(recipe.picture_width), column_seconds=column_seconds).astype(np.float32)
    levels = _times(energies, smoothing) + 10 ** (-recipe.range_db / 10)
    loud = energies * tf.exp(tf.math.log(levels) * -PCEN_GAIN) + PCEN_BIAS
    normalised = tf.exp(tf.math.log(loud) * PCEN_POWER) - PCEN_BIAS**PCEN_POWER
    white = tf.maximum(_quantile(normalised, PCEN_BRIGHTEST), QUIETEST_POWER)
    return _stretched(tf.expand_dims(tf.clip_by_value(normalised / white, 0, 1), 3), recipe)


def _quantile(values: Any, share: float) -> Any:
    """Return the quantile of each of some maps, as NumPy interpolates it: shape (n, 1, 1)."""
    count = values.shape[1] * values.shape[2]
    below = (count - 1) * (1 - share)  # how many lie above it
    largest = tf.math.top_k(tf.reshape(values, [-1, count]), int(below) + 2).values
    after, before = (tf.gather(largest, [place], axis=1) for place in (int(below), int(below) + 1))
    return tf.expand_dims(after + (before - after) * (below - int(below)), 2)


DRAWERS: dict[str, Callable[[Any, Recipe], Any]] = {
    "log_mel_3": _draw_log_mel_3,
    "log_mel": _draw_log_mel,
    "linear": _draw_linear,
    "chromagram": _draw_chromagram,
    "pcen": _draw_pcen,
}


def _mel_power(samples: Any, recipe: Recipe, window_samples: int) -> Any:
    """Return the power in each mel band at each column, shape (n, mel_bands, picture_width)."""
    filters = mel_filters(
        sample_rate_hz=recipe.sample_rate_hz,
        fft_samples=transform_samples(window_samples),
        bands=recipe.mel_bands,
        low_hz=recipe.low_hz,
        high_hz=recipe.high_hz,
    )
    return _filtered_power(samples, recipe, window_samples, filters)


def _filtered_power(samples: Any, recipe: Recipe, window_samples: int, filters: np.ndarray) -> Any:
    """Return the power that each filter, shape (bins, filters), lets pass: shape (n, filters, picture_width)."""
    bins = np.flatnonzero(filters.any(axis=1))
    return tf.transpose(_times(_power_spectra(samples, recipe, window_samples, bins), filters[bins]), [0, 2, 1])


def _power_spectra(samples: Any, recipe: Recipe, window_samples: int, bins: np.ndarray) -> Any:
    """Return the power of some bins at each column, shape (n, picture_width, bins), as `power_spectra` does."""
    starts = frame_starts(recipe.chunk_samples, window_samples, recipe.picture_width)
    padded = tf.pad(samples, [[0, 0], [window_samples // 2, window_samples - window_samples // 2]])
    frames = tf.gather(padded, (starts.reshape(-1, 1) + np.arange(window_samples)).astype(np.int32), axis=1)
    turns = np.outer(np.arange(window_samples), bins) * 2 * np.pi / transform_samples(window_samples)
    waves = np.concatenate([np.cos(turns), np.sin(turns)], axis=1) * hann(window_samples)[:, None]
    squares = tf.square(_times(frames, waves.astype(np.float32)))
    # The power of a frame is the sum of two squares, that of a column the mean over its frames.
    parts = tf.reshape(squares, [-1, len(starts), 2 * starts.shape[1], len(bins)])
    return tf.reduce_sum(parts, axis=2) / starts.shape[1]


def _decibels(power: Any, range_db: float) -> Any:
    """Map power to 0..1 as `decibels` does, each chunk by its own loudest point."""
    levels = tf.math.log(tf.maximum(power, QUIETEST_POWER)) * np.float32(10 / np.log(10))
    loudest = tf.reduce_max(levels, axis=list(range(1, len(levels.shape))), keepdims=True)
    return tf.clip_by_value((levels - loudest) / range_db + 1, 0, 1)


def _stretched(drawing: Any, recipe: Recipe) -> Any:
    """Stretch drawings, shape (n, bands, picture_width, colours), to the recipe's height."""
    if drawing.shape[1] == recipe.picture_height:
        return drawing
    return _along_height(drawing, stretching(drawing.shape[1], recipe.picture_height))


def _along_height(maps: Any, weights: np.ndarray) -> Any:
    """Mix the rows of maps, shape (n, height, width, channels), by weights of shape (height, target)."""
    return tf.transpose(_times(tf.transpose(maps, [0, 3, 2, 1]), weights), [0, 3, 2, 1])


def _along_width(maps: Any, weights: np.ndarray) -> Any:
    """Mix the columns of maps, shape (n, height, width, channels), by weights of shape (width, target)."""
    return tf.transpose(_times(tf.transpose(maps, [0, 1, 3, 2]), weights), [0, 1, 3, 2])


def _times(values: Any, weights: np.ndarray) -> Any:
    """Multiply the last axis by a matrix. TensorFlow's own product of so many axes may crash in its CPU library."""
    product = tf.matmul(tf.reshape(values, [-1, weights.shape[0]]), weights)
    return tf.reshape(product, [-1, *values.shape[1:-1], weights.shape[1]])


def _through_jpg(levels: Any, recipe: Recipe) -> Any:
    """Return what jpg coding leaves of pictures, gray in one channel or colours in three; whole numbers of 0..255.

    Source: ITU-T T.81 (JPEG): each block of 8 x 8 pixels is transformed, rounded to steps that its table names, and
    transformed back. The rounding on the way is that of libjpeg's `jfdctint.c` and `jidctint.c`, which count in whole
    numbers: quarters between rows and columns. At an edge that is no multiple of 8, the last pixels are repeated.
    """
    height, width, channels = levels.shape[1:]
    if channels == 3:
        levels = tf.floor(_times(levels, _TO_YCC.T) + np.array([0.5, 128.4999, 128.4999], np.float32))
    tables = _quantisation(recipe.jpg_quality, channels)
    steps = np.tile(tables, (-(-height // BLOCK), -(-width // BLOCK), 1))
    rows = tf.floor(_along_width(levels - 128, _cosines(width) * 4) + 0.5)
    coefficients = tf.floor(_along_height(rows, _cosines(height) / 4) + 0.5)
    kept = tf.sign(coefficients) * tf.floor(tf.abs(coefficients) / (8 * steps) + 0.5) * steps
    columns = tf.floor(_along_height(kept, _inverse_cosines(height) * 4) + 0.5)
    decoded = tf.clip_by_value(tf.floor(_along_width(columns, _inverse_cosines(width) / 32) + 128.5), 0, 255)
    if channels == 1:
        return decoded
    colours = _times(decoded - np.array([0, 128, 128], np.float32), _TO_RGB.T)
    return tf.clip_by_value(tf.floor(colours + 0.5), 0, 255)


def _quantisation(quality: int, channels: int) -> np.ndarray:
    """Return the steps that coefficients are rounded to, float32, shape (8, 8, channels)."""
    red = np.zeros((BLOCK, BLOCK, 3), np.uint8) + np.array([255, 0, 0], np.uint8)  # gray has no steps for colours
    coded = Image.open(io.BytesIO(encode_jpg(red, quality=quality)))
    tables = coded.quantization  # type: ignore[attr-defined]
    brightness, colour = (np.reshape(tables[number], (BLOCK, BLOCK)) for number in (0, 1))
    return np.stack([brightness, colour, colour][:channels], axis=2).astype(np.float32)


def _transform() -> np.ndarray:
    """Return the cosine transform of 8 pixels as libjpeg scales it, by the root of 8: shape (pixels, frequencies)."""
    waves = np.cos((2 * np.arange(BLOCK)[:, None] + 1) * np.arange(BLOCK) * np.pi / (2 * BLOCK))
    return waves * np.where(np.arange(BLOCK) == 0, 1, np.sqrt(2))


def _cosines(size: int) -> np.ndarray:
    """Return the transform of each block of a row of `size` pixels, shape (size, blocks * 8)."""
    blocks = -(-size // BLOCK)
    whole = np.kron(np.eye(blocks), _transform())
    whole[size - 1] += whole[size:].sum(axis=0)  # the last pixel stands for those beyond the edge
    return whole[:size].astype(np.float32)


def _inverse_cosines(size: int) -> np.ndarray:
    """Return the way back from the transform of a row, shape (blocks * 8, size), larger by 8."""
    return np.kron(np.eye(-(-size // BLOCK)), _transform().T)[:, :size].astype(np.float32)
