"""Picture files: encode, decode and read them."""

import io
import json
import os
import struct
import warnings
import zlib
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from audionet.console import silence_native_stderr
from audionet.errors import InputError, PictureError, check
from audionet.features.recipes import Recipe
from audionet.files import printable
from audionet.regular_files import read_regular

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"})

# More than any photograph to train on has; Pillow's own limit would let a small file fill the memory.
LARGEST_PIXELS = 64_000_000
LARGEST_BYTES = 4 * LARGEST_PIXELS  # as many pixels in four colours, not compressed
LONGEST_SECONDS = 1e9  # into a recording of 32 years

# Those of Pillow's readers that decode by themselves: others start programs, such as Ghostscript for PostScript.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")

# What Pillow raises for bytes that are no picture, found by giving it damaged ones.
UNREADABLE = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, MemoryError),
    *(AttributeError, struct.error, zlib.error, Image.DecompressionBombError, Image.DecompressionBombWarning),
)
warnings.filterwarnings("ignore", module=r"PIL\.")  # of damage that is reported, and of sizes below which our limit is


def is_picture(path: Path) -> bool:
    """Tell by its suffix, in any letter case, whether a file is taken for a picture."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def encode_jpg(picture: np.ndarray, *, quality: int, about: dict[str, Any] | None = None) -> bytes:
    """Encode a picture as jpg: gray ones as gray, which is smaller and faster, colours at full resolution.

    It is uint8, shape (height, width, 3), RGB. The JSON object `about` is kept in the file as its comment: the
    recording, the offset and the recipe.
    """
    file = io.BytesIO()
    comment = json.dumps(about, separators=(",", ":")).encode() if about else b""
    gray = np.ascontiguousarray(picture[:, :, 0])
    if (picture[:, :, 1] == gray).all() and (picture[:, :, 2] == gray).all():
        Image.fromarray(gray).save(file, "JPEG", quality=quality, comment=comment)
    else:
        Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=0, comment=comment)
    return file.getvalue()


def decode_picture(content: bytes, *, name: object = "picture") -> np.ndarray:
    """Decode any picture file: jpg, png or whatever Pillow reads, in colour, gray or CMYK, whatever its suffix says.

    Returns:
        uint8, shape (height, width, 3), RGB, turned as its EXIF orientation says.

    Raises:
        PictureError: the bytes are no picture, are cut off, or hold more than 64 million pixels.
    """
    # What libtiff writes about a damaged file is for programmers.
    with silence_native_stderr() if content[:2] in (b"II", b"MM") else nullcontext():
        return _decode(content, name)


def _decode(content: bytes, name: object) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > LARGEST_PIXELS:
                raise PictureError(f"{name} has {image.width} x {image.height} pixels; expected 64 million at most.")
            upright = ImageOps.exif_transpose(image)
            return np.asarray(_to_rgb(upright))
    except UNREADABLE as error:
        reason = "its format is unknown" if isinstance(error, UnidentifiedImageError) else _in_one_line(error)
        raise PictureError(f"{name} is not a readable picture ({reason}). Remove it or make it again.") from error


def read_picture(path: Path | str) -> np.ndarray:
    """Read a picture file as `decode_picture` decodes it.

    Raises:
        PictureError: the file cannot be read or is no picture.
    """
    return decode_picture(read_picture_file(path), name=printable(path))


def read_picture_file(path: Path | str) -> bytes:
    """Return the content of a picture file.

    Raises:
        PictureError: it cannot be read, is larger than 256 MB, or is a pipe, a socket or a device.
    """
    try:
        return read_regular(path, most_bytes=LARGEST_BYTES)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise PictureError(f"{printable(path)} cannot be read ({reason}).") from error


def read_about(content: bytes, *, name: object = "picture") -> dict[str, Any]:
    """Return what `encode_jpg` wrote about a picture into its file; empty for any other file.

    Raises:
        PictureError: it is not what `encode_jpg` writes, though it names a recipe.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            about = json.loads(image.info.get("comment", b"{}"))
    except UNREADABLE:
        return {}
    if not isinstance(about, dict) or "recipe" not in about:
        return {}
    try:
        _check_about(about)
    except (InputError, UnicodeError) as error:
        raise PictureError(
            f"{name}: what its comment says about it is damaged ({_in_one_line(error)}) Draw it again, or remove the "
            "comment."
        ) from error
    return about


def _check_about(about: dict[str, Any]) -> None:
    recording = about.get("recording")
    check(isinstance(recording, str) and "\0" not in recording, "recording: expected a name.")
    os.fsencode(recording or "")  # a file has that name
    for key in ("offset_seconds", "seconds"):
        check(_is_number(about.get(key, 0.0), least=0, most=LONGEST_SECONDS), f"{key}: expected seconds.")
    level = about.get("level_dbfs")
    check(level is None or _is_number(level, least=-1_000, most=1_000), "level_dbfs: expected decibels.")
    Recipe.from_json(about["recipe"])


def _is_number(value: object, *, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _in_one_line(error: BaseException) -> str:
    return printable((str(error) or type(error).__name__).splitlines()[0])[:300]


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":  # Pillow would clip 16 bits to 8 instead of scaling them
        levels = np.asarray(image, np.float32) / 257
        return Image.fromarray(levels.clip(0, 255).astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        over_white = Image.new("RGBA", image.size, "white")
        over_white.alpha_composite(image.convert("RGBA"))
        return over_white.convert("RGB")
    return image.convert("RGB")


def fit_pictures(pictures: Iterable[np.ndarray], *, height: int, width: int) -> np.ndarray:
    """Bring pictures, uint8 [h, w, 3] each, to one size in pixels, uint8 [n, height, width, 3].

    They are scaled bilinearly, and smoothed where they shrink; those of this size stay as they are.
    """
    fitted = [_fit(picture, height, width) for picture in pictures]
    return np.stack(fitted) if fitted else np.zeros((0, height, width, 3), np.uint8)


def _fit(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise InputError(
            f"Expected a picture as uint8 [h, w, 3], received {picture.dtype} {list(picture.shape)}; "
            "convert it to RGB first."
        )
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))
