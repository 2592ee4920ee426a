"""ONNX files: what they read besides themselves, told without the package onnx.

Source: the numbers of the fields are those of `onnx.proto`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from audionet.errors import InputError, WeightsError
from audionet.files import brief, printable, sha256_of
from audionet.models.backbones.weights import Weights, file_digest

MOST_BYTES = 2**31  # of a protobuf

_MODEL_GRAPH = 7
_GRAPH_TENSOR = 5
_TENSOR_NAME = 8
_TENSOR_BYTES = 9

# Which fields of a message are messages that tensors may lie in.
_PARTS: Mapping[str, Mapping[int, str]] = {
    "model": {_MODEL_GRAPH: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {13: "outside data"},
}
_DEEPEST = 100  # as protobuf's own readers have it

_VARINT, _EIGHT_BYTES, _BLOCK, _FOUR_BYTES = 0, 1, 2, 5  # how a field is written


def find_onnx(path: Path) -> Weights:
    """Return an ONNX file, with a digest of it and of the files beside it that hold its numbers.

    Raises:
        InputError: it is missing, is no ONNX file, or reads files outside its folder.
        WeightsError: a file beside it is missing.
    """
    if not path.is_file():
        raise InputError(f"--onnx_file: expected an ONNX file, and {printable(path)} is none. Check the path.")
    if path.stat().st_size >= MOST_BYTES:
        raise InputError(f"--onnx_file: {printable(path)} has more than 2 GB. Save its numbers in a file beside it.")
    try:
        names = sorted(set(outside_names(path.read_bytes())))
    except ValueError as error:
        raise InputError(
            f"--onnx_file: expected an ONNX file, received {printable(path)}, which is none or is damaged ({error}). "
            "Export the network again."
        ) from error
    digests = [file_digest(one) for one in (path, *(_beside(path, name) for name in names))]
    return Weights(
        path=path,
        format="onnx",
        origin=f"ONNX file {path.name}",
        sha256=digests[0] if not names else sha256_of("\n".join(digests).encode()),
        licence="",
        note="given by the user",
    )


def outside_names(content: bytes) -> list[str]:
    """Return the names of the files that an ONNX model has numbers in.

    Raises:
        ValueError: the content is no such model.
    """
    view = memoryview(content)
    if not any(number == _MODEL_GRAPH for number, _ in _fields(view)):
        raise ValueError("it holds no graph")
    return [bytes(name).decode("utf-8", "surrogateescape") for name in _locations(view, "model", 0)]


def float_tensors(content: bytes) -> dict[str, np.ndarray]:
    """Return the numbers of an ONNX model's graph that are float32, flat, by their names; shapes are left out.

    Raises:
        ValueError: the content is no such model.
    """
    found = {}
    for number, graph in _fields(memoryview(content)):
        if number != _MODEL_GRAPH or graph is None:
            continue
        for kind, tensor in _fields(graph):
            if kind != _GRAPH_TENSOR or tensor is None:
                continue
            parts = dict(_fields(tensor))
            name, numbers = parts.get(_TENSOR_NAME), parts.get(_TENSOR_BYTES)
            if name is not None and numbers is not None and len(numbers) % 4 == 0:
                found[name.tobytes().decode("utf-8", "replace")] = np.frombuffer(numbers, "<f4").astype(np.float32)
    return found


def _beside(path: Path, name: str) -> Path:
    """Return a file that an ONNX file names, which lies in the same folder or below."""
    folder = path.parent.resolve()
    found = (folder / name).resolve()
    if not found.is_relative_to(folder) or Path(name).is_absolute():
        raise InputError(
            f"--onnx_file: {printable(path)} reads {brief(name)}, which is outside its folder. Export it as one file."
        )
    if not found.is_file():
        raise WeightsError(
            f"Expected {brief(name)} beside {printable(path)}, which has its numbers there, and found none. Copy both."
        )
    return found


def _locations(message: memoryview, kind: str, depth: int) -> Iterator[memoryview]:
    if depth > _DEEPEST:
        raise ValueError("its parts are nested too deep")
    for number, value in _fields(message):
        part = _PARTS[kind].get(number)
        if part is None or value is None:
            continue
        if part != "outside data":
            yield from _locations(value, part, depth + 1)
            continue
        entry = dict(_fields(value))
        name, text = entry.get(1), entry.get(2)
        if name is not None and text is not None and name.tobytes() == b"location":
            yield text


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Yield the number of each field of a protobuf message, and its content if that is a block of bytes."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, written = tag >> 3, tag & 7
        content, length = None, 0
        if written == _VARINT:
            _, position = _varint(message, position)
        elif written == _BLOCK:
            length, position = _varint(message, position)
            content = message[position : position + length]
        elif written in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if written == _EIGHT_BYTES else 4
        else:
            raise ValueError("it is no protobuf")
        position += length
        if number == 0 or position > len(message):
            raise ValueError("it is no protobuf, or is cut short")
        yield number, content


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, the lowest first, and the position behind it."""
    value = 0
    for index, byte in enumerate(message[position : position + 10]):
        value |= (byte & 127) << (7 * index)
        if byte < 128:
            return value, position + index + 1
    raise ValueError("it is no protobuf, or is cut short")
