"""Graphs of OpenVINO: a network in OpenVINO's intermediate representation, for what TensorFlow cannot hold.

Such a graph is a zip archive, not packed, of the two files that OpenVINO writes, and a frozen graph of TensorFlow a
protobuf, so that their first bytes tell them apart. What OpenVINO compiles of the graphs of classifiers is kept:

    <cache folder>/compiled/<sha256>    32 bytes, the SHA-256 of what follows, and a compiled graph of OpenVINO
"""

import hashlib
import io
import os
import sys
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from audionet.files import cache_folder, sha256_of, write_bytes
from audionet.scratch import temporary_folder

MODEL_NAME, NUMBERS_NAME = "model.xml", "model.bin"
MOST_COMPILED = 12  # graphs kept, those used last; each has about the size of its network
DIGEST_BYTES = 32


def imported_openvino() -> ModuleType:
    """Import OpenVINO without its converter, which takes half as long as all else of it and which nothing here uses."""
    converter = "openvino.tools.ovc"
    is_here = converter in sys.modules
    if not is_here:
        sys.modules[converter] = None  # type: ignore[assignment]  # "not there", which OpenVINO can do with
    try:
        import openvino  # 0.1 s
    finally:
        if not is_here:
            del sys.modules[converter]
    module: ModuleType = openvino
    return module


def compile_graph(graph: bytes, options: Mapping[str, str], *, is_kept: bool) -> Any:
    """Return a graph compiled for this CPU.

    With `is_kept` it is read from the cache where it was compiled before, by this OpenVINO, for such a CPU and with
    such options, or else kept there.

    Raises:
        RuntimeError, ValueError: it is damaged, or has an operation that OpenVINO does not know.
    """
    core = imported_openvino().Core()
    path = _place_of_compiled(core, graph, options) if is_kept else None
    compiled = _read_compiled(core, path, options) if path else None
    if compiled is not None:
        return compiled
    with temporary_folder() as folder:
        compiled = core.compile_model(read_graph(core, graph, folder), "CPU", dict(options))
    if path:
        with suppress(OSError, RuntimeError):  # nothing but time is lost
            _keep_compiled(compiled, path)
    return compiled


def _place_of_compiled(core: Any, graph: bytes, options: Mapping[str, str]) -> Path:
    cpu = [core.get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    about = [imported_openvino().__version__, *cpu, os.cpu_count(), sorted(options.items()), sha256_of(graph)]
    return cache_folder() / "compiled" / sha256_of(repr(about).encode())


def _read_compiled(core: Any, path: Path, options: Mapping[str, str]) -> Any:
    """Return a compiled graph from the cache, or None where there is none that is whole."""
    try:
        content = path.read_bytes()
        os.utime(path)
    except OSError:
        return None
    digest, compiled = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(compiled).digest() != digest:
        return None
    try:
        return core.import_model(compiled, "CPU", dict(options))
    except RuntimeError:
        return None


def _keep_compiled(compiled: Any, path: Path) -> None:
    stream = io.BytesIO()
    compiled.export_model(stream)
    content = stream.getvalue()
    write_bytes(path, hashlib.sha256(content).digest() + content)
    kept = sorted(path.parent.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True)
    for outdated in kept[MOST_COMPILED:]:
        outdated.unlink(missing_ok=True)


def is_openvino_graph(graph: bytes) -> bool:
    """Tell whether a graph is one of OpenVINO, which alone runs it."""
    return graph.startswith(b"PK")


def pack_graph(model: Any) -> bytes:
    """Return a model of OpenVINO as a graph; the same model gives the same bytes, in every process."""
    import openvino  # 0.3 s

    model.input(0).get_tensor().set_names({"inputs"})
    model.output(0).get_tensor().set_names({"bottlenecks"})
    for number, operation in enumerate(model.get_ordered_ops()):
        operation.set_friendly_name(f"{operation.get_type_name()}_{number}")  # else numbered by what was made before
    with temporary_folder() as folder:
        openvino.serialize(model, folder / MODEL_NAME, folder / NUMBERS_NAME)
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name in (MODEL_NAME, NUMBERS_NAME):
                archive.writestr(zipfile.ZipInfo(name), (folder / name).read_bytes())
    return file.getvalue()


def read_graph(core: Any, graph: bytes, folder: Path) -> Any:
    """Return a graph, of OpenVINO or of TensorFlow, as a model of OpenVINO; `folder` is for scratch files.

    Raises:
        RuntimeError, ValueError: it is damaged, or has an operation that OpenVINO does not know.
    """
    if not is_openvino_graph(graph):
        path = folder / "graph.pb"  # OpenVINO reads such graphs from files only, and by this suffix
        path.write_bytes(graph)
        return core.read_model(path)
    try:
        with zipfile.ZipFile(io.BytesIO(graph)) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("it is packed")
            parts = [archive.read(name) for name in (MODEL_NAME, NUMBERS_NAME)]
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError, OSError) as error:
        raise ValueError(f"it is damaged: {error}") from error
    # From memory, so that nothing in it can name another file.
    return core.read_model(*parts)
