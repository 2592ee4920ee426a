"""Recordings, pictures and bottlenecks of any number, made to be measured with; kept, since making them takes long.

Every recording is another sound, as loud and as rough as a voice, since equal ones would compress and compare too well.
"""

import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
from PIL import Image

from audionet.files import whole_folder, write_bytes
from audionet.parallel import process_pool
from benchmarks.speed.tutorial_pipeline import write_vector

LABELS = tuple(f"label_{number}" for number in range(4))
MADE_NAME = ".made.json"
RATES_HZ = {".wav": 16_000, ".mp3": 44_100}
PICTURE_SIDE = 32  # of pictures that are only listed and hashed, never looked at


@dataclass(frozen=True)
class MadeBackbone:
    """A backbone that looks at nothing: its bottlenecks are chance, and the same for the same picture."""

    dimension: int
    architecture: str = "made"
    height: int = PICTURE_SIDE
    width: int = PICTURE_SIDE

    @property
    def listens(self) -> bool:
        """It takes pictures."""
        return False

    @property
    def digest(self) -> str:
        """What its cache is named by."""
        return f"{self.dimension:016x}"

    @property
    def slices(self) -> dict[str, tuple[int, int]]:
        """All of it is one part."""
        return {self.architecture: (0, self.dimension)}

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Map uint8 pictures of shape (n, height, width, 3) to float32 vectors of shape (n, dimension)."""
        rng = np.random.default_rng(int(pictures.sum()))
        return rng.normal(size=(len(pictures), self.dimension)).astype(np.float32)


def make_recordings(folder: Path, *, count: int, seconds: float, suffix: str) -> None:
    """Fill a folder with recordings of as many seconds, spread over `LABELS`, unless it holds them already.

    Those with the suffix `.wav` are at 16 kHz, those with `.mp3` at 44.1 kHz.
    """
    if _is_made(folder, count=count, seconds=seconds, suffix=suffix):
        return
    with whole_folder(folder) as scratch, process_pool(os.cpu_count() or 1) as pool:
        write = partial(_write_recording, scratch, seconds=seconds, suffix=suffix)
        list(pool.map(write, range(count), chunksize=1 + count // 64))
        _note_made(scratch, count=count, seconds=seconds, suffix=suffix)


def make_pictures(folder: Path, *, count: int) -> None:
    """Fill a folder with tiny pictures, each of other bytes, spread over `LABELS`, unless it holds them already."""
    if _is_made(folder, count=count):
        return
    jpg = io.BytesIO()
    Image.new("RGB", (PICTURE_SIDE, PICTURE_SIDE)).save(jpg, "JPEG")
    with whole_folder(folder) as scratch:
        for label in LABELS:
            (scratch / label).mkdir()
        for number in range(count):
            # What follows the end of a jpg is no part of the picture, but another content to a hash.
            content = jpg.getvalue() + number.to_bytes(8, "big")
            (scratch / LABELS[number % len(LABELS)] / f"{number:07d}.jpg").write_bytes(content)
        _note_made(scratch, count=count)


def make_texts(folder: Path, *, count: int, dimension: int) -> None:
    """Fill a folder with bottlenecks as text files, spread over `LABELS`, unless it holds them already."""
    if _is_made(folder, count=count, dimension=dimension):
        return
    rng = np.random.default_rng(0)
    with whole_folder(folder) as scratch:
        for number in range(count):
            vector = rng.normal(size=dimension).astype(np.float32)
            write_vector(scratch / LABELS[number % len(LABELS)] / f"{number:07d}.jpg.txt", vector)
        _note_made(scratch, count=count, dimension=dimension)


def link_files(files: Sequence[Path], source: Path, folder: Path) -> None:
    """Make a folder of links to some files below `source`, at the same places."""
    with whole_folder(folder) as scratch:
        for file in files:
            link = scratch / file.relative_to(source)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.resolve())


def sound(number: int, seconds: float, *, rate_hz: int) -> np.ndarray:
    """Return a sound that is another for each number: hiss and a tone that come and go, float32, in -1..1."""
    rng = np.random.default_rng(number)
    moments = np.arange(round(seconds * rate_hz)) / rate_hz
    hiss = scipy.signal.lfilter([0.3], [1, -0.7], rng.normal(0, 0.1, len(moments)))
    glide_hz = rng.uniform(100, 2000) + rng.uniform(20, 80) * np.sin(2 * np.pi * rng.uniform(0.2, 2) * moments)
    tone = 0.3 * np.sin(2 * np.pi * np.cumsum(glide_hz) / rate_hz)
    loudness = 0.55 - 0.45 * np.cos(2 * np.pi * rng.uniform(2, 5) * moments)
    return np.asarray(np.clip(loudness * (hiss + tone), -1, 1), np.float32)


def _write_recording(folder: Path, number: int, *, seconds: float, suffix: str) -> None:
    rate_hz = RATES_HZ[suffix]
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate_hz, 1, format=suffix[1:].upper()) as recording:
        recording.write(sound(number, seconds, rate_hz=rate_hz))
    write_bytes(folder / LABELS[number % len(LABELS)] / f"{number:06d}{suffix}", file.getvalue())


def _is_made(folder: Path, **about: object) -> bool:
    """Tell whether a folder was filled with just this before."""
    try:
        return bool(json.loads((folder / MADE_NAME).read_text()) == about)
    except (OSError, ValueError):
        return False


def _note_made(folder: Path, **about: object) -> None:
    (folder / MADE_NAME).write_text(json.dumps(about))
