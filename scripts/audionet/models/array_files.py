"""Reading npz files from anywhere: no pickle, and nothing that unpacks to far more than its file holds."""

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

LARGEST_RATIO = 50  # of unpacked to packed bytes; spectral peaks and digests of the same sound over and over reach 20
ALWAYS_UNPACKED = 2**26  # bytes; small files may hold mere zeros
KINDS = "biufU"  # of the numbers and texts that an array may hold, as `numpy.dtype.kind` has them

_HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)
DAMAGED_HEADER = (ValueError, TypeError, SyntaxError, OverflowError, RecursionError, MemoryError, tokenize.TokenError)
"""What NumPy raises for the header of an array that is damaged."""


def read_arrays(content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file by their names.

    Raises:
        ValueError: it is damaged, or holds something else.
    """
    most_bytes = ALWAYS_UNPACKED + LARGEST_RATIO * len(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > most_bytes:
                raise ValueError("it unpacks to far more than it holds")
            unpacked = {member.filename.removesuffix(".npy"): archive.read(member) for member in members}
    except _DAMAGED_ZIP as error:
        raise ValueError(f"expected a whole npz file ({error})") from error
    return {name: _read_array(name, packed) for name, packed in unpacked.items()}


def check_shapes(
    arrays: Mapping[str, np.ndarray], expected: Mapping[str, tuple[str, tuple[str, ...]]], sizes: Mapping[str, int]
) -> None:
    """Check that arrays are there, finite, and of shapes that fit together.

    Args:
        arrays: by name.
        expected: by name the kind, one of `KINDS`, and the name of each of its sizes, such as `labels`.
        sizes: those that are known; others only have to be the same everywhere.

    Raises:
        ValueError: one is missing or is not as expected.
    """
    known = dict(sizes)
    for name, (kind, dimensions) in expected.items():
        if name not in arrays:
            raise ValueError(f"{name} is missing")
        array = arrays[name]
        if array.dtype.kind != kind or array.ndim != len(dimensions):
            raise ValueError(
                f"{name}: expected shape ({', '.join(dimensions)}) of kind {kind}, received {array.dtype} of shape "
                f"{array.shape}"
            )
        for dimension, size in zip(dimensions, array.shape, strict=True):
            if known.setdefault(dimension, size) != size:
                raise ValueError(f"{name}: expected {known[dimension]} for {dimension}, received {size}")
        if kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name}: expected finite numbers, received others")


def _read_array(name: str, packed: bytes) -> np.ndarray:
    file = io.BytesIO(packed)
    try:
        read_header = _HEADER_READERS[np.lib.format.read_magic(file)]
        shape, is_fortran, dtype = read_header(file)
        start = file.tell()
        if dtype.kind not in KINDS or math.prod(shape) * dtype.itemsize != len(packed) - start:
            raise ValueError(f"{dtype} of shape {shape} in {len(packed) - start} bytes")
        array = np.frombuffer(packed, dtype, offset=start)
        return array.reshape(shape, order="F" if is_fortran else "C").astype(dtype.newbyteorder("="))
    except (KeyError, *DAMAGED_HEADER) as error:
        raise ValueError(f"{name}: expected an array of numbers or texts ({error})") from error
