"""From a recording to its chunks, and from a chunk to what networks are given, in training and in scoring alike."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from audionet.audio.chunks import Chunk, chunks_of, cut_spans, read_chunks
from audionet.audio.decoding import count_channels, read_blocks
from audionet.audio.writing import pcm16
from audionet.errors import RecordingError
from audionet.features.image_io import decode_picture, encode_jpg, fit_pictures
from audionet.features.recipes import Recipe
from audionet.features.spectrogram import draw


def chunks_by_recipe(path: Path, recipe: Recipe) -> Iterator[Chunk]:
    """Yield the chunks of a recording that pictures are drawn of by a recipe, in order, of each channel if so chosen.

    Raises:
        RecordingError: no decoder reads the file, or it holds no sound.
    """
    return _of_each_channel(path, recipe) if recipe.channel == "each" else _of_channel(path, recipe, recipe.channel)


def _of_channel(path: Path, recipe: Recipe, channel: str) -> Iterator[Chunk]:
    chunks = read_chunks(
        path,
        sample_rate_hz=recipe.sample_rate_hz,
        chunk_seconds=recipe.chunk_seconds,
        effects=recipe.sox_effects,
        channel=channel,
        hop_seconds=recipe.hop_seconds,
        padding=recipe.padding,
    )
    return islice(chunks, 1) if recipe.long_clips == "crop" else chunks


def _of_each_channel(path: Path, recipe: Recipe) -> Iterator[Chunk]:
    """Yield the chunks of one channel after the other, with numbers that go on; silent channels have none."""
    first = 0
    silent: RecordingError | None = None
    for number in range(1, count_channels(path) + 1):
        last = first - 1
        try:
            for chunk in _of_channel(path, recipe, str(number)):
                last = first + chunk.index
                yield replace(chunk, index=last)
        except RecordingError as error:
            if last >= first:
                raise
            silent = error
        first = last + 1
    if not first and silent:
        raise silent


def clips_by_recipe(
    path: Path, spans: Sequence[tuple[float, float | None]], recipe: Recipe
) -> Iterator[tuple[int, Chunk | RecordingError]]:
    """Yield the chunks of parts of a recording, as of clips of their own, each with the number of its part.

    The recording is decoded once for each channel that is heard. Spans are as `cut_spans` takes them; the chunks'
    offsets are from the beginning of the recording. A part without any sound has an error instead.

    Raises:
        RecordingError: no decoder reads the file.
    """
    each = recipe.channel == "each"
    channels = [str(number + 1) for number in range(count_channels(path))] if each else [recipe.channel]
    following = [0] * len(spans)
    errors: dict[int, RecordingError] = {}
    for channel in channels:
        blocks = read_blocks(path, sample_rate_hz=recipe.sample_rate_hz, effects=recipe.sox_effects, channel=channel)
        for number, samples in cut_spans(blocks, spans, sample_rate_hz=recipe.sample_rate_hz):
            first = following[number]
            try:
                for chunk in _chunks_of_clip(path, samples, recipe):
                    following[number] = first + chunk.index + 1
                    offset_seconds = spans[number][0] + chunk.offset_seconds
                    yield number, replace(chunk, index=first + chunk.index, offset_seconds=offset_seconds)
            except RecordingError as error:
                errors[number] = error
    yield from ((number, error) for number, error in errors.items() if not following[number])


def _chunks_of_clip(path: Path, samples: np.ndarray, recipe: Recipe) -> Iterator[Chunk]:
    chunks = chunks_of(
        [samples],
        name=path,
        sample_rate_hz=recipe.sample_rate_hz,
        chunk_seconds=recipe.chunk_seconds,
        hop_seconds=recipe.hop_seconds,
        padding=recipe.padding,
    )
    return islice(chunks, 1) if recipe.long_clips == "crop" else chunks


def drawn_jpg(samples: np.ndarray, recipe: Recipe, about: dict[str, Any] | None = None) -> bytes:
    """Return the picture of a chunk as a jpg file, with what `encode_jpg` takes to keep about it."""
    return encode_jpg(draw(samples, recipe), quality=recipe.jpg_quality, about=about)


def served_picture(samples: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Return the picture of a chunk as training saw it, jpg coding included.

    Samples and picture are as `spectrogram.draw` has them.
    """
    return decode_picture(drawn_jpg(samples, recipe))


@dataclass(frozen=True)
class NetworkInput:
    """What a network is given of a chunk: its picture by a recipe, or its sound; of ordinary pictures, these."""

    recipe: Recipe | None  # how sound is drawn, or the rate and the length of what is heard; None for ordinary pictures
    height: int = 0  # of pictures, in pixels; 0 for sound
    width: int = 0
    samples: int = 0  # of sound; 0 for pictures
    sample_rate_hz: int = 0  # of sound, the network's own

    @property
    def is_sound(self) -> bool:
        """Whether it is the sound itself."""
        return self.samples > 0

    def of_picture(self, picture: np.ndarray) -> np.ndarray:
        """Return a picture, uint8, shape (h, w, 3), at the network's size: uint8, shape (height, width, 3)."""
        return np.asarray(fit_pictures([picture], height=self.height, width=self.width)[0])

    def of_chunk(self, samples: np.ndarray) -> np.ndarray:
        """Return what the network is given of a chunk, float32 samples of shape (chunk_samples,), -1..1, by its recipe.

        That is its picture, jpg coding included, as `of_picture` gives it; or, as the chunk's wav holds it and at the
        network's rate, its sound: float32, shape (samples,).
        """
        assert self.recipe is not None  # there is sound
        if not self.is_sound:
            return self.of_picture(served_picture(samples, self.recipe))
        heard = pcm16(samples).astype(np.float32) / 32_768
        if self.recipe.sample_rate_hz != self.sample_rate_hz:
            heard = soxr.resample(heard, self.recipe.sample_rate_hz, self.sample_rate_hz)
        return np.asarray(np.resize(heard, self.samples), np.float32)

    def blank(self) -> np.ndarray:
        """Return an input of the right shape and type, of nothing."""
        if self.is_sound:
            return np.zeros(self.samples, np.float32)
        return np.zeros((self.height, self.width, 3), np.uint8)


def heard_share(recipe: Recipe, *, sample_rate_hz: int) -> float:
    """Return how much a network that listens at a rate shares with the pictures of a recipe, from 0 to 1.

    That is the band that both reach, as a share of the recipe's, or of the network's where that is the smaller share.
    """
    reach_hz = sample_rate_hz / 2
    shared_hz = max(0.0, min(recipe.high_hz, reach_hz) - recipe.low_hz)
    return min(shared_hz / (recipe.high_hz - recipe.low_hz), shared_hz / reach_hz)


def inputs_of(
    samples: np.ndarray, inputs: Sequence[NetworkInput], *, drawn: Mapping[Recipe, np.ndarray] | None = None
) -> list[np.ndarray]:
    """Return what several networks are given of a chunk, an array for each; it is drawn once by each recipe.

    Pictures that were `drawn` before, by recipe, are not drawn again.
    """
    drawn = dict(drawn or {})
    found = []
    for one in inputs:
        if one.is_sound or one.recipe is None:
            found.append(one.of_chunk(samples))
            continue
        if one.recipe not in drawn:
            drawn[one.recipe] = served_picture(samples, one.recipe)
        found.append(one.of_picture(drawn[one.recipe]))
    return found
