"""The overview of a whole recording: loudness and mel spectrogram in at most a few thousand columns.

    overview = Overview(VOICES)
    for block in read_blocks(path, sample_rate_hz=overview.band.sample_rate_hz):
        overview.add(block)
    overview.loudness(), overview.spectrogram()

Memory does not grow with the recording: where there are too many columns, every two become one.
"""

import functools
from dataclasses import dataclass

import numpy as np

from audionet.features.frequency_axis import hertz_to_mel
from audionet.features.recipes import Recipe
from audionet.features.spectrogram import decibels, mel_filters, power_spectra

RATE_HZ = 16_000
MOST_COLUMNS = 2048
FINEST_SAMPLES = 128  # 8 ms, half of what can be told apart in a plot of one second
PIECE_SAMPLES = 65_536  # 4 s, so that the seams between pieces are too few to be seen
WINDOW_SAMPLES = 1024
BANDS = 96
RANGE_DB = 70.0
MARKED_HZ = (20, 50, 100, 200, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000)


@dataclass(frozen=True)
class Band:
    """What of a sound is looked at."""

    sample_rate_hz: int
    low_hz: float
    high_hz: float

    @classmethod
    def of(cls, recipe: Recipe) -> "Band":
        """Return the band that pictures by a recipe show."""
        return cls(recipe.sample_rate_hz, recipe.low_hz, recipe.high_hz)

    def heights(self) -> dict[int, float]:
        """Return how high some frequencies are in the spectrogram, 0 at the bottom to 1 at the top."""
        low, high = hertz_to_mel(self.low_hz), hertz_to_mel(self.high_hz)
        marked = [hertz for hertz in MARKED_HZ if 2 * self.low_hz < hertz < 0.9 * self.high_hz]
        return {hertz: round(float((hertz_to_mel(hertz) - low) / (high - low)), 4) for hertz in marked}


VOICES = Band(RATE_HZ, 50, 7_800)


class Overview:
    """Gathers loudness and spectrogram of a recording, block by block."""

    def __init__(self, band: Band = VOICES) -> None:
        self.band = band
        self.samples = 0
        self._column_samples = FINEST_SAMPLES
        self._pending = np.empty(0, np.float32)
        self._peaks = np.empty(0, np.float32)
        self._power = np.empty((0, BANDS), np.float32)

    @property
    def seconds(self) -> float:
        """Length of what was added so far."""
        return self.samples / self.band.sample_rate_hz

    def add(self, block: np.ndarray) -> None:
        """Add the next samples, float32, shape (n,), in -1..1, at the band's sample rate."""
        self.samples += len(block)
        self._pending = np.concatenate([self._pending, block])
        while len(self._pending) >= (piece := max(PIECE_SAMPLES, self._column_samples)):
            self._measure(self._pending[:piece])
            self._pending = self._pending[piece:]

    def loudness(self) -> np.ndarray:
        """Return the peak of each column, float32, shape (columns,), in 0..1."""
        return self._whole()[0]

    def spectrogram(self) -> np.ndarray:
        """Return the mel spectrogram, uint8, shape (BANDS, columns); the lowest band is the last row."""
        return np.round(255 * decibels(self._whole()[1].T, RANGE_DB)[::-1]).astype(np.uint8)

    def _whole(self) -> tuple[np.ndarray, np.ndarray]:
        """Return peaks and power of all samples, those that do not fill a piece yet included."""
        return self._with_columns_of(self._pending) if len(self._pending) else (self._peaks, self._power)

    def _measure(self, samples: np.ndarray) -> None:
        self._peaks, self._power = self._with_columns_of(samples)
        while len(self._peaks) > MOST_COLUMNS:
            even = len(self._peaks) // 2 * 2
            self._peaks = self._peaks[:even].reshape(-1, 2).max(axis=1)
            self._power = self._power[:even].reshape(-1, 2, BANDS).mean(axis=1)
            self._column_samples *= 2

    def _with_columns_of(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        columns = max(1, len(samples) // self._column_samples)
        edges = np.arange(columns) * len(samples) // columns
        peaks = np.maximum.reduceat(np.abs(samples), edges).clip(0, 1)
        power = power_spectra(samples, WINDOW_SAMPLES, columns) @ _filters(self.band)
        return np.concatenate([self._peaks, peaks]), np.concatenate([self._power, power])


@functools.cache
def _filters(band: Band) -> np.ndarray:
    return mel_filters(
        sample_rate_hz=band.sample_rate_hz,
        fft_samples=WINDOW_SAMPLES,
        bands=BANDS,
        low_hz=band.low_hz,
        high_hz=band.high_hz,
    )
