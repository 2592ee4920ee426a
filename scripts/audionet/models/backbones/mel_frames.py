"""Power in mel bands as librosa computes it, for the graphs of networks that listen."""

from typing import Any

import numpy as np

from audionet.features.frequency_axis import hertz_to_mel, mel_to_hertz

SAMPLE_RATE_HZ = 16_000


def mel_filters(*, fft_samples: int, bands: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Return triangular filters of one area, evenly spaced on the mel scale, float32 [fft_samples / 2 + 1, bands].

    Source: `librosa.filters.mel` with its defaults, which are M. Slaney's.
    """
    edges_hz = mel_to_hertz(np.linspace(hertz_to_mel(low_hz), hertz_to_mel(high_hz), bands + 2))
    bins_hz = np.arange(fft_samples // 2 + 1)[:, None] * (SAMPLE_RATE_HZ / fft_samples)
    low, centre, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    triangles = np.minimum((bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre))
    filters: np.ndarray = (np.maximum(triangles, 0) * 2 / (high - low)).astype(np.float32)
    return filters


def mel_powers(sounds: Any, filters: np.ndarray, *, window_samples: int, hop_samples: int) -> Any:
    """Return the power in mel bands, float32 [n, frames, bands], of a float32 tensor of sounds [n, samples].

    Frames are as long as the transform that the filters are for, with a Hann window in the middle of each. The Fourier
    transform is a convolution with cosines and sines.

    Source: `librosa.feature.melspectrogram` with `center=False`.
    """
    import tensorflow as tf

    bins = len(filters)
    fft_samples = 2 * (bins - 1)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_samples) / window_samples)
    window = np.pad(window, (fft_samples - window_samples) // 2)
    angles = np.outer(np.arange(fft_samples), np.arange(bins))
    waves = window[:, None] * np.exp(2j * np.pi / fft_samples * angles)
    kernel = np.concatenate([waves.real, waves.imag], axis=1).astype(np.float32)
    spectra = tf.square(tf.nn.conv1d(sounds[..., None], kernel[:, None], stride=hop_samples, padding="VALID"))
    return tf.matmul(spectra[..., :bins] + spectra[..., bins:], filters)
