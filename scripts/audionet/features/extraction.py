"""From a recording to its chunks, and from a chunk to the picture that training and scoring see."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from audionet.audio.chunks import Chunk, read_chunks
from audionet.features.image_io import decode_picture, encode_jpg
from audionet.features.recipes import Recipe
from audionet.features.spectrogram import draw


def chunks_by_recipe(path: Path, recipe: Recipe) -> Iterator[Chunk]:
    """Yield the chunks of a recording that pictures are drawn of by a recipe, in order.

    Raises:
        RecordingError: no decoder reads the file, or it holds no sound.
    """
    chunks = read_chunks(
        path,
        sample_rate_hz=recipe.sample_rate_hz,
        chunk_seconds=recipe.chunk_seconds,
        effects=recipe.sox_effects,
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
