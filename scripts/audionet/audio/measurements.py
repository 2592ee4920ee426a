"""Statistics of a chunk's sound: level, noise floor, bandwidth, clipping, silence, spectral peaks and digest.

`measure_chunk` takes them while the chunk is in memory anyway; `evaluation.data_audit` draws conclusions from them.
"""

import base64
import functools
import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from audionet.audio.chunks import Chunk
from audionet.audio.landmarks import find_peaks
from audionet.audio.spectra import FRAMES_AT_ONCE, power_blocks

ChunkStats = dict[str, Any]  # statistics of a chunk, as `measure_chunk` returns them
CHUNK_STATS_VERSION = 2  # goes up by one when statistics change, so that those in caches are computed again

SAMPLES_AT_ONCE = 16_384  # fresh memory for many would take longer than the arithmetic
FRAME_SECONDS = 0.02
QUIETEST_DB = -120.0  # stands for nothing at all
SILENT_DBFS = -70.0  # a frame below is silent whatever surrounds it
SILENT_BELOW_LOUDEST_DB = 40.0
FLOOR_PERCENTILE = 10  # the quiet tenth of a chunk is what is there when nobody speaks
FULL_SCALE = 0.999
QUIET_PEAK = 0.01  # -40 dBFS: below, 16 bits are too few to tell flat from round
FLAT_STEP = 1.5 / 32_768  # neighbours closer than this, at the peak, are a flat top
FLAT_TOP = 0.98
SPECTRUM_SECONDS = 0.064
BANDWIDTH_RANGE_DB = 65.0  # below the loudest frequency; weaker is not what anybody hears
BANDWIDTH_FLOOR_DB = -100.0  # 16-bit rounding lies at about -120 a bin


def measure_chunk(chunk: Chunk) -> tuple[ChunkStats, float]:
    """Return statistics of a chunk, and its level as `chunk_level_dbfs` does, in one pass.

    Statistics are where it is, its measures, its peaks and its digest, as a JSON value of half a kilobyte.
    """
    measures = measure(chunk.sound, sample_rate_hz=chunk.sample_rate_hz)
    peaks = find_peaks(chunk.sound, sample_rate_hz=chunk.sample_rate_hz)
    stats = {
        "offset_seconds": round(chunk.offset_seconds, 4),
        "measures": {name: round(value, 4) for name, value in measures.items()},
        "peaks": base64.b64encode(peaks.astype("<u2").tobytes()).decode(),
        "digest": digest(chunk.sound),
    }
    return stats, round(measures["level_dbfs"], 2)


def peaks_of(stats: ChunkStats) -> np.ndarray:
    """Return the peaks of a chunk, as `find_peaks` found them, uint16, shape (n, 2)."""
    return np.frombuffer(base64.b64decode(stats["peaks"]), "<u2").reshape(-1, 2)


def digest(samples: np.ndarray) -> str:
    """Return 16 hexadecimal digits that are the same for the same samples at 16 bits, whatever file they came from."""
    found = hashlib.sha256()
    for first in range(0, len(samples), SAMPLES_AT_ONCE):
        found.update(np.round(samples[first : first + SAMPLES_AT_ONCE] * 32_767).astype("<i2").tobytes())
    return found.hexdigest()[:16]


def measure(samples: np.ndarray, *, sample_rate_hz: int) -> dict[str, float]:
    """Measure a chunk: float32, shape (n,), in -1..1, n at least 1.

    Returns:
        dict: `seconds`; `level_dbfs`, the power of what is not silent; `peak_dbfs`; `noise_floor_dbfs`, the power of
        the quietest tenth; `bandwidth_hz`, the highest frequency above the floor; `clipped_share` of the samples and
        `silent_share` of the time. A full-scale sine has a level of -3 dBFS.
    """
    frames, is_silent = _frames(samples, sample_rate_hz)
    return {
        "seconds": len(samples) / sample_rate_hz,
        "level_dbfs": _level(frames, is_silent),
        "peak_dbfs": _decibels(float(np.abs(samples).max()) ** 2),
        "noise_floor_dbfs": float(np.percentile(frames, FLOOR_PERCENTILE)),
        "bandwidth_hz": bandwidth_hz(samples, sample_rate_hz=sample_rate_hz),
        "clipped_share": clipped_share(samples),
        "silent_share": float(is_silent.mean()),
    }


def level_dbfs(samples: np.ndarray, *, sample_rate_hz: int) -> float:
    """Return the power of what is not silent in a chunk, in decibels below full scale."""
    return _level(*_frames(samples, sample_rate_hz))


def chunk_level_dbfs(chunk: Chunk) -> float:
    """Return the level of a chunk's sound, rounded as it is kept with its picture."""
    return round(level_dbfs(chunk.sound, sample_rate_hz=chunk.sample_rate_hz), 2)


def bandwidth_hz(samples: np.ndarray, *, sample_rate_hz: int) -> float:
    """Return the highest frequency at which the mean spectrum is above the floor; half the sample rate at most."""
    levels = mean_spectrum_db(samples, sample_rate_hz=sample_rate_hz)
    audible = np.flatnonzero(levels > max(levels.max() - BANDWIDTH_RANGE_DB, BANDWIDTH_FLOOR_DB))
    return float(audible[-1] / (len(levels) - 1) * sample_rate_hz / 2) if len(audible) else 0.0


def mean_spectrum_db(samples: np.ndarray, *, sample_rate_hz: int) -> np.ndarray:
    """Return the mean power at frequencies from 0 to half the sample rate, in decibels: shape (bins,)."""
    window_samples = 1 << round(math.log2(SPECTRUM_SECONDS * sample_rate_hz))
    centred = np.pad(samples - samples.mean(), (0, max(0, window_samples - len(samples))))
    # Windows lie within the chunk: where one reached beyond, the cut would sound like a click of every frequency.
    starts = np.arange(0, len(centred) - window_samples + 1, window_samples // 2)
    blocks = power_blocks(centred, _window(window_samples), starts)
    power = sum(block.sum(axis=0, dtype=np.float64) for block in blocks) / len(starts)
    levels: np.ndarray = 10 * np.log10(power + 1e-20)
    return levels


def covered_seconds(chunk_stats: Sequence[ChunkStats]) -> float:
    """Return how much sound some chunks of a recording hold; what overlaps counts once."""
    seconds = end = 0.0
    for chunk in chunk_stats:
        start, length = chunk["offset_seconds"], chunk["measures"]["seconds"]
        seconds += length - min(max(0.0, end - start), length)
        end = max(end, start + length)
    return float(seconds)


@functools.lru_cache(maxsize=16)
def _window(window_samples: int) -> np.ndarray:
    window = np.hanning(window_samples)
    scaled: np.ndarray = window * 2 / window.sum()
    return scaled.astype(np.float32)


def clipped_share(samples: np.ndarray) -> float:
    """Return the share of samples that are on a flat top: three or more in a row, at the peak, all but equal.

    So a recording counts as clipped that was turned down afterwards, and one that just reaches full scale does not.
    """
    magnitudes = np.abs(samples)
    peak = magnitudes.max()
    if peak < QUIET_PEAK or len(samples) < 3:
        return 0.0
    # Resampling lets what was clipped at full scale ring a little above and below it.
    top = np.flatnonzero(magnitudes[:-2] >= min(FLAT_TOP * peak, FULL_SCALE))
    top = top[magnitudes[top + 2] >= min(FLAT_TOP * peak, FULL_SCALE)]
    flat = [
        (np.abs(samples[here + 1] - samples[here]) < FLAT_STEP)
        | ((magnitudes[here + 1] >= FULL_SCALE) & (magnitudes[here] >= FULL_SCALE))
        for here in (top, top + 1)
    ]
    run = top[flat[0] & flat[1]]
    return len(np.unique(np.concatenate([run, run + 1, run + 2]))) / len(samples)


def _frames(samples: np.ndarray, sample_rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the power of each frame in decibels, and whether it is silent."""
    frame_samples = min(round(FRAME_SECONDS * sample_rate_hz), len(samples))
    whole = len(samples) // frame_samples * frame_samples
    frames = samples[:whole].reshape(-1, frame_samples)
    mean = samples.mean(dtype=np.float64)
    power = np.empty(len(frames))
    for first in range(0, len(frames), FRAMES_AT_ONCE):
        rows = slice(first, first + FRAMES_AT_ONCE)
        power[rows] = np.mean(np.square(frames[rows] - mean, dtype=np.float64), axis=1)
    decibels = 10 * np.log10(np.maximum(power, 10 ** (QUIETEST_DB / 10)))
    return decibels, decibels < max(SILENT_DBFS, decibels.max() - SILENT_BELOW_LOUDEST_DB)


def _level(frames: np.ndarray, is_silent: np.ndarray) -> float:
    audible = frames[~is_silent] if not is_silent.all() else frames
    return _decibels(float(np.mean(10 ** (audible / 10))))


def _decibels(power: float) -> float:
    return 10 * math.log10(max(power, 10 ** (QUIETEST_DB / 10)))
