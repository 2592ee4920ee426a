"""Landmarks of sound: they find the same sound in two recordings, however it was encoded and wherever it was cut.

The loudest points of a spectrogram, its peaks, survive a lossy codec, a change of level and a shift in time. Two peaks
and the time between them make a landmark; recordings that share many landmarks, all at the same distance in time, hold
the same sound. An inverted index from landmark to place finds them, so that work grows with the amount of sound and not
with its square. A change of speed or pitch is beyond it.

Source: A. Wang, An Industrial-Strength Audio Search Algorithm, ISMIR 2003.
"""

import functools
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import soxr

from audionet.audio.spectra import power_blocks

RATE_HZ = 8_000  # what a telephone codec leaves
WINDOW_SAMPLES = 512  # 64 ms
HOP_SAMPLES = 128  # 16 ms
FRAMES_PER_SECOND = RATE_HZ / HOP_SAMPLES  # 62.5
LOWEST_BIN = 13  # 203 Hz
HIGHEST_BIN = 218  # 3406 Hz, where telephones end
NEIGHBOURHOOD = (9, 17)  # a peak is the loudest point within 4 frames and 8 bins to each side
RANGE_DB = 50  # peaks further below the loudest are noise
PEAKS_PER_SECOND = 30
FAN_OUT = 4  # each peak makes landmarks with so many peaks that follow
NEAREST_FRAMES = 2
FURTHEST_FRAMES = 63  # a second
FURTHEST_BINS = 63  # 984 Hz

WINDOW_FRAMES = 312  # 5 s
# Landmarks that two recordings share within 5 s, at one distance in time. Of 1128 pairs of different recordings of 12
# voices none shares more than 13; the same sound shares 180 and more after a shift, and 67 after 16 kbit/s mp3.
LEAST_SHARED = 25
PROMINENCE = 4
PROMISING = 8  # so many at about one distance, among those that the index compares, are worth a closer look
COMMON = 8  # the index compares a landmark with so many of its likes: with all, work would grow with the square
MOST_ALIKE = 100  # the closer look, more
MINUTE_FRAMES = round(60 * FRAMES_PER_SECOND)
RECORDINGS_AT_ONCE, PEAKS_AT_ONCE = 1 << 12, 1 << 20  # whose landmarks are made together, in some 100 MB
SMALLEST_TABLE, LARGEST_TABLE = 1 << 16, 1 << 27

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Match(Generic[Name]):
    """Two recordings that hold the same sound."""

    first: Name
    second: Name
    offset_seconds: float  # where in `second` the beginning of `first` would be; negative where it was cut off
    seconds: float  # how much sound they share, roughly
    shared_landmarks: int  # in the five seconds where they share most


def find_peaks(samples: np.ndarray, *, sample_rate_hz: int) -> np.ndarray:
    """Return the peaks of the spectrogram of a chunk: float32, shape (n,), without padding.

    Returns:
        uint16, shape (peaks, 2): frame from the chunk's start and bin, sorted by frame.
    """
    levels = _levels(soxr.resample(samples.astype(np.float32, copy=False), sample_rate_hz, RATE_HZ))
    if not levels.size:
        return np.empty((0, 2), np.uint16)
    is_peak = (levels == _highest_around(levels)) & (levels > levels.max() - RANGE_DB)
    frames, bins = np.divmod(np.flatnonzero(is_peak), levels.shape[1])
    most = max(1, round(PEAKS_PER_SECOND * len(levels) / FRAMES_PER_SECOND))
    strongest = np.sort(np.argsort(-levels[frames, bins], kind="stable")[:most])
    return np.stack([frames[strongest], bins[strongest] + LOWEST_BIN], axis=1).astype(np.uint16)


def _levels(samples: np.ndarray) -> np.ndarray:
    """Return decibels, float32, shape (frames, bins from `LOWEST_BIN` to `HIGHEST_BIN`)."""
    if len(samples) < WINDOW_SAMPLES:
        return np.empty((0, 0), np.float32)
    starts = np.arange(0, len(samples) - WINDOW_SAMPLES + 1, HOP_SAMPLES)
    levels = np.empty((len(starts), HIGHEST_BIN + 1 - LOWEST_BIN), np.float32)
    first = 0
    for power in power_blocks(samples, _window(), starts):
        audible = power[:, LOWEST_BIN : HIGHEST_BIN + 1] + 1e-9
        np.multiply(np.log10(audible, out=audible), 10, out=levels[first : first + len(power)])
        first += len(power)
    return levels


def _highest_around(levels: np.ndarray) -> np.ndarray:
    """Return the highest level in the neighbourhood of each point, of the same shape."""
    for axis, size in enumerate(NEIGHBOURHOOD):
        sides = [(0, 0), (0, 0)]
        sides[axis] = (size // 2, size // 2)
        levels = np.moveaxis(np.pad(levels, sides, constant_values=-np.inf), axis, 0)
        # Of two, then of four and so on: ten passes instead of as many as points are compared.
        covered = 1
        while covered < size:
            step = min(covered, size - covered)
            levels = np.maximum(levels[:-step], levels[step:])
            covered += step
        levels = np.moveaxis(levels, 0, axis)
    return levels


@functools.cache
def _window() -> np.ndarray:
    return np.hanning(WINDOW_SAMPLES).astype(np.float32)


def find_matches(peaks: Mapping[Name, np.ndarray], *, sides: Mapping[Name, str] | None = None) -> list[Match[Name]]:
    """Find the recordings that hold the same sound, in time that grows with the amount of sound.

    Args:
        peaks: by recording, int, shape (n, 2): frame from the recording's start and bin, as `join_peaks` gives them.
        sides: by recording; where given, only recordings on different sides are compared.

    Returns:
        list: one match a pair, the surest first.
    """
    recordings = list(peaks)
    landmarks = list(landmarks_of_all([np.asarray(peaks[recording], np.int64) for recording in recordings]))
    side_numbers = np.arange(len(recordings))
    if sides is not None:
        side_numbers = np.unique([sides[recording] for recording in recordings], return_inverse=True)[1]
    matches = []
    for first, second in _promising_pairs(landmarks, side_numbers):
        found = _align(landmarks[first], landmarks[second])
        if found:
            matches.append(Match(recordings[first], recordings[second], *found))
    return sorted(matches, key=lambda match: -match.shared_landmarks)


def join_peaks(chunks: list[tuple[float, np.ndarray]]) -> np.ndarray:
    """Return the peaks of a recording, int64, shape (peaks, 2), sorted by frame.

    They come from those of its chunks: for each its offset in seconds and what `find_peaks` gave.
    """
    if not chunks:
        return np.empty((0, 2), np.int64)
    moved = [peaks.astype(np.int64) + np.array([round(offset * FRAMES_PER_SECOND), 0]) for offset, peaks in chunks]
    joined = np.concatenate(moved)
    return joined[np.argsort(joined[:, 0], kind="stable")]


def landmarks_of(peaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Combine each peak with the next few into landmarks; peaks are as `join_peaks` gives them.

    Returns:
        tuple: int64 landmarks, each of two bins and the frames between them, and the frame at which each begins.
    """
    frames, bins = peaks[:, 0], peaks[:, 1]
    made = np.zeros(len(peaks), int)
    landmarks, starts = [], []
    for step in range(1, len(peaks)):
        frames_between, bins_between = frames[step:] - frames[:-step], bins[step:] - bins[:-step]
        if not (within := frames_between <= FURTHEST_FRAMES).any():
            break
        within &= (frames_between >= NEAREST_FRAMES) & (np.abs(bins_between) <= FURTHEST_BINS)
        first = np.flatnonzero(within & (made[:-step] < FAN_OUT))
        made[first] += 1
        landmarks.append((bins[first] << 13) | ((bins_between[first] + FURTHEST_BINS) << 6) | frames_between[first])
        starts.append(frames[first])
    if not landmarks:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate(landmarks), np.concatenate(starts)


def landmarks_of_all(every: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield `landmarks_of` of each recording's peaks; of many short ones at once, which takes a tenth of the time."""
    first = 0
    while first < len(every):
        sizes = np.cumsum([len(peaks) for peaks in every[first : first + RECORDINGS_AT_ONCE]])
        behind = first + max(1, int(np.searchsorted(sizes, PEAKS_AT_ONCE)))
        yield from _landmarks_side_by_side(every[first:behind])
        first = behind


def _landmarks_side_by_side(every: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Lay recordings end to end, too far apart for a landmark across two of them."""
    lengths = [int(peaks[-1, 0]) + 1 if len(peaks) else 0 for peaks in every]
    begins = np.cumsum([0, *(length + FURTHEST_FRAMES + 1 for length in lengths)])
    joined = np.concatenate(
        [peaks.reshape(-1, 2) + np.array([begin, 0]) for peaks, begin in zip(every, begins, strict=False)]
    )
    landmarks, starts = landmarks_of(joined)
    owners = np.searchsorted(begins, starts, "right") - 1
    order = np.argsort(owners, kind="stable")
    ends = np.cumsum(np.bincount(owners, minlength=len(every)))
    for number, rows in enumerate(np.split(order, ends[:-1])):
        yield landmarks[rows], starts[rows] - begins[number]


def _promising_pairs(landmarks: list[tuple[np.ndarray, np.ndarray]], sides: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield pairs of recordings that may hold the same sound, by their number, the smaller first.

    Every landmark of every recording is sorted, so that equal ones are neighbours, and neighbours are counted by
    recordings and rough distance in a table of fixed size. So memory does not grow with chance hits.
    """
    index = _sorted_index(landmarks)
    cells = int(np.clip(16 << len(index[0]).bit_length(), SMALLEST_TABLE, LARGEST_TABLE))
    table = np.zeros(cells, np.uint16)
    for first, second, distance in _neighbours(index, sides):
        np.add.at(table, _cell(first, second, distance, cells), 1)
    busy = table >= PROMISING
    found: set[tuple[int, int]] = set()
    for first, second, distance in _neighbours(index, sides):
        kept = busy[_cell(first, second, distance, cells)]
        found.update(zip(first[kept].tolist(), second[kept].tolist(), strict=True))
    yield from sorted(found)


def _sorted_index(landmarks: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all landmarks, sorted, with the number of their recording and the frame where they begin, as uint32."""
    if not landmarks:
        return (np.empty(0, np.uint32),) * 3
    owners = np.repeat(np.arange(len(landmarks), dtype=np.uint32), [len(found) for found, _ in landmarks])
    values = np.concatenate([found for found, _ in landmarks])
    starts = np.concatenate([starts for _, starts in landmarks]).astype(np.uint32)
    # Among equals the order is by chance, so that the few compared are not always the same few.
    order = np.argsort((values << 32) | np.random.default_rng(0).integers(0, 1 << 32, len(values)))
    return values[order].astype(np.uint32), owners[order], starts[order]


def _neighbours(
    index: tuple[np.ndarray, np.ndarray, np.ndarray], sides: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield recordings, the smaller number first, and distances of equal landmarks on different sides, as uint32."""
    values, owners, starts = index
    for step in range(1, COMMON + 1):
        rows = np.flatnonzero(values[step:] == values[:-step])
        rows = rows[sides[owners[rows]] != sides[owners[rows + step]]]
        is_in_order = owners[rows] < owners[rows + step]
        first, second = np.where(is_in_order, rows, rows + step), np.where(is_in_order, rows + step, rows)
        yield owners[first], owners[second], starts[second] - starts[first]  # uint32 wraps around, and may


def _cell(first: np.ndarray, second: np.ndarray, distance: np.ndarray, cells: int) -> np.ndarray:
    """Spread pairs and distances, four frames taken together, over a table; the odd numbers are large primes."""
    key = first * np.uint32(0x9E3779B1) + second * np.uint32(0x85EBCA77) + (distance >> 2) * np.uint32(0xC2B2AE3D)
    cell: np.ndarray = (key ^ (key >> 15)) & np.uint32(cells - 1)
    return cell


def _align(
    first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]
) -> tuple[float, float, int] | None:
    """Return offset and length in seconds and the count of landmarks that two recordings share, if that is enough."""
    values, starts = first
    order = np.argsort(second[0], kind="stable")
    second_sorted = second[0][order], second[1][order]
    best, seconds = (0, 0), 0
    # A minute at a time: over hours, chance hits at some distance would outnumber a short stretch that is shared.
    for minute in np.unique(starts // MINUTE_FRAMES):
        rows = starts // MINUTE_FRAMES == minute
        shared, distance, shared_seconds = _align_minute((values[rows], starts[rows]), second_sorted)
        best = max(best, (shared, distance))
        seconds += shared_seconds
    return (best[1] / FRAMES_PER_SECOND, float(seconds), best[0]) if best[0] else None


def _align_minute(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> tuple[int, int, int]:
    """Return the landmarks shared within 5 s, the distance in frames and the seconds shared; or zeros if too few."""
    starts, distances = _shared(first, second)
    if not len(starts):
        return 0, 0, 0
    lowest = distances.min()
    counts = np.convolve(np.bincount(distances - lowest), [1, 1, 1], "same")  # the frames of the two do not coincide
    distance = int(counts.argmax() + lowest)
    aligned = np.sort(starts[np.abs(distances - distance) <= 1])
    in_window = np.searchsorted(aligned, aligned + WINDOW_FRAMES) - np.arange(len(aligned))
    if in_window.max() < LEAST_SHARED or not _stands_out(counts):
        return 0, 0, 0
    # Stray hits lie alone: only seconds with two landmarks or more are counted.
    in_second = np.bincount((aligned // FRAMES_PER_SECOND).astype(int))
    return int(in_window.max()), distance, int((in_second >= 2).sum())


def _stands_out(counts: np.ndarray) -> bool:
    """Tell whether the highest count is far above those around it; a hum or a whistle fits itself at any distance."""
    best = int(counts.argmax())
    around = np.concatenate(
        [counts[max(0, best - FURTHEST_FRAMES) : max(0, best - 3)], counts[best + 4 :][:FURTHEST_FRAMES]]
    )
    return not len(around) or counts[best] >= PROMINENCE * np.percentile(around, 90)


def _shared(
    first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return where each shared landmark begins in the first, and how much later in the second, which is sorted."""
    values, starts = second
    begins = np.searchsorted(values, first[0], "left")
    counts = np.minimum(np.searchsorted(values, first[0], "right") - begins, MOST_ALIKE)
    rows = np.repeat(np.arange(len(counts)), counts)
    nth = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return first[1][rows], starts[begins[rows] + nth] - first[1][rows]
