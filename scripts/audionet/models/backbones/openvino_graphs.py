"""Graphs of OpenVINO: a network in OpenVINO's intermediate representation, for what TensorFlow cannot hold.

Such a graph is a zip archive, not packed, of the two files that OpenVINO writes, and a frozen graph of TensorFlow a
protobuf, so that their first bytes tell them apart.
"""

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

from audionet.scratch import temporary_folder

MODEL_NAME, NUMBERS_NAME = "model.xml", "model.bin"


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
