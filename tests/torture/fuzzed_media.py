"""Sounds and pictures, as the fuzzer makes and reads them, and what pictures say of themselves."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from conftest import RATE_HZ, tone
from hypothesis import strategies as st
from PIL import Image

from audionet.audio.decoding import form_of, read_blocks
from audionet.data.dataset import read_dataset
from audionet.evaluation.test_set import find_pictures
from audionet.features.image_io import LARGEST_PIXELS, encode_jpg, read_picture
from audionet.features.recipes import find_recipe
from torture.mutations import LIMITS, damaged, json_files
from torture.reader import Files, Reader

MOST_SECONDS = 3_600.0  # of sound, from files of some kilobytes

PICTURE = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
PICTURE_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")


def sound_file(name: str, subtype: str | None = None) -> bytes:
    """Return half a second of sound in a format of libsndfile's."""
    file = io.BytesIO()
    soundfile.write(file, tone(440, 0.5), RATE_HZ, format=name, subtype=subtype)
    return file.getvalue()


@st.composite
def wav_files(draw: st.DrawFn) -> Files:
    """Draw wav files whose header claims rates, channels, bits, formats and lengths at limits."""
    number = st.sampled_from(LIMITS)
    fields: list[Any] = [1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16]  # format, channels, rate, bytes a second, bytes, bits
    sizes = [None, 16, None]  # of the whole, the header and the samples
    samples = (tone(440, 0.5) * 32_767).astype("<i2").tobytes()
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, 8))
        if place < 6:
            fields[place] = draw(number | st.sampled_from((3, 6, 7, 17, 8, 24, 32, 64, 0xFFFE, 44_100, 48_000)))
        else:
            sizes[place - 6] = draw(number)
    if draw(st.integers(0, 4)) == 0:
        samples = draw(st.binary(max_size=64) | st.just(bytes(1 << 16)))
    whole, header, data = (size if size is None else size % 2**32 for size in sizes)
    packed = struct.pack(
        "<HHIIHH", *(value % 2 ** (16 if place in (0, 1, 4, 5) else 32) for place, value in enumerate(fields))
    )
    content = b"WAVEfmt " + struct.pack("<I", 16 if header is None else header) + packed
    content += b"data" + struct.pack("<I", len(samples) if data is None else data) + samples
    content = b"RIFF" + struct.pack("<I", len(content) if whole is None else whole) + content
    return {"sound.wav": draw(damaged(content)) if draw(st.integers(0, 3)) == 0 else content}


def read_sound(path: Path) -> None:
    """Decode a sound and look at its samples."""
    form_of(path)
    samples = 0
    for block in read_blocks(path, sample_rate_hz=RATE_HZ):
        assert block.dtype == np.float32 and block.ndim == 1, "blocks of another kind"
        assert np.isfinite(block).all(), "samples that are no numbers"
        samples += len(block)
        assert samples < MOST_SECONDS * RATE_HZ, "an hour of sound from a small file"


def reader_of_sounds(name: str, suffix: str, content: bytes) -> Callable[[], Reader]:
    """Return what makes the reader of a format."""

    def make() -> Reader:
        file = f"sound{suffix}"
        inputs = damaged(content, most_edits=4).map(lambda altered: {file: altered})
        return Reader(name, {file: content}, inputs, lambda folder: read_sound(folder / file), runs_programs=True)

    return make


def make_wav() -> Reader:
    """Return the reader of wav files."""
    valid = {"sound.wav": sound_file("WAV", "PCM_16")}
    return Reader("wav", valid, wav_files(), lambda folder: read_sound(folder / "sound.wav"), runs_programs=True)


make_flac = reader_of_sounds("flac", ".flac", sound_file("FLAC"))
make_ogg = reader_of_sounds("ogg", ".ogg", sound_file("OGG"))
make_mp3 = reader_of_sounds("mp3", ".mp3", sound_file("MP3"))


def picture_file(name: str) -> bytes:
    """Return a picture in a format of Pillow's."""
    file = io.BytesIO()
    Image.fromarray(PICTURE).save(file, name)
    return file.getvalue()


@st.composite
def picture_files(draw: st.DrawFn) -> Files:
    """Draw damaged pictures of any format, and png files that claim any size."""
    content = picture_file(draw(st.sampled_from(PICTURE_FORMATS)))
    if draw(st.integers(0, 4)) == 0:
        size = struct.pack(">II", *(draw(st.sampled_from(LIMITS)) % 2**32 for _ in range(2)))
        content = picture_file("PNG")
        content = content[:16] + size + content[24:]
    return {"picture.jpg": draw(damaged(content, most_edits=4))}


def look_at_picture(folder: Path) -> None:
    """Decode a picture and look at its form."""
    picture = read_picture(folder / "picture.jpg")
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3, "no RGB picture"
    assert picture.size <= 3 * LARGEST_PIXELS, "a picture beyond all sizes"


def make_picture() -> Reader:
    """Return the reader of pictures."""
    return Reader("picture", {"picture.jpg": picture_file("JPEG")}, picture_files(), look_at_picture)


def about_picture(recording: str) -> dict[str, Any]:
    """Return what a picture of ours says of itself."""
    recipe = find_recipe("default").to_json()
    return {"recording": recording, "offset_seconds": 0.0, "seconds": 2.0, "level_dbfs": -20.0, "recipe": recipe}


def commented_jpg(comment: bytes) -> bytes:
    """Return a picture with a comment."""
    file = io.BytesIO()
    Image.fromarray(PICTURE).save(file, "JPEG", comment=comment[:65_000])
    return file.getvalue()


def picture_folder() -> dict[str, bytes]:
    """Return the files of two labels with two pictures each."""
    names = [f"{label}/{number}" for label in ("alice", "bob") for number in range(2)]
    return {f"{name}_00000.jpg": encode_jpg(PICTURE, quality=92, about=about_picture(f"{name}.wav")) for name in names}


@st.composite
def commented_folders(draw: st.DrawFn) -> Files:
    """Draw folders of pictures, one of which says something odd of itself."""
    comment = draw(json_files(about_picture("alice/0.wav")))
    return picture_folder() | {"alice/0_00000.jpg": commented_jpg(comment)}


def read_folder(folder: Path) -> None:
    """Read a folder of pictures as training and as evaluation do."""
    dataset = read_dataset(folder, folder / ".cache" / "pictures.sqlite")
    assert len(dataset.examples) + len(dataset.failures) == 4, "a picture is lost"
    again = read_dataset(folder, folder / ".cache" / "pictures.sqlite")
    assert dataset.examples == again.examples, "the cache holds something else"
    assert len(find_pictures(folder)) <= 4, "recordings that are not there"


def make_jpg_comments() -> Reader:
    """Return the reader of what pictures say of themselves."""
    return Reader("jpg_comment", picture_folder(), commented_folders(), read_folder)
