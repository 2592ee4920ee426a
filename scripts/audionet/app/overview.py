"""A whole sound at a glance: how loud and how high it is at a few thousand moments, whatever its length.

    glance = Glance()
    for block in read_blocks(path, sample_rate_hz=RATE_HZ):
        glance.add(block)
    glance.loudness(), glance.spectrogram()

Memory does not grow with the sound: where there are too many moments, every two become one.
"""

import functools

import numpy as np

from audionet.features.spectrogram import decibels, mel_filters, power_spectra

RATE_HZ = 16_000
MOST_MOMENTS = 2048
FINEST_SAMPLES = 128  # 8 ms, half of what an eye tells apart in a plot of a second
PIECE_SAMPLES = 65_536  # 4 s, so that the seams between pieces are too few to be seen
WINDOW_SAMPLES = 1024
BANDS = 96
RANGE_DB = 70.0


class Overview:
    """Gathers the moments of a sound, block by block.

    Attributes:
        samples: how many there were so far.
    """

    def __init__(self) -> None:
        self.samples = 0
        self._moment_samples = FINEST_SAMPLES
        self._rest = np.empty(0, np.float32)
        self._peaks = np.empty(0, np.float32)
        self._power = np.empty((0, BANDS), np.float32)

    @property
    def seconds(self) -> float:
        """How long the sound was so far."""
        return self.samples / RATE_HZ

    def add(self, block: np.ndarray) -> None:
        """Take in the next samples, float32, shape (n,), in -1..1, at `RATE_HZ`."""
        self.samples += len(block)
        self._rest = np.concatenate([self._rest, block])
        while len(self._rest) >= (piece := max(PIECE_SAMPLES, self._moment_samples)):
            self._measure(self._rest[:piece])
            self._rest = self._rest[piece:]

    def loudness(self) -> np.ndarray:
        """Return the highest sample of each moment, float32, shape (moments,), in 0..1."""
        return self._whole()[0]

    def spectrogram(self) -> np.ndarray:
        """Return the mel spectrogram, uint8, shape (BANDS, moments); the lowest band is the last row."""
        return np.round(255 * decibels(self._whole()[1].T, RANGE_DB)[::-1]).astype(np.uint8)

    def _whole(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the moments so far and those of the samples that do not fill a piece yet."""
        if not len(self._rest):
            return self._peaks, self._power
        peaks, power = self._moments_of(self._rest)
        return np.concatenate([self._peaks, peaks]), np.concatenate([self._power, power])

    def _measure(self, samples: np.ndarray) -> None:
        peaks, power = self._moments_of(samples)
        self._peaks = np.concatenate([self._peaks, peaks])
        self._power = np.concatenate([self._power, power])
        while len(self._peaks) > MOST_MOMENTS:
            even = len(self._peaks) // 2 * 2
            self._peaks = self._peaks[:even].reshape(-1, 2).max(axis=1)
            self._power = self._power[:even].reshape(-1, 2, BANDS).mean(axis=1)
            self._moment_samples *= 2

    def _moments_of(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moments = max(1, len(samples) // self._moment_samples)
        edges = np.arange(moments) * len(samples) // moments
        peaks = np.maximum.reduceat(np.abs(samples), edges)
        return peaks.clip(0, 1), power_spectra(samples, WINDOW_SAMPLES, moments) @ _filters()


@functools.cache
def _filters() -> np.ndarray:
    return mel_filters(sample_rate_hz=RATE_HZ, fft_samples=WINDOW_SAMPLES, bands=BANDS, low_hz=50, high_hz=7_800)
