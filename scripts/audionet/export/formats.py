"""The formats that a classifier is exported to: content, described, opened by their own runtimes and run.

`FORMATS` has one row for each. All hold the same graph, `input` -> `final_result`, and the same description as JSON:

    graph           audionet, an attribute of the node final_result
    saved_model     audionet.json in the folder
    openvino        audionet.json in the folder, and `audionet` in the model's runtime information
    keras, tflite   audionet.json in the file, which is a zip archive too; tflite has labels.txt besides
    onnx            audionet, an entry of the model's metadata

A runtime is opened as somebody would who has nothing but the export and the runtime's own package.
"""

import importlib
import importlib.util
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audionet.errors import InputError
from audionet.export.onnx_lstm import block_lstm, check_recurrence
from audionet.files import MARK_NAME, printable
from audionet.models.backbones.engines import Runner
from audionet.scratch import temporary_folder

OPSET = 18  # of ONNX
LABELS_NAME = "labels.txt"


@dataclass(frozen=True)
class Tolerance:
    """How far an export's answers may lie from those of its classifier."""

    drift: float  # the share of probability that lies with another label, in the mean over chunks
    disagreement: float  # the share of chunks whose likeliest label is another; one chunk always may

    def allows(self, *, drift: float, disagreeing: int, chunks: int) -> bool:
        """Tell whether so much is within what is tolerated."""
        return drift <= self.drift and disagreeing <= max(1, self.disagreement * chunks)


@dataclass(frozen=True)
class ExportContent:
    """What an export holds."""

    graph: Any  # a GraphDef
    about: Mapping[str, Any]  # the description
    chunks: Sequence[np.ndarray]  # what to calibrate on: inputs of one chunk each, shape (1, ...)


@dataclass(frozen=True)
class OpenedExport:
    """An export, opened by its own runtime."""

    about: dict[str, Any]  # the description
    run: Runner  # maps inputs, shape (1, ...), to probabilities


@dataclass(frozen=True, kw_only=True)
class ExportFormat:
    """One format."""

    suffix: str  # of its file; empty for a folder
    packages: tuple[str, ...] = ()  # what writing and running it needs besides those that all need
    one_chunk: bool = False  # whether it takes one chunk at a time
    holds_listeners: bool = False  # whether it has the operations of networks that listen
    is_calibrated: bool = False  # whether it is calibrated on chunks
    tolerance: Tolerance = Tolerance(drift=0.01, disagreement=0.01)  # for its answers
    write: Callable[[ExportContent, Path], None]  # to a path that does not exist, or into an empty folder
    open: Callable[[Path], OpenedExport]


def check_packages(name: str) -> None:
    """Raise unless the packages that a format needs are installed.

    Raises:
        InputError: one is missing.
    """
    missing = [package for package in FORMATS[name].packages if importlib.util.find_spec(package) is None]
    if missing:
        raise InputError(
            f"--format {name} needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not "
            "installed. Type: pip install './scripts[export]'."
        )


# Graph


def _write_graph(content: ExportContent, path: Path) -> None:
    for node in content.graph.node:
        if node.name == "final_result":
            node.attr["_audionet"].s = json.dumps(content.about).encode()
    path.write_bytes(content.graph.SerializeToString(deterministic=True))


def _open_graph(path: Path) -> OpenedExport:
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    (about,) = (node.attr["_audionet"].s for node in definition.node if node.name == "final_result")
    function = _function(definition)
    return OpenedExport(json.loads(about), lambda inputs: function(tf.constant(inputs)).numpy())


def _function(definition: Any) -> Any:
    import tensorflow as tf

    imported = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])
    return imported.prune("input:0", "final_result:0")


# SavedModel


def _write_saved_model(content: ExportContent, path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    frozen = _function(content.graph)
    module.probabilities = tf.function(
        lambda input: {"final_result": frozen(input)},
        input_signature=[tf.TensorSpec(frozen.inputs[0].shape, tf.float32, name="input")],
    )
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.probabilities})


def _open_saved_model(path: Path) -> OpenedExport:
    import tensorflow as tf

    model = tf.saved_model.load(str(path))
    serve = model.signatures["serving_default"]
    return OpenedExport(_marked(path), lambda inputs: serve(input=tf.constant(inputs))["final_result"].numpy())


def _marked(path: Path) -> dict[str, Any]:
    about: dict[str, Any] = json.loads((path / MARK_NAME).read_text("utf-8"))["about"]
    return about


# Keras


def _write_keras(content: ExportContent, path: Path) -> None:
    from audionet.export.keras_graph import keras_model

    keras_model(content.graph).save(path)
    _pack(path, {MARK_NAME: json.dumps(content.about)})


def _open_keras(path: Path) -> OpenedExport:
    import keras

    model = keras.models.load_model(path)
    return OpenedExport(_unpacked(path), model.predict_on_batch)


def _pack(path: Path, texts: dict[str, str]) -> None:
    """Put texts into a file that is a zip archive, or to the end of one that is not."""
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in texts.items():
            archive.writestr(name, text)


def _unpacked(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        about: dict[str, Any] = json.loads(archive.read(MARK_NAME))
    return about


# TFLite


def _write_tflite(content: ExportContent, path: Path) -> None:
    path.write_bytes(_converter(content).convert())
    _pack_tflite(content, path)


def _write_tflite_int8(content: ExportContent, path: Path) -> None:
    """Write the network in 8 bits, calibrated on chunks; the drawing before it and the head stay as they are.

    Sound has a range of a million to one in power, of which 8 bits would leave nothing.
    """
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    def chunks() -> Iterator[list[np.ndarray]]:
        for chunk in content.chunks:
            yield [chunk]

    tensors = Interpreter(model_content=_converter(content).convert()).get_tensor_details()
    converter = _converter(content)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = chunks
    options = tf.lite.experimental.QuantizationDebugOptions(
        denylisted_nodes=[tensor["name"] for tensor in tensors if not tensor["name"].startswith("backbone/")]
    )
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=chunks, debug_options=options
    )
    path.write_bytes(debugger.get_nondebug_quantized_model())
    _pack_tflite(content, path)


def _converter(content: ExportContent) -> Any:
    import tensorflow as tf

    return tf.lite.TFLiteConverter.from_concrete_functions([_function(content.graph)], None)


def _pack_tflite(content: ExportContent, path: Path) -> None:
    labels = "".join(f"{printable(label)}\n" for label in content.about["labels"])
    _pack(path, {MARK_NAME: json.dumps(content.about), LABELS_NAME: labels})


def _open_tflite(path: Path) -> OpenedExport:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=os.cpu_count())
    interpreter.allocate_tensors()
    (fed,), (read,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(inputs: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(fed["index"], inputs)
        interpreter.invoke()
        probabilities: np.ndarray = interpreter.get_tensor(read["index"])
        return probabilities

    return OpenedExport(_unpacked(path), run)


# ONNX


def _write_onnx(content: ExportContent, path: Path) -> None:
    import onnx
    import tf2onnx

    check_recurrence(content.graph)
    model, _ = tf2onnx.convert.from_graph_def(
        content.graph,
        input_names=["input:0"],
        output_names=["final_result:0"],
        opset=OPSET,
        custom_op_handlers={"BlockLSTM": (block_lstm, [])},
    )
    _rename(model.graph, {"input:0": "input", "final_result:0": "final_result"})
    onnx.helper.set_model_props(model, {"audionet": json.dumps(content.about)})
    onnx.save(model, path)


def _rename(graph: Any, names: dict[str, str]) -> None:
    for node in graph.node:
        for places in (node.input, node.output):
            places[:] = [names.get(name, name) for name in places]
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)


def _open_onnx(path: Path) -> OpenedExport:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["audionet"])
    return OpenedExport(about, lambda inputs: session.run(["final_result"], {"input": inputs})[0])


# OpenVINO


def _write_openvino(content: ExportContent, path: Path) -> None:
    import openvino

    with temporary_folder() as folder:
        graph = folder / "graph.pb"
        graph.write_bytes(content.graph.SerializeToString(deterministic=True))
        model = openvino.Core().read_model(graph)
    model.inputs[0].get_tensor().set_names({"input"})
    model.outputs[0].get_tensor().set_names({"final_result"})
    model.set_rt_info(json.dumps(content.about), ["audionet"])
    openvino.save_model(model, path / "model.xml", compress_to_fp16=False)


def _open_openvino(path: Path) -> OpenedExport:
    import openvino

    core = openvino.Core()
    # Numbers that the file holds, whatever faster ones the CPU would round them to.
    compiled = core.compile_model(core.read_model(path / "model.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return OpenedExport(_marked(path), lambda inputs: compiled({"input": inputs})["final_result"])


_ROUNDED = Tolerance(drift=0.05, disagreement=0.05)
_LITERT = ("ai_edge_litert",)

FORMATS: dict[str, ExportFormat] = {
    "saved_model": ExportFormat(suffix="", holds_listeners=True, write=_write_saved_model, open=_open_saved_model),
    "keras": ExportFormat(suffix=".keras", write=_write_keras, open=_open_keras),
    "graph": ExportFormat(suffix=".pb", holds_listeners=True, write=_write_graph, open=_open_graph),
    "tflite": ExportFormat(suffix=".tflite", packages=_LITERT, one_chunk=True, write=_write_tflite, open=_open_tflite),
    "tflite_int8": ExportFormat(
        suffix=".tflite",
        packages=_LITERT,
        one_chunk=True,
        is_calibrated=True,
        tolerance=_ROUNDED,
        write=_write_tflite_int8,
        open=_open_tflite,
    ),
    "onnx": ExportFormat(
        suffix=".onnx",
        packages=("tf2onnx", "onnx", "onnxruntime"),
        holds_listeners=True,
        write=_write_onnx,
        open=_open_onnx,
    ),
    "openvino": ExportFormat(
        suffix="", packages=("openvino",), holds_listeners=True, write=_write_openvino, open=_open_openvino
    ),
}
