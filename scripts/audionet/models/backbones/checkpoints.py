"""Files of weights, read without the library that wrote them."""

import base64
import binascii
import functools
import io
import json
import math
import pickle
import pickletools
import re
import struct
import tarfile
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from audionet.errors import InputError, WeightsError
from audionet.files import brief, printable

Format = Literal["torch", "tfjs", "keras", "saved_model", "onnx"]

Reader = Callable[[Path], dict[str, np.ndarray]]

_UNREADABLE = (
    ArithmeticError,
    AttributeError,
    binascii.Error,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    pickle.UnpicklingError,
    RuntimeError,
    struct.error,
    tarfile.TarError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What the standard library raises for a damaged pickle, zip, tar, gzip or base64 text."""


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """Read a state dict that torch saved, in its zip format or the legacy one (before 1.6), without torch.

    What else a training checkpoint keeps beside its `model_state`, `model_state_dict` or `state_dict` is passed over.

    Returns:
        Name -> float32 array, in the file's order; counters such as `num_batches_tracked` are converted too.

    Raises:
        WeightsError: the file is damaged, holds anything but a dict of tensors, or asks for a type that is not
            admitted.

    Source: the formats are those of `torch.serialization._save` and `_legacy_save`.
    """
    with named_faults(path):
        if zipfile.is_zipfile(path):
            return _read_torch_zip(path)
        return _read_torch_legacy(path)


def read_tfjs(path: Path) -> dict[str, np.ndarray]:
    """Read the InceptionV3 weights of the npm package nsfwjs (`.tgz`), a TensorFlow.js model in JavaScript modules.

    Every weight is stored as uint8 with a scale and a minimum: w = q * scale + min.

    Returns:
        Name, such as `conv2d_1/kernel` -> float32 array, in the manifest's order.

    Raises:
        WeightsError: the file is damaged or its parts do not fit each other.

    Source: the module form is that of nsfwjs 4.3.0; the quantisation is that of TensorFlow.js' weights manifest.
    """
    with named_faults(path), tarfile.open(path, "r:gz") as archive:
        manifest = _tar_text(archive, f"{_TFJS_FOLDER}/model.min.js").partition("weightsManifest:")[2]
        shard_names = re.search(r'paths:\[("[^\]]+")\]', manifest)
        if shard_names is None:
            raise ValueError("its model.min.js lists no shards")
        shards = [
            _tfjs_shard(_tar_text(archive, f"{_TFJS_FOLDER}/{name}.min.js"))
            for name in json.loads(f"[{shard_names[1]}]")
        ]
        return _dequantise(manifest, np.frombuffer(b"".join(shards), np.uint8))


def sniff_format(path: Path) -> Format:
    """Tell a format by content, so that a file's name need not say it."""
    with path.open("rb") as stream:
        start = stream.read(8)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras"
    if start.startswith(b"\x1f\x8b"):
        return "tfjs"
    if start.startswith(b"\x80"):
        return "torch"
    if zipfile.is_zipfile(path):
        with named_faults(path), zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if any(PurePosixPath(name).name == "data.pkl" for name in names):
            return "torch"
        if "model.weights.h5" in names:
            return "keras"
    raise InputError(
        f"Expected weights that torch (.pth) or Keras (.weights.h5, .h5, .keras) saved, or the nsfwjs package (.tgz), "
        f"received {printable(path)}, which is none of these; save the weights again in one of these formats."
    )


@dataclass(frozen=True, slots=True)
class _StorageType:
    dtype: np.dtype


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: np.dtype
    length: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A strided view of a storage, as the pickle describes it; nothing is read until the description is checked."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


_STORAGE_TYPES = {
    "DoubleStorage": _StorageType(np.dtype("<f8")),
    "FloatStorage": _StorageType(np.dtype("<f4")),
    "HalfStorage": _StorageType(np.dtype("<f2")),
    "LongStorage": _StorageType(np.dtype("<i8")),
    "IntStorage": _StorageType(np.dtype("<i4")),
    "ShortStorage": _StorageType(np.dtype("<i2")),
    "CharStorage": _StorageType(np.dtype("<i1")),
    "ByteStorage": _StorageType(np.dtype("<u1")),
    "BoolStorage": _StorageType(np.dtype("?")),
}

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

_LEGACY_PROTOCOL = 1001

_STATE_NAMES = ("model_state", "model_state_dict", "state_dict")
"""What training scripts call the state dict in the files that they go on from."""


def _rebuild_tensor(storage: object, offset: object, shape: object, strides: object, *_: object) -> _Tensor:
    """Stand in for `torch._utils._rebuild_tensor_v2`; what is left out concerns gradients."""
    if not (isinstance(storage, _Storage) and isinstance(shape, tuple) and isinstance(strides, tuple)):
        raise pickle.UnpicklingError("a tensor without storage, shape or strides")
    if not all(type(number) is int and number >= 0 for number in (offset, *shape, *strides)):
        raise pickle.UnpicklingError("a tensor whose shape or strides are no natural numbers")
    return _Tensor(storage, offset, shape, strides)  # type: ignore[arg-type]  # checked just above


def _rebuild_parameter(tensor: object, *_: object) -> object:
    """Stand in for `torch._utils._rebuild_parameter`: a parameter is its tensor."""
    return tensor


_ADMITTED: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    **{("torch", name): storage_type for name, storage_type in _STORAGE_TYPES.items()},
}


class _TensorUnpickler(pickle.Unpickler):
    """Admit tensors, their storages and ordered dicts; refuse every other name, so that nothing can be run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"only tensors are admitted, and it asks for {module}.{name}")
        return _ADMITTED[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _location, length, *view = pid
        admitted = kind == "storage" and isinstance(storage_type, _StorageType) and isinstance(key, str)
        if not admitted or type(length) is not int or length < 0 or any(part is not None for part in view):
            raise pickle.UnpicklingError("it describes a storage in a way that is not known")
        return _Storage(key, storage_type.dtype, length)


def _read_torch_zip(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if PurePosixPath(name).name == "data.pkl"]
        if len(pickles) != 1:
            raise ValueError(f"{len(pickles)} entries named data.pkl")
        folder = PurePosixPath(pickles[0]).parent
        if str(folder / "byteorder") in archive.namelist() and _entry(archive, folder / "byteorder") != b"little":
            raise ValueError("its numbers are big-endian")
        state = _state_of(_unpickled(io.BytesIO(_entry(archive, pickles[0]))))

        @functools.cache
        def storage_values(storage: _Storage) -> np.ndarray:
            return _checked_values(_entry(archive, folder / "data" / storage.key), storage)

        return _state_arrays(state, storage_values, most_numbers=path.stat().st_size)


def _entry(archive: zipfile.ZipFile, name: PurePosixPath | str) -> bytes:
    """Return the content of an entry, which is not larger than its archive, since torch packs nothing."""
    info = archive.getinfo(str(name))
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} in it is compressed")
    return archive.read(info)


def _unpickled(stream: io.BytesIO) -> Any:
    """Return what the next pickle of a stream stands for."""
    start = stream.tell()
    for operation, argument, position in pickletools.genops(stream):
        # The unpickler makes room for as many values as the highest number says.
        if operation.name in ("PUT", "LONG_BINPUT") and isinstance(argument, int) and argument > (position or 0):
            raise pickle.UnpicklingError("it numbers more values than it has")
    stream.seek(start)
    return _TensorUnpickler(stream).load()


def _read_torch_legacy(path: Path) -> dict[str, np.ndarray]:
    """Read four pickles (magic number, protocol, system, state), the list of storage keys, and then each storage."""
    stream = io.BytesIO(path.read_bytes())
    if _unpickled(stream) != _LEGACY_MAGIC or _unpickled(stream) != _LEGACY_PROTOCOL:
        raise ValueError("it does not begin as torch files do")
    if not _unpickled(stream)["little_endian"]:
        raise ValueError("its numbers are big-endian")
    checkpoint = _unpickled(stream)
    state = _state_of(checkpoint)
    storages = _storages(checkpoint)
    values = {}
    for key in _unpickled(stream):
        storage = storages.get(key)
        if storage is None:
            raise ValueError(f"no tensor uses its storage {key}")
        (length,) = struct.unpack("<q", stream.read(8))
        if length != storage.length:
            raise ValueError(f"storage {key} has {length} numbers instead of {storage.length}")
        values[key] = _checked_values(stream.read(length * storage.dtype.itemsize), storage)
    return _state_arrays(state, lambda storage: values[storage.key], most_numbers=path.stat().st_size)


def _checked_values(content: bytes, storage: _Storage) -> np.ndarray:
    if len(content) != storage.length * storage.dtype.itemsize:
        raise ValueError(f"storage {storage.key} is cut short")
    return np.frombuffer(content, storage.dtype)


def _state_of(checkpoint: object) -> object:
    """Return the state dict: a part of a training checkpoint, or the whole file."""
    parts = [checkpoint.get(name) for name in _STATE_NAMES] if isinstance(checkpoint, dict) else []
    return next((part for part in parts if isinstance(part, dict)), checkpoint)


def _storages(checkpoint: object) -> dict[str, _Storage]:
    """Return the storages of all tensors in dicts, lists and tuples at any depth, by their keys."""
    storages: dict[str, _Storage] = {}
    seen: set[int] = set()  # a pickle may hold one container many times, or within itself
    waiting = [checkpoint]
    while waiting:
        value = waiting.pop()
        if isinstance(value, _Tensor):
            storages[value.storage.key] = value.storage
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            waiting.extend(value.values() if isinstance(value, dict) else value)
    return storages


def _tensors(state: object) -> dict[str, _Tensor]:
    if not isinstance(state, dict):
        raise ValueError("it holds no dict of tensors; save `model.state_dict()`")
    tensors = {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, _Tensor)}
    if len(tensors) != len(state) or not tensors:
        raise ValueError("it holds something else than tensors; save `model.state_dict()`")
    return tensors


def _state_arrays(
    state: object, storage_values: Callable[[_Storage], np.ndarray], *, most_numbers: int
) -> dict[str, np.ndarray]:
    tensors = _tensors(state)
    # Tensors may share a storage, but a small file must not become a large memory: a number takes a byte at least.
    if sum(math.prod(tensor.shape) for tensor in tensors.values()) > most_numbers:
        raise ValueError("its tensors have more numbers than it holds")
    return {name: _view(tensor, storage_values(tensor.storage)) for name, tensor in tensors.items()}


def _view(tensor: _Tensor, values: np.ndarray) -> np.ndarray:
    """Copy a tensor out of its storage; its shape and strides come from the file, so they are checked first."""
    count = math.prod(tensor.shape)
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    if count > len(values) or (count and last >= len(values)):
        raise ValueError("a tensor reaches beyond its storage")
    strides = [stride * values.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides, writeable=False)
    return np.array(view, np.float32)


_TFJS_FOLDER = "package/dist/models/inception_v3"

_MOST_TFJS_BYTES = 64_000_000  # of a module; those of InceptionV3 have 6 MB

_TFJS_NUMBER = r"(-?[\d.]+(?:e[-+]?\d+)?)"

_TFJS_WEIGHT = re.compile(
    r'\{name:"([^"]+)",shape:\[([\d,]*)\],dtype:"float32",'
    rf'quantization:\{{min:{_TFJS_NUMBER},scale:{_TFJS_NUMBER},dtype:"uint8"\}}\}}'
)


def _tar_text(archive: tarfile.TarFile, name: str) -> str:
    stream = archive.extractfile(name)
    if stream is None:
        raise ValueError(f"{name} in it is no file")
    if archive.getmember(name).size > _MOST_TFJS_BYTES:
        raise ValueError(f"{name} in it has more than {_MOST_TFJS_BYTES // 10**6} MB")
    return stream.read().decode("ascii")


def _tfjs_shard(module: str) -> bytes:
    exported = re.search(r'exports="([A-Za-z0-9+/=]+)"', module)
    if exported is None:
        raise ValueError("one of its shards exports no base64 text")
    return base64.b64decode(exported[1], validate=True)


def _dequantise(manifest: str, content: np.ndarray) -> dict[str, np.ndarray]:
    arrays = {}
    start = 0
    for name, shape_text, minimum, scale in _TFJS_WEIGHT.findall(manifest):
        shape = [int(size) for size in shape_text.split(",") if size]
        stop = start + math.prod(shape)
        quantised = content[start:stop].reshape(shape)
        arrays[name] = quantised.astype(np.float32) * np.float32(scale) + np.float32(minimum)
        start = stop
    if start != len(content) or not arrays:
        raise ValueError(f"its manifest describes {start} bytes and its shards hold {len(content)}")
    return arrays


@contextmanager
def named_faults(path: Path) -> Iterator[None]:
    """Turn whatever a damaged file makes the standard library raise into one sentence that names the file."""
    try:
        yield
    except _UNREADABLE as error:
        raise WeightsError(
            f"Expected a whole file in {printable(path)}, received one that cannot be read ({brief(error)}); "
            "fetch or save it again."
        ) from error
