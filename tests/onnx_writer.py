"""Small ONNX files, written without the package onnx, so that what reads them can be tested wherever OpenVINO is."""

from collections.abc import Mapping, Sequence

import numpy as np

FLOAT, UINT8, INT64 = 1, 2, 7
_TYPES = {np.dtype(np.float32): FLOAT, np.dtype(np.uint8): UINT8, np.dtype(np.int64): INT64}
_INT, _INTS = 2, 7  # kinds of attributes


def varint(number: int) -> bytes:
    digits = [number & 127]
    while number := number >> 7:
        digits[-1] |= 128
        digits.append(number & 127)
    return bytes(digits)


def field(number: int, value: bytes | str | int) -> bytes:
    """Return a field of a protobuf message: a number, or a block of bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def fields(number: int, values: Sequence[bytes | str | int]) -> bytes:
    return b"".join(field(number, value) for value in values)


def tensor(name: str, array: np.ndarray, *, outside: Mapping[str, str] | None = None) -> bytes:
    """Return an array, whose numbers lie in an `outside` file if there is one."""
    head = fields(1, array.shape) + field(2, _TYPES[array.dtype]) + field(8, name)
    if outside is None:
        return head + field(9, array.tobytes())
    entries = [field(1, key) + field(2, value) for key, value in outside.items()]
    return head + fields(13, entries) + field(14, 1)


def node(operation: str, inputs: Sequence[str], output: str, **attributes: int | Sequence[int]) -> bytes:
    packed = [
        field(1, name)
        + (field(3, value) + field(20, _INT) if isinstance(value, int) else fields(8, value) + field(20, _INTS))
        for name, value in attributes.items()
    ]
    return fields(1, inputs) + field(2, output) + field(4, operation) + fields(5, packed)


def value(name: str, shape: Sequence[int | None], kind: int = FLOAT) -> bytes:
    """Return a tensor's description; a length that is None is not fixed."""
    lengths = [field(2, f"any{axis}") if length is None else field(1, length) for axis, length in enumerate(shape)]
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, fields(1, lengths))))


def model(
    nodes: Sequence[bytes], inputs: Sequence[bytes], outputs: Sequence[bytes], tensors: Sequence[bytes] = ()
) -> bytes:
    graph = fields(1, nodes) + field(2, "graph") + fields(5, tensors) + fields(11, inputs) + fields(12, outputs)
    return field(1, 8) + field(7, graph) + field(8, field(2, 17))
