"""Cut a recording into chunks of one length."""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audionet.audio.decoding import read_blocks
from audionet.errors import RecordingError
from audionet.files import printable

SILENCE_PEAK = 1e-4  # -80 dBFS: three steps of 16-bit sound; no microphone is that quiet

SHORTEST_PERIOD_SECONDS = 0.5

SHORTEST_SECONDS = 0.02  # one window of analysis
WORD_SECONDS = 1.5  # chunks this long or shorter may hold a word each, and longer ones running speech


@dataclass(frozen=True)
class Chunk:
    """A slice of a recording."""

    index: int  # 0 for the first of the recording
    offset_seconds: float  # where it starts, in the recording as decoded
    samples: np.ndarray  # float32, shape (chunk_samples,), in -1..1; a short one is filled until it is long enough
    seconds: float  # how long it is without what it was filled with
    sample_rate_hz: int

    @property
    def sound(self) -> np.ndarray:
        """The samples without those that fill the chunk, shape (n,), n at least 1."""
        return self.samples[: max(1, round(self.seconds * self.sample_rate_hz))]


def read_chunks(
    path: Path,
    *,
    sample_rate_hz: int,
    chunk_seconds: float,
    effects: str = "",
    channel: str = "mean",
    hop_seconds: float | None = None,
    padding: str = "repeat",
) -> Iterator[Chunk]:
    """Yield a recording's chunks in order, silent ones left out.

    Chunks do not overlap, unless they start every `hop_seconds`. A last chunk shorter than half a chunk is dropped; a
    longer one, or a recording shorter than a chunk, is filled, by default with itself, as `filled` does it.

    Raises:
        RecordingError: no decoder reads the file, it lacks the channel, or holds no sound.
    """
    blocks = read_blocks(path, sample_rate_hz=sample_rate_hz, effects=effects, channel=channel)
    yield from chunks_of(
        blocks,
        name=path,
        sample_rate_hz=sample_rate_hz,
        chunk_seconds=chunk_seconds,
        hop_seconds=hop_seconds,
        padding=padding,
    )


def chunks_of(
    blocks: Iterable[np.ndarray],
    *,
    name: object,
    sample_rate_hz: int,
    chunk_seconds: float,
    hop_seconds: float | None = None,
    padding: str = "repeat",
) -> Iterator[Chunk]:
    """Yield the chunks of a recording that is decoded already, to float32 blocks of shape (n,), as `read_chunks` does.

    An error calls the recording by its `name`.

    Raises:
        RecordingError: the blocks hold no sound.
    """
    chunk_samples = round(chunk_seconds * sample_rate_hz)
    hop_samples = round((hop_seconds or chunk_seconds) * sample_rate_hz)
    total_samples = 0
    any_sound = False
    for index, samples in enumerate(cut(blocks, chunk_samples, hop_samples)):
        total_samples = index * hop_samples + len(samples)
        if len(samples) < SHORTEST_SECONDS * sample_rate_hz or np.abs(samples).max() < SILENCE_PEAK:
            continue
        any_sound = True
        yield Chunk(
            index=index,
            offset_seconds=index * hop_samples / sample_rate_hz,
            samples=filled(samples, chunk_samples, sample_rate_hz=sample_rate_hz, padding=padding),
            seconds=len(samples) / sample_rate_hz,
            sample_rate_hz=sample_rate_hz,
        )
    if total_samples < SHORTEST_SECONDS * sample_rate_hz:
        raise RecordingError(
            f"{printable(name)} holds {total_samples / sample_rate_hz:.5f} s of sound; expected at least "
            f"{SHORTEST_SECONDS} s. Remove it or record it again."
        )
    if not any_sound:
        raise RecordingError(
            f"{printable(name)} is silent: no sample of its {total_samples / sample_rate_hz:.1f} s is louder than "
            f"{20 * math.log10(SILENCE_PEAK):.0f} dBFS. Remove it or record it again."
        )


def filled(samples: np.ndarray, chunk_samples: int, *, sample_rate_hz: int, padding: str = "repeat") -> np.ndarray:
    """Repeat samples until they fill a chunk; what is shorter than half a second is followed by silence up to that.

    Repeated sounds are told apart better than sounds in silence, as long as they do not turn into a tone. With `zeros`
    for padding, a chunk is filled by silence instead, as some tutorials have it. Samples are float32, shape (n,), n
    above 0; those beyond `chunk_samples` are cut off.
    """
    if padding == "zeros":
        return np.pad(samples[:chunk_samples], (0, max(0, chunk_samples - len(samples))))
    if len(samples) >= chunk_samples:
        return samples[:chunk_samples]
    silence = max(0, round(SHORTEST_PERIOD_SECONDS * sample_rate_hz) - len(samples))
    return np.resize(np.pad(samples, (0, silence)), chunk_samples)


def cut(blocks: Iterable[np.ndarray], chunk_samples: int, hop_samples: int | None = None) -> Iterator[np.ndarray]:
    """Yield slices of `chunk_samples` from consecutive blocks of float32 samples, each of shape (n,).

    Slices start every `hop_samples`, `chunk_samples` at most, by default one behind the other. The last ones may be
    shorter; those less than half as long are dropped, unless there is no other.
    """
    hop_samples = hop_samples or chunk_samples
    parts = [np.empty(0, np.float32)]
    is_first = True
    for block in blocks:
        parts.append(block)
        if sum(map(len, parts)) < chunk_samples:
            continue
        rest = np.concatenate(parts)
        starts = range(0, len(rest) - chunk_samples + 1, hop_samples)
        for start in starts:
            yield rest[start : start + chunk_samples]
            is_first = False
        parts = [rest[len(starts) * hop_samples :]]
    rest = np.concatenate(parts)
    for start in range(0, len(rest), hop_samples):
        if is_first or 2 * (len(rest) - start) >= chunk_samples:
            yield rest[start : start + chunk_samples]
            is_first = False


def cut_spans(
    blocks: Iterable[np.ndarray], spans: Sequence[tuple[float, float | None]], *, sample_rate_hz: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the samples of each span, with its number among the spans, as soon as its end has come.

    Spans are their start and their end in seconds, None for that of the sound; they may overlap. Of one that begins
    behind the last sample there are none. Only samples of spans under way are kept in memory.
    """
    starts = [round(start * sample_rate_hz) for start, _ in spans]
    ends = [math.inf if end is None else round(end * sample_rate_hz) for _, end in spans]
    waiting = deque(sorted(range(len(spans)), key=starts.__getitem__))
    under_way: dict[int, list[np.ndarray]] = {}
    position = 0
    for block in blocks:
        end = position + len(block)
        while waiting and starts[waiting[0]] < end:
            under_way[waiting.popleft()] = []
        for number in list(under_way):
            first, last = max(starts[number] - position, 0), min(ends[number] - position, len(block))
            under_way[number].append(block[first : int(last)])
            if ends[number] <= end:
                yield number, np.concatenate(under_way.pop(number))
        position = end
        if not waiting and not under_way:
            return
    for number, parts in under_way.items():
        yield number, np.concatenate(parts)
    for number in waiting:
        yield number, np.empty(0, np.float32)


def cut_evenly(blocks: Iterable[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """Yield consecutive samples `count` at a time, at last those that are left; nothing is dropped."""
    rest = np.empty(0, np.float32)
    for block in blocks:
        rest = np.concatenate([rest, block])
        while len(rest) >= count:
            yield rest[:count]
            rest = rest[count:]
    if len(rest):
        yield rest
