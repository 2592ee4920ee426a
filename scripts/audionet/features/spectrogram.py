"""Draw the picture of a chunk.

Every drawing is a function of samples and recipe that returns brightness from 0 to 1, in one colour or in three;
`DRAWERS` has one for each row of `recipes.DRAWINGS`. Low frequencies are at the bottom, or C in a chromagram, and time
runs to the right. Loudness changes none of them.
"""

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from audionet.audio.spectra import FRAMES_AT_ONCE, power_blocks
from audionet.features.frequency_axis import PITCH_CLASSES, hertz_to_mel, mel_to_hertz
from audionet.features.recipes import Recipe

if TYPE_CHECKING:
    from scipy.sparse import csr_array

QUIETEST_POWER = 1e-20  # far below any sound, so that the logarithm of silence is finite

TUNING_HZ = 440.0  # the A that every other pitch follows from
CHROMA_CENTRE_HZ = 880.0  # where most music has most of its pitches; octaves away from it count less
CHROMA_OCTAVES = 2.0  # how far away, as a standard deviation

PCEN_GAIN = 0.98  # 1 would take all of a channel's own level away
PCEN_BIAS = 2.0
PCEN_POWER = 0.5
PCEN_SECONDS = 0.4  # how long a channel's level is remembered
PCEN_BRIGHTEST = 0.99  # the share of a picture that is not white: few onsets would leave all else in the dark


def draw(samples: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Draw a chunk: float32, shape (n,), in -1..1, at the recipe's sample rate.

    Returns:
        uint8, shape (picture_height, picture_width, 3), RGB.
    """
    drawing = DRAWERS[recipe.drawing](samples, recipe)
    colours = (drawing * 255 + 0.5).astype(np.uint8)[::-1]
    picture = np.empty((*colours.shape[:2], 3), np.uint8)
    for colour in range(3):  # a broadcast copy would take four times as long
        picture[:, :, colour] = colours[:, :, colour % colours.shape[2]]
    return picture


def _draw_log_mel_3(samples: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Log-mel at three window lengths as red, green and blue: sharp in time, balanced, sharp in frequency."""
    power = np.stack([_mel_power(samples, recipe, window_samples) for window_samples in recipe.window_samples], axis=-1)
    return _resized(decibels(power, recipe.range_db), recipe)


def _draw_log_mel(samples: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Log-mel in gray."""
    power = _mel_power(samples, recipe, recipe.window_samples[0])
    return _resized(decibels(power, recipe.range_db)[:, :, None], recipe)


def _draw_linear(samples: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Decibels over linear frequency in viridis, as matplotlib's specgram draws it."""
    from matplotlib import colormaps  # half a second, for this drawing alone

    power = power_spectra(samples, recipe.window_samples[0], recipe.picture_width)
    last = power.shape[1] - 1
    places = np.linspace(recipe.low_hz, recipe.high_hz, recipe.picture_height) / (recipe.sample_rate_hz / 2) * last
    below = np.minimum(places.astype(int), last - 1)
    levels = decibels(power, recipe.range_db).T.astype(np.float64)  # as viridis takes them
    drawing = levels[below] + (levels[below + 1] - levels[below]) * (places - below)[:, None]
    colours: np.ndarray = colormaps["viridis"](drawing)[:, :, :3]
    return colours


def _draw_chromagram(samples: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Twelve pitch classes in gray, all octaves folded into one: chords and keys, whoever plays them."""
    window_samples = recipe.window_samples[0]
    filters = _cached_chroma_filters(
        sample_rate_hz=recipe.sample_rate_hz,
        fft_samples=transform_samples(window_samples),
        low_hz=recipe.low_hz,
        high_hz=recipe.high_hz,
    )
    power = power_spectra(samples, window_samples, recipe.picture_width) @ filters
    return _resized(decibels(power.T, recipe.range_db)[:, :, None], recipe)


def _draw_pcen(samples: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Mel bands in gray, each in proportion to its own recent level: what is steady fades, what begins stands out."""
    power = _mel_power(samples, recipe, recipe.window_samples[0])
    column_seconds = len(samples) / recipe.sample_rate_hz / recipe.picture_width
    energies = normalise_channels(power, column_seconds=column_seconds, range_db=recipe.range_db)
    white = max(float(np.quantile(energies, PCEN_BRIGHTEST)), QUIETEST_POWER)
    return _resized(np.clip(energies / white, 0, 1)[:, :, None], recipe)


def _draw_spectrogram(samples: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Decibels over linear frequency in gray, of what `scipy.signal.spectrogram` gives by its defaults."""
    from scipy.signal import spectrogram  # a third of a second, for this drawing alone

    with np.errstate(divide="ignore"):  # of a chunk that fills only half a window
        _, _, power = spectrogram(samples, recipe.sample_rate_hz, nperseg=recipe.window_samples[0])
    return _resized(decibels(power, recipe.range_db)[:, :, None], recipe)


def _draw_magnitude(samples: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Magnitudes over linear frequency in gray, the loudest white, of what `tf.signal.stft` gives: frames inside."""
    import scipy.fft  # a fifth of a second, which labelling a picture should not take

    window_samples = recipe.window_samples[0]
    padded = np.pad(samples, (0, max(0, window_samples - len(samples))))
    hop_samples = recipe.hop_samples or window_samples // 2
    slices = np.lib.stride_tricks.sliding_window_view(padded, window_samples)[::hop_samples]
    spectra = scipy.fft.rfft(slices * hann(window_samples), _power_of_two(window_samples), axis=1)
    magnitude = _resized(np.abs(spectra).T[:, :, None].astype(np.float32), recipe)
    return magnitude / max(float(magnitude.max()), QUIETEST_POWER)


DRAWERS: Mapping[str, Callable[[np.ndarray, Recipe], np.ndarray]] = {
    "log_mel": _draw_log_mel,
    "log_mel_3": _draw_log_mel_3,
    "linear": _draw_linear,
    "chromagram": _draw_chromagram,
    "pcen": _draw_pcen,
    "spectrogram": _draw_spectrogram,
    "magnitude": _draw_magnitude,
}


def power_spectra(samples: np.ndarray, window_samples: int, columns: int) -> np.ndarray:
    """Return the power spectrum at `columns` moments spread evenly over the samples.

    Where neighbouring columns lie further apart than half a window, each is the mean of several frames, so that no
    sample is passed over.

    Returns:
        float32, shape (columns, bins); a full-scale sine has power 1. Bins are those of a transform of a power of two,
        512 at least.
    """
    starts = frame_starts(len(samples), window_samples, columns)
    padded = np.pad(samples.astype(np.float32, copy=False), window_samples // 2)
    fft_samples = transform_samples(window_samples)
    frames_per_column = starts.shape[1]
    columns_at_once = max(1, FRAMES_AT_ONCE // frames_per_column)
    power = np.empty((columns, fft_samples // 2 + 1), np.float32)
    blocks = power_blocks(
        padded,
        hann(window_samples),
        starts.ravel(),
        fft_samples=fft_samples,
        at_once=columns_at_once * frames_per_column,
    )
    for first, block in zip(range(0, columns, columns_at_once), blocks, strict=True):
        of_columns = block.reshape(-1, frames_per_column, block.shape[1])
        of_columns.mean(axis=1, out=power[first : first + columns_at_once])
    return power


def frame_starts(samples: int, window_samples: int, columns: int) -> np.ndarray:
    """Return where the frames of each column start, among `samples` with half a window of silence before and after.

    Returns:
        int, shape (columns, frames of a column).
    """
    frames_per_column = max(1, round(samples / columns / (window_samples / 2)))
    frames = columns * frames_per_column
    starts: np.ndarray = np.minimum(((np.arange(frames) + 0.5) * samples / frames).astype(int), samples)
    return starts.reshape(columns, frames_per_column)


def decibels(power: np.ndarray, range_db: float) -> np.ndarray:
    """Map power to 0..1: 1 is the loudest point, 0 whatever lies `range_db` or further below it."""
    levels = 10 * np.log10(np.maximum(power, QUIETEST_POWER))
    shares: np.ndarray = np.clip((levels - levels.max()) / range_db + 1, 0, 1)
    return shares


def mel_filters(*, sample_rate_hz: int, fft_samples: int, bands: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Return triangular filters, evenly spaced on the mel scale, none narrower than a bin of the transform.

    Returns:
        float32, shape (fft_samples // 2 + 1, bands); each filter sums to 1.
    """
    edges_hz = mel_to_hertz(np.linspace(hertz_to_mel(low_hz), hertz_to_mel(high_hz), bands + 2))
    bin_hz = sample_rate_hz / fft_samples
    bins_hz = np.arange(fft_samples // 2 + 1)[:, None] * bin_hz
    centres = edges_hz[1:-1]
    below = np.maximum(centres - edges_hz[:-2], bin_hz)
    above = np.maximum(edges_hz[2:] - centres, bin_hz)
    filters: np.ndarray = np.clip(np.minimum((bins_hz - centres) / below + 1, (centres - bins_hz) / above + 1), 0, None)
    normalised: np.ndarray = (filters / filters.sum(axis=0)).astype(np.float32)
    return normalised


def chroma_filters(*, sample_rate_hz: int, fft_samples: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Return filters that gather the bins of a transform into pitch classes, C first.

    A bin belongs to the pitch classes next to its frequency, by a bell of the bin's own width, half a semitone at
    least. Bins count most around 880 Hz, and not at all outside low_hz..high_hz.

    Returns:
        float32, shape (fft_samples // 2 + 1, 12).

    Source: D. Ellis, "Chroma Feature Analysis and Synthesis", Columbia University 2007, with the bell over octaves that
    librosa's `filters.chroma` gives it.
    """
    bins_hz = np.arange(1, fft_samples // 2 + 1) * sample_rate_hz / fft_samples
    classes = len(PITCH_CLASSES)
    pitches = classes * np.log2(bins_hz / TUNING_HZ) + PITCH_CLASSES.index("A")  # semitones above a C
    widths = np.maximum(np.diff(pitches, append=pitches[-1]), 1)[:, None]
    half = classes / 2
    distances = (pitches[:, None] - np.arange(classes) + half) % classes - half
    shares = np.exp(-2 * np.square(distances / widths))
    shares /= np.linalg.norm(shares, axis=1, keepdims=True)
    octaves = np.log2(bins_hz / CHROMA_CENTRE_HZ) / CHROMA_OCTAVES
    shares *= np.exp(-0.5 * np.square(octaves))[:, None]
    shares[(bins_hz < low_hz) | (bins_hz > high_hz)] = 0
    return np.concatenate([np.zeros((1, classes)), shares]).astype(np.float32)


_cached_chroma_filters = functools.lru_cache(maxsize=16)(chroma_filters)


def normalise_channels(power: np.ndarray, *, column_seconds: float, range_db: float) -> np.ndarray:
    """Divide each channel by its own recent level, nearly, and compress: per-channel energy normalisation.

    Args:
        power: shape (channels, columns).
        column_seconds: from one column to the next.
        range_db: channels this far or further below the loudest point count as silent.

    Returns:
        float64, shape (channels, columns), 0 or more.

    Source: Y. Wang et al., "Trainable Frontend for Robust and Far-Field Keyword Spotting", ICASSP 2017, with its
    settings; the smoothing for a time constant is that of V. Lostanlen et al., "Per-Channel Energy Normalization: Why
    and How", IEEE Signal Processing Letters 26 (2019).
    """
    energies = power / max(float(power.max()), QUIETEST_POWER)
    levels = recent_levels(energies, column_seconds=column_seconds)
    floor = 10 ** (-range_db / 10)
    divided = energies / (floor + levels) ** PCEN_GAIN
    compressed: np.ndarray = (divided + PCEN_BIAS) ** PCEN_POWER - PCEN_BIAS**PCEN_POWER
    return compressed


def recent_levels(energies: np.ndarray, *, column_seconds: float) -> np.ndarray:
    """Return each channel's level as it was lately, linear in `energies`; both have shape (channels, columns)."""
    from scipy.signal import lfilter  # half a second, for this drawing alone

    columns = PCEN_SECONDS / column_seconds
    fresh = (np.sqrt(1 + 4 * columns**2) - 1) / (2 * columns**2)  # the share that a column adds to the level
    levels: np.ndarray = lfilter([fresh], [1, fresh - 1], energies, axis=1, zi=(1 - fresh) * energies[:, :1])[0]
    return levels


def _mel_power(samples: np.ndarray, recipe: Recipe, window_samples: int) -> np.ndarray:
    """Return the power in each mel band at each column, float32, shape (mel_bands, picture_width)."""
    filters = _cached_mel_filters(
        recipe.sample_rate_hz, transform_samples(window_samples), recipe.mel_bands, recipe.low_hz, recipe.high_hz
    )
    power: np.ndarray = filters @ power_spectra(samples, window_samples, recipe.picture_width).T
    return power


@functools.lru_cache(maxsize=16)
def _cached_mel_filters(
    sample_rate_hz: int, fft_samples: int, bands: int, low_hz: float, high_hz: float
) -> "csr_array":
    from scipy.sparse import csr_array  # as above

    # Nearly all of a filter is zero: a sparse product takes a hundredth of the multiplications.
    return csr_array(
        mel_filters(
            sample_rate_hz=sample_rate_hz, fft_samples=fft_samples, bands=bands, low_hz=low_hz, high_hz=high_hz
        ).T
    )


@functools.lru_cache(maxsize=16)
def hann(window_samples: int) -> np.ndarray:
    """Return a periodic Hann window, float32, whose sum is 2, so that a full-scale sine has power 1."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_samples) / window_samples)
    scaled: np.ndarray = (window * 2 / window.sum()).astype(np.float32)
    return scaled


def transform_samples(window_samples: int) -> int:
    """Return the power of two that a window is padded to, 512 at least, so that low bands have bins of their own."""
    return max(512, _power_of_two(window_samples))


def _power_of_two(samples: int) -> int:
    return 1 << (samples - 1).bit_length()


def _resized(drawing: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Stretch float brightness of shape (bands, columns, colours) to the picture's size, bilinearly."""
    if drawing.shape[:2] == (recipe.picture_height, recipe.picture_width):
        return drawing
    size = (recipe.picture_width, recipe.picture_height)
    colours = [
        np.asarray(Image.fromarray(drawing[:, :, colour]).resize(size, Image.Resampling.BILINEAR))
        for colour in range(drawing.shape[2])
    ]
    return np.stack(colours, axis=-1)
