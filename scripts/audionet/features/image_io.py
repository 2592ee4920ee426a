"""Picture files: encode, decode and read them."""

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from audionet.errors import InputError, PictureError
from audionet.files import printable

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"})

# More than any photograph to train on has; Pillow's own limit would let a small file fill the memory.
LARGEST_PIXELS = 64_000_000


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
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > LARGEST_PIXELS:
                raise PictureError(f"{name} has {image.width} x {image.height} pixels; expected 64 million at most.")
            upright = ImageOps.exif_transpose(image)
            return np.asarray(_to_rgb(upright))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PictureError(
            f"{name} is not a readable picture ({str(error).splitlines()[0]}). Remove it or make it again."
        ) from error


def read_picture(path: Path | str) -> np.ndarray:
    """Read a picture file as `decode_picture` decodes it.

    Raises:
        PictureError: the file cannot be read or is no picture.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise PictureError(f"{printable(path)} cannot be read ({error.strerror}).") from error
    return decode_picture(content, name=printable(path))


def read_about(content: bytes) -> dict[str, Any]:
    """Return what `encode_jpg` wrote about a picture into its file; empty for any other file."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            about = json.loads(image.info.get("comment", b"{}"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return {}
    return about if isinstance(about, dict) and "recipe" in about else {}


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
